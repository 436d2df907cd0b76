/* EMU_RACE=1: kernels that are right, and the same with a mistake, which must be noticed whatever the order of warps.
 */
#include "gpu_test.h"

enum { SEEDS = 4, RIGHT = 0, RACE = 40, OTHER };

/* %r0: thread, %r1: CTA, %r2: address of s[thread] in shared memory, %rd2 in `out`, %rd3 in `in`, which is 0. */
#define HEAD                                                                                                          \
	".shared .align 16 .b8 s[1024];\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, %ctaid.x;\nmov.u32 %r2, s;\nmad.lo.u32 "      \
	"%r2, %r0, 4, %r2;\nmul.wide.u32 %rd2, %r0, 4;\nadd.u64 %rd3, %rd1, %rd2;\nadd.u64 %rd2, %rd0, %rd2;\nsub.u32 "   \
	"%r3, 127, %r0;\nmov.u32 %r4, s;\nmad.lo.u32 %r3, %r3, 4, %r4;\nsetp.eq.u32 %p0, %r0, 0;\nsetp.eq.u32 %p1, %r1, " \
	"0;\n"
/* The other end of s is read. */
#define SWAP(between) HEAD "st.shared.u32 [%r2], %r0;\n" between "ld.shared.u32 %r5, [%r3];\n"
/* Warps 0 and 1 write and go to A, the others read. */
#define HALVES(first, second)                                                                                     \
	HEAD "setp.lt.u32 %p2, %r0, 64;\n@%p2 bra A;\n" second "ld.shared.u32 %r5, [%r3];\nbra B;\nA: st.shared.u32 " \
		 "[%r2], %r0;\n" first "B:\n"
/* Thread 0 of CTA 0 writes in[1] and tells that of CTA 1 by in[0]. */
#define MESSAGE(tell, hear)                                                                                        \
	HEAD "@!%p0 ret;\n@!%p1 bra A;\nst.global.u32 [%rd1+4], 7;\n" tell "bra B;\nA: " hear "setp.eq.u32 %p2, %r5, " \
		 "0;\n@%p2 bra A;\n"
#define READ(after) after "ld.global.u32 %r6, [%rd1+4];\nst.global.u32 [%rd0], %r6;\nB:\n"
/* Each CTA writes in[1 + CTA]; the last of them adds all. */
#define LAST(count, after)                                                                                       \
	HEAD "@!%p0 ret;\nmul.wide.u32 %rd4, %r1, 4;\nadd.u64 %rd4, %rd4, %rd1;\nst.global.u32 [%rd4+4], 1;\n" count \
		 "setp.ne.u32 %p2, %r5, 3;\n@%p2 ret;\n" after                                                           \
		 "ld.global.v2.u32 {%r6, %r7}, [%rd1+8];\nst.global.u32 [%rd1], "                                        \
		 "0;\n"
#define COPY(wait, after)                                                                                             \
	HEAD "cp.async.ca.shared.global [%r2], [%rd3], 4;\ncp.async.commit_group;\ncp.async.ca.shared.global [%r2+512], " \
		 "[%rd3+4], 4;\ncp.async.commit_group;\n" wait after

