/* The queues that instructions run on, and what each waits for. Two instructions of one block on different queues are
 * ordered if both touch the same bytes and one of them writes: the later one waits for the earlier one's event. An
 * instruction waits only for what it does not know to be over: what its queue, or an instruction that it waits for, has
 * waited for already. The lists are those of one block and body; between them, and around the rounds of an exchange,
 * all queues are idle. A device with one queue may ignore all of this: the order of the list is right too. */
#include "dag.h"

static enum queue queue_of(const struct schedule *s, const struct instr *i)
{
	if (i->kind == INSTR_LAUNCH)
		return QUEUE_COMPUTE;
	if (i->kind != INSTR_COLLECTIVE)
		return QUEUE_HOST;
	switch (s->collectives.at[i->collective.index].kind) {
	case DR_ALL_TO_ALL: return QUEUE_EXPERTS;
	case DR_SEND:
	case DR_RECV:       return QUEUE_PIPELINE;
	default:            return QUEUE_REDUCTIONS;
	}
}

/* Bytes of a space that an instruction touches: the whole buffer or state, whichever part of it is used. */
struct touch {
	enum dr_space space;
	int64_t begin, end;
	bool writes;
};
struct touches {
	struct touch at[MAX_OPERANDS];
	int n;
};

/* Finds the buffer that is alive at instruction `number`, or the state of the body, at an address. */
static bool find_thing(const struct schedule *s, const struct step_program *p, int body, int number, struct touch *t)
{
	if (t->space == DR_SPACE_ACT)
		for (int i = 0; i < p->live.n; i++) {
			const struct live *b = &p->live.at[i];
			if (b->first > number || number > b->last || t->begin < b->offset || t->begin >= b->offset + b->bytes)
				continue;
			t->begin = b->offset, t->end = b->offset + b->bytes;
			return true;
		}
	if (t->space == DR_SPACE_STATE || t->space == DR_SPACE_STATE_OUTSIDE)
		for (int i = 0; i < s->states.n; i++) {
			const struct placed_state *st = &s->states.at[i];
			bool mine = st->body == (t->space == DR_SPACE_STATE ? body : -1);
			if (!mine || t->begin < st->offset || t->begin >= st->offset + st->bytes)
				continue;
			t->begin = st->offset, t->end = st->offset + st->bytes;
			return true;
		}
	if (t->space == DR_SPACE_WORKSPACE) {
		t->begin = 0, t->end = INT64_MAX;
		return true;
	}
	return false; /* a space that no instruction writes */
}

static struct touches touches_of(const struct schedule *s, const struct step_program *p, int body, int number,
                                 const struct instr *i)
{
	struct memory_operands o = instr_operands(s, i);
	struct touches out = {.n = 0};
	for (int k = 0; k < o.n && i->kind != INSTR_ROUNDS_BEGIN; k++) { /* it is one round, or all queues are idle */
		const struct argument *a = o.at[k].argument;
		int64_t constant = a->number.kind == NUMBER_CONST ? a->number.value : 0;
		struct touch t = {
			.space = a->address.space, .begin = a->address.offset + constant, .writes = o.at[k].direction != ARG_IN};
		if (find_thing(s, p, body, number, &t))
			out.at[out.n++] = t;
	}
	return out;
}

static bool conflict(const struct touches *a, const struct touches *b)
{
	for (int i = 0; i < a->n; i++)
		for (int k = 0; k < b->n; k++) {
			const struct touch *x = &a->at[i], *y = &b->at[k];
			if (x->space == y->space && (x->writes || y->writes) && x->begin < y->end && y->begin < x->end)
				return true;
		}
	return false;
}

/* By queue: the last instruction of it that is known to be over, from 1; 0: none. */
struct clock {
	int at[QUEUES];
};

static void learn(struct clock *c, const struct clock *more)
{
	for (int q = 0; q < QUEUES; q++)
		if (more->at[q] > c->at[q])
			c->at[q] = more->at[q];
}

/* What an instruction knows once it has waited: all that its queue knew, and all that it waits for. */
static struct clock clock_of(const struct instr *i, int number, const struct clock *queue, const struct clock *of)
{
	struct clock c = *queue;
	for (int q = 0; q < QUEUES; q++)
		if (i->wait[q])
			learn(&c, &of[i->wait[q]]);
	c.at[i->queue] = number;
	if (i->joins)
		for (int q = 0; q < QUEUES; q++)
			c.at[q] = number;
	return c;
}

