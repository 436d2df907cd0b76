/* Collectives over forked ranks, all kinds and formats, on each device, compared with plain loops. With
 * RANKS_ARE_THREADS, which ThreadSanitizer needs, ranks are threads of one process. With TEST_TARGET=cuda they are on
 * GPUs, or on emulated ones. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "rt_tiny.h"

/* Elements per rank: of collectives in many small chunks, and of large ones, whose sums members divide. */
enum { MAX_ELEMENTS = 1024, LARGE = 70001, LARGE_STAGING = 1 << 20 };
/* Of all members' runs, sent and received. */
enum { DEVICE_STAGING = 2 * 8 * MAX_ELEMENTS * 4 };

/* Value i of a rank: small integers, exact in every format and in every sum. */
static int value(int rank, int64_t i) { return (int)((i * 7 + rank * 5) % 17) - 8; }

static void put_value(uint32_t dtype, void *to, int64_t i, int v)
{
	switch (dtype) {
	case DR_F32:  ((float *)to)[i] = (float)v; return;
	case DR_I32:  ((int32_t *)to)[i] = v; return;
	case DR_BF16: ((uint16_t *)to)[i] = bf16_of_f32((float)v); return;
	case DR_F16:  ((uint16_t *)to)[i] = f16_of_f32((float)v); return;
	default:      ((int8_t *)to)[i] = (int8_t)v; return; /* numbers of one byte are moved, never added */
	}
}

static int get_value(uint32_t dtype, const void *from, int64_t i)
{
	switch (dtype) {
	case DR_F32:  return (int)((const float *)from)[i];
	case DR_I32:  return ((const int32_t *)from)[i];
	case DR_BF16: return (int)f32_of_bf16(((const uint16_t *)from)[i]);
	case DR_F16:  return (int)f32_of_f16(((const uint16_t *)from)[i]);
	default:      return ((const int8_t *)from)[i];
	}
}

struct site {
	struct plan plan;
	struct comm *comm;
	struct device *device;
	uint64_t src, dst;
	char *host;
	int rank;
};

static int64_t src_count(int kind, int n, int64_t outer, int64_t block)
{
	return outer * block * (kind == DR_REDUCE_SCATTER || kind == DR_ALL_TO_ALL ? n : 1);
}

static int64_t dst_count(int kind, int n, int64_t outer, int64_t block)
{
	return outer * block * (kind == DR_ALL_GATHER || kind == DR_ALL_TO_ALL ? n : 1);
}

/* The expected dst[at] of member number `me`; member m is rank member[m]. */
static int expected(int kind, const int *member, int n, int me, int64_t block, int64_t dst_block, int64_t at)
{
	int sum = 0;
	int64_t row = at / block, column = at % block;
	if (kind == DR_ALL_GATHER)
		return value(member[row % n], row / n * block + column);
	if (kind == DR_ALL_TO_ALL) {
		int64_t element = at / dst_block / n * dst_block + at % dst_block;
		return value(member[at / dst_block % n], (element / block * n + me) * block + element % block);
	}
	for (int m = 0; m < n; m++)
		sum += value(member[m], kind == DR_ALL_REDUCE ? at : (row * n + me) * block + column);
	return sum;
}

static void run_kind(struct site *s, int kind, uint32_t dtype, int group, int64_t outer, int64_t block,
                     int64_t dst_block)
{
	char *host = s->host;
	int n = plan_group_size(&s->plan, group), me = plan_group_index(&s->plan, group, s->rank), member[16];
	struct collective_args x = {group, dtype, s->src, kind == DR_ALL_REDUCE ? s->src : s->dst, outer, block, dst_block};
	for (int m = 0; m < n; m++)
		member[m] = plan_group_member(&s->plan, group, s->rank, m);
	int64_t in = src_count(kind, n, outer, block), out = dst_count(kind, n, outer, block);
	for (int64_t i = 0; i < in; i++)
		put_value(dtype, host, i, value(s->rank, i));
	s->device->write(s->device, flat(x.src, (uint64_t)in * dtype_size(dtype)), host);
	if (kind == DR_ALL_REDUCE)
		s->comm->all_reduce(s->comm, &x);
	else if (kind == DR_ALL_GATHER)
		s->comm->all_gather(s->comm, &x);
	else if (kind == DR_REDUCE_SCATTER)
		s->comm->reduce_scatter(s->comm, &x);
	else
		s->comm->all_to_all(s->comm, &x);
	s->device->read(s->device, host, flat(x.dst, (uint64_t)out * dtype_size(dtype)));
	for (int64_t i = 0; i < out; i++)
		if (get_value(dtype, host, i) != expected(kind, member, n, me, block, dst_block, i)) {
			fprintf(stderr, "rank %d kind %d dtype %u group %d [%lld][%lld] at %lld: %d\n", s->rank, kind, dtype, group,
			        (long long)outer, (long long)block, (long long)i, get_value(dtype, host, i));
			_exit(1);
		}
}

