/* The engine with a made-up model: a token is a hash of all ids before it, read through the page table from a cache
 * that the steps fill. If two sequences share a page, a position is left out or a row belongs to another sequence, the
 * tokens differ from those of a plain loop. Where steps overlap, the tokens of a step come when the next one is run. */
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>
#include <cmocka.h>
#include "../../runtime/engine.h"
#include "rt_tiny.h"

enum { OWNERS = 2, MAX_POSITIONS = TINY_PER_SEQ * TINY_PAGE };

static uint32_t hash_on(uint32_t h, int32_t id) { return h * 1103515245u + (uint32_t)id * 2654435761u + 12345u; }
static int32_t token_of(uint32_t h) { return (int32_t)((h >> 13) % TINY_VOCAB); }

/* ---- what plays the ranks -------------------------------------------------------------------- */
static bool overlaps; /* in the tests that follow */
struct site {
	struct blob_builder blob;
	struct plan plan;
	struct step step, other; /* other: where steps overlap, the one under way */
	struct results results;
	int32_t *computed;    /* the tokens of the step that was run last */
	bool under_way;       /* they are still to come */
	int ahead, collected; /* steps that overlapped; results that came without another step */
	int32_t cache[OWNERS][TINY_PAGES * TINY_PAGE], table[OWNERS][TINY_SEQS * TINY_PER_SEQ];
	struct engine *engine;
	int steps, spoil; /* spoil: the step, from 1, in which every token is `spoilt` */
	int32_t spoilt;
};

static int32_t next_token(const struct site *s, int owner, int table_row, int pos)
{
	uint32_t h = 0;
	for (int p = 0; p <= pos; p++) {
		int page = s->table[owner][table_row * TINY_PER_SEQ + p / TINY_PAGE];
		h = hash_on(h, s->cache[owner][page * TINY_PAGE + p % TINY_PAGE]);
	}
	return token_of(h);
}

static void run_owner(struct site *s, int m, int owner)
{
	int n, rows;
	const int32_t *a[DR_INPUTS];
	for (int i = 0; i <= DR_INPUT_SLOT; i++)
		a[i] = step_array(&s->step, &s->plan, m, owner, (enum dr_input)i, &n);
	const int32_t *want = step_array(&s->step, &s->plan, m, owner, DR_INPUT_WANT, &rows);
	for (int t = 0; t < n; t++)
		if (a[DR_INPUT_SLOT][t] >= 0)
			s->cache[owner][a[DR_INPUT_SLOT][t]] = a[DR_INPUT_IDS][t];
		else
			assert_true(a[DR_INPUT_IDS][t] == 0 && a[DR_INPUT_POS][t] == 0 && a[DR_INPUT_SEQ][t] == -1);
	int32_t *out = s->computed + (size_t)((m * s->plan.n_owners + owner) * s->results.max_rows);
	for (int r = 0; r < rows; r++)
		if (want[r] >= 0)
			out[r] = s->steps == s->spoil ? s->spoilt
			                              : next_token(s, owner, a[DR_INPUT_SEQ][want[r]], a[DR_INPUT_POS][want[r]]);
}

static size_t token_bytes(const struct site *s)
{
	size_t rows = s->plan.head->microbatches * (size_t)(s->plan.n_owners * s->results.max_rows);
	return rows * sizeof *s->computed;
}

/* The tokens that a step's ids stand for. */
static void know_ids(struct site *s)
{
	for (int owner = 0; owner < s->plan.n_owners; owner++) {
		int n;
		int32_t *ids = step_array(&s->step, &s->plan, 0, owner, DR_INPUT_IDS, &n);
		for (int t = 0; t < n; t++)
			if (ids[t] < 0)
				ids[t] = s->computed[owner * s->results.max_rows - 1 - ids[t]];
	}
}

static void swap_steps(struct site *s)
{
	struct step step = s->step;
	s->step = s->other;
	s->other = step;
}

static void collect(void *context)
{
	struct site *s = context;
	assert_true(s->under_way);
	s->under_way = false;
	s->collected++;
	swap_steps(s);
	memcpy(s->results.tokens, s->computed, token_bytes(s));
}

