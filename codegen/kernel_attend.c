/* Attention over the paged cache, page by page, large pages in pieces: scores, softmax with running maximum and sum,
 * weighted values. Queries that read the same pages are processed together: the query heads of one key/value head, and
 * neighbouring tokens of one sequence. The result of a query does not depend on the others: sums run in the order of
 * features and positions, and a page that the query does not see changes nothing. So ranks and shares may divide the
 * work in any way. */
#include "emit.h"

enum { TILE_ROWS = PRODUCT_MAX_ROWS };
static const double LOWEST = -1e30; /* running maximum before any score; finite, so that differences are not NaN */

/* ---- state of one kernel --------------------------------------------------------------------- */
enum { TILES = 4 }; /* tiles of 8, 4, 2, 1 rows */

struct attend {
	struct codegen *g;
	const struct kernel_attend *k;
	LLVMValueRef scores[TILES], values[TILES]; /* functions */
	struct attend_tile tile;
	int64_t group_chunk, token_block; /* max heads of a group and tokens at a time; of one head, at least one token */
	LLVMValueRef q, keys, cached, seq, pos, pages, y, rows; /* arguments; cached: values */
	LLVMValueRef sinks, slopes;                             /* arguments; NULL: none */
	LLVMValueRef query, score, out;                         /* workspace: see struct attend_tile */
	LLVMValueRef most, sum, fade, limit; /* per query: running maximum, sum, factor of the past, last position */
	LLVMValueRef nearest, furthest;      /* i64 in memory: least and greatest `limit` of the run */
	/* the current run */
	LLVMValueRef head, group_first, group_count; /* query heads [group_first, + group_count) of key/value head `head` */
	LLVMValueRef first, count, queries;          /* tokens [first, first + count); queries = count * group_count */
};

static void attend_plan(struct attend *a)
{
	const struct kernel_attend *k = a->k;
	a->tile = attend_tile(k);
	a->group_chunk = k->group < a->tile.queries ? k->group : a->tile.queries;
	a->token_block = a->tile.queries / a->group_chunk;
}

static void attend_functions(struct attend *a, const char *name)
{
	const struct kernel_attend *k = a->k;
	struct product scores = {
		.suffix = "scores", .a_stride = k->d, .b_stride = k->page, .out_stride = a->tile.score_stride, .b = k->kv};
	struct dots dots = {.a_stride = k->d, .b_stride = k->d_cached, .out_stride = a->tile.score_stride, .b = k->kv};
	struct product values = {.suffix = "values",
	                         .a_stride = a->tile.score_stride,
	                         .b_stride = k->w_cached,
	                         .out_stride = a->tile.out_stride,
	                         .b = k->kv,
	                         .scaled = true};
	for (int i = 0; i < TILES; i++) {
		a->scores[i] = k->keys_by_position ? dots_function(a->g, name, &dots, TILE_ROWS >> i)
		                                   : product_function(a->g, name, &scores, TILE_ROWS >> i);
		a->values[i] = product_function(a->g, name, &values, TILE_ROWS >> i);
	}
}

static void attend_begin(struct attend *a, const char *name)
{
	struct codegen *g = a->g;
	kernel_begin(g, name);
	a->q = arg_pointer(g, ATTEND_Q);
	a->keys = arg_pointer(g, ATTEND_KEYS);
	a->cached = arg_pointer(g, ATTEND_VALUES);
	a->seq = arg_pointer(g, ATTEND_SEQ);
	a->pos = arg_pointer(g, ATTEND_POS);
	a->pages = arg_pointer(g, ATTEND_PAGES);
	a->y = arg_pointer(g, ATTEND_Y);
	a->rows = arg_integer(g, ATTEND_M);
	a->sinks = a->k->has_sinks ? arg_pointer(g, ATTEND_SINKS) : NULL;
	a->slopes = a->k->has_slopes ? arg_pointer(g, attend_slopes_argument(a->k)) : NULL;
	a->query = arg_workspace_part(g, ATTEND_WORKSPACE, a->tile.bytes);
	a->score = ir_offset(g, a->query, ir_i64(g, a->tile.score));
	a->out = ir_offset(g, a->query, ir_i64(g, a->tile.out));
	a->most = ir_local(g, g->f32, ATTEND_MAX_QUERIES);
	a->sum = ir_local(g, g->f32, ATTEND_MAX_QUERIES);
	a->fade = ir_local(g, g->f32, ATTEND_MAX_QUERIES);
	a->limit = ir_local(g, g->i32, ATTEND_MAX_QUERIES);
	a->nearest = ir_local(g, g->i64, 1);
	a->furthest = ir_local(g, g->i64, 1);
}

