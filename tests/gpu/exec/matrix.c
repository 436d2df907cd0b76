/* Products of small matrices that a warp holds in its registers, and their way from shared memory. A register of a
 * 16-bit fragment holds, as 32 lanes of two, the 64 elements of an 8 x 8 matrix, row by row. */
#include <string.h>
#include "../../../runtime/cuda_api.h"
#include "access.h"
#include "handlers.h"
#include "matrix.h"

void check_whole(struct warp *w)
{
	if (w->exec != ALL_LANES)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, -1, "a matrix instruction without lanes %08x", ~w->exec);
}

/* ---- mma: d = a b + c, where a is 16 x k, b is k x 8 ---- */
/* Register q of b has its rows 8q .., transposed. */
static inline void mma_16(struct warp *w, const struct ins *in, int k, bool brain)
{
	float a[ROWS * 16];
	halves columns[COLUMNS];
	row b[16], c[ROWS];
	int first_b = 4 + k / 4, first_c = first_b + k / 8;
	for (int r = 0; r < k / 4; r++)
		spread(OPERAND(uint16_t, 4 + r), r, a, k, brain);
	for (int q = 0; q < k / 8; q++) {
		memcpy(columns, OPERAND(uint16_t, first_b + q), sizeof columns);
		transpose(columns, &b[8 * q], brain);
	}
	read_sums(w, in, first_c, c);
	multiply(a, b, c, k);
	write_sums(w, in, 0, c);
}

static float tf32(uint32_t bits) { return float_of(bits & 0xffffe000); }

/* tf32, k = 8: a register holds 8 x 4 elements, of 19 bits each. */
static void mma_tf32(struct warp *w, const struct ins *in)
{
	float a[ROWS * 8];
	row b[8], c[ROWS];
	for (int r = 0; r < 4; r++)
		for (int l = 0; l < LANES; l++)
			a[(l / 4 + 8 * (r & 1)) * 8 + l % 4 + 4 * (r >> 1)] = tf32(OPERAND(uint32_t, 4 + r)[l]);
	for (int q = 0; q < 2; q++)
		for (int l = 0; l < LANES; l++)
			b[4 * q + l % 4][l / 4] = tf32(OPERAND(uint32_t, 8 + q)[l]);
	read_sums(w, in, 10, c);
	multiply(a, b, c, 8);
	write_sums(w, in, 0, c);
}

/* in->size: k; in->number: the type of a and b */
void x_mma(struct warp *w, const struct ins *in)
{
	check_whole(w);
	w->cta->grid->counters.products++;
	if (in->number == F32)
		mma_tf32(w, in);
	else if (in->size == 16)
		mma_16(w, in, 16, in->number == BF16);
	else
		mma_16(w, in, 8, in->number == BF16);
}

/* ---- ldmatrix, stmatrix: lane 8k + i has the address of row i of matrix k ---- */
/* The lanes with addresses of n matrices. */
static uint32_t rows_of(int n) { return n == 4 ? ALL_LANES : (1u << 8 * n) - 1; }

/* variant: transposed */
void x_ldmatrix(struct warp *w, const struct ins *in)
{
	const uint64_t *at = OPERAND(uint64_t, in->n_defs);
	uint64_t rows[LANES];
	check_whole(w);
	memcpy(rows, at, sizeof rows);
	if (w->watched)
		watch_access(w, rows_of(in->n_defs), SPACE_SHARED, rows, 16, ACCESS_LOAD);
	for (int k = 0; k < in->n_defs; k++) {
		uint16_t *d = OPERAND(uint16_t, k);
		for (int i = 0; i < 8; i++) {
			const unsigned char *from = lane_memory(w, 8 * k + i, SPACE_SHARED, rows[8 * k + i], 16, false);
			uint16_t values[8];
			memcpy(values, from, sizeof values);
			for (int j = 0; j < 8; j++)
				d[in->variant ? 8 * j + i : 8 * i + j] = values[j];
		}
	}
}

/* [rows], registers */
void x_stmatrix(struct warp *w, const struct ins *in)
{
	const uint64_t *at = OPERAND(uint64_t, 0);
	int n = in->n_ops - 1;
	check_whole(w);
	if (w->watched)
		watch_access(w, rows_of(n), SPACE_SHARED, at, 16, ACCESS_STORE);
	for (int k = 0; k < n; k++) {
		const uint16_t *a = OPERAND(uint16_t, 1 + k);
		for (int i = 0; i < 8; i++) {
			unsigned char *to = lane_memory(w, 8 * k + i, SPACE_SHARED, at[8 * k + i], 16, true);
			uint16_t values[8];
			for (int j = 0; j < 8; j++)
				values[j] = a[in->variant ? 8 * j + i : 8 * i + j];
			memcpy(to, values, sizeof values);
		}
	}
}
