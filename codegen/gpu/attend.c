/* Attention on the matrix units: the entries for decode, with the cache split over blocks, and for prefill. */
#include "attend.h"
#include <math.h>

/* ---- plan ------------------------------------------------------------------------------------ */
int64_t attend_parts(const struct kernel_attend *k)
{
	return target_gpu().workers * attend_workspace(k) / attend_part_bytes(k);
}

static struct dr_entry *add_entry(struct arena *arena, struct gpu_kernel *gk, const char *suffix, uint32_t phases)
{
	const char *name = arena_printf(arena, "dr_%s%s", gk->kernel->name, suffix);
	gk->entry[gk->entries] = gpu_entry(name, ATTEND_THREADS, ATTEND_M);
	gk->entry[gk->entries].phases = phases;
	return &gk->entry[gk->entries++];
}

static bool plan(struct arena *arena, struct gpu_kernel *gk)
{
	const struct kernel_attend *k = &gk->kernel->attend;
	struct attend_shape s = attend_shape(k);
	const uint32_t decode = 1u << DR_DECODE;
	if (!k->on_matrix)
		return false;
	if (gk->align[ATTEND_KEYS] % PIECE_BYTES || gk->align[ATTEND_VALUES] % PIECE_BYTES)
		internal_error("%s: the cache is not aligned", gk->kernel->name);
	struct dr_entry *e = add_entry(arena, gk, "_decode", decode);
	e->upto = attend_parts(k) / (2 * s.columns); /* so few that each is split */
	e->times = (uint32_t)(s.columns * MAX_SPLITS);
	e->most = (uint32_t)attend_parts(k);
	e->then = true;
	e = add_entry(arena, gk, "_join", 0);
	gpu_spread(e, k->heads * k->group * s.chunks, ATTEND_WARPS);
	e = add_entry(arena, gk, "_decode", decode);
	e->times = (uint32_t)s.columns;
	e = add_entry(arena, gk, "", UINT32_MAX);
	e->per = (uint32_t)(s.tokens * ATTEND_WARPS);
	e->times = (uint32_t)s.columns;
	return s.columns * MAX_SPLITS < MAX_BLOCKS;
}

static void emit(struct codegen *g, const struct gpu_kernel *gk, int entry, const char *name)
{
	switch (entry) {
	case 0:  attend_decode(g, gk, name); return;
	case 1:  attend_join(g, gk, name); return;
	default: attend_prefill(g, gk, name); return;
	}
}

const struct gpu_family gpu_attend = {plan, emit};

/* ---- prefill --------------------------------------------------------------------------------- */
/* Stores the rows of the current run: sums divided by their totals, or zeros. */
static void store_rows(struct attend *a, bool zeros)
{
	struct codegen *g = a->g;
	int lanes = g->lanes;
	g->lanes = PIECE_FEATURES;
	g->vector_align = a->y_pieces ? PIECE_BYTES : 0;
	for (int h = 0; h < HALVES; h++) {
		LLVMValueRef total = ir_load(g, g->f32, a->total[h], 4), factor;
		attend_sink(a, a->member[h], ir_load(g, g->f32, a->most[h], 4), &factor, &total);
		factor = ir_fdiv(g, factor, total);
		struct ir_branch real = if_begin(g, ir_compare(g, LLVMIntSGE, a->limit[h], ir_i64(g, 0)));
		for (int i = 0; i < a->s.sets; i++)
			for (int side = 0; side < 2; side++) {
				LLVMValueRef f = ir_add(g, ir_mul(g, a->part, ir_i64(g, 2 * PIECE_FEATURES)),
				                        ir_i64(g, i * SET_FEATURES + side * PIECE_FEATURES));
				f = ir_add(g, a->first_feature, f);
				LLVMValueRef v = LLVMConstNull(ir_vector(g, g->f32));
				for (int j = 0; !zeros && j < PIECE_FEATURES; j++) {
					LLVMValueRef sum = ir_load(g, g->f32, a->out[i][j][2 * h + side], 4);
					v = LLVMBuildInsertElement(g->builder, v, ir_fmul(g, sum, factor), ir_i32(g, j), "");
				}
				struct ir_branch b = if_begin(g, ir_compare(g, LLVMIntSLT, f, ir_i64(g, a->k->w)));
				store_vector(g, a->k->y, v, attend_y(a, a->token[h], a->member[h], f), NULL);
				if_end(g, &b);
			}
		if_end(g, &real);
	}
	g->lanes = lanes;
	g->vector_align = 0;
}

