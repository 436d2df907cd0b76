/* Elements of a stored tensor, converted to the format of the param on the device; or random ones. */
#include "number.h"
#include "runtime.h"

enum { RUN = 1024 }; /* elements converted at a time */

/* Copies n elements of `size` bytes, `stride` elements apart, to contiguous memory. */
static inline void copy_apart(char *to, const unsigned char *from, int64_t stride, int64_t n, size_t size)
{
	for (int64_t i = 0; i < n; i++)
		memcpy(to + (size_t)i * size, from + (size_t)(i * stride) * size, size);
}

static void copy_elements(void *to, const struct tensor *t, int64_t flat_at, int64_t stride, int64_t n)
{
	size_t size = dtype_size(t->dtype);
	const unsigned char *from = t->data + (size_t)flat_at * size;
	if (stride == 1)
		memcpy(to, from, (size_t)n * size);
	else if (size == 1)
		copy_apart(to, from, stride, n, 1);
	else if (size == 2)
		copy_apart(to, from, stride, n, 2);
	else
		copy_apart(to, from, stride, n, 4);
}

/* Reads at most RUN elements as f32. */
static void read_run(const struct source *s, int64_t flat_at, int64_t stride, int n, float *to)
{
	float stored[RUN];
	if (!s->tensor) {
		numbers_random(s->seed, (uint32_t)flat_at, (uint32_t)stride, n, s->center, s->scale, to);
		return;
	}
	copy_elements(stored, s->tensor, flat_at, stride, n);
	numbers_widen(s->tensor->dtype, stored, n, to);
}

void source_read(const struct source *s, int64_t flat_at, int64_t stride, int64_t n, uint32_t dtype, void *to)
{
	if (s->tensor && s->tensor->dtype == dtype) {
		copy_elements(to, s->tensor, flat_at, stride, n);
		return;
	}
	for (int64_t at = 0; at < n; at += RUN) {
		float run[RUN];
		int length = n - at < RUN ? (int)(n - at) : RUN;
		read_run(s, flat_at + at * stride, stride, length, run);
		numbers_narrow(dtype, run, length, (char *)to + (size_t)at * dtype_size(dtype));
	}
}
