/* How long the steps of a queue take: what the launcher's scheduler chose as a load of step_time.h. */
#ifndef DEPLOYC_LOAD_STEPS_H
#define DEPLOYC_LOAD_STEPS_H
#include "../runtime/scheduler.h"
#include "step_time.h"

/* The time of a step, by its load. */
struct known_step {
	struct step_load load;
	int64_t microbatches; /* 0: the place is free */
	double seconds;
};
struct load_steps {
	struct arena *arena;
	struct timing timing;
	int owners;               /* that a chosen step has */
	bool parts;               /* prompts take several steps in the mean */
	double slower;            /* factor on the time of every chosen step */
	struct known_step *known; /* a hash table of 2^n places, at most half full */
	uint64_t places, n_known;
};
/* Of one owner, at the usual speed. In the arena. */
struct load_steps load_steps_of(const struct schedule *s, struct arena *arena);
/* A step without what it is made of: stages, lists, operations. */
struct step_time load_step(struct load_steps *p, const struct step_load *load, int64_t microbatches);
/* Its seconds, evaluated once. */
double load_step_seconds(struct load_steps *p, const struct step_load *load, int64_t microbatches);
/* For struct queueing: `steps` is a struct load_steps. */
double load_steps_seconds(void *steps, const struct chosen_step *step);
#endif
