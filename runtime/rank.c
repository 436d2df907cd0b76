/* The life of a rank: opens device and memory, loads weights, runs the steps that rank 0 broadcasts. */
#include <stdlib.h>
#include "meter.h"
#include "runtime.h"
#include "world.h"

/* ---- start ----------------------------------------------------------------------------------- */
static void open_frame(struct rank *r)
{
	const struct plan *plan = r->job->plan;
	int32_t *index = host_alloc((size_t)plan->n_groups, sizeof *index);
	for (int g = 0; g < plan->n_groups; g++)
		index[g] = plan_group_index(plan, g, r->index);
	int stage = plan_stage(plan, r->index);
	r->frame = (struct dr_frame){
		.index = index,
		.stage = stage,
		.stages = plan->n_stages,
		.layer = -1,
		.body_of = plan_bodies(plan, plan->stages[stage].layer_begin),
		.first_layer = (int32_t)plan->stages[stage].layer_begin,
		.layers = (int32_t)(plan->stages[stage].layer_end - plan->stages[stage].layer_begin),
	};
	for (int i = 0; i < DR_SPACES; i++)
		r->frame.base[i] = r->memory.base[i];
}

static bool measures(const struct options *o) { return (o->bench && !o->calibrate) || o->measure || o->trace; }

static void open_rank(struct rank *r)
{
	const struct job *job = r->job;
	struct rank_status *s = &r->reporter.board->rank[r->index];
	struct device_options options = {.image = job->generated->image,
	                                 .workers = job->workers,
	                                 .spin = job->spin,
	                                 .reporter = r->reporter,
	                                 .timeout = job->options->timeout,
	                                 .sync = job->options->sync};
	activity(r, ACTIVITY_LOAD);
	checkpoint_guard(job->checkpoint, &r->reporter);
	r->device = device_open(job->options->device, &options);
	ranges_open(r->index == 0);
	memory_check(job->plan, r->index, job->workers, r->device, &r->reporter);
	memory_open(&r->memory, job->plan, r->index, job->workers, r->device, &r->reporter);
	r->comm = job->world->connect(job->world, r->device, &r->reporter, job->spin);
	if (job->generated->image->form == DR_IMAGE_PTX)
		r->comm = comm_nccl_open(r->comm, job->plan, r->device, r->memory.base[DR_SPACE_COMM], &r->reporter);
	s->planned = plan_bytes(job->plan, r->index, job->workers);
	s->allocated = r->memory.total;
	r->starts = host_alloc(job->plan->head->ranks + 1, sizeof *r->starts);
	r->overlaps = ahead_possible(r);
	parcels_open(r);
	r->inbox = r->index == 0 ? inbox_open(r) : NULL;
	inputs_open(r);
	r->graphs = graphs_open();
	step_open(&r->step, job->plan);
	if (r->overlaps)
		step_open(&r->other, job->plan);
	open_frame(r);
	tables_load(job->plan, r->index, r->device, &r->memory);
	if (measures(job->options))
		meter_open(r);
	if (job->options->trace)
		timeline_open(r);
	weights_load(job->plan, r->index, job->checkpoint, r->device, &r->memory, job->threads, &r->reporter);
	r->comm->barrier(r->comm, job->plan->n_groups);
	activity(r, ACTIVITY_WAIT);
}

static void close_rank(struct rank *r)
{
	activity(r, ACTIVITY_END);
	free((void *)(uintptr_t)r->frame.index);
	free(r->starts);
	inputs_close(r);
	meter_close(r);
	timeline_close(r);
	graphs_close(r);
	parcels_close(r);
	if (r->inbox)
		inbox_close(r->inbox);
	step_close(&r->step);
	step_close(&r->other);
	r->comm->close(r->comm);
	r->device->close(r->device);
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
