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

static const char *value_of(const struct candidate *c, int knob)
{
	return c->value[knob] < 0 ? "auto" : c->space->knobs.at[knob].values.at[c->value[knob]];
}

/* What the text has in a part, without the fields that are set; then these. Returns how many are set. */
static int add_fields(const struct search *s, const struct candidate *c, const char *part, const struct part_text *text,
                      struct part_items *t)
{
	const struct space *space = c->space;
	int n_set = 0;
	for (int i = 0; text && i < text->items.n; i++) {
		const struct part_item *item = &text->items.at[i];
		bool kept = true;
		for (int k = 0; k < space->knobs.n && item->path; k++) {
			const char *name = name_in(space->knobs.at[k].path, part);
			kept &= !name || strcmp(name, item->path) != 0;
		}
		if (kept)
			part_items_add(t, item);
	}
	for (int i = 0; i < space->knobs.n; i++) {
		const char *name = name_in(space->knobs.at[i].path, part);
		if (!name)
			continue;
		struct part_item item = sema_part_item(s->arena, (struct suggestion){name, value_of(c, i)});
		part_items_add(t, &item);
		n_set++;
	}
	part_items_end(t);
	return n_set;
}

/* A part as an item that takes the place of the text's; NULL: nothing in it is set. */
static const char *part_item(const struct search *s, const struct candidate *c, const char *part)
{
	const struct deploy *d = c->space->deploy;
	const struct part_text *text = !strcmp(part, "plan")      ? &d->plan_text
	                               : !strcmp(part, "cluster") ? &d->cluster_text
	                                                          : NULL;
	struct part_items fields = {.text.arena = s->arena, .scope = ""};
	if (text && !text->name)
		text = NULL;
	if (!add_fields(s, c, part, text, &fields) && !search_knob(c->space, part))
		return NULL;
	const char *name = text ? arena_printf(s->arena, "%s = %s", part, text->name) : part;
	return fields.text.n ? arena_printf(s->arena, "%s { %s }", name, fields.text.at) : name;
}

const char *search_choice(const struct search *s, const struct candidate *c, const char *between)
{
	static const char *const parts[] = {"model", "cluster", "plan", "workload"};
	struct text t = {.arena = s->arena};
	for (int i = 0; i < c->space->knobs.n; i++) {
		const struct knob *k = &c->space->knobs.at[i];
		if (!strchr(k->path, '.') && k->kind != CHOICE_PART)
			text_add(&t, "%s%s = %s", t.n ? between : "", k->path, value_of(c, i));
	}
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		const char *item = part_item(s, c, parts[i]);
		if (item)
			text_add(&t, "%s%s", t.n ? between : "", item);
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
