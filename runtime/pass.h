/* A pass over prompts on rank 0: each runs through an engine to its end, and times are measured. */
#ifndef DEPLOY_PASS_H
#define DEPLOY_PASS_H
#include "answer_text.h"
#include "engine.h"
#include "logprobs.h"
#include "runtime.h"

/* The continuation of a prompt. Times are those of now_ns(). */
struct answer {
	int32_t *tokens; /* [max_tokens of the prompt] */
	int n;
	int64_t first, last; /* when its first and its latest token came */
	enum finish finish;
	struct answer_text *text; /* NULL: the prompt was not text */
	struct logprob *logprobs; /* [max_tokens][1 + n_top], as logprobs_of() has them; NULL: not requested */
	int n_top;
};

struct pass {
	/* Set by the caller. The functions may be NULL. */
	struct rank *rank;
	const struct prompt *prompts;
	int n;
	const bool *skip;                          /* [n]: prompts that are left out; NULL: none */
	void (*spoke)(struct pass *p, int prompt); /* the answer has one token more */
	void (*ended)(struct pass *p, int prompt); /* the answer is complete; it is freed when this returns */
	void (*stepped)(struct pass *p);           /* a step is over */
	void *context;                             /* the caller's */
	/* Set by the pass */
	struct engine *engine; /* while it runs */
	int64_t interrupted;   /* how often a sequence was, because pages ran out */
	struct answer *answer; /* [n] */
	int next, under_way;   /* the next prompt to submit; those that were submitted and have not ended */
	int64_t begin, ns[DR_PHASES], tokens[DR_PHASES];
};

/* Runs all prompts to their end. */
void pass_run(struct pass *p);
void pass_close(struct pass *p);

/* Tokens a second in a phase; 0: it did not occur. */
double pass_speed(const struct pass *p, int phase);
/* Sorts n > 0 numbers and returns the one below which a share of them lies: 0.5 is the median. */
double quantile(double *of, int n, double share);

/* ---- serve_batch.c ---- */
/* `run` with a file of prompts: answers go to files (batch.h). */
void serve_batch(struct rank *r);
/* ---- serve_text.c ---- */
/* `run` with prompts that are text: the answers' text goes to standard output, and nothing else. */
void serve_text(struct rank *r);
#endif
