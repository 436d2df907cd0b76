/* A warp's attention of 16 queries over blocks of 16 positions, on the matrix units. Nothing goes through shared
 * memory: a lane reads pieces of 8 features of a position, and products take them in the order in which they lie in
 * registers. Which features are summed together does not matter if queries and keys agree. The columns of the result
 * are permuted in the same way, so that each lane ends with 8 neighbours. */
#include <math.h>
#include "attend.h"

static const double LOWEST = -1e30; /* running maximum before any score; finite, so that differences are not NaN */
enum { KEPT_PIECES = 6 };           /* of a lane's queries that stay in registers; wider ones are read for each block */

/* ---- shapes ---------------------------------------------------------------------------------- */
struct attend_shape attend_shape(const struct kernel_attend *k)
{
	struct attend_shape s = {.members = k->group < MATRIX_ROWS ? k->group : MATRIX_ROWS};
	s.tokens = MATRIX_ROWS / s.members;
	s.member_tiles = divide_up(k->group, MATRIX_ROWS);
	s.features = attend_part_features(k);
	s.chunks = divide_up(k->w, s.features);
	s.columns = k->heads * s.member_tiles * s.chunks;
	s.sets = (int)divide_up(s.features, SET_FEATURES);
	return s;
}

static bool whole_pieces(int64_t row, int64_t head, int64_t group, int64_t align, enum dtype t)
{
	int64_t bytes = PIECE_FEATURES * dtype_bytes(t);
	return row % PIECE_FEATURES == 0 && head % PIECE_FEATURES == 0 && group % PIECE_FEATURES == 0
	       && align % (bytes < PIECE_BYTES ? bytes : PIECE_BYTES) == 0;
}

struct attend attend_begin(struct codegen *g, const struct gpu_kernel *gk, const char *name)
{
	const struct kernel_attend *k = &gk->kernel->attend;
	struct attend a = {.g = g, .k = k, .s = attend_shape(k)};
	a.q_pieces = whole_pieces(k->q_row, k->q_head, k->q_group, gk->align[ATTEND_Q], k->q);
	a.y_pieces = whole_pieces(k->y_row, k->y_head, k->y_group, gk->align[ATTEND_Y], k->y);
	kernel_begin(g, name);
	a.q = arg_pointer(g, ATTEND_Q);
	a.keys = arg_pointer(g, ATTEND_KEYS);
	a.values = arg_pointer(g, ATTEND_VALUES);
	a.seq = arg_pointer(g, ATTEND_SEQ);
	a.pos = arg_pointer(g, ATTEND_POS);
	a.pages = arg_pointer(g, ATTEND_PAGES);
	a.y = arg_pointer(g, ATTEND_Y);
	a.m = arg_integer(g, ATTEND_M);
	a.workspace = arg_pointer(g, ATTEND_WORKSPACE);
	a.sinks = k->has_sinks ? arg_pointer(g, ATTEND_SINKS) : NULL;
	a.slopes = k->has_slopes ? arg_pointer(g, attend_slopes_argument(k)) : NULL;
	LLVMValueRef lane = ir_wide(g, block_lane(g)), four = ir_i64(g, 4);
	a.row = ir_div(g, lane, four);
	a.part = ir_rem(g, lane, four);
	for (int h = 0; h < HALVES; h++) {
		a.most[h] = ir_local(g, g->f32, 1);
		a.total[h] = ir_local(g, g->f32, 1);
		for (int e = 0; e < MATRIX_SUMS; e++)
			a.score[h][e] = ir_local(g, g->f32, 1);
	}
	for (int i = 0; i < a.s.sets; i++)
		for (int j = 0; j < PIECE_FEATURES; j++)
			for (int e = 0; e < MATRIX_SUMS; e++)
				a.out[i][j][e] = ir_local(g, g->f32, 1);
	return a;
}

void attend_column(struct attend *a, LLVMValueRef column)
{
	struct codegen *g = a->g;
	LLVMValueRef chunks = ir_i64(g, a->s.chunks), tiles = ir_i64(g, a->s.member_tiles);
	a->first_feature = ir_mul(g, ir_rem(g, column, chunks), ir_i64(g, a->s.features));
	column = ir_div(g, column, chunks);
	a->first_member = ir_mul(g, ir_rem(g, column, tiles), ir_i64(g, MATRIX_ROWS));
	a->head = ir_div(g, column, tiles);
}

/* Positions are compared in 32 bits: registers are few. */
static LLVMValueRef narrow(struct codegen *g, LLVMValueRef position)
{
	return LLVMBuildTrunc(g->builder, position, g->i32, "");
}

