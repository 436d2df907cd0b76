/* The products of attention along a row: scores where keys are stored by feature, and weighted values. Rows are in
 * registers. */
#include <stdio.h>
#include "emit.h"

enum { MAX_VECTORS = 4, CACHE_LINE = 64 };

struct product_tile {
	struct codegen *g;
	const struct product *p;
	int rows, vectors;
	LLVMValueRef column, mask;
	LLVMValueRef sum[PRODUCT_MAX_ROWS][MAX_VECTORS];
};

static LLVMValueRef out_address(struct product_tile *t, int row, int v)
{
	struct codegen *g = t->g;
	LLVMValueRef index = ir_add(g, t->column, ir_i64(g, row * t->p->out_stride + v * g->lanes));
	return ir_at(g, LLVMGetParam(g->function, PRODUCT_OUT), DTYPE_F32, index);
}

static void begin_product(struct product_tile *t)
{
	struct codegen *g = t->g;
	LLVMTypeRef f32 = ir_vector(g, g->f32);
	for (int row = 0; row < t->rows; row++) {
		LLVMValueRef scale = ir_at(g, LLVMGetParam(g->function, PRODUCT_SCALE), DTYPE_F32, ir_i64(g, row));
		scale = t->p->scaled ? ir_splat(g, load_scalar(g, DTYPE_F32, scale)) : NULL;
		for (int v = 0; v < t->vectors; v++) {
			LLVMValueRef start = ir_like(g, f32, 0);
			if (scale)
				start = ir_fmul(g, ir_load(g, f32, out_address(t, row, v), 4), scale);
			t->sum[row][v] = ir_local(g, f32, 1);
			ir_store(g, start, t->sum[row][v], 4);
		}
	}
}

/* Prefetches the cache lines of `next` that correspond to the elements of b from `index` on. */
static void fetch_next(struct product_tile *t, LLVMValueRef index)
{
	struct codegen *g = t->g;
	LLVMValueRef at = ir_at(g, LLVMGetParam(g->function, PRODUCT_NEXT), t->p->b, index);
	for (int byte = 0; byte < t->vectors * g->lanes * dtype_bytes(t->p->b); byte += CACHE_LINE)
		ir_prefetch(g, ir_offset(g, at, ir_i64(g, byte)));
}

static void add_term(struct product_tile *t, LLVMValueRef term)
{
	struct codegen *g = t->g;
	LLVMValueRef b[MAX_VECTORS], a = LLVMGetParam(g->function, PRODUCT_A);
	LLVMValueRef index = ir_add(g, ir_mul(g, term, ir_i64(g, t->p->b_stride)), t->column);
	fetch_next(t, index);
	for (int v = 0; v < t->vectors; v++) {
		LLVMValueRef at = ir_add(g, index, ir_i64(g, v * g->lanes));
		b[v] = load_vector(g, t->p->b, ir_at(g, LLVMGetParam(g->function, PRODUCT_B), t->p->b, at), t->mask);
	}
	for (int row = 0; row < t->rows; row++) {
		LLVMValueRef at = ir_add(g, term, ir_i64(g, row * t->p->a_stride));
		LLVMValueRef x = ir_splat(g, load_scalar(g, DTYPE_F32, ir_at(g, a, DTYPE_F32, at)));
		for (int v = 0; v < t->vectors; v++) {
			LLVMValueRef sum = ir_load(g, ir_vector(g, g->f32), t->sum[row][v], 4);
			ir_store(g, ir_fma(g, x, b[v], sum), t->sum[row][v], 4);
		}
	}
}

static void product_at(struct product_tile *t, int vectors, LLVMValueRef column, LLVMValueRef mask)
{
	struct codegen *g = t->g;
	t->vectors = vectors;
	t->column = column;
	t->mask = mask;
	begin_product(t);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), LLVMGetParam(g->function, PRODUCT_TERMS), ir_i64(g, 1));
	add_term(t, l.index);
	loop_end(g, &l);
	for (int row = 0; row < t->rows; row++)
		for (int v = 0; v < vectors; v++)
			ir_store(g, ir_load(g, ir_vector(g, g->f32), t->sum[row][v], 4), out_address(t, row, v), 4);
}

static void product_vector(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	(void)g;
	product_at(context, 1, index, mask);
}

/* Enough independent sums to hide the latency of multiply-add, but few enough for the registers. */
static int vectors_for(const struct codegen *g, int rows)
{
	if (g->lanes >= 16)
		return rows >= 8 ? 2 : 4;
	return rows >= 8 ? 1 : rows >= 2 ? 2 : 4;
}

LLVMValueRef product_function(struct codegen *g, const char *kernel, const struct product *p, int rows)
{
	char name[128];
	snprintf(name, sizeof name, "%s_%s_%d", kernel, p->suffix, rows);
	LLVMTypeRef params[PRODUCT_PARAMS] = {g->ptr, g->ptr, g->ptr, g->ptr, g->ptr, g->i64, g->i64};
	LLVMValueRef f = ir_function(g, name, g->nothing, params, PRODUCT_PARAMS, true);
	for (int i = PRODUCT_A; i <= PRODUCT_SCALE; i++)
		ir_attribute(g, f, i, "noalias");

	struct product_tile t = {.g = g, .p = p, .rows = rows};
	int vectors = vectors_for(g, rows);
	LLVMValueRef columns = LLVMGetParam(f, PRODUCT_COLUMNS), wide = ir_i64(g, vectors * g->lanes);
	LLVMValueRef whole = ir_sub(g, columns, ir_rem(g, columns, wide));
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), whole, wide);
	product_at(&t, vectors, l.index, NULL);
	loop_end(g, &l);
	for_vectors(g, whole, columns, product_vector, &t);
	LLVMBuildRetVoid(g->builder);
	return f;
}
