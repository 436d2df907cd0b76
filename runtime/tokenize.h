/* `launcher tokenize`: what the checkpoint's tokenizer makes of a text, or of ids. */
#ifndef DR_TOKENIZE_H
#define DR_TOKENIZE_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Reads all of `in`, a text, and prints its ids as a JSON list on a line; decode: reads such a list, and prints its
 * text as it is, special tokens included. folder: that of tokenizer.json, whose ids must be below `vocab`, the model's.
 * Returns an exit status, after a message if it is not STATUS_OK. */
int tokenize(const char *folder, uint32_t vocab, bool decode, FILE *in, FILE *out);
#endif
