/* The draw: the next token, from the candidates of all shards of the vocabulary. */
#include "sample.h"

struct parts {
	LLVMValueRef pairs, total, row_first;
	int64_t n;
}; /* each shard's pairs, and the index of the row's first pair in them */

static LLVMValueRef row_pairs(struct codegen *g, const struct parts *p, LLVMValueRef part)
{
	return sample_pair_at(g, p->pairs, ir_add(g, ir_mul(g, part, p->total), p->row_first));
}

static struct ir_loop each_part(struct codegen *g, const struct parts *p)
{
	return loop_begin(g, ir_i64(g, 0), ir_i64(g, p->n), ir_i64(g, 1));
}

static LLVMValueRef pair_value(struct codegen *g, LLVMValueRef pair) { return ir_load(g, g->f32, pair, 4); }

static LLVMValueRef pair_index(struct codegen *g, LLVMValueRef pair)
{
	return ir_load(g, g->i32, ir_offset(g, pair, ir_i64(g, PAIR_INDEX)), 4);
}

/* The largest of the shards' first pairs. Shards come by rising index, so on a tie the first one stays. */
static LLVMValueRef best_part(struct codegen *g, const struct parts *p)
{
	LLVMValueRef value = ir_local(g, g->f32, 1), index = ir_local(g, g->i32, 1), first = row_pairs(g, p, ir_i64(g, 0));
	ir_store(g, pair_value(g, first), value, 4);
	ir_store(g, pair_index(g, first), index, 4);
	struct ir_loop part = each_part(g, p);
	LLVMValueRef pair = row_pairs(g, p, part.index), x = pair_value(g, pair), old = ir_load(g, g->f32, value, 4);
	LLVMValueRef none = ir_compare(g, LLVMIntEQ, pair_index(g, pair), ir_i32(g, DR_NO_TOKEN));
	LLVMValueRef better = LLVMBuildOr(g->builder, ir_fcompare(g, LLVMRealOGT, x, old), none, "");
	ir_store(g, ir_select(g, better, x, old), value, 4);
	ir_store(g, ir_select(g, better, pair_index(g, pair), ir_load(g, g->i32, index, 4)), index, 4);
	loop_end(g, &part);
	return ir_load(g, g->i32, index, 4);
}

static void merge_parts(struct codegen *g, const struct sampler *s, const struct parts *p)
{
	sample_reset_sorted(g, s);
	struct ir_loop part = each_part(g, p);
	LLVMValueRef pairs = row_pairs(g, p, part.index);
	struct ir_loop l = loop_begin(g, ir_i64(g, 1), ir_i64(g, 1 + DR_CANDIDATES), ir_i64(g, 1));
	LLVMValueRef pair = sample_pair_at(g, pairs, l.index);
	sample_consider(g, s, pair_value(g, pair), pair_index(g, pair));
	loop_end(g, &l);
	loop_end(g, &part);
}

/* The sum that softmax over all tokens divides by, relative to the largest logit of all shards. */
static LLVMValueRef sum_of_parts(struct codegen *g, const struct sampler *s, const struct parts *p)
{
	LLVMValueRef zero = ir_f32(g, 0);
	ir_store(g, zero, s->sum, 4);
	struct ir_loop part = each_part(g, p);
	LLVMValueRef pair = row_pairs(g, p, part.index), sum = ir_bits(g, pair_index(g, pair), g->f32);
	LLVMValueRef term = ir_fmul(g, sum, sample_weight(g, pair_value(g, pair), sample_largest(g, s), s->inverse));
	ir_store(g, ir_fadd(g, ir_load(g, g->f32, s->sum, 4), term), s->sum, 4);
	loop_end(g, &part);
	return ir_load(g, g->f32, s->sum, 4);
}

static void set_weights(struct codegen *g, const struct sampler *s)
{
	LLVMValueRef largest = ir_splat(g, sample_largest(g, s)), inverse = ir_splat(g, s->inverse);
	struct ir_loop l = sample_each_block(g);
	LLVMValueRef x = load_vector(g, DTYPE_F32, ir_at(g, s->values, DTYPE_F32, l.index), NULL);
	store_vector(g, DTYPE_F32, sample_weight(g, x, largest, inverse), ir_at(g, s->weights, DTYPE_F32, l.index), NULL);
	loop_end(g, &l);
}

/* Adds the first n weights; counts those that are at least `least` and before which the sum was below `limit`. The
 * weight of the largest logit is 1. */
static LLVMValueRef sum_weights(struct codegen *g, const struct sampler *s, LLVMValueRef n, LLVMValueRef limit,
                                LLVMValueRef least)
{
	ir_store(g, ir_f32(g, 0), s->sum, 4);
	ir_store(g, ir_i64(g, 0), s->kept, 8);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), n, ir_i64(g, 1));
	LLVMValueRef sum = ir_load(g, g->f32, s->sum, 4),
				 w = load_scalar(g, DTYPE_F32, ir_at(g, s->weights, DTYPE_F32, l.index));
	LLVMValueRef counts = ir_and(g, ir_fcompare(g, LLVMRealOLT, sum, limit), ir_fcompare(g, LLVMRealOGE, w, least));
	counts = LLVMBuildZExt(g->builder, counts, g->i64, "");
	ir_store(g, ir_add(g, ir_load(g, g->i64, s->kept, 8), counts), s->kept, 8);
	ir_store(g, ir_fadd(g, sum, w), s->sum, 4);
	loop_end(g, &l);
	return ir_load(g, g->f32, s->sum, 4);
}

