/* deployc search: every candidate is checked with the rules of `deployc check`, planned, and timed. */
#include "search.h"
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- interruption and progress --------------------------------------------------------------- */

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

struct progress {
	bool shows;
	double last;
};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void show_progress(struct progress *p, const struct search *s, int done, const struct candidate *best)
{
	double t = p->shows ? now() : 0;
	if (!p->shows || t < p->last + 0.1)
		return;
	p->last = t;
	fprintf(stderr, "\r\033[K%d of %d plans, %d hold", done, s->all.n, s->n_hold);
	if (best)
		fprintf(stderr, "; best so far: %s", search_choice(s, best, "; "));
	fflush(stderr);
}

/* ---- one candidate --------------------------------------------------------------------------- */

static const struct diag *first_error(const struct sink *sink)
{
	for (int i = 0; i < sink->diags.n; i++)
		if (diag_is_error(sink->diags.at[i]->code))
			return sink->diags.at[i];
	return NULL;
}

static struct deploy *deploy_of(struct search *s, const struct candidate *c, struct arena *scratch)
{
	const struct space *space = c->space;
	const struct node **items = arena_array(scratch, const struct node *, space->knobs.n + space->fixed.n + 1);
	int n = 0;
	for (int i = 0; i < space->knobs.n; i++)
		items[n++] = space->knobs.at[i].items.at[c->value[i]];
	for (int i = 0; i < space->fixed.n; i++)
		items[n++] = space->fixed.at[i];
	return sema_deploy_with(s->compilation.sema, s->deploy, items, n);
}

static bool is_goal(enum diag_code code)
{
	return code == DIAG_E0801 || code == DIAG_E0802 || code == DIAG_E0806 || code == DIAG_E0807 || code == DIAG_E0808;
}

static void refuse(struct search *s, struct candidate *c, enum diag_code code, const char *message)
{
	c->refused = code;
	c->message = arena_printf(s->arena, "%s", message);
	c->reached = is_goal(code) ? REACHED_GOALS : code == DIAG_E0701 ? REACHED_MEMORY : REACHED_RULES;
}

static void set_result(struct search *s, struct candidate *c, const struct sink *sink, const struct planned *p)
{
	const struct diag *error = first_error(sink);
	c->reached = REACHED_END;
	for (int i = 0; i < sink->diags.n; i++) {
		enum diag_code code = sink->diags.at[i]->code;
		c->n_open += code == DIAG_W0811;
		bool limit = is_goal(code) && code != DIAG_E0807;
		c->n_limits += limit;
		c->n_others += diag_is_error(code) && !limit;
	}
	if (error)
		refuse(s, c, error->code, error->message);
	else if (!p->schedule && !p->training)
		refuse(s, c, s->wrong_text ? s->wrong : DIAG_E0202,
		       s->wrong_text ? s->wrong_text : "a record that it names is not complete");
	if (error && !p->deploy->program) {
		s->wrong = c->refused;
		s->wrong_text = c->message;
	}
}

static double peak_of(const struct planned *p)
{
	struct total totals[PLANNER_TOTALS];
	int n = planner_totals(p->deploy, p->schedule, totals);
	if (p->training)
		n = planner_training_totals(p->training, totals);
	for (int i = 0; i < n; i++)
		if (!strcmp(totals[i].name, "memory.peak"))
			return totals[i].value;
	return (double)NAN;
}

/* What requirements that are false lack, at most. */
static double largest_miss(const struct candidate *c)
{
	double most = 0;
	for (int i = 0; i < c->n_claims; i++)
		most = c->claim[i].miss > most ? c->claim[i].miss : most;
	return most;
}

static const char *kept(const struct search *s, const char *text)
{
	return text ? arena_printf(s->arena, "%s", text) : NULL;
}

static void keep_preferences(struct search *s, struct candidate *c, const struct preference *from, int n)
{
	c->preference = arena_array(s->arena, struct preference, n);
	for (int i = 0; i < n; i++) {
		struct preference *p = &c->preference[i];
		*p = from[i];
		p->text = kept(s, p->text);
		p->shown = kept(s, p->shown);
	}
	s->n_preferences = n;
}

static void keep_claims(struct search *s, struct candidate *c, const struct claim *from, int n)
{
	c->claim = arena_array(s->arena, struct claim, n + 1);
	c->n_claims = n;
	for (int i = 0; i < n; i++) {
		struct claim *p = &c->claim[i];
		*p = from[i];
		p->text = kept(s, p->text);
		p->shown = kept(s, p->shown);
		p->wanted = kept(s, p->wanted);
		p->loosened = kept(s, p->loosened);
	}
}

