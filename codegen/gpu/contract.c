/* Contractions on a GPU: addresses and tiles. */
#include "contract.h"

/* ---- addresses ------------------------------------------------------------------------------- */
static int64_t runs_of(const struct kernel_contract *k) { return divide_up(k->k * dtype_bytes(k->w), RUN_BYTES); }

struct contract contract_begin(struct codegen *g, const struct gpu_kernel *gk, const char *name)
{
	const struct kernel_contract *k = &gk->kernel->contract;
	if (k->pack.k_run * dtype_bytes(k->w) != RUN_BYTES || k->pack.n_tile % FMA_OUTPUTS || !k->pack.swizzled)
		internal_error("%s: weights in tiles of %d by %d", name, k->pack.n_tile, k->pack.k_run);
	kernel_begin(g, name);
	struct contract c = {.g = g, .k = k, .runs = runs_of(k)};
	c.x = arg_pointer(g, CONTRACT_X);
	for (int i = 0; i <= k->more; i++) {
		c.w[i] = arg_pointer(g, contract_weight(k, i));
		c.y[i] = arg_pointer(g, contract_result(k, i));
	}
	if (k->grouped)
		c.found = block_shared(g, "found", g->i32, 2);
	return c;
}

int64_t contract_columns(const struct kernel_contract *k, int outputs)
{
	int64_t n = 0;
	for (int i = 0; i <= k->more; i++)
		n += divide_up(contract_part(k, i).n, outputs);
	return n;
}

/* `here` NULL: the first part, whose columns come first. */
static LLVMValueRef choose(struct codegen *g, LLVMValueRef here, LLVMValueRef v, LLVMValueRef before)
{
	return here ? ir_select(g, here, v, before) : v;
}

void contract_choose(struct contract *c, LLVMValueRef number)
{
	struct codegen *g = c->g;
	const struct kernel_contract *k = c->k;
	LLVMValueRef batch = k->grouped ? ir_i64(g, 0) : number;
	c->tile_x = ir_at(g, c->x, k->x, ir_mul(g, batch, ir_i64(g, k->x_batch)));
	for (int64_t i = 0, before = 0; i <= k->more; i++) {
		struct contract_part p = contract_part(k, (int)i);
		LLVMValueRef begin = ir_i64(g, before), here = i ? ir_compare(g, LLVMIntSGE, c->column, begin) : NULL;
		LLVMValueRef y = ir_at(g, c->y[i], k->y, ir_mul(g, batch, ir_i64(g, p.y_batch)));
		LLVMValueRef w =
			ir_offset(g, c->w[i], ir_mul(g, number, ir_i64(g, packed_bytes(&k->pack, 1, p.n, k->k, k->w))));
		c->tile_y = choose(g, here, y, c->tile_y);
		c->tile_w = choose(g, here, w, c->tile_w);
		c->y_stride = choose(g, here, ir_i64(g, p.y_stride), c->y_stride);
		c->n = choose(g, here, ir_i64(g, p.n), c->n);
		c->first_n = choose(g, here, ir_mul(g, ir_sub(g, c->column, begin), ir_i64(g, c->outputs)), c->first_n);
		before += divide_up(p.n, c->outputs);
	}
}

LLVMValueRef weight_run(struct contract *c, LLVMValueRef n, LLVMValueRef run)
{
	struct codegen *g = c->g;
	LLVMValueRef tile = ir_i64(g, c->k->pack.n_tile);
	LLVMValueRef block = ir_add(g, ir_mul(g, ir_div(g, n, tile), ir_i64(g, c->runs)), run);
	LLVMValueRef row = ir_add(g, ir_mul(g, block, tile), ir_rem(g, n, tile));
	return ir_offset(g, c->tile_w, ir_mul(g, row, ir_i64(g, RUN_BYTES)));
}

LLVMValueRef x_element(struct contract *c, LLVMValueRef row, LLVMValueRef k)
{
	struct codegen *g = c->g;
	return ir_at(g, c->tile_x, c->k->x, ir_add(g, ir_mul(g, row, ir_i64(g, c->k->x_stride)), k));
}

LLVMValueRef y_element(struct contract *c, LLVMValueRef row, LLVMValueRef n)
{
	struct codegen *g = c->g;
	return ir_at(g, c->tile_y, c->k->y, ir_add(g, ir_mul(g, row, c->y_stride), n));
}

void contract_whole(struct contract *c, LLVMValueRef number)
{
	struct codegen *g = c->g;
	contract_choose(c, number);
	c->begin = ir_i64(g, 0);
	c->end = arg_integer(g, CONTRACT_M);
	if (!c->k->grouped)
		return;
	LLVMValueRef offsets = arg_pointer(g, CONTRACT_OFFSETS);
	c->begin = ir_load_i32(g, offsets, number);
	c->end = ir_load_i32(g, offsets, ir_add(g, number, ir_i64(g, 1)));
}

bool contract_stores_pairs(const struct gpu_kernel *gk)
{
	const struct kernel_contract *k = &gk->kernel->contract;
	bool all = true;
	for (int i = 0; i <= k->more; i++) {
		struct contract_part p = contract_part(k, i);
		all &= gk->align[contract_result(k, i)] % (2 * dtype_bytes(k->y)) == 0 && p.n % 2 == 0 && p.y_stride % 2 == 0
		       && p.y_batch % 2 == 0;
	}
	return all;
}

