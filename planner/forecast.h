/* What a launcher prints beside its own measurements: predicted times of steps of many sizes, and the bytes that each
 * level of the cluster carries. */
#ifndef DEPLOYC_FORECAST_H
#define DEPLOYC_FORECAST_H
#include "../runtime/abi.h"
#include "../support/arena.h"

struct plan;

/* Of a phase, as struct dr_forecast has it. Steps between the sizes are interpolated. */
struct forecast_grid {
	double *tokens, *queries, *before;
	int n_tokens, n_queries, n_before;
	struct dr_predicted *at;
};
struct forecast {
	const char *lacks; /* why nothing is predicted; NULL: the grids are there */
	struct forecast_grid grid[DR_PHASES];
	VEC(struct dr_traffic) traffic; /* exact: of the schedule */
};
/* Of a plan with a schedule; in the arena. */
struct forecast *planner_forecast(struct arena *arena, const struct plan *p);
#endif
