/* Sums over the members of a group, in f32, in member order. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* vectorizes these loops, unlike -O2 */
#endif
#include "reduce.h"
#include "number.h"

static void add_part(uint32_t dtype, const void *part, int n, float *sum)
{
	const uint16_t *half = part;
	const float *full = part;
	if (dtype == DR_F32)
		for (int i = 0; i < n; i++)
			sum[i] += full[i];
	else if (dtype == DR_BF16)
		for (int i = 0; i < n; i++)
			sum[i] += f32_of_bf16(half[i]);
	else
		for (int i = 0; i < n; i++)
			sum[i] += f32_of_f16(half[i]);
}

static void reduce_i32(const void *const *part, int members, size_t offset, int n, void *out)
{
	uint32_t *sum = out;
	memset(sum, 0, (size_t)n * sizeof *sum);
	for (int m = 0; m < members; m++) {
		const uint32_t *at = (const uint32_t *)(const void *)((const char *)part[m] + offset);
		for (int i = 0; i < n; i++)
			sum[i] += at[i];
	}
}

void reduce_block(uint32_t dtype, const void *const *part, int members, size_t offset, int n, void *out)
{
	if (dtype == DR_I32) {
		reduce_i32(part, members, offset, n, out);
		return;
	}
	float sum[REDUCE_BLOCK] = {0};
	for (int m = 0; m < members; m++)
		add_part(dtype, (const char *)part[m] + offset, n, sum);
	numbers_narrow(dtype, sum, n, out);
}
