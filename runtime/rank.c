/* The life of a rank: device, memory, weights, then the steps that rank 0 hands out. */
#include <stdlib.h>
#include "runtime.h"

void activity(struct rank *r, enum activity a)
{
	atomic_store(&r->reporter.board->rank[r->index].activity, a);
}

/* ---- start -------------------------------------------------------------------------------------------------------- */
static void open_frame(struct rank *r)
{
	const struct plan *plan = r->job->plan;
	int32_t *index = host_alloc((size_t)plan->n_groups, sizeof *index);
	for (int g = 0; g < plan->n_groups; g++)
		index[g] = plan_group_index(plan, g, r->index);
	int stage = plan_stage(plan, r->index);
	r->first_layer = (int)plan->stages[stage].layer_begin;
	r->frame = (struct dr_frame){
		.index = index, .stage = stage, .stages = plan->n_stages, .layer = -1,
		.body_of = plan_bodies(plan, plan->stages[stage].layer_begin),
		.layers = (int32_t)(plan->stages[stage].layer_end - plan->stages[stage].layer_begin),
	};
	for (int i = 0; i < DR_SPACES; i++)
		r->frame.base[i] = r->memory.base[i];
}

static void open_rank(struct rank *r)
{
	const struct job *job = r->job;
	struct rank_status *s = &r->reporter.board->rank[r->index];
	struct device_options options = { job->generated->kernels, job->threads, job->spin, r->reporter };
	activity(r, ACTIVITY_LOAD);
	r->device = device_open(job->options->device, &options);
	r->comm = comm_local_open(job->comm, job->plan, r->device, &r->reporter, job->options->timeout, job->spin);
	memory_open(&r->memory, job->plan, r->index, r->device, &r->reporter);
	s->planned = plan_bytes(job->plan, r->index);
	s->allocated = r->memory.total;
	r->starts = host_alloc(job->plan->head->ranks + 1, sizeof *r->starts);
	step_open(&r->step, job->plan);
	open_frame(r);
	tables_load(job->plan, r->index, r->device, &r->memory);
	weights_load(job->plan, r->index, job->checkpoint, r->device, &r->memory, job->threads, &r->reporter);
	r->comm->barrier(r->comm, job->plan->n_groups, true);
	activity(r, ACTIVITY_WAIT);
}

static void close_rank(struct rank *r)
{
	activity(r, ACTIVITY_END);
	free((void *)(uintptr_t)r->frame.index);
	free(r->starts);
	step_close(&r->step);
	r->comm->close(r->comm);
	r->device->close(r->device);
}

/* ---- a step ------------------------------------------------------------------------------------------------------- */
static void write_input(struct rank *r, int microbatch, enum dr_input input)
{
	const struct plan *plan = r->job->plan;
	int n, owner = r->frame.index[plan->head->owner_group];
	const int32_t *words = step_array(&r->step, plan, microbatch, owner, input, &n);
	uint64_t at = r->memory.base[DR_SPACE_INPUT] + plan->head->input_offset[input];
	r->device->write(r->device, flat(at, (uint64_t)n * sizeof *words), words);
}

/* Is this rank's coordinate 0 along every atom but those of stages, owners and, with logits, shards of the vocabulary? */
static bool hands_over(const struct rank *r, bool logits)
{
	const struct plan *plan = r->job->plan;
	const struct dr_program *h = plan->head;
	for (uint32_t a = 0; a < h->atoms.n; a++) {
		bool free = plan_group_has(plan, (int)h->stage_group, a) || plan_group_has(plan, (int)h->owner_group, a) ||
		            (logits && plan_group_has(plan, (int)h->logits_group, a));
		if (!free && plan_coordinate(plan, a, r->index) != 0)
			return false;
	}
	return r->frame.stage == r->frame.stages - 1;
}

/* Copies this rank's part of the rows' logits into the results: [row][vocab], shards side by side. */
static void hand_over_logits(struct rank *r, size_t first)
{
	const struct dr_program *h = r->job->plan->head;
	size_t shards = (size_t)plan_group_size(r->job->plan, (int)h->logits_group), width = h->vocab / shards;
	size_t shard = (size_t)r->frame.index[h->logits_group];
	uint64_t at = r->memory.base[DR_SPACE_ACT] + h->logits_offset;
	for (int row = 0; row < r->frame.rows; row++) {
		float *to = r->job->results.logits + (first + (size_t)row) * h->vocab + shard * width;
		r->device->read(r->device, to, flat(at + (uint64_t)row * width * sizeof *to, width * sizeof *to));
	}
}

static void hand_over(struct rank *r, int microbatch)
{
	const struct plan *plan = r->job->plan;
	const struct results *out = &r->job->results;
	int owner = r->frame.index[plan->head->owner_group];
	size_t first = (size_t)(microbatch * plan->n_owners + owner) * (size_t)out->max_rows;
	if (hands_over(r, false))
		r->device->read(r->device, out->tokens + first,
		                flat(r->memory.base[DR_SPACE_ACT] + plan->head->tokens_offset,
		                     (uint64_t)r->frame.rows * sizeof *out->tokens));
	if (out->logits && hands_over(r, true))
		hand_over_logits(r, first);
}

static void run_microbatch(struct rank *r, int number)
{
	for (int input = 0; input < DR_INPUT_PAGES; input++)
		write_input(r, number, (enum dr_input)input);
	r->frame.tokens = r->step.tokens[number];
	r->frame.rows = r->step.rows[number];
	r->frame.candidates = step_candidates(&r->step, r->job->plan, number);
	r->frame.layer = -1;
	activity(r, ACTIVITY_STEP);
	r->job->generated->step[r->step.head->phase](&r->frame);
	r->device->sync(r->device);
	activity(r, ACTIVITY_OUTPUT);
	hand_over(r, number);
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
	if (r->step.head->with_pages)
		write_input(r, 0, DR_INPUT_PAGES);
	for (int i = 0; i < r->step.head->microbatches; i++)
		run_microbatch(r, i);
	activity(r, ACTIVITY_WAIT);
	r->comm->barrier(r->comm, plan->n_groups, false);
	return true;
}

void rank_main(const struct job *job, int index)
{
	struct rank r = { .job = job, .index = index, .reporter = { job->board, index } };
	open_rank(&r);
	if (index == 0)
		serve(&r);
	else
		while (rank_step(&r))
			;
	close_rank(&r);
	exit(STATUS_OK);
}
