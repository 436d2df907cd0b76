/* Captures and graphs: the order that they promise, and what the driver forbids meanwhile. What leaves a context broken
 * runs in a child. */
#include <pthread.h>
#include "gpu_test.h"

#define IS(call, code) gpu_expect((call), (code), #call, __FILE__, __LINE__)
#define BAD(call)      IS(call, CUDA_ERROR_INVALID_VALUE)
#define HANDLE(call)   IS(call, CUDA_ERROR_INVALID_HANDLE)

enum { SEEDS = 8, WORDS = 32, NOTICED = 50, UNNOTICED = 51 };

/* x[i] = a * x[i] + b: any other order has another result. */
static const char affine[] =
	"mov.u32 %r0, %tid.x;\nmul.wide.u32 %rd3, %r0, 4;\nadd.u64 %rd3, %rd0, %rd3;\nld.global.u32 %r1, [%rd3];\n"
	"cvt.u32.u64 %r2, %rd1;\ncvt.u32.u64 %r3, %rd2;\nmad.lo.u32 %r1, %r1, %r2, %r3;\nst.global.u32 [%rd3], %r1;";

struct bench {
	CUmodule module;
	CUfunction affine;
	CUstream a, b;
	CUevent forked, joined;
	CUdeviceptr x;
	uint32_t *pinned;
};

static struct bench open_bench(unsigned flags)
{
	struct bench t;
	gpu_open();
	t.module = gpu_module(KERNEL("k", 3, affine));
	t.affine = gpu_function(t.module, "k");
	GOOD(cu.cuStreamCreate(&t.a, flags));
	GOOD(cu.cuStreamCreate(&t.b, flags));
	GOOD(cu.cuEventCreate(&t.forked, CU_EVENT_DISABLE_TIMING));
	GOOD(cu.cuEventCreate(&t.joined, CU_EVENT_DISABLE_TIMING));
	t.x = gpu_put(NULL, WORDS * 4);
	GOOD(cu.cuMemHostAlloc((void **)&t.pinned, WORDS * 4, 0));
	return t;
}

static void step(const struct bench *t, CUstream s, uint64_t a, uint64_t b)
{
	GOOD(gpu_launch(t->affine, 1, WORDS, 0, s, (uint64_t[]){t->x, a, b}));
}

static void begin(const struct bench *t) { GOOD(cu.cuStreamBeginCapture_v2(t->a, CU_STREAM_CAPTURE_MODE_GLOBAL)); }

static CUgraphExec end(const struct bench *t)
{
	CUgraph g;
	CUgraphExec e;
	GOOD(cu.cuStreamEndCapture(t->a, &g));
	GOOD(cu.cuGraphInstantiateWithFlags(&e, g, 0));
	GOOD(cu.cuGraphDestroy(g));
	return e;
}

static void go_to(CUstream from, CUevent by, CUstream to)
{
	GOOD(cu.cuEventRecord(by, from));
	GOOD(cu.cuStreamWaitEvent(to, by, 0));
}

static bool all_are(const uint32_t *v, uint32_t value)
{
	for (int i = 0; i < WORDS; i++)
		if (v[i] != value)
			return false;
	return true;
}

/* ---- order ---- */
enum { RIGHT, NO_FORK, REUSED, NOT_WAITED };

/* A copy in, three steps over two streams, a copy out: the graph runs ROUNDS times, with other numbers each time. */
static int sequence(int flaw)
{
	enum { ROUNDS = 20 };
	struct bench t = open_bench(CU_STREAM_NON_BLOCKING);
	begin(&t);
	if (flaw == NO_FORK)
		go_to(t.a, t.forked, t.b);
	GOOD(cu.cuMemcpyHtoDAsync_v2(t.x, t.pinned, WORDS * 4, t.a));
	step(&t, t.a, 3, 1);
	if (flaw != NO_FORK)
		go_to(t.a, t.forked, t.b);
	step(&t, t.b, 5, 2);
	go_to(t.b, t.joined, t.a);
	step(&t, t.a, 7, 3);
	GOOD(cu.cuMemcpyDtoHAsync_v2(t.pinned, t.x, WORDS * 4, t.a));
	CUgraphExec e = end(&t);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < WORDS; i++)
			t.pinned[i] = round;
		GOOD(cu.cuGraphLaunch(e, t.a));
		if (flaw == REUSED)
			memset(t.pinned, 0, WORDS * 4);
		if (flaw != NOT_WAITED)
			GOOD(cu.cuStreamSynchronize(t.a));
		bool right = all_are(t.pinned, ((round * 3 + 1) * 5 + 2) * 7 + 3);
		GOOD(cu.cuCtxSynchronize());
		if (!right)
			return NOTICED;
	}
	GOOD(cu.cuGraphExecDestroy(e));
	return UNNOTICED;
}
static int right_graph(const void *unused) { return (void)unused, sequence(RIGHT); }
static int forked_early(const void *unused) { return (void)unused, sequence(NO_FORK); }
static int reused_pinned(const void *unused) { return (void)unused, sequence(REUSED); }
static int not_waited(const void *unused) { return (void)unused, sequence(NOT_WAITED); }

