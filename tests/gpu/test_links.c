/* Kernels on two GPUs that write each other's memory, of one process and of two: right with every seed, and broken in
 * one place, which must be noticed with every seed: by a wrong result or a deadlock. */
#include <sys/wait.h>
#include <unistd.h>
#include "gpu_test.h"

enum { SEEDS = 8, SEEDS_OF_TWO = 3, ROUNDS = 24, WORDS = 256, RIGHT = 0, WRONG = 30, FAULT, BROKEN_TEST };

/* ---- kernels, with what they should make ---- */
/* All take: y[ROUNDS][threads], memory of their own, that of the other GPU, flags of their own, the other's; then: */
struct exchange {
	const char *file;
	unsigned ctas, threads;
	uint64_t (*last)(int gpu); /* an argument of their own, and ROUNDS */
	uint32_t (*want)(int gpu, int i);
};

static uint32_t number(int gpu, int i) { return (uint32_t)(i * 7 + gpu * 1000003 + 1); }

static uint64_t push_last(int gpu) { return number(gpu, 0); }
static uint32_t push_want(int gpu, int i) { return number(!gpu, 0) + (uint32_t)(i / 128 * 1000 + i % 128); }

static uint64_t sum_last(int gpu)
{
	uint32_t x[ROUNDS * WORDS];
	for (int i = 0; i < ROUNDS * WORDS; i++)
		x[i] = number(gpu, i);
	return gpu_put(x, sizeof x);
}
static uint32_t sum_want(int gpu, int i) { return number(gpu, i) + number(!gpu, i); }

static const struct exchange exchanges[] = {{"push", 1, 128, push_last, push_want}, {"sum", 3, 64, sum_last, sum_want}};
enum { EXCHANGES = sizeof exchanges / sizeof *exchanges };

/* ---- mutants ---- */
static const struct mutant {
	const char *file, *name, *from, *to;
	int nth;
} mutants[] = {
	{"push", "a relaxed flag", "st.release.sys", "st.relaxed.sys", 0},
	{"push", "a flag for the GPU", "st.release.sys", "st.release.gpu", 0},
	{"push", "a plain flag", "st.release.sys.global", "st.global", 0},
	{"push", "a flag after a fence for the GPU", "st.release.sys.global", "fence.acq_rel.gpu;\nst.relaxed.sys.global",
     0},
	{"push", "no barrier before the flag", "bar.sync 0;", "", 1},
	{"push", "a relaxed look at the flag", "ld.acquire.sys", "ld.relaxed.sys", 1},
	{"push", "a look at the flag for the GPU", "ld.acquire.sys", "ld.acquire.gpu", 1},
	{"push", "a plain look at the flag", "ld.acquire.sys.global", "ld.global", 1},
	{"push", "a fence for the GPU after the flag", "ld.acquire.sys.global.u32 %r4, [%rd3];",
     "ld.relaxed.sys.global.u32 %r4, [%rd3];\nfence.acq_rel.gpu;", 0},
	{"push", "an early read", "@%p1 bra WAIT_COME;", "", 0},
	{"push", "no barrier before the read", "bar.sync 0;", "", 2},
	{"push", "a box that is filled again too early", "@%p1 bra WAIT_TAKEN;", "", 0},
	{"sum", "no fence before the flag", "membar.sys;", "", 0},
	{"sum", "a fence for the GPU before the flag", "membar.sys;", "membar.gl;", 0},
	{"sum", "no fence after the flag", "membar.sys;", "", 1},
	{"sum", "a fence for the GPU after the flag", "membar.sys;", "membar.gl;", 1},
	{"sum", "a flag for the GPU", "red.relaxed.sys", "red.relaxed.gpu", 0},
	{"sum", "no barrier before the flag", "bar.sync 0;", "", 0},
	{"sum", "no barrier before the read", "bar.sync 0;", "", 1},
	{"sum", "an early read", "@%p1 bra WAIT_WRITTEN;", "", 0},
	{"sum", "rows that are written again too early", "@%p1 bra WAIT_READ;", "", 0},
};
enum { MUTANTS = sizeof mutants / sizeof *mutants };

/* ---- one GPU's part ---- */
struct part {
	const struct exchange *exchange;
	int gpu;
	CUcontext context;
	CUfunction f;
	CUdeviceptr y, own, flags;
};

static struct part open_part(const struct exchange *e, const char *text, int gpu)
{
	struct part p = {.exchange = e, .gpu = gpu};
	uint32_t zeros[8] = {0};
	CUmodule m;
	gpu_open_device(gpu);
	GOOD(cu.cuCtxGetCurrent(&p.context));
	GOOD(cu.cuModuleLoadData(&m, text));
	p.f = gpu_function(m, e->file);
	p.y = gpu_put(NULL, ROUNDS * WORDS * 4);
	p.own = gpu_put(NULL, WORDS * 4);
	p.flags = gpu_put(zeros, sizeof zeros);
	GOOD(cu.cuCtxSynchronize());
	return p;
}

static void start(const struct part *p, CUdeviceptr other, CUdeviceptr other_flags)
{
	GOOD(cu.cuCtxSetCurrent(p->context));
	uint64_t arguments[] = {p->y, p->own, other, p->flags, other_flags, p->exchange->last(p->gpu), ROUNDS};
	GOOD(gpu_launch(p->f, p->exchange->ctas, p->exchange->threads, 0, NULL, arguments));
}

