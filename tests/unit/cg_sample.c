/* Kernels that sample: greedy rows compared with plain loops, drawn rows with softmax. The token does not depend on how
 * the vocabulary is split. */
#include "cg_jit.h"

struct pair {
	float value;
	int32_t index;
};
enum { DRAWS = 20000, MAX_SHARDS = 12 };

/* Rows of a test: an emulated GPU is slow. */
static int fewer(const struct processor *p, int rows) { return p->machine ? rows : rows / 20; }

#define HOW(t, p, k, low, high, n, min) \
	{.temperature = (t), .top_p = (p), .top_k = (k), .seed = (low), .seed_high = (high), .count = (n), .min_p = (min)}

/* Frees memory of guarded(). */
static void release(void *p, size_t bytes)
{
	size_t page = 4096, room = (bytes + page - 1) / page * page;
	assert_int_equal(munmap((char *)p + bytes - room, room + page), 0);
}

/* The kernels for a vocabulary split into n shards. */
struct sampler {
	const struct processor *p;
	const struct compiled *candidates, *draw;
	int v, n, vocab; /* of a shard; shards; in all: the last shard's part may be padded */
};

/* Compiled once. */
static struct sampler sampler_of(const struct processor *p, int vocab, int n)
{
	static struct sampler known[256];
	struct sampler *s = known;
	for (; s->p; s++)
		if (s->p == p && s->vocab == vocab && s->n == n)
			return *s;
	int v = (vocab + n - 1) / n;
	struct kernel k = {.family = KERNEL_CANDIDATES, .sample = {v, n, vocab}};
	*s = (struct sampler){.p = p, .candidates = jit_compile(p, &k), .v = v, .n = n, .vocab = vocab};
	k.family = KERNEL_DRAW;
	s->draw = jit_compile(p, &k);
	return *s;
}

/* The changes of logits in the tests that have some, and room for what they change. */
static struct dr_adjust *entries;
static float *saved;
/* Likewise where log-probabilities go: [shards][rows]. */
static struct dr_logprobs *records;

/* Tokens of rows of logits f32[rows][vocab]. step 0: all rows have the same logits. Leaves the logits as they are. */
static void sample(const struct sampler *s, const float *logits, int64_t step, const struct dr_sampling *how, int rows,
                   bool few, int workers, int32_t *token)
{
	int each = few ? 1 : 1 + DR_CANDIDATES, total = rows * each;
	size_t part_bytes = (size_t)(rows * s->v) * sizeof(float),
		   pair_bytes = (size_t)(total * s->n) * sizeof(struct pair);
	float *part[MAX_SHARDS], *before = guarded(part_bytes);
	struct pair *pairs = guarded(pair_bytes);
	uint64_t total_of = (uint64_t)total, rows_of = (uint64_t)rows;
	for (int i = 0; i < s->n; i++) {
		part[i] = guarded(part_bytes);
		for (int r = 0; r < rows; r++)
			for (int k = 0; k < s->v; k++) /* padding is not read: it would be chosen, or refused */
				part[i][r * s->v + k] = i * s->v + k < s->vocab ? logits[r * step + i * s->v + k] : k % 2 ? NAN : 1e30f;
		memcpy(before, part[i], part_bytes);
		run_kernel(s->candidates,
		           (uint64_t[]){address(part[i]), address(how), address(entries), address(saved),
		                        address(records ? records + i * rows : NULL), address(pairs + i * total), rows_of,
		                        total_of, (uint64_t)(i * s->v)},
		           workers);
		assert_memory_equal(part[i], before, part_bytes);
	}
	for (int i = 0; i < s->n; i++) {
		run_kernel(s->draw,
		           (uint64_t[]){address(pairs), address(how), address(part[i]), address(token),
		                        address(records ? records + i * rows : NULL), rows_of, total_of, (uint64_t)(i * s->v)},
		           workers);
		release(part[i], part_bytes);
	}
	release(before, part_bytes);
	release(pairs, pair_bytes);
}

