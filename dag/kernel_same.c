/* When two kernels are one: every field of their family is compared, by name. Bytes between fields say nothing. */
#include "kernel.h"
#include "../support/arena.h"

#define SAME(field) (a->field == b->field)

static bool same_numbers(const int64_t *a, const int64_t *b, int n)
{
	while (n > 0 && a[n - 1] == b[n - 1])
		n--;
	return n <= 0;
}

static bool same_operands(const struct rows_operand *a, const struct rows_operand *b, int n)
{
	for (; n > 0; n--, a++, b++)
		if (!(SAME(dtype) && SAME(row_stride) && SAME(group_stride) && same_numbers(a->stride, b->stride, ROWS_MAX_DIMS)))
			return false;
	return true;
}

static bool same_nodes(const struct rows_node *a, const struct rows_node *b, int n)
{
	for (; n > 0; n--, a++, b++)
		if (!(SAME(op) && SAME(a) && SAME(b) && SAME(c) && SAME(number) && SAME(dtype)))
			return false;
	return true;
}

static bool same_rows(const struct kernel_rows *a, const struct kernel_rows *b)
{
	if (!(SAME(dims) && SAME(n_inputs) && SAME(n_outputs) && SAME(n_nodes) && SAME(limited) && SAME(groups)))
		return false;
	for (int i = 0; i < a->n_outputs; i++)
		if (!SAME(result[i]))
			return false;
	return same_numbers(a->extent, b->extent, a->dims) && same_operands(a->input, b->input, a->n_inputs)
	       && same_operands(a->output, b->output, a->n_outputs) && same_nodes(a->node, b->node, a->n_nodes);
}

static bool same_contract(const struct kernel_contract *a, const struct kernel_contract *b)
{
	return SAME(n) && SAME(k) && SAME(x_stride) && SAME(y_stride) && SAME(batch) && SAME(x_batch) && SAME(y_batch) && SAME(x) && SAME(w)
	       && SAME(y) && SAME(pack.n_tile) && SAME(pack.k_pair) && SAME(grouped) && SAME(groups);
}

static bool same_attend(const struct kernel_attend *a, const struct kernel_attend *b)
{
	return SAME(heads) && SAME(group) && SAME(d) && SAME(w) && SAME(keys_by_position) && SAME(d_cached) && SAME(w_cached) && SAME(q_row)
	       && SAME(q_head) && SAME(q_group) && SAME(y_row) && SAME(y_head) && SAME(y_group) && SAME(page) && SAME(pages_per_seq)
	       && SAME(window) && SAME(scale) && SAME(causal) && SAME(has_sinks) && SAME(sink_head) && SAME(sink_group) && SAME(q) && SAME(kv)
	       && SAME(y) && SAME(sink);
}

static bool same_rotate(const struct kernel_rotate *a, const struct kernel_rotate *b)
{
	return SAME(heads) && SAME(f) && SAME(interleaved) && SAME(x) && SAME(y) && SAME(x_row) && SAME(x_head) && SAME(y_row) && SAME(y_head);
}

static bool same_route(const struct kernel_route *a, const struct kernel_route *b)
{
	return SAME(experts) && SAME(top) && SAME(renormalize) && SAME(factor) && SAME(biased) && SAME(groups) && SAME(top_groups);
}

bool kernel_same(const struct kernel *a, const struct kernel *b)
{
	if (!SAME(family))
		return false;
	switch (a->family) {
	case KERNEL_ROWS: return same_rows(&a->rows, &b->rows);
	case KERNEL_CONTRACT: return same_contract(&a->contract, &b->contract);
	case KERNEL_EMBED: return SAME(embed.v) && SAME(embed.d) && SAME(embed.table) && SAME(embed.out) && SAME(embed.pack.n_tile) && SAME(embed.pack.k_pair);
	case KERNEL_PICK: return SAME(pick.d) && SAME(pick.dtype);
	case KERNEL_SLICE: return SAME(slice.d) && SAME(slice.dtype);
	case KERNEL_ANGLES: return SAME(angles.p);
	case KERNEL_ROTATE: return same_rotate(&a->rotate, &b->rotate);
	case KERNEL_APPEND:
		return SAME(append.heads) && SAME(append.f) && SAME(append.page) && SAME(append.by_position) && SAME(append.x) && SAME(append.cache);
	case KERNEL_ATTEND: return same_attend(&a->attend, &b->attend);
	case KERNEL_ROUTE: return same_route(&a->route, &b->route);
	case KERNEL_ASSIGN: return SAME(assign.top) && SAME(assign.experts) && SAME(assign.keys);
	case KERNEL_PACK: return SAME(pack.d) && SAME(pack.top) && SAME(pack.dests) && SAME(pack.local) && SAME(pack.dtype);
	case KERNEL_OFFSETS: return SAME(offsets.local);
	case KERNEL_SORT: return SAME(sort.local);
	case KERNEL_GATHER: case KERNEL_SCATTER: return SAME(gather.d) && SAME(gather.dtype);
	case KERNEL_COMBINE: return SAME(combine.d) && SAME(combine.top) && SAME(combine.dests) && SAME(combine.local) && SAME(combine.dtype);
	case KERNEL_CANDIDATES: case KERNEL_DRAW: return SAME(sample.v) && SAME(sample.n);
	case KERNEL_FAMILIES: break;
	}
	internal_error("kernel of unknown family %d", (int)a->family);
}
