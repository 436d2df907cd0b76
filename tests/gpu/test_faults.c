/* Broken kernels and broken launch sequences: each must be noticed. Every one runs in a process of its own, as errors
 * stay. */
#include "gpu_test.h"

enum { SEEDS = 20, NOTICED = 50, UNNOTICED = 51 };

/* ---- kernels that fault: (pointer to 64 words) ---- */
static const struct broken {
	const char *name, *body, *text; /* text: part of the message */
	CUresult code;
	unsigned threads;
	bool anywhere; /* a GPU reports it too */
} broken[] = {
	{"a load past the end", "ld.global.u32 %r1, [%rd0+256];\nst.global.u32 [%rd0], %r1;", "not in an allocation",
     CUDA_ERROR_ILLEGAL_ADDRESS, 1, false},
	{"a bound that is one too large",
     "mov.u32 %r0, %tid.x;\nsetp.gt.u32 %p1, %r0, 64;\n@%p1 ret;\nmul.wide.u32 %rd1, %r0, 4;\nadd.u64 %rd1, %rd1, "
     "%rd0;\nst.global.u32 [%rd1], %r0;",
     "warp 2, lane 0", CUDA_ERROR_ILLEGAL_ADDRESS, 128, false},
	{"a null pointer", "mov.u64 %rd1, 0;\nld.global.u32 %r1, [%rd1];\nst.global.u32 [%rd0], %r1;", "PTX line",
     CUDA_ERROR_ILLEGAL_ADDRESS, 1, true},
	{"a vector that is not aligned", "ld.global.v2.u32 {%r1, %r2}, [%rd0+4];\nst.global.u32 [%rd0], %r1;", "misaligned",
     CUDA_ERROR_MISALIGNED_ADDRESS, 1, true},
	{"shared memory past its end",
     ".shared .align 4 .b8 s[64];\nmov.u32 %r1, s;\nld.shared.u32 %r2, [%r1+64];\nst.global.u32 [%rd0], %r2;",
     "static shared", CUDA_ERROR_ILLEGAL_ADDRESS, 32, false},
	{"local memory past its end",
     ".local .align 4 .b8 f[16];\nmov.u64 %rd1, f;\nld.local.u32 %r2, [%rd1+16];\nst.global.u32 [%rd0], %r2;",
     "local address", CUDA_ERROR_ILLEGAL_ADDRESS, 32, false},
	{"trap", "trap;", "trap", CUDA_ERROR_LAUNCH_FAILED, 1, true},
	{"a barrier that some lanes miss",
     "mov.u32 %r0, %tid.x;\nsetp.lt.u32 %p1, %r0, 7;\n@%p1 bra A;\nbar.sync 0;\nbra B;\nA: bar.sync 1;\nB:",
     "divergent", CUDA_ERROR_LAUNCH_FAILED, 32, false},
	{"barriers that never open",
     "mov.u32 %r0, %tid.x;\nsetp.lt.u32 %p1, %r0, 32;\n@%p1 bra A;\nbar.sync 0;\nbra B;\nA: bar.sync 1;\nB:",
     "all warps wait", CUDA_ERROR_LAUNCH_TIMEOUT, 64, false},
	{"a loop without an end", "A: bra A;", "EMU_LIMIT", CUDA_ERROR_LAUNCH_TIMEOUT, 32, false},
	{"a shuffle without lanes of its mask",
     "mov.u32 %r0, %tid.x;\nsetp.lt.u32 %p1, %r0, 7;\n@%p1 bra A;\nshfl.sync.bfly.b32 %r1, %r0, 1, 31, -1;\nA: "
     "bar.sync 0;",
     "mask", CUDA_ERROR_LAUNCH_FAILED, 32, false},
	{"a product that some lanes miss",
     "mov.u32 %r0, %tid.x;\nsetp.lt.u32 %p1, %r0, 7;\n@%p1 bra A;\nmma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 "
     "{%f1, %f2, %f3, %f4}, {%r1, %r2}, {%r3}, {%f1, %f2, %f3, %f4};\nst.global.f32 [%rd0], %f1;\nA:",
     "without lanes 0000007f", CUDA_ERROR_LAUNCH_FAILED, 32, false},
	{"a row of a matrix past the end",
     ".shared .align 16 .b8 s[496];\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, s;\nmad.lo.u32 %r1, %r0, 16, %r1;\n"
     "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r2, %r3, %r4, %r5}, [%r1];\nst.global.u32 [%rd0], %r2;",
     "lane 31", CUDA_ERROR_ILLEGAL_ADDRESS, 32, false},
	{"a row of a matrix that is not aligned",
     ".shared .align 16 .b8 s[512];\nmov.u32 %r1, s;\nldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r2}, "
     "[%r1+8];\nst.global.u32 [%rd0], %r2;",
     "misaligned", CUDA_ERROR_MISALIGNED_ADDRESS, 32, true},
	{"a copy of more bytes than its size",
     ".shared .align 16 .b8 s[16];\nmov.u32 %r1, s;\nmov.u32 %r2, 17;\ncp.async.cg.shared.global [%r1], [%rd0], 16, "
     "%r2;\ncp.async.wait_all;",
     "17 bytes", CUDA_ERROR_ILLEGAL_INSTRUCTION, 1, false},
	{"a copy from past the end",
     ".shared .align 16 .b8 s[16];\nmov.u32 %r1, s;\ncp.async.cg.shared.global [%r1], [%rd0+256], 16;\n"
     "cp.async.wait_all;",
     "not in an allocation", CUDA_ERROR_ILLEGAL_ADDRESS, 1, false},
	{"a write of constant memory", "mov.u64 %rd1, table;\nst.u32 [%rd1], %r0;", "constant memory",
     CUDA_ERROR_ILLEGAL_ADDRESS, 1, false},
};
enum { BROKEN = sizeof broken / sizeof *broken };

