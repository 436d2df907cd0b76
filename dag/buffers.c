/* Assigns offsets to the buffers of a step: large ones first, each at the lowest offset that is free from its first use
 * to its last. A pass over rows may write its result over what it reads. */
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

/* ---- results in place ------------------------------------------------------------------------ */
static bool is_start(const struct argument *a)
{
	return a->kind == ARGUMENT_BUFFER && a->number.kind == NUMBER_CONST && !a->number.value;
}

static int operands_in(const struct instr *i, int buffer)
{
	int n = 0;
	for (int k = 0; k < i->launch.n_args; k++)
		n += i->launch.args[k].kind == ARGUMENT_BUFFER && i->launch.args[k].buffer == buffer;
	return n;
}

/* May the result `o` of a pass, its instruction number `at`, take the place of its input `n`? The pass reads an element
 * before it writes that of the same place, and nothing else reads the input any more. */
static bool may_replace(struct lower *w, const struct instr *i, int at, int n, int o)
{
	const struct kernel_rows *k = &w->s->kernels.at[i->launch.kernel].rows;
	const struct argument *from = &i->launch.args[n], *to = &i->launch.args[k->n_inputs + o];
	if (!is_start(from) || !is_start(to) || !rows_same_elements(k, &k->input[n], &k->output[o]))
		return false;
	const struct buffer *x = &w->buffers.at[from->buffer], *y = &w->buffers.at[to->buffer];
	return !x->fixed && !y->fixed && x->first < at && x->last == at && y->first == at && y->replaces < 0
	       && x->bytes == y->bytes && operands_in(i, from->buffer) == 1 && operands_in(i, to->buffer) == 1;
}

static void replace_in(struct lower *w, const struct instr *i, int at)
{
	const struct kernel *k = i->kind == INSTR_LAUNCH ? &w->s->kernels.at[i->launch.kernel] : NULL;
	bool taken[ROWS_MAX_OPERANDS] = {false};
	for (int o = 0; k && k->family == KERNEL_ROWS && o < k->rows.n_outputs; o++)
		for (int n = 0; n < k->rows.n_inputs; n++)
			if (!taken[n] && may_replace(w, i, at, n, o)) {
				w->buffers.at[i->launch.args[k->rows.n_inputs + o].buffer].replaces = i->launch.args[n].buffer;
				taken[n] = true;
			}
}

static void find_replaced(struct lower *w)
{
	int at = 1;
	for (int b = 0; b < w->step->blocks.n; b++)
		for (int body = 0; body < w->step->blocks.at[b].n; body++)
			for (int i = 0; i < w->step->blocks.at[b].body[body].n; i++)
				replace_in(w, &w->step->blocks.at[b].body[body].at[i], at++);
}

/* ---- places ---------------------------------------------------------------------------------- */
/* Large ones first. */
static int by_bytes(const void *a, const void *b)
{
	const struct buffer *x = *(struct buffer *const *)a, *y = *(struct buffer *const *)b;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return x < y ? -1 : x > y;
}

static int by_offset(const void *a, const void *b)
{
	const struct buffer *x = *(struct buffer *const *)a, *y = *(struct buffer *const *)b;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* The buffer whose place a buffer has: its own, or that of one that it replaces, directly or by way of others. */
static struct buffer *place_of(struct lower *w, struct buffer *b)
{
	while (b->replaces >= 0)
		b = &w->buffers.at[b->replaces];
	return b;
}

/* Sets how long each place is in use: until the last of those that have it in turn. */
static void find_ends(struct lower *w)
{
	for (int i = 0; i < w->buffers.n; i++)
		w->buffers.at[i].until = w->buffers.at[i].last;
	for (int i = 0; i < w->buffers.n; i++) {
		struct buffer *b = &w->buffers.at[i], *place = place_of(w, b);
		place->until = b->last > place->until ? b->last : place->until;
	}
}

/* Copies to `out` the placed buffers whose places are in use at the same time as that of `b`. Returns their number. */
static int used_with(struct buffer **placed, int n, const struct buffer *b, struct buffer **out)
{
	int found = 0;
	for (int i = 0; i < n; i++)
		if (placed[i]->first <= b->until && b->first <= placed[i]->until)
			out[found++] = placed[i];
	return found;
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

/* Places the `n` buffers of `order` beside the `placed` ones in `done`. */
static int64_t place_each(struct lower *w, struct buffer **order, int n, struct buffer **done, int placed)
{
	struct buffer **alive = arena_array(w->arena, struct buffer *, w->buffers.n + 1);
	int64_t bytes = 0;
	for (int i = 0; i < placed; i++)
		bytes = done[i]->offset + done[i]->bytes > bytes ? done[i]->offset + done[i]->bytes : bytes;
	qsort(order, (size_t)n, sizeof *order, by_bytes);
	for (int i = 0; i < n; i++) {
		struct buffer *b = order[i];
		if (w->target->gap)
			b->offset = bytes + w->target->gap;
		else if (b->replaces < 0)
			b->offset = first_fit(alive, used_with(done, placed, b, alive), b);
		else
			continue;
		done[placed++] = b;
		bytes = b->offset + b->bytes > bytes ? b->offset + b->bytes : bytes;
	}
	for (int i = 0; i < n && !w->target->gap; i++)
		order[i]->offset = place_of(w, order[i])->offset;
	if (w->target->gap)
		note_gaps(w, done, placed);
	return bytes;
}

int64_t place_buffers(struct lower *w)
{
	live_ranges(w);
	find_replaced(w);
	find_ends(w);
	int n = 0, placed = 0;
	struct buffer **order = arena_array(w->arena, struct buffer *, w->buffers.n + 1),
				  **done = arena_array(w->arena, struct buffer *, w->buffers.n + 1);
	for (int i = 0; i < w->buffers.n; i++) {
		struct buffer *b = &w->buffers.at[i];
		if (b->fixed) { /* outputs: read after the step, at the same offset in all programs */
			b->first = 0;
			b->last = b->until = ALWAYS;
			done[placed++] = b;
		} else if (b->first >= 0)
			order[n++] = b;
	}
	int64_t bytes = place_each(w, order, n, done, placed);
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
