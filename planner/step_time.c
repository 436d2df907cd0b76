/* Plays the lists of a step program over queues. A list starts when all queues are idle, so lists add up, and a loop
 * over layers takes as often the time of a layer: nothing here grows with layers or ranks. */
#include "step_time.h"

/* ---- one list --------------------------------------------------------------------------------- */

/* Queues that are in the middle of a list. `done` is by number of an instruction, from 1. */
struct player {
	const struct instrs *list;
	struct played *at;
	double *done;
	double free[QUEUES], issued;
	double launch; /* s of the host for each instruction */
	bool serial;   /* one queue does all */
	bool record;
};

static double latest(double a, double b) { return a > b ? a : b; }

static void play_one(struct player *p, int i, bool again)
{
	const struct instr *in = &p->list->at[i];
	enum queue q = p->serial ? QUEUE_COMPUTE : in->queue;
	if (in->kind == INSTR_ROUNDS_END)
		return;
	p->issued += in->kind == INSTR_ROUNDS_BEGIN ? 0 : p->launch;
	double start = latest(p->free[q], p->issued);
	for (int k = 0; k < QUEUES; k++) {
		start = in->wait[k] ? latest(start, p->done[in->wait[k]]) : start;
		start = again && in->again[k] ? latest(start, p->done[in->again[k]]) : start;
	}
	double end = start + p->at[i].term.seconds;
	if (p->record && !again)
		p->at[i].start = start, p->at[i].end = end;
	p->done[i + 1] = p->free[q] = end;
	if (in->kind == INSTR_ROUNDS_BEGIN)
		p->issued = latest(p->issued, end);
}

static double idle_at(const struct player *p)
{
	double end = 0;
	for (int q = 0; q < QUEUES; q++)
		end = latest(end, p->free[q]);
	return end;
}

static int rounds_end(const struct instrs *list, int begin)
{
	int i = begin;
	while (list->at[i].kind != INSTR_ROUNDS_END)
		i++;
	return i;
}

/* The rounds of an exchange are alike: two are played, and each further one takes as long as the second. */
static int play_rounds(struct player *p, int begin, double rounds)
{
	int end = rounds_end(p->list, begin);
	for (int i = begin; i <= end; i++)
		play_one(p, i, false);
	if (rounds <= 1)
		return end;
	double before = idle_at(p);
	for (int i = begin; i <= end; i++)
		play_one(p, i, true);
	double more = (idle_at(p) - before) * (rounds - 2);
	for (int q = 0; q < QUEUES; q++)
		p->free[q] += more;
	for (int i = begin; i <= end; i++)
		p->done[i + 1] += more;
	p->issued += more;
	return end;
}

static double play(const struct list_time *l, double launch, bool serial, bool record, struct arena *arena)
{
	struct player p = {.list = l->list,
	                   .at = l->at,
	                   .done = arena_array(arena, double, l->list->n + 1),
	                   .launch = launch,
	                   .serial = serial,
	                   .record = record};
	for (int i = 0; i < l->list->n; i++)
		if (l->list->at[i].kind == INSTR_ROUNDS_BEGIN)
			i = play_rounds(&p, i, l->rounds);
		else
			play_one(&p, i, false);
	return idle_at(&p);
}

/* Launchers overlap queues on GPUs. Of other engines nothing of the kind is known, and their steps were measured
 * against sums of kernels. */
static bool is_serial(const struct timing *t)
{
	bool ours = !t->engine || !t->engine->measured;
	return !ours || (t->schedule->target.image == DR_IMAGE_FUNCTIONS && !figure_known(t->silicon.multiprocessors));
}

static bool is_message(enum term_kind k) { return k >= TERM_COLLECTIVE; }

/* The kernels of a list run one after the other, so a collective is hidden where their intervals cover its own. */
static void find_exposed(struct list_time *l)
{
	for (int i = 0; i < l->list->n; i++) {
		struct played *m = &l->at[i];
		if (!is_message(m->term.kind) || m->end <= m->start)
			continue;
		m->exposed = m->term.seconds;
		for (int k = 0; k < l->list->n; k++) {
			const struct played *c = &l->at[k];
			if (is_message(c->term.kind) || c->end <= m->start || c->start >= m->end)
				continue;
			m->exposed -= (c->end < m->end ? c->end : m->end) - latest(c->start, m->start);
			m->exposed = latest(m->exposed, 0);
		}
	}
}