static bool is_sum(int kind) { return kind == DR_ALL_REDUCE || kind == DR_REDUCE_SCATTER; }

static void run_all_kinds(struct site *s)
{
	static const int64_t shapes[][2] = {{1, 1},   {3, 5}, {1, MAX_ELEMENTS}, {32, 32}, {MAX_ELEMENTS, 1},
	                                    {7, 100}, {0, 4}};
	for (int group = 0; group <= TINY_GROUPS; group++)
		for (int kind = DR_ALL_REDUCE; kind <= DR_ALL_TO_ALL; kind++)
			for (uint32_t dtype = DR_F32; dtype <= (is_sum(kind) ? DR_I32 : DR_FP8E5M2); dtype++)
				for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
					int64_t outer = shapes[i][0], block = shapes[i][1];
					run_kind(s, kind, dtype, group, outer, block, block);
					if (kind == DR_ALL_TO_ALL && outer) {
						run_kind(s, kind, dtype, group, outer, block, outer * block);
						run_kind(s, kind, dtype, group, outer, block, outer);
					}
				}
}

/* Sums below and above the size from which members divide them, in one chunk and in several. */
static void run_large_sums(struct site *s)
{
	for (int group = 0; group <= TINY_GROUPS; group++) {
		int n = plan_group_size(&s->plan, group);
		const int64_t sizes[] = {65536 / n, 65536 / n + 1, LARGE};
		for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
			for (uint32_t dtype = DR_F32; dtype <= DR_I32; dtype++)
				run_kind(s, DR_ALL_REDUCE, dtype, group, 1, sizes[i], sizes[i]);
	}
}

/* More messages along the stages than the two that a mailbox holds. */
static void run_messages(struct site *s)
{
	int me = plan_group_index(&s->plan, GROUP_PP, s->rank), n = s->plan.n_stages;
	struct collective_args x = {GROUP_PP, DR_I32, s->src, s->src, 1, 4, 4};
	for (int32_t round = 0; round < 9; round++) {
		int32_t got[4] = {round, 1, 2, 3};
		if (me == 0)
			s->device->write(s->device, flat(s->src, sizeof got), got);
		else
			s->comm->recv(s->comm, &x);
		s->device->read(s->device, got, flat(s->src, sizeof got));
		if (got[0] != round || got[3] != 3)
			_exit(1);
		if (me + 1 < n)
			s->comm->send(s->comm, &x);
	}
}

static void run_host_values(struct site *s)
{
	enum { N = 100000 };
	unsigned char *text = host_alloc(N, 1);
	int world = s->plan.n_groups, ranks = (int)s->plan.head->ranks;
	for (size_t i = 0; i < N; i++)
		text[i] = s->rank ? 0 : (unsigned char)(i * 31 >> 3);
	s->comm->broadcast(s->comm, world, text, N);
	for (size_t i = 0; i < N; i++)
		if (text[i] != (unsigned char)(i * 31 >> 3))
			_exit(1);
	for (int i = 0; i < 50; i++)
		if (s->comm->max(s->comm, world, (s->rank + i) % ranks) != ranks - 1)
			_exit(1);
	s->comm->barrier(s->comm, world);
	free(text);
}

static unsigned char gift(int rank, int round, size_t i)
{
	return (unsigned char)(i * 7 + i / 251 + (size_t)(rank * 5 + round));
}

/* Every rank gives bytes to rank 0: none, less than a buffer of the port, exactly as many, and more. The next round
 * starts while a slow rank 0 still takes. */
