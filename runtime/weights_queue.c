/* Loads weights with a device that queues its work. The host only reads: rows go into pinned memory, from there to the
 * device as they are, and a kernel puts them into tiles. Two pinned buffers take turns, so the host reads the next rows
 * while the device has these. */
#include <stdatomic.h>
#include "weights.h"

enum {
	BUFFER_BYTES = 16 << 20,  /* of a copy: long enough that its start costs nothing */
	THREAD_BYTES = 256 << 10, /* that a thread reads at a time */
	WORD = 4                  /* bytes: the tile kernel's unit */
};

/* Rows [first, first + n) of a param, read by several threads. */
struct rows_read {
	const struct weight_rows *rows;
	unsigned char *to;
	int64_t first, n, step;
	atomic_llong next;
};

static void *read_rows(void *context)
{
	struct rows_read *w = context;
	struct weight_rows r = *w->rows;
	for (int64_t at; (at = atomic_fetch_add(&w->next, w->step)) < w->n;)
		for (int64_t i = at; i < at + w->step && i < w->n; i++)
			weight_rows_read(&r, w->first + i, w->to + (size_t)i * r.row_bytes);
	return NULL;
}

static void read_with_threads(const struct weight_rows *r, int64_t first, int64_t n, unsigned char *to, int threads)
{
	int64_t step = THREAD_BYTES / (int64_t)r->row_bytes, pieces = step > 1 ? (n + step - 1) / step : n;
	struct rows_read w = {.rows = r, .to = to, .first = first, .n = n, .step = step > 1 ? step : 1};
	weights_run(pieces < threads ? (int)pieces : threads, read_rows, &w);
}

void weight_queue_open(struct weight_queue *q, struct device *d, const struct plan *plan, const struct memory *m,
                       int threads, uint64_t longest, uint64_t all)
{
	uint64_t bytes = all < BUFFER_BYTES ? all : BUFFER_BYTES;
	*q = (struct weight_queue){.device = d,
	                           .plan = plan,
	                           .bytes = bytes > longest ? bytes : longest,
	                           .staging = m->base[DR_SPACE_ACT],
	                           .room = m->bytes[DR_SPACE_ACT],
	                           .threads = threads};
	for (int i = 0; i < WEIGHT_BUFFERS; i++)
		q->pinned[i] = d->queue->host_memory(d, q->bytes);
}

/* The same staging serves all: what is queued runs in order. */
static void queue_tiles(struct weight_queue *q, const struct weight_rows *r, uint64_t to, int64_t first, int64_t n,
                        const unsigned char *from)
{
	uint64_t args[] = {q->staging, to, (uint64_t)n, (uint64_t)first, (uint64_t)r->n.size, r->row_bytes / WORD};
	struct launch tile = {
		.kernel = q->plan->head->tile_kernel, .n_args = sizeof args / sizeof *args, .args = args, .phase = DR_PREFILL};
	q->device->queue->send(q->device, q->staging, from, (size_t)n * r->row_bytes);
	q->device->launch(q->device, &tile);
}

struct weight_block_size weight_queue_size(const struct weight_queue *q)
{
	return (struct weight_block_size){.swizzled = q->room < q->bytes ? q->room : q->bytes, .plain = q->bytes};
}

void weight_queue_load(struct weight_queue *q, const struct weight_block *b)
{
	const struct weight_rows *r = &b->item->rows;
	unsigned slot = q->turn++ % WEIGHT_BUFFERS;
	q->device->queue->await(q->device, slot);
	read_with_threads(r, b->first, b->n, q->pinned[slot], q->threads);
	if (r->param->swizzled)
		queue_tiles(q, r, b->item->to, b->first, b->n, q->pinned[slot]);
	else
		q->device->queue->send(q->device, b->item->to + (uint64_t)b->first * r->row_bytes, q->pinned[slot],
		                       (size_t)b->n * r->row_bytes);
	q->device->queue->mark(q->device, slot);
}
