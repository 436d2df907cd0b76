/* Elements of a stored tensor, converted to the format that a param has on the device; or random ones. */
#include "number.h"
#include "runtime.h"

/* splitmix64: a good hash of a counter. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static float random_at(const struct source *s, int64_t at)
{
	float unit = (float)(mix(s->seed ^ (uint64_t)at) >> 40) * 0x1p-23f - 1.0f;
	return s->center + s->scale * unit;
}

/* Files do not align their data. */
static float stored_at(const struct tensor *t, int64_t at)
{
	uint16_t half;
	float full;
	if (t->dtype == DR_F32) {
		memcpy(&full, t->data + at * 4, sizeof full);
		return full;
	}
	memcpy(&half, t->data + at * 2, sizeof half);
	return t->dtype == DR_BF16 ? f32_of_bf16(half) : f32_of_f16(half);
}

static void put(uint32_t dtype, void *to, int64_t i, float f)
{
	if (dtype == DR_F32)
		((float *)to)[i] = f;
	else
		((uint16_t *)to)[i] = dtype == DR_BF16 ? bf16_of_f32(f) : f16_of_f32(f);
}

void source_read(const struct source *s, int64_t flat_at, int64_t stride, int64_t n, uint32_t dtype, void *to)
{
	size_t size = dtype_size(dtype);
	if (!s->tensor) {
		for (int64_t i = 0; i < n; i++)
			put(dtype, to, i, random_at(s, flat_at + i * stride));
	} else if (s->tensor->dtype != dtype) {
		for (int64_t i = 0; i < n; i++)
			put(dtype, to, i, stored_at(s->tensor, flat_at + i * stride));
	} else if (stride == 1) {
		memcpy(to, s->tensor->data + (size_t)flat_at * size, (size_t)n * size);
	} else {
		for (int64_t i = 0; i < n; i++)
			memcpy((char *)to + (size_t)i * size, s->tensor->data + (size_t)(flat_at + i * stride) * size, size);
	}
}