static int finish(const struct part *p)
{
	uint32_t y[ROUNDS * WORDS];
	int n = (int)(p->exchange->ctas * p->exchange->threads) * ROUNDS;
	GOOD(cu.cuCtxSetCurrent(p->context));
	if (cu.cuCtxSynchronize())
		return FAULT;
	gpu_get(y, p->y, sizeof y);
	for (int i = 0; i < n; i++)
		if (y[i] != p->exchange->want(p->gpu, i))
			return WRONG;
	return RIGHT;
}

/* ---- in one process, and in two ---- */
static int one_process(const struct exchange *e, const char *text)
{
	struct part a = open_part(e, text, 0), b = open_part(e, text, 1);
	GOOD(cu.cuCtxEnablePeerAccess(a.context, 0));
	GOOD(cu.cuCtxSetCurrent(a.context));
	GOOD(cu.cuCtxEnablePeerAccess(b.context, 0));
	start(&a, b.own, b.flags);
	start(&b, a.own, a.flags);
	int first = finish(&a), second = finish(&b);
	return first ? first : second;
}

static void send(int file, CUdeviceptr at)
{
	CUipcMemHandle handle;
	GOOD(cu.cuIpcGetMemHandle(&handle, at));
	assert_int_equal(write(file, &handle, sizeof handle), sizeof handle);
}

static CUdeviceptr receive(int file)
{
	CUipcMemHandle handle;
	CUdeviceptr at = 0;
	assert_int_equal(read(file, &handle, sizeof handle), sizeof handle);
	GOOD(cu.cuIpcOpenMemHandle_v2(&at, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	return at;
}

static int one_of_two(const struct exchange *e, const char *text, int gpu, int from, int to)
{
	gpu_set("EMU_SEED", atoi(getenv("EMU_SEED")) + gpu * 100);
	struct part p = open_part(e, text, gpu);
	send(to, p.own);
	send(to, p.flags);
	CUdeviceptr other = receive(from), flags = receive(from);
	start(&p, other, flags);
	return finish(&p);
}

static int two_processes(const struct exchange *e, const char *text)
{
	int there[2], back[2], status;
	assert_int_equal(pipe(there) | pipe(back), 0);
	pid_t pid = fork();
	if (!pid)
		_exit(one_of_two(e, text, 1, there[0], back[1]));
	int first = one_of_two(e, text, 0, back[0], there[1]);
	waitpid(pid, &status, 0);
	int second = WIFEXITED(status) ? WEXITSTATUS(status) : BROKEN_TEST;
	return first ? first : second;
}

/* ---- runs ---- */
struct run {
	const struct exchange *exchange;
	const struct mutant *mutant; /* NULL: none */
	int (*in)(const struct exchange *e, const char *text);
};

static int run(const void *argument)
{
	const struct run *r = argument;
	const struct mutant *m = r->mutant;
	const char *text = m ? gpu_mutant(m->file, m->from, m->to, m->nth) : gpu_kernel(r->exchange->file);
	if (!text)
		return BROKEN_TEST;
	gpu_set("EMU_DEVICES", 2);
	if (m) {
		gpu_set("EMU_SPIN_MS", r->in == two_processes ? 400 : 60);
		gpu_set("EMU_LIMIT", 300000);
	}
	return r->in(r->exchange, text);
}

/* With how many of the seeds it is right. */
static int count_right(const struct run *r, int seeds)
{
	int right = 0;
	for (int seed = 0; seed < seeds; seed++) {
		gpu_set("EMU_SEED", seed);
		int got = gpu_in_child(run, r);
		assert_true(got == RIGHT || got == WRONG || got == FAULT);
		right += got == RIGHT;
	}
	return right;
}

static int devices(const void *unused)
{
	int n = 0;
	(void)unused;
	gpu_open();
	GOOD(cu.cuDeviceGetCount(&n));
	return gpu_is_emulated() ? 100 : n;
}

static void check_right(int (*in)(const struct exchange *e, const char *text))
{
	if (gpu_in_child(devices, NULL) < 2)
		skip();
	for (int i = 0; i < EXCHANGES; i++) {
		gpu_assemble(gpu_kernel(exchanges[i].file));
		for (int races = 0; races < 2; races++) {
			gpu_set("EMU_RACE", races);
			assert_int_equal(count_right(&(struct run){&exchanges[i], NULL, in}, SEEDS), SEEDS);
		}
		gpu_set("EMU_RACE", 0);
	}
}

static void check_mutants(int (*in)(const struct exchange *e, const char *text), int seeds)
{
	int missed = 0;
	if (gpu_in_child(devices, NULL) != 100)
		skip();
	for (int i = 0; i < MUTANTS; i++) {
		const struct exchange *e = exchanges;
		while (strcmp(e->file, mutants[i].file) != 0)
			e++;
		int right = count_right(&(struct run){e, &mutants[i], in}, seeds);
		if (right)
			print_error("%s, %s: right with %d of %d seeds\n", mutants[i].file, mutants[i].name, right, seeds);
		missed += right != 0;
	}
	assert_int_equal(missed, 0);
}

static void right_in_one_process(void **state) { (void)state, check_right(one_process); }
static void right_in_two_processes(void **state) { (void)state, check_right(two_processes); }
static void mutants_in_one_process(void **state) { (void)state, check_mutants(one_process, SEEDS); }
static void mutants_in_two_processes(void **state) { (void)state, check_mutants(two_processes, SEEDS_OF_TWO); }

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(right_in_one_process), cmocka_unit_test(right_in_two_processes),
	                                   cmocka_unit_test(mutants_in_one_process),
	                                   cmocka_unit_test(mutants_in_two_processes)};
	gpu_load_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
