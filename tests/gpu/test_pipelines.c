/* The kernels of kernels/: right with every seed, also where races are looked for; and broken in one place, which must
 * be noticed with every seed: by a wrong result, a fault, a race or a deadlock. */
#include <dlfcn.h>
#include "gpu_test.h"
#include "tensor_api.h"

enum { SEEDS = 4, RIGHT = 0, WRONG = 30, FAULT, BROKEN_TEST };

/* ---- kernels, with what they should make ---- */
static uint32_t word_of(int i) { return (uint32_t)i * 2654435761u >> 8; }

/* Small multiples of 1/8, exact in bf16. */
static float number_of(int i) { return (float)(int)(word_of(i) % 31) / 8 - 2; }

static uint16_t bf16_of(float v)
{
	uint32_t bits;
	memcpy(&bits, &v, sizeof bits);
	return (uint16_t)(bits >> 16);
}

static CUdeviceptr put_words(int n)
{
	uint32_t *words = malloc((size_t)n * 4);
	for (int i = 0; i < n; i++)
		words[i] = word_of(i);
	CUdeviceptr at = gpu_put(words, (size_t)n * 4);
	free(words);
	return at;
}

static CUdeviceptr put_bf16(int n, int seed)
{
	uint16_t *halves = malloc((size_t)n * 2);
	for (int i = 0; i < n; i++)
		halves[i] = bf16_of(number_of(i + seed));
	CUdeviceptr at = gpu_put(halves, (size_t)n * 2);
	free(halves);
	return at;
}

static int finish(CUdeviceptr at, const void *want, size_t bytes)
{
	static uint32_t got[1 << 14];
	if (cu.cuCtxSynchronize())
		return FAULT;
	gpu_get(got, at, bytes);
	return memcmp(got, want, bytes) ? WRONG : RIGHT;
}

static void want_product(float *y, int rows, int columns, int k)
{
	for (int i = 0; i < rows; i++)
		for (int n = 0; n < columns; n++) {
			y[i * columns + n] = 0;
			for (int j = 0; j < k; j++)
				y[i * columns + n] += number_of(i * k + j) * number_of(n * k + j + 7);
		}
}

static int gemm(CUfunction f)
{
	static float want[16 * 32];
	CUdeviceptr y = gpu_put(NULL, sizeof want), a = put_bf16(16 * 128, 0), b = put_bf16(32 * 128, 7);
	want_product(want, 16, 32, 128);
	GOOD(gpu_launch(f, 1, 128, 0, NULL, (uint64_t[]){y, a, b}));
	return finish(y, want, sizeof want);
}

static int rows(CUfunction f)
{
	static float x[8 * 512];
	float want[8] = {0};
	for (int i = 0; i < 8 * 512; i++) {
		x[i] = number_of(i);
		want[i / 512] += x[i];
	}
	CUdeviceptr y = gpu_put(NULL, sizeof want), d_x = gpu_put(x, sizeof x);
	GOOD(gpu_launch(f, 1, 128, 0, NULL, (uint64_t[]){y, d_x}));
	return finish(y, want, sizeof want);
}

static int last(CUfunction f)
{
	uint32_t want[64], zero = 0;
	for (uint32_t i = 0; i < 64; i++)
		want[i] = 8 * (i + 1) + 64 * 28;
	CUdeviceptr y = gpu_put(NULL, sizeof want), parts = gpu_put(NULL, 8 * 256), counter = gpu_put(&zero, 4);
	GOOD(gpu_launch(f, 8, 64, 0, NULL, (uint64_t[]){y, parts, counter}));
	int first = finish(y, want, sizeof want);
	return first ? first : finish(counter, &zero, 4);
}

static int ring(CUfunction f)
{
	uint32_t want[32] = {0};
	for (int i = 0; i < 8 * 256; i++)
		want[i % 256 / 8] += word_of(i);
	CUdeviceptr y = gpu_put(NULL, sizeof want), x = put_words(8 * 256);
	GOOD(gpu_launch(f, 1, 64, 0, NULL, (uint64_t[]){y, x}));
	return finish(y, want, sizeof want);
}

