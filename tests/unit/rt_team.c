/* The cpu device's team of threads: each share of a kernel is computed once, then the launch ends. */
#include <setjmp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../runtime/device.h"

enum { N = 997, ROUNDS = 2000 };

/* to[i] = from[N - 1 - i] + 1: reads what other workers wrote in the launch before. */
static void reverse(const uint64_t *args, int32_t worker, int32_t share, int32_t shares)
{
	(void)worker;
	const int32_t *from = (const int32_t *)(uintptr_t)args[0];
	int32_t *to = (int32_t *)(uintptr_t)args[1];
	for (int i = share * N / shares; i < (share + 1) * N / shares; i++)
		to[i] = from[N - 1 - i] + 1;
}

/* What threads see of launches. */
enum { MAX_WORKERS = 5, MAX_SHARES = 128 };
struct seen {
	int32_t of_share[MAX_SHARES], of_worker[MAX_WORKERS];
	atomic_int busy[MAX_WORKERS], clashes, finished;
};

/* Counts the calls for each share and each worker. No two calls with one worker may run at a time. */
static void count(const uint64_t *args, int32_t worker, int32_t share, int32_t shares)
{
	struct seen *s = (struct seen *)(uintptr_t)args[0];
	atomic_fetch_add(&s->clashes, atomic_fetch_add(&s->busy[worker], 1));
	s->of_share[share] += shares;
	s->of_worker[worker]++;
	atomic_fetch_sub(&s->busy[worker], 1);
}

/* Worker 1 is slow: it ends its share when all other shares have ended. */
static void wait_for_others(const uint64_t *args, int32_t worker, int32_t share, int32_t shares)
{
	struct seen *s = (struct seen *)(uintptr_t)args[0];
	(void)share;
	if (worker == 1)
		while (atomic_load(&s->finished) % shares != shares - 1)
			sched_yield();
	s->of_worker[worker]++;
	atomic_fetch_add(&s->finished, 1);
}

static const dr_kernel_fn kernels[] = {reverse, count, wait_for_others};
static const struct dr_image image = {.n_kernels = 3, .functions = kernels};

static void launch(struct device *d, int kernel, const uint64_t *args, int n_args, bool small)
{
	d->launch(d, &(struct launch){.kernel = kernel, .args = args, .n_args = n_args, .small = small});
}

static void run_team(int threads, bool spin)
{
	struct board *board = board_open(1);
	struct device_options o = {.image = &image, .workers = threads, .spin = spin, .reporter = {board, 0}};
	struct device *d = device_open("cpu", &o);
	uint64_t a = d->alloc(d, N * 4), b = d->alloc(d, N * 4), counts = d->alloc(d, sizeof(struct seen));
	const struct seen *seen = (const struct seen *)(uintptr_t)counts;
	int32_t values[N], of_workers = 0;
	for (int i = 0; i < ROUNDS; i++) {
		launch(d, 0, (const uint64_t[]){i % 2 ? b : a, i % 2 ? a : b}, 2, i % 5 == 4);
		if (i % 3 == 0)
			launch(d, 1, (const uint64_t[]){counts}, 1, i % 2);
	}
	d->sync(d);
	d->read(d, values, flat(a, sizeof values));
	for (int i = 0; i < N; i++)
		assert_int_equal(values[i], ROUNDS);
	/* Half of the launches that count are small: one share. */
	int large = (ROUNDS + 5) / 6, small = (ROUNDS + 2) / 3 - large, shares = threads == 1 ? 1 : 16 * threads;
	for (int i = 0; i < MAX_SHARES; i++)
		assert_int_equal(seen->of_share[i], i >= shares ? 0 : large * shares + (i == 0 ? small : 0));
	for (int i = 0; i < MAX_WORKERS; i++) {
		assert_true(i < threads || seen->of_worker[i] == 0);
		of_workers += seen->of_worker[i];
	}
	assert_int_equal(of_workers, large * shares + small);
	assert_int_equal(seen->clashes, 0);
	d->close(d);
}

/* A thread that gets no time holds up one share: the others compute the rest, and the next launch waits for nobody
 * else. */
static void a_slow_thread_costs_its_share(void **state)
{
	(void)state;
	struct board *board = board_open(1);
	struct device_options o = {.image = &image, .workers = 3, .reporter = {board, 0}};
	struct device *d = device_open("cpu", &o);
	uint64_t at = d->alloc(d, sizeof(struct seen));
	const struct seen *seen = (const struct seen *)(uintptr_t)at;
	enum { LAUNCHES = 200, SHARES = 48 };
	for (int i = 0; i < LAUNCHES; i++) {
		int before = seen->of_worker[1];
		launch(d, 2, (const uint64_t[]){at}, 1, false);
		assert_true(seen->of_worker[1] <= before + 1);
		assert_int_equal(atomic_load(&seen->finished), (i + 1) * SHARES);
	}
	d->close(d);
}