/* ---- queries in, results out ----------------------------------------------------------------- */
struct row_move {
	struct attend *a;
	LLVMValueRef from, to, factor;
};

static void scale_query(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct row_move *m = context;
	LLVMValueRef x = load_vector(g, m->a->k->q, ir_at(g, m->from, m->a->k->q, index), mask);
	store_vector(g, DTYPE_F32, ir_fmul(g, x, m->factor), ir_at(g, m->to, DTYPE_F32, index), mask);
}

static void store_result(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct row_move *m = context;
	LLVMValueRef x = load_vector(g, DTYPE_F32, ir_at(g, m->from, DTYPE_F32, index), NULL);
	store_vector(g, m->a->k->y, ir_fdiv(g, x, m->factor), ir_at(g, m->to, m->a->k->y, index), mask);
}

/* The query head of query `row` of the run. */
static LLVMValueRef member_of(struct attend *a, LLVMValueRef row)
{
	return ir_add(a->g, a->group_first, ir_rem(a->g, row, a->group_count));
}

/* Address of the features of query `row` of the run, in q or y. */
static LLVMValueRef query_address(struct attend *a, LLVMValueRef row, LLVMValueRef base, enum dtype t,
                                  const int64_t stride[3])
{
	struct codegen *g = a->g;
	LLVMValueRef token = ir_add(g, a->first, ir_div(g, row, a->group_count));
	LLVMValueRef at = ir_mul(g, token, ir_i64(g, stride[0]));
	at = ir_add(g, at, ir_mul(g, a->head, ir_i64(g, stride[1])));
	return ir_at(g, base, t, ir_add(g, at, ir_mul(g, member_of(a, row), ir_i64(g, stride[2]))));
}

static LLVMValueRef q_address(struct attend *a, LLVMValueRef row)
{
	return query_address(a, row, a->q, a->k->q, (int64_t[]){a->k->q_row, a->k->q_head, a->k->q_group});
}

static LLVMValueRef y_address(struct attend *a, LLVMValueRef row)
{
	return query_address(a, row, a->y, a->k->y, (int64_t[]){a->k->y_row, a->k->y_head, a->k->y_group});
}

static LLVMValueRef workspace_row(struct attend *a, LLVMValueRef base, LLVMValueRef row, int64_t stride)
{
	return ir_at(a->g, base, DTYPE_F32, ir_mul(a->g, row, ir_i64(a->g, stride)));
}

/* Without causality, a token sees all positions of its sequence in this step: *furthest is the maximum over all its
 * tokens. */
static void widen_to_sequence(struct attend *a, LLVMValueRef sequence)
{
	struct codegen *g = a->g;
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), a->rows, ir_i64(g, 1));
	struct ir_branch same = if_begin(g, ir_compare(g, LLVMIntEQ, ir_load_i32(g, a->seq, l.index), sequence));
	LLVMValueRef old = ir_load(g, g->i64, a->furthest, 8);
	ir_store(g, ir_max(g, ir_load_i32(g, a->pos, l.index), old), a->furthest, 8);
	if_end(g, &same);
	loop_end(g, &l);
}