/* One worker, three workers, and n shards for several n give the same tokens. */
static void sample_alike(const struct processor *p, const float *logits, int64_t step, int vocab,
                         const struct dr_sampling *how, int rows, bool few, int32_t *token)
{
	static const int shards[] = {1, 2, 5, 4, 12, 7};
	size_t n_shards = p->machine ? sizeof shards / sizeof *shards : 3;
	int32_t *again = guarded((size_t)rows * sizeof *again);
	for (size_t i = 0; i < n_shards; i++) {
		if ((shards[i] - 1) * ((vocab + shards[i] - 1) / shards[i]) >= vocab)
			continue; /* the last shard would have no token */
		struct sampler s = sampler_of(p, vocab, shards[i]);
		sample(&s, logits, step, how, rows, few, 1, i ? again : token);
		if (i)
			assert_memory_equal(token, again, (size_t)rows * sizeof *token);
		sample(&s, logits, step, how, rows, few, 3, again);
		assert_memory_equal(token, again, (size_t)rows * sizeof *token);
	}
}

static int32_t best_of(const float *x, int n)
{
	struct pair best = {-INFINITY, 0};
	for (int i = 0; i < n; i++)
		if (x[i] > best.value)
			best = (struct pair){x[i], i};
	return best.index;
}

/* ---- greedy, and what comes to the same ------------------------------------------------------ */
static struct dr_sampling *alike(int rows, struct dr_sampling how)
{
	struct dr_sampling *all = guarded((size_t)rows * sizeof *all);
	for (int r = 0; r < rows; r++) {
		all[r] = how;
		all[r].count = (uint32_t)r;
	}
	return all;
}

static void greedy_on(const struct processor *p)
{
	enum { R = 7, V = 492 };
	static const struct dr_sampling how[] = {HOW(0, 1, 0, 0, 0, 0, 0),        HOW(0, 0.5f, 20, 9, 0, 0, 0),
	                                         HOW(-1, 1, 0, 9, 0, 0, 0),       HOW(0.7f, 1, 1, 9, 0, 0, 0),
	                                         HOW(1.3f, 1e-9f, 0, 9, 0, 0, 0), HOW(1.3f, 0, 40, 9, 0, 0, 0),
	                                         HOW(1e-30f, 1, 0, 9, 0, 0, 0)};
	float *logits = random_array(DTYPE_F32, R * V);
	int32_t *token = index_array(R);
	for (int ties = 0; ties < 2; ties++) {
		for (int i = 0; i < R * V && ties; i++)
			logits[i] = (float)random_below(60) - 100;
		for (int h = 0; h < 7 - ties; h++) { /* among equals, a cold row draws */
			sample_alike(p, logits, V, V, alike(R, how[h]), R, h < 3 && h % 2, token);
			for (int r = 0; r < R; r++)
				assert_int_equal(token[r], best_of(logits + r * V, V));
		}
	}
}

static void test_greedy(void **state)
{
	(void)state;
	for_processors(greedy_on);
}

/* A logit that is not finite spoils its row, at any place and for any way of sampling, and no other row. */
static void not_finite_on(const struct processor *p)
{
	enum { R = 5, V = 492 };
	static const struct dr_sampling how[] = {HOW(0, 1, 0, 0, 0, 0, 0), HOW(0.7f, 1, 0, 9, 0, 0, 0),
	                                         HOW(0.7f, 1, 5, 9, 0, 0, 0), HOW(1e-30f, 0.5f, 0, 9, 0, 0, 0)};
	static const float wrong[] = {NAN, INFINITY, -INFINITY};
	int32_t *token = index_array(R);
	for (int h = 0; h < 4; h++)
		for (int at = 0; at < V; at += 123) {
			float *logits = random_array(DTYPE_F32, R * V);
			logits[2 * V + at] = wrong[at % 3];
			sample_alike(p, logits, V, V, alike(R, how[h]), R, false, token);
			for (int r = 0; r < R; r++)
				assert_int_equal(token[r] == DR_NO_TOKEN, r == 2);
		}
}

static void test_not_finite(void **state)
{
	(void)state;
	for_processors(not_finite_on);
}

/* ---- drawn: frequencies fit the probabilities ------------------------------------------------ */
static int by_logit(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	if (x->value != y->value)
		return x->value > y->value ? -1 : 1;
	return x->index - y->index;
}

