/* cvt: a function for each pair of types. Numbers of 8 bits are held in 16. */
#include "handlers.h"
#include "number.h"
#include "warp.h"

/* X(number, the register's type, the number's type, min, max, arguments of the user) */
#define TO_INTEGERS(X, ...)                                      \
	X(U8, uint16_t, uint8_t, 0, UINT8_MAX, __VA_ARGS__)          \
	X(S8, uint16_t, int8_t, INT8_MIN, INT8_MAX, __VA_ARGS__)     \
	X(U16, uint16_t, uint16_t, 0, UINT16_MAX, __VA_ARGS__)       \
	X(S16, uint16_t, int16_t, INT16_MIN, INT16_MAX, __VA_ARGS__) \
	X(U32, uint32_t, uint32_t, 0, UINT32_MAX, __VA_ARGS__)       \
	X(S32, uint32_t, int32_t, INT32_MIN, INT32_MAX, __VA_ARGS__) \
	X(U64, uint64_t, uint64_t, 0, UINT64_MAX, __VA_ARGS__)       \
	X(S64, uint64_t, int64_t, INT64_MIN, INT64_MAX, __VA_ARGS__)
#define FROM_INTEGERS(X, ...)               \
	X(U8, uint16_t, uint8_t, __VA_ARGS__)   \
	X(S8, uint16_t, int8_t, __VA_ARGS__)    \
	X(U16, uint16_t, uint16_t, __VA_ARGS__) \
	X(S16, uint16_t, int16_t, __VA_ARGS__)  \
	X(U32, uint32_t, uint32_t, __VA_ARGS__) \
	X(S32, uint32_t, int32_t, __VA_ARGS__)  \
	X(U64, uint64_t, uint64_t, __VA_ARGS__) \
	X(S64, uint64_t, int64_t, __VA_ARGS__)
/* X(number, the register's type, how it becomes a double, ...) */
#define FROM_FLOATS(X, ...)                     \
	X(F16, uint16_t, f32_of_f16, __VA_ARGS__)   \
	X(BF16, uint16_t, f32_of_bf16, __VA_ARGS__) \
	X(F32, float, (double), __VA_ARGS__)        \
	X(F64, double, (double), __VA_ARGS__)

/* ---- integers to integers; .sat clamps ---- */
typedef __int128 wide;
#define INTEGER(FROM, RF, VF, TO, RT, VT, LOW, HIGH)                             \
	static void TO##_of_##FROM(struct warp *w, const struct ins *in)             \
	{                                                                            \
		RT *d = OPERAND(RT, 0);                                                  \
		const RF *a = OPERAND(RF, 1);                                            \
		if (!in->sat) {                                                          \
			EACH_LANE(d[l] = (RT)(VT)(VF)a[l]);                                  \
			return;                                                              \
		}                                                                        \
		for (int l = 0; l < LANES; l++) {                                        \
			wide v = (VF)a[l];                                                   \
			v = v<(wide)(LOW) ? (wide)(LOW) : v>(wide)(HIGH) ? (wide)(HIGH) : v; \
			if (w->exec >> l & 1)                                                \
				d[l] = (RT)(VT)v;                                                \
		}                                                                        \
	}
#define INTEGERS_TO(TO, RT, VT, LOW, HIGH, unused) FROM_INTEGERS(INTEGER, TO, RT, VT, LOW, HIGH)
TO_INTEGERS(INTEGERS_TO, )

/* ---- floats to integers: rounded, then clamped ---- */
static double rounded(double v, int round)
{
	return round == ROUND_NEAREST ? rint(v) : round == ROUND_ZERO ? trunc(v) : round == ROUND_DOWN ? floor(v) : ceil(v);
}

/* HIGH + 1 is a power of 2, hence exact in a double, as HIGH may not be. */
#define FLOAT_TO_INTEGER(FROM, RF, WIDEN, TO, RT, VT, LOW, HIGH)                                            \
	static void TO##_of_##FROM(struct warp *w, const struct ins *in)                                        \
	{                                                                                                       \
		RT *d = OPERAND(RT, 0);                                                                             \
		const RF *a = OPERAND(RF, 1);                                                                       \
		const RT nan = FROM##_is_wide || sizeof(VT) == 8 ? (RT)((RT)1 << (8 * sizeof(RT) - 1)) : 0;         \
		const double end = (double)(HIGH / 2 + 1) * 2;                                                      \
		for (int l = 0; l < LANES; l++) {                                                                   \
			double v = rounded(WIDEN(a[l]), in->round);                                                     \
			if (w->exec >> l & 1)                                                                           \
				d[l] = v != v ? nan : v >= end ? (RT)(VT)HIGH : v <= (double)LOW ? (RT)(VT)LOW : (RT)(VT)v; \
		}                                                                                                   \
	}
