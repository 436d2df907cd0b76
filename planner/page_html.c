/* The page of a plan as HTML. Figures are looked up in the page's data, and name their place there (`data-of`). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "metrics_text.h"
#include "page_html.h"
#include "training.h"
#include "../support/json.h"

/* ---- text and figures ------------------------------------------------------------------------ */

void html_put(const struct html *h, const char *text)
{
	for (; *text; text++) {
		const char *name = *text == '<'   ? "&lt;"
		                   : *text == '>' ? "&gt;"
		                   : *text == '&' ? "&amp;"
		                   : *text == '"' ? "&quot;"
		                                  : NULL;
		if (name)
			fputs(name, h->out);
		else
			putc(*text, h->out);
	}
}

const json_t *html_value(const struct html *h, const char *path)
{
	const json_t *v = h->page->data;
	while (*path && v) {
		size_t n = strcspn(path, "/");
		const char *name = arena_strndup(h->arena, path, n);
		v = json_is_array(v) ? json_array_get(v, (size_t)atoi(name)) : json_object_get(v, name);
		path += n + (path[n] == '/');
	}
	return v;
}

double html_number(const struct html *h, const char *path)
{
	const json_t *v = html_value(h, path);
	return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

void html_name(const struct html *h, const char *path)
{
	const json_t *v = html_value(h, path);
	html_put(h, json_is_string(v) ? json_string_value(v) : "-");
}

/* 98304 as "98,304" */
static const char *grouped(struct arena *a, double value)
{
	char digits[64];
	struct text t = {.arena = a};
	int n = snprintf(digits, sizeof digits, "%.0f", value);
	for (int i = 0; i < n; i++)
		text_add(&t, "%s%c", i && (n - i) % 3 == 0 ? "," : "", digits[i]);
	return t.at;
}

static const char *form_text(struct arena *a, enum html_form form, double value)
{
	if (!isfinite(value))
		return "-";
	switch (form) {
	case AS_BYTES:   return planner_bytes(a, value);
	case AS_COUNT:   return planner_count(a, value);
	case AS_WHOLE:   return grouped(a, value);
	case AS_PERCENT: return arena_printf(a, "%.1f%%", 100 * value);
	case AS_RATE:    return arena_printf(a, "%.4g GB/s", value / 1e9);
	case AS_SECONDS: return value > 0 ? metric_seconds(a, value) : "0 s";
	}
	internal_error("figure of form %d", (int)form);
}

void html_figure(const struct html *h, enum html_form form, const char *fmt, ...)
{
	static const char *const names[] = {[AS_BYTES] = "bytes",     [AS_COUNT] = "count", [AS_WHOLE] = "whole",
	                                    [AS_PERCENT] = "percent", [AS_RATE] = "rate",   [AS_SECONDS] = "seconds"};
	va_list args;
	va_start(args, fmt);
	const char *path = arena_vprintf(h->arena, fmt, args);
	va_end(args);
	fprintf(h->out, "<span data-of=\"%s\" data-as=\"%s\">%s</span>", path, names[form],
	        form_text(h->arena, form, html_number(h, path)));
}

/* ---- head ------------------------------------------------------------------------------------ */

static void begin_tile(const struct html *h, const char *class)
{
	fprintf(h->out, "<div class=\"tile %s\"><b>", class);
}

static void put_verdict(const struct html *h)
{
	const struct page *p = h->page;
	int errors = 0;
	for (int i = 0; i < p->notes.n; i++)
		errors += p->notes.at[i].error;
	begin_tile(h, errors ? "bad" : "good");
	double headroom = html_number(h, "plan/totals/memory.headroom");
	fputs(headroom < 0 ? "does not fit" : errors ? "does not hold" : "fits", h->out);
	fprintf(h->out, "</b><span class=\"soft\">%d error%s, %d warning%s</span></div>\n", errors, plural(errors),
	        p->notes.n - errors, plural(p->notes.n - errors));
}

static void put_tiles(const struct html *h)
{
	fputs("<div class=\"tiles\">\n", h->out);
	put_verdict(h);
	begin_tile(h, "");
	html_figure(h, AS_WHOLE, "plan/ranks");
	fputs("</b><span class=\"soft\">ranks in ", h->out);
	fprintf(h->out, "%d stage%s, ", h->page->n_stages, plural(h->page->n_stages));
	html_figure(h, AS_WHOLE, "plan/layers");
	fputs(" layers</span></div>\n", h->out);
	begin_tile(h, "");
	html_figure(h, AS_COUNT, "plan/totals/params");
	fputs("</b><span class=\"soft\">parameters, ", h->out);
	html_figure(h, AS_COUNT, "plan/totals/params.active");
	fputs(" for a token</span></div>\n", h->out);
	begin_tile(h, "");
	html_figure(h, AS_BYTES, "plan/totals/memory.peak");
	fputs("</b><span class=\"soft\">on the fullest rank, of ", h->out);
	html_figure(h, AS_BYTES, "plan/device/usable");
	fputs("</span></div>\n", h->out);
	begin_tile(h, "");
	html_figure(h, AS_WHOLE, "plan/workload/sequences");
	bool training = h->page->plan->training != NULL;
	fputs(training ? "</b><span class=\"soft\">sequences in a step, of "
	               : "</b><span class=\"soft\">sequences, prompts of ",
	      h->out);
	html_figure(h, AS_WHOLE, "plan/workload/prompt/0");
	if (html_number(h, "plan/workload/prompt/0") < html_number(h, "plan/workload/prompt/1")) {
		fputs(" to ", h->out);
		html_figure(h, AS_WHOLE, "plan/workload/prompt/1");
	}
	fputs(training ? " tokens, in " : ", at most ", h->out);
	html_figure(h, AS_WHOLE, training ? "plan/training/microbatches" : "plan/workload/output");
	fputs(training ? " microbatches</span></div>\n" : " tokens generated</span></div>\n", h->out);
	html_metric_tiles(h);
	fputs("</div>\n", h->out);
}

static void put_head(const struct html *h)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>",
	      h->out);
	html_name(h, "plan/deploy");
	fputs("</title>\n<style>\n", h->out);
	fwrite(page_style, 1, page_style_size, h->out);
	fputs("</style>\n</head>\n<body>\n<h1>", h->out);
	html_name(h, "plan/deploy");
	fputs(" <small>", h->out);
	html_name(h, "plan/model");
	fputs(" on ", h->out);
	html_name(h, "plan/cluster");
	fputs(", plan ", h->out);
	html_name(h, "plan/plan");
	fputs("</small></h1>\n", h->out);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Names in the data, which are the classes of the colours, and titles. */
