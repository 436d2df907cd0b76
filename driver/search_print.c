/* A search as text. */
#include "search.h"
#include <math.h>
#include <string.h>
#include "../planner/metrics_text.h"

enum { FRONT_SHOWN = 8 };

/* ---- choices --------------------------------------------------------------------------------- */

/* Is the path one of a field in this part of the deployment? Its name there, else NULL. */
static const char *name_in(const char *path, const char *part)
{
	size_t n = strlen(part);
	return !strncmp(path, part, n) && path[n] == '.' ? path + n + 1 : NULL;
}

static const char *value_of(const struct search *s, const struct candidate *c, int knob)
{
	return c->value[knob] < 0 ? "auto" : s->knobs.at[knob].values.at[c->value[knob]];
}

/* "tp = 8; ep = 4": the fields of a part. */
static const char *fields_of(const struct search *s, const struct candidate *c, const char *part)
{
	struct text t = {.arena = s->arena};
	for (int i = 0; i < s->knobs.n; i++) {
		const char *name = name_in(s->knobs.at[i].path, part);
		if (name)
			text_add(&t, "%s%s = %s", t.n ? "; " : "", name, value_of(s, c, i));
	}
	return t.at;
}

const char *search_choice(const struct search *s, const struct candidate *c, const char *between)
{
	static const char *const parts[] = {"model", "cluster", "plan", "workload"};
	struct text t = {.arena = s->arena};
	for (int i = 0; i < s->knobs.n; i++)
		if (!strchr(s->knobs.at[i].path, '.'))
			text_add(&t, "%s%s = %s", t.n ? between : "", s->knobs.at[i].path, value_of(s, c, i));
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		const char *fields = fields_of(s, c, parts[i]);
		bool plan = !strcmp(parts[i], "plan") && s->deploy->plan_text;
		if (fields)
			text_add(&t, plan ? "%s%s = %s { %s }" : "%s%s %s{ %s }", t.n ? between : "", parts[i],
			         plan ? s->deploy->plan_text : "", fields);
	}
	return t.at ? t.at : "as it is";
}

/* ---- figures --------------------------------------------------------------------------------- */

static const char *metric_of(const struct search *s, const struct candidate *c, enum metric m, double by)
{
	const struct estimate *e = &c->of[m];
	struct arena *a = s->arena;
	if (isnan(e->value) && isnan(e->bound))
		return "-";
	if (isnan(e->value))
		return arena_printf(a, "%s %s", metric_is_rate(m) ? "at most" : "at least", metric_text(a, m, e->bound / by));
	return metric_text(a, m, e->value / by);
}

static const char *with_interval(const struct search *s, const struct candidate *c, enum metric m, double by)
{
	const struct estimate *e = &c->of[m];
	const char *value = metric_of(s, c, m, by);
	if (isnan(e->value) || !(e->low80 < e->high80))
		return value;
	return arena_printf(s->arena, "%s (80%%: %s .. %s)", value, metric_text(s->arena, m, e->low80 / by),
	                    metric_text(s->arena, m, e->high80 / by));
}

static bool is_known(const struct candidate *c, enum metric m)
{
	return !isnan(c->of[m].value) || !isnan(c->of[m].bound);
}

/* The metrics that are known of a plan, then its bytes. */
static void print_figures(const struct search *s, const struct candidate *c)
{
	static const enum metric shown[] = {METRIC_THROUGHPUT, METRIC_TPOT, METRIC_TTFT, METRIC_STEP_TIME};
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
		enum metric m = shown[i];
		if (is_known(c, m))
			printf("            %s%s %s\n", metric_name(m), m == METRIC_THROUGHPUT ? " per gpu" : "",
			       with_interval(s, c, m, m == METRIC_THROUGHPUT ? c->gpus : 1));
	}
	printf("            memory %s of %s on each of %.0f ranks", planner_bytes(s->arena, c->peak),
	       planner_bytes(s->arena, c->usable), c->gpus);
	if (c->n_open)
		printf("; %d requirement%s open", c->n_open, c->n_open == 1 ? " is" : "s are");
	putchar('\n');
}

static void print_plan(const struct search *s, const char *title, const struct candidate *c)
{
	printf("%-11s %s\n", title, search_choice(s, c, "\n            "));
	print_figures(s, c);
}

static const char *goal_words(const struct preference *p)
{
	static const char *const words[] = {[PREFER] = "prefer", [MAXIMIZE] = "maximize", [MINIMIZE] = "minimize"};
	return words[p->kind];
}

/* Why the best is before the second. */
static void print_why(const struct search *s, const struct candidate *best, const struct candidate *second)
{
	int why;
	search_compare(s, best, second, &why);
	if (why < 0) {
		puts("why         both are equal in all that orders them: the first of the list");
		return;
	}
	if (why == s->n_preferences) {
		printf("why         less memory, all else being equal: %s, not %s\n", planner_bytes(s->arena, best->peak),
		       planner_bytes(s->arena, second->peak));
		return;
	}
	const struct preference *a = &best->preference[why], *b = &second->preference[why];
	printf("why         %s %s: %s, not %s", goal_words(a), a->text, a->shown, b->shown);
	if (a->kind != PREFER && b->value != 0 && isfinite(a->value / b->value))
		printf(" (%.1f%% %s)", 100 * fabs(a->value / b->value - 1), a->value > b->value ? "more" : "less");
	puts(a->bound ? "; by what nothing can surpass, since there is no prediction" : "");
}

