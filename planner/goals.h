/* Shared by the files that check goals. */
#ifndef DEPLOYC_GOALS_H
#define DEPLOYC_GOALS_H
#include "../sema/internal.h"
#include "metrics_text.h"
#include "planner.h"

/* How the metrics of an expression are evaluated. */
enum corner_level {
	CORNER_NONE,   /* they have no value: names and dimensions are checked */
	CORNER_BOUNDS, /* from what nothing can surpass to no limit at all */
	CORNER_90      /* over the interval of nine tenths of the tables */
};
enum { MAX_USED = 4 }; /* metrics that one goal may name */

struct goals {
	struct sema *sema;
	const struct deploy *deploy;
	struct total totals[PLANNER_TOTALS];
	int n_totals;
	const struct local *layouts; /* NULL: they are not inferred */
	const struct schedule *schedule;
	struct metrics *metrics; /* NULL until a goal asks */
	enum corner_level level;
	unsigned corner; /* bit i: used[i] is at the high end, else at the low one */
	enum metric used[MAX_USED];
	int n_used;
	const char *lacks; /* why a metric that was named has no value at this level; NULL: they all have one */
};

/* verdict.c */
/* The value of a metric at the goal's corner; V_UNKNOWN without one. */
struct val goal_metric(struct goals *g, enum metric m, const char *name, struct dims dims);
/* Decides a goal that names metrics, and reports E0801, E0808 or W0811. */
void goal_decide(struct goals *g, struct scope *scope, const struct node *item, const char *open);
#endif
