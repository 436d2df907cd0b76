/* Sampling: what is asked of a row, random numbers, changes of single logits, the best of all lanes, and the largest
 * logits in order. */
#include "sample.h"

LLVMValueRef sample_infinity(struct codegen *g, LLVMTypeRef f32, bool negative)
{
	return ir_bits(g, ir_like_int(g, ir_with_element(f32, g->i32), negative ? 0xff800000 : 0x7f800000), f32);
}

LLVMValueRef sample_narrow(struct codegen *g, LLVMValueRef index)
{
	return LLVMBuildTrunc(g->builder, index, g->i32, "");
}

/* ---- what is asked of a row ------------------------------------------------------------------ */
LLVMValueRef sample_field(struct codegen *g, LLVMValueRef record, LLVMTypeRef type, size_t offset)
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
	LLVMValueRef low = sample_field(g, record, g->i32, offsetof(struct dr_sampling, seed));
	LLVMValueRef high = sample_field(g, record, g->i32, offsetof(struct dr_sampling, seed_high));
	LLVMValueRef count = sample_field(g, record, g->i32, offsetof(struct dr_sampling, count)),
				 step = ir_i64(g, (int64_t)0x9e3779b97f4a7c15);
	LLVMValueRef x = LLVMBuildShl(g->builder, ir_wide(g, high), ir_i64(g, 32), "");
	x = LLVMBuildOr(g->builder, x, LLVMBuildZExt(g->builder, low, g->i64, ""), "");
	x = mix(g, ir_add(g, x, step), shift, factor);
	x = mix(g, ir_add(g, x, ir_mul(g, ir_wide(g, count), step)), shift, factor);
	s->key[0] = sample_narrow(g, x);
	s->key[1] = sample_narrow(g, LLVMBuildLShr(g->builder, x, ir_i64(g, 32), ""));
}

