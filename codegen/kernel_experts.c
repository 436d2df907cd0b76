/* Kernels for mixtures of experts: choice, counting sorts, moves of rows, the weighted sum. */
#include "emit.h"

/* ---- route ----------------------------------------------------------------------------------------------------------
 * An expert is chosen when fewer than `top` others come before it: by a higher key, or by the same and a lower number.
 * The key is the score plus the bias, or -infinity outside the best groups. Groups are chosen in the same way. */
struct rank {
	LLVMValueRef row, score, expert, before;
}; /* row: f32 keys; before: i32 count per lane, in memory */

static void count_before(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct rank *r = context;
	LLVMTypeRef i32 = ir_vector(g, g->i32);
	LLVMValueRef x = load_vector(g, DTYPE_F32, ir_at(g, r->row, DTYPE_F32, index), mask), mine = ir_splat(g, r->score);
	LLVMValueRef at = ir_add(g, ir_splat(g, LLVMBuildTrunc(g->builder, index, g->i32, "")), ir_iota(g, g->i32));
	LLVMValueRef lower = ir_compare(g, LLVMIntSLT, at, ir_splat(g, r->expert));
	LLVMValueRef before = ir_and(g, ir_fcompare(g, LLVMRealOEQ, x, mine), lower);
	before = LLVMBuildOr(g->builder, before, ir_fcompare(g, LLVMRealOGT, x, mine), "");
	if (mask)
		before = ir_and(g, before, mask);
	LLVMValueRef sum = ir_add(g, ir_load(g, i32, r->before, 4), LLVMBuildZExt(g->builder, before, i32, ""));
	ir_store(g, sum, r->before, 4);
}

struct route {
	const struct kernel_route *k;
	LLVMValueRef row, index, weight, bias; /* of the current token: f32 scores, results, f32 bias */
	LLVMValueRef key;                      /* f32[experts]; the scores themselves if nothing is added */
	LLVMValueRef group;                    /* f32[groups] */
	LLVMValueRef chosen, sum, before;      /* in memory */
};

/* Counts the elements of row[0, n) that come before element `at`. */
static LLVMValueRef rank_of(struct codegen *g, const struct route *r, LLVMValueRef row, int64_t n, LLVMValueRef at)
{
	LLVMTypeRef i32 = ir_vector(g, g->i32);
	struct rank rank = {.row = row, .before = r->before, .expert = LLVMBuildTrunc(g->builder, at, g->i32, "")};
	rank.score = load_scalar(g, DTYPE_F32, ir_at(g, row, DTYPE_F32, at));
	ir_store(g, LLVMConstNull(i32), r->before, 4);
	for_vectors(g, ir_i64(g, 0), ir_i64(g, n), count_before, &rank);
	return ir_wide(g, ir_reduce(g, ir_load(g, i32, r->before, 4), ir_add));
}

static void add_bias(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct route *r = context;
	LLVMValueRef key = load_vector(g, DTYPE_F32, ir_at(g, r->row, DTYPE_F32, index), mask);
	if (r->bias)
		key = ir_fadd(g, key, load_vector(g, DTYPE_F32, ir_at(g, r->bias, DTYPE_F32, index), mask));
	store_vector(g, DTYPE_F32, key, ir_at(g, r->key, DTYPE_F32, index), mask);
}

static LLVMValueRef minus_infinity(struct codegen *g) { return ir_bits(g, ir_i32(g, 0xff800000), g->f32); }

/* Scores a group by its best key or the sum of its two best; a group of one, by its key. */
static void score_group(struct codegen *g, const struct route *r, LLVMValueRef group)
{
	int64_t size = r->k->experts / r->k->groups;
	bool one = size == 1 || r->k->by_best;
	LLVMValueRef best = ir_local(g, g->f32, 1), second = ir_local(g, g->f32, 1);
	ir_store(g, minus_infinity(g), best, 4);
	ir_store(g, one ? ir_f32(g, 0) : minus_infinity(g), second, 4);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, size), ir_i64(g, 1));
	LLVMValueRef at = ir_add(g, ir_mul(g, group, ir_i64(g, size)), l.index);
	LLVMValueRef key = load_scalar(g, DTYPE_F32, ir_at(g, r->key, DTYPE_F32, at)), most = ir_load(g, g->f32, best, 4);
	if (!one)
		ir_store(g, ir_fmax(g, ir_fmin(g, key, most), ir_load(g, g->f32, second, 4)), second, 4);
	ir_store(g, ir_fmax(g, key, most), best, 4);
	loop_end(g, &l);
	LLVMValueRef sum = ir_fadd(g, ir_load(g, g->f32, best, 4), ir_load(g, g->f32, second, 4));
	store_scalar(g, DTYPE_F32, sum, ir_at(g, r->group, DTYPE_F32, group));
}

