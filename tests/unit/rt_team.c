/* The cpu device's team of threads: each worker runs its share of every kernel once, and a launch ends after all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "../../runtime/device.h"

enum { N = 997, ROUNDS = 2000 };

/* to[i] = from[N - 1 - i] + 1: reads what other workers wrote in the launch before. */
static void reverse(const uint64_t *args, int32_t worker, int32_t workers)
{
	const int32_t *from = (const int32_t *)(uintptr_t)args[0];
	int32_t *to = (int32_t *)(uintptr_t)args[1];
	for (int i = worker * N / workers; i < (worker + 1) * N / workers; i++)
		to[i] = from[N - 1 - i] + 1;
}

/* Counts how many workers a launch has, each in a place of its own. */
static void count(const uint64_t *args, int32_t worker, int32_t workers)
{
	((int32_t *)(uintptr_t)args[0])[worker] += workers;
}

static const dr_kernel_fn kernels[] = { reverse, count };

static void run_team(int threads, bool spin)
{
	struct board *board = board_open(1);
	struct device_options o = { kernels, threads, spin, { board, 0 } };
	struct device *d = device_open("cpu", &o);
	uint64_t a = d->alloc(d, N * 4), b = d->alloc(d, N * 4), counts = d->alloc(d, 64 * 4);
	int32_t values[N], seen[64];
	for (int i = 0; i < ROUNDS; i++) {
		d->launch(d, 0, (const uint64_t[]){ i % 2 ? b : a, i % 2 ? a : b }, 2, i % 5 == 4);
		if (i % 3 == 0)
			d->launch(d, 1, (const uint64_t[]){ counts }, 1, i % 2);
	}
	d->sync(d);
	d->read(d, values, flat(a, sizeof values));
	d->read(d, seen, flat(counts, sizeof seen));
	d->close(d);
	for (int i = 0; i < N; i++)
		assert_int_equal(values[i], ROUNDS);
	/* Half of the launches that count are small: one worker of one. */
	int large = (ROUNDS + 5) / 6, small = (ROUNDS + 2) / 3 - large;
	for (int i = 0; i < 64; i++)
		assert_int_equal(seen[i], i >= threads ? 0 : large * threads + (i == 0 ? small : 0));
}

static void teams(void **state)
{
	(void)state;
	for (int threads = 1; threads <= 5; threads++) {
		run_team(threads, false);
		run_team(threads, true);
	}
}

/* Rows of a rectangle on the device, packed on the host. */
static void rectangles(void **state)
{
	(void)state;
	struct board *board = board_open(1);
	struct device_options o = { kernels, 1, false, { board, 0 } };
	struct device *d = device_open("cpu", &o);
	uint64_t a = d->alloc(d, 64);
	char packed[6], all[64];
	d->fill(d, a, 7, 64);
	d->write(d, (struct rect){ a + 3, 10, 2, 3 }, "abcdef");
	d->read(d, all, flat(a, 64));
	d->read(d, packed, (struct rect){ a + 3, 10, 2, 3 });
	assert_memory_equal(packed, "abcdef", 6);
	for (int i = 0; i < 64; i++) {
		int row = (i - 3) / 10, column = i - 3 - row * 10;
		assert_int_equal(all[i], i >= 3 && row < 3 && column < 2 ? "abcdef"[row * 2 + column] : 7);
	}
	assert_int_equal(d->alloc(d, 0), 0);
	d->close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(teams), cmocka_unit_test(rectangles) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