static void run_gifts(struct site *s)
{
	static const size_t sizes[] = {0, 1, 32767, 32768, 32769, 65536, 150000};
	enum { SIZES = sizeof sizes / sizeof sizes[0], MAX_BYTES = 150000 };
	unsigned char *bytes = host_alloc(MAX_BYTES + 1, 1);
	int world = s->plan.n_groups, ranks = (int)s->plan.head->ranks;
	for (int round = 0; round < 2 * SIZES; round++) {
		if (s->rank) {
			size_t n = sizes[(round + s->rank) % SIZES];
			for (size_t i = 0; i < n; i++)
				bytes[i] = gift(s->rank, round, i);
			s->comm->give(s->comm, bytes, n);
		}
		for (int rank = 1; s->rank == 0 && rank < ranks; rank++) {
			size_t n = sizes[(round + rank) % SIZES];
			bytes[n] = 99;
			s->comm->take(s->comm, rank, bytes, n);
			for (size_t i = 0; i < n; i++)
				if (bytes[i] != gift(rank, round, i))
					_exit(1);
			if (bytes[n] != 99)
				_exit(1);
		}
		int32_t word = s->rank ? -1 : round;
		s->comm->broadcast(s->comm, world, &word, sizeof word);
		if (word != round || s->comm->max(s->comm, world, s->rank) != ranks - 1)
			_exit(1);
	}
	free(bytes);
}

static void run_small(struct site *s)
{
	run_all_kinds(s);
	run_messages(s);
	run_host_values(s);
	run_gifts(s);
}

/* What one rank does. */
struct task {
	const struct plan *plan;
	struct comm_shared *shared;
	struct board *board;
	int rank;
	const char *device;
	void (*run)(struct site *);
};

static void *rank_run(void *arg)
{
	const struct task *t = arg;
	size_t max_bytes = t->run == run_small ? MAX_ELEMENTS * 8 : LARGE;
	struct reporter reporter = {t->board, t->rank};
	struct device_options o = {.image = NULL, .workers = 1, .spin = false, .reporter = reporter, .timeout = 60};
	struct site s = {
		.plan = *t->plan, .device = device_open(t->device, &o), .host = host_alloc(max_bytes, 4), .rank = t->rank};
	s.comm = comm_local_open(t->shared, t->plan, s.device, &reporter, false);
	if (!strcmp(t->device, "cuda")) {
		uint64_t staging = s.device->alloc(s.device, t->plan->head->comm_device);
		s.comm = comm_nccl_open(s.comm, t->plan, s.device, staging, &reporter);
	}
	s.src = s.device->alloc(s.device, max_bytes * 4);
	s.dst = s.device->alloc(s.device, max_bytes * 4);
	t->run(&s);
	s.comm->close(s.comm);
	s.device->close(s.device);
	free(s.host);
	return NULL;
}

#ifdef RANKS_ARE_THREADS
static void start_rank(struct task *t, pthread_t *thread)
{
	assert_int_equal(pthread_create(thread, NULL, rank_run, t), 0);
}
/* A rank that fails ends the process. */
static int end_rank(pthread_t *thread) { return pthread_join(*thread, NULL); }
#else
static void start_rank(struct task *t, pthread_t *thread)
{
	(void)thread;
	if (fork() == 0) {
		rank_run(t);
		_exit(0);
	}
}

static int end_rank(pthread_t *thread)
{
	(void)thread;
	int status;
	assert_true(wait(&status) > 0);
	return status;
}
#endif

/* A plan whose collectives are over all groups, and which stages them on the device alone. */
static void use_device(struct blob_builder *b)
{
	struct dr_collective c[TINY_GROUPS];
	for (uint32_t g = 0; g < TINY_GROUPS; g++)
		c[g] = (struct dr_collective){.kind = DR_ALL_REDUCE, .group = g};
	struct dr_span all = blob_put(b, c, TINY_GROUPS, sizeof *c);
	struct dr_program *h = (struct dr_program *)(void *)b->at;
	h->collectives = all;
	h->comm_staging = h->comm_mailbox = 0;
	h->comm_device = DEVICE_STAGING;
}

static void run_mesh(struct tiny t, const char *device, void (*run)(struct site *))
{
	static struct blob_builder b;
	struct plan plan;
	struct task tasks[16];
	pthread_t threads[16];
	tiny_build(&b, &t);
	if (run == run_large_sums)
		((struct dr_program *)(void *)b.at)->comm_staging = LARGE_STAGING;
	if (!strcmp(device, "cuda"))
		use_device(&b);
	assert_null(plan_open(&plan, b.at));
	int ranks = (int)plan.head->ranks, status;
	struct board *board = board_open(ranks);
	struct comm_shared *shared = comm_local_share(&plan);
	for (int i = 0; i < ranks; i++) {
		tasks[i] = (struct task){&plan, shared, board, i, device, run};
		start_rank(&tasks[i], &threads[i]);
	}
	for (int i = 0; i < ranks; i++)
		if ((status = end_rank(&threads[i])))
			fail_msg("%d x %d x %d on %s: status %d %s", t.pp, t.dp, t.tp, device, status,
			         board->first ? board->rank[board->first - 1].message : "");
	comm_local_unshare(shared);
}

