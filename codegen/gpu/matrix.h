/* The matrix units: products of 16 x 8 x 16 (rows, columns, k) of bf16 or f16, summed in f32, by the lanes of a warp
 * together. Of a, lane l holds rows l / 4 and l / 4 + 8, of b column l / 4, of the sums those rows and columns 2 (l %
 * 4) and the next; of k, pairs from 2 (l % 4) and from 2 (l % 4) + 8 on (PTX: mma.m16n8k16). */
#ifndef DEPLOYC_GPU_MATRIX_H
#define DEPLOYC_GPU_MATRIX_H
#include "block.h"

enum { MATRIX_ROWS = 16, MATRIX_COLUMNS = 8, MATRIX_K = 16, MATRIX_SUMS = 4, MATRIX_A = 4, MATRIX_B = 2 };

/* sum += a b. a: words (row, k): (0, 0), (8, 0), (0, 8), (8, 8) from the lane's; b: k 0 and 8; sums in registers, or at
 * addresses of local memory that registers take the place of. */
void matrix_add(struct codegen *g, enum dtype t, LLVMValueRef *sum, const LLVMValueRef *a, const LLVMValueRef *b);
void matrix_add_memory(struct codegen *g, enum dtype t, const LLVMValueRef *sum, const LLVMValueRef *a,
                       const LLVMValueRef *b);

/* Two f32 as a word of 16-bit numbers, the first one low. */
LLVMValueRef matrix_pair(struct codegen *g, enum dtype t, LLVMValueRef first, LLVMValueRef second);

/* 16 bytes in registers: four i32. */
struct piece {
	LLVMValueRef word[4];
};
struct piece piece_load(struct codegen *g, LLVMValueRef at); /* at: aligned to 16 bytes */
struct piece piece_or_zero(struct codegen *g, LLVMValueRef condition, struct piece p);

/* Four matrices of 8 x 8 16-bit elements, from shared memory. Lane l gives the address of row l % 8 of matrix l / 8; of
 * each matrix it gets row l / 4, elements 2 (l % 4) and the next. */
struct piece matrix_load(struct codegen *g, LLVMValueRef shared);
#endif
