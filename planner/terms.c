/* Instructions as terms: which function of time.h gives the seconds of each, and with what sizes. */
#include "terms.h"
#include <math.h>
#include <string.h>
#include "../sema/sema.h"

struct timing timing_of(const struct schedule *s, struct arena *arena)
{
	struct timing t = timing_of_deploy(s->deploy, arena);
	t.schedule = s;
	t.index = arena_array(arena, int64_t, s->groups.n + 1);
	return t;
}

static struct attention attention_of(const struct kernel_work *w, const struct step_load *load)
{
	double queries = load->tokens / load->sequences;
	struct attention a = {.sequences = (double)w->attention.rows / queries,
	                      .queries = queries,
	                      .heads = (double)w->attention.heads,
	                      .kv_heads = (double)w->attention.kv_heads,
	                      .d = (double)w->attention.d,
	                      .w = (double)w->attention.w,
	                      .context = load->context < queries ? queries : load->context,
	                      .window = (double)w->attention.seen,
	                      .cache_bytes = dtype_millibits(w->attention.cache) / 8000.0,
	                      .causal = w->attention.causal,
	                      .latent = w->attention.latent};
	return a;
}

void expert_members(const struct schedule *s, const struct expert_split *split, double *members)
{
	const struct atom *atoms[MAX_GROUP_ATOMS];
	int n = 0;
	for (int i = 0; i < s->maps.n; i++) {
		const struct expert_map *m = &s->maps.at[i];
		if ((double)m->experts != split->experts || (double)m->local != split->experts / split->ranks)
			continue;
		for (n = 0; n < m->n; n++)
			atoms[n] = &s->atoms.at[m->atom[n]];
		break;
	}
	timing_members(&s->deploy->machine, atoms, n, members);
}

void group_members(const struct schedule *s, const struct group *g, double *members)
{
	const struct atom *atoms[MAX_GROUP_ATOMS];
	for (int i = 0; i < g->n; i++)
		atoms[i] = &s->atoms.at[g->atom[i]];
	timing_members(&s->deploy->machine, atoms, g->n, members);
}

/* ---- instructions ----------------------------------------------------------------------------- */

static int64_t padded(double n, int64_t multiple)
{
	int64_t whole = (int64_t)n + ((double)(int64_t)n < n);
	return multiple > 1 ? (whole + multiple - 1) / multiple * multiple : whole;
}

struct step_values step_load_values(const struct timing *t, const struct step_load *load)
{
	const struct schedule *s = t->schedule;
	struct step_values v = {.tokens = padded(load->tokens, s->token_multiple),
	                        .rows = padded(load->rows, s->row_multiple),
	                        .candidates = 1,
	                        .index = t->index};
	double pages = load->context / (double)s->page + 1;
	for (int i = 0; i < s->n_pools; i++) {
		int64_t reach = pool_reach(&s->pool[i]);
		double held = reach && (double)reach < load->context ? (double)reach / (double)s->page + 1 : pages;
		double used = load->sequences * held, most = (double)s->pool[i].pages;
		v.pages[i] = (int64_t)(used < most ? used : most);
	}
	return v;
}

/* Assignments that reach a rank, and those that one of its `dests` partners sends it; both if routing is even. */
static double assignments(const struct step_values *v, const struct instr *rounds)
{
	double rows = (double)step_number(&rounds->rounds.rows, v);
	return rows * (double)(rounds->rounds.top * rounds->rounds.local) / (double)rounds->rounds.experts;
}

/* Assignments that one rank can send another: each of its tokens chooses as many of its experts as it can. */
static double most_sent(const struct step_values *v, const struct instr *rounds)
{
	double top = (double)rounds->rounds.top, local = (double)rounds->rounds.local;
	return (double)step_number(&rounds->rounds.rows, v) * fmin(top, local);
}

static struct expert_split split_of(const struct step_values *v, const struct instr *rounds)
{
	double experts = (double)rounds->rounds.experts, dests = (double)rounds->rounds.dests;
	return (struct expert_split){.experts = experts,
	                             .top = (double)rounds->rounds.top,
	                             .ranks = experts / (double)rounds->rounds.local,
	                             .tokens = (double)step_number(&rounds->rounds.rows, v) * dests,
	                             .senders = dests};
}

