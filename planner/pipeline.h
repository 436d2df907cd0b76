/* The time of a pipeline's step: the orders of support/stage_order.h, played with a time for each piece of the model.
 * Pure functions: what stages wait for is an outcome, and so is the bubble. */
#ifndef DEPLOYC_PIPELINE_H
#define DEPLOYC_PIPELINE_H
#include "../support/arena.h"
#include "../support/stage_order.h"

/* Seconds for one microbatch; all are finite and at least 0, those of forwards above 0. The model is cut into
 * stages * chunks pieces: piece c * stages + s is chunk c of stage s. */
struct pipeline_pieces {
	const double *forward;
	const double *backward; /* NULL, as long as the pipeline has no backwards */
	/* The part of a backward for params alone, which no other stage waits for, and which is not in `backward`: a stage
	 * runs it as many microbatches later as there are stages before it (Qi et al., arXiv 2401.10241, ZB-H1). NULL:
	 * there is none; else the order is PIPELINE_ONE_F_ONE_B, and microbatches in flight are `stages` on each stage. */
	const double *params;
	const double
		*transfer;   /* from stage s to the next one, from the last to the first, and back. NULL: takes no time */
	bool overlapped; /* a stage computes while it sends; else what follows waits until it has sent */
};
struct pipeline_time {
	double seconds; /* until every stage has ended */
	double bubble;  /* share of the stages' time in which they neither compute nor send: at least 0, below 1 */
};
/* pipeline_fits(p) holds. The time does not grow with microbatches as soon as stages repeat themselves; the result is
 * that of all microbatches, apart from rounding. Memory for it stays in `scratch`.
 * busy: of each stage the seconds in which it computes or sends, or NULL. */
struct pipeline_time pipeline_time(struct arena *scratch, const struct pipeline *p,
                                   const struct pipeline_pieces *pieces, double *busy);
/* The share of the stages' time that they wait whatever the pieces take, as each waits at least until the stages before
 * it have begun, and after they have ended; 0 where several chunks of a stage may make up for that. */
double pipeline_least_bubble(const struct pipeline *p);
/* What a stage does in one entry of its order: it computes from `start` to `end`, has sent the result at `sent`, and
 * computes what params alone need until `params`. */
struct pipeline_event {
	enum stage_program program;
	int64_t microbatch, piece;
	double start, end, sent, params;
};
/* All entries of a step of so many microbatches as `p` says, each of which is played: [stage * stage_entries + i]. */
struct pipeline_event *pipeline_events(struct arena *arena, const struct pipeline *p,
                                       const struct pipeline_pieces *pieces);
/* The same by playing every microbatch. */
struct pipeline_time pipeline_time_in_full(struct arena *scratch, const struct pipeline *p,
                                           const struct pipeline_pieces *pieces, double *busy);
#endif