enum { F16_is_wide, BF16_is_wide = 0, F32_is_wide = 0, F64_is_wide = 1 };
#define FLOATS_TO(TO, RT, VT, LOW, HIGH, unused) FROM_FLOATS(FLOAT_TO_INTEGER, TO, RT, VT, LOW, HIGH)
TO_INTEGERS(FLOATS_TO, )

/* The frequent one, vectorised: it needs no wider type. */
static void S32_of_F32_truncated(struct warp *w, const struct ins *in)
{
	uint32_t *d = OPERAND(uint32_t, 0);
	const float *a = OPERAND(float, 1);
	EACH_LANE(float v = a[l]; bool in_range = v > -0x1p31f && v < 0x1p31f; int32_t r = (int32_t)(in_range ? v : 0);
	          d[l] = in_range || v != v ? (uint32_t)r
	                 : v > 0            ? (uint32_t)INT32_MAX
	                                    : (uint32_t)INT32_MIN);
}

/* To 10 bits of fraction, ties away from zero. */
UNARY(cvt_tf32, uint32_t, uint32_t,
      (a & 0x7fffffff) > 0x7f800000   ? 0x7fffffff
      : (a & 0x7fffffff) < 0x7f800000 ? (a + 0x1000) & 0xffffe000
                                      : a)

/* ---- pairs of floats of 8 bits; .relu: negative ones become 0 ---- */
static float positive(float v, bool relu) { return relu && v < 0 ? 0 : v; }