/* Now and then a phase may not overlap. */
static unsigned phases(void *context)
{
	struct site *s = context;
	return s->steps % 7 == 0 ? 0 : s->steps % 5 == 0 ? 1 << DR_DECODE : 1 << DR_DECODE | 1 << DR_PREFILL;
}

static void run_step(void *context)
{
	struct site *s = context;
	s->steps++;
	assert_int_equal(s->step.head->later, overlaps);
	if (s->under_way) {
		memcpy(s->results.tokens, s->computed, token_bytes(s));
		know_ids(s);
		s->ahead++;
	}
	for (int owner = 0; owner < s->plan.n_owners; owner++)
		tiny_take_pages(&s->step, &s->plan, owner, 0, s->table[owner]);
	for (int m = 0; m < s->step.head->microbatches; m++)
		for (int owner = 0; owner < s->plan.n_owners; owner++)
			run_owner(s, m, owner);
	s->under_way = overlaps;
	if (overlaps)
		swap_steps(s);
	else
		memcpy(s->results.tokens, s->computed, token_bytes(s));
}

static struct stepper stepper_of(struct site *s)
{
	return (struct stepper){.step = &s->step,
	                        .run = run_step,
	                        .results = &s->results,
	                        .context = s,
	                        .ahead = overlaps ? phases : NULL,
	                        .collect = overlaps ? collect : NULL};
}

/* chunk: maximum tokens of a prefill step; 0: TINY_CHUNK. */
static void site_open_chunked(struct site *s, int dp, int microbatches, uint32_t chunk, token_fn *on_token,
                              void *context)
{
	memset(s, 0, sizeof *s);
	microbatches = overlaps ? 1 : microbatches;
	tiny_build(&s->blob, &(struct tiny){1, dp, 1, microbatches});
	if (chunk)
		tiny_program(&s->blob, DR_PREFILL)->max_tokens = chunk;
	assert_null(plan_open(&s->plan, s->blob.at));
	step_open(&s->step, &s->plan);
	step_open(&s->other, &s->plan);
	s->computed = host_alloc((size_t)(dp * microbatches * TINY_ROWS), sizeof *s->computed);
	s->results = (struct results){.tokens = host_alloc((size_t)(dp * microbatches * TINY_ROWS), sizeof(int32_t)),
	                              .max_rows = TINY_ROWS};
	struct stepper stepper = stepper_of(s);
	s->engine = engine_open(&s->plan, &stepper, on_token, context);
}

static void site_open(struct site *s, int dp, int microbatches, token_fn *on_token, void *context)
{
	site_open_chunked(s, dp, microbatches, 0, on_token, context);
}

static void site_close(struct site *s)
{
	engine_close(s->engine);
	assert_false(s->under_way);
	step_close(&s->step);
	step_close(&s->other);
	free(s->results.tokens);
	free(s->computed);
}

static void pages_add_up(const struct site *s)
{
	for (int owner = 0; owner < s->plan.n_owners; owner++) {
		int unused, held;
		engine_pages(s->engine, owner, &unused, &held);
		assert_true(unused >= 0 && held >= 0);
		assert_int_equal(unused + held, s->plan.pools[0].pages);
	}
}

static void all_pages_are_free(const struct site *s)
{
	for (int owner = 0; owner < s->plan.n_owners; owner++) {
		int unused, held;
		engine_pages(s->engine, owner, &unused, &held);
		assert_int_equal(unused, s->plan.pools[0].pages);
		assert_int_equal(held, 0);
	}
}

/* ---- what is asked, and what must come ------------------------------------------------------- */
struct ask {
	int32_t ids[MAX_POSITIONS];
	int n, max_tokens;
	int32_t stop[2];
	int n_stop;
	/* Results. */
	uint64_t id;
	int32_t out[MAX_POSITIONS];
	int n_out;
	enum finish finish;
};

static void make_ask(struct ask *a, unsigned seed, int n, int max_tokens)
{
	*a = (struct ask){.n = n, .max_tokens = max_tokens};
	for (int i = 0; i < n; i++)
		a->ids[i] = (int32_t)((seed * 7u + (unsigned)i * 5u + seed / 3u) % TINY_VOCAB);
}

