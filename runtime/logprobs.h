/* Log-probabilities of tokens: log softmax of the logits as the model computed them, before biases, penalties and
 * temperature (vLLM's logprobs_mode raw_logprobs, its default). */
#ifndef DEPLOY_LOGPROBS_H
#define DEPLOY_LOGPROBS_H
#include "abi.h"

struct logprob {
	int32_t token;
	float value;
};
/* Nothing is known; then what each shard knows is added. */
void logprobs_begin(struct dr_logprobs *to);
void logprobs_merge(struct dr_logprobs *to, const struct dr_logprobs *from);
/* to[0]: of the token that was sampled. to[1] .. to[n]: of the n <= DR_LOGPROBS most likely ones, of a vocabulary of n
 * or more. */
void logprobs_of(const struct dr_logprobs *all, int32_t token, int n, struct logprob *to);
#endif
