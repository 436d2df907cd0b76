/* cvt between all types, with every rounding, against exact values rounded step by step. */
#include <fenv.h>
#include <math.h>
#include "gpu_test.h"

enum { THREADS = 2048 };
typedef __float128 exact; /* holds every number of every type */

enum kind { UNSIGNED, SIGNED, FLOAT };
static const struct type {
	const char *name, *store; /* store: the type of its register */
	enum kind kind;
	int size, fraction, bias; /* bytes; of floats, bits of the fraction and the exponent's bias */
} types[] = {{"u8", "b16", UNSIGNED, 1, 0, 0},  {"s8", "b16", SIGNED, 1, 0, 0},    {"u16", "b16", UNSIGNED, 2, 0, 0},
             {"s16", "b16", SIGNED, 2, 0, 0},   {"u32", "b32", UNSIGNED, 4, 0, 0}, {"s32", "b32", SIGNED, 4, 0, 0},
             {"u64", "b64", UNSIGNED, 8, 0, 0}, {"s64", "b64", SIGNED, 8, 0, 0},   {"f16", "b16", FLOAT, 2, 10, 15},
             {"bf16", "b16", FLOAT, 2, 7, 127}, {"f32", "f32", FLOAT, 4, 23, 127}, {"f64", "f64", FLOAT, 8, 52, 1023}};
enum { TYPES = sizeof types / sizeof *types, BF16 = 9, F32 = 10 };

struct conversion {
	const struct type *to, *from;
	char rounding[8];
	bool sat;
};

/* ---- numbers ---- */
/* v times 2 to the power of `by`, which is a number of its own. */
static exact scaled(exact v, int by)
{
	unsigned __int128 bits = (unsigned __int128)(by + 16383) << 112;
	exact power;
	memcpy(&power, &bits, sizeof power);
	return v * power;
}

static int exponent_of(exact v)
{
	unsigned __int128 bits;
	memcpy(&bits, &v, sizeof v);
	return (int)(bits >> 112 & 0x7fff) - 16383;
}

static bool is_nan(const struct type *t, uint64_t bits)
{
	int exponent_bits = t->size * 8 - 1 - t->fraction;
	uint64_t exponent = bits >> t->fraction & ((UINT64_C(1) << exponent_bits) - 1);
	return t->kind == FLOAT && exponent == (UINT64_C(1) << exponent_bits) - 1
	       && bits & ((UINT64_C(1) << t->fraction) - 1);
}

static exact value_of(const struct type *t, uint64_t bits)
{
	int shift = 64 - 8 * t->size;
	if (t->kind != FLOAT)
		return t->kind == SIGNED ? (exact)((int64_t)(bits << shift) >> shift) : (exact)(bits << shift >> shift);
	uint64_t fraction = bits & ((UINT64_C(1) << t->fraction) - 1),
			 exponent = bits << shift << 1 >> shift >> 1 >> t->fraction;
	bool negative = bits >> (8 * t->size - 1) & 1;
	exact v;
	if (exponent == 2 * (uint64_t)t->bias + 1)
		v = fraction ? (exact)NAN : (exact)INFINITY;
	else if (exponent)
		v = scaled((exact)(fraction | UINT64_C(1) << t->fraction), (int)exponent - t->bias - t->fraction);
	else
		v = scaled((exact)fraction, 1 - t->bias - t->fraction);
	return negative ? -v : v;
}

/* The integer below, or the one that `rounding` chooses: n z m p. */
static exact integer_of(exact v, char rounding)
{
	if (v != v || v > scaled(1, 120) || v < -scaled(1, 120))
		return v;
	exact down = (exact)(__int128)v;
	down -= down > v;
	exact rest = v - down, up = down + 1;
	bool odd = (__int128)down & 1, take_up = rounding == 'p'   ? rest > 0
	                                         : rounding == 'm' ? false
	                                         : rounding == 'z' ? rest > 0 && v < 0
	                                                           : rest > 0.5 || (rest == 0.5 && odd);
	return take_up ? up : down;
}

