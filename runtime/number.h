/* Conversions between f32, bf16, f16 and fp8, bit by bit, without processor features. */
#ifndef DEPLOY_NUMBER_H
#define DEPLOY_NUMBER_H
#include <stdint.h>
#include <string.h>
#include "abi.h"

/* number.c: runs of n; stored numbers may have any alignment. */
void numbers_widen(uint32_t dtype, const void *from, int n, float *to);
void numbers_narrow(uint32_t dtype, const float *from, int n, void *to);
/* Uniform in center +- scale: number i is a function of the seed and at + i * stride, modulo 2^32. */
void numbers_random(uint64_t seed, uint32_t at, uint32_t stride, int n, float center, float scale, float *to);

static inline size_t dtype_size(uint32_t t)
{
	return t == DR_F32 || t == DR_I32 ? 4 : t == DR_FP8E4M3 || t == DR_FP8E5M2 ? 1 : 2;
}

static inline float f32_of_bits(uint32_t b)
{
	float f;
	memcpy(&f, &b, sizeof f);
	return f;
}

static inline uint32_t bits_of_f32(float f)
{
	uint32_t b;
	memcpy(&b, &f, sizeof b);
	return b;
}

static inline float f32_of_bf16(uint16_t h) { return f32_of_bits((uint32_t)h << 16); }

/* To nearest, ties to even; a NaN stays one. */
static inline uint16_t bf16_of_f32(float f)
{
	uint32_t b = bits_of_f32(f);
	if ((b & 0x7fffffffu) > 0x7f800000u)
		return (uint16_t)(b >> 16 | 0x40);
	return (uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16);
}

/* A multiplication changes the exponent's bias, also for subnormals; infinity and NaN are separate. Both results are
 * computed and one is chosen, so that loops are vectorized. */
static inline float f32_of_f16(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = (uint32_t)(h & 0x7fff) << 13;
	uint32_t finite = bits_of_f32(f32_of_bits(rest) * 0x1p112f), special = rest | 0x7f800000u;
	return f32_of_bits(sign | ((h & 0x7c00) == 0x7c00 ? special : finite));
}

/* To nearest, ties to even; beyond 65504 + half a step: infinity. */
static inline uint16_t f16_of_f32(float f)
{
	uint32_t b = bits_of_f32(f), sign = b >> 16 & 0x8000;
	b &= 0x7fffffffu;
	if (b > 0x7f800000u)
		return (uint16_t)(sign | 0x7e00);
	if (b >= 0x477ff000u)
		return (uint16_t)(sign | 0x7c00);
	if (b < 0x38800000u) /* subnormal: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits */
		return (uint16_t)(sign | (bits_of_f32(f32_of_bits(b) + 0.5f) - 0x3f000000u));
	return (uint16_t)(sign | ((b - 0x38000000u + 0xfff + (b >> 13 & 1)) >> 13));
}

/* fp8, OCP 8-bit floating point: e4m3 (bias 7; no infinity, NaN only with all bits set) and e5m2 (bias 15, as in IEEE
 * 754). */
struct fp8 {
	int mantissa, bias;
	uint32_t special;
	float largest;
}; /* special: smallest magnitude that is not a finite number */
#define FP8_E4M3 ((struct fp8){3, 7, 0x7f, 448})
#define FP8_E5M2 ((struct fp8){2, 15, 0x7c, 57344})

static inline float f32_of_fp8(struct fp8 t, uint8_t h)
{
	uint32_t sign = (uint32_t)(h & 0x80) << 24, magnitude = h & 0x7f, moved = magnitude << (23 - t.mantissa);
	float scale = f32_of_bits((uint32_t)(254 - t.bias) << 23);
	uint32_t finite = bits_of_f32(f32_of_bits(moved) * scale);
	return f32_of_bits(sign | (magnitude >= t.special ? moved | 0x7f800000u : finite));
}

/* To nearest, ties to even; beyond the largest number: that number. */
static inline uint8_t fp8_of_f32(struct fp8 t, float f)
{
	uint32_t b = bits_of_f32(f), sign = b >> 24 & 0x80;
	b &= 0x7fffffffu;
	if (b > 0x7f800000u)
		return (uint8_t)(sign | 0x7f);
	float magnitude = f32_of_bits(b) < t.largest ? f32_of_bits(b) : t.largest;
	uint32_t step = (uint32_t)(151 - t.bias - t.mantissa)
	                << 23; /* the f32 with a subnormal's step as its unit in the last place */
	if (magnitude < f32_of_bits((uint32_t)(128 - t.bias) << 23))
		return (uint8_t)(sign | (bits_of_f32(magnitude + f32_of_bits(step)) - step));
	b = bits_of_f32(magnitude);
	uint32_t half = (1u << (22 - t.mantissa)) - 1, odd = b >> (23 - t.mantissa) & 1;
	return (uint8_t)(sign | (((b + half + odd) >> (23 - t.mantissa)) - ((uint32_t)(127 - t.bias) << t.mantissa)));
}
#endif
