/* Finds where numbers stop being finite. When logits are not finite, the step runs once more, and each rank checks the
 * results of its contractions. A step may be repeated: it writes the same values to the same addresses. Where steps
 * overlap, the next one has run by then, and may have written where a sequence that has ended had its cache. */
#include <stdlib.h>
#include "number.h"
#include "runtime.h"

/* Is one of n numbers infinite or NaN? Then its exponent is all ones. */
static bool has_odd(uint32_t dtype, const void *at, int64_t n)
{
	const uint32_t *wide = at;
	const uint16_t *narrow = at;
	uint16_t exponent = dtype == DR_BF16 ? 0x7f80 : 0x7c00;
	for (int64_t i = 0; i < n; i++)
		if (dtype == DR_F32 ? (wide[i] & 0x7f800000) == 0x7f800000 : (narrow[i] & exponent) == exponent)
			return true;
	return false;
}

/* Is a number of the result at `at` not finite? */
static bool result_is_odd(struct rank *r, const struct dr_result *y, uint64_t at, uint64_t rows)
{
	size_t size = dtype_size(y->dtype);
	void *row = host_alloc((size_t)y->n, size);
	bool odd = false;
	for (uint64_t i = 0; i < rows * y->batch && !odd; i++) {
		int64_t from = (int64_t)(i / y->batch) * y->stride + (int64_t)(i % y->batch) * y->batch_stride;
		r->device->read(r->device, row, flat(at + (uint64_t)from * size, (uint64_t)y->n * size));
		odd = has_odd(y->dtype, row, y->n);
	}
	free(row);
	return odd;
}

void trace_launch(struct rank *r, int32_t kernel, int32_t op, const uint64_t *args)
{
	const struct dr_result *y = r->job->plan->kernels[kernel].result;
	struct rank_odd *odd = &r->odd;
	r->traced++;
	for (int i = 0; i < DR_RESULTS && y[i].n && !odd->order; i++) {
		if (i == 0)
			r->device->sync(r->device);
		if (result_is_odd(r, &y[i], args[y[i].argument], args[3]))
			*odd = (struct rank_odd){r->traced, op, r->frame.layer < 0 ? -1 : r->frame.first_layer + r->frame.layer};
	}
}

void trace_begin(struct rank *r)
{
	r->traced = 0;
	r->odd = (struct rank_odd){0};
}

void trace_deliver(struct rank *r)
{
	if (!r->odds) {
		r->comm->give(r->comm, &r->odd, sizeof r->odd);
		return;
	}
	r->odds[0] = r->odd;
	for (int i = 1; i < (int)r->job->plan->head->ranks; i++)
		r->comm->take(r->comm, i, &r->odds[i], sizeof r->odds[i]);
}

/* Stages run in order, and so do the operations of a stage. */
static bool comes_before(const struct plan *plan, const struct rank_odd *odds, int rank, int other)
{
	const struct rank_odd *x = &odds[rank], *y = &odds[other];
	int stage = plan_stage(plan, rank), stage_of_other = plan_stage(plan, other);
	return stage != stage_of_other ? stage < stage_of_other : x->order < y->order;
}

bool trace_ask(struct rank *r)
{
	if (!r->job->plan->kernels)
		return false;
	r->step.head->trace = 1;
	r->step.head->later = 0;
	r->trace_late = r->under_way;
	r->odds = host_alloc(r->job->plan->head->ranks, sizeof *r->odds);
	return true;
}

void trace_answer(struct rank *r, char *out, size_t n)
{
	const struct plan *plan = r->job->plan;
	int first = -1;
	char layer[32] = "", name[256];
	for (int i = 0; i < (int)plan->head->ranks; i++)
		if (r->odds[i].order && (first < 0 || comes_before(plan, r->odds, i, first)))
			first = i;
	struct rank_odd odd = first < 0 ? (struct rank_odd){0} : r->odds[first];
	free(r->odds);
	r->odds = NULL;
	if (first < 0) {
		snprintf(out, n, "%s return finite numbers",
		         r->trace_late ? "in the step, run again after the next one, all contractions"
		                       : "all contractions before it");
		return;
	}
	if (odd.layer >= 0)
		snprintf(layer, sizeof layer, "layer %d, ", odd.layer);
	plan_rank_name(plan, first, name, sizeof name);
	snprintf(out, n, "the first such numbers of a contraction are in %s`%s` on %s", layer, plan_op(plan, odd.op), name);
}