static uint64_t float_bits(const struct type *t, exact v, char rounding)
{
	uint64_t sign = v < 0 || (v == 0 && signbit((double)v)) ? UINT64_C(1) << (8 * t->size - 1) : 0;
	exact magnitude = v < 0 ? -v : v;
	uint64_t infinity = (2 * (uint64_t)t->bias + 1) << t->fraction;
	if (v != v)
		return infinity | 1;
	if (magnitude == 0 || magnitude > scaled(1, 1100))
		return sign | (magnitude == 0 ? 0 : infinity);
	int exponent = exponent_of(magnitude) < 1 - t->bias ? 1 - t->bias : exponent_of(magnitude);
	exact units = integer_of(scaled(v, t->fraction - exponent), rounding);
	exact r = scaled(exponent + t->bias - 1, t->fraction) + (units < 0 ? -units : units);
	if (r < (exact)infinity)
		return sign | (uint64_t)r;
	bool away = rounding == 'n' || (rounding == 'p' && v > 0) || (rounding == 'm' && v < 0);
	return sign | (away ? infinity : infinity - 1);
}

static uint64_t integer_bits(const struct type *t, exact v)
{
	exact low = t->kind == SIGNED ? -scaled(1, 8 * t->size - 1) : 0, end = scaled(1, 8 * t->size - (t->kind == SIGNED));
	if (v < low)
		v = low;
	if (v >= end)
		v = end - 1;
	return v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v;
}

/* Integers become narrower by losing bits, or are clamped. Their register has 16 bits at least. */
static uint64_t expected(const struct conversion *c, uint64_t bits)
{
	exact v = value_of(c->from, bits);
	char rounding = c->rounding[0] ? c->rounding[2] : 'n';
	bool to_integer = strlen(c->rounding) == 4;
	uint64_t kept = c->to->size >= 2 ? ~UINT64_C(0) >> (64 - 8 * c->to->size) : 0xffff;
	if (c->to->kind == FLOAT) {
		exact u = to_integer ? integer_of(v, rounding) : v;
		if (u == 0 && (v < 0 || signbit((double)v)))
			u = -(exact)0.0;
		if (c->sat)
			u = u > 0 ? u < 1 ? u : 1 : 0;
		return float_bits(c->to, u, to_integer ? 'n' : rounding);
	}
	if (c->from->kind == FLOAT)
		return integer_bits(c->to, integer_of(v, rounding)) & kept;
	if (c->sat)
		return integer_bits(c->to, v) & kept;
	int shift = 64 - 8 * c->to->size;
	uint64_t r = v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v;
	return (c->to->kind == SIGNED ? (uint64_t)((int64_t)(r << shift) >> shift) : r << shift >> shift) & kept;
}

/* ---- all conversions ---- */
static const char *const float_roundings[] = {".rn", ".rz", ".rm", ".rp", NULL};
static const char *const integer_roundings[] = {".rni", ".rzi", ".rmi", ".rpi", NULL};
static const char *const none[] = {"", NULL}, *const nearest[] = {".rn", NULL}, *const two[] = {".rn", ".rz", NULL};

static const char *const *roundings_of(const struct type *to, const struct type *from)
{
	if (to->kind != FLOAT)
		return from->kind == FLOAT ? integer_roundings : none;
	if (from->kind == FLOAT && to == from)
		return integer_roundings;
	if (from->kind == FLOAT && to->size > from->size)
		return none;
	return to != &types[BF16] ? float_roundings : from == &types[F32] ? two : nearest;
}

static bool exists(const struct type *to, const struct type *from)
{
	bool brain = to == &types[BF16] || from == &types[BF16];
	if (brain && (to == from || to->size == 1 || from->size == 1))
		return false;
	/* f16 and bf16 are not converted to each other without a rounding, nor one 8-bit type to itself. */
	return !(to == from && to->kind != FLOAT)
	       && !(to->kind == FLOAT && from->kind == FLOAT && to->size == from->size && to != from);
}

/* Integers are clamped where some of `from` are not in `to`. */
static bool can_saturate(const struct type *to, const struct type *from)
{
	if (to->kind == FLOAT || from->kind == FLOAT)
		return to == &types[F32] && from == &types[F32 + 1];
	return to->kind == from->kind ? to->size < from->size : to->kind == UNSIGNED || to->size <= from->size;
}

