/* What is known of kernel families without their code. */
#include "kernel.h"
#include "../support/arena.h"

const char *kernel_family_name(enum kernel_family f)
{
	static const char *const names[] = {
		[KERNEL_ROWS] = "rows",       [KERNEL_CONTRACT] = "contract", [KERNEL_EMBED] = "embed",
		[KERNEL_PICK] = "pick",       [KERNEL_SLICE] = "slice",       [KERNEL_ANGLES] = "angles",
		[KERNEL_ROTATE] = "rotate",   [KERNEL_APPEND] = "append",     [KERNEL_ATTEND] = "attend",
		[KERNEL_ROUTE] = "route",     [KERNEL_ASSIGN] = "assign",     [KERNEL_PACK] = "pack",
		[KERNEL_OFFSETS] = "offsets", [KERNEL_SORT] = "sort",         [KERNEL_GATHER] = "gather",
		[KERNEL_SCATTER] = "scatter", [KERNEL_COMBINE] = "combine",   [KERNEL_CANDIDATES] = "candidates",
		[KERNEL_DRAW] = "draw",
	};
	_Static_assert(sizeof names / sizeof *names == KERNEL_FAMILIES, "a name for each family");
	return names[f];
}

int kernel_args(const struct kernel *k)
{
	static const int count[KERNEL_FAMILIES] = {
		[KERNEL_EMBED] = 5,  [KERNEL_PICK] = 6,    [KERNEL_SLICE] = 6,    [KERNEL_ANGLES] = 4,     [KERNEL_ROTATE] = 4,
		[KERNEL_APPEND] = 4, [KERNEL_ASSIGN] = 6,  [KERNEL_PACK] = 7,     [KERNEL_OFFSETS] = 4,    [KERNEL_SORT] = 4,
		[KERNEL_GATHER] = 4, [KERNEL_SCATTER] = 4, [KERNEL_COMBINE] = 10, [KERNEL_CANDIDATES] = 6, [KERNEL_DRAW] = 5,
	};
	switch (k->family) {
	case KERNEL_ROWS:     return k->rows.n_inputs + k->rows.n_outputs + 1 + k->rows.limited;
	case KERNEL_CONTRACT: return k->contract.grouped ? 5 : 4;
	case KERNEL_ROUTE:    return k->route.biased ? 6 : 5;
	case KERNEL_ATTEND:   return k->attend.has_sinks ? 9 : 8;
	default:
		if (k->family >= KERNEL_FAMILIES)
			internal_error("kernel of unknown family %d", (int)k->family);
		return count[k->family];
	}
}

bool kernel_writes(const struct kernel *k, int arg)
{
	static const struct {
		int first, n;
	} out[KERNEL_FAMILIES] = {
		[KERNEL_CONTRACT] = {2, 1},   [KERNEL_EMBED] = {2, 1},  [KERNEL_PICK] = {2, 1},    [KERNEL_SLICE] = {1, 1},
		[KERNEL_ANGLES] = {2, 1},     [KERNEL_ROTATE] = {2, 1}, [KERNEL_APPEND] = {2, 1},  [KERNEL_ATTEND] = {6, 1},
		[KERNEL_ROUTE] = {2, 2},      [KERNEL_ASSIGN] = {2, 3}, [KERNEL_PACK] = {3, 2},    [KERNEL_OFFSETS] = {1, 1},
		[KERNEL_SORT] = {1, 2},       [KERNEL_GATHER] = {2, 1}, [KERNEL_SCATTER] = {2, 1}, [KERNEL_COMBINE] = {6, 1},
		[KERNEL_CANDIDATES] = {2, 1}, [KERNEL_DRAW] = {2, 1},
	};
	if (k->family == KERNEL_ROWS)
		return arg >= k->rows.n_inputs && arg < k->rows.n_inputs + k->rows.n_outputs;
	return arg >= out[k->family].first && arg < out[k->family].first + out[k->family].n;
}

static int64_t round_to(int64_t n, int64_t m) { return m ? (n + m - 1) / m * m : n; }

/* From the first element that one row of an operand has to the end of the last one; of all groups that it has something
 * for. */
static int64_t rows_extent(const struct kernel_rows *k, const struct rows_operand *o)
{
	int64_t last = k->groups > 0 ? (k->groups - 1) * o->group_stride : 0;
	for (int i = 0; i < k->dims; i++)
		last += (k->extent[i] - 1) * o->stride[i];
	return (last + 1) * dtype_bytes(o->dtype);
}

static int64_t tiles(const struct packing *p, int64_t groups, int64_t n, int64_t k, enum dtype t)
{
	return groups * round_to(n, p->n_tile) * round_to(k, p->n_tile ? p->k_pair : 0) * dtype_bytes(t);
}

int64_t kernel_reads(const struct kernel *k, int arg)
{
	const struct kernel_attend *a = &k->attend;
	switch (k->family) {
	case KERNEL_ROWS:
		return arg < k->rows.n_inputs && !k->rows.input[arg].row_stride ? rows_extent(&k->rows, &k->rows.input[arg])
		                                                                : 0;
	case KERNEL_CONTRACT:
		if (arg != 1)
			return 0;
		return tiles(&k->contract.pack, k->contract.grouped ? k->contract.groups : k->contract.batch, k->contract.n,
		             k->contract.k, k->contract.w);
	case KERNEL_EMBED:  return arg ? 0 : tiles(&k->embed.pack, 1, k->embed.v, k->embed.d, k->embed.table);
	case KERNEL_ANGLES: return arg ? 0 : k->angles.p * dtype_bytes(DTYPE_F32);
	case KERNEL_ROUTE:  return arg == 5 ? k->route.experts * dtype_bytes(DTYPE_F32) : 0;
	case KERNEL_ATTEND:
		return arg == 8 ? ((a->heads - 1) * a->sink_head + (a->group - 1) * a->sink_group + 1) * dtype_bytes(a->sink)
		                : 0;
	case KERNEL_ASSIGN: return arg == 1 ? k->assign.experts * dtype_bytes(DTYPE_I32) : 0;
	default:            return 0;
	}
}
