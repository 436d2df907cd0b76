/* schedule + machine -> totals, the verdict on memory, and the text of `deployc plan`.
 * What is printed here is what the launcher does: bytes and collectives are read from the schedule, never estimated. */
#ifndef DEPLOYC_PLANNER_H
#define DEPLOYC_PLANNER_H
#include "../dag/dag.h"
#include "../sema/sema.h"
#include "../support/diag.h"
#include "../support/names.h"

struct training; /* training.h */

/* What one rank needs, by kind, in bytes. */
struct memory {
	double weights, kv, activations, comm, peak;
};

/* A total that goals may name, such as `memory.kv`. The value is in parameters or bytes; a ratio is a share of 1. */
struct total {
	const char *name;
	double value;
	enum { TOTAL_PARAMS, TOTAL_BYTES, TOTAL_RATIO } unit;
};

enum { PLANNER_TOTALS = 10 };

/* totals.c */
/* The totals that goals may name, and their number. `s` NULL: only those of the model. */
int planner_totals(const struct deploy *d, const struct schedule *s, struct total out[PLANNER_TOTALS]);
/* The totals of a rank in training, and their number. */
int planner_training_totals(const struct training *t, struct total out[PLANNER_TOTALS]);
struct memory planner_stage_memory(const struct schedule *s, int stage); /* activations: with workspaces */
int planner_fullest_stage(const struct schedule *s);
bool planner_has_experts(const struct program *p); /* does it route tokens? */
double planner_usable(const struct deploy *d);     /* bytes of a device less the cluster's reserve */
double planner_param_elements(const struct program *p, const struct param *param); /* of all layers */
/* Bytes of cache that a position takes in all layers; `windows`: only in those that are read through a window. */
double planner_position_bytes(const struct program *p, struct arena *a, bool windows);
const char *planner_bytes(struct arena *a, double bytes); /* "43.5 GiB" */
const char *planner_count(struct arena *a, double n);     /* "46.70 G" */

/* training.c: what a rank does in a step of training, in the arena. */
struct training *training_of(struct arena *a, const struct local *l);

/* fit.c: E0701, with what takes the memory and what would fit; W0702 where hardly any is left. */
void planner_fit(struct arena *arena, struct names *names, struct sink *sink, const struct deploy *d,
                 const struct schedule *s, const struct target *target);

/* The same for training: E0701 where what is counted exactly does not fit, W0706 where the rest decides. */
void planner_fit_training(struct arena *arena, struct names *names, struct sink *sink, const struct training *t);

/* What is decided of a goal, in the words of docs/plans.md. */
enum goal_verdict {
	GOAL_WRONG,      /* it has a mistake, or follows from one: reported */
	GOAL_CONFIRMED,  /* exact, and true */
	GOAL_FALSE,      /* exact, and false */
	GOAL_PROVED,     /* true whatever happens, by bytes, counts and peaks alone */
	GOAL_IMPOSSIBLE, /* false, by the same */
	GOAL_HOLDS,      /* predicted, over the 90% interval */
	GOAL_FAILS,      /* predicted to fail */
	GOAL_OPEN,
	GOAL_VERDICTS
};
const char *goal_verdict_name(enum goal_verdict v); /* "holds" */
struct judged_goal {
	bool required;       /* `require`, else `assert` */
	const char *text;    /* the expression, as it is written */
	const char *message; /* NULL: the author gave none */
	enum goal_verdict verdict;
};
struct goal_list {
	struct judged_goal *at;
	int n, cap;
};
/* goals.c: `require`, `assert`, `prefer` of a deployment: E0802, E0806, E0807, W0811. `l` NULL: what needs layouts is
 * undecided; `s` and `t` NULL: so is what needs bytes. target: what other deployments that goals name are planned for.
 * out: gets the verdicts, in the arena of `sema`; or NULL. */
/* The type of a figure that goals may name: "Time" of `ttft`. NULL: there is no such figure. */
const char *planner_goal_type(const char *name);
void planner_goals(struct sema *sema, const struct deploy *d, const struct local *l, const struct schedule *s,
                   const struct training *t, const struct target *target, struct goal_list *out);

/* lint.c, lint_step.c, lint_traffic.c: W0511 to W0519, W0604, W0607, W0905. `s` may be NULL. */
void planner_lint(struct arena *arena, struct sink *sink, struct local *l, const struct schedule *s);

/* plan.c: the innermost level whose units hold ranks together that differ only along a mesh axis. reach: its stride
 * times its size. -1: the cluster has no levels. */
int planner_reach_level(const struct deploy *d, int64_t reach);
/* The innermost level whose units hold all ranks of a group together; -1: the cluster has no levels. */
int planner_group_level(const struct deploy *d, const struct schedule *s, const struct group *g);

/* report.c: the line of `deployc check` for a deployment without errors: model, parameters, ranks, bytes of the fullest
 * rank. `s` and `t` NULL: the plan is left open. */
const char *planner_summary(struct arena *arena, const struct deploy *d, const struct schedule *s,
                            const struct training *t);
#endif
