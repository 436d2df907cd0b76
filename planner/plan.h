/* What `deployc plan` says of a deployment, as figures: the texts, JSON and pictures of a plan are written from it.
 * Bytes and collectives are read from the schedule, in base units. */
#ifndef DEPLOYC_PLANNER_PLAN_H
#define DEPLOYC_PLANNER_PLAN_H
#include <jansson.h>
#include "load.h"
#include "metrics.h"
#include "planner.h"
#include "steer.h"

/* What a collective's bytes are counted for. */
enum plan_unit {
	UNIT_CALL,  /* one run of the collective */
	UNIT_TOKEN, /* of a microbatch */
	UNIT_ROW,   /* whose logits are wanted */
	UNIT_PAGE,  /* in use */
	UNIT_ROUND, /* of an exchange over experts, whose size is fixed */
	PLAN_UNITS
};
/* What each run of a collective belongs to. */
enum plan_often { OFTEN_ONCE, OFTEN_LAYER, OFTEN_CUT };

/* A collective of a step program. Equal ones of several loop bodies are one. */
struct plan_collective {
	const struct collective *of; /* the first of them */
	enum plan_unit unit;
	double bytes;      /* that a rank contributes for each unit; of messages: that it sends, or receives */
	int64_t max_bytes; /* that a rank contributes in one run, over all steps; of exchanges: in one round */
	enum plan_often often;
	int64_t times; /* runs for a microbatch: the layers that have it, the cuts that it crosses, or 1 */
	bool all;      /* all layers, or all cuts */
	int level;     /* planner_group_level */
};

enum { PLAN_JSON_VERSION = 1 }; /* of the form of plan_json */

struct plan {
	const struct deploy *deploy;
	const struct schedule *schedule; /* NULL: training, or a plan that `auto` leaves open; the rest is then empty */
	const struct training *training; /* NULL: another workload, or a plan that is left open */
	struct total totals[PLANNER_TOTALS];
	int n_totals;
	double usable; /* planner_usable */
	/* Neighbouring stages of equal bytes; `begin` is the first of them. */
	VEC(struct stage_range) stages;
	VEC(struct plan_collective) collectives; /* in the order of the programs */
	int *line_of;                            /* [schedule.collectives.n]: index into `collectives` */
	struct metrics metrics;
	struct load *load;             /* NULL: the workload does not say what arrives */
	const struct steered *steered; /* NULL: the plan steers no experts */
	struct goal_list goals;        /* set by the caller; none: they were not judged */
};

/* plan.c. `s` and `t` NULL: only what is known of the model. Everything is in the arena. */
struct plan *planner_plan(struct arena *arena, const struct deploy *d, const struct schedule *s,
                          const struct training *t);
/* The same without the queue of requests that arrive, which takes long to play: `load` is NULL. */
struct plan *planner_plan_at_rest(struct arena *arena, const struct deploy *d, const struct schedule *s,
                                  const struct training *t);
bool plan_is_message(const struct plan_collective *c); /* DR_SEND or DR_RECV */
const char *plan_unit_name(enum plan_unit unit);       /* "token" */

/* report.c: the text of `deployc plan`, the same in every run. */
const char *plan_text(struct arena *arena, const struct plan *p);

/* plan_json.c: the object of a deployment in `deployc plan --format=json`, and parts of it (docs/json.md). The caller
 * releases them. */
json_t *plan_json(const struct plan *p);
json_t *plan_collective_json(const struct plan *p, const struct plan_collective *c);
json_t *estimate_json(const struct estimate *e);                             /* times_json.c */
json_t *balance_json(const struct expert_split *s, const struct balance *b); /* times_json.c */
json_t *plan_times_json(const struct plan *p); /* times_json.c; of a plan with a schedule */
json_t *training_json(const struct training *t);
json_t *plan_memory_json(const struct memory *m);
json_t *plan_over_json(const struct schedule *s, const struct group *g); /* names of the atoms, major to minor */
#endif
