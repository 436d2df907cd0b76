/* Contractions: y[m, n] = sum over k of x[m, k] w[n, k], with weights in tile order; a batch of weights is processed
 * one weight at a time. A micro-kernel (contract_tile.c) computes `rows` rows times one weight tile (two vectors of
 * outputs) over all of k. Every output is one chain of multiply-adds in the order of k, whatever M, the shares or the
 * micro-kernel are, so ranks agree to the bit. Micro-kernels take k and strides as arguments, so that all contractions
 * of the same formats share them. */
#include "emit.h"
#include "../support/round.h"

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
	LLVMValueRef x, batch_x;                  /* the argument; its address for the current batch */
	struct {
		LLVMValueRef w, y; /* the arguments; w: weight of the current group */
		LLVMValueRef batch_w, batch_y;
	} part[CONTRACT_MAX_PARTS];
	/* the current tile: its weights, its first output in row 0, the result's stride, and how many outputs are left */
	LLVMValueRef tile_w, tile_y, y_stride, left;
};

static int64_t tile_bytes(const struct kernel_contract *k)
{
	return packed_bytes(&k->pack, 1, k->pack.n_tile, k->k, k->w);
}

static int64_t weight_bytes(const struct kernel_contract *k, int part)
{
	return packed_bytes(&k->pack, 1, contract_part(k, part).n, k->k, k->w);
}

static int64_t tiles_of(const struct kernel_contract *k, int part)
{
	return divide_up(contract_part(k, part).n, k->pack.n_tile);
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

/* Converts the sums of `rows` rows into the tile's outputs from row `first` on. The last tile of a part has fewer. */
static void store_sums(struct contract *c, LLVMValueRef first, int rows)
{
	struct codegen *g = c->g;
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, rows), ir_i64(g, 1));
	LLVMValueRef y = ir_at(g, c->tile_y, c->k->y, ir_mul(g, ir_add(g, first, l.index), c->y_stride));
	struct ir_branch whole = if_begin(g, ir_compare(g, LLVMIntSGE, c->left, ir_i64(g, TILE_VECTORS * g->lanes)));
	store_row(g, c, y, l.index, NULL);
	if_else(g, &whole);
	store_row(g, c, y, l.index, c->left);
	if_end(g, &whole);
	loop_end(g, &l);
}

/* Goes to a tile. The tiles of all parts are counted one after the other. */
static void choose_tile(struct contract *c, LLVMValueRef number)
{
	struct codegen *g = c->g;
	const struct kernel_contract *k = c->k;
	for (int64_t i = 0, before = 0; i <= k->more; before += tiles_of(k, (int)i++)) {
		struct contract_part p = contract_part(k, (int)i);
		LLVMValueRef begin = ir_i64(g, before), tile = ir_sub(g, number, begin);
		LLVMValueRef n = ir_mul(g, tile, ir_i64(g, k->pack.n_tile)), stride = ir_i64(g, p.y_stride);
		LLVMValueRef w = ir_offset(g, c->part[i].batch_w, ir_mul(g, tile, ir_i64(g, tile_bytes(k))));
		LLVMValueRef y = ir_at(g, c->part[i].batch_y, k->y, n), left = ir_sub(g, ir_i64(g, p.n), n);
		LLVMValueRef here = i ? ir_compare(g, LLVMIntSGE, number, begin) : NULL;
		c->tile_w = here ? ir_select(g, here, w, c->tile_w) : w;
		c->tile_y = here ? ir_select(g, here, y, c->tile_y) : y;
		c->y_stride = here ? ir_select(g, here, stride, c->y_stride) : stride;
		c->left = here ? ir_select(g, here, left, c->left) : left;
	}
}

