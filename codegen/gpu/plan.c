/* Which way each kernel takes on a GPU, and how its entries are launched. */
#include "kernels.h"

enum { GENERAL_THREADS = 64 };

static const struct gpu_family *const families[KERNEL_FAMILIES] = {
	[KERNEL_ROWS] = &gpu_rows,    [KERNEL_ATTEND] = &gpu_attend, [KERNEL_CONTRACT] = &gpu_contract,
	[KERNEL_EMBED] = &gpu_team,   [KERNEL_PICK] = &gpu_team,     [KERNEL_SLICE] = &gpu_team,
	[KERNEL_ANGLES] = &gpu_team,  [KERNEL_ROTATE] = &gpu_team,   [KERNEL_APPEND] = &gpu_team,
	[KERNEL_PACK] = &gpu_team,    [KERNEL_GATHER] = &gpu_team,   [KERNEL_SCATTER] = &gpu_team,
	[KERNEL_COMBINE] = &gpu_team, [KERNEL_TILE] = &gpu_team,     [KERNEL_CANDIDATES] = &gpu_candidates,
};

const struct gpu_family *gpu_family(enum kernel_family f) { return families[f]; }

/* Each thread is a worker. */
static void plan_general(struct arena *arena, struct gpu_kernel *k)
{
	k->entry[0] = gpu_entry(arena_printf(arena, "dr_%s", k->kernel->name), GENERAL_THREADS, -1);
	k->entry[0].most = (uint32_t)(target_gpu().workers / GENERAL_THREADS);
	k->entries = 1;
}

struct gpu_kernel gpu_kernel_plan(struct arena *arena, const struct kernel *k, const int64_t *align)
{
	struct gpu_kernel gk = {.kernel = k};
	for (int i = 0; i < MAX_OPERANDS; i++)
		gk.align[i] = align[i];
	gk.tuned = families[k->family] && families[k->family]->plan(arena, &gk);
	if (!gk.tuned)
		plan_general(arena, &gk);
	return gk;
}
