/* For tests of generated kernels: runs one on a GPU, the emulated one if LD_LIBRARY_PATH is at it. Memory of guarded()
 * is copied to the GPU before a launch, to the byte, and back after it. */
#ifndef TESTS_CG_GPU_H
#define TESTS_CG_GPU_H
#include "../../codegen/gpu/kernels.h"
#include "../../runtime/entry.h"
#include "../gpu/gpu_test.h"

enum { MAX_AREAS = 1 << 16 };
static struct {
	struct area {
		char *at;
		size_t bytes;
	} area[MAX_AREAS];
	int areas;
	int phase;                                  /* enum dr_phase of launches */
	void (*launched)(const struct dr_entry *e); /* NULL, or called for each entry after its launch has ended */
	bool unaligned;                             /* nothing is promised about the alignment of arguments */
} gpu;

/* To be called for all memory that kernels get. The latest area at an address counts. */
static inline void gpu_note_area(void *at, size_t bytes)
{
	assert_true(gpu.areas < MAX_AREAS);
	gpu.area[gpu.areas++] = (struct area){at, bytes};
}

static inline const struct area *gpu_area_of(uint64_t address)
{
	for (int i = gpu.areas; i-- > 0;) {
		uint64_t from = (uint64_t)(uintptr_t)gpu.area[i].at;
		if (address >= from && address <= from + gpu.area[i].bytes)
			return &gpu.area[i];
	}
	fail_msg("an argument is not an address of guarded()");
	return NULL;
}

/* The alignment that arguments have, counted from the start of their areas, as allocations of a GPU are aligned. */
static inline void gpu_alignment(const struct kernel *k, const uint64_t *args, int64_t align[MAX_OPERANDS])
{
	for (int i = 0; i < MAX_OPERANDS; i++)
		align[i] = 128;
	for (int i = 0; i < kernel_args(k) && i < MAX_OPERANDS; i++)
		if (kernel_arg(k, i, NULL).direction != ARG_NUMBER && args[i]) {
			uint64_t at = args[i] - (uint64_t)(uintptr_t)gpu_area_of(args[i])->at;
			while (at % (uint64_t)align[i] || (gpu.unaligned && align[i] > 1))
				align[i] /= 2;
		}
}

/* A kernel, planned for these alignments. */
struct gpu_loaded {
	struct arena arena;
	struct kernel kernel;
	int64_t align[MAX_OPERANDS];
	struct gpu_kernel planned;
	CUmodule module;
};
static inline struct gpu_loaded gpu_plan(const struct kernel *k, const int64_t align[MAX_OPERANDS])
{
	struct gpu_loaded l = {.kernel = *k};
	memcpy(l.align, align, sizeof l.align);
	l.planned = gpu_kernel_plan(&l.arena, k, align);
	return l;
}

/* Planned and loaded; the latest ones are kept. */
static inline const struct gpu_loaded *gpu_load(const struct kernel *k, const uint64_t *args)
{
	enum { KEPT = 64 };
	static struct gpu_loaded kept[KEPT];
	static int next;
	int64_t align[MAX_OPERANDS];
	gpu_alignment(k, args, align);
	for (int i = 0; i < KEPT; i++)
		if (kept[i].module && !strcmp(kept[i].kernel.name, k->name) && !memcmp(kept[i].align, align, sizeof align))
			return &kept[i];
	struct gpu_loaded *l = &kept[next++ % KEPT];
	if (l->module)
		GOOD(cu.cuModuleUnload(l->module));
	arena_free(&l->arena);
	*l = gpu_plan(k, align);
	l->planned.kernel = &l->kernel;
	LLVMMemoryBufferRef ptx = gpu_kernel_ptx(&l->planned, 2);
	GOOD(cu.cuModuleLoadData(&l->module, LLVMGetBufferStart(ptx)));
	LLVMDisposeMemoryBuffer(ptx);
	return l;
}

struct gpu_copy {
	const struct area *area;
	CUdeviceptr at;
};

/* The GPU's address of a host address; its area is copied at the first use. */
static inline uint64_t gpu_address(struct gpu_copy *copy, int *n, uint64_t address)
{
	if (!address)
		return 0;
	const struct area *area = gpu_area_of(address);
	int i = 0;
	while (i < *n && copy[i].area != area)
		i++;
	if (i == *n)
		copy[(*n)++] = (struct gpu_copy){area, gpu_put(area->at, area->bytes ? area->bytes : 1)};
	return copy[i].at + (address - (uint64_t)(uintptr_t)area->at);
}

static inline void gpu_launch_entry(CUmodule m, const struct dr_entry *e, const uint64_t *args, int n_args)
{
	CUfunction f;
	void *params[MAX_OPERANDS];
	for (int i = 0; i < n_args; i++)
		params[i] = (void *)(uintptr_t)&args[i];
	GOOD(cu.cuModuleGetFunction(&f, m, e->name));
	GOOD(cu.cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)e->shared));
	GOOD(cu.cuLaunchKernel(f, entry_blocks(e, args, true), 1, 1, e->threads, 1, 1, e->shared, NULL, params, NULL));
}

static inline const struct dr_entry *gpu_entry_for(const struct gpu_loaded *l, const uint64_t *args)
{
	const uint32_t first[] = {0, (uint32_t)l->planned.entries};
	const struct dr_entry *e =
		entry_for(&(struct dr_image){.entries = l->planned.entry, .first = first}, 0, gpu.phase, args);
	assert_non_null(e);
	return e;
}

static inline void gpu_run_loaded(const struct gpu_loaded *loaded, const uint64_t *args)
{
	const struct kernel *k = &loaded->kernel;
	struct gpu_copy copy[MAX_OPERANDS];
	uint64_t there[MAX_OPERANDS];
	int n = 0, n_args = kernel_args(k);
	assert_true(n_args <= MAX_OPERANDS);
	for (int i = 0; i < n_args; i++)
		there[i] = kernel_arg(k, i, NULL).direction == ARG_NUMBER ? args[i] : gpu_address(copy, &n, args[i]);
	const struct dr_entry *first = gpu_entry_for(loaded, there), *e = first;
	gpu_launch_entry(loaded->module, e, there, n_args);
	for (; e->then; e++)
		gpu_launch_entry(loaded->module, e + 1, there, n_args);
	for (; gpu.launched && first <= e; first++) {
		GOOD(cu.cuCtxSynchronize());
		gpu.launched(first);
	}
	for (int i = 0; i < n; i++) {
		gpu_get(copy[i].area->at, copy[i].at, copy[i].area->bytes);
		GOOD(cu.cuMemFree_v2(copy[i].at));
	}
}

static inline void gpu_run(const struct kernel *k, const uint64_t *args) { gpu_run_loaded(gpu_load(k, args), args); }
#endif
