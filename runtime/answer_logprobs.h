/* An answer's log-probabilities, as JSON and as lines to print. */
#ifndef DEPLOY_ANSWER_LOGPROBS_H
#define DEPLOY_ANSWER_LOGPROBS_H
#include <jansson.h>
#include "pass.h"

/* A list with {"id", "token", "logprob", "top_logprobs": [{"id", "token", "logprob"}]} of each token. `token` is its
 * text, where the prompt is text. */
json_t *answer_logprobs(const struct prompt *prompt, const struct answer *a, const struct tokenizer *t);
/* Lines like `logprob: 3 " sky" -0.513200 (3 " sky" -0.513200, 7 " sea" -1.200000)`, for free(). */
char *answer_logprob_lines(const struct prompt *prompt, const struct answer *a, const struct tokenizer *t);
#endif