/* The run of tokens from `first` on that have its sequence: sets sequence, end and last. They are neighbours'
 * positions, but nothing here depends on it. */
static void find_run(struct attend *a, LLVMValueRef tile_end, LLVMValueRef *earliest)
{
	struct codegen *g = a->g;
	LLVMValueRef goes_on = LLVMConstInt(g->i1, 1, 0);
	a->sequence = ir_load_i32(g, a->seq, a->first);
	a->last = *earliest = ir_load_i32(g, a->pos, a->first);
	a->end = ir_add(g, a->first, ir_i64(g, 1));
	for (int i = 1; i < a->s.tokens; i++) {
		LLVMValueRef token = ir_add(g, a->first, ir_i64(g, i)), inside = ir_compare(g, LLVMIntSLT, token, tile_end);
		token = ir_select(g, inside, token, a->first);
		LLVMValueRef same = ir_compare(g, LLVMIntEQ, ir_load_i32(g, a->seq, token), a->sequence);
		goes_on = ir_and(g, goes_on, ir_and(g, inside, same));
		LLVMValueRef pos = ir_load_i32(g, a->pos, token);
		a->last = ir_select(g, goes_on, ir_max(g, a->last, pos), a->last);
		*earliest = ir_select(g, goes_on, ir_min(g, *earliest, pos), *earliest);
		a->end = ir_add(g, a->end, LLVMBuildZExt(g->builder, goes_on, g->i64, ""));
	}
}

/* Attention of one run of a tile; returns its end. */
static LLVMValueRef one_run(struct attend *a, LLVMValueRef base, LLVMValueRef tile_end)
{
	struct codegen *g = a->g;
	LLVMValueRef earliest;
	find_run(a, tile_end, &earliest);
	attend_rows(a, base);
	struct ir_branch real = if_begin(g, ir_compare(g, LLVMIntSGE, a->sequence, ir_i64(g, 0)));
	attend_pass(a, attend_first_block(a, earliest), attend_end_block(a, a->last), 1);
	store_rows(a, false);
	if_else(g, &real);
	store_rows(a, true);
	if_end(g, &real);
	return a->end;
}

/* Each warp has a tile of its own; a block's warps have neighbouring tokens and the same head. */
void attend_prefill(struct codegen *g, const struct gpu_kernel *gk, const char *name)
{
	struct attend a = attend_begin(g, gk, name);
	LLVMValueRef tokens = ir_i64(g, a.s.tokens), columns = ir_i64(g, a.s.columns), next = ir_local(g, g->i64, 1);
	LLVMValueRef groups = ir_ceil_div(g, a.m, a.s.tokens * ATTEND_WARPS);
	struct ir_loop l = blocks_begin(g, ir_mul(g, groups, columns));
	attend_column(&a, ir_rem(g, l.index, columns));
	LLVMValueRef tile = ir_mul(g, ir_div(g, l.index, columns), ir_i64(g, ATTEND_WARPS));
	LLVMValueRef base = ir_mul(g, ir_add(g, tile, ir_wide(g, block_warp(g))), tokens);
	LLVMValueRef tile_end = ir_min(g, ir_add(g, base, tokens), a.m);
	ir_store(g, base, next, 8);
	/* at most one run for each token */
	struct ir_loop run = loop_begin(g, base, tile_end, ir_i64(g, 1));
	a.first = ir_load(g, g->i64, next, 8);
	struct ir_branch some = if_begin(g, ir_compare(g, LLVMIntSLT, a.first, tile_end));
	ir_store(g, one_run(&a, base, tile_end), next, 8);
	if_end(g, &some);
	loop_end(g, &run);
	loop_end(g, &l);
	kernel_end(g);
}

/* ---- decode ---------------------------------------------------------------------------------- */
LLVMValueRef attend_splits(struct attend *a)
{
	struct codegen *g = a->g;
	LLVMValueRef tiles = ir_max(g, ir_mul(g, a->m, ir_i64(g, a->s.columns)), ir_i64(g, 1));
	LLVMValueRef fit = ir_div(g, ir_i64(g, attend_parts(a->k)), tiles);
	return ir_max(g, ir_min(g, fit, ir_i64(g, MAX_SPLITS)), ir_i64(g, 1));
}

