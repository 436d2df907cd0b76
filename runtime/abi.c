/* Functions that generated code calls: launches and collectives. Each notes its operation on the board. */
#include "../support/round.h"
#include "event.h"
#include "meter.h"
#include "runtime.h"

static struct rank *rank_of(struct dr_frame *f) { return (struct rank *)f; }

static int layer_of(const struct rank *r) { return r->frame.layer < 0 ? -1 : r->frame.first_layer + r->frame.layer; }

static void begin_range(const struct rank *r, int32_t op) { range_begin(plan_op(r->job->plan, op), layer_of(r)); }

void note_op(struct rank *r, int32_t op)
{
	struct rank_status *s = &r->reporter.board->rank[r->index];
	struct place *p = &s->recent[atomic_fetch_add_explicit(&s->operations, 1, memory_order_relaxed) % RECENT];
	int layer = layer_of(r);
	atomic_store_explicit(&s->op, op, memory_order_relaxed);
	atomic_store_explicit(&s->layer, layer, memory_order_relaxed);
	atomic_store_explicit(&p->op, op, memory_order_relaxed);
	atomic_store_explicit(&p->layer, layer, memory_order_relaxed);
}

static bool is_small(const struct rank *r, int32_t kernel)
{
	const struct plan *plan = r->job->plan;
	uint64_t elements = plan->kernels ? plan->kernels[kernel].elements : 0, most = plan->head->worker_elements;
	return elements && elements <= most && elements * (uint64_t)r->frame.tokens <= most;
}

/* The begin of an operation, of a rank that measures. */
static int64_t now_of(const struct rank *r) { return r->measured || r->meter ? now_ns() : 0; }

void dr_launch(struct dr_frame *f, int32_t kernel, int32_t op, const uint64_t *args, int32_t n_args)
{
	struct rank *r = rank_of(f);
	note_op(r, op);
	begin_range(r, op);
	struct launch what = {kernel, n_args, args, r->step.head->phase, is_small(r, kernel)};
	int64_t begin = now_of(r);
	r->device->launch(r->device, &what);
	if (r->measured)
		measure_launch(r, kernel, args, now_ns() - begin);
	meter_launch(r, kernel, op, begin);
	range_end();
	if (r->step.head->trace)
		trace_launch(r, kernel, op, args);
}

void dr_collective(struct dr_frame *f, int32_t collective, int32_t op, uint64_t src, uint64_t dst, int64_t outer,
                   int64_t block, int64_t dst_block)
{
	struct rank *r = rank_of(f);
	struct comm *c = r->comm;
	const struct dr_collective *what = &r->job->plan->collectives[collective];
	struct collective_args x = {(int)what->group, what->dtype, src, dst, outer, block, dst_block};
	note_op(r, op);
	begin_range(r, op);
	int64_t begin = now_of(r);
	switch ((enum dr_collective_kind)what->kind) {
	case DR_ALL_REDUCE:     c->all_reduce(c, &x); break;
	case DR_ALL_GATHER:     c->all_gather(c, &x); break;
	case DR_REDUCE_SCATTER: c->reduce_scatter(c, &x); break;
	case DR_ALL_TO_ALL:     c->all_to_all(c, &x); break;
	case DR_SEND:           c->send(c, &x); break;
	case DR_RECV:           c->recv(c, &x); break;
	default:                rank_fail(&r->reporter, "internal: collective of kind %u", what->kind);
	}
	range_end();
	if (r->measured)
		measure_collective(r, collective, outer * block, now_ns() - begin);
	meter_collective(r, collective, op, outer * block, begin);
	r->used_host = r->used_host || !c->queued;
	if (r->job->options->sync)
		r->device->sync(r->device);
}

int32_t dr_rounds(struct dr_frame *f, int32_t group, int32_t op, uint64_t start, int32_t dests, int32_t local,
                  int64_t capacity)
{
	struct rank *r = rank_of(f);
	int64_t max = 1;
	note_op(r, op);
	r->used_host = true;
	/* The begin of each destination's assignments, and the end of the last one's. */
	struct rect begins = {start, (uint64_t)local * sizeof(int32_t), sizeof(int32_t), (uint64_t)dests + 1};
	r->device->read(r->device, r->starts, begins);
	for (int32_t i = 0; i < dests; i++) {
		int64_t rounds = divide_up(r->starts[i + 1] - r->starts[i], capacity);
		max = rounds > max ? rounds : max;
	}
	return group < 0 ? (int32_t)max : r->comm->max(r->comm, group, (int32_t)max);
}