static void refuse_group(struct codegen *g, const struct route *r, LLVMValueRef group)
{
	int64_t size = r->k->experts / r->k->groups;
	LLVMValueRef before = rank_of(g, r, r->group, r->k->groups, group);
	struct ir_branch refused = if_begin(g, ir_compare(g, LLVMIntSGE, before, ir_i64(g, r->k->top_groups)));
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, size), ir_i64(g, 1));
	LLVMValueRef at = ir_add(g, ir_mul(g, group, ir_i64(g, size)), l.index);
	store_scalar(g, DTYPE_F32, minus_infinity(g), ir_at(g, r->key, DTYPE_F32, at));
	loop_end(g, &l);
	if_end(g, &refused);
}

static void set_keys(struct codegen *g, struct route *r)
{
	if (!r->k->biased && r->k->groups <= 1) {
		r->key = r->row;
		return;
	}
	LLVMValueRef zero = ir_i64(g, 0), one = ir_i64(g, 1);
	for_vectors(g, zero, ir_i64(g, r->k->experts), add_bias, r);
	if (r->k->groups <= 1)
		return;
	struct ir_loop l = loop_begin(g, zero, ir_i64(g, r->k->groups), one);
	score_group(g, r, l.index);
	loop_end(g, &l);
	l = loop_begin(g, zero, ir_i64(g, r->k->groups), one);
	refuse_group(g, r, l.index);
	loop_end(g, &l);
}

/* Appends the expert to the chosen ones if it is among the best. NaN scores may let too many in: the first ones
 * stay. */
static void consider_expert(struct codegen *g, const struct route *r, LLVMValueRef expert)
{
	LLVMValueRef before = rank_of(g, r, r->key, r->k->experts, expert),
				 score = load_scalar(g, DTYPE_F32, ir_at(g, r->row, DTYPE_F32, expert));
	LLVMValueRef n = ir_load(g, g->i64, r->chosen, 8), top = ir_i64(g, r->k->top);
	LLVMValueRef good = ir_and(g, ir_compare(g, LLVMIntSLT, before, top), ir_compare(g, LLVMIntSLT, n, top));
	struct ir_branch chosen = if_begin(g, good);
	ir_store_i32(g, expert, r->index, n);
	store_scalar(g, DTYPE_F32, score, ir_at(g, r->weight, DTYPE_F32, n));
	ir_store(g, ir_fadd(g, ir_load(g, g->f32, r->sum, 4), score), r->sum, 4);
	ir_store(g, ir_add(g, n, ir_i64(g, 1)), r->chosen, 8);
	if_end(g, &chosen);
}

static void scale_weights(struct codegen *g, const struct route *r)
{
	LLVMValueRef sum = ir_load(g, g->f32, r->sum, 4);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, r->k->top), ir_i64(g, 1));
	LLVMValueRef at = ir_at(g, r->weight, DTYPE_F32, l.index), weight = load_scalar(g, DTYPE_F32, at);
	if (r->k->renormalize)
		weight = ir_fdiv(g, weight, sum);
	store_scalar(g, DTYPE_F32, ir_fmul(g, weight, ir_f32(g, r->k->factor)), at);
	loop_end(g, &l);
}

static void route_token(struct codegen *g, struct route *r)
{
	set_keys(g, r);
	ir_store(g, ir_i64(g, 0), r->chosen, 8);
	ir_store(g, ir_f32(g, 0), r->sum, 4);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, r->k->experts), ir_i64(g, 1));
	consider_expert(g, r, l.index);
	loop_end(g, &l);
	scale_weights(g, r);
}

