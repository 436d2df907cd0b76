/* Products of small matrices that a warp holds in its registers, and their way from shared memory. A register of a
 * 16-bit fragment holds, as 32 lanes of two, the 64 elements of an 8 x 8 matrix, row by row. */
#include <string.h>
#include "../../../runtime/cuda_api.h"
#include "access.h"
#include "handlers.h"
#include "matrix.h"

enum { ROWS = 16, COLUMNS = 8, HALF = 64 };

static void check_whole(struct warp *w)
{
	if (w->exec != ALL_LANES)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, -1, "a matrix instruction without lanes %08x", ~w->exec);
}

/* ---- mma: d = a b + c, where a is 16 x k, b is k x 8 ---- */
typedef float row __attribute__((vector_size(4 * COLUMNS)));

/* a: [16][k], b: [k][8], c: [16][8] */
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

/* Registers 2h and 2h + 1 hold rows 8h .. 8h + 7 of c: a lane has two neighbours of a row. */
static void read_sums(struct warp *w, const struct ins *in, int first, row *c)
{
	float *to = (float *)c;
	for (int h = 0; h < 2; h++) {
		const float *even = OPERAND(float, first + 2 * h), *odd = OPERAND(float, first + 2 * h + 1);
		for (int l = 0; l < LANES; l++) {
			to[h * HALF + 2 * l] = even[l];
			to[h * HALF + 2 * l + 1] = odd[l];
		}
	}
}

static void write_sums(struct warp *w, const struct ins *in, const row *c)
{
	const float *from = (const float *)c;
	for (int h = 0; h < 2; h++) {
		float *even = OPERAND(float, 2 * h), *odd = OPERAND(float, 2 * h + 1);
		for (int l = 0; l < LANES; l++) {
			even[l] = from[h * HALF + 2 * l];
			odd[l] = from[h * HALF + 2 * l + 1];
		}
	}
}

/* Fragments of 16 bits: register 2q + h of a is rows 8h.., columns 8q..; register q of b is its rows 8q.., transposed.
 */
static inline void mma_16(struct warp *w, const struct ins *in, int k, bool brain)
{
	_Alignas(64) float a[ROWS * 16], wide[HALF];
	row b[16], c[ROWS];
	int first_b = 4 + k / 4, first_c = first_b + k / 8;
	for (int r = 0; r < k / 4; r++) {
		widen(OPERAND(uint16_t, 4 + r), wide, HALF, brain);
		for (int i = 0; i < 8; i++)
			memcpy(&a[(i + 8 * (r & 1)) * k + 8 * (r >> 1)], &wide[8 * i], 8 * sizeof *a);
	}
	for (int q = 0; q < k / 8; q++) {
		widen(OPERAND(uint16_t, first_b + q), wide, HALF, brain);
		for (int j = 0; j < 8; j++)
			for (int n = 0; n < COLUMNS; n++)
				b[8 * q + j][n] = wide[8 * n + j];
	}
	read_sums(w, in, first_c, c);
	multiply(a, b, c, k);
	write_sums(w, in, c);
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
	write_sums(w, in, c);
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

/* ---- ldmatrix: lane 8k + i has the address of row i of matrix k ---- */
static void watch_rows(struct warp *w, const uint64_t *rows, int n)
{
	uint32_t lanes = n == LANES ? ALL_LANES : (1u << n) - 1;
	watch_access(w, lanes, SPACE_SHARED, rows, 16, ACCESS_LOAD);
}

/* variant: transposed */
void x_ldmatrix(struct warp *w, const struct ins *in)
{
	const uint64_t *at = OPERAND(uint64_t, in->n_defs);
	uint64_t rows[LANES];
	check_whole(w);
	memcpy(rows, at, sizeof rows);
	if (w->watched)
		watch_rows(w, rows, 8 * in->n_defs);
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