static void measure(struct search *s, struct candidate *c, struct planned *p)
{
	struct compilation *k = &s->compilation;
	struct arena *a = &p->arena;
	struct metrics m = p->training ? training_metrics(p->training, a) : metrics_of(p->deploy, p->schedule, a);
	int room = rank_room(s->deploy), n;
	c->gpus = (double)p->deploy->gpus;
	c->usable = planner_usable(p->deploy);
	c->peak = peak_of(p);
	memcpy(c->of, m.of, sizeof c->of);
	for (int i = 0; i < METRICS; i++)
		c->of[i].lacks = kept(s, m.of[i].lacks);
	c->basis = kept(s, m.basis);
	c->lacks = kept(s, m.lacks);
	struct preference *preference = arena_array(a, struct preference, room);
	n = rank_preferences(k->sema, p->deploy, p->local, p->schedule, p->training, &k->target, &m, preference);
	preference[n] = rank_default(a, p->deploy, &m);
	keep_preferences(s, c, preference, n + 1);
	if (c->reached == REACHED_GOALS) {
		struct claim *claim = arena_array(a, struct claim, room);
		n = rank_claims(k->sema, p->deploy, p->local, p->schedule, p->training, &k->target, &m, claim);
		keep_claims(s, c, claim, n);
		c->distance = largest_miss(c);
	} else if (c->reached == REACHED_MEMORY) {
		c->distance = c->peak / c->usable - 1;
	}
}

/* Do the weights alone take more than a device has, however they are laid out? Then the plan need not be made. */
static bool is_too_large(struct search *s, struct candidate *c, const struct planned *p)
{
	const struct deploy *d = p->deploy;
	if (!d->program || !d->known || d->refused)
		return false;
	double bytes = dag_least_weights(s->compilation.sink.arena, d), usable = planner_usable(d);
	if (!(bytes > usable * (1 + 1e-9)))
		return false;
	refuse(s, c, DIAG_E0701,
	       arena_printf(s->compilation.sink.arena, "does not fit: weights take at least %s, %s usable on each device",
	                    planner_bytes(s->compilation.sink.arena, bytes),
	                    planner_bytes(s->compilation.sink.arena, usable)));
	c->distance = bytes / usable - 1;
	return true;
}

/* Checks, plans and times one candidate. All that it takes is in the scratch arena, but for its result. in_full: also
 * if it cannot fit. */
static void try(struct search *s, struct candidate *c, bool in_full)
{
	struct compilation *k = &s->compilation;
	struct sink saved = k->sink;
	struct planned p = {.arena = s->scratch};
	struct arena *before = sema_use(k->sema, &p.arena);
	k->sink = (struct sink){.arena = &p.arena, .sources = &k->sources, .first_only = true};
	p.deploy = deploy_of(s, c, &p.arena);
	c->bounded = !in_full && !k->sink.errors && is_too_large(s, c, &p);
	if (!k->sink.errors && !c->bounded)
		plan_deployment(k, &p);
	if (!c->bounded)
		set_result(s, c, &k->sink, &p);
	if (c->reached != REACHED_RULES && !c->bounded)
		measure(s, c, &p);
	k->sink = saved;
	sema_use(k->sema, before);
	sema_forget(k->sema, &p.arena);
	arena_reset(&p.arena);
	s->scratch = p.arena;
}

void search_try(struct search *s, struct candidate *c) { try(s, c, true); }

/* ---- order ----------------------------------------------------------------------------------- */

int search_compare(const struct search *s, const struct candidate *a, const struct candidate *b, int *why)
{
	for (*why = 0; *why < s->n_preferences; ++*why) {
		int order = rank_compare(&a->preference[*why], &b->preference[*why]);
		if (order)
			return order;
	}
	if (a->peak != b->peak)
		return a->peak < b->peak ? 1 : -1;
	*why = -1;
	return 0;
}

/* < 0: candidate a comes before b. */
typedef int order(const struct search *s, int a, int b);

static int by_rank(const struct search *s, int a, int b)
{
	int why;
	return -search_compare(s, &s->all.at[a], &s->all.at[b], &why);
}

/* Sorts n candidates; equal ones keep their order. */
static void sort(const struct search *s, int *at, int n, order *before)
{
	if (n < 2)
		return;
	int half = n / 2, i = 0, k = half, *out = arena_array(s->arena, int, n);
	sort(s, at, half, before);
	sort(s, at + half, n - half, before);
	for (int m = 0; m < n; m++)
		out[m] = k == n || (i < half && before(s, at[i], at[k]) <= 0) ? at[i++] : at[k++];
	memcpy(at, out, sizeof *at * (size_t)n);
}

static double coordinate(const struct candidate *c, int i)
{
	static const enum metric of[] = {METRIC_THROUGHPUT, METRIC_TPOT, METRIC_COST};
	const struct estimate *e = &c->of[of[i]];
	double x = isnan(e->value) ? e->bound : e->value;
	return isnan(x) ? 0 : i ? x : -x / c->gpus;
}