static void route_padding(struct codegen *g, const struct route *r)
{
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, r->k->top), ir_i64(g, 1));
	ir_store_i32(g, ir_i64(g, -1), r->index, l.index);
	store_scalar(g, DTYPE_F32, ir_f32(g, 0), ir_at(g, r->weight, DTYPE_F32, l.index));
	loop_end(g, &l);
}

void emit_route(struct codegen *g, const char *name, const struct kernel_route *k)
{
	kernel_begin(g, name);
	LLVMValueRef score = arg_pointer(g, ROUTE_SCORE), seq = arg_pointer(g, ROUTE_SEQ),
				 index = arg_pointer(g, ROUTE_INDEX), weight = arg_pointer(g, ROUTE_WEIGHT);
	struct route r = {.k = k,
	                  .chosen = ir_local(g, g->i64, 1),
	                  .sum = ir_local(g, g->f32, 1),
	                  .before = ir_local(g, ir_vector(g, g->i32), 1),
	                  .bias = k->biased ? arg_pointer(g, ROUTE_BIAS) : NULL};
	if (route_workspace(k)) {
		r.key = arg_workspace_part(g, ROUTE_WORKSPACE, route_workspace(k));
		r.group = ir_at(g, r.key, DTYPE_F32, ir_i64(g, k->experts));
	}
	struct ir_loop l = share_begin(g, arg_integer(g, ROUTE_M));
	LLVMValueRef first = ir_mul(g, l.index, ir_i64(g, k->top));
	r.row = ir_at(g, score, DTYPE_F32, ir_mul(g, l.index, ir_i64(g, k->experts)));
	r.index = ir_at(g, index, DTYPE_I32, first);
	r.weight = ir_at(g, weight, DTYPE_F32, first);
	struct ir_branch real = if_begin(g, ir_compare(g, LLVMIntSGE, ir_load_i32(g, seq, l.index), ir_i64(g, 0)));
	route_token(g, &r);
	if_else(g, &real);
	route_padding(g, &r);
	if_end(g, &real);
	loop_end(g, &l);
	kernel_end(g);
}

/* ---- counting sorts -------------------------------------------------------------------------------------------------
 * First start[key + 1] counts the items of a key. Then start[key] is where the key begins. It advances as items are
 * placed, until it is where the key ends and the next begins; shifting by one restores it. One share has all of it,
 * since there is little to do. */
struct sort {
	struct codegen *g;
	int64_t keys;
	LLVMValueRef start, items;
	LLVMValueRef index, map, meta; /* the key is map[index[i]], or meta[i] if index is NULL */
	LLVMValueRef order, inverse;   /* inverse may be NULL */
};

static LLVMValueRef sort_key(const struct sort *s, LLVMValueRef item)
{
	struct codegen *g = s->g;
	if (!s->index)
		return ir_load_i32(g, s->meta, item);
	LLVMValueRef expert = ir_load_i32(g, s->index, item), zero = ir_i64(g, 0);
	LLVMValueRef key = ir_load_i32(g, s->map, ir_max(g, expert, zero));
	return ir_select(g, ir_compare(g, LLVMIntSLT, expert, zero), ir_i64(g, -1), key);
}

static LLVMValueRef bump(struct codegen *g, LLVMValueRef counts, LLVMValueRef at)
{
	LLVMValueRef old = ir_load_i32(g, counts, at);
	ir_store_i32(g, ir_add(g, old, ir_i64(g, 1)), counts, at);
	return old;
}

static void count_keys(const struct sort *s)
{
	struct codegen *g = s->g;
	LLVMValueRef zero = ir_i64(g, 0), one = ir_i64(g, 1);
	ir_clear(g, s->start, 4 * (s->keys + 1));
	struct ir_loop l = loop_begin(g, zero, s->items, one);
	LLVMValueRef key = sort_key(s, l.index);
	struct ir_branch real = if_begin(g, ir_compare(g, LLVMIntSGE, key, zero));
	bump(g, s->start, ir_add(g, key, one));
	if_end(g, &real);
	loop_end(g, &l);
	l = loop_begin(g, zero, ir_i64(g, s->keys), one);
	LLVMValueRef next = ir_add(g, l.index, one);
	ir_store_i32(g, ir_add(g, ir_load_i32(g, s->start, l.index), ir_load_i32(g, s->start, next)), s->start, next);
	loop_end(g, &l);
}