/* ---- tiles ----------------------------------------------------------------------------------- */
void tiles_plan(const struct kernel_contract *k, int rows, int outputs, struct dr_entry *e)
{
	e->per = (uint32_t)rows;
	e->times = (uint32_t)(contract_columns(k, outputs) * (k->grouped ? 1 : k->batch));
	e->plus = k->grouped ? (uint32_t)k->groups : 0; /* each group may end within a tile */
}

/* The group of tile number `tile`, counted over all groups, and its number there, to `found`; -1: there is no such
 * tile. A warp counts the tiles of 32 groups at a time. */
static void find_group(struct contract *c, LLVMValueRef tile, int rows)
{
	struct codegen *g = c->g;
	LLVMValueRef offsets = arg_pointer(g, CONTRACT_OFFSETS), lane = ir_wide(g, block_lane(g));
	LLVMValueRef groups = ir_i64(g, c->k->groups), before = ir_local(g, g->i64, 1), one = ir_i64(g, 1);
	struct ir_branch warp = if_begin(g, ir_compare(g, LLVMIntEQ, block_warp(g), ir_i32(g, 0)));
	ir_store_i32(g, ir_i64(g, -1), c->found, ir_i64(g, 0));
	warp_barrier(g);
	ir_store(g, ir_i64(g, 0), before, 8);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), groups, ir_i64(g, WARP));
	LLVMValueRef group = ir_add(g, l.index, lane), at = ir_min(g, group, groups),
				 next = ir_min(g, ir_add(g, group, one), groups);
	LLVMValueRef count = ir_sub(g, ir_load_i32(g, offsets, next), ir_load_i32(g, offsets, at));
	LLVMValueRef tiles = ir_ceil_div(g, count, rows), passed = ir_load(g, g->i64, before, 8);
	LLVMValueRef upto = ir_add(g, passed, ir_wide(g, warp_sums(g, LLVMBuildTrunc(g->builder, tiles, g->i32, ""))));
	LLVMValueRef from = ir_sub(g, upto, tiles);
	LLVMValueRef here = ir_and(g, ir_compare(g, LLVMIntSGE, tile, from), ir_compare(g, LLVMIntSLT, tile, upto));
	struct ir_branch hit = if_begin(g, here);
	ir_store_i32(g, group, c->found, ir_i64(g, 0));
	ir_store_i32(g, ir_sub(g, tile, from), c->found, one);
	if_end(g, &hit);
	LLVMValueRef last = warp_from(g, LLVMBuildTrunc(g->builder, upto, g->i32, ""), ir_i32(g, WARP - 1));
	ir_store(g, ir_wide(g, last), before, 8);
	loop_end(g, &l);
	if_end(g, &warp);
	block_barrier(g);
}

static void choose_group(struct contract *c, LLVMValueRef group, LLVMValueRef number, int rows)
{
	struct codegen *g = c->g;
	LLVMValueRef offsets = arg_pointer(g, CONTRACT_OFFSETS);
	contract_choose(c, group);
	c->begin = ir_add(g, ir_load_i32(g, offsets, group), ir_mul(g, number, ir_i64(g, rows)));
	c->end = ir_load_i32(g, offsets, ir_add(g, group, ir_i64(g, 1)));
}

struct tile_loop tiles_begin(struct contract *c, int rows, int outputs)
{
	struct codegen *g = c->g;
	const struct kernel_contract *k = c->k;
	LLVMValueRef m = arg_integer(g, CONTRACT_M), columns = ir_i64(g, contract_columns(k, outputs));
	LLVMValueRef row_tiles = ir_ceil_div(g, m, rows);
	if (k->grouped)
		row_tiles = ir_add(g, row_tiles, ir_i64(g, k->groups));
	LLVMValueRef of_batch = ir_mul(g, row_tiles, columns);
	struct tile_loop l = {.loop = blocks_begin(g, ir_mul(g, of_batch, ir_i64(g, k->grouped ? 1 : k->batch)))};
	LLVMValueRef item = l.loop.index, within = k->grouped ? item : ir_rem(g, item, of_batch);
	LLVMValueRef row_tile = ir_rem(g, within, row_tiles);
	c->column = ir_div(g, within, row_tiles);
	c->outputs = outputs;
	if (!k->grouped) {
		contract_choose(c, ir_div(g, item, of_batch));
		c->begin = ir_mul(g, row_tile, ir_i64(g, rows));
		c->end = m;
		return l;
	}
	find_group(c, row_tile, rows);
	LLVMValueRef group = ir_load_i32(g, c->found, ir_i64(g, 0));
	l.is_there = if_begin(g, ir_compare(g, LLVMIntSGE, group, ir_i64(g, 0)));
	choose_group(c, group, ir_load_i32(g, c->found, ir_i64(g, 1)), rows);
	return l;
}

void tiles_end(struct contract *c, struct tile_loop *l)
{
	if (c->k->grouped)
		if_end(c->g, &l->is_there);
	block_barrier(c->g); /* shared memory is free for the next tile */
	loop_end(c->g, &l->loop);
}