static int run_broken(const void *argument)
{
	const struct broken *b = argument;
	const char *text;
	char whole[9000];
	setenv("EMU_LIMIT", "100000", 1);
	gpu_open();
	snprintf(whole, sizeof whole, ".const .align 4 .u32 table[2] = {1, 2};\n%s", KERNEL("k", 1, b->body));
	CUfunction f = gpu_function(gpu_module(whole), "k");
	CUdeviceptr at = gpu_put(NULL, 256), other = 0;
	GOOD(gpu_launch(f, 1, b->threads, 0, NULL, &(uint64_t){at}));
	CUresult r = cu.cuCtxSynchronize();
	/* The error stays, for every call. */
	if (r != cu.cuMemAlloc_v2(&other, 4) || r != cu.cuStreamQuery(NULL) || r != cu.cuCtxSynchronize() || r != b->code)
		return r ? 1 : 2;
	GOOD(cu.cuGetErrorString(r, &text));
	return gpu_is_emulated() && !strstr(text, b->text) ? 3 : 0;
}

static int is_emulated(const void *unused)
{
	(void)unused;
	gpu_open();
	return gpu_is_emulated();
}

static void faults(void **state)
{
	bool emulated = gpu_in_child(is_emulated, NULL) == 1;
	(void)state;
	for (int i = 0; i < BROKEN; i++) {
		int status = emulated || broken[i].anywhere ? gpu_in_child(run_broken, &broken[i]) : 0;
		if (status)
			print_error("%s: %d\n", broken[i].name, status);
		assert_int_equal(status, 0);
	}
}

/* ---- kernels that compute something wrong ---- */
/* Runs a kernel (out, in), 128 threads a CTA; returns whether the words of `out` are what they were meant to be. */
static int compute(const char *body, unsigned ctas, const uint32_t *want, int n)
{
	uint32_t in[256], out[256];
	gpu_open();
	for (uint32_t i = 0; i < 256; i++)
		in[i] = i;
	CUdeviceptr d_in = gpu_put(in, sizeof in), d_out = gpu_put(NULL, sizeof out);
	GOOD(
		gpu_launch(gpu_function(gpu_module(KERNEL("k", 2, body)), "k"), ctas, 128, 0, NULL, (uint64_t[]){d_out, d_in}));
	if (cu.cuCtxSynchronize())
		return NOTICED; /* as a race */
	gpu_get(out, d_out, sizeof out);
	return memcmp(out, want, (size_t)n * 4) ? NOTICED : UNNOTICED;
}

