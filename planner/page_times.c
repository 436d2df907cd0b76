/* The times of a plan in its page: metrics with their intervals, and steps over stages and queues. */
#include <math.h>
#include <string.h>
#include "metrics_text.h"
#include "page_html.h"
#include "trace.h"

/* ---- metrics --------------------------------------------------------------------------------- */

/* A figure of a metric, "value" or "interval80/0". */
static void put_metric(const struct html *h, enum metric m, const char *part)
{
	const char *path = arena_printf(h->arena, "plan/times/metrics/%s/%s", metric_name(m), part);
	double value = html_number(h, path);
	fprintf(h->out, "<span data-of=\"%s\" data-metric=\"%s\">%s</span>", path, metric_name(m),
	        isfinite(value) ? metric_text(h->arena, m, value) : "-");
}

static bool has_metric(const struct html *h, enum metric m) { return isfinite(h->page->plan->metrics.of[m].value); }

static bool has_interval(const struct html *h, enum metric m)
{
	const struct estimate *e = &h->page->plan->metrics.of[m];
	return e->low80 < e->high80;
}

void html_metric_tiles(const struct html *h)
{
	static const enum metric main_ones[] = {METRIC_TTFT, METRIC_TPOT, METRIC_THROUGHPUT, METRIC_STEP_TIME, METRIC_MFU};
	static const char *const titles[] = {"to the first token", "between tokens", "of the batch", "for a step",
	                                     "of the peak used"};
	bool training = h->page->plan->training != NULL;
	for (int i = training ? 2 : 0; i < (training ? 5 : 3); i++) {
		enum metric m = main_ones[i];
		if (!has_metric(h, m))
			continue;
		fputs("<div class=\"tile\"><b>", h->out);
		put_metric(h, m, "value");
		fprintf(h->out, "</b><span class=\"soft\">%s; 80%%: ", titles[i]);
		put_metric(h, m, "interval80/0");
		fputs(" to ", h->out);
		put_metric(h, m, "interval80/1");
		fputs("</span></div>\n", h->out);
	}
}

void html_metrics(const struct html *h)
{
	const struct metrics *all = &h->page->plan->metrics;
	fputs("<h2>Predicted</h2>\n<p class=\"soft\">", h->out);
	html_put(h, all->lacks ? arena_printf(h->arena, "Nothing is timed: %s", all->lacks) : all->basis);
	fputs(".</p>\n", h->out);
	if (all->lacks)
		return;
	fputs("<table class=\"narrow\">\n<tr><th>metric</th><th class=\"n\">value</th><th>80% of known tables</th>"
	      "<th class=\"n\">bound</th></tr>\n",
	      h->out);
	for (int m = 0; m < METRICS; m++) {
		if (!has_metric(h, (enum metric)m))
			continue;
		fprintf(h->out, "<tr><td>%s</td><td class=\"n\">", metric_name((enum metric)m));
		put_metric(h, (enum metric)m, "value");
		fputs("</td><td>", h->out);
		if (has_interval(h, (enum metric)m)) {
			put_metric(h, (enum metric)m, "interval80/0");
			fputs(" to ", h->out);
			put_metric(h, (enum metric)m, "interval80/1");
		} else
			fputs("exact", h->out);
		fputs("</td><td class=\"n\">", h->out);
		put_metric(h, (enum metric)m, "bound");
		fputs("</td></tr>\n", h->out);
	}
	fputs("</table>\n", h->out);
}

/* ---- stages ---------------------------------------------------------------------------------- */

enum { MAX_LANES = 16, MAX_MICROBATCHES = 32 };