/* Groups of weights that a round's rows have, and the least number that they can have. */
static double hit_of(const struct expert_split *s, const struct balance *b, bool even, double *least)
{
	double held = s->experts / s->ranks;
	*least = s->top * held / s->experts < 1 ? 1 : s->top * held / s->experts;
	double hit = even ? groups_hit(held, s->experts, s->top, s->tokens) : b->hit;
	return hit > *least ? hit : *least;
}

struct exchange exchange_of(const struct timing *t, const struct step_values *v, const struct instr *rounds)
{
	struct exchange x = {.split = split_of(v, rounds)};
	double each = assignments(v, rounds), capacity = (double)rounds->rounds.capacity;
	x.balance = balance_of(t->balances, &x.split);
	double longest = each * x.balance.longest;
	x.rounds = rounds->rounds.group < 0 || longest <= capacity ? 1 : (double)padded(longest / capacity, 1);
	x.least_rounds = x.rounds > 1 ? fmax((double)padded(each / capacity, 1), 1) : 1;
	x.most_rounds = rounds->rounds.group < 0 ? 1 : fmax((double)padded(most_sent(v, rounds) / capacity, 1), 1);
	x.filled = fmin(each / x.rounds / capacity, 1);
	x.most_filled = fmin(each * x.balance.busiest / x.rounds / capacity, 1);
	x.hit = hit_of(&x.split, &x.balance, balances_even(t->balances), &x.least_hit);
	return x;
}

bool space_is_params(enum dr_space space)
{
	return space == DR_SPACE_LAYER || space == DR_SPACE_OUTSIDE || space == DR_SPACE_EVERY;
}

/* Bytes of params that a launch must read: activations may still be on the chip. */
static double param_bytes(const struct kernel *k, const struct instr *i, const int64_t *values, double share)
{
	double bytes = 0;
	for (int a = 0; a < i->launch.n_args; a++)
		if (i->launch.args[a].kind == ARGUMENT_PLACED && space_is_params(i->launch.args[a].address.space)) {
			int64_t reach = kernel_arg(k, a, values).reach;
			bytes += reach > 0 ? share * (double)reach : 0;
		}
	return bytes;
}

static struct floor floor_of(const struct timing *t, double operations, double peak, double bytes)
{
	return (struct floor){.compute = figure_known(peak) ? operations / peak : 0,
	                      .memory = figure_known(t->silicon.bandwidth) ? bytes / t->silicon.bandwidth : 0};
}

/* The values of a launch's arguments, if a round's rows fill `filled` of its buffers. */
static void values_at(const struct instr *i, const struct step_values *v, bool in_rounds, double filled,
                      int64_t *values)
{
	for (int a = 0; a < i->launch.n_args; a++) {
		const struct number *n = &i->launch.args[a].number;
		values[a] = step_number(n, v);
		if (in_rounds && i->launch.args[a].kind == ARGUMENT_NUMBER && n->kind == NUMBER_CONST)
			values[a] = padded((double)values[a] * filled, 1);
	}
}