static int missing_barrier(const void *unused)
{
	uint32_t want[128];
	(void)unused;
	for (uint32_t i = 0; i < 128; i++)
		want[i] = 127 - i;
	return compute(
		".shared .align 4 .b8 s[512];\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, s;\nmad.lo.u32 %r2, %r0, 4, "
		"%r1;\nst.shared.u32 [%r2], %r0;\n"
		"sub.u32 %r3, 127, %r0;\nmad.lo.u32 %r3, %r3, 4, %r1;\nld.shared.u32 %r4, [%r3];\nmul.wide.u32 %rd2, %r0, 4;\n"
		"add.u64 %rd2, %rd2, %rd0;\nst.global.u32 [%rd2], %r4;",
		1, want, 128);
}

/* Four copies a thread, each a group of its own; all are read after `wait`. */
static int copies(const char *wait)
{
	uint32_t want[128];
	char body[1200];
	for (uint32_t i = 0; i < 128; i++)
		want[i] = 4 * i + 6;
	snprintf(body, sizeof body,
	         ".shared .align 4 .b8 s[2048];\nmov.u32 %%r0, %%tid.x;\nmov.u32 %%r1, s;\nmad.lo.u32 %%r2, %%r0, 4, "
	         "%%r1;\nmul.wide.u32 %%rd2, %%r0, 4;\nadd.u64 %%rd3, %%rd1, %%rd2;\nadd.u64 %%rd2, %%rd0, %%rd2;\n"
	         "cp.async.ca.shared.global [%%r2], [%%rd3], 4;\ncp.async.commit_group;\n"
	         "cp.async.ca.shared.global [%%r2+512], [%%rd3+4], 4;\ncp.async.commit_group;\n"
	         "cp.async.ca.shared.global [%%r2+1024], [%%rd3+8], 4;\ncp.async.commit_group;\n"
	         "cp.async.ca.shared.global [%%r2+1536], [%%rd3+12], 4;\ncp.async.commit_group;\n%s"
	         "ld.shared.u32 %%r3, [%%r2];\nld.shared.u32 %%r4, [%%r2+512];\nadd.u32 %%r3, %%r3, %%r4;\n"
	         "ld.shared.u32 %%r4, [%%r2+1024];\nadd.u32 %%r3, %%r3, %%r4;\nld.shared.u32 %%r4, [%%r2+1536];\n"
	         "add.u32 %%r3, %%r3, %%r4;\nst.global.u32 [%%rd2], %%r3;",
	         wait);
	return compute(body, 1, want, 128);
}
static int right_copies(const void *unused) { return (void)unused, copies("cp.async.wait_group 0;\n"); }
static int early_read(const void *unused) { return (void)unused, copies(""); }
static int weaker_wait(const void *unused) { return (void)unused, copies("cp.async.wait_group 1;\n"); }

static int not_written(const void *unused)
{
	uint32_t want[256] = {0};
	(void)unused;
	return compute("mov.u32 %r0, %tid.x;\nmul.wide.u32 %rd2, %r0, 4;\nadd.u64 %rd2, %rd2, %rd0;\nmov.u32 %r1, "
	               "0;\nst.global.u32 [%rd2], %r1;",
	               1, want, 256);
}

/* Each CTA adds its number to what the CTA before left: only right in order. */
static int order_of_ctas(const void *unused)
{
	uint32_t want[9] = {0};
	(void)unused;
	for (uint32_t i = 1; i < 9; i++)
		want[i] = want[i - 1] + i;
	return compute("mov.u32 %r0, %ctaid.x;\nmov.u32 %r1, %tid.x;\nsetp.ne.u32 %p1, %r1, 0;\n@%p1 ret;\nmov.u32 %r2, "
	               "0;\nsetp.eq.u32 %p2, %r0, 0;\n"
	               "mul.wide.u32 %rd2, %r0, 4;\nadd.u64 %rd2, %rd2, %rd0;\n@!%p2 ld.global.u32 %r2, "
	               "[%rd2+-4];\nadd.u32 %r2, %r2, %r0;\n"
	               "st.global.u32 [%rd2], %r2;",
	               9, want, 9);
}