/* Sets running maximum and sum before any position: none, or the sink of the query's head, which counts as one
 * score. */
static void start_softmax(struct attend *a, LLVMValueRef row)
{
	struct codegen *g = a->g;
	LLVMValueRef most = a->sinks ? attend_sink_of(g, a->k, a->sinks, a->head, member_of(a, row)) : ir_f32(g, LOWEST);
	ir_store(g, most, ir_at(g, a->most, DTYPE_F32, row), 4);
	ir_store(g, ir_f32(g, a->sinks ? 1 : 0), ir_at(g, a->sum, DTYPE_F32, row), 4);
}

static void start_run(struct attend *a, LLVMValueRef sequence)
{
	struct codegen *g = a->g;
	ir_store(g, ir_i64(g, INT32_MAX), a->nearest, 8);
	ir_store(g, ir_i64(g, -1), a->furthest, 8);
	if (!a->k->causal)
		widen_to_sequence(a, sequence);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), a->queries, ir_i64(g, 1));
	LLVMValueRef token = ir_add(g, a->first, ir_div(g, l.index, a->group_count));
	LLVMValueRef limit = a->k->causal ? ir_load_i32(g, a->pos, token) : ir_load(g, g->i64, a->furthest, 8);
	ir_store_i32(g, limit, a->limit, l.index);
	ir_store(g, ir_min(g, limit, ir_load(g, g->i64, a->nearest, 8)), a->nearest, 8);
	ir_store(g, ir_max(g, limit, ir_load(g, g->i64, a->furthest, 8)), a->furthest, 8);
	start_softmax(a, l.index);
	ir_clear(g, workspace_row(a, a->out, l.index, a->tile.out_stride), a->tile.out_stride * 4);
	struct row_move m = {.a = a,
	                     .from = q_address(a, l.index),
	                     .to = workspace_row(a, a->query, l.index, a->k->d),
	                     .factor = ir_splat(g, ir_f32(g, attend_factor(a->k)))};
	for_vectors(g, ir_i64(g, 0), ir_i64(g, a->k->d), scale_query, &m);
	loop_end(g, &l);
}

static void finish_run(struct attend *a)
{
	struct codegen *g = a->g;
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), a->queries, ir_i64(g, 1));
	LLVMValueRef sum = load_scalar(g, DTYPE_F32, ir_at(g, a->sum, DTYPE_F32, l.index));
	struct row_move m = {.a = a,
	                     .from = workspace_row(a, a->out, l.index, a->tile.out_stride),
	                     .to = y_address(a, l.index),
	                     .factor = ir_splat(g, sum)};
	for_vectors(g, ir_i64(g, 0), ir_i64(g, a->k->w), store_result, &m);
	loop_end(g, &l);
}

static void clear_run(struct attend *a)
{
	struct ir_loop l = loop_begin(a->g, ir_i64(a->g, 0), a->queries, ir_i64(a->g, 1));
	ir_clear(a->g, y_address(a, l.index), a->k->w * dtype_bytes(a->k->y));
	loop_end(a->g, &l);
}

/* ---- softmax of one piece -------------------------------------------------------------------- */
struct softmax {
	struct attend *a;
	LLVMValueRef row, from, to, last, most, sum;
	LLVMValueRef slope; /* f32; NULL: none */
}; /* from, to: the positions seen in the piece, i32; last: the last one that the query sees, counted from its start */

/* Scores at `place`, capped, less the slope times the distance. */
static LLVMValueRef bound_scores(struct softmax *s, LLVMValueRef x, LLVMValueRef place)
{
	struct codegen *g = s->a->g;
	LLVMTypeRef f32 = ir_vector(g, g->f32);
	if (s->a->k->cap != 0)
		x = ir_fmul(g, math_tanh(g, x), ir_like(g, f32, s->a->k->cap));
	if (!s->slope)
		return x;
	LLVMValueRef ahead = ir_sub(g, place, ir_splat(g, s->last));
	return ir_fma(g, LLVMBuildSIToFP(g->builder, ahead, f32, ""), ir_splat(g, s->slope), x);
}

