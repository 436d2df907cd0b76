/* One step of a rank: its inputs, its microbatches, its results. */
#include <string.h>
#include "runtime.h"

void activity(struct rank *r, enum activity a) { atomic_store(&r->reporter.board->rank[r->index].activity, a); }

static void run_microbatch(struct rank *r, int number)
{
	inputs_write(r, number);
	r->frame.tokens = r->step.tokens[number];
	r->frame.rows = r->step.rows[number];
	r->frame.candidates = step_candidates(&r->step, r->job->plan, number);
	gaps_fill(r);
	activity(r, ACTIVITY_STEP);
	graphs_run(r);
	if (!r->device->queue)
		r->device->sync(r->device);
	gaps_check(r);
	if (!r->device->queue)
		activity(r, ACTIVITY_OUTPUT);
	parcel_pack(r, number);
}

/* Runs the stage's part of the step. Each chunk of the model is a whole stage here. A device that queues its work is
 * waited for once. */
static void run_pipeline(struct rank *r)
{
	struct pipeline p = plan_pipeline(r->job->plan, r->step.head->microbatches);
	for (int64_t i = 0; i < stage_entries(&p); i++)
		run_microbatch(r, (int)stage_entry(&p, r->frame.stage, i).microbatch);
	r->device->sync(r->device);
}

bool rank_step(struct rank *r)
{
	const struct plan *plan = r->job->plan;
	size_t fixed = step_fixed(plan), word = sizeof *r->step.words;
	activity(r, ACTIVITY_WAIT);
	r->comm->broadcast(r->comm, plan->n_groups, r->step.words, fixed * word);
	if (r->step.head->phase == STEP_STOP)
		return false;
	step_measure(&r->step, plan);
	r->comm->broadcast(r->comm, plan->n_groups, r->step.words + fixed, (r->step.n - fixed) * word);
	inputs_write_pages(r);
	memcpy(r->frame.pages, r->step.head->pages, sizeof r->frame.pages);
	trace_begin(r);
	range_begin(plan_string(plan, plan->programs[r->step.head->phase].name), -1);
	run_pipeline(r);
	range_end();
	activity(r, ACTIVITY_WAIT);
	parcel_deliver(r);
	if (r->step.head->trace)
		trace_deliver(r);
	return true;
}