/* ---- launch sequences ---- */
static const char add_one[] = "mov.u32 %r0, %tid.x;\nmul.wide.u32 %rd2, %r0, 4;\nadd.u64 %rd3, %rd1, %rd2;\nadd.u64 "
							  "%rd2, %rd0, %rd2;\nld.global.u32 %r1, [%rd3];\n"
							  "add.u32 %r1, %r1, 1;\nst.global.u32 [%rd2], %r1;";

struct sequence {
	CUfunction add;
	CUstream a, b;
	CUevent done;
	CUdeviceptr x, y;
	uint32_t *pinned;
};
enum { WORDS = 64, ROUNDS = 30 };

static struct sequence open_sequence(unsigned flags)
{
	struct sequence q;
	gpu_open();
	q.add = gpu_function(gpu_module(KERNEL("k", 2, add_one)), "k");
	GOOD(cu.cuStreamCreate(&q.a, flags));
	GOOD(cu.cuStreamCreate(&q.b, flags));
	GOOD(cu.cuEventCreate(&q.done, CU_EVENT_DISABLE_TIMING));
	q.x = gpu_put(NULL, WORDS * 4);
	q.y = gpu_put(NULL, WORDS * 4);
	GOOD(cu.cuMemHostAlloc((void **)&q.pinned, WORDS * 4, 0));
	return q;
}

static void fill(uint32_t *to, uint32_t value)
{
	for (int i = 0; i < WORDS; i++)
		to[i] = value;
}

static bool all_are(const uint32_t *v, uint32_t value)
{
	for (int i = 0; i < WORDS; i++)
		if (v[i] != value)
			return false;
	return true;
}

/* The host writes round, a copies it to x, b adds one into y, the host reads y. What a flag leaves out is wrong, or
 * nothing is. */
enum { RIGHT, NO_EVENT, EARLY_EVENT, NO_SYNC, REUSE, LEGACY };

static bool one_round(const struct sequence *q, int flaw, uint32_t round)
{
	CUstream second = flaw == LEGACY ? NULL : q->b;
	fill(q->pinned, round);
	if (flaw == EARLY_EVENT)
		GOOD(cu.cuEventRecord(q->done, q->a));
	GOOD(cu.cuMemcpyHtoDAsync_v2(q->x, q->pinned, WORDS * 4, q->a));
	if (flaw == REUSE)
		fill(q->pinned, 12345);
	if (flaw != EARLY_EVENT)
		GOOD(cu.cuEventRecord(q->done, q->a));
	if (flaw != NO_EVENT && flaw != LEGACY)
		GOOD(cu.cuStreamWaitEvent(second, q->done, 0));
	GOOD(gpu_launch(q->add, 1, WORDS, 0, second, (uint64_t[]){q->y, q->x}));
	if (flaw == REUSE)
		GOOD(cu.cuStreamSynchronize(q->a));
	GOOD(cu.cuMemcpyDtoHAsync_v2(q->pinned, q->y, WORDS * 4, second));
	if (flaw != NO_SYNC)
		GOOD(cu.cuStreamSynchronize(second));
	bool right = all_are(q->pinned, round + 1);
	GOOD(cu.cuCtxSynchronize());
	return right;
}

static int sequence(int flaw)
{
	struct sequence q = open_sequence(CU_STREAM_NON_BLOCKING);
	for (uint32_t round = 1; round <= ROUNDS; round++)
		if (!one_round(&q, flaw, round))
			return NOTICED;
	return UNNOTICED;
}
static int right_sequence(const void *unused) { return (void)unused, sequence(RIGHT); }
static int missing_event(const void *unused) { return (void)unused, sequence(NO_EVENT); }
static int early_event(const void *unused) { return (void)unused, sequence(EARLY_EVENT); }
static int missing_sync(const void *unused) { return (void)unused, sequence(NO_SYNC); }
static int reused_buffer(const void *unused) { return (void)unused, sequence(REUSE); }
static int legacy_assumed(const void *unused) { return (void)unused, sequence(LEGACY); }

