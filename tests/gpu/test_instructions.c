/* Every instruction that computes a register from registers, against C, on special and random values. */
#include <fenv.h>
#include <math.h>
#include "gpu_test.h"

enum { SOURCES = 4, THREADS = 4096 };

/* ---- operands as C sees them ---- */
static float half(uint32_t h)
{
	int exponent = (int)(h >> 10 & 31), fraction = (int)(h & 1023);
	double v = exponent == 31 ? (fraction ? NAN : INFINITY)
	           : exponent     ? ldexp(1024 + fraction, exponent - 25)
	                          : ldexp(fraction, -24);
	return (float)(h & 0x8000 ? -v : v);
}
static float brain(uint32_t h)
{
	uint32_t bits = h << 16;
	float v;
	memcpy(&v, &bits, sizeof v);
	return v;
}
static float f32_of(uint64_t bits)
{
	float v;
	memcpy(&v, &bits, sizeof v);
	return v;
}
static double f64_of(uint64_t bits)
{
	double v;
	memcpy(&v, &bits, sizeof v);
	return v;
}
static uint64_t oF(float v)
{
	uint32_t bits;
	memcpy(&bits, &v, sizeof v);
	return bits;
}
static uint64_t oD(double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof v);
	return bits;
}

/* The format's number nearest to v, by comparing with its neighbours. `rest` has the sign of what v lacks. */
static uint64_t nearest(__float128 v, __float128 rest, float (*number)(uint32_t), uint32_t infinity)
{
	uint32_t sign = v < 0 || (v == 0 && signbit((double)v)) ? 0x8000 : 0, low = 0, high = infinity;
	__float128 magnitude = v < 0 ? -v : v, more = v < 0 ? -rest : rest;
	if (v != v)
		return 0x7fff;
	while (high - low > 1) {
		uint32_t middle = (low + high) / 2;
		if (number(middle) <= magnitude)
			low = middle;
		else
			high = middle;
	}
	/* Halfway to infinity counts as if the format went on. */
	__float128 below = number(low), above = high == infinity ? 2 * below - number(low - 1) : (__float128)number(high);
	__float128 to_low = magnitude - below, to_high = above - magnitude;
	bool down = to_low == to_high ? more == 0 ? !(low & 1) : more < 0 : to_low < to_high;
	return sign | (down ? low : high);
}
static uint64_t oE_wide(__float128 v) { return nearest(v, 0, half, 0x7c00); }
static uint64_t oE(double v) { return oE_wide(v); }
static uint64_t oB_wide(__float128 v) { return nearest(v, 0, brain, 0x7f80); }

/* What a + b loses: f128 does not hold a product and a sum of any exponents. */
static __float128 lost(__float128 a, __float128 b)
{
	__float128 sum = a + b, part = sum - a, r = (a - (sum - part)) + (b - part);
	return r == r ? r : 0;
}
static uint64_t oE_sum(__float128 a, __float128 b) { return nearest(a + b, lost(a, b), half, 0x7c00); }
static uint64_t oB_sum(__float128 a, __float128 b) { return nearest(a + b, lost(a, b), brain, 0x7f80); }

