/* Queues against closed forms and against one played by hand; laws of lengths against their formulas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include "../../planner/lengths.h"
#include "../../planner/queue.h"

static double fixed(void *seconds, const struct chosen_step *step)
{
	assert_true(step->tokens > 0);
	return *(double *)seconds;
}

static struct scheduler_sizes sizes(int owners, int seqs, int chunk)
{
	return (struct scheduler_sizes){.owners = owners,
	                                .microbatches = 1,
	                                .seqs = seqs,
	                                .page_size = 4,
	                                .page_multiple = 1,
	                                .token_multiple = 1,
	                                .row_multiple = 1,
	                                .max_tokens = {[DR_PREFILL] = chunk, [DR_DECODE] = seqs},
	                                .max_rows = {seqs, seqs},
	                                .n_pools = 1,
	                                .pool = {{0, 64}}};
}

/* ---- closed forms ----------------------------------------------------------------------------- */

/* The mean wait of requests that are served one at a time, in steps of 1 s; their answers have one of two lengths. */
static double mean_wait(double rate, int64_t shorter, int64_t longer)
{
	enum { N = 60000, FIRST = N / 6 };
	double second = 1, now = 0, wait = 0, *apart = calloc(N, sizeof *apart);
	struct arriving *r = calloc(N, sizeof *r);
	struct random random = {1};
	struct arrivals a = {.law = ARRIVAL_POISSON, .rate = rate};
	arrival_sample(&a, &random, apart, N);
	for (int i = 0; i < N; i++)
		r[i] = (struct arriving){
			.arrival = now += apart[i], .prompt = 1, .output = random_unit(&random) < 0.5 ? shorter : longer};
	struct queueing q = {.sizes = sizes(1, 1, 4), .requests = r, .n = N, .seconds = fixed, .context = &second};
	queue_play(&q);
	for (int i = FIRST; i < N; i++)
		wait += r[i].first - r[i].arrival - second;
	free(apart);
	free(r);
	return wait / (N - FIRST);
}

/* M/D/1: rho / (2 (1 - rho)) services. M/G/1: rate E(s^2) / (2 (1 - rho)), Pollaczek and Khinchine. */
static void waits_are_those_of_theory(void **state)
{
	static const double load[] = {0.3, 0.6, 0.8};
	(void)state;
	for (int i = 0; i < 3; i++) {
		double rho = load[i], d = rho / (2 * (1 - rho)), g = rho / 5 * 41 / (2 * (1 - rho));
		assert_true(fabs(mean_wait(rho, 1, 1) / d - 1) < 0.06);
		assert_true(fabs(mean_wait(rho / 5, 1, 9) / g - 1) < 0.08);
	}
}

/* As many users as a slot has wait for each other: with n of them, each answer takes n services. */
static void users_wait_for_each_other(void **state)
{
	enum { USERS = 5, N = 40 };
	struct arriving r[N];
	double second = 1;
	(void)state;
	for (int i = 0; i < N; i++)
		r[i] = (struct arriving){.prompt = 1, .output = 3};
	struct queueing q = {.sizes = sizes(1, 1, 4),
	                     .requests = r,
	                     .n = N,
	                     .users = USERS,
	                     .think = 2,
	                     .seconds = fixed,
	                     .context = &second};
	queue_play(&q);
	for (int i = USERS; i < N; i++)
		assert_true(r[i].arrival == r[i - USERS].last + 2);
	for (int i = 0; i < N; i++)
		assert_true(r[i].last == 3 * (i + 1));
	assert_int_equal(q.steps, 3 * N);
	assert_true(q.end == 3 * N);
}

/* ---- by hand ---------------------------------------------------------------------------------- */

static int taken[8], n_taken;

static double noted(void *unused, const struct chosen_step *step)
{
	(void)unused;
	taken[n_taken++] = step->phase == DR_PREFILL ? step->tokens : -step->tokens;
	return 1;
}

/* Steps of 4 tokens, 2 sequences at a time. The first prompt, of 6 tokens, takes two steps; the second, which came half
 * a second later, enters the second of them, and both get a token. They grow together; the second one leaves, and the
 * prompt of the third is read in a step in which the first one grows. Later the last one comes. */
static void a_schedule_by_hand(void **state)
{
	struct arriving r[] = {{.arrival = 0, .prompt = 6, .output = 4},
	                       {.arrival = 0.5, .prompt = 2, .output = 2},
	                       {.arrival = 0.75, .prompt = 3, .output = 1},
	                       {.arrival = 10, .prompt = 1, .output = 1}};
	struct queueing q = {.sizes = sizes(1, 2, 4), .requests = r, .n = 4, .seconds = noted};
	static const int tokens[] = {4, 4, -2, 4, -1, 1}; /* below 0: of a decode step */
	static const double first[] = {2, 2, 4, 11}, last[] = {5, 3, 4, 11};
	(void)state;
	n_taken = 0;
	queue_play(&q);
	assert_int_equal(n_taken, 6);
	assert_int_equal(q.steps, 6);
	assert_memory_equal(taken, tokens, sizeof tokens);
	for (int i = 0; i < 4; i++) {
		assert_true(r[i].first == first[i]);
		assert_true(r[i].last == last[i]);
	}
}