/* Rounds that overlap: a copies the next one to x when b has read the last, if the event that says so is waited for. */
static int overlapping(bool waits)
{
	struct sequence q = open_sequence(CU_STREAM_NON_BLOCKING);
	uint32_t *all, y[WORDS];
	CUdeviceptr out = gpu_put(NULL, ROUNDS * WORDS * 4);
	CUevent read;
	GOOD(cu.cuEventCreate(&read, CU_EVENT_DISABLE_TIMING));
	GOOD(cu.cuMemHostAlloc((void **)&all, ROUNDS * WORDS * 4, 0));
	for (uint32_t round = 0; round < ROUNDS; round++) {
		fill(all + round * WORDS, round);
		if (waits && round)
			GOOD(cu.cuStreamWaitEvent(q.a, read, 0));
		GOOD(cu.cuMemcpyHtoDAsync_v2(q.x, all + round * WORDS, WORDS * 4, q.a));
		GOOD(cu.cuEventRecord(q.done, q.a));
		GOOD(cu.cuStreamWaitEvent(q.b, q.done, 0));
		GOOD(gpu_launch(q.add, 1, WORDS, 0, q.b, (uint64_t[]){out + round * WORDS * 4, q.x}));
		GOOD(cu.cuEventRecord(read, q.b));
	}
	GOOD(cu.cuCtxSynchronize());
	for (uint32_t round = 0; round < ROUNDS; round++) {
		gpu_get(y, out + round * WORDS * 4, sizeof y);
		if (!all_are(y, round + 1))
			return NOTICED;
	}
	return UNNOTICED;
}
static int right_overlap(const void *unused) { return (void)unused, overlapping(true); }
static int overwritten(const void *unused) { return (void)unused, overlapping(false); }

/* A device pointer that the host reads kills the process. */
static int host_reads(const void *unused)
{
	(void)unused;
	gpu_open();
	CUdeviceptr at = gpu_put(NULL, 64);
	return *(volatile int *)(uintptr_t)at == 0 ? UNNOTICED : UNNOTICED + 1;
}

static int used_after_free(const void *unused)
{
	(void)unused;
	struct sequence q = open_sequence(0);
	GOOD(cu.cuMemFree_v2(q.x));
	gpu_put(NULL, WORDS * 4);
	GOOD(gpu_launch(q.add, 1, WORDS, 0, NULL, (uint64_t[]){q.y, q.x}));
	return cu.cuCtxSynchronize() == CUDA_ERROR_ILLEGAL_ADDRESS ? NOTICED : UNNOTICED;
}

static const struct {
	const char *name;
	int (*run)(const void *);
	int status;
} flaws[] = {
	{"a missing barrier", missing_barrier, NOTICED},
	{"copies that are waited for", right_copies, UNNOTICED},
	{"copies that are not waited for", early_read, NOTICED},
	{"the last copy that is not waited for", weaker_wait, NOTICED},
	{"memory that nothing wrote", not_written, NOTICED},
	{"an order of CTAs", order_of_ctas, NOTICED},
	{"a right sequence", right_sequence, UNNOTICED},
	{"a missing event", missing_event, NOTICED},
	{"an event before what it stands for", early_event, NOTICED},
	{"rounds that overlap", right_overlap, UNNOTICED},
	{"memory that is written before it was read", overwritten, NOTICED},
	{"a missing synchronization", missing_sync, NOTICED},
	{"a pinned buffer that is reused under way", reused_buffer, NOTICED},
	{"the legacy stream beside one that does not block", legacy_assumed, NOTICED},
	{"a device pointer that the host reads", host_reads, 200 + 11},
	{"memory that is used after it was freed", used_after_free, NOTICED},
};

static void flaws_are_noticed(void **state)
{
	bool emulated = gpu_in_child(is_emulated, NULL) == 1;
	char text[8];
	(void)state;
	for (size_t i = 0; i < sizeof flaws / sizeof *flaws; i++)
		for (int seed = 0; seed < SEEDS; seed++) {
			if (!emulated && flaws[i].status != UNNOTICED)
				continue;
			snprintf(text, sizeof text, "%d", seed);
			setenv("EMU_SEED", text, 1);
			int status = gpu_in_child(flaws[i].run, NULL);
			if (status != flaws[i].status)
				print_error("%s, seed %d: %d\n", flaws[i].name, seed, status);
			assert_int_equal(status, flaws[i].status);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(faults), cmocka_unit_test(flaws_are_noticed)};
	gpu_load_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
