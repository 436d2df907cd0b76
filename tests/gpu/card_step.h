/* A deployment's kernels without its launcher: the object file that `deployc --target=cuda --emit=obj` writes, of one
 * rank, on one GPU. Its step functions call dr_launch, which notes each launch, so they can be repeated and timed.
 * Weights and caches are random numbers. */
#ifndef CARD_STEP_H
#define CARD_STEP_H
#include "../../runtime/plan.h"
#include "gpu_test.h"

enum { CARD_ARGS = 16, CARD_LAUNCHES = 4096 };
struct card_launch {
	int32_t kernel, op, n_args;
	uint64_t args[CARD_ARGS];
	const struct dr_entry *entry; /* entries follow it while `then` is set */
	bool small;                   /* one worker is as fast as all */
};
struct card {
	struct dr_frame frame; /* first: generated code has its address */
	struct plan plan;
	CUmodule module;
	CUfunction *function; /* by entry of dr_image */
	CUstream stream;
	uint64_t bytes[DR_SPACES];
	enum dr_phase phase;
	int context; /* positions that a row of the step sees, at most */
	struct card_launch launch[CARD_LAUNCHES];
	int launches; /* of the last step */
};

/* Loads the kernels; prints what the driver took for that, and what it said. */
void card_load(struct card *c);
/* Memory of all spaces, with random weights, caches and constants. */
void card_memory(struct card *c);
/* Writes a step's inputs and notes its launches: `tokens` in as few sequences as hold them; decode: one for each. */
void card_step(struct card *c, enum dr_phase phase, int tokens);
/* Numbers of bf16 between 1/128 and 1/32, of both signs. */
void card_random(uint64_t at, uint64_t bytes);
/* card_agree.c: whether the entries of each contraction agree about the same rows. */
bool card_agree(struct card *c);
/* Queues one launch. */
void card_queue(const struct card *c, const struct card_launch *l);
/* The maximum number of tokens in a step. */
int card_tokens(const struct card *c, enum dr_phase phase);
#endif
