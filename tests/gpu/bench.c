/* How fast the emulator is, in time of one processor: millions of warp instructions a second, by kernel. `make
 * bench-emulator`. */
#include <dlfcn.h>
#include "gpu_test.h"

static void (*statistics)(uint64_t *instructions, double *seconds); /* of kernels; seconds of processor time */

static const struct {
	const char *name, *body;
} kernels[] = {
	{"fma",
     "mov.f32 %f1, 0f3F800000;\nmov.u32 %r1, 0;\nL: fma.rn.f32 %f2, %f1, %f1, %f2;\nfma.rn.f32 %f3, %f1, %f2, %f3;\n"
     "fma.rn.f32 %f2, %f1, %f3, %f2;\nadd.u32 %r1, %r1, 1;\nsetp.lt.u32 %p1, %r1, 20000;\n@%p1 bra L;"},
	{"sum of memory",
     "mov.u32 %r1, 0;\nmov.u32 %r0, %tid.x;\nmul.wide.u32 %rd2, %r0, 4;\nadd.u64 %rd2, %rd2, %rd0;\n"
     "L: ld.global.f32 %f1, [%rd2];\nadd.f32 %f2, %f2, %f1;\nld.global.f32 %f1, [%rd2+1024];\nadd.f32 %f2, %f2, %f1;\n"
     "add.u32 %r1, %r1, 1;\nsetp.lt.u32 %p1, %r1, 20000;\n@%p1 bra L;\nst.global.f32 [%rd2], %f2;"},
	{"bf16 from memory",
     "mov.u32 %r1, 0;\nmov.u32 %r0, %tid.x;\nmul.wide.u32 %rd2, %r0, 8;\nadd.u64 %rd2, %rd2, %rd0;\n"
     "L: ld.global.v4.u16 {%rs1, %rs2, %rs3, %rs4}, [%rd2];\nmov.b32 %r2, {%rs1, %rs2};\nand.b32 %r3, %r2, "
     "0xffff0000;\n"
     "shl.b32 %r2, %r2, 16;\nmov.b32 %f1, %r2;\nmov.b32 %f2, %r3;\nfma.rn.f32 %f3, %f1, %f2, %f3;\ncvt.rn.bf16.f32 "
     "%rs5, %f3;\n"
     "add.u32 %r1, %r1, 1;\nsetp.lt.u32 %p1, %r1, 20000;\n@%p1 bra L;\nst.global.u16 [%rd2], %rs5;"},
	{"divergent",
     "mov.u32 %r1, 0;\nmov.u32 %r0, %tid.x;\nL: and.b32 %r2, %r0, 3;\nsetp.eq.u32 %p2, %r2, 0;\n@%p2 bra A;\nadd.u32 "
     "%r3, %r3, %r1;\n"
     "bra B;\nA: sub.u32 %r3, %r3, %r1;\nB: add.u32 %r1, %r1, 1;\nsetp.lt.u32 %p1, %r1, 20000;\n@%p1 bra L;"},
	{"ldmatrix", ".shared .align 16 .b8 s[1024];\nmov.u32 %r1, 0;\nmov.u32 %r0, %laneid;\nmov.u32 %r4, s;\nmad.lo.u32 "
                 "%r4, %r0, 16, "
                 "%r4;\nL: ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r5, %r6, %r7, %r8}, [%r4];\nadd.u32 %r1, %r1, "
                 "1;\nsetp.lt.u32 %p1, %r1, 20000;\n@%p1 bra L;"},
	{"cp.async",
     ".shared .align 16 .b8 s[4096];\nmov.u32 %r1, 0;\nmov.u32 %r0, %tid.x;\nmov.u32 %r4, s;\nmad.lo.u32 %r4, %r0, 16, "
     "%r4;\nmul.wide.u32 %rd1, %r0, 16;\nand.b64 %rd1, %rd1, 2047;\nadd.u64 %rd1, %rd1, %rd0;\nL: "
     "cp.async.cg.shared.global [%r4], [%rd1], 16;\ncp.async.commit_group;\ncp.async.wait_group 1;\nadd.u32 %r1, %r1, "
     "1;\nsetp.lt.u32 %p1, %r1, 20000;\n@%p1 bra L;"},
	{"shared memory",
     ".shared .align 4 .b8 s[1024];\nmov.u32 %r1, 0;\nmov.u32 %r0, %tid.x;\nmov.u32 %r4, s;\nmad.lo.u32 %r4, %r0, 4, "
     "%r4;\n"
     "L: st.shared.u32 [%r4], %r1;\nbar.sync 0;\nld.shared.u32 %r2, [%r4];\nadd.u32 %r3, %r3, %r2;\nbar.sync 0;\n"
     "add.u32 %r1, %r1, 1;\nsetp.lt.u32 %p1, %r1, 20000;\n@%p1 bra L;"},
};

