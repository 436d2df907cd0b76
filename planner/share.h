/* A `share`: deployments that hold memory on the same devices, of which the first ranks of each are on device 0. They
 * take turns: one of them runs at a time.
 *
 * Assumed: a turn is long against a step, and the next one begins at once. How long a turn is nobody states, so what a
 * single request sees (ttft, tpot) is not known; what many see in the mean is. */
#ifndef DEPLOYC_SHARE_H
#define DEPLOYC_SHARE_H
#include <jansson.h>
#include "metrics.h"
#include "planner.h"

struct sharer {
	const struct deploy *deploy;
	const struct schedule *schedule;       /* NULL: errors left nothing to plan */
	struct memory memory;                  /* of its rank on the fullest device; 0: it has none there */
	struct metrics metrics;                /* alone */
	struct estimate throughput, sequences; /* in its turns; `lacks` without turns */
};
struct share {
	const struct joint *joint;
	struct sharer *of;     /* [joint.members.n] */
	const char *unplanned; /* why there is nothing below; NULL: it is planned */
	int64_t devices;       /* on which any of them has a rank */
	int64_t fullest;       /* the device that takes most, */
	struct memory memory;  /* by all of them */
	double usable;
	struct metrics metrics; /* of all together */
};

/* Plans all deployments, in silence, and sets the devices of j->self. Reports E0611, E0701. In the arena. */
struct share *planner_share(struct arena *arena, struct names *names, struct sink *sink, struct joint *j,
                            const struct target *target);
/* The totals that goals may name: bytes of the fullest device. */
int share_totals(const struct share *s, struct total out[PLANNER_TOTALS]);
/* goals.c: `require` and `assert`, as of a deployment. */
void share_goals(struct sema *sema, const struct share *s, const struct target *target);

/* The text and the object of `deployc plan`, a line of `deployc check`; totals and metrics as those of a plan. */
struct plan;
struct plan *share_plan(struct arena *arena, const struct share *s);
const char *share_text(struct arena *arena, const struct share *s);
json_t *share_json(const struct share *s);
const char *share_summary(struct arena *arena, const struct share *s);
#endif
