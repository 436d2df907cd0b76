/* Normalisers: text to text, before it is split into words. */
#ifndef TEXT_NORMALIZE_H
#define TEXT_NORMALIZE_H
#include "bytes.h"
#include "field.h"
#include "regex.h"

enum normalizer_kind {
	NORMALIZE_FORM,
	NORMALIZE_LOWERCASE,
	NORMALIZE_STRIP_ACCENTS,
	NORMALIZE_NMT,
	NORMALIZE_STRIP,
	NORMALIZE_PREPEND,
	NORMALIZE_REPLACE,
	NORMALIZE_BYTE_LEVEL,
};

/* Why a text cannot be encoded. */
#define TEXT_TOO_SLOW "a pattern of the tokenizer takes too long for this text"
#define TEXT_TOO_LONG "the tokenizer makes this text too long"
enum { TEXT_MAX_NORMAL = 1 << 28 }; /* bytes of a normalised text */

struct normalizer {
	struct normalizer_step {
		enum normalizer_kind kind;
		int form;           /* FORM: enum normal_form */
		bool left, right;   /* STRIP */
		struct regex *find; /* REPLACE */
		struct bytes text;  /* PREPEND, REPLACE */
		bool same_size;     /* REPLACE: one character by one character */
	} *step;
	size_t n, room;
	struct bytes before; /* of a step that is being done */
};

/* Reads the field `normalizer`; false: refused. The caller frees *n either way. */
bool normalizer_read(const struct field *f, struct normalizer *n);
void normalizer_free(struct normalizer *n);
/* Whether the text begins where it began, as `tokenizers` counts it; parts: and each part of it begins where it did. */
bool normalizer_keeps_start(const struct normalizer *n, bool parts);
/* Normalises *text in place. NULL, or why that failed. */
const char *normalizer_apply(struct normalizer *n, struct bytes *text);
/* The pattern of a Split or a Replace: {"String": ...} or {"Regex": ...}. NULL: refused. *literal: the String. */
struct regex *pattern_read(const struct field *f, struct span *literal);
#endif
