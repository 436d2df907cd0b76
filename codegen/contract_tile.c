/* The micro-kernel of contractions: sums in registers, weights prefetched, pairs of bf16 by dot products where the
 * target has them. */
#include <stdio.h>
#include "emit.h"

enum {
	PREFETCH_BYTES = 8192, /* weights are prefetched this far ahead of the multiplication */
	CACHE_LINE = 64,
	GROUP_ROWS = 3 /* rows addressed from one pointer, by 0, 1 and 2 times the stride */
};

struct tile_state {
	struct codegen *g;
	const struct contract_tile *t;
	bool dot;                                          /* one instruction multiplies and adds pairs of bf16 */
	LLVMValueRef sum[CONTRACT_MAX_ROWS][TILE_VECTORS]; /* in memory until promoted to registers */
	LLVMValueRef row_group[CONTRACT_MAX_ROWS / GROUP_ROWS];
	LLVMValueRef stride, twice;
};

static LLVMValueRef x_address(struct tile_state *s, int row, LLVMValueRef offset)
{
	LLVMValueRef p = ir_offset(s->g, s->row_group[row / GROUP_ROWS], offset);
	int within = row % GROUP_ROWS;
	return within == 0 ? p : ir_offset(s->g, p, within == 1 ? s->stride : s->twice);
}

static void add_product(struct tile_state *s, int row, int v, LLVMValueRef x, LLVMValueRef w)
{
	struct codegen *g = s->g;
	LLVMTypeRef f32 = ir_vector(g, g->f32);
	LLVMValueRef sum = ir_load(g, f32, s->sum[row][v], 4);
	ir_store(g, ir_fma(g, x, w, sum), s->sum[row][v], 4);
}

static void add_dot(struct tile_state *s, int row, int v, LLVMValueRef x, LLVMValueRef w)
{
	struct codegen *g = s->g;
	LLVMTypeRef pairs = LLVMVectorType(g->bf16, 2 * (unsigned)g->lanes);
	LLVMValueRef sum = ir_load(g, ir_vector(g, g->f32), s->sum[row][v], 4);
	ir_store(g, g->emitter->dot(g, sum, ir_bits(g, x, pairs), ir_bits(g, w, pairs)), s->sum[row][v], 4);
}

/* The weights of one k, or of half `part` of a pair, for all outputs of the tile, as f32. */
static LLVMValueRef weights(struct tile_state *s, LLVMValueRef w, int v, int part)
{
	struct codegen *g = s->g;
	LLVMTypeRef i32 = ir_vector(g, g->i32);
	int bytes = dtype_bytes(s->t->w) * s->t->pair * g->lanes;
	LLVMValueRef at = ir_offset(g, w, ir_i64(g, v * bytes));
	if (s->t->pair == 1)
		return load_vector(g, s->t->w, at, NULL);
	LLVMValueRef both = ir_load(g, i32, at, 2);
	both = part ? ir_and(g, both, ir_like_int(g, i32, -65536))
	            : LLVMBuildShl(g->builder, both, ir_like_int(g, i32, 16), "");
	return ir_bits(g, both, ir_vector(g, g->f32));
}

/* Multiplies one k, or half `part` of a pair, for all rows. `offset`: bytes from the start of a row to the step's first
 * x. */
static void multiply_one(struct tile_state *s, LLVMValueRef offset, LLVMValueRef w, int part)
{
	LLVMValueRef wide[TILE_VECTORS];
	for (int v = 0; v < TILE_VECTORS; v++)
		wide[v] = weights(s, w, v, part);
	for (int row = 0; row < s->t->rows; row++) {
		LLVMValueRef at = ir_offset(s->g, x_address(s, row, offset), ir_i64(s->g, part * dtype_bytes(s->t->x)));
		LLVMValueRef x = ir_splat(s->g, load_scalar(s->g, s->t->x, at));
		for (int v = 0; v < TILE_VECTORS; v++)
			add_product(s, row, v, x, wide[v]);
	}
}

/* Multiplies a pair of k by dot products. If k is odd, the second element of the last pair is zero, whatever memory
 * holds there. */
static void multiply_pair(struct tile_state *s, LLVMValueRef offset, LLVMValueRef w, bool last)
{
	struct codegen *g = s->g;
	LLVMValueRef pairs[TILE_VECTORS];
	for (int v = 0; v < TILE_VECTORS; v++)
		pairs[v] = ir_load(g, ir_vector(g, g->i32), ir_offset(g, w, ir_i64(g, v * 4 * g->lanes)), 2);
	for (int row = 0; row < s->t->rows; row++) {
		LLVMValueRef x = ir_load(g, last ? g->i16 : g->i32, x_address(s, row, offset), 2);
		x = ir_splat(g, last ? LLVMBuildZExt(g->builder, x, g->i32, "") : x);
		for (int v = 0; v < TILE_VECTORS; v++)
			add_dot(s, row, v, x, pairs[v]);
	}
}

