/* Metrics as text. */
#ifndef DEPLOYC_METRICS_TEXT_H
#define DEPLOYC_METRICS_TEXT_H
#include "metrics.h"

const char *metric_name(enum metric m);                            /* "prefill.throughput" */
const char *metric_text(struct arena *a, enum metric m, double x); /* "13.1 ms" */
/* "  (80%: 121 ms .. 1.08 s)"; "" where both ends are the same, or not known. */
const char *metric_interval(struct arena *a, enum metric m, const struct estimate *e);
const char *metric_seconds(struct arena *a, double s);
bool metric_is_rate(enum metric m); /* more is better, and it falls as time rises */
/* What the bound of a metric is made of, in s; NULL: it has none, or it is not a time or a rate. */
const struct floor *metric_floor(const struct metrics *all, enum metric m);
/* How tokens choose experts, as a line of `deployc plan`; a model without experts has none. */
const char *expert_use_name(const struct expert_use *use); /* "zipf" */
void print_routing(struct text *out, struct arena *a, const struct expert_use *use);
void print_balance(struct text *out, const char *what, const struct expert_split *s, const struct balance *b);
/* The metrics, and the largest terms of their steps: a part of `deployc plan`. */
struct plan;
void report_times(struct text *out, struct arena *a, const struct plan *p);
#endif