static const char *const KINDS[][2] = {
	{"weights", "weights"}, {"kv", "kv cache"}, {"activations", "activations"}, {"comm", "communication"}};
static const char *const TRAINING_KINDS[][2] = {{"weights", "weights"},
                                                {"gradients", "gradients"},
                                                {"optimizer", "optimizer"},
                                                {"saved", "saved"},
                                                {"working", "working"}};

/* Kind i of the memory of a plan: its name in the data and its title. NULL: past the last. */
static const char *const *memory_kind(const struct html *h, size_t i)
{
	if (h->page->plan->training)
		return i < sizeof TRAINING_KINDS / sizeof *TRAINING_KINDS ? TRAINING_KINDS[i] : NULL;
	return i < sizeof KINDS / sizeof *KINDS ? KINDS[i] : NULL;
}

/* Where the data has the bytes of a stage. */
static const char *stage_bytes(const struct html *h, int stage, const char *kind)
{
	return arena_printf(h->arena, "plan/%sstages/%d/bytes/%s", h->page->plan->training ? "training/" : "", stage, kind);
}

static void put_key(const struct html *h)
{
	fputs("<div class=\"key\">", h->out);
	const char *const *kind;
	for (size_t i = 0; (kind = memory_kind(h, i)); i++)
		fprintf(h->out, "<span><i class=\"%s\"></i>%s</span>", kind[0], kind[1]);
	fputs("<span><i style=\"background:var(--limit);width:2px\"></i>usable: ", h->out);
	html_figure(h, AS_BYTES, "plan/device/usable");
	fputs(" = ", h->out);
	html_figure(h, AS_BYTES, "plan/device/memory");
	fputs(" less a reserve of ", h->out);
	html_figure(h, AS_BYTES, "plan/device/reserve");
	fputs("</span></div>\n", h->out);
}

