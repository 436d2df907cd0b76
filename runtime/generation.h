/* generation_config.json: what a checkpoint proposes for texts. */
#ifndef DEPLOY_GENERATION_H
#define DEPLOY_GENERATION_H
#include "runtime.h"

struct generation {
	int32_t *stop; /* eos_token_id; for free() */
	int n_stop;
	struct dr_sampling sampling; /* of `do_sample`; greedy without it */
	float repetition;            /* repetition_penalty */
};
/* Reads it from a checkpoint's folder, if it is there. Reports what is wrong; warns of what would change the text and
 * is not built. */
void generation_read(struct generation *g, const char *folder, struct problems *p);
/* Sets what a prompt that is text takes from it: all that nobody else chose. */
void generation_propose(const struct generation *g, struct prompt *p);
#endif