static void submit(struct site *s, struct ask *a)
{
	char why[REASON_BYTES];
	struct request r = {.ids = a->ids, .n_ids = a->n, .max_tokens = a->max_tokens, .user = a};
	r.stop = a->stop;
	r.n_stop = a->n_stop;
	a->id = engine_submit(s->engine, &r, why);
	assert_int_not_equal(a->id, 0);
}

/* The engine's tokens are those of the plain loop, and end where they should. */
static void take_token(void *context, const struct engine_token *t)
{
	(void)context;
	struct ask *a = t->user;
	uint32_t h = 0;
	assert_int_equal(t->id, a->id);
	assert_int_equal(t->index, a->n_out);
	assert_int_equal(a->finish, FINISH_NONE);
	assert_null(t->logits);
	for (int i = 0; i < a->n; i++)
		h = hash_on(h, a->ids[i]);
	for (int i = 0; i < a->n_out; i++)
		h = hash_on(h, a->out[i]);
	assert_int_equal(t->token, token_of(h));
	a->out[a->n_out++] = t->token;
	a->finish = t->finish;
	enum finish expected = a->n_out == a->max_tokens ? FINISH_LENGTH : FINISH_NONE;
	for (int i = 0; i < a->n_stop; i++)
		expected = a->stop[i] == t->token ? FINISH_STOP : expected;
	assert_int_equal(t->finish, expected);
}

static void run_to_end(struct site *s)
{
	struct step_done done;
	for (int steps = 0; engine_step(s->engine, &done); steps++) {
		assert_true(steps < 100000);
		assert_true(done.tokens > 0 || overlaps);
		pages_add_up(s);
	}
	assert_true(engine_idle(s->engine));
	assert_true(s->ahead > 0 || !overlaps || s->steps < 3);
	all_pages_are_free(s);
}

/* ---- tests ----------------------------------------------------------------------------------- */
enum { MANY = 40 };
static struct ask asks[MANY];

/* Far more sequences than rows and pages, of all lengths; the last few are submitted while others run. */
static void more_than_fits(void **state)
{
	(void)state;
	static struct site s;
	struct step_done done;
	for (int dp = 1; dp <= OWNERS; dp++)
		for (int microbatches = 1; microbatches <= 3; microbatches++) {
			site_open(&s, dp, microbatches, take_token, NULL);
			assert_true(engine_idle(s.engine));
			assert_false(engine_step(s.engine, &done));
			for (int i = 0; i < MANY; i++) {
				make_ask(&asks[i], (unsigned)i, 1 + i * 7 % 26, 1 + i * 5 % 7);
				submit(&s, &asks[i]);
				assert_false(engine_idle(s.engine));
				if (i >= MANY - 5)
					assert_true(engine_step(s.engine, &done));
			}
			run_to_end(&s);
			for (int i = 0; i < MANY; i++)
				assert_int_equal(asks[i].finish, FINISH_LENGTH);
			assert_false(engine_step(s.engine, &done));
			site_close(&s);
		}
}

/* No sequence overtakes another: there are three rows, and one page too few for two long prompts. The second long one
 * waits for the end of the first, and the short ones after it wait, too. */
static void first_come_first_admitted(void **state)
{
	(void)state;
	static struct site s;
	static const int length[] = {28, 28, 1, 2, 1};
	enum { N = sizeof length / sizeof length[0] };
	site_open(&s, 1, 1, take_token, NULL);
	engine_close(s.engine);
	tiny_pools(&s.blob, &(struct dr_pool){0, 15}, 1);
	assert_null(plan_open(&s.plan, s.blob.at));
	struct stepper stepper = stepper_of(&s);
	s.engine = engine_open(&s.plan, &stepper, take_token, NULL);
	int64_t tokens = 0, expected = 0;
	struct step_done done;
	for (int i = 0; i < N; i++) {
		make_ask(&asks[i], (unsigned)i, length[i], 3);
		submit(&s, &asks[i]);
		expected += length[i] + 2; /* the last token is not read back */
	}
	for (; engine_step(s.engine, &done); tokens += done.tokens) {
		pages_add_up(&s);
		for (int i = 1; i < N; i++)
			assert_true(asks[i].n_out == 0 || asks[0].finish);
		assert_true(asks[4].n_out == 0 || asks[1].finish || asks[2].finish || asks[3].finish);
	}
	for (int i = 0; i < N; i++)
		assert_int_equal(asks[i].n_out, 3);
	assert_int_equal(tokens, expected);
	all_pages_are_free(&s);
	site_close(&s);
}