#define EIGHT_BITS(type)                                                                              \
	BINARY(cvt_##type##_f32, uint16_t, float,                                                         \
	       type##_of_f32(positive(a, in->relu)) << 8 | type##_of_f32(positive(b, in->relu)))          \
	UNARY(cvt_##type##_f16, uint16_t, uint32_t,                                                       \
	      type##_of_f32(positive(f32_of_f16((uint16_t)(a >> 16)), in->relu)) << 8                     \
	          | type##_of_f32(positive(f32_of_f16((uint16_t)a), in->relu)))                           \
	static uint32_t f16x2_of_##type(uint16_t a, bool relu)                                            \
	{                                                                                                 \
		uint16_t high = f16_of_##type((uint8_t)(a >> 8)), low = f16_of_##type((uint8_t)a);            \
		return (uint32_t)(relu && high & 0x8000 ? 0 : high) << 16 | (relu && low & 0x8000 ? 0 : low); \
	}                                                                                                 \
	UNARY(cvt_f16_##type, uint32_t, uint16_t, f16x2_of_##type(a, in->relu))
EIGHT_BITS(e4m3)
EIGHT_BITS(e5m2)

/* ---- integers to floats ---- */
/* To a double, whose last bit is 1 if some were lost. */
static double odd_of(uint64_t magnitude, bool negative)
{
	int lost = magnitude >> 53 ? 11 - __builtin_clzll(magnitude) : 0;
	uint64_t kept = magnitude >> lost, rest = magnitude & ((UINT64_C(1) << lost) - 1);
	double v = ldexp((double)(kept | (rest != 0)), lost);
	return negative ? -v : v;
}

#define INTEGER_TO_FLOAT(FROM, RF, VF, unused)                      \
	static void F32_of_##FROM(struct warp *w, const struct ins *in) \
	{                                                               \
		float *d = OPERAND(float, 0);                               \
		const RF *a = OPERAND(RF, 1);                               \
		EACH_LANE(d[l] = (float)(VF)a[l]);                          \
	}                                                               \
	static void F64_of_##FROM(struct warp *w, const struct ins *in) \
	{                                                               \
		double *d = OPERAND(double, 0);                             \
		const RF *a = OPERAND(RF, 1);                               \
		EACH_LANE(d[l] = (double)(VF)a[l]);                         \
	}                                                               \
	INTEGER_TO_HALF(FROM, RF, VF, F16, f16)                         \
	INTEGER_TO_HALF(FROM, RF, VF, BF16, bf16)
#define INTEGER_TO_HALF(FROM, RF, VF, TO, to)                                                                   \
	static void TO##_of_##FROM(struct warp *w, const struct ins *in)                                            \
	{                                                                                                           \
		uint16_t *d = OPERAND(uint16_t, 0);                                                                     \
		const RF *a = OPERAND(RF, 1);                                                                           \
		EACH_LANE(wide v = (VF)a[l]; d[l] = to##_of_f64(odd_of((uint64_t)(v < 0 ? -v : v), v < 0), in->round)); \
	}
FROM_INTEGERS(INTEGER_TO_FLOAT, )

/* ---- floats to floats. variant: rounded to an integer first ---- */
#define FLOAT(FROM, RF, WIDEN, TO, RT, NARROW)                                       \
	static void TO##_of_##FROM(struct warp *w, const struct ins *in)                 \
	{                                                                                \
		RT *d = OPERAND(RT, 0);                                                      \
		const RF *a = OPERAND(RF, 1);                                                \
		if (in->variant)                                                             \
			EACH_LANE(double v = rounded(WIDEN(a[l]), in->round); d[l] = NARROW(v)); \
		else                                                                         \
			EACH_LANE(double v = WIDEN(a[l]); d[l] = NARROW(v));                     \
	}
#define TO_F16(v)  f16_of_f64(v, in->variant ? ROUND_NEAREST : in->round)
#define TO_BF16(v) bf16_of_f64(v, in->variant ? ROUND_NEAREST : in->round)
FROM_FLOATS(FLOAT, F16, uint16_t, TO_F16)
FROM_FLOATS(FLOAT, BF16, uint16_t, TO_BF16)
FROM_FLOATS(FLOAT, F32, float, (float))
FROM_FLOATS(FLOAT, F64, double, )

/* The frequent ones, when they round to the nearest. */
#define FAST_TO_HALF(TO, to)                                           \
	static void TO##_of_F32_fast(struct warp *w, const struct ins *in) \
	{                                                                  \
		uint16_t *d = OPERAND(uint16_t, 0);                            \
		const float *a = OPERAND(float, 1);                            \
		if (in->round != ROUND_NEAREST)                                \
			TO##_of_F32(w, in);                                        \
		else                                                           \
			EACH_LANE(d[l] = to##_of_f32(a[l]));                       \
	}
FAST_TO_HALF(F16, f16)
FAST_TO_HALF(BF16, bf16)
#define FAST_OF_HALF(FROM, from)                                           \
	static void F32_of_##FROM##_fast(struct warp *w, const struct ins *in) \
	{                                                                      \
		float *d = OPERAND(float, 0);                                      \
		const uint16_t *a = OPERAND(uint16_t, 1);                          \
		EACH_LANE(d[l] = f32_of_##from(a[l]));                             \
	}
FAST_OF_HALF(F16, f16)
FAST_OF_HALF(BF16, bf16)

static void S32_of_F32_any(struct warp *w, const struct ins *in)
{
	(in->round == ROUND_ZERO ? S32_of_F32_truncated : S32_of_F32)(w, in);
}

#define COLUMN(FROM, RF, VF, TO)       [FROM] = TO##_of_##FROM,
#define ROW_OF(TO)                     {FROM_INTEGERS(COLUMN, TO) FROM_FLOATS(COLUMN, TO)},
#define ROW(TO, RT, VT, LOW, HIGH, un) [TO] = ROW_OF(TO)
static handler *const table[F64 + 1][F64 + 1] = {TO_INTEGERS(ROW, )[F16] = ROW_OF(F16)[BF16] = ROW_OF(BF16)[F32] =
                                                     ROW_OF(F32)[F64] = ROW_OF(F64)};

handler *cvt_handler(enum number to, enum number from)
{
	if (from == F32 && (to == F16 || to == BF16))
		return to == F16 ? F16_of_F32_fast : BF16_of_F32_fast;
	if (to == F32 && (from == F16 || from == BF16))
		return from == F16 ? F32_of_F16_fast : F32_of_BF16_fast;
	return to == S32 && from == F32 ? S32_of_F32_any : table[to][from];
}
