/* A comparison as text and as JSON (docs/json.md). */
#include "diff.h"
#include <math.h>
#include <string.h>
#include "metrics_text.h"
#include "../support/json.h"

/* ---- text ------------------------------------------------------------------------------------ */

enum { MAX_SETTINGS = 40 }; /* lines of settings; the JSON form has all */

static const char *total_text(struct arena *arena, const struct diff_total *t, double value)
{
	if (!isfinite(value))
		return "-";
	if (t->ratio)
		return arena_printf(arena, "%.1f%%", 100 * value);
	if (t->bytes)
		return planner_bytes(arena, value);
	return value < 1e6 ? arena_printf(arena, "%.0f", value) : planner_count(arena, value);
}

/* "+12.5%", "x 16.0", "+4.1 points" of shares; "" for equal ones, and where one is missing. */
static const char *change(struct arena *arena, double a, double b, bool ratio)
{
	if (!isfinite(a) || !isfinite(b) || a == b)
		return "";
	if (ratio && fabs(b - a) < 0.0005)
		return "";
	if (ratio)
		return arena_printf(arena, "%+.1f points", 100 * (b - a));
	if (a == 0 || b == 0)
		return "";
	return b / a >= 2 ? arena_printf(arena, "x %.3g", b / a) : arena_printf(arena, "%+.1f%%", 100 * (b / a - 1));
}

static void print_settings(struct text *t, const struct diff *d)
{
	int width = 0;
	for (int i = 0; i < d->settings.n && i < MAX_SETTINGS; i++) {
		int length = (int)strlen(d->settings.at[i].path);
		width = length > width ? length : width;
	}
	text_add(t, d->settings.n ? "\n  settings\n" : "\n  the same settings\n");
	for (int i = 0; i < d->settings.n && i < MAX_SETTINGS; i++) {
		const struct diff_setting *s = &d->settings.at[i];
		text_add(t, "    %-*s  %s -> %s\n", width, s->path, s->text[0] ? s->text[0] : "-",
		         s->text[1] ? s->text[1] : "-");
	}
	if (d->settings.n > MAX_SETTINGS)
		text_add(t, "    ... and %d more: --format=json has all\n", d->settings.n - MAX_SETTINGS);
}

static void print_totals(struct text *t, const struct diff *d)
{
	text_add(t, "\n  totals %43s %12s\n", "A", "B");
	for (int i = 0; i < d->totals.n; i++) {
		const struct diff_total *total = &d->totals.at[i];
		const char *changed = change(t->arena, total->value[0], total->value[1], total->ratio);
		text_add(t, "    %-33s %12s %12s%s%s\n", total->name, total_text(t->arena, total, total->value[0]),
		         total_text(t->arena, total, total->value[1]), *changed ? "   " : "", changed);
	}
}

static const char *value_text(struct arena *arena, const struct diff_metric *m, int side)
{
	return isfinite(m->value[side]) ? metric_text(arena, m->metric, m->value[side]) : "-";
}

/* "17.1 ms (10.6 ms .. 94.5 ms)": the larger interval is that of the side with less measured. */
static const char *interval_text(struct arena *arena, const struct diff_metric *m, int side)
{
	const char *value = value_text(arena, m, side);
	if (!(m->low80[side] < m->high80[side]))
		return value;
	return arena_printf(arena, "%s (%s .. %s)", value, metric_text(arena, m->metric, m->low80[side]),
	                    metric_text(arena, m->metric, m->high80[side]));
}

static void print_metrics(struct text *t, const struct diff *d)
{
	if (d->metrics.n)
		text_add(t, "\n  predicted, with the interval that holds 80%% of known tables\n");
	for (int i = 0; i < d->metrics.n; i++) {
		const struct diff_metric *m = &d->metrics.at[i];
		bool ratio = strchr(value_text(t->arena, m, 0), '%') != NULL;
		const char *changed = change(t->arena, m->value[0], m->value[1], ratio);
		text_add(t, "    %-20s  A %s\n    %-20s  B %s%s%s\n", metric_name(m->metric), interval_text(t->arena, m, 0), "",
		         interval_text(t->arena, m, 1), *changed ? "   " : "", changed);
	}
}

static const char *side_text(struct arena *arena, const struct diff_traffic *t, int side)
{
	return t->side[side].runs > 0
	           ? arena_printf(arena, "%.0f: %s", t->side[side].runs, planner_bytes(arena, t->side[side].bytes))
	           : "-";
}

static bool is_scheduled(const struct compared *c) { return c->plan && c->plan->schedule; }