static void place_items(const struct sort *s)
{
	struct codegen *g = s->g;
	LLVMValueRef zero = ir_i64(g, 0);
	struct ir_loop l = loop_begin(g, zero, s->items, ir_i64(g, 1));
	LLVMValueRef key = sort_key(s, l.index);
	if (s->inverse)
		ir_store_i32(g, ir_i64(g, -1), s->inverse, l.index);
	struct ir_branch real = if_begin(g, ir_compare(g, LLVMIntSGE, key, zero));
	LLVMValueRef at = bump(g, s->start, key);
	ir_store_i32(g, l.index, s->order, at);
	if (s->inverse)
		ir_store_i32(g, at, s->inverse, l.index);
	if_end(g, &real);
	loop_end(g, &l);
}

static void restore_starts(const struct sort *s)
{
	struct codegen *g = s->g;
	LLVMValueRef zero = ir_i64(g, 0), keys = ir_i64(g, s->keys);
	struct ir_loop l = loop_begin(g, zero, keys, ir_i64(g, 1));
	LLVMValueRef to = ir_sub(g, keys, l.index);
	ir_store_i32(g, ir_load_i32(g, s->start, ir_sub(g, to, ir_i64(g, 1))), s->start, to);
	loop_end(g, &l);
	ir_store_i32(g, zero, s->start, zero);
}

static void emit_counting_sort(const struct sort *s)
{
	struct ir_branch serial = first_share(s->g);
	count_keys(s);
	place_items(s);
	restore_starts(s);
	if_end(s->g, &serial);
	kernel_end(s->g);
}

void emit_assign(struct codegen *g, const char *name, const struct kernel_assign *k)
{
	kernel_begin(g, name);
	struct sort s = {.g = g,
	                 .keys = k->keys,
	                 .index = arg_pointer(g, ASSIGN_INDEX),
	                 .map = arg_pointer(g, ASSIGN_MAP),
	                 .order = arg_pointer(g, ASSIGN_ORDER),
	                 .inverse = arg_pointer(g, ASSIGN_INVERSE),
	                 .start = arg_pointer(g, ASSIGN_START)};
	s.items = ir_mul(g, arg_integer(g, ASSIGN_M), ir_i64(g, k->top));
	emit_counting_sort(&s);
}

void emit_sort(struct codegen *g, const char *name, const struct kernel_sort *k)
{
	kernel_begin(g, name);
	struct sort s = {.g = g,
	                 .keys = k->local,
	                 .meta = arg_pointer(g, SORT_META),
	                 .order = arg_pointer(g, SORT_FROM),
	                 .start = arg_pointer(g, SORT_OFFSETS),
	                 .items = arg_integer(g, SORT_S)};
	emit_counting_sort(&s);
}

/* ---- pack, offsets --------------------------------------------------------------------------- */
/* The local expert of assignment j: the last one whose key, first + expert, starts at or before j. Starts are in order,
 * so each step, half as long as the one before, asks one key. */
static LLVMValueRef local_expert(struct codegen *g, const struct kernel_pack *k, LLVMValueRef start, LLVMValueRef first,
                                 LLVMValueRef j)
{
	LLVMValueRef found = ir_local(g, g->i64, 1), last = ir_i64(g, k->local - 1);
	int64_t steps = 0;
	while ((int64_t)1 << steps < k->local)
		steps++;
	ir_store(g, ir_i64(g, 0), found, 8);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, steps), ir_i64(g, 1));
	LLVMValueRef step = LLVMBuildShl(g->builder, ir_i64(g, 1), ir_sub(g, ir_i64(g, steps - 1), l.index), "");
	LLVMValueRef here = ir_load(g, g->i64, found, 8), next = ir_add(g, here, step);
	LLVMValueRef key = ir_load_i32(g, start, ir_add(g, first, ir_min(g, next, last)));
	LLVMValueRef begun = ir_and(g, ir_compare(g, LLVMIntSLE, next, last), ir_compare(g, LLVMIntSLE, key, j));
	ir_store(g, ir_select(g, begun, next, here), found, 8);
	loop_end(g, &l);
	return ir_load(g, g->i64, found, 8);
}