/* A long prompt is computed in chunks while others decode; the phase selects the program. */
static void long_prompts_come_in_chunks(void **state)
{
	(void)state;
	static struct site s;
	struct step_done done;
	site_open_chunked(&s, 1, 1, 4, take_token, NULL);
	make_ask(&asks[0], 1, 1, 20);
	make_ask(&asks[1], 2, 21, 2);
	submit(&s, &asks[0]);
	assert_true(engine_step(s.engine, &done));
	assert_int_equal(done.phase, DR_PREFILL);
	assert_int_equal(done.tokens, 1);
	submit(&s, &asks[1]);
	for (int i = 0; i < 7; i++) {
		assert_int_equal(asks[1].n_out, 0);
		assert_true(engine_step(s.engine, &done));
		assert_int_equal(done.phase, DR_PREFILL);
		assert_int_equal(done.tokens, 4); /* one that decodes, three of the prompt: 7 x 3 = 21 */
		assert_int_equal(asks[0].n_out, i + 2);
	}
	assert_int_equal(asks[1].n_out, 1);
	assert_true(engine_step(s.engine, &done));
	assert_int_equal(done.phase, DR_DECODE);
	assert_int_equal(done.tokens, 2);
	run_to_end(&s);
	site_close(&s);
}

/* Sequences are stopped while they wait, in a chunk of their prompt, while they decode, and after their end. */
static void stopped_ones_give_back_pages(void **state)
{
	(void)state;
	static struct site s;
	uint32_t random = 1;
	struct step_done done;
	for (int dp = 1; dp <= OWNERS; dp++) {
		site_open(&s, dp, 2, take_token, NULL);
		memset(asks, 0, sizeof asks);
		int stopped = 0, late = 0, submitted = 0;
		for (int round = 0; round < 3000; round++) {
			random = random * 1664525u + 1013904223u;
			unsigned what = random >> 24;
			struct ask *a = &asks[(random >> 12) % MANY];
			if (what < 200) {
				bool lives = a->id && a->finish == FINISH_NONE;
				if (a->id)
					assert_int_equal(engine_stop(s.engine, a->id), lives);
				stopped += lives;
				late += a->id && !lives;
				assert_false(engine_stop(s.engine, a->id)); /* once, and ids are not used again */
				make_ask(a, random, 1 + (int)(random >> 20) % 26, 1 + (int)(random >> 17) % 7);
				submit(&s, a);
				submitted++;
			} else {
				engine_step(s.engine, &done);
			}
			pages_add_up(&s);
		}
		assert_true(stopped > 200 && late > 200 && submitted > 600);
		run_to_end(&s);
		site_close(&s);
	}
}

/* A prompt leaves room for only one sequence that decodes. Callbacks stop others at random, with or without a row in
 * that step. The rest get all their tokens. */
static void stop_another(void *context, const struct engine_token *t)
{
	static uint32_t random = 1;
	struct site *s = context;
	take_token(context, t);
	random = random * 1664525u + 1013904223u;
	struct ask *other = &asks[(random >> 12) % MANY];
	if (random >> 30 == 0 && other->id != t->id && engine_stop(s->engine, other->id))
		other->max_tokens = -1;
}

static void rows_of_others_stay(void **state)
{
	(void)state;
	static struct site s;
	int stopped = 0;
	for (int round = 0; round < 20; round++) {
		site_open_chunked(&s, 1, 1, 2, stop_another, &s);
		for (int i = 0; i < MANY; i++) {
			make_ask(&asks[i], (unsigned)i, 1 + i % 3, 6);
			submit(&s, &asks[i]);
		}
		run_to_end(&s);
		for (int i = 0; i < MANY; i++) {
			stopped += asks[i].max_tokens < 0;
			assert_true(asks[i].max_tokens < 0 || asks[i].finish == FINISH_LENGTH);
		}
		site_close(&s);
	}
	assert_true(stopped > 100);
}

