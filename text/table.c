/* Open addressing, linear probing, at most half full. */
#include "table.h"
#include <unistd.h>

uint64_t hash_seed(void)
{
	uint64_t seed;
	return getentropy(&seed, sizeof seed) ? 0x2545F4914F6CDD1Du : seed;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(const char *s, size_t n, uint64_t seed)
{
	uint64_t h = seed ^ mix(n + 0x9E3779B97F4A7C15u, 0xE7037ED1A0B428DBu), word;
	for (; n >= 8; s += 8, n -= 8) {
		memcpy(&word, s, 8);
		h = mix(h ^ word, 0xA0761D6478BD642Fu);
	}
	if (n) {
		word = 0;
		memcpy(&word, s, n);
		h = mix(h ^ word, 0x8EBC6AF09C88C6E3u);
	}
	return mix(h, seed | 1);
}

/* ---- vocabulary ------------------------------------------------------------------------------ */
static void clear_slots(struct vocab *v, size_t slots)
{
	v->slot = text_grow(v->slot, slots, sizeof *v->slot);
	v->slots = slots;
	for (size_t i = 0; i < slots; i++)
		v->slot[i] = -1;
}

void vocab_open(struct vocab *v)
{
	*v = (struct vocab){.seed = hash_seed()};
	clear_slots(v, 64);
}

void vocab_close(struct vocab *v)
{
	bytes_free(&v->text);
	free(v->token);
	free(v->slot);
	*v = (struct vocab){0};
}

struct span vocab_text(const struct vocab *v, int32_t id)
{
	if (id < 0 || (size_t)id >= v->ids || v->token[id].size == NO_TOKEN)
		return (struct span){NULL, 0};
	return (struct span){v->text.at + v->token[id].at, v->token[id].size};
}

/* The slot of a string, or the free one where it would go. */
static size_t find_slot(const struct vocab *v, struct span s)
{
	size_t at = (size_t)hash_bytes(s.at, s.n, v->seed) & (v->slots - 1);
	while (v->slot[at] >= 0 && !spans_equal(vocab_text(v, v->slot[at]), s))
		at = (at + 1) & (v->slots - 1);
	return at;
}

int32_t vocab_find(const struct vocab *v, struct span s) { return v->slot[find_slot(v, s)]; }

/* Enlarges the table of slots. Of two ids with one string, the one that was found before is found afterwards. */
static void widen(struct vocab *v)
{
	size_t n = v->slots;
	int32_t *old = v->slot;
	v->slot = NULL;
	clear_slots(v, 2 * n);
	for (size_t i = 0; i < n; i++)
		if (old[i] >= 0)
			v->slot[find_slot(v, vocab_text(v, old[i]))] = old[i];
	free(old);
}

void vocab_add(struct vocab *v, struct span s, int32_t id)
{
	if (2 * (v->used + 1) > v->slots)
		widen(v);
	if ((size_t)id >= v->room) {
		v->room = 2 * v->room > (size_t)id ? 2 * v->room : (size_t)id + 64;
		v->token = text_grow(v->token, v->room, sizeof *v->token);
	}
	while (v->ids <= (size_t)id)
		v->token[v->ids++] = (struct token){0, NO_TOKEN};
	size_t slot = find_slot(v, s);
	v->used += v->slot[slot] < 0;
	v->slot[slot] = id;
	v->token[id] = (struct token){(uint32_t)v->text.n, (uint32_t)s.n};
	bytes_add(&v->text, s.at, s.n);
}

/* ---- numbers --------------------------------------------------------------------------------- */
static void clear_pairs(struct pairs *p, size_t slots)
{
	p->slot = text_grow(NULL, slots, sizeof *p->slot);
	p->slots = slots;
	for (size_t i = 0; i < slots; i++)
		p->slot[i] = (struct pair){UINT64_MAX, 0};
}

void pairs_open(struct pairs *p)
{
	*p = (struct pairs){.seed = hash_seed()};
	clear_pairs(p, 64);
}

void pairs_close(struct pairs *p)
{
	free(p->slot);
	*p = (struct pairs){0};
}

void pairs_put(struct pairs *p, uint64_t key, uint64_t value)
{
	if (2 * (p->used + 1) > p->slots) {
		struct pair *old = p->slot;
		size_t n = p->slots;
		clear_pairs(p, 2 * n);
		for (size_t i = 0; i < n; i++)
			if (old[i].key != UINT64_MAX)
				p->slot[pairs_slot(p, old[i].key)] = old[i];
		free(old);
	}
	struct pair *slot = &p->slot[pairs_slot(p, key)];
	p->used += slot->key == UINT64_MAX;
	*slot = (struct pair){key, value};
}