/* softmax(logits / temperature) after top-k, top-p and min-p, in plain loops and f64. */
static void probabilities(const float *logits, int v, const struct dr_sampling *how, double *out)
{
	static struct pair sorted[4096];
	double sum = 0, mass = 0, before = 0;
	int k = how->top_k > 0 && how->top_k < v ? how->top_k : v, kept = 0;
	for (int i = 0; i < v; i++)
		sorted[i] = (struct pair){logits[i], i};
	qsort(sorted, (size_t)v, sizeof *sorted, by_logit);
	for (int i = 0; i < v; i++)
		out[i] = 0;
	for (int i = 0; i < k; i++)
		sum += exp((sorted[i].value - sorted[0].value) / how->temperature);
	for (; kept < k && (kept == 0 || before < how->top_p); kept++) {
		out[sorted[kept].index] = exp((sorted[kept].value - sorted[0].value) / how->temperature) / sum;
		before += out[sorted[kept].index];
	}
	for (int i = 0; i < v; i++)
		out[i] = out[i] < (double)how->min_p * out[sorted[0].index] ? 0 : out[i];
	for (int i = 0; i < v; i++)
		mass += out[i];
	for (int i = 0; i < v; i++)
		out[i] /= mass;
}

/* Chi-square over the tokens that are expected at least 5 times, the rest together; six standard deviations. */
static void assert_fits(const int32_t *token, int n, const double *p, int v)
{
	static int seen[4096];
	double chi = 0, rest = 0, rest_seen = 0;
	int cells = 0;
	memset(seen, 0, sizeof seen);
	for (int i = 0; i < n; i++) {
		assert_true(token[i] >= 0 && token[i] < v);
		assert_true(p[token[i]] > 0);
		seen[token[i]]++;
	}
	for (int i = 0; i < v; i++) {
		double expected = p[i] * n;
		if (expected < 5)
			rest += expected, rest_seen += seen[i];
		else
			chi += (seen[i] - expected) * (seen[i] - expected) / expected, cells++;
	}
	if (rest >= 5)
		chi += (rest_seen - rest) * (rest_seen - rest) / rest, cells++;
	double freedom = cells > 1 ? cells - 1 : 1;
	if (chi > freedom + 6 * sqrt(2 * freedom))
		fail_msg("chi-square %.1f of %d cells", chi, cells);
}

static void drawn_on(const struct processor *p)
{
	enum { V = 96, WIDE = 240, ALIKE = 300 };
	static const struct dr_sampling how[] = {HOW(1, 1, 0, 1, 0, 0, 0),         HOW(0.5f, 1, 0, 2, 7, 0, 0),
	                                         HOW(2, 1, 0, 3, 0, 0, 0),         HOW(1, 1, 20, 1, 0, 0, 0),
	                                         HOW(1, 0.7f, 0, 1, 0, 0, 0),      HOW(0.8f, 0.9f, 20, 4, 0, 0, 0),
	                                         HOW(1.5f, 0.95f, 64, 5, 0, 0, 0), HOW(0.3f, 0.5f, 3, 6, 0, 0, 0),
	                                         HOW(1, 1, 0, 7, 0, 0, 0.1f),      HOW(1.2f, 0.8f, 12, 8, 0, 0, 0.25f),
	                                         HOW(1, 0.3f, 0, 9, 0, 0, 0.02f)};
	static double expected[WIDE];
	float *logits = random_array(DTYPE_F32, WIDE);
	int draws = fewer(p, DRAWS), alikes = fewer(p, ALIKE);
	int32_t *token = index_array(DRAWS), *alike_token = index_array(ALIKE);
	for (int i = 0; i < WIDE; i++)
		logits[i] *= 4;
	for (int h = 0; h < 11; h++) {
		int v = h % 2 && how[h].top_k ? WIDE : V;
		bool few = !how[h].top_k && how[h].top_p == 1 && !how[h].min_p;
		struct dr_sampling *rows = alike(draws, how[h]);
		struct sampler s = sampler_of(p, v, 1);
		sample(&s, logits, 0, rows, draws, few, 1, token);
		probabilities(logits, v, &how[h], expected);
		assert_fits(token, draws, expected, v);
		sample_alike(p, logits, 0, v, rows, alikes, few, alike_token);
		assert_memory_equal(token, alike_token, (size_t)alikes * sizeof *token);
	}
}

