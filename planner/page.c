/* What the page of a plan shows, as data: docs/json.md. */
#include "page.h"
#include <stdlib.h>
#include "training.h"
#include "../support/json.h"

enum { MAX_WEIGHTS = 12, MAX_LARGEST = 8 };

static int64_t copies_on(const struct schedule *s, const struct placed_param *p, int stage)
{
	if (p->space == DR_SPACE_EVERY || (p->space == DR_SPACE_OUTSIDE && p->stage == stage))
		return 1;
	int64_t layers = 0;
	for (int64_t k = s->stages.at[stage].layer_begin; k < s->stages.at[stage].layer_end; k++)
		layers += p->space == DR_SPACE_LAYER && s->body_of[k] == p->param->body;
	return layers;
}

/* The largest first; of equal ones, in the order of the schedule. */
static int by_bytes(const void *a, const void *b)
{
	const struct page_weight *x = a, *y = b;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return x->param < y->param ? -1 : x->param > y->param;
}

static void list_weights(struct arena *arena, struct page *p)
{
	const struct schedule *s = p->plan->schedule;
	for (int i = 0; i < s->params.n; i++) {
		struct page_weight w = {.param = &s->params.at[i], .copies = copies_on(s, &s->params.at[i], p->fullest)};
		w.bytes = (double)w.copies * (double)w.param->bytes;
		if (w.copies)
			vec_push(arena, &p->weights, w);
	}
	if (p->weights.n)
		qsort(p->weights.at, (size_t)p->weights.n, sizeof *p->weights.at, by_bytes);
	p->weights.n = p->weights.n < MAX_WEIGHTS ? p->weights.n : MAX_WEIGHTS;
}

/* Runs, axes and cuts as the graph has them. */
static void use_graph(struct arena *arena, struct page *p)
{
	const struct schedule *s = p->plan->schedule;
	const struct group *cuts = &s->groups.at[s->stage_group];
	p->graph = planner_graph(arena, p->plan);
	p->fullest = planner_fullest_stage(s);
	p->n_stages = s->stages.n;
	for (int i = 0; i < p->graph->runs.n; i++)
		vec_push(arena, &p->runs, p->graph->runs.at[i]);
	for (int i = 0; i < p->graph->axes.n; i++)
		vec_push(arena, &p->axes, p->graph->axes.at[i]);
	for (int i = 0; i < cuts->n; i++)
		vec_push(arena, &p->cuts, &s->atoms.at[cuts->atom[i]]);
	list_weights(arena, p);
}

/* Atoms of the mesh that cut the model into stages, and the others. */
static void use_training(struct arena *arena, struct page *p)
{
	const struct local *l = p->plan->training->local;
	p->n_stages = (int)p->plan->training->pipeline.stages;
	training_fullest(p->plan->training, &p->fullest);
	for (int i = 0; i < l->stages.n; i++)
		vec_push(arena, &p->cuts, &l->atoms.at[l->stages.at[i]]);
	for (int i = 0; i < l->atoms.n; i++) {
		const struct atom *a = &l->atoms.at[i];
		bool cuts = false;
		for (int k = 0; k < l->stages.n; k++)
			cuts |= l->stages.at[k] == i;
		struct graph_axis axis = {a->name, a->size, a->stride, true, true};
		if (!cuts && a->size > 1)
			vec_push(arena, &p->axes, axis);
	}
	for (struct stage_range run = {0, 0}; run.end < p->n_stages;) {
		run = training_equal_stages(p->plan->training, run.end);
		vec_push(arena, &p->runs, run);
	}
}

