/* Runs an instruction under another rounding, with subnormal numbers as zeros, or with a result that is clamped. The
 * host's own control register does the first two. */
#include "handlers.h"
#include "number.h"
#include "warp.h"

#if defined(__x86_64__)
#include <immintrin.h>
typedef unsigned host_modes;
static host_modes get_modes(void) { return _mm_getcsr(); }
static void set_modes(host_modes m) { _mm_setcsr(m); }
static host_modes with_modes(host_modes m, enum rounding round, bool flush)
{
	static const unsigned rounds[] = {_MM_ROUND_NEAREST, _MM_ROUND_TOWARD_ZERO, _MM_ROUND_DOWN, _MM_ROUND_UP};
	m = (m & ~(unsigned)_MM_ROUND_MASK) | rounds[round];
	return flush ? m | _MM_FLUSH_ZERO_ON | 0x40 : m;
}
#elif defined(__aarch64__)
typedef uint64_t host_modes;
static host_modes get_modes(void)
{
	host_modes m;
	__asm__ volatile("mrs %0, fpcr" : "=r"(m));
	return m;
}
static void set_modes(host_modes m) { __asm__ volatile("msr fpcr, %0" : : "r"(m)); }
static host_modes with_modes(host_modes m, enum rounding round, bool flush)
{
	static const host_modes rounds[] = {0, 3, 2, 1};
	m = (m & ~(UINT64_C(3) << 22)) | rounds[round] << 22;
	return flush ? m | UINT64_C(1) << 24 : m;
}
#endif

/* ---- .sat: to [0, 1], a NaN becomes 0; .relu: not negative, a NaN stays ---- */
static uint16_t clamp_half(uint16_t h, bool brain, bool sat)
{
	float v = brain ? f32_of_bf16(h) : f32_of_f16(h);
	if (sat)
		return v != v || v <= 0 ? 0 : v > 1 ? brain ? 0x3f80 : 0x3c00 : h;
	return v != v ? NAN_16 : v <= 0 ? 0 : h;
}

static void clamp(struct warp *w, const struct ins *in)
{
	bool brain = in->number == BF16 || in->number == BF16X2;
	if (in->number == F32) {
		float *d = OPERAND(float, 0);
		EACH_LANE(d[l] = d[l] > 0 ? d[l] < 1 ? d[l] : 1 : 0);
	} else if (in->number == F64) {
		double *d = OPERAND(double, 0);
		EACH_LANE(d[l] = d[l] > 0 ? d[l] < 1 ? d[l] : 1 : 0);
	} else if (in->number == F16X2 || in->number == BF16X2) {
		uint32_t *d = OPERAND(uint32_t, 0);
		EACH_LANE(d[l] = clamp_half((uint16_t)d[l], brain, in->sat)
		                 | (uint32_t)clamp_half((uint16_t)(d[l] >> 16), brain, in->sat) << 16);
	} else {
		uint16_t *d = OPERAND(uint16_t, 0);
		EACH_LANE(d[l] = clamp_half(d[l], brain, in->sat));
	}
}

/* ---- .ftz of f16, which the host cannot do, and of operations on bits ---- */
static uint16_t flush_half(uint16_t h) { return h & 0x7c00 ? h : h & 0x8000; }
static uint32_t flush_float(uint32_t bits) { return bits & 0x7f800000 ? bits : bits & 0x80000000; }

static void flush_operand(struct warp *w, const struct ins *in, int i)
{
	if (in->number == F16) {
		uint16_t *d = OPERAND(uint16_t, i);
		EACH_LANE(d[l] = flush_half(d[l]));
	} else if (in->number == F16X2) {
		uint32_t *d = OPERAND(uint32_t, i);
		EACH_LANE(d[l] = flush_half((uint16_t)d[l]) | (uint32_t)flush_half((uint16_t)(d[l] >> 16)) << 16);
	} else if (in->number == F32) {
		uint32_t *d = OPERAND(uint32_t, i);
		EACH_LANE(d[l] = flush_float(d[l]));
	}
}

/* The instruction on flushed copies of its sources. */
static void run_flushed(struct warp *w, const struct ins *in)
{
	_Alignas(64) unsigned char copies[3][LANES * 4];
	uint32_t op[4] = {in->op[0]};
	size_t bytes = in->number == F16 ? LANES * 2 : LANES * 4;
	struct ins flushed = *in;
	unsigned char *constants = w->area[AREA_CONSTANTS];
	for (int i = 1; i < in->n_ops; i++)
		memcpy(copies[i - 1], warp_operand(w, in->op[i]), bytes);
	/* The copies take the place of the constants while it runs. */
	for (int i = 1; i < in->n_ops; i++)
		op[i] = (uint32_t)((i - 1) * LANES * 4) | AREA_CONSTANTS;
	flushed.op = op;
	w->area[AREA_CONSTANTS] = copies[0];
	for (int i = 1; i < in->n_ops; i++)
		flush_operand(w, &flushed, i);
	in->plain(w, &flushed);
	w->area[AREA_CONSTANTS] = constants;
	if ((in->op[0] & AREA_MASK) != AREA_PREDICATES)
		flush_operand(w, in, 0);
}

void x_with_modes(struct warp *w, const struct ins *in)
{
	host_modes before = get_modes();
	bool half = in->number == F16 || in->number == F16X2;
	set_modes(with_modes(before, in->round, in->ftz && !half));
	if (in->ftz && in->number != F64)
		run_flushed(w, in);
	else
		in->plain(w, in);
	set_modes(before);
	if (in->sat || in->relu)
		clamp(w, in);
}

/* Rounded down, the ways in which compilers convert 0 may lead to -0. */
static void clear_minus_zeros(struct warp *w, const struct ins *in)
{
	if (in->number == F32) {
		uint32_t *d = OPERAND(uint32_t, 0);
		EACH_LANE(d[l] = d[l] == UINT32_C(0x80000000) ? 0 : d[l]);
	} else if (in->number == F64) {
		uint64_t *d = OPERAND(uint64_t, 0);
		EACH_LANE(d[l] = d[l] == UINT64_C(1) << 63 ? 0 : d[l]);
	}
}

/* The same for conversions, whose sources have another type: the host flushes f32, and no other can be flushed. */
void x_cvt_with_modes(struct warp *w, const struct ins *in)
{
	host_modes before = get_modes();
	bool half = in->number == F16 || in->number == BF16; /* number.c rounds to these */
	set_modes(with_modes(before, half ? ROUND_NEAREST : in->round, in->ftz));
	in->plain(w, in);
	set_modes(before);
	if (in->of_integer && in->round == ROUND_DOWN)
		clear_minus_zeros(w, in);
	if (in->sat || in->relu)
		clamp(w, in);
}
