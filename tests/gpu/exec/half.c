/* Arithmetic of f16 and bf16, alone and in pairs. Results are exact before they are rounded once: products of 11 bits
 * fit into f32, sums of products into add_odd. */
#include "handlers.h"
#include "number.h"
#include "warp.h"

/* a * b + c, rounded once. The product is exact in f64. */
static uint16_t fma_f16(uint16_t a, uint16_t b, uint16_t c)
{
	return f16_of_f64(add_odd((double)f32_of_f16(a) * f32_of_f16(b), f32_of_f16(c)), ROUND_NEAREST);
}
static uint16_t fma_bf16(uint16_t a, uint16_t b, uint16_t c)
{
	return bf16_of_f64(add_odd((double)f32_of_bf16(a) * f32_of_bf16(b), f32_of_bf16(c)), ROUND_NEAREST);
}

/* Sums of bf16 may need more bits than f32 has; those of f16 do not. */
static uint16_t sum_f16(float a, float b) { return f16_of_f32(a + b); }
static uint16_t sum_bf16(float a, float b) { return bf16_of_f64(add_odd(a, b), ROUND_NEAREST); }

static uint16_t least(uint16_t a, uint16_t b, float x, float y, bool nan)
{
	if (x != x || y != y)
		return nan || (x != x && y != y) ? NAN_16 : x != x ? b : a;
	return x < y || (x == y && a & 0x8000) ? a : b;
}
static uint16_t greatest(uint16_t a, uint16_t b, float x, float y, bool nan)
{
	if (x != x || y != y)
		return nan || (x != x && y != y) ? NAN_16 : x != x ? b : a;
	return x > y || (x == y && !(a & 0x8000)) ? a : b;
}

/* A handler for one number, and one for two in 32 bits. */
#define ONE_AND_TWO_1(name, type, expression)                                              \
	static inline uint16_t name##_##type##_(uint16_t a) { return (uint16_t)(expression); } \
	UNARY(name##_##type, uint16_t, uint16_t, name##_##type##_(a))                          \
	UNARY(name##_##type##x2, uint32_t, uint32_t,                                           \
	      name##_##type##_((uint16_t)a) | (uint32_t)name##_##type##_((uint16_t)(a >> 16)) << 16)
#define ONE_AND_TWO_2(name, type, expression)                                  \
	static inline uint16_t name##_##type##_(uint16_t a, uint16_t b, bool nan)  \
	{                                                                          \
		(void)nan;                                                             \
		return (uint16_t)(expression);                                         \
	}                                                                          \
	BINARY(name##_##type, uint16_t, uint16_t, name##_##type##_(a, b, in->nan)) \
	BINARY(name##_##type##x2, uint32_t, uint32_t,                              \
	       name##_##type##_((uint16_t)a, (uint16_t)b, in->nan)                 \
	           | (uint32_t)name##_##type##_((uint16_t)(a >> 16), (uint16_t)(b >> 16), in->nan) << 16)
#define ONE_AND_TWO_3(type)                                      \
	TERNARY(fma_##type, uint16_t, uint16_t, fma_##type(a, b, c)) \
	TERNARY(fma_##type##x2, uint32_t, uint32_t,                  \
	        fma_##type((uint16_t)a, (uint16_t)b, (uint16_t)c)    \
	            | (uint32_t)fma_##type((uint16_t)(a >> 16), (uint16_t)(b >> 16), (uint16_t)(c >> 16)) << 16)

#define HALF(type)                                                                                      \
	ONE_AND_TWO_2(add, type, sum_##type(f32_of_##type(a), f32_of_##type(b)))                            \
	ONE_AND_TWO_2(sub, type, sum_##type(f32_of_##type(a), -f32_of_##type(b)))                           \
	ONE_AND_TWO_2(mul, type, type##_of_f64((double)f32_of_##type(a) * f32_of_##type(b), ROUND_NEAREST)) \
	ONE_AND_TWO_2(min, type, least(a, b, f32_of_##type(a), f32_of_##type(b), nan))                      \
	ONE_AND_TWO_2(max, type, greatest(a, b, f32_of_##type(a), f32_of_##type(b), nan))                   \
	ONE_AND_TWO_1(ex2, type, type##_of_f32(exp2f(f32_of_##type(a))))                                    \
	ONE_AND_TWO_1(tanh, type, type##_of_f32(tanhf(f32_of_##type(a))))                                   \
	ONE_AND_TWO_3(type)
HALF(f16)
HALF(bf16)
ONE_AND_TWO_1(neg, h16, a ^ 0x8000)
ONE_AND_TWO_1(abs, h16, a & 0x7fff)
