/* Sizes of a step: tokens, rows, sequences and pages per owner, as the workload asks for them and the layouts pad them.
 * Checks that they fit the launcher's integers. */
#include "lower.h"
#include "../support/round.h"

static int64_t lcm(int64_t a, int64_t b) { return a / common_divisor(a, b) * b; }

/* Tokens, rows and pages are padded to multiples, so that the ranks that split them get equal parts. */
static void set_multiples(struct schedule *s, struct local *l)
{
	const struct program *p = l->program;
	s->token_multiple = s->row_multiple = s->page_multiple = 1;
	for (int i = 0; i < p->states.n; i++)
		for (int k = 0; k < p->states.at[i].n_axes; k++) {
			int axis = p->states.at[i].axes[k];
			struct atoms a = place_axis(l, axis, p->states.at[i].region, PHASE_ANY, CLASS_CACHE);
			if (axis != p->batch && !p->axes.at[axis].extent)
				s->page_multiple = lcm(s->page_multiple, atoms_size(l, &a));
		}
	for (int phase = 0; phase < PHASES; phase++)
		for (int i = 0; i < l->phase[phase].values.n; i++) {
			const struct local_value *v = &l->phase[phase].values.at[i];
			for (int k = 0; k < v->n_axes; k++) {
				int64_t size = atoms_size(l, &v->layout.axis[k]);
				if (v->axes[k] == l->program->seq)
					s->token_multiple = lcm(s->token_multiple, size);
				if (v->axes[k] == l->program->row)
					s->row_multiple = lcm(s->row_multiple, size);
			}
		}
}

/* A row changes the logits of tokens that are in its sequence or have a bias, so each at most once, and no more than
 * the cache has positions. Rows beyond the maximum wait for the next step. */
static int64_t adjusts_of(const struct schedule *s, const struct program *p)
{
	enum { MAX_ADJUSTS = 1 << 20 };
	int64_t n = s->pool[0].pages * s->page + s->seqs * DR_BIASES;
	if (p->vocab >= 0 && s->seqs * p->axes.at[p->vocab].extent < n)
		n = s->seqs * p->axes.at[p->vocab].extent;
	return n < MAX_ADJUSTS ? n : MAX_ADJUSTS;
}

static void set_sizes(struct schedule *s, const struct local *l)
{
	const struct workload *k = &l->deploy->work;
	struct step_program *prefill = &s->programs.at[PHASE_PREFILL], *decode = &s->programs.at[PHASE_DECODE];
	int64_t owners = atoms_size(l, &l->owners), m = l->deploy->microbatches, longest = k->seq_hi + k->output_hi;
	s->pipeline = (struct pipeline){l->deploy->order, s->stages.n, m, 1, false};
	s->seqs = divide_up(k->batch, owners);
	s->page = k->page;
	int64_t each = divide_up(divide_up(k->cache, k->batch), k->page);
	int64_t pages = round_up(s->seqs * each, s->page_multiple);
	if (longest > l->program->max_ctx && l->program->max_ctx > 0)
		longest = l->program->max_ctx;
	s->pages_per_seq = divide_up(longest, k->page) > each ? divide_up(longest, k->page) : each;
	if (s->pages_per_seq > pages)
		s->pages_per_seq = pages;
	s->pool[0] = (struct pool){0, pages};
	s->adjusts = adjusts_of(s, l->program);
	int64_t prompts = s->seqs * k->seq_hi, chunk = k->chunk < prompts ? k->chunk : prompts, rows = s->seqs * k->rows;
	prefill->max_tokens = round_up(divide_up(chunk, m), s->token_multiple);
	decode->max_tokens = round_up(divide_up(s->seqs, m), s->token_multiple);
	prefill->max_rows = round_up(rows, s->row_multiple);
	decode->max_rows = round_up(divide_up(s->seqs, m) * k->rows, s->row_multiple);
}

int64_t program_max_tokens(const struct schedule *s)
{
	int64_t most = 0;
	for (int i = 0; i < s->programs.n; i++)
		most = s->programs.at[i].max_tokens > most ? s->programs.at[i].max_tokens : most;
	return most;
}

int64_t program_max_rows(const struct schedule *s)
{
	int64_t most = 0;
	for (int i = 0; i < s->programs.n; i++)
		most = s->programs.at[i].max_rows > most ? s->programs.at[i].max_rows : most;
	return most;
}

/* ---- promises -------------------------------------------------------------------------------- */

