/* What a plan's times cost on one core: whole plans of DeepSeek-V3 on 2,048 GPUs and their passes, simulated steps,
 * products, other kernels, collectives and pipelines a second.
 *   planner [SECONDS]    for each line, 0.2 unless stated
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "../planner/pipeline.h"
#include "../planner/plan.h"
#include "../planner/time.h"

/* Constants like those of an H100. */
static const struct silicon silicon = {3.35e12, 132, 989.4e12};
static const struct fit_product product_fit = {
	.compute = 0.83, .memory = 0.76, .l2 = 4.9, .tile = 6e-7, .launch = 2e-6, .waves = 0.76, .split = 2.6e-6};
static const struct fit_grouped grouped_fit = {
	.compute = 0.9, .memory = 0.9, .l2 = 3.3, .tile = 1.2e-6, .launch = 2e-5};
static const struct fit_prefill prefill_fit = {.compute = 0.75, .rise = 380, .launch = 1e-5, .block = 7e-7};
static const struct fit_collective fits[COLLECTIVE_FITS] = {
	[OF_ALL_REDUCE] = {1.5e-6, {4.8e-6, 6.8e-6, 4.7e-5}, {0.03, 0.49, 0.79}, .known = true}};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Other sizes in each turn, so that nothing can be computed once for all. */
static double products(int turn)
{
	struct product p = {1 + turn % 8192, 4096 + turn % 1024, 8192, 2, 2, 989.4e12};
	return time_of(time_product(&silicon, &product_fit, &p));
}
static double products_of_experts(int turn)
{
	struct grouped g = {1 + turn % 8192, 32, 4096, 7168, 2, 2, 989.4e12};
	return time_of(time_grouped(&silicon, &grouped_fit, &g));
}
static double attention(int turn)
{
	struct attention a = {1, 1 + turn % 8192, 32, 8, 128, 128, 8192, 0, 2, true, false};
	return time_of(time_prefill(&silicon, &prefill_fit, &a));
}
static double collectives(int turn)
{
	static struct level levels[2] = {{.link = {"inner", 450e9, 0}, .nics_per_device = 1, .oversubscription = 1},
	                                 {.link = {"outer", 50e9, 5e-6}, .nics_per_device = 1, .oversubscription = 1}};
	static const struct machine machine = {.levels = {levels, 2, 2}};
	static const double members[] = {8, 4};
	return time_of(time_across(&(struct across){&machine, fits, members}, OF_ALL_REDUCE, 1e6 + turn));
}

static double pipelines(int turn, enum pipeline_order order, int64_t stages, int64_t microbatches, int64_t chunks)
{
	static double forward[64], backward[64];
	struct arena scratch = {0};
	for (int i = 0; i < 64; i++)
		backward[i] = 2 * (forward[i] = 1 + 0.01 * (i % stages == turn % stages));
	struct pipeline p = {order, stages, microbatches, chunks, true};
	struct pipeline_pieces pieces = {forward, backward, NULL, NULL, true};
	double seconds = pipeline_time(&scratch, &p, &pieces, NULL).seconds;
	arena_free(&scratch);
	return seconds;
}
static double one_f_one_b(int turn) { return pipelines(turn, PIPELINE_ONE_F_ONE_B, 16, 128, 1); }
static double interleaved(int turn) { return pipelines(turn, PIPELINE_INTERLEAVED, 16, 128, 4); }
static double many(int turn) { return pipelines(turn, PIPELINE_ONE_F_ONE_B, 16, 1 << 20, 1); }

/* ---- whole plans ------------------------------------------------------------------------------ */

static const char text[] = "use std.deepseek_v3 { DeepSeek_V3 }\n"
						   "use std.clusters { DGX_H100 }\n"
						   "use std.plans { Megatron }\n"
						   "use std.workload { Inference }\n"
						   "deploy Big {\n"
						   "  model    = DeepSeek_V3\n"
						   "  cluster  = DGX_H100 { nodes = 256 }\n"
						   "  plan     = Megatron { dp = 16; ep = 16; tp = 8 }\n"
						   "  workload = Inference { batch = 8192; seq = 1024..4096; output = 1024 }\n"
						   "}\n";

