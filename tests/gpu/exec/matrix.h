/* Elements of matrices as floats. */
#ifndef GPU_MATRIX_H
#define GPU_MATRIX_H
#include "number.h"

static inline void widen(const uint16_t *from, float *to, int n, bool brain)
{
	if (brain)
		for (int i = 0; i < n; i++)
			to[i] = f32_of_bf16(from[i]);
	else
		for (int i = 0; i < n; i++)
			to[i] = f32_of_f16(from[i]);
}
#endif
