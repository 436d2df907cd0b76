/* The inputs of a step, as a rank stores them. Where the device queues its work, those of a microbatch are gathered in
 * pinned memory and copied at once: two such buffers take turns, so that the next inputs need not wait. */
#include <stdlib.h>
#include <string.h>
#include "runtime.h"

/* The rank's number of a slot; -1: the page belongs to another rank. */
static int32_t own_slot(const struct rank *r, const struct dr_step_input *in, int32_t slot)
{
	int page = (int)r->job->plan->head->page_size, ranks = plan_group_size(r->job->plan, (int)in->page_group);
	return slot / page % ranks == r->frame.index[in->page_group] ? slot / page / ranks * page + slot % page : -1;
}

/* The entries of the owners before the rank's i-th one. */
static const int32_t *entries_counted_on(const struct rank *r, const int32_t *words, int n, int before)
{
	memcpy(r->counted, words, (size_t)n * sizeof *words);
	struct dr_sampling *row = (struct dr_sampling *)(void *)r->counted, *end = row + n * sizeof *words / sizeof *row;
	for (; row < end; row++)
		row->adjust += before;
	return r->counted;
}

/* Offsets the sequence, slot, page and entry numbers of the rank's i-th owner by those of the owners before it. */
static const int32_t *counted_on(const struct rank *r, const struct dr_step_input *in, int microbatch,
                                 const int32_t *words, int n, int i)
{
	const struct dr_program *h = r->job->plan->head;
	int ranks = plan_group_size(r->job->plan, (int)in->page_group), before = 0;
	uint32_t pages = r->job->plan->pools[in->pool].pages;
	if (in->what == DR_INPUT_SEQ)
		before = (int)h->seqs * i;
	if (in->what == DR_INPUT_SLOT)
		before = (int)(pages * h->page_size) / ranks * i;
	if (in->what == DR_INPUT_PAGES)
		before = (int)pages * i;
	if (in->what == DR_INPUT_SAMPLE && i && r->step.adjusts[microbatch])
		return entries_counted_on(r, words, n, r->step.adjusts[microbatch] * i);
	if (ranks == 1 && !before)
		return words;
	for (int k = 0; k < n; k++) {
		int32_t word = in->what == DR_INPUT_SLOT && words[k] >= 0 ? own_slot(r, in, words[k]) : words[k];
		r->counted[k] = word < 0 ? word : word + before;
	}
	return r->counted;
}

/* Writes an input array as the rank stores it: see struct dr_step_input. staged: the space's copy in host memory, or
 * NULL for the device's own. Returns the end of the array in the space. */
static uint64_t write_input(struct rank *r, int microbatch, const struct dr_step_input *in, unsigned char *staged)
{
	const struct plan *plan = r->job->plan;
	struct owners mine = plan_owners(r->job->plan, in->owner_group, r->index);
	uint64_t at = in->offset;
	for (int i = 0; i < mine.n; i++) {
		int n;
		const int32_t *words = step_array(&r->step, plan, microbatch, mine.first + i, (enum dr_input)in->what, &n);
		if (in->what == DR_INPUT_SLOT)
			words = step_slots(&r->step, plan, microbatch, mine.first + i, (int)in->pool);
		n /= plan_group_size(plan, (int)in->token_group);
		words += r->frame.index[in->token_group] * n;
		words = counted_on(r, in, microbatch, words, n, i);
		uint64_t bytes = (uint64_t)n * sizeof *words;
		if (staged)
			memcpy(staged + at, words, bytes);
		else if (n)
			r->device->write(r->device, flat(r->memory.base[DR_SPACE_INPUT] + at, bytes), words);
		at += bytes;
	}
	return at;
}

/* The next array of a step's inputs in the order of the space, at `from` or after it; NULL: none. */
static const struct dr_step_input *input_from(const struct rank *r, uint64_t from)
{
	const struct dr_step_input *in = plan_array(r->job->plan, struct dr_step_input, r->job->plan->head->inputs);
	const struct dr_step_input *first = NULL;
	for (uint32_t i = 0; i < r->job->plan->head->inputs.n; i++)
		if (in[i].offset >= from && (!first || in[i].offset < first->offset))
			first = &in[i];
	return first;
}