/* ---- what the table needs ---- */
static uint32_t clamp32(int64_t v) { return (uint32_t)(v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v); }
static uint64_t ones(uint64_t v)
{
	uint64_t n = 0;
	for (; v; v >>= 1)
		n += v & 1;
	return n;
}
static int highest(uint64_t v)
{
	int n = -1;
	for (; v; v >>= 1)
		n++;
	return n;
}
static uint64_t mirrored(uint64_t v, int size)
{
	uint64_t r = 0;
	for (int i = 0; i < size; i++)
		r |= (v >> i & 1) << (size - 1 - i);
	return r;
}
static uint64_t field(uint64_t v, uint32_t at, uint32_t n, uint32_t size, bool is_signed)
{
	uint64_t r = 0;
	at &= 255;
	n &= 255;
	uint32_t top = at + n - 1 < size - 1 ? at + n - 1 : size - 1;
	bool sign = is_signed && n && v >> top & 1;
	for (uint32_t i = 0; i < size; i++)
		r |= (uint64_t)(i < n && at + i < size ? v >> (at + i) & 1 : sign) << i;
	return r;
}
static uint64_t with_field(uint64_t a, uint64_t b, uint32_t at, uint32_t n, uint32_t size)
{
	at &= 255;
	n &= 255;
	for (uint32_t i = 0; i < n && at + i < size; i++)
		b = (b & ~(UINT64_C(1) << (at + i))) | (a >> i & 1) << (at + i);
	return b;
}
static uint32_t bytes_of(uint32_t a, uint32_t b, uint32_t selectors)
{
	uint8_t bytes[8];
	uint32_t r = 0;
	memcpy(bytes, &a, 4);
	memcpy(bytes + 4, &b, 4);
	for (int i = 0; i < 4; i++) {
		uint32_t s = selectors >> 4 * i & 15;
		r |= (uint32_t)(s & 8 ? bytes[s & 7] & 0x80 ? 0xff : 0 : bytes[s]) << 8 * i;
	}
	return r;
}
static uint32_t backward(uint32_t n) { return n | ((n + 7) & 7) << 4 | ((n + 6) & 7) << 8 | ((n + 5) & 7) << 12; }
static uint32_t clamped_below(uint32_t n)
{
	static const uint32_t s[] = {0x3210, 0x3211, 0x3222, 0x3333};
	return s[n];
}
static uint32_t clamped_above(uint32_t n)
{
	static const uint32_t s[] = {0x0000, 0x1110, 0x2210, 0x3210};
	return s[n];
}
static uint32_t dot(uint32_t a, uint32_t b, uint32_t sum, bool a_signed, bool b_signed)
{
	for (int i = 0; i < 4; i++) {
		int x = (int)(a >> 8 * i & 255), y = (int)(b >> 8 * i & 255);
		sum += (uint32_t)((a_signed && x > 127 ? x - 256 : x) * (b_signed && y > 127 ? y - 256 : y));
	}
	return sum;
}
/* 11 significant bits, or multiples of 2^-136 below them; ties away from zero. */
static uint64_t tf32_of(float v)
{
	int exponent;
	if (isnan(v) || isinf(v))
		return isnan(v) ? 0x7fffffff : oF(v);
	frexpf(v, &exponent);
	exponent = exponent < -125 ? -136 : exponent - 11;
	return oF((float)ldexp(round(ldexp(v, -exponent)), exponent));
}
/* Floats of 8 bits: what each of the codes is worth, and the nearest one, the even one of two. */
static double value_of_8(int code, int fraction, int bias)
{
	int exponent = code >> fraction, rest = code & ((1 << fraction) - 1);
	return ldexp(exponent ? (1 << fraction) + rest : rest, (exponent ? exponent : 1) - bias - fraction);
}
static uint32_t nearest_8(float v, int fraction, int bias, int largest, bool relu)
{
	int best = 0;
	double magnitude = fmin(fabs(v), value_of_8(largest, fraction, bias)), distance = magnitude;
	if (isnan(v))
		return 0x7f;
	if (relu && v < 0)
		return 0;
	for (int code = 1; code <= largest; code++) {
		double d = fabs(magnitude - value_of_8(code, fraction, bias));
		if (d < distance || (d == distance && !(code & 1))) {
			best = code;
			distance = d;
		}
	}
	return (uint32_t)best | (signbit(v) ? 0x80 : 0);
}
static uint32_t e4m3(float v, bool relu) { return nearest_8(v, 3, 7, 0x7e, relu); }
static uint32_t e5m2(float v, bool relu) { return nearest_8(v, 2, 15, 0x7b, relu); }
static uint32_t half_of_e4m3(uint64_t code)
{
	double v = value_of_8(code & 0x7f, 3, 7);
	return (code & 0x7f) == 0x7f ? 0x7fff : (uint32_t)oE((float)(code & 0x80 ? -v : v));
}
static uint32_t half_of_e5m2(uint64_t code)
{
	double v = value_of_8(code & 0x7f, 2, 15);
	return (code & 0x7f) > 0x7c ? 0x7fff : (uint32_t)oE((float)(code & 0x80 ? -v : v));
}
static float flushed(float v) { return fabsf(v) < 0x1p-126f ? copysignf(0, v) : v; }
static uint32_t flushed_half(uint64_t h) { return (uint32_t)(h & 0x7c00 ? h : h & 0x8000); }
static uint64_t relu_half(uint64_t h) { return isnan(half((uint32_t)h)) ? 0x7fff : h & 0x8000 ? 0 : h; }
static float unit(float v) { return v > 0 ? v < 1 ? v : 1 : 0; }
static float least(float a, float b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) ? b : a;
	return a < b || (a == b && signbit(a)) ? a : b;
}
static double least_f64(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) ? b : a;
	return a < b || (a == b && signbit(a)) ? a : b;
}
static uint64_t with_nan(float a, float b, float v) { return isnan(a) || isnan(b) ? oF(NAN) : oF(v); }
/* In another rounding; volatile keeps the compiler from computing it before. */
static uint64_t directed(int round, char operation, float x, float y, float z)
{
	volatile float a = x, b = y, c = z, r;
	fesetround(round);
	r = operation == '+' ? a + b : operation == '*' ? a * b : operation == '/' ? a / b : fmaf(a, b, c);
	fesetround(FE_TONEAREST);
	return oF(r);
}