static const struct attempt {
	const char *name, *body;
	unsigned ctas;
	const char *message; /* of the race; NULL: it is right */
} attempts[] = {
	{"a barrier", SWAP("bar.sync 0;\n"), 1, NULL},
	{"no barrier", SWAP(""), 1, "shared"},
	{"a barrier of another number",
     SWAP("setp.lt.u32 %p2, %r0, 64;\n@%p2 bra A;\nbar.sync 1, 64;\nbra B;\nA: "
          "bar.sync 2, 64;\nB: "),
     1, "shared"},
	{"a barrier before the next round", SWAP("bar.sync 0;\n") "bar.sync 0;\nst.shared.u32 [%r2], 1;", 1, NULL},
	{"no barrier before the next round", SWAP("bar.sync 0;\n") "st.shared.u32 [%r2], 1;", 1, "shared"},
	{"an arrival", HALVES("bar.arrive 1, 128;\n", "bar.sync 1, 128;\n"), 1, NULL},
	{"an arrival of those who should wait", HALVES("bar.sync 1, 128;\n", "bar.arrive 1, 128;\n"), 1, "shared"},
	{"an end before a barrier", HALVES("ret;\n", "bar.sync 0;\n"), 1, NULL},
	{"release and acquire",
     MESSAGE("st.release.gpu.global.u32 [%rd1], 1;\n", "ld.acquire.gpu.global.u32 %r5, [%rd1];\n") READ(""), 2, NULL},
	{"a relaxed store",
     MESSAGE("st.relaxed.gpu.global.u32 [%rd1], 1;\n", "ld.acquire.gpu.global.u32 %r5, [%rd1];\n") READ(""), 2,
     "global"},
	{"a relaxed load",
     MESSAGE("st.release.gpu.global.u32 [%rd1], 1;\n", "ld.relaxed.gpu.global.u32 %r5, [%rd1];\n") READ(""), 2,
     "global"},
	{"a release for one CTA",
     MESSAGE("st.release.cta.global.u32 [%rd1], 1;\n", "ld.acquire.gpu.global.u32 %r5, [%rd1];\n") READ(""), 2,
     "global"},
	{"fences",
     MESSAGE("fence.acq_rel.gpu;\nst.relaxed.gpu.global.u32 [%rd1], 1;\n", "ld.relaxed.gpu.global.u32 %r5, [%rd1];\n")
         READ("fence.acq_rel.gpu;\n"),
     2, NULL},
	{"fences, volatile",
     MESSAGE("membar.gl;\nst.volatile.global.u32 [%rd1], 1;\n", "ld.volatile.global.u32 %r5, [%rd1];\n")
         READ("membar.gl;\n"),
     2, NULL},
	{"one fence",
     MESSAGE("fence.acq_rel.gpu;\nst.relaxed.gpu.global.u32 [%rd1], 1;\n", "ld.relaxed.gpu.global.u32 %r5, [%rd1];\n")
         READ(""),
     2, "global"},
	{"a fence for one CTA",
     MESSAGE("fence.acq_rel.cta;\nst.relaxed.gpu.global.u32 [%rd1], 1;\n", "ld.relaxed.gpu.global.u32 %r5, [%rd1];\n")
         READ("fence.acq_rel.gpu;\n"),
     2, "global"},
	{"a plain flag",
     MESSAGE("membar.gl;\nst.global.u32 [%rd1], 1;\n", "ld.volatile.global.u32 %r5, [%rd1];\n") READ("membar.gl;\n"), 2,
     "global"},
	{"the last CTA, by an atomic operation", LAST("atom.acq_rel.gpu.global.add.u32 %r5, [%rd1], 1;\n", ""), 4, NULL},
	{"the last CTA, by fences", LAST("membar.gl;\natom.global.add.u32 %r5, [%rd1], 1;\n", "membar.gl;\n"), 4, NULL},
	{"the last CTA, without a fence", LAST("atom.global.add.u32 %r5, [%rd1], 1;\n", "membar.gl;\n"), 4, "global"},
	{"the last CTA, without the other fence", LAST("membar.gl;\natom.global.add.u32 %r5, [%rd1], 1;\n", ""), 4,
     "global"},
	{"atomic operations", HEAD "red.global.add.u32 [%rd1], 1;\natom.shared.add.u32 %r5, [s], 1;\n", 4, NULL},
	{"atomic operations and a load", HEAD "red.global.add.u32 [%rd1], 1;\nld.global.u32 %r5, [%rd1];\n", 4, "global"},
	{"bytes side by side", HEAD "cvt.u64.u32 %rd4, %r0;\nadd.u64 %rd4, %rd4, %rd0;\nst.global.u8 [%rd4], %r0;\n", 1,
     NULL},
	{"the same bytes", HEAD "shr.u32 %r5, %r0, 5;\nst.global.u8 [%rd0], %r5;\n", 1, "write of global"},
	{"the same value", HEAD "st.global.u32 [%rd0], 5;\n", 4, NULL},
	{"copies", COPY("cp.async.wait_group 0;\n", "bar.sync 0;\nld.shared.u32 %r5, [%r3];\n"), 1, NULL},
	{"one copy of two", COPY("cp.async.wait_group 1;\n", "ld.shared.u32 %r5, [%r2];\n"), 1, NULL},
	{"copies that are not waited for", COPY("cp.async.wait_group 1;\n", "ld.shared.u32 %r5, [%r2+512];\n"), 1,
     "copy or product that has not been waited for"},
	{"copies that others wait for", COPY("bar.sync 0;\ncp.async.wait_all;\n", "ld.shared.u32 %r5, [%r3];\n"), 1,
     "copy"},
	{"copies into what is read", SWAP("bar.sync 0;\n") "cp.async.ca.shared.global [%r2], [%rd3], 4;\n", 1, "shared"},
	{"constant loads", HEAD "ld.global.nc.u32 %r5, [%rd3];\nst.global.u32 [%rd2], %r5;\n", 1, NULL},
	{"constant loads of what changes", HEAD "st.global.u32 [%rd3], %r0;\nld.global.nc.u32 %r5, [%rd3];\n", 1, "nc"},
};
enum { ATTEMPTS = sizeof attempts / sizeof *attempts };

static int run(const void *argument)
{
	const struct attempt *a = argument;
	const char *text = "";
	gpu_open();
	CUdeviceptr out = gpu_put(NULL, 2048), in = gpu_put(NULL, 2048);
	GOOD(cu.cuMemsetD8_v2(in, 0, 2048));
	CUfunction f = gpu_function(gpu_module(KERNEL("k", 2, a->body)), "k");
	GOOD(gpu_launch(f, a->ctas, 128, 0, NULL, (uint64_t[]){out, in}));
	CUresult r = cu.cuCtxSynchronize();
	cu.cuGetErrorString(r, &text);
	if (r == CUDA_SUCCESS)
		return RIGHT;
	return strstr(text, "race: ") && a->message && strstr(text, a->message) ? RACE : OTHER;
}

static int is_emulated(const void *unused)
{
	(void)unused;
	gpu_open();
	return gpu_is_emulated();
}

static void races(void **state)
{
	bool emulated = gpu_in_child(is_emulated, NULL) == 1;
	int wrong = 0;
	(void)state;
	setenv("EMU_RACE", "1", 1);
	for (int i = 0; i < ATTEMPTS; i++)
		for (int seed = 0; seed < SEEDS; seed++) {
			char text[8];
			if (!emulated && attempts[i].message)
				continue;
			snprintf(text, sizeof text, "%d", seed);
			setenv("EMU_SEED", text, 1);
			int got = gpu_in_child(run, &attempts[i]), want = attempts[i].message ? RACE : RIGHT;
			if (got != want)
				print_error("%s, seed %d: %d, not %d\n", attempts[i].name, seed, got, want);
			wrong += got != want;
		}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(races)};
	gpu_load_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
