/* What a CUtensorMap of 128 bytes holds here. Dimension 0 is the innermost. */
#ifndef GPU_TENSOR_MAP_H
#define GPU_TENSOR_MAP_H
#include <stdint.h>

enum { TENSOR_MAP_MAGIC = 0x7e502a9b, MAX_RANK = 5 };

struct tensor_map {
	uint32_t magic;
	uint8_t element; /* bytes */
	uint8_t rank;
	uint8_t swizzle; /* 0, or the bytes of a row: 32, 64, 128 */
	uint8_t nan;     /* what is out of bounds becomes NaNs, not zeros */
	uint64_t at;
	uint64_t strides[MAX_RANK]; /* bytes; [0] is the element */
	uint32_t sizes[MAX_RANK];   /* less 1 */
	uint32_t box[MAX_RANK];
};
_Static_assert(sizeof(struct tensor_map) <= 128, "it fits");
#endif
