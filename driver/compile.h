/* One compilation: the passes over one spec. */
#ifndef DEPLOYC_DRIVER_COMPILE_H
#define DEPLOYC_DRIVER_COMPILE_H
#include "driver.h"
#include "lock.h"
#include "../planner/joint.h"
#include "../planner/page.h"
#include "../planner/passes.h"
#include "../planner/trace.h"

struct compilation {
	const struct options *options;
	const char *spec, *label; /* label: for messages */
	struct arena arena;
	struct names names;
	struct sources sources;
	struct sink sink;
	struct sema *sema;
	struct target target;
	struct text checked;             /* a line for each deployment */
	json_t *plans, *serves, *shares; /* of `plan --format=json`: an object for each deployment, `serve`, `share` */
	struct joint *joint;             /* that --deploy names; NULL: it names none */
	const struct lock *lock;         /* NULL: the command uses none */
	const char *sanitizer;
};

/* compile.c. The compilation is not moved afterwards; the caller frees its arena. */
void compilation_begin(struct compilation *c, const struct options *o, const char *spec);
/* The target that the options name. false after a message. */
bool compilation_target(struct compilation *c);
bool compilation_load(struct compilation *c); /* false after a message: it cannot be read */
/* The deployments that the command is about, the first *n of the array. *status: EXIT_OK, or another after a message.
 */
struct deploy **compilation_deploys(struct compilation *c, int *n, int *status);
/* The passes after sema, over one deployment. */
void plan_deployment(struct compilation *c, struct planned *p);
/* Overlays in which the text of the spec replaces its file: it cannot be read again if it came from a pipe. */
struct overlays compilation_overlays(const struct compilation *c, struct arena *a);

/* Deployments together: planner/joint.h. */
const struct plan *plan_joint(struct compilation *c, struct arena *arena, struct joint *j, struct joint_texts *out);

/* kernels.c: prints the kernels of a GPU. false after a message. */
bool print_kernels(struct compilation *c, struct planned *p);

/* variant.c: one deployment of a spec, planned to be set beside others. Nothing is printed or suggested. */
struct variant {
	struct options options;
	struct compilation compilation;
	struct planned planned;
	const struct plan *plan; /* NULL: errors left nothing to plan */
	const char **codes;      /* of its diagnostics, each once, errors first */
	int n_codes, n_errors;   /* how many of the codes are errors */
	int n_loaded;            /* diagnostics before it was planned */
	int errors_loaded;       /* and errors among them */
};
/* Plans the deployment that `o` names, or the only one. The target is the compilation's, if there is one. Returns
 * EXIT_OK, or another status after a message. The caller frees it, whatever is returned; it is not moved. */
int variant_plan(struct variant *v, const struct options *o, const char *spec, const struct target *target);
/* The deployment of another variant with items on top of its text: modules are not loaded again. That variant was
 * loaded without errors, and is freed after this one. */
void variant_with(struct variant *v, struct variant *base, const struct node *const *items, int n);
void variant_free(struct variant *v);

#endif
