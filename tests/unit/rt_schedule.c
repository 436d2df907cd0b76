/* The schedule with made-up loads: what every step may and must contain; mesh coordinates; memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../runtime/schedule.h"
#include "rt_tiny.h"

enum { LOAD = 13, OUTPUT = 6 };
static int32_t ids[LOAD][32];

/* What some sequences ask for. Their tokens change most of the logits, so rows must wait for each other. */
static struct token_bias biases[] = {{3, 1.5f}, {23, -2}};
static const struct penalties asked = {
	.repetition = 2, .presence = 0.5f, .frequency = 0.25f, .bias = biases, .n_bias = 2};

/* Where steps overlap, the later ones do: the first steps need not wait for tokens. */
static bool asks(int i, bool ahead) { return i % 3 == 1 && (!ahead || i > LOAD / 2); }

/* A sequence with `max_tokens`; its prompt is copied. */
static struct sequence make_sequence(const int32_t *prompt, int n, int max_tokens, struct dr_sampling sampling)
{
	struct sequence q = {.n_prompt = n, .max_tokens = max_tokens, .sampling = sampling};
	q.ids = host_alloc((size_t)(n + max_tokens), sizeof *q.ids);
	memcpy(q.ids, prompt, (size_t)n * sizeof *prompt);
	return q;
}

static void make_sequences(struct sequence *q, bool ahead)
{
	for (int i = 0; i < LOAD; i++) {
		int n = 1 + i * 7 % 26;
		for (int k = 0; k < n; k++)
			ids[i][k] = (i * 5 + k) % TINY_VOCAB;
		q[i] = make_sequence(
			ids[i], n, OUTPUT,
			(struct dr_sampling){.temperature = (float)(i % 3), .top_p = 1, .top_k = i % 2, .seed = (uint32_t)i});
		q[i].sampling.logprobs = i % 5 == 2;
		q[i].adjust = asks(i, ahead) ? adjust_open(&asked, ids[i], n) : NULL;
	}
}

/* The caches of each pool and owner: for each slot, the sequence and the position stored there. */
struct load {
	const struct plan *plan;
	struct schedule *s;
	struct sequence *q; /* [LOAD] */
	struct step step;
	int logprobs;     /* rows of the step that ask for them */
	bool under_way;   /* the tokens of the step planned last are not known */
	int steps, ahead; /* planned; of these, before those tokens were known */
	int32_t cache[DR_POOLS][2][TINY_PAGES * TINY_PAGE], table[DR_POOLS][2][TINY_SEQS * TINY_PER_SEQ];
};

/* The entries of a row: each token that the sequence has, or that has a bias, once. */
static void check_entries(const struct sequence *q, const struct dr_adjust *entry, int n)
{
	for (int32_t token = 0; token < TINY_VOCAB; token++) {
		const struct dr_adjust *found = NULL;
		int in_prompt = 0, in_answer = 0;
		for (int i = 0; i < q->n_prompt + q->n_out; i++)
			if (q->ids[i] == token)
				i < q->n_prompt ? in_prompt++ : in_answer++;
		for (int i = 0; i < n; i++)
			if (entry[i].token == token) {
				assert_null(found);
				found = &entry[i];
			}
		float bias = token == 3 ? 1.5f : token == 23 ? -2 : 0, penalty = 0.25f * (float)in_answer + 0.5f;
		assert_int_equal(found != NULL, in_prompt || in_answer || bias != 0);
		if (found)
			assert_true(found->bias == bias && found->factor == (in_prompt || in_answer ? 2 : 1)
			            && found->penalty == (in_answer ? penalty : 0));
	}
}

static int32_t entry_of(int sequence, int position) { return 1 + sequence * 1000 + position; }

/* Every position that a token at `pos` sees is where the page table says, whatever other sequences did since. */
static void check_seen(struct load *w, int pool, int owner, const struct sequence *q, int pos)
{
	int reach = (int)w->plan->pools[pool].reach, first = reach && pos >= reach ? pos - reach + 1 : 0;
	const int32_t *pages = w->table[pool][owner] + q->table_row * TINY_PER_SEQ;
	for (int p = first; p <= pos; p++)
		assert_int_equal(w->cache[pool][owner][pages[p / TINY_PAGE] * TINY_PAGE + p % TINY_PAGE],
		                 entry_of((int)(q - w->q), p));
}

