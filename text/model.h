/* Models: the tokens of one word. */
#ifndef TEXT_MODEL_H
#define TEXT_MODEL_H
#include "added.h"
#include "field.h"
#include "table.h"
#include "tokens.h"

struct bpe {
	struct pairs merge;          /* left id << 32 | right id -> rank << 32 | id of both */
	struct pairs crossed;        /* last character << 32 | first character, of the halves of all merges */
	struct bytes prefix, suffix; /* of characters: all but the first of a word; the last of a word */
	struct bytes unknown;        /* the token for unknown characters */
	bool has_unknown, fuse_unknown, ignore_merges;
	int32_t unknown_id;      /* -1: not in the vocabulary */
	int32_t short_id[0x800]; /* the tokens of characters below U+0800, or -1 */
	struct bpe_cache *cache; /* words and their tokens */
	struct bpe_word *word;   /* memory for a word that is being merged */
};

struct unigram {
	struct trie trie; /* tokens; values: ids */
	double *score;    /* by id */
	double unknown_score;
	int32_t unknown_id;        /* -1: none */
	struct unigram_node *best; /* memory for a word */
	size_t room;
};

struct model {
	enum model_kind { MODEL_BPE, MODEL_UNIGRAM } kind;
	struct vocab vocab;
	struct byte_tokens bytes;
	struct bpe bpe;
	struct unigram unigram;
};

/* Reads the field `model`; false: refused. The caller frees *m either way. */
bool model_read(const struct field *f, struct model *m);
void model_free(struct model *m);
/* Appends the tokens of a word, which is not empty. NULL, or why that failed. */
const char *model_encode(struct model *m, struct span word, struct token_ids *out);

/* ---- the two kinds -------------------------------------------------------------------------- */
bool bpe_read(const struct field *f, struct model *m);
void bpe_free(struct bpe *b);
const char *bpe_encode(struct model *m, struct span word, struct token_ids *out);

bool unigram_read(const struct field *f, struct model *m);
void unigram_free(struct unigram *u);
const char *unigram_encode(struct model *m, struct span word, struct token_ids *out);
#endif
