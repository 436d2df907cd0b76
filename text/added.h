/* Added tokens: strings that are tokens wherever they occur in a text, before it is normalised or after. */
#ifndef TEXT_ADDED_H
#define TEXT_ADDED_H
#include "field.h"
#include "normalize.h"
#include "pieces.h"
#include "table.h"

/* Strings as a tree of bytes, to find the longest at a position. */
struct trie {
	struct pairs child; /* node << 8 | byte -> node; node 0 is the root */
	int32_t *value;     /* of each node; -1: no string ends here */
	size_t n, room;
	bool begins[256]; /* whether a string begins with this byte */
};
void trie_open(struct trie *t);
void trie_close(struct trie *t);
/* Of equal strings, the last one counts. false: the tree is too large. */
bool trie_add(struct trie *t, struct span s, int32_t value);

static inline bool trie_step(const struct trie *t, uint32_t *node, char byte)
{
	uint64_t next;
	bool found = pairs_get(&t->child, (uint64_t)*node << 8 | (unsigned char)byte, &next);
	*node = (uint32_t)next;
	return found;
}

struct added {
	struct added_token {
		int32_t id;
		bool single_word, lstrip, rstrip, normalized, special;
		struct bytes decoded; /* its text, normalised if it is found in normalised text: what decoders get */
	} *at;
	size_t n, room;
	struct trie raw, normal; /* values: index in `at` */
	struct pairs by_id;      /* id -> index in `at` */
	struct vocab names;      /* text in the file -> index in `at` */
};

/* Reads the field `added_tokens`. A string of the model's vocabulary must have its id there. The caller frees *a either
 * way. */
bool added_read(const struct field *f, struct normalizer *n, const struct vocab *model, struct added *a);
void added_free(struct added *a);
/* The token of an id, or of a text in the file; NULL: not an added one. */
const struct added_token *added_find(const struct added *a, int32_t id);
const struct added_token *added_named(const struct added *a, struct span text);

/* Appends to out->at pieces of `whole`, which lies in out->text: tokens of this trie, and what lies between them. */
void added_split(const struct added *a, const struct trie *t, bool plain, const struct piece *whole,
                 struct pieces *out);
#endif
