/* All ranks as the engine's stepper, on rank 0. */
#include "engine.h"
#include "runtime.h"

static void run_step(void *rank) { rank_step(rank); }

static void collect_results(void *rank)
{
	struct rank *r = rank;
	r->step.head->phase = STEP_COLLECT;
	rank_step(r);
}

/* A step that asks the host while it is queued would keep the tokens of the one before waiting. */
static unsigned phases_ahead(void *rank)
{
	const struct rank *r = rank;
	return ((1u << DR_PHASES) - 1) & ~r->asked_host;
}

struct stepper rank_stepper(struct rank *r)
{
	bool overlaps = r->overlaps && !r->measured;
	return (struct stepper){.step = &r->step,
	                        .run = run_step,
	                        .results = inbox_results(r->inbox),
	                        .context = r,
	                        .few_sizes = r->device->queue != NULL,
	                        .ahead = overlaps ? phases_ahead : NULL,
	                        .collect = overlaps ? collect_results : NULL};
}
