/* Contractions: y[m, n] = sum over k of x[m, k] w[n, k], with weights in tile order; a batch of weights is processed
 * one weight at a time. A micro-kernel computes `rows` rows times one weight tile (two vectors of outputs) over all of
 * k, with sums in registers. Every output is one chain of multiply-adds in the order of k, whatever M, the workers or
 * the micro-kernel are, so ranks agree to the bit. Micro-kernels take k and strides as arguments, so that all
 * contractions of the same formats share them. */
#include <stdio.h>
#include "emit.h"

enum {
	PREFETCH_BYTES = 8192, /* weights are prefetched this far ahead of the multiplication */
	CACHE_LINE = 64,
	MAX_ROWS = 12,
	TILE_VECTORS = 2,
	GROUP_ROWS = 3,          /* rows addressed from one pointer, by 0, 1 and 2 times the stride */
	CHUNK_BYTES = 512 << 10, /* weight tiles that stay in the second-level cache for all rows */
	CHUNK_TILES = 4,
	MANY_ROWS = 64 /* from here on, rows are multiplied by a chunk of tiles; below, by one tile */
};

/* Formats and shape of a micro-kernel. */
struct tile {
	enum dtype x, w;
	int pair, rows;
	bool dot;
};

/* ---- micro-kernel ---------------------------------------------------------------------------- */
enum { TILE_X, TILE_W, TILE_OUT, TILE_K, TILE_X_STRIDE, TILE_PARAMS }; /* out: f32[rows][n_tile], stride in bytes */

struct tile_state {
	struct codegen *g;
	const struct tile *t;
	LLVMValueRef sum[MAX_ROWS][TILE_VECTORS]; /* in memory until promoted to registers */
	LLVMValueRef row_group[MAX_ROWS / GROUP_ROWS];
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
	LLVMValueRef args[] = {sum, ir_bits(g, x, pairs), ir_bits(g, w, pairs)};
	ir_store(g, ir_intrinsic(g, "llvm.x86.avx512bf16.dpbf16ps.512", NULL, args, 3), s->sum[row][v], 4);
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
	if (s->t->dot) {
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

/* The micro-kernel of a shape, made at its first use. */
static LLVMValueRef tile_function(struct codegen *g, const struct tile *t)
{
	char name[64];
	snprintf(name, sizeof name, "tile_%s_%s_%d%s_%d", dtype_name(t->x), dtype_name(t->w), t->pair, t->dot ? "dot" : "",
	         t->rows);
	LLVMValueRef made = LLVMGetNamedFunction(g->module, name);
	if (made)
		return made;

	LLVMTypeRef params[TILE_PARAMS] = {g->ptr, g->ptr, g->ptr, g->i64, g->i64};
	struct tile_state s = {.g = g, .t = t};
	LLVMValueRef f = ir_function(g, name, g->nothing, params, TILE_PARAMS, true);
	for (int p = TILE_X; p <= TILE_OUT; p++)
		ir_attribute(g, f, p, "noalias");
	begin_sums(&s);
	tile_sums(&s);
	end_sums(&s);
	LLVMBuildRetVoid(g->builder);
	return f;
}

/* ---- blocks of rows times one tile ----------------------------------------------------------- */
struct contract {
	struct codegen *g;
	const struct kernel_contract *k;
	LLVMValueRef tile[MAX_ROWS + 1];        /* tile[rows]: micro-kernel, or NULL */
	int most;                               /* rows of the largest micro-kernel */
	LLVMValueRef sums;                      /* memory for a micro-kernel's f32 sums */
	LLVMValueRef x, w, y;                   /* the arguments; w: weight of the current group */
	LLVMValueRef batch_x, batch_w, batch_y; /* addresses for the current batch */
};

static int64_t tile_bytes(const struct kernel_contract *k)
{
	int64_t padded = (k->k + k->pack.k_pair - 1) / k->pack.k_pair * k->pack.k_pair;
	return padded * k->pack.n_tile * dtype_bytes(k->w);
}

static int64_t weight_bytes(const struct kernel_contract *k)
{
	return (k->n + k->pack.n_tile - 1) / k->pack.n_tile * tile_bytes(k);
}

static void store_row(struct codegen *g, const struct contract *c, LLVMValueRef y, LLVMValueRef row, LLVMValueRef left)
{
	for (int v = 0; v < TILE_VECTORS; v++) {
		LLVMTypeRef f32 = ir_vector(g, g->f32);
		LLVMValueRef at = ir_add(g, ir_mul(g, row, ir_i64(g, TILE_VECTORS)), ir_i64(g, v));
		LLVMValueRef sum = ir_load(g, f32, ir_offset(g, c->sums, ir_mul(g, at, ir_i64(g, 4 * g->lanes))), 4 * g->lanes);
		LLVMValueRef mask = left ? tail_mask(g, ir_sub(g, left, ir_i64(g, v * g->lanes))) : NULL;
		store_vector(g, c->k->y, sum, ir_at(g, y, c->k->y, ir_i64(g, v * g->lanes)), mask);
	}
}

/* Converts the sums of `rows` rows into y at (first, n). The last tile stores fewer outputs. */
static void store_sums(struct contract *c, LLVMValueRef first, int rows, LLVMValueRef n)
{
	struct codegen *g = c->g;
	LLVMValueRef left = ir_sub(g, ir_i64(g, c->k->n), n);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, rows), ir_i64(g, 1));
	LLVMValueRef at = ir_add(g, ir_mul(g, ir_add(g, first, l.index), ir_i64(g, c->k->y_stride)), n);
	LLVMValueRef y = ir_at(g, c->batch_y, c->k->y, at);
	struct ir_branch whole = if_begin(g, ir_compare(g, LLVMIntSGE, left, ir_i64(g, TILE_VECTORS * g->lanes)));
	store_row(g, c, y, l.index, NULL);
	if_else(g, &whole);
	store_row(g, c, y, l.index, left);
	if_end(g, &whole);
	loop_end(g, &l);
}