/* The number of largest logits that top-k, top-p and min-p leave; at least 1. */
static LLVMValueRef count_kept(struct codegen *g, const struct sampler *s, const struct parts *p)
{
	LLVMValueRef most = ir_i64(g, DR_CANDIDATES), by_k = ir_compare(g, LLVMIntSGT, s->top_k, ir_i32(g, 0)),
				 none = sample_infinity(g, g->f32, false);
	LLVMValueRef n = ir_select(g, by_k, ir_min(g, ir_wide(g, s->top_k), most), most);
	set_weights(g, s);
	LLVMValueRef all = sum_of_parts(g, s, p), of_kept = sum_weights(g, s, n, none, ir_f32(g, 0));
	LLVMValueRef limit = ir_fmul(g, s->top_p, ir_select(g, by_k, of_kept, all));
	limit = ir_select(g, ir_fcompare(g, LLVMRealOLT, s->top_p, ir_f32(g, 1)), limit, none);
	sum_weights(g, s, n, limit, s->min_p);
	return ir_max(g, ir_load(g, g->i64, s->kept, 8), ir_i64(g, 1));
}

static LLVMValueRef draw_kept(struct codegen *g, const struct sampler *s, LLVMValueRef kept)
{
	LLVMTypeRef f32 = ir_vector(g, g->f32);
	LLVMValueRef index, low = sample_infinity(g, f32, true);
	sample_reset_lanes(g, s, ir_i32(g, 0));
	struct ir_loop l = sample_each_block(g);
	LLVMValueRef x = load_vector(g, DTYPE_F32, ir_at(g, s->values, DTYPE_F32, l.index), NULL);
	LLVMValueRef token = ir_load(g, ir_vector(g, g->i32), ir_at(g, s->indices, DTYPE_I32, l.index), 4);
	LLVMValueRef among = ir_and(g, tail_mask(g, ir_sub(g, kept, l.index)), ir_fcompare(g, LLVMRealOGT, x, low));
	LLVMValueRef drawn =
		ir_fadd(g, ir_fmul(g, x, ir_splat(g, s->inverse)), sample_noise(g, sample_uniform(g, s, token)));
	sample_keep_lanes(g, s, ir_select(g, among, drawn, low), token);
	loop_end(g, &l);
	sample_best_lane(g, s, &index);
	return index;
}

static void row_token(struct codegen *g, const struct sampler *s, const struct parts *p, LLVMValueRef to)
{
	struct ir_branch chosen = if_begin(g, s->chosen);
	merge_parts(g, s, p);
	LLVMValueRef drawn = draw_kept(g, s, count_kept(g, s, p)), first = ir_load(g, g->i32, s->indices, 4),
				 none = ir_i32(g, DR_NO_TOKEN);
	ir_store(g, ir_select(g, ir_compare(g, LLVMIntEQ, first, none), none, drawn), to, 4);
	if_else(g, &chosen);
	ir_store(g, best_part(g, p), to, 4);
	if_end(g, &chosen);
}

/* Adds the token's logit to the row's record, if the shard has the token. */
static void note_logit(struct codegen *g, LLVMValueRef asked, LLVMValueRef at, LLVMValueRef v, LLVMValueRef row,
                       LLVMValueRef record)
{
	struct ir_branch some = if_begin(g, ir_compare(g, LLVMIntNE, asked, ir_i32(g, 0)));
	struct ir_branch here = if_begin(g, ir_compare(g, LLVMIntULT, at, v));
	LLVMValueRef logit = ir_load(g, g->f32, ir_at(g, row, DTYPE_F32, at), 4);
	ir_store(g, logit, ir_offset(g, record, ir_i64(g, offsetof(struct dr_logprobs, logit))), 4);
	if_end(g, &here);
	if_end(g, &some);
}

void emit_draw(struct codegen *g, const char *name, const struct kernel_sample *k)
{
	LLVMValueRef insert = sample_insert_function(g, name);
	kernel_begin(g, name);
	struct parts p = {.pairs = arg_pointer(g, DRAW_PAIRS), .total = arg_integer(g, DRAW_P), .n = k->n};
	LLVMValueRef sampling = arg_pointer(g, DRAW_SAMPLING), token = arg_pointer(g, DRAW_TOKEN),
				 rows = arg_integer(g, DRAW_R), each = ir_div(g, p.total, rows);
	LLVMValueRef logits = arg_pointer(g, DRAW_LOGITS), records = arg_pointer(g, DRAW_LOGPROBS),
				 first = arg_integer(g, DRAW_FIRST), v = ir_i64(g, k->v);
	struct sampler s = sample_open(g, insert);
	if (k->n * k->v > k->total)
		v = ir_min(g, v, ir_sub(g, ir_i64(g, k->total), first));
	s.weights = ir_local(g, g->f32, DR_CANDIDATES);
	s.sum = ir_local(g, g->f32, 1);
	s.kept = ir_local(g, g->i64, 1);
	struct ir_loop l = share_begin(g, rows);
	p.row_first = ir_mul(g, l.index, each);
	LLVMValueRef how = sample_record(g, sampling, l.index);
	sample_read(g, &s, how);
	row_token(g, &s, &p, ir_at(g, token, DTYPE_I32, l.index));
	note_logit(g, sample_field(g, how, g->i32, offsetof(struct dr_sampling, logprobs)),
	           ir_sub(g, ir_load_i32(g, token, l.index), first), v,
	           ir_at(g, logits, DTYPE_F32, ir_mul(g, l.index, ir_i64(g, k->v))),
	           ir_offset(g, records, ir_mul(g, l.index, ir_i64(g, sizeof(struct dr_logprobs)))));
	loop_end(g, &l);
	kernel_end(g);
}
