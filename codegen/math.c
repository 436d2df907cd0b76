/* Elementary functions of f32 as polynomials, for scalars and vectors alike. */
#include "emit.h"

/* c[0] + c[1] x + ..., by Horner's rule. */
static LLVMValueRef polynomial(struct codegen *g, LLVMValueRef x, const double *c, int n)
{
	LLVMValueRef sum = ir_like(g, LLVMTypeOf(x), c[n - 1]);
	for (int i = n - 2; i >= 0; i--)
		sum = ir_fma(g, sum, x, ir_like(g, LLVMTypeOf(x), c[i]));
	return sum;
}

/* 2^n for integers -126 .. 127. */
static LLVMValueRef power_of_two(struct codegen *g, LLVMValueRef n)
{
	LLVMTypeRef i32 = LLVMTypeOf(n);
	LLVMValueRef biased = ir_add(g, n, ir_like_int(g, i32, 127));
	return ir_bits(g, LLVMBuildShl(g->builder, biased, ir_like_int(g, i32, 23), ""), ir_with_element(i32, g->f32));
}

/* exp x = 2^n exp r with |r| <= ln 2 / 2. Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits. 2^n
 * comes as two factors, since n goes from -150 (smallest subnormal) to 128 (infinity). */
LLVMValueRef math_exp(struct codegen *g, LLVMValueRef x)
{
	static const double near_one[] = {
		1, 1, 5.0000001201e-1, 1.6666665459e-1, 4.1665795894e-2, 8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4};
	const double magic = 12582912;
	LLVMTypeRef f32 = LLVMTypeOf(x), i32 = ir_with_element(f32, g->i32);
	x = ir_fmin(g, ir_like(g, f32, 89), x);
	x = ir_fmax(g, ir_like(g, f32, -104), x);
	LLVMValueRef shifted = ir_fma(g, x, ir_like(g, f32, 1.4426950408889634), ir_like(g, f32, magic));
	LLVMValueRef whole = ir_fsub(g, shifted, ir_like(g, f32, magic));
	LLVMValueRef n = ir_sub(g, ir_bits(g, shifted, i32), ir_bits(g, ir_like(g, f32, magic), i32));
	LLVMValueRef r = ir_fma(g, whole, ir_like(g, f32, -0.693359375), x);
	r = ir_fma(g, whole, ir_like(g, f32, 2.12194440e-4), r);
	LLVMValueRef half = LLVMBuildAShr(g->builder, n, ir_like_int(g, i32, 1), "");
	LLVMValueRef scaled = ir_fmul(g, polynomial(g, r, near_one, 8), power_of_two(g, half));
	return ir_fmul(g, scaled, power_of_two(g, ir_sub(g, n, half)));
}

/* log of a normal x > 0: x = 2^e m with m in [sqrt 1/2, sqrt 2). */
static LLVMValueRef log_normal(struct codegen *g, LLVMValueRef x, LLVMValueRef exponent_bias)
{
	static const double c[] = {3.3333331174e-1,  -2.4999993993e-1, 2.0000714765e-1,  -1.6668057665e-1, 1.4249322787e-1,
	                           -1.2420140846e-1, 1.1676998740e-1,  -1.1514610310e-1, 7.0376836292e-2};
	LLVMTypeRef f32 = LLVMTypeOf(x), i32 = ir_with_element(f32, g->i32);
	LLVMValueRef bits = ir_sub(g, ir_bits(g, x, i32), ir_like_int(g, i32, 0x3f3504f3));
	LLVMValueRef e = LLVMBuildAShr(g->builder, bits, ir_like_int(g, i32, 23), "");
	LLVMValueRef mantissa = ir_add(g, ir_and(g, bits, ir_like_int(g, i32, 0x7fffff)), ir_like_int(g, i32, 0x3f3504f3));
	LLVMValueRef m = ir_fsub(g, ir_bits(g, mantissa, f32), ir_like(g, f32, 1));
	e = ir_fadd(g, LLVMBuildSIToFP(g->builder, e, f32, ""), exponent_bias);
	LLVMValueRef square = ir_fmul(g, m, m);
	LLVMValueRef tail = ir_fmul(g, ir_fmul(g, m, square), polynomial(g, m, c, 9));
	tail = ir_fma(g, e, ir_like(g, f32, -2.12194440e-4), tail);
	tail = ir_fma(g, square, ir_like(g, f32, -0.5), tail);
	return ir_fma(g, e, ir_like(g, f32, 0.693359375), ir_fadd(g, m, tail));
}

LLVMValueRef math_log(struct codegen *g, LLVMValueRef x)
{
	LLVMTypeRef f32 = LLVMTypeOf(x), i32 = ir_with_element(f32, g->i32);
	LLVMValueRef zero = ir_like(g, f32, 0);
	LLVMValueRef infinity = ir_bits(g, ir_like_int(g, i32, 0x7f800000), f32),
				 nan = ir_bits(g, ir_like_int(g, i32, 0x7fc00000), f32);
	LLVMValueRef tiny = ir_fcompare(g, LLVMRealOLT, x, ir_like(g, f32, 1.17549435e-38));
	LLVMValueRef normal = ir_select(g, tiny, ir_fmul(g, x, ir_like(g, f32, 8388608)), x);
	LLVMValueRef y = log_normal(g, normal, ir_select(g, tiny, ir_like(g, f32, -23), zero));
	y = ir_select(g, ir_fcompare(g, LLVMRealOEQ, x, infinity), infinity, y);
	y = ir_select(g, ir_fcompare(g, LLVMRealOEQ, x, zero), LLVMBuildFNeg(g->builder, infinity, ""), y);
	return ir_select(g, ir_fcompare(g, LLVMRealUGE, x, zero), ir_select(g, ir_fcompare(g, LLVMRealUNO, x, x), x, y),
	                 nan);
}

