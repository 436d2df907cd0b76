/* The tokenizer of a checkpoint, and prompts that are text. */
#ifndef DEPLOY_TEXTS_H
#define DEPLOY_TEXTS_H
#include "../text/tokenizer.h"
#include "runtime.h"

/* Opens tokenizer.json of a checkpoint's folder, whose ids must be below `vocab`, the model's. NULL: see *e. */
struct tokenizer *checkpoint_tokenizer(const char *folder, uint32_t vocab, struct text_error *e);
/* Sets the ids of prompts that are text. Reports what is wrong with them or with the tokenizer, which it returns for
 * the caller to close; NULL: it cannot be used. */
struct tokenizer *texts_encode(const struct options *o, const struct plan *plan, struct problems *p);
#endif
