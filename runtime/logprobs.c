/* Log-probabilities, from what each shard of the vocabulary knows. */
#include "logprobs.h"
#include <math.h>
#include <stdbool.h>

static bool before(const struct dr_logit *a, const struct dr_logit *b)
{
	return a->logit > b->logit || (a->logit == b->logit && a->token < b->token);
}

static float relative_sum(const struct dr_logprobs *a, float largest)
{
	return a->sum > 0 ? a->sum * expf(a->largest - largest) : 0;
}

void logprobs_begin(struct dr_logprobs *to)
{
	*to = (struct dr_logprobs){.largest = -INFINITY, .logit = -INFINITY};
	for (int i = 0; i < DR_LOGPROBS; i++)
		to->top[i].logit = -INFINITY;
}

void logprobs_merge(struct dr_logprobs *to, const struct dr_logprobs *from)
{
	struct dr_logprobs old = *to;
	to->largest = fmaxf(old.largest, from->largest);
	to->sum = relative_sum(&old, to->largest) + relative_sum(from, to->largest);
	to->logit = fmaxf(old.logit, from->logit);
	for (int i = 0, a = 0, b = 0; i < DR_LOGPROBS; i++)
		to->top[i] = before(&from->top[b], &old.top[a]) ? from->top[b++] : old.top[a++];
}

void logprobs_of(const struct dr_logprobs *all, int32_t token, int n, struct logprob *to)
{
	float whole = all->largest + logf(all->sum);
	to[0] = (struct logprob){token, all->logit - whole};
	for (int i = 0; i < n; i++)
		to[1 + i] = (struct logprob){all->top[i].token, all->top[i].logit - whole};
}