static void teams(void **state)
{
	(void)state;
	for (int threads = 1; threads <= MAX_WORKERS; threads++) {
		run_team(threads, false);
		run_team(threads, true);
	}
}

/* Rows of a rectangle on the device, packed on the host. */
static void rectangles(void **state)
{
	(void)state;
	struct board *board = board_open(1);
	struct device_options o = {.image = &image, .workers = 1, .spin = false, .reporter = {board, 0}};
	struct device *d = device_open("cpu", &o);
	uint64_t a = d->alloc(d, 64);
	char packed[6], all[64];
	d->fill(d, a, 7, 64);
	d->write(d, (struct rect){a + 3, 10, 2, 3}, "abcdef");
	d->read(d, all, flat(a, 64));
	d->read(d, packed, (struct rect){a + 3, 10, 2, 3});
	assert_memory_equal(packed, "abcdef", 6);
	for (int i = 0; i < 64; i++) {
		int row = (i - 3) / 10, column = i - 3 - row * 10;
		assert_int_equal(all[i], i >= 3 && row < 3 && column < 2 ? "abcdef"[row * 2 + column] : 7);
	}
	assert_int_equal(d->alloc(d, 0), 0);
	d->close(d);
}

/* ---- what ends a rank ------------------------------------------------------------------------ */
struct end {
	int status;
	char message[2048];
};
static struct board *board_of_test;

/* Runs `f` in a process with a device of one worker, and returns how it ended. */
static struct end ended(void (*f)(struct device *d))
{
	struct board *board = board_of_test = board_open(1);
	struct end end;
	pid_t pid = fork();
	if (pid == 0) {
		struct device_options o = {.image = &image, .workers = 1, .spin = false, .reporter = {board, 0}};
		signal(SIGSEGV, SIG_DFL); /* cmocka would go on in the child */
		f(device_open("cpu", &o));
		_exit(0);
	}
	assert_true(pid > 0 && waitpid(pid, &end.status, 0) == pid);
	memcpy(end.message, board->rank[0].message, sizeof end.message);
	return end;
}

static void write_to(uint64_t at) { *(volatile char *)(uintptr_t)at = 1; }

enum { SPACE = 100000 };
static void inside(struct device *d)
{
	uint64_t a = d->alloc(d, SPACE), b = d->alloc(d, 1);
	write_to(a);
	write_to(a + SPACE - 1);
	write_to(b);
	d->close(d);
}
static void after_the_end(struct device *d) { write_to(d->alloc(d, SPACE) + (SPACE + 63) / 64 * 64); }
static void before_the_begin(struct device *d)
{
	uint64_t at = d->alloc(d, SPACE), page = (uint64_t)sysconf(_SC_PAGESIZE);
	write_to(at / page * page - 1);
}
static void too_much(struct device *d) { d->alloc(d, 1ull << 50); }
static void too_often(struct device *d)
{
	for (int i = 0; i < 17; i++)
		d->alloc(d, 64);
}
static void sixteen(struct device *d)
{
	for (int i = 0; i < 16; i++)
		d->alloc(d, 64);
}

/* Guard pages are on both sides of a space; too large or too many allocations are reported. */
static void memory(void **state)
{
	(void)state;
	assert_int_equal(ended(inside).status, 0);
	assert_int_not_equal(ended(after_the_end).status, 0);
	assert_int_not_equal(ended(before_the_begin).status, 0);
	assert_int_equal(ended(sixteen).status, 0);
	struct end much = ended(too_much), often = ended(too_often);
	assert_int_equal(WEXITSTATUS(much.status), STATUS_FAILED);
	assert_string_equal(much.message, "the host does not have 1125899906842624 bytes of memory left");
	assert_int_equal(WEXITSTATUS(often.status), STATUS_INTERNAL);
	assert_string_equal(often.message, "internal: more than 16 allocations on a device");
}

#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
#if !defined(RANKS_ARE_THREADS) && !__has_feature(address_sanitizer)
/* No memory for the stacks of so many threads. */
static void many_threads(struct device *d)
{
	struct rlimit room = {256 << 20, 256 << 20};
	struct device_options o = {.image = &image, .workers = 1000, .spin = false, .reporter = {board_of_test, 0}};
	d->close(d);
	setrlimit(RLIMIT_AS, &room);
	device_open("cpu", &o);
}

static void threads_that_cannot_start(void **state)
{
	(void)state;
	struct end end = ended(many_threads);
	assert_int_equal(WEXITSTATUS(end.status), STATUS_FAILED);
	assert_memory_equal(end.message, "cannot start thread ", 20);
	assert_non_null(strstr(end.message, " of 1000"));
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(teams),
		cmocka_unit_test(a_slow_thread_costs_its_share),
		cmocka_unit_test(rectangles),
		cmocka_unit_test(memory),
#if !defined(RANKS_ARE_THREADS) && !__has_feature(address_sanitizer)
		cmocka_unit_test(threads_that_cannot_start),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