static void print_traffic(struct text *t, const struct diff *d)
{
	int n = 0;
	if (!is_scheduled(&d->side[0]) || !is_scheduled(&d->side[1])) {
		text_add(t, "\n  collectives are not compared: one of the plans is not scheduled\n");
		return;
	}
	for (int i = 0; i < d->traffic.n; i++) {
		const struct diff_traffic *c = &d->traffic.at[i];
		if (c->side[0].runs == c->side[1].runs && c->side[0].bytes == c->side[1].bytes)
			continue;
		if (!n++)
			text_add(t, "\n  collectives that differ: runs in the largest step, in all stages; bytes that one rank of "
			            "each contributes\n");
		const char *name = arena_printf(t->arena, "%s: %s over %s at %s", c->program, c->kind, c->over, c->region);
		const char *changed = change(t->arena, c->side[0].bytes, c->side[1].bytes, false);
		text_add(t, "    %-46s %18s %18s%s%s\n", name, side_text(t->arena, c, 0), side_text(t->arena, c, 1),
		         *changed ? "   " : "", changed);
	}
	if (!n)
		text_add(t, "\n  the same collectives\n");
}

static void print_side(struct text *t, const char *letter, const struct compared *c)
{
	text_add(t, "%s  %s of %s", letter, c->deploy, c->spec);
	for (int i = 0; i < c->n_codes; i++)
		text_add(t, "%s%s", i ? " " : ": ", c->codes[i]);
	text_add(t, "\n");
}

const char *diff_text(struct arena *arena, const struct diff *d)
{
	struct text t = {.arena = arena};
	print_side(&t, "A", &d->side[0]);
	print_side(&t, "B", &d->side[1]);
	print_settings(&t, d);
	print_totals(&t, d);
	print_metrics(&t, d);
	print_traffic(&t, d);
	return t.at;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *codes_of(const char *const *codes, int begin, int end)
{
	json_t *array = json_array();
	for (int i = begin; i < end; i++)
		json_array_append_new(array, json_string(codes[i]));
	return array;
}

static json_t *side_of(const struct compared *c)
{
	json_t *side = json_object();
	json_set(side, "spec", json_text(c->spec));
	json_set(side, "deploy", json_text(c->deploy));
	json_set(side, "scheduled", json_boolean(is_scheduled(c)));
	json_set(side, "errors", codes_of(c->codes, 0, c->n_errors));
	json_set(side, "warnings", codes_of(c->codes, c->n_errors, c->n_codes));
	return side;
}

static json_t *settings_of(const struct diff *d)
{
	json_t *array = json_array();
	for (int i = 0; i < d->settings.n; i++) {
		const struct diff_setting *s = &d->settings.at[i];
		json_t *setting = json_object();
		json_set(setting, "path", json_text(s->path));
		json_set(setting, "a", s->text[0] ? json_text(s->text[0]) : json_null());
		json_set(setting, "b", s->text[1] ? json_text(s->text[1]) : json_null());
		json_array_append_new(array, setting);
	}
	return array;
}

static json_t *totals_of(const struct diff *d)
{
	json_t *array = json_array();
	for (int i = 0; i < d->totals.n; i++) {
		const struct diff_total *t = &d->totals.at[i];
		json_t *total = json_object();
		json_set(total, "total", json_text(t->name));
		json_set(total, "a", json_figure(t->value[0]));
		json_set(total, "b", json_figure(t->value[1]));
		json_array_append_new(array, total);
	}
	return array;
}

static json_t *metric_side(const struct diff_metric *m, int side)
{
	if (!isfinite(m->value[side]))
		return json_null();
	json_t *object = json_object();
	json_set(object, "value", json_figure(m->value[side]));
	json_set(object, "interval80", json_range(m->low80[side], m->high80[side]));
	return object;
}

static json_t *metric_list(const struct diff *d)
{
	json_t *array = json_array();
	for (int i = 0; i < d->metrics.n; i++) {
		const struct diff_metric *m = &d->metrics.at[i];
		json_t *metric = json_object();
		json_set(metric, "metric", json_string(metric_name(m->metric)));
		json_set(metric, "a", metric_side(m, 0));
		json_set(metric, "b", metric_side(m, 1));
		json_array_append_new(array, metric);
	}
	return array;
}

static json_t *traffic_side(const struct diff_traffic *t, int side)
{
	json_t *object = json_object();
	json_set(object, "runs", json_figure(t->side[side].runs));
	json_set(object, "bytes", json_figure(t->side[side].bytes));
	return object;
}

static json_t *traffic_of(const struct diff *d)
{
	json_t *array = json_array();
	for (int i = 0; i < d->traffic.n; i++) {
		const struct diff_traffic *t = &d->traffic.at[i];
		json_t *traffic = json_object();
		json_set(traffic, "program", json_text(t->program));
		json_set(traffic, "kind", json_text(t->kind));
		json_set(traffic, "over", json_text(t->over));
		json_set(traffic, "region", json_text(t->region));
		json_set(traffic, "a", traffic_side(t, 0));
		json_set(traffic, "b", traffic_side(t, 1));
		json_array_append_new(array, traffic);
	}
	return array;
}

json_t *diff_json(const struct diff *d)
{
	json_t *document = json_document("deployc-diff", DIFF_JSON_VERSION);
	json_set(document, "a", side_of(&d->side[0]));
	json_set(document, "b", side_of(&d->side[1]));
	json_set(document, "settings", settings_of(d));
	json_set(document, "totals", totals_of(d));
	json_set(document, "metrics", metric_list(d));
	json_set(document, "collectives", traffic_of(d));
	return document;
}