static void put_stages(const struct html *h, const struct step_time *t)
{
	int stages = h->page->n_stages, lanes = stages < MAX_LANES ? stages : MAX_LANES;
	int64_t n = t->microbatches < MAX_MICROBATCHES ? t->microbatches : MAX_MICROBATCHES;
	const double *start = trace_starts(h->arena, t, stages, n);
	fprintf(h->out, "<p class=\"soft\">Stages, and %s that pass them.</p>\n<div class=\"lanes\">\n",
	        n < t->microbatches ? arena_printf(h->arena, "the first %lld of %lld microbatches", (long long)n,
	                                           (long long)t->microbatches)
	                            : arena_printf(h->arena, "%lld microbatch%s", (long long)n, n == 1 ? "" : "es"));
	for (int stage = 0; stage < lanes; stage++) {
		fprintf(h->out, "<span>stage %d</span><div class=\"lane\">", stage);
		for (int64_t m = 0; m < n; m++)
			fprintf(h->out,
			        "<i class=\"k%d\" data-stage=\"%d\" data-microbatch=\"%lld\" "
			        "style=\"left:%.4f%%;width:%.4f%%\" title=\"microbatch %lld: %s\"></i>",
			        (int)(m % 4), stage, (long long)m, 100 * start[m * stages + stage] / t->seconds,
			        100 * t->stage[stage].seconds / t->seconds, (long long)m,
			        metric_seconds(h->arena, t->stage[stage].seconds));
		fputs("</div>\n", h->out);
	}
	fputs("</div>\n", h->out);
	if (lanes < stages)
		fprintf(h->out, "<p class=\"soft\">The first %d of %d stages.</p>\n", lanes, stages);
}

/* ---- queues ---------------------------------------------------------------------------------- */

/* The list that takes most of the slowest stage. */
static int main_list(const struct html *h, const struct step_time *t)
{
	const struct schedule *s = h->page->plan->schedule;
	int best = 0;
	for (int i = 1; i < t->n_lists; i++)
		if (list_times(s, &t->list[i], t->slowest) * t->list[i].seconds
		    > list_times(s, &t->list[best], t->slowest) * t->list[best].seconds)
			best = i;
	return best;
}

static bool is_term(const struct instr *i) { return i->kind == INSTR_LAUNCH || i->kind == INSTR_COLLECTIVE; }

static bool uses_queue(const struct list_time *l, enum queue q)
{
	for (int i = 0; i < l->list->n; i++)
		if (is_term(&l->list->at[i]) && l->list->at[i].queue == q && l->at[i].end > l->at[i].start)
			return true;
	return false;
}

static void put_queue(const struct html *h, int step, int list, const struct list_time *l, enum queue q)
{
	const struct schedule *s = h->page->plan->schedule;
	fprintf(h->out, "<span>%s</span><div class=\"lane\">", queue_name(q));
	for (int i = 0, term = 0; i < l->list->n; i++) {
		const struct played *at = &l->at[i];
		if (!is_term(&l->list->at[i]))
			continue;
		if (l->list->at[i].queue == q && at->end > at->start) {
			fprintf(h->out,
			        "<i class=\"t%d\" data-term=\"plan/times/steps/%d/lists/%d/terms/%d\" "
			        "style=\"left:%.4f%%;width:%.4f%%\" title=\"",
			        (int)at->term.kind, step, list, term, 100 * at->start / l->seconds,
			        100 * (at->end - at->start) / l->seconds);
			html_put(h, s->op_names.at[l->list->at[i].op]);
			fprintf(h->out, ": %s\"></i>", metric_seconds(h->arena, at->end - at->start));
		}
		term++;
	}
	fputs("</div>\n", h->out);
}

static void put_kinds(const struct html *h, const struct list_time *l)
{
	bool seen[TERM_KINDS] = {false};
	for (int i = 0; i < l->list->n; i++)
		seen[l->at[i].term.kind] |= is_term(&l->list->at[i]) && l->at[i].end > l->at[i].start;
	fputs("<div class=\"key\">", h->out);
	for (int kind = 0; kind < TERM_KINDS; kind++)
		if (seen[kind])
			fprintf(h->out, "<span><i class=\"t%d\"></i>%s</span>", kind, term_kind_name((enum term_kind)kind));
	fputs("</div>\n", h->out);
}