static void collectives_on_cpu(void **state)
{
	(void)state;
	static const struct tiny meshes[] = {{1, 1, 1, 1}, {1, 1, 2, 1}, {1, 3, 1, 1}, {2, 1, 2, 1},
	                                     {1, 2, 2, 1}, {2, 2, 2, 1}, {1, 2, 4, 1}, {4, 1, 1, 1}};
	for (size_t i = 0; i < sizeof meshes / sizeof meshes[0]; i++)
		run_mesh(meshes[i], "cpu", run_small);
}

static void large_sums(void **state)
{
	(void)state;
	run_mesh((struct tiny){1, 1, 2, 1}, "cpu", run_large_sums);
	run_mesh((struct tiny){1, 2, 2, 1}, "cpu", run_large_sums);
	run_mesh((struct tiny){1, 1, 3, 1}, "cpu", run_large_sums);
}

#ifndef RANKS_ARE_THREADS
static void collectives_on_far(void **state)
{
	(void)state;
	run_mesh((struct tiny){1, 1, 1, 1}, "far", run_small);
	run_mesh((struct tiny){2, 1, 2, 1}, "far", run_small);
	run_mesh((struct tiny){1, 1, 2, 1}, "far", run_large_sums);
}
#endif

#ifndef RANKS_ARE_THREADS
/* ---- failures -------------------------------------------------------------------------------- */
/* Runs on two ranks, which are stages; rank 0 or 1 must fail with `words`. */
static void expect_failure(const char *device, void (*run)(struct site *), int rank, int status, const char *words)
{
	static struct blob_builder b;
	struct plan plan;
	struct task tasks[2];
	tiny_build(&b, &(struct tiny){2, 1, 1, 1});
	if (!strcmp(device, "cuda"))
		use_device(&b);
	assert_null(plan_open(&plan, b.at));
	struct board *board = board_open(2);
	struct comm_shared *shared = comm_local_share(&plan);
	for (int i = 0; i < 2; i++) {
		tasks[i] = (struct task){&plan, shared, board, i, device, run};
		start_rank(&tasks[i], NULL);
	}
	int worst = 0;
	for (int i = 0, ended; i < 2; i++) {
		assert_true(wait(&ended) > 0);
		assert_true(WIFEXITED(ended));
		worst = WEXITSTATUS(ended) > worst ? WEXITSTATUS(ended) : worst;
	}
	assert_int_equal(worst, status);
	if (!strstr(board->rank[rank].message, words))
		fail_msg("expected `%s` in: %s", words, board->rank[rank].message);
	comm_local_unshare(shared);
	board_close(board, 2);
}

static void send_too_much(struct site *s)
{
	struct collective_args x = {GROUP_PP, DR_F32, s->src, s->src, 1000, 1000, 1000};
	if (s->rank == 0)
		s->comm->send(s->comm, &x);
}

static void send_more_than_is_expected(struct site *s)
{
	struct collective_args x = {GROUP_PP, DR_F32, s->src, s->src, 1, s->rank ? 4 : 8, 1};
	if (s->rank)
		s->comm->recv(s->comm, &x);
	else
		s->comm->send(s->comm, &x);
}

static void messages_are_checked(void **state)
{
	(void)state;
	expect_failure("cpu", send_too_much, 0, STATUS_INTERNAL,
	               "internal: a message of 4000000 bytes between stages, planned are 256");
	expect_failure("cpu", send_more_than_is_expected, 1, STATUS_INTERNAL,
	               "internal: a message of 32 bytes came, 16 were expected");
}

static void allocate_too_much(struct site *s)
{
	if (s->rank == 0)
		s->device->alloc(s->device, (uint64_t)1 << 60);
}

/* The only child of this process. */
static pid_t helper(void)
{
	char path[64];
	int pid = 0;
	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	FILE *f = fopen(path, "r");
	if (!f || fscanf(f, "%d", &pid) != 1)
		_exit(9);
	fclose(f);
	return pid;
}

static void lose_the_helper(struct site *s)
{
	if (s->rank)
		return;
	kill(helper(), SIGKILL);
	for (;;)
		s->device->write(s->device, flat(s->src, 64), s->host);
}

