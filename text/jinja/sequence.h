/* Values that have elements: strings have characters, dicts keys. */
#ifndef JINJA_SEQUENCE_H
#define JINJA_SEQUENCE_H
#include "values.h"

/* All elements, as a list that the caller may not change; fails for a value that cannot be walked. An iterator has none
 * left then. */
struct list *elements(struct work *w, struct value v);
bool can_walk(struct value v);
/* len(); -1: the value has none. */
int64_t length(struct work *w, struct value v);
/* The element at an index, which may count from the end; ABSENT: there is none, or it cannot be indexed. */
struct value element(struct work *w, struct value v, int64_t index);
/* v[start:stop:step]; bounds may be none. */
struct value slice(struct work *w, struct value v, struct value start, struct value stop, struct value step);
/* Python's `in`. */
bool contains(struct work *w, struct value in, struct value v);
/* Python's < of two values; fails if they have no order. */
bool is_less(struct work *w, struct value a, struct value b);
/* Sorts a list by keys, one for each element; stable. Both are reordered. */
void sort_by(struct work *w, struct list *l, struct list *keys, bool reverse);
#endif
