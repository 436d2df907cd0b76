/* The launcher's cuda device on the emulated GPU: what it queues, and what waits for it. */
#include "../../runtime/device_cuda.h"
#include "gpu_test.h"

enum { SEEDS = 8, ROUNDS = 40, WORDS = 64, BYTES = WORDS * 4, NOTICED = 50, UNNOTICED = 51 };

static struct device *open_device(int timeout)
{
	struct device_options o = {.workers = 64, .reporter = {board_open(1), 0}, .timeout = timeout};
	return device_open("cuda", &o);
}

static void fill(uint32_t *to, uint32_t value)
{
	for (int i = 0; i < WORDS; i++)
		to[i] = value;
}

/* Sends numbers from two buffers in turn, each round to a place of its own, and fetches all of them at the end. The
 * flaws leave something out. */
enum { RIGHT, NO_AWAIT, NO_MARK, NO_SYNC };

static int buffers(int flaw)
{
	struct device *d = open_device(20);
	const struct device_queue *q = d->queue;
	uint64_t at = d->alloc(d, ROUNDS * BYTES);
	uint32_t *buffer[DEVICE_MARKS], *all = q->host_memory(d, ROUNDS * BYTES);
	bool right = true;
	for (int i = 0; i < DEVICE_MARKS; i++)
		buffer[i] = q->host_memory(d, BYTES);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned which = round % DEVICE_MARKS;
		if (flaw != NO_AWAIT)
			q->await(d, which);
		fill(buffer[which], round);
		q->send(d, at + round * BYTES, buffer[which], BYTES);
		if (flaw != NO_MARK)
			q->mark(d, which);
	}
	q->fetch(d, all, at, ROUNDS * BYTES);
	if (flaw != NO_SYNC)
		d->sync(d);
	for (unsigned round = 0; round < ROUNDS; round++)
		for (int i = 0; i < WORDS; i++)
			right = right && all[round * WORDS + (unsigned)i] == round;
	d->close(d);
	return right ? UNNOTICED : NOTICED;
}
static int right(const void *unused) { return (void)unused, buffers(RIGHT); }
static int no_await(const void *unused) { return (void)unused, buffers(NO_AWAIT); }
static int no_mark(const void *unused) { return (void)unused, buffers(NO_MARK); }
static int no_sync(const void *unused) { return (void)unused, buffers(NO_SYNC); }

/* Steps that overlap: each doubles as the source of the next one's input, as tokens are, and its results are read when
 * the next one is queued. The host never knows a number before it has come back. */
enum { ONE_PARCEL = NO_SYNC + 1, NO_AWAIT_OF_RESULTS, NO_MARK_OF_RESULTS, MARK_BEFORE_RESULTS };

static int steps(int flaw)
{
	enum { INPUT = 0, TOKENS = BYTES, RESULTS = 2, STEPS = 250 };
	struct device *d = open_device(20);
	const struct device_queue *q = d->queue;
	uint64_t at = d->alloc(d, (uint64_t)2 * BYTES);
	uint32_t *parcel[2] = {q->host_memory(d, BYTES), q->host_memory(d, BYTES)}, *first = q->host_memory(d, BYTES);
	bool right = true;
	fill(first, 7);
	q->send(d, at + TOKENS, first, BYTES);
	for (unsigned round = 0; round < STEPS && right; round++) {
		unsigned which = round % 2, before = !which;
		uint32_t *staged = parcel[flaw == ONE_PARCEL ? 0 : which];
		q->copy(d, at + INPUT, at + TOKENS, BYTES);
		q->copy(d, at + TOKENS, at + INPUT, BYTES - 4);
		d->fill(d, at + TOKENS, (int)round, 4);
		if (flaw == MARK_BEFORE_RESULTS)
			q->mark(d, RESULTS + which);
		q->fetch(d, staged, at + TOKENS, BYTES);
		if (flaw != NO_MARK_OF_RESULTS && flaw != MARK_BEFORE_RESULTS)
			q->mark(d, RESULTS + which);
		if (!round)
			continue;
		if (flaw != NO_AWAIT_OF_RESULTS)
			q->await(d, RESULTS + before);
		const uint32_t *got = parcel[flaw == ONE_PARCEL ? 0 : before];
		right = got[0] == (round - 1) * 0x01010101u && got[1] == 7 && got[WORDS - 1] == 7;
	}
	d->close(d);
	return right ? UNNOTICED : NOTICED;
}
static int overlapping(const void *unused) { return (void)unused, steps(RIGHT); }
static int one_parcel(const void *unused) { return (void)unused, steps(ONE_PARCEL); }
static int no_await_of_results(const void *unused) { return (void)unused, steps(NO_AWAIT_OF_RESULTS); }
static int no_mark_of_results(const void *unused) { return (void)unused, steps(NO_MARK_OF_RESULTS); }
static int mark_before_results(const void *unused) { return (void)unused, steps(MARK_BEFORE_RESULTS); }

