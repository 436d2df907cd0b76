/* Storage formats in memory, f32 in registers: conversions, loads and stores, masks, loops over vectors. */
#include <math.h>
#include <string.h>
#include "emit.h"

/* An fp8 format: bits of the mantissa, bias of the exponent, the least magnitude that is infinity or NaN, and the
 * largest number. */
struct fp8 {
	int mantissa, bias, special;
	double largest;
};

static const struct fp8 *fp8_of(enum dtype t)
{
	static const struct fp8 e4m3 = {3, 7, 0x7f, 448}, e5m2 = {2, 15, 0x7c, 57344};
	return t == DTYPE_FP8E4M3 ? &e4m3 : &e5m2;
}

/* Rebiases the exponent by an addition. For a subnormal number this yields 1.m * 2^(e-1) instead of 0.m * 2^e, 2^e
 * being the least normal number; doubling it and subtracting 2^e corrects that. No f32 is subnormal on the way. */
static LLVMValueRef widen_fp8(struct codegen *g, const struct fp8 *t, LLVMValueRef stored)
{
	LLVMTypeRef i32 = ir_with_element(LLVMTypeOf(stored), g->i32), f32 = ir_with_element(i32, g->f32);
	LLVMValueRef bits = LLVMBuildZExt(g->builder, stored, i32, ""),
				 magnitude = ir_and(g, bits, ir_like_int(g, i32, 0x7f));
	LLVMValueRef sign =
		LLVMBuildShl(g->builder, ir_and(g, bits, ir_like_int(g, i32, 0x80)), ir_like_int(g, i32, 24), "");
	LLVMValueRef moved = LLVMBuildShl(g->builder, magnitude, ir_like_int(g, i32, 23 - t->mantissa), "");
	LLVMValueRef normal = ir_bits(g, ir_add(g, moved, ir_like_int(g, i32, (int64_t)(127 - t->bias) << 23)), f32);
	LLVMValueRef below = ir_fma(g, normal, ir_like(g, f32, 2), ir_like(g, f32, -ldexp(1, 1 - t->bias)));
	LLVMValueRef is_below = ir_compare(g, LLVMIntSLT, magnitude, ir_like_int(g, i32, 1 << t->mantissa));
	LLVMValueRef value = ir_bits(g, ir_select(g, is_below, below, normal), i32);
	LLVMValueRef special = LLVMBuildOr(g->builder, moved, ir_like_int(g, i32, 0x7f800000), "");
	value = ir_select(g, ir_compare(g, LLVMIntSGE, magnitude, ir_like_int(g, i32, t->special)), special, value);
	return ir_bits(g, LLVMBuildOr(g->builder, value, sign, ""), f32);
}

LLVMValueRef dtype_widen(struct codegen *g, enum dtype t, LLVMValueRef stored)
{
	LLVMTypeRef type = LLVMTypeOf(stored), f32 = ir_with_element(type, g->f32), i32 = ir_with_element(type, g->i32);
	switch (t) {
	case DTYPE_F64: return LLVMBuildFPTrunc(g->builder, stored, f32, "");
	case DTYPE_F16: return LLVMBuildFPExt(g->builder, stored, f32, "");
	case DTYPE_I32: return LLVMBuildSIToFP(g->builder, stored, f32, "");
	case DTYPE_BF16:
		stored = LLVMBuildZExt(g->builder, stored, i32, "");
		return ir_bits(g, LLVMBuildShl(g->builder, stored, ir_like_int(g, i32, 16), ""), f32);
	case DTYPE_F32:     return stored;
	case DTYPE_FP8E4M3:
	case DTYPE_FP8E5M2: return widen_fp8(g, fp8_of(t), stored);
	default:            internal_error("kernels do not read %s", dtype_name(t));
	}
}

/* Uses integers, so that every processor gives the same bits. Adds half of the last place, and one less for even
 * results. */
static LLVMValueRef narrow_to_bf16(struct codegen *g, LLVMValueRef x)
{
	LLVMTypeRef i32 = ir_with_element(LLVMTypeOf(x), g->i32), i16 = ir_with_element(i32, g->i16);
	LLVMValueRef bits = ir_bits(g, x, i32), sixteen = ir_like_int(g, i32, 16);
	LLVMValueRef odd = ir_and(g, LLVMBuildLShr(g->builder, bits, sixteen, ""), ir_like_int(g, i32, 1));
	LLVMValueRef sum = ir_add(g, ir_add(g, bits, ir_like_int(g, i32, 0x7fff)), odd);
	LLVMValueRef nan = ir_fcompare(g, LLVMRealUNO, x, x);
	sum = ir_select(g, nan, ir_like_int(g, i32, 0x7fc00000), sum);
	return LLVMBuildTrunc(g->builder, LLVMBuildLShr(g->builder, sum, sixteen, ""), i16, "");
}

