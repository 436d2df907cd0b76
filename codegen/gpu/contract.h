/* What the contractions of a GPU share: where tiles of rows and of weights are. Three generators share the work:
 * products on the matrix units for many rows (contract_tiles.c) and for few (contract_few.c), and sums of multiply-adds
 * for the formats and shapes that these do not take (contract_fma.c). */
#ifndef DEPLOYC_GPU_CONTRACT_H
#define DEPLOYC_GPU_CONTRACT_H
#include "kernels.h"

/* A run of a weight's row that is contiguous in memory: see struct packing. */
enum { RUN_BYTES = 128, RUN_PIECES = RUN_BYTES / PIECE_BYTES };

struct contract {
	struct codegen *g;
	const struct kernel_contract *k;
	LLVMValueRef x, w[CONTRACT_MAX_PARTS], y[CONTRACT_MAX_PARTS]; /* arguments */
	LLVMValueRef found; /* grouped: shared i32[2], the group of a tile and the tile's number in it */
	int64_t runs;       /* of a row of weights */
	/* the current tile */
	LLVMValueRef begin, end;             /* its rows, i64 */
	LLVMValueRef first_n, n;             /* its first output, and the outputs of its part, i64 */
	LLVMValueRef tile_x, tile_w, tile_y; /* addresses of the batch's or group's x and y, and of its weights */
	LLVMValueRef y_stride;               /* of its part's result, between rows, i64 */
	LLVMValueRef column;                 /* its number among the columns of all parts, i64 */
	int outputs;                         /* of a column */
};

/* Begins the kernel `name`; loads the arguments. */
struct contract contract_begin(struct codegen *g, const struct gpu_kernel *gk, const char *name);

/* A loop over this block's tiles of `rows` rows and `outputs` outputs. Inside it, all threads have the same tile.
 * Blocks with neighbouring numbers have tiles of the same weights. */
struct tile_loop {
	struct ir_loop loop;
	struct ir_branch is_there; /* grouped: there may be fewer tiles than items */
};
struct tile_loop tiles_begin(struct contract *c, int rows, int outputs);
void tiles_end(struct contract *c, struct tile_loop *l);
/* The blocks that such a loop wants, for struct dr_entry. */
void tiles_plan(const struct kernel_contract *k, int rows, int outputs, struct dr_entry *e);

/* Columns of so many outputs of one part each, of all parts. */
int64_t contract_columns(const struct kernel_contract *k, int outputs);
/* The whole of a batch's or group's rows as the current tile. */
void contract_whole(struct contract *c, LLVMValueRef number);
/* Sets the batch or group of the current tile, and what follows from it and from its column. */
void contract_choose(struct contract *c, LLVMValueRef number);
/* Address of run `run` of output n's weights; both i64. */
LLVMValueRef weight_run(struct contract *c, LLVMValueRef n, LLVMValueRef run);
/* Address of a row's element k in x, of output n in y. */
LLVMValueRef x_element(struct contract *c, LLVMValueRef row, LLVMValueRef k);
LLVMValueRef y_element(struct contract *c, LLVMValueRef row, LLVMValueRef n);

/* Can two neighbouring outputs be stored at once? */
bool contract_stores_pairs(const struct gpu_kernel *gk);

void contract_fma(struct codegen *g, const struct gpu_kernel *gk, const char *name, int rows);
void contract_tiles(struct codegen *g, const struct gpu_kernel *gk, const char *name, int rows);
void contract_few(struct codegen *g, const struct gpu_kernel *gk, const char *name);
enum { FMA_FEW = 16, FMA_MANY = 64, FMA_OUTPUTS = 64, FMA_THREADS = 256 };
enum { TILE_FEW = 64, TILE_MANY = 128, TILE_OUTPUTS = 128, TILE_THREADS = 256 };
enum { FEW_ROWS = 16, FEW_OUTPUTS = 32, FEW_THREADS = 128 };
int contract_tiles_shared(int rows); /* bytes of dynamic shared memory */
#endif
