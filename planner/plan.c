/* The figures of a plan: totals, stages, collectives with their bytes and how often they run. */
#include "plan.h"
#include <string.h>

bool plan_is_message(const struct plan_collective *c) { return c->of->kind == DR_SEND || c->of->kind == DR_RECV; }

const char *plan_unit_name(enum plan_unit unit)
{
	static const char *const names[PLAN_UNITS] = {
		[UNIT_CALL] = "call", [UNIT_TOKEN] = "token", [UNIT_ROW] = "row", [UNIT_PAGE] = "page", [UNIT_ROUND] = "round"};
	return names[unit];
}

/* ---- collectives ----------------------------------------------------------------------------- */

int planner_reach_level(const struct deploy *d, int64_t reach)
{
	const struct machine *m = &d->machine;
	int level = 0;
	while (level + 1 < m->levels.n && !deploy_inside(d, reach, machine_unit(m, level)))
		level++;
	return m->levels.n ? level : -1;
}

int planner_group_level(const struct deploy *d, const struct schedule *s, const struct group *g)
{
	int outermost = -1;
	for (int i = 0; i < g->n; i++) {
		const struct atom *a = &s->atoms.at[g->atom[i]];
		int level = planner_reach_level(d, a->stride * a->size);
		outermost = level > outermost ? level : outermost;
	}
	return outermost;
}

static enum plan_unit unit_of(const struct collective *c)
{
	switch (c->outer.kind) {
	case NUMBER_TOKENS: return UNIT_TOKEN;
	case NUMBER_ROWS:   return UNIT_ROW;
	case NUMBER_PAGES:  return UNIT_PAGE;
	case NUMBER_CONST:  return c->kind == DR_ALL_TO_ALL ? UNIT_ROUND : UNIT_CALL;
	default:            return UNIT_CALL;
	}
}

static double unit_bytes(const struct collective *c)
{
	bool fixed = c->outer.kind == NUMBER_CONST;
	double bytes = (double)c->bytes_per_outer * (double)c->outer.value;
	return !fixed && c->outer.div ? bytes / (double)c->outer.div : bytes;
}

static int64_t all_layers(const struct schedule *s)
{
	int64_t n = 0;
	for (int i = 0; i < s->n_bodies; i++)
		n += s->bodies[i].layers;
	return n;
}

/* The cuts of the pipeline where what a body's loop carries is passed on. */
static int64_t cuts_of(const struct plan *p, int body)
{
	const struct program *program = p->deploy->program;
	const struct loop *loop = &program->loops.at[program->bodies.at[body].loop];
	int64_t n = 0;
	for (int i = 1; i < p->schedule->stages.n; i++) {
		int64_t last = p->schedule->stages.at[i].layer_begin - 1;
		n += last >= loop->first_turn && last < loop->first_turn + loop->turns;
	}
	return n;
}

static struct plan_collective measure(struct arena *arena, const struct plan *p, const struct collective *c)
{
	const struct schedule *s = p->schedule;
	struct step_values max = step_values_max(s, &s->programs.at[c->program], arena);
	struct plan_collective out = {.of = c,
	                              .unit = unit_of(c),
	                              .bytes = unit_bytes(c),
	                              .max_bytes = c->bytes_per_outer * step_number(&c->outer, &max),
	                              .often = OFTEN_ONCE,
	                              .times = 1,
	                              .level = planner_group_level(p->deploy, s, &s->groups.at[c->group])};
	if (plan_is_message(&out)) {
		out.often = OFTEN_CUT;
		out.times = cuts_of(p, c->body);
	} else if (c->per_layer) {
		out.often = OFTEN_LAYER;
		out.times = s->bodies[c->body].layers;
	}
	return out;
}

static bool equal(const struct plan_collective *a, const struct plan_collective *b)
{
	return a->of->program == b->of->program && a->often == b->often && a->unit == b->unit && a->bytes == b->bytes
	       && a->max_bytes == b->max_bytes && !strcmp(a->of->cause, b->of->cause);
}

/* The line that counts collective `index` too; -1: there is none. The nth of equal collectives in one body is one with
 * the nth in another, so equal lines are in the order of n. */
static int line_with(const struct plan *p, const struct plan_collective *new, int index)
{
	int nth = 0;
	for (int i = 0; i < index; i++) {
		const struct collective *c = &p->schedule->collectives.at[i];
		bool same_body = c->per_layer == new->of->per_layer && (!c->per_layer || c->body == new->of->body);
		nth += same_body && equal(&p->collectives.at[p->line_of[i]], new);
	}
	for (int i = 0; i < p->collectives.n; i++)
		if (equal(&p->collectives.at[i], new) && nth-- == 0)
			return i;
	return -1;
}

static void list_collectives(struct arena *arena, struct plan *p)
{
	const struct schedule *s = p->schedule;
	p->line_of = arena_array(arena, int, s->collectives.n + 1);
	for (int i = 0; i < s->collectives.n; i++) {
		struct plan_collective c = measure(arena, p, &s->collectives.at[i]);
		int line = line_with(p, &c, i);
		p->line_of[i] = line >= 0 ? line : p->collectives.n;
		if (line >= 0)
			p->collectives.at[line].times += c.times;
		else
			vec_push(arena, &p->collectives, c);
	}
	for (int i = 0; i < p->collectives.n; i++) {
		struct plan_collective *c = &p->collectives.at[i];
		c->all = c->times == (c->often == OFTEN_CUT ? s->stages.n - 1 : c->often == OFTEN_LAYER ? all_layers(s) : 1);
	}
}

/* ---- stages ---------------------------------------------------------------------------------- */

static bool same_memory(const struct stage *a, const struct stage *b)
{
	return !memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

static void list_stages(struct arena *arena, struct plan *p)
{
	const struct schedule *s = p->schedule;
	for (int i = 0, next; i < s->stages.n; i = next) {
		for (next = i + 1; next < s->stages.n && same_memory(&s->stages.at[i], &s->stages.at[next]); next++)
			;
		struct stage_range range = {i, next};
		vec_push(arena, &p->stages, range);
	}
}

struct plan *planner_plan_at_rest(struct arena *arena, const struct deploy *d, const struct schedule *s,
                                  const struct training *t)
{
	struct plan *p = arena_new(arena, struct plan);
	p->deploy = d;
	p->schedule = s;
	p->training = t;
	p->n_totals = planner_totals(d, s, p->totals);
	if (t)
		p->n_totals += planner_training_totals(t, p->totals + p->n_totals);
	p->usable = planner_usable(d);
	if (s) {
		list_stages(arena, p);
		list_collectives(arena, p);
	}
	p->metrics = t ? training_metrics(t, arena) : metrics_of(d, s, arena);
	p->steered = t ? steered_training(t, arena) : s ? steered_serving(s, &p->metrics, arena) : NULL;
	return p;
}

struct plan *planner_plan(struct arena *arena, const struct deploy *d, const struct schedule *s,
                          const struct training *t)
{
	struct plan *p = planner_plan_at_rest(arena, d, s, t);
	p->load = deploy_load(d, s, arena);
	if (p->load)
		load_play(p->load);
	return p;
}