#define U(i)  ((uint32_t)x[i])
#define S(i)  ((int32_t)x[i])
#define UL(i) (x[i])
#define SL(i) ((int64_t)x[i])
#define UH(i) ((uint16_t)x[i])
#define SH(i) ((int16_t)x[i])
#define F(i)  f32_of(x[i])
#define D(i)  f64_of(x[i])
#define E(i)  half((uint16_t)x[i])
#define B(i)  brain((uint16_t)x[i])
#define P(i)  (x[i] & 1)
/* Upper halves, and a flushed f16. */
#define EH(i)      half(U(i) >> 16)
#define BH(i)      brain(U(i) >> 16)
#define FLUSHED(i) half(flushed_half(UH(i)))
#define NEAR(ulps)
#define CASE(name, ins, operands, expression) \
	static uint64_t want_##name(const uint64_t *x) { return (uint64_t)(expression); }
#include "instructions.def"

static const struct instruction {
	const char *name, *ins, *operands;
	uint64_t (*want)(const uint64_t *x);
	int near; /* -1: an instruction */
} instructions[] = {
#define CASE(name, ins, operands, expression) {#name, ins, operands, want_##name, -1},
#define NEAR(ulps)                            {NULL, NULL, NULL, NULL, ulps},
#include "instructions.def"
};
enum { INSTRUCTIONS = sizeof instructions / sizeof *instructions };

/* ---- inputs ---- */
static uint64_t pick(const uint64_t *values, int n) { return values[gpu_random() % (uint64_t)n]; }
#define PICK(values) pick(values, (int)(sizeof(values) / sizeof *(values)))

static uint64_t integer_input(void)
{
	static const uint64_t special[] = {0,
	                                   1,
	                                   2,
	                                   31,
	                                   32,
	                                   63,
	                                   64,
	                                   0x7f,
	                                   0x80,
	                                   0xff,
	                                   0x7fff,
	                                   0x8000,
	                                   0xffff,
	                                   0x10000,
	                                   0x7fffffff,
	                                   0x80000000,
	                                   0xffffffff,
	                                   0x7fffffffffffffff,
	                                   0x8000000000000000,
	                                   0xffffffffffffffff};
	return gpu_random() % 2 ? PICK(special) : gpu_random() >> gpu_random() % 64;
}