static const struct sequence *at_row(const struct load *w, int owner, int row)
{
	for (int i = 0; i < LOAD; i++)
		if (w->q[i].owner == owner && w->q[i].table_row == row)
			return &w->q[i];
	return NULL;
}

/* Plays the part of the ranks for one pool: stores an owner's tokens in slots of its own page table, then lets each see
 * what it sees. */
static void check_pool(struct load *w, int m, int owner, int pool)
{
	int n;
	const int32_t *pos = step_array(&w->step, w->plan, m, owner, DR_INPUT_POS, &n),
				  *seq = step_array(&w->step, w->plan, m, owner, DR_INPUT_SEQ, &n),
				  *tokens = step_array(&w->step, w->plan, m, owner, DR_INPUT_IDS, &n),
				  *slots = step_slots(&w->step, w->plan, m, owner, pool);
	for (int t = 0; t < n; t++) {
		if (seq[t] < 0) {
			assert_int_equal(slots[t], -1);
			continue;
		}
		const struct sequence *q = at_row(w, owner, seq[t]);
		int page = w->table[pool][owner][seq[t] * TINY_PER_SEQ + pos[t] / TINY_PAGE];
		assert_int_equal(slots[t], page * TINY_PAGE + pos[t] % TINY_PAGE);
		assert_true(page < w->step.head->pages[pool]);
		if (w->under_way && pos[t] == q->n_prompt + q->n_out)
			assert_ptr_equal(schedule_row_before(w->s, m, owner, -1 - tokens[t]), q);
		else
			assert_int_equal(tokens[t], q->ids[pos[t]]);
		w->cache[pool][owner][slots[t]] = entry_of((int)(q - w->q), pos[t]);
	}
	for (int t = 0; t < n; t++)
		if (seq[t] >= 0)
			check_seen(w, pool, owner, at_row(w, owner, seq[t]), pos[t]);
}

static bool has_row_before(const struct load *w, int m, int owner, const struct sequence *q)
{
	for (int r = 0; r < TINY_ROWS; r++)
		if (schedule_row_before(w->s, m, owner, r) == q)
			return true;
	return false;
}

/* A wanted row is the last known token of a sequence, or the one under way. */
static void check_owner(struct load *w, int m, int owner)
{
	int n, rows;
	const int32_t *pos = step_array(&w->step, w->plan, m, owner, DR_INPUT_POS, &n);
	const int32_t *want = step_array(&w->step, w->plan, m, owner, DR_INPUT_WANT, &rows);
	for (int pool = 0; pool < w->plan->n_pools; pool++)
		check_pool(w, m, owner, pool);
	for (int r = 0; r < rows; r++) {
		const struct sequence *seq = schedule_row(w->s, m, owner, r);
		int q = seq ? (int)(seq - w->q) : -1;
		const struct dr_sampling *how = step_sampling(&w->step, w->plan, m, owner) + r;
		assert_int_equal(q < 0, want[r] < 0);
		assert_true(how->temperature == (q < 0 ? 0 : (float)(q % 3)));
		if (q < 0)
			continue;
		assert_int_equal(how->seed, q);
		int sampled = seq->n_out + (w->under_way && has_row_before(w, m, owner, seq));
		assert_int_equal(how->count, sampled);
		assert_int_equal(how->logprobs, q % 5 == 2);
		w->logprobs += how->logprobs;
		assert_true(how->adjust >= 0 && how->adjust + how->adjusts <= w->step.adjusts[m]);
		if (seq->adjust)
			check_entries(seq, step_adjust(&w->step, w->plan, m, owner) + how->adjust, how->adjusts);
		else
			assert_int_equal(how->adjusts, 0);
		if (how->temperature > 0 && how->top_k)
			assert_int_equal(step_candidates(&w->step, w->plan, m), 1 + DR_CANDIDATES);
		assert_int_equal(seq->owner, owner);
		assert_int_equal(pos[want[r]], seq->n_prompt + sampled - 1);
	}
}

