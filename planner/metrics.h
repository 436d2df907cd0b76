/* What users ask of a deployment: times, rates and shares, each with an interval or with what is missing. Serving
 * metrics follow from the times of steps (step_time.h).
 *
 * A batch: all sequences of the workload arrive at once; the prompts are read in chunks, then all sequences grow
 * together to the end. A range of lengths means every length in it: a metric is that of the worst. */
#ifndef DEPLOYC_METRICS_H
#define DEPLOYC_METRICS_H
#include "interval.h"
#include "step_time.h"

enum metric {
	METRIC_TTFT,               /* s from arrival to the first token of the longest prompt, alone on the deployment */
	METRIC_TPOT,               /* s between tokens, mean over a generation, all sequences in flight */
	METRIC_THROUGHPUT,         /* tokens/s of prompts and outputs, of the batch */
	METRIC_PREFILL_THROUGHPUT, /* tokens/s while prompts are read */
	METRIC_DECODE_THROUGHPUT,  /* tokens/s while sequences grow */
	METRIC_SEQUENCES,          /* sequences/s, of the batch */
	METRIC_STEP_TIME,          /* s of an optimizer step */
	METRIC_MFU,                /* operations of the model over what the devices could do in the time. Of serving: two
	                              for each active param and token, without those of attention */
	METRIC_HFU,                /* the same with all operations that are carried out */
	METRIC_BUBBLE,             /* share of the stages' time without work; of serving: in decode, if there is any */
	METRIC_COMM_SHARE,         /* share of the time in which a rank does nothing but communicate */
	METRIC_COMM_BYTES,         /* that a rank sends for the batch */
	METRIC_COMM_TIME,          /* s that collectives of the batch take, hidden or not */
	METRIC_COMM_HIDDEN,        /* share of it in which kernels run too */
	METRIC_MEMORY_SHARE,       /* bytes moved over what the memories could move in the time */
	METRIC_COST,               /* USD of the batch */
	METRIC_ENERGY,             /* J of the batch, at the devices' full power */
	METRICS_OF_ONE,            /* those above are of one deployment, these of a `serve`: */
	METRIC_HANDOVER_BYTES = METRICS_OF_ONE, /* of the cache of the longest prompt */
	METRIC_HANDOVER_TIME,                   /* s that it takes to the other pool, sent whole */
	METRICS
};
struct metrics {
	struct estimate of[METRICS];
	const char *lacks; /* what all of them lack; NULL: nothing */
	const char *basis; /* what the intervals rest on, for the reader */
	/* what they were made of, for pictures: the decode step in the middle of a generation, and a prefill step; NULL:
	 * training, or no step of the kind */
	struct step_time *decode, *prefill;
	struct step_load decode_load, prefill_load;
	const struct op_time *ops;              /* of the batch, by operation of the schedule; NULL: not known */
	struct interval interval;               /* of the batch's times */
	double active_params;                   /* that one token uses */
	double prefill_seconds, decode_seconds; /* of the batch, the longest lengths */
	struct floor first_token, batch, token; /* the least s of the first token, of the batch, of a decode step */
};
/* Without seconds, what remains of each estimate is its bound, and what it lacks. */
void metrics_drop_values(struct metrics *m);
/* In the arena. `s` NULL: no schedule, nothing is known. */
struct metrics metrics_of(const struct deploy *d, const struct schedule *s, struct arena *arena);
struct training;
struct metrics training_metrics(const struct training *t, struct arena *arena); /* training_metrics.c */
#endif