/* Bounds scores, and sets those of positions that the query does not see to -infinity. Scratch rows are whole vectors,
 * so no mask is needed. */
static void mask_scores(struct softmax *s, LLVMValueRef index)
{
	struct codegen *g = s->a->g;
	LLVMTypeRef f32 = ir_vector(g, g->f32), i32 = ir_vector(g, g->i32);
	LLVMValueRef place = ir_add(g, ir_splat(g, LLVMBuildTrunc(g->builder, index, g->i32, "")), ir_iota(g, g->i32));
	LLVMValueRef seen = ir_compare(g, LLVMIntSLE, place, ir_splat(g, s->to));
	if (s->a->k->window || s->a->k->chunk)
		seen = ir_and(g, seen, ir_compare(g, LLVMIntSGE, place, ir_splat(g, s->from)));
	LLVMValueRef at = ir_at(g, s->row, DTYPE_F32, index);
	LLVMValueRef x = bound_scores(s, ir_load(g, f32, at, 4), place);
	x = ir_select(g, seen, x, ir_bits(g, ir_like_int(g, i32, 0xff800000), f32));
	ir_store(g, x, at, 4);
	ir_store(g, ir_fmax(g, x, ir_load(g, f32, s->most, 4)), s->most, 4);
}

static void weigh_scores(struct softmax *s, LLVMValueRef index, LLVMValueRef most)
{
	struct codegen *g = s->a->g;
	LLVMTypeRef f32 = ir_vector(g, g->f32);
	LLVMValueRef at = ir_at(g, s->row, DTYPE_F32, index);
	LLVMValueRef weight = math_exp(g, ir_fsub(g, ir_load(g, f32, at, 4), most));
	ir_store(g, weight, at, 4);
	ir_store(g, ir_fadd(g, ir_load(g, f32, s->sum, 4), weight), s->sum, 4);
}

static void softmax_row(struct softmax *s, LLVMValueRef query, LLVMValueRef positions)
{
	struct attend *a = s->a;
	struct codegen *g = a->g;
	LLVMTypeRef f32 = ir_vector(g, g->f32);
	LLVMValueRef most_at = ir_at(g, a->most, DTYPE_F32, query), sum_at = ir_at(g, a->sum, DTYPE_F32, query);
	LLVMValueRef old = load_scalar(g, DTYPE_F32, most_at), zero = ir_i64(g, 0), lanes = ir_i64(g, g->lanes);
	ir_store(g, ir_splat(g, old), s->most, 4);
	ir_store(g, ir_like(g, f32, 0), s->sum, 4);
	struct ir_loop l = loop_begin(g, zero, positions, lanes);
	mask_scores(s, l.index);
	loop_end(g, &l);
	LLVMValueRef most = ir_reduce(g, ir_load(g, f32, s->most, 4), ir_fmax);
	l = loop_begin(g, zero, positions, lanes);
	weigh_scores(s, l.index, ir_splat(g, most));
	loop_end(g, &l);
	LLVMValueRef fade = math_exp(g, ir_fsub(g, old, most));
	LLVMValueRef sum = ir_reduce(g, ir_load(g, f32, s->sum, 4), ir_fadd);
	store_scalar(g, DTYPE_F32, most, most_at);
	store_scalar(g, DTYPE_F32, fade, ir_at(g, a->fade, DTYPE_F32, query));
	store_scalar(g, DTYPE_F32, ir_fma(g, load_scalar(g, DTYPE_F32, sum_at), fade, sum), sum_at);
}