/* Rounds to nearest, ties to even. Larger values become the largest number, and NaN stays NaN. Below the least normal
 * number, values are multiples of one step; adding the f32 whose last place is that step rounds to them. */
static LLVMValueRef narrow_to_fp8(struct codegen *g, const struct fp8 *t, LLVMValueRef x)
{
	LLVMTypeRef f32 = LLVMTypeOf(x), i32 = ir_with_element(f32, g->i32), i8 = ir_with_element(f32, g->i8);
	LLVMValueRef sign = ir_and(g, LLVMBuildLShr(g->builder, ir_bits(g, x, i32), ir_like_int(g, i32, 24), ""),
	                           ir_like_int(g, i32, 0x80));
	LLVMValueRef magnitude = ir_bits(g, ir_and(g, ir_bits(g, x, i32), ir_like_int(g, i32, 0x7fffffff)), f32);
	magnitude = ir_fmin(g, magnitude, ir_like(g, f32, t->largest));
	LLVMValueRef bits = ir_bits(g, magnitude, i32), drop = ir_like_int(g, i32, 23 - t->mantissa);
	LLVMValueRef odd = ir_and(g, LLVMBuildLShr(g->builder, bits, drop, ""), ir_like_int(g, i32, 1));
	LLVMValueRef half = ir_like_int(g, i32, (1 << (22 - t->mantissa)) - 1);
	LLVMValueRef normal = LLVMBuildLShr(g->builder, ir_add(g, ir_add(g, bits, half), odd), drop, "");
	normal = ir_sub(g, normal, ir_like_int(g, i32, (int64_t)(127 - t->bias) << t->mantissa));
	LLVMValueRef stepped = ir_fadd(g, magnitude, ir_like(g, f32, ldexp(1, 24 - t->bias - t->mantissa)));
	LLVMValueRef below = ir_and(g, ir_bits(g, stepped, i32), ir_like_int(g, i32, 0xff));
	LLVMValueRef is_below = ir_fcompare(g, LLVMRealOLT, magnitude, ir_like(g, f32, ldexp(1, 1 - t->bias)));
	LLVMValueRef out = ir_select(g, is_below, below, normal);
	out = ir_select(g, ir_fcompare(g, LLVMRealUNO, x, x), ir_like_int(g, i32, 0x7f), out);
	return LLVMBuildTrunc(g->builder, LLVMBuildOr(g->builder, out, sign, ""), i8, "");
}

LLVMValueRef dtype_narrow(struct codegen *g, enum dtype t, LLVMValueRef x)
{
	LLVMTypeRef type = LLVMTypeOf(x);
	switch (t) {
	case DTYPE_F64:     return LLVMBuildFPExt(g->builder, x, ir_with_element(type, g->f64), "");
	case DTYPE_F16:     return LLVMBuildFPTrunc(g->builder, x, ir_with_element(type, g->f16), "");
	case DTYPE_I32:     return LLVMBuildFPToSI(g->builder, x, ir_with_element(type, g->i32), "");
	case DTYPE_BF16:    return narrow_to_bf16(g, x);
	case DTYPE_F32:     return x;
	case DTYPE_FP8E4M3:
	case DTYPE_FP8E5M2: return narrow_to_fp8(g, fp8_of(t), x);
	default:            internal_error("kernels do not write %s", dtype_name(t));
	}
}

LLVMValueRef load_scalar(struct codegen *g, enum dtype t, LLVMValueRef p)
{
	return dtype_widen(g, t, ir_load(g, dtype_storage(g, t), p, dtype_bytes(t)));
}

void store_scalar(struct codegen *g, enum dtype t, LLVMValueRef v, LLVMValueRef p)
{
	ir_store(g, dtype_narrow(g, t, v), p, dtype_bytes(t));
}

/* A masked intrinsic is overloaded on two types; ir_intrinsic() takes only one. */
static LLVMValueRef masked_intrinsic(struct codegen *g, const char *name, LLVMTypeRef data, LLVMTypeRef address,
                                     const LLVMValueRef *args)
{
	LLVMTypeRef overloads[] = {data, address};
	unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
	return ir_call(g, LLVMGetIntrinsicDeclaration(g->module, id, overloads, 2), args, 4);
}

