/* Interned names: two names are equal iff their pointers are. Indices of array elements by name. */
#ifndef DEPLOYC_NAMES_H
#define DEPLOYC_NAMES_H
#include "arena.h"

struct names {
	struct arena *arena;
	const char **slot;
	int used, cap;
	const struct names *base; /* names that are interned already, in a table that stays as it is; NULL: none */
};

const char *names_intern(struct names *t, const char *s, size_t n);
const char *names_str(struct names *t, const char *s); /* s is NUL-terminated */

/* Finds array elements by name; the array grows in step with this. Few names are compared one by one, many hashed. */
struct index {
	const char **name;
	int n, cap;
	int *slot;
	int slots;
};

int index_find(const struct index *x, const char *name);            /* the first element of that name, or -1 */
void index_add(struct arena *a, struct index *x, const char *name); /* as element n */
void index_cut(struct index *x, int n);                             /* forgets the elements from n on */

/* The candidate nearest to `name` by edit distance, or NULL when none is near (more than a third of its letters
 * differ). */
const char *nearest_name(const char *name, const char *const *candidates, int n);
#endif
