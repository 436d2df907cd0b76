/* Sampling: each shard of the vocabulary yields candidates for a row, and the token is drawn from those of all
 * shards. */
#include <stddef.h>
#include "emit.h"

enum { PAIR_BYTES = 8, PAIR_INDEX = 4 }; /* { f32 value; i32 index } */

struct sampler {
	LLVMValueRef row, first;                   /* the row's logits; the shard's first token, i32 */
	LLVMValueRef hot, chosen;                  /* i1: is the row drawn at all? by top-k, top-p or min-p? */
	LLVMValueRef inverse, top_k, top_p, min_p; /* 1 / temperature; i32; f32; f32 */
	LLVMValueRef key[2];                       /* i32: the row's random numbers derive from it */
	LLVMValueRef value, index;                 /* running best per lane, in memory */
	LLVMValueRef widest;                       /* largest bits of a logit without its sign, per lane, in memory */
	LLVMValueRef insert, spilled;              /* a function; f32 per lane, in memory */
	LLVMValueRef values, indices;    /* in memory: the DR_CANDIDATES largest so far, in order; one before them */
	LLVMValueRef weights, sum, kept; /* f32[DR_CANDIDATES]; f32; i64; in memory */
};

static LLVMValueRef infinity(struct codegen *g, LLVMTypeRef f32, bool negative)
{
	return ir_bits(g, ir_like_int(g, ir_with_element(f32, g->i32), negative ? 0xff800000 : 0x7f800000), f32);
}

static LLVMValueRef any_lane(struct codegen *g, LLVMValueRef lanes)
{
	LLVMTypeRef bits = LLVMIntTypeInContext(g->context, (unsigned)g->lanes);
	return ir_compare(g, LLVMIntNE, ir_bits(g, lanes, bits), LLVMConstNull(bits));
}

static LLVMValueRef narrow(struct codegen *g, LLVMValueRef index)
{
	return LLVMBuildTrunc(g->builder, index, g->i32, "");
}

/* ---- what is asked of a row ------------------------------------------------------------------ */
static LLVMValueRef field(struct codegen *g, LLVMValueRef record, LLVMTypeRef type, size_t offset)
{
	return ir_load(g, type, ir_offset(g, record, ir_i64(g, (int64_t)offset)), 4);
}

static LLVMValueRef shift_xor(struct codegen *g, LLVMValueRef x, int by)
{
	return LLVMBuildXor(g->builder, x, LLVMBuildLShr(g->builder, x, ir_like_int(g, LLVMTypeOf(x), by), ""), "");
}

static LLVMValueRef mix(struct codegen *g, LLVMValueRef x, const int shift[3], const uint64_t factor[2])
{
	for (int i = 0; i < 2; i++)
		x = ir_mul(g, shift_xor(g, x, shift[i]), ir_like_int(g, LLVMTypeOf(x), (int64_t)factor[i]));
	return shift_xor(g, x, shift[2]);
}

/* Mixes seed and count to 64 bits. */
static void set_keys(struct codegen *g, struct sampler *s, LLVMValueRef record)
{
	static const int shift[3] = {30, 27, 31};
	static const uint64_t factor[2] = {0xbf58476d1ce4e5b9, 0x94d049bb133111eb};
	LLVMValueRef low = field(g, record, g->i32, offsetof(struct dr_sampling, seed));
	LLVMValueRef high = field(g, record, g->i32, offsetof(struct dr_sampling, seed_high));
	LLVMValueRef count = field(g, record, g->i32, offsetof(struct dr_sampling, count)),
				 step = ir_i64(g, (int64_t)0x9e3779b97f4a7c15);
	LLVMValueRef x = LLVMBuildShl(g->builder, ir_wide(g, high), ir_i64(g, 32), "");
	x = LLVMBuildOr(g->builder, x, LLVMBuildZExt(g->builder, low, g->i64, ""), "");
	x = mix(g, ir_add(g, x, step), shift, factor);
	x = mix(g, ir_add(g, x, ir_mul(g, ir_wide(g, count), step)), shift, factor);
	s->key[0] = narrow(g, x);
	s->key[1] = narrow(g, LLVMBuildLShr(g->builder, x, ir_i64(g, 32), ""));
}