static LLVMValueRef magnitude(struct codegen *g, LLVMValueRef x)
{
	return ir_intrinsic(g, "llvm.fabs", LLVMTypeOf(x), &x, 1);
}

/* An odd polynomial near zero, where 1 - 2 / (exp 2|x| + 1) would cancel. */
LLVMValueRef math_tanh(struct codegen *g, LLVMValueRef x)
{
	static const double c[] = {-3.33332819422e-1, 1.33314422036e-1, -5.37397155531e-2, 2.06390887954e-2,
	                           -5.70498872745e-3};
	LLVMTypeRef f32 = LLVMTypeOf(x);
	LLVMValueRef square = ir_fmul(g, x, x), a = magnitude(g, x), one = ir_like(g, f32, 1);
	LLVMValueRef near = ir_fma(g, ir_fmul(g, x, square), polynomial(g, square, c, 5), x);
	LLVMValueRef e = math_exp(g, ir_fadd(g, a, a));
	LLVMValueRef far = ir_fsub(g, one, ir_fdiv(g, ir_like(g, f32, 2), ir_fadd(g, e, one)));
	far = ir_intrinsic(g, "llvm.copysign", f32, (LLVMValueRef[]){far, x}, 2);
	return ir_select(g, ir_fcompare(g, LLVMRealOLT, a, ir_like(g, f32, 0.625)), near, far);
}

/* A quotient of polynomials; beyond 4 the result is 1 to the last place. */
LLVMValueRef math_erf(struct codegen *g, LLVMValueRef x)
{
	static const double over[] = {-1.60960333262415e-02, -2.95459980854025e-03, -7.34990630326855e-04,
	                              -5.69250639462346e-05, -2.10102402082508e-06, 2.77068142495902e-08,
	                              -2.72614225801306e-10};
	static const double under[] = {-1.42647390514189e-02, -7.37332916720468e-03, -1.68282697438203e-03,
	                               -2.13374055278905e-04, -1.45660718464996e-05};
	LLVMTypeRef f32 = LLVMTypeOf(x);
	x = ir_fmin(g, ir_like(g, f32, 4), x);
	x = ir_fmax(g, ir_like(g, f32, -4), x);
	LLVMValueRef square = ir_fmul(g, x, x);
	return ir_fdiv(g, ir_fmul(g, x, polynomial(g, square, over, 7)), polynomial(g, square, under, 5));
}

/* The quadrant is reduced in f64, where pi / 2 in two parts leaves an error below 1e-15 for angles up to 1e9. */
void math_sincos(struct codegen *g, LLVMValueRef angle, LLVMValueRef *sine, LLVMValueRef *cosine)
{
	static const double odd[] = {-1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4};
	static const double even[] = {4.166664568298827e-2, -1.388731625493765e-3, 2.443315711809948e-5};
	const double magic = 6755399441055744.0; /* 1.5 * 2^52 */
	LLVMTypeRef f64 = LLVMTypeOf(angle), f32 = ir_with_element(f64, g->f32), i64 = ir_with_element(f64, g->i64);
	LLVMValueRef shifted = ir_fma(g, angle, ir_like(g, f64, 0.63661977236758134308), ir_like(g, f64, magic));
	LLVMValueRef whole = ir_fsub(g, shifted, ir_like(g, f64, magic));
	LLVMValueRef r = ir_fma(g, whole, ir_like(g, f64, -1.57079632679489655800), angle);
	r = ir_fma(g, whole, ir_like(g, f64, -6.12323399573676603587e-17), r);
	LLVMValueRef x = LLVMBuildFPTrunc(g->builder, r, f32, ""), square = ir_fmul(g, x, x);
	LLVMValueRef s = ir_fma(g, ir_fmul(g, x, square), polynomial(g, square, odd, 3), x);
	LLVMValueRef c = ir_fmul(g, ir_fmul(g, square, square), polynomial(g, square, even, 3));
	c = ir_fadd(g, ir_fma(g, square, ir_like(g, f32, -0.5), c), ir_like(g, f32, 1));

	LLVMTypeRef i32 = ir_with_element(f64, g->i32);
	LLVMValueRef quadrant = LLVMBuildTrunc(g->builder, ir_bits(g, shifted, i64), i32, "");
	LLVMValueRef one = ir_like_int(g, i32, 1), two = ir_like_int(g, i32, 2), zero = ir_like_int(g, i32, 0);
	LLVMValueRef swap = ir_compare(g, LLVMIntNE, ir_and(g, quadrant, one), zero);
	LLVMValueRef negate_sine = ir_compare(g, LLVMIntNE, ir_and(g, quadrant, two), zero);
	LLVMValueRef negate_cosine = ir_compare(g, LLVMIntNE, ir_and(g, ir_add(g, quadrant, one), two), zero);
	LLVMValueRef a = ir_select(g, swap, c, s), b = ir_select(g, swap, s, c);
	*sine = ir_select(g, negate_sine, LLVMBuildFNeg(g->builder, a, ""), a);
	*cosine = ir_select(g, negate_cosine, LLVMBuildFNeg(g->builder, b, ""), b);
}
