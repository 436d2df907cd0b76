/* The terms of a step's time: one for each instruction of the schedule. Sizes are those of the instruction's kernel or
 * collective, seconds those of planner/time.h. Nothing here knows of models or regions. */
#ifndef DEPLOYC_TERMS_H
#define DEPLOYC_TERMS_H
#include "../dag/dag.h"
#include "timing.h"

/* What a microbatch of a step has to do. */
struct step_load {
	int program;      /* index into schedule.programs */
	double tokens;    /* of an owner, before padding */
	double sequences; /* of an owner, that these tokens belong to */
	double context;   /* positions that the last query of a sequence sees, itself included; mean over sequences */
	double rows;      /* rows of logits of an owner */
};

/* s that no device with this data sheet undercuts, whatever its kernels: operations over the peak, params and caches
 * over the bandwidth of memory, bytes sent over that of links. The three may overlap. */
struct floor {
	double compute, memory, links;
};
struct term {
	const struct instr *instr;
	enum term_kind kind;
	struct time_parts parts;
	double seconds; /* of the parts */
	struct floor floor;
	double operations, bytes; /* of memory */
	double sent;              /* bytes that leave a rank */
	double expert_bytes;      /* of params that one expert has in a product of experts */
	int level;                /* of the machine, that the collective crosses; -1: none */
	/* of a launch */
	struct kernel_work work;  /* sizes, */
	struct kernel_cost timed; /* operations and bytes of the busiest rank, which the time is of */
	double hit;               /* groups of weights that have rows */
	const int64_t *values;    /* of its number arguments, by position */
};

/* What the terms of a schedule are made with. `lacks` may be set at once; floors are right even so. */
struct timing timing_of(const struct schedule *s, struct arena *arena);

/* The values of a microbatch on one rank. No size depends on the rank's index. */
struct step_values step_load_values(const struct timing *t, const struct step_load *load);

/* An exchange of experts' rows, in a step. Of an even routing all ranks get equally many. */
struct exchange {
	struct expert_split split;
	struct balance balance;
	double rounds;                    /* as many as the longest message needs */
	double least_rounds, most_rounds; /* if all messages are equally long, and if one rank gets all that it can */
	double filled, most_filled; /* share of a round's buffers that rows fill: the mean of all ranks, and the busiest */
	double hit, least_hit;      /* experts of a rank that get a row: expected; no fewer are possible */
};
struct exchange exchange_of(const struct timing *t, const struct step_values *v, const struct instr *rounds);

/* The term of a launch or a collective. v: the load's values. x: the exchange that it lies in; NULL: in none. With
 * t->lacks, seconds is NaN. */
void term_of(struct timing *t, const struct step_load *load, const struct step_values *v, const struct instr *i,
             const struct exchange *x, struct term *out);
bool space_is_params(enum dr_space space);
/* members[i] of time_across() for the ranks that share experts. */
void expert_members(const struct schedule *s, const struct expert_split *split, double *members);
/* members[i] of time_across(): the ranks of a group, by levels. */
void group_members(const struct schedule *s, const struct group *g, double *members);
#endif