/* Sequences as long as the plan allows, as many as have pages: none is free. */
static void all_pages_are_used(void **state)
{
	(void)state;
	static struct site s;
	struct step_done done;
	int unused, held;
	site_open(&s, 1, 1, take_token, NULL);
	for (int i = 0; i < TINY_SEQS; i++) {
		make_ask(&asks[i], (unsigned)i, MAX_POSITIONS - 3, 4);
		submit(&s, &asks[i]);
	}
	assert_true(engine_step(s.engine, &done));
	engine_pages(s.engine, 0, &unused, &held);
	assert_int_equal(unused, 0);
	assert_int_equal(held, TINY_PAGES);
	run_to_end(&s);
	site_close(&s);
}

/* Half of a chunk is for prompts, however many decode. */
static void prompts_get_half_of_a_chunk(void **state)
{
	(void)state;
	static struct site s;
	struct step_done done;
	site_open_chunked(&s, 1, 1, 2, take_token, NULL);
	for (int i = 0; i < 3; i++) {
		make_ask(&asks[i], (unsigned)i, i == 2 ? 5 : 1, 20);
		submit(&s, &asks[i]);
		if (i == 1)
			assert_true(engine_step(s.engine, &done)); /* both have a token, and go on */
	}
	for (int i = 1; i <= 5; i++) {
		assert_true(engine_step(s.engine, &done));
		assert_int_equal(done.tokens, 2);
		assert_int_equal(asks[0].n_out + asks[1].n_out, 2 + i);
		assert_int_equal(asks[2].n_out, i / 5);
	}
	run_to_end(&s);
	site_close(&s);
}

/* A step has as many microbatches as possible, so no stage waits. */
static void microbatches_are_even(void **state)
{
	(void)state;
	static struct site s;
	struct step_done done;
	site_open(&s, 1, 3, take_token, NULL);
	for (int i = 0; i < 3; i++) {
		make_ask(&asks[i], (unsigned)i, 2, 4);
		submit(&s, &asks[i]);
	}
	while (engine_step(s.engine, &done))
		if (done.phase == DR_DECODE)
			assert_int_equal(s.step.head->microbatches, 3);
	site_close(&s);
}

static void unknown_ids_stop_nothing(void **state)
{
	(void)state;
	static struct site s;
	site_open(&s, 1, 1, take_token, NULL);
	make_ask(&asks[0], 1, 3, 2);
	assert_false(engine_stop(s.engine, 0));
	submit(&s, &asks[0]);
	for (unsigned bit = 0; bit < 64; bit++)
		assert_false(engine_stop(s.engine, asks[0].id ^ 1ull << bit));
	assert_false(engine_stop(s.engine, UINT64_MAX));
	run_to_end(&s);
	site_close(&s);
}

/* A callback stops itself, stops one whose row is in the same step, and submits more. */
static struct ask pair[3];
static struct site *acting;

static void act(void *context, const struct engine_token *t)
{
	take_token(context, t);
	if (t->user == &pair[0] && t->index == 1) {
		assert_true(engine_stop(acting->engine, pair[1].id));
		assert_true(engine_stop(acting->engine, t->id));
		assert_false(engine_stop(acting->engine, t->id));
		submit(acting, &pair[2]);
	}
}

static void callbacks_may_act(void **state)
{
	(void)state;
	static struct site s;
	acting = &s;
	site_open(&s, 1, 1, act, NULL);
	for (int i = 0; i < 3; i++)
		make_ask(&pair[i], (unsigned)i, 2, 5);
	submit(&s, &pair[0]);
	submit(&s, &pair[1]);
	run_to_end(&s);
	assert_int_equal(pair[0].n_out, 2);
	assert_int_equal(pair[1].n_out, 1); /* its second was in the step in which it was stopped */
	assert_int_equal(pair[2].n_out, 5);
	site_close(&s);
}