static void send_run(struct rank *r, const unsigned char *staged, uint64_t from, uint64_t to)
{
	if (to > from)
		r->device->queue->send(r->device, r->memory.base[DR_SPACE_INPUT] + from, staged + from, to - from);
}

/* One copy, unless a page table, of which only changes are written, comes in between, or changes of logits, which are
 * few or none of those that there is room for. */
static void stage_inputs(struct rank *r, int microbatch)
{
	const struct device_queue *q = r->device->queue;
	struct staging *s = &r->staging;
	unsigned which = s->next++ % STAGINGS;
	uint64_t from = 0, to = 0;
	q->await(r->device, which);
	for (const struct dr_step_input *in = input_from(r, 0); in; in = input_from(r, in->offset + 1))
		if (in->what == DR_INPUT_PAGES || in->what == DR_INPUT_ADJUST) {
			send_run(r, s->buffer[which], from, to);
			from = to = 0;
			if (in->what == DR_INPUT_ADJUST)
				send_run(r, s->buffer[which], in->offset, write_input(r, microbatch, in, s->buffer[which]));
		} else {
			from = to ? from : in->offset;
			to = write_input(r, microbatch, in, s->buffer[which]);
		}
	send_run(r, s->buffer[which], from, to);
	q->mark(r->device, which);
	if (r->under_way)
		ahead_take_tokens(r);
}

void inputs_open(struct rank *r)
{
	r->counted = host_alloc(step_max_words(r->job->plan), sizeof *r->counted);
	for (int i = 0; r->device->queue && i < STAGINGS; i++)
		r->staging.buffer[i] = r->device->queue->host_memory(r->device, r->memory.bytes[DR_SPACE_INPUT]);
}

void inputs_close(struct rank *r) { free(r->counted); }

/* Writes a run into a page table, if the rank serves its owner. staged: see write_input. */
static void write_run(struct rank *r, const struct dr_step_input *in, const struct page_run *run, unsigned char *staged)
{
	const struct dr_program *h = r->job->plan->head;
	struct owners mine = plan_owners(r->job->plan, in->owner_group, r->index);
	int i = run->owner - mine.first;
	if (i < 0 || i >= mine.n || run->pool != (int)in->pool)
		return;
	const int32_t *pages = counted_on(r, in, 0, (const int32_t *)(run + 1), run->n, i);
	uint64_t row = (uint64_t)i * h->seqs + (uint64_t)run->row, bytes = (uint64_t)run->n * sizeof *pages;
	uint64_t at = in->offset + (row * h->pages_per_seq + (uint64_t)run->first) * sizeof *pages;
	if (staged) {
		memcpy(staged + at, pages, bytes);
		r->device->queue->send(r->device, r->memory.base[DR_SPACE_INPUT] + at, staged + at, bytes);
	} else {
		r->device->write(r->device, flat(r->memory.base[DR_SPACE_INPUT] + at, bytes), pages);
	}
}

/* Where the device queues, the buffer is the one that the first microbatch's inputs take, and mark, next. */
void inputs_write_pages(struct rank *r)
{
	const struct dr_step_input *in = plan_array(r->job->plan, struct dr_step_input, r->job->plan->head->inputs);
	unsigned which = r->staging.next % STAGINGS;
	const struct page_run *run = step_next_run(&r->step, r->job->plan, NULL);
	if (run && r->device->queue)
		r->device->queue->await(r->device, which);
	for (; run; run = step_next_run(&r->step, r->job->plan, run))
		for (uint32_t i = 0; i < r->job->plan->head->inputs.n; i++)
			if (in[i].what == DR_INPUT_PAGES)
				write_run(r, &in[i], run, r->device->queue ? r->staging.buffer[which] : NULL);
}

void inputs_write(struct rank *r, int microbatch)
{
	const struct dr_step_input *in = plan_array(r->job->plan, struct dr_step_input, r->job->plan->head->inputs);
	if (r->device->queue) {
		stage_inputs(r, microbatch);
		return;
	}
	for (uint32_t i = 0; i < r->job->plan->head->inputs.n; i++)
		if (in[i].what != DR_INPUT_PAGES)
			write_input(r, microbatch, &in[i], NULL);
}
