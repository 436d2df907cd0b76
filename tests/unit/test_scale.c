/* What planning costs does not grow with ranks or layers. Costs are counted, as allocations, terms and products, not
 * timed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "../../planner/plan.h"

/* ---- one plan, counted ------------------------------------------------------------------------ */

static int64_t allocations;

static void *counted(size_t bytes)
{
	allocations++;
	return calloc(1, bytes);
}

/* What planning took, and what it gave. */
struct cost {
	int64_t read, planned; /* allocations: of the text up to the program; of the plan */
	int lists, terms;      /* of a decode step */
	int products;          /* timed, in all steps of the metrics */
	int64_t ranks, layers;
	double step; /* s of the decode step */
};

struct wanted {
	const char *text;
	struct cost cost;
};

static const char spec[] = "use std.deepseek_v3 { DeepSeek_V3 }\n"
						   "use std.clusters { DGX_H100 }\n"
						   "use std.plans { Megatron }\n"
						   "use std.workload { Inference }\n"
						   "model Deep = DeepSeek_V3 { layers = %d }\n"
						   "deploy D {\n"
						   "  model    = Deep\n"
						   "  cluster  = DGX_H100 { nodes = %d }\n"
						   "  plan     = Megatron { dp = %d; ep = 16; tp = 8 }\n"
						   "  workload = Inference { batch = %d; seq = 1024; output = 128 }\n"
						   "}\n";

static void count_steps(struct cost *c, const struct schedule *s, struct arena *a)
{
	struct timing t = timing_of(s, a);
	struct step_load load = {.program = 1, .tokens = 16, .sequences = 16, .context = 1024, .rows = 16};
	struct step_time step = step_time_of(&t, &load, 1);
	c->lists = step.n_lists;
	c->step = step.seconds;
	for (int i = 0; i < step.n_lists; i++)
		c->terms += step.list[i].list->n;
	int once = t.products_timed;
	load.context = 2048; /* its products are the same */
	step_time_of(&t, &load, 1);
	assert_int_equal(t.products_timed, once);
	c->products = t.products_timed;
}

static int plan_it(void *context)
{
	struct wanted *w = context;
	struct heap heap = {.apart = true, .allocate = counted};
	struct arena arena = {.heap = &heap};
	struct names names = {.arena = &arena};
	struct sources sources = {.arena = &arena};
	struct sink sink = {.arena = &arena, .sources = &sources};
	struct sema_options options = {.n_set = 0};
	struct overlay overlay = {source_key(&arena, &options.overlays, "-"), {w->text, strlen(w->text)}};
	const struct target target = target_gpu();
	int n;
	allocations = 0;
	options.overlays = (struct overlays){&overlay, 1};
	struct sema *sema = sema_new(&arena, &names, &sink, &options);
	assert_true(sema_load(sema, "-"));
	struct deploy *d = sema_deploys(sema, &n)[0];
	if (sink.errors)
		diag_print(&sink, stderr);
	assert_int_equal(sink.errors, 0);
	w->cost = (struct cost){.read = allocations, .ranks = d->gpus, .layers = d->program->body_of.n};
	struct schedule *s = dag_schedule(&arena, &sink, dag_local(&arena, &names, &sink, d), &target);
	assert_non_null(s);
	assert_non_null(plan_text(&arena, planner_plan(&arena, d, s, NULL)));
	w->cost.planned = allocations - w->cost.read;
	count_steps(&w->cost, s, &arena);
	arena_free(&arena);
	return 0;
}

static struct cost cost_of(int layers, int ranks)
{
	char text[sizeof spec + 64];
	struct heap heap = {.apart = false};
	struct wanted w = {.text = text};
	snprintf(text, sizeof text, spec, layers, ranks / 8, ranks / 128, 4 * ranks);
	assert_int_equal(heap_run(&heap, plan_it, &w), 0);
	assert_int_equal(w.cost.ranks, ranks);
	assert_int_equal(w.cost.layers, layers);
	return w.cost;
}

/* ---- tests ------------------------------------------------------------------------------------ */

/* Equal but for a few reallocations of longer tables. */
static void assert_flat(int64_t small, int64_t large)
{
	if (large > small + small / 50 + 16)
		fail_msg("%lld grew to %lld", (long long)small, (long long)large);
}

static void assert_same_work(const struct cost *small, const struct cost *large)
{
	assert_flat(small->read, large->read);
	assert_flat(small->planned, large->planned);
	assert_int_equal(small->lists, large->lists);
	assert_int_equal(small->terms, large->terms);
	assert_int_equal(small->products, large->products);
}

static void test_ranks(void **state)
{
	(void)state;
	struct cost small = cost_of(61, 256), large = cost_of(61, 102400);
	assert_same_work(&small, &large);
	assert_true(large.step > 0 && small.step > 0);
}

static void test_layers(void **state)
{
	(void)state;
	struct cost small = cost_of(61, 2048), large = cost_of(610, 2048);
	assert_same_work(&small, &large);
	assert_true(large.step > 9 * small.step && large.step < 11 * small.step);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_ranks), cmocka_unit_test(test_layers)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