static void copy_within(struct cuda *c, uint64_t at)
{
	cuda_copy(c, (struct rect){at + BYTES, BYTES, BYTES, 1}, (struct rect){at, BYTES, BYTES, 1});
}

/* What is queued is known to run, until it is waited for; every LAUNCHES_PER_MARK launches have an event. */
static int marks(const void *unused)
{
	struct device *d = open_device(20);
	struct cuda *c = (struct cuda *)d;
	uint64_t at = d->alloc(d, 2 * BYTES);
	(void)unused;
	d->sync(d);
	for (unsigned i = 0; i < 3 * LAUNCHES_PER_MARK; i++) {
		copy_within(c, at);
		if (!c->busy || c->marks.recorded != (i + 1) / LAUNCHES_PER_MARK)
			return NOTICED;
	}
	d->sync(d);
	bool right = !c->busy && c->marks.passed == 3;
	d->close(d);
	return right ? UNNOTICED : NOTICED;
}

/* What a graph records has no events; what follows has. */
static int marks_after_a_graph(const void *unused)
{
	struct device *d = open_device(20);
	const struct device_queue *q = d->queue;
	struct cuda *c = (struct cuda *)d;
	uint64_t at = d->alloc(d, 2 * BYTES);
	(void)unused;
	q->begin_graph(d);
	for (int i = 0; i < LAUNCHES_PER_MARK; i++)
		copy_within(c, at);
	void *graph = q->end_graph(d);
	bool right = c->marks.recorded == 0;
	q->launch_graph(d, graph);
	for (int i = 0; i < LAUNCHES_PER_MARK; i++)
		copy_within(c, at);
	right = right && c->marks.recorded == 1;
	d->sync(d);
	q->drop_graph(d, graph);
	d->close(d);
	return right ? UNNOTICED : NOTICED;
}

/* A read has ended when it returns, into pinned memory too; copies of pinned memory are work that is waited for. */
static int reads(const void *unused)
{
	struct device *d = open_device(20);
	const struct device_queue *q = d->queue;
	struct cuda *c = (struct cuda *)d;
	uint64_t at = d->alloc(d, BYTES);
	uint32_t *from = q->host_memory(d, BYTES), *to = q->host_memory(d, BYTES);
	bool right = true;
	(void)unused;
	for (unsigned round = 0; round < ROUNDS && right; round++) {
		fill(from, round);
		q->send(d, at, from, BYTES);
		right = c->busy;
		d->read(d, to, (struct rect){at, BYTES, BYTES, 1});
		right = right && !c->busy && !memcmp(from, to, BYTES);
		q->fetch(d, to, at, BYTES);
		right = right && c->busy;
		d->sync(d);
	}
	d->close(d);
	return right ? UNNOTICED : NOTICED;
}

static const struct {
	const char *name;
	int (*run)(const void *);
	int status;
} uses[] = {{"two buffers in turn", right, UNNOTICED},
            {"a buffer that is filled before its copy", no_await, NOTICED},
            {"a buffer without a mark", no_mark, NOTICED},
            {"results that are read early", no_sync, NOTICED},
            {"steps that overlap", overlapping, UNNOTICED},
            {"one buffer for the results of two steps", one_parcel, NOTICED},
            {"results of a step that are read early", no_await_of_results, NOTICED},
            {"results without a mark", no_mark_of_results, NOTICED},
            {"results that come after their mark", mark_before_results, NOTICED},
            {"marks among copies", marks, UNNOTICED},
            {"marks after a graph", marks_after_a_graph, UNNOTICED},
            {"reads", reads, UNNOTICED}};

/* All takes longer than the timeout; up to the only mark, and from there on, it takes less. */
static int slow(const void *unused)
{
	enum { TIMEOUT = 2, COPIES = LAUNCHES_PER_MARK * 2 - 4, US = TIMEOUT * 1000000 / (LAUNCHES_PER_MARK * 3 / 2) };
	(void)unused;
	gpu_set("EMU_SLOW_US", US);
	struct device *d = open_device(TIMEOUT);
	uint64_t at = d->alloc(d, 2 * BYTES);
	d->sync(d);
	for (int i = 0; i < COPIES; i++)
		copy_within((struct cuda *)d, at);
	d->sync(d);
	d->close(d);
	return RIGHT;
}

static void a_slow_gpu(void **state)
{
	(void)state;
	assert_int_equal(gpu_in_child(slow, NULL), RIGHT);
}

static void pinned(void **state)
{
	char text[8];
	(void)state;
	for (size_t i = 0; i < sizeof uses / sizeof *uses; i++)
		for (int seed = 0; seed < SEEDS; seed++) {
			snprintf(text, sizeof text, "%d", seed);
			setenv("EMU_SEED", text, 1);
			int status = gpu_in_child(uses[i].run, NULL);
			if (status != uses[i].status)
				print_error("%s, seed %d: %d\n", uses[i].name, seed, status);
			assert_int_equal(status, uses[i].status);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(pinned), cmocka_unit_test(a_slow_gpu)};
	gpu_load_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
