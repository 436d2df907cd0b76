/* What copies of experts and moves between ranks would change, were they built: `replicate`, `balance` and `migrate` of
 * a plan. No metric and no verdict takes it into account while W0521 says that they have no effect. */
#ifndef DEPLOYC_STEER_H
#define DEPLOYC_STEER_H
#include <jansson.h>
#include "metrics.h"
#include "training.h"

struct steered {
	struct expert_steering by;    /* as asked for; at most one copy more of each expert is costed */
	struct expert_split split[2]; /* prefill and decode, or a microbatch of training; experts 0: there is none */
	double now[2], then[2];       /* rows of the busiest rank over the mean */
	double copies;                /* bytes of a rank for them, in all of its layers */
	double moved, seconds;        /* bytes that a rank sends if all experts move, and on the links; ABSENT: not known */
};
/* In the arena. NULL: the plan asks for nothing of the kind, or nothing is shared between ranks. */
const struct steered *steered_serving(const struct schedule *s, const struct metrics *m, struct arena *a);
const struct steered *steered_training(const struct training *t, struct arena *a);
void print_steered(struct text *out, struct arena *a, const struct steered *s, bool even);
json_t *steered_json(const struct steered *s);
#endif
