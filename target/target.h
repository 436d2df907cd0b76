/* What runs kernels: what planning, lowering and emission have to know of it, without LLVM. The bytes of a workspace
 * are those of dag/kernel.def; codegen/emitter.h has the code generator of each image form. */
#ifndef DEPLOYC_TARGET_H
#define DEPLOYC_TARGET_H
#include <stdbool.h>
#include <stdint.h>
#include "../runtime/abi.h"
#include "../support/dtype.h"

/* Tile order of a contraction's weights, repacked once at load. k_run neighbours of a row are a run. Element (g, n, k)
 * of a weight with n outputs and k summed elements is at g * group + (n / n_tile) * (k_padded * n_tile) + (k / k_run) *
 * (n_tile * k_run)
 *               + (n % n_tile) * k_run + k % k_run
 * with n padded to n_tile and k to k_run, by zeros; group = n_padded * k_padded. n_tile == 0: plain row-major.
 * swizzled: runs are 8 pieces of 16 bytes, and piece p of row n is in the place of piece p ^ (n % 8). So are they in a
 * GPU's shared memory, where 8 rows' pieces p then lie in different banks. */
struct packing {
	int32_t n_tile, k_run;
	bool swizzled;
};
enum { TILE_VECTORS = 2 }; /* n_tile of a processor, in vectors of outputs */
enum { SWIZZLE_PIECE = 16, SWIZZLE_PIECES = 8 };

struct target {
	enum dr_image_form image;
	int lanes;               /* f32 in a vector */
	bool bf16_dot;           /* one instruction multiplies and adds pairs of bf16 */
	bool keys_by_position;   /* the cache's keys are stored by position: struct kernel_append */
	int64_t workers;         /* of a launch: `check` counts the workspaces of so many. A launcher may run with others */
	int64_t worker_elements; /* a launch that passes over at most so many has one worker: others would come too late */
	unsigned unfused;        /* fusions that are switched off: a set of enum fusion (dag/dag.h) */
	int64_t gap; /* for tests, else 0: bytes that stay free after each buffer; no buffer reuses memory then */
};

/* A processor that runs the functions of the launcher. */
struct target target_cpu(int lanes, bool bf16_dot);
/* An NVIDIA GPU: each thread is a worker with one lane. */
struct target target_gpu(void);

/* Bytes of a weight in this order: of `groups` groups, with n outputs and k summed elements each. */
int64_t packed_bytes(const struct packing *p, int64_t groups, int64_t n, int64_t k, enum dtype t);
/* The tiles in which a contraction of x reads a weight. */
struct packing target_packing(const struct target *t, enum dtype weight, enum dtype x);

/* The cpu that is meant where none is named. */
const char *target_default(void);
/* Of a cpu in the table; NULL: of target_default(). false: only LLVM knows it, `native` for one, or nobody does. */
bool target_find(const char *cpu, struct target *out);
#endif
