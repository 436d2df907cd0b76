/* The time of a step: terms played over the queues of a rank and over the stages of the pipeline. What overlaps, what
 * is exposed and who waits follow from the waits of the schedule (dag/queues.c); nothing is assumed of them. */
#ifndef DEPLOYC_STEP_TIME_H
#define DEPLOYC_STEP_TIME_H
#include "terms.h"

/* When an instruction of a list runs, in s from the start of the list. Of an exchange of several rounds: in the first.
 */
struct played {
	struct term term;
	double start, end;
	double exposed; /* of a collective: s of it in which no kernel runs */
};
/* One list of instructions: a block that runs once, or a layer of one body. */
struct list_time {
	const struct step_block *block;
	int body; /* of the block's loop, from 0 */
	const struct instrs *list;
	struct played *at;        /* [list->n]; what takes no time ends where it starts */
	double seconds;           /* from its start until all queues are idle */
	double host;              /* part of it in which the device waits for the host to start kernels */
	double compute;           /* s in which kernels run */
	double messages;          /* s of collectives, hidden or not */
	double rounds;            /* of the exchange in it, else 1 */
	struct exchange exchange; /* the last one in it; split.experts is 0 where there is none */
};
/* What an operation of the schedule takes in a step, on the slowest stage, in all its layers and microbatches. */
struct op_time {
	const struct term *term; /* the first of it; NULL: it does not run there */
	double seconds, exposed, sent;
	double least_sent, most_sent; /* by the rounds that an exchange can take */
};
struct stage_time {
	double seconds; /* of a microbatch */
	double compute, messages, host;
	struct floor floor;
	double operations, bytes, sent; /* of one rank, for a microbatch */
};
struct step_time {
	double seconds;  /* of the whole step, all microbatches */
	double fixed;    /* part of it: the engine's, which no kernel explains */
	double bubble;   /* share of the stages' time without work */
	double exposed;  /* s in which the slowest stage computes nothing because it communicates */
	double floor;    /* s that no schedule on these devices undercuts */
	struct floor by; /* what it is made of: the same by one resource alone */
	int slowest;     /* stage */
	int64_t microbatches;
	struct stage_time *stage; /* [schedule.stages.n] */
	struct list_time *list;
	int n_lists;
	struct op_time *ops; /* [schedule.op_names.n] */
};
/* The first exchange of experts' rows in a step; NULL: there is none, or no step. */
const struct exchange *step_exchange(const struct step_time *t);
/* fuse.c: gives terms the times, and the bytes, that they have with an engine that fuses kernels. */
void fuse_terms(struct timing *t, struct list_time *l);
/* How often a stage runs a list for a microbatch. */
double list_times(const struct schedule *s, const struct list_time *l, int stage);
/* `microbatches` of the load each. With t->lacks, seconds are NaN and the floor is right. */
struct step_time step_time_of(struct timing *t, const struct step_load *load, int64_t microbatches);
#endif
