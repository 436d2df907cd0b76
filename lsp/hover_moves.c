/* Collectives that a value causes: what they send, and how long one takes. */
#include <math.h>
#include <string.h>
#include "../dag/local.h"
#include "../planner/graph.h"
#include "../planner/metrics_text.h"
#include "hover.h"

/* The plan's line for a collective that a local value is, which its cause ends with; -1: none. */
static int line_of(const struct plan *p, const struct local *l, int phase, const struct local_value *v)
{
	const struct region *r = &l->program->regions.at[v->region];
	const char *where = r->parent < 0 ? "model" : r->name;
	for (int i = 0; i < p->collectives.n; i++) {
		const struct collective *c = p->collectives.at[i].of;
		const char *why = c->cause ? strstr(c->cause, " (") : NULL;
		size_t n = why ? strlen(why) : 0, length = strlen(v->move.cause);
		if (c->program == phase && !strcmp(c->where, where) && n == length + 3
		    && !strncmp(why + 2, v->move.cause, length))
			return i;
	}
	return -1;
}

static void add_row(struct hover *h, const struct graph *g, int phase, int line)
{
	struct arena *a = h->server->arena;
	const struct plan_collective *c = &g->plan->collectives.at[line];
	double seconds = graph_seconds(g, line);
	text_add(&h->out, "| %s | %s | %s | %s | %lld |\n", phase_name(phase), c->of->cause,
	         planner_bytes(a, (double)c->max_bytes), isnan(seconds) ? "not known" : metric_seconds(a, seconds),
	         (long long)c->times);
}

static bool sends(const struct local_value *v) { return v->op >= LOCAL_ALL_REDUCE && v->op <= LOCAL_ALL_TO_ALL; }

/* Marks the moves that a local value is computed from: of its operands, and of those of parts of its expression that
 * have no name of their own. */
static void mark_operands(const struct local *l, const struct local_phase *ph, int local, int region, bool *marked)
{
	const struct local_value *v = &ph->values.at[local];
	for (int i = 0; i < v->n_args; i++) {
		int arg = v->args[i];
		const struct local_value *x = arg < 0 ? NULL : &ph->values.at[arg];
		const struct value *part = x && x->source >= 0 ? &l->program->values.at[x->source] : NULL;
		if (!part || marked[arg])
			continue;
		bool move = local_is_move(x);
		marked[arg] = move;
		if (move || (!part->name && part->region == region && x->op == LOCAL_OP))
			mark_operands(l, ph, arg, region, marked);
	}
}

static void add_moves(struct hover *h, const struct planned *p, const struct graph *g, int phase, int value,
                      bool *shown)
{
	static const char head[] =
		"\n| phase | collective | bytes | time of one | in a microbatch |\n|---|---|---:|---:|---:|\n";
	const struct local_phase *ph = &p->local->phase[phase];
	bool *marked = arena_array(h->server->arena, bool, ph->values.n + 1);
	if (ph->of_program[value] >= 0)
		mark_operands(p->local, ph, ph->of_program[value], p->local->program->values.at[value].region, marked);
	for (int i = 0; i < ph->values.n; i++) {
		const struct local_value *v = &ph->values.at[i];
		bool caused = sends(v) && (marked[i] || v->source == value);
		int line = caused ? line_of(g->plan, p->local, phase, v) : -1;
		if (line < 0 || shown[line])
			continue;
		bool first = true;
		for (int k = 0; k < g->plan->collectives.n; k++)
			first &= !shown[k];
		shown[line] = true;
		text_add(&h->out, "%s", first ? head : "");
		add_row(h, g, phase, line);
	}
}

void hover_moves(struct hover *h, const struct planned *p, int value)
{
	struct arena *a = h->server->arena;
	if (!p->schedule || !p->schedule->collectives.n)
		return;
	const struct graph *g = planner_graph(a, planner_plan_at_rest(a, p->deploy, p->schedule, p->training));
	bool *shown = arena_array(a, bool, g->plan->collectives.n + 1);
	for (int phase = 0; phase < PHASES; phase++)
		add_moves(h, p, g, phase, value, shown);
}