static void check_step(struct load *w)
{
	step_measure(&w->step, w->plan);
	for (int owner = 0; owner < w->plan->n_owners; owner++)
		for (int pool = 0; pool < w->plan->n_pools; pool++)
			tiny_take_pages(&w->step, w->plan, owner, pool, w->table[pool][owner]);
	assert_true(w->step.n <= w->step.cap);
	w->logprobs = 0;
	for (int m = 0; m < w->step.head->microbatches; m++) {
		assert_true(w->step.adjusts[m] <= TINY_ADJUSTS);
		const struct dr_step_program *p = &w->plan->programs[w->step.head->phase];
		assert_true(w->step.tokens[m] > 0 && w->step.tokens[m] <= (int)p->max_tokens && w->step.tokens[m] % 2 == 0);
		assert_true(w->step.rows[m] > 0 && w->step.rows[m] <= (int)p->max_rows && w->step.rows[m] % 2 == 0);
		for (int owner = 0; owner < w->plan->n_owners; owner++)
			check_owner(w, m, owner);
	}
	assert_int_equal(w->step.head->logprobs, w->logprobs > 0);
}

/* Where steps overlap, some sequences end a step before their last one, which is under way then. */
static bool ends_early(const struct load *w, const struct sequence *q)
{
	return w->ahead && (q - w->q) % 4 == 3 && q->n_out == OUTPUT - 1;
}

static void give_tokens(struct load *w, struct sequence *(*row)(const struct schedule *, int, int, int))
{
	for (int m = 0; m < (int)w->plan->head->microbatches; m++)
		for (int owner = 0; owner < w->plan->n_owners; owner++)
			for (int r = 0; r < TINY_ROWS; r++) {
				struct sequence *q = row(w->s, m, owner, r);
				if (q)
					schedule_token(q, ((int)(q - w->q) + q->n_out) % TINY_VOCAB);
				if (q && (q->n_out == q->max_tokens || ends_early(w, q)))
					schedule_remove(w->s, q);
			}
}

/* Plans a step. ahead: before the tokens of the one before are known, where that is possible. */
static int plan_step(struct load *w, bool ahead)
{
	unsigned phases = w->steps % 5 ? 1u << DR_PREFILL | 1u << DR_DECODE : 1u << DR_DECODE;
	int tokens = w->under_way ? schedule_ahead(w->s, &w->step, phases) : SCHEDULE_WAITS;
	if (tokens > 0) {
		w->ahead++;
		assert_true(phases >> w->step.head->phase & 1);
	} else {
		if (w->under_way)
			give_tokens(w, schedule_row);
		w->under_way = false;
		tokens = schedule_next(w->s, &w->step);
	}
	if (!tokens)
		return 0;
	check_step(w);
	if (!ahead)
		give_tokens(w, schedule_row);
	else if (w->under_way)
		give_tokens(w, schedule_row_before);
	w->under_way = ahead;
	return tokens;
}

/* Returns how often a sequence was interrupted. ahead: steps overlap. */
static int64_t run_load_ahead(bool ahead, int dp, int microbatches, bool few_sizes, const struct dr_pool *pools,
                              uint32_t n_pools)
{
	static struct blob_builder b;
	struct plan plan;
	struct sequence sequences[LOAD];
	make_sequences(sequences, ahead);
	tiny_build(&b, &(struct tiny){1, dp, 1, microbatches});
	tiny_pools(&b, pools, n_pools);
	assert_null(plan_open(&plan, b.at));
	struct load w = {.plan = &plan, .s = schedule_open(&plan, few_sizes), .q = sequences};
	step_open(&w.step, &plan);
	for (int i = 0; i < LOAD; i++)
		schedule_add(w.s, &sequences[i]);
	for (; plan_step(&w, ahead); w.steps++) {
		assert_true(w.steps < 1000);
		for (int owner = 0; owner < dp; owner++)
			assert_int_equal(schedule_free_pages(w.s, owner) + schedule_held_pages(w.s, owner), pools->pages);
	}
	assert_true(!ahead || w.ahead > w.steps / 3);
	for (int i = 0; i < LOAD; i++) {
		int n_out = sequences[i].n_out;
		assert_true(n_out == OUTPUT || (ahead && i % 4 == 3 && n_out == OUTPUT - 1));
		assert_int_equal(sequences[i].ids[sequences[i].n_prompt + n_out - 1], (i + n_out - 1) % TINY_VOCAB);
		free(sequences[i].ids);
		adjust_close(sequences[i].adjust);
	}
	for (int owner = 0; owner < dp; owner++)
		assert_int_equal(schedule_free_pages(w.s, owner), pools->pages);
	int64_t interrupted = schedule_interrupted(w.s);
	schedule_close(w.s);
	step_close(&w.step);
	return interrupted;
}

