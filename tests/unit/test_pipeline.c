/* Times of pipelines: golden values, formulas of the literature, and steps of many microbatches against every
 * microbatch played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "../../planner/pipeline.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
enum { MAX_STAGES = 8, MAX_CHUNKS = 3 };

/* Stages with equal chunks, and equal transfers beside computation. */
static const struct golden {
	int64_t stages, microbatches, chunks;
	double forward[MAX_STAGES], backward[MAX_STAGES], transfer, seconds;
} goldens[] = {
	/* schedule(p, m, v, fs, bs, x) of the design prototype `planner`, train.py */
	{3, 15, 2, {1, 1, 1}, {2, 2, 2}, 0, 96.0},
	{1, 1, 1, {1.15}, {1.21}, 0.063, 2.36},
	{4, 4, 2, {1.921, 1.446, 1.374, 0.593}, {2.757, 1.149, 1.663, 2.67}, 0.093, 42.632},
	{4, 2, 1, {1.311, 1.356, 1.34, 1.523}, {1.309, 2.714, 1.564, 1.292}, 0, 15.223999999999998},
	{1, 2, 1, {1.245}, {2.595}, 0.544, 7.680000000000001},
	{4, 8, 1, {1, 1, 1, 1}, {2, 2, 2, 2}, 0.24, 36.839999999999996},
	{4, 4, 3, {0.677, 1.127, 1.636, 0.728}, {2.467, 1.118, 3.005, 3.294}, 0, 65.55799999999998},
	{8,
     24,
     1,
     {1.813, 0.971, 1.543, 1.392, 1.37, 1.184, 1.76, 1.917},
     {2.422, 2.992, 1.182, 3.104, 2.941, 3.979, 3.466, 1.854},
     0.27,
     162.20000000000007},
	{3, 15, 2, {1.033, 1.416, 1.241}, {1.655, 1.862, 3.215}, 0.279, 141.56600000000006},
	{4, 1, 1, {0.75, 1.102, 0.917, 0.705}, {2.292, 2.651, 3.119, 3.959}, 0, 15.495},
	{4, 8, 2, {1, 1, 1, 1}, {2, 2, 2, 2}, 0.374, 62.23600000000002},
	{8,
     8,
     1,
     {0.978, 0.688, 1.789, 1.925, 1.482, 1.61, 1.185, 1.806},
     {3.856, 3.042, 2.678, 2.194, 2.182, 2.445, 2.201, 1.572},
     0.689,
     76.34599999999998},
	{4, 4, 2, {1.01, 0.579, 0.5, 0.727}, {1.304, 2.091, 1.077, 3.623}, 0, 42.493},
	{8,
     5,
     1,
     {0.723, 0.878, 1.021, 1.046, 0.684, 1.773, 1.99, 1.199},
     {2.452, 1.258, 1.307, 2.028, 1.794, 3.487, 1.484, 1.069},
     0.666,
     52.44299999999998},
	{8,
     16,
     3,
     {1.535, 1.871, 1.637, 0.947, 1.464, 0.637, 1.768, 1.278},
     {3.725, 2.067, 1.668, 2.625, 2.508, 2.909, 2.84, 3.365},
     0.531,
     279.63800000000003},
	{2, 24, 1, {1, 1}, {2, 2}, 0, 75.0},
	{4, 4, 3, {1.984, 1.685, 1.208, 0.79}, {2.815, 2.033, 3.426, 3.169}, 0.245, 73.73700000000001},
	{3, 1, 1, {0.831, 0.84, 0.795}, {1.613, 2.872, 3.701}, 0.588, 13.004},
	{4, 4, 3, {1.752, 0.68, 1.083, 1.567}, {1.598, 3.667, 2.302, 2.908}, 0, 72.33400000000002},
	{1, 24, 1, {1.919}, {3.165}, 0.324, 122.01599999999999},
	{1, 2, 1, {1}, {2}, 0.414, 6.0},
	{4, 24, 1, {1.484, 1.417, 1.394, 1.212}, {3.812, 1.468, 2.645, 1.064}, 0, 131.85199999999992},
	{1, 5, 1, {1.98}, {1.584}, 0.612, 17.82},
	{1, 3, 1, {0.819}, {2.503}, 0.535, 9.966000000000001},
	{3, 15, 3, {1.751, 0.591, 1.61}, {3.693, 2.987, 3.445}, 0, 246.60900000000038},
	{8, 5, 1, {1, 1, 1, 1, 1, 1, 1, 1}, {2, 2, 2, 2, 2, 2, 2, 2}, 0.338, 42.760000000000005},
};

