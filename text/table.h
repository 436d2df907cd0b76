/* Hash tables: the strings of a vocabulary, and numbers by 64-bit keys. Their hashes depend on a random number, so that
 * no file can be made for which they are slow. */
#ifndef TEXT_TABLE_H
#define TEXT_TABLE_H
#include <stdbool.h>
#include <stdint.h>
#include "bytes.h"

uint64_t hash_bytes(const char *s, size_t n, uint64_t seed);
uint64_t hash_seed(void);

/* Strings by id, and ids by string. Ids may have gaps. */
struct vocab {
	struct bytes text;
	struct token {
		uint32_t at, size; /* in `text`; size NO_TOKEN: no string has this id */
	} *token;
	size_t ids, room; /* 1 + the largest id; for how many there is room */
	int32_t *slot;    /* ids, or -1 */
	size_t slots, used;
	uint64_t seed;
};
#define NO_TOKEN UINT32_MAX

void vocab_open(struct vocab *v);
void vocab_close(struct vocab *v);
/* Adds a string with an id that has none yet. A string that is in the table already is found with the new id from now
 * on; vocab_text still knows it by the old one too. */
void vocab_add(struct vocab *v, struct span s, int32_t id);
int32_t vocab_find(const struct vocab *v, struct span s); /* -1: none has this string */
/* The string of an id; at is NULL if it has none. Valid until the next vocab_add. */
struct span vocab_text(const struct vocab *v, int32_t id);

/* 64-bit values by 64-bit keys, which are not UINT64_MAX. */
struct pairs {
	struct pair {
		uint64_t key, value;
	} *slot;
	size_t slots, used;
	uint64_t seed;
};
void pairs_open(struct pairs *p);
void pairs_close(struct pairs *p);
/* Sets the value of a key. */
void pairs_put(struct pairs *p, uint64_t key, uint64_t value);

static inline size_t pairs_slot(const struct pairs *p, uint64_t key)
{
	uint64_t h = (key ^ p->seed) * 0x9E3779B97F4A7C15u;
	h = (h ^ h >> 32) * 0xD6E8FEB86659FD93u;
	size_t at = (size_t)(h >> 32) & (p->slots - 1);
	while (p->slot[at].key != key && p->slot[at].key != UINT64_MAX)
		at = (at + 1) & (p->slots - 1);
	return at;
}

static inline bool pairs_get(const struct pairs *p, uint64_t key, uint64_t *value)
{
	const struct pair *found = &p->slot[pairs_slot(p, key)];
	*value = found->value;
	return found->key == key;
}
#endif