static int arrive(CUfunction f)
{
	uint32_t want[256];
	for (int i = 0; i < 256; i++)
		want[i] = word_of((63 - i / 4) * 4 + i % 4);
	CUdeviceptr y = gpu_put(NULL, sizeof want), x = put_words(256);
	GOOD(gpu_launch(f, 1, 64, 0, NULL, (uint64_t[]){y, x}));
	return finish(y, want, sizeof want);
}

static int store(CUfunction f)
{
	uint32_t want[4 * 256];
	for (uint32_t i = 0; i < 4 * 256; i++)
		want[i] = i / 256 * 100 + i % 256;
	CUdeviceptr y = gpu_put(NULL, sizeof want);
	GOOD(gpu_launch(f, 1, 64, 0, NULL, &(uint64_t){y}));
	return finish(y, want, sizeof want);
}

static int cluster(CUfunction f)
{
	uint32_t want[6 * 64];
	for (int i = 0; i < 6 * 64; i++) {
		int other = i / 64 % 2 ^ 1;
		want[i] = word_of(i / 128 * 128 + i % 64 * 2 + other) + (uint32_t)other;
	}
	CUdeviceptr y = gpu_put(NULL, sizeof want), x = put_words(3 * 128);
	GOOD(gpu_launch(f, 6, 64, 0, NULL, (uint64_t[]){y, x}));
	return finish(y, want, sizeof want);
}

