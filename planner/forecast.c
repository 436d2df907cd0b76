/* A grid of predicted steps: powers of two of tokens and of queries, of four of positions before them. */
#include "forecast.h"
#include "plan.h"
#include "step_time.h"

/* ---- times ------------------------------------------------------------------------------------ */

/* From `first` on by factors, then `last`, which may be less. */
static int sizes(struct arena *a, double **out, double zero, double first, double factor, double last)
{
	VEC(double) v = {0};
	if (zero == 0)
		vec_push(a, &v, zero);
	for (double x = first; x < last; x *= factor)
		vec_push(a, &v, x);
	vec_push(a, &v, last);
	*out = v.at;
	return v.n;
}

static struct dr_predicted predicted_of(const struct schedule *s, const struct step_time *t)
{
	struct dr_predicted out = {.longest = t->stage[t->slowest].seconds};
	for (int i = 0; i < s->stages.n; i++) {
		const struct stage_time *st = &t->stage[i];
		double exposed = st->seconds - st->compute - st->host;
		out.all += st->seconds;
		out.compute += st->compute;
		out.communication += st->messages;
		out.exposed += exposed > 0 ? exposed : 0;
	}
	return out;
}

/* Sequences of `queries` tokens each, or one of fewer. In decode a row of logits is wanted of each token, else of each
 * sequence. */
static struct step_load load_of(int phase, double tokens, double queries, double before)
{
	queries = queries < tokens ? queries : tokens;
	double sequences = tokens / queries;
	return (struct step_load){.program = phase,
	                          .tokens = tokens,
	                          .sequences = sequences,
	                          .context = before + queries,
	                          .rows = phase == DR_DECODE ? tokens : sequences};
}

static void fill_grid(struct timing *t, int phase, struct forecast_grid *g)
{
	struct arena *arena = t->arena;
	g->at = arena_array(arena, struct dr_predicted, g->n_tokens * g->n_queries * g->n_before);
	for (int i = 0; i < g->n_tokens * g->n_queries * g->n_before && !t->lacks; i++) {
		struct arena scratch = {.heap = arena->heap};
		int before = i % g->n_before, queries = i / g->n_before % g->n_queries, tokens = i / g->n_before / g->n_queries;
		struct step_load load = load_of(phase, g->tokens[tokens], g->queries[queries], g->before[before]);
		t->arena = &scratch;
		struct step_time step = step_time_of(t, &load, 1);
		g->at[i] = predicted_of(t->schedule, &step);
		arena_free(&scratch);
	}
	t->arena = arena;
}

static void set_grid(struct timing *t, int phase, struct forecast_grid *g)
{
	const struct schedule *s = t->schedule;
	double tokens = (double)s->programs.at[phase].max_tokens, positions = (double)(s->page * s->pages_per_seq);
	double queries = phase == DR_DECODE ? 1 : tokens < positions ? tokens : positions;
	g->n_tokens = sizes(t->arena, &g->tokens, 1, 1, 2, tokens);
	g->n_queries = sizes(t->arena, &g->queries, 1, 1, 2, queries);
	g->n_before = sizes(t->arena, &g->before, 0, 16, 4, positions);
	fill_grid(t, phase, g);
}

/* ---- bytes ------------------------------------------------------------------------------------ */

static enum dr_unit unit_of(enum plan_unit unit)
{
	switch (unit) {
	case UNIT_TOKEN: return DR_UNIT_TOKEN;
	case UNIT_ROW:   return DR_UNIT_ROW;
	case UNIT_PAGE:  return DR_UNIT_PAGE;
	default:         return DR_UNIT_MICROBATCH;
	}
}

/* Bytes that a member sends to each other one, of `bytes` that it contributes. */
static double to_each(enum dr_collective_kind kind, double bytes, double members)
{
	switch (kind) {
	case DR_ALL_GATHER: return bytes;
	case DR_ALL_REDUCE: return 2 * bytes / members; /* its part of the operand, then the sum of its own part */
	case DR_RECV:       return 0;
	case DR_SEND:       return bytes / (members - 1); /* to one of them */
	default:            return bytes / members;
	}
}

static void add_traffic(struct arena *arena, struct forecast *f, struct dr_traffic t)
{
	for (int i = 0; i < f->traffic.n; i++) {
		struct dr_traffic *other = &f->traffic.at[i];
		if (other->phase == t.phase && other->unit == t.unit && other->level == t.level) {
			other->bytes += t.bytes;
			return;
		}
	}
	if (t.bytes > 0)
		vec_push(arena, &f->traffic, t);
}

/* A collective runs on the ranks of a stage, a message between those of two. */
static void collective_traffic(struct arena *arena, const struct plan *p, const struct plan_collective *c,
                               struct forecast *f)
{
	const struct schedule *s = p->schedule;
	const struct machine *m = &p->deploy->machine;
	const struct group *g = &s->groups.at[c->of->group];
	double *members = arena_array(arena, double, m->levels.n + 1), inside = 1;
	double each = to_each(c->of->kind, c->bytes, (double)g->size);
	double runs = (double)c->times * (double)s->ranks / (double)s->stages.n;
	group_members(s, g, members);
	for (int k = 0; k < m->levels.n; k++) {
		double others = inside * (members[k] - 1);
		inside *= members[k];
		if (c->of->kind == DR_SEND)
			others = k == c->level ? (double)g->size - 1 : 0;
		add_traffic(arena, f,
		            (struct dr_traffic){.phase = (uint32_t)c->of->program,
		                                .unit = unit_of(c->unit),
		                                .level = (uint32_t)k,
		                                .bytes = runs * each * others});
	}
}

struct forecast *planner_forecast(struct arena *arena, const struct plan *p)
{
	struct forecast *f = arena_new(arena, struct forecast);
	for (int i = 0; i < p->collectives.n; i++)
		if (p->schedule->groups.at[p->collectives.at[i].of->group].size > 1)
			collective_traffic(arena, p, &p->collectives.at[i], f);
	struct timing t = timing_of(p->schedule, arena);
	f->lacks = p->metrics.lacks ? p->metrics.lacks : t.lacks;
	for (int phase = 0; phase < DR_PHASES && !f->lacks; phase++)
		set_grid(&t, phase, &f->grid[phase]);
	return f;
}
