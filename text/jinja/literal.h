/* Strings and numbers in tags. */
#ifndef JINJA_LITERAL_H
#define JINJA_LITERAL_H
#include "values.h"

/* The literal at *at, which is moved past it. */
struct value read_string(struct work *w, const char **at, const char *end);
/* after_dot: 1.5 is two whole numbers there (x.1.5). */
struct value read_number(struct work *w, const char **at, const char *end, bool after_dot);

/* Python's int() and float() of a text; false: it is not a number. An integer of more than 64 bits fails. */
bool parse_whole(struct work *w, struct span s, int base, int64_t *out);
bool parse_real(struct work *w, struct span s, double *out);
#endif
