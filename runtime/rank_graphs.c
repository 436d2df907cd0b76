/* Decode steps as graphs: where the device queues its work, what a step queues is the same whenever its sizes are. The
 * first run of some sizes is eager, the second is captured, later ones launch the graph. A step whose collectives or
 * rounds need the host stays eager. */
#include <stdlib.h>
#include <string.h>
#include "runtime.h"

/* Graphs of other sizes are dropped, those that were launched longest ago first. */
struct step_key {
	int32_t tokens, rows, candidates, pages[DR_POOLS];
};
struct step_graph {
	struct step_key key;
	void *graph;   /* NULL: not captured yet */
	bool on_host;  /* it needs the host: never captured */
	uint64_t used; /* the number of its last run; 0: a free entry */
};
struct graphs {
	struct step_graph at[MAX_GRAPHS];
	uint64_t runs;
};

struct graphs *graphs_open(void) { return host_alloc(1, sizeof(struct graphs)); }

/* A step under way may be that graph. */
static void drop(struct rank *r, struct step_graph *g)
{
	if (g->graph) {
		r->device->sync(r->device);
		r->device->queue->drop_graph(r->device, g->graph);
	}
	*g = (struct step_graph){0};
}

void graphs_close(struct rank *r)
{
	for (int i = 0; i < MAX_GRAPHS; i++)
		drop(r, &r->graphs->at[i]);
	free(r->graphs);
}

/* The entry of the sizes, made in place of the one that was used longest ago. */
static struct step_graph *find(struct rank *r, const struct step_key *key)
{
	struct step_graph *oldest = r->graphs->at;
	for (struct step_graph *g = r->graphs->at; g < r->graphs->at + MAX_GRAPHS; g++) {
		if (g->used && !memcmp(&g->key, key, sizeof *key))
			return g;
		oldest = g->used < oldest->used ? g : oldest;
	}
	drop(r, oldest);
	oldest->key = *key;
	return oldest;
}

static void run_eagerly(struct rank *r) { r->job->generated->steps[r->step.head->phase](&r->frame); }

/* The key's first run: does anything in it need the host? */
static void run_first(struct rank *r, struct step_graph *g)
{
	r->used_host = false;
	run_eagerly(r);
	g->on_host = r->used_host;
}

static void run_graph(struct rank *r, struct step_graph *g)
{
	const struct device_queue *q = r->device->queue;
	struct rank_status *s = &r->reporter.board->rank[r->index];
	if (!g->graph) {
		q->begin_graph(r->device);
		run_eagerly(r);
		g->graph = q->end_graph(r->device);
		atomic_fetch_add(&s->graphs, 1);
	}
	note_op(r, OP_GRAPH);
	range_begin("graph", -1);
	q->launch_graph(r->device, g->graph);
	range_end();
	atomic_fetch_add(&s->graph_launches, 1);
}

/* Traces read results between kernels, and a failure of a graph names no kernel. */
static bool may_be_graph(const struct rank *r)
{
	return r->device->queue && r->step.head->phase == DR_DECODE && !r->step.head->trace && !r->job->options->sync;
}

void graphs_run(struct rank *r)
{
	const struct dr_frame *f = &r->frame;
	struct step_key key = {f->tokens, f->rows, f->candidates, {0}};
	memcpy(key.pages, f->pages, sizeof key.pages);
	if (!may_be_graph(r)) {
		run_eagerly(r);
		return;
	}
	struct step_graph *g = find(r, &key);
	bool first = !g->used;
	g->used = ++r->graphs->runs;
	if (first)
		run_first(r, g);
	else if (g->on_host)
		run_eagerly(r);
	else
		run_graph(r, g);
}