/* A part of a bar that is `scale` wide. */
static void put_part(const struct html *h, const char *class, const char *path, const char *title, double scale)
{
	double value = html_number(h, path), share = scale > 0 ? value / scale : 0;
	if (value > 0)
		fprintf(h->out, "<i class=\"%s\" data-of=\"%s\" style=\"width:%.4f%%\" title=\"%s: %s\"></i>", class, path,
		        100 * share, title, planner_bytes(h->arena, value));
}

static const char *run_text(const struct html *h, int run)
{
	struct stage_range r = h->page->runs.at[run];
	return r.end - r.begin == 1 ? arena_printf(h->arena, "stage %d", r.begin)
	                            : arena_printf(h->arena, "stages %d to %d", r.begin, r.end - 1);
}

static void put_memory_bars(const struct html *h, double scale)
{
	double usable = html_number(h, "plan/device/usable");
	fputs("<div class=\"bars\">\n", h->out);
	for (int run = 0; run < h->page->runs.n; run++) {
		int stage = h->page->runs.at[run].begin;
		fprintf(h->out, "<span>%s</span><div class=\"bar\" data-scale=\"%.0f\">", run_text(h, run), scale);
		const char *const *kind;
		for (size_t i = 0; (kind = memory_kind(h, i)); i++)
			put_part(h, kind[0], stage_bytes(h, stage, kind[0]), kind[1], scale);
		if (usable > 0 && usable < scale * 0.999)
			fprintf(h->out, "<span class=\"limit\" style=\"left:%.4f%%\"></span>", 100 * usable / scale);
		fputs("</div><span class=\"n\">", h->out);
		html_figure(h, AS_BYTES, "%s", stage_bytes(h, stage, "peak"));
		fputs("</span>\n", h->out);
	}
	fputs("</div>\n", h->out);
}

/* "0 to 7"; of interleaved chunks, each. */
static void put_layers(const struct html *h, int run)
{
	int stage = h->page->runs.at[run].begin;
	if (!h->page->plan->training) {
		html_figure(h, AS_WHOLE, "graph/stages/%d/layers/0", run);
		fprintf(h->out, " to %.0f", html_number(h, arena_printf(h->arena, "graph/stages/%d/layers/1", run)) - 1);
		return;
	}
	for (int64_t c = 0; c < h->page->plan->training->pipeline.chunks; c++) {
		const char *layers = arena_printf(h->arena, "plan/training/stages/%d/layers/%lld", stage, (long long)c);
		fputs(c ? ", " : "", h->out);
		html_figure(h, AS_WHOLE, "%s/0", layers);
		fprintf(h->out, " to %.0f", html_number(h, arena_printf(h->arena, "%s/1", layers)) - 1);
	}
}

static void put_bytes_cell(const struct html *h, const char *path)
{
	fputs("<td class=\"n\">", h->out);
	html_figure(h, AS_BYTES, "%s", path);
	fputs("</td>", h->out);
}

static void put_memory_table(const struct html *h)
{
	fputs("<table>\n<tr><th>bytes of a rank</th><th>layers</th>", h->out);
	const char *const *kind;
	for (size_t i = 0; (kind = memory_kind(h, i)); i++)
		fprintf(h->out, "<th class=\"n\">%s</th>", kind[1]);
	fputs("<th class=\"n\">all</th></tr>\n", h->out);
	for (int run = 0; run < h->page->runs.n; run++) {
		int stage = h->page->runs.at[run].begin;
		fprintf(h->out, "<tr><td>%s</td><td>", run_text(h, run));
		put_layers(h, run);
		fputs("</td>", h->out);
		for (size_t i = 0; (kind = memory_kind(h, i)); i++)
			put_bytes_cell(h, stage_bytes(h, stage, kind[0]));
		put_bytes_cell(h, stage_bytes(h, stage, "peak"));
		fputs("</tr>\n", h->out);
	}
	fputs("</table>\n", h->out);
}

