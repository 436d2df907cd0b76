/* Positions of the protocol, and offsets of bytes in a text.
 *
 * A position is a line from 0 and a character in it, counted in units of UTF-16, or in bytes where the client and the
 * server agreed on UTF-8. Lines end with \n, \r\n, or a \r alone, which is whitespace for the compiler. */
#ifndef DEPLOYC_LSP_POSITION_H
#define DEPLOYC_LSP_POSITION_H
#include <jansson.h>
#include "../support/source.h"

struct position {
	int64_t line, character;
};
/* A character beyond the end of its line is its end; a line beyond the last is the end of the text. An offset within a
 * character is moved to its start. */
size_t position_offset(const char *text, size_t size, struct position p, bool utf8);
struct position position_at(const struct source *f, uint32_t offset, bool utf8);
int position_line(const struct source *f, uint32_t offset); /* its line alone, however long that is */

/* false: `json` is not a position. */
bool position_read(const json_t *json, struct position *out);
json_t *position_json(struct position p);
json_t *range_json(const struct sources *s, struct span at, bool utf8);
#endif
