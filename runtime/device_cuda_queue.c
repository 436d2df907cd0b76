/* What the cuda device queues: copies of pinned memory, and the marks that tell when their memory is free again. */
#include "device_cuda.h"

static struct cuda *cuda_of(struct device *d) { return (struct cuda *)d; }

static void *queue_host_memory(struct device *d, size_t bytes)
{
	struct cuda *c = cuda_of(d);
	void *at = NULL;
	if (c->n_pinned == MAX_PINNED)
		rank_fail(&c->options.reporter, "internal: more than %d pieces of pinned memory", MAX_PINNED);
	CUresult got = c->cuMemHostAlloc(&at, bytes ? bytes : 1, 0);
	if (got == CUDA_ERROR_OUT_OF_MEMORY)
		rank_fail(&c->options.reporter, "the host does not have %zu bytes of memory that can be pinned", bytes);
	cuda_check(c, got, "cannot get pinned memory");
	c->pinned[c->n_pinned++] = at;
	return at;
}

static void queue_send(struct device *d, uint64_t to, const void *from, size_t bytes)
{
	struct cuda *c = cuda_of(d);
	cuda_check(c, c->cuMemcpyHtoDAsync_v2(to, from, bytes, c->stream), "cannot copy to the GPU");
	c->busy = true;
	cuda_queued(c, "a copy to the GPU failed");
}

static void queue_fetch(struct device *d, void *to, uint64_t from, size_t bytes)
{
	struct cuda *c = cuda_of(d);
	if (bytes)
		cuda_check(c, c->cuMemcpyDtoHAsync_v2(to, from, bytes, c->stream), "cannot copy from the GPU");
	c->busy = true;
	cuda_queued(c, "a copy from the GPU failed");
}

static void queue_copy(struct device *d, uint64_t to, uint64_t from, size_t bytes)
{
	struct cuda *c = cuda_of(d);
	cuda_check(c, c->cuMemcpyDtoDAsync_v2(to, from, bytes, c->stream), "cannot copy within the GPU");
	c->busy = true;
	cuda_queued(c, "a copy within the GPU failed");
}

static void queue_mark(struct device *d, unsigned which)
{
	struct cuda *c = cuda_of(d);
	if (!c->used[which])
		cuda_check(c, c->cuEventCreate(&c->used[which], CU_EVENT_DISABLE_TIMING), "cannot make an event on the GPU");
	cuda_check(c, c->cuEventRecord(c->used[which], c->stream), "cannot record an event on the GPU");
	c->graphs_before[which] = c->graphs;
}

static void queue_await(struct device *d, unsigned which)
{
	struct cuda *c = cuda_of(d);
	if (!c->used[which])
		return;
	cuda_wait_for(c, c->used[which]);
	c->graph_runs = c->graph_runs && c->graphs_before[which] != c->graphs;
}

void cuda_queue_close(struct cuda *c)
{
	for (int i = 0; i < DEVICE_MARKS; i++)
		if (c->used[i])
			cuda_check(c, c->cuEventDestroy_v2(c->used[i]), "cannot end an event of the GPU");
	for (int i = 0; i < c->n_pinned; i++)
		cuda_check(c, c->cuMemFreeHost(c->pinned[i]), "cannot free pinned memory");
}

const struct device_queue cuda_queue = {.host_memory = queue_host_memory,
                                        .send = queue_send,
                                        .fetch = queue_fetch,
                                        .copy = queue_copy,
                                        .mark = queue_mark,
                                        .await = queue_await,
                                        .begin_graph = cuda_begin_graph,
                                        .end_graph = cuda_end_graph,
                                        .launch_graph = cuda_launch_graph,
                                        .drop_graph = cuda_drop_graph};