static uint64_t f32_input(void)
{
	static const uint64_t special[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
	                                   0x7fc00000, 0xffc00001, 1,          0x807fffff, 0x007fffff, 0x00800000,
	                                   0x7f7fffff, 0xff7fffff, 0x3f000000, 0x4b800001};
	return gpu_random() % 3 == 0 ? PICK(special)
	       : gpu_random() % 2    ? (uint32_t)gpu_random()
	                             : oF((float)(gpu_random() % 4096) / 64 - 32);
}

static uint64_t f64_input(void)
{
	static const uint64_t special[] = {
		0, 0x8000000000000000, 0x3ff0000000000000, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
		1, 0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff};
	return gpu_random() % 3 == 0 ? PICK(special)
	       : gpu_random() % 2    ? gpu_random()
	                             : oD((double)(gpu_random() % 4096) / 64 - 32);
}

static uint64_t half_input(void)
{
	static const uint64_t special[] = {0,      0x8000, 0x3c00, 0x3f80, 0x7c00, 0xfc00, 0x7f80, 0xff80,
	                                   0x7e00, 0x7fc0, 1,      0x83ff, 0x7bff, 0x7f7f, 0xf7ff};
	return gpu_random() % 3 == 0 ? PICK(special) : gpu_random() & 0xffff;
}

static uint64_t input(const char *operands, int i)
{
	char letter = operands[2 + i] == 'z' ? operands[0] : operands[2 + i];
	double spread = (double)(gpu_random() % 1000000) / 1000000;
	uint64_t v;
	switch (letter) {
	case 'f': return f32_input();
	case 'd': return f64_input();
	case 'e':
	case 'b': return half_input();
	case 'n': return gpu_random() % 4 ? gpu_random() % 70 : gpu_random() % 260;
	case 'g': return oF((float)ldexp(1 + spread, (int)(gpu_random() % 60) - 30));
	case 'm': return oF((float)(spread * 20 - 10));
	case 's': return oF((float)(spread * 6 - 3));
	default:  break;
	}
	v = integer_input();
	uint64_t size = letter == 'h' ? 0xffff : letter == 'r' ? 0xffffffff : ~UINT64_C(0);
	return operands[2 + i] == 'z' && !(v & size) ? 1 : v;
}

/* ---- texts ---- */
static const char *register_type(char letter)
{
	return strchr("heb", letter)  ? ".b16"
	       : strchr("rn", letter) ? ".b32"
	       : letter == 'l'        ? ".b64"
	       : letter == 'd'        ? ".f64"
	       : letter == 'p'        ? ".pred"
	                              : ".f32";
}

static char letter_of(const char *operands, int i) { return operands[2 + i] == 'z' ? operands[0] : operands[2 + i]; }

static int kernel_text(char *to, size_t size, const struct instruction *in)
{
	const char *more = strchr(in->operands, ',');
	int sources = (int)strcspn(in->operands, ",") - 2, n;
	char result = in->operands[0];
	n = snprintf(to, size,
	             ".visible .entry %s(.param .u64 in, .param .u64 out)\n{\n.reg .b64 %%in, %%out, %%at;\n.reg .b32 %%t, "
	             "%%b, %%c;\n",
	             in->name);
#define ADD(...) n += snprintf(to + n, size - (size_t)n, __VA_ARGS__)
	ADD(".reg %s %%y;\n", register_type(result));
	for (int i = 0; i < sources; i++)
		ADD(".reg %s %%x%d;\n", register_type(letter_of(in->operands, i)), i);
	ADD("ld.param.u64 %%in, [in];\nld.param.u64 %%out, [out];\nmov.u32 %%t, %%tid.x;\nmov.u32 %%b, %%ctaid.x;\nmov.u32 "
	    "%%c, %%ntid.x;\n"
	    "mad.lo.u32 %%t, %%b, %%c, %%t;\nmul.wide.u32 %%at, %%t, 8;\nadd.u64 %%out, %%out, %%at;\nmul.wide.u32 %%at, "
	    "%%t, 32;\n"
	    "add.u64 %%in, %%in, %%at;\n");
	for (int i = 0; i < sources; i++) {
		const char *type = register_type(letter_of(in->operands, i));
		if (!strcmp(type, ".pred"))
			ADD("ld.global.u32 %%b, [%%in+%d];\nand.b32 %%b, %%b, 1;\nsetp.ne.u32 %%x%d, %%b, 0;\n", 8 * i, i);
		else
			ADD("ld.global%s %%x%d, [%%in+%d];\n", type, i, 8 * i);
	}
	ADD("%s %%y", in->ins);
	for (int i = 0; i < sources; i++)
		ADD(", %%x%d", i);
	ADD("%s;\n", more ? more : "");
	if (result == 'p')
		ADD("selp.u32 %%b, 1, 0, %%y;\nst.global.u32 [%%out], %%b;\nret;\n}\n");
	else
		ADD("st.global%s [%%out], %%y;\nret;\n}\n", register_type(result));
#undef ADD
	return n;
}

