/* deployc what-if: one deployment with each combination of several values of its fields, as a table. */
#include "compile.h"
#include <math.h>
#include <string.h>
#include "../planner/metrics_text.h"
#include "../support/json.h"

enum { MAX_ROWS = 1000, WHAT_IF_JSON_VERSION = 1 };

/* A field and the values that it takes in turn: -D plan.tp=1,2,4 */
struct range {
	const char *path;
	VEC(const char *) values;
	const struct node **items; /* `path = value` of each value */
};
/* value NaN: not known; infinite, as the upper end of an interval: there is no end. */
struct figure {
	double value, low80, high80;
};
/* The deployment with one combination of values. */
struct row {
	int *value; /* [ranges]: index into the range's values */
	struct total totals[PLANNER_TOTALS];
	int n_totals;
	double ranks; /* NaN: not known */
	struct figure metrics[METRICS], loaded[LOADED][PERCENTILES];
	const char **codes;
	int n_codes, n_errors;
	bool fits;
};
struct what_if {
	struct arena *arena;
	const struct options *options;
	struct variant base; /* the deployment as it is written */
	bool shared;         /* rows are refinements of it; else mistakes are in the way, and each loads the text */
	VEC(struct range) ranges;
	VEC(struct row) rows;
};

/* ---- ranges ---------------------------------------------------------------------------------- */

/* The length of the value at the start of a text: up to a comma outside brackets and quotes. */
static size_t value_length(const char *text)
{
	int depth = 0;
	bool quoted = false;
	size_t n = 0;
	for (; text[n] && (text[n] != ',' || depth > 0 || quoted); n++) {
		quoted ^= text[n] == '"';
		depth += !quoted && strchr("([{", text[n]) ? 1 : !quoted && strchr(")]}", text[n]) ? -1 : 0;
	}
	return n;
}

static bool split_values(struct what_if *w, struct range *r, const char *text)
{
	for (;; text++) {
		size_t n = value_length(text);
		if (!n) {
			complain("`-D %s=...` has an empty value: separate values by single commas", r->path);
			return false;
		}
		vec_push(w->arena, &r->values, arena_strndup(w->arena, text, n));
		text += n;
		if (!*text)
			return true;
	}
}

static bool begins_with(const char *path, const char *name)
{
	size_t n = strlen(name);
	return !strncmp(path, name, n) && path[n] == '.';
}

/* The path in the deployment, which may begin with its name: other deployments of the file keep their values. */
static const char *path_in(const struct what_if *w, const char *path)
{
	const char *name = w->base.planned.deploy->name;
	return begins_with(path, name) ? path + strlen(name) + 1 : path;
}

/* The path in the file. One of two pools may name a deployment of theirs. */
static const char *path_in_file(const struct what_if *w, const char *path)
{
	const struct joint *j = w->base.compilation.joint;
	for (int i = 0; j && i < j->members.n; i++)
		if (j->members.at[i].deploy && begins_with(path, j->members.at[i].deploy->name))
			return path;
	return arena_printf(w->arena, "%s.%s", w->base.planned.deploy->name, path);
}

/* The values as items of the language. false: one of them is none. */
static bool parse_values(struct what_if *w)
{
	struct compilation *c = &w->base.compilation;
	struct sink saved = c->sink;
	bool good = true;
	c->sink = (struct sink){.arena = w->arena, .sources = &c->sources};
	for (int i = 0; i < w->ranges.n && good; i++) {
		struct range *r = &w->ranges.at[i];
		r->items = arena_array(w->arena, const struct node *, r->values.n);
		for (int k = 0; k < r->values.n && good; k++) {
			r->items[k] = sema_item(c->sema, (struct suggestion){r->path, r->values.at[k]});
			good = r->items[k] && !c->sink.errors;
		}
	}
	c->sink = saved;
	return good;
}