/* Each sequence ends with the first of its own stop tokens: its first token, one in the middle, or the last of
 * max_tokens. Others take its row at once, so fewer steps are needed. */
static void stop_tokens_end_sequences(void **state)
{
	(void)state;
	static struct site s;
	static struct ask whole[MANY];
	int ends[3] = {0}, steps = 0; /* at the first, in the middle, at the last */
	for (int stops = 0; stops <= 1; stops++) {
		site_open(&s, 2, 2, take_token, NULL);
		for (int i = 0; i < MANY; i++) {
			make_ask(&asks[i], (unsigned)i, 1 + i % 9, 6);
			asks[i].n_stop = stops * (i % 3);
			for (int k = 0; k < asks[i].n_stop; k++)
				asks[i].stop[k] = whole[i].out[(i / 3 + 2 * k) % 6];
			submit(&s, &asks[i]);
		}
		run_to_end(&s);
		assert_true(!stops || s.steps < steps || overlaps);
		steps = s.steps;
		site_close(&s);
		if (!stops)
			memcpy(whole, asks, sizeof whole);
	}
	for (int i = 0; i < MANY; i++) {
		int n = 6;
		for (int k = 6; k-- > 0;)
			for (int j = 0; j < asks[i].n_stop; j++)
				n = whole[i].out[k] == asks[i].stop[j] ? k + 1 : n;
		assert_int_equal(asks[i].n_out, n);
		assert_memory_equal(asks[i].out, whole[i].out, (size_t)n * sizeof *asks[i].out);
		assert_int_equal(asks[i].finish, asks[i].n_stop ? FINISH_STOP : FINISH_LENGTH);
		if (asks[i].n_stop)
			ends[n == 1 ? 0 : n < 6 ? 1 : 2]++;
	}
	assert_true(ends[0] && ends[1] && ends[2]);
}

/* Closing the engine frees the remaining sequences. The address sanitizer finds leaks. */
static void closing_ends_all(void **state)
{
	(void)state;
	static struct site s;
	struct step_done done;
	site_open(&s, 2, 1, take_token, NULL);
	for (int i = 0; i < MANY; i++) {
		make_ask(&asks[i], (unsigned)i, 3, 5);
		submit(&s, &asks[i]);
	}
	engine_step(s.engine, &done);
	site_close(&s);
}

static void refused(const struct site *s, const struct request *r, const char *reason)
{
	char why[REASON_BYTES] = "";
	assert_int_equal(engine_submit(s->engine, r, why), 0);
	assert_string_equal(why, reason);
}

static void penalties_are_refused(struct site *s)
{
	static const int32_t ids[] = {1, 2};
	static struct token_bias unknown[] = {{3, 1}, {24, 1}}, large[] = {{3, 101}}, known[] = {{3, 1}, {4, 1}};
	static const struct penalties wrong[] = {{.repetition = 0.001f},
	                                         {.repetition = -1},
	                                         {.repetition = NAN},
	                                         {.repetition = 101},
	                                         {.presence = NAN},
	                                         {.presence = 2.5f},
	                                         {.frequency = -2.5f},
	                                         {.frequency = INFINITY},
	                                         {.bias = large, .n_bias = 1},
	                                         {.bias = known, .n_bias = DR_BIASES + 1}};
	struct request r = {.ids = ids, .n_ids = 2, .max_tokens = 4};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		r.penalties = wrong[i];
		assert_true(penalties_in_range(&(struct penalties){.repetition = 0.01f, .presence = -2, .frequency = 2}));
		assert_false(penalties_in_range(&wrong[i]));
	}
	r.penalties = wrong[8];
	refused(
		s, &r,
		"cannot sample with a repetition penalty of 0, presence penalty of 0, frequency penalty of 0 and 1 biases: one "
		"of them is out of range");
	r.penalties = (struct penalties){.bias = unknown, .n_bias = 2};
	refused(s, &r, "biased id 24 is not in the vocabulary of 24");
	struct dr_program *head = (struct dr_program *)(void *)s->blob.at;
	head->adjusts = 6;
	r.penalties = (struct penalties){.repetition = 2, .bias = known, .n_bias = 2};
	refused(s, &r, "penalties and biases may change 7 logits; a step of the plan has room for 6");
	head->adjusts = TINY_ADJUSTS;
}

