/* The queues that instructions run on, and what each waits for. Two instructions of one block on different queues are
 * ordered if both touch the same bytes and one of them writes: the later one waits for the earlier one's event. An
 * instruction waits only for what it does not know to be over: what its queue, or an instruction that it waits for, has
 * waited for already. The lists are those of one block and body; between them all queues are idle. The host, which asks
 * for the number of an exchange's rounds, waits for what wrote it; the other queues go on. A device with one queue may
 * ignore all of this: the order of the list is right too. */
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
	for (int k = 0; k < o.n; k++) {
		if (i->kind == INSTR_ROUNDS_BEGIN && i->rounds.group < 0)
			break; /* of one round nothing is asked of the host */
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

/* ---- runs of a list --------------------------------------------------------------------------
 * A list is run through twice: with each exchange in one round, and in two. What holds for two holds for more, since
 * rounds are alike and a queue keeps its order. A run counts its steps from 1; of[r] is the number of step r's
 * instruction, and the clock of a step has for each queue the last of its steps that is known to be over. */
struct clock {
	int at[QUEUES];
};
struct run {
	struct instrs *in;
	const struct touches *touches; /* by number of an instruction, from 1 */
	int *of, *last, n;             /* last: by number of an instruction, its latest step */
	bool *again;                   /* is the step in a second round? */
	struct clock *clock, queue[QUEUES];
};

static void add_step(struct run *r, int number, bool again)
{
	r->of[++r->n] = number;
	r->again[r->n] = again;
}

/* Adds the steps of the list. Where the host is not asked, there is one round. */
static void add_steps(struct run *r, int rounds)
{
	for (int i = 1, begin = 0; i <= r->in->n; i++) {
		const struct instr *in = &r->in->at[i - 1];
		add_step(r, i, false);
		if (in->kind == INSTR_ROUNDS_BEGIN)
			begin = in->rounds.group >= 0 ? i : 0;
		for (int k = begin + 1; in->kind == INSTR_ROUNDS_END && begin && rounds > 1 && k < i; k++)
			add_step(r, k, true);
	}
}

static struct run run_of(struct instrs *in, const struct touches *touches, int rounds, struct arena *arena)
{
	int most = 2 * in->n + 1;
	struct run r = {.in = in, .touches = touches};
	r.of = arena_array(arena, int, most);
	r.again = arena_array(arena, bool, most);
	r.clock = arena_array(arena, struct clock, most);
	r.last = arena_array(arena, int, in->n + 1);
	add_steps(&r, rounds);
	return r;
}

static struct instr *instr_of(const struct run *r, int step) { return &r->in->at[r->of[step] - 1]; }

static void learn(struct clock *c, const struct clock *more)
{
	for (int q = 0; q < QUEUES; q++)
		if (more->at[q] > c->at[q])
			c->at[q] = more->at[q];
}

/* What a step knows once it has waited: all that its queue knew, and all that it waits for. */
static struct clock clock_of(const struct run *r, int step)
{
	const struct instr *in = instr_of(r, step);
	struct clock c = r->queue[in->queue];
	for (int q = 0; q < QUEUES; q++) {
		if (in->wait[q])
			learn(&c, &r->clock[r->last[in->wait[q]]]);
		if (in->again[q] && r->again[step])
			learn(&c, &r->clock[r->last[in->again[q]]]);
	}
	return c;
}

/* The host waits for what it asks, so whatever is issued later knows that it is over. */
static void take_step(struct run *r, int step)
{
	struct clock c = clock_of(r, step);
	enum queue queue = instr_of(r, step)->queue;
	c.at[queue] = step;
	r->clock[step] = r->queue[queue] = c;
	for (int q = 0; q < QUEUES && queue == QUEUE_HOST; q++)
		learn(&r->queue[q], &c);
	r->last[r->of[step]] = step;
}

/* The latest step before `step` that touches the same bytes and is not known to be over, or 0. */
static int unordered(const struct run *r, int step, const struct clock *known)
{
	for (int k = step - 1; k >= 1; k--)
		if (known->at[instr_of(r, k)->queue] < k && conflict(&r->touches[r->of[step]], &r->touches[r->of[k]]))
			return k;
	return 0;
}

static void set_waits(struct run *r)
{
	for (int step = 1; step <= r->n; step++) {
		struct instr *in = instr_of(r, step);
		for (;;) {
			struct clock known = clock_of(r, step);
			int earlier = unordered(r, step, &known);
			if (!earlier)
				break;
			bool before = r->again[step] && r->of[earlier] >= r->of[step];
			struct instr *other = instr_of(r, earlier);
			(before ? in->again : in->wait)[other->queue] = r->of[earlier];
			other->event = true;
		}
		take_step(r, step);
	}
}

/* The first instruction that may run at the same time as one that touches the same bytes, or 0. */
static int check_waits(struct run *r)
{
	for (int step = 1; step <= r->n; step++) {
		struct clock known = clock_of(r, step);
		if (unordered(r, step, &known))
			return r->of[step];
		take_step(r, step);
	}
	return 0;
}

/* ---- all lists of a schedule ----------------------------------------------------------------- */
static const struct touches *touches_of_list(const struct schedule *s, const struct step_program *p,
                                             const struct instrs *in, int body, int before, struct arena *arena)
{
	struct touches *out = arena_array(arena, struct touches, in->n + 1);
	for (int i = 1; i <= in->n; i++)
		out[i] = touches_of(s, p, body, before + i, &in->at[i - 1]);
	return out;
}

/* Sets the waits of a list, or returns the number of an instruction that lacks one, or 0. */
static int visit_list(const struct schedule *s, struct instrs *in, const struct touches *touches, bool set,
                      struct arena *arena)
{
	int wrong = 0;
	for (int i = 0; i < in->n && set; i++)
		in->at[i].queue = queue_of(s, &in->at[i]);
	for (int i = 0; i < in->n; i++)
		for (int q = 0; q < QUEUES; q++)
			if (in->at[i].wait[q] > i || in->at[i].again[q] > in->n)
				return i + 1; /* there is no such instruction before it */
	for (int rounds = 1; rounds <= 2 && !wrong; rounds++) {
		struct run r = run_of(in, touches, rounds, arena);
		if (set)
			set_waits(&r);
		else
			wrong = check_waits(&r);
	}
	return wrong;
}

static const char *visit(const struct schedule *s, struct arena *arena, bool set)
{
	for (int p = 0; p < s->programs.n; p++) {
		const struct step_program *program = &s->programs.at[p];
		int before = 0;
		for (int b = 0; b < program->blocks.n; b++)
			for (int k = 0; k < program->blocks.at[b].n; k++) {
				struct instrs *in = &program->blocks.at[b].body[k];
				const struct step_block *block = &program->blocks.at[b];
				int body = block_repeats(block->kind) ? block->first_body + k : -1;
				const struct touches *touches = touches_of_list(s, program, in, body, before, arena);
				before += in->n;
				int wrong = visit_list(s, in, touches, set, arena);
				if (wrong)
					return arena_printf(arena, "%s: %s does not wait for an instruction that touches the same bytes",
					                    program->name, s->op_names.at[in->at[wrong - 1].op]);
			}
	}
	return NULL;
}

void set_queues(struct schedule *s, struct arena *arena) { visit(s, arena, true); }
const char *queues_check(const struct schedule *s, struct arena *arena) { return visit(s, arena, false); }