static void put_queues(const struct html *h, int step, const struct step_time *t)
{
	int list = main_list(h, t);
	const struct list_time *l = &t->list[list];
	if (!(l->seconds > 0))
		return;
	fputs("<p class=\"soft\">", h->out);
	html_figure(h, AS_SECONDS, "plan/times/steps/%d/lists/%d/seconds", step, list);
	fputs(block_repeats(l->block->kind) ? " of a layer, run " : " outside the layers, run ", h->out);
	html_figure(h, AS_WHOLE, "plan/times/steps/%d/lists/%d/times/%d", step, list, t->slowest);
	fprintf(h->out, " times for a microbatch on stage %d, by queues.</p>\n", t->slowest);
	put_kinds(h, l);
	fputs("<div class=\"lanes\">\n", h->out);
	for (int q = 0; q < QUEUES; q++)
		if (uses_queue(l, (enum queue)q))
			put_queue(h, step, list, l, (enum queue)q);
	fputs("</div>\n", h->out);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void put_largest(const struct html *h, const char *program)
{
	const json_t *largest = html_value(h, "largest");
	fputs("<table class=\"narrow\">\n<tr><th>what takes the time of the slowest stage</th><th>kind</th><th "
	      "class=\"n\">time</th><th class=\"n\">share</th><th class=\"n\">exposed</th></tr>\n",
	      h->out);
	for (size_t i = 0; i < json_array_size(largest); i++) {
		const json_t *name = html_value(h, arena_printf(h->arena, "largest/%zu/program", i));
		if (strcmp(json_string_value(name), program) != 0)
			continue;
		fputs("<tr><td>", h->out);
		html_name(h, arena_printf(h->arena, "largest/%zu/what", i));
		fputs("</td><td>", h->out);
		html_name(h, arena_printf(h->arena, "largest/%zu/kind", i));
		fputs("</td><td class=\"n\">", h->out);
		html_figure(h, AS_SECONDS, "largest/%zu/seconds", i);
		fputs("</td><td class=\"n\">", h->out);
		html_figure(h, AS_PERCENT, "largest/%zu/share", i);
		fputs("</td><td class=\"n\">", h->out);
		html_figure(h, AS_SECONDS, "largest/%zu/exposed", i);
		fputs("</td></tr>\n", h->out);
	}
	fputs("</table>\n", h->out);
}

static void put_step(const struct html *h, int step, const struct step_time *t, const struct step_load *load)
{
	const char *program = h->page->plan->schedule->programs.at[load->program].name;
	fprintf(h->out, "<h2>A step of %s: ", program);
	html_figure(h, AS_SECONDS, "plan/times/steps/%d/seconds", step);
	fputs("</h2>\n<p class=\"soft\">Of an owner, ", h->out);
	html_figure(h, AS_WHOLE, "plan/times/steps/%d/tokens", step);
	fputs(" tokens in a microbatch, the last of which sees ", h->out);
	html_figure(h, AS_WHOLE, "plan/times/steps/%d/context", step);
	fputs(" positions. Communication that nothing hides: ", h->out);
	html_figure(h, AS_SECONDS, "plan/times/steps/%d/exposed", step);
	fputs("; no schedule on these devices takes less than ", h->out);
	html_figure(h, AS_SECONDS, "plan/times/steps/%d/floor", step);
	fputs(".</p>\n", h->out);
	if (h->page->plan->schedule->stages.n > 1)
		put_stages(h, t);
	put_queues(h, step, t);
	fputs("<p></p>\n", h->out);
	put_largest(h, program);
	html_terms(h, step, t);
}

void html_timelines(const struct html *h)
{
	const struct metrics *m = &h->page->plan->metrics;
	int step = 0;
	if (m->lacks)
		return;
	if (m->prefill)
		put_step(h, step++, m->prefill, &m->prefill_load);
	if (m->decode)
		put_step(h, step, m->decode, &m->decode_load);
}
