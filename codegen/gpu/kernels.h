/* How kernels run on a GPU. A family that has a generator of its own here is tuned, where its shapes allow; any other
 * kernel takes the general path (ptx.c). */
#ifndef DEPLOYC_GPU_KERNELS_H
#define DEPLOYC_GPU_KERNELS_H
#include "../../support/round.h"
#include "block.h"

enum { GPU_ENTRIES = 4, BLOCKS_AT_ONCE = 2 };
struct gpu_kernel {
	const struct kernel *kernel;
	int64_t align[MAX_OPERANDS];        /* argument i is a multiple of so many bytes in every launch */
	struct dr_entry entry[GPU_ENTRIES]; /* those of one name are launches of one function */
	/* Blocks of an entry that a multiprocessor shall hold at once, at least: so many registers each thread may use.
	 * The assembler would rather spill a few than hold fewer blocks. 0: BLOCKS_AT_ONCE of up to 256 threads; for larger
	 * ones the assembler decides. */
	int at_once[GPU_ENTRIES];
	int entries;
	int team; /* threads that are one worker together */
	bool tuned;
	bool adds; /* tuned: a contraction by multiply-adds in f32, not on the matrix units */
};

/* The entries of a kernel with these alignments; names are kept in the arena. Decides without LLVM. */
struct gpu_kernel gpu_kernel_plan(struct arena *arena, const struct kernel *k, const int64_t *align);
/* Calls `see` for each launch of a schedule, in all programs. */
typedef void gpu_see_launch(const struct schedule *s, const struct instr *in, void *context);
void gpu_each_launch(const struct schedule *s, gpu_see_launch *see, void *context);
/* For each kernel of a schedule, what all its launches guarantee: [kernels][MAX_OPERANDS]. */
int64_t (*gpu_alignments(struct arena *arena, const struct schedule *s))[MAX_OPERANDS];

/* A tuned family. plan: fills in the entries, or returns false. emit: the body of entry i, as a function of
 * kernel_frame.c, whose workers mean nothing. */
struct gpu_family {
	bool (*plan)(struct arena *arena, struct gpu_kernel *k);
	void (*emit)(struct codegen *g, const struct gpu_kernel *k, int entry, const char *name);
};
extern const struct gpu_family gpu_rows, gpu_contract, gpu_team, gpu_attend, gpu_candidates;
const struct gpu_family *gpu_family(enum kernel_family f); /* NULL: it has none */

/* PTX of one kernel; as gpu_ptx() (gpu.h). */
LLVMMemoryBufferRef gpu_kernel_ptx(const struct gpu_kernel *k, int level);

/* Entry e has blocks for `each` items for each of args[count], `per_block` items a block. */
static inline void gpu_spread(struct dr_entry *e, int64_t each, int64_t per_block)
{
	e->per = each < per_block ? (uint32_t)(per_block / each) : 1;
	e->times = each < per_block ? 1 : (uint32_t)divide_up(each, per_block);
}

static inline int power_of_two(int64_t at_least)
{
	int n = 1;
	while (n < at_least)
		n *= 2;
	return n;
}

enum { MAX_BLOCKS = 1 << 20 };
/* An entry for any amount of work, by argument `count`; the caller changes what differs. */
static inline struct dr_entry gpu_entry(const char *name, int threads, int count)
{
	return (struct dr_entry){.name = name,
	                         .upto = INT64_MAX,
	                         .phases = UINT32_MAX,
	                         .threads = (uint32_t)threads,
	                         .count = count,
	                         .per = 1,
	                         .times = 1,
	                         .most = MAX_BLOCKS};
}

#endif
