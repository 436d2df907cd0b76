/* Arithmetic of f32 and f64, as the host rounds it; modes around it. Approximations are the C library's. */
#include <math.h>
#include "handlers.h"
#include "number.h"
#include "warp.h"

#define FLOATS(name, T, fma_of, root, magnitude) \
	BINARY(add_##name, T, T, a + b)              \
	BINARY(sub_##name, T, T, a - b)              \
	BINARY(mul_##name, T, T, a *b)               \
	TERNARY(fma_##name, T, T, fma_of(a, b, c))   \
	BINARY(div_##name, T, T, a / b)              \
	UNARY(rcp_##name, T, T, 1 / a)               \
	UNARY(sqrt_##name, T, T, root(a))            \
	UNARY(rsqrt_##name, T, T, 1 / root(a))
FLOATS(f32, float, fmaf, sqrtf, fabsf)
FLOATS(f64, double, fma, sqrt, fabs)

UNARY(ex2_f32, float, float, exp2f(a))
UNARY(lg2_f32, float, float, log2f(a))
UNARY(sin_f32, float, float, sinf(a))
UNARY(cos_f32, float, float, cosf(a))
UNARY(tanh_f32, float, float, tanhf(a))

/* ---- signs: of bits, as NaNs have one too ---- */
#define SIGN_32 UINT32_C(0x80000000)
#define SIGN_64 (UINT64_C(1) << 63)
UNARY(neg_f32, uint32_t, uint32_t, a ^ SIGN_32)
UNARY(neg_f64, uint64_t, uint64_t, a ^ SIGN_64)
UNARY(abs_f32, uint32_t, uint32_t, a & ~SIGN_32)
UNARY(abs_f64, uint64_t, uint64_t, a & ~SIGN_64)
/* The sign of a on the magnitude of b. */
BINARY(copysign_f32, uint32_t, uint32_t, (a & SIGN_32) | (b & ~SIGN_32))
BINARY(copysign_f64, uint64_t, uint64_t, (a & SIGN_64) | (b & ~SIGN_64))

/* ---- min, max: -0 is less than +0, and a number wins against a NaN ---- */
static float least(float a, float b)
{
	bool first = a < b || (a == b && bits_of(a) >> 31) || b != b;
	return a != a && b != b ? float_of(0x7fffffff) : first ? a : b;
}
static float greatest(float a, float b)
{
	bool first = a > b || (a == b && !(bits_of(a) >> 31)) || b != b;
	return a != a && b != b ? float_of(0x7fffffff) : first ? a : b;
}
static double least_f64(double a, double b) { return a < b || (a == b && signbit(a)) || b != b ? a : b; }
static double greatest_f64(double a, double b) { return a > b || (a == b && !signbit(a)) || b != b ? a : b; }
BINARY(min_f32, float, float, least(a, b))
BINARY(max_f32, float, float, greatest(a, b))
BINARY(min_f64, double, double, least_f64(a, b))
BINARY(max_f64, double, double, greatest_f64(a, b))
BINARY(min_nan_f32, float, float, a != a || b != b ? float_of(0x7fffffff) : least(a, b))
BINARY(max_nan_f32, float, float, a != a || b != b ? float_of(0x7fffffff) : greatest(a, b))

#define TEST(name, T, expression)                       \
	void x_##name(struct warp *w, const struct ins *in) \
	{                                                   \
		const T *a_ = OPERAND(T, 1);                    \
		uint32_t lanes = 0;                             \
		for (int l = 0; l < LANES; l++) {               \
			T a = a_[l];                                \
			lanes |= (uint32_t)(expression) << l;       \
		}                                               \
		warp_set_predicate(w, in->op[0], lanes);        \
	}
TEST(finite_f32, float, fabsf(a) < INFINITY)
TEST(finite_f64, double, fabs(a) < (double)INFINITY)
TEST(infinite_f32, float, fabsf(a) == INFINITY)
TEST(infinite_f64, double, fabs(a) == (double)INFINITY)
TEST(isnan_f32, float, a != a)
TEST(isnan_f64, double, a != a)