/* Seconds of one launch with a CTA of four warps, each of which makes `parts` products of 16 x 8 x 16. */
static void bench_products(const char *name, const char *text, unsigned shared, int parts)
{
	uint64_t ran;
	double start, end, best = 1e9;
	CUmodule m;
	GOOD(cu.cuModuleLoadData(&m, text));
	CUfunction f = gpu_function(m, "k");
	GOOD(cu.cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 65536));
	for (int turn = 0; turn < 5; turn++) {
		statistics(&ran, &start);
		GOOD(gpu_launch(f, 1, 128, shared, NULL, &(uint64_t){0}));
		GOOD(cu.cuCtxSynchronize());
		statistics(&ran, &end);
		best = end - start < best ? end - start : best;
	}
	printf("%-18s %6.3f us for each 16 x 8 x 16\n", name, best / (4 * parts) * 1e6);
}

static int header(char *text, int sums)
{
	return sprintf(text,
	               ".version 8.0\n.target sm_90a\n.address_size 64\n.extern .shared .align 1024 .b8 s[];\n"
	               ".visible .entry k(.param .u64 y)\n{\n.reg .f32 %%a<%d>;\n.reg .b32 %%r<9>;\n.reg .b64 %%rd<9>;\n"
	               ".reg .pred %%p<3>;\nmov.u32 %%r1, 0;\nsetp.eq.u32 %%p1, %%r1, 1;\n",
	               sums);
}

static void bench_mma(void)
{
	enum { TURNS = 1000, EACH = 32 };
	static char text[20000];
	int n = header(text, 4 * EACH);
	n += sprintf(text + n, "L:\n");
	for (int i = 0; i < 4 * EACH; i += 4)
		n += sprintf(
			text + n,
			"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%%a%d, %%a%d, %%a%d, %%a%d}, {%%r2, %%r3, %%r4, "
			"%%r5}, {%%r6, %%r7}, {%%a%d, %%a%d, %%a%d, %%a%d};\n",
			i, i + 1, i + 2, i + 3, i, i + 1, i + 2, i + 3);
	sprintf(text + n, "add.u32 %%r1, %%r1, 1;\nsetp.lt.u32 %%p2, %%r1, %d;\n@%%p2 bra L;\nret;\n}\n", TURNS);
	bench_products("mma", text, 0, TURNS * EACH);
}

static void bench_wgmma(void)
{
	enum { TURNS = 1000, SUMS = 128, N = 256 };
	static char text[8000];
	int n = header(text, SUMS);
	n += sprintf(text + n,
	             "mov.u64 %%rd1, 0x4000004000010000;\nwgmma.fence.sync.aligned;\n"
	             "L: wgmma.mma_async.sync.aligned.m64n%dk16.f32.bf16.bf16 {",
	             N);
	for (int i = 0; i < SUMS; i++)
		n += sprintf(text + n, "%s%%a%d", i ? ", " : "", i);
	sprintf(text + n,
	        "}, %%rd1, %%rd1, %%p1, 1, 1, 0, 0;\nwgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned "
	        "0;\nadd.u32 %%r1, %%r1, 1;\nsetp.lt.u32 %%p2, %%r1, %d;\n@%%p2 bra L;\nret;\n}\n",
	        TURNS);
	bench_products("wgmma", text, 65536, TURNS * N / 8);
}

int main(void)
{
	gpu_open();
	CUdeviceptr at = gpu_put(NULL, 4096);
	*(void **)(void *)&statistics = dlsym(dlopen("libcuda.so.1", RTLD_NOW), "emu_statistics");
	for (size_t i = 0; i < sizeof kernels / sizeof *kernels && statistics; i++) {
		CUfunction f = gpu_function(gpu_module(KERNEL("k", 1, kernels[i].body)), "k");
		uint64_t before, after;
		double start, end;
		statistics(&before, &start);
		GOOD(gpu_launch(f, 8, 256, 0, NULL, &(uint64_t){at}));
		GOOD(cu.cuCtxSynchronize());
		statistics(&after, &end);
		printf("%-18s %6.1f M warp instructions/s\n", kernels[i].name, (double)(after - before) / (end - start) * 1e-6);
	}
	if (statistics) {
		bench_mma();
		bench_wgmma();
	}
	uint64_t launches = 2000;
	CUfunction f = gpu_function(gpu_module(KERNEL("k", 1, "")), "k");
	uint64_t before, after;
	double start, end;
	statistics(&before, &start);
	for (uint64_t i = 0; i < launches; i++)
		GOOD(gpu_launch(f, 1, 32, 0, NULL, &(uint64_t){at}));
	GOOD(cu.cuCtxSynchronize());
	statistics(&after, &end);
	printf("%-18s %6.1f us\n", "a launch", (end - start) / (double)launches * 1e6);
	return 0;
}
