/* A `serve` as it would run: units of a deployment that read prompts, units of another that continue them, and the
 * caches that go from the ones to the others.
 *
 * Assumed: prompts come evenly and all have the longest length; a rank's link carries one sequence at a time; sending
 * and receiving run beside the kernels. The first token is the one that the pool of decode returns: the prompt is read,
 * its cache arrives, and a decode step takes the last position. */
#ifndef DEPLOYC_POOLS_H
#define DEPLOYC_POOLS_H
#include <jansson.h>
#include "handover.h"
#include "metrics.h"
#include "planner.h"

/* One pool. Figures of a unit; without times they are missing, with their bounds. */
struct pool_side {
	const struct deploy *deploy;
	struct cache_side cache; /* schedule NULL: errors left nothing to plan */
	struct metrics metrics;
	int64_t units, first, end; /* its units have devices in [first, end) of the cluster */
	bool sized;                /* the number of units follows from the rate */
	struct estimate rate;      /* sequences/s that a unit reads, or continues */
	struct estimate links;     /* sequences/s that its links carry */
};
struct pools {
	const struct joint *joint;
	struct pool_side side[SERVE_SIDES];
	const char *unplanned; /* why there is nothing below; NULL: it is planned */
	struct handover longest, shortest;
	int64_t devices;                   /* that units have */
	int level;                         /* of the cluster, that joins the pools; -1: `link` does, or nothing */
	const char *link;                  /* what joins them, for the reader */
	const char *lacks;                 /* what the time of a handover lacks; NULL: nothing */
	struct estimate seconds;           /* of the longest prompt's cache, sent whole */
	int64_t pieces[SEND_WHENS];        /* that it is sent in */
	struct estimate ready[SEND_WHENS]; /* from the prompt's arrival to that of its cache */
	/* The fewest units with which both pools together serve 95% of what they would if units were divisible, at most 64
	 * of each. 0: not known, or there are none. */
	int64_t balance[SERVE_SIDES];
	struct metrics metrics; /* of both pools together */
};

/* Plans both deployments, in silence, and what joins them; sets the devices and the sequences of j->self. Reports
 * E0611. In the arena. */
struct pools *planner_pools(struct arena *arena, struct names *names, struct sink *sink, struct joint *j,
                            const struct target *target);
/* The totals that goals may name: of the model, and of bytes each kind on the device of both pools where it is largest.
 */
int pools_totals(const struct pools *s, struct total out[PLANNER_TOTALS]);
/* Reports a rate that the stated units do not sustain: E0801, E0808, W0811. */
void pools_check_rate(struct arena *arena, struct sink *sink, const struct pools *s);

/* goals.c: `require` and `assert`, as of a deployment. */
void pools_goals(struct sema *sema, const struct pools *s, const struct target *target);

/* pools_report.c: the text and the object of `deployc plan`; totals and metrics as those of a plan. */
struct plan;
struct plan *pools_plan(struct arena *arena, const struct pools *s);
const char *pools_text(struct arena *arena, const struct pools *s);
json_t *pools_json(const struct pools *s);
const char *pools_summary(struct arena *arena, const struct pools *s); /* a line of `deployc check` */
#endif
