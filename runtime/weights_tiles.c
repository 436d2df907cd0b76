/* The order of a tile: run k of row i becomes run k * rows + i. Elements of usual sizes are transposed in vectors, a
 * cache line of each row at a time: rows of a file are often a power of two apart, so lines that are left and come back
 * would displace each other. */
#include <stdint.h>
#include <string.h>
#include "weights.h"

enum {
	VECTOR = 16, /* bytes */
	CACHE_LINE = 64,
	AHEAD = 2 * CACHE_LINE, /* of a row, that is fetched before it is read */
	L2 = 2                  /* to where: the first cache has no room for a line of each row */
};
typedef uint8_t vector1 __attribute__((vector_size(VECTOR)));
typedef uint16_t vector2 __attribute__((vector_size(VECTOR)));
typedef uint32_t vector4 __attribute__((vector_size(VECTOR)));

/* Elements of the lower, and of the upper halves of two vectors, by turns. */
#define LOW1   0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH1  8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define LOW2   0, 8, 1, 9, 2, 10, 3, 11
#define HIGH2  4, 12, 5, 13, 6, 14, 7, 15
#define LOW4   0, 4, 1, 5
#define HIGH4  2, 6, 3, 7
#define UNROLL _Pragma("GCC unroll 16")

/* A vector of each of n rows, `from` bytes after its begin, to n vectors `step` bytes apart. n: elements of a vector.
 * Each of log2(n) rounds puts elements of rows i and i + n / 2 side by side. */
#define TRANSPOSE(size, low, high)                                                                                   \
	static inline void transpose##size(const unsigned char *const *row, size_t from, unsigned char *to, size_t step) \
	{                                                                                                                \
		enum { n = VECTOR / size };                                                                                  \
		vector##size v[n], w[n];                                                                                     \
		UNROLL for (int i = 0; i < n; i++) memcpy(&v[i], row[i] + from, VECTOR);                                     \
		UNROLL for (int round = 1; round < n; round *= 2)                                                            \
		{                                                                                                            \
			UNROLL for (int i = 0; i < n / 2; i++)                                                                   \
			{                                                                                                        \
				w[2 * i] = __builtin_shufflevector(v[i], v[i + n / 2], low);                                         \
				w[2 * i + 1] = __builtin_shufflevector(v[i], v[i + n / 2], high);                                    \
			}                                                                                                        \
			UNROLL for (int i = 0; i < n; i++) v[i] = w[i];                                                          \
		}                                                                                                            \
		UNROLL for (int i = 0; i < n; i++) memcpy(to + (size_t)i * step, &v[i], VECTOR);                             \
	}
TRANSPOSE(1, LOW1, HIGH1)
TRANSPOSE(2, LOW2, HIGH2)
TRANSPOSE(4, LOW4, HIGH4)

/* Bytes [from, from + CACHE_LINE) of each row. run: a constant. */
static inline void move_line(const unsigned char *const *row, int64_t rows, size_t from, size_t run, unsigned char *to)
{
	size_t step = (size_t)rows * run;
	int64_t n = (int64_t)(VECTOR / run);
	for (int64_t i = 0; i < rows; i += n) {
		for (int64_t j = i; j < i + n; j++)
			__builtin_prefetch(row[j] + from + AHEAD, 0, L2);
		for (size_t at = from; at < from + CACHE_LINE; at += VECTOR) {
			unsigned char *runs = to + at / run * step + (size_t)i * run;
			if (run == 1)
				transpose1(row + i, at, runs, step);
			else if (run == 2)
				transpose2(row + i, at, runs, step);
			else
				transpose4(row + i, at, runs, step);
		}
	}
}

/* Returns the bytes of each row that it moved. */
static inline size_t move_lines(const unsigned char *const *row, int64_t rows, size_t bytes, size_t run,
                                unsigned char *to)
{
	size_t at = 0;
	if ((size_t)rows * run % VECTOR)
		return 0;
	for (; at + CACHE_LINE <= bytes; at += CACHE_LINE)
		move_line(row, rows, at, run, to);
	return at;
}

void tile_fill(const unsigned char *const *row, int64_t rows, size_t bytes, size_t run, unsigned char *to)
{
	size_t at = run == 4   ? move_lines(row, rows, bytes, 4, to)
	            : run == 2 ? move_lines(row, rows, bytes, 2, to)
	            : run == 1 ? move_lines(row, rows, bytes, 1, to)
	                       : 0;
	for (; at < bytes; at += run)
		for (int64_t i = 0; i < rows; i++)
			memcpy(to + at * (size_t)rows + (size_t)i * run, row[i] + at, run);
}
