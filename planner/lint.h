/* What lint.c, lint_step.c and lint_traffic.c share: one deployment whose waste is looked for. */
#ifndef DEPLOYC_PLANNER_LINT_H
#define DEPLOYC_PLANNER_LINT_H
#include "planner.h"
#include "../dag/local.h"

struct lint {
	struct arena *arena;
	struct sink *sink;
	struct local *local;
	const struct deploy *deploy;
	const struct schedule *schedule; /* NULL: a plan of training has none */
	bool *idle[PHASES];              /* [phase][mesh axis]: nothing is split over it */
};

/* lint_step.c */
void lint_step(const struct lint *t);
/* lint_traffic.c */
void lint_traffic(const struct lint *t);
#endif
