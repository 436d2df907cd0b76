/* Tensor maps, which tell copies in bulk where a tensor is and which box of it they move. */
#include <stdio.h>
#include <string.h>
#include "../exec/tensor_map.h"
#include "../tensor_api.h"
#include "driver.h"

static const uint8_t element_bytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};
enum { TYPES = sizeof element_bytes, MAX_BOX = 256 };

/* Strides have 36 bits and a multiple of 16. */
static bool are_sizes_allowed(uint32_t rank, const uint64_t *sizes, const uint64_t *strides, const uint32_t *box)
{
	for (uint32_t d = 0; d < rank; d++) {
		if (!sizes[d] || sizes[d] > UINT64_C(1) << 32 || !box[d] || box[d] > MAX_BOX)
			return false;
		if (d && (strides[d - 1] % 16 || !strides[d - 1] || strides[d - 1] >= UINT64_C(1) << 40))
			return false;
	}
	return true;
}

static bool has_unit_strides(uint32_t rank, const uint32_t *strides)
{
	for (uint32_t d = 0; d < rank; d++)
		if (strides[d] != 1)
			return false;
	return true;
}

CUresult cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, uint32_t rank, void *at,
                                const uint64_t *sizes, const uint64_t *strides, const uint32_t *box,
                                const uint32_t *element_strides, CUtensorMapInterleave interleave,
                                CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                                CUtensorMapFloatOOBfill fill)
{
	static const uint8_t swizzles[] = {0, 32, 64, 128};
	if (!map || (uintptr_t)map % 64 || (unsigned)type >= TYPES || !rank || rank > MAX_RANK || (uintptr_t)at % 16 || !at
	    || !sizes || !box || !element_strides || (rank > 1 && !strides) || (unsigned)swizzle > 3
	    || (unsigned)promotion > 3 || (unsigned)fill > 1)
		return CUDA_ERROR_INVALID_VALUE;
	uint64_t row = (uint64_t)box[0] * element_bytes[type];
	if (!are_sizes_allowed(rank, sizes, strides, box) || row % 16 || (swizzle && row > swizzles[swizzle]))
		return CUDA_ERROR_INVALID_VALUE;
	if (interleave || !has_unit_strides(rank, element_strides)) {
		fprintf(stderr, "emulated GPU: tensor maps that are interleaved, or skip elements, are not emulated\n");
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	struct tensor_map m = {.magic = TENSOR_MAP_MAGIC, .element = element_bytes[type], .rank = (uint8_t)rank};
	m.at = (uint64_t)(uintptr_t)at;
	m.swizzle = swizzles[swizzle];
	m.nan = (uint8_t)fill;
	for (uint32_t d = 0; d < rank; d++) {
		m.sizes[d] = (uint32_t)(sizes[d] - 1);
		m.box[d] = box[d];
		m.strides[d] = d ? strides[d - 1] : m.element;
	}
	memset(map, 0, sizeof *map);
	memcpy(map, &m, sizeof m);
	return CUDA_SUCCESS;
}
