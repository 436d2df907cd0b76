/* What is counted of kernels, and CTAs that wait for each other. */
#include <dlfcn.h>
#include <unistd.h>
#include "counters.h"
#include "gpu_test.h"

/* The emulator's own functions: NULL on a GPU. */
static void (*count)(bool on);
static bool (*counters)(const char *kernel, struct emu_counters *to);

static struct emu_counters counted(const char *body, unsigned ctas, unsigned threads)
{
	struct emu_counters c = {0};
	if (!count)
		skip();
	CUdeviceptr at = gpu_put(NULL, 1 << 16);
	CUfunction f = gpu_function(gpu_module(KERNEL("k", 1, body)), "k");
	count(true);
	GOOD(gpu_launch(f, ctas, threads, 0, NULL, &(uint64_t){at}));
	GOOD(cu.cuCtxSynchronize());
	assert_true(counters("k", &c));
	count(false);
	GOOD(cu.cuMemFree_v2(at));
	return c;
}

#define ADDRESS(bytes) "mov.u32 %r0, %tid.x;\nmul.wide.u32 %rd1, %r0, " #bytes ";\nadd.u64 %rd1, %rd1, %rd0;\n"

static void sectors(void **state)
{
	static const struct {
		const char *body;
		uint64_t sectors, ideal; /* of one warp */
	} cases[] = {
		{ADDRESS(4) "ld.global.f32 %f1, [%rd1];", 4, 4},
		{ADDRESS(16) "ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1];", 16, 16},
		{ADDRESS(2) "ld.global.u16 %rs1, [%rd1];", 2, 2},
		{ADDRESS(128) "st.global.f32 [%rd1], %f1;", 32, 4},
		{ADDRESS(0) "ld.f32 %f1, [%rd1];", 1, 1},
		{ADDRESS(4) "ld.global.f32 %f1, [%rd1+4];", 5, 4},
		{ADDRESS(8) "setp.lt.u32 %p1, %r0, 4;\n@%p1 ld.global.f32 %f1, [%rd1];", 1, 1},
		{ADDRESS(4) "red.global.add.u32 [%rd1], 1;", 4, 4},
		{ADDRESS(16) ".shared .align 16 .b8 s[512];\nmov.u32 %r1, s;\nmad.lo.u32 %r1, %r0, 16, "
	                 "%r1;\ncp.async.cg.shared.global [%r1], [%rd1], 16;\ncp.async.wait_all;",
	     16, 16},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct emu_counters c = counted(cases[i].body, 3, 32);
		assert_int_equal(c.launches, 1);
		assert_int_equal(c.ctas, 3);
		assert_int_equal(c.global_requests, 3);
		assert_int_equal(c.sectors, 3 * cases[i].sectors);
		assert_int_equal(c.ideal_sectors, 3 * cases[i].ideal);
	}
}

#define SHARED(bytes) \
	".shared .align 16 .b8 s[4224];\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, s;\nmad.lo.u32 %r1, %r0, " #bytes ", %r1;\n"

static void bank_conflicts(void **state)
{
	static const struct {
		const char *body;
		uint64_t wavefronts, conflicts;
	} cases[] = {
		{SHARED(4) "st.shared.u32 [%r1], %r0;", 1, 0},
		{SHARED(8) "st.shared.u32 [%r1], %r0;", 2, 1},
		{SHARED(128) "st.shared.u32 [%r1], %r0;", 32, 31},
		{SHARED(132) "st.shared.u32 [%r1], %r0;", 1, 0},
		{SHARED(2) "st.shared.u16 [%r1], %r0;", 1, 0},
		{SHARED(0) "st.shared.u32 [%r1], %r0;", 1, 0},
		{SHARED(8) "st.shared.v2.u32 [%r1], {%r0, %r0};", 2, 0},
		{SHARED(16) "st.shared.v4.u32 [%r1], {%r0, %r0, %r0, %r0};", 4, 0},
		{SHARED(128) "st.shared.v4.u32 [%r1], {%r0, %r0, %r0, %r0};", 32, 28},
		{SHARED(16) "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r2, %r3, %r4, %r5}, [%r1];", 4, 0},
		{SHARED(128) "ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r2, %r3}, [%r1];", 16, 14},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct emu_counters c = counted(cases[i].body, 1, 32);
		assert_int_equal(c.shared_requests, 1);
		assert_int_equal(c.wavefronts, cases[i].wavefronts);
		assert_int_equal(c.bank_conflicts, cases[i].conflicts);
		assert_int_equal(c.global_requests, 0);
	}
}