/* A row of a part in the workspace, or in shared memory: f32 [features + 2]. */
static LLVMValueRef part_row(struct attend *a, LLVMValueRef parts, LLVMValueRef part, LLVMValueRef row)
{
	struct codegen *g = a->g;
	LLVMValueRef at = ir_add(g, ir_mul(g, part, ir_i64(g, MATRIX_ROWS)), row);
	return ir_at(g, parts, DTYPE_F32, ir_mul(g, at, ir_i64(g, a->s.features + 2)));
}

static LLVMValueRef part_number(struct attend *a, LLVMValueRef row, int64_t i)
{
	return ir_at(a->g, row, DTYPE_F32, ir_i64(a->g, a->s.features + i));
}

/* What a warp has, to shared memory. */
static void share_part(struct attend *a, LLVMValueRef parts)
{
	struct codegen *g = a->g;
	for (int h = 0; h < HALVES; h++) {
		LLVMValueRef row =
			part_row(a, parts, ir_wide(g, block_warp(g)), ir_add(g, a->row, ir_i64(g, h * MATRIX_ROWS / HALVES)));
		ir_store(g, ir_load(g, g->f32, a->most[h], 4), part_number(a, row, 0),
		         4); /* the same by all lanes of the row */
		ir_store(g, ir_load(g, g->f32, a->total[h], 4), part_number(a, row, 1), 4);
		for (int i = 0; i < a->s.sets; i++)
			for (int side = 0; side < 2; side++) {
				LLVMValueRef f = ir_add(g, ir_mul(g, a->part, ir_i64(g, 2 * PIECE_FEATURES)),
				                        ir_i64(g, i * SET_FEATURES + side * PIECE_FEATURES));
				struct ir_branch b = if_begin(g, ir_compare(g, LLVMIntSLT, f, ir_i64(g, a->s.features)));
				for (int j = 0; j < PIECE_FEATURES; j++)
					ir_store(g, ir_load(g, g->f32, a->out[i][j][2 * h + side], 4),
					         ir_at(g, row, DTYPE_F32, ir_add(g, f, ir_i64(g, j))), 4);
				if_end(g, &b);
			}
	}
}

/* Joins the same row of `n` parts, from `from` on: its maximum, total, and for one feature its sum. */
struct joined {
	LLVMValueRef most, total, sum;
};
static struct joined join_parts(struct attend *a, LLVMValueRef parts, LLVMValueRef from, LLVMValueRef n,
                                LLVMValueRef row, LLVMValueRef feature)
{
	struct codegen *g = a->g;
	LLVMValueRef most = ir_local(g, g->f32, 1), total = ir_local(g, g->f32, 1), sum = ir_local(g, g->f32, 1);
	LLVMValueRef end = ir_add(g, from, n), one = ir_i64(g, 1);
	ir_store(g, ir_load(g, g->f32, part_number(a, part_row(a, parts, from, row), 0), 4), most, 4);
	ir_store(g, ir_f32(g, 0), total, 4);
	ir_store(g, ir_f32(g, 0), sum, 4);
	struct ir_loop find = loop_begin(g, ir_add(g, from, one), end, one);
	LLVMValueRef other = ir_load(g, g->f32, part_number(a, part_row(a, parts, find.index, row), 0), 4);
	ir_store(g, ir_fmax(g, other, ir_load(g, g->f32, most, 4)), most, 4);
	loop_end(g, &find);
	LLVMValueRef largest = ir_load(g, g->f32, most, 4);
	struct ir_loop l = loop_begin(g, from, end, one);
	LLVMValueRef of_part = part_row(a, parts, l.index, row);
	LLVMValueRef factor = attend_power(g, ir_fsub(g, ir_load(g, g->f32, part_number(a, of_part, 0), 4), largest));
	LLVMValueRef part_total = ir_load(g, g->f32, part_number(a, of_part, 1), 4);
	LLVMValueRef part_sum = ir_load(g, g->f32, ir_at(g, of_part, DTYPE_F32, feature), 4);
	ir_store(g, ir_fma(g, part_total, factor, ir_load(g, g->f32, total, 4)), total, 4);
	ir_store(g, ir_fma(g, part_sum, factor, ir_load(g, g->f32, sum, 4)), sum, 4);
	loop_end(g, &l);
	return (struct joined){largest, ir_load(g, g->f32, total, 4), ir_load(g, g->f32, sum, 4)};
}