void attend_rows(struct attend *a, LLVMValueRef base)
{
	struct codegen *g = a->g;
	LLVMValueRef members = ir_i64(g, a->s.members);
	for (int h = 0; h < HALVES; h++) {
		LLVMValueRef row = ir_add(g, a->row, ir_i64(g, h * MATRIX_ROWS / HALVES));
		LLVMValueRef token = ir_add(g, base, ir_div(g, row, members));
		LLVMValueRef member = ir_add(g, a->first_member, ir_rem(g, row, members));
		LLVMValueRef real =
			ir_and(g, ir_compare(g, LLVMIntSGE, token, a->first), ir_compare(g, LLVMIntSLT, token, a->end));
		real = ir_and(g, real, ir_compare(g, LLVMIntSLT, member, ir_i64(g, a->k->group)));
		a->token[h] = ir_select(g, real, token, a->first);
		a->member[h] = ir_select(g, real, member, ir_i64(g, 0));
		a->limit[h] = ir_select(g, real, ir_load_i32(g, a->pos, a->token[h]), ir_i64(g, -1));
		if (a->k->window || a->k->chunk)
			a->nearest[h] = narrow(g, attend_first_seen(g, a->k, a->limit[h]));
		if (a->slopes)
			a->slope[h] = ir_fmul(g, attend_slope_of(g, a->k, a->slopes, a->head, a->member[h]), ir_f32(g, M_LOG2E));
	}
}

LLVMValueRef attend_first_block(struct attend *a, LLVMValueRef limit)
{
	struct codegen *g = a->g;
	return ir_div(g, attend_first_seen(g, a->k, limit), ir_i64(g, BLOCK));
}

LLVMValueRef attend_end_block(struct attend *a, LLVMValueRef limit)
{
	struct codegen *g = a->g;
	return ir_div(g, ir_add(g, limit, ir_i64(g, BLOCK)), ir_i64(g, BLOCK));
}

LLVMValueRef attend_power(struct codegen *g, LLVMValueRef x)
{
	return ir_intrinsic(g, "llvm.nvvm.ex2.approx.ftz.f", NULL, &x, 1);
}

LLVMValueRef attend_y(struct attend *a, LLVMValueRef token, LLVMValueRef member, LLVMValueRef feature)
{
	struct codegen *g = a->g;
	LLVMValueRef at = ir_add(g, ir_mul(g, token, ir_i64(g, a->k->y_row)), ir_mul(g, a->head, ir_i64(g, a->k->y_head)));
	at = ir_add(g, at, ir_mul(g, member, ir_i64(g, a->k->y_group)));
	return ir_at(g, a->y, a->k->y, ir_add(g, at, feature));
}

void attend_sink(struct attend *a, LLVMValueRef member, LLVMValueRef most, LLVMValueRef *factor, LLVMValueRef *total)
{
	struct codegen *g = a->g;
	*factor = ir_f32(g, 1);
	if (!a->sinks)
		return;
	LLVMValueRef sink = ir_fmul(g, attend_sink_of(g, a->k, a->sinks, a->head, member), ir_f32(g, M_LOG2E));
	LLVMValueRef both = ir_fmax(g, most, sink);
	*factor = attend_power(g, ir_fsub(g, most, both));
	*total = ir_fma(g, *total, *factor, attend_power(g, ir_fsub(g, sink, both)));
}

/* ---- queries --------------------------------------------------------------------------------- */
/* Pieces of a row of queries or keys that a lane has: part, part + 4, .. */
static int pieces_of(const struct kernel_attend *k) { return (int)divide_up(k->d, 4 * PIECE_FEATURES); }

/* The feature that piece c of the lane starts with; *inside: NULL if it always is one. */
static LLVMValueRef piece_feature(struct attend *a, LLVMValueRef c, LLVMValueRef *inside)
{
	struct codegen *g = a->g;
	LLVMValueRef f = ir_add(g, a->part, ir_mul(g, c, ir_i64(g, 4)));
	f = ir_mul(g, f, ir_i64(g, PIECE_FEATURES));
	*inside = NULL;
	if (a->k->d % (4 * PIECE_FEATURES)) {
		*inside = ir_compare(g, LLVMIntSLT, f, ir_i64(g, a->k->d));
		f = ir_min(g, f, ir_i64(g, a->k->d - PIECE_FEATURES));
	}
	return f;
}