static void put_memory(const struct html *h)
{
	double usable = html_number(h, "plan/device/usable"), peak = html_number(h, "plan/totals/memory.peak");
	fputs("<h2>Memory of a device</h2>\n", h->out);
	put_key(h);
	put_memory_bars(h, usable > peak ? usable : peak);
	fputs("<p></p>\n", h->out);
	put_memory_table(h);
}

/* ---- ranks ----------------------------------------------------------------------------------- */

/* Units of the innermost level that are drawn: all, or the first ones of each run of stages. */
enum { MAX_UNITS = 16, MAX_CELLS = 64, UNITS_OF_RUN = 2 };

static void put_mesh(const struct html *h)
{
	const struct deploy *d = h->page->plan->deploy;
	int64_t stride = d->gpus;
	fputs("<table class=\"narrow\">\n<tr><th>mesh axis, outermost first</th><th class=\"n\">size</th><th "
	      "class=\"n\">stride</th>"
	      "<th>level that joins its ranks</th></tr>\n",
	      h->out);
	for (int i = 0; i < d->mesh.n; i++) {
		stride /= d->mesh.at[i].size;
		if (d->mesh.at[i].size == 1)
			continue;
		int level = planner_reach_level(d, stride * d->mesh.at[i].size);
		fputs("<tr><td>", h->out);
		html_name(h, arena_printf(h->arena, "plan/mesh/%d/axis", i));
		fputs("</td><td class=\"n\">", h->out);
		html_figure(h, AS_WHOLE, "plan/mesh/%d/size", i);
		fputs("</td><td class=\"n\">", h->out);
		html_figure(h, AS_WHOLE, "plan/mesh/%d/stride", i);
		fputs("</td><td>", h->out);
		html_put(h, level < 0 ? "-" : d->machine.levels.at[level].name);
		fputs("</td></tr>\n", h->out);
	}
	fputs("</table>\n", h->out);
}

/* The coordinates of a rank along the axes that are not the pipeline's: "ep 3 tp 1"; at most the last three. */
static const char *coordinates(const struct html *h, int64_t rank)
{
	const struct page *g = h->page;
	struct text t = {.arena = h->arena};
	for (int i = g->axes.n > 3 ? g->axes.n - 3 : 0; i < g->axes.n; i++)
		text_add(&t, "%s%s %lld", t.n ? " " : "", g->axes.at[i].name,
		         (long long)(rank / g->axes.at[i].stride % g->axes.at[i].size));
	return t.n ? t.at : "";
}

/* The stage of a rank. */
static int stage_of(const struct page *p, int64_t rank)
{
	int64_t stage = 0;
	for (int i = 0; i < p->cuts.n; i++)
		stage = stage * p->cuts.at[i]->size + rank / p->cuts.at[i]->stride % p->cuts.at[i]->size;
	return (int)stage;
}

/* Its first rank. */
static int64_t stage_rank(const struct page *p, int64_t stage)
{
	int64_t rank = 0;
	for (int i = p->cuts.n - 1; i >= 0; i--) {
		rank += stage % p->cuts.at[i]->size * p->cuts.at[i]->stride;
		stage /= p->cuts.at[i]->size;
	}
	return rank;
}

/* Devices of a unit of the innermost level; all of them where the cluster has no levels. */
static int64_t unit_devices(const struct deploy *d)
{
	int64_t devices = d->machine.levels.n ? machine_unit(&d->machine, 0) : d->gpus;
	return devices > 0 ? devices : d->gpus;
}

static int hue(int stage) { return (210 + stage * 137) % 360; }