static void what_cannot_run_is_refused(void **state)
{
	(void)state;
	static struct site s;
	static const int32_t ids[] = {1, 24, 3, -1};
	char why[REASON_BYTES];
	int from = 0;
	site_open(&s, 1, 1, take_token, NULL);
	struct request r = {.ids = ids, .n_ids = 4, .max_tokens = 40};
	refused(&s, &r, "id 24 is not in the vocabulary of 24");
	assert_true(request_refused(&s.plan, &r, &from, why));
	assert_true(request_refused(&s.plan, &r, &from, why));
	assert_string_equal(why, "id -1 is not in the vocabulary of 24");
	assert_true(request_refused(&s.plan, &r, &from, why));
	assert_string_equal(why, "4 ids and 40 more take 43 positions (the last is not read back); the plan's cache has 32 "
	                         "for a sequence");
	assert_false(request_refused(&s.plan, &r, &from, why));
	assert_false(request_refused(&s.plan, &r, &from, why));
	static const int32_t many[MAX_POSITIONS];
	r.ids = many;
	r.n_ids = MAX_POSITIONS;
	r.max_tokens = 2;
	refused(&s, &r,
	        "32 ids and 2 more take 33 positions (the last is not read back); the plan's cache has 32 for a sequence");
	r.ids = ids;
	r.n_ids = 1;
	r.max_tokens = 1;
	r.stop = (const int32_t[]){0, 23, 24};
	r.n_stop = 3;
	refused(&s, &r, "stop id 24 is not in the vocabulary of 24");
	r.n_stop = 0;
	r.max_tokens = INT32_MAX;
	refused(&s, &r,
	        "1 ids and 2147483647 more take 2147483647 positions (the last is not read back); the plan's cache "
	        "has 32 for a sequence");
	r.max_tokens = 0;
	refused(&s, &r, "1 ids and 0 more: there must be at least one of each");
	r.max_tokens = 1;
	r.n_ids = 0;
	refused(&s, &r, "0 ids and 1 more: there must be at least one of each");
	r.n_ids = 1;
	static const struct dr_sampling wrong[] = {{.temperature = -1}, {.temperature = NAN}, {.temperature = INFINITY},
	                                           {.top_p = 1.5f},     {.top_p = NAN},       {.top_p = -1},
	                                           {.top_k = -1},       {.top_k = 65},        {.min_p = -0.5f},
	                                           {.min_p = 2},        {.min_p = NAN}};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		r.sampling = wrong[i];
		assert_int_equal(engine_submit(s.engine, &r, why), 0);
		assert_non_null(strstr(why, "cannot sample"));
	}
	r.sampling = (struct dr_sampling){.logprobs = 1};
	refused(&s, &r, "the plan moves tokens after they are sampled, so log-probabilities are not known");
	penalties_are_refused(&s);
	assert_true(engine_idle(s.engine));
	site_close(&s);
}

/* A row without a token, or with one that does not exist, ends its sequence only. */
static int failures;

static void count_failures(void *context, const struct engine_token *t)
{
	(void)context;
	failures += t->finish == FINISH_FAILED;
	assert_int_equal(t->finish == FINISH_FAILED, t->token < 0 || t->token >= TINY_VOCAB);
}

static void failed_rows_end_their_sequences(void **state)
{
	(void)state;
	static struct site s;
	static const int32_t spoilt[] = {DR_NO_TOKEN, TINY_VOCAB, INT32_MIN};
	for (int i = 0; i < 3; i++) {
		failures = 0;
		site_open(&s, 1, 1, count_failures, NULL);
		s.spoil = 3;
		s.spoilt = spoilt[i];
		for (int k = 0; k < 5; k++) {
			make_ask(&asks[k], (unsigned)k, 1 + k, 5);
			submit(&s, &asks[k]);
		}
		run_to_end(&s);
		assert_int_equal(failures, 3); /* three run at once */
		site_close(&s);
	}
}

/* The cost of a step depends on running sequences only: eight times the prompts take eight times the time, not 64. */
static void ignore_token(void *context, const struct engine_token *t) { (void)context, (void)t; }