/* Two owners, requests in turn: each serves its own, in the same steps. */
static void owners_take_turns(void **state)
{
	struct arriving r[6];
	double second = 1;
	(void)state;
	for (int i = 0; i < 6; i++)
		r[i] = (struct arriving){.prompt = 1, .output = 1 + i % 2};
	struct queueing q = {.sizes = sizes(2, 1, 4), .requests = r, .n = 6, .seconds = fixed, .context = &second};
	queue_play(&q);
	static const double last[] = {1, 2, 2, 4, 3, 6};
	for (int i = 0; i < 6; i++)
		assert_true(r[i].last == last[i]);
}

/* ---- laws ------------------------------------------------------------------------------------- */

static void quantiles_are_those_of_the_law(void **state)
{
	struct lengths l = {.law = LENGTH_LOGNORMAL, .lo = 1, .hi = 1 << 20, .median = 512, .p90 = 2048};
	(void)state;
	for (double u = 1e-9; u < 1; u += 0.01)
		assert_true(fabs(0.5 * erfc(-normal_quantile(u) / sqrt(2)) / u - 1) < 1e-12);
	assert_true(fabs(normal_quantile(0.975) - 1.959963984540054) < 1e-12);
	assert_int_equal(length_quantile(&l, 0.5), 512);
	assert_int_equal(length_quantile(&l, 0.9), 2048);
	double sigma = log(4) / 1.2815515655446004;
	assert_true(fabs(length_mean(&l) / (512 * exp(sigma * sigma / 2)) - 1) < 1e-3);
	l.hi = 600, l.lo = 500;
	assert_int_equal(length_quantile(&l, 0.1), 500);
	assert_int_equal(length_quantile(&l, 0.99), 600);
	l = (struct lengths){.law = LENGTH_UNIFORM, .lo = 3, .hi = 6};
	for (int i = 0; i < 4; i++)
		assert_int_equal(length_quantile(&l, (i + 0.5) / 4), 3 + i);
	assert_true(length_mean(&l) == 4.5);
	l = (struct lengths){
		.law = LENGTH_WEIGHTED, .lo = 1, .hi = 9, .n = 2, .length = (int64_t[]){2, 7}, .share = (double[]){0.75, 0.25}};
	assert_int_equal(length_quantile(&l, 0.74), 2);
	assert_int_equal(length_quantile(&l, 0.76), 7);
	assert_true(length_mean(&l) == 3.25);
}

static int rising(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

/* One draw in each part of the law, in another order; the same in every run. */
static void samples_are_stratified(void **state)
{
	enum { N = 1000 };
	struct lengths l = {.law = LENGTH_UNIFORM, .lo = 1, .hi = 10 * N};
	struct random r = {7}, same = {7};
	int64_t a[N], b[N], out_of_place = 0;
	(void)state;
	length_sample(&l, &r, a, N);
	length_sample(&l, &same, b, N);
	assert_memory_equal(a, b, sizeof a);
	for (int i = 0; i < N; i++)
		out_of_place += a[i] <= 10 * i || a[i] > 10 * (i + 1);
	assert_true(out_of_place > N * 9 / 10);
	qsort(a, N, sizeof *a, rising);
	for (int i = 0; i < N; i++)
		assert_true(a[i] > 10 * i && a[i] <= 10 * (i + 1));
	struct arrivals poisson = {.law = ARRIVAL_POISSON, .rate = 4}, spaced = {.law = ARRIVAL_SPACED, .rate = 4};
	double apart[N], sum = 0, more = 0;
	arrival_sample(&poisson, &r, apart, N);
	for (int i = 0; i < N; i++)
		sum += apart[i], more += apart[i] > 0.25;
	assert_true(fabs(sum / N / 0.25 - 1) < 0.01);
	assert_true(fabs(more / N - exp(-1)) < 0.002);
	arrival_sample(&spaced, &r, apart, N);
	for (int i = 0; i < N; i++)
		assert_true(apart[i] == 0.25);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_are_those_of_theory),
		cmocka_unit_test(users_wait_for_each_other),
		cmocka_unit_test(a_schedule_by_hand),
		cmocka_unit_test(owners_take_turns),
		cmocka_unit_test(quantiles_are_those_of_the_law),
		cmocka_unit_test(samples_are_stratified),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
