/* Candidates: the tokens of a shard of the vocabulary that may be the next one. */
#include "sample.h"

static LLVMValueRef any_lane(struct codegen *g, LLVMValueRef lanes)
{
	LLVMTypeRef bits = LLVMIntTypeInContext(g->context, (unsigned)g->lanes);
	return ir_compare(g, LLVMIntNE, ir_bits(g, lanes, bits), LLVMConstNull(bits));
}

/* ---- one pass over the logits ---------------------------------------------------------------- */
static LLVMValueRef tokens_at(struct codegen *g, const struct sampler *s, LLVMValueRef index)
{
	return ir_add(g, ir_splat(g, ir_add(g, sample_narrow(g, index), s->first)), ir_iota(g, g->i32));
}

/* Floats without the sign bit compare, as integers, like their magnitudes; infinities and NaN come last. */
static void note_widest(struct codegen *g, const struct sampler *s, LLVMValueRef x)
{
	LLVMTypeRef i32 = ir_with_element(LLVMTypeOf(x), g->i32);
	LLVMValueRef bits = ir_and(g, ir_bits(g, x, i32), ir_like_int(g, i32, 0x7fffffff));
	ir_store(g, ir_max(g, ir_load(g, i32, s->widest, 4), bits), s->widest, 4);
}

/* Masked-off lanes are -infinity. Each kind of row reads its logits once by this function. */
static LLVMValueRef logits_at(struct codegen *g, const struct sampler *s, LLVMValueRef index, LLVMValueRef mask)
{
	LLVMValueRef x = load_vector(g, DTYPE_F32, ir_at(g, s->row, DTYPE_F32, index), mask);
	note_widest(g, s, mask ? ir_select(g, mask, x, LLVMConstNull(LLVMTypeOf(x))) : x);
	return mask ? ir_select(g, mask, x, sample_infinity(g, LLVMTypeOf(x), true)) : x;
}

static void greedy_vector(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct sampler *s = context;
	sample_keep_lanes(g, s, logits_at(g, s, index, mask), tokens_at(g, s, index));
}

static struct ir_branch if_above(struct codegen *g, const struct sampler *s, LLVMValueRef x, LLVMValueRef more)
{
	LLVMValueRef most = ir_fadd(g, x, more), value = ir_load(g, LLVMTypeOf(x), s->value, 4);
	return if_begin(g, any_lane(g, ir_fcompare(g, LLVMRealOGT, most, value)));
}

/* Computes random numbers only if the largest noise could give a new best, and logarithms only if the noise's bound
 * does. */
static void noisy_vector(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct sampler *s = context;
	LLVMValueRef x = ir_fmul(g, logits_at(g, s, index, mask), ir_splat(g, s->inverse)), token = tokens_at(g, s, index);
	struct ir_branch may = if_above(g, s, x, ir_like(g, LLVMTypeOf(x), SAMPLE_NOISE_MAX));
	LLVMValueRef u = sample_uniform(g, s, token);
	struct ir_branch does = if_above(g, s, x, sample_noise_bound(g, u));
	sample_keep_lanes(g, s, ir_fadd(g, x, sample_noise(g, u)), token);
	if_end(g, &does);
	if_end(g, &may);
}

static void best_pair(struct codegen *g, struct sampler *s, LLVMValueRef v, vector_body *body, LLVMValueRef to)
{
	LLVMValueRef index;
	sample_reset_lanes(g, s, s->first);
	for_vectors(g, ir_i64(g, 0), v, body, s);
	LLVMValueRef value = sample_best_lane(g, s, &index);
	sample_store_pair(g, value, index, to);
}

/* ---- the largest logits, in order ------------------------------------------------------------ */
static void sorted_vector(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct sampler *s = context;
	LLVMValueRef x = logits_at(g, s, index, mask),
				 above = ir_fcompare(g, LLVMRealOGT, x, ir_splat(g, sample_least_kept(g, s)));
	struct ir_branch some = if_begin(g, any_lane(g, above));
	store_vector(g, DTYPE_F32, x, s->spilled, NULL);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, g->lanes), ir_i64(g, 1));
	LLVMValueRef token = ir_add(g, sample_narrow(g, ir_add(g, index, l.index)), s->first);
	sample_consider(g, s, load_scalar(g, DTYPE_F32, ir_at(g, s->spilled, DTYPE_F32, l.index)), token);
	loop_end(g, &l);
	if_end(g, &some);
}

static void sum_vector(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct sampler *s = context;
	LLVMTypeRef f32 = ir_vector(g, g->f32);
	LLVMValueRef x = logits_at(g, s, index, mask);
	LLVMValueRef w = sample_weight(g, x, ir_splat(g, sample_largest(g, s)), ir_splat(g, s->inverse));
	ir_store(g, ir_fadd(g, ir_load(g, f32, s->value, 4), w), s->value, 4);
}

/* The shard's part of the sum that softmax divides by. With top-k the sum is not needed, and is 0. */
static LLVMValueRef shard_sum(struct codegen *g, struct sampler *s, LLVMValueRef v)
{
	ir_store(g, LLVMConstNull(ir_vector(g, g->f32)), s->value, 4);
	struct ir_branch all = if_begin(g, ir_compare(g, LLVMIntSLE, s->top_k, ir_i32(g, 0)));
	for_vectors(g, ir_i64(g, 0), v, sum_vector, s);
	if_end(g, &all);
	return ir_reduce(g, ir_load(g, ir_vector(g, g->f32), s->value, 4), ir_fadd);
}

