/* Two plans beside each other: what differs in settings, totals and collectives. */
#ifndef DEPLOYC_PLANNER_DIFF_H
#define DEPLOYC_PLANNER_DIFF_H
#include "plan.h"

/* A deployment that is compared. plan NULL: an error left nothing to plan. */
struct compared {
	const char *spec, *deploy; /* as the command line names them */
	const struct plan *plan;
	const struct deploy_setting *settings;
	int n_settings;
	const char *const *codes; /* of its diagnostics, each once, errors first: "E0701" */
	int n_codes, n_errors;
};
/* The texts of a setting; NULL: that side lacks it. */
struct diff_setting {
	const char *path, *text[2];
};
/* A total, or the number of ranks; NaN: that side lacks it. */
struct diff_total {
	const char *name;
	double value[2];
	bool bytes, ratio;
};
/* Collectives of one kind over one group in one region. */
struct diff_traffic {
	const char *program, *kind, *over, *region;
	struct {
		double runs;  /* in a step: of all microbatches and stages, layers or cuts */
		double bytes; /* that one rank contributes to each of them, in the largest step; a round of each exchange */
	} side[2];
};
/* A metric: its value, and the interval that holds four fifths of known tables; NaN: that side has none. */
struct diff_metric {
	enum metric metric;
	double value[2], low80[2], high80[2];
};
struct diff {
	struct compared side[2];
	VEC(struct diff_setting) settings; /* only those that differ */
	VEC(struct diff_total) totals;     /* all */
	VEC(struct diff_metric) metrics;   /* those that a side has */
	VEC(struct diff_traffic) traffic;  /* all */
};

/* diff.c. Everything is in the arena. */
struct diff *planner_diff(struct arena *arena, const struct compared side[2]);
/* diff_print.c: the text, and the document, of `deployc diff` (docs/json.md). The caller releases the latter. */
enum { DIFF_JSON_VERSION = 1 };
const char *diff_text(struct arena *arena, const struct diff *d);
json_t *diff_json(const struct diff *d);
#endif