/* The colours of the first stages of each run. */
static void put_stage_key(const struct html *h)
{
	fputs("<div class=\"key\">", h->out);
	for (int run = 0; run < h->page->runs.n; run++)
		fprintf(h->out, "<span><i class=\"stage\" style=\"--hue:%d\"></i>stage %d</span>",
		        hue(h->page->runs.at[run].begin), h->page->runs.at[run].begin);
	fputs("</div>\n", h->out);
}

static void put_unit(const struct html *h, int64_t unit)
{
	const struct deploy *d = h->page->plan->deploy;
	int64_t size = unit_devices(d), first = unit * size, end = first + size < d->gpus ? first + size : d->gpus;
	int64_t shown = end - first < MAX_CELLS ? end : first + MAX_CELLS;
	fprintf(h->out,
	        "<div class=\"unit\"><span class=\"soft\">%s %lld</span><div class=\"cells\" "
	        "style=\"grid-template-columns:repeat(%d,auto)\">",
	        d->machine.levels.n ? d->machine.levels.at[0].name : "devices", (long long)unit, end - first < 4 ? 2 : 4);
	for (int64_t rank = first; rank < shown; rank++) {
		int stage = stage_of(h->page, rank);
		fprintf(h->out,
		        "<div class=\"cell\" style=\"--hue:%d\" data-rank=\"%lld\" title=\"stage %d\">%lld<small>%s"
		        "</small></div>",
		        hue(stage), (long long)rank, stage, (long long)rank, coordinates(h, rank));
	}
	fputs("</div>", h->out);
	if (shown < end)
		fprintf(h->out, "<span class=\"soft\">and %lld more</span>", (long long)(end - shown));
	fputs("</div>\n", h->out);
}

static void put_units_of_runs(const struct html *h, int64_t units)
{
	const struct page *p = h->page;
	int64_t next = 0;
	for (int run = 0; run < p->runs.n; run++) {
		int64_t first = stage_rank(p, p->runs.at[run].begin) / unit_devices(p->plan->deploy);
		for (int64_t unit = first > next ? first : next; unit < first + UNITS_OF_RUN && unit < units; unit++) {
			put_unit(h, unit);
			next = unit + 1;
		}
	}
}

static void put_ranks(const struct html *h)
{
	const struct deploy *d = h->page->plan->deploy;
	int64_t size = unit_devices(d), units = (d->gpus + size - 1) / size;
	fputs("<h2>Ranks on the cluster</h2>\n<p class=\"soft\">", h->out);
	for (int i = 0; i < d->machine.levels.n; i++) {
		const struct level *level = &d->machine.levels.at[i];
		fputs(i ? "; " : "", h->out);
		html_put(h, level->name);
		fputs(" joins ", h->out);
		html_figure(h, AS_WHOLE, "plan/levels/%d/count", i);
		fputs(i ? " of the units inside it" : " devices", h->out);
		if (figure_known(level->link.bandwidth)) {
			fputs(" by ", h->out);
			html_figure(h, AS_RATE, "plan/levels/%d/bandwidth", i);
			fputs(" each way", h->out);
		}
	}
	fputs("</p>\n", h->out);
	put_stage_key(h);
	fputs("<div class=\"grid\">\n", h->out);
	if (units <= MAX_UNITS)
		for (int64_t unit = 0; unit < units; unit++)
			put_unit(h, unit);
	else
		put_units_of_runs(h, units);
	fputs("</div>\n", h->out);
	if (units > MAX_UNITS)
		fprintf(h->out, "<p class=\"soft\">The first units of each kind of stage, of %s in all.</p>\n",
		        grouped(h->arena, (double)units));
	fputs("<p></p>\n", h->out);
	put_mesh(h);
}

/* ---- communication --------------------------------------------------------------------------- */