/* The map in device memory of [rows][columns] bf16, boxes of 64 x 64. */
static CUdeviceptr put_map(CUdeviceptr at, uint64_t rows, uint64_t columns)
{
	CUresult (*encode)(CUtensorMap *, CUtensorMapDataType, uint32_t, void *, const uint64_t *, const uint64_t *,
	                   const uint32_t *, const uint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
	                   CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
	CUtensorMap map;
	*(void **)(void *)&encode = dlsym(dlopen("libcuda.so.1", RTLD_NOW), "cuTensorMapEncodeTiled");
	GOOD(encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, (void *)(uintptr_t)at, (uint64_t[]){columns, rows},
	            &(uint64_t){columns * 2}, (uint32_t[]){64, 64}, (uint32_t[]){1, 1}, CU_TENSOR_MAP_INTERLEAVE_NONE,
	            CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
	return gpu_put(&map, sizeof map);
}

static int product(CUfunction f)
{
	static float want[64 * 64];
	CUdeviceptr y = gpu_put(NULL, sizeof want), a = put_bf16(64 * 128, 0), b = put_bf16(64 * 128, 7);
	want_product(want, 64, 64, 128);
	GOOD(gpu_launch(f, 1, 128, 32768, NULL, (uint64_t[]){y, a, put_map(b, 64, 128)}));
	return finish(y, want, sizeof want);
}

static const struct pipeline {
	const char *file, *entry;
	int (*run)(CUfunction f);
	int capability; /* of the oldest GPU that has it */
} pipelines[] = {
	{"gemm", "gemm", gemm, 80},          {"rows", "rows", rows, 80},        {"last", "last", last, 80},
	{"ring", "ring", ring, 90},          {"arrive", "arrive", arrive, 90},  {"store", "store", store, 90},
	{"cluster", "cluster", cluster, 90}, {"wgmma", "product", product, 90},
};
enum { PIPELINES = sizeof pipelines / sizeof *pipelines };

/* ---- mutants ---- */
/* `from` becomes `to`, as for gpu_mutant. */
static const struct mutant {
	const char *file, *name, *from, *to;
	int nth;
	bool as_race; /* only EMU_RACE=1 notices it with every seed */
} mutants[] = {
	{"gemm", "a weaker wait", "cp.async.wait_group 1;", "cp.async.wait_group 2;", -1, false},
	{"gemm", "one weaker wait", "cp.async.wait_group 1;", "cp.async.wait_group 2;", 1, false},
	{"gemm", "no wait", "cp.async.wait_group 1;", "", -1, false},
	{"gemm", "no barrier before the first tile", "bar.sync 0;", "", 0, true},
	{"gemm", "no barrier before the second tile", "bar.sync 0;", "", 1, true},
	{"gemm", "no barrier", "bar.sync 0;", "", -1, false},
	{"gemm", "a group that is not committed", "cp.async.commit_group;", "", 4, true},
	{"gemm", "a stage that is read early", "[%r7+3072]", "[%r7+6144]", 0, false},
	{"gemm", "one product too few", "mma.sync", "// mma.sync", 3, false},
	{"gemm", "a product of some lanes", "mma.sync", "@%p1 mma.sync", 0, false},
	{"rows", "no barrier after the sums", "bar.sync 0;", "", 0, true},
	{"rows", "no barrier before the next row", "bar.sync 0;", "", 1, true},
	{"rows", "no barrier", "bar.sync 0;", "", -1, false},
	{"rows", "a sum of some lanes", "shfl.sync", "@%p1 shfl.sync", 2, false},
	{"last", "no fence before the count", "membar.gl;", "", 0, true},
	{"last", "no fence after the count", "membar.gl;", "", 1, true},
	{"last", "a fence for the CTA", "membar.gl;", "membar.cta;", 0, true},
	{"last", "no barrier before the count", "bar.sync 0;", "", 0, true},
	{"last", "no barrier after the count", "bar.sync 0;", "", 1, true},
	{"last", "a counter that is not set back", ".inc.u32 %r5, [%rd2], 7;", ".add.u32 %r5, [%rd2], 1;", 0, false},
	{"last", "a count that is not atomic", "atom.global.inc.u32 %r5, [%rd2], 7;",
     "ld.global.u32 %r5, [%rd2];\nadd.u32 %r9, %r5, 1;\nand.b32 %r9, %r9, 7;\nst.global.u32 [%rd2], %r9;", 0, true},
	{"ring", "no wait for what is full", "@!%p2 bra FULL;", "", 0, false},
	{"ring", "no wait for what is empty", "@!%p2 bra EMPTY;", "", 0, false},
	{"ring", "fewer bytes than come", "_, [%r8], 1024;", "_, [%r8], 1008;", 0, false},
	{"ring", "more bytes than come", "_, [%r8], 1024;", "_, [%r8], 1040;", 0, false},
	{"ring", "a stage that is given back early", "bar.warp.sync -1;",
     "setp.eq.u32 %p5, %r10, 0;\n@%p5 mbarrier.arrive.shared::cta.b64 _, [%r8+16];", 0, false},
	{"ring", "a stage that is not given back", "@%p4 mbarrier.arrive", "// mbarrier.arrive", 0, false},
	{"ring", "an mbarrier for two", "[%r1+16], 1;", "[%r1+16], 2;", 0, false},
	{"ring", "no barrier after mbarriers are made", "bar.sync 0;", "", 0, true},
	{"ring", "the wrong parity", "xor.b32 %r6, %r5, 1;", "mov.u32 %r6, %r5;", 0, false},
	{"arrive", "no wait", "@!%p1 bra WAIT;", "", 0, false},
	{"arrive", "an arrival before the copy has come", "cp.async.mbarrier.arrive.noinc.shared.b64 [%r1];",
     "mbarrier.arrive.shared.b64 _, [%r1];", 0, true},
	{"arrive", "one more arrival", ".noinc", "", 0, false},
	{"store", "no fence of proxies", "fence.proxy.async.shared::cta;", "", 0, true},
	{"store", "no wait", "cp.async.bulk.wait_group.read 0;", "", 0, true},
	{"store", "a weaker wait", "wait_group.read 0;", "wait_group.read 1;", 0, true},
	{"store", "no barrier before the copy", "bar.sync 0;", "", 0, true},
	{"store", "no barrier after the copy", "bar.sync 0;", "", 1, true},
	{"cluster", "no barrier before the copy", "barrier.cluster.wait.acquire.aligned;", "", 0, false},
	{"cluster", "a barrier of the CTA before the copy",
     "barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;", "bar.sync 0;", 0, true},
	{"cluster", "a barrier of the CTA before the sum",
     "barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;", "bar.sync 0;", 1, true},
	{"cluster", "no barrier after the sum",
     "barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;", "", 1, true},
	{"cluster", "a relaxed arrival", "arrive.release", "arrive.relaxed", 1, true},
	{"cluster", "a copy for one CTA", "mov.u16 %rs1, 3;", "mov.u16 %rs1, 1;", 0, false},
	{"cluster", "its own memory", "mapa.shared::cluster.u32 %r9, %r9, %r8;", "", 0, false},
	{"wgmma", "no wait for the products", "wgmma.wait_group.sync.aligned 0;", "", 0, false},
	{"wgmma", "a weaker wait", "wgmma.wait_group.sync.aligned 0;", "wgmma.wait_group.sync.aligned 1;", 0, false},
	{"wgmma", "no commit", "wgmma.commit_group.sync.aligned;", "", 1, false},
	{"wgmma", "no fence", "wgmma.fence.sync.aligned;", "", -1, false},
	{"wgmma", "no fence of proxies", "fence.proxy.async.shared::cta;", "", 0, true},
	{"wgmma", "no wait for the copies", "@!%p1 bra FULL", "// ", -1, true},
	{"wgmma", "no barrier after the stores", "bar.sync 0;", "", 1, true},
	{"wgmma", "a row that is not swizzled", "xor.b32 %r9, %r8, 3;", "mov.u32 %r9, 3;", 0, false},
	{"wgmma", "the other half of the copy", "[%rd2, {%r3, %r4}]", "[%rd2, {%r4, %r4}]", 0, false},
};
enum { MUTANTS = sizeof mutants / sizeof *mutants };

/* ---- runs, in processes of their own ---- */
struct run {
	const struct pipeline *pipeline;
	const struct mutant *mutant; /* NULL: none */
};

static int run(const void *argument)
{
	const struct run *r = argument;
	const struct mutant *m = r->mutant;
	const char *text = m ? gpu_mutant(m->file, m->from, m->to, m->nth) : gpu_kernel(r->pipeline->file);
	CUmodule module = NULL;
	if (!text)
		return BROKEN_TEST;
	setenv("EMU_SPIN_MS", "10", 1);
	setenv("EMU_LIMIT", "10000000", 1);
	gpu_open();
	GOOD(cu.cuModuleLoadData(&module, text));
	return r->pipeline->run(gpu_function(module, r->pipeline->entry));
}

/* How many of the seeds give something else than what is right. */
static int count_noticed(const struct run *r, bool look_for_races)
{
	int noticed = 0;
	gpu_set("EMU_RACE", look_for_races);
	for (int seed = 0; seed < SEEDS; seed++) {
		gpu_set("EMU_SEED", seed);
		int got = gpu_in_child(run, r);
		assert_int_not_equal(got, BROKEN_TEST);
		noticed += got != RIGHT;
	}
	return noticed;
}

enum { EMULATED = 128 };

/* The capability of device 0, and whether it is emulated. */
static int device(const void *unused)
{
	int major, minor;
	(void)unused;
	gpu_open();
	GOOD(cu.cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
	GOOD(cu.cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0));
	return (major * 10 + minor) | (gpu_is_emulated() ? EMULATED : 0);
}

static void right_kernels(void **state)
{
	int capability = gpu_in_child(device, NULL) & ~EMULATED;
	(void)state;
	for (int i = 0; i < PIPELINES; i++) {
		const char *text = gpu_kernel(pipelines[i].file);
		assert_non_null(text);
		gpu_assemble(text);
		for (int races = 0; races < 2; races++) {
			struct run r = {&pipelines[i], NULL};
			int wrong = capability < pipelines[i].capability ? 0 : count_noticed(&r, races);
			if (wrong)
				print_error("%s: wrong with %d of %d seeds\n", pipelines[i].file, wrong, SEEDS);
			assert_int_equal(wrong, 0);
		}
	}
}

static void mutants_are_noticed(void **state)
{
	int missed = 0;
	(void)state;
	if (!(gpu_in_child(device, NULL) & EMULATED))
		skip();
	for (int i = 0; i < MUTANTS; i++) {
		struct run r = {.mutant = &mutants[i]};
		for (int k = 0; k < PIPELINES; k++)
			if (!strcmp(pipelines[k].file, mutants[i].file))
				r.pipeline = &pipelines[k];
		int noticed = count_noticed(&r, mutants[i].as_race);
		if (noticed != SEEDS)
			print_error("%s, %s: noticed with %d of %d seeds\n", mutants[i].file, mutants[i].name, noticed, SEEDS);
		missed += noticed != SEEDS;
	}
	assert_int_equal(missed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(right_kernels), cmocka_unit_test(mutants_are_noticed)};
	gpu_load_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
