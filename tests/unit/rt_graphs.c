/* Decode steps as graphs, on a device that only counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../runtime/runtime.h"

static struct counts {
	int eager, captured, launched, dropped, last;
} counts;
static bool capturing, asks_host, under_way; /* under_way: what was launched may still run */

static void begin_graph(struct device *d)
{
	(void)d;
	assert_false(capturing);
	capturing = true;
}

/* A graph is the number of tokens that it was made for. */
static void *end_graph(struct device *d)
{
	(void)d;
	assert_true(capturing);
	capturing = false;
	counts.captured++;
	int *tokens = malloc(sizeof *tokens);
	*tokens = counts.last;
	return tokens;
}

static void launch_graph(struct device *d, void *graph)
{
	(void)d;
	counts.last = *(int *)graph;
	counts.launched++;
	under_way = true;
}

static void wait_for_all(struct device *d)
{
	(void)d;
	under_way = false;
}

static void drop_graph(struct device *d, void *graph)
{
	(void)d;
	assert_false(under_way);
	free(graph);
	counts.dropped++;
}

static void program(struct dr_frame *f)
{
	struct rank *r = (struct rank *)f;
	counts.last = f->tokens;
	counts.eager += !capturing;
	r->used_host = r->used_host || asks_host;
}

static const struct device_queue queue = {
	.begin_graph = begin_graph, .end_graph = end_graph, .launch_graph = launch_graph, .drop_graph = drop_graph};
static const dr_step_fn steps[DR_PHASES] = {program, program};
static const struct generated generated = {.steps = steps};
static struct device device = {.sync = wait_for_all};
static struct options options;
static struct job job = {.generated = &generated, .options = &options};
static struct step_head head;

static struct rank open_rank(void)
{
	struct rank r = {.job = &job, .device = &device, .graphs = graphs_open(), .reporter = {board_open(1), 0}};
	r.step.head = &head;
	r.frame.layer = -1;
	device.queue = &queue;
	head = (struct step_head){.phase = DR_DECODE};
	counts = (struct counts){0};
	asks_host = under_way = false;
	options.sync = 0;
	return r;
}

static void run(struct rank *r, int tokens, int rows, int pages, int candidates)
{
	r->frame.tokens = tokens;
	r->frame.rows = rows;
	r->frame.pages[0] = pages;
	r->frame.candidates = candidates;
	graphs_run(r);
	assert_int_equal(counts.last, tokens);
}

static void assert_counts(int eager, int captured, int launched, int dropped)
{
	assert_int_equal(counts.eager, eager);
	assert_int_equal(counts.captured, captured);
	assert_int_equal(counts.launched, launched);
	assert_int_equal(counts.dropped, dropped);
}

static void the_second_run_is_captured(void **state)
{
	struct rank r = open_rank();
	(void)state;
	run(&r, 4, 4, 1, 1);
	assert_counts(1, 0, 0, 0);
	run(&r, 4, 4, 1, 1);
	assert_counts(1, 1, 1, 0);
	run(&r, 4, 4, 1, 1);
	assert_counts(1, 1, 2, 0);
	assert_int_equal(atomic_load(&r.reporter.board->rank[0].op), OP_GRAPH);
	assert_int_equal(atomic_load(&r.reporter.board->rank[0].graphs), 1);
	assert_int_equal(atomic_load(&r.reporter.board->rank[0].graph_launches), 2);
	graphs_close(&r);
	assert_counts(1, 1, 2, 1);
}

static void each_size_has_its_own(void **state)
{
	struct rank r = open_rank();
	(void)state;
	for (int turn = 0; turn < 3; turn++) {
		run(&r, 4, 4, 1, 1);
		run(&r, 8, 4, 1, 1);
		run(&r, 4, 8, 1, 1);
		run(&r, 4, 4, 2, 1);
		run(&r, 4, 4, 1, 65);
	}
	assert_counts(5, 5, 10, 0);
	graphs_close(&r);
}

static void some_steps_stay_eager(void **state)
{
	struct rank r = open_rank();
	(void)state;
	for (int i = 0; i < 3; i++) {
		head.phase = DR_PREFILL;
		run(&r, 4, 4, 1, 1);
		head = (struct step_head){.phase = DR_DECODE, .trace = 1};
		run(&r, 4, 4, 1, 1);
		head.trace = 0;
		options.sync = 1;
		run(&r, 4, 4, 1, 1);
		options.sync = 0;
		device.queue = NULL;
		run(&r, 4, 4, 1, 1);
		device.queue = &queue;
	}
	assert_counts(12, 0, 0, 0);
	/* One that asked the host in its first run, while others do not. */
	asks_host = true;
	run(&r, 4, 4, 1, 1);
	asks_host = false;
	for (int i = 0; i < 3; i++) {
		run(&r, 4, 4, 1, 1);
		run(&r, 8, 8, 1, 1);
	}
	assert_counts(12 + 1 + 3 + 1, 1, 2, 0);
	graphs_close(&r);
}

static void those_of_long_ago_are_dropped(void **state)
{
	struct rank r = open_rank();
	(void)state;
	for (int n = 1; n <= MAX_GRAPHS; n++) {
		run(&r, n, n, 1, 1);
		run(&r, n, n, 1, 1);
	}
	assert_counts(MAX_GRAPHS, MAX_GRAPHS, MAX_GRAPHS, 0);
	run(&r, 1, 1, 1, 1); /* now 2 is the oldest */
	run(&r, 1000, 1, 1, 1);
	assert_counts(MAX_GRAPHS + 1, MAX_GRAPHS, MAX_GRAPHS + 1, 1);
	run(&r, 1, 1, 1, 1);
	run(&r, 3, 3, 1, 1);
	assert_counts(MAX_GRAPHS + 1, MAX_GRAPHS, MAX_GRAPHS + 3, 1);
	run(&r, 2, 2, 1, 1);
	assert_counts(MAX_GRAPHS + 2, MAX_GRAPHS, MAX_GRAPHS + 3, 2);
	graphs_close(&r);
	assert_int_equal(counts.dropped, MAX_GRAPHS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_second_run_is_captured),
		cmocka_unit_test(each_size_has_its_own),
		cmocka_unit_test(some_steps_stay_eager),
		cmocka_unit_test(those_of_long_ago_are_dropped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