/* ---- all ------------------------------------------------------------------------------------- */

static void print_counts(const struct search *s)
{
	int tried = s->n_hold;
	for (int i = 0; i < DIAG_COUNT; i++)
		tried += s->counts[i];
	printf("%s of %s: ", s->deploy->name, s->compilation.label);
	if (s->interrupted)
		printf("interrupted after %d of ", tried);
	printf("%d plan%s, %d hold%s\n", s->all.n, plural(s->all.n), s->n_hold, s->n_hold == 1 ? "s" : "");
	const char *title = "refused";
	for (int i = 0; i < DIAG_COUNT; i++)
		if (s->counts[i]) {
			printf("%-11s %d: %s [%s]\n", title, s->counts[i], diag_text((enum diag_code)i, TEXT_TITLE),
			       diag_code_name((enum diag_code)i));
			title = "";
		}
}

static void print_front(const struct search *s)
{
	int *front = arena_array(s->arena, int, s->n_hold + 1), n = search_front(s, front);
	if (n < 2)
		return;
	puts("\nno plan is better than these in throughput per gpu, tpot and cost of a batch together:");
	for (int i = 0; i < n && i < FRONT_SHOWN; i++) {
		const struct candidate *c = &s->all.at[front[i]];
		printf("  %14s  %11s  %10s  %s\n", metric_of(s, c, METRIC_THROUGHPUT, c->gpus), metric_of(s, c, METRIC_TPOT, 1),
		       metric_of(s, c, METRIC_COST, 1), search_choice(s, c, "; "));
	}
	if (n > FRONT_SHOWN)
		printf("  and %d more\n", n - FRONT_SHOWN);
}

void search_print(const struct search *s)
{
	print_counts(s);
	if (!s->n_hold)
		return;
	const struct candidate *best = &s->all.at[s->ranked[0]];
	print_plan(s, "best", best);
	if (s->n_hold > 1) {
		print_plan(s, "runner-up", &s->all.at[s->ranked[1]]);
		print_why(s, best, &s->all.at[s->ranked[1]]);
	}
	if (best->lacks)
		printf("times       not predicted: %s; bounds order the plans\n", best->lacks);
	else if (best->basis)
		printf("intervals   %s\n", best->basis);
	print_front(s);
	if (s->lock)
		printf("\n%s keeps the choice\n", s->lock);
}

/* ---- nothing holds --------------------------------------------------------------------------- */

/* The candidate that came furthest, and of those the nearest to what it needs. */
static const struct candidate *nearest(const struct search *s)
{
	const struct candidate *best = NULL;
	for (int i = 0; i < s->all.n; i++) {
		const struct candidate *c = &s->all.at[i];
		if (!best || c->reached > best->reached || (c->reached == best->reached && c->distance < best->distance))
			best = c;
	}
	return best;
}

static void note_claims(struct search *s, struct diag *d, const struct candidate *c)
{
	struct sink *sink = &s->compilation.sink;
	for (int i = 0; i < c->n_claims; i++)
		if (c->claim[i].miss > 0)
			diag_note(sink, d, "it misses `%s` by %.1f%%: %s%s, not %s", c->claim[i].text, 100 * c->claim[i].miss,
			          c->claim[i].bound ? "at best " : "", c->claim[i].shown, c->claim[i].wanted);
}

/* The claim that is missed by most; NULL: none is. */
static const struct claim *largest_claim(const struct candidate *c)
{
	const struct claim *most = NULL;
	for (int i = 0; i < c->n_claims; i++)
		if (c->claim[i].miss > 0 && (!most || c->claim[i].miss > most->miss))
			most = &c->claim[i];
	return most;
}

/* A mesh axis that the search does not set; NULL: it sets them all. */
static const char *closed_axis(const struct search *s)
{
	for (int i = 0; i < s->deploy->mesh.n; i++) {
		bool open = false;
		for (int k = 0; k < s->knobs.n; k++)
			open |= s->knobs.at[k].axis == i;
		if (!open && s->deploy->mesh.at[i].size == 1)
			return s->deploy->mesh.at[i].name;
	}
	return NULL;
}

void search_report_none(struct search *s)
{
	struct sink *sink = &s->compilation.sink;
	const struct candidate *c = nearest(s);
	struct diag *d = diag_report(sink, DIAG_E0814, s->deploy->name_span, "none of the plans holds");
	diag_note(sink, d, "the nearest: `%s`: %s [%s]", search_choice(s, c, "; "), c->message, diag_code_name(c->refused));
	note_claims(s, d, c);
	if (s->growth)
		diag_help(sink, d, "with %.0f devices, `%s` holds", s->grown.gpus, search_choice(s, &s->grown, "; "));
	else if (closed_axis(s) && c->refused == DIAG_E0601)
		diag_help(sink, d, "leave another axis to the search: `%s = auto`", closed_axis(s));
	else if (largest_claim(c))
		diag_help(sink, d, "the nearest plan is predicted to reach `%s`", largest_claim(c)->loosened);
}