/* Seconds are those of the busiest rank, operations and bytes those of the mean. */
static void launch_term(struct timing *t, const struct step_load *load, const struct step_values *v,
                        const struct instr *i, const struct exchange *x, struct term *out)
{
	const struct kernel *k = &t->schedule->kernels.at[i->launch.kernel];
	int64_t *values = arena_array(t->arena, int64_t, i->launch.n_args + 1),
			*most = arena_array(t->arena, int64_t, i->launch.n_args + 1);
	double hit = x ? x->hit : 1, least = x ? x->least_hit : 1;
	bool uneven = x && x->most_filled != x->filled;
	values_at(i, v, x, x ? x->filled : 1, values);
	if (uneven)
		values_at(i, v, x, x->most_filled, most);
	struct kernel_work w = timing_formats(t, kernel_work(k, uneven ? most : values));
	struct kernel_cost cost = kernel_cost(k, values, load->context, (int64_t)(hit + 0.5)),
					   longest = uneven ? kernel_cost(k, most, load->context, (int64_t)(hit + 0.5)) : cost;
	*out = (struct term){.instr = i,
	                     .level = -1,
	                     .operations = cost.operations,
	                     .bytes = cost.bytes,
	                     .work = w,
	                     .timed = longest,
	                     .hit = hit,
	                     .values = uneven ? most : values};
	const double *peak = t->machine->device.peak;
	switch (w.kind) {
	case WORK_PASS:
	case WORK_REDUCTION:
		out->kind = TERM_ROWS;
		/* The fit of experts' products has the launches of all kernels around them. */
		out->parts = (x ? timing_stream : timing_pass)(t, longest.bytes, w.kind == WORK_REDUCTION);
		break;
	case WORK_PRODUCT:
		out->kind = TERM_PRODUCT;
		out->parts = timing_product(t, &w, longest.operations, longest.bytes);
		out->floor = floor_of(t, out->operations, peak[w.product.activations], param_bytes(k, i, values, 1));
		break;
	case WORK_GROUPED:
		out->kind = TERM_EXPERTS;
		out->parts = timing_grouped(t, &w, hit, longest.operations, longest.bytes);
		out->expert_bytes = param_bytes(k, i, values, 1 / (double)w.product.groups);
		out->floor = floor_of(t, out->operations, peak[w.product.activations],
		                      param_bytes(k, i, values, least / (double)w.product.groups));
		break;
	case WORK_ATTENTION: {
		struct attention a = attention_of(&w, load);
		out->kind = TERM_ATTENTION;
		out->operations = attention_operations(&a), out->bytes = attention_cached(&a);
		out->parts = timing_attention(t, &a);
		out->floor = floor_of(t, out->operations, t->silicon.attention_peak, out->bytes);
		break;
	}
	}
}

static void collective_term(struct timing *t, const struct step_values *v, const struct instr *i,
                            const struct exchange *x, struct term *out)
{
	const struct schedule *s = t->schedule;
	const struct collective *c = &s->collectives.at[i->collective.index];
	double n = (double)s->groups.at[c->group].size;
	double each = (double)step_number(&i->collective.outer, v) * (double)step_number(&i->collective.block, v)
	              * dtype_bytes(c->dtype);
	bool whole = c->kind == DR_ALL_REDUCE || c->kind == DR_SEND || c->kind == DR_RECV;
	double size = whole ? each : n * each;
	double *members = t->members;
	group_members(s, &s->groups.at[c->group], members);
	*out = (struct term){.instr = i,
	                     .kind = c->kind == DR_ALL_TO_ALL                   ? TERM_EXCHANGE
	                             : c->kind == DR_SEND || c->kind == DR_RECV ? TERM_MESSAGE
	                                                                        : TERM_COLLECTIVE,
	                     .level = -1,
	                     .sent = size * timing_share_sent(c->kind, n, false)};
	for (int k = 0; k < t->machine->levels.n; k++)
		out->level = members[k] > 1 ? k : out->level;
	if (c->kind == DR_SEND || c->kind == DR_RECV) /* to one rank, at the worst cut over the outermost level */
		for (int k = 0; k < t->machine->levels.n; k++)
			members[k] = k == out->level ? 2 : 1;
	out->parts = timing_collective(t, c->kind, members, size);
	/* Where tokens go is known when they are routed: perhaps to no other rank. */
	out->floor.links =
		out->kind == TERM_EXCHANGE && x ? 0 : timing_collective_floor(t->machine, c->kind, members, size);
}

void term_of(struct timing *t, const struct step_load *load, const struct step_values *v, const struct instr *i,
             const struct exchange *x, struct term *out)
{
	if (i->kind == INSTR_LAUNCH)
		launch_term(t, load, v, i, x, out);
	else
		collective_term(t, v, i, x, out);
	out->seconds = time_of(out->parts);
}
