/* Assigns offsets to the buffers of a step. A buffer's bytes are free before its first use and after its last. */
#include <stdlib.h>
#include "lower.h"

enum { ALWAYS = 1 << 30 };

static void use(struct lower *w, const struct argument *a, int at)
{
	if (a->kind != ARGUMENT_BUFFER)
		return;
	struct buffer *b = &w->buffers.at[a->buffer];
	if (b->first < 0)
		b->first = at;
	b->last = at;
}

static void uses_of(struct lower *w, const struct instr *i, int at)
{
	struct memory_operands o = instr_operands(w->s, i);
	for (int k = 0; k < o.n; k++)
		use(w, o.at[k].argument, at);
}

/* A buffer that is written before a loop and read in it stays alive to the end of the loop. With from_begin, a buffer
 * first used in the loop and still used after it, such as a sum that each turn adds to, is alive from the loop's
 * beginning. */
static void extend(struct lower *w, int begin, int end, bool from_begin)
{
	for (int i = 0; i < w->buffers.n; i++) {
		struct buffer *b = &w->buffers.at[i];
		if (b->first < begin && b->last >= begin && b->last < end)
			b->last = end;
		if (from_begin && b->first >= begin && b->first < end && b->last > end)
			b->first = begin;
	}
}

/* at: number of the first instruction. Returns the number after the last. */
static int extend_rounds(struct lower *w, const struct instrs *in, int at)
{
	for (int i = 0, round = 0; i < in->n; i++, at++) {
		if (in->at[i].kind == INSTR_ROUNDS_BEGIN)
			round = at;
		if (in->at[i].kind == INSTR_ROUNDS_END)
			extend(w, round, at, true);
	}
	return at;
}

static void live_ranges(struct lower *w)
{
	const struct step_program *p = w->step;
	int at = 1;
	for (int i = 0; i < p->blocks.n; i++)
		for (int body = 0; body < p->blocks.at[i].n; body++)
			for (int k = 0; k < p->blocks.at[i].body[body].n; k++)
				uses_of(w, &p->blocks.at[i].body[body].at[k], at++);
	at = 1;
	for (int i = 0; i < p->blocks.n; i++) {
		int begin = at;
		at += block_instrs(&p->blocks.at[i]);
		if (block_repeats(p->blocks.at[i].kind))
			extend(w, begin, at, false);
	}
	at = 1;
	for (int i = 0; i < p->blocks.n; i++)
		for (int body = 0; body < p->blocks.at[i].n; body++)
			at = extend_rounds(w, &p->blocks.at[i].body[body], at);
}

static int by_first(const void *a, const void *b)
{
	const struct buffer *x = *(struct buffer *const *)a, *y = *(struct buffer *const *)b;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return x < y ? -1 : x > y;
}

static int by_offset(const void *a, const void *b)
{
	const struct buffer *x = *(struct buffer *const *)a, *y = *(struct buffer *const *)b;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Moves the placed buffers that are alive at `first` to the front. Returns their number. */
static int keep_alive(struct buffer **placed, int n, int first)
{
	int alive = 0;
	for (int i = 0; i < n; i++)
		if (placed[i]->last >= first)
			placed[alive++] = placed[i];
	return alive;
}

/* The offset of the first gap that is wide enough for `b` between the buffers alive with it. */
static int64_t first_fit(struct buffer **alive, int n, const struct buffer *b)
{
	qsort(alive, (size_t)n, sizeof *alive, by_offset);
	int64_t at = 0;
	for (int i = 0; i < n; i++) {
		if (alive[i]->offset - at >= b->bytes)
			break;
		if (alive[i]->offset + alive[i]->bytes > at)
			at = alive[i]->offset + alive[i]->bytes;
	}
	return at;
}

/* Records the gaps between buffers when no buffer reuses memory. */
static void note_gaps(struct lower *w, struct buffer **placed, int n)
{
	qsort(placed, (size_t)n, sizeof *placed, by_offset);
	for (int i = 0; i < n; i++) {
		int64_t from = placed[i]->offset + placed[i]->used;
		int64_t to = i + 1 < n ? placed[i + 1]->offset : placed[i]->offset + placed[i]->bytes;
		if (to > from)
			vec_push(w->arena, &w->step->gaps, ((struct gap){from, to - from}));
	}
}

static void patch(struct lower *w, struct argument *a)
{
	if (a->kind != ARGUMENT_BUFFER)
		return;
	a->address = (struct address){DR_SPACE_ACT, w->buffers.at[a->buffer].offset};
	a->kind = ARGUMENT_PLACED;
}

static void patch_instrs(struct lower *w, struct instrs *in)
{
	for (int i = 0; i < in->n; i++) {
		struct memory_operands o = instr_operands(w->s, &in->at[i]);
		for (int k = 0; k < o.n; k++)
			patch(w, o.at[k].argument);
	}
}

static void patch_step(struct lower *w)
{
	for (int i = 0; i < w->step->blocks.n; i++)
		for (int body = 0; body < w->step->blocks.at[i].n; body++)
			patch_instrs(w, &w->step->blocks.at[i].body[body]);
}

int64_t place_buffers(struct lower *w)
{
	live_ranges(w);
	int n = 0, placed = 0;
	struct buffer **order = arena_array(w->arena, struct buffer *, w->buffers.n + 1),
				  **done = arena_array(w->arena, struct buffer *, w->buffers.n + 1);
	int64_t bytes = 0;
	for (int i = 0; i < w->buffers.n; i++) {
		struct buffer *b = &w->buffers.at[i];
		if (b->fixed) { /* outputs: read after the step, at the same offset in all programs */
			b->first = 0;
			b->last = ALWAYS;
			done[placed++] = b;
			if (b->offset + b->bytes > bytes)
				bytes = b->offset + b->bytes;
		} else if (b->first >= 0)
			order[n++] = b;
	}
	qsort(order, (size_t)n, sizeof *order, by_first);
	for (int i = 0; i < n; i++) {
		placed = w->target->gap ? placed : keep_alive(done, placed, order[i]->first);
		order[i]->offset = w->target->gap ? bytes + w->target->gap : first_fit(done, placed, order[i]);
		done[placed++] = order[i];
		if (order[i]->offset + order[i]->bytes > bytes)
			bytes = order[i]->offset + order[i]->bytes;
	}
	if (w->target->gap)
		note_gaps(w, done, placed);
	for (int i = 0; i < w->buffers.n; i++) {
		const struct buffer *b = &w->buffers.at[i];
		if (b->first >= 0)
			vec_push(w->arena, &w->step->live, ((struct live){b->offset, b->used, b->first, b->last}));
	}
	const char *wrong = buffers_check(w);
	if (wrong)
		internal_error("buffers: %s", wrong);
	patch_step(w);
	return bytes;
}
