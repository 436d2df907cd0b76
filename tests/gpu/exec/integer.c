/* Integer arithmetic and bits. Signs matter only where a handler's name has one. */
#include "handlers.h"
#include "warp.h"

typedef unsigned __int128 u128;
typedef __int128 s128;

#define FOR_SIZES(macro) macro(16) macro(32) macro(64)

#define ARITHMETIC(n)                                                                   \
	BINARY(add_u##n, uint##n##_t, uint##n##_t, a + b)                                   \
	BINARY(sub_u##n, uint##n##_t, uint##n##_t, a - b)                                   \
	BINARY(mul_u##n, uint##n##_t, uint##n##_t, (uint64_t)a *b)                          \
	TERNARY(mad_u##n, uint##n##_t, uint##n##_t, (uint64_t)a *b + c)                     \
	UNARY(neg_u##n, uint##n##_t, uint##n##_t, 0 - (uint64_t)a)                          \
	UNARY(abs_s##n, uint##n##_t, int##n##_t, a < 0 ? 0 - (uint64_t)a : (uint64_t)a)     \
	BINARY(min_u##n, uint##n##_t, uint##n##_t, a < b ? a : b)                           \
	BINARY(min_s##n, int##n##_t, int##n##_t, a < b ? a : b)                             \
	BINARY(max_u##n, uint##n##_t, uint##n##_t, a > b ? a : b)                           \
	BINARY(max_s##n, int##n##_t, int##n##_t, a > b ? a : b)                             \
	BINARY(and_##n, uint##n##_t, uint##n##_t, a &b)                                     \
	BINARY(or_##n, uint##n##_t, uint##n##_t, a | b)                                     \
	BINARY(xor_##n, uint##n##_t, uint##n##_t, a ^ b)                                    \
	UNARY(not_##n, uint##n##_t, uint##n##_t, ~a)                                        \
	UNARY(cnot_##n, uint##n##_t, uint##n##_t, a == 0)                                   \
	BINARY2(shl_##n, uint##n##_t, uint##n##_t, uint32_t, b < n ? (uint64_t)a << b : 0)  \
	BINARY2(shr_u##n, uint##n##_t, uint##n##_t, uint32_t, b < n ? (uint64_t)a >> b : 0) \
	BINARY2(shr_s##n, int##n##_t, int##n##_t, uint32_t, a >> (b < n ? b : n - 1))
FOR_SIZES(ARITHMETIC)

/* Division by zero sets all bits, and its remainder is the dividend. So is what overflows: MIN / -1 is MIN. */
#define DIVISION(n)                                                                                                 \
	BINARY(div_u##n, uint##n##_t, uint##n##_t, b ? a / b : UINT64_MAX)                                              \
	BINARY(rem_u##n, uint##n##_t, uint##n##_t, b ? a % b : a)                                                       \
	BINARY(div_s##n, int##n##_t, int##n##_t, b == 0 ? -1 : b == -1 ? (int64_t)(0 - (uint64_t)a) : (int64_t)(a / b)) \
	BINARY(rem_s##n, int##n##_t, int##n##_t, b == 0 ? a : b == -1 ? 0 : a % b)
FOR_SIZES(DIVISION)

/* The upper half of a product, the whole product, and both added to. */
#define HIGH(n, u_wide, s_wide)                                     \
	BINARY(mulhi_u##n, uint##n##_t, uint##n##_t, (u_wide)a *b >> n) \
	BINARY(mulhi_s##n, int##n##_t, int##n##_t, (s_wide)a *b >> n)
HIGH(16, uint32_t, int32_t)
HIGH(32, uint64_t, int64_t)
HIGH(64, u128, s128)
TERNARY(madhi_u32, uint32_t, uint32_t, ((uint64_t)a * b >> 32) + c)
TERNARY(madhi_s32, uint32_t, int32_t, (uint32_t)((int64_t)a *b >> 32) + (uint32_t)c)
TERNARY(madhi_u64, uint64_t, uint64_t, (uint64_t)((u128)a *b >> 64) + c)
TERNARY(madhi_s64, uint64_t, int64_t, (uint64_t)((s128)a *b >> 64) + (uint64_t)c)
#define WIDE(n, wide)                                                                                          \
	BINARY(mulwide_u##n, uint##wide##_t, uint##n##_t, (uint##wide##_t)a *b)                                    \
	BINARY(mulwide_s##n, int##wide##_t, int##n##_t, (int##wide##_t)a *b)                                       \
	TERNARY3(madwide_u##n, uint##wide##_t, uint##n##_t, uint##n##_t, uint##wide##_t, (uint##wide##_t)a *b + c) \
	TERNARY3(madwide_s##n, uint##wide##_t, int##n##_t, int##n##_t, uint##wide##_t,                             \
	         (uint##wide##_t)((int##wide##_t)a * b) + c)
WIDE(16, 32)
WIDE(32, 64)
BINARY(mul24_u32, uint32_t, uint32_t, (a & 0xffffff) * (b & 0xffffff))
BINARY(mul24_s32, int32_t, int32_t, (int64_t)((int32_t)((uint32_t)a << 8) >> 8) * ((int32_t)((uint32_t)b << 8) >> 8))

static int32_t saturated(int64_t v) { return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (int32_t)v; }
BINARY(add_sat, int32_t, int32_t, saturated((int64_t)a + b))
BINARY(sub_sat, int32_t, int32_t, saturated((int64_t)a - b))
TERNARY(sad_u32, uint32_t, uint32_t, c + (a > b ? a - b : b - a))
TERNARY(sad_s32, uint32_t, int32_t, (uint32_t)c + (a > b ? (uint32_t)a - (uint32_t)b : (uint32_t)b - (uint32_t)a))

/* ---- carries: a bit per lane, between neighbouring instructions ---- */
#define CARRY(name, T, wide, expression, carries, keeps)                             \
	void x_##name(struct warp *w, const struct ins *in)                              \
	{                                                                                \
		T *d = OPERAND(T, 0);                                                        \
		const T *a_ = OPERAND(T, 1), *b_ = OPERAND(T, 2);                            \
		for (int l = 0; l < LANES; l++) {                                            \
			wide a = a_[l], b = b_[l], c = w->carry >> l & 1, r = (expression);      \
			if (!(w->exec >> l & 1))                                                 \
				continue;                                                            \
			d[l] = (T)r;                                                             \
			if (keeps)                                                               \
				w->carry = (w->carry & ~(1u << l)) | (uint32_t)((carries) & 1) << l; \
			(void)c;                                                                 \
		}                                                                            \
	}
#define CARRIES(n, wide)                                            \
	CARRY(add_cc_u##n, uint##n##_t, wide, a + b, r >> n, true)      \
	CARRY(addc_cc_u##n, uint##n##_t, wide, a + b + c, r >> n, true) \
	CARRY(addc_u##n, uint##n##_t, wide, a + b + c, 0, false)        \
	CARRY(sub_cc_u##n, uint##n##_t, wide, a - b, r >> n, true)      \
	CARRY(subc_cc_u##n, uint##n##_t, wide, a - b - c, r >> n, true) \
	CARRY(subc_u##n, uint##n##_t, wide, a - b - c, 0, false)
CARRIES(32, uint64_t)
CARRIES(64, u128)

/* ---- bits ---- */
UNARY(popc_32, uint32_t, uint32_t, __builtin_popcount(a))
UNARY(popc_64, uint32_t, uint64_t, __builtin_popcountll(a))
UNARY(clz_32, uint32_t, uint32_t, a ? __builtin_clz(a) : 32)
UNARY(clz_64, uint32_t, uint64_t, a ? __builtin_clzll(a) : 64)
UNARY(bfind_u32, uint32_t, uint32_t, a ? 31 - __builtin_clz(a) : -1)
UNARY(bfind_s32, uint32_t, int32_t, a == 0 || a == -1 ? -1 : 31 - __builtin_clz((uint32_t)(a < 0 ? ~a : a)))
UNARY(bfind_u64, uint32_t, uint64_t, a ? 63 - __builtin_clzll(a) : -1)
UNARY(bfind_s64, uint32_t, int64_t, a == 0 || a == -1 ? -1 : 63 - __builtin_clzll((uint64_t)(a < 0 ? ~a : a)))

static uint32_t reversed(uint32_t v)
{
	v = (v >> 1 & 0x55555555) | (v & 0x55555555) << 1;
	v = (v >> 2 & 0x33333333) | (v & 0x33333333) << 2;
	v = (v >> 4 & 0x0f0f0f0f) | (v & 0x0f0f0f0f) << 4;
	return __builtin_bswap32(v);
}
UNARY(brev_32, uint32_t, uint32_t, reversed(a))
UNARY(brev_64, uint64_t, uint64_t, (uint64_t)reversed((uint32_t)a) << 32 | reversed((uint32_t)(a >> 32)))

/* Only the low byte of a position and a length counts. */
static uint64_t low_bits(uint32_t n) { return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1; }

static uint64_t extract(uint64_t a, uint32_t at, uint32_t n)
{
	at &= 0xff;
	n &= 0xff;
	return at >= 64 ? 0 : a >> at & low_bits(n);
}

/* The sign of a field that reaches past the top is the sign of the number. */
static int64_t extract_signed(int64_t a, uint32_t at, uint32_t n, uint32_t size)
{
	at &= 0xff;
	n &= 0xff;
	if (n == 0)
		return 0;
	uint32_t top = at + n - 1 < size ? at + n - 1 : size - 1;
	uint64_t sign = (uint64_t)a >> top & 1 ? UINT64_MAX : 0;
	uint64_t bits = at >= size ? 0 : (uint64_t)a >> at;
	uint32_t have = at >= size ? 0 : top - at + 1;
	return (int64_t)((bits & low_bits(have)) | (sign & ~low_bits(have)));
}

static uint64_t insert(uint64_t a, uint64_t b, uint32_t at, uint32_t n)
{
	at &= 0xff;
	n &= 0xff;
	uint64_t mask = at >= 64 ? 0 : low_bits(n) << at;
	return (b & ~mask) | (at >= 64 ? 0 : a << at & mask);
}

TERNARY(bfe_u32, uint32_t, uint32_t, extract(a, b, c))
TERNARY3(bfe_s32, int32_t, int32_t, uint32_t, uint32_t, extract_signed(a, b, c, 32))
TERNARY3(bfe_u64, uint64_t, uint64_t, uint32_t, uint32_t, extract(a, b, c))
TERNARY3(bfe_s64, int64_t, int64_t, uint32_t, uint32_t, extract_signed(a, b, c, 64))

#define INSERT(n)                                                                     \
	void x_bfi_##n(struct warp *w, const struct ins *in)                              \
	{                                                                                 \
		uint##n##_t *d = OPERAND(uint##n##_t, 0);                                     \
		const uint##n##_t *a = OPERAND(uint##n##_t, 1), *b = OPERAND(uint##n##_t, 2); \
		const uint32_t *at = OPERAND(uint32_t, 3), *length = OPERAND(uint32_t, 4);    \
		EACH_LANE(d[l] = (uint##n##_t)insert(a[l], b[l], at[l], length[l]));          \
	}
INSERT(32)
INSERT(64)

/* 64 bits, b above a, shifted; one half is the result. */
static uint64_t joined(uint32_t a, uint32_t b) { return (uint64_t)b << 32 | a; }
TERNARY(shf_l_wrap, uint32_t, uint32_t, joined(a, b) << (c & 31) >> 32)
TERNARY(shf_l_clamp, uint32_t, uint32_t, c > 31 ? a : joined(a, b) << c >> 32)
TERNARY(shf_r_wrap, uint32_t, uint32_t, joined(a, b) >> (c & 31))
TERNARY(shf_r_clamp, uint32_t, uint32_t, c > 31 ? b : joined(a, b) >> c)

void x_lop3(struct warp *w, const struct ins *in)
{
	uint32_t *d = OPERAND(uint32_t, 0);
	const uint32_t *a = OPERAND(uint32_t, 1), *b = OPERAND(uint32_t, 2), *c = OPERAND(uint32_t, 3);
	uint32_t table = *OPERAND(uint32_t, 4);
	EACH_LANE(uint32_t r = 0;
	          for (int k = 0; k < 8; k++) r |=
	          table >> k & 1 ? (k & 4 ? a[l] : ~a[l]) & (k & 2 ? b[l] : ~b[l]) & (k & 1 ? c[l] : ~c[l]) : 0;
	          d[l] = r);
}

/* Selectors of prmt's other modes: which of the 8 bytes each of 4 takes. */
static uint32_t selectors(int mode, uint32_t s)
{
	uint32_t n = s & 3, r = 0;
	for (uint32_t k = 0; k < 4; k++) {
		uint32_t byte = mode == 1   ? n + k
		                : mode == 2 ? n - k
		                : mode == 3 ? n
		                : mode == 4 ? (k > n ? k : n)
		                : mode == 5 ? (k < n ? k : n)
		                            : (n & 1) * 2 + (k & 1);
		r |= (byte & 7) << 4 * k;
	}
	return r;
}

static uint32_t permuted(uint32_t a, uint32_t b, uint32_t s)
{
	uint64_t bytes = joined(a, b);
	uint32_t r = 0;
	for (int k = 0; k < 4; k++) {
		uint32_t selector = s >> 4 * k & 15, byte = bytes >> 8 * (selector & 7) & 0xff;
		if (selector & 8)
			byte = byte & 0x80 ? 0xff : 0;
		r |= byte << 8 * k;
	}
	return r;
}

void x_prmt(struct warp *w, const struct ins *in)
{
	uint32_t *d = OPERAND(uint32_t, 0);
	const uint32_t *a = OPERAND(uint32_t, 1), *b = OPERAND(uint32_t, 2), *c = OPERAND(uint32_t, 3);
	EACH_LANE(d[l] = permuted(a[l], b[l], in->variant ? selectors(in->variant, c[l]) : c[l]));
}

/* Sums of products of four bytes each. */
#define DOT(name, A, B)                                              \
	static uint32_t dot_##name(uint32_t a, uint32_t b, uint32_t sum) \
	{                                                                \
		for (int k = 0; k < 32; k += 8)                              \
			sum += (uint32_t)((A)(a >> k) * (B)(b >> k));            \
		return sum;                                                  \
	}                                                                \
	TERNARY(dp4a_##name, uint32_t, uint32_t, dot_##name(a, b, c))
DOT(uu, uint8_t, uint8_t)
DOT(ss, int8_t, int8_t)
DOT(su, int8_t, uint8_t)
DOT(us, uint8_t, int8_t)
