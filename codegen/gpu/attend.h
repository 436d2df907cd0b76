/* What the entries of attention share: how queries form tiles, and the passes of a warp over the cache (attend_warp.c).
 */
#ifndef DEPLOYC_GPU_ATTEND_H
#define DEPLOYC_GPU_ATTEND_H
#include "kernels.h"
#include "matrix.h"

enum {
	ATTEND_THREADS = 128,
	ATTEND_WARPS = ATTEND_THREADS / WARP,
	SET_FEATURES = 64, /* of values that one row of pieces has: 8 lanes times 8 */
	MAX_SETS = ATTEND_PART_FEATURES / SET_FEATURES,
	PIECE_FEATURES = 8,
	HALVES = 2,          /* a lane's rows of a tile: lane / 4, and 8 more */
	BLOCK = ATTEND_BLOCK /* positions that are processed together: a k of the matrix units */
};

/* A tile is 16 rows: the query heads of one key/value head, up to 16 of them, and neighbouring tokens if these are
 * fewer. Wide values are computed in chunks. */
struct attend_shape {
	int64_t members, tokens;               /* query heads and tokens of a tile */
	int64_t member_tiles, chunks, columns; /* columns: tiles and chunks of one token */
	int64_t features;                      /* of a chunk */
	int sets;                              /* of a chunk */
};
struct attend_shape attend_shape(const struct kernel_attend *k);

struct attend {
	struct codegen *g;
	const struct kernel_attend *k;
	struct attend_shape s;
	bool q_pieces, y_pieces;                                        /* are rows of q, of y, whole aligned pieces? */
	LLVMValueRef q, keys, values, seq, pos, pages, y, m, workspace; /* arguments; m: i64 */
	LLVMValueRef sinks, slopes;                                     /* arguments; NULL: none */
	LLVMValueRef row, part;                                         /* lane / 4, lane % 4, i64 */
	/* the tile, i64: */
	LLVMValueRef head, first_member, first_feature;
	LLVMValueRef first, end;     /* its tokens */
	LLVMValueRef sequence, last; /* whose cache is read; the last position that a row sees */
	LLVMValueRef token[HALVES], member[HALVES],
		limit[HALVES];                           /* of the lane's rows; limit: last position, -1: no row */
	LLVMValueRef nearest[HALVES], slope[HALVES]; /* first position, i32; slope in powers of two; NULL: none */
	/* sums, in local memory that registers take the place of */
	LLVMValueRef most[HALVES], total[HALVES]; /* running maximum, in powers of two; the lane's part of the sum */
	LLVMValueRef score[2][MATRIX_SUMS];
	LLVMValueRef out[MAX_SETS][PIECE_FEATURES][MATRIX_SUMS];
};

struct attend attend_begin(struct codegen *g, const struct gpu_kernel *gk, const char *name);
/* Sets the tile's head, members and features from its column. */
void attend_column(struct attend *a, LLVMValueRef column);
/* Sets the lane's rows, for tokens [first, end) of the tile that starts at token `base`. */
void attend_rows(struct attend *a, LLVMValueRef base);
/* Attention of the tile's rows over blocks from, from + step, .. before to; totals then are those of whole rows. */
void attend_pass(struct attend *a, LLVMValueRef from, LLVMValueRef to, int step);
/* Blocks that a row sees whose last position is `limit`: the first, and the end. */
LLVMValueRef attend_first_block(struct attend *a, LLVMValueRef limit);
LLVMValueRef attend_end_block(struct attend *a, LLVMValueRef limit);

/* Address of feature f of a query in y. */
LLVMValueRef attend_y(struct attend *a, LLVMValueRef token, LLVMValueRef member, LLVMValueRef feature);
/* 2^x */
LLVMValueRef attend_power(struct codegen *g, LLVMValueRef x);
/* Adds a query's sink, one more score without a value: the factor of what was summed, and the new total. */
void attend_sink(struct attend *a, LLVMValueRef member, LLVMValueRef most, LLVMValueRef *factor, LLVMValueRef *total);

/* Parts: what a split leaves in the workspace, f32 [ATTEND_PART_ROWS][features + 2]: sums, maximum, total. */
enum { MAX_SPLITS = 32 };
int64_t attend_parts(const struct kernel_attend *k);
LLVMValueRef attend_splits(struct attend *a); /* of each tile; i64 */

void attend_decode(struct codegen *g, const struct gpu_kernel *gk, const char *name);
void attend_join(struct codegen *g, const struct gpu_kernel *gk, const char *name);
void attend_prefill(struct codegen *g, const struct gpu_kernel *gk, const char *name);
#endif
