/* What is known of kernel families without their code. */
#include "kernel.h"
#include "../support/arena.h"

const char *kernel_family_name(enum kernel_family f)
{
	static const char *const names[] = {
		[KERNEL_ROWS] = "rows",       [KERNEL_CONTRACT] = "contract", [KERNEL_EMBED] = "embed",
		[KERNEL_PICK] = "pick",       [KERNEL_SLICE] = "slice",       [KERNEL_ANGLES] = "angles",
		[KERNEL_ROTATE] = "rotate",
		[KERNEL_APPEND] = "append",   [KERNEL_ATTEND] = "attend",     [KERNEL_ROUTE] = "route",
		[KERNEL_ASSIGN] = "assign",   [KERNEL_PACK] = "pack",         [KERNEL_OFFSETS] = "offsets",
		[KERNEL_SORT] = "sort",       [KERNEL_GATHER] = "gather",     [KERNEL_SCATTER] = "scatter",
		[KERNEL_COMBINE] = "combine", [KERNEL_CANDIDATES] = "candidates", [KERNEL_DRAW] = "draw",
	};
	_Static_assert(sizeof names / sizeof *names == KERNEL_FAMILIES, "a name for each family");
	return names[f];
}

int kernel_args(const struct kernel *k)
{
	static const int count[KERNEL_FAMILIES] = {
		[KERNEL_EMBED] = 5, [KERNEL_PICK] = 6, [KERNEL_SLICE] = 6, [KERNEL_ANGLES] = 4, [KERNEL_ROTATE] = 4, [KERNEL_APPEND] = 4,
		[KERNEL_ASSIGN] = 6, [KERNEL_PACK] = 7, [KERNEL_OFFSETS] = 4,
		[KERNEL_SORT] = 4, [KERNEL_GATHER] = 4, [KERNEL_SCATTER] = 4, [KERNEL_COMBINE] = 10,
		[KERNEL_CANDIDATES] = 6, [KERNEL_DRAW] = 5,
	};
	switch (k->family) {
	case KERNEL_ROWS: return k->rows.n_inputs + k->rows.n_outputs + 1 + k->rows.limited;
	case KERNEL_CONTRACT: return k->contract.grouped ? 5 : 4;
	case KERNEL_ROUTE: return k->route.biased ? 6 : 5;
	case KERNEL_ATTEND: return k->attend.has_sinks ? 9 : 8;
	default:
		if (k->family >= KERNEL_FAMILIES) internal_error("kernel of unknown family %d", (int)k->family);
		return count[k->family];
	}
}
