/* Plays a queue: requests arrive, the launcher's scheduler (runtime/scheduler.h) chooses steps for them, and a function
 * says how long each takes. Nothing here knows of models or machines. */
#ifndef DEPLOYC_QUEUE_H
#define DEPLOYC_QUEUE_H
#include "../runtime/scheduler.h"

/* The caller sets the first three members; a queue of users overwrites `arrival`. */
struct arriving {
	double arrival;         /* s, rising */
	int64_t prompt, output; /* tokens, at least 1 each; they fit the sizes */
	double first, last;     /* s at which the first and the last token came */
};
struct queueing {
	struct scheduler_sizes sizes;
	struct arriving *requests; /* in the order in which they arrive */
	int64_t n;
	/* 0: requests arrive when they say. Else so many users send them, one after the other: each its first one when one
	 * of the first `users` requests says, and the next one `think` s after the last token of the one before. */
	int64_t users;
	double think;
	double (*seconds)(void *context, const struct chosen_step *step);
	void *context;
	/* out: steps made; how often a sequence lost its pages to an older one; s at which the last token came; whether all
	 * sequences of an owner ever ran, so that more of them might have made other steps */
	int64_t steps, interrupted;
	double end;
	bool full;
};
/* Plays until all requests have ended. */
void queue_play(struct queueing *q);
#endif