static int by_point(const struct search *s, int a, int b)
{
	for (int i = 0; i < 3; i++) {
		double x = coordinate(&s->all.at[a], i), y = coordinate(&s->all.at[b], i);
		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

/* Is `a` no worse than `b` in anything? */
static bool covers(const struct candidate *a, const struct candidate *b)
{
	for (int i = 0; i < 3; i++)
		if (coordinate(a, i) > coordinate(b, i))
			return false;
	return true;
}

/* In the order of by_point no plan is surpassed by a later one, and of equal ones the first is the better one. */
int search_front(const struct search *s, int *out)
{
	int *all = arena_array(s->arena, int, s->n_hold + 1), n = 0;
	for (int i = 0; i < s->n_hold; i++)
		all[i] = s->ranked[i];
	sort(s, all, s->n_hold, by_point);
	for (int i = 0; i < s->n_hold; i++) {
		bool covered = false;
		for (int k = 0; k < n && !covered; k++)
			covered = covers(&s->all.at[out[k]], &s->all.at[all[i]]);
		if (!covered)
			out[n++] = all[i];
	}
	return n;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void count(struct search *s, int i)
{
	const struct candidate *c = &s->all.at[i];
	if (c->message)
		s->counts[c->refused]++;
	else {
		if (!s->n_hold || by_rank(s, i, s->best) < 0)
			s->best = i;
		s->ranked[s->n_hold++] = i;
	}
}

void search_try_all(struct search *s, bool until_one)
{
	struct progress progress = {.shows = isatty(STDERR_FILENO)};
	s->n_hold = 0;
	memset(s->counts, 0, sizeof s->counts);
	s->ranked = arena_array(s->arena, int, s->all.n + 1);
	for (int i = 0; i < s->all.n && !stopped && !(until_one && s->n_hold); i++) {
		show_progress(&progress, s, i, s->n_hold ? &s->all.at[s->best] : NULL);
		if (!s->all.at[i].message)
			try(s, &s->all.at[i], false);
		count(s, i);
	}
	sort(s, s->ranked, s->n_hold, by_rank);
	s->interrupted = stopped;
	if (progress.shows)
		fputs("\r\033[K", stderr);
}

int search_begin(struct search *s, int most)
{
	struct compilation *k = &s->compilation;
	int n, status;
	if (!compilation_target(k))
		return EXIT_USAGE;
	if (!compilation_load(k))
		return EXIT_ERRORS;
	struct deploy **deploys = compilation_deploys(k, &n, &status);
	if (status != EXIT_OK)
		return status;
	s->deploy = n ? deploys[0] : NULL;
	if (!s->deploy || !s->deploy->program || sema_guessed(k->sema) || !search_spaces(s))
		return EXIT_ERRORS;
	s->crowded = !search_candidates(s, most);
	return s->crowded ? EXIT_USAGE : EXIT_OK;
}

static int search_all(struct search *s)
{
	int status = search_begin(s, MAX_CANDIDATES);
	if (s->crowded)
		complain("more than %d plans to search: list fewer values, as in `tp = auto in [4, 8]`", MAX_CANDIDATES);
	if (status != EXIT_OK)
		return status;
	search_try_all(s, false);
	return s->interrupted ? EXIT_INTERRUPTED : s->n_hold ? EXIT_OK : EXIT_ERRORS;
}

/* What was reported of the deployment as it is written does not concern its candidates, unless there are none. */
static void drop_reports(struct search *s)
{
	struct sink *sink = &s->compilation.sink;
	if (s->all.n)
		*sink = (struct sink){.arena = sink->arena, .sources = sink->sources};
}

static int search(const struct options *o, int i)
{
	struct arena arena = {.heap = o->heap};
	struct search s = {.arena = &arena, .options = o, .scratch.heap = o->heap};
	struct sigaction old, act = {.sa_handler = stop};
	stopped = 0;
	sigaction(SIGINT, &act, &old);
	compilation_begin(&s.compilation, o, o->specs[i]);
	int status = search_all(&s);
	sigaction(SIGINT, &old, NULL);
	drop_reports(&s);
	if (s.all.n && status != EXIT_USAGE) {
		if (!s.n_hold && !s.interrupted)
			search_report_none(&s);
		s.lock = lock_write(&s);
		(o->format == FORM_JSON ? search_json : search_print)(&s);
	}
	print_diagnostics(o, &s.compilation.sink, true);
	arena_free(&s.scratch);
	arena_free(&s.compilation.arena);
	arena_free(&arena);
	return status;
}

int search_spec(const struct options *o) { return run_alone(o, search, 0); }