struct page *planner_page(struct arena *arena, struct plan *plan, const char *spec)
{
	struct page *p = arena_new(arena, struct page);
	p->arena = arena;
	p->spec = spec;
	p->plan = plan;
	if (plan->training)
		use_training(arena, p);
	else
		use_graph(arena, p);
	return p;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *weights_of(const struct page *p)
{
	json_t *weights = json_array();
	for (int i = 0; i < p->weights.n; i++) {
		const struct page_weight *w = &p->weights.at[i];
		json_t *weight = json_object();
		json_set(weight, "param", json_text(w->param->param->path));
		json_set(weight, "dtype", json_string(dtype_name(w->param->param->dtype)));
		json_set(weight, "copies", json_integer(w->copies));
		json_set(weight, "bytes", json_figure(w->bytes));
		json_array_append_new(weights, weight);
	}
	return weights;
}

static double all_traffic(const struct graph *g, int stage, int program, int level)
{
	double bytes = 0;
	for (int kind = 0; kind <= DR_SEND; kind++)
		bytes += graph_traffic(g, stage, program, level, (enum dr_collective_kind)kind);
	return bytes;
}

/* The stage whose ranks contribute most to collectives of a level. */
static int busiest(const struct graph *g, int program, int level)
{
	int most = 0;
	for (int i = 0; i < g->runs.n; i++)
		if (all_traffic(g, g->runs.at[i].begin, program, level) > all_traffic(g, most, program, level))
			most = g->runs.at[i].begin;
	return most;
}

/* The operations that take most of the slowest stage in a step, the largest first. */
static void add_largest(struct arena *arena, const struct page *p, const struct step_time *t,
                        const struct step_load *load, json_t *largest)
{
	const struct schedule *s = p->plan->schedule;
	bool *taken = arena_array(arena, bool, s->op_names.n + 1);
	double all = (double)t->microbatches * t->stage[t->slowest].seconds;
	for (int k = 0; k < MAX_LARGEST; k++) {
		int best = -1;
		for (int i = 0; i < s->op_names.n; i++)
			if (t->ops[i].term && !taken[i] && (best < 0 || t->ops[i].seconds > t->ops[best].seconds))
				best = i;
		if (best < 0 || !(t->ops[best].seconds > 0))
			return;
		taken[best] = true;
		json_t *one = json_object();
		json_set(one, "program", json_text(s->programs.at[load->program].name));
		json_set(one, "what", json_text(s->op_names.at[best]));
		json_set(one, "kind", json_string(term_kind_name(t->ops[best].term->kind)));
		json_set(one, "seconds", json_figure(t->ops[best].seconds));
		json_set(one, "share", json_figure(t->ops[best].seconds / all));
		json_set(one, "exposed", json_figure(t->ops[best].exposed));
		json_array_append_new(largest, one);
	}
}

static json_t *largest_of(struct arena *arena, const struct page *p)
{
	const struct metrics *m = &p->plan->metrics;
	json_t *largest = json_array();
	if (!m->lacks && m->prefill)
		add_largest(arena, p, m->prefill, &m->prefill_load, largest);
	if (!m->lacks && m->decode)
		add_largest(arena, p, m->decode, &m->decode_load, largest);
	return largest;
}

/* Bytes that a rank of the busiest stage contributes in the largest step, by program and level. */
static json_t *traffic_of(const struct page *p)
{
	const struct schedule *s = p->plan->schedule;
	const struct machine *m = &p->plan->deploy->machine;
	json_t *traffic = json_array();
	for (int i = 0; s && i < s->programs.n; i++)
		for (int level = 0; level < m->levels.n; level++) {
			json_t *object = json_object(), *kinds = json_object();
			int stage = busiest(p->graph, i, level);
			for (int kind = 0; kind <= DR_SEND; kind++)
				json_set(kinds, collective_name((enum dr_collective_kind)kind),
				         json_figure(graph_traffic(p->graph, stage, i, level, (enum dr_collective_kind)kind)));
			json_set(object, "program", json_text(s->programs.at[i].name));
			json_set(object, "level", json_text(m->levels.at[level].name));
			json_set(object, "stage", json_integer(stage));
			json_set(object, "bytes", json_figure(all_traffic(p->graph, stage, i, level)));
			json_set(object, "kinds", kinds);
			json_array_append_new(traffic, object);
		}
	return traffic;
}

static json_t *notes_of(const struct page *p)
{
	json_t *notes = json_array();
	for (int i = 0; i < p->notes.n; i++) {
		json_t *note = json_object();
		json_set(note, "code", json_string(p->notes.at[i].code));
		json_set(note, "place", json_text(p->notes.at[i].place));
		json_set(note, "message", json_text(p->notes.at[i].message));
		json_array_append_new(notes, note);
	}
	return notes;
}

static json_t *rivals_of(const struct page *p)
{
	json_t *search = json_object(), *rivals = json_array();
	for (int i = 0; i < p->rivals.n; i++) {
		const struct page_rival *r = &p->rivals.at[i];
		json_t *rival = json_object();
		json_set(rival, "choice", json_text(r->choice));
		json_set(rival, "ranks", json_figure(r->ranks));
		json_set(rival, "throughput", json_figure(r->throughput));
		json_set(rival, "tpot", json_figure(r->tpot));
		json_set(rival, "cost", json_figure(r->cost));
		json_set(rival, "front", json_boolean(r->front));
		json_array_append_new(rivals, rival);
	}
	json_set(search, "tried", json_integer(p->tried));
	json_set(search, "plans", rivals);
	return search;
}

void page_finish(struct arena *arena, struct page *p)
{
	p->data = json_document("deployc-report", PAGE_JSON_VERSION);
	json_set(p->data, "spec", json_text(p->spec));
	json_set(p->data, "plan", plan_json(p->plan));
	json_set(p->data, "graph", p->graph ? graph_json(arena, p->graph) : json_null());
	json_set(p->data, "fullest", json_integer(p->fullest));
	json_set(p->data, "weights", weights_of(p));
	json_set(p->data, "largest", largest_of(arena, p));
	json_set(p->data, "traffic", traffic_of(p));
	json_set(p->data, "search", p->tried ? rivals_of(p) : json_null());
	json_set(p->data, "notes", notes_of(p));
}
