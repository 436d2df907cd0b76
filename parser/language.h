/* Versions of the language: `language = N`, the first item of a file, says which one it is written in. A file without
 * it is of the current version. Names of older versions are read as those of the current one. */
#ifndef DEPLOYC_LANGUAGE_H
#define DEPLOYC_LANGUAGE_H
#include "../lexer/lexer.h"

enum { LANGUAGE_VERSION = 1 };

/* RENAMED_FIELD: where a field is set, declared or read: `old = ...`, `old : ...`, `old { ...`, `x.old`. RENAMED_NAME:
 * everywhere else, as a word that opens items, or a name of the library. */
enum renamed_kind { RENAMED_FIELD, RENAMED_NAME };
struct renamed {
	int version; /* the first that has `new` */
	enum renamed_kind kind;
	const char *old, *new;
};
struct language {
	int version;                   /* the newest that is known */
	const struct renamed *renamed; /* in the order of versions */
	int n;
};
extern const struct language this_language;

/* The version that a file is written in, from its tokens; 0: it is not a version; -1: a newer one than `known`. Both
 * are reported, and in place of all that was reported of a newer file. number: the token of the version, or -1. */
int language_of(struct sink *sink, uint32_t file, const struct tokens *tokens, const struct language *known,
                int *number);

/* What token i, an identifier with this text in a file of this version, is called today. NULL: it was not renamed. */
const char *language_renamed(const struct language *known, int version, const char *text, const struct tokens *tokens,
                             int i);

/* The text of a file in the current version: with the names of today, and with today's number. NULL: language_of()
 * reports a mistake. Lives in the arena. */
struct upgraded {
	const char *text;
	size_t size;
	int from, renamed; /* the version that the file was written in; how many names changed */
};
struct upgraded language_upgrade(struct arena *arena, struct sink *sink, uint32_t file, const struct language *known);
#endif
