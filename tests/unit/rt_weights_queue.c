/* Weights that a device with a queue puts into tiles itself. The device here does nothing before it is waited for, and
 * then no more than it must: what is changed too early is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "rt_tiny.h"

enum { GROUPS = 3, N = 150, K = 70, K_RUN = 64, K_PADDED = 128, TILE = 128, N_PADDED = 256, GAINS = 1000, SETS = 5000 };
enum { ROW = K_PADDED * 2, PIECE = 16, PIECES = 8, RUN = PIECE * PIECES, ROOM = 40 * ROW + 100 };

/* ---- the device ------------------------------------------------------------------------------ */
struct operation {
	const void *from; /* of a copy; NULL: a launch, with these arguments */
	uint64_t to, bytes, args[6];
};
enum { MAX_OPERATIONS = 1000, MAX_PINNED = 4 };
static struct {
	struct device device;
	struct operation queued[MAX_OPERATIONS];
	int queued_n, done, mark[DEVICE_MARKS];
	void *pinned[MAX_PINNED];
	int pinned_n, launches;
} fake;

static unsigned char *at(uint64_t address) { return (unsigned char *)(uintptr_t)address; }

/* TILE of dag/kernel.def. */
static void put_tiles(const uint64_t *args)
{
	uint64_t m = args[2], first = args[3], n = args[4], runs = args[5] * 4 / RUN, tiles = (n + TILE - 1) / TILE;
	for (uint64_t i = 0; i < m; i++) {
		uint64_t row = (first + i) % n, tile = (first + i) / n * tiles + row / TILE;
		for (uint64_t k = 0; k < runs; k++)
			for (uint64_t p = 0; p < PIECES; p++)
				memcpy(at(args[1] + ((tile * runs + k) * TILE + row % TILE) * RUN + (p ^ row % PIECES) * PIECE),
				       at(args[0] + (i * runs + k) * RUN + p * PIECE), PIECE);
	}
}

static void run_until(int end)
{
	for (; fake.done < end; fake.done++) {
		const struct operation *o = &fake.queued[fake.done];
		if (o->from)
			memcpy(at(o->to), o->from, o->bytes);
		else
			put_tiles(o->args);
	}
}

static void fake_send(struct device *d, uint64_t to, const void *from, size_t bytes)
{
	(void)d;
	assert_true(fake.queued_n < MAX_OPERATIONS);
	fake.queued[fake.queued_n++] = (struct operation){.from = from, .to = to, .bytes = bytes};
}

static void fake_launch(struct device *d, const struct launch *what)
{
	(void)d;
	assert_true(fake.queued_n < MAX_OPERATIONS);
	assert_int_equal(what->kernel, 7);
	assert_int_equal(what->n_args, 6);
	struct operation *o = &fake.queued[fake.queued_n++];
	*o = (struct operation){.from = NULL};
	memcpy(o->args, what->args, sizeof o->args);
	fake.launches++;
}

static void *fake_host_memory(struct device *d, size_t bytes)
{
	(void)d;
	assert_true(fake.pinned_n < MAX_PINNED);
	return fake.pinned[fake.pinned_n++] = memset(host_alloc(bytes, 1), 0xee, bytes);
}

static void fake_mark(struct device *d, unsigned which) { (void)d, fake.mark[which] = fake.queued_n; }
static void fake_await(struct device *d, unsigned which) { (void)d, run_until(fake.mark[which]); }
static void fake_sync(struct device *d) { (void)d, run_until(fake.queued_n); }

static const struct device_queue fake_queue = {
	.host_memory = fake_host_memory, .send = fake_send, .mark = fake_mark, .await = fake_await};

