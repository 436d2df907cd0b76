/* What the files that write the page share. */
#ifndef DEPLOYC_PLANNER_PAGE_HTML_H
#define DEPLOYC_PLANNER_PAGE_HTML_H
#include "page.h"

struct html {
	struct arena *arena;
	const struct page *page;
	FILE *out;
};
void html_put(const struct html *h, const char *text); /* escaped */
/* The value at a path of the data, such as "plan/stages/0/bytes/peak". NULL, or NaN: there is none. */
const json_t *html_value(const struct html *h, const char *path);
double html_number(const struct html *h, const char *path);
void html_name(const struct html *h, const char *path); /* writes a string of the data; a dash for null */

enum html_form { AS_BYTES, AS_COUNT, AS_WHOLE, AS_PERCENT, AS_RATE, AS_SECONDS };
/* Writes a figure of the data. */
void html_figure(const struct html *h, enum html_form form, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* page_times.c: tiles of the main metrics; all metrics, and the timeline of each step; what takes the time. All are
 * empty for a plan without times. */
void html_metric_tiles(const struct html *h);
void html_metrics(const struct html *h);
void html_timelines(const struct html *h);
/* page_terms.c: all terms of a step that the data has at plan/times/steps/`step`. */
struct step_time;
void html_terms(const struct html *h, int step, const struct step_time *t);
/* page_rivals.c: what a search found: a plot of throughput over tpot, and the plans that none surpasses. */
void html_rivals(const struct html *h);
/* page_training.c: a step of training over stages, and its parts; goals and what was decided of them. */
void html_training(const struct html *h);
void html_goals(const struct html *h);
#endif
