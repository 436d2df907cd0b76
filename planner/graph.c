/* Groups of ranks, and which collectives each stage runs how often. */
#include "graph.h"
#include <math.h>
#include <string.h>

int64_t graph_times(const struct graph *g, int stage, int collective)
{
	return g->times[(int64_t)stage * g->plan->collectives.n + collective];
}

/* ---- how often a stage runs each collective -------------------------------------------------- */

/* [stage * bodies + body]: layers of a stage that have the body. */
static int64_t *layers_of_bodies(struct arena *arena, const struct schedule *s)
{
	int64_t *layers = arena_array(arena, int64_t, s->stages.n * s->n_bodies + 1);
	for (int i = 0; i < s->stages.n; i++)
		for (int64_t k = s->stages.at[i].layer_begin; k < s->stages.at[i].layer_end; k++)
			layers[i * s->n_bodies + s->body_of[k]]++;
	return layers;
}

static void count_block(struct graph *g, const struct step_block *b, const int64_t *layers)
{
	const struct schedule *s = g->plan->schedule;
	for (int body = 0; body < b->n; body++)
		for (int i = 0; i < b->body[body].n; i++) {
			const struct instr *instr = &b->body[body].at[i];
			if (instr->kind != INSTR_COLLECTIVE)
				continue;
			int line = g->plan->line_of[instr->collective.index];
			for (int stage = b->stages.begin; stage < b->stages.end; stage++)
				g->times[(int64_t)stage * g->plan->collectives.n + line] +=
					block_repeats(b->kind) ? layers[stage * s->n_bodies + b->first_body + body] : 1;
		}
}

static void count_times(struct arena *arena, struct graph *g)
{
	const struct schedule *s = g->plan->schedule;
	const int64_t *layers = layers_of_bodies(arena, s);
	g->times = arena_array(arena, int64_t, s->stages.n * g->plan->collectives.n + 1);
	for (int i = 0; i < s->programs.n; i++)
		for (int k = 0; k < s->programs.at[i].blocks.n; k++)
			count_block(g, &s->programs.at[i].blocks.at[k], layers);
}

double graph_traffic(const struct graph *g, int stage, int program, int level, enum dr_collective_kind kind)
{
	double bytes = 0;
	for (int i = 0; i < g->plan->collectives.n; i++) {
		const struct plan_collective *c = &g->plan->collectives.at[i];
		if (c->of->program == program && c->level == level && c->of->kind == kind)
			bytes += (double)graph_times(g, stage, i) * (double)g->plan->schedule->pipeline.microbatches
			         * (double)c->max_bytes;
	}
	return bytes;
}

/* ---- times ----------------------------------------------------------------------------------- */

/* The step of a program that is timed; NULL: none is. */
static const struct step_time *timed_step(const struct graph *g, int program)
{
	const struct metrics *m = &g->plan->metrics;
	if (m->lacks)
		return NULL;
	if (m->prefill && m->prefill_load.program == program)
		return m->prefill;
	return m->decode && m->decode_load.program == program ? m->decode : NULL;
}

double graph_stage_seconds(const struct graph *g, int stage, int program)
{
	const struct step_time *t = timed_step(g, program);
	return t ? t->stage[stage].seconds : (double)NAN;
}

double graph_seconds(const struct graph *g, int collective)
{
	const struct step_time *t = timed_step(g, g->plan->collectives.at[collective].of->program);
	for (int i = 0; t && i < t->n_lists; i++) {
		const struct list_time *l = &t->list[i];
		for (int k = 0; k < l->list->n; k++)
			if (l->list->at[k].kind == INSTR_COLLECTIVE
			    && g->plan->line_of[l->list->at[k].collective.index] == collective)
				return l->at[k].end - l->at[k].start;
	}
	return (double)NAN;
}

/* ---- runs of stages -------------------------------------------------------------------------- */

static bool same_stage(const struct graph *g, int a, int b)
{
	const struct stage *x = &g->plan->schedule->stages.at[a], *y = &g->plan->schedule->stages.at[b];
	size_t row = sizeof *g->times * (size_t)g->plan->collectives.n;
	return x->layer_end - x->layer_begin == y->layer_end - y->layer_begin
	       && !memcmp(x->bytes, y->bytes, sizeof x->bytes)
	       && !memcmp(&g->times[(int64_t)a * g->plan->collectives.n], &g->times[(int64_t)b * g->plan->collectives.n],
	                  row);
}

static void list_runs(struct arena *arena, struct graph *g)
{
	for (int i = 0, next; i < g->plan->schedule->stages.n; i = next) {
		for (next = i + 1; next < g->plan->schedule->stages.n && same_stage(g, i, next); next++)
			;
		struct stage_range run = {i, next};
		vec_push(arena, &g->runs, run);
	}
}

/* ---- axes ------------------------------------------------------------------------------------ */

static bool group_has_atom(const struct group *g, int atom)
{
	for (int i = 0; i < g->n; i++)
		if (g->atom[i] == atom)
			return true;
	return false;
}

static bool axis_is_cut(const struct schedule *s, int mesh_axis)
{
	for (int i = 0; i < s->atoms.n; i++)
		if (s->atoms.at[i].mesh_axis == mesh_axis && group_has_atom(&s->groups.at[s->stage_group], i))
			return true;
	return false;
}

