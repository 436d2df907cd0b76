/* Converts runs of numbers between storage formats and f32. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* vectorizes these loops, unlike -O2 */
#endif
#include "number.h"

/* Data of files may have any alignment. */
static inline uint16_t half_at(const void *from, int i)
{
	uint16_t half;
	memcpy(&half, (const char *)from + (size_t)i * sizeof half, sizeof half);
	return half;
}

static void widen_fp8(struct fp8 t, const uint8_t *from, int n, float *to)
{
	for (int i = 0; i < n; i++)
		to[i] = f32_of_fp8(t, from[i]);
}

static void narrow_to_fp8(struct fp8 t, const float *from, int n, uint8_t *to)
{
	for (int i = 0; i < n; i++)
		to[i] = fp8_of_f32(t, from[i]);
}

void numbers_widen(uint32_t dtype, const void *from, int n, float *to)
{
	if (dtype == DR_F32)
		memcpy(to, from, (size_t)n * sizeof *to);
	else if (dtype == DR_BF16)
		for (int i = 0; i < n; i++)
			to[i] = f32_of_bf16(half_at(from, i));
	else if (dtype == DR_F16)
		for (int i = 0; i < n; i++)
			to[i] = f32_of_f16(half_at(from, i));
	else
		widen_fp8(dtype == DR_FP8E4M3 ? FP8_E4M3 : FP8_E5M2, from, n, to);
}

void numbers_narrow(uint32_t dtype, const float *from, int n, void *to)
{
	uint16_t *half = to;
	if (dtype == DR_F32)
		memcpy(to, from, (size_t)n * sizeof *from);
	else if (dtype == DR_BF16)
		for (int i = 0; i < n; i++)
			half[i] = bf16_of_f32(from[i]);
	else if (dtype == DR_F16)
		for (int i = 0; i < n; i++)
			half[i] = f16_of_f32(from[i]);
	else
		narrow_to_fp8(dtype == DR_FP8E4M3 ? FP8_E4M3 : FP8_E5M2, from, n, to);
}

void numbers_random(uint64_t seed, uint32_t at, uint32_t stride, int n, float center, float scale, float *to)
{
	uint32_t low = (uint32_t)seed, high = (uint32_t)(seed >> 32);
	for (int i = 0; i < n; i++) {
		uint32_t h = (at + (uint32_t)i * stride) ^ low; /* finalizer of MurmurHash3, applied to a counter */
		h = (h ^ h >> 16) * 0x85ebca6bu;
		h = (h ^ h >> 13) * 0xc2b2ae35u ^ high;
		to[i] = center + scale * ((float)(int32_t)(h ^ h >> 16) * 0x1p-31f);
	}
}