static void put_traffic(const struct html *h)
{
	const json_t *traffic = html_value(h, "traffic");
	double scale = 0;
	for (size_t i = 0; i < json_array_size(traffic); i++)
		scale = fmax(scale, html_number(h, arena_printf(h->arena, "traffic/%zu/bytes", i)));
	if (!(scale > 0))
		return;
	fputs(
		"<h2>Communication by level</h2>\n<p class=\"soft\">Bytes that a rank of the busiest stage contributes in the "
		"largest step; of exchanges over experts, one round each.</p>\n<div class=\"key\">",
		h->out);
	for (int kind = 0; kind <= DR_SEND; kind++)
		fprintf(h->out, "<span><i class=\"k%d\"></i>%s</span>", kind, collective_name((enum dr_collective_kind)kind));
	fputs("</div>\n<div class=\"bars\">\n", h->out);
	for (size_t i = 0; i < json_array_size(traffic); i++) {
		if (!(html_number(h, arena_printf(h->arena, "traffic/%zu/bytes", i)) > 0))
			continue;
		fputs("<span>", h->out);
		html_name(h, arena_printf(h->arena, "traffic/%zu/program", i));
		fputs(" over ", h->out);
		html_name(h, arena_printf(h->arena, "traffic/%zu/level", i));
		fprintf(h->out, "</span><div class=\"bar\" data-scale=\"%.0f\">", scale);
		for (int kind = 0; kind <= DR_SEND; kind++) {
			const char *name = collective_name((enum dr_collective_kind)kind);
			put_part(h, arena_printf(h->arena, "k%d", kind), arena_printf(h->arena, "traffic/%zu/kinds/%s", i, name),
			         name, scale);
		}
		fputs("</div><span class=\"n\">", h->out);
		html_figure(h, AS_BYTES, "traffic/%zu/bytes", i);
		fputs("</span>\n", h->out);
	}
	fputs("</div>\n", h->out);
}

/* Collectives, those with the most bytes in a step first. */
struct ranked {
	int index;
	double bytes;
};

static int by_bytes(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return x->index - y->index;
}

static void put_collective(const struct html *h, int i)
{
	static const char *const of[] = {[OFTEN_ONCE] = "once", [OFTEN_LAYER] = " layers", [OFTEN_CUT] = " cuts"};
	const struct plan_collective *c = &h->page->plan->collectives.at[i];
	fputs("<tr><td>", h->out);
	html_name(h, arena_printf(h->arena, "plan/collectives/%d/program", i));
	fputs("</td><td>", h->out);
	html_put(h, c->of->cause);
	fputs("</td><td>", h->out);
	html_name(h, arena_printf(h->arena, "plan/collectives/%d/level", i));
	fputs("</td><td class=\"n\">", h->out);
	if (c->often != OFTEN_ONCE)
		html_figure(h, AS_WHOLE, "plan/collectives/%d/times", i);
	fprintf(h->out, "%s</td><td class=\"n\">", of[c->often]);
	html_figure(h, AS_BYTES, "plan/collectives/%d/bytes", i);
	fprintf(h->out, " / %s</td><td class=\"n\">", plan_unit_name(c->unit));
	html_figure(h, AS_BYTES, "plan/collectives/%d/max_bytes", i);
	fputs("</td></tr>\n", h->out);
}

static void put_collectives(const struct html *h)
{
	enum { LARGEST = 8 };
	const struct plan *p = h->page->plan;
	struct ranked *ranked = arena_array(h->arena, struct ranked, p->collectives.n + 1);
	static const char head[] =
		"<table>\n<tr><th>program</th><th>collective</th><th>level</th><th class=\"n\">in a "
		"microbatch</th><th class=\"n\">a rank contributes</th><th class=\"n\">at most</th></tr>\n";
	int n = 0;
	for (int i = 0; i < p->collectives.n; i++)
		if (p->collectives.at[i].of->kind != DR_RECV)
			ranked[n++] =
				(struct ranked){i, (double)p->collectives.at[i].times * (double)p->collectives.at[i].max_bytes};
	if (!n)
		return;
	qsort(ranked, (size_t)n, sizeof *ranked, by_bytes);
	fprintf(h->out, "<h2>Largest collectives</h2>\n%s", head);
	for (int i = 0; i < n && i < LARGEST; i++)
		put_collective(h, ranked[i].index);
	fputs("</table>\n", h->out);
	if (n <= LARGEST)
		return;
	fprintf(h->out, "<details><summary>All collectives</summary>\n%s", head);
	for (int i = 0; i < p->collectives.n; i++)
		put_collective(h, i);
	fputs("</table></details>\n", h->out);
}

