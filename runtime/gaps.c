/* For tests: launchers built with DEPLOYC_GAPS have free bytes between the buffers of a step. All of the activations' space is
 * filled before a step with a pattern that is NaN in every format; in the gaps it must be there after it. */
#include <stdlib.h>
#include "runtime.h"

enum { PATTERN = 0xff };

static const struct dr_span *gaps_of(const struct rank *r)
{
	return &r->job->plan->head->gaps[r->step.head->phase];
}

void gaps_fill(struct rank *r)
{
	uint64_t bytes = r->job->plan->stages[r->frame.stage].bytes[DR_SPACE_ACT];
	if (gaps_of(r)->n)
		r->device->fill(r->device, r->memory.base[DR_SPACE_ACT], PATTERN, bytes);
}

static void check_gap(struct rank *r, const struct dr_gap *gap)
{
	unsigned char *bytes = host_alloc(gap->bytes, 1);
	r->device->read(r->device, bytes, flat(r->memory.base[DR_SPACE_ACT] + gap->offset, gap->bytes));
	for (uint64_t i = 0; i < gap->bytes; i++)
		if (bytes[i] != PATTERN)
			rank_fail(&r->reporter, "internal: byte %llu after the buffer that ends at %llu of the activations was written",
			          (unsigned long long)i, (unsigned long long)gap->offset);
	free(bytes);
}

void gaps_check(struct rank *r)
{
	const struct dr_gap *gaps = plan_array(r->job->plan, struct dr_gap, *gaps_of(r));
	for (uint32_t i = 0; i < gaps_of(r)->n; i++)
		check_gap(r, &gaps[i]);
}