static void test_drawn(void **state)
{
	(void)state;
	for_processors(drawn_on);
}

/* Rows of every kind in one batch. The token of a row depends on its own seed and count alone. */
static void rows_are_alone_on(const struct processor *p)
{
	enum { R = 24, V = 252 };
	float *logits = random_array(DTYPE_F32, R * V);
	struct dr_sampling *how = alike(R, (struct dr_sampling){0});
	int32_t *token = index_array(R), *one = index_array(1);
	struct sampler s = sampler_of(p, V, 2);
	for (int r = 0; r < R; r++)
		how[r] = (struct dr_sampling)HOW((float)(r % 3) * 0.6f, r % 4 ? 1 : 0.8f, r % 5 * 7, (uint32_t)r,
		                                 (uint32_t)(r % 2), (uint32_t)(r / 2), (float)(r % 3) / 8);
	sample_alike(p, logits, V, V, how, R, false, token);
	for (int r = 0; r < R; r++) {
		sample(&s, logits + r * V, V, how + r, 1, false, 1, one);
		assert_int_equal(token[r], *one);
	}
}

/* Changed logits: rows with entries get the tokens of rows whose logits are those, however they are sampled. */
static float changed(float x, const struct dr_adjust *a)
{
	float y = x + a->bias;
	return (y > 0 ? y / a->factor : y * a->factor) - a->penalty;
}

static void adjusted_on(const struct processor *p)
{
	enum { R = 24, V = 252, STRIDE = 11 };
	float *logits = random_array(DTYPE_F32, R * V), *other = guarded(R * V * sizeof *other);
	struct dr_sampling *how = alike(R, (struct dr_sampling){0});
	int32_t *token = index_array(R), *expected = index_array(R), at = 0;
	entries = guarded(R * V * sizeof *entries);
	saved = guarded(R * V * sizeof *saved);
	memcpy(other, logits, R * V * sizeof *other);
	for (int r = 0; r < R; r++)
		how[r] = (struct dr_sampling)HOW((float)(r % 3) * 0.6f, r % 4 ? 1 : 0.8f, r % 5 * 7, (uint32_t)r, 0, 3,
		                                 (float)(r % 3) / 8);
	for (int i = 0; i < 2; i++, at = 0) {
		for (int r = 0; r < R; r++) {
			how[r].adjust = at;
			for (int v = r; v < V && r % 6 && !i; v += r % 4 ? STRIDE : 1) {
				entries[at] =
					(struct dr_adjust){(v + 17) % V, (float)(v % 3), 1 + (float)(v % 4) / 2, (float)(r % 2) / 2};
				other[r * V + entries[at].token] = changed(logits[r * V + entries[at].token], &entries[at]);
				at++;
			}
			how[r].adjusts = at - how[r].adjust;
		}
		sample_alike(p, i ? other : logits, V, V, how, R, false, i ? expected : token);
	}
	assert_memory_equal(token, expected, R * sizeof *token);
	entries = NULL, saved = NULL;
}

static void test_adjusted(void **state)
{
	(void)state;
	for_processors(adjusted_on);
}

/* Each shard's record of a row is that of its logits before they are changed; other rows have none. */
static void check_record(const struct dr_logprobs *r, const float *x, int first, int n, int32_t token)
{
	static struct pair sorted[1 << 14];
	double sum = 0;
	for (int i = 0; i < n; i++)
		sorted[i] = (struct pair){x[first + i], first + i};
	qsort(sorted, (size_t)n, sizeof *sorted, by_logit);
	for (int i = 0; i < n; i++)
		sum += exp((double)sorted[i].value - (double)sorted[0].value);
	assert_true(r->largest == sorted[0].value && fabs(r->sum / sum - 1) < 1e-5);
	for (int i = 0; i < DR_LOGPROBS; i++) {
		assert_true(r->top[i].logit == (i < n ? sorted[i].value : -INFINITY));
		assert_true(i >= n || r->top[i].token == sorted[i].index);
	}
	assert_true(r->logit == (token >= first && token < first + n ? x[token] : -INFINITY));
}

