/* The table of interned names, indices by name (open addressing, at most half full), and the search for the nearest
 * name. */
#include "names.h"
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a */
static uint64_t hash_bytes(const char *s, size_t n)
{
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 1099511628211u;
	return h;
}

/* The slot that holds the name, or the empty one where it belongs. */
static const char **slot_of(const char **slots, int cap, const char *s, size_t n)
{
	for (uint64_t i = hash_bytes(s, n);; i++) {
		const char **slot = &slots[i & (uint64_t)(cap - 1)];
		if (!*slot || (!strncmp(*slot, s, n) && !(*slot)[n]))
			return slot;
	}
}

static void grow(struct names *t)
{
	int cap = t->cap ? 2 * t->cap : 256;
	const char **slots = arena_array(t->arena, const char *, cap);
	for (int i = 0; i < t->cap; i++)
		if (t->slot[i])
			*slot_of(slots, cap, t->slot[i], strlen(t->slot[i])) = t->slot[i];
	t->slot = slots;
	t->cap = cap;
}

const char *names_intern(struct names *t, const char *s, size_t n)
{
	const char *known = t->base && t->base->cap ? *slot_of(t->base->slot, t->base->cap, s, n) : NULL;
	if (known)
		return known;
	if (2 * t->used >= t->cap)
		grow(t);
	const char **slot = slot_of(t->slot, t->cap, s, n);
	if (!*slot) {
		*slot = arena_strndup(t->arena, s, n);
		t->used++;
	}
	return *slot;
}

const char *names_str(struct names *t, const char *s) { return names_intern(t, s, strlen(s)); }

/* ---- elements by name ------------------------------------------------------------------------ */

enum { FEW = 16 }; /* names that are found faster without a hash */

/* The slot of a name, or the empty one where it belongs. A slot holds the element's index plus 1. */
static int *place_of(const struct index *x, const char *name)
{
	for (uint64_t i = hash_bytes(name, strlen(name));; i++) {
		int *slot = &x->slot[i & (uint64_t)(x->slots - 1)];
		if (!*slot || x->name[*slot - 1] == name || !strcmp(x->name[*slot - 1], name))
			return slot;
	}
}

int index_find(const struct index *x, const char *name)
{
	if (x->slots)
		return *place_of(x, name) - 1;
	for (int i = 0; i < x->n; i++)
		if (x->name[i] == name || (x->name[i][0] == name[0] && !strcmp(x->name[i], name)))
			return i;
	return -1;
}

static void hash_place(struct index *x, int i)
{
	int *slot = place_of(x, x->name[i]);
	if (!*slot)
		*slot = i + 1;
}

static void hash_all(struct arena *a, struct index *x)
{
	x->slots = x->slots ? 2 * x->slots : 4 * FEW;
	x->slot = arena_array(a, int, x->slots);
	for (int i = 0; i < x->n; i++)
		hash_place(x, i);
}

void index_add(struct arena *a, struct index *x, const char *name)
{
	vec_room(a, (void **)&x->name, &x->cap, x->n, sizeof *x->name);
	x->name[x->n++] = name;
	if (x->n > FEW && 2 * x->n > x->slots)
		hash_all(a, x);
	else if (x->slots)
		hash_place(x, x->n - 1);
}

/* No other probe passes over the slot of the element added last, so that slot can simply be emptied. */
void index_cut(struct index *x, int n)
{
	for (; x->n > n; x->n--) {
		int *slot = x->slots ? place_of(x, x->name[x->n - 1]) : NULL;
		if (slot && *slot == x->n)
			*slot = 0;
	}
}

/* ---- the nearest name ------------------------------------------------------------------------ */

enum { MAX_NAME = 64 }; /* longer names are not compared */

static int min(int a, int b) { return a < b ? a : b; }

enum { EDIT = 2, CASE = 1 }; /* costs of an insertion, deletion, substitution or swap; cost of a change of case */

static int substitution(char a, char b)
{
	return a == b ? 0 : tolower((unsigned char)a) == tolower((unsigned char)b) ? CASE : EDIT;
}

/* Damerau-Levenshtein distance (optimal string alignment), weighted. */
static int edit_distance(const char *a, int n, const char *b, int m)
{
	int row[3][MAX_NAME + 1]; /* row[i % 3][j]: distance of a[0, i) and b[0, j) */
	for (int j = 0; j <= m; j++)
		row[0][j] = j * EDIT;
	for (int i = 1; i <= n; i++) {
		int *now = row[i % 3], *above = row[(i + 2) % 3], *before = row[(i + 1) % 3];
		now[0] = i * EDIT;
		for (int j = 1; j <= m; j++) {
			now[j] = min(min(above[j], now[j - 1]) + EDIT, above[j - 1] + substitution(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = min(now[j], before[j - 2] + EDIT);
		}
	}
	return row[n % 3][m];
}

const char *nearest_name(const char *name, const char *const *candidates, int n)
{
	int length = (int)strnlen(name, MAX_NAME + 1), allowed = (length < 3 ? 1 : length / 3) * EDIT;
	const char *best = NULL;
	for (int i = 0; i < n && length <= MAX_NAME; i++) {
		int other = (int)strnlen(candidates[i], MAX_NAME + 1);
		if (other > MAX_NAME || abs(other - length) * EDIT > allowed)
			continue;
		int distance = edit_distance(name, length, candidates[i], other);
		if (distance > 0 && distance <= allowed && distance < length * EDIT) {
			allowed = distance - 1;
			best = candidates[i];
		}
	}
	return best;
}
