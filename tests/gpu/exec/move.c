/* Moves, choices, packing, predicates, comparisons, clocks. */
#include <string.h>
#include <time.h>
#include "handlers.h"
#include "number.h"
#include "warp.h"

UNARY(mov_u16, uint16_t, uint16_t, a)
UNARY(mov_u32, uint32_t, uint32_t, a)
UNARY(mov_u64, uint64_t, uint64_t, a)

/* ---- packing ---- */
BINARY(pack_16x2, uint32_t, uint16_t, (uint32_t)b << 16 | a)
BINARY(pack_32x2, uint64_t, uint32_t, (uint64_t)b << 32 | a)

void x_pack_16x4(struct warp *w, const struct ins *in)
{
	uint64_t *d = OPERAND(uint64_t, 0);
	const uint16_t *a = OPERAND(uint16_t, 1), *b = OPERAND(uint16_t, 2), *c = OPERAND(uint16_t, 3),
				   *e = OPERAND(uint16_t, 4);
	EACH_LANE(d[l] = (uint64_t)e[l] << 48 | (uint64_t)c[l] << 32 | (uint32_t)b[l] << 16 | a[l]);
}

void x_unpack_16x2(struct warp *w, const struct ins *in)
{
	uint16_t *low = OPERAND(uint16_t, 0), *high = OPERAND(uint16_t, 1);
	const uint32_t *a = OPERAND(uint32_t, 2);
	EACH_LANE(low[l] = (uint16_t)a[l]; high[l] = (uint16_t)(a[l] >> 16));
}

void x_unpack_32x2(struct warp *w, const struct ins *in)
{
	uint32_t *low = OPERAND(uint32_t, 0), *high = OPERAND(uint32_t, 1);
	const uint64_t *a = OPERAND(uint64_t, 2);
	EACH_LANE(low[l] = (uint32_t)a[l]; high[l] = (uint32_t)(a[l] >> 32));
}

void x_unpack_16x4(struct warp *w, const struct ins *in)
{
	const uint64_t *a = OPERAND(uint64_t, 4);
	for (int i = 0; i < 4; i++) {
		uint16_t *d = OPERAND(uint16_t, i);
		EACH_LANE(d[l] = (uint16_t)(a[l] >> 16 * i));
	}
}

/* ---- predicates: a bit per lane ---- */
/* variant: 0 false, 1 true, 2 another predicate */
void x_mov_pred(struct warp *w, const struct ins *in)
{
	warp_set_predicate(w, in->op[0], in->variant == 2 ? warp_predicate(w, in->op[1]) : in->variant ? ALL_LANES : 0);
}

void x_not_pred(struct warp *w, const struct ins *in)
{
	warp_set_predicate(w, in->op[0], ~warp_predicate(w, in->op[1]));
}

#define PREDICATE(name, operator)                                                                             \
	void x_##name##_pred(struct warp *w, const struct ins *in)                                                \
	{                                                                                                         \
		warp_set_predicate(w, in->op[0], warp_predicate(w, in->op[1]) operator warp_predicate(w, in->op[2])); \
	}
PREDICATE(and, &)
PREDICATE(or, |)
PREDICATE(xor, ^)

#define SELECT(n)                                                                     \
	void x_selp_##n(struct warp *w, const struct ins *in)                             \
	{                                                                                 \
		uint##n##_t *d = OPERAND(uint##n##_t, 0);                                     \
		const uint##n##_t *a = OPERAND(uint##n##_t, 1), *b = OPERAND(uint##n##_t, 2); \
		uint32_t p = warp_predicate(w, in->op[3]);                                    \
		EACH_LANE(d[l] = p >> l & 1 ? a[l] : b[l]);                                   \
	}
SELECT(16)
SELECT(32)
SELECT(64)
TERNARY3(slct_s32, uint32_t, uint32_t, uint32_t, int32_t, c >= 0 ? a : b)
TERNARY3(slct_f32, uint32_t, uint32_t, uint32_t, float, c >= 0 ? a : b)

