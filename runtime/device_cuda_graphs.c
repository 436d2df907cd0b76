/* Graphs of the cuda device: what is queued between begin and end is recorded, and launched as one. */
#include "device_cuda.h"

/* The calls of other threads, of libraries, are none of the capture's business. */
void cuda_begin_graph(struct device *d)
{
	struct cuda *c = (struct cuda *)d;
	cuda_check(c, c->cuStreamBeginCapture_v2(c->stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
	           "cannot begin a graph of a decode step");
	c->capturing = true;
}

void *cuda_end_graph(struct device *d)
{
	struct cuda *c = (struct cuda *)d;
	CUgraph graph = NULL;
	CUgraphExec ready = NULL;
	cuda_check(c, c->cuStreamEndCapture(c->stream, &graph), "cannot record a decode step as a graph");
	c->capturing = false;
	cuda_check(c, c->cuGraphInstantiateWithFlags(&ready, graph, 0),
	           "cannot make a graph of a decode step, whose memory is part of the cluster's reserve");
	cuda_check(c, c->cuGraphDestroy(graph), "cannot end the record of a graph");
	return ready;
}

void cuda_launch_graph(struct device *d, void *graph)
{
	struct cuda *c = (struct cuda *)d;
	cuda_check(c, c->cuGraphLaunch(graph, c->stream), "cannot launch the graph of a decode step");
	c->busy = c->graph_runs = true;
	c->graphs++;
}

void cuda_drop_graph(struct device *d, void *graph)
{
	struct cuda *c = (struct cuda *)d;
	cuda_check(c, c->cuGraphExecDestroy(graph), "cannot drop the graph of a decode step");
}
