/* Lists of ids, and the tokens of bytes. */
#ifndef TEXT_TOKENS_H
#define TEXT_TOKENS_H
#include "bytes.h"
#include "tokenizer.h"

void ids_add(struct token_ids *ids, int32_t id);

/* Models may have tokens <0x00> to <0xFF> for the bytes of characters that they do not know. */
struct byte_tokens {
	bool used;
	int32_t id[256]; /* -1: there is none */
};
/* Appends the tokens of the bytes of s; false, and nothing appended: one of them has none. */
bool bytes_encode(const struct byte_tokens *b, struct span s, struct token_ids *out);
#endif
