/* Control flow, calls, memory, and what lanes do together. */
#include "gpu_test.h"

enum { N = 256 };

/* Runs a kernel (out, in) of one CTA; `in` holds 0, 1, 2 .. as u32. */
static void run(const char *text, const char *name, unsigned threads, uint32_t *out)
{
	uint32_t in[N];
	for (uint32_t i = 0; i < N; i++)
		in[i] = i;
	CUdeviceptr d_in = gpu_put(in, sizeof in), d_out = gpu_put(NULL, N * 4);
	GOOD(cu.cuMemsetD8_v2(d_out, 0, N * 4));
	GOOD(gpu_launch(gpu_function(gpu_module(text), name), 1, threads, 0, NULL, (uint64_t[]){d_out, d_in}));
	gpu_get(out, d_out, N * 4);
	GOOD(cu.cuMemFree_v2(d_in));
	GOOD(cu.cuMemFree_v2(d_out));
}

/* %r0: the thread; %rd3: its word in `out`, %rd4: in `in`. */
#define THREAD \
	"mov.u32 %r0, %tid.x;\nmul.wide.u32 %rd2, %r0, 4;\nadd.u64 %rd3, %rd0, %rd2;\nadd.u64 %rd4, %rd1, %rd2;\n"
#define RUN(body, threads, out) run(KERNEL("k", 2, THREAD body), "k", threads, out)

/* ---- control flow ---- */
static void divergence(void **state)
{
	uint32_t out[N];
	(void)state;
	/* Three ways, that lanes meet after: then all of them vote. */
	RUN("rem.u32 %r1, %r0, 3;\nsetp.eq.u32 %p1, %r1, 0;\n@%p1 bra A;\nsetp.eq.u32 %p1, %r1, 1;\n@%p1 bra B;\nmov.u32 "
	    "%r2, 30;\n"
	    "bra C;\nA: mov.u32 %r2, 10;\nbra C;\nB: mov.u32 %r2, 20;\nC: setp.gt.u32 %p2, %r2, 10;\n"
	    "vote.sync.ballot.b32 %r3, %p2, 0xffffffff;\npopc.b32 %r3, %r3;\nadd.u32 %r2, %r2, %r3;\nst.global.u32 [%rd3], "
	    "%r2;\n",
	    64, out);
	for (uint32_t i = 0; i < 64; i++) {
		uint32_t votes = 0;
		for (uint32_t k = i / 32 * 32; k < i / 32 * 32 + 32; k++)
			votes += k % 3 != 0;
		assert_int_equal(out[i], (i % 3 + 1) * 10 + votes);
	}
}

static void loops(void **state)
{
	uint32_t out[N];
	(void)state;
	/* As many turns as the thread's number, an inner loop in each. Lanes that are done wait. */
	RUN("mov.u32 %r1, 0;\nmov.u32 %r2, 0;\nOUTER: setp.ge.u32 %p1, %r1, %r0;\n@%p1 bra DONE;\nmov.u32 %r3, 0;\n"
	    "INNER: add.u32 %r2, %r2, 1;\nadd.u32 %r3, %r3, 1;\nsetp.le.u32 %p2, %r3, %r1;\n@%p2 bra INNER;\nadd.u32 %r1, "
	    "%r1, 1;\n"
	    "bra OUTER;\nDONE: activemask.b32 %r4;\npopc.b32 %r4, %r4;\nmad.lo.u32 %r2, %r4, 100000, %r2;\nst.global.u32 "
	    "[%rd3], %r2;\n",
	    64, out);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(out[i] % 100000, i * (i + 1) / 2);
	for (uint32_t i = 0; i < 64 && gpu_is_emulated(); i++)
		assert_int_equal(out[i] / 100000, 32);
}