static int list(struct conversion *all)
{
	int n = 0;
	for (int to = 0; to < TYPES; to++)
		for (int from = 0; from < TYPES; from++) {
			const char *const *r = roundings_of(&types[to], &types[from]);
			for (; exists(&types[to], &types[from]) && *r; r++) {
				struct conversion c = {&types[to], &types[from], "", false};
				strcpy(c.rounding, *r);
				all[n++] = c;
				c.sat = true;
				if (can_saturate(&types[to], &types[from]))
					all[n++] = c;
			}
		}
	return n;
}

static int kernel_text(char *to, size_t size, const struct conversion *c, int number)
{
	return snprintf(
		to, size,
		".visible .entry k%d(.param .u64 in, .param .u64 out)\n{\n.reg .b64 %%in, %%out, %%at;\n"
		".reg .b32 %%t, %%b, %%c;\n.reg .%s %%x;\n.reg .%s %%y;\nld.param.u64 %%in, [in];\n"
		"ld.param.u64 %%out, [out];\nmov.u32 %%t, %%tid.x;\nmov.u32 %%b, %%ctaid.x;\nmov.u32 %%c, %%ntid.x;\n"
		"mad.lo.u32 %%t, %%b, %%c, %%t;\nmul.wide.u32 %%at, %%t, 8;\nadd.u64 %%in, %%in, %%at;\n"
		"add.u64 %%out, %%out, %%at;\nld.global.%s %%x, [%%in];\ncvt%s%s.%s.%s %%y, %%x;\nst.global.%s [%%out], %%y;\n"
		"ret;\n}\n",
		number, c->from->store, c->to->store, c->from->store, c->rounding, c->sat ? ".sat" : "", c->to->name,
		c->from->name, c->to->store);
}

/* Every bit pattern of 16 bits comes up often enough; of longer floats, exponents near those of the other types. */
static uint64_t input(const struct type *t)
{
	uint64_t bits = gpu_random();
	if (t->kind != FLOAT)
		return gpu_random() % 2 ? bits >> gpu_random() % 64 : (uint64_t)0 - (bits >> gpu_random() % 64);
	if (gpu_random() % 8 == 0)
		return bits;
	double v = ldexp((double)(bits % 4097) - 2048, (int)(gpu_random() % 90) - 50);
	return float_bits(t, v, 'n') + gpu_random() % 3 - 1;
}

static int check(const struct conversion *c, CUfunction f, CUdeviceptr d_in, CUdeviceptr d_out)
{
	static uint64_t x[THREADS], y[THREADS];
	for (int t = 0; t < THREADS; t++)
		x[t] = input(c->from);
	GOOD(cu.cuMemcpyHtoD_v2(d_in, x, sizeof x));
	GOOD(cu.cuMemsetD8_v2(d_out, 0, sizeof y));
	GOOD(gpu_launch(f, THREADS / 128, 128, 0, NULL, (uint64_t[]){d_in, d_out}));
	gpu_get(y, d_out, sizeof y);
	for (int t = 0; t < THREADS; t++) {
		bool nan = is_nan(c->from, x[t]);
		/* What a NaN becomes as an integer is not checked here. */
		if (nan && (c->to->kind != FLOAT || c->sat ? true : is_nan(c->to, y[t])))
			continue;
		uint64_t want = expected(c, x[t]);
		if (y[t] == want)
			continue;
		print_error("cvt%s%s.%s.%s %llx: %llx, not %llx\n", c->rounding, c->sat ? ".sat" : "", c->to->name,
		            c->from->name, (unsigned long long)x[t], (unsigned long long)y[t], (unsigned long long)want);
		return 1;
	}
	return 0;
}

static void all_conversions(void **state)
{
	static struct conversion all[1000];
	int n = list(all), at = 0, wrong = 0;
	size_t size = (size_t)n * 800;
	char *text = calloc(1, size), name[16];
	(void)state;
	for (int i = 0; i < n; i++)
		at += kernel_text(text + at, size - (size_t)at, &all[i], i);
	CUmodule m = gpu_module(text);
	CUdeviceptr in = gpu_put(NULL, THREADS * 8), out = gpu_put(NULL, THREADS * 8);
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "k%d", i);
		wrong += check(&all[i], gpu_function(m, name), in, out);
	}
	free(text);
	assert_int_equal(wrong, 0);
}

static int setup(void **state)
{
	(void)state;
	gpu_open();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_conversions)};
	return cmocka_run_group_tests(tests, setup, NULL);
}
