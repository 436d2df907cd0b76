/* Kernels in the form that a GPU takes, with their arguments: for tests that measure them, or break them. */
#ifndef DEPLOY_TEST_CG_CASES_H
#define DEPLOY_TEST_CG_CASES_H
#include "cg_jit.h"

/* y[m][n] = x[m][k] w[n][k], weights in tiles; with `groups` weights, each for rows of its own, unless that is 0. */
static inline struct kernel contract_case(enum dtype x, enum dtype w, int64_t n, int64_t k, int64_t groups)
{
	const struct target target = target_gpu();
	struct kernel kernel = {.family = KERNEL_CONTRACT};
	kernel.contract = (struct kernel_contract){.n = n,
	                                           .k = k,
	                                           .x_stride = k,
	                                           .y_stride = n,
	                                           .batch = 1,
	                                           .x = x,
	                                           .w = w,
	                                           .y = x,
	                                           .pack = target_packing(&target, w, w),
	                                           .grouped = groups > 0,
	                                           .groups = groups};
	return kernel;
}

/* The offsets of groups that share `m` rows evenly. */
static inline void share_evenly(int32_t *offsets, int64_t groups, int64_t m)
{
	for (int64_t g = 1; g <= groups; g++)
		offsets[g] = (int32_t)(m * g / groups);
}

/* Attention of the last `m` positions of a sequence that fills its pages, by heads of width d. */
static inline struct kernel attend_case(int64_t heads, int64_t group, int64_t d, int64_t m, uint64_t *args)
{
	enum { PAGE = 16, PAGES = 8 };
	int64_t row = heads * group * d, cached = PAGES * heads * PAGE * d;
	struct kernel kernel = {.family = KERNEL_ATTEND};
	kernel.attend = (struct kernel_attend){.heads = heads,
	                                       .group = group,
	                                       .d = d,
	                                       .w = d,
	                                       .keys_by_position = true,
	                                       .d_cached = d,
	                                       .w_cached = d,
	                                       .q_row = row,
	                                       .q_head = group * d,
	                                       .q_group = d,
	                                       .y_row = row,
	                                       .y_head = group * d,
	                                       .y_group = d,
	                                       .page = PAGE,
	                                       .pages_per_seq = PAGES,
	                                       .scale = 0.1,
	                                       .causal = true,
	                                       .on_matrix = true,
	                                       .q = DTYPE_BF16,
	                                       .kv = DTYPE_BF16,
	                                       .y = DTYPE_BF16,
	                                       .sink = DTYPE_F64};
	int32_t *seq = index_array(m), *pos = index_array(m), *pages = index_array(PAGES);
	for (int64_t i = 0; i < m; i++)
		pos[i] = (int32_t)(PAGE * PAGES - m + i);
	for (int i = 0; i < PAGES; i++)
		pages[i] = (i * 3 + 1) % PAGES;
	args[ATTEND_Q] = address(random_array(DTYPE_BF16, m * row));
	args[ATTEND_Y] = address(random_array(DTYPE_BF16, m * row));
	args[ATTEND_KEYS] = address(random_array(DTYPE_BF16, cached));
	args[ATTEND_VALUES] = address(random_array(DTYPE_BF16, cached));
	args[ATTEND_SEQ] = address(seq);
	args[ATTEND_POS] = address(pos);
	args[ATTEND_PAGES] = address(pages);
	args[ATTEND_M] = (uint64_t)m;
	args[ATTEND_WORKSPACE] = workspaces(&kernel);
	return kernel;
}
#endif
