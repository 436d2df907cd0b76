/* Graphs: operations of captured streams, and what must come before each of them. */
#ifndef GPU_GRAPHS_H
#define GPU_GRAPHS_H
#include "driver.h"

struct node {
	struct op op;
	struct CUctx_st *context;
	int *after; /* [n_after]: nodes that come before this one */
	int n_after;
};
/* Shared by a graph and what was made from it. */
struct nodes {
	int users, n, cap;
	struct node *at;
	struct graph_run *running; /* runs of one graph follow each other */
};
struct nodes *nodes_new(void);
void nodes_release(struct nodes *n);

/* A capture; kept after its end, as events may name it. */
struct capture {
	CUstreamCaptureMode mode;
	pthread_t thread;
	struct CUstream_st *origin;
	struct nodes *nodes;
	uint64_t number;
	bool invalid, ended;
};

struct CUgraph_st {
	enum magic magic;
	struct nodes *nodes;
};
struct CUgraphExec_st {
	enum magic magic;
	struct CUctx_st *context;
	struct nodes *nodes;
};
/* A graph of these nodes, which it takes. */
struct CUgraph_st *graph_new(struct nodes *n);
#endif