/* ---- the test -------------------------------------------------------------------------------- */
/* A param of groups, in swizzled tiles or plain, and a plain one that is longer than a buffer. Both are random. */
static uint64_t describe(struct blob_builder *b, struct dr_param p[2], bool tiled)
{
	const struct dr_axis axes[3] = {tiny_axis(b, "g", GROUPS, GROUPS, GROUP_NONE, DR_WEIGHT_GROUP, N * K),
	                                tiny_axis(b, "n", N, N, GROUP_NONE, DR_WEIGHT_N, K),
	                                tiny_axis(b, "k", K, K, GROUP_NONE, DR_WEIGHT_K, 1)};
	const struct dr_axis gains[2] = {tiny_axis(b, "set", SETS, SETS, GROUP_NONE, DR_PLAIN, GAINS),
	                                 tiny_axis(b, "n", GAINS, GAINS, GROUP_NONE, DR_PLAIN, 1)};
	const int64_t shape[3] = {GROUPS, N, K}, gains_shape[2] = {SETS, GAINS};
	p[0] = (struct dr_param){.path = blob_text(b, "w"),
	                         .key = blob_text(b, "w"),
	                         .space = DR_SPACE_EVERY,
	                         .bytes = tiled ? GROUPS * N_PADDED * ROW : GROUPS * N * K * 2,
	                         .dtype = DR_BF16,
	                         .n_tile = tiled ? TILE : 0,
	                         .k_run = tiled ? K_RUN : 0,
	                         .swizzled = tiled,
	                         .axes = blob_put(b, axes, 3, sizeof *axes),
	                         .shape = blob_put(b, shape, 3, sizeof *shape)};
	p[1] = (struct dr_param){.path = blob_text(b, "gain"),
	                         .key = blob_text(b, "gain"),
	                         .space = DR_SPACE_EVERY,
	                         .offset = p[0].bytes,
	                         .bytes = SETS * GAINS * 4,
	                         .dtype = DR_F32,
	                         .axes = blob_put(b, gains, 2, sizeof *gains),
	                         .shape = blob_put(b, gains_shape, 2, sizeof *gains_shape)};
	struct dr_program *h = (struct dr_program *)(void *)b->at;
	h->params = blob_put(b, p, 2, sizeof *p);
	h->tile_kernel = tiled ? 7 : -1;
	return p[1].offset + p[1].bytes;
}

/* What a device holds afterwards; freed by the caller. */
static unsigned char *load_into(struct device *d, struct blob_builder *b, uint64_t bytes)
{
	struct plan plan;
	struct memory m = {.bytes = {[DR_SPACE_ACT] = ROOM}};
	struct reporter r = {board_open(4), 0};
	unsigned char *weights = host_alloc(bytes, 1), *act = memset(host_alloc(ROOM, 1), 0xee, ROOM);
	assert_null(plan_open(&plan, b->at));
	m.base[DR_SPACE_EVERY] = (uint64_t)(uintptr_t)weights;
	m.base[DR_SPACE_ACT] = (uint64_t)(uintptr_t)act;
	weights_load(&plan, 0, NULL, d, &m, 3, &r);
	free(act);
	return weights;
}

static void rows_pass_through_staging(void **state)
{
	(void)state;
	static struct blob_builder plain, tiled;
	struct dr_param params[2];
	struct device *cpu = device_open("cpu", &(struct device_options){.workers = 1, .reporter = {board_open(4), 0}});
	tiny_build(&plain, &(struct tiny){1, 2, 2, 1});
	const unsigned char *rows = load_into(cpu, &plain, describe(&plain, params, false));
	const uint64_t rows_bytes = params[0].bytes;
	tiny_build(&tiled, &(struct tiny){1, 2, 2, 1});
	const uint64_t bytes = describe(&tiled, params, true);
	fake.device = (struct device){.queue = &fake_queue, .launch = fake_launch, .sync = fake_sync};
	unsigned char *got = load_into(&fake.device, &tiled, bytes), *want = host_alloc(bytes, 1),
				  *padded = host_alloc(GROUPS * N, ROW);
	for (size_t i = 0; i < GROUPS * N; i++)
		memcpy(padded + i * ROW, rows + i * K * 2, K * 2);
	put_tiles((uint64_t[]){(uint64_t)(uintptr_t)padded, (uint64_t)(uintptr_t)want, GROUPS * N, 0, N, ROW / 4});
	memcpy(want + params[1].offset, rows + rows_bytes, params[1].bytes);
	assert_memory_equal(got, want, bytes);
	assert_int_equal(fake.launches, (GROUPS * N + 39) / 40); /* 40 rows fit into the activations */
	assert_int_equal(fake.done, fake.queued_n);
	cpu->close(cpu);
	free((void *)(uintptr_t)rows);
	free(got), free(want), free(padded);
	while (fake.pinned_n)
		free(fake.pinned[--fake.pinned_n]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rows_pass_through_staging)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