static void logprobs_on(const struct processor *p)
{
	enum { R = 24, V = 63, UNTOUCHED = 7 };
	float *logits = random_array(DTYPE_F32, R * V);
	struct dr_sampling *how = alike(R, (struct dr_sampling){0});
	int32_t *token = index_array(R);
	entries = guarded(R * sizeof *entries);
	saved = guarded(R * sizeof *saved);
	for (int r = 0; r < R; r++) {
		how[r] = (struct dr_sampling)HOW((float)(r % 3) * 0.6f, r % 4 ? 1 : 0.8f, r % 5 * 7, (uint32_t)r, 0, 3, 0);
		how[r].logprobs = r % 3 > 0;
		how[r].adjust = r, how[r].adjusts = r % 2;
		entries[r] = (struct dr_adjust){r % V, 2, 1.5f, 0.25f};
		for (int v = 0; v < V && r % 4 == 1; v++)
			logits[r * V + v] = (float)random_below(5);
	}
	for (int n = 1; n <= 4; n++) {
		struct sampler s = sampler_of(p, V, n);
		records = guarded((size_t)(n * R) * sizeof *records);
		memset(records, UNTOUCHED, (size_t)(n * R) * sizeof *records);
		sample(&s, logits, V, how, R, false, 2, token);
		for (int i = 0; i < n; i++)
			for (int r = 0; r < R; r++)
				if (how[r].logprobs)
					check_record(&records[i * R + r], logits + r * V, i * s.v, i == n - 1 ? V - i * s.v : s.v,
					             token[r]);
				else
					for (size_t k = 0; k < sizeof *records; k++)
						assert_int_equal(((unsigned char *)&records[i * R + r])[k], UNTOUCHED);
	}
	entries = NULL, saved = NULL, records = NULL;
}

static void test_logprobs(void **state)
{
	(void)state;
	for_processors(logprobs_on);
}

/* Long rows: of numbers that differ, of few and of very few different ones. The largest are in order, ties by index. */
static void long_rows_on(const struct processor *p)
{
	enum { R = 4, V = 9001 };
	static const struct dr_sampling how[] = {HOW(0, 1, 0, 0, 0, 0, 0), HOW(0.7f, 1, 1, 9, 0, 0, 0)};
	float *logits = random_array(DTYPE_F32, R * V);
	int32_t *token = index_array(R);
	for (int i = V; i < R * V; i++)
		logits[i] = (float)random_below(i < 2 * V ? 3 : 150);
	for (int n = 1; n <= 2; n++)
		for (int h = 0; h < 2; h++) {
			struct sampler s = sampler_of(p, V, n);
			struct dr_sampling *rows = alike(R, how[h]);
			records = guarded((size_t)(n * R) * sizeof *records);
			for (int r = 0; r < R; r++)
				rows[r].logprobs = r != 3;
			sample(&s, logits, V, rows, R, false, 2, token);
			for (int r = 0; r < R; r++) {
				assert_int_equal(token[r], best_of(logits + r * V, V));
				for (int i = 0; i < n && r != 3; i++)
					check_record(&records[i * R + r], logits + r * V, i * s.v, i == n - 1 ? V - i * s.v : s.v,
					             token[r]);
			}
		}
	records = NULL;
}

static void test_long_rows(void **state)
{
	(void)state;
	for_processors(long_rows_on);
}

/* With a top_k that cuts nothing, a row gets the same token as without: both use the same noise. */
static void paths_agree_on(const struct processor *p)
{
	enum { R = 500, V = 48 };
	float *logits = random_array(DTYPE_F32, R * V);
	int32_t *all = index_array(R), *chosen = index_array(R);
	int rows = fewer(p, R);
	sample_alike(p, logits, V, V, alike(R, (struct dr_sampling)HOW(1, 1, 0, 5, 0, 0, 0)), rows, true, all);
	sample_alike(p, logits, V, V, alike(R, (struct dr_sampling)HOW(1, 1, 64, 5, 0, 0, 0)), rows, false, chosen);
	assert_memory_equal(all, chosen, (size_t)rows * sizeof *all);
}

