/* One step of a rank: its inputs, its microbatches, its results. */
#include "runtime.h"

void activity(struct rank *r, enum activity a) { atomic_store(&r->reporter.board->rank[r->index].activity, a); }

/* The owners that a rank serves if `group` divides them: the first, and their number. */
struct owners {
	int first, n;
};

static struct owners owners_of(const struct rank *r, uint32_t group)
{
	int n = r->job->plan->n_owners / plan_group_size(r->job->plan, (int)group);
	return (struct owners){r->frame.index[group] * n, n};
}

/* The rank's number of a slot; -1: the page belongs to another rank. */
static int32_t own_slot(const struct rank *r, const struct dr_step_input *in, int32_t slot)
{
	int page = (int)r->job->plan->head->page_size, ranks = plan_group_size(r->job->plan, (int)in->page_group);
	return slot / page % ranks == r->frame.index[in->page_group] ? slot / page / ranks * page + slot % page : -1;
}

/* Offsets the sequence, slot and page numbers of the rank's i-th owner by those of the owners before it. */
static const int32_t *counted_on(const struct rank *r, const struct dr_step_input *in, const int32_t *words, int n,
                                 int i)
{
	const struct dr_program *h = r->job->plan->head;
	int ranks = plan_group_size(r->job->plan, (int)in->page_group), before = 0;
	if (in->what == DR_INPUT_SEQ)
		before = (int)h->seqs * i;
	if (in->what == DR_INPUT_SLOT)
		before = (int)(h->pages * h->page_size) / ranks * i;
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

/* Writes an input array as the rank stores it: see struct dr_step_input. */
static void write_input(struct rank *r, int microbatch, const struct dr_step_input *in)
{
	const struct plan *plan = r->job->plan;
	struct owners mine = owners_of(r, in->owner_group);
	uint64_t at = r->memory.base[DR_SPACE_INPUT] + in->offset;
	for (int i = 0; i < mine.n; i++) {
		int n;
		const int32_t *words = step_array(&r->step, plan, microbatch, mine.first + i, (enum dr_input)in->what, &n);
		n /= plan_group_size(plan, (int)in->token_group);
		words += r->frame.index[in->token_group] * n;
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
	gaps_fill(r);
	activity(r, ACTIVITY_STEP);
	r->job->generated->steps[r->step.head->phase](&r->frame);
	r->device->sync(r->device);
	gaps_check(r);
	activity(r, ACTIVITY_OUTPUT);
	parcel_pack(r, number);
}

/* Runs the stage's part of the step. Each chunk of the model is a whole stage here. */
static void run_pipeline(struct rank *r)
{
	struct pipeline p = plan_pipeline(r->job->plan, r->step.head->microbatches);
	for (int64_t i = 0; i < stage_entries(&p); i++)
		run_microbatch(r, (int)stage_entry(&p, r->frame.stage, i).microbatch);
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
	run_pipeline(r);
	activity(r, ACTIVITY_WAIT);
	parcel_deliver(r);
	if (r->step.head->trace)
		trace_deliver(r);
	return true;
}