static void store_meta(struct codegen *g, LLVMValueRef expert, LLVMValueRef meta, LLVMValueRef row)
{
	struct ir_branch lead = lead_begin(g);
	ir_store_i32(g, expert, meta, row);
	lead_end(g, &lead);
}

void emit_pack(struct codegen *g, const char *name, const struct kernel_pack *k)
{
	int64_t bytes = k->d * dtype_bytes(k->dtype);
	kernel_begin(g, name);
	LLVMValueRef x = arg_pointer(g, PACK_X), order = arg_pointer(g, PACK_ORDER), start = arg_pointer(g, PACK_START),
				 rows = arg_pointer(g, PACK_ROWS);
	LLVMValueRef meta = arg_pointer(g, PACK_META), round = arg_integer(g, PACK_ROUND), c = arg_integer(g, PACK_C),
				 local = ir_i64(g, k->local);
	struct ir_loop l = share_begin(g, ir_mul(g, c, ir_i64(g, k->dests)));
	LLVMValueRef first = ir_mul(g, ir_div(g, l.index, c), local);
	LLVMValueRef j = ir_add(g, ir_load_i32(g, start, first), ir_add(g, ir_mul(g, round, c), ir_rem(g, l.index, c)));
	LLVMValueRef end = ir_load_i32(g, start, ir_add(g, first, local));
	struct ir_branch full = if_begin(g, ir_compare(g, LLVMIntSLT, j, end));
	LLVMValueRef token = ir_div(g, ir_load_i32(g, order, j), ir_i64(g, k->top)), row_bytes = ir_i64(g, bytes);
	ir_copy(g, ir_offset(g, rows, ir_mul(g, l.index, row_bytes)), ir_offset(g, x, ir_mul(g, token, row_bytes)), bytes);
	store_meta(g, local_expert(g, k, start, first, j), meta, l.index);
	if_else(g, &full);
	store_meta(g, ir_i64(g, -1), meta, l.index);
	if_end(g, &full);
	loop_end(g, &l);
	kernel_end(g);
}

void emit_offsets(struct codegen *g, const char *name, const struct kernel_offsets *k)
{
	kernel_begin(g, name);
	LLVMValueRef start = arg_pointer(g, OFFSETS_START), offsets = arg_pointer(g, OFFSETS_OFFSETS),
				 c = arg_integer(g, OFFSETS_C);
	LLVMValueRef skipped = ir_mul(g, arg_integer(g, OFFSETS_ROUND), c), zero = ir_i64(g, 0);
	struct ir_loop l = share_begin(g, ir_i64(g, k->local + 1));
	LLVMValueRef at = ir_sub(g, ir_load_i32(g, start, l.index), skipped);
	ir_store_i32(g, ir_max(g, zero, ir_min(g, at, c)), offsets, l.index);
	loop_end(g, &l);
	kernel_end(g);
}

/* ---- gather, scatter ------------------------------------------------------------------------- */
static void emit_moves(struct codegen *g, const char *name, const struct kernel_gather *k, bool scatter)
{
	int64_t bytes = k->d * dtype_bytes(k->dtype);
	kernel_begin(g, name);
	LLVMValueRef rows = arg_pointer(g, GATHER_ROWS), from = arg_pointer(g, GATHER_FROM),
				 out = arg_pointer(g, GATHER_OUT), row_bytes = ir_i64(g, bytes);
	struct ir_loop l = share_begin(g, ir_load_i32(g, arg_pointer(g, GATHER_COUNT), ir_i64(g, 0)));
	LLVMValueRef here = ir_mul(g, l.index, row_bytes), there = ir_mul(g, ir_load_i32(g, from, l.index), row_bytes);
	ir_copy(g, ir_offset(g, out, scatter ? there : here), ir_offset(g, rows, scatter ? here : there), bytes);
	loop_end(g, &l);
	kernel_end(g);
}

void emit_gather(struct codegen *g, const char *name, const struct kernel_gather *k) { emit_moves(g, name, k, false); }
void emit_scatter(struct codegen *g, const char *name, const struct kernel_gather *k) { emit_moves(g, name, k, true); }

