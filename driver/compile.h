/* One compilation: the passes over one spec, and trials of the same spec with values that help texts suggest. */
#ifndef DEPLOYC_DRIVER_COMPILE_H
#define DEPLOYC_DRIVER_COMPILE_H
#include "driver.h"
#include "../planner/graph.h"

struct compilation {
	const struct options *options;
	const char *spec, *label; /* label: for messages */
	struct arena arena;
	struct names names;
	struct sources sources;
	struct sink sink;
	struct sema *sema;
	struct target target;
	struct text checked; /* a line for each deployment */
	json_t *plans;       /* of `plan --format=json`: an object for each deployment */
	const char *sanitizer;
};

/* What the passes made of one deployment, in an arena of its own. NULL: a pass reported, or was not run. */
struct planned {
	struct deploy *deploy;
	struct arena arena;
	struct local *local;
	struct schedule *schedule;
};

/* compile.c: the passes after sema, over one deployment. */
void plan_deployment(struct compilation *c, struct planned *p);

/* kernels.c: prints the kernels of a GPU. false after a message. */
bool print_kernels(struct compilation *c, struct planned *p);

/* trial.c: the function `check` of a compilation's sink; `context` is a struct trials. */
struct counts {
	int of[DIAG_COUNT];
};
struct baseline {
	const char *deploy;
	struct counts counts;
	bool known;
};
struct trials {
	struct compilation *compilation;
	struct baseline baseline; /* of the deployment tried last */
	int n;                    /* trials so far */
	int64_t text;             /* bytes checked in them */
};
int trial_check(void *context, const char *deploy, enum diag_code mistake, const struct suggestion *values, int n);
#endif