static void call_tile(struct contract *c, int rows, LLVMValueRef first, LLVMValueRef tile)
{
	struct codegen *g = c->g;
	LLVMValueRef x = ir_at(g, c->batch_x, c->k->x, ir_mul(g, first, ir_i64(g, c->k->x_stride)));
	LLVMValueRef args[TILE_PARAMS] = {x, ir_offset(g, c->batch_w, ir_mul(g, tile, ir_i64(g, tile_bytes(c->k)))),
	                                  c->sums, ir_i64(g, c->k->k), ir_i64(g, c->k->x_stride * dtype_bytes(c->k->x))};
	ir_call(g, c->tile[rows], args, TILE_PARAMS);
	store_sums(c, first, rows, ir_mul(g, tile, ir_i64(g, c->k->pack.n_tile)));
}

/* Multiplies rows [first, first + count), count <= most, by one tile: with the largest micro-kernel, or with smaller
 * ones by the bits of count. */
static void block_times_tile(struct contract *c, LLVMValueRef first, LLVMValueRef count, LLVMValueRef tile)
{
	struct codegen *g = c->g;
	struct ir_branch whole = if_begin(g, ir_compare(g, LLVMIntEQ, count, ir_i64(g, c->most)));
	call_tile(c, c->most, first, tile);
	if_else(g, &whole);
	for (int rows = 8; rows; rows /= 2) {
		if (rows >= c->most)
			continue;
		LLVMValueRef bit = ir_and(g, count, ir_i64(g, rows));
		LLVMValueRef before = ir_and(g, count, ir_i64(g, -2 * rows));
		struct ir_branch has = if_begin(g, ir_compare(g, LLVMIntNE, bit, ir_i64(g, 0)));
		call_tile(c, rows, ir_add(g, first, before), tile);
		if_end(g, &has);
	}
	if_end(g, &whole);
}

/* ---- shares ---------------------------------------------------------------------------------- */
static void choose_batch(struct contract *c, LLVMValueRef number)
{
	struct codegen *g = c->g;
	const struct kernel_contract *k = c->k;
	c->batch_x = ir_at(g, c->x, k->x, ir_mul(g, number, ir_i64(g, k->x_batch)));
	c->batch_y = ir_at(g, c->y, k->y, ir_mul(g, number, ir_i64(g, k->y_batch)));
	c->batch_w = ir_offset(g, c->w, ir_mul(g, number, ir_i64(g, weight_bytes(k))));
}

/* Computes this worker's share of rows [begin, end). An item is a block of rows times a chunk of tiles. Batches, then
 * chunks, are outermost, so that a chunk is read from memory once for all rows. */