/* Stores one feature of a query; zeros for a row of padding. */
static void store_joined(struct attend *a, const struct joined *j, LLVMValueRef token, LLVMValueRef member,
                         LLVMValueRef feature)
{
	struct codegen *g = a->g;
	LLVMValueRef total = j->total, factor;
	attend_sink(a, member, j->most, &factor, &total);
	LLVMValueRef padding = ir_compare(g, LLVMIntSLT, ir_load_i32(g, a->seq, token), ir_i64(g, 0));
	LLVMValueRef v = ir_fdiv(g, ir_fmul(g, j->sum, factor), total);
	store_scalar(g, a->k->y, ir_select(g, padding, ir_f32(g, 0), v), attend_y(a, token, member, feature));
}

static void store_part(struct attend *a, const struct joined *j, LLVMValueRef number, LLVMValueRef row,
                       LLVMValueRef feature)
{
	struct codegen *g = a->g;
	LLVMValueRef to = part_row(a, a->workspace, number, row);
	ir_store(g, j->sum, ir_at(g, to, DTYPE_F32, feature), 4);
	struct ir_branch first = if_begin(g, ir_compare(g, LLVMIntEQ, feature, ir_i64(g, 0)));
	ir_store(g, j->most, part_number(a, to, 0), 4);
	ir_store(g, j->total, part_number(a, to, 1), 4);
	if_end(g, &first);
}

static void store_tile(struct attend *a, const struct joined *j, LLVMValueRef row, LLVMValueRef feature)
{
	struct codegen *g = a->g;
	LLVMValueRef member = ir_add(g, a->first_member, row), whole = ir_add(g, a->first_feature, feature);
	LLVMValueRef real = ir_and(g, ir_compare(g, LLVMIntSLT, row, ir_i64(g, a->s.members)),
	                           ir_compare(g, LLVMIntSLT, member, ir_i64(g, a->k->group)));
	real = ir_and(g, real, ir_compare(g, LLVMIntSLT, whole, ir_i64(g, a->k->w)));
	struct ir_branch b = if_begin(g, real);
	store_joined(a, j, a->first, member, whole);
	if_end(g, &b);
}

/* Joins what the block's warps have: to the workspace, or to y if the tile is not split. Threads take features in turn.
 */
static void join_warps(struct attend *a, LLVMValueRef parts, LLVMValueRef number, LLVMValueRef splits)
{
	struct codegen *g = a->g;
	LLVMValueRef rows = ir_i64(g, MATRIX_ROWS), features = ir_i64(g, a->s.features);
	struct ir_loop l = loop_begin(g, ir_wide(g, block_thread(g)), ir_mul(g, rows, features), ir_i64(g, ATTEND_THREADS));
	LLVMValueRef row = ir_div(g, l.index, features), feature = ir_rem(g, l.index, features);
	struct joined j = join_parts(a, parts, ir_i64(g, 0), ir_i64(g, ATTEND_WARPS), row, feature);
	struct ir_branch is_part = if_begin(g, ir_compare(g, LLVMIntSGT, splits, ir_i64(g, 1)));
	store_part(a, &j, number, row, feature);
	if_else(g, &is_part);
	store_tile(a, &j, row, feature);
	if_end(g, &is_part);
	loop_end(g, &l);
}

/* Blocks of the cache that part `part` of `splits` of the tile has. */
static void split_range(struct attend *a, LLVMValueRef part, LLVMValueRef splits, LLVMValueRef *from, LLVMValueRef *to)
{
	struct codegen *g = a->g;
	LLVMValueRef first = attend_first_block(a, a->last), end = attend_end_block(a, a->last), one = ir_i64(g, 1);
	LLVMValueRef n = ir_sub(g, end, first);
	LLVMValueRef each = ir_div(g, ir_add(g, n, ir_sub(g, splits, one)), splits);
	*from = ir_add(g, first, ir_mul(g, part, each));
	*to = ir_min(g, ir_add(g, *from, each), end);
}