/* The instructions of a list, from 1 on. */
struct list {
	const struct schedule *s;
	struct instrs *in;
	struct touches *touches;
	struct clock *clock, queue[QUEUES];
};

static struct list list_of(const struct schedule *s, const struct step_program *p, struct instrs *in, int body,
                           int before, struct arena *arena)
{
	struct list l = {.s = s, .in = in};
	l.touches = arena_array(arena, struct touches, in->n + 1);
	l.clock = arena_array(arena, struct clock, in->n + 1);
	for (int i = 1; i <= in->n; i++)
		l.touches[i] = touches_of(s, p, body, before + i, &in->at[i - 1]);
	return l;
}

static void step_clock(struct list *l, int i)
{
	const struct instr *in = &l->in->at[i - 1];
	l->clock[i] = clock_of(in, i, &l->queue[in->queue], l->clock);
	if (in->joins)
		for (int q = 0; q < QUEUES; q++)
			l->queue[q] = l->clock[i];
	l->queue[in->queue] = l->clock[i];
}

/* Are all queues idle around it? Of one round nothing is asked of the host. */
static bool joins(const struct instr *i, bool *many)
{
	if (i->kind == INSTR_ROUNDS_BEGIN)
		*many = i->rounds.group >= 0;
	return (i->kind == INSTR_ROUNDS_BEGIN || i->kind == INSTR_ROUNDS_END) && *many;
}

/* Waits for the last instruction of each other queue that touches the same bytes, if that is not known to be over. */
static void set_waits(struct list *l, int i)
{
	struct instr *in = &l->in->at[i - 1];
	struct clock known = l->queue[in->queue];
	for (int j = i - 1; j >= 1 && !in->joins; j--) {
		struct instr *earlier = &l->in->at[j - 1];
		if (known.at[earlier->queue] >= j || !conflict(&l->touches[i], &l->touches[j]))
			continue;
		in->wait[earlier->queue] = j;
		earlier->event = true;
		learn(&known, &l->clock[j]);
	}
}

static void set_list(struct list *l)
{
	bool many = false;
	for (int i = 1; i <= l->in->n; i++) {
		struct instr *in = &l->in->at[i - 1];
		in->queue = queue_of(l->s, in);
		in->joins = joins(in, &many);
		set_waits(l, i);
		step_clock(l, i);
	}
}

/* The first instruction that may run at the same time as one that touches the same bytes, or 0. */
static int check_list(struct list *l)
{
	for (int i = 1; i <= l->in->n; i++) {
		step_clock(l, i);
		for (int j = 1; j < i; j++)
			if (l->clock[i].at[l->in->at[j - 1].queue] < j && conflict(&l->touches[i], &l->touches[j]))
				return i;
	}
	return 0;
}

/* ---- all lists of a schedule ----------------------------------------------------------------- */
static const char *visit(const struct schedule *s, struct arena *arena, bool set)
{
	for (int p = 0; p < s->programs.n; p++) {
		const struct step_program *program = &s->programs.at[p];
		int before = 0;
		for (int b = 0; b < program->blocks.n; b++)
			for (int k = 0; k < program->blocks.at[b].n; k++) {
				struct instrs *in = &program->blocks.at[b].body[k];
				struct list l =
					list_of(s, program, in, block_repeats(program->blocks.at[b].kind) ? k : -1, before, arena);
				before += in->n;
				int wrong = set ? 0 : check_list(&l);
				if (wrong)
					return arena_printf(arena, "%s: %s does not wait for an instruction that touches the same bytes",
					                    program->name, s->op_names.at[in->at[wrong - 1].op]);
				if (set)
					set_list(&l);
			}
	}
	return NULL;
}

void set_queues(struct schedule *s, struct arena *arena) { visit(s, arena, true); }
const char *queues_check(const struct schedule *s, struct arena *arena) { return visit(s, arena, false); }

const char *queue_name(enum queue q)
{
	static const char *const names[QUEUES] = {"compute", "reductions", "experts", "pipeline", "host"};
	return names[q];
}