static struct piece load_unaligned(struct codegen *g, LLVMValueRef at)
{
	struct piece p;
	for (int i = 0; i < 4; i++) {
		LLVMValueRef half[2];
		for (int j = 0; j < 2; j++)
			half[j] = LLVMBuildZExt(g->builder, ir_load(g, g->i16, ir_offset(g, at, ir_i64(g, 4 * i + 2 * j)), 2),
			                        g->i32, "");
		p.word[i] = LLVMBuildOr(g->builder, half[0], LLVMBuildShl(g->builder, half[1], ir_i32(g, 16), ""), "");
	}
	return p;
}

static struct piece load_query(struct attend *a, int half, LLVMValueRef c)
{
	struct codegen *g = a->g;
	const struct kernel_attend *k = a->k;
	LLVMValueRef inside, f = piece_feature(a, c, &inside);
	LLVMValueRef at =
		ir_add(g, ir_mul(g, a->token[half], ir_i64(g, k->q_row)), ir_mul(g, a->head, ir_i64(g, k->q_head)));
	at = ir_add(g, ir_add(g, at, ir_mul(g, a->member[half], ir_i64(g, k->q_group))), f);
	LLVMValueRef address = ir_at(g, a->q, k->q, at);
	struct piece p = a->q_pieces ? piece_load(g, address) : load_unaligned(g, address);
	return inside ? piece_or_zero(g, inside, p) : p;
}

/* ---- the cache ------------------------------------------------------------------------------- */
/* Row of the cache that holds a position of the tile's sequence and head. */
static LLVMValueRef cache_row(struct attend *a, LLVMValueRef position)
{
	struct codegen *g = a->g;
	LLVMValueRef page = ir_i64(g, a->k->page), heads = ir_i64(g, a->k->heads);
	LLVMValueRef at = ir_add(g, ir_mul(g, a->sequence, ir_i64(g, a->k->pages_per_seq)), ir_div(g, position, page));
	LLVMValueRef block = ir_add(g, ir_mul(g, ir_load_i32(g, a->pages, at), heads), a->head);
	return ir_add(g, ir_mul(g, block, page), ir_rem(g, position, page));
}

/* Row of position first + more. A block lies in one page if pages are whole blocks; then nothing past the last position
 * need be looked up, for the page has room for it. */
static LLVMValueRef row_in_block(struct attend *a, LLVMValueRef first, LLVMValueRef first_row, LLVMValueRef more)
{
	struct codegen *g = a->g;
	if (a->k->page % BLOCK == 0)
		return ir_add(g, first_row, more);
	return cache_row(a, ir_min(g, ir_add(g, first, more), a->last));
}

struct block {
	LLVMValueRef first, first_row; /* position; its row if pages are whole blocks */
};

static struct piece load_key(struct attend *a, const struct block *b, int eight, LLVMValueRef c)
{
	struct codegen *g = a->g;
	LLVMValueRef inside, f = piece_feature(a, c, &inside);
	LLVMValueRef row = row_in_block(a, b->first, b->first_row, ir_add(g, a->row, ir_i64(g, eight * MATRIX_COLUMNS)));
	LLVMValueRef at = ir_add(g, ir_mul(g, row, ir_i64(g, a->k->d_cached)), f);
	struct piece p = piece_load(g, ir_at(g, a->keys, a->k->kv, at));
	return inside ? piece_or_zero(g, inside, p) : p;
}

/* Features of position number i of those that the lane has as k of a product: 2 part, 2 part + 1, and 8 more. Zeros
 * past the last position, where memory may hold anything: a weight of zero is not enough. */
static struct piece load_value(struct attend *a, const struct block *b, int set, int i)
{
	struct codegen *g = a->g;
	LLVMValueRef more = ir_add(g, ir_mul(g, a->part, ir_i64(g, 2)), ir_i64(g, i % 2 + i / 2 * 8));
	LLVMValueRef real = ir_compare(g, LLVMIntSLE, ir_add(g, b->first, more), a->last);
	LLVMValueRef f = ir_add(g, ir_mul(g, a->row, ir_i64(g, PIECE_FEATURES)), ir_i64(g, set * SET_FEATURES));
	f = ir_add(g, a->first_feature, f);
	if (a->k->w % SET_FEATURES) {
		real = ir_and(g, real, ir_compare(g, LLVMIntSLT, f, ir_i64(g, a->k->w)));
		f = ir_min(g, f, ir_i64(g, a->k->w - PIECE_FEATURES));
	}
	LLVMValueRef row = row_in_block(a, b->first, b->first_row, more);
	LLVMValueRef at = ir_add(g, ir_mul(g, row, ir_i64(g, a->k->w_cached)), f);
	return piece_or_zero(g, real, piece_load(g, ir_at(g, a->values, a->k->kv, at)));
}