static void predicated(void **state)
{
	uint32_t out[N];
	(void)state;
	/* An instruction under a predicate keeps the others' result; threads leave early. */
	RUN("mov.u32 %r1, 7;\nand.b32 %r2, %r0, 1;\nsetp.ne.u32 %p1, %r2, 0;\n@%p1 add.u32 %r1, %r0, 100;\n@!%p1 add.u32 "
	    "%r1, %r1, 1;\n"
	    "st.global.u32 [%rd3], %r1;\nsetp.gt.u32 %p2, %r0, 20;\n@%p2 exit;\nst.global.u32 [%rd3+512], %r0;\n",
	    40, out);
	for (uint32_t i = 0; i < 40; i++) {
		assert_int_equal(out[i], i % 2 ? i + 100 : 8);
		assert_int_equal(out[i + 128], i > 20 ? 0 : i);
	}
}

static void calls(void **state)
{
	static const char functions[] =
		".func (.param .b32 r) square(.param .b32 a)\n{\n.reg .b32 %r<3>;\nld.param.u32 %r1, [a];\nmul.lo.u32 %r2, "
		"%r1, %r1;\n"
		"st.param.b32 [r], %r2;\nret;\n}\n"
		".func store(.param .b64 at, .param .b32 v)\n{\n.reg .b32 %r<3>;\n.reg .b64 %rd<2>;\n.reg .pred %p<2>;\n"
		"ld.param.u64 %rd1, [at];\nld.param.u32 %r1, [v];\nsetp.gt.u32 %p1, %r1, 100;\n@%p1 ret;\nst.global.u32 "
		"[%rd1], %r1;\nret;\n}\n";
	static const char body[] = THREAD "{\n.param .b32 p0;\n.param .b32 q0;\nst.param.b32 [p0+0], %r0;\ncall.uni (q0), "
									  "square, (p0);\nld.param.b32 %r1, [q0+0];\n}\n"
									  "{\n.param .b64 p0;\n.param .b32 p1;\nst.param.b64 [p0], %rd3;\nst.param.b32 "
									  "[p1], %r1;\ncall store, (p0, p1);\n}\n";
	char text[8192];
	uint32_t out[N];
	(void)state;
	snprintf(text, sizeof text, "%s%s", functions, KERNEL("k", 2, body));
	run(text, "k", 64, out);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(out[i], i * i > 100 ? 0 : i * i);
}

/* ---- memory ---- */
static void spaces(void **state)
{
	static const char variables[] =
		".global .align 4 .u32 counts[4] = {5, 6, 7, 8};\n.const .align 4 .u32 table[3] = {11, 22, 33};\n"
		".global .align 8 .u64 pointer = generic(counts)+4;\n.global .f32 half = 0f3F000000;\n.global .u32 zero;\n";
	char text[8192];
	uint32_t out[N];
	CUdeviceptr at;
	size_t bytes;
	(void)state;
	snprintf(text, sizeof text, "%s%s", variables,
	         KERNEL("k", 2,
	                THREAD "mov.u64 %rd5, counts;\nld.global.u32 %r1, [%rd5+8];\nst.global.u32 [%rd0], "
	                       "%r1;\nld.const.u32 %r1, [table+4];\n"
	                       "st.global.u32 [%rd0+4], %r1;\nld.global.u64 %rd6, [pointer];\nld.u32 %r1, "
	                       "[%rd6];\nst.global.u32 [%rd0+8], %r1;\n"
	                       "ld.global.f32 %f1, [half];\nst.global.f32 [%rd0+12], %f1;\nld.global.u32 %r1, "
	                       "[zero];\nst.global.u32 [%rd0+16], %r1;\n"));
	run(text, "k", 1, out);
	assert_int_equal(out[0], 7);
	assert_int_equal(out[1], 22);
	assert_int_equal(out[2], 6);
	assert_int_equal(out[3], 0x3f000000);
	assert_int_equal(out[4], 0);
	CUmodule m = gpu_module(text);
	GOOD(cu.cuModuleGetGlobal_v2(&at, &bytes, m, "counts"));
	assert_int_equal(bytes, 16);
	gpu_get(out, at, 16);
	assert_int_equal(out[3], 8);
	assert_int_equal(cu.cuModuleGetGlobal_v2(&at, &bytes, m, "missing"), CUDA_ERROR_NOT_FOUND);
}