static void multiply_step(struct tile_state *s, LLVMValueRef offset, LLVMValueRef w, bool last)
{
	if (s->dot) {
		multiply_pair(s, offset, w, last);
		return;
	}
	multiply_one(s, offset, w, 0);
	if (s->t->pair == 2 && !last)
		multiply_one(s, offset, w, 1);
}

static void tile_sums(struct tile_state *s)
{
	struct codegen *g = s->g;
	int64_t step = (int64_t)s->t->pair * dtype_bytes(s->t->w) * TILE_VECTORS * g->lanes;
	int64_t x_step = (int64_t)s->t->pair * dtype_bytes(s->t->x);
	LLVMValueRef w = LLVMGetParam(g->function, TILE_W), k = LLVMGetParam(g->function, TILE_K), zero = ir_i64(g, 0);
	LLVMValueRef steps = ir_div(g, k, ir_i64(g, s->t->pair));
	struct ir_loop l = loop_begin(g, zero, steps, ir_i64(g, 1));
	LLVMValueRef at = ir_offset(g, w, ir_mul(g, l.index, ir_i64(g, step)));
	for (int64_t line = 0; line < step; line += CACHE_LINE)
		ir_prefetch(g, ir_offset(g, at, ir_i64(g, PREFETCH_BYTES + line)));
	multiply_step(s, ir_mul(g, l.index, ir_i64(g, x_step)), at, false);
	loop_end(g, &l);
	if (s->t->pair == 1)
		return;
	struct ir_branch odd = if_begin(g, ir_compare(g, LLVMIntNE, ir_rem(g, k, ir_i64(g, 2)), zero));
	multiply_step(s, ir_mul(g, steps, ir_i64(g, x_step)), ir_offset(g, w, ir_mul(g, steps, ir_i64(g, step))), true);
	if_end(g, &odd);
}

static void begin_sums(struct tile_state *s)
{
	struct codegen *g = s->g;
	LLVMTypeRef f32 = ir_vector(g, g->f32);
	LLVMValueRef x = LLVMGetParam(g->function, TILE_X);
	s->stride = LLVMGetParam(g->function, TILE_X_STRIDE);
	s->twice = ir_add(g, s->stride, s->stride);
	for (int row = 0; row < s->t->rows; row++) {
		if (row % GROUP_ROWS == 0)
			s->row_group[row / GROUP_ROWS] = ir_offset(g, x, ir_mul(g, s->stride, ir_i64(g, row)));
		for (int v = 0; v < TILE_VECTORS; v++) {
			s->sum[row][v] = ir_local(g, f32, 1);
			ir_store(g, ir_like(g, f32, 0), s->sum[row][v], 4);
		}
	}
}

static void end_sums(struct tile_state *s)
{
	struct codegen *g = s->g;
	int bytes = 4 * g->lanes;
	for (int row = 0; row < s->t->rows; row++)
		for (int v = 0; v < TILE_VECTORS; v++) {
			LLVMValueRef at =
				ir_offset(g, LLVMGetParam(g->function, TILE_OUT), ir_i64(g, (row * TILE_VECTORS + v) * bytes));
			ir_store(g, ir_load(g, ir_vector(g, g->f32), s->sum[row][v], 4), at, bytes);
		}
}

LLVMValueRef contract_tile_function(struct codegen *g, const struct contract_tile *t)
{
	char name[64];
	bool dot = g->bf16_dot && t->pair == 2 && t->x == DTYPE_BF16;
	snprintf(name, sizeof name, "tile_%s_%s_%d%s_%d", dtype_name(t->x), dtype_name(t->w), t->pair, dot ? "dot" : "",
	         t->rows);
	LLVMValueRef made = LLVMGetNamedFunction(g->module, name);
	if (made)
		return made;

	LLVMTypeRef params[TILE_PARAMS] = {g->ptr, g->ptr, g->ptr, g->i64, g->i64};
	struct tile_state s = {.g = g, .t = t, .dot = dot};
	LLVMValueRef f = ir_function(g, name, g->nothing, params, TILE_PARAMS, true);
	for (int p = TILE_X; p <= TILE_OUT; p++)
		ir_attribute(g, f, p, "noalias");
	begin_sums(&s);
	tile_sums(&s);
	end_sums(&s);
	LLVMBuildRetVoid(g->builder);
	return f;
}