/* ---- comparisons ---- */
static bool is_nan(char letter, uint64_t v)
{
	return letter == 'f'   ? isnan(f32_of(v))
	       : letter == 'd' ? isnan(f64_of(v))
	       : letter == 'e' ? isnan(half((uint32_t)v))
	                       : letter == 'b' && isnan(brain((uint32_t)v));
}

static bool same(char letter, uint64_t got, uint64_t want, int near)
{
	if (got == want || (is_nan(letter, got) && is_nan(letter, want)))
		return true;
	return near && llabs((int64_t)got - (int64_t)want) <= near;
}

/* Pairs of halves: a NaN in one of them is any NaN. */
static bool same_pair(const char *ins, uint64_t got, uint64_t want)
{
	char letter = strstr(ins, "bf16x2") ? 'b' : 'e';
	return same(letter, got & 0xffff, want & 0xffff, 0) && same(letter, got >> 16, want >> 16, 0);
}

static int check(const struct instruction *in, int near, CUfunction f, CUdeviceptr d_in, CUdeviceptr d_out)
{
	static uint64_t x[THREADS][SOURCES], y[THREADS];
	int sources = (int)strcspn(in->operands, ",") - 2;
	for (int t = 0; t < THREADS; t++)
		for (int i = 0; i < sources; i++)
			x[t][i] = input(in->operands, i);
	GOOD(cu.cuMemcpyHtoD_v2(d_in, x, sizeof x));
	GOOD(cu.cuMemsetD8_v2(d_out, 0, sizeof y));
	GOOD(gpu_launch(f, THREADS / 128, 128, 0, NULL, (uint64_t[]){d_in, d_out}));
	gpu_get(y, d_out, sizeof y);
	for (int t = 0; t < THREADS; t++) {
		uint64_t want = in->want(x[t]);
		if (same(in->operands[0], y[t], want, near) || (strstr(in->ins, "16x2") && same_pair(in->ins, y[t], want)))
			continue;
		print_error("%s %llx, %llx, %llx, %llx: %llx, not %llx\n", in->ins, (unsigned long long)x[t][0],
		            (unsigned long long)x[t][1], (unsigned long long)x[t][2], (unsigned long long)x[t][3],
		            (unsigned long long)y[t], (unsigned long long)want);
		return 1;
	}
	return 0;
}

static void all_instructions(void **state)
{
	size_t size = INSTRUCTIONS * 1200;
	char *text = malloc(size);
	int n = 0, wrong = 0, near = 0;
	(void)state;
	for (int i = 0; i < INSTRUCTIONS; i++)
		if (instructions[i].name)
			n += kernel_text(text + n, size - (size_t)n, &instructions[i]);
	CUmodule m = gpu_module(text);
	CUdeviceptr in = gpu_put(NULL, THREADS * SOURCES * 8), out = gpu_put(NULL, THREADS * 8);
	for (int i = 0; i < INSTRUCTIONS; i++) {
		if (instructions[i].name)
			wrong += check(&instructions[i], near, gpu_function(m, instructions[i].name), in, out);
		else
			near = instructions[i].near;
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
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_instructions)};
	return cmocka_run_group_tests(tests, setup, NULL);
}