/* ---- scores ---------------------------------------------------------------------------------- */
/* Adds to score what piece c of queries and keys gives. */
static void add_piece(struct attend *a, const struct block *b, const struct piece *q, LLVMValueRef c,
                      LLVMValueRef score[2][MATRIX_SUMS])
{
	for (int eight = 0; eight < 2; eight++) {
		struct piece key = load_key(a, b, eight, c);
		for (int i = 0; i < 4; i += 2) {
			LLVMValueRef rows[] = {q[0].word[i], q[1].word[i], q[0].word[i + 1], q[1].word[i + 1]};
			matrix_add_memory(a->g, a->k->kv, score[eight], rows, key.word + i);
		}
	}
}

static int kept_pieces(const struct kernel_attend *k)
{
	return pieces_of(k) < KEPT_PIECES ? pieces_of(k) : KEPT_PIECES;
}

/* score[eight][e]: of the lane's rows (e / 2) and positions 8 eight + 2 part + e % 2 of the block. */
static void scores(struct attend *a, const struct block *b, struct piece (*kept)[HALVES],
                   LLVMValueRef score[2][MATRIX_SUMS])
{
	struct codegen *g = a->g;
	for (int i = 0; i < 2 * MATRIX_SUMS; i++)
		ir_store(g, ir_f32(g, 0), a->score[i / MATRIX_SUMS][i % MATRIX_SUMS], 4);
	for (int c = 0; c < kept_pieces(a->k); c++)
		add_piece(a, b, kept[c], ir_i64(g, c), a->score);
	if (pieces_of(a->k) > KEPT_PIECES) {
		struct ir_loop l = loop_begin(g, ir_i64(g, KEPT_PIECES), ir_i64(g, pieces_of(a->k)), ir_i64(g, 1));
		keep_loop(g);
		struct piece q[HALVES] = {load_query(a, 0, l.index), load_query(a, 1, l.index)};
		add_piece(a, b, q, l.index, a->score);
		loop_end(g, &l);
	}
	for (int i = 0; i < 2 * MATRIX_SUMS; i++)
		score[i / MATRIX_SUMS][i % MATRIX_SUMS] = ir_load(g, g->f32, a->score[i / MATRIX_SUMS][i % MATRIX_SUMS], 4);
}

/* A product of a query and a key as a score in powers of two. tanh y = 1 - 2 / (exp 2y + 1); near 0 its error is that
 * of 1, so a score is off by a rounding of its cap. */
static LLVMValueRef bound_score(struct attend *a, LLVMValueRef product)
{
	struct codegen *g = a->g;
	double factor = attend_factor(a->k) * M_LOG2E;
	if (a->k->cap == 0)
		return ir_fmul(g, product, ir_f32(g, factor));
	LLVMValueRef over = ir_fadd(g, attend_power(g, ir_fmul(g, product, ir_f32(g, 2 * factor))), ir_f32(g, 1));
	LLVMValueRef part = ir_intrinsic(g, "llvm.nvvm.rcp.approx.ftz.f", NULL, &over, 1);
	double cap = a->k->cap * M_LOG2E;
	return ir_fma(g, part, ir_f32(g, -2 * cap), ir_f32(g, cap));
}

/* Scores in powers of two; those of positions that a row does not see become -infinity. */
static void mask_scores(struct attend *a, const struct block *b, LLVMValueRef score[2][MATRIX_SUMS])
{
	struct codegen *g = a->g;
	LLVMValueRef nothing = ir_f32(g, -INFINITY);
	LLVMValueRef lane_first = narrow(g, ir_add(g, b->first, ir_mul(g, a->part, ir_i64(g, 2))));
	for (int eight = 0; eight < 2; eight++)
		for (int e = 0; e < MATRIX_SUMS; e++) {
			LLVMValueRef limit = narrow(g, a->limit[e / 2]);
			LLVMValueRef position = ir_add(g, lane_first, ir_i32(g, eight * MATRIX_COLUMNS + e % 2));
			LLVMValueRef seen = ir_compare(g, LLVMIntSLE, position, limit);
			if (a->nearest[e / 2])
				seen = ir_and(g, seen, ir_compare(g, LLVMIntSGE, position, a->nearest[e / 2]));
			LLVMValueRef x = bound_score(a, score[eight][e]);
			if (a->slopes) {
				LLVMValueRef ahead = LLVMBuildSIToFP(g->builder, ir_sub(g, position, limit), g->f32, "");
				x = ir_fma(g, ahead, a->slope[e / 2], x);
			}
			score[eight][e] = ir_select(g, seen, x, nothing);
		}
}

/* ---- softmax, values ------------------------------------------------------------------------- */
/* The four lanes of a row. */
static LLVMValueRef reduce_row(struct codegen *g, LLVMValueRef v, ir_binary *op) { return warp_reduce(g, v, 4, op); }