static void read_sampling(struct codegen *g, struct sampler *s, LLVMValueRef record)
{
	const double coldest = 1e-6; /* below it, logits / temperature could overflow; it is greedy in effect */
	LLVMValueRef temperature = field(g, record, g->f32, offsetof(struct dr_sampling, temperature));
	s->top_p = field(g, record, g->f32, offsetof(struct dr_sampling, top_p));
	s->top_k = field(g, record, g->i32, offsetof(struct dr_sampling, top_k));
	s->min_p = field(g, record, g->f32, offsetof(struct dr_sampling, min_p));
	s->hot = ir_fcompare(g, LLVMRealOGT, temperature, ir_f32(g, 0));
	LLVMValueRef by_k = ir_compare(g, LLVMIntSGT, s->top_k, ir_i32(g, 0)),
				 by_p = ir_fcompare(g, LLVMRealOLT, s->top_p, ir_f32(g, 1)),
				 by_share = ir_fcompare(g, LLVMRealOGT, s->min_p, ir_f32(g, 0));
	by_p = LLVMBuildOr(g->builder, by_p, by_share, "");
	s->chosen = ir_and(g, s->hot, LLVMBuildOr(g->builder, by_k, by_p, ""));
	s->inverse = ir_fdiv(g, ir_f32(g, 1), ir_fmax(g, temperature, ir_f32(g, coldest)));
	set_keys(g, s, record);
}

/* A number in (0, 1) for each token of a vector. A u near 0 has all bits of an f32. */
static LLVMValueRef uniform(struct codegen *g, const struct sampler *s, LLVMValueRef token)
{
	static const int shift[3] = {16, 15, 16};
	static const uint64_t factor[2] = {0x7feb352d, 0x846ca68b};
	LLVMTypeRef i32 = LLVMTypeOf(token), f32 = ir_with_element(i32, g->f32);
	LLVMValueRef h = token, one = ir_like_int(g, i32, 1);
	for (int i = 0; i < 2; i++)
		h = mix(g, LLVMBuildXor(g->builder, h, ir_splat(g, s->key[i]), ""), shift, factor);
	h = LLVMBuildOr(g->builder, LLVMBuildLShr(g->builder, h, one, ""), one, "");
	LLVMValueRef u = ir_fmul(g, LLVMBuildSIToFP(g->builder, h, f32, ""), ir_like(g, f32, 0x1p-31));
	return ir_fmin(g, u, ir_like(g, f32, 1 - 0x1p-24));
}

/* Gumbel noise: -log(-log(1 - u)). The largest values come from a u near 0, where 1 - u would lose its bits. */
static LLVMValueRef noise(struct codegen *g, LLVMValueRef u)
{
	LLVMTypeRef f32 = LLVMTypeOf(u);
	LLVMValueRef near = ir_fmul(g, u, ir_fma(g, u, ir_like(g, f32, 0.5), ir_like(g, f32, 1)));
	LLVMValueRef far = LLVMBuildFNeg(g->builder, math_log(g, ir_fsub(g, ir_like(g, f32, 1), u)), "");
	LLVMValueRef e = ir_select(g, ir_fcompare(g, LLVMRealOLT, u, ir_like(g, f32, 0x1p-10)), near, far);
	return LLVMBuildFNeg(g->builder, math_log(g, e), "");
}

/* An upper bound of the noise, and a close one if the noise is large. It uses that -log(1 - u) >= u, and that the bits
 * of an f32, read as a number, are a base-2 logarithm, exact at powers of two and too low between them. All noise is
 * below NOISE_MAX > -log(2^-31). */
enum { NOISE_MAX = 22 };

static LLVMValueRef noise_bound(struct codegen *g, LLVMValueRef u)
{
	const double log_2 = 0.69314718055994531, slack = 1e-3;
	LLVMTypeRef f32 = LLVMTypeOf(u);
	LLVMValueRef bits = LLVMBuildSIToFP(g->builder, ir_bits(g, u, ir_with_element(f32, g->i32)), f32, "");
	return ir_fma(g, bits, ir_like(g, f32, -log_2 * 0x1p-23), ir_like(g, f32, 127 * log_2 + slack));
}

/* ---- the best of all lanes ------------------------------------------------------------------- */
static void reset_lanes(struct codegen *g, const struct sampler *s, LLVMValueRef index)
{
	ir_store(g, infinity(g, ir_vector(g, g->f32), true), s->value, 4);
	ir_store(g, ir_splat(g, index), s->index, 4);
}

