/* Pre-tokenisers: cut text into words, which a model encodes one by one. */
#ifndef TEXT_SPLIT_H
#define TEXT_SPLIT_H
#include "field.h"
#include "pieces.h"
#include "regex.h"

enum prepend_scheme { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER };

struct splitter {
	struct split_step {
		enum split_kind {
			SPLIT_PATTERN,    /* at the matches of `find` */
			SPLIT_CHARACTERS, /* at characters with `is` */
			SPLIT_BYTE_LEVEL,
			SPLIT_METASPACE,
		} kind;
		enum behavior behavior;
		bool invert;
		struct regex *find;         /* PATTERN; BYTE_LEVEL: NULL if it does not cut */
		bool (*is)(uint32_t point); /* CHARACTERS; NULL: that in `mark` */
		bool prefix_space;          /* BYTE_LEVEL */
		enum prepend_scheme scheme; /* METASPACE */
		bool cuts;                  /* METASPACE */
		char mark[4];               /* METASPACE: stands for a space; CHARACTERS: where to cut */
		int mark_size;
	} *step;
	size_t n, room;
	struct pieces before; /* of a step that is being done */
};

/* Reads the field `pre_tokenizer`; false: refused. The caller frees *s either way. */
bool splitter_read(const struct field *f, struct splitter *s);
void splitter_free(struct splitter *s);
/* Cuts all pieces that are text. NULL, or why that failed. */
const char *splitter_apply(struct splitter *s, struct pieces *p);
/* Whether a step treats pieces differently that begin the original text, and what is done before it. */
enum first_use { FIRST_UNUSED, FIRST_AT_ONCE, FIRST_AFTER_CUTS, FIRST_AFTER_CHANGES };
enum first_use splitter_first_use(const struct splitter *s);
#endif