/* Turns scores into weights, and fades what was summed before by the growth of the maximum. */
static void weigh(struct attend *a, LLVMValueRef score[2][MATRIX_SUMS])
{
	struct codegen *g = a->g;
	for (int h = 0; h < HALVES; h++) {
		LLVMValueRef *low = score[0] + 2 * h, *high = score[1] + 2 * h, sum = ir_f32(g, 0);
		LLVMValueRef before = ir_load(g, g->f32, a->most[h], 4);
		LLVMValueRef largest = ir_fmax(g, ir_fmax(g, low[0], low[1]), ir_fmax(g, high[0], high[1]));
		largest = ir_fmax(g, reduce_row(g, largest, ir_fmax), before);
		LLVMValueRef fade = attend_power(g, ir_fsub(g, before, largest));
		for (int e = 0; e < 4; e++) {
			LLVMValueRef *s = (e < 2 ? low : high) + e % 2;
			*s = attend_power(g, ir_fsub(g, *s, largest));
			sum = ir_fadd(g, sum, *s);
		}
		ir_store(g, largest, a->most[h], 4);
		ir_store(g, ir_fma(g, ir_load(g, g->f32, a->total[h], 4), fade, sum), a->total[h], 4);
		for (int i = 0; i < a->s.sets; i++)
			for (int j = 0; j < PIECE_FEATURES; j++)
				for (int e = 2 * h; e < 2 * h + 2; e++)
					ir_store(g, ir_fmul(g, ir_load(g, g->f32, a->out[i][j][e], 4), fade), a->out[i][j][e], 4);
	}
}

/* Elements `j` of two pieces as a word, the first one low. */
static LLVMValueRef pair_of(struct codegen *g, const struct piece *first, const struct piece *second, int j)
{
	LLVMValueRef args[] = {first->word[j / 2], second->word[j / 2], ir_i32(g, j % 2 ? 0x7632 : 0x5410)};
	return ir_intrinsic(g, "llvm.nvvm.prmt", NULL, args, 3);
}

static void add_values(struct attend *a, const struct block *b, LLVMValueRef weight[2][MATRIX_SUMS])
{
	struct codegen *g = a->g;
	LLVMValueRef rows[] = {
		matrix_pair(g, a->k->kv, weight[0][0], weight[0][1]), matrix_pair(g, a->k->kv, weight[0][2], weight[0][3]),
		matrix_pair(g, a->k->kv, weight[1][0], weight[1][1]), matrix_pair(g, a->k->kv, weight[1][2], weight[1][3])};
	for (int i = 0; i < a->s.sets; i++) {
		struct piece v[4];
		for (int p = 0; p < 4; p++)
			v[p] = load_value(a, b, i, p);
		for (int j = 0; j < PIECE_FEATURES; j++) {
			LLVMValueRef columns[] = {pair_of(g, &v[0], &v[1], j), pair_of(g, &v[2], &v[3], j)};
			matrix_add_memory(g, a->k->kv, a->out[i][j], rows, columns);
		}
	}
}

void attend_pass(struct attend *a, LLVMValueRef from, LLVMValueRef to, int step)
{
	struct codegen *g = a->g;
	struct piece query[KEPT_PIECES][HALVES];
	for (int c = 0; c < kept_pieces(a->k); c++)
		for (int h = 0; h < HALVES; h++)
			query[c][h] = load_query(a, h, ir_i64(g, c));
	for (int h = 0; h < HALVES; h++) {
		ir_store(g, ir_f32(g, LOWEST), a->most[h], 4);
		ir_store(g, ir_f32(g, 0), a->total[h], 4);
	}
	for (int i = 0; i < a->s.sets; i++)
		for (int j = 0; j < PIECE_FEATURES; j++)
			for (int e = 0; e < MATRIX_SUMS; e++)
				ir_store(g, ir_f32(g, 0), a->out[i][j][e], 4);
	struct ir_loop l = loop_begin(g, from, to, ir_i64(g, step));
	LLVMValueRef score[2][MATRIX_SUMS];
	struct block b = {.first = ir_mul(g, l.index, ir_i64(g, BLOCK))};
	if (a->k->page % BLOCK == 0)
		b.first_row = cache_row(a, b.first);
	scores(a, &b, query, score);
	mask_scores(a, &b, score);
	weigh(a, score);
	add_values(a, &b, score);
	loop_end(g, &l);
	for (int h = 0; h < HALVES; h++)
		ir_store(g, reduce_row(g, ir_load(g, g->f32, a->total[h], 4), ir_fadd), a->total[h], 4);
}
