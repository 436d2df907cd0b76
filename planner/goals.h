/* Shared by the files that check goals. */
#ifndef DEPLOYC_GOALS_H
#define DEPLOYC_GOALS_H
#include "../sema/internal.h"
#include "load.h"
#include "metrics_text.h"
#include "planner.h"
#include "pools.h"
#include "share.h"

/* How the metrics of an expression are evaluated. */
enum corner_level {
	CORNER_NONE,   /* they have no value: names and dimensions are checked */
	CORNER_BOUNDS, /* from what nothing can surpass to no limit at all */
	CORNER_POINT,  /* as predicted; without a prediction, what nothing can surpass */
	CORNER_90      /* over the interval of nine tenths of the tables */
};
enum { MAX_USED = 4 }; /* metrics that one goal may name */

/* A deployment that a goal is about: the goal's own, or another of the file. */
struct subject {
	const struct deploy *deploy;
	struct total totals[PLANNER_TOTALS];
	int n_totals;
	const struct schedule *schedule;
	const struct training *training; /* NULL: another workload, or a plan that is left open */
	struct metrics *metrics;         /* NULL until a goal asks */
	struct load *load;               /* NULL until a goal asks, and where the workload does not say what arrives */
};
/* Two pools as one subject: their metrics together; bytes of the fullest device of both. */
struct subject pools_subject(struct arena *arena, const struct pools *s);
/* Deployments that share devices, likewise: bytes of the fullest device. */
struct subject share_subject(struct arena *arena, const struct share *s);
/* A figure that a goal names, and that has an interval. */
struct used {
	const char *name; /* as it is written */
	enum metric unit; /* how it is shown, and whether it is a rate */
	struct estimate e;
	const struct subject *of;
};
/* The metrics of a deployment with sequences of another length. */
struct metrics_of_length {
	int64_t length;
	struct metrics metrics;
};
struct goals {
	struct sema *sema;
	const struct target *target;
	struct subject self;
	VEC(struct subject *) others;
	VEC(struct metrics_of_length *) lengths; /* made when the first goal asks */
	const struct local *layouts;             /* NULL: they are not inferred */
	enum corner_level level;
	unsigned corner; /* bit i: used[i] is at the high end, else at the low one */
	struct used used[MAX_USED];
	int n_used;
	bool overloaded;   /* it was reported that a percentile has no end */
	bool bounded;      /* at CORNER_POINT, a metric had no prediction */
	const char *lacks; /* why a metric that was named has no value at this level; NULL: they all have one */
};

/* goals.c: of one deployment. `l`, `s`, `t` may be NULL. */
struct goals goals_of(struct sema *sema, const struct deploy *d, const struct local *l, const struct schedule *s,
                      const struct training *t, const struct target *target);
/* The value of an expression of a goal, at the goals' level. */
struct val goal_value(struct goals *g, const struct placed *goal, const struct node *e);
bool is_comparison(enum bin_op op);

/* goal_pairs.c: reports goals that exclude an earlier one (E0816). For each goal of the deployment's record, whether it
 * was reported: its verdict adds nothing. */
bool *goals_excluded(struct goals *g);

/* verdict.c */
/* The metrics of a deployment, made when the first goal asks. */
const struct metrics *goal_metrics(struct goals *g, struct subject *s);
/* What is known under load; NULL as above. */
struct load *goal_load(struct goals *g, struct subject *s);
/* The value of a figure at the goal's corner; V_UNKNOWN without one. `unit`: the metric that it is shown like. */
struct val goal_figure(struct goals *g, const struct subject *of, const char *name, enum metric unit,
                       const struct estimate *e, struct dims dims);
/* Decides a goal that names metrics, and reports E0801, E0808 or W0811; W0817 if it holds for the longest sequences
 * alone. */
enum goal_verdict goal_decide(struct goals *g, struct scope *scope, const struct node *item, const char *open);

/* goal_layout.c: decides and reports an assertion about a layout. */
enum goal_verdict goal_layout(struct goals *g, const struct node *item);

/* goal_parts.c */
/* Another deployment of the file, planned in silence; NULL: there is none of that name. */
struct subject *goal_other(struct goals *g, const char *name);
/* bytes(kind, at = region), time(...), hidden(...): of a part of the batch. false: it is no such call. */
bool goal_part(struct goals *g, const struct node *e, struct val *out);
#endif
