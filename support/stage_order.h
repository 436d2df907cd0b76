/* The order in which a pipeline stage runs the programs of a step. It is a function of a few numbers, so that planner
 * and runtime agree on it without a list that grows; the runtime is linked with this file too. */
#ifndef DEPLOYC_STAGE_ORDER_H
#define DEPLOYC_STAGE_ORDER_H
#include <stdbool.h>
#include <stdint.h>

enum pipeline_order {
	PIPELINE_FILL_DRAIN,  /* all forwards, then all backwards: GPipe (Huang et al., arXiv 1811.06965) */
	PIPELINE_ONE_F_ONE_B, /* backwards as early as they can be: Narayanan et al., arXiv 2104.04473, 2.2.1 */
	PIPELINE_INTERLEAVED, /* the same with several chunks of the model on a stage: 2.2.2 there */
	PIPELINE_ORDERS
};

/* The model is cut into stages * chunks pieces in order: piece c * stages + s is chunk c of stage s. */
struct pipeline {
	enum pipeline_order order;
	int64_t stages, microbatches, chunks; /* all at least 1 */
	bool backward;                        /* each forward has its backward: training */
};

/* One entry of a stage's order. Between a forward and its backward, the activations of the chunk stay in the slot; a
 * forward without a backward leaves none, and every one has slot 0. */
enum stage_program { STAGE_FORWARD, STAGE_BACKWARD };
struct stage_entry {
	enum stage_program program;
	int64_t microbatch, chunk, slot;
};

const char *pipeline_order_name(enum pipeline_order order); /* as in a plan: "one_f_one_b" */
/* Does the order exist? Interleaved stages take as many microbatches at a time as there are stages; the other orders
 * have one chunk. One chunk without backwards can take any number of microbatches. */
bool pipeline_fits(const struct pipeline *p);
/* The number of entries, the same on every stage, and entry i of them. */
int64_t stage_entries(const struct pipeline *p);
struct stage_entry stage_entry(const struct pipeline *p, int64_t stage, int64_t i);
/* Every stage takes its forwards in the same order of microbatches and chunks, and its backwards in another one: number
 * k of each, and the number of each. slot: 0. */
struct stage_entry pipeline_run(const struct pipeline *p, enum stage_program program, int64_t k);
int64_t pipeline_runs(const struct pipeline *p);
/* Forwards before the first pair of a forward and a backward. Pairs follow until no forward is left, then backwards. */
int64_t stage_warm_up(const struct pipeline *p, int64_t stage);
/* The number of slots that the stage uses: chunks of microbatches in flight, at most. */
int64_t stage_slots(const struct pipeline *p, int64_t stage);
/* The maximum number of stages that work at the same time; the others wait. */
int64_t pipeline_busy(const struct pipeline *p);
#endif