/* Softmax over one piece. It begins at position `start`; some query of the run sees its first `positions` positions. */
static void softmax_piece(struct attend *a, LLVMValueRef start, LLVMValueRef positions)
{
	struct codegen *g = a->g;
	LLVMTypeRef f32 = ir_vector(g, g->f32);
	struct softmax s = {.a = a, .most = ir_local(g, f32, 1), .sum = ir_local(g, f32, 1)};
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), a->queries, ir_i64(g, 1));
	s.row = workspace_row(a, a->score, l.index, a->tile.score_stride);
	LLVMValueRef limit = ir_load_i32(g, a->limit, l.index), last = ir_sub(g, limit, start), one = ir_i64(g, 1);
	s.last = LLVMBuildTrunc(g->builder, last, g->i32, "");
	s.from = LLVMBuildTrunc(g->builder, ir_sub(g, attend_first_seen(g, a->k, limit), start), g->i32, "");
	s.slope = a->slopes ? attend_slope_of(g, a->k, a->slopes, a->head, member_of(a, l.index)) : NULL;
	s.to = LLVMBuildTrunc(g->builder, ir_min(g, last, ir_sub(g, positions, one)), g->i32, "");
	softmax_row(&s, l.index, positions);
	loop_end(g, &l);
}

/* ---- pages ----------------------------------------------------------------------------------- */
struct operand {
	LLVMValueRef a, b, out, next, terms, columns;
	int64_t a_stride, out_stride;
};

static void call_product(struct attend *a, LLVMValueRef function, const struct operand *o, LLVMValueRef row)
{
	LLVMValueRef args[PRODUCT_PARAMS] = {workspace_row(a, o->a, row, o->a_stride),
	                                     o->b,
	                                     workspace_row(a, o->out, row, o->out_stride),
	                                     ir_at(a->g, a->fade, DTYPE_F32, row),
	                                     o->next,
	                                     o->terms,
	                                     o->columns};
	ir_call(a->g, function, args, PRODUCT_PARAMS);
}

/* Runs all queries of the run in tiles: the largest tile as often as it fits, then smaller ones by the bits of the
 * rest. */
static void all_queries(struct attend *a, const LLVMValueRef functions[TILES], const struct operand *o)
{
	struct codegen *g = a->g;
	LLVMValueRef zero = ir_i64(g, 0), whole = ir_and(g, a->queries, ir_i64(g, -TILE_ROWS));
	struct ir_loop l = loop_begin(g, zero, whole, ir_i64(g, TILE_ROWS));
	call_product(a, functions[0], o, l.index);
	loop_end(g, &l);
	for (int i = 1; i < TILES; i++) {
		int rows = TILE_ROWS >> i;
		LLVMValueRef bit = ir_and(g, a->queries, ir_i64(g, rows));
		struct ir_branch has = if_begin(g, ir_compare(g, LLVMIntNE, bit, zero));
		call_product(a, functions[i], o, ir_and(g, a->queries, ir_i64(g, -2 * rows)));
		if_end(g, &has);
	}
}

static LLVMValueRef page_of(struct attend *a, LLVMValueRef pool, LLVMValueRef number, int64_t features)
{
	struct codegen *g = a->g;
	LLVMValueRef slot = ir_add(g, ir_mul(g, number, ir_i64(g, a->k->heads)), a->head);
	return ir_at(g, pool, a->k->kv, ir_mul(g, slot, ir_i64(g, features * a->k->page)));
}

/* Address of position `at` in a page's keys or values. */
static LLVMValueRef key_at(struct attend *a, LLVMValueRef page, LLVMValueRef at)
{
	int64_t features = a->k->keys_by_position ? a->k->d_cached : 1;
	return ir_at(a->g, page, a->k->kv, ir_mul(a->g, at, ir_i64(a->g, features)));
}

static LLVMValueRef value_at(struct attend *a, LLVMValueRef page, LLVMValueRef at)
{
	return ir_at(a->g, page, a->k->kv, ir_mul(a->g, at, ir_i64(a->g, a->k->w_cached)));
}

/* The current page: its keys and values, the keys that are read after it, its first position, and the number of its
 * positions that are seen. */
