/* Attention scores for keys stored by position, as when one cache is both keys and values: dot products along the
 * features. Lanes are added last, in a fixed order, so a score does not depend on the tile that computes it. */
#include <stdio.h>
#include "emit.h"

enum { MAX_ROWS = 8, MAX_POSITIONS = 4 };

struct dots_tile {
	struct codegen *g;
	const struct dots *d;
	int rows, positions;
	LLVMValueRef first;
	LLVMValueRef sum[MAX_ROWS][MAX_POSITIONS];
};

static void add_features(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	struct dots_tile *t = context;
	LLVMTypeRef f32 = ir_vector(g, g->f32);
	LLVMValueRef key[MAX_POSITIONS], a = LLVMGetParam(g->function, PRODUCT_A), b = LLVMGetParam(g->function, PRODUCT_B);
	for (int p = 0; p < t->positions; p++) {
		LLVMValueRef position = ir_add(g, t->first, ir_i64(g, p));
		LLVMValueRef at = ir_add(g, ir_mul(g, position, ir_i64(g, t->d->b_stride)), index);
		key[p] = load_vector(g, t->d->b, ir_at(g, b, t->d->b, at), mask);
	}
	for (int row = 0; row < t->rows; row++) {
		LLVMValueRef at = ir_add(g, index, ir_i64(g, row * t->d->a_stride));
		LLVMValueRef x = load_vector(g, DTYPE_F32, ir_at(g, a, DTYPE_F32, at), mask);
		for (int p = 0; p < t->positions; p++)
			ir_store(g, ir_fma(g, x, key[p], ir_load(g, f32, t->sum[row][p], 4)), t->sum[row][p], 4);
	}
}

static void dots_at(struct dots_tile *t, int positions, LLVMValueRef first)
{
	struct codegen *g = t->g;
	LLVMTypeRef f32 = ir_vector(g, g->f32);
	t->positions = positions;
	t->first = first;
	for (int i = 0; i < t->rows * positions; i++) {
		LLVMValueRef *sum = &t->sum[i / positions][i % positions];
		*sum = ir_local(g, f32, 1);
		ir_store(g, ir_like(g, f32, 0), *sum, 4);
	}
	for_vectors(g, ir_i64(g, 0), LLVMGetParam(g->function, PRODUCT_TERMS), add_features, t);
	for (int row = 0; row < t->rows; row++)
		for (int p = 0; p < positions; p++) {
			LLVMValueRef at = ir_add(g, first, ir_i64(g, row * t->d->out_stride + p));
			LLVMValueRef sum = ir_reduce(g, ir_load(g, f32, t->sum[row][p], 4), ir_fadd);
			store_scalar(g, DTYPE_F32, sum, ir_at(g, LLVMGetParam(g->function, PRODUCT_OUT), DTYPE_F32, at));
		}
}

/* Positions per tile: few enough for the sums to fit in registers, enough to hide the latency of multiply-add. */
static int positions_for(const struct codegen *g, int rows)
{
	if (g->lanes >= 16)
		return rows >= 8 ? 2 : 4;
	return rows >= 8 ? 1 : rows >= 4 ? 2 : 4;
}

LLVMValueRef dots_function(struct codegen *g, const char *kernel, const struct dots *d, int rows)
{
	char name[128];
	snprintf(name, sizeof name, "%s_dots_%d", kernel, rows);
	LLVMTypeRef params[PRODUCT_PARAMS] = {g->ptr, g->ptr, g->ptr, g->ptr, g->ptr, g->i64, g->i64};
	LLVMValueRef f = ir_function(g, name, g->nothing, params, PRODUCT_PARAMS, true);
	for (int i = PRODUCT_A; i <= PRODUCT_SCALE; i++)
		ir_attribute(g, f, i, "noalias");

	struct dots_tile t = {.g = g, .d = d, .rows = rows};
	LLVMValueRef columns = LLVMGetParam(f, PRODUCT_COLUMNS), wide = ir_i64(g, positions_for(g, rows));
	LLVMValueRef whole = ir_sub(g, columns, ir_rem(g, columns, wide));
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), whole, wide);
	dots_at(&t, positions_for(g, rows), l.index);
	loop_end(g, &l);
	l = loop_begin(g, whole, columns, ir_i64(g, 1));
	dots_at(&t, 1, l.index);
	loop_end(g, &l);
	LLVMBuildRetVoid(g->builder);
	return f;
}
