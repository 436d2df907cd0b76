/* The closed table of units, with vectors of dimensions. */
#ifndef DEPLOYC_UNITS_H
#define DEPLOYC_UNITS_H
#include <stdbool.h>
#include <stddef.h>
#include "../support/diag.h"

enum dim { DIM_DATA, DIM_TIME, DIM_FLOP, DIM_TOKEN, DIM_REQUEST, DIM_PARAM, DIM_MONEY, DIM_ENERGY, DIM_COUNT };
struct dims {
	signed char power[DIM_COUNT];
}; /* bytes, seconds, operations, tokens, ..., dollars, joules */

/* Bytes of the longest prefix of s that is a unit expression (`GB/s`, `tokens/ms`) of known words; 0: none. */
size_t unit_prefix(const char *s, size_t n);
/* A word that people read in two ways, `Gb`: rejected with `code`. Checking goes on as if it were `meant`. */
struct unit_trap {
	const char *word;
	enum diag_code code;
	const char *meant, *other;
};
const struct unit_trap *unit_trap(const char *s, size_t n); /* NULL: no trap */
/* The unit that a misspelt word means, or NULL. */
const char *nearest_unit(const char *word);
/* Bytes of the word that s starts with: up to `/`, `*`, `^` or n. */
size_t unit_word_length(const char *s, size_t n);
/* Bytes of the number that s starts with: digits, fraction, exponent. */
size_t number_length(const char *s, size_t n);
/* "80 GiB" -> value in base units and dimension; `%` is 0.01 without one. `text` is a QUANTITY token. */
double quantity_value(const char *text, struct dims *dims);
/* "10_240" -> value; *is_int: Int or Float. false: an Int that does not fit in 63 bits. */
bool number_value(const char *text, long long *i, double *f, bool *is_int);
#endif