struct page {
	LLVMValueRef keys, values, after, start, positions;
};

/* Processes the positions of the page from `at` on, at most tile.positions. */
static void attend_piece(struct attend *a, const struct page *p, LLVMValueRef at)
{
	struct codegen *g = a->g;
	const struct kernel_attend *k = a->k;
	LLVMValueRef left = ir_sub(g, p->positions, at), positions = ir_min(g, left, ir_i64(g, a->tile.positions)),
				 next = ir_add(g, at, ir_i64(g, a->tile.positions));
	LLVMValueRef vectors = ir_mul(g, ir_ceil_div(g, positions, g->lanes), ir_i64(g, g->lanes)),
				 of_page = ir_sub(g, ir_i64(g, k->page), at);
	struct operand scores = {.a = a->query,
	                         .b = key_at(a, p->keys, at),
	                         .out = a->score,
	                         .terms = ir_i64(g, k->d),
	                         .columns = k->keys_by_position ? positions : ir_min(g, of_page, vectors),
	                         .a_stride = k->d,
	                         .out_stride = a->tile.score_stride};
	struct operand values = {.a = a->score,
	                         .b = value_at(a, p->values, at),
	                         .out = a->out,
	                         .terms = positions,
	                         .columns = ir_i64(g, k->w),
	                         .a_stride = a->tile.score_stride,
	                         .out_stride = a->tile.out_stride};
	scores.next = values.b;
	values.next = ir_select(g, ir_compare(g, LLVMIntSLT, next, p->positions), key_at(a, p->keys, next), p->after);
	all_queries(a, a->scores, &scores);
	softmax_piece(a, ir_add(g, p->start, at), positions);
	all_queries(a, a->values, &values);
}

/* Processes page `number`, whose first position is `start`. `first`: the first position that a query sees. Pieces begin
 * at multiples of tile.positions. `after`: the page whose keys are read next. */
static void attend_page(struct attend *a, LLVMValueRef number, LLVMValueRef after, LLVMValueRef start,
                        LLVMValueRef first)
{
	struct codegen *g = a->g;
	const struct kernel_attend *k = a->k;
	LLVMValueRef end = ir_add(g, ir_load(g, g->i64, a->furthest, 8), ir_i64(g, 1)), zero = ir_i64(g, 0),
				 piece = ir_i64(g, a->tile.positions);
	struct page p = {.keys = page_of(a, a->keys, number, k->d_cached),
	                 .values = page_of(a, a->cached, number, k->w_cached),
	                 .after = page_of(a, a->keys, after, k->d_cached),
	                 .start = start,
	                 .positions = ir_min(g, ir_i64(g, k->page), ir_sub(g, end, start))};
	if (k->page == a->tile.positions) {
		attend_piece(a, &p, zero);
		return;
	}
	LLVMValueRef skipped = ir_max(g, zero, ir_sub(g, first, start));
	struct ir_loop l = loop_begin(g, ir_sub(g, skipped, ir_rem(g, skipped, piece)), p.positions, piece);
	attend_piece(a, &p, l.index);
	loop_end(g, &l);
}

static void attend_sequence(struct attend *a, LLVMValueRef sequence)
{
	struct codegen *g = a->g;
	const struct kernel_attend *k = a->k;
	start_run(a, sequence);
	LLVMValueRef nearest = ir_load(g, g->i64, a->nearest, 8), furthest = ir_load(g, g->i64, a->furthest, 8);
	LLVMValueRef page = ir_i64(g, k->page), one = ir_i64(g, 1);
	LLVMValueRef first = attend_first_seen(g, k, nearest);
	LLVMValueRef table = ir_mul(g, sequence, ir_i64(g, k->pages_per_seq));
	LLVMValueRef last = ir_div(g, furthest, page);
	struct ir_loop l = loop_begin(g, ir_div(g, first, page), ir_add(g, last, one), one);
	LLVMValueRef number = ir_load_i32(g, a->pages, ir_add(g, table, l.index));
	LLVMValueRef after = ir_load_i32(g, a->pages, ir_add(g, table, ir_min(g, ir_add(g, l.index, one), last)));
	attend_page(a, number, after, ir_mul(g, l.index, page), first);
	loop_end(g, &l);
	finish_run(a);
}