static void test_rows(void **state)
{
	(void)state;
	for_processors(rows_are_alone_on);
	for_processors(paths_agree_on);
}

/* ---- seeds: other seeds and counts give other tokens ----------------------------------------- */
static void seeds_on(const struct processor *p)
{
	enum { R = 4000, V = 64 };
	float *logits = guarded(V * sizeof *logits);
	struct dr_sampling *how = alike(R, (struct dr_sampling)HOW(1, 1, 0, 0, 0, 0, 0));
	int32_t *token[3] = {index_array(R), index_array(R), index_array(R)};
	struct sampler s = sampler_of(p, V, 1);
	for (int i = 0; i < 3; i++) {
		for (int r = 0; r < R; r++)
			how[r] = (struct dr_sampling)HOW(1, 1, 0, i == 0 ? (uint32_t)r : 0, i == 1 ? (uint32_t)r : 0,
			                                 i == 2 ? (uint32_t)r : 0, 0);
		sample(&s, logits, 0, how, R, true, 1, token[i]);
		double even[V];
		for (int v = 0; v < V; v++)
			even[v] = 1.0 / V;
		assert_fits(token[i], R, even, V);
	}
	for (int i = 0; i < 3; i++) {
		int same = 0, follows = 0;
		for (int r = 1; r < R; r++)
			same += token[i][r] == token[(i + 1) % 3][r], follows += token[i][r] == token[i][r - 1];
		assert_true(same < 2 * R / V && follows < 2 * R / V); /* R / V by chance */
	}
}

static void test_seeds(void **state)
{
	(void)state;
	for_processors(seeds_on);
}

/* ---- not finite -------------------------------------------------------------------------------- */
static void odd_logits_on(const struct processor *p)
{
	enum { R = 6, V = 108 };
	static const struct dr_sampling how[] = {HOW(0, 1, 0, 0, 0, 0, 0),
	                                         HOW(1, 1, 0, 0, 0, 0, 0),
	                                         HOW(1, 1, 5, 0, 0, 0, 0),
	                                         HOW(1, 0.5f, 0, 0, 0, 0, 0),
	                                         HOW(1, 0.5f, 64, 0, 0, 0, 0),
	                                         HOW(NAN, NAN, -3, 0, 0, 0, 0),
	                                         HOW(INFINITY, -1, 1 << 30, 0, 0, 0, 0)};
	float *logits = guarded(R * V * sizeof *logits);
	int32_t *token = index_array(R);
	for (int i = 0; i < V; i++) {
		logits[i] = NAN;
		logits[V + i] = -INFINITY;
		logits[2 * V + i] = i % 2 ? NAN : -INFINITY;
		logits[3 * V + i] = i == 71 ? 3 : i % 2 ? NAN : -INFINITY;
		logits[4 * V + i] = i == 71 || i == 80 ? INFINITY : 3;
		logits[5 * V + i] = i % 3 ? NAN : 1;
	}
	for (int h = 0; h < 7; h++)
		for (int n = 1; n <= 4; n *= 2) {
			struct sampler s = sampler_of(p, V, n);
			sample(&s, logits, V, alike(R, how[h]), R, false, 1, token);
			for (int r = 0; r < R; r++)
				assert_int_equal(token[r], DR_NO_TOKEN);
		}
}

static void test_odd(void **state)
{
	(void)state;
	for_processors(odd_logits_on);
}

int main(int argc, char **argv)
{
	jit_open(argc, argv);
	if (!jit.processor[0].machine)
		jit.processors = 1; /* these kernels expect no alignment */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_greedy),   cmocka_unit_test(test_not_finite), cmocka_unit_test(test_drawn),
		cmocka_unit_test(test_rows),     cmocka_unit_test(test_seeds),      cmocka_unit_test(test_odd),
		cmocka_unit_test(test_adjusted), cmocka_unit_test(test_logprobs),   cmocka_unit_test(test_long_rows),
	};
	return jit_run(tests);
}
