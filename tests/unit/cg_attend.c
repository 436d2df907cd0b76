/* Generated kernels around the cache, against plain loops: angles, rotation, append, attention over pages. */
#include "cg_jit.h"

static const enum dtype formats[] = {DTYPE_F32, DTYPE_BF16};

/* ---- angles, rotate -------------------------------------------------------------------------- */
static void angles_on(const struct processor *p)
{
	enum { M = 7, P = 21 };
	struct kernel k = {.family = KERNEL_ANGLES, .angles = {P}};
	float *freq = random_array(DTYPE_F32, P), *out = random_array(DTYPE_F32, M * P * 2);
	int32_t *pos = index_array(M);
	for (int i = 0; i < P; i++)
		freq[i] = (float)pow(500000, -(double)i / P);
	for (int i = 0; i < M; i++)
		pos[i] = i == 0 ? 1000000 : (int32_t)random_below(4000);
	uint64_t args[] = {address(freq), address(pos), address(out), M};
	run_twice(&k, p, args, 2, M * P * 8);
	for (int i = 0; i < M * P; i++) {
		double angle = pos[i / P] * (double)freq[i % P];
		assert_near(out[2 * i], cos(angle), 0, 3e-7);
		assert_near(out[2 * i + 1], sin(angle), 0, 3e-7);
	}
}

static void rotate_on(const struct processor *p, enum dtype t, int64_t f, bool interleaved)
{
	enum { M = 5, HEADS = 3 };
	int64_t half = f / 2, x_head = f + 3, x_row = HEADS * x_head, y_row = f, y_head = M * y_row, n = M * HEADS * f;
	struct kernel k = {.family = KERNEL_ROTATE, .rotate = {HEADS, f, interleaved, t, t, x_row, x_head, y_row, y_head}};
	void *x = random_array(t, M * x_row), *y = random_array(t, n);
	float *angle = random_array(DTYPE_F32, M * f);
	uint64_t args[] = {address(x), address(angle), address(y), M};
	run_twice(&k, p, args, 2, (size_t)(n * dtype_bytes(t)));
	for (int64_t row = 0; row < M * HEADS; row++)
		for (int64_t i = 0; i < half; i++) {
			int64_t m = row / HEADS, head = row % HEADS, a = interleaved ? 2 * i : i,
					b = interleaved ? a + 1 : a + half;
			double c = angle[m * f + 2 * i], s = angle[m * f + 2 * i + 1];
			double xa = get(t, x, m * x_row + head * x_head + a), xb = get(t, x, m * x_row + head * x_head + b);
			assert_near(get(t, y, m * y_row + head * y_head + a), xa * c - xb * s, tolerance(t), 1e-6);
			assert_near(get(t, y, m * y_row + head * y_head + b), xb * c + xa * s, tolerance(t), 1e-6);
		}
}

static void rotations_on(const struct processor *p)
{
	for (int i = 0; i < 2; i++)
		for (int interleaved = 0; interleaved < 2; interleaved++) {
			rotate_on(p, formats[i], 64, interleaved);
			rotate_on(p, formats[i], 42, interleaved);
			rotate_on(p, formats[i], 2, interleaved);
		}
}

static void test_rotate(void **state)
{
	(void)state;
	for_processors(angles_on);
	for_processors(rotations_on);
}

/* ---- append ---------------------------------------------------------------------------------- */
static void append_on(const struct processor *p, enum dtype x, enum dtype cache, bool by_position)
{
	enum { M = 6, HEADS = 2, F = 40, PAGE = 5, PAGES = 4 };
	struct kernel k = {.family = KERNEL_APPEND, .append = {HEADS, F, PAGE, by_position, x, cache}};
	int64_t n = PAGES * HEADS * F * PAGE;
	void *in = random_array(x, M * HEADS * F), *pool = random_array(cache, n),
		 *want = guarded((size_t)(n * dtype_bytes(cache)));
	memcpy(want, pool, (size_t)(n * dtype_bytes(cache)));
	int32_t *slot = index_array(M);
	for (int i = 0; i < M; i++)
		slot[i] = i == 2 ? -1 : (i * 7 + 3) % (PAGE * PAGES);
	uint64_t args[] = {address(in), address(slot), address(pool), M};
	run_twice(&k, p, args, 2, (size_t)(n * dtype_bytes(cache)));
	for (int i = 0; i < M * HEADS * F; i++) {
		int token = i / (HEADS * F), f = i % F, at = slot[token];
		if (at < 0)
			continue;
		int64_t block = at / PAGE * HEADS + i / F % HEADS;
		int64_t to = by_position ? (block * PAGE + at % PAGE) * F + f : (block * F + f) * PAGE + at % PAGE;
		put(cache, want, to, get(x, in, i));
	}
	assert_memory_equal(pool, want, (size_t)(n * dtype_bytes(cache)));
}

