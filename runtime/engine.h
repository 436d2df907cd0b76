/* The engine runs sequences, step by step, from request to end. It decides what each step computes, and knows neither
 * ranks nor output: a `stepper` runs a step, a `token_fn` gets each token. An engine belongs to one thread. */
#ifndef DEPLOY_ENGINE_H
#define DEPLOY_ENGINE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "adjust.h"
#include "plan.h"
#include "step.h"

/* A prompt to continue. */
struct request {
	const int32_t *ids; /* token ids of the prompt; the engine copies them */
	int n_ids, max_tokens;
	const int32_t *stop; /* token ids that end the sequence when sampled; the engine copies them */
	int n_stop;
	struct dr_sampling sampling; /* zeros: greedy. The engine sets `count`, `adjust` and `adjusts` */
	struct penalties penalties;  /* the engine copies what it needs */
	void *user;                  /* passed to token_fn */
};

/* Why a sequence ended. */
enum finish {
	FINISH_NONE,   /* it goes on */
	FINISH_LENGTH, /* it has max_tokens */
	FINISH_STOP,   /* the token is in the request's `stop`; it may also be the last of max_tokens */
	FINISH_FAILED  /* the token is not in the vocabulary: DR_NO_TOKEN or, after a bug, another number */
};

/* A sampled token. */
struct engine_token {
	uint64_t id; /* the sequence's */
	void *user;  /* the request's */
	int index;   /* 0: the first token after the prompt */
	int32_t token;
	const float *logits;                /* [vocab], valid during the callback; NULL: not requested */
	const struct dr_logprobs *logprobs; /* likewise; of all shards */
	enum finish finish;                 /* other than FINISH_NONE: the sequence has ended, and its pages are free */
};
/* Called within engine_step. It may submit and stop sequences, but not run steps. */
typedef void token_fn(void *context, const struct engine_token *t);

/* Runs steps: all ranks in a launcher, a substitute in tests. Where steps overlap, a step is run while the one before
 * it is under way: `results` are then those of the step before, and `step` describes that. */
struct stepper {
	struct step *step;             /* the engine writes the step here, ... */
	void (*run)(void *context);    /* ... calls this, ... */
	const struct results *results; /* ... and reads the results here */
	void *context;
	bool few_sizes; /* decode steps have few different sizes, by padding: see schedule_open */
	/* NULL: steps do not overlap. Else the phases, as bits, of steps that may be run while the one before is under way;
	 * and what brings the results of the step under way, without another one. */
	unsigned (*ahead)(void *context);
	void (*collect)(void *context);
};

/* What a step computed. */
struct step_done {
	int phase;      /* enum dr_phase */
	int64_t tokens; /* without padding, and without those of sequences that had ended */
};

struct engine;
struct engine *engine_open(const struct plan *plan, const struct stepper *stepper, token_fn *on_token, void *context);
/* Drops all sequences, without callbacks. Not to be called within token_fn. */
void engine_close(struct engine *e);

enum { REASON_BYTES = 256 };
/* Writes the next reason why engines of this plan reject the request, "id 7 is not in ...". *from: 0 for the first
 * reason; it is advanced. false: there are no more reasons. */
bool request_refused(const struct plan *plan, const struct request *r, int *from, char why[REASON_BYTES]);
/* Queues a sequence. Returns its id, unique within this engine; 0: rejected, with the reason in `why`. */
uint64_t engine_submit(struct engine *e, const struct request *r, char why[REASON_BYTES]);
/* Ends a sequence, waiting or running, and frees its pages; token_fn is not called for it again. false: no such
 * sequence, or it has ended. */
bool engine_stop(struct engine *e, uint64_t id);
/* Runs one step and calls token_fn for each of its tokens; where steps overlap, the next one is under way by then.
 * false: there is nothing to do; `done` is unchanged. */
bool engine_step(struct engine *e, struct step_done *done);
/* No sequence is left: engine_step would do nothing. */
bool engine_idle(const struct engine *e);
/* An owner's free pages for whole sequences, and those that its sequences hold. Their sum is constant. */
void engine_pages(const struct engine *e, int owner, int *free_pages, int *held);
/* How often a sequence was interrupted because pages ran out, to be computed again. */
int64_t engine_interrupted(const struct engine *e);
#endif
