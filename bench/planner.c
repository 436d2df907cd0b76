/* What a plan's times cost on one core: products, other kernels, collectives and pipelines a second.
 *   planner [SECONDS]    for each line, 0.2 unless stated
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "../planner/pipeline.h"
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
	return time_product(&silicon, &product_fit, &p);
}
static double products_of_experts(int turn)
{
	struct grouped g = {1 + turn % 8192, 32, 4096, 7168, 2, 2, 989.4e12};
	return time_grouped(&silicon, &grouped_fit, &g);
}
static double attention(int turn)
{
	struct attention a = {1, 1 + turn % 8192, 32, 8, 128, 128, 8192, 0, 2, true, false};
	return time_prefill(&silicon, &prefill_fit, &a);
}
static double collectives(int turn)
{
	static struct level levels[2] = {{.link = {"inner", 450e9, 0}, .nics_per_device = 1, .oversubscription = 1},
	                                 {.link = {"outer", 50e9, 5e-6}, .nics_per_device = 1, .oversubscription = 1}};
	static const struct machine machine = {.levels = {levels, 2, 2}};
	static const double members[] = {8, 4};
	return time_across(&(struct across){&machine, fits, members}, OF_ALL_REDUCE, 1e6 + turn);
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

int main(int argc, char **argv)
{
	static const struct {
		const char *what;
		double (*one)(int turn);
	} cases[] = {{"products", products},
	             {"products of experts", products_of_experts},
	             {"attention", attention},
	             {"collectives over two levels", collectives},
	             {"pipelines, 16 stages, 128 microbatches", one_f_one_b},
	             {"the same in 4 chunks, interleaved", interleaved},
	             {"16 stages, 1048576 microbatches", many}};
	double limit = argc > 1 ? atof(argv[1]) : 0.2;
	if (!(limit > 0)) {
		fprintf(stderr, "planner: seconds above 0\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		volatile double sink = 0;
		double begin = now(), end = begin;
		int turns = 0;
		for (; end - begin < limit; end = now())
			for (int k = 0; k < 64; k++)
				sink += cases[i].one(turns++);
		printf("%-40s %12.0f a second\n", cases[i].what, turns / (end - begin));
	}
	return 0;
}
