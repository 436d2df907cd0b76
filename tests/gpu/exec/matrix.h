/* Products of matrices: what mma and wgmma share. */
#ifndef GPU_MATRIX_H
#define GPU_MATRIX_H
#include "number.h"
#include "warp.h"

/* Rows of the sum that a warp makes, and columns that it makes at a time; elements of a fragment's register. */
enum { ROWS = 16, COLUMNS = 8, FRAGMENT = 64 };
typedef float row __attribute__((vector_size(4 * COLUMNS)));

static inline void widen(const uint16_t *from, float *to, int n, bool brain)
{
	if (brain)
		for (int i = 0; i < n; i++)
			to[i] = f32_of_bf16(from[i]);
	else
		for (int i = 0; i < n; i++)
			to[i] = f32_of_f16(from[i]);
}

/* c += a b, where a is [16][k], b is [k][8], c is [16][8] */
static inline void multiply(const float *a, const row *b, row *c, int k)
{
	for (int half = 0; half < 2; half++) {
		row sum[ROWS / 2];
		for (int i = 0; i < ROWS / 2; i++)
			sum[i] = c[half * ROWS / 2 + i];
		for (int j = 0; j < k; j++)
			for (int i = 0; i < ROWS / 2; i++)
				sum[i] += a[(half * ROWS / 2 + i) * k + j] * b[j];
		for (int i = 0; i < ROWS / 2; i++)
			c[half * ROWS / 2 + i] = sum[i];
	}
}

/* Operands `first` to `first` + 3 hold [16][8] floats: the first two rows 0 .. 7, a lane two neighbours of a row. */
static inline void read_sums(struct warp *w, const struct ins *in, int first, row *c)
{
	float *to = (float *)c;
	for (int h = 0; h < 2; h++) {
		const float *even = OPERAND(float, first + 2 * h), *odd = OPERAND(float, first + 2 * h + 1);
		for (int l = 0; l < LANES; l++) {
			to[h * FRAGMENT + 2 * l] = even[l];
			to[h * FRAGMENT + 2 * l + 1] = odd[l];
		}
	}
}

static inline void write_sums(struct warp *w, const struct ins *in, int first, const row *c)
{
	const float *from = (const float *)c;
	for (int h = 0; h < 2; h++) {
		float *even = OPERAND(float, first + 2 * h), *odd = OPERAND(float, first + 2 * h + 1);
		for (int l = 0; l < LANES; l++) {
			even[l] = from[h * FRAGMENT + 2 * l];
			odd[l] = from[h * FRAGMENT + 2 * l + 1];
		}
	}
}

/* Registers of 16-bit elements of a, [16][k]: number 2q + h has rows 8h .., columns 8q .., row by row. */
static inline void spread(const uint16_t *fragment, int number, float *a, int k, bool brain)
{
	float wide[FRAGMENT];
	widen(fragment, wide, FRAGMENT, brain);
	for (int i = 0; i < 8; i++)
		memcpy(&a[(i + 8 * (number & 1)) * k + 8 * (number >> 1)], &wide[8 * i], 8 * sizeof *a);
}

/* A fault unless all lanes are here. */
void check_whole(struct warp *w);
#endif
