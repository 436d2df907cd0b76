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

static struct deploy *deploy_of(struct search *s, const struct candidate *c)
{
	const struct node **items = arena_array(s->arena, const struct node *, s->fixed.n + s->knobs.n + 1);
	int n = 0;
	for (int i = 0; i < s->fixed.n; i++)
		items[n++] = s->fixed.at[i];
	for (int i = 0; i < s->knobs.n; i++)
		items[n++] = s->knobs.at[i].items.at[c->value[i]];
	return sema_deploy_with(s->compilation.sema, s->deploy, items, n);
}

static bool is_goal(enum diag_code code)
{
	return code == DIAG_E0801 || code == DIAG_E0802 || code == DIAG_E0806 || code == DIAG_E0807 || code == DIAG_E0808;
}

static void set_result(struct search *s, struct candidate *c, const struct sink *sink)
{
	const struct diag *error = first_error(sink);
	c->reached = REACHED_END;
	for (int i = 0; i < sink->diags.n; i++)
		c->n_open += sink->diags.at[i]->code == DIAG_W0811;
	if (!error)
		return;
	c->refused = error->code;
	c->message = arena_printf(s->arena, "%s", error->message);
	c->reached = is_goal(error->code) ? REACHED_GOALS : error->code == DIAG_E0701 ? REACHED_MEMORY : REACHED_RULES;
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

static void measure(struct search *s, struct candidate *c, struct planned *p)
{
	struct compilation *k = &s->compilation;
	struct metrics m =
		p->training ? training_metrics(p->training, &p->arena) : metrics_of(p->deploy, p->schedule, &p->arena);
	int room = rank_room(s->deploy), n = 0;
	c->gpus = (double)p->deploy->gpus;
	c->usable = planner_usable(p->deploy);
	c->peak = peak_of(p);
	memcpy(c->of, m.of, sizeof c->of);
	for (int i = 0; i < METRICS; i++)
		c->of[i].lacks = m.of[i].lacks ? arena_printf(s->arena, "%s", m.of[i].lacks) : NULL;
	c->basis = m.basis ? arena_printf(s->arena, "%s", m.basis) : NULL;
	c->lacks = m.lacks ? arena_printf(s->arena, "%s", m.lacks) : NULL;
	c->preference = arena_array(s->arena, struct preference, room);
	c->claim = arena_array(s->arena, struct claim, room);
	n = rank_preferences(k->sema, p->deploy, p->local, p->schedule, p->training, &k->target, &m, c->preference);
	c->preference[n] = rank_default(s->arena, p->deploy, &m);
	s->n_preferences = n + 1;
	if (c->reached == REACHED_GOALS) {
		c->n_claims = rank_claims(k->sema, p->deploy, p->local, p->schedule, p->training, &k->target, &m, c->claim);
		c->distance = largest_miss(c);
	} else if (c->reached == REACHED_MEMORY) {
		c->distance = c->peak / c->usable - 1;
	}
}

void search_try(struct search *s, struct candidate *c)
{
	struct compilation *k = &s->compilation;
	struct sink saved = k->sink;
	struct planned p = {.arena.heap = s->options->heap};
	k->sink = (struct sink){.arena = &p.arena, .sources = &k->sources};
	p.deploy = deploy_of(s, c);
	if (!k->sink.errors)
		plan_deployment(k, &p);
	set_result(s, c, &k->sink);
	if (c->reached != REACHED_RULES)
		measure(s, c, &p);
	k->sink = saved;
	arena_free(&p.arena);
}

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

/* until_one: stops at the first that holds. */
static void try_all(struct search *s, bool until_one)
{
	struct progress progress = {.shows = isatty(STDERR_FILENO)};
	s->n_hold = 0;
	memset(s->counts, 0, sizeof s->counts);
	s->ranked = arena_array(s->arena, int, s->all.n + 1);
	for (int i = 0; i < s->all.n && !stopped && !(until_one && s->n_hold); i++) {
		show_progress(&progress, s, i, s->n_hold ? &s->all.at[s->best] : NULL);
		if (!s->all.at[i].message)
			search_try(s, &s->all.at[i]);
		count(s, i);
	}
	sort(s, s->ranked, s->n_hold, by_rank);
	s->interrupted = stopped;
	if (progress.shows)
		fputs("\r\033[K", stderr);
}

/* Searches with so many times the devices, until a plan holds. false: there cannot be so many. */
static bool grow(struct search *s, int times)
{
	struct suggestion values[2];
	int n = deploy_devices(s->deploy, s->deploy->gpus * times, s->arena, values);
	s->fixed.n = 0;
	for (int i = 0; i < n; i++)
		vec_push(s->arena, &s->fixed, sema_item(s->compilation.sema, values[i]));
	memset(&s->all, 0, sizeof s->all);
	if (!n || !search_space(s))
		return false;
	try_all(s, true);
	if (s->n_hold) {
		s->growth = times;
		s->grown = s->all.at[s->ranked[0]];
	}
	return true;
}

/* Nothing holds: would it with two, four, eight times as many devices? */
static void try_growth(struct search *s)
{
	struct search without = *s;
	for (int times = 2; times <= 8 && s->deploy->gpus && !s->growth && !stopped; times *= 2)
		if (!grow(s, times))
			break;
	s->all = without.all;
	s->ranked = without.ranked;
	s->n_hold = 0;
	memcpy(s->counts, without.counts, sizeof s->counts);
}

static int search_all(struct search *s)
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
	if (!s->deploy || !s->deploy->program || sema_guessed(k->sema) || !search_knobs(s))
		return EXIT_ERRORS;
	if (!search_space(s))
		return EXIT_USAGE;
	try_all(s, false);
	if (!s->n_hold && !s->interrupted)
		try_growth(s);
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
	struct search s = {.arena = &arena, .options = o};
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
	arena_free(&s.compilation.arena);
	arena_free(&arena);
	return status;
}

int search_spec(const struct options *o) { return run_alone(o, search, 0); }