/* A block has one token's tile, or a part of its cache. Its warps take blocks of the cache in turn. */
void attend_decode(struct codegen *g, const struct gpu_kernel *gk, const char *name)
{
	struct attend a = attend_begin(g, gk, name);
	LLVMValueRef columns = ir_i64(g, a.s.columns), splits = attend_splits(&a), from, to;
	LLVMValueRef parts = block_shared(g, "parts", g->f32, (int64_t)ATTEND_WARPS * MATRIX_ROWS * (a.s.features + 2));
	struct ir_loop l = blocks_begin(g, ir_mul(g, ir_mul(g, a.m, columns), splits));
	LLVMValueRef tile = ir_div(g, l.index, splits);
	attend_column(&a, ir_rem(g, tile, columns));
	a.first = ir_div(g, tile, columns);
	a.end = ir_add(g, a.first, ir_i64(g, 1));
	attend_rows(&a, a.first);
	LLVMValueRef sequence = ir_load_i32(g, a.seq, a.first), zero = ir_i64(g, 0);
	LLVMValueRef padding = ir_compare(g, LLVMIntSLT, sequence, zero);
	a.sequence = ir_max(g, sequence, zero);
	a.last = ir_select(g, padding, ir_i64(g, -1), ir_load_i32(g, a.pos, a.first));
	split_range(&a, ir_rem(g, l.index, splits), splits, &from, &to);
	attend_pass(&a, ir_add(g, from, ir_wide(g, block_warp(g))), to, ATTEND_WARPS);
	share_part(&a, parts);
	block_barrier(g);
	join_warps(&a, parts, l.index, splits);
	block_barrier(g);
	loop_end(g, &l);
	kernel_end(g);
}

/* After a split decode: a warp joins the parts of a query's chunk, its lanes take features in turn. */
void attend_join(struct codegen *g, const struct gpu_kernel *gk, const char *name)
{
	struct attend a = attend_begin(g, gk, name);
	LLVMValueRef group = ir_i64(g, a.k->group), chunks = ir_i64(g, a.s.chunks), heads = ir_i64(g, a.k->heads);
	LLVMValueRef splits = attend_splits(&a), rows = ir_i64(g, MATRIX_ROWS), tiles = ir_i64(g, a.s.member_tiles);
	LLVMValueRef items = ir_mul(g, ir_mul(g, a.m, heads), ir_mul(g, group, chunks));
	LLVMValueRef warp =
		ir_add(g, ir_mul(g, ir_wide(g, block_index(g)), ir_i64(g, ATTEND_WARPS)), ir_wide(g, block_warp(g)));
	struct ir_loop l = loop_begin(g, warp, items, ir_mul(g, ir_wide(g, block_count(g)), ir_i64(g, ATTEND_WARPS)));
	LLVMValueRef chunk = ir_rem(g, l.index, chunks), query = ir_div(g, l.index, chunks);
	LLVMValueRef member = ir_rem(g, query, group), of_token = ir_div(g, query, group);
	LLVMValueRef token = ir_div(g, of_token, heads);
	a.head = ir_rem(g, of_token, heads);
	a.first_feature = ir_mul(g, chunk, ir_i64(g, a.s.features));
	LLVMValueRef tile = ir_add(g, ir_mul(g, of_token, tiles), ir_div(g, member, rows));
	LLVMValueRef part = ir_mul(g, ir_add(g, ir_mul(g, tile, chunks), chunk), splits);
	struct ir_loop f = loop_begin(g, ir_wide(g, block_lane(g)), ir_i64(g, a.s.features), ir_i64(g, WARP));
	LLVMValueRef whole = ir_add(g, a.first_feature, f.index);
	struct ir_branch real = if_begin(g, ir_compare(g, LLVMIntSLT, whole, ir_i64(g, a.k->w)));
	struct joined j = join_parts(&a, a.workspace, part, splits, ir_rem(g, member, rows), f.index);
	store_joined(&a, &j, token, member, whole);
	if_end(g, &real);
	loop_end(g, &f);
	loop_end(g, &l);
	kernel_end(g);
}