static void other_counts(void **state)
{
	(void)state;
	struct emu_counters c = counted(
		".shared .align 4 .b8 s[40000];\n.local .align 4 .b8 frame[16];\nmov.u64 %rd1, frame;\nst.local.u32 "
		"[%rd1], 1;\nld.local.u32 %r1, [%rd1+4];\nmov.u32 %r2, s;\nst.shared.u32 [%r2], %r1;\nbar.sync 0;\nbar.sync "
		"0;\nmma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f4}, {%r1, %r2}, {%r3}, {%f1, %f2, "
		"%f3, "
		"%f4};\nst.local.f32 [%rd1], %f1;",
		2, 64);
	assert_int_equal(c.local_requests, 2 * 2 * 3);
	assert_int_equal(c.barriers, 2 * 2 * 2);
	assert_int_equal(c.products, 2 * 2);
	assert_int_equal(c.threads, 64);
	assert_int_equal(c.local_bytes, 16);
	assert_int_equal(c.shared_bytes, 40000);
	assert_int_equal(c.resident_ctas, 233472 / (40000 + 1024));
	assert_int_equal(c.resident_warps, 2 * c.resident_ctas);
	assert_true(c.registers >= 8 && c.registers <= 24);
	assert_true(c.instructions > 2 * 2 * 10);
}

/* EMU_COUNTERS: a line for each kernel when the context ends. */
static int write_counters(const void *path)
{
	setenv("EMU_COUNTERS", path, 1);
	gpu_open();
	CUdeviceptr at = gpu_put(NULL, 4096);
	static const char *const names[] = {"first", "second"};
	for (int i = 0; i < 3; i++)
		GOOD(gpu_launch(
			gpu_function(gpu_module(KERNEL(names[i / 2], 1, ADDRESS(4) "st.global.f32 [%rd1], %f1;")), names[i / 2]), 1,
			32, 0, NULL, &(uint64_t){at}));
	GOOD(cu.cuCtxSynchronize());
	GOOD(cu.cuDevicePrimaryCtxRelease_v2(0));
	return 0;
}

static void counters_in_a_file(void **state)
{
	char path[] = "/tmp/gpu_test_XXXXXX", text[3000];
	(void)state;
	if (!count)
		skip();
	close(mkstemp(path));
	assert_int_equal(gpu_in_child(write_counters, path), 0);
	FILE *file = fopen(path, "r");
	text[fread(text, 1, sizeof text - 1, file)] = 0;
	fclose(file);
	unlink(path);
	assert_non_null(strstr(text, "{\"kernel\": \"first\", \"launches\": 2, \"ctas\": 2,"));
	assert_non_null(strstr(text, "\n{\"kernel\": \"second\", \"launches\": 1,"));
	assert_non_null(strstr(text, "\"sectors\": 8,"));
}

/* ---- CTAs that wait for each other ---- */
/* Threads 0 of all CTAs count each other in `in`, and wait until all have come; then each CTA reads what the next one
 * wrote before. */