/* A sequence that is alone must be able to run to its end. */
static bool check_cache(const struct schedule *s, const struct local *l, struct sink *sink)
{
	const struct workload *w = &l->deploy->work;
	int64_t longest = workload_longest(w), held = s->pool[0].pages * s->page, need = divide_up(longest, s->page);
	if (held >= longest)
		return true;
	int64_t cache = w->batch * divide_up(need, s->seqs) * s->page;
	struct diag *d = diag_report(sink, DIAG_E0704, w->cache_span,
	                             "a sequence of the workload has %lld positions, but its owner's cache holds %lld",
	                             (long long)longest, (long long)held);
	diag_related(sink, d, w->seq_span, "prompts of up to %lld", (long long)w->seq_hi);
	diag_note(
		sink, d,
		"positions of a sequence: %lld + %lld - 1 = %lld, in %lld page%s of %lld; the last token is not read back",
		(long long)w->seq_hi, (long long)(longest + 1 - w->seq_hi), (long long)longest, (long long)need, plural(need),
		(long long)s->page);
	diag_note(sink, d, "the cache of an owner: %lld page%s, for %lld sequence%s of %lld", (long long)s->pool[0].pages,
	          plural(s->pool[0].pages), (long long)s->seqs, plural(s->seqs), (long long)w->batch);
	struct suggestion value = {"workload.cache", arena_printf(sink->arena, "%lld", (long long)cache)};
	if (diag_check(sink, l->deploy->name, DIAG_E0704, &value, 1) < 0)
		return false;
	diag_help(sink, d, "`cache = %lld` holds the longest; left out, `cache` holds the whole batch at its longest",
	          (long long)cache);
	if (w->cache_set.lo < w->cache_set.hi)
		diag_fix(sink, d, w->cache_set, arena_printf(sink->arena, "cache = %lld", (long long)cache));
	return false;
}

/* ---- bounds ---------------------------------------------------------------------------------- */

/* Positions, tokens and rows are numbered in i32, -1 is padding: see enum dr_input. */
static const int64_t MAX_INDEX = INT32_MAX;

static int64_t times(int64_t a, int64_t b)
{
	int64_t product;
	return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

static bool too_many(struct sink *sink, struct span at, const char *what, int64_t n, const char *of, const char *help)
{
	if (n <= MAX_INDEX)
		return false;
	struct diag *d = diag_report(sink, DIAG_E0705, at, "%s%s: a launcher counts at most %lld",
	                             n == INT64_MAX ? "more than 2^63" : arena_printf(sink->arena, "%lld", (long long)n),
	                             what, (long long)MAX_INDEX);
	diag_note(sink, d, "%s", of);
	diag_help(sink, d, "%s", help);
	return true;
}

/* The maximum number of owners whose caches one rank has. */
static int64_t owners_in_a_cache(struct local *l)
{
	const struct program *p = l->program;
	int64_t most = 1;
	for (int i = 0; i < p->states.n; i++) {
		struct atoms batch = place_axis(l, p->batch, p->states.at[i].region, PHASE_ANY, CLASS_CACHE);
		int n;
		int64_t held = owners_held(l, &batch, &n);
		most = held > most ? held : most;
	}
	return most;
}

/* Maximum assignments per token: the largest number of experts that a router chooses. */
static int64_t choices(const struct program *p)
{
	int64_t most = 1;
	for (int i = 0; i < p->values.n; i++)
		if (p->values.at[i].op == OP_ROUTE && p->values.at[i].route.top > most)
			most = p->values.at[i].route.top;
	return most;
}

static bool check_bounds(const struct schedule *s, struct local *l, struct sink *sink)
{
	enum { SAMPLING_WORDS = sizeof(struct dr_sampling) / 4 };
	const struct workload *w = &l->deploy->work;
	int64_t owners = atoms_size(l, &l->owners), held = owners_in_a_cache(l), top = choices(l->program);
	int64_t chunk = program_max_tokens(s), rows = program_max_rows(s);
	struct arena *a = sink->arena;
	bool bad = too_many(sink, w->cache_span, " positions in the caches of a rank",
	                    times(times(s->pool[0].pages, s->page), held),
	                    arena_printf(a, "%lld pages x %lld positions, for %lld owner%s: a position's number is an i32",
	                                 (long long)s->pool[0].pages, (long long)s->page, (long long)held, plural(held)),
	                    "a smaller `batch`, `seq` or `cache`; or more ranks on `batch`");
	if (!bad)
		bad = too_many(sink, w->batch_span, " entries in the page table of an owner", times(s->seqs, s->pages_per_seq),
		               arena_printf(a, "%lld sequences x %lld pages", (long long)s->seqs, (long long)s->pages_per_seq),
		               "a larger `page`, or a smaller `batch` or `seq`");
	bad |= too_many(sink, w->chunk_span, top > 1 ? " tokens and choices of experts in a step" : " tokens in a step",
	                times(times(chunk, owners), top),
	                arena_printf(a, "%lld tokens of an owner x %lld owner%s x %lld expert%s of a token",
	                             (long long)chunk, (long long)owners, plural(owners), (long long)top, plural(top)),
	                "a smaller `chunk`, or more microbatches");
	bad |=
		too_many(sink, w->rows_span, " words for rows of a step",
	             times(times(times(rows, owners), s->pipeline.microbatches), SAMPLING_WORDS),
	             arena_printf(a, "%lld rows of an owner x %lld owner%s x %lld microbatch%s x %d words", (long long)rows,
	                          (long long)owners, plural(owners), (long long)s->pipeline.microbatches,
	                          s->pipeline.microbatches == 1 ? "" : "es", SAMPLING_WORDS),
	             "fewer `rows`, or a smaller `batch`");
	return !bad;
}

bool set_step_sizes(struct schedule *s, struct local *l, struct sink *sink)
{
	set_multiples(s, l);
	set_sizes(s, l);
	set_pools(s, l);
	bool bounded = check_bounds(s, l, sink);
	return check_cache(s, l, sink) && bounded;
}
