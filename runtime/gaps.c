/* For tests: launchers built with DEPLOYC_GAPS have gaps between the buffers of a step. Before a step, the whole space
 * of activations is filled with a pattern that is NaN in every format. After the step, the gaps must still have it. */
#include <stdlib.h>
#include "runtime.h"

enum { PATTERN = 0xff };

/* The address sanitizer reports kernels that read from a gap, too. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifndef ASAN_POISON_MEMORY_REGION
#define ASAN_POISON_MEMORY_REGION(at, bytes)   ((void)(at), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#endif

static const struct dr_gap *gaps_of(const struct rank *r, uint32_t *n)
{
	struct dr_span gaps = r->job->plan->programs[r->step.head->phase].gaps;
	*n = gaps.n;
	return plan_array(r->job->plan, struct dr_gap, gaps);
}

void gaps_fill(struct rank *r)
{
	uint32_t n;
	const struct dr_gap *gap = gaps_of(r, &n);
	uint64_t base = r->memory.base[DR_SPACE_ACT];
	if (n)
		r->device->fill(r->device, base, PATTERN, r->job->plan->stages[r->frame.stage].bytes[DR_SPACE_ACT]);
	for (uint32_t i = 0; i < n; i++)
		ASAN_POISON_MEMORY_REGION((void *)(uintptr_t)(base + gap[i].offset), gap[i].bytes);
}

static void check_gap(struct rank *r, const struct dr_gap *gap)
{
	unsigned char *bytes = host_alloc(gap->bytes, 1);
	uint64_t at = r->memory.base[DR_SPACE_ACT] + gap->offset;
	ASAN_UNPOISON_MEMORY_REGION((void *)(uintptr_t)at, gap->bytes);
	r->device->read(r->device, bytes, flat(at, gap->bytes));
	for (uint64_t i = 0; i < gap->bytes; i++)
		if (bytes[i] != PATTERN)
			rank_fail(&r->reporter,
			          "internal: byte %llu after the buffer that ends at %llu of the activations was written",
			          (unsigned long long)i, (unsigned long long)gap->offset);
	free(bytes);
}

void gaps_check(struct rank *r)
{
	uint32_t n;
	const struct dr_gap *gap = gaps_of(r, &n);
	for (uint32_t i = 0; i < n; i++)
		check_gap(r, &gap[i]);
}