/* ---- combine --------------------------------------------------------------------------------- */
struct combine {
	const struct kernel_combine *k;
	LLVMValueRef rows, index, weight, map, inverse, start, skipped, c; /* skipped: number of rows in earlier rounds */
	LLVMValueRef out, row, factor;                                     /* of the current token and choice */
};

static void add_weighted(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct combine *c = context;
	LLVMValueRef at = ir_at(g, c->out, DTYPE_F32, index);
	LLVMValueRef x = load_vector(g, c->k->dtype, ir_at(g, c->row, c->k->dtype, index), mask);
	store_vector(g, DTYPE_F32, ir_fma(g, x, c->factor, load_vector(g, DTYPE_F32, at, mask)), at, mask);
}

static void clear_vector(struct codegen *g, void *out, LLVMValueRef index, LLVMValueRef mask)
{
	store_vector(g, DTYPE_F32, ir_like(g, ir_vector(g, g->f32), 0), ir_at(g, out, DTYPE_F32, index), mask);
}

/* Adds the row of an assignment, whose map value is `key`, if this round has it. */
static void combine_row(struct codegen *g, struct combine *c, LLVMValueRef assignment, LLVMValueRef key)
{
	LLVMValueRef local = ir_i64(g, c->k->local), dest = ir_div(g, key, local);
	LLVMValueRef i =
		ir_sub(g, ir_load_i32(g, c->inverse, assignment), ir_load_i32(g, c->start, ir_mul(g, dest, local)));
	i = ir_sub(g, i, c->skipped);
	struct ir_branch now = if_begin(g, ir_compare(g, LLVMIntULT, i, c->c));
	LLVMValueRef row = ir_add(g, ir_mul(g, dest, c->c), i);
	c->row = ir_at(g, c->rows, c->k->dtype, ir_mul(g, row, ir_i64(g, c->k->d)));
	c->factor = ir_splat(g, load_scalar(g, DTYPE_F32, ir_at(g, c->weight, DTYPE_F32, assignment)));
	for_vectors(g, ir_i64(g, 0), ir_i64(g, c->k->d), add_weighted, c);
	if_end(g, &now);
}

static void combine_token(struct codegen *g, struct combine *c, LLVMValueRef token)
{
	LLVMValueRef zero = ir_i64(g, 0), top = ir_i64(g, c->k->top);
	struct ir_loop l = loop_begin(g, zero, top, ir_i64(g, 1));
	LLVMValueRef assignment = ir_add(g, ir_mul(g, token, top), l.index), expert = ir_load_i32(g, c->index, assignment);
	LLVMValueRef known = ir_load_i32(g, c->map, ir_max(g, expert, zero));
	LLVMValueRef key = ir_select(g, ir_compare(g, LLVMIntSLT, expert, zero), ir_i64(g, -1), known);
	struct ir_branch real = if_begin(g, ir_compare(g, LLVMIntSGE, key, zero));
	combine_row(g, c, assignment, key);
	if_end(g, &real);
	loop_end(g, &l);
}

void emit_combine(struct codegen *g, const char *name, const struct kernel_combine *k)
{
	struct combine c = {.k = k};
	kernel_begin(g, name);
	c.rows = arg_pointer(g, COMBINE_ROWS);
	c.index = arg_pointer(g, COMBINE_INDEX);
	c.weight = arg_pointer(g, COMBINE_WEIGHT);
	c.map = arg_pointer(g, COMBINE_MAP);
	c.inverse = arg_pointer(g, COMBINE_INVERSE);
	c.start = arg_pointer(g, COMBINE_START);
	LLVMValueRef out = arg_pointer(g, COMBINE_OUT), round = arg_integer(g, COMBINE_ROUND), zero = ir_i64(g, 0);
	c.c = arg_integer(g, COMBINE_C);
	c.skipped = ir_mul(g, round, c.c);
	struct ir_loop l = share_begin(g, arg_integer(g, COMBINE_M));
	c.out = ir_at(g, out, DTYPE_F32, ir_mul(g, l.index, ir_i64(g, k->d)));
	struct ir_branch fresh = if_begin(g, ir_compare(g, LLVMIntEQ, round, zero));
	for_vectors(g, zero, ir_i64(g, k->d), clear_vector, c.out);
	if_end(g, &fresh);
	combine_token(g, &c, l.index);
	loop_end(g, &l);
	kernel_end(g);
}