static void add_seconds(struct list_time *l)
{
	double rounds = 1;
	for (int i = 0; i < l->list->n; i++) {
		const struct instr *in = &l->list->at[i];
		if (in->kind == INSTR_ROUNDS_BEGIN || in->kind == INSTR_ROUNDS_END)
			rounds = in->kind == INSTR_ROUNDS_BEGIN ? l->rounds : 1;
		else
			*(is_message(l->at[i].term.kind) ? &l->messages : &l->compute) += l->at[i].term.seconds * rounds;
	}
}

static struct list_time list_time_of(struct timing *t, const struct step_load *load, const struct step_values *v,
                                     const struct step_block *b, int body)
{
	struct list_time l = {.block = b, .body = body, .list = &b->body[body], .rounds = 1};
	l.at = arena_array(t->arena, struct played, l.list->n + 1);
	bool inside = false;
	for (int i = 0; i < l.list->n; i++) {
		const struct instr *in = &l.list->at[i];
		if (in->kind == INSTR_ROUNDS_BEGIN || in->kind == INSTR_ROUNDS_END) {
			l.at[i].term = (struct term){.instr = in, .level = -1};
			inside = in->kind == INSTR_ROUNDS_BEGIN;
			if (inside)
				l.exchange = exchange_of(t, v, in), l.rounds = l.exchange.rounds;
			continue;
		}
		term_of(t, load, v, in, inside ? &l.exchange : NULL, &l.at[i].term);
	}
	fuse_terms(t, &l);
	add_seconds(&l);
	double unhosted = play(&l, 0, is_serial(t), true, t->arena);
	l.seconds =
		t->engine && t->engine->launch > 0 ? play(&l, t->engine->launch, is_serial(t), true, t->arena) : unhosted;
	l.host = l.seconds - unhosted;
	find_exposed(&l);
	return l;
}

/* ---- stages ----------------------------------------------------------------------------------- */

double list_times(const struct schedule *s, const struct list_time *l, int stage)
{
	const struct stage *st = &s->stages.at[stage];
	if (!stages_have(l->block->stages, stage))
		return 0;
	if (!block_repeats(l->block->kind))
		return 1;
	int64_t n = 0;
	int64_t begin = st->layer_begin > l->block->layer_begin ? st->layer_begin : l->block->layer_begin;
	int64_t end = st->layer_end < l->block->layer_end ? st->layer_end : l->block->layer_end;
	for (int64_t layer = begin; layer < end; layer++)
		n += s->body_of[layer] == l->block->first_body + l->body;
	return (double)n;
}

static void add_list(struct stage_time *st, const struct list_time *l, double times)
{
	st->seconds += times * l->seconds;
	st->compute += times * l->compute;
	st->messages += times * l->messages;
	st->host += times * l->host;
	bool in_rounds = false;
	for (int i = 0; i < l->list->n; i++) {
		const struct term *m = &l->at[i].term;
		in_rounds |= m->instr->kind == INSTR_ROUNDS_BEGIN;
		in_rounds &= m->instr->kind != INSTR_ROUNDS_END;
		double often = times * (in_rounds ? l->rounds : 1);
		st->operations += often * m->operations;
		st->bytes += often * m->bytes;
		st->sent += often * m->sent;
		st->floor.compute += often * m->floor.compute;
		st->floor.memory += times * m->floor.memory;
		st->floor.links += often * m->floor.links;
	}
}

const struct exchange *step_exchange(const struct step_time *t)
{
	for (int i = 0; t && i < t->n_lists; i++)
		if (t->list[i].exchange.split.experts > 0)
			return &t->list[i].exchange;
	return NULL;
}

static int slowest_of(const struct step_time *s, int n)
{
	int slowest = 0;
	for (int i = 1; i < n; i++)
		if (s->stage[i].seconds > s->stage[slowest].seconds)
			slowest = i;
	return slowest;
}