static void keep_lanes(struct codegen *g, const struct sampler *s, LLVMValueRef x, LLVMValueRef token)
{
	LLVMValueRef value = ir_load(g, ir_vector(g, g->f32), s->value, 4),
				 index = ir_load(g, ir_vector(g, g->i32), s->index, 4);
	LLVMValueRef above = ir_fcompare(g, LLVMRealOGT, x, value);
	ir_store(g, ir_select(g, above, x, value), s->value, 4);
	ir_store(g, ir_select(g, above, token, index), s->index, 4);
}

/* The maximum of all lanes, and its lowest index. */
static LLVMValueRef best_lane(struct codegen *g, const struct sampler *s, LLVMValueRef *index)
{
	LLVMTypeRef i32 = ir_vector(g, g->i32);
	LLVMValueRef value = ir_load(g, ir_vector(g, g->f32), s->value, 4), where = ir_load(g, i32, s->index, 4);
	LLVMValueRef most = ir_reduce(g, value, ir_fmax);
	LLVMValueRef has = ir_fcompare(g, LLVMRealOEQ, value, ir_splat(g, most));
	*index = ir_reduce(g, ir_select(g, has, where, ir_like_int(g, i32, INT32_MAX)), ir_min);
	return most;
}

static void store_pair(struct codegen *g, LLVMValueRef value, LLVMValueRef index, LLVMValueRef to)
{
	ir_store(g, value, to, 4);
	ir_store(g, index, ir_offset(g, to, ir_i64(g, PAIR_INDEX)), 4);
}

static LLVMValueRef tokens_at(struct codegen *g, const struct sampler *s, LLVMValueRef index)
{
	return ir_add(g, ir_splat(g, ir_add(g, narrow(g, index), s->first)), ir_iota(g, g->i32));
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
	return mask ? ir_select(g, mask, x, infinity(g, LLVMTypeOf(x), true)) : x;
}

static void greedy_vector(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct sampler *s = context;
	keep_lanes(g, s, logits_at(g, s, index, mask), tokens_at(g, s, index));
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
	struct ir_branch may = if_above(g, s, x, ir_like(g, LLVMTypeOf(x), NOISE_MAX));
	LLVMValueRef u = uniform(g, s, token);
	struct ir_branch does = if_above(g, s, x, noise_bound(g, u));
	keep_lanes(g, s, ir_fadd(g, x, noise(g, u)), token);
	if_end(g, &does);
	if_end(g, &may);
}

static void best_pair(struct codegen *g, struct sampler *s, LLVMValueRef v, vector_body *body, LLVMValueRef to)
{
	LLVMValueRef index;
	reset_lanes(g, s, s->first);
	for_vectors(g, ir_i64(g, 0), v, body, s);
	LLVMValueRef value = best_lane(g, s, &index);
	store_pair(g, value, index, to);
}

/* ---- the largest logits, in order ------------------------------------------------------------ */
enum { INSERT_VALUES, INSERT_INDICES, INSERT_VALUE, INSERT_INDEX, INSERT_PARAMS };

/* Inserts x after the elements not less than it; the others shift by one. */
static void insert_block(struct codegen *g, LLVMValueRef at)
{
	LLVMTypeRef f32 = ir_vector(g, g->f32), i32 = ir_vector(g, g->i32);
	LLVMValueRef f = g->function, before = ir_sub(g, at, ir_i64(g, 1));
	LLVMValueRef values = LLVMGetParam(f, INSERT_VALUES), indices = LLVMGetParam(f, INSERT_INDICES);
	LLVMValueRef x = ir_splat(g, LLVMGetParam(f, INSERT_VALUE)), index = ir_splat(g, LLVMGetParam(f, INSERT_INDEX));
	LLVMValueRef old = ir_load(g, f32, ir_at(g, values, DTYPE_F32, at), 4),
				 left = ir_load(g, f32, ir_at(g, values, DTYPE_F32, before), 4);
	LLVMValueRef old_index = ir_load(g, i32, ir_at(g, indices, DTYPE_I32, at), 4);
	LLVMValueRef left_index = ir_load(g, i32, ir_at(g, indices, DTYPE_I32, before), 4);
	LLVMValueRef stays = ir_fcompare(g, LLVMRealOGE, old, x), here = ir_fcompare(g, LLVMRealOGE, left, x);
	ir_store(g, ir_select(g, stays, old, ir_select(g, here, x, left)), ir_at(g, values, DTYPE_F32, at), 4);
	ir_store(g, ir_select(g, stays, old_index, ir_select(g, here, index, left_index)), ir_at(g, indices, DTYPE_I32, at),
	         4);
}

