/* What the lanes of a warp do together. A mask names the lanes that take part: all of them must be here. */
#include <string.h>
#include "../../../runtime/cuda_api.h"
#include "handlers.h"
#include "warp.h"

/* Groups of lanes with different masks may meet in one instruction. */
static void check_masks(struct warp *w, const uint32_t *masks)
{
	for (int l = 0; l < LANES; l++) {
		if (!(w->exec >> l & 1))
			continue;
		if (!(masks[l] >> l & 1))
			warp_fault(w, CUDA_ERROR_ILLEGAL_INSTRUCTION, l, "the lane is not in its mask %08x", masks[l]);
		if (masks[l] & w->alive & ~w->exec)
			warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, l, "lanes %08x of the mask are elsewhere",
			           masks[l] & w->alive & ~w->exec);
	}
}

void x_warp_sync(struct warp *w, const struct ins *in) { check_masks(w, OPERAND(uint32_t, 0)); }

void x_activemask(struct warp *w, const struct ins *in)
{
	uint32_t *d = OPERAND(uint32_t, 0), lanes = w->exec;
	EACH_LANE(d[l] = lanes);
}

/* ---- shfl d|p, a, b, c, mask ---- */
enum { SHFL_UP, SHFL_DOWN, SHFL_BFLY, SHFL_IDX };

/* c holds the clamp in its low bits, and in bits 8 to 12 the segment: bits of the lane that cannot change. */
static int shfl_source(int mode, int lane, uint32_t b, uint32_t c, bool *in_range)
{
	int segment = (int)(c >> 8 & 31), low = lane & segment, limit = low | ((int)c & 31 & ~segment), by = (int)(b & 31),
		j;
	switch (mode) {
	case SHFL_UP:   j = lane - by; break;
	case SHFL_DOWN: j = lane + by; break;
	case SHFL_BFLY: j = lane ^ by; break;
	default:        j = low | (by & ~segment); break;
	}
	*in_range = mode == SHFL_UP ? j >= limit : j <= limit;
	return *in_range ? j : lane;
}

/* What a lane that is not here would give is unknown: all bits set. */
void x_shfl(struct warp *w, const struct ins *in)
{
	uint32_t *d = OPERAND(uint32_t, 0), from[LANES], ranges = 0;
	const uint32_t *b = OPERAND(uint32_t, 3), *c = OPERAND(uint32_t, 4);
	check_masks(w, OPERAND(uint32_t, 5));
	memcpy(from, OPERAND(uint32_t, 2), sizeof from);
	for (int l = 0; l < LANES; l++) {
		bool in_range;
		int j = shfl_source(in->variant, l, b[l], c[l], &in_range);
		ranges |= (uint32_t)in_range << l;
		if (w->exec >> l & 1)
			d[l] = w->exec >> j & 1 ? from[j] : UINT32_MAX;
	}
	warp_set_predicate(w, in->op[1], ranges);
}

/* ---- vote d, p, mask ---- */
void x_vote(struct warp *w, const struct ins *in)
{
	const uint32_t *masks = OPERAND(uint32_t, 2);
	uint32_t yes = warp_predicate(w, in->op[1]) & w->exec, results = 0;
	uint32_t *d = in->variant == 3 ? OPERAND(uint32_t, 0) : NULL;
	check_masks(w, masks);
	for (int l = 0; l < LANES; l++) {
		if (!(w->exec >> l & 1))
			continue;
		uint32_t lanes = masks[l] & w->exec, votes = yes & lanes;
		bool all = votes == lanes, any = votes != 0;
		results |= (uint32_t)(in->variant == 0 ? all : in->variant == 1 ? any : all || !any) << l;
		if (d)
			d[l] = votes;
	}
	if (!d)
		warp_set_predicate(w, in->op[0], results);
}

/* ---- match d|p, a, mask: which lanes have the same value ---- */
#define MATCH(n)                                                         \
	void x_match_##n(struct warp *w, const struct ins *in)               \
	{                                                                    \
		uint##n##_t a[LANES];                                            \
		uint32_t masks[LANES], *d = OPERAND(uint32_t, 0), all = 0;       \
		memcpy(a, OPERAND(uint##n##_t, 2), sizeof a);                    \
		memcpy(masks, OPERAND(uint32_t, 3), sizeof masks);               \
		check_masks(w, masks);                                           \
		for (int l = 0; l < LANES; l++) {                                \
			uint32_t lanes = masks[l] & w->exec, same = 0;               \
			for (int k = 0; k < LANES; k++)                              \
				same |= (uint32_t)(lanes >> k & 1 && a[k] == a[l]) << k; \
			all |= (uint32_t)(same == lanes) << l;                       \
			if (w->exec >> l & 1)                                        \
				d[l] = in->variant && same != lanes ? 0 : same;          \
		}                                                                \
		warp_set_predicate(w, in->op[1], all);                           \
	}
MATCH(32)
MATCH(64)

/* ---- redux d, a, mask ---- */
enum { REDUX_ADD, REDUX_MIN, REDUX_MAX, REDUX_AND, REDUX_OR, REDUX_XOR };

static uint32_t reduce(int operation, bool is_signed, uint32_t a, uint32_t b)
{
	bool less = is_signed ? (int32_t)a < (int32_t)b : a < b;
	switch (operation) {
	case REDUX_ADD: return a + b;
	case REDUX_MIN: return less ? a : b;
	case REDUX_MAX: return less ? b : a;
	case REDUX_AND: return a & b;
	case REDUX_OR:  return a | b;
	default:        return a ^ b;
	}
}

void x_redux(struct warp *w, const struct ins *in)
{
	uint32_t a[LANES], *d = OPERAND(uint32_t, 0);
	const uint32_t *masks = OPERAND(uint32_t, 2);
	memcpy(a, OPERAND(uint32_t, 1), sizeof a);
	check_masks(w, masks);
	for (int l = 0; l < LANES; l++) {
		uint32_t lanes = masks[l] & w->exec;
		if (!(w->exec >> l & 1))
			continue;
		uint32_t r = a[__builtin_ctz(lanes)];
		for (lanes &= lanes - 1; lanes; lanes &= lanes - 1)
			r = reduce(in->variant, in->number == S32, r, a[__builtin_ctz(lanes)]);
		d[l] = r;
	}
}

/* One lane of the mask: the lowest. */
void x_elect(struct warp *w, const struct ins *in)
{
	uint32_t *d = OPERAND(uint32_t, 0), lowest = (uint32_t)__builtin_ctz(w->exec);
	check_masks(w, OPERAND(uint32_t, 2));
	EACH_LANE(d[l] = lowest);
	warp_set_predicate(w, in->op[1], 1u << lowest);
}