static void appends_on(const struct processor *p)
{
	for (int i = 0; i < 8; i++)
		append_on(p, formats[i & 1], formats[i >> 1 & 1], i >> 2);
	for (int i = 0; i < 8; i++)
		append_on(p, formats[i & 1], i >> 1 & 1 ? DTYPE_FP8E4M3 : DTYPE_FP8E5M2, i >> 2);
}

static void test_append(void **state)
{
	(void)state;
	for_processors(appends_on);
}

/* ---- attend ---------------------------------------------------------------------------------- */
/* piece: one cache holds keys and values; values begin at this feature. */
struct attend_case {
	enum dtype q, kv, y;
	int64_t heads, group, d, w, page, window;
	int tokens;
	bool causal, one_cache;
	int64_t piece;
	bool sinks;
};
/* What else bounds what a query sees, or its scores. */
struct attend_bounds {
	int64_t chunk;
	double cap;
	bool slopes;
};
enum { SEQS = 3, PAGES_PER_SEQ = 9 };

struct attend_data {
	const struct kernel_attend *k;
	void *q, *keys, *values, *sinks, *slopes;
	int32_t *seq, *pos, *pages;
	int tokens;
};

/* Tokens of sequences 0, 1, .. in order, each sequence's at the end of its positions; then one token of padding. */
static void lay_out_tokens(struct attend_data *a)
{
	int64_t most = a->k->page * PAGES_PER_SEQ;
	for (int i = 0; i < a->tokens; i++) {
		a->seq[i] = i * SEQS / a->tokens;
		bool first = i == 0 || a->seq[i] != a->seq[i - 1];
		a->pos[i] = first ? (int32_t)random_below(most - a->tokens) : a->pos[i - 1] + 1;
	}
	if (a->tokens > 2)
		a->seq[a->tokens / 2] = -1;
	for (int i = 0; i < SEQS * PAGES_PER_SEQ; i++)
		a->pages[i] = (i * 7 + 2) % (SEQS * PAGES_PER_SEQ);
}

static int64_t last_seen(const struct attend_data *a, int token)
{
	int64_t last = a->pos[token];
	for (int i = 0; i < a->tokens && !a->k->causal; i++)
		if (a->seq[i] == a->seq[token] && a->pos[i] > last)
			last = a->pos[i];
	return last;
}

static void attend_reference(const struct attend_data *a, int token, int64_t head, int64_t member, double *out)
{
	const struct kernel_attend *k = a->k;
	int64_t last = last_seen(a, token), first = k->window && last >= k->window ? last - k->window + 1 : 0;
	if (k->chunk && first < last / k->chunk * k->chunk)
		first = last / k->chunk * k->chunk;
	double slope = k->has_slopes ? get(k->slope, a->slopes, head * k->slope_head + member * k->slope_group) : 0;
	int64_t q = token * k->q_row + head * k->q_head + member * k->q_group;
	double sum = k->has_sinks ? exp(get(k->sink, a->sinks, head * k->sink_head + member * k->sink_group)) : 0;
	memset(out, 0, sizeof *out * (size_t)k->w);
	for (int64_t at = first; at <= last && a->seq[token] >= 0; at++) {
		int64_t block = a->pages[a->seq[token] * PAGES_PER_SEQ + at / k->page] * k->heads + head, i = at % k->page;
		double score = 0;
		for (int64_t f = 0; f < k->d; f++)
			score +=
				(double)get(k->q, a->q, q + f)
				* get(k->kv, a->keys,
			          k->keys_by_position ? (block * k->page + i) * k->d_cached + f : (block * k->d + f) * k->page + i);
		score *= k->scale;
		double weight = exp((k->cap != 0 ? k->cap * tanh(score / k->cap) : score) - slope * (double)(last - at));
		sum += weight;
		for (int64_t f = 0; f < k->w; f++)
			out[f] += weight * get(k->kv, a->values, (block * k->page + i) * k->w_cached + f);
	}
	for (int64_t f = 0; f < k->w && sum > 0; f++)
		out[f] /= sum;
}