static LLVMValueRef insert_function(struct codegen *g, const char *kernel)
{
	char name[96];
	LLVMTypeRef params[INSERT_PARAMS] = {g->ptr, g->ptr, g->f32, g->i32};
	snprintf(name, sizeof name, "%s_insert", kernel);
	LLVMValueRef f = ir_function(g, name, g->nothing, params, INSERT_PARAMS, true), lanes = ir_i64(g, g->lanes);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, DR_CANDIDATES), lanes);
	insert_block(g, ir_sub(g, ir_i64(g, DR_CANDIDATES - g->lanes), l.index));
	loop_end(g, &l);
	LLVMBuildRetVoid(g->builder);
	return f;
}

/* Stack space for sorted elements, preceded by one vector whose last element is read. */
static LLVMValueRef sorted_room(struct codegen *g, LLVMTypeRef type)
{
	return ir_offset(g, ir_local(g, type, g->lanes + DR_CANDIDATES), ir_i64(g, 4 * g->lanes));
}

static struct ir_loop each_block(struct codegen *g)
{
	return loop_begin(g, ir_i64(g, 0), ir_i64(g, DR_CANDIDATES), ir_i64(g, g->lanes));
}

static void reset_sorted(struct codegen *g, const struct sampler *s)
{
	ir_store(g, infinity(g, g->f32, false), ir_at(g, s->values, DTYPE_F32, ir_i64(g, -1)), 4);
	ir_store(g, ir_i32(g, 0), ir_at(g, s->indices, DTYPE_I32, ir_i64(g, -1)), 4);
	struct ir_loop l = each_block(g);
	store_vector(g, DTYPE_F32, infinity(g, ir_vector(g, g->f32), true), ir_at(g, s->values, DTYPE_F32, l.index), NULL);
	ir_store(g, LLVMConstNull(ir_vector(g, g->i32)), ir_at(g, s->indices, DTYPE_I32, l.index), 4);
	loop_end(g, &l);
}

static LLVMValueRef least_kept(struct codegen *g, const struct sampler *s)
{
	return load_scalar(g, DTYPE_F32, ir_at(g, s->values, DTYPE_F32, ir_i64(g, DR_CANDIDATES - 1)));
}

/* Elements come by rising index, so an element is inserted after its equals. */
static void consider(struct codegen *g, const struct sampler *s, LLVMValueRef x, LLVMValueRef index)
{
	struct ir_branch above = if_begin(g, ir_fcompare(g, LLVMRealOGT, x, least_kept(g, s)));
	ir_call(g, s->insert, (LLVMValueRef[]){s->values, s->indices, x, index}, INSERT_PARAMS);
	if_end(g, &above);
}

static void sorted_vector(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct sampler *s = context;
	LLVMValueRef x = logits_at(g, s, index, mask),
				 above = ir_fcompare(g, LLVMRealOGT, x, ir_splat(g, least_kept(g, s)));
	struct ir_branch some = if_begin(g, any_lane(g, above));
	store_vector(g, DTYPE_F32, x, s->spilled, NULL);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, g->lanes), ir_i64(g, 1));
	LLVMValueRef token = ir_add(g, narrow(g, ir_add(g, index, l.index)), s->first);
	consider(g, s, load_scalar(g, DTYPE_F32, ir_at(g, s->spilled, DTYPE_F32, l.index)), token);
	loop_end(g, &l);
	if_end(g, &some);
}

/* Weight of a logit relative to the largest one; 0 for -infinity and NaN. */
static LLVMValueRef weight(struct codegen *g, LLVMValueRef x, LLVMValueRef largest, LLVMValueRef inverse)
{
	LLVMValueRef e = math_exp(g, ir_fmul(g, ir_fsub(g, x, largest), inverse));
	LLVMValueRef real = ir_fcompare(g, LLVMRealOGT, x, infinity(g, LLVMTypeOf(x), true));
	return ir_select(g, real, e, ir_like(g, LLVMTypeOf(x), 0));
}

static LLVMValueRef largest_kept(struct codegen *g, const struct sampler *s)
{
	return load_scalar(g, DTYPE_F32, s->values);
}

