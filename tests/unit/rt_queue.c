/* The queue that deployc's planner plays makes the steps that an engine makes for the same requests: their phases, T, R
 * and P, their tokens, and the step in which each request has its tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "../../planner/queue.h"
#include "../../runtime/engine.h"
#include "../../runtime/schedule.h"
#include "rt_tiny.h"

enum { N = 40, STEPS = 1000 };

/* A step as both see it. */
struct seen {
	int phase, microbatches, tokens, size[4], rows[4], pages;
};
struct log {
	struct seen step[STEPS];
	int n;
};

/* Each takes 1 s, so that requests arrive between some of them. */
static double play_step(void *log, const struct chosen_step *step)
{
	struct log *l = log;
	struct seen *s = &l->step[l->n++];
	*s = (struct seen){step->phase, step->microbatches, step->tokens, {0}, {0}, step->pages[0]};
	for (int m = 0; m < step->microbatches; m++) {
		s->size[m] = step->microbatch[m].tokens;
		s->rows[m] = step->microbatch[m].rows;
	}
	return 1;
}

/* ---- an engine -------------------------------------------------------------------------------- */

struct site {
	struct plan plan;
	struct step step;
	struct results results;
	struct engine *engine;
	struct log log;
	double now;
	struct arriving *requests;
};

static void run_step(void *site)
{
	struct site *s = site;
	struct seen *seen = &s->log.step[s->log.n];
	*seen = (struct seen){s->step.head->phase, s->step.head->microbatches, 0, {0}, {0}, s->step.head->pages[0]};
	for (int m = 0; m < seen->microbatches; m++) {
		seen->size[m] = s->step.tokens[m];
		seen->rows[m] = s->step.rows[m];
	}
	s->now++;
}

static void take_token(void *site, const struct engine_token *t)
{
	struct site *s = site;
	struct arriving *r = t->user;
	if (t->index == 0)
		r->first = s->now;
	if (t->finish)
		r->last = s->now;
}

static void submit(struct site *s, struct arriving *r)
{
	int32_t ids[64] = {0};
	char why[REASON_BYTES];
	struct request q = {.ids = ids, .n_ids = (int)r->prompt, .max_tokens = (int)r->output, .user = r};
	assert_true(engine_submit(s->engine, &q, why));
}

static void run_engine(struct site *s, bool few)
{
	int next = 0;
	struct step_done done;
	step_open(&s->step, &s->plan);
	s->results = (struct results){.tokens = host_alloc(1 << 16, sizeof(int32_t)), .max_rows = plan_max_rows(&s->plan)};
	struct stepper stepper = {
		.step = &s->step, .run = run_step, .results = &s->results, .context = s, .few_sizes = few};
	s->engine = engine_open(&s->plan, &stepper, take_token, s);
	for (;;) {
		while (next < N && s->requests[next].arrival <= s->now)
			submit(s, &s->requests[next++]);
		if (engine_step(s->engine, &done))
			s->log.step[s->log.n++].tokens = (int)done.tokens;
		else if (next < N)
			s->now = s->requests[next].arrival;
		else
			break;
	}
	engine_close(s->engine);
	step_close(&s->step);
	free(s->results.tokens);
}

/* ---- both ------------------------------------------------------------------------------------- */

static void make_requests(struct arriving *r, double apart)
{
	for (int i = 0; i < N; i++)
		r[i] = (struct arriving){.arrival = apart * (i + i % 3), .prompt = 1 + i * 7 % 23, .output = 1 + i * 5 % 9};
	for (int i = 1; i < N; i++)
		r[i].arrival = r[i].arrival < r[i - 1].arrival ? r[i - 1].arrival : r[i].arrival;
}

/* Returns how often a sequence was interrupted. */
static int64_t compare(int dp, int microbatches, bool few, uint32_t pages, double apart)
{
	static struct blob_builder b;
	static struct site s;
	static struct log played;
	struct arriving run[N], queued[N];
	tiny_build(&b, &(struct tiny){1, dp, 1, microbatches});
	tiny_pools(&b, &(struct dr_pool){0, pages}, 1);
	memset(&s, 0, sizeof s);
	played.n = 0;
	assert_null(plan_open(&s.plan, b.at));
	make_requests(run, apart);
	make_requests(queued, apart);
	s.requests = run;
	run_engine(&s, few);
	struct queueing q = {
		.sizes = schedule_sizes(&s.plan, few), .requests = queued, .n = N, .seconds = play_step, .context = &played};
	queue_play(&q);
	assert_int_equal(q.steps, played.n);
	assert_int_equal(played.n, s.log.n);
	assert_memory_equal(played.step, s.log.step, (size_t)played.n * sizeof *played.step);
	for (int i = 0; i < N; i++) {
		assert_true(run[i].first == queued[i].first);
		assert_true(run[i].last == queued[i].last);
	}
	return q.interrupted;
}

static void steps_are_those_of_an_engine(void **state)
{
	static const double apart[] = {0, 0.5, 1.5, 40};
	(void)state;
	for (int dp = 1; dp <= 2; dp++)
		for (int microbatches = 1; microbatches <= 3; microbatches++)
			for (int few = 0; few <= 1; few++)
				for (int i = 0; i < 4; i++)
					assert_int_equal(compare(dp, microbatches, few, TINY_PAGES, apart[i]), 0);
}

/* So few pages that sequences lose theirs. */
static void interruptions_are_those_of_an_engine(void **state)
{
	(void)state;
	int64_t interrupted = 0;
	for (uint32_t pages = TINY_PER_SEQ; pages <= 12; pages++)
		interrupted += compare(2, 2, false, pages, 0.5);
	assert_true(interrupted > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_are_those_of_an_engine),
		cmocka_unit_test(interruptions_are_those_of_an_engine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
