/* Python's methods of str, on UTF-8. Positions and lengths are in characters only where a name says so. */
#ifndef JINJA_STRINGS_H
#define JINJA_STRINGS_H
#include "values.h"

size_t count_characters(struct work *w, struct span s);
/* Where character n begins; the end if there are fewer. */
const char *character_at(struct span s, size_t n);
/* Whitespace of str.isspace, of str.strip, and of \s. */
bool is_whitespace(uint32_t point);

/* The first place of a part, or NULL; the last one. */
const char *find_span(struct span s, struct span part);
const char *find_last(struct span s, struct span part);

enum { STRIP_LEFT = 1, STRIP_RIGHT = 2 };
/* chars: NULL for whitespace. */
struct span strip(struct span s, const struct span *chars, int sides);
/* str.split and str.rsplit: sep NULL for runs of whitespace; max < 0: no limit. */
struct value split(struct work *w, struct span s, const struct span *sep, int64_t max);
struct value split_right(struct work *w, struct span s, const struct span *sep, int64_t max);
struct value split_lines(struct work *w, struct span s, bool keep_ends);
/* max < 0: all. */
struct span replace(struct work *w, struct span s, struct span old, struct span by, int64_t max);

struct span escape_html(struct work *w, struct span s);

/* Upper, lower and title case. Characters whose case depends on their neighbours or becomes several characters fail. */
struct span to_upper(struct work *w, struct span s);
struct span to_lower(struct work *w, struct span s);
struct span capitalize(struct work *w, struct span s);
struct span title_words(struct work *w, struct span s); /* str.title */
struct span title_parts(struct work *w, struct span s); /* the filter `title` */
#endif