/* Pair 0, and the `n` largest logits. */
static void sorted_pairs(struct codegen *g, struct sampler *s, LLVMValueRef v, int n, LLVMValueRef to)
{
	sample_reset_sorted(g, s);
	for_vectors(g, ir_i64(g, 0), v, sorted_vector, s);
	LLVMValueRef sum = shard_sum(g, s, v);
	sample_store_pair(g, sample_largest(g, s), ir_bits(g, sum, g->i32), to);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, n), ir_i64(g, 1));
	LLVMValueRef value = load_scalar(g, DTYPE_F32, ir_at(g, s->values, DTYPE_F32, l.index));
	LLVMValueRef index = ir_load(g, g->i32, ir_at(g, s->indices, DTYPE_I32, l.index), 4);
	sample_store_pair(g, value, index, sample_pair_at(g, to, ir_add(g, l.index, ir_i64(g, 1))));
	loop_end(g, &l);
}

/* ---- log-probabilities ----------------------------------------------------------------------- */
_Static_assert(offsetof(struct dr_logprobs, top) == PAIR_BYTES && sizeof(struct dr_logit) == PAIR_BYTES, "pairs");

/* Pairs of the row as the model left it, at temperature 1. */
static void row_logprobs(struct codegen *g, const struct sampler *s, LLVMValueRef v, LLVMValueRef asked,
                         LLVMValueRef to)
{
	struct sampler raw = *s;
	raw.inverse = ir_f32(g, 1);
	raw.top_k = ir_i32(g, 0);
	struct ir_branch some = if_begin(g, ir_compare(g, LLVMIntNE, asked, ir_i32(g, 0)));
	sorted_pairs(g, &raw, v, DR_LOGPROBS, to);
	LLVMValueRef logit = ir_offset(g, to, ir_i64(g, offsetof(struct dr_logprobs, logit)));
	ir_store(g, sample_infinity(g, g->f32, true), logit, 4);
	if_end(g, &some);
}

/* ---- the kernel ------------------------------------------------------------------------------ */
/* A row with a logit that is not finite has no token: its pairs take precedence over those of other shards. */
static void refuse_row(struct codegen *g, const struct sampler *s, LLVMValueRef to)
{
	LLVMValueRef widest = ir_reduce(g, ir_load(g, ir_vector(g, g->i32), s->widest, 4), ir_max);
	struct ir_branch wrong = if_begin(g, ir_compare(g, LLVMIntSGE, widest, ir_i32(g, 0x7f800000)));
	sample_store_pair(g, sample_infinity(g, g->f32, false), ir_i32(g, DR_NO_TOKEN), to);
	struct ir_branch chosen = if_begin(g, s->chosen);
	sample_store_pair(g, sample_infinity(g, g->f32, false), ir_i32(g, DR_NO_TOKEN),
	                  sample_pair_at(g, to, ir_i64(g, 1)));
	if_end(g, &chosen);
	if_end(g, &wrong);
}

static void row_candidates(struct codegen *g, struct sampler *s, LLVMValueRef v, LLVMValueRef to)
{
	ir_store(g, LLVMConstNull(ir_vector(g, g->i32)), s->widest, 4);
	struct ir_branch chosen = if_begin(g, s->chosen);
	sorted_pairs(g, s, v, DR_CANDIDATES, to);
	if_else(g, &chosen);
	struct ir_branch hot = if_begin(g, s->hot);
	best_pair(g, s, v, noisy_vector, to);
	if_else(g, &hot);
	best_pair(g, s, v, greedy_vector, to);
	if_end(g, &hot);
	if_end(g, &chosen);
	refuse_row(g, s, to);
}

void emit_candidates(struct codegen *g, const char *name, const struct kernel_sample *k)
{
	LLVMValueRef insert = sample_insert_function(g, name);
	kernel_begin(g, name);
	LLVMValueRef logits = arg_pointer(g, CANDIDATES_LOGITS), sampling = arg_pointer(g, CANDIDATES_SAMPLING),
				 pairs = arg_pointer(g, CANDIDATES_PAIRS), rows = arg_integer(g, CANDIDATES_R);
	LLVMValueRef each = ir_div(g, arg_integer(g, CANDIDATES_P), rows);
	struct sampler s = sample_open(g, insert);
	struct sample_adjusting a = {
		.entries = arg_pointer(g, CANDIDATES_ADJUST), .saved = arg_pointer(g, CANDIDATES_SAVED), .step = ir_i64(g, 1)};
	LLVMValueRef records = arg_pointer(g, CANDIDATES_LOGPROBS);
	LLVMValueRef first = arg_integer(g, CANDIDATES_FIRST), v = ir_i64(g, k->v);
	s.first = sample_narrow(g, first);
	if (k->n * k->v > k->total)
		v = ir_min(g, v, ir_sub(g, ir_i64(g, k->total), first));
	struct ir_loop l = share_begin(g, rows);
	s.row = ir_at(g, logits, DTYPE_F32, ir_mul(g, l.index, ir_i64(g, k->v)));
	LLVMValueRef how = sample_record(g, sampling, l.index);
	sample_read(g, &s, how);
	row_logprobs(g, &s, v, sample_field(g, how, g->i32, offsetof(struct dr_sampling, logprobs)),
	             ir_offset(g, records, ir_mul(g, l.index, ir_i64(g, sizeof(struct dr_logprobs)))));
	sample_read_adjusting(g, &a, how);
	sample_adjust(g, &a, &s, v, false);
	row_candidates(g, &s, v, sample_pair_at(g, pairs, ir_mul(g, l.index, each)));
	sample_adjust(g, &a, &s, v, true);
	loop_end(g, &l);
	kernel_end(g);
}
