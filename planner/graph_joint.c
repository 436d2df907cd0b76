/* The graphs of deployments that are planned together, side by side, and what joins them. */
#include "graph.h"
#include <math.h>
#include "pools.h"
#include "share.h"
#include "../support/json.h"

static const struct graph *graph_of(struct arena *arena, const struct deploy *d, const struct schedule *s)
{
	return planner_graph(arena, planner_plan(arena, d, s, NULL));
}

bool pools_graphs(struct arena *arena, const struct pools *s, struct graph_joint *out)
{
	*out = (struct graph_joint){.kind = "serve",
	                            .name = s->joint->self->name,
	                            .of = arena_array(arena, const struct graph *, SERVE_SIDES),
	                            .units = arena_array(arena, int64_t, SERVE_SIDES),
	                            .n = SERVE_SIDES,
	                            .bytes = s->longest.bytes,
	                            .seconds = s->seconds.value};
	for (int i = 0; i < SERVE_SIDES && !s->unplanned; i++) {
		out->of[i] = graph_of(arena, s->side[i].deploy, s->side[i].cache.schedule);
		out->units[i] = s->side[i].units;
	}
	return !s->unplanned;
}

bool share_graphs(struct arena *arena, const struct share *s, struct graph_joint *out)
{
	int n = s->joint->members.n;
	*out = (struct graph_joint){.kind = "share",
	                            .name = s->joint->self->name,
	                            .of = arena_array(arena, const struct graph *, n + 1),
	                            .units = arena_array(arena, int64_t, n + 1),
	                            .n = n,
	                            .seconds = NAN};
	for (int i = 0; i < n && !s->unplanned; i++) {
		out->of[i] = graph_of(arena, s->of[i].deploy, s->of[i].schedule);
		out->units[i] = 1;
	}
	return !s->unplanned;
}

json_t *graph_joint_json(struct arena *arena, const struct graph_joint *j)
{
	json_t *together = json_object(), *graphs = json_array(), *handover = json_null();
	for (int i = 0; i < j->n; i++) {
		json_t *graph = graph_json(arena, j->of[i]);
		json_set(graph, "units", j->units[i] > 0 ? json_integer(j->units[i]) : json_null());
		json_array_append_new(graphs, graph);
	}
	if (j->bytes > 0) {
		handover = json_object();
		json_set(handover, "bytes", json_figure(j->bytes));
		json_set(handover, "seconds", json_figure(j->seconds));
	}
	json_set(together, j->kind, json_text(j->name));
	json_set(together, "graphs", graphs);
	json_set(together, "handover", handover);
	return together;
}
