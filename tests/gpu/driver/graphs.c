/* Graphs: a launch is one operation of a stream, which runs the nodes in any order that their dependencies allow. */
#include "graphs.h"
#include <stdlib.h>

/* ---- nodes ---- */
struct nodes *nodes_new(void)
{
	struct nodes *n = calloc(1, sizeof *n);
	n->users = 1;
	return n;
}

void nodes_release(struct nodes *n)
{
	if (--n->users)
		return;
	for (int i = 0; i < n->n; i++) {
		op_drop(&n->at[i].op);
		free(n->at[i].after);
	}
	free(n->at);
	free(n);
}

/* ---- a run ---- */
/* missing: the nodes that must still come before a node; -1: it ran. */
struct graph_run {
	struct nodes *nodes;
	int left;
	int missing[];
};

static struct graph_run *run_new(struct nodes *n)
{
	struct graph_run *run = calloc(1, sizeof *run + (size_t)n->n * sizeof *run->missing);
	run->nodes = n;
	run->left = n->n;
	n->users++;
	for (int i = 0; i < n->n; i++)
		run->missing[i] = n->at[i].n_after;
	return run;
}

void graph_run_drop(struct graph_run *run)
{
	if (run->nodes->running == run)
		run->nodes->running = NULL;
	nodes_release(run->nodes);
	free(run);
}

bool graph_may_run(const struct graph_run *run) { return !run->nodes->running || run->nodes->running == run; }

static void node_ran(struct graph_run *run, int ran)
{
	const struct nodes *n = run->nodes;
	run->missing[ran] = -1;
	run->left--;
	for (int i = 0; i < n->n; i++)
		for (int a = 0; a < n->at[i].n_after; a++)
			run->missing[i] -= n->at[i].after[a] == ran;
}

/* Runs a node of those that may run, from a random one on. */
enum progress graph_step(struct graph_run *run)
{
	struct nodes *n = run->nodes;
	int first = n->n ? (int)(queue_random() % (uint64_t)n->n) : 0;
	n->running = run;
	for (int k = 0; k < n->n; k++) {
		int i = (first + k) % n->n;
		enum progress progress = run->missing[i] ? OP_WAITS : op_run(n->at[i].context, &n->at[i].op);
		if (progress == OP_WAITS)
			continue;
		if (progress == OP_MORE)
			return OP_MORE;
		node_ran(run, i);
		return run->left ? OP_MORE : OP_OVER;
	}
	return run->left ? OP_WAITS : OP_OVER;
}

/* ---- handles ---- */
struct CUgraph_st *graph_new(struct nodes *n)
{
	struct CUgraph_st *g = calloc(1, sizeof *g);
	*g = (struct CUgraph_st){MAGIC_GRAPH, n};
	return g;
}

static struct CUgraph_st *enter_graph(CUgraph handle, CUresult *r)
{
	struct CUctx_st *c;
	*r = enter(&c);
	if (*r)
		return NULL;
	if (!handle || handle->magic != MAGIC_GRAPH)
		*r = leave(CUDA_ERROR_INVALID_VALUE);
	return *r ? NULL : handle;
}

CUresult cuGraphDestroy(CUgraph graph)
{
	CUresult r;
	struct CUgraph_st *g = enter_graph(graph, &r);
	if (!g)
		return r;
	g->magic = 0;
	nodes_release(g->nodes);
	return leave(CUDA_SUCCESS);
}

/* Only their number. */
CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *n)
{
	CUresult r;
	const struct CUgraph_st *g = enter_graph(graph, &r);
	if (!g)
		return r;
	if (!n)
		return leave(CUDA_ERROR_INVALID_VALUE);
	*n = (size_t)g->nodes->n;
	return leave(nodes ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS);
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
	CUresult r;
	struct CUgraph_st *g = enter_graph(graph, &r);
	CUcontext current;
	if (!g)
		return r;
	if (!exec)
		return leave(CUDA_ERROR_INVALID_VALUE);
	if (flags)
		return leave(CUDA_ERROR_NOT_SUPPORTED);
	cuCtxGetCurrent(&current);
	struct CUgraphExec_st *e = calloc(1, sizeof *e);
	*e = (struct CUgraphExec_st){MAGIC_EXEC, current, g->nodes};
	g->nodes->users++;
	*exec = e;
	return leave(CUDA_SUCCESS);
}

static bool kernels_are_loaded(const struct nodes *n)
{
	for (int i = 0; i < n->n; i++)
		if (n->at[i].op.kind == OP_KERNEL && n->at[i].op.function->magic != MAGIC_FUNCTION)
			return false;
	return true;
}

/* A graph within another is refused. */
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
	CUresult r;
	struct CUstream_st *s = enter_stream(stream, &r);
	if (!s)
		return r;
	if (!exec || exec->magic != MAGIC_EXEC)
		return leave(CUDA_ERROR_INVALID_VALUE);
	if (s->context != exec->context || !kernels_are_loaded(exec->nodes))
		return leave(CUDA_ERROR_INVALID_HANDLE);
	if (s->capture)
		return leave(CUDA_ERROR_NOT_SUPPORTED);
	return leave(queue_push(s, &(struct op){.kind = OP_GRAPH, .graph = run_new(exec->nodes)}));
}

/* A run under way goes on. */
CUresult cuGraphExecDestroy(CUgraphExec exec)
{
	struct CUctx_st *c;
	CUresult r = enter(&c);
	if (r)
		return r;
	if (!exec || exec->magic != MAGIC_EXEC)
		return leave(CUDA_ERROR_INVALID_VALUE);
	exec->magic = 0;
	nodes_release(exec->nodes);
	return leave(CUDA_SUCCESS);
}
