/* Contractions: y[m, n] = sum over k of x[m, k] w[n, k], with weights in tile order; a batch of weights is processed
 * one weight at a time. A micro-kernel (contract_tile.c) computes `rows` rows times one weight tile (two vectors of
 * outputs) over all of k. Every output is one chain of multiply-adds in the order of k, whatever M, the workers or the
 * micro-kernel are, so ranks agree to the bit. Micro-kernels take k and strides as arguments, so that all contractions
 * of the same formats share them. */
#include "emit.h"

enum {
	CHUNK_BYTES = 512 << 10, /* weight tiles that stay in the second-level cache for all rows */
	CHUNK_TILES = 4,
	MANY_ROWS = 64 /* from here on, rows are multiplied by a chunk of tiles; below, by one tile */
};

/* ---- blocks of rows times one tile ----------------------------------------------------------- */
struct contract {
	struct codegen *g;
	const struct kernel_contract *k;
	LLVMValueRef tile[CONTRACT_MAX_ROWS + 1]; /* tile[rows]: micro-kernel, or NULL */
	int most;                                 /* rows of the largest micro-kernel */
	LLVMValueRef sums;                        /* memory for a micro-kernel's f32 sums */
	LLVMValueRef x, w, y;                     /* the arguments; w: weight of the current group */
	LLVMValueRef batch_x, batch_w, batch_y;   /* addresses for the current batch */
};

static int64_t tile_bytes(const struct kernel_contract *k)
{
	return packed_bytes(&k->pack, 1, k->pack.n_tile, k->k, k->w);
}

static int64_t weight_bytes(const struct kernel_contract *k) { return packed_bytes(&k->pack, 1, k->n, k->k, k->w); }

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
	if (k->pack.n_tile != TILE_VECTORS * g->lanes || (k->pack.k_run != 1 && k->pack.k_run != 2))
		internal_error("%s: weights in tiles of %d by %d, lanes are %d", name, k->pack.n_tile, k->pack.k_run, g->lanes);
	if (k->batch < 1 || (k->batch > 1 && k->grouped))
		internal_error("%s: %lld batches", name, (long long)k->batch);
	if (k->pack.k_run == 2 && k->w != DTYPE_BF16)
		internal_error("%s: pairs of %s", name, dtype_name(k->w));
}

void emit_contract(struct codegen *g, const char *name, const struct kernel_contract *k)
{
	struct contract c = {.g = g, .k = k, .most = g->emitter->contract_rows(g)};
	check_packing(g, name, k);
	struct contract_tile t = {.x = k->x, .w = k->w, .pair = k->pack.k_run};
	for (t.rows = 1; t.rows <= c.most; t.rows++)
		if (t.rows == c.most || (t.rows & (t.rows - 1)) == 0)
			c.tile[t.rows] = contract_tile_function(g, &t);

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