static bool read_ranges(struct what_if *w)
{
	const struct sema_options *sema = &w->options->sema;
	double all = 1;
	struct text product = {.arena = w->arena};
	for (int i = 0; i < sema->n_set; i++) {
		struct range r = {.path = path_in(w, sema->set[i].path)};
		for (int k = 0; k < w->ranges.n; k++)
			if (!strcmp(w->ranges.at[k].path, r.path)) {
				complain("`-D %s` is given twice: list its values, separated by commas", r.path);
				return false;
			}
		if (!split_values(w, &r, sema->set[i].value))
			return false;
		all *= (double)r.values.n;
		text_add(&product, "%s%d", i ? " x " : "", r.values.n);
		vec_push(w->arena, &w->ranges, r);
	}
	if (all <= MAX_ROWS)
		return true;
	complain("%s = %.6g combinations of values: at most %d are tried", product.at, all, MAX_ROWS);
	return false;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static struct figure figure_of(const struct estimate *e)
{
	return e ? (struct figure){e->value, e->low80, e->high80} : (struct figure){NAN, NAN, NAN};
}

static void copy_result(struct what_if *w, struct row *row, const struct variant *v)
{
	const struct plan *p = v->plan;
	row->ranks = p && p->deploy->known && !p->deploy->refused ? (double)p->deploy->gpus : (double)NAN;
	row->n_totals = p ? p->n_totals : 0;
	if (p)
		memcpy(row->totals, p->totals, sizeof row->totals);
	for (int m = 0; m < METRICS; m++)
		row->metrics[m] = figure_of(p ? &p->metrics.of[m] : NULL);
	for (int i = 0; i < LOADED * PERCENTILES; i++)
		row->loaded[i / PERCENTILES][i % PERCENTILES] =
			figure_of(p && p->load ? &p->load->of[i / PERCENTILES][i % PERCENTILES] : NULL);
	row->codes = arena_array(w->arena, const char *, v->n_codes + 1);
	memcpy(row->codes, v->codes, sizeof *row->codes * (size_t)v->n_codes);
	row->n_codes = v->n_codes;
	row->n_errors = v->n_errors;
	const struct joint *j = v->compilation.joint;
	row->fits = p && (j ? j->known : p->schedule || p->training) && !v->n_errors;
}

/* A combination in a compilation of its own. */
static bool plan_alone(struct what_if *w, const int *value, struct arena *scratch, struct variant *v)
{
	const struct compilation *c = &w->base.compilation;
	struct options o = w->base.options;
	const struct sema_options *before = &w->base.options.sema;
	o.deploy = w->base.planned.deploy->name;
	o.sema.overlays = compilation_overlays(c, scratch);
	o.sema.set = arena_array(scratch, struct suggestion, before->n_set + w->ranges.n + 1);
	for (int i = 0; i < before->n_set; i++)
		o.sema.set[i] = before->set[i];
	for (int i = 0; i < w->ranges.n; i++)
		o.sema.set[o.sema.n_set++] =
			(struct suggestion){path_in_file(w, w->ranges.at[i].path), w->ranges.at[i].values.at[value[i]]};
	return variant_plan(v, &o, c->spec, &c->target) == EXIT_OK;
}

static void plan_shared(struct what_if *w, const int *value, struct arena *scratch, struct variant *v)
{
	const struct node **items = arena_array(scratch, const struct node *, w->ranges.n + 1);
	for (int i = 0; i < w->ranges.n; i++)
		items[i] = w->ranges.at[i].items[value[i]];
	variant_with(v, &w->base, items, w->ranges.n);
}

static bool try_row(struct what_if *w, const int *value)
{
	struct arena scratch = {.heap = w->options->heap};
	struct row row = {.value = arena_array(w->arena, int, w->ranges.n + 1)};
	struct variant v;
	bool tried = true;
	memcpy(row.value, value, sizeof *value * (size_t)w->ranges.n);
	if (w->shared)
		plan_shared(w, value, &scratch, &v);
	else
		tried = plan_alone(w, value, &scratch, &v);
	if (tried) {
		copy_result(w, &row, &v);
		vec_push(w->arena, &w->rows, row);
	}
	variant_free(&v);
	arena_free(&scratch);
	return tried;
}

/* The next combination, where the last range changes fastest. false: there is none. */
static bool next_values(const struct what_if *w, int *value)
{
	for (int i = w->ranges.n - 1; i >= 0; i--) {
		if (++value[i] < w->ranges.at[i].values.n)
			return true;
		value[i] = 0;
	}
	return false;
}

/* ---- output ---------------------------------------------------------------------------------- */

static double total_of(const struct row *r, const char *name)
{
	for (int i = 0; i < r->n_totals; i++)
		if (!strcmp(r->totals[i].name, name))
			return r->totals[i].value;
	return (double)NAN;
}

static const char *bytes_of(const struct what_if *w, const struct row *r, const char *name)
{
	double bytes = total_of(r, name);
	return isfinite(bytes) ? planner_bytes(w->arena, bytes) : "-";
}

static const char *values_text(const struct what_if *w, const struct row *r)
{
	struct text t = {.arena = w->arena};
	for (int i = 0; i < w->ranges.n; i++)
		text_add(&t, "%s%s = %s", i ? ", " : "", w->ranges.at[i].path, w->ranges.at[i].values.at[r->value[i]]);
	return t.at ? t.at : "as it is";
}

static int width_of(const struct range *r)
{
	size_t width = strlen(r->path);
	for (int i = 0; i < r->values.n; i++)
		width = strlen(r->values.at[i]) > width ? strlen(r->values.at[i]) : width;
	return (int)width;
}

/* The metrics that have a column, if any row knows them. */
static const enum metric COLUMNS[] = {METRIC_TTFT, METRIC_TPOT, METRIC_THROUGHPUT, METRIC_STEP_TIME};
enum { N_COLUMNS = sizeof COLUMNS / sizeof *COLUMNS };

static bool has_column(const struct what_if *w, enum metric m)
{
	for (int i = 0; i < w->rows.n; i++)
		if (isfinite(w->rows.at[i].metrics[m].value))
			return true;
	return false;
}

/* Does any row know what happens under load? */
static bool has_load(const struct what_if *w)
{
	for (int i = 0; i < w->rows.n; i++)
		if (!isnan(w->rows.at[i].loaded[LOADED_TTFT][P99].value))
			return true;
	return false;
}

static const char *percentile_text(const struct what_if *w, int loaded, int p)
{
	return arena_printf(w->arena, "%s(%s)", percentile_name((enum percentile)p), loaded_name((enum loaded)loaded));
}

static void print_metrics(const struct what_if *w, const struct row *r)
{
	for (int i = 0; i < N_COLUMNS; i++)
		if (has_column(w, COLUMNS[i])) {
			double value = r->metrics[COLUMNS[i]].value;
			printf(" %15s", isfinite(value) ? metric_text(w->arena, COLUMNS[i], value) : "-");
		}
	for (int i = 0; i < LOADED && has_load(w); i++) {
		double value = r->loaded[i][P99].value;
		printf(" %15s", isnan(value) ? "-" : metric_seconds(w->arena, value));
	}
}

/* How wide the intervals are, as multiples of a time: of the narrowest and the widest row. */
static void print_intervals(const struct what_if *w)
{
	double low = INFINITY, high = 0;
	for (int i = 0; i < w->rows.n; i++)
		for (int k = 0; k < N_COLUMNS; k++) {
			const struct row *r = &w->rows.at[i];
			enum metric m = COLUMNS[k];
			if (metric_is_rate(m) || !(r->metrics[m].value > 0))
				continue;
			low = fmin(low, r->metrics[m].low80 / r->metrics[m].value);
			high = fmax(high, r->metrics[m].high80 / r->metrics[m].value);
		}
	if (high > 0)
		printf("80%% of known tables lie between %.2f and %.2f times such a prediction\n", low, high);
}

/* Totals that have a column, and their titles. */
static const struct bytes_column {
	const char *total, *title;
	int width;
} serving[] = {{"memory.weights", "weights", 11},
               {"memory.kv", "kv cache", 11},
               {"memory.activations", "activations", 12},
               {"memory.comm", "communication", 14},
               {"memory.peak", "peak", 11}},
  training[] = {{"memory.weights", "weights", 11},
                {"memory.gradients", "gradients", 11},
                {"memory.optimizer", "optimizer", 12},
                {"memory.activations", "activations", 14},
                {"memory.peak", "peak", 11}};
enum { BYTES_COLUMNS = sizeof serving / sizeof *serving };

static const struct bytes_column *bytes_columns(const struct what_if *w)
{
	return w->base.planned.deploy->needs_training ? training : serving;
}

static void print_row(const struct what_if *w, const struct row *r)
{
	double headroom = total_of(r, "memory.headroom");
	for (int i = 0; i < w->ranges.n; i++)
		printf("  %*s", width_of(&w->ranges.at[i]), w->ranges.at[i].values.at[r->value[i]]);
	printf("  %7s", isfinite(r->ranks) ? arena_printf(w->arena, "%.0f", r->ranks) : "-");
	for (int i = 0; i < BYTES_COLUMNS; i++)
		printf(" %*s", bytes_columns(w)[i].width, bytes_of(w, r, bytes_columns(w)[i].total));
	printf(" %9s", isfinite(headroom) ? arena_printf(w->arena, "%.1f%%", 100 * headroom) : "-");
	print_metrics(w, r);
	printf("  %s", r->fits ? "fits" : r->n_errors ? "" : "open");
	for (int i = 0; i < r->n_codes; i++)
		printf("%s%s", i || r->fits || !r->n_errors ? " " : "", r->codes[i]);
	putchar('\n');
}

static void print_text(const struct what_if *w)
{
	const struct row *least = NULL;
	int fit = 0;
	printf("%s of %s: bytes of the fullest rank\n", w->base.planned.deploy->name, w->base.compilation.label);
	for (int i = 0; i < w->ranges.n; i++)
		printf("  %*s", width_of(&w->ranges.at[i]), w->ranges.at[i].path);
	printf("  %7s", "ranks");
	for (int i = 0; i < BYTES_COLUMNS; i++)
		printf(" %*s", bytes_columns(w)[i].width, bytes_columns(w)[i].title);
	printf(" %9s", "headroom");
	for (int i = 0; i < N_COLUMNS; i++)
		if (has_column(w, COLUMNS[i]))
			printf(" %15s", metric_name(COLUMNS[i]));
	for (int i = 0; i < LOADED && has_load(w); i++)
		printf(" %15s", percentile_text(w, i, P99));
	printf("  verdict\n");
	for (int i = 0; i < w->rows.n; i++) {
		const struct row *r = &w->rows.at[i];
		print_row(w, r);
		fit += r->fits;
		if (r->fits && (!least || total_of(r, "memory.peak") < total_of(least, "memory.peak")))
			least = r;
	}
	printf("%d of %d fit", fit, w->rows.n);
	if (least && fit > 1)
		printf("; the least memory: %s", values_text(w, least));
	printf("\n");
	print_intervals(w);
}

static json_t *codes_of(const struct row *r, bool errors)
{
	json_t *array = json_array();
	for (int i = errors ? 0 : r->n_errors; i < (errors ? r->n_errors : r->n_codes); i++)
		json_array_append_new(array, json_string(r->codes[i]));
	return array;
}

static void set_figure(json_t *metrics, const char *name, const struct figure *f)
{
	if (!isfinite(f->value))
		return;
	json_t *metric = json_object();
	json_set(metric, "value", json_figure(f->value));
	json_set(metric, "interval80", json_range(f->low80, f->high80));
	json_set(metrics, name, metric);
}

static json_t *row_metrics(const struct what_if *w, const struct row *r)
{
	json_t *metrics = json_object();
	for (int m = 0; m < METRICS; m++)
		set_figure(metrics, metric_name((enum metric)m), &r->metrics[m]);
	for (int i = 0; i < LOADED * PERCENTILES; i++)
		set_figure(metrics, percentile_text(w, i / PERCENTILES, i % PERCENTILES),
		           &r->loaded[i / PERCENTILES][i % PERCENTILES]);
	return metrics;
}

static json_t *row_of(const struct what_if *w, const struct row *r)
{
	json_t *row = json_object(), *values = json_object(), *totals = json_object();
	for (int i = 0; i < w->ranges.n; i++)
		json_set(values, w->ranges.at[i].path, json_text(w->ranges.at[i].values.at[r->value[i]]));
	for (int i = 0; i < r->n_totals; i++)
		json_set(totals, r->totals[i].name, json_figure(r->totals[i].value));
	json_set(row, "values", values);
	json_set(row, "ranks", json_figure(r->ranks));
	json_set(row, "totals", totals);
	json_set(row, "metrics", row_metrics(w, r));
	json_set(row, "fits", json_boolean(r->fits));
	json_set(row, "errors", codes_of(r, true));
	json_set(row, "warnings", codes_of(r, false));
	return row;
}

static void print_json(const struct what_if *w)
{
	json_t *document = json_document("deployc-what-if", WHAT_IF_JSON_VERSION), *rows = json_array();
	for (int i = 0; i < w->rows.n; i++)
		json_array_append_new(rows, row_of(w, &w->rows.at[i]));
	json_set(document, "spec", json_text(w->base.compilation.label));
	json_set(document, "deploy", json_text(w->base.planned.deploy->name));
	json_set(document, "rows", rows);
	json_put_lines(document, stdout);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int try_all(struct what_if *w)
{
	struct options base = *w->options;
	struct lock lock;
	base.sema.set = NULL;
	base.sema.n_set = 0;
	base = lock_use(&base, base.specs[0], w->arena, &lock);
	int status = variant_plan(&w->base, &base, base.specs[0], NULL);
	if (status == EXIT_OK && !w->base.planned.deploy) {
		print_diagnostics(w->options, &w->base.compilation.sink, true);
		status = EXIT_ERRORS;
	}
	if (status != EXIT_OK)
		return status;
	if (!read_ranges(w))
		return EXIT_USAGE;
	int *value = arena_array(w->arena, int, w->ranges.n + 1);
	bool fits = false;
	w->shared = !w->base.errors_loaded && !w->base.compilation.joint && parse_values(w);
	do
		if (!try_row(w, value))
			return EXIT_ERRORS;
	while (next_values(w, value));
	for (int i = 0; i < w->rows.n; i++)
		fits |= !w->rows.at[i].n_errors;
	(w->options->format == FORM_JSON ? print_json : print_text)(w);
	return fits ? EXIT_OK : EXIT_ERRORS;
}

static int what_if(const struct options *o, int i)
{
	(void)i;
	struct arena arena = {.heap = o->heap};
	struct what_if w = {.arena = &arena, .options = o};
	int status = try_all(&w);
	variant_free(&w.base);
	arena_free(&arena);
	return status;
}

int what_if_spec(const struct options *o) { return run_alone(o, what_if, 0); }
