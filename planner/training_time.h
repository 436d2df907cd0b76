/* The time of a training step, by docs/planner.md, Training: operators of the forward program one at a time, their
 * backward pass, what is computed again; then pieces of the model over the pipeline, gradients over ranks, optimizer.
 */
#ifndef DEPLOYC_TRAINING_TIME_H
#define DEPLOYC_TRAINING_TIME_H
#include "pipeline.h"
#include "timing.h"
#include "training.h"

/* Mesh atoms, one bit each, by local value. */
struct training_pending {
	uint64_t *of;       /* over which the gradient of a value is pending, as its readers leave it */
	uint64_t *resolved; /* over which it is added up where the value was made: an all-reduce */
};
/* training_back.c */
void training_find_pending(const struct training *t, struct training_pending *out);
uint64_t training_move_atoms(const struct local_value *v);

/* What one layer, or what lies outside the loops, takes of a rank for one microbatch, in s. */
struct training_cost {
	double forward, backward;         /* kernels */
	double products, products_back;   /* the part of them that are products with weights */
	double messages, messages_back;   /* collectives that kernels wait for */
	double exchanges, exchanges_back; /* of experts' rows */
	double again, messages_again;     /* what is computed again in the backward pass */
	double gathers, scatters;         /* of stored weights, before each pass; of their gradients */
	double launches, launches_again;  /* kernels and collectives of the forward pass; computed again */
	double longest_group;             /* ranks of the largest group that the messages have */
};
/* training_terms.c. body -1: outside the loops, of part `part`. */
struct training_cost training_cost_of(const struct training *t, struct timing *timing,
                                      const struct training_pending *pending, int body, int part);
/* Seconds that the forward pass of the model takes at the peak of one device, over a whole step: of one layer, or of a
 * part. again: of what is computed again alone. */
double training_peak_seconds(const struct training *t, struct timing *timing, int body, int part, bool again);
/* members[i] of time_across() for a group of atoms. */
void training_members(const struct training *t, uint64_t atoms, double *members);
double training_group(const struct training *t, uint64_t atoms); /* its ranks */

/* Seconds of one layer for a microbatch. */
struct layer_time {
	double forward, backward;
};

/* A step. The parts are those of the stage that ends last: busy with kernels, with messages, launching; sending;
 * waiting for others. They add up to `seconds`. */
struct training_time {
	const char *basis; /* timing_basis() */
	const char *lacks; /* the first input that nobody stated; seconds are then ABSENT. NULL: none */
	double seconds;
	double compute, exposed, host, messages, waiting; /* of all microbatches */
	double sync, optimizer, fixed;                    /* after them; fixed: the engine's, which nothing explains */
	double bubble;            /* share of the stages' time without work, while microbatches run */
	double forward, backward; /* of the slowest stage, for a microbatch */
	int slowest;
	double peak_seconds; /* what the operations of the model take at the devices' peak: no step is shorter */
	double peak_again;   /* the same of what is computed again */
	bool experts;
	struct interval interval;      /* of the step's time */
	const struct layer_time *body; /* of each body of the program */
	/* What the step is played from; absent with `lacks`. */
	struct pipeline_pieces pieces;
	double microbatches;                        /* until every stage has ended them */
	const double *stage_sync, *stage_optimizer; /* of each stage, after its microbatches */
};
/* training_time.c */
struct training_time training_time_of(const struct training *t, struct arena *arena);
/* The same training with sequences of `length`, in `of`, which it refers to: for its times, not for its bytes. */
struct training training_at(const struct training *t, int64_t length, struct deploy *of);
/* Of a workload with a range of lengths: a step whose sequences all have the mean of the shortest and the longest,
 * which is less than the longest. false: it has one length, or nothing can be timed. */
bool training_mean_step(const struct training *t, struct arena *arena, double *length, double *seconds);

/* training_passes.c: row operations that one kernel runs. training_in_memory (training.h) says what they write. */
struct training_pass {
	int value; /* what it writes */
	double bytes;
	bool reduces;
};
struct training_passes {
	struct training_pass *at;
	int n, cap;
};
struct training_passes training_find_passes(const struct training *t);
#endif