/* Equal microbatches pass the stages in order: the first takes the sum of all stages, each further one as long as the
 * slowest (a flow shop of equal jobs). Further ones might find a stage's params on the chip. */
static void run_through(struct step_time *out, int stages, int64_t microbatches)
{
	double all = 0, floors = 0, worst = 0, longest_compute = 0, longest_links = 0;
	for (int i = 0; i < stages; i++) {
		const struct stage_time *st = &out->stage[i];
		double again = latest(st->floor.compute, st->floor.links);
		all += st->seconds;
		floors += latest(again, st->floor.memory);
		worst = latest(worst, again);
		out->by.compute += st->floor.compute;
		out->by.memory += st->floor.memory;
		out->by.links += st->floor.links;
		longest_compute = latest(longest_compute, st->floor.compute);
		longest_links = latest(longest_links, st->floor.links);
	}
	double longest = out->stage[out->slowest].seconds, more = (double)(microbatches - 1);
	out->seconds = all + more * longest;
	out->floor = floors + more * worst;
	out->by.compute += more * longest_compute;
	out->by.links += more * longest_links;
	out->bubble = stages > 1 ? 1 - (double)microbatches * all / ((double)stages * out->seconds) : 0;
}

static void add_ops(struct step_time *out, const struct list_time *l, double times)
{
	const struct exchange *x = &l->exchange;
	double rounds = 1, least = 1, most = 1;
	for (int i = 0; i < l->list->n; i++) {
		const struct played *p = &l->at[i];
		enum instr_kind kind = l->list->at[i].kind;
		if (kind == INSTR_ROUNDS_BEGIN || kind == INSTR_ROUNDS_END) {
			bool begin = kind == INSTR_ROUNDS_BEGIN;
			rounds = begin ? l->rounds : 1, least = begin ? x->least_rounds : 1, most = begin ? x->most_rounds : 1;
			continue;
		}
		struct op_time *o = &out->ops[l->list->at[i].op];
		o->term = o->term ? o->term : &p->term;
		o->seconds += times * rounds * p->term.seconds;
		o->exposed += times * rounds * p->exposed;
		o->sent += times * rounds * p->term.sent;
		o->least_sent += times * least * p->term.sent;
		o->most_sent += times * most * p->term.sent;
	}
}

struct step_time step_time_of(struct timing *t, const struct step_load *load, int64_t microbatches)
{
	const struct schedule *s = t->schedule;
	const struct step_program *p = &s->programs.at[load->program];
	const struct step_values values = step_load_values(t, load);
	struct step_time out = {.stage = arena_array(t->arena, struct stage_time, s->stages.n + 1)};
	int lists = 0;
	for (int b = 0; b < p->blocks.n; b++)
		lists += p->blocks.at[b].n;
	out.list = arena_array(t->arena, struct list_time, lists + 1);
	for (int b = 0; b < p->blocks.n; b++)
		for (int body = 0; body < p->blocks.at[b].n; body++)
			out.list[out.n_lists++] = list_time_of(t, load, &values, &p->blocks.at[b], body);
	for (int i = 0; i < s->stages.n; i++)
		for (int k = 0; k < out.n_lists; k++) {
			double times = list_times(s, &out.list[k], i);
			if (times > 0)
				add_list(&out.stage[i], &out.list[k], times);
		}
	out.microbatches = microbatches;
	out.slowest = slowest_of(&out, s->stages.n);
	out.ops = arena_array(t->arena, struct op_time, s->op_names.n + 1);
	for (int k = 0; k < out.n_lists; k++) {
		double times = list_times(s, &out.list[k], out.slowest);
		if (times > 0)
			add_ops(&out, &out.list[k], times * (double)microbatches);
	}
	run_through(&out, s->stages.n, microbatches);
	const struct stage_time *slow = &out.stage[out.slowest];
	out.exposed = (double)microbatches * (slow->seconds - slow->compute - slow->host);
	double sequences = load->sequences * (double)microbatches;
	out.fixed = t->engine ? t->engine->step + sequences * t->engine->sequence : 0;
	out.seconds += out.fixed;
	return out;
}