static struct arena scratch;

static int release(void **state)
{
	(void)state;
	arena_free(&scratch);
	return 0;
}

static void same(double value, double expected)
{
	if (fabs(value / expected - 1) > 1e-9)
		fail_msg("%.17g, not %.17g", value, expected);
}

static void times_are_golden(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(goldens); i++) {
		const struct golden *g = &goldens[i];
		double forward[MAX_STAGES * MAX_CHUNKS], backward[MAX_STAGES * MAX_CHUNKS], transfer[MAX_STAGES];
		for (int64_t piece = 0; piece < g->stages * g->chunks; piece++) {
			forward[piece] = g->forward[piece % g->stages];
			backward[piece] = g->backward[piece % g->stages];
			transfer[piece % g->stages] = g->transfer;
		}
		struct pipeline p = {g->chunks > 1 ? PIPELINE_INTERLEAVED : PIPELINE_ONE_F_ONE_B, g->stages, g->microbatches,
		                     g->chunks, true};
		struct pipeline_pieces pieces = {forward, backward, NULL, transfer, true};
		same(pipeline_time(&scratch, &p, &pieces, NULL).seconds, g->seconds);
		same(pipeline_time_in_full(&scratch, &p, &pieces, NULL).seconds, g->seconds);
	}
}

/* ---- the literature -------------------------------------------------------------------------- */
/* Calls the check with each pipeline of equal pieces that fits. */
typedef void pipeline_check(const struct pipeline *p, double seconds, double bubble);
static void each_pipeline(pipeline_check *check, const double *params)
{
	static double ones[MAX_STAGES * MAX_CHUNKS], twos[MAX_STAGES * MAX_CHUNKS];
	for (size_t i = 0; i < COUNT(ones); i++)
		twos[i] = 2 * (ones[i] = 1);
	struct pipeline p;
	for (int order = 0; order < PIPELINE_ORDERS; order++)
		for (int training = 0; training < 2; training++)
			for (p.stages = 1; p.stages <= MAX_STAGES; p.stages++)
				for (p.microbatches = 1; p.microbatches <= 200; p.microbatches += 1 + p.microbatches / 8)
					for (p.chunks = 1; p.chunks <= MAX_CHUNKS; p.chunks++) {
						p.order = (enum pipeline_order)order;
						p.backward = training;
						if (!pipeline_fits(&p) || (params && (p.order != PIPELINE_ONE_F_ONE_B || !training)))
							continue;
						double busy[MAX_STAGES];
						struct pipeline_pieces pieces = {ones, training ? params ? ones : twos : NULL, params, NULL,
						                                 true};
						struct pipeline_time t = pipeline_time(&scratch, &p, &pieces, busy);
						for (int64_t s = 0; s < p.stages; s++)
							same(busy[s], (training ? 3 : 1) * (double)(p.microbatches * p.chunks)
							                  + (params ? (params[0] - 1) * (double)p.microbatches : 0));
						check(&p, t.seconds, t.bubble);
					}
}

/* (stages - 1) turns of one chunk, whatever the order. */
static void check_literature(const struct pipeline *p, double seconds, double bubble)
{
	double turn = p->backward ? 3 : 1, units = (double)(p->microbatches * p->chunks), wait = (double)p->stages - 1;
	same(seconds, turn * (units + wait));
	assert_true(fabs(bubble - wait / (units + wait)) < 1e-9);
}

static void bubbles_of_the_literature(void **state)
{
	(void)state;
	each_pipeline(check_literature, NULL);
}

