/* One step of a rank: its inputs, its microbatches, its results. */
#include <string.h>
#include "meter.h"
#include "runtime.h"

void activity(struct rank *r, enum activity a) { atomic_store(&r->reporter.board->rank[r->index].activity, a); }

static void run_microbatch(struct rank *r, int number)
{
	r->microbatch = number;
	inputs_write(r, number);
	r->frame.tokens = r->step.tokens[number];
	r->frame.rows = r->step.rows[number];
	r->frame.candidates = step_candidates(&r->step, r->job->plan, number);
	gaps_fill(r);
	activity(r, ACTIVITY_STEP);
	graphs_run(r);
	timeline_end_microbatch(r);
	if (!r->device->queue)
		r->device->sync(r->device);
	gaps_check(r);
	if (!r->device->queue)
		activity(r, ACTIVITY_OUTPUT);
	parcel_pack(r, number);
}

/* Runs the stage's part of the step. Each chunk of the model is a whole stage here. A device that queues its work is
 * waited for once, by who needs the results. */
static void run_pipeline(struct rank *r)
{
	struct pipeline p = plan_pipeline(r->job->plan, r->step.head->microbatches);
	for (int64_t i = 0; i < stage_entries(&p); i++)
		run_microbatch(r, (int)stage_entry(&p, r->frame.stage, i).microbatch);
	parcel_sent(r);
}

static void run_step(struct rank *r)
{
	const struct plan *plan = r->job->plan;
	unsigned phase = 1u << r->step.head->phase;
	inputs_write_pages(r);
	memcpy(r->frame.pages, r->step.head->pages, sizeof r->frame.pages);
	trace_begin(r);
	range_begin(plan_string(plan, plan->programs[r->step.head->phase].name), -1);
	r->used_host = false;
	run_pipeline(r);
	r->asked_host = (r->asked_host & ~phase) | (r->used_host ? phase : 0);
	range_end();
}

/* ---- results --------------------------------------------------------------------------------- */
static void swap_steps(struct rank *r)
{
	struct step step = r->step;
	r->step = r->other;
	r->other = step;
}

static void bring_results(struct rank *r, unsigned back)
{
	parcel_await(r, back);
	activity(r, ACTIVITY_WAIT);
	parcel_deliver(r, back);
}

/* The results of the step that has just been run. */
static void deliver(struct rank *r)
{
	bring_results(r, 0);
	if (r->step.head->trace)
		trace_deliver(r);
}

/* Those of the step under way, without another one. */
static void collect(struct rank *r)
{
	r->under_way = false;
	swap_steps(r);
	bring_results(r, 0);
}

/* Those of the step under way, now that the next one is queued. later: then that is the one under way. */
static void deliver_before(struct rank *r, bool later)
{
	swap_steps(r);
	bring_results(r, 1);
	if (later)
		ahead_know_tokens(r);
	else
		swap_steps(r);
}

/* What rank 0 asks for between steps. false: it has no more steps. */
static bool answer_request(struct rank *r)
{
	if (r->step.head->phase == STEP_COLLECT)
		collect(r);
	else if (r->step.head->phase == STEP_METER)
		meter_deliver(r);
	else if (r->step.head->phase == STEP_TIMELINE)
		timeline_deliver(r);
	else
		return false;
	return true;
}

bool rank_step(struct rank *r)
{
	const struct plan *plan = r->job->plan;
	size_t fixed = step_fixed(plan), word = sizeof *r->step.words;
	activity(r, ACTIVITY_WAIT);
	if (r->index == 0)
		meter_step_begin(r);
	r->comm->broadcast(r->comm, plan->n_groups, r->step.words, fixed * word);
	if (r->step.head->phase < 0)
		return answer_request(r);
	if (r->index)
		meter_step_begin(r);
	step_measure(&r->step, plan);
	r->comm->broadcast(r->comm, plan->n_groups, r->step.words + fixed, (r->step.n - fixed) * word);
	bool before = r->under_way, later = r->step.head->later;
	run_step(r);
	meter_step_ran(r);
	r->under_way = later;
	if (before)
		deliver_before(r, later);
	else if (later)
		swap_steps(r);
	if (!later)
		deliver(r);
	meter_step_end(r);
	return true;
}