/* Memory that was freed since the capture, or the kernel's module: noticed when the graph is launched. */
static int freed_memory(const void *unused)
{
	struct bench t = open_bench(CU_STREAM_NON_BLOCKING);
	(void)unused;
	begin(&t);
	GOOD(cu.cuMemcpyHtoDAsync_v2(t.x, t.pinned, WORDS * 4, t.a));
	CUgraphExec e = end(&t);
	GOOD(cu.cuMemFree_v2(t.x));
	GOOD(cu.cuGraphLaunch(e, t.a));
	return cu.cuStreamSynchronize(t.a) == CUDA_ERROR_ILLEGAL_ADDRESS ? NOTICED : UNNOTICED;
}

static int unloaded_module(const void *unused)
{
	struct bench t = open_bench(CU_STREAM_NON_BLOCKING);
	(void)unused;
	begin(&t);
	step(&t, t.a, 3, 1);
	CUgraphExec e = end(&t);
	GOOD(cu.cuModuleUnload(t.module));
	return cu.cuGraphLaunch(e, t.a) == CUDA_ERROR_INVALID_HANDLE ? NOTICED : UNNOTICED;
}

static const struct {
	const char *name;
	int (*run)(const void *);
	int status;
} sequences[] = {
	{"a right graph", right_graph, UNNOTICED},
	{"a fork before what it needs", forked_early, NOTICED},
	{"a pinned buffer that is reused before its graph ran", reused_pinned, NOTICED},
	{"a result that is read early", not_waited, NOTICED},
	{"a graph that copies to memory that was freed", freed_memory, NOTICED},
	{"a graph whose kernels were unloaded", unloaded_module, NOTICED},
};

static int is_emulated(const void *unused)
{
	(void)unused;
	gpu_open();
	return gpu_is_emulated();
}

static void order(void **state)
{
	bool emulated = gpu_in_child(is_emulated, NULL) == 1;
	char text[8];
	(void)state;
	for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++)
		for (int seed = 0; seed < SEEDS; seed++) {
			if (!emulated && sequences[i].status != UNNOTICED)
				continue;
			snprintf(text, sizeof text, "%d", seed);
			setenv("EMU_SEED", text, 1);
			int status = gpu_in_child(sequences[i].run, NULL);
			if (status != sequences[i].status)
				print_error("%s, seed %d: %d\n", sequences[i].name, seed, status);
			assert_int_equal(status, sequences[i].status);
		}
}

