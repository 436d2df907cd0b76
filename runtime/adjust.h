/* Changes of single logits before a row is sampled: biases, and penalties for tokens that a sequence has. */
#ifndef DEPLOY_ADJUST_H
#define DEPLOY_ADJUST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "abi.h"

/* Limits: of |bias|; of |presence| and |frequency|; of `repetition`, and of its inverse. */
enum { MAX_BIAS = 100, MAX_PENALTY = 2, MAX_REPETITION = 100 };
enum { BIAS_WHY_BYTES = 96 };

struct token_bias {
	int32_t token;
	float bias;
};
/* What is asked for a prompt. Zeros: nothing. In this order (struct dr_adjust): a token's bias is added; if the prompt
 * or the answer has it, its logit is divided by `repetition`, or multiplied if it is negative; if the answer has it n
 * times, n * frequency + presence are subtracted. Order and meaning are those of vLLM (vllm/v1/sample/sampler.py) and,
 * for bias and repetition, of Hugging Face transformers. */
struct penalties {
	float repetition;          /* 0 or 1: off */
	float presence, frequency; /* 0: off */
	struct token_bias *bias;   /* of different tokens; for free() */
	int n_bias;
};
/* Adds a bias. false: the reason is in `why`. Whether the vocabulary has the token is not checked. */
bool penalties_bias(struct penalties *p, int64_t token, double bias, char why[BIAS_WHY_BYTES]);
struct penalties penalties_copy(const struct penalties *p);
bool penalties_in_range(const struct penalties *p);
/* The maximum number of logits that a row changes: of a sequence with so many ids of a prompt, and so many tokens. */
int64_t penalties_most(const struct penalties *p, int n_prompt, int max_tokens, int64_t vocab);

/* A sequence's entries of DR_INPUT_ADJUST, kept up to date as its tokens come, in constant time for each. */
struct adjust;
/* NULL: nothing is asked for. Then the functions below may be called, too. */
struct adjust *adjust_open(const struct penalties *p, const int32_t *prompt, int n);
void adjust_close(struct adjust *a);
void adjust_token(struct adjust *a, int32_t token);
bool adjust_counts(const struct adjust *a); /* does adjust_token change the entries? */
int adjust_count(const struct adjust *a);
void adjust_write(const struct adjust *a, struct dr_adjust *to); /* [adjust_count] */
#endif