/* With one microbatch, with and without steps that overlap. */
static int64_t run_load(int dp, int microbatches, bool few_sizes, const struct dr_pool *pools, uint32_t n_pools)
{
	int64_t interrupted = 0;
	for (int ahead = 0; ahead <= (microbatches == 1); ahead++)
		interrupted += run_load_ahead(ahead, dp, microbatches, few_sizes, pools, n_pools);
	return interrupted;
}

static void every_load_ends(void **state)
{
	static const struct dr_pool whole = {0, TINY_PAGES};
	(void)state;
	for (int dp = 1; dp <= 2; dp++)
		for (int microbatches = 1; microbatches <= 3; microbatches++)
			for (int few_sizes = 0; few_sizes <= 1; few_sizes++)
				assert_int_equal(run_load(dp, microbatches, few_sizes, &whole, 1), 0);
}

/* Few pages, of which a sequence alone may need all: the youngest are interrupted, and end all the same. */
static void pages_run_out(void **state)
{
	(void)state;
	for (int microbatches = 1; microbatches <= 3; microbatches++) {
		int64_t interrupted = 0;
		for (uint32_t pages = TINY_PER_SEQ; pages <= 12; pages++)
			interrupted += run_load(2, microbatches, false, &(struct dr_pool){0, pages}, 1);
		assert_true(interrupted > 0);
	}
}

/* Pools of windows: as many pages as the compiler plans (dag/pools.c) suffice, beside few for whole sequences, too. */
static void windows_slide(void **state)
{
	(void)state;
	for (uint32_t reach = 1; reach <= 12; reach++)
		for (uint32_t microbatches = 1; microbatches <= 3; microbatches++)
			for (uint32_t pages = 10; pages <= TINY_PAGES; pages += 7) {
				uint32_t each = (reach + 2 * TINY_PAGE - 4) / TINY_PAGE + 1;
				uint32_t window = microbatches * TINY_CHUNK / TINY_PAGE + TINY_SEQS * each;
				struct dr_pool pools[] = {{0, pages}, {reach, window < pages ? window : pages}, {7, pages}};
				run_load(2, (int)microbatches, pages == TINY_PAGES, pools, 3);
			}
}

static void few_sizes(void **state)
{
	static const int size[][2] = {{1, 1},   {2, 2},   {3, 4},   {5, 8},     {9, 16},    {17, 24},
	                              {33, 40}, {64, 64}, {65, 80}, {129, 160}, {200, 224}, {256, 256}};
	(void)state;
	for (size_t i = 0; i < sizeof size / sizeof *size; i++)
		assert_int_equal(scheduler_few(size[i][0]), size[i][1]);
}

/* Three sequences that decode: four tokens and rows, and pages in powers of two. */
static void decode_steps_are_padded(void **state)
{
	static struct blob_builder b;
	struct plan plan;
	struct step step;
	struct sequence q[3];
	(void)state;
	tiny_build(&b, &(struct tiny){1, 1, 1, 1});
	struct dr_program *program = (struct dr_program *)(void *)b.at;
	program->token_multiple = program->row_multiple = 1; /* the plan pads nothing */
	assert_null(plan_open(&plan, b.at));
	for (int few = 0; few <= 1; few++) {
		struct schedule *s = schedule_open(&plan, few);
		step_open(&step, &plan);
		for (int i = 0; i < 3; i++) {
			q[i] = make_sequence(ids[i], 1, 8, (struct dr_sampling){0});
			schedule_add(s, &q[i]);
		}
		assert_true(schedule_next(s, &step));
		for (int i = 0; i < 3; i++)
			schedule_token(&q[i], 1);
		assert_true(schedule_next(s, &step));
		assert_int_equal(step.head->phase, DR_DECODE);
		assert_int_equal(step.tokens[0], few ? 4 : 3);
		assert_int_equal(step.rows[0], few ? 4 : 3);
		for (int i = 0; i < 3; i++)
			schedule_token(&q[i], 1);
		schedule_remove(s, &q[0]);
		assert_true(schedule_next(s, &step));
		assert_int_equal(step.tokens[0], 2);
		assert_int_equal(step.head->pages[0], few ? 4 : 3);
		for (int i = 0; i < 3; i++) {
			if (i > 0)
				schedule_remove(s, &q[i]);
			free(q[i].ids);
		}
		schedule_close(s);
		step_close(&step);
	}
}

