/* Are two kernel descriptions equal? By their fields, for the bytes between fields mean nothing. tests/unit/test_kernel.c knows that
 * no field is left out. */
#include <stddef.h>
#include <string.h>
#include "kernel.h"

#define FIELD(s, member) { offsetof(struct s, member), sizeof ((struct s *)0)->member, 1, 0 }
#define EACH(s, array, member)                                                                                          \
	{ offsetof(struct s, array[0].member), sizeof ((struct s *)0)->array[0].member,                                 \
	  sizeof ((struct s *)0)->array / sizeof ((struct s *)0)->array[0], sizeof ((struct s *)0)->array[0] }

static const struct kernel_field rows[] = {
	FIELD(kernel_rows, dims), FIELD(kernel_rows, extent), FIELD(kernel_rows, n_inputs), FIELD(kernel_rows, n_outputs),
	EACH(kernel_rows, input, dtype), EACH(kernel_rows, input, row_stride), EACH(kernel_rows, input, stride), EACH(kernel_rows, input, group_stride),
	EACH(kernel_rows, output, dtype), EACH(kernel_rows, output, row_stride), EACH(kernel_rows, output, stride), EACH(kernel_rows, output, group_stride),
	FIELD(kernel_rows, n_nodes), EACH(kernel_rows, node, op), EACH(kernel_rows, node, a), EACH(kernel_rows, node, b), EACH(kernel_rows, node, c),
	EACH(kernel_rows, node, number), EACH(kernel_rows, node, dtype), FIELD(kernel_rows, result), FIELD(kernel_rows, limited), FIELD(kernel_rows, groups), { 0 },
};
static const struct kernel_field contract[] = {
	FIELD(kernel_contract, n), FIELD(kernel_contract, k), FIELD(kernel_contract, x_stride), FIELD(kernel_contract, y_stride), FIELD(kernel_contract, batch),
	FIELD(kernel_contract, x_batch), FIELD(kernel_contract, y_batch), FIELD(kernel_contract, x), FIELD(kernel_contract, w), FIELD(kernel_contract, y),
	FIELD(kernel_contract, pack.n_tile), FIELD(kernel_contract, pack.k_pair), FIELD(kernel_contract, grouped), FIELD(kernel_contract, groups), { 0 },
};
static const struct kernel_field embed[] = {
	FIELD(kernel_embed, v), FIELD(kernel_embed, d), FIELD(kernel_embed, table), FIELD(kernel_embed, out), FIELD(kernel_embed, pack.n_tile),
	FIELD(kernel_embed, pack.k_pair), { 0 },
};
static const struct kernel_field pick[] = { FIELD(kernel_pick, d), FIELD(kernel_pick, dtype), { 0 } };
static const struct kernel_field slice[] = { FIELD(kernel_slice, d), FIELD(kernel_slice, dtype), { 0 } };
static const struct kernel_field angles[] = { FIELD(kernel_angles, p), { 0 } };
static const struct kernel_field rotate[] = {
	FIELD(kernel_rotate, heads), FIELD(kernel_rotate, f), FIELD(kernel_rotate, interleaved), FIELD(kernel_rotate, x), FIELD(kernel_rotate, y),
	FIELD(kernel_rotate, x_row), FIELD(kernel_rotate, x_head), FIELD(kernel_rotate, y_row), FIELD(kernel_rotate, y_head), { 0 },
};
static const struct kernel_field append[] = {
	FIELD(kernel_append, heads), FIELD(kernel_append, f), FIELD(kernel_append, page), FIELD(kernel_append, by_position), FIELD(kernel_append, x),
	FIELD(kernel_append, cache), { 0 },
};
static const struct kernel_field attend[] = {
	FIELD(kernel_attend, heads), FIELD(kernel_attend, group), FIELD(kernel_attend, d), FIELD(kernel_attend, w), FIELD(kernel_attend, keys_by_position),
	FIELD(kernel_attend, d_cached), FIELD(kernel_attend, w_cached), FIELD(kernel_attend, q_row), FIELD(kernel_attend, q_head), FIELD(kernel_attend, q_group),
	FIELD(kernel_attend, y_row), FIELD(kernel_attend, y_head), FIELD(kernel_attend, y_group), FIELD(kernel_attend, page), FIELD(kernel_attend, pages_per_seq),
	FIELD(kernel_attend, window), FIELD(kernel_attend, scale), FIELD(kernel_attend, causal), FIELD(kernel_attend, has_sinks), FIELD(kernel_attend, sink_head),
	FIELD(kernel_attend, sink_group), FIELD(kernel_attend, q), FIELD(kernel_attend, kv), FIELD(kernel_attend, y), FIELD(kernel_attend, sink), { 0 },
};
static const struct kernel_field route[] = {
	FIELD(kernel_route, experts), FIELD(kernel_route, top), FIELD(kernel_route, renormalize), FIELD(kernel_route, factor), FIELD(kernel_route, biased),
	FIELD(kernel_route, groups), FIELD(kernel_route, top_groups), { 0 },
};
static const struct kernel_field assign[] = { FIELD(kernel_assign, top), FIELD(kernel_assign, experts), FIELD(kernel_assign, keys), { 0 } };
static const struct kernel_field pack[] = {
	FIELD(kernel_pack, d), FIELD(kernel_pack, top), FIELD(kernel_pack, dests), FIELD(kernel_pack, local), FIELD(kernel_pack, dtype), { 0 },
};
static const struct kernel_field offsets[] = { FIELD(kernel_offsets, local), { 0 } };
static const struct kernel_field sort[] = { FIELD(kernel_sort, local), { 0 } };
static const struct kernel_field gather[] = { FIELD(kernel_gather, d), FIELD(kernel_gather, dtype), { 0 } };
static const struct kernel_field combine[] = {
	FIELD(kernel_combine, d), FIELD(kernel_combine, top), FIELD(kernel_combine, dests), FIELD(kernel_combine, local), FIELD(kernel_combine, dtype), { 0 },
};
static const struct kernel_field sample[] = { FIELD(kernel_sample, v), FIELD(kernel_sample, n), { 0 } };

const struct kernel_field *kernel_fields(enum kernel_family f)
{
	static const struct kernel_field *const of[KERNEL_FAMILIES] = {
		[KERNEL_ROWS] = rows, [KERNEL_CONTRACT] = contract, [KERNEL_EMBED] = embed, [KERNEL_PICK] = pick, [KERNEL_SLICE] = slice,
		[KERNEL_ANGLES] = angles, [KERNEL_ROTATE] = rotate, [KERNEL_APPEND] = append, [KERNEL_ATTEND] = attend, [KERNEL_ROUTE] = route,
		[KERNEL_ASSIGN] = assign, [KERNEL_PACK] = pack, [KERNEL_OFFSETS] = offsets, [KERNEL_SORT] = sort, [KERNEL_GATHER] = gather,
		[KERNEL_SCATTER] = gather, [KERNEL_COMBINE] = combine, [KERNEL_CANDIDATES] = sample, [KERNEL_DRAW] = sample,
	};
	return of[f];
}

bool kernel_equal(const struct kernel *a, const struct kernel *b)
{
	if (a->family != b->family) return false;
	const char *x = (const char *)&a->rows, *y = (const char *)&b->rows;   /* a union: all families begin there */
	for (const struct kernel_field *f = kernel_fields(a->family); f->size; f++)
		for (size_t i = 0; i < f->n; i++)
			if (memcmp(x + f->offset + i * f->stride, y + f->offset + i * f->stride, f->size) != 0) return false;
	return true;
}
