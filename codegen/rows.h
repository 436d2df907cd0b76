/* What the generators of rows kernels share: a worker walks along a row vector by vector (kernel_rows.c), threads of a
 * GPU together (gpu/rows.c). A walk visits a row's vectors; it computes the reductions of one level, and the last one
 * stores the results. */
#ifndef DEPLOYC_CODEGEN_ROWS_H
#define DEPLOYC_CODEGEN_ROWS_H
#include "emit.h"

struct rows {
	struct codegen *g;
	const struct kernel_rows *k;
	bool varying[ROWS_MAX_NODES];                            /* does it vary along the innermost axis? */
	int level[ROWS_MAX_NODES];                               /* number of walks before the value is known */
	LLVMValueRef base[ROWS_MAX_OPERANDS + ROWS_MAX_OUTPUTS]; /* the arguments: inputs, then outputs */
	LLVMValueRef items, first;            /* items: rows times all axes but the innermost; first: row, NULL is 0 */
	LLVMValueRef uniform[ROWS_MAX_NODES]; /* scalars of the row, once known */
	LLVMValueRef total[ROWS_MAX_NODES];   /* vector accumulators of reductions, in memory */
	LLVMValueRef input[ROWS_MAX_OPERANDS], output[ROWS_MAX_OUTPUTS]; /* addresses at the start of the row */
	LLVMValueRef vector[ROWS_MAX_NODES];                             /* values at the current index, made on demand */
	LLVMValueRef index, mask;                                        /* position of the walk; mask NULL: all lanes */
	LLVMValueRef group;                                              /* group of the row, if there are groups */
	int walk; /* the level whose reductions are computed; past the last level: stores */
};

bool rows_reduces(enum rows_op op);
/* Sets varying and level, from k alone. */
void rows_analyse(struct rows *r);
int rows_walks(const struct rows *r); /* levels of reductions */

/* After kernel_begin(): loads the arguments, computes `items`. */
void rows_begin(struct rows *r, struct codegen *g, const struct kernel_rows *k);
/* Goes to the start of a row of [0, items). */
void rows_place(struct rows *r, LLVMValueRef item);
/* Goes to elements [index, index + lanes) of the row. */
void rows_go_to(struct rows *r, LLVMValueRef index, LLVMValueRef mask);

LLVMValueRef rows_scalar(struct rows *r, int i); /* a node that does not vary */
LLVMValueRef rows_vector(struct rows *r, int i); /* any node, at the current index */

/* For each walk: rows_start(), rows_settle(), rows_accumulate() at each index, rows_finish(). settle computes what does
 * not vary before the loop that uses it: inside it, it would not dominate a later walk. join: joins the sums of those
 * who share the row. */
typedef LLVMValueRef rows_join(struct rows *r, LLVMValueRef sum, ir_binary *op);
void rows_start(struct rows *r);
void rows_settle(struct rows *r);
void rows_accumulate(struct rows *r);
void rows_finish(struct rows *r, rows_join *join);

/* Computes the results at the current index; stores them, all computed before, since an output may share memory with an
 * input; stores those with one element per row. */
void rows_results(struct rows *r);
void rows_store_vectors(struct rows *r);
void rows_store_scalars(struct rows *r);
#endif