static void check_attend(const struct attend_data *a, const void *y)
{
	const struct kernel_attend *k = a->k;
	double *want = calloc((size_t)k->w, sizeof *want);
	double absolute = k->on_matrix ? 2e-3 : 3e-5; /* matrix units take weights of 8 or 11 bits; values are below 1 */
	for (int t = 0; t < a->tokens; t++)
		for (int64_t i = 0; i < k->heads * k->group; i++) {
			int64_t head = i / k->group, member = i % k->group;
			attend_reference(a, t, head, member, want);
			int64_t at = t * k->y_row + head * k->y_head + member * k->y_group;
			for (int64_t f = 0; f < k->w; f++)
				assert_near(get(k->y, y, at + f), want[f], tolerance(k->y), absolute);
		}
	free(want);
}

static void attend_on(const struct processor *p, const struct attend_case *c, const struct attend_bounds *b)
{
	struct kernel k = {.family = KERNEL_ATTEND};
	int64_t q_row = c->heads * c->group * c->d + (c->d % 8 || c->tokens % 2 ? 3 : 8),
			y_row = c->heads * c->group * c->w;
	k.attend = (struct kernel_attend){.heads = c->heads,
	                                  .group = c->group,
	                                  .d = c->d,
	                                  .w = c->w,
	                                  .q_row = q_row,
	                                  .keys_by_position = c->one_cache || p->target.keys_by_position,
	                                  .d_cached = c->d,
	                                  .w_cached = c->one_cache ? c->d : c->w,
	                                  .q_head = c->group * c->d,
	                                  .q_group = c->d,
	                                  .y_row = y_row,
	                                  .y_head = c->w,
	                                  .y_group = c->heads * c->w,
	                                  .page = c->page,
	                                  .pages_per_seq = PAGES_PER_SEQ,
	                                  .window = c->window,
	                                  .chunk = b->chunk,
	                                  .scale = (b->cap != 0 ? 6 : 1.5) / sqrt((double)c->d),
	                                  .cap = b->cap,
	                                  .causal = c->causal,
	                                  .q = c->q,
	                                  .kv = c->kv,
	                                  .y = c->y,
	                                  .has_sinks = c->sinks,
	                                  .sink_head = c->sinks,
	                                  .sink_group = c->sinks ? c->heads : 0,
	                                  .sink = c->sinks ? c->q : DTYPE_F64,
	                                  .has_slopes = b->slopes,
	                                  .slope_head = b->slopes,
	                                  .slope_group = b->slopes ? c->heads : 0,
	                                  .slope = DTYPE_F32};
	k.attend.on_matrix =
		!p->machine && !gpu.unaligned && c->piece * dtype_bytes(c->kv) % 16 == 0 && attend_suits_matrix(&k.attend);
	int64_t slots = SEQS * PAGES_PER_SEQ * c->page * c->heads;
	struct attend_data a = {.k = &k.attend,
	                        .tokens = c->tokens,
	                        .q = random_array(c->q, c->tokens * q_row),
	                        .keys = random_array(c->kv, slots * c->d),
	                        .values = random_array(c->kv, slots * c->w),
	                        .seq = index_array(c->tokens),
	                        .pos = index_array(c->tokens),
	                        .pages = index_array(SEQS * PAGES_PER_SEQ),
	                        .sinks = random_array(c->q, c->heads * c->group),
	                        .slopes = random_array(DTYPE_F32, c->heads * c->group)};
	if (c->one_cache)
		a.values = (char *)a.keys + c->piece * dtype_bytes(c->kv);
	lay_out_tokens(&a);
	void *y = random_array(c->y, c->tokens * y_row);
	for (int64_t i = 0; i < c->heads * c->group; i++)
		put(c->q, a.sinks, i, 3 * get(c->q, a.sinks, i));
	uint64_t args[ATTEND_ARGUMENTS] = {
		[ATTEND_Q] = address(a.q),        [ATTEND_KEYS] = address(a.keys),  [ATTEND_VALUES] = address(a.values),
		[ATTEND_SEQ] = address(a.seq),    [ATTEND_POS] = address(a.pos),    [ATTEND_PAGES] = address(a.pages),
		[ATTEND_Y] = address(y),          [ATTEND_M] = (uint64_t)c->tokens, [ATTEND_WORKSPACE] = workspaces(&k),
		[ATTEND_SINKS] = address(a.sinks)};
	args[b->slopes ? attend_slopes_argument(&k.attend) : ATTEND_SLOPES] = address(a.slopes);
	for (gpu.phase = DR_PREFILL; gpu.phase < (p->machine ? DR_DECODE : DR_PHASES); gpu.phase++) {
		run_twice(&k, p, args, 6, (size_t)(c->tokens * y_row * dtype_bytes(c->y)));
		check_attend(&a, y);
	}
	gpu.phase = 0;
}