LLVMValueRef load_masked(struct codegen *g, LLVMTypeRef type, LLVMValueRef p, LLVMValueRef mask, int align)
{
	LLVMValueRef args[] = {p, ir_i32(g, align), mask, LLVMConstNull(type)};
	return masked_intrinsic(g, "llvm.masked.load", type, LLVMTypeOf(p), args);
}

void store_masked(struct codegen *g, LLVMValueRef v, LLVMValueRef p, LLVMValueRef mask, int align)
{
	LLVMValueRef args[] = {v, p, ir_i32(g, align), mask};
	masked_intrinsic(g, "llvm.masked.store", LLVMTypeOf(v), LLVMTypeOf(p), args);
}

int vector_align(const struct codegen *g, enum dtype t, int lanes)
{
	int bytes = lanes * dtype_bytes(t);
	return !g->vector_align ? dtype_bytes(t) : bytes < g->vector_align ? bytes : g->vector_align;
}

LLVMValueRef load_vector(struct codegen *g, enum dtype t, LLVMValueRef p, LLVMValueRef mask)
{
	LLVMTypeRef type = ir_vector(g, dtype_storage(g, t));
	int align = vector_align(g, t, g->lanes);
	return dtype_widen(g, t, mask ? load_masked(g, type, p, mask, align) : ir_load(g, type, p, align));
}

void store_vector(struct codegen *g, enum dtype t, LLVMValueRef v, LLVMValueRef p, LLVMValueRef mask)
{
	v = dtype_narrow(g, t, v);
	if (mask)
		store_masked(g, v, p, mask, vector_align(g, t, g->lanes));
	else
		ir_store(g, v, p, vector_align(g, t, g->lanes));
}

/* Addresses of p[0], p[stride], ... */
static LLVMValueRef strided_addresses(struct codegen *g, enum dtype t, LLVMValueRef p, int64_t stride)
{
	LLVMTypeRef wide = ir_vector(g, g->i64);
	LLVMValueRef index = ir_mul(g, ir_iota(g, g->i64), ir_like_int(g, wide, stride));
	return ir_at(g, p, t, index);
}

static LLVMValueRef all_lanes(struct codegen *g) { return LLVMConstAllOnes(ir_vector(g, g->i1)); }

LLVMValueRef load_strided(struct codegen *g, enum dtype t, LLVMValueRef p, int64_t stride, LLVMValueRef mask)
{
	LLVMTypeRef type = ir_vector(g, dtype_storage(g, t));
	LLVMValueRef at = strided_addresses(g, t, p, stride);
	LLVMValueRef args[] = {at, ir_i32(g, dtype_bytes(t)), mask ? mask : all_lanes(g), LLVMConstNull(type)};
	return dtype_widen(g, t, masked_intrinsic(g, "llvm.masked.gather", type, LLVMTypeOf(at), args));
}

void store_strided(struct codegen *g, enum dtype t, LLVMValueRef v, LLVMValueRef p, int64_t stride, LLVMValueRef mask)
{
	LLVMValueRef at = strided_addresses(g, t, p, stride);
	v = dtype_narrow(g, t, v);
	LLVMValueRef args[] = {v, at, ir_i32(g, dtype_bytes(t)), mask ? mask : all_lanes(g)};
	masked_intrinsic(g, "llvm.masked.scatter", LLVMTypeOf(v), LLVMTypeOf(at), args);
}

LLVMValueRef tail_mask(struct codegen *g, LLVMValueRef left)
{
	LLVMValueRef n = LLVMBuildTrunc(g->builder, left, g->i32, "");
	return ir_compare(g, LLVMIntSLT, ir_iota(g, g->i32), ir_splat(g, n));
}

void for_vectors(struct codegen *g, LLVMValueRef from, LLVMValueRef to, vector_body *body, void *context)
{
	LLVMValueRef lanes = ir_i64(g, g->lanes), left = ir_rem(g, ir_sub(g, to, from), lanes);
	LLVMValueRef whole = ir_sub(g, to, left), step = lanes;
	if (g->team) { /* its kernels have no rest */
		from = ir_add(g, from, ir_mul(g, g->emitter->member(g), lanes));
		step = ir_i64(g, (int64_t)g->lanes * g->team);
	}
	struct ir_loop l = loop_begin(g, from, whole, step);
	body(g, context, l.index, NULL);
	loop_end(g, &l);
	if (g->team)
		return;
	struct ir_branch rest = if_begin(g, ir_compare(g, LLVMIntNE, left, ir_i64(g, 0)));
	body(g, context, whole, tail_mask(g, left));
	if_end(g, &rest);
}
