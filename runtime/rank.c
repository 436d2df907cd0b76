/* The life of a rank: device, memory, weights, then the steps that rank 0 hands out. */
#include <stdlib.h>
#include "runtime.h"
#include "world.h"

void activity(struct rank *r, enum activity a) { atomic_store(&r->reporter.board->rank[r->index].activity, a); }

/* ---- start ----------------------------------------------------------------------------------- */
static void open_frame(struct rank *r)
{
	const struct plan *plan = r->job->plan;
	int32_t *index = host_alloc((size_t)plan->n_groups, sizeof *index);
	for (int g = 0; g < plan->n_groups; g++)
		index[g] = plan_group_index(plan, g, r->index);
	int stage = plan_stage(plan, r->index);
	r->first_layer = (int)plan->stages[stage].layer_begin;
	r->frame = (struct dr_frame){
		.index = index,
		.stage = stage,
		.stages = plan->n_stages,
		.layer = -1,
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
	struct device_options options = {job->generated->kernels, job->threads, job->spin, r->reporter};
	activity(r, ACTIVITY_LOAD);
	checkpoint_guard(job->checkpoint, &r->reporter);
	r->device = device_open(job->options->device, &options);
	r->comm = job->world->connect(job->world, r->device, &r->reporter, job->spin);
	memory_open(&r->memory, job->plan, r->index, r->device, &r->reporter);
	s->planned = plan_bytes(job->plan, r->index);
	s->allocated = r->memory.total;
	r->starts = host_alloc(job->plan->head->ranks + 1, sizeof *r->starts);
	parcel_open(r);
	r->inbox = r->index == 0 ? inbox_open(r) : NULL;
	r->counted = host_alloc(step_most_words(job->plan), sizeof *r->counted);
	step_open(&r->step, job->plan);
	open_frame(r);
	tables_load(job->plan, r->index, r->device, &r->memory);
	weights_load(job->plan, r->index, job->checkpoint, r->device, &r->memory, job->threads, &r->reporter);
	r->comm->barrier(r->comm, job->plan->n_groups);
	activity(r, ACTIVITY_WAIT);
}

static void close_rank(struct rank *r)
{
	activity(r, ACTIVITY_END);
	free((void *)(uintptr_t)r->frame.index);
	free(r->starts);
	free(r->counted);
	parcel_close(r);
	if (r->inbox)
		inbox_close(r->inbox);
	step_close(&r->step);
	r->comm->close(r->comm);
	r->device->close(r->device);
}

/* ---- a step ---------------------------------------------------------------------------------- */
/* The first of the owners that a rank has in a layout whose `group` cuts them, and how many. */
struct owners {
	int first, n;
};

static struct owners owners_of(const struct rank *r, uint32_t group)
{
	int n = r->job->plan->n_owners / plan_group_size(r->job->plan, (int)group);
	return (struct owners){r->frame.index[group] * n, n};
}

/* A slot in the pages that the rank has, which are each n-th; -1: in another's. */
static int32_t own_slot(const struct rank *r, const struct dr_step_input *in, int32_t slot)
{
	int page = (int)r->job->plan->head->page, ranks = plan_group_size(r->job->plan, (int)in->pages);
	return slot / page % ranks == r->frame.index[in->pages] ? slot / page / ranks * page + slot % page : -1;
}

/* Sequences, slots and pages of the i-th owner of a rank count on from those of the owners before it. */
static const int32_t *counted_on(const struct rank *r, const struct dr_step_input *in, const int32_t *words, int n,
                                 int i)
{
	const struct dr_program *h = r->job->plan->head;
	int ranks = plan_group_size(r->job->plan, (int)in->pages), before = 0;
	if (in->what == DR_INPUT_SEQ)
		before = (int)h->seqs * i;
	if (in->what == DR_INPUT_SLOT)
		before = (int)(h->pages * h->page) / ranks * i;
	if (in->what == DR_INPUT_PAGES)
		before = (int)h->pages * i;
	if (ranks == 1 && !before)
		return words;
	for (int k = 0; k < n; k++) {
		int32_t word = in->what == DR_INPUT_SLOT && words[k] >= 0 ? own_slot(r, in, words[k]) : words[k];
		r->counted[k] = word < 0 ? word : word + before;
	}
	return r->counted;
}

/* Writes an array that a step brings, as the rank has it. */
static void write_input(struct rank *r, int microbatch, const struct dr_step_input *in)
{
	const struct plan *plan = r->job->plan;
	struct owners mine = owners_of(r, in->owners);
	uint64_t at = r->memory.base[DR_SPACE_INPUT] + in->offset;
	for (int i = 0; i < mine.n; i++) {
		int n;
		const int32_t *words = step_array(&r->step, plan, microbatch, mine.first + i, (enum dr_input)in->what, &n);
		n /= plan_group_size(plan, (int)in->part);
		words += r->frame.index[in->part] * n;
		words = counted_on(r, in, words, n, i);
		r->device->write(r->device, flat(at + (uint64_t)(i * n) * sizeof *words, (uint64_t)n * sizeof *words), words);
	}
}

static void write_inputs(struct rank *r, int microbatch, bool pages)
{
	const struct dr_program *h = r->job->plan->head;
	const struct dr_step_input *in = plan_array(r->job->plan, struct dr_step_input, h->inputs);
	for (uint32_t i = 0; i < h->inputs.n; i++)
		if ((in[i].what == DR_INPUT_PAGES) == pages)
			write_input(r, microbatch, &in[i]);
}

static void run_microbatch(struct rank *r, int number)
{
	write_inputs(r, number, false);
	r->frame.tokens = r->step.tokens[number];
	r->frame.rows = r->step.rows[number];
	r->frame.candidates = step_candidates(&r->step, r->job->plan, number);
	r->frame.layer = -1;
	gaps_fill(r);
	activity(r, ACTIVITY_STEP);
	r->job->generated->step[r->step.head->phase](&r->frame);
	r->device->sync(r->device);
	gaps_check(r);
	activity(r, ACTIVITY_OUTPUT);
	parcel_pack(r, number);
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
		write_inputs(r, 0, true);
	r->frame.pages = r->step.head->pages;
	trace_begin(r);
	for (int i = 0; i < r->step.head->microbatches; i++)
		run_microbatch(r, i);
	activity(r, ACTIVITY_WAIT);
	parcel_deliver(r);
	if (r->step.head->trace)
		trace_deliver(r);
	return true;
}

void rank_main(const struct job *job, int index)
{
	struct rank r = {.job = job, .index = index, .reporter = {job->world->board, index}};
	open_rank(&r);
	if (index == 0)
		serve(&r);
	else
		while (rank_step(&r))
			;
	close_rank(&r);
}
