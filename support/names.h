/* Interned names: two names are equal iff their pointers are. */
#ifndef DEPLOYC_NAMES_H
#define DEPLOYC_NAMES_H
#include "arena.h"

struct names { struct arena *arena; const char **slot; int used, cap; };

const char *names_intern(struct names *t, const char *s, size_t n);
const char *names_str(struct names *t, const char *s);             /* of a C string */

/* The candidate nearest to `name` by edit distance, or NULL when none is near (more than a third of its letters differ). */
const char *nearest_name(const char *name, const char *const *candidates, int n);
#endif