/* If no rows are left, only the last token of a prompt waits. */
static void rows_are_bounded(void **state)
{
	(void)state;
	static struct blob_builder b;
	struct plan plan;
	struct sequence q[3];
	for (int i = 0; i < 3; i++)
		q[i] = make_sequence(ids[i], i == 2 ? 3 : 1, 1, (struct dr_sampling){0});
	tiny_build(&b, &(struct tiny){1, 1, 1, 1});
	tiny_program(&b, DR_PREFILL)->max_rows = 2;
	assert_null(plan_open(&plan, b.at));
	struct step step;
	struct schedule *s = schedule_open(&plan, false);
	for (int i = 0; i < 3; i++)
		schedule_add(s, &q[i]);
	step_open(&step, &plan);
	assert_true(schedule_next(s, &step));
	assert_int_equal(step_candidates(&step, &plan, 0), 1);
	assert_int_equal(q[1].fed, 1);
	assert_int_equal(q[2].fed, 2);
	assert_int_equal(step.rows[0], 2);
	for (int i = 0; i < 3; i++) {
		schedule_remove(s, &q[i]);
		free(q[i].ids);
	}
	schedule_close(s);
	step_close(&step);
}

/* A waiting sequence is removed without a trace: running ones keep rows and pages, and the one after it is next. */
static void a_waiting_sequence_leaves(void **state)
{
	(void)state;
	static struct blob_builder b;
	struct plan plan;
	struct step step;
	struct sequence q[TINY_SEQS + 2];
	tiny_build(&b, &(struct tiny){1, 1, 1, 1});
	assert_null(plan_open(&plan, b.at));
	struct schedule *s = schedule_open(&plan, false);
	step_open(&step, &plan);
	for (int i = 0; i < TINY_SEQS + 2; i++) {
		q[i] = make_sequence(ids[i], 1, 1, (struct dr_sampling){0});
		schedule_add(s, &q[i]);
	}
	assert_true(schedule_next(s, &step));
	int left = schedule_free_pages(s, 0);
	schedule_remove(s, &q[TINY_SEQS]);
	assert_int_equal(schedule_free_pages(s, 0), left);
	for (int i = 0; i < TINY_SEQS; i++)
		assert_ptr_equal(schedule_row(s, 0, 0, i), &q[i]);
	schedule_remove(s, &q[0]);
	assert_null(schedule_row(s, 0, 0, 0));
	assert_true(schedule_next(s, &step));
	assert_int_equal(q[TINY_SEQS].table_row, -1);
	assert_int_equal(q[TINY_SEQS + 1].table_row, 0);
	for (int i = 0; i < TINY_SEQS + 2; i++) {
		if (i != 0 && i != TINY_SEQS)
			schedule_remove(s, &q[i]);
		free(q[i].ids);
	}
	schedule_close(s);
	step_close(&step);
}

/* One prompt takes one step, the other many chunks. The first decodes meanwhile, one token per step. */
static void decoding_goes_on_beside_prompts(void **state)
{
	(void)state;
	static struct blob_builder b;
	struct plan plan;
	struct sequence q[2] = {make_sequence(ids[0], 1, 5, (struct dr_sampling){0}),
	                        make_sequence(ids[1], 20, 5, (struct dr_sampling){0})};
	tiny_build(&b, &(struct tiny){1, 1, 1, 1});
	tiny_program(&b, DR_PREFILL)->max_tokens = 4;
	assert_null(plan_open(&plan, b.at));
	struct load w = {.plan = &plan, .s = schedule_open(&plan, false), .q = q};
	schedule_add(w.s, &q[0]);
	schedule_add(w.s, &q[1]);
	step_open(&w.step, &plan);
	int steps = 0, tokens = 0;
	while (q[1].n_out == 0) {
		assert_true(schedule_next(w.s, &w.step));
		assert_int_equal(w.step.head->phase, DR_PREFILL);
		tokens += w.step.tokens[0];
		give_tokens(&w, schedule_row);
		steps++;
		assert_int_equal(q[0].n_out, steps < 5 ? steps : 5);
	}
	assert_int_equal(steps, 7);               /* 3, 3, 3, 3, 3, then alone 4 and 1 */
	assert_int_equal(tokens, 1 + 20 + 4 + 1); /* the last one is padded to 2 */
	schedule_remove(w.s, &q[1]);
	free(q[0].ids);
	free(q[1].ids);
	schedule_close(w.s);
	step_close(&w.step);
}