/* It ends between a request and its answer. */
static void lose_a_helper_that_is_waited_for(struct site *s)
{
	if (s->rank)
		return;
	pid_t far = helper();
	kill(far, SIGSTOP);
	if (fork() == 0) {
		usleep(50000);
		kill(far, SIGKILL);
		_exit(0);
	}
	s->device->read(s->device, s->host, flat(s->src, 64));
	_exit(STATUS_OK); /* no later request may tell it instead */
}

static void the_far_device_fails(void **state)
{
	(void)state;
	expect_failure("far", allocate_too_much, 0, STATUS_FAILED,
	               "the far device does not have 1152921504606846976 bytes of memory left");
	expect_failure("far", lose_the_helper, 0, STATUS_FAILED, "the far device's helper was ended by signal 9 (Killed)");
	expect_failure("far", lose_a_helper_that_is_waited_for, 0, STATUS_FAILED,
	               "the far device's helper was ended by signal 9 (Killed)");
}

static void send_after_the_last(struct site *s)
{
	if (s->rank)
		s->comm->send(s->comm, &(struct collective_args){GROUP_PP, DR_F32, s->src, s->src, 1, 4, 4});
}

static void receive_before_the_first(struct site *s)
{
	if (s->rank == 0)
		s->comm->recv(s->comm, &(struct collective_args){GROUP_PP, DR_F32, s->src, s->src, 1, 4, 4});
}

static void stage_too_much(struct site *s)
{
	if (s->rank == 0)
		s->comm->all_gather(s->comm, &(struct collective_args){GROUP_PP, DR_F32, s->src, s->dst, 2, 1 << 20, 0});
}

static void mistakes_on_cuda(void **state)
{
	(void)state;
	expect_failure("cuda", send_after_the_last, 1, STATUS_INTERNAL, "internal: the last stage sends");
	expect_failure("cuda", receive_before_the_first, 0, STATUS_INTERNAL, "internal: the first stage receives");
	expect_failure("cuda", stage_too_much, 0, STATUS_INTERNAL,
	               "internal: a collective needs 16777216 bytes of staging");
}

/* More at once than are followed. */
static void run_many(struct site *s)
{
	enum { MANY = 1500 };
	int32_t mine = s->rank + 7, all[16];
	int world = s->plan.n_groups, ranks = (int)s->plan.head->ranks;
	struct collective_args x = {world, DR_I32, s->src, s->dst, 1, 1, 1};
	s->device->write(s->device, flat(s->src, sizeof mine), &mine);
	for (int i = 0; i < MANY; i++)
		s->comm->all_gather(s->comm, &x);
	s->device->read(s->device, all, flat(s->dst, (uint64_t)ranks * sizeof mine));
	for (int i = 0; i < ranks; i++)
		if (all[i] != i + 7)
			_exit(1);
}

static void collectives_of_nccl(const char *blocking)
{
	setenv("NCCL_COMM_BLOCKING", blocking, 1);
	run_mesh((struct tiny){1, 1, 1, 1}, "cuda", run_small);
	run_mesh((struct tiny){1, 1, 2, 1}, "cuda", run_small);
	run_mesh((struct tiny){2, 1, 2, 1}, "cuda", run_small);
	run_mesh((struct tiny){2, 2, 2, 1}, "cuda", run_small);
	run_mesh((struct tiny){1, 3, 1, 1}, "cuda", run_large_sums);
	run_mesh((struct tiny){1, 1, 2, 1}, "cuda", run_many);
}

static void collectives_on_cuda(void **state)
{
	(void)state;
	collectives_of_nccl("1");
	collectives_of_nccl("0");
}
#endif

int main(void)
{
#ifndef RANKS_ARE_THREADS
	const struct CMUnitTest cuda[] = {cmocka_unit_test(collectives_on_cuda), cmocka_unit_test(mistakes_on_cuda)};
	const char *target = getenv("TEST_TARGET");
	if (target && !strcmp(target, "cuda")) {
		setenv("EMU_DEVICES", "8", 0);
		return cmocka_run_group_tests(cuda, NULL, NULL);
	}
#endif
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(collectives_on_cpu),   cmocka_unit_test(large_sums),
#ifndef RANKS_ARE_THREADS
		cmocka_unit_test(collectives_on_far),   cmocka_unit_test(messages_are_checked),
		cmocka_unit_test(the_far_device_fails),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