/* Forward, backward and the part for params take the same time: a third of the bubble. */
static void check_zero_bubble(const struct pipeline *p, double seconds, double bubble)
{
	if (p->microbatches < p->stages)
		return;
	same(seconds, 3 * (double)p->microbatches + (double)p->stages - 1);
	assert_true(fabs(bubble * seconds - ((double)p->stages - 1)) < 1e-9);
}

static void zero_bubble(void **state)
{
	static const double params[MAX_STAGES] = {1, 1, 1, 1, 1, 1, 1, 1};
	(void)state;
	each_pipeline(check_zero_bubble, params);
}

/* Stages that wait for each message take its time as work. */
static void messages_that_are_waited_for(void **state)
{
	double forward[4] = {1, 1, 1, 1}, backward[4] = {2, 2, 2, 2}, transfer[4] = {0.5, 0.25, 0.5, 9}, busy[4];
	struct pipeline p = {PIPELINE_ONE_F_ONE_B, 4, 1000, 1, true};
	struct pipeline_pieces pieces = {forward, backward, NULL, transfer, false};
	(void)state;
	double seconds = pipeline_time(&scratch, &p, &pieces, busy).seconds;
	same(busy[0], 1000 * 3.5);
	same(busy[1], 1000 * 3.75);
	same(busy[2], 1000 * 3.75);
	same(busy[3], 1000 * 3.5);
	assert_true(seconds > busy[1] && seconds < 1001 * 4.25);
	/* One stage waits for nobody, not even for itself. */
	p.stages = 1;
	p.microbatches = 7;
	same(pipeline_time(&scratch, &p, &pieces, NULL).seconds, 21);
}

/* ---- all sizes ------------------------------------------------------------------------------- */
static uint64_t seed;
static double uniform(double low, double high)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return low + (high - low) * (double)(seed >> 11) * 0x1p-53;
}
static int64_t pick(int64_t n) { return (int64_t)uniform(0, (double)n); }

/* Times that repeat exactly, that are close to each other, or that are apart. */
static double piece_time(int kind)
{
	return kind == 0 ? (double)(1 + pick(3)) : kind == 1 ? 1 + 0.01 * uniform(0, 1) : uniform(0.2, 3);
}

static struct pipeline random_pipeline(void)
{
	struct pipeline p;
	do
		p = (struct pipeline){(enum pipeline_order)pick(PIPELINE_ORDERS), 1 + pick(MAX_STAGES), 1 + pick(300),
		                      1 + pick(MAX_CHUNKS), pick(4)};
	while (!pipeline_fits(&p));
	return p;
}

struct random_pieces {
	double forward[MAX_STAGES * MAX_CHUNKS], backward[MAX_STAGES * MAX_CHUNKS], params[MAX_STAGES],
		transfer[MAX_STAGES];
	struct pipeline_pieces pieces;
};

static void fill(struct random_pieces *r, const struct pipeline *p)
{
	int kind = (int)pick(3), messages = (int)pick(3);
	for (int64_t i = 0; i < MAX_STAGES * MAX_CHUNKS; i++) {
		r->forward[i] = piece_time(kind);
		r->backward[i] = 2 * piece_time(kind);
	}
	for (int64_t i = 0; i < MAX_STAGES; i++) {
		r->params[i] = piece_time(kind);
		r->transfer[i] = messages ? piece_time(kind) / (messages == 1 ? 10 : 1) : 0;
	}
	bool params = p->backward && p->order == PIPELINE_ONE_F_ONE_B && pick(2);
	r->pieces = (struct pipeline_pieces){r->forward, p->backward ? r->backward : NULL, params ? r->params : NULL,
	                                     pick(4) ? r->transfer : NULL, pick(2)};
}

static void many_microbatches_are_all_of_them(void **state)
{
	struct random_pieces r;
	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct pipeline p = random_pipeline();
		fill(&r, &p);
		struct pipeline_time some = pipeline_time(&scratch, &p, &r.pieces, NULL);
		struct pipeline_time all = pipeline_time_in_full(&scratch, &p, &r.pieces, NULL);
		same(some.seconds, all.seconds);
		assert_true(fabs(some.bubble - all.bubble) < 1e-9 && all.bubble >= 0 && all.bubble < 1);
		assert_true(r.pieces.params || all.bubble > pipeline_least_bubble(&p) - 1e-9);
		arena_free(&scratch);
	}
}

