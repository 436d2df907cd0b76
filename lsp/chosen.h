/* What the lock of a document chose for `auto`, or why it did not. */
#ifndef DEPLOYC_LSP_CHOSEN_H
#define DEPLOYC_LSP_CHOSEN_H
#include "analysis.h"

/* "= 8", "= 8 in `Chat`, 4 in `Other`", for the value that is left open. NULL: the lock has none. */
const char *chosen_hint(struct arena *arena, const struct analysis *a, const struct open_value *open);
/* "chosen by `chat.lock`" */
const char *chosen_by(struct arena *arena, const struct analysis *a);
/* Paragraphs about the values that are left open around a place: what was chosen, or why nothing was. false: none is.
 */
bool chosen_explain(struct text *out, const struct analysis *a, struct span at);
/* The one value that the lock has for what is open around a place. NULL: it has none, or several. */
const char *chosen_value(const struct analysis *a, struct span at);
#endif
