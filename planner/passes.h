/* The passes after sema over one deployment: the program of a rank, its schedule, whether it fits, what it wastes and
 * what was promised. Trials: the same spec checked again with values that help texts suggest. */
#ifndef DEPLOYC_PASSES_H
#define DEPLOYC_PASSES_H
#include "planner.h"

/* What the passes made of one deployment, in an arena of its own. NULL: a pass reported, or was not run. */
struct planned {
	struct deploy *deploy;
	struct arena arena;
	struct local *local;
	struct schedule *schedule;
	struct training *training; /* of a Training workload */
	struct goal_list goals;    /* that were judged */
};

struct passes {
	struct sema *sema;
	struct names *names;
	struct sink *sink; /* gets the reports */
	const struct target *target;
	bool no_goals; /* goals are not judged, so nothing is timed */
};

/* `p` has its deployment, and an arena that its caller frees. A program that a checker finds wrong is an internal
 * error.
 */
void passes_run(const struct passes *with, struct planned *p);

/* trial.c: `trial_check` is the function `check` of a compilation's sink, with a struct trials as its context. */
struct counts {
	int of[DIAG_COUNT];
};
struct baseline {
	const char *deploy;
	struct counts counts;
	bool known;
};
struct trials {
	/* of the compilation; its spec is read again from the text that it has */
	const struct passes *passes;
	const struct sema_options *options;
	const char *spec;
	struct heap *heap;
	/* the rest is private to trial.c */
	struct baseline baseline; /* of the deployment tried last */
	int n;                    /* trials so far */
	int64_t text;             /* bytes checked in them */
};
int trial_check(void *context, const char *deploy, enum diag_code mistake, const struct suggestion *values, int n);
#endif
