/* mma and ldmatrix against products that C computes; copies that are waited for later. */
#include "gpu_test.h"

enum { ROWS = 16, COLUMNS = 8, MAX_K = 16 };

/* Bits of small numbers, whose products and sums are exact. */
static uint32_t bits_of(const char *type, float v)
{
	uint32_t bits;
	_Float16 half = (_Float16)v;
	uint16_t half_bits;
	memcpy(&bits, &v, sizeof bits);
	memcpy(&half_bits, &half, sizeof half_bits);
	return !strcmp(type, "f16") ? half_bits : !strcmp(type, "bf16") ? bits >> 16 : bits;
}

struct product {
	float a[ROWS][MAX_K], b[MAX_K][COLUMNS], c[ROWS][COLUMNS];
};

static float some_number(void) { return (float)(int)(gpu_random() % 63) - 31; }

static void make_product(struct product *p)
{
	for (int i = 0; i < ROWS; i++)
		for (int j = 0; j < MAX_K; j++)
			p->a[i][j] = some_number();
	for (int j = 0; j < MAX_K; j++)
		for (int n = 0; n < COLUMNS; n++)
			p->b[j][n] = some_number();
	for (int i = 0; i < ROWS; i++)
		for (int n = 0; n < COLUMNS; n++)
			p->c[i][n] = some_number() / 4;
}

static float want(const struct product *p, int k, int i, int n)
{
	float sum = p->c[i][n];
	for (int j = 0; j < k; j++)
		sum += p->a[i][j] * p->b[j][n];
	return sum;
}

/* The words of a lane: a in 0.., b in 4.., c in 8... as the PTX manual lays them out. */
static void pack_lane(const struct product *p, const char *type, int k, int lane, uint32_t *words)
{
	int group = lane / 4, in_group = lane % 4, per_word = strcmp(type, "tf32") ? 2 : 1;
	for (int r = 0; r < 4; r++)
		for (int e = 0; e < per_word; e++) {
			int column = in_group * per_word + e + r / 2 * 4 * per_word;
			if (column < k)
				words[r] |= bits_of(type, p->a[group + r % 2 * 8][column]) << 16 * e;
		}
	for (int r = 0; r < 2; r++)
		for (int e = 0; e < per_word; e++) {
			int row = in_group * per_word + e + r * 4 * per_word;
			if (row < k)
				words[4 + r] |= bits_of(type, p->b[row][group]) << 16 * e;
		}
	for (int r = 0; r < 4; r++)
		words[8 + r] = bits_of("f32", p->c[group + r / 2 * 8][in_group * 2 + r % 2]);
}

static void check_product(const struct product *p, int k, float out[32][4])
{
	for (int lane = 0; lane < 32; lane++)
		for (int r = 0; r < 4; r++)
			assert_float_equal(out[lane][r], want(p, k, lane / 4 + r / 2 * 8, lane % 4 * 2 + r % 2), 0);
}

/* Words of fragments from memory; the sum replaces c, as loops do it. */
static void run_mma(const char *type, int k)
{
	static const char load[] =
		"mov.u32 %r0, %tid.x;\nmul.wide.u32 %rd2, %r0, 48;\nadd.u64 %rd2, %rd2, %rd1;\n"
		"ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd2];\nld.global.v2.u32 {%r5, %r6}, [%rd2+16];\n"
		"ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd2+32];\n";
	static const char store[] = "mul.wide.u32 %rd2, %r0, 16;\nadd.u64 %rd2, %rd2, %rd0;\n"
								"st.global.v4.f32 [%rd2], {%f1, %f2, %f3, %f4};";
	char body[1000];
	uint32_t words[32][12] = {{0}};
	float out[32][4];
	struct product p;
	bool half = strcmp(type, "tf32") && k == 8;
	make_product(&p);
	for (int lane = 0; lane < 32; lane++)
		pack_lane(&p, type, k, lane, words[lane]);
	snprintf(body, sizeof body,
	         "%smma.sync.aligned.m16n8k%d.row.col.f32.%s.%s.f32 {%%f1, %%f2, %%f3, %%f4}, {%s}, {%s}, {%%f1, %%f2, "
	         "%%f3, %%f4};\n%s",
	         load, k, type, type, half ? "%r1, %r2" : "%r1, %r2, %r3, %r4", half ? "%r5" : "%r5, %r6", store);
	CUdeviceptr in = gpu_put(words, sizeof words), to = gpu_put(NULL, sizeof out);
	GOOD(gpu_launch(gpu_function(gpu_module(KERNEL("k", 2, body)), "k"), 1, 32, 0, NULL, (uint64_t[]){to, in}));
	gpu_get(out, to, sizeof out);
	check_product(&p, k, out);
}

static void products(void **state)
{
	(void)state;
	run_mma("bf16", 16);
	run_mma("f16", 16);
	run_mma("bf16", 8);
	run_mma("f16", 8);
	run_mma("tf32", 8);
}