static void groups_follow_the_mesh(void **state)
{
	(void)state;
	static struct blob_builder b;
	struct plan plan;
	char name[64];
	tiny_build(&b, &(struct tiny){2, 2, 2, 1});
	assert_null(plan_open(&plan, b.at));
	for (int rank = 0; rank < 8; rank++)
		for (int g = 0; g <= TINY_GROUPS; g++) {
			int me = plan_group_index(&plan, g, rank);
			assert_int_equal(plan_group_member(&plan, g, rank, me), rank);
			for (int i = 0; i < plan_group_size(&plan, g); i++)
				assert_int_equal(plan_group_index(&plan, g, plan_group_member(&plan, g, rank, i)), i);
		}
	assert_int_equal(plan_group_member(&plan, GROUP_TP_DP, 4, 1), 6); /* tp major, dp minor: tp 0, dp 1 */
	assert_int_equal(plan_stage(&plan, 5), 1);
	plan_rank_name(&plan, 6, name, sizeof name);
	assert_string_equal(name, "rank 6 (pp=1, dp=1, tp=0)");
	((struct dr_program *)(void *)b.at)->ranks = 7;
	assert_non_null(plan_open(&plan, b.at));
	((struct dr_program *)(void *)b.at)->magic = 1;
	assert_non_null(plan_open(&plan, b.at));
}

/* A runtime refuses a pipeline and programs that it cannot run. */
static void plans_of_other_runtimes(void **state)
{
	(void)state;
	static struct blob_builder b;
	struct plan plan;
	struct dr_program *h = (struct dr_program *)(void *)b.at;
	tiny_build(&b, &(struct tiny){2, 1, 1, 3});
	assert_null(plan_open(&plan, b.at));
	struct pipeline p = plan_pipeline(&plan, 2);
	assert_int_equal(p.stages, 2);
	assert_int_equal(stage_entries(&p), 2);
	assert_int_equal(stage_entry(&p, 1, 1).microbatch, 1);
	h->chunks = 2;
	assert_string_equal(plan_open(&plan, b.at), "the launcher's program has a pipeline that its runtime does not know");
	h->chunks = 1;
	h->order = PIPELINE_ORDERS;
	assert_string_equal(plan_open(&plan, b.at), "the launcher's program has a pipeline that its runtime does not know");
	h->order = PIPELINE_INTERLEAVED;
	assert_null(plan_open(&plan, b.at));
	h->programs.n = 1;
	assert_string_equal(plan_open(&plan, b.at), "the launcher's program does not prefill and decode");
}

/* The memory allocated is the memory planned; a larger allocation fails, with a message on the board. */
static void memory_is_what_was_planned(void **state)
{
	(void)state;
	static struct blob_builder b;
	struct plan plan;
	int status;
	tiny_build(&b, &(struct tiny){2, 1, 2, 1});
	assert_null(plan_open(&plan, b.at));
	struct reporter r = {board_open(4), 3};
	struct device_options o = {.image = NULL, .workers = 1, .spin = false, .reporter = r};
	struct device *d = device_open("cpu", &o);
	struct memory m;
	memory_open(&m, &plan, 3, 2, d, &r);
	assert_int_equal(m.total, plan_bytes(&plan, 3, 2));
	assert_int_equal(m.bytes[DR_SPACE_STATE], TINY_LAYERS / 2 * STATE_LAYER_BYTES);
	assert_int_equal(m.bytes[DR_SPACE_WORKSPACE], 2 * WORKSPACE_BYTES);
	assert_int_equal(m.base[DR_SPACE_EVERY], 0);
	if (fork() == 0) {
		memory_take(&m, DR_SPACE_ACT, 1);
		_exit(0);
	}
	assert_true(wait(&status) > 0);
	assert_int_equal(WEXITSTATUS(status), STATUS_INTERNAL);
	assert_string_equal(r.board->rank[3].message, "internal: 1 bytes requested after load");
	d->close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_load_ends),
		cmocka_unit_test(pages_run_out),
		cmocka_unit_test(windows_slide),
		cmocka_unit_test(few_sizes),
		cmocka_unit_test(decode_steps_are_padded),
		cmocka_unit_test(rows_are_bounded),
		cmocka_unit_test(a_waiting_sequence_leaves),
		cmocka_unit_test(decoding_goes_on_beside_prompts),
		cmocka_unit_test(groups_follow_the_mesh),
		cmocka_unit_test(plans_of_other_runtimes),
		cmocka_unit_test(memory_is_what_was_planned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