/* A spec, as far as the passes have brought it. `made` is for what is made again and again, in the same memory, as
 * `deployc search` does. */
struct spec {
	struct arena arena, made;
	struct names names;
	struct sources sources;
	struct sink sink;
	struct sema_options options;
	struct overlay overlay;
	struct deploy *deploy;
	struct schedule *schedule;
};

static void spec_read(struct spec *s)
{
	int n;
	*s = (struct spec){.overlay.text = {text, sizeof text - 1}};
	s->names.arena = s->sources.arena = s->sink.arena = &s->arena;
	s->sink.sources = &s->sources;
	s->overlay.path = source_key(&s->arena, &s->options.overlays, "-");
	s->options.overlays = (struct overlays){&s->overlay, 1};
	struct sema *sema = sema_new(&s->arena, &s->names, &s->sink, &s->options);
	bool read = sema_load(sema, "-");
	struct deploy **all = sema_deploys(sema, &n);
	if (!read || !n || s->sink.errors) {
		diag_print(&s->sink, stderr);
		exit(1);
	}
	s->deploy = all[0];
}

static void spec_schedule(struct spec *s, struct arena *arena)
{
	const struct target target = target_gpu();
	s->schedule = dag_schedule(arena, &s->sink, dag_local(arena, &s->names, &s->sink, s->deploy), &target);
}

static struct spec whole;

static double plans(int turn)
{
	struct spec s;
	(void)turn;
	spec_read(&s);
	spec_schedule(&s, &s.arena);
	const struct plan *p = planner_plan(&s.arena, s.deploy, s.schedule, NULL);
	double out = p->metrics.of[METRIC_TPOT].value + (double)strlen(plan_text(&s.arena, p));
	arena_free(&s.arena);
	return out;
}
static double schedules(int turn)
{
	(void)turn;
	struct spec s = whole;
	spec_schedule(&s, &whole.made);
	double out = metrics_of(s.deploy, s.schedule, &whole.made).of[METRIC_TPOT].value;
	arena_reset(&whole.made);
	return out;
}
static double all_metrics(int turn)
{
	(void)turn;
	double out = metrics_of(whole.deploy, whole.schedule, &whole.made).of[METRIC_TPOT].value;
	arena_reset(&whole.made);
	return out;
}
static double steps(int turn)
{
	struct timing t = timing_of(whole.schedule, &whole.made);
	struct step_load load = {.program = 1, .tokens = 32, .sequences = 32, .context = 1024 + turn % 3000, .rows = 32};
	double out = step_time_of(&t, &load, 1).seconds;
	arena_reset(&whole.made);
	return out;
}

static volatile double sink; /* so that no result is left out */

int main(int argc, char **argv)
{
	static const struct {
		const char *what;
		double (*one)(int turn);
		int at_once; /* between two looks at the clock */
	} cases[] = {{"plans, from the text to the report", plans, 1},
	             {"plans of a model that was read", schedules, 1},
	             {"all metrics of a schedule", all_metrics, 1},
	             {"steps of a schedule", steps, 4},
	             {"products", products, 64},
	             {"products of experts", products_of_experts, 64},
	             {"attention", attention, 64},
	             {"collectives over two levels", collectives, 64},
	             {"pipelines, 16 stages, 128 microbatches", one_f_one_b, 4},
	             {"the same in 4 chunks, interleaved", interleaved, 1},
	             {"16 stages, 1048576 microbatches", many, 4}};
	double limit = argc > 1 ? atof(argv[1]) : 0.2;
	if (!(limit > 0)) {
		fprintf(stderr, "planner: seconds above 0\n");
		return 2;
	}
	spec_read(&whole);
	spec_schedule(&whole, &whole.arena);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		double begin = now(), end = begin;
		int turns = 0;
		for (; end - begin < limit; end = now())
			for (int k = 0; k < cases[i].at_once; k++)
				sink += cases[i].one(turns++);
		printf("%-40s %12.0f a second\n", cases[i].what, turns / (end - begin));
	}
	return 0;
}
