/* One compilation: the passes over one spec, and the same with values that help texts suggest. */
#ifndef DEPLOYC_DRIVER_COMPILE_H
#define DEPLOYC_DRIVER_COMPILE_H
#include "driver.h"
#include "../planner/planner.h"

struct compilation {
	const struct options *options;
	const char *spec, *label; /* label: for messages */
	struct arena arena;
	struct names names;
	struct sources sources;
	struct sink sink;
	struct sema *sema;
	struct target_shape shape;
	struct text checked; /* a line for each deployment */
	const char *sanitizer;
};

/* What the passes made of one deployment, in memory of its own; NULL where one of them reported. */
struct planned {
	struct deploy *deploy;
	struct arena arena;
	struct local *local;
	struct schedule *schedule;
};

/* compile.c: everything that is checked of a deployment behind sema. */
void plan_deployment(struct compilation *c, struct planned *p);

/* trial.c: `check` of a compilation's sink. `context` is a struct trials. */
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
	struct baseline baseline;
	int n;
	int64_t text;
};
int trial_check(void *context, const char *deploy, enum diag_code mistake, const struct suggestion *values, int n);
#endif
