/* 16-bit floats: conversions with every rounding, in forms that compilers vectorise. */
#ifndef GPU_NUMBER_H
#define GPU_NUMBER_H
#include <math.h>
#include <stdint.h>
#include <string.h>
#include "code.h"

static inline uint32_t bits_of(float v)
{
	uint32_t bits;
	memcpy(&bits, &v, sizeof bits);
	return bits;
}
static inline float float_of(uint32_t bits)
{
	float v;
	memcpy(&v, &bits, sizeof v);
	return v;
}
static inline uint64_t bits_of_f64(double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof bits);
	return bits;
}
static inline double double_of(uint64_t bits)
{
	double v;
	memcpy(&v, &bits, sizeof v);
	return v;
}

static inline float f32_of_bf16(uint16_t h) { return float_of((uint32_t)h << 16); }

/* Exponents are moved by a multiplication, which is exact and makes subnormals normal. */
static inline float f32_of_f16(uint16_t h)
{
	uint32_t magnitude = h & 0x7fffu, sign = (uint32_t)(h & 0x8000u) << 16;
	float v = float_of(magnitude << 13) * 0x1p112f;
	return float_of((magnitude >= 0x7c00u ? bits_of(v) | 0x7f800000u : bits_of(v)) | sign);
}

enum { NAN_16 = 0x7fff };

/* The nearest, ties to even. */
static inline uint16_t bf16_of_f32(float v)
{
	uint32_t bits = bits_of(v);
	return v != v ? NAN_16 : (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static inline uint16_t f16_of_f32(float v)
{
	uint32_t bits = bits_of(v), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
	/* Subnormal results: adding 0.5 leaves units of 2^-24 in the low bits, rounded. */
	uint32_t small = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
	uint32_t normal = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1)) >> 13;
	uint32_t r = magnitude < (113u << 23) ? small : magnitude >= 0x47800000u ? 0x7c00u : normal;
	return v != v ? NAN_16 : (uint16_t)(sign | r);
}

/* A double to a format with `fraction` bits and the exponent's bias, rounded as asked. */
uint16_t narrow(double v, int fraction, int bias, enum rounding round);
static inline uint16_t f16_of_f64(double v, enum rounding round) { return narrow(v, 10, 15, round); }
static inline uint16_t bf16_of_f64(double v, enum rounding round) { return narrow(v, 7, 127, round); }

/* Floats of 8 bits, rounded to the nearest; what is too large becomes the largest. */
uint8_t e4m3_of_f32(float v);
uint8_t e5m2_of_f32(float v);
/* The f16 of that value, which is exact. */
uint16_t f16_of_e4m3(uint8_t v);
uint16_t f16_of_e5m2(uint8_t v);

/* a + b where what does not fit makes the last bit 1, so that rounding again to fewer bits rounds right. */
double add_odd(double a, double b);
#endif
