/* The closed table of units (language.md 2.5): dimension vectors over what is counted. */
#ifndef DEPLOYC_UNITS_H
#define DEPLOYC_UNITS_H
#include <stdbool.h>
#include <stddef.h>

enum dim { DIM_DATA, DIM_TIME, DIM_FLOP, DIM_TOKEN, DIM_REQUEST, DIM_PARAM, DIM_MONEY, DIM_ENERGY, DIM_COUNT };
struct dims { signed char power[DIM_COUNT]; };        /* bytes, seconds, operations, tokens, ..., dollars, joules */

/* One unit word, `GiB`: its size in base units and its dimension. false: no such unit. `%` is 0.01 without dimension. */
bool unit_word(const char *s, size_t n, double *scale, struct dims *dims);
/* Bytes of the longest prefix of s that is a unit expression (`GB/s`, `tokens/ms`) of known words; 0: none. */
size_t unit_prefix(const char *s, size_t n);
/* "80 GiB" -> value in base units and dimension. `text` is a QUANTITY token. */
double quantity_value(const char *text, struct dims *dims);
/* "10_240" -> value; *is_int tells Int from Float. false: an Int that does not fit 63 bits. */
bool number_value(const char *text, long long *i, double *f, bool *is_int);
#endif
