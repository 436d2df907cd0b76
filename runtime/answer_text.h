/* The text of an answer, token by token, and the strings that end it. */
#ifndef DEPLOY_ANSWER_TEXT_H
#define DEPLOY_ANSWER_TEXT_H
#include "../text/tokenizer.h"

struct answer_text;
/* ids: the prompt's, which the text follows: a space at the start of a word is then kept. stop: strings that end the
 * text; they are the caller's, and outlive it. */
struct answer_text *answer_text_open(const struct tokenizer *t, const int32_t *ids, int n_ids, char *const *stop,
                                     int n_stop);
void answer_text_close(struct answer_text *a); /* a may be NULL */
/* Adds a token. true: a stop string has occurred; the text ends before it, and takes no more tokens. */
bool answer_text_add(struct answer_text *a, int32_t id);
/* No token follows. true: what was left to say has a stop string. */
bool answer_text_end(struct answer_text *a);
/* The text as far as it is known, *n bytes, which may be NUL. */
const char *answer_text_all(const struct answer_text *a, size_t *n);
/* What has become certain since the last call, *n bytes: no stop string can begin in it any more. */
const char *answer_text_more(struct answer_text *a, size_t *n);
#endif
