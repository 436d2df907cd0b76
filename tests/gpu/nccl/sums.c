/* Sums as a ring makes them: a partial sum travels from rank to rank in the format of the numbers, and each adds its
 * own. */
#include <string.h>
#include "../exec/number.h"
#include "objects.h"

/* The ranks in the order of the ring: even ones up, then odd ones down. */
static int on_ring(int position, int ranks)
{
	int even = (ranks + 1) / 2;
	return position < even ? 2 * position : 2 * (ranks - 1 - position) + 1;
}

static int position_of(int rank, int ranks)
{
	for (int i = 0; i < ranks; i++)
		if (on_ring(i, ranks) == rank)
			return i;
	return 0;
}

static float get_float(uint32_t type, const char *at)
{
	float v;
	uint16_t h;
	if (type == ncclFloat32) {
		memcpy(&v, at, sizeof v);
		return v;
	}
	memcpy(&h, at, sizeof h);
	return type == ncclBfloat16 ? f32_of_bf16(h) : f32_of_f16(h);
}

static void put_float(uint32_t type, char *at, float v)
{
	uint16_t h = type == ncclBfloat16 ? bf16_of_f32(v) : f16_of_f32(v);
	if (type == ncclFloat32)
		memcpy(at, &v, sizeof v);
	else
		memcpy(at, &h, sizeof h);
}

static void add_float(uint32_t type, uint32_t op, char *to, const char *from)
{
	float a = get_float(type, to), b = get_float(type, from);
	put_float(type, to, op == ncclMax ? (a > b ? a : b) : a + b);
}

static void add_integer(uint32_t type, uint32_t op, char *to, const char *from)
{
	uint32_t a = 0, b = 0;
	size_t bytes = type_bytes(type);
	memcpy(&a, to, bytes);
	memcpy(&b, from, bytes);
	bool more = type == ncclInt32 ? (int32_t)a > (int32_t)b : a > b;
	a = op == ncclMax ? (more ? a : b) : a + b;
	memcpy(to, &a, bytes);
}

void sum_numbers(const struct sum *s, int rank, int ranks, void *to)
{
	const struct head *h = &s->head;
	size_t bytes = type_bytes(h->type), piece = (h->count + (size_t)ranks - 1) / (size_t)ranks;
	bool is_float = h->type == ncclFloat32 || h->type == ncclFloat16 || h->type == ncclBfloat16;
	for (size_t i = 0; i < h->count; i++) {
		/* A piece begins at the rank after the one where its sum ends. */
		int end = h->kind == REDUCE_SCATTER ? position_of(rank, ranks) : (int)(i / piece);
		char *sum = (char *)to + i * bytes;
		for (int k = 1; k <= ranks; k++) {
			const char *part = s->parts + ((size_t)on_ring((end + k) % ranks, ranks) * h->count + i) * bytes;
			if (k == 1)
				memcpy(sum, part, bytes);
			else
				(is_float ? add_float : add_integer)(h->type, h->op, sum, part);
		}
	}
}
