/* What the steps of all ranks took, and what was predicted of them: `bench`, `run --measure`, `--trace`. */
#ifndef DEPLOY_METER_H
#define DEPLOY_METER_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "../support/timeline.h"
#include "step.h"

struct rank;
struct json_t;

/* Sums over the steps of a phase on one rank. ns; sent: bytes, by level. wall: from the begin of a step to its results;
 * active: until the rank has run its microbatches. waits: for messages of other stages. */
struct meter_sum {
	int64_t steps, wall, active, compute, communication, waits;
	double sent[DR_LEVELS];
};
/* The means of a step, over its ranks: s and bytes. On a device that runs one operation at a time nothing is hidden.
 * bubble: a rank has nothing to do until another stage has done its part. host: all else. */
struct step_figures {
	double step, compute, exposed, hidden, bubble, host, sent[DR_LEVELS];
};
/* A phase, measured and predicted. timed: the device does not queue its work, so that only the whole step is known. */
struct meter_report {
	int64_t steps;
	bool timed, is_predicted;
	struct step_figures measured, predicted;
};

/* Of a rank. sum: since rank 0 asked last; predicted: likewise, on rank 0. others: [groups][DR_LEVELS], the members
 * of each group that share a unit of that level with this rank, but none of a level inside it. */
struct meter {
	struct meter_sum sum[DR_PHASES];
	struct step_figures predicted[DR_PHASES];
	int64_t begin;
	int phase; /* of the step that ran last */
	double *others;
};

/* ---- forecast.c: rank 0 ---- */
/* What deployc predicts of a step; .step 0: no times. */
struct step_figures forecast_of(const struct plan *plan, const struct step *s);
void figures_add(struct step_figures *sum, const struct step_figures *x);

/* ---- meter.c ---- */
void meter_open(struct rank *r);
void meter_close(struct rank *r);
/* Around each step of a rank, and after its microbatches. */
void meter_step_begin(struct rank *r);
void meter_step_ran(struct rank *r);
void meter_step_end(struct rank *r);
/* After a launch, and after a collective in which this rank's part has `elements`. From `begin` until now, in ns. */
void meter_launch(struct rank *r, int32_t kernel, int32_t op, int64_t begin);
void meter_collective(struct rank *r, int32_t collective, int32_t op, int64_t elements, int64_t begin);
/* Each rank, when rank 0 asks for its sums: they begin again at 0. */
void meter_deliver(struct rank *r);

/* ---- meter_read.c ---- */
/* Rank 0: asks all ranks, and sets what their steps took since it asked last. */
void meter_read(struct rank *r, struct meter_report out[DR_PHASES]);

/* ---- meter_text.c ---- */
/* The medians, figure by figure, of n > 0 reports of one phase. */
struct meter_report meter_median(const struct meter_report *of, int n);
void meter_print(const struct plan *plan, int phase, const struct meter_report *m, FILE *out);
struct json_t *meter_json(const struct plan *plan, const struct meter_report *m); /* the caller releases it */

/* ---- timeline.c: --trace ---- */
/* op -1: a layer, or what is outside the layers. ns of now_ns(). */
struct timed {
	int64_t begin, end;
	int32_t op, layer, microbatch, phase;
	uint32_t kind, queue;
	double sent;
};
struct timeline {
	struct timed *at;
	int64_t n, dropped; /* events kept, and not kept */
	int64_t room;
	struct timed open; /* the layer that runs; end 0: none */
};

void timeline_open(struct rank *r);
void timeline_close(struct rank *r);
/* An operation of the current step. */
void timeline_add(struct rank *r, int32_t op, enum term_kind kind, enum queue queue, double sent, int64_t begin,
                  int64_t end);
/* After a microbatch: the layers end. */
void timeline_end_microbatch(struct rank *r);
/* Each rank, when rank 0 asks for its events. */
void timeline_deliver(struct rank *r);

/* ---- timeline_write.c ---- */
/* Rank 0: asks all ranks, and writes the file. */
void timeline_write(struct rank *r);
#endif