static void attends_on(const struct processor *p)
{
	static const struct attend_case cases[] = {
		{DTYPE_F32, DTYPE_F32, DTYPE_F32, 2, 1, 16, 16, 16, 0, 1, true, false, 0, false},
		{DTYPE_F32, DTYPE_F32, DTYPE_F32, 2, 3, 19, 37, 7, 0, 13, true, false, 0, false},
		{DTYPE_F32, DTYPE_F32, DTYPE_F32, 1, 2, 140000, 130001, 3, 0, 5, true, false, 0, false},
		{DTYPE_BF16, DTYPE_BF16, DTYPE_BF16, 1, 4, 64, 64, 64, 0, 40, true, false, 0, false},
		{DTYPE_F32, DTYPE_BF16, DTYPE_F32, 2, 7, 32, 80, 16, 11, 29, true, false, 0, false},
		{DTYPE_F32, DTYPE_F32, DTYPE_F32, 1, 37, 24, 8, 32, 0, 5, true, false, 0, false},
		{DTYPE_F32, DTYPE_F32, DTYPE_F32, 1, 2, 8, 8, 16, 0, 17, false, false, 0, false},
		{DTYPE_BF16, DTYPE_F32, DTYPE_F32, 3, 1, 5, 3, 3, 4, 9, true, false, 0, false},
		{DTYPE_F32, DTYPE_BF16, DTYPE_BF16, 1, 8, 128, 128, 64, 0, 3, true, false, 0, false},
		{DTYPE_F32, DTYPE_F32, DTYPE_F32, 1, 8, 26, 18, 16, 0, 13, true, true, 0, false},
		{DTYPE_BF16, DTYPE_BF16, DTYPE_BF16, 1, 37, 80, 64, 5, 0, 7, true, true, 16, false},
		{DTYPE_F32, DTYPE_BF16, DTYPE_F32, 2, 3, 19, 7, 7, 9, 21, true, true, 12, false},
		{DTYPE_F32, DTYPE_F32, DTYPE_F32, 2, 3, 19, 37, 7, 5, 13, true, false, 0, true},
		{DTYPE_BF16, DTYPE_BF16, DTYPE_BF16, 2, 37, 64, 64, 16, 0, 9, true, false, 0, true},
		{DTYPE_F32, DTYPE_FP8E4M3, DTYPE_F32, 2, 3, 19, 37, 7, 0, 13, true, false, 0, false},
		{DTYPE_BF16, DTYPE_FP8E5M2, DTYPE_BF16, 1, 4, 64, 64, 64, 0, 40, true, false, 0, false},
		{DTYPE_BF16, DTYPE_FP8E4M3, DTYPE_F32, 1, 7, 26, 18, 16, 0, 13, true, true, 0, false},
		/* a GPU's matrix units: pages of no whole blocks, several tiles and chunks, features that fill no set */
		{DTYPE_BF16, DTYPE_BF16, DTYPE_BF16, 2, 4, 128, 128, 16, 0, 64, true, false, 0, false},
		{DTYPE_BF16, DTYPE_BF16, DTYPE_F32, 1, 20, 72, 40, 24, 0, 18, true, false, 0, true},
		{DTYPE_BF16, DTYPE_BF16, DTYPE_BF16, 2, 1, 256, 256, 32, 37, 21, true, false, 0, false},
		{DTYPE_BF16, DTYPE_BF16, DTYPE_BF16, 1, 33, 320, 256, 16, 0, 6, true, true, 0, false},
		{DTYPE_BF16, DTYPE_BF16, DTYPE_BF16, 3, 5, 16, 8, 9, 20, 30, true, false, 0, true},
		{DTYPE_BF16, DTYPE_BF16, DTYPE_BF16, 12, 1, 16, 8, 16, 0, 40, true, false, 0, false},
		/* pages of several pieces; heads so wide that few queries go together */
		{DTYPE_F32, DTYPE_F32, DTYPE_F32, 2, 2, 5, 3, 2077, 0, 3, true, false, 0, true},
		{DTYPE_F32, DTYPE_BF16, DTYPE_F32, 1, 3, 9, 8, 3072, 1500, 5, true, false, 0, false},
		{DTYPE_F32, DTYPE_F32, DTYPE_F32, 1, 2, 9, 8, 1025, 1500, 4, true, true, 0, false},
		{DTYPE_F32, DTYPE_F32, DTYPE_F32, 1, 2, 5, 8, 1030, 0, 4, false, false, 0, false},
		{DTYPE_F32, DTYPE_F32, DTYPE_F32, 1, 29, 20000, 9, 2, 0, 3, true, false, 0, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		attend_on(p, &cases[i], &(struct attend_bounds){0});
}

/* Chunks, also beside a window; capped scores; slopes; the last of them on a GPU's matrix units. */
static void bounded_attends_on(const struct processor *p)
{
	static const struct {
		struct attend_case c;
		struct attend_bounds b;
	} cases[] = {
		{{DTYPE_F32, DTYPE_F32, DTYPE_F32, 2, 3, 19, 37, 7, 0, 13, true, false, 0, false}, {5, 0, false}},
		{{DTYPE_F32, DTYPE_F32, DTYPE_F32, 1, 2, 5, 3, 2077, 0, 3, true, false, 0, false}, {1700, 0, true}},
		{{DTYPE_F32, DTYPE_BF16, DTYPE_F32, 2, 1, 26, 18, 4, 6, 17, true, true, 0, true}, {10, 3, true}},
		{{DTYPE_F32, DTYPE_F32, DTYPE_F32, 2, 2, 16, 16, 16, 0, 13, true, false, 0, false}, {0, 0.7, false}},
		{{DTYPE_F32, DTYPE_F32, DTYPE_F32, 3, 1, 16, 16, 16, 0, 13, true, false, 0, true}, {0, 0, true}},
		{{DTYPE_BF16, DTYPE_BF16, DTYPE_BF16, 2, 4, 64, 64, 16, 0, 33, true, false, 0, false}, {24, 0, false}},
		{{DTYPE_BF16, DTYPE_BF16, DTYPE_F32, 1, 20, 72, 40, 24, 30, 18, true, false, 0, false}, {40, 2, false}},
		{{DTYPE_BF16, DTYPE_BF16, DTYPE_F32, 12, 1, 16, 8, 16, 0, 40, true, false, 0, false}, {0, 0, true}},
		{{DTYPE_BF16, DTYPE_BF16, DTYPE_F32, 3, 5, 24, 8, 9, 0, 30, true, false, 0, true}, {17, 1.5, true}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		attend_on(p, &cases[i].c, &cases[i].b);
}

static void test_attend(void **state)
{
	(void)state;
	for_processors(attends_on);
	for_processors(bounded_attends_on);
}

/* ---- main ------------------------------------------------------------------------------------ */
int main(int argc, char **argv)
{
	jit_open(argc, argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rotate),
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_attend),
	};
	return jit_run(tests);
}