static const char all_meet[] =
	"mov.u32 %r0, %ctaid.x;\nmov.u32 %r1, %nctaid.x;\nmov.u32 %r2, %tid.x;\nsetp.ne.u32 %p1, %r2, 0;\nmul.wide.u32 "
	"%rd2, %r0, 4;\nadd.u64 %rd2, %rd2, %rd1;\nmad.lo.u32 %r3, %r0, 10, 7;\n@%p1 bra MET;\nst.global.u32 [%rd2+4], "
	"%r3;\nfence.acq_rel.gpu;\nred.relaxed.gpu.global.add.u32 [%rd1], 1;\nWAIT: ld.acquire.gpu.global.u32 %r4, "
	"[%rd1];\nsetp.lt.u32 %p2, %r4, %r1;\n@%p2 bra WAIT;\nMET: bar.sync 0;\nadd.u32 %r5, %r0, 1;\nrem.u32 %r5, %r5, "
	"%r1;\nmul.wide.u32 %rd3, %r5, 4;\nadd.u64 %rd3, %rd3, %rd1;\nld.global.u32 %r6, [%rd3+4];\nmul.wide.u32 %rd4, "
	"%r0, "
	"4;\nadd.u64 %rd4, %rd4, %rd0;\nst.global.u32 [%rd4], %r6;";

/* Returns what synchronizing does. */
static CUresult run_meeting(unsigned ctas, unsigned shared)
{
	uint32_t out[200];
	gpu_open();
	CUdeviceptr d_out = gpu_put(NULL, sizeof out), d_in = gpu_put(NULL, sizeof out);
	CUfunction f = gpu_function(gpu_module(KERNEL("k", 2, all_meet)), "k");
	GOOD(cu.cuMemsetD8_v2(d_in, 0, sizeof out));
	GOOD(cu.cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 200000));
	GOOD(gpu_launch(f, ctas, 64, shared, NULL, (uint64_t[]){d_out, d_in}));
	CUresult r = cu.cuCtxSynchronize();
	if (r)
		return r;
	gpu_get(out, d_out, sizeof out);
	for (unsigned i = 0; i < ctas; i++)
		if (out[i] != (i + 1) % ctas * 10 + 7)
			return CUDA_ERROR_UNKNOWN;
	return CUDA_SUCCESS;
}

static int some_meet(const void *unused) { return (void)unused, run_meeting(100, 0); }
static int few_meet(const void *unused) { return (void)unused, run_meeting(4, 150000); }
static int too_many_meet(const void *unused)
{
	const char *text = "";
	(void)unused;
	setenv("EMU_SPIN_MS", "30", 1);
	CUresult r = run_meeting(5, 150000);
	cu.cuGetErrorString(r, &text);
	return r != CUDA_ERROR_LAUNCH_TIMEOUT || !strstr(text, "wait or poll, 1 CTAs have not started");
}

static void meetings(void **state)
{
	(void)state;
	for (int seed = 0; seed < 8; seed++) {
		char text[8];
		snprintf(text, sizeof text, "%d", seed);
		setenv("EMU_SEED", text, 1);
		assert_int_equal(gpu_in_child(some_meet, NULL), 0);
		assert_int_equal(gpu_in_child(few_meet, NULL), 0);
		if (count)
			assert_int_equal(gpu_in_child(too_many_meet, NULL), 0);
	}
}

/* The context is opened in children, or where counters need it. */
static int setup(void **state)
{
	(void)state;
	gpu_open();
	return 0;
}

int main(void)
{
	const struct CMUnitTest in_children[] = {cmocka_unit_test(counters_in_a_file), cmocka_unit_test(meetings)};
	const struct CMUnitTest here[] = {cmocka_unit_test(sectors), cmocka_unit_test(bank_conflicts),
	                                  cmocka_unit_test(other_counts)};
	gpu_load_library();
	void *library = dlopen("libcuda.so.1", RTLD_NOW);
	*(void **)(void *)&count = dlsym(library, "emu_count");
	*(void **)(void *)&counters = dlsym(library, "emu_counters");
	int failed = cmocka_run_group_tests(in_children, NULL, NULL);
	return failed + cmocka_run_group_tests(here, setup, NULL);
}