static void widths(void **state)
{
	uint32_t out[N];
	(void)state;
	/* Bytes and halves into wider registers, with and without a sign; vectors. */
	RUN("mov.u32 %r1, 0x8180;\nst.global.u32 [%rd1], %r1;\nld.global.s8 %r2, [%rd1];\nst.global.u32 [%rd0], %r2;\n"
	    "ld.global.u8 %r2, [%rd1+1];\nst.global.u32 [%rd0+4], %r2;\nld.global.s16 %r2, [%rd1];\nst.global.u32 "
	    "[%rd0+8], %r2;\n"
	    "ld.global.s32 %rd5, [%rd1];\nst.global.u64 [%rd0+16], %rd5;\nld.global.s8 %rs1, [%rd1];\nst.global.u16 "
	    "[%rd0+24], %rs1;\n"
	    "ld.global.v4.u32 {%r3, %r4, %r5, %r6}, [%rd1+16];\nst.global.v2.u32 [%rd0+32], {%r6, %r3};\nst.global.u8 "
	    "[%rd0+40], %r1;\n"
	    "ld.global.nc.v2.u16 {%rs1, %rs2}, [%rd1+8];\nst.global.v2.u16 [%rd0+44], {%rs2, %rs1};\n",
	    1, out);
	assert_int_equal(out[0], 0xffffff80);
	assert_int_equal(out[1], 0x81);
	assert_int_equal(out[2], 0xffff8180);
	assert_int_equal(out[4], 0x8180);
	assert_int_equal(out[6], 0xff80);
	assert_int_equal(out[8], 7);
	assert_int_equal(out[9], 4);
	assert_int_equal(out[10], 0x80);
	assert_int_equal(out[11], 2 << 16);
}

static void shared_and_local(void **state)
{
	uint32_t out[N];
	(void)state;
	/* Reversed through shared memory, by generic addresses; a local array. */
	RUN(".shared .align 4 .b8 line[512];\n.local .align 8 .b8 frame[16];\nmov.u32 %r1, line;\nmad.lo.u32 %r2, %r0, 4, "
	    "%r1;\n"
	    "st.shared.u32 [%r2], %r0;\nbar.sync 0;\nsub.u32 %r3, 127, %r0;\nmov.u64 %rd5, line;\ncvta.shared.u64 %rd5, "
	    "%rd5;\n"
	    "mul.wide.u32 %rd6, %r3, 4;\nadd.u64 %rd5, %rd5, %rd6;\nld.u32 %r4, [%rd5];\nisspacep.shared %p1, %rd5;\n"
	    "mov.u64 %rd7, frame;\ncvta.local.u64 %rd8, %rd7;\nst.u32 [%rd8+4], %r4;\nst.local.u32 [%rd7+8], "
	    "1;\nst.local.u32 [%rd7+12], 0;\n"
	    "ld.local.v2.u32 {%r5, %r6}, [frame+8];\nld.local.u32 %r6, [frame+4];\nadd.u32 %r4, %r5, %r6;\n@!%p1 mov.u32 "
	    "%r4, 0;\n"
	    "st.global.u32 [%rd3], %r4;\n",
	    128, out);
	for (uint32_t i = 0; i < 128; i++)
		assert_int_equal(out[i], 127 - i + 1);
}

static void atomics(void **state)
{
	uint32_t out[N];
	(void)state;
	RUN("atom.global.add.u32 %r1, [%rd0], 1;\nred.global.max.s32 [%rd0+4], %r0;\nred.global.or.b32 [%rd0+8], %r0;\n"
	    "atom.global.cas.b32 %r2, [%rd0+12], 0, 77;\natom.global.inc.u32 %r3, [%rd0+16], 9;\natom.global.add.f32 %f1, "
	    "[%rd0+20], 0f3F800000;\n"
	    "red.global.add.u64 [%rd0+24], 3;\natom.global.exch.b32 %r4, [%rd0+32], %r0;\nred.relaxed.gpu.global.add.u32 "
	    "[%rd0+36], 2;\n"
	    "add.u32 %r1, %r1, 1000;\nst.global.u32 [%rd3+128], %r1;\n",
	    100, out);
	assert_int_equal(out[0], 100);
	assert_int_equal(out[1], 99);
	assert_int_equal(out[2], 127);
	assert_int_equal(out[3], 77);
	assert_int_equal(out[4], 0);
	assert_int_equal(out[5], 0x42c80000);
	assert_int_equal(out[6], 300);
	assert_int_equal(out[9], 200);
	uint32_t seen[100] = {0};
	for (int i = 0; i < 100; i++)
		seen[out[32 + i] - 1000]++;
	for (int i = 0; i < 100; i++)
		assert_int_equal(seen[i], 1);
}

