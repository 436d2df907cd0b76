/* A predicted step as a trace: what each stage's queues run when, for a viewer of Chrome's trace format. */
#ifndef DEPLOYC_PLANNER_TRACE_H
#define DEPLOYC_PLANNER_TRACE_H
#include "plan.h"

/* When each stage starts each of the first microbatches, in s from the start of the step: [microbatch * stages +
 * stage]. A stage starts a microbatch when it has ended the one before, and the stage before has ended this one. */
double *trace_starts(struct arena *arena, const struct step_time *t, int stages, int64_t microbatches);

/* A prefill step, then a decode step, of a plan with times; of training, one step of it. If that is more than
 * TRACE_MAX_EVENTS, of the first microbatches of each, at least one. docs/json.md lists the members. */
void trace_json(struct arena *arena, const struct plan *p, const char *spec, FILE *out);
#endif