/* The least bubble is reached: by equal stages without backwards; by two stages, the second of which takes half as
 * long, and so hides its microbatch behind one of the first: 4 s, of which stage 1 works in 2 and stage 0 in all. */
static void least_bubbles_are_reached(void **state)
{
	double forward[5] = {1, 0.5, 1, 1, 1}, backward[2] = {1, 0.5}, ones[5] = {1, 1, 1, 1, 1};
	(void)state;
	struct pipeline_pieces second_is_short = {forward, backward, NULL, NULL, true},
						   equal = {ones, NULL, NULL, NULL, true};
	struct pipeline p = {PIPELINE_ONE_F_ONE_B, 2, 2, 1, true};
	struct pipeline_time t = pipeline_time(&scratch, &p, &second_is_short, NULL);
	same(t.seconds, 4);
	assert_true(fabs(t.bubble - 0.25) < 1e-9 && fabs(pipeline_least_bubble(&p) - 0.25) < 1e-9);
	p = (struct pipeline){PIPELINE_FILL_DRAIN, 5, 7, 1, false};
	assert_true(fabs(pipeline_time(&scratch, &p, &equal, NULL).bubble - pipeline_least_bubble(&p)) < 1e-9);
	p = (struct pipeline){PIPELINE_INTERLEAVED, 5, 10, 2, true};
	assert_true(pipeline_least_bubble(&p) == 0);
}

/* No stage ends before its work, nor a microbatch before it has passed all pieces; more of anything takes no less. */
static void more_takes_longer(void **state)
{
	struct random_pieces r;
	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct pipeline p = random_pipeline();
		fill(&r, &p);
		double busy[MAX_STAGES], path = 0, seconds = pipeline_time(&scratch, &p, &r.pieces, busy).seconds;
		for (int64_t piece = 0; piece < p.stages * p.chunks; piece++)
			path += r.forward[piece] + (p.backward ? r.backward[piece] : 0);
		assert_true(seconds >= path * (1 - 1e-12));
		for (int64_t s = 0; s < p.stages; s++)
			assert_true(seconds >= busy[s] * (1 - 1e-12));
		r.forward[pick(p.stages)] += 1;
		r.transfer[pick(p.stages)] += 0.5;
		double more = pipeline_time(&scratch, &p, &r.pieces, NULL).seconds;
		assert_true(more >= seconds * (1 - 1e-12));
		p.microbatches += p.stages;
		assert_true(pipeline_time(&scratch, &p, &r.pieces, NULL).seconds > more);
		arena_free(&scratch);
	}
}

/* The step of ten million microbatches: as many periods as that. */
static void microbatches_cost_nothing(void **state)
{
	double ones[16], twos[16];
	(void)state;
	for (int i = 0; i < 16; i++)
		twos[i] = 2 * (ones[i] = 1);
	struct pipeline_pieces pieces = {ones, twos, NULL, NULL, true};
	for (int order = 0; order < PIPELINE_ORDERS; order++) {
		struct pipeline p = {(enum pipeline_order)order, 16, 16000000, 1, true};
		same(pipeline_time(&scratch, &p, &pieces, NULL).seconds, 3.0 * (16000000 + 15));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(times_are_golden, release),
		cmocka_unit_test_teardown(bubbles_of_the_literature, release),
		cmocka_unit_test_teardown(zero_bubble, release),
		cmocka_unit_test_teardown(messages_that_are_waited_for, release),
		cmocka_unit_test_teardown(least_bubbles_are_reached, release),
		cmocka_unit_test_teardown(many_microbatches_are_all_of_them, release),
		cmocka_unit_test_teardown(more_takes_longer, release),
		cmocka_unit_test_teardown(microbatches_cost_nothing, release),
	};
	return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
