/* The graph of a plan: groups of ranks and what they wait for from each other, flat in ranks and layers.
 *
 * A node is a group of ranks: a stage, or neighbouring stages that do the same, at one coordinate of each mesh axis
 * that is shown. While there are more than GRAPH_NODES nodes, an axis is folded, and a node has the ranks of all its
 * coordinates: first the axes over which nothing is exchanged, outermost first, then the longest one. */
#ifndef DEPLOYC_PLANNER_GRAPH_H
#define DEPLOYC_PLANNER_GRAPH_H
#include "plan.h"

enum { GRAPH_NODES = 64 };

/* A mesh axis, or an atom of one of which other atoms are the pipeline's. */
struct graph_axis {
	const char *name;
	int64_t size, stride;
	bool exchanges; /* does a collective go over it? */
	bool shown;
};
struct graph_node {
	int run;             /* index into `runs` */
	int64_t rank;        /* its first */
	int64_t *coordinate; /* [axes.n]: 0 for one that is folded */
};
struct graph {
	struct plan *plan;
	VEC(struct graph_axis) axes;  /* longer than 1, outermost first, without the pipeline's */
	VEC(struct stage_range) runs; /* of stages with equal bytes, layers and collectives */
	VEC(struct graph_node) nodes; /* of each run, in the order of ranks */
	int64_t *times;               /* [stage * collectives.n + collective]: runs of a plan_collective for a microbatch */
	int64_t ranks;                /* of a node, in one stage */
	int nodes_of_run;
};

/* graph.c: of a scheduled plan. Everything is in the arena. */
struct graph *planner_graph(struct arena *arena, struct plan *p);
int64_t graph_times(const struct graph *g, int stage, int collective);
/* Bytes that a rank of a stage contributes to collectives of a kind, over groups of a level, in the largest step of a
 * program; of exchanges over experts, one round each. */
double graph_traffic(const struct graph *g, int stage, int program, int level, enum dr_collective_kind kind);
/* Seconds of a microbatch on a stage, in a step of a program as the metrics time it, and of one run of a collective in
 * that step; of exchanges over experts, one round. NaN: nothing is timed. */
double graph_stage_seconds(const struct graph *g, int stage, int program);
double graph_seconds(const struct graph *g, int collective);
/* The first of the ranks that exchange with a node's in a collective: nodes with the same are one group. */
int64_t graph_group(const struct graph *g, const struct group *over, const struct graph_node *node);
const char *graph_name(struct arena *arena, const struct graph *g, const struct graph_node *node); /* "s0.ep3.tp1" */

/* graph_dot.c: for graphviz's dot. */
void graph_dot(struct arena *arena, const struct graph *g, FILE *out);
/* graph_json.c: an object of `deployc graph --format=json` (docs/json.md). The caller releases it. */
enum { GRAPH_JSON_VERSION = 1 };
json_t *graph_json(struct arena *arena, const struct graph *g);

/* Deployments that are planned together. */
struct graph_joint {
	const char *kind, *name; /* "serve" or "share" */
	const struct graph **of; /* [n], in the order of the record */
	int64_t *units;          /* [n]; 0: not known */
	int n;
	double bytes;   /* of the longest prompt's cache, which the second gets from the first; 0: nothing is handed over */
	double seconds; /* that its handover takes; NaN: not timed */
};
/* graph_joint.c. false: errors left nothing to plan. */
struct pools;
struct share;
bool pools_graphs(struct arena *arena, const struct pools *s, struct graph_joint *out);
bool share_graphs(struct arena *arena, const struct share *s, struct graph_joint *out);
json_t *graph_joint_json(struct arena *arena, const struct graph_joint *j);        /* as graph_json() */
void graph_joint_dot(struct arena *arena, const struct graph_joint *j, FILE *out); /* graph_dot.c */
#endif