static void sum_vector(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask)
{
	const struct sampler *s = context;
	LLVMTypeRef f32 = ir_vector(g, g->f32);
	LLVMValueRef x = logits_at(g, s, index, mask);
	LLVMValueRef w = weight(g, x, ir_splat(g, largest_kept(g, s)), ir_splat(g, s->inverse));
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

static LLVMValueRef pair_at(struct codegen *g, LLVMValueRef pairs, LLVMValueRef i)
{
	return ir_offset(g, pairs, ir_mul(g, i, ir_i64(g, PAIR_BYTES)));
}

static void sorted_pairs(struct codegen *g, struct sampler *s, LLVMValueRef v, LLVMValueRef to)
{
	reset_sorted(g, s);
	for_vectors(g, ir_i64(g, 0), v, sorted_vector, s);
	LLVMValueRef sum = shard_sum(g, s, v);
	store_pair(g, largest_kept(g, s), ir_bits(g, sum, g->i32), to);
	struct ir_loop l = loop_begin(g, ir_i64(g, 0), ir_i64(g, DR_CANDIDATES), ir_i64(g, 1));
	LLVMValueRef value = load_scalar(g, DTYPE_F32, ir_at(g, s->values, DTYPE_F32, l.index));
	LLVMValueRef index = ir_load(g, g->i32, ir_at(g, s->indices, DTYPE_I32, l.index), 4);
	store_pair(g, value, index, pair_at(g, to, ir_add(g, l.index, ir_i64(g, 1))));
	loop_end(g, &l);
}

/* ---- candidates ------------------------------------------------------------------------------ */
static struct sampler sampler_open(struct codegen *g, LLVMValueRef insert)
{
	LLVMTypeRef f32 = ir_vector(g, g->f32), i32 = ir_vector(g, g->i32);
	return (struct sampler){.insert = insert,
	                        .value = ir_local(g, f32, 1),
	                        .index = ir_local(g, i32, 1),
	                        .widest = ir_local(g, i32, 1),
	                        .spilled = ir_local(g, f32, 1),
	                        .values = sorted_room(g, g->f32),
	                        .indices = sorted_room(g, g->i32),
	                        .first = ir_i32(g, 0)};
}

static LLVMValueRef record_of(struct codegen *g, LLVMValueRef sampling, LLVMValueRef row)
{
	return ir_offset(g, sampling, ir_mul(g, row, ir_i64(g, sizeof(struct dr_sampling))));
}

/* A row with a logit that is not finite has no token: its pairs take precedence over those of other shards. */
static void refuse_row(struct codegen *g, const struct sampler *s, LLVMValueRef to)
{
	LLVMValueRef widest = ir_reduce(g, ir_load(g, ir_vector(g, g->i32), s->widest, 4), ir_max);
	struct ir_branch wrong = if_begin(g, ir_compare(g, LLVMIntSGE, widest, ir_i32(g, 0x7f800000)));
	store_pair(g, infinity(g, g->f32, false), ir_i32(g, DR_NO_TOKEN), to);
	struct ir_branch chosen = if_begin(g, s->chosen);
	store_pair(g, infinity(g, g->f32, false), ir_i32(g, DR_NO_TOKEN), pair_at(g, to, ir_i64(g, 1)));
	if_end(g, &chosen);
	if_end(g, &wrong);
}

static void row_candidates(struct codegen *g, struct sampler *s, LLVMValueRef v, LLVMValueRef to)
{
	ir_store(g, LLVMConstNull(ir_vector(g, g->i32)), s->widest, 4);
	struct ir_branch chosen = if_begin(g, s->chosen);
	sorted_pairs(g, s, v, to);
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
	LLVMValueRef insert = insert_function(g, name);
	kernel_begin(g, name);
	LLVMValueRef logits = arg_pointer(g, CANDIDATES_LOGITS), sampling = arg_pointer(g, CANDIDATES_SAMPLING),
				 pairs = arg_pointer(g, CANDIDATES_PAIRS), rows = arg_integer(g, CANDIDATES_R);
	LLVMValueRef each = ir_div(g, arg_integer(g, CANDIDATES_P), rows);
	struct sampler s = sampler_open(g, insert);
	LLVMValueRef first = arg_integer(g, CANDIDATES_FIRST), v = ir_i64(g, k->v);
	s.first = narrow(g, first);
	if (k->n * k->v > k->total)
		v = ir_min(g, v, ir_sub(g, ir_i64(g, k->total), first));
	struct ir_loop l = share_begin(g, rows);
	s.row = ir_at(g, logits, DTYPE_F32, ir_mul(g, l.index, ir_i64(g, k->v)));
	read_sampling(g, &s, record_of(g, sampling, l.index));
	row_candidates(g, &s, v, pair_at(g, pairs, ir_mul(g, l.index, each)));
	loop_end(g, &l);
	kernel_end(g);
}

/* ---- draw ------------------------------------------------------------------------------------ */
struct parts {
	LLVMValueRef pairs, total, row_first;
	int64_t n;
}; /* each shard's pairs, and the index of the row's first pair in them */

static LLVMValueRef row_pairs(struct codegen *g, const struct parts *p, LLVMValueRef part)
{
	return pair_at(g, p->pairs, ir_add(g, ir_mul(g, part, p->total), p->row_first));
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
	reset_sorted(g, s);
	struct ir_loop part = each_part(g, p);
	LLVMValueRef pairs = row_pairs(g, p, part.index);
	struct ir_loop l = loop_begin(g, ir_i64(g, 1), ir_i64(g, 1 + DR_CANDIDATES), ir_i64(g, 1));
	LLVMValueRef pair = pair_at(g, pairs, l.index);
	consider(g, s, pair_value(g, pair), pair_index(g, pair));
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
	LLVMValueRef term = ir_fmul(g, sum, weight(g, pair_value(g, pair), largest_kept(g, s), s->inverse));
	ir_store(g, ir_fadd(g, ir_load(g, g->f32, s->sum, 4), term), s->sum, 4);
	loop_end(g, &part);
	return ir_load(g, g->f32, s->sum, 4);
}

static void set_weights(struct codegen *g, const struct sampler *s)
{
	LLVMValueRef largest = ir_splat(g, largest_kept(g, s)), inverse = ir_splat(g, s->inverse);
	struct ir_loop l = each_block(g);
	LLVMValueRef x = load_vector(g, DTYPE_F32, ir_at(g, s->values, DTYPE_F32, l.index), NULL);
	store_vector(g, DTYPE_F32, weight(g, x, largest, inverse), ir_at(g, s->weights, DTYPE_F32, l.index), NULL);
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
				 none = infinity(g, g->f32, false);
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
	LLVMValueRef index, low = infinity(g, f32, true);
	reset_lanes(g, s, ir_i32(g, 0));
	struct ir_loop l = each_block(g);
	LLVMValueRef x = load_vector(g, DTYPE_F32, ir_at(g, s->values, DTYPE_F32, l.index), NULL);
	LLVMValueRef token = ir_load(g, ir_vector(g, g->i32), ir_at(g, s->indices, DTYPE_I32, l.index), 4);
	LLVMValueRef among = ir_and(g, tail_mask(g, ir_sub(g, kept, l.index)), ir_fcompare(g, LLVMRealOGT, x, low));
	LLVMValueRef drawn = ir_fadd(g, ir_fmul(g, x, ir_splat(g, s->inverse)), noise(g, uniform(g, s, token)));
	keep_lanes(g, s, ir_select(g, among, drawn, low), token);
	loop_end(g, &l);
	best_lane(g, s, &index);
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

void emit_draw(struct codegen *g, const char *name, const struct kernel_sample *k)
{
	LLVMValueRef insert = insert_function(g, name);
	kernel_begin(g, name);
	struct parts p = {.pairs = arg_pointer(g, DRAW_PAIRS), .total = arg_integer(g, DRAW_P), .n = k->n};
	LLVMValueRef sampling = arg_pointer(g, DRAW_SAMPLING), token = arg_pointer(g, DRAW_TOKEN),
				 rows = arg_integer(g, DRAW_R), each = ir_div(g, p.total, rows);
	struct sampler s = sampler_open(g, insert);
	s.weights = ir_local(g, g->f32, DR_CANDIDATES);
	s.sum = ir_local(g, g->f32, 1);
	s.kept = ir_local(g, g->i64, 1);
	struct ir_loop l = share_begin(g, rows);
	p.row_first = ir_mul(g, l.index, each);
	read_sampling(g, &s, record_of(g, sampling, l.index));
	row_token(g, &s, &p, ir_at(g, token, DTYPE_I32, l.index));
	loop_end(g, &l);
	kernel_end(g);
}