/* ---- weights and diagnostics ----------------------------------------------------------------- */

static void put_weights(const struct html *h)
{
	const struct page *p = h->page;
	fprintf(h->out, "<h2>Largest weights of a rank</h2>\n<p class=\"soft\">Of stage %d, which is the fullest.</p>\n",
	        p->fullest);
	fputs("<table class=\"narrow\">\n<tr><th>param</th><th>format</th><th class=\"n\">copies</th><th class=\"n\">bytes "
	      "of all</th></tr>\n",
	      h->out);
	for (int i = 0; i < p->weights.n; i++) {
		fputs("<tr><td><code>", h->out);
		html_name(h, arena_printf(h->arena, "weights/%d/param", i));
		fputs("</code></td><td>", h->out);
		html_name(h, arena_printf(h->arena, "weights/%d/dtype", i));
		fputs("</td><td class=\"n\">", h->out);
		html_figure(h, AS_WHOLE, "weights/%d/copies", i);
		fputs("</td><td class=\"n\">", h->out);
		html_figure(h, AS_BYTES, "weights/%d/bytes", i);
		fputs("</td></tr>\n", h->out);
	}
	fputs("</table>\n", h->out);
}

/* A message, with `code` marked. */
static void put_message(const struct html *h, const char *text)
{
	const char *tags[] = {"<code>", "</code>"};
	int closes = 0;
	for (size_t n; *text; text += n + (text[n] == '`')) {
		n = strcspn(text, "`");
		html_put(h, arena_strndup(h->arena, text, n));
		if (text[n] == '`' && (closes || strchr(text + n + 1, '`'))) {
			fputs(tags[closes], h->out);
			closes = !closes;
		}
	}
}

static void put_notes(const struct html *h)
{
	const struct page *p = h->page;
	if (!p->notes.n)
		return;
	fputs("<h2>Errors and warnings</h2>\n<table class=\"notes\">\n", h->out);
	for (int i = 0; i < p->notes.n; i++) {
		fprintf(h->out, "<tr><td%s>", p->notes.at[i].error ? " class=\"error\"" : "");
		html_put(h, p->notes.at[i].code);
		fputs("</td><td>", h->out);
		put_message(h, p->notes.at[i].message);
		fputs("</td><td class=\"soft\">", h->out);
		html_put(h, p->notes.at[i].place);
		fputs("</td></tr>\n", h->out);
	}
	fputs("</table>\n", h->out);
}

/* In a script, `<` could end it. */
static void put_data(const struct html *h)
{
	char *text = json_dumps(h->page->data, JSON_COMPACT | JSON_ENSURE_ASCII);
	if (!text)
		internal_error("a page has no JSON form");
	fputs("<script type=\"application/json\" id=\"data\">", h->out);
	for (const char *c = text; *c; c++)
		if (*c == '<')
			fputs("\\u003c", h->out);
		else
			putc(*c, h->out);
	fputs("</script>\n", h->out);
	json_text_free(text);
}

void page_html(struct arena *arena, const struct page *p, FILE *out)
{
	struct html h = {arena, p, out};
	put_head(&h);
	put_tiles(&h);
	put_memory(&h);
	put_ranks(&h);
	html_metrics(&h);
	html_rivals(&h);
	if (p->plan->training)
		html_training(&h);
	else {
		html_timelines(&h);
		put_traffic(&h);
		put_collectives(&h);
		put_weights(&h);
	}
	html_goals(&h);
	put_notes(&h);
	fputs("<footer>Written by <code>deployc report</code> from ", out);
	html_put(&h, p->spec);
	fputs(p->plan->training ? ". Training is planned, not built, in this version.</footer>\n"
	                        : ". Bytes and collectives are those of the launcher.</footer>\n",
	      out);
	put_data(&h);
	fputs("</body>\n</html>\n", out);
}
