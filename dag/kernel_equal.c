/* Compares kernel descriptions field by field, since padding bytes are arbitrary. tests/unit/test_kernel.c checks that
 * no field is left out. */
#include <stddef.h>
#include <string.h>
#include "kernel.h"

/* Fields of struct K, one of the kernel descriptions. */
#define FIELD(member) {offsetof(struct K, member), sizeof((struct K *)0)->member, 1, 0}
#define EACH(array, member)                                                       \
	{offsetof(struct K, array[0].member), sizeof((struct K *)0)->array[0].member, \
	 sizeof((struct K *)0)->array / sizeof((struct K *)0)->array[0], sizeof((struct K *)0)->array[0]}

#define K kernel_rows
static const struct kernel_field rows[] = {
	FIELD(dims),          FIELD(extent),
	FIELD(n_inputs),      FIELD(n_outputs),
	EACH(input, dtype),   EACH(input, row_stride),
	EACH(input, stride),  EACH(input, group_stride),
	EACH(output, dtype),  EACH(output, row_stride),
	EACH(output, stride), EACH(output, group_stride),
	FIELD(n_nodes),       EACH(node, op),
	EACH(node, a),        EACH(node, b),
	EACH(node, c),        EACH(node, number),
	EACH(node, dtype),    FIELD(result),
	FIELD(limited),       FIELD(ranged),
	FIELD(groups),        {0},
};
#undef K
#define K kernel_contract
static const struct kernel_field contract[] = {
	FIELD(n),
	FIELD(k),
	FIELD(x_stride),
	FIELD(y_stride),
	FIELD(batch),
	FIELD(x_batch),
	FIELD(y_batch),
	FIELD(x),
	FIELD(w),
	FIELD(y),
	FIELD(pack.n_tile),
	FIELD(pack.k_run),
	FIELD(pack.swizzled),
	FIELD(grouped),
	FIELD(groups),
	FIELD(more),
	EACH(other, n),
	EACH(other, y_stride),
	EACH(other, y_batch),
	{0},
};
#undef K
#define K kernel_embed
static const struct kernel_field embed[] = {
	FIELD(v), FIELD(d), FIELD(table), FIELD(out), FIELD(pack.n_tile), FIELD(pack.k_run), FIELD(pack.swizzled), {0},
};
#undef K
#define K kernel_tile
static const struct kernel_field tile[] = {
	FIELD(pack.n_tile),
	FIELD(pack.k_run),
	FIELD(pack.swizzled),
	{0},
};
#undef K
#define K kernel_pick
static const struct kernel_field pick[] = {
	FIELD(d),
	FIELD(dtype),
	{0},
};
#undef K
#define K kernel_slice
static const struct kernel_field slice[] = {
	FIELD(d),
	FIELD(dtype),
	{0},
};
#undef K
#define K kernel_angles
static const struct kernel_field angles[] = {
	FIELD(p),
	{0},
};
#undef K
#define K kernel_rotate
static const struct kernel_field rotate[] = {
	FIELD(heads), FIELD(f),      FIELD(interleaved), FIELD(x),      FIELD(y),
	FIELD(x_row), FIELD(x_head), FIELD(y_row),       FIELD(y_head), {0},
};
#undef K
#define K kernel_append
static const struct kernel_field append[] = {
	FIELD(heads), FIELD(f), FIELD(page), FIELD(by_position), FIELD(x), FIELD(cache), {0},
};
#undef K
#define K kernel_attend
static const struct kernel_field attend[] = {
	FIELD(heads),
	FIELD(group),
	FIELD(d),
	FIELD(w),
	FIELD(keys_by_position),
	FIELD(on_matrix),
	FIELD(d_cached),
	FIELD(w_cached),
	FIELD(q_row),
	FIELD(q_head),
	FIELD(q_group),
	FIELD(y_row),
	FIELD(y_head),
	FIELD(y_group),
	FIELD(page),
	FIELD(pages_per_seq),
	FIELD(window),
	FIELD(chunk),
	FIELD(cap),
	FIELD(scale),
	FIELD(causal),
	FIELD(has_sinks),
	FIELD(sink_head),
	FIELD(sink_group),
	FIELD(has_slopes),
	FIELD(slope_head),
	FIELD(slope_group),
	FIELD(q),
	FIELD(kv),
	FIELD(y),
	FIELD(sink),
	FIELD(slope),
	{0},
};
#undef K
#define K kernel_route
static const struct kernel_field route[] = {
	FIELD(experts), FIELD(top),        FIELD(renormalize), FIELD(factor), FIELD(biased),
	FIELD(groups),  FIELD(top_groups), FIELD(by_best),     {0},
};
#undef K
#define K kernel_assign
static const struct kernel_field assign[] = {
	FIELD(top),
	FIELD(experts),
	FIELD(keys),
	{0},
};
#undef K
#define K kernel_pack
static const struct kernel_field pack[] = {
	FIELD(d), FIELD(top), FIELD(dests), FIELD(local), FIELD(dtype), {0},
};
#undef K
#define K kernel_offsets
static const struct kernel_field offsets[] = {
	FIELD(local),
	{0},
};
#undef K
#define K kernel_sort
static const struct kernel_field sort[] = {
	FIELD(local),
	{0},
};
#undef K
#define K kernel_gather
static const struct kernel_field gather[] = {
	FIELD(d),
	FIELD(dtype),
	{0},
};
#undef K
#define K kernel_combine
static const struct kernel_field combine[] = {
	FIELD(d), FIELD(top), FIELD(dests), FIELD(local), FIELD(dtype), {0},
};
#undef K
#define K kernel_sample
static const struct kernel_field sample[] = {
	FIELD(v),
	FIELD(n),
	FIELD(total),
	{0},
};
#undef K

const struct kernel_field *kernel_fields(enum kernel_family f)
{
	static const struct kernel_field *const of[KERNEL_FAMILIES] = {
		[KERNEL_ROWS] = rows,         [KERNEL_CONTRACT] = contract, [KERNEL_EMBED] = embed,
		[KERNEL_PICK] = pick,         [KERNEL_SLICE] = slice,       [KERNEL_ANGLES] = angles,
		[KERNEL_ROTATE] = rotate,     [KERNEL_APPEND] = append,     [KERNEL_ATTEND] = attend,
		[KERNEL_ROUTE] = route,       [KERNEL_ASSIGN] = assign,     [KERNEL_PACK] = pack,
		[KERNEL_OFFSETS] = offsets,   [KERNEL_SORT] = sort,         [KERNEL_GATHER] = gather,
		[KERNEL_SCATTER] = gather,    [KERNEL_TILE] = tile,         [KERNEL_COMBINE] = combine,
		[KERNEL_CANDIDATES] = sample, [KERNEL_DRAW] = sample,
	};
	return of[f];
}

bool kernel_equal(const struct kernel *a, const struct kernel *b)
{
	if (a->family != b->family)
		return false;
	const char *x = (const char *)&a->rows, *y = (const char *)&b->rows; /* a union: all descriptions begin here */
	for (const struct kernel_field *f = kernel_fields(a->family); f->size; f++)
		for (size_t i = 0; i < f->n; i++)
			if (memcmp(x + f->offset + i * f->stride, y + f->offset + i * f->stride, f->size) != 0)
				return false;
	return true;
}