/* Two halves of a register compared at once: 1.0 and NaN with 2.0 and the lane's number. */
static void pairs_of_halves(void **state)
{
	uint32_t out[N];
	(void)state;
	RUN("cvt.rn.f16.u32 %rs1, %r0;\nmov.b16 %rs2, 0x4000;\nmov.b32 %r1, {%rs2, %rs1};\nmov.u32 %r2, 0x7e003c00;\n"
	    "mov.b16 %rs3, 0x3c00;\nmov.b32 %r3, {%rs3, %rs2};\nsetp.lt.f16x2 %p1|%p2, %r3, %r1;\nselp.u32 %r4, 1, 0, "
	    "%p1;\n"
	    "selp.u32 %r5, 2, 0, %p2;\nadd.u32 %r4, %r4, %r5;\nsetp.nan.f16x2 %p1|%p2, %r2, %r1;\n"
	    "selp.u32 %r5, 4, 0, %p1;\nadd.u32 %r4, %r4, %r5;\nselp.u32 %r5, 8, 0, %p2;\nadd.u32 %r4, %r4, %r5;\n"
	    "st.global.u32 [%rd3], %r4;\n",
	    32, out);
	for (uint32_t i = 0; i < 32; i++)
		assert_int_equal(out[i], 1 + (i > 2 ? 2 : 0) + 8);
}

/* ---- lanes ---- */
static void shuffles(void **state)
{
	uint32_t out[N];
	(void)state;
	RUN("shfl.sync.down.b32 %r1|%p1, %r0, 4, 31, -1;\nshfl.sync.up.b32 %r2|%p2, %r0, 4, 0, -1;\nshfl.sync.bfly.b32 "
	    "%r3, %r0, 1, 31, -1;\n"
	    "shfl.sync.idx.b32 %r4, %r0, 5, 0x181f, -1;\nselp.u32 %r5, 100, 0, %p1;\nadd.u32 %r1, %r1, %r5;\nselp.u32 %r5, "
	    "100, 0, %p2;\n"
	    "add.u32 %r2, %r2, %r5;\nst.global.u32 [%rd3], %r1;\nst.global.u32 [%rd3+128], %r2;\nst.global.u32 [%rd3+256], "
	    "%r3;\n"
	    "st.global.u32 [%rd3+384], %r4;\n",
	    32, out);
	for (uint32_t i = 0; i < 32; i++) {
		assert_int_equal(out[i], i + 4 < 32 ? i + 4 + 100 : i);
		assert_int_equal(out[32 + i], i >= 4 ? i - 4 + 100 : i);
		assert_int_equal(out[64 + i], i ^ 1);
		assert_int_equal(out[96 + i], i / 8 * 8 + 5);
	}
}

static void votes(void **state)
{
	uint32_t out[N];
	(void)state;
	RUN("setp.lt.u32 %p1, %r0, 5;\nvote.sync.any.pred %p2, %p1, -1;\nvote.sync.all.pred %p3, %p1, "
	    "-1;\nvote.sync.uni.pred %p4, %p1, -1;\n"
	    "selp.u32 %r1, 1, 0, %p2;\nselp.u32 %r2, 2, 0, %p3;\nselp.u32 %r3, 4, 0, %p4;\nor.b32 %r1, %r1, %r2;\nor.b32 "
	    "%r1, %r1, %r3;\n"
	    "st.global.u32 [%rd3], %r1;\nand.b32 %r4, %r0, 3;\nmatch.any.sync.b32 %r5, %r4, -1;\nst.global.u32 [%rd3+128], "
	    "%r5;\n"
	    "match.all.sync.b32 %r6|%p5, %r4, -1;\nredux.sync.add.u32 %r7, %r0, -1;\nredux.sync.min.s32 %r8, %r0, "
	    "-1;\nadd.u32 %r7, %r7, %r8;\n"
	    "@%p5 mov.u32 %r7, 0;\nadd.u32 %r7, %r7, %r6;\nst.global.u32 [%rd3+256], %r7;\n",
	    32, out);
	for (uint32_t i = 0; i < 32; i++) {
		assert_int_equal(out[i], 1);
		assert_int_equal(out[32 + i], 0x11111111u << (i & 3));
		assert_int_equal(out[64 + i], 31 * 32 / 2);
	}
}