/* The whole way: rows of a and b by cp.async into shared memory, fragments by ldmatrix, of b transposed. */
static void by_ldmatrix(void **state)
{
	static const char body[] =
		".shared .align 16 .b8 a[512];\n.shared .align 16 .b8 b[256];\nmov.u32 %r0, %tid.x;\nmov.u32 %r9, a;\n"
		"shl.b32 %r1, %r0, 4;\nadd.u32 %r2, %r9, %r1;\ncvt.u64.u32 %rd2, %r1;\nadd.u64 %rd3, %rd1, %rd2;\n"
		"cp.async.cg.shared.global [%r2], [%rd3], 16;\nmov.u32 %r10, b;\nadd.u32 %r2, %r10, %r1;\n"
		"setp.lt.u32 %p1, %r0, 16;\n@%p1 cp.async.ca.shared.global.L2::128B [%r2], [%rd3+512], 16;\n"
		"cp.async.commit_group;\ncp.async.wait_group 0;\nbar.warp.sync -1;\n"
		/* a: lanes 0..15 have rows 0..15, the others the same, 8 columns further. */
		"and.b32 %r3, %r0, 15;\nshr.u32 %r4, %r0, 4;\nshl.b32 %r3, %r3, 5;\nshl.b32 %r4, %r4, 4;\nadd.u32 %r3, %r3, "
		"%r4;\nadd.u32 %r3, %r3, %r9;\nldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r11, %r12, %r13, %r14}, [%r3];\n"
		"and.b32 %r3, %r0, 15;\nshl.b32 %r3, %r3, 4;\nmov.u64 %rd4, b;\ncvta.shared.u64 %rd4, %rd4;\ncvt.u64.u32 %rd5, "
		"%r3;\nadd.u64 %rd4, %rd4, %rd5;\nldmatrix.sync.aligned.m8n8.x2.trans.b16 {%r15, %r16}, [%rd4];\n"
		"mov.f32 %f5, 0f00000000;\nmma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f4}, {%r11, "
		"%r12, %r13, %r14}, {%r15, %r16}, {%f5, %f5, %f5, %f5};\n"
		"mul.wide.u32 %rd2, %r0, 16;\nadd.u64 %rd2, %rd2, %rd0;\nst.global.v4.f32 [%rd2], {%f1, %f2, %f3, %f4};";
	uint16_t in[ROWS * MAX_K + MAX_K * COLUMNS];
	float out[32][4];
	struct product p;
	(void)state;
	make_product(&p);
	memset(p.c, 0, sizeof p.c);
	for (int i = 0; i < ROWS * MAX_K; i++)
		in[i] = (uint16_t)bits_of("bf16", p.a[i / MAX_K][i % MAX_K]);
	for (int i = 0; i < MAX_K * COLUMNS; i++)
		in[ROWS * MAX_K + i] = (uint16_t)bits_of("bf16", p.b[i / COLUMNS][i % COLUMNS]);
	CUdeviceptr from = gpu_put(in, sizeof in), to = gpu_put(NULL, sizeof out);
	GOOD(gpu_launch(gpu_function(gpu_module(KERNEL("k", 2, body)), "k"), 1, 32, 0, NULL, (uint64_t[]){to, from}));
	gpu_get(out, to, sizeof out);
	check_product(&p, MAX_K, out);
}

/* Sizes, bytes that are not copied and become zeros, groups that are waited for one after another, the size in a
 * register, policies. */
static void copies(void **state)
{
	static const char body[] =
		".shared .align 16 .b8 s[64];\nmov.u32 %r9, s;\nld.global.u32 %r1, [%rd1+60];\nand.b32 %r1, %r1, 7;\n"
		"createpolicy.fractional.L2::evict_first.b64 %rd4, 1.0;\ncp.async.ca.shared.global [%r9], [%rd1], 4;\n"
		"cp.async.commit_group;\ncp.async.ca.shared::cta.global [%r9+8], [%rd1+8], 8, %r1;\ncp.async.commit_group;\n"
		"cp.async.cg.shared.global.L2::cache_hint [%r9+16], [%rd1+16], 16, %rd4;\n"
		"cp.async.cg.shared.global.L2::cache_hint.L2::256B [%r9+32], [%rd1+32], 16, 0, %rd4;\n"
		"cp.async.wait_group 1;\nld.shared.u32 %r2, [s];\nst.global.u32 [%rd0], %r2;\ncp.async.commit_group;\n"
		"cp.async.wait_group 1;\nld.shared.v2.u32 {%r2, %r3}, [s+8];\nst.global.v2.u32 [%rd0+8], {%r2, %r3};\n"
		"cp.async.ca.shared.global [%r9+48], [%rd1+48], 4;\ncp.async.wait_all;\n"
		"ld.shared.v4.u32 {%r2, %r3, %r4, %r5}, [s+16];\nst.global.L2::cache_hint.v4.u32 [%rd0+16], {%r2, %r3, %r4, "
		"%r5}, %rd4;\nld.shared.v4.u32 {%r2, %r3, %r4, %r5}, [s+32];\nst.global.v4.u32 [%rd0+32], {%r2, %r3, %r4, "
		"%r5};\nld.shared.u32 %r2, [s+48];\nst.global.u32 [%rd0+48], %r2;\n"
		"ld.global.nc.L2::cache_hint.u32 %r2, [%rd1+4], %rd4;\nst.global.u32 [%rd0+4], %r2;";
	uint32_t in[16], out[16];
	(void)state;
	for (uint32_t i = 0; i < 16; i++)
		in[i] = 0x01010101 * (i + 1);
	in[15] = 5;
	CUdeviceptr from = gpu_put(in, sizeof in), to = gpu_put(NULL, sizeof out);
	GOOD(gpu_launch(gpu_function(gpu_module(KERNEL("k", 2, body)), "k"), 1, 1, 0, NULL, (uint64_t[]){to, from}));
	gpu_get(out, to, sizeof out);
	for (int i = 0; i < 13; i++)
		assert_int_equal(out[i], i == 3 ? 0x04 : i >= 8 && i < 12 ? 0 : in[i]);
}

static int setup(void **state)
{
	(void)state;
	gpu_open();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(products), cmocka_unit_test(by_ldmatrix),
	                                   cmocka_unit_test(copies)};
	return cmocka_run_group_tests(tests, setup, NULL);
}