/* ---- runs and shares ------------------------------------------------------------------------- */
static void attend_run(struct attend *a)
{
	struct codegen *g = a->g;
	a->queries = ir_mul(g, a->count, a->group_count);
	LLVMValueRef sequence = ir_load_i32(g, a->seq, a->first);
	struct ir_branch real = if_begin(g, ir_compare(g, LLVMIntSGE, sequence, ir_i64(g, 0)));
	attend_sequence(a, sequence);
	if_else(g, &real);
	clear_run(a);
	if_end(g, &real);
}

/* Processes tokens [from, to) as runs, each of one sequence: a run ends with the block, or where the next token has
 * another sequence. */
static void attend_block(struct attend *a, LLVMValueRef from, LLVMValueRef to)
{
	struct codegen *g = a->g;
	LLVMValueRef start = ir_local(g, g->i64, 1), one = ir_i64(g, 1), last = ir_sub(g, to, one);
	ir_store(g, from, start, 8);
	struct ir_loop l = loop_begin(g, from, to, one);
	LLVMValueRef next = ir_min(g, ir_add(g, l.index, one), last);
	LLVMValueRef differs = ir_compare(g, LLVMIntNE, ir_load_i32(g, a->seq, next), ir_load_i32(g, a->seq, l.index));
	LLVMValueRef ends = LLVMBuildOr(g->builder, differs, ir_compare(g, LLVMIntEQ, l.index, last), "");
	struct ir_branch run = if_begin(g, ends);
	a->first = ir_load(g, g->i64, start, 8);
	a->count = ir_sub(g, ir_add(g, l.index, one), a->first);
	attend_run(a);
	ir_store(g, ir_add(g, l.index, one), start, 8);
	if_end(g, &run);
	loop_end(g, &l);
}

/* Tokens per item: as many as may be processed together, fewer if a share would have no item. */
static LLVMValueRef block_size(struct attend *a, LLVMValueRef heads)
{
	struct codegen *g = a->g;
	LLVMValueRef fair = ir_div(g, ir_mul(g, a->rows, heads), ir_wide(g, share_count(g)));
	return ir_max(g, ir_i64(g, 1), ir_min(g, fair, ir_i64(g, a->token_block)));
}

void emit_attend(struct codegen *g, const char *name, const struct kernel_attend *k)
{
	struct attend a = {.g = g, .k = k};
	attend_plan(&a);
	attend_functions(&a, name);
	attend_begin(&a, name);
	LLVMValueRef chunks = ir_i64(g, (k->group + a.group_chunk - 1) / a.group_chunk), heads = ir_i64(g, k->heads);
	LLVMValueRef size = block_size(&a, ir_mul(g, heads, chunks));
	LLVMValueRef blocks = ir_div(g, ir_add(g, a.rows, ir_sub(g, size, ir_i64(g, 1))), size);

	struct ir_loop item = share_begin(g, ir_mul(g, ir_mul(g, blocks, heads), chunks));
	LLVMValueRef chunk = ir_rem(g, item.index, chunks), rest = ir_div(g, item.index, chunks),
				 most = ir_i64(g, a.group_chunk);
	a.head = ir_rem(g, rest, heads);
	a.group_first = ir_mul(g, chunk, most);
	a.group_count = ir_min(g, most, ir_sub(g, ir_i64(g, k->group), a.group_first));
	LLVMValueRef from = ir_mul(g, ir_div(g, rest, heads), size);
	attend_block(&a, from, ir_min(g, ir_add(g, from, size), a.rows));
	loop_end(g, &item);
	kernel_end(g);
}