/* ---- comparisons ---- */
#define LANES_WHERE(T, S, expression)                     \
	do {                                                  \
		const T *a_ = OPERAND(T, 1), *b_ = OPERAND(T, 2); \
		for (int l = 0; l < LANES; l++) {                 \
			S a = (S)a_[l], b = (S)b_[l];                 \
			lanes |= (uint32_t)(expression) << l;         \
		}                                                 \
	} while (0)

/* The number of a comparison, as select_move.c lists them, plus 16 for signed integers. */
#define COMPARE_INTEGERS(n)                                            \
	void x_setp_##n(struct warp *w, const struct ins *in)              \
	{                                                                  \
		uint32_t lanes = 0;                                            \
		switch (in->variant) {                                         \
		case 0:                                                        \
		case 16: LANES_WHERE(uint##n##_t, uint##n##_t, a == b); break; \
		case 1:                                                        \
		case 17: LANES_WHERE(uint##n##_t, uint##n##_t, a != b); break; \
		case 2:  LANES_WHERE(uint##n##_t, uint##n##_t, a < b); break;  \
		case 3:  LANES_WHERE(uint##n##_t, uint##n##_t, a <= b); break; \
		case 4:  LANES_WHERE(uint##n##_t, uint##n##_t, a > b); break;  \
		case 5:  LANES_WHERE(uint##n##_t, uint##n##_t, a >= b); break; \
		case 18: LANES_WHERE(uint##n##_t, int##n##_t, a < b); break;   \
		case 19: LANES_WHERE(uint##n##_t, int##n##_t, a <= b); break;  \
		case 20: LANES_WHERE(uint##n##_t, int##n##_t, a > b); break;   \
		default: LANES_WHERE(uint##n##_t, int##n##_t, a >= b); break;  \
		}                                                              \
		warp_set_predicate(w, in->op[0], lanes);                       \
	}
COMPARE_INTEGERS(16)
COMPARE_INTEGERS(32)
COMPARE_INTEGERS(64)

/* eq ne lt .. are false for a NaN, equ neu ltu .. true. */
#define COMPARE_FLOATS(name, T, S, convert)                                                       \
	void x_setp_##name(struct warp *w, const struct ins *in)                                      \
	{                                                                                             \
		const T *x = OPERAND(T, 1), *y = OPERAND(T, 2);                                           \
		uint32_t less = 0, equal = 0, greater = 0, apart;                                         \
		for (int l = 0; l < LANES; l++) {                                                         \
			S a = convert(x[l]), b = convert(y[l]);                                               \
			less |= (uint32_t)(a < b) << l;                                                       \
			equal |= (uint32_t)(a == b) << l;                                                     \
			greater |= (uint32_t)(a > b) << l;                                                    \
		}                                                                                         \
		apart = ~(less | equal | greater);                                                        \
		const uint32_t results[] = {                                                              \
			equal,           less | greater,          less,   less | equal, greater,              \
			greater | equal, equal | apart,           ~equal, less | apart, less | equal | apart, \
			greater | apart, greater | equal | apart, ~apart, apart};                             \
		warp_set_predicate(w, in->op[0], results[in->variant]);                                   \
	}
COMPARE_FLOATS(f32, float, float, )
COMPARE_FLOATS(f64, double, double, )
COMPARE_FLOATS(f16, uint16_t, float, f32_of_f16)
COMPARE_FLOATS(bf16, uint16_t, float, f32_of_bf16)

/* ---- clocks: something that grows ---- */
static uint64_t nanoseconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void x_clock(struct warp *w, const struct ins *in)
{
	uint32_t *d = OPERAND(uint32_t, 0), now = (uint32_t)nanoseconds();
	EACH_LANE(d[l] = now);
}

void x_clock64(struct warp *w, const struct ins *in)
{
	uint64_t *d = OPERAND(uint64_t, 0), now = nanoseconds();
	EACH_LANE(d[l] = now);
}

void x_timer(struct warp *w, const struct ins *in) { x_clock64(w, in); }
