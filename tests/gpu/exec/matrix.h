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

typedef uint16_t halves __attribute__((vector_size(2 * COLUMNS)));

static inline row widen_row(halves from, bool brain)
{
	union {
		halves all;
		uint16_t each[COLUMNS];
	} h = {from};
	union {
		row all;
		float each[COLUMNS];
	} f;
	widen(h.each, f.each, COLUMNS, brain);
	return f.all;
}

/* b[j][i] = from[i][j], both 8 x 8 */
static inline void transpose(const halves *from, row *b, bool brain)
{
	halves pairs[8], fours[8];
	for (int i = 0; i < 8; i += 2) {
		pairs[i] = __builtin_shufflevector(from[i], from[i + 1], 0, 8, 1, 9, 2, 10, 3, 11);
		pairs[i + 1] = __builtin_shufflevector(from[i], from[i + 1], 4, 12, 5, 13, 6, 14, 7, 15);
	}
	for (int i = 0; i < 8; i += 4)
		for (int h = 0; h < 2; h++) {
			fours[i + 2 * h] = __builtin_shufflevector(pairs[i + h], pairs[i + h + 2], 0, 1, 8, 9, 2, 3, 10, 11);
			fours[i + 2 * h + 1] = __builtin_shufflevector(pairs[i + h], pairs[i + h + 2], 4, 5, 12, 13, 6, 7, 14, 15);
		}
	for (int j = 0; j < 4; j++) {
		b[2 * j] = widen_row(__builtin_shufflevector(fours[j], fours[j + 4], 0, 1, 2, 3, 8, 9, 10, 11), brain);
		b[2 * j + 1] = widen_row(__builtin_shufflevector(fours[j], fours[j + 4], 4, 5, 6, 7, 12, 13, 14, 15), brain);
	}
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