/* ---- what is forbidden ---- */
/* Each spoils the capture: it answers 901 from then on, and its end too. */
static void spoilt(const struct bench *t)
{
	CUstreamCaptureStatus status;
	CUgraph g = (CUgraph)t;
	GOOD(cu.cuStreamIsCapturing(t->a, &status));
	IS(status, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	IS(gpu_launch(t->affine, 1, WORDS, 0, t->a, (uint64_t[]){t->x, 1, 1}), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	IS(cu.cuStreamEndCapture(t->a, &g), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	IS(g == NULL, true);
	GOOD(cu.cuStreamIsCapturing(t->a, &status));
	IS(status, CU_STREAM_CAPTURE_STATUS_NONE);
}

static int waits_in_capture(const void *unused)
{
	struct bench t = open_bench(CU_STREAM_NON_BLOCKING);
	CUdeviceptr other;
	(void)unused;
	begin(&t);
	IS(cu.cuStreamSynchronize(t.a), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	spoilt(&t);
	begin(&t);
	IS(cu.cuStreamQuery(t.a), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	spoilt(&t);
	begin(&t);
	IS(cu.cuCtxSynchronize(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	spoilt(&t);
	begin(&t);
	IS(cu.cuMemAlloc_v2(&other, 4), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	spoilt(&t);
	begin(&t);
	IS(cu.cuMemcpyHtoD_v2(t.x, t.pinned, 4), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	spoilt(&t);
	begin(&t);
	IS(cu.cuEventQuery(t.joined), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	spoilt(&t);
	/* A relaxed capture leaves its thread free, and other streams work. */
	GOOD(cu.cuStreamBeginCapture_v2(t.a, CU_STREAM_CAPTURE_MODE_RELAXED));
	GOOD(cu.cuMemAlloc_v2(&other, 4));
	step(&t, t.b, 1, 1);
	GOOD(cu.cuStreamSynchronize(t.b));
	GOOD(cu.cuGraphExecDestroy(end(&t)));
	return 0;
}

/* A capture of which nobody else's calls know, unless it is global. */
static void *allocate(void *expected)
{
	CUdeviceptr at;
	CUcontext c;
	GOOD(cu.cuDevicePrimaryCtxRetain(&c, 0));
	GOOD(cu.cuCtxSetCurrent(c));
	IS(cu.cuMemAlloc_v2(&at, 4), *(CUresult *)expected);
	return NULL;
}

static int other_threads(const void *unused)
{
	struct bench t = open_bench(CU_STREAM_NON_BLOCKING);
	pthread_t thread;
	CUresult forbidden = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, allowed = CUDA_SUCCESS;
	(void)unused;
	begin(&t);
	pthread_create(&thread, NULL, allocate, &forbidden);
	pthread_join(thread, NULL);
	spoilt(&t);
	GOOD(cu.cuStreamBeginCapture_v2(t.a, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	pthread_create(&thread, NULL, allocate, &allowed);
	pthread_join(thread, NULL);
	IS(cu.cuMemAlloc_v2(&t.x, 4), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	spoilt(&t);
	return 0;
}

static void *end_elsewhere(void *stream)
{
	CUgraph g;
	CUcontext c;
	GOOD(cu.cuDevicePrimaryCtxRetain(&c, 0));
	GOOD(cu.cuCtxSetCurrent(c));
	IS(cu.cuStreamEndCapture(stream, &g), CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
	return NULL;
}

static int ends(const void *unused)
{
	struct bench t = open_bench(CU_STREAM_NON_BLOCKING);
	CUgraph g;
	pthread_t thread;
	(void)unused;
	IS(cu.cuStreamEndCapture(t.a, &g), CUDA_ERROR_ILLEGAL_STATE);
	IS(cu.cuStreamBeginCapture_v2(NULL, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	BAD(cu.cuStreamBeginCapture_v2(t.a, (CUstreamCaptureMode)3));
	begin(&t);
	IS(cu.cuStreamBeginCapture_v2(t.a, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_ERROR_ILLEGAL_STATE);
	pthread_create(&thread, NULL, end_elsewhere, t.a);
	pthread_join(thread, NULL);
	/* Work of the other stream that nothing waits for; its end there. */
	go_to(t.a, t.forked, t.b);
	step(&t, t.b, 3, 1);
	IS(cu.cuStreamEndCapture(t.a, &g), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
	begin(&t);
	go_to(t.a, t.forked, t.b);
	IS(cu.cuStreamEndCapture(t.b, &g), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
	spoilt(&t);
	/* A stream that is destroyed meanwhile. */
	begin(&t);
	go_to(t.a, t.forked, t.b);
	GOOD(cu.cuStreamDestroy_v2(t.b));
	spoilt(&t);
	return 0;
}

static int events(const void *unused)
{
	struct bench t = open_bench(CU_STREAM_NON_BLOCKING);
	CUevent outside;
	CUgraph g;
	(void)unused;
	GOOD(cu.cuEventCreate(&outside, 0));
	begin(&t);
	GOOD(cu.cuStreamWaitEvent(t.a, outside, 0)); /* was never recorded */
	GOOD(cu.cuEventRecord(outside, t.b));
	IS(cu.cuStreamWaitEvent(t.a, outside, 0), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
	spoilt(&t);
	GOOD(cu.cuStreamBeginCapture_v2(t.a, CU_STREAM_CAPTURE_MODE_RELAXED));
	GOOD(cu.cuEventRecord(t.forked, t.a));
	IS(cu.cuEventQuery(t.forked), CUDA_ERROR_CAPTURED_EVENT);
	IS(cu.cuEventSynchronize(t.forked), CUDA_ERROR_CAPTURED_EVENT);
	IS(cu.cuStreamWaitEvent(NULL, t.forked, 0), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
	spoilt(&t);
	IS(cu.cuEventQuery(t.forked), CUDA_ERROR_CAPTURED_EVENT);
	IS(cu.cuStreamWaitEvent(t.b, t.forked, 0), CUDA_ERROR_CAPTURED_EVENT);
	GOOD(cu.cuEventRecord(t.forked, t.b)); /* now it is an ordinary event again */
	GOOD(cu.cuEventSynchronize(t.forked));
	/* Two captures do not merge. */
	begin(&t);
	GOOD(cu.cuStreamBeginCapture_v2(t.b, CU_STREAM_CAPTURE_MODE_GLOBAL));
	GOOD(cu.cuEventRecord(t.forked, t.b));
	IS(cu.cuStreamWaitEvent(t.a, t.forked, 0), CUDA_ERROR_STREAM_CAPTURE_MERGE);
	spoilt(&t);
	IS(cu.cuStreamEndCapture(t.b, &g), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	return 0;
}

/* The legacy stream would come between, if the captured stream is ordered with it. */
static int legacy(const void *unused)
{
	struct bench t = open_bench(CU_STREAM_DEFAULT);
	CUstream free_stream;
	CUstreamCaptureStatus status;
	(void)unused;
	begin(&t);
	IS(cu.cuStreamIsCapturing(NULL, &status), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
	IS(gpu_launch(t.affine, 1, WORDS, 0, NULL, (uint64_t[]){t.x, 1, 1}), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
	spoilt(&t);
	GOOD(cu.cuStreamCreate(&free_stream, CU_STREAM_NON_BLOCKING));
	GOOD(cu.cuStreamBeginCapture_v2(free_stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	GOOD(gpu_launch(t.affine, 1, WORDS, 0, NULL, (uint64_t[]){t.x, 1, 1}));
	GOOD(cu.cuStreamSynchronize(NULL));
	return 0;
}

static void *refused_in_host[1];
static void call_driver(void *argument)
{
	refused_in_host[0] = (void *)(uintptr_t)cu.cuMemFree_v2(*(CUdeviceptr *)argument);
}
static void add_one(void *argument) { ++*(uint32_t *)argument; }

static int host_functions(const void *unused)
{
	struct bench t = open_bench(CU_STREAM_NON_BLOCKING);
	uint32_t count = 0;
	(void)unused;
	BAD(cu.cuLaunchHostFunc(t.a, NULL, NULL));
	GOOD(cu.cuLaunchHostFunc(t.a, add_one, &count));
	begin(&t);
	GOOD(cu.cuLaunchHostFunc(t.a, add_one, &count));
	CUgraphExec e = end(&t);
	for (int i = 0; i < 3; i++)
		GOOD(cu.cuGraphLaunch(e, t.a));
	GOOD(cu.cuLaunchHostFunc(t.a, call_driver, &t.x));
	GOOD(cu.cuStreamSynchronize(t.a));
	IS((int)count, 4);
	IS((int)(uintptr_t)refused_in_host[0], CUDA_ERROR_NOT_PERMITTED);
	return 0;
}

static int handles(const void *unused)
{
	struct bench t = open_bench(CU_STREAM_NON_BLOCKING);
	CUgraph g;
	CUgraphExec e, outer;
	size_t n;
	(void)unused;
	begin(&t);
	step(&t, t.a, 1, 1);
	step(&t, t.a, 1, 1);
	GOOD(cu.cuStreamEndCapture(t.a, &g));
	GOOD(cu.cuGraphGetNodes(g, NULL, &n));
	IS((int)n, 2);
	GOOD(cu.cuGraphInstantiateWithFlags(&e, g, 0));
	GOOD(cu.cuGraphDestroy(g));
	if (!gpu_is_emulated())
		return 0;
	BAD(cu.cuGraphDestroy(g));
	BAD(cu.cuGraphInstantiateWithFlags(&outer, g, 0));
	begin(&t);
	IS(cu.cuGraphLaunch(e, t.a), CUDA_ERROR_NOT_SUPPORTED);
	GOOD(cu.cuGraphExecDestroy(end(&t))); /* without a node */
	/* A run under way survives its graph. */
	GOOD(cu.cuMemsetD8_v2(t.x, 0, WORDS * 4));
	GOOD(cu.cuCtxSynchronize());
	GOOD(cu.cuGraphLaunch(e, t.a));
	GOOD(cu.cuGraphLaunch(e, t.b));
	GOOD(cu.cuGraphExecDestroy(e));
	GOOD(cu.cuCtxSynchronize());
	GOOD(cu.cuMemcpyDtoH_v2(t.pinned, t.x, WORDS * 4));
	IS(all_are(t.pinned, 4), true);
	BAD(cu.cuGraphLaunch(e, t.a));
	BAD(cu.cuGraphExecDestroy(e));
	GOOD(cu.cuStreamDestroy_v2(t.a));
	HANDLE(cu.cuStreamBeginCapture_v2(t.a, CU_STREAM_CAPTURE_MODE_GLOBAL));
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const void *);
} rules[] = {{"waits", waits_in_capture},   {"other threads", other_threads},   {"ends", ends},      {"events", events},
             {"the legacy stream", legacy}, {"host functions", host_functions}, {"handles", handles}};

static void forbidden(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		int status = gpu_in_child(rules[i].run, NULL);
		if (status)
			print_error("%s: %d\n", rules[i].name, status);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(order), cmocka_unit_test(forbidden)};
	gpu_load_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
