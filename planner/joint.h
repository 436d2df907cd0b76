/* The passes over deployments together: `serve`, `share`. */
#ifndef DEPLOYC_JOINT_H
#define DEPLOYC_JOINT_H
#include "passes.h"
#include "plan.h"

struct joint_texts {
	const char *summary, *text;
	json_t *json;
};
/* Plans them, and judges what they require. The plan and the texts are in the arena. `out` may be NULL, else its JSON
 * is the caller's. */
const struct plan *passes_joint(const struct passes *with, struct arena *arena, struct joint *j,
                                struct joint_texts *out);
#endif
