/* The table of processors. */
#include "target.h"
#include <stddef.h>
#include <string.h>
#include "../support/round.h"

static const struct cpu {
	const char *name;
	int floats;
	bool bf16_dot;
} cpus[] = {
#ifdef __x86_64__
#define X(name, floats, bf16_dot) {name, floats, bf16_dot},
#include "cpu.def"
#undef X
#endif
	{NULL, 0, false},
};

struct target target_cpu(int lanes, bool bf16_dot)
{
	enum {
		WORKERS = 64,             /* threads; more than most ranks have */
		WORKER_ELEMENTS = 1 << 14 /* what a thread passes over while the others wake and are waited for */
	};
	return (struct target){.image = DR_IMAGE_FUNCTIONS,
	                       .lanes = lanes,
	                       .bf16_dot = bf16_dot,
	                       .workers = WORKERS,
	                       .worker_elements = WORKER_ELEMENTS};
}

struct target target_gpu(void)
{
	enum { WORKERS = 128 * 64 }; /* threads: two warps for each multiprocessor of a large GPU */
	return (struct target){
		.image = DR_IMAGE_PTX, .lanes = 1, .keys_by_position = true, .workers = WORKERS, .worker_elements = 1};
}

int64_t packed_bytes(const struct packing *p, int64_t groups, int64_t n, int64_t k, enum dtype t)
{
	if (p->n_tile)
		n = round_up(n, p->n_tile), k = round_up(k, p->k_run);
	return groups * n * k * dtype_bytes(t);
}

struct packing target_packing(const struct target *t, enum dtype weight, enum dtype x)
{
	if (t->image == DR_IMAGE_PTX) /* a block of 128 rows is what a GPU's block of threads reads at a time */
		return (struct packing){128, SWIZZLE_PIECES * SWIZZLE_PIECE / dtype_bytes(weight), true};
	bool pairs = t->bf16_dot && weight == DTYPE_BF16 && x == DTYPE_BF16;
	return (struct packing){TILE_VECTORS * t->lanes, pairs ? 2 : 1, false};
}

const char *target_default(void)
{
#ifdef __x86_64__
	return "x86-64-v3";
#else
	return "generic";
#endif
}

bool target_find(const char *cpu, struct target *out)
{
	if (!cpu)
		cpu = target_default();
	for (const struct cpu *c = cpus; c->name; c++)
		if (!strcmp(c->name, cpu)) {
			*out = target_cpu(c->floats, c->bf16_dot);
			return true;
		}
	return false;
}