static void call_tile(struct contract *c, int rows, LLVMValueRef first)
{
	struct codegen *g = c->g;
	LLVMValueRef x = ir_at(g, c->batch_x, c->k->x, ir_mul(g, first, ir_i64(g, c->k->x_stride)));
	LLVMValueRef args[TILE_PARAMS] = {x, c->tile_w, c->sums, ir_i64(g, c->k->k),
	                                  ir_i64(g, c->k->x_stride * dtype_bytes(c->k->x))};
	ir_call(g, c->tile[rows], args, TILE_PARAMS);
	store_sums(c, first, rows);
}

/* Multiplies rows [first, first + count), count <= most, by the tile: with the largest micro-kernel, or with smaller
 * ones by the bits of count. */
static void block_times_tile(struct contract *c, LLVMValueRef first, LLVMValueRef count)
{
	struct codegen *g = c->g;
	struct ir_branch whole = if_begin(g, ir_compare(g, LLVMIntEQ, count, ir_i64(g, c->most)));
	call_tile(c, c->most, first);
	if_else(g, &whole);
	for (int rows = 8; rows; rows /= 2) {
		if (rows >= c->most)
			continue;
		LLVMValueRef bit = ir_and(g, count, ir_i64(g, rows));
		LLVMValueRef before = ir_and(g, count, ir_i64(g, -2 * rows));
		struct ir_branch has = if_begin(g, ir_compare(g, LLVMIntNE, bit, ir_i64(g, 0)));
		call_tile(c, rows, ir_add(g, first, before));
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
	for (int i = 0; i <= k->more; i++) {
		LLVMValueRef y = ir_mul(g, number, ir_i64(g, contract_part(k, i).y_batch));
		c->part[i].batch_y = ir_at(g, c->part[i].y, k->y, y);
		c->part[i].batch_w = ir_offset(g, c->part[i].w, ir_mul(g, number, ir_i64(g, weight_bytes(k, i))));
	}
}

/* Computes this share of rows [begin, end). An item is a block of rows times a chunk of tiles. Batches, then
 * chunks, are outermost, so that a chunk is read from memory once for all rows. */
static void share_rows(struct contract *c, LLVMValueRef begin, LLVMValueRef end)
{
	struct codegen *g = c->g;
	int64_t fitting = CHUNK_BYTES / tile_bytes(c->k), most_tiles = fitting < 1             ? 1
	                                                               : fitting < CHUNK_TILES ? fitting
	                                                                                       : CHUNK_TILES;
	LLVMValueRef rows = ir_sub(g, end, begin), one = ir_i64(g, 1);
	int64_t all_tiles = 0;
	for (int i = 0; i <= c->k->more; i++)
		all_tiles += tiles_of(c->k, i);
	LLVMValueRef tiles = ir_i64(g, all_tiles);
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
	choose_tile(c, tile.index);
	block_times_tile(c, first, count);
	loop_end(g, &tile);
	loop_end(g, &item);
}

static void share_groups(struct contract *c, LLVMValueRef offsets)
{
	struct codegen *g = c->g;
	const struct kernel_contract *k = c->k;
	LLVMValueRef weights[CONTRACT_MAX_PARTS];
	for (int i = 0; i <= k->more; i++)
		weights[i] = c->part[i].w;
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, k->groups), ir_i64(g, 1));
	for (int i = 0; i <= k->more; i++)
		c->part[i].w = ir_offset(g, weights[i], ir_mul(g, l.index, ir_i64(g, weight_bytes(k, i))));
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
	for (int i = 0; i <= k->more; i++) {
		c.part[i].w = arg_pointer(g, contract_weight(k, i));
		c.part[i].y = arg_pointer(g, contract_result(k, i));
	}
	c.sums = ir_local(g, ir_vector(g, g->f32), (int64_t)c.most * TILE_VECTORS);
	if (k->grouped)
		share_groups(&c, arg_pointer(g, CONTRACT_OFFSETS));
	else
		share_rows(&c, ir_i64(g, 0), arg_integer(g, CONTRACT_M));
	kernel_end(g);
}