/* Does a collective go over an atom between these strides? */
static bool exchanges(const struct plan *p, const struct graph_axis *axis)
{
	const struct schedule *s = p->schedule;
	for (int i = 0; i < p->collectives.n; i++) {
		const struct group *g = &s->groups.at[p->collectives.at[i].of->group];
		for (int k = 0; k < g->n; k++) {
			const struct atom *a = &s->atoms.at[g->atom[k]];
			if (a->stride >= axis->stride && a->stride < axis->stride * axis->size)
				return true;
		}
	}
	return false;
}

static void add_axis(struct arena *arena, struct graph *g, const char *name, int64_t size, int64_t stride)
{
	struct graph_axis axis = {name, size, stride, false, true};
	axis.exchanges = exchanges(g->plan, &axis);
	if (size > 1)
		vec_push(arena, &g->axes, axis);
}

static void list_axes(struct arena *arena, struct graph *g)
{
	const struct deploy *d = g->plan->deploy;
	const struct schedule *s = g->plan->schedule;
	int64_t stride = d->gpus;
	for (int i = 0; i < d->mesh.n; i++) {
		stride /= d->mesh.at[i].size;
		if (!axis_is_cut(s, i)) {
			add_axis(arena, g, d->mesh.at[i].name, d->mesh.at[i].size, stride);
			continue;
		}
		for (int k = 0; k < s->atoms.n; k++)
			if (s->atoms.at[k].mesh_axis == i && !group_has_atom(&s->groups.at[s->stage_group], k))
				add_axis(arena, g, s->atoms.at[k].name, s->atoms.at[k].size, s->atoms.at[k].stride);
	}
}

static int64_t shown_nodes(const struct graph *g)
{
	int64_t n = 1;
	for (int i = 0; i < g->axes.n; i++)
		n *= g->axes.at[i].shown ? g->axes.at[i].size : 1;
	return n;
}

/* The axis to fold next: see graph.h. NULL: all are folded. */
static struct graph_axis *next_to_fold(struct graph *g)
{
	struct graph_axis *longest = NULL;
	for (int i = 0; i < g->axes.n; i++) {
		struct graph_axis *axis = &g->axes.at[i];
		if (axis->shown && !axis->exchanges)
			return axis;
		if (axis->shown && (!longest || axis->size > longest->size))
			longest = axis;
	}
	return longest;
}

static void fold_axes(struct graph *g)
{
	g->ranks = 1;
	while (shown_nodes(g) * g->runs.n > GRAPH_NODES) {
		struct graph_axis *axis = next_to_fold(g);
		if (!axis)
			return;
		axis->shown = false;
		g->ranks *= axis->size;
	}
}

/* ---- nodes ----------------------------------------------------------------------------------- */

/* The first rank of a stage. */
static int64_t stage_rank(const struct schedule *s, int64_t stage)
{
	const struct group *g = &s->groups.at[s->stage_group];
	int64_t rank = 0;
	for (int i = g->n - 1; i >= 0; i--) {
		const struct atom *a = &s->atoms.at[g->atom[i]];
		rank += stage % a->size * a->stride;
		stage /= a->size;
	}
	return rank;
}

static void list_nodes(struct arena *arena, struct graph *g)
{
	g->nodes_of_run = (int)shown_nodes(g);
	for (int run = 0; run < g->runs.n; run++)
		for (int i = 0; i < g->nodes_of_run; i++) {
			struct graph_node node = {.run = run,
			                          .rank = stage_rank(g->plan->schedule, g->runs.at[run].begin),
			                          .coordinate = arena_array(arena, int64_t, g->axes.n + 1)};
			int64_t left = i;
			for (int k = g->axes.n - 1; k >= 0; k--) {
				const struct graph_axis *axis = &g->axes.at[k];
				if (!axis->shown)
					continue;
				node.coordinate[k] = left % axis->size;
				node.rank += node.coordinate[k] * axis->stride;
				left /= axis->size;
			}
			vec_push(arena, &g->nodes, node);
		}
}

int64_t graph_group(const struct graph *g, const struct group *over, const struct graph_node *node)
{
	int64_t first = node->rank;
	for (int i = 0; i < over->n; i++) {
		const struct atom *a = &g->plan->schedule->atoms.at[over->atom[i]];
		first -= node->rank / a->stride % a->size * a->stride;
	}
	return first;
}

const char *graph_name(struct arena *arena, const struct graph *g, const struct graph_node *node)
{
	struct text t = {.arena = arena};
	text_add(&t, "s%d", g->runs.at[node->run].begin);
	for (int i = 0; i < g->axes.n; i++)
		if (g->axes.at[i].shown)
			text_add(&t, ".%s%lld", g->axes.at[i].name, (long long)node->coordinate[i]);
	return t.at;
}

struct graph *planner_graph(struct arena *arena, struct plan *p)
{
	struct graph *g = arena_new(arena, struct graph);
	g->plan = p;
	count_times(arena, g);
	list_runs(arena, g);
	list_axes(arena, g);
	fold_axes(g);
	list_nodes(arena, g);
	return g;
}