static double seconds_of(int n)
{
	static struct site s;
	char why[REASON_BYTES];
	struct step_done done;
	site_open(&s, 1, 1, ignore_token, NULL);
	clock_t begin = clock();
	struct request r = {.ids = (const int32_t[]){1, 2}, .n_ids = 2, .max_tokens = 1};
	for (int i = 0; i < n; i++)
		assert_int_not_equal(engine_submit(s.engine, &r, why), 0);
	while (engine_step(s.engine, &done))
		;
	double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
	site_close(&s);
	return seconds;
}

static void waiting_costs_nothing(void **state)
{
	(void)state;
	double few = seconds_of(20000), many = seconds_of(160000);
	if (many > 24 * few + 0.2)
		fail_msg("20000 prompts take %.3f s, 160000 take %.3f s", few, many);
}

static int overlap(void **state)
{
	(void)state;
	overlaps = true;
	return 0;
}

/* A sequence whose last token is under way has no row in the next step; one that a token ends has. Rows of sequences
 * that have ended count as no tokens, and what is done is what no overlap does. */
static void rows_too_many(void **state)
{
	(void)state;
	static struct site s;
	struct step_done done;
	site_open(&s, 1, 1, take_token, NULL);
	make_ask(&asks[0], 1, 2, 3);
	make_ask(&asks[1], 2, 2, 6);
	submit(&s, &asks[0]);
	submit(&s, &asks[1]);
	run_to_end(&s);
	assert_int_equal(s.steps, 6);
	int32_t second = asks[1].out[1];
	site_close(&s);
	site_open(&s, 1, 1, take_token, NULL);
	make_ask(&asks[0], 1, 2, 3);
	make_ask(&asks[1], 2, 2, 6);
	asks[1].stop[asks[1].n_stop++] = second;
	submit(&s, &asks[0]);
	submit(&s, &asks[1]);
	static const int tokens[] = {4, 2, 1};
	for (int i = 0; i < 3; i++) {
		assert_true(engine_step(s.engine, &done));
		assert_int_equal(done.tokens, tokens[i]);
	}
	assert_false(engine_step(s.engine, &done));
	assert_int_equal(asks[1].n_out, 2);
	assert_int_equal(asks[0].n_out, 3);
	all_pages_are_free(&s);
	site_close(&s);
}

int main(void)
{
	const struct CMUnitTest overlapping[] = {
		cmocka_unit_test(more_than_fits),
		cmocka_unit_test(first_come_first_admitted),
		cmocka_unit_test(stopped_ones_give_back_pages),
		cmocka_unit_test(rows_of_others_stay),
		cmocka_unit_test(unknown_ids_stop_nothing),
		cmocka_unit_test(callbacks_may_act),
		cmocka_unit_test(stop_tokens_end_sequences),
		cmocka_unit_test(closing_ends_all),
		cmocka_unit_test(failed_rows_end_their_sequences),
		cmocka_unit_test(waiting_costs_nothing),
		cmocka_unit_test(rows_too_many),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_than_fits),
		cmocka_unit_test(first_come_first_admitted),
		cmocka_unit_test(long_prompts_come_in_chunks),
		cmocka_unit_test(stopped_ones_give_back_pages),
		cmocka_unit_test(rows_of_others_stay),
		cmocka_unit_test(all_pages_are_used),
		cmocka_unit_test(prompts_get_half_of_a_chunk),
		cmocka_unit_test(microbatches_are_even),
		cmocka_unit_test(unknown_ids_stop_nothing),
		cmocka_unit_test(callbacks_may_act),
		cmocka_unit_test(stop_tokens_end_sequences),
		cmocka_unit_test(closing_ends_all),
		cmocka_unit_test(what_cannot_run_is_refused),
		cmocka_unit_test(failed_rows_end_their_sequences),
		cmocka_unit_test(waiting_costs_nothing),
	};
	int failed = cmocka_run_group_tests_name("one by one", tests, NULL, NULL);
	return cmocka_run_group_tests_name("overlapping", overlapping, overlap, NULL) + failed;
}
