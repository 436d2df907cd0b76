/* Engines that run several instructions as one kernel: products of one operand, and passes over memory that follow one
 * another. Each instruction keeps its term, with its share of the kernel's time; what they share is read once. */
#include <math.h>
#include "step_time.h"

static bool is_launch(const struct played *p) { return p->term.instr->kind == INSTR_LAUNCH; }

static bool same_place(const struct argument *a, const struct argument *b)
{
	return a->address.space == b->address.space && a->address.offset == b->address.offset
	       && a->number.kind == b->number.kind && a->number.value == b->number.value && a->number.div == b->number.div
	       && a->number.group == b->number.group;
}

/* ---- products --------------------------------------------------------------------------------- */

/* What an instruction reads besides params. */
static struct memory_operands activations_of(const struct schedule *s, const struct instr *i)
{
	struct memory_operands all = instr_operands(s, i), out = {.n = 0};
	for (int k = 0; k < all.n; k++)
		if (all.at[k].direction == ARG_IN && !space_is_params(all.at[k].argument->address.space))
			out.at[out.n++] = all.at[k];
	return out;
}

static bool read_the_same(const struct memory_operands *a, const struct memory_operands *b)
{
	for (int k = 0; k < a->n && a->n == b->n; k++)
		if (!same_place(a->at[k].argument, b->at[k].argument))
			return false;
	return a->n == b->n;
}

static bool overwrites(const struct schedule *s, const struct instr *i, const struct memory_operands *what)
{
	struct memory_operands o = instr_operands(s, i);
	for (int k = 0; k < o.n; k++)
		for (int w = 0; w < what->n && o.at[k].direction != ARG_IN; w++)
			if (same_place(o.at[k].argument, what->at[w].argument))
				return true;
	return false;
}

static bool is_product(const struct played *p)
{
	return is_launch(p) && (p->term.work.kind == WORK_PRODUCT || p->term.work.kind == WORK_GROUPED);
}

/* The next product that runs as one with that at `first`, after `after`; or the end of the list. */
static int next_joined(const struct timing *t, const struct list_time *l, int first, int after)
{
	struct memory_operands read = activations_of(t->schedule, l->at[first].term.instr);
	for (int i = first + 1; i < l->list->n; i++) {
		const struct instr *in = &l->list->at[i];
		if (in->kind == INSTR_ROUNDS_BEGIN || in->kind == INSTR_ROUNDS_END)
			break;
		struct memory_operands other = activations_of(t->schedule, in);
		if (i > after && is_product(&l->at[i]) && timing_joined(&l->at[first].term.work, &l->at[i].term.work)
		    && read_the_same(&read, &other))
			return i;
		if (overwrites(t->schedule, in, &read))
			break;
	}
	return l->list->n;
}

static void fuse_products(struct timing *t, struct list_time *l, int first, bool *done)
{
	struct term *lead = &l->at[first].term, all = *lead;
	double operand = (double)(lead->work.product.rows * lead->work.product.k)
	                 * dtype_millibits(lead->work.product.activations) / 8000.0;
	for (int i = next_joined(t, l, first, first); i < l->list->n; i = next_joined(t, l, first, i)) {
		struct term *more = &l->at[i].term;
		more->bytes = fmax(more->bytes - operand, 0);
		all.work.product.n += more->work.product.n;
		all.timed.operations += more->timed.operations;
		all.timed.bytes += more->timed.bytes - operand;
	}
	struct time_parts parts = lead->work.kind == WORK_PRODUCT
	                              ? timing_product(t, &all.work, all.timed.operations, all.timed.bytes)
	                              : timing_grouped(t, &all.work, lead->hit, all.timed.operations, all.timed.bytes);
	for (int i = first; i < l->list->n; i = next_joined(t, l, first, i)) {
		struct term *one = &l->at[i].term;
		one->parts = time_scaled(parts, (double)one->work.product.n / (double)all.work.product.n);
		one->seconds = time_of(one->parts);
		done[i] = true;
	}
}

/* ---- passes ----------------------------------------------------------------------------------- */

static bool is_pass(const struct played *p)
{
	return is_launch(p) && (p->term.work.kind == WORK_PASS || p->term.work.kind == WORK_REDUCTION);
}

/* The pass that is the same kernel's, just before that at i; -1: it is the first. A layer's first pass follows the last
 * one of the layer before. */
static int pass_before(const struct list_time *l, int i)
{
	int before = i > 0 ? i - 1 : block_repeats(l->block->kind) ? l->list->n - 1 : -1;
	return before >= 0 && is_pass(&l->at[i]) && is_pass(&l->at[before]) ? before : -1;
}

/* Bytes that the pass at i reads of what passes of its kernel have just written. */
static double passed_on(const struct timing *t, const struct list_time *l, int i)
{
	const struct term *term = &l->at[i].term;
	const struct kernel *k = &t->schedule->kernels.at[term->instr->launch.kernel];
	double bytes = 0;
	for (int a = 0; a < term->instr->launch.n_args; a++) {
		const struct argument *read = &term->instr->launch.args[a];
		struct kernel_arg arg = kernel_arg(k, a, term->values);
		struct memory_operands one = {.n = 1, .at = {{(struct argument *)read, ARG_IN}}};
		if (read->kind == ARGUMENT_NUMBER || arg.direction != ARG_IN || arg.reach <= 0)
			continue;
		for (int b = pass_before(l, i); b >= 0 && b != i; b = pass_before(l, b))
			if (overwrites(t->schedule, l->at[b].term.instr, &one)) {
				bytes += (double)arg.reach;
				break;
			}
	}
	return bytes;
}

static void fuse_pass(const struct timing *t, struct list_time *l, int i)
{
	struct term *term = &l->at[i].term;
	if (pass_before(l, i) < 0 || pass_before(l, i) == i)
		return;
	double again = passed_on(t, l, i);
	term->bytes = fmax(term->bytes - again, 0);
	term->parts = timing_stream(t, fmax(term->timed.bytes - again, 0), term->work.kind == WORK_REDUCTION);
	term->seconds = time_of(term->parts);
}

void fuse_terms(struct timing *t, struct list_time *l)
{
	bool *done = arena_array(t->arena, bool, l->list->n + 1);
	for (int i = 0; i < l->list->n && t->engine; i++) {
		if (t->engine->fused_products && is_product(&l->at[i]) && !done[i])
			fuse_products(t, l, i, done);
		if (t->engine->fused_passes && is_pass(&l->at[i]))
			fuse_pass(t, l, i);
	}
}
