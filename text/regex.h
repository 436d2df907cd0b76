/* Patterns of tokenizer.json, which are written for Oniguruma, on PCRE2. */
#ifndef TEXT_REGEX_H
#define TEXT_REGEX_H
#include <stdbool.h>
#include <stddef.h>
#include "bytes.h"

struct regex;
/* literal: the pattern matches itself. NULL: *why says which part of the pattern is not supported, or is wrong; it is a
 * buffer of `room` bytes. */
struct regex *regex_open(struct span pattern, bool literal, char *why, size_t room);
void regex_close(struct regex *r); /* r may be NULL */

/* The matches in a text of well-formed UTF-8, from left to right. As in Oniguruma's bindings, an empty match does not
 * follow the match before it immediately. */
struct search {
	struct regex *regex;
	struct span text;
	size_t from, last_end; /* where to look next; the end of the last match */
	bool matched;
	size_t start, end; /* the match */
};
static inline struct search search_begin(struct regex *r, struct span text)
{
	return (struct search){.regex = r, .text = text};
}
enum { SEARCH_FAILED = -1, SEARCH_DONE, SEARCH_FOUND }; /* FAILED: the pattern takes too long */
int search_next(struct search *s);

/* Writes the pattern of the same meaning for PCRE2. false: see *why. */
bool regex_translate(struct span pattern, struct bytes *out, char *why, size_t room);
#endif