static void barriers(void **state)
{
	uint32_t out[N];
	(void)state;
	/* Votes of a CTA; a barrier for two of four warps, that the other two arrive at. */
	RUN("and.b32 %r1, %r0, 1;\nsetp.eq.u32 %p1, %r1, 0;\nbar.red.popc.u32 %r2, 0, %p1;\nbar.red.or.pred %p2, 0, "
	    "%p1;\nbar.red.and.pred %p3, 0, %p1;\n"
	    "selp.u32 %r3, 1000, 0, %p2;\nadd.u32 %r2, %r2, %r3;\nselp.u32 %r3, 5000, 0, %p3;\nadd.u32 %r2, %r2, %r3;\n"
	    "st.global.u32 [%rd3], %r2;\nsetp.lt.u32 %p4, %r0, 64;\n@%p4 bra FIRST;\nst.global.u32 [%rd3+512], "
	    "9;\nmembar.gl;\nbar.arrive 1, 128;\n"
	    "bra END;\nFIRST: bar.sync 1, 128;\nld.volatile.global.u32 %r4, [%rd3+768];\nst.global.u32 [%rd3+512], "
	    "%r4;\nEND:\n",
	    128, out);
	for (uint32_t i = 0; i < 128; i++) {
		assert_int_equal(out[i], 1064);
		assert_int_equal(out[128 + i], 9);
	}
}

/* carries, 32 lanes, special registers, packing */
static void others(void **state)
{
	uint32_t out[N];
	(void)state;
	RUN("add.cc.u32 %r1, %r0, 0xffffffff;\naddc.u32 %r2, 0, 0;\nst.global.u32 [%rd3], %r2;\nmov.u32 %r3, "
	    "%lanemask_lt;\npopc.b32 %r3, %r3;\n"
	    "mov.u32 %r4, %laneid;\nsub.u32 %r3, %r3, %r4;\nmov.u32 %r5, %ntid.x;\nadd.u32 %r3, %r3, %r5;\nmov.u32 %r5, "
	    "%warpid;\n"
	    "mov.b64 %rd5, {%r3, %r0};\nmov.b64 {%r6, %r7}, %rd5;\nmad.lo.u32 %r6, %r7, 1000, %r6;\nmov.b32 {%rs1, %rs2}, "
	    "%r6;\n"
	    "mov.b32 %r6, {%rs1, %rs2};\nst.global.u32 [%rd3+256], %r6;\nmov.u64 %rd6, %clock64;\n",
	    64, out);
	for (uint32_t i = 0; i < 64; i++) {
		assert_int_equal(out[i], i > 0);
		assert_int_equal(out[64 + i], i * 1000 + 64);
	}
}

static int setup(void **state)
{
	(void)state;
	gpu_open();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(divergence),
	                                   cmocka_unit_test(loops),
	                                   cmocka_unit_test(predicated),
	                                   cmocka_unit_test(calls),
	                                   cmocka_unit_test(spaces),
	                                   cmocka_unit_test(widths),
	                                   cmocka_unit_test(shared_and_local),
	                                   cmocka_unit_test(atomics),
	                                   cmocka_unit_test(pairs_of_halves),
	                                   cmocka_unit_test(shuffles),
	                                   cmocka_unit_test(votes),
	                                   cmocka_unit_test(barriers),
	                                   cmocka_unit_test(others)};
	return cmocka_run_group_tests(tests, setup, NULL);
}