static void share_rows(struct contract *c, LLVMValueRef begin, LLVMValueRef end)
{
	struct codegen *g = c->g;
	int64_t fitting = CHUNK_BYTES / tile_bytes(c->k), most_tiles = fitting < 1             ? 1
	                                                               : fitting < CHUNK_TILES ? fitting
	                                                                                       : CHUNK_TILES;
	LLVMValueRef rows = ir_sub(g, end, begin), one = ir_i64(g, 1);
	LLVMValueRef tiles = ir_i64(g, (c->k->n + c->k->pack.n_tile - 1) / c->k->pack.n_tile);
	LLVMValueRef many = ir_compare(g, LLVMIntSGT, rows, ir_i64(g, MANY_ROWS));
	LLVMValueRef chunk = ir_select(g, many, ir_i64(g, most_tiles), one);
	LLVMValueRef chunks = ir_div(g, ir_add(g, tiles, ir_sub(g, chunk, one)), chunk);
	LLVMValueRef blocks = ir_ceil_div(g, rows, c->most);

	LLVMValueRef items = ir_mul(g, chunks, blocks);
	struct ir_loop item = share_begin(g, ir_mul(g, items, ir_i64(g, c->k->batch)));
	choose_batch(c, ir_div(g, item.index, items));
	LLVMValueRef within = ir_rem(g, item.index, items);
	LLVMValueRef first = ir_add(g, begin, ir_mul(g, ir_rem(g, within, blocks), ir_i64(g, c->most)));
	LLVMValueRef count = ir_min(g, ir_sub(g, end, first), ir_i64(g, c->most));
	LLVMValueRef from = ir_mul(g, ir_div(g, within, blocks), chunk);
	struct ir_loop tile = loop_begin(g, from, ir_min(g, ir_add(g, from, chunk), tiles), one);
	block_times_tile(c, first, count, tile.index);
	loop_end(g, &tile);
	loop_end(g, &item);
}

static void share_groups(struct contract *c, LLVMValueRef weights_at, LLVMValueRef offsets)
{
	struct codegen *g = c->g;
	const struct kernel_contract *k = c->k;
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, k->groups), ir_i64(g, 1));
	c->w = ir_offset(g, weights_at, ir_mul(g, l.index, ir_i64(g, weight_bytes(k))));
	share_rows(c, ir_load_i32(g, offsets, l.index), ir_load_i32(g, offsets, ir_add(g, l.index, ir_i64(g, 1))));
	loop_end(g, &l);
}

static void check_packing(const struct codegen *g, const char *name, const struct kernel_contract *k)
{
	if (k->pack.n_tile != TILE_VECTORS * g->lanes || (k->pack.k_pair != 1 && k->pack.k_pair != 2))
		internal_error("%s: weights in tiles of %d by %d, lanes are %d", name, k->pack.n_tile, k->pack.k_pair,
		               g->lanes);
	if (k->batch < 1 || (k->batch > 1 && k->grouped))
		internal_error("%s: %lld batches", name, (long long)k->batch);
	if (k->pack.k_pair == 2 && k->w != DTYPE_BF16)
		internal_error("%s: pairs of %s", name, dtype_name(k->w));
}

void emit_contract(struct codegen *g, const char *name, const struct kernel_contract *k)
{
	struct contract c = {.g = g, .k = k, .most = g->lanes >= 16 ? MAX_ROWS : MAX_ROWS / 2};
	check_packing(g, name, k);
	struct tile t = {.x = k->x, .w = k->w, .pair = k->pack.k_pair};
	t.dot = g->bf16_dot && t.pair == 2 && t.x == DTYPE_BF16;
	for (t.rows = 1; t.rows <= c.most; t.rows++)
		if (t.rows == c.most || (t.rows & (t.rows - 1)) == 0)
			c.tile[t.rows] = tile_function(g, &t);

	kernel_begin(g, name);
	c.x = arg_pointer(g, CONTRACT_X);
	c.w = arg_pointer(g, CONTRACT_W);
	c.y = arg_pointer(g, CONTRACT_Y);
	c.sums = ir_local(g, ir_vector(g, g->f32), (int64_t)c.most * TILE_VECTORS);
	if (k->grouped)
		share_groups(&c, c.w, arg_pointer(g, CONTRACT_OFFSETS));
	else
		share_rows(&c, ir_i64(g, 0), arg_integer(g, CONTRACT_M));
	kernel_end(g);
}
