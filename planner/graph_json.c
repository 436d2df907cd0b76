/* A graph as JSON: docs/json.md. */
#include "graph.h"
#include "../support/json.h"

static json_t *axes_of(const struct graph *g)
{
	json_t *axes = json_array();
	for (int i = 0; i < g->axes.n; i++) {
		const struct graph_axis *a = &g->axes.at[i];
		json_t *axis = json_object();
		json_set(axis, "axis", json_text(a->name));
		json_set(axis, "size", json_integer(a->size));
		json_set(axis, "stride", json_integer(a->stride));
		json_set(axis, "shown", json_boolean(a->shown));
		json_array_append_new(axes, axis);
	}
	return axes;
}

static json_t *seconds_of(const struct graph *g, int stage)
{
	json_t *seconds = json_object();
	const struct schedule *s = g->plan->schedule;
	for (int i = 0; i < s->programs.n; i++)
		json_set(seconds, s->programs.at[i].name, json_figure(graph_stage_seconds(g, stage, i)));
	return seconds;
}

static json_t *stages_of(const struct graph *g)
{
	const struct schedule *s = g->plan->schedule;
	json_t *runs = json_array();
	for (int i = 0; i < g->runs.n; i++) {
		struct stage_range run = g->runs.at[i];
		struct memory m = planner_stage_memory(s, run.begin);
		json_t *object = json_object(), *layers = json_array();
		json_array_append_new(layers, json_integer(s->stages.at[run.begin].layer_begin));
		json_array_append_new(layers, json_integer(s->stages.at[run.end - 1].layer_end));
		json_set(object, "stage", json_integer(run.begin));
		json_set(object, "count", json_integer(run.end - run.begin));
		json_set(object, "layers", layers);
		json_set(object, "bytes", plan_memory_json(&m));
		json_set(object, "seconds", seconds_of(g, run.begin));
		json_array_append_new(runs, object);
	}
	return runs;
}

static json_t *nodes_of(struct arena *arena, const struct graph *g)
{
	json_t *nodes = json_array();
	for (int i = 0; i < g->nodes.n; i++) {
		const struct graph_node *n = &g->nodes.at[i];
		struct stage_range run = g->runs.at[n->run];
		json_t *node = json_object(), *coordinates = json_object();
		for (int k = 0; k < g->axes.n; k++)
			if (g->axes.at[k].shown)
				json_set(coordinates, g->axes.at[k].name, json_integer(n->coordinate[k]));
		json_set(node, "id", json_text(graph_name(arena, g, n)));
		json_set(node, "stage", json_integer(run.begin));
		json_set(node, "coordinates", coordinates);
		json_set(node, "rank", json_integer(n->rank));
		json_set(node, "ranks", json_integer(g->ranks * (run.end - run.begin)));
		json_array_append_new(nodes, node);
	}
	return nodes;
}

/* The groups of a collective among the nodes of a run. */
static json_t *groups_of(struct arena *arena, const struct graph *g, const struct group *over, int run)
{
	const struct graph_node *nodes = &g->nodes.at[run * g->nodes_of_run];
	json_t *groups = json_array();
	for (int i = 0; i < g->nodes_of_run; i++) {
		int64_t first = graph_group(g, over, &nodes[i]);
		bool listed = false;
		for (int k = 0; k < i && !listed; k++)
			listed = graph_group(g, over, &nodes[k]) == first;
		if (listed)
			continue;
		json_t *group = json_array();
		for (int k = i; k < g->nodes_of_run; k++)
			if (graph_group(g, over, &nodes[k]) == first)
				json_array_append_new(group, json_text(graph_name(arena, g, &nodes[k])));
		json_array_append_new(groups, group);
	}
	return groups;
}

/* Each node of a run, and the one that it sends to: of the next run, or, for all but the last stage of a run, its own.
 */
static json_t *pairs_of(struct arena *arena, const struct graph *g, int run, int to)
{
	json_t *pairs = json_array();
	for (int i = 0; i < g->nodes_of_run; i++) {
		json_t *pair = json_array();
		json_array_append_new(pair, json_text(graph_name(arena, g, &g->nodes.at[run * g->nodes_of_run + i])));
		json_array_append_new(pair, json_text(graph_name(arena, g, &g->nodes.at[to * g->nodes_of_run + i])));
		json_array_append_new(pairs, pair);
	}
	return pairs;
}

static json_t *edge_of(const struct graph *g, int collective, int run, int64_t times, json_t *groups)
{
	json_t *edge = plan_collective_json(g->plan, &g->plan->collectives.at[collective]);
	json_set(edge, "stage", json_integer(g->runs.at[run].begin));
	json_set(edge, "times", json_integer(times));
	json_set(edge, "seconds", json_figure(graph_seconds(g, collective)));
	json_set(edge, "groups", groups);
	return edge;
}

static json_t *edges_of(struct arena *arena, const struct graph *g)
{
	const struct schedule *s = g->plan->schedule;
	json_t *edges = json_array();
	for (int run = 0; run < g->runs.n; run++)
		for (int i = 0; i < g->plan->collectives.n; i++) {
			const struct plan_collective *c = &g->plan->collectives.at[i];
			struct stage_range stages = g->runs.at[run];
			int64_t times = graph_times(g, stages.begin, i);
			if (!times || c->of->kind == DR_RECV)
				continue;
			if (c->of->kind != DR_SEND) {
				json_array_append_new(edges,
				                      edge_of(g, i, run, times, groups_of(arena, g, &s->groups.at[c->of->group], run)));
				continue;
			}
			if (stages.end - stages.begin > 1)
				json_array_append_new(edges, edge_of(g, i, run, times, pairs_of(arena, g, run, run)));
			json_array_append_new(edges, edge_of(g, i, run, times, pairs_of(arena, g, run, run + 1)));
		}
	return edges;
}

json_t *graph_json(struct arena *arena, const struct graph *g)
{
	json_t *graph = json_object();
	json_set(graph, "deploy", json_text(g->plan->deploy->name));
	json_set(graph, "ranks", json_integer(g->plan->deploy->gpus));
	json_set(graph, "axes", axes_of(g));
	json_set(graph, "stages", stages_of(g));
	json_set(graph, "nodes", nodes_of(arena, g));
	json_set(graph, "edges", edges_of(arena, g));
	return graph;
}
