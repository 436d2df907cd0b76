/* Conversations: what a checkpoint's chat template makes of messages. */
#ifndef DEPLOY_CHAT_H
#define DEPLOY_CHAT_H
#include <jansson.h>
#include "runtime.h"

struct chat;
/* Reads chat_template.jinja of a checkpoint's folder, or the template in its tokenizer_config.json. NULL after a
 * report. */
struct chat *chat_open(const char *folder, struct problems *p);
void chat_close(struct chat *c); /* c may be NULL */
enum { CHAT_WHY_BYTES = 512 };
/* The text of messages, a list of objects with `role` and `content`, up to where the answer begins; *n bytes, for
 * free(). NULL: `why` says what is wrong. */
char *chat_text(const struct chat *c, json_t *messages, size_t *n, char why[CHAT_WHY_BYTES]);
#endif