void sample_read(struct codegen *g, struct sampler *s, LLVMValueRef record)
{
	const double coldest = 1e-6; /* below it, logits / temperature could overflow; it is greedy in effect */
	LLVMValueRef temperature = sample_field(g, record, g->f32, offsetof(struct dr_sampling, temperature));
	s->top_p = sample_field(g, record, g->f32, offsetof(struct dr_sampling, top_p));
	s->top_k = sample_field(g, record, g->i32, offsetof(struct dr_sampling, top_k));
	s->min_p = sample_field(g, record, g->f32, offsetof(struct dr_sampling, min_p));
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
LLVMValueRef sample_uniform(struct codegen *g, const struct sampler *s, LLVMValueRef token)
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
LLVMValueRef sample_noise(struct codegen *g, LLVMValueRef u)
{
	LLVMTypeRef f32 = LLVMTypeOf(u);
	LLVMValueRef near = ir_fmul(g, u, ir_fma(g, u, ir_like(g, f32, 0.5), ir_like(g, f32, 1)));
	LLVMValueRef far = LLVMBuildFNeg(g->builder, math_log(g, ir_fsub(g, ir_like(g, f32, 1), u)), "");
	LLVMValueRef e = ir_select(g, ir_fcompare(g, LLVMRealOLT, u, ir_like(g, f32, 0x1p-10)), near, far);
	return LLVMBuildFNeg(g->builder, math_log(g, e), "");
}

/* It uses that -log(1 - u) >= u, and that the bits of an f32, read as a number, are a base-2 logarithm, exact at powers
 * of two and too low between them. */
LLVMValueRef sample_noise_bound(struct codegen *g, LLVMValueRef u)
{
	const double log_2 = 0.69314718055994531, slack = 1e-3;
	LLVMTypeRef f32 = LLVMTypeOf(u);
	LLVMValueRef bits = LLVMBuildSIToFP(g->builder, ir_bits(g, u, ir_with_element(f32, g->i32)), f32, "");
	return ir_fma(g, bits, ir_like(g, f32, -log_2 * 0x1p-23), ir_like(g, f32, 127 * log_2 + slack));
}

/* ---- changes of single logits ---------------------------------------------------------------- */
static LLVMValueRef adjusted(struct codegen *g, LLVMValueRef entry, LLVMValueRef x)
{
	x = ir_fadd(g, x, sample_field(g, entry, g->f32, offsetof(struct dr_adjust, bias)));
	LLVMValueRef factor = sample_field(g, entry, g->f32, offsetof(struct dr_adjust, factor)),
				 positive = ir_fcompare(g, LLVMRealOGT, x, ir_f32(g, 0));
	x = ir_select(g, positive, ir_fdiv(g, x, factor), ir_fmul(g, x, factor));
	return ir_fsub(g, x, sample_field(g, entry, g->f32, offsetof(struct dr_adjust, penalty)));
}

void sample_adjust(struct codegen *g, const struct sample_adjusting *a, const struct sampler *s, LLVMValueRef v,
                   bool back)
{
	struct ir_loop l = loop_begin(g, a->begin, a->end, a->step);
	LLVMValueRef entry = ir_offset(g, a->entries, ir_mul(g, l.index, ir_i64(g, sizeof(struct dr_adjust))));
	LLVMValueRef token = sample_field(g, entry, g->i32, offsetof(struct dr_adjust, token)),
				 at = ir_wide(g, LLVMBuildSub(g->builder, token, s->first, ""));
	struct ir_branch here = if_begin(g, ir_compare(g, LLVMIntULT, at, v));
	LLVMValueRef logit = ir_at(g, s->row, DTYPE_F32, at), saved = ir_at(g, a->saved, DTYPE_F32, l.index);
	LLVMValueRef x = ir_load(g, g->f32, back ? saved : logit, 4);
	if (!back)
		ir_store(g, x, saved, 4);
	ir_store(g, back ? x : adjusted(g, entry, x), logit, 4);
	if_end(g, &here);
	loop_end(g, &l);
}

void sample_read_adjusting(struct codegen *g, struct sample_adjusting *a, LLVMValueRef record)
{
	LLVMValueRef first = ir_wide(g, sample_field(g, record, g->i32, offsetof(struct dr_sampling, adjust)));
	a->end = ir_add(g, first, ir_wide(g, sample_field(g, record, g->i32, offsetof(struct dr_sampling, adjusts))));
	a->begin = a->from ? ir_add(g, first, a->from) : first;
}

/* ---- the best of all lanes ------------------------------------------------------------------- */
void sample_reset_lanes(struct codegen *g, const struct sampler *s, LLVMValueRef index)
{
	ir_store(g, sample_infinity(g, ir_vector(g, g->f32), true), s->value, 4);
	ir_store(g, ir_splat(g, index), s->index, 4);
}

void sample_keep_lanes(struct codegen *g, const struct sampler *s, LLVMValueRef x, LLVMValueRef token)
{
	LLVMValueRef value = ir_load(g, ir_vector(g, g->f32), s->value, 4),
				 index = ir_load(g, ir_vector(g, g->i32), s->index, 4);
	LLVMValueRef above = ir_fcompare(g, LLVMRealOGT, x, value);
	ir_store(g, ir_select(g, above, x, value), s->value, 4);
	ir_store(g, ir_select(g, above, token, index), s->index, 4);
}

/* The maximum of all lanes, and its lowest index. */
LLVMValueRef sample_best_lane(struct codegen *g, const struct sampler *s, LLVMValueRef *index)
{
	LLVMTypeRef i32 = ir_vector(g, g->i32);
	LLVMValueRef value = ir_load(g, ir_vector(g, g->f32), s->value, 4), where = ir_load(g, i32, s->index, 4);
	LLVMValueRef most = ir_reduce(g, value, ir_fmax);
	LLVMValueRef has = ir_fcompare(g, LLVMRealOEQ, value, ir_splat(g, most));
	*index = ir_reduce(g, ir_select(g, has, where, ir_like_int(g, i32, INT32_MAX)), ir_min);
	return most;
}

void sample_store_pair(struct codegen *g, LLVMValueRef value, LLVMValueRef index, LLVMValueRef to)
{
	ir_store(g, value, to, 4);
	ir_store(g, index, ir_offset(g, to, ir_i64(g, PAIR_INDEX)), 4);
}

LLVMValueRef sample_pair_at(struct codegen *g, LLVMValueRef pairs, LLVMValueRef i)
{
	return ir_offset(g, pairs, ir_mul(g, i, ir_i64(g, PAIR_BYTES)));
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

LLVMValueRef sample_insert_function(struct codegen *g, const char *kernel)
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

struct ir_loop sample_each_block(struct codegen *g)
{
	return loop_begin(g, ir_i64(g, 0), ir_i64(g, DR_CANDIDATES), ir_i64(g, g->lanes));
}

void sample_reset_sorted(struct codegen *g, const struct sampler *s)
{
	ir_store(g, sample_infinity(g, g->f32, false), ir_at(g, s->values, DTYPE_F32, ir_i64(g, -1)), 4);
	ir_store(g, ir_i32(g, 0), ir_at(g, s->indices, DTYPE_I32, ir_i64(g, -1)), 4);
	struct ir_loop l = sample_each_block(g);
	store_vector(g, DTYPE_F32, sample_infinity(g, ir_vector(g, g->f32), true), ir_at(g, s->values, DTYPE_F32, l.index),
	             NULL);
	ir_store(g, LLVMConstNull(ir_vector(g, g->i32)), ir_at(g, s->indices, DTYPE_I32, l.index), 4);
	loop_end(g, &l);
}

LLVMValueRef sample_least_kept(struct codegen *g, const struct sampler *s)
{
	return load_scalar(g, DTYPE_F32, ir_at(g, s->values, DTYPE_F32, ir_i64(g, DR_CANDIDATES - 1)));
}

/* Elements come by rising index, so an element is inserted after its equals. */
void sample_consider(struct codegen *g, const struct sampler *s, LLVMValueRef x, LLVMValueRef index)
{
	struct ir_branch above = if_begin(g, ir_fcompare(g, LLVMRealOGT, x, sample_least_kept(g, s)));
	ir_call(g, s->insert, (LLVMValueRef[]){s->values, s->indices, x, index}, INSERT_PARAMS);
	if_end(g, &above);
}

LLVMValueRef sample_largest(struct codegen *g, const struct sampler *s) { return load_scalar(g, DTYPE_F32, s->values); }

/* Weight of a logit relative to the largest one; 0 for -infinity and NaN. */
LLVMValueRef sample_weight(struct codegen *g, LLVMValueRef x, LLVMValueRef largest, LLVMValueRef inverse)
{
	LLVMValueRef e = math_exp(g, ir_fmul(g, ir_fsub(g, x, largest), inverse));
	LLVMValueRef real = ir_fcompare(g, LLVMRealOGT, x, sample_infinity(g, LLVMTypeOf(x), true));
	return ir_select(g, real, e, ir_like(g, LLVMTypeOf(x), 0));
}

struct sampler sample_open(struct codegen *g, LLVMValueRef insert)
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

LLVMValueRef sample_record(struct codegen *g, LLVMValueRef sampling, LLVMValueRef row)
{
	return ir_offset(g, sampling, ir_mul(g, row, ir_i64(g, sizeof(struct dr_sampling))));
}
