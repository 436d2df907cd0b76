/* Memory of this folder: growing arrays, of bytes and of anything else. Lack of memory ends the process (no_memory). */
#ifndef TEXT_BYTES_H
#define TEXT_BYTES_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../runtime/no_memory.h"

/* reallocarray that never returns NULL. n and size are not 0. */
static inline void *text_grow(void *p, size_t n, size_t size)
{
	void *grown = reallocarray(p, n, size);
	if (!grown)
		no_memory(n * size);
	return grown;
}

/* Makes room for one more element of `at`, which has n of them and room for *room. Returns where the array is now. */
static inline void *text_room(void *at, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return at;
	*room = *room ? 2 * *room : 16;
	return text_grow(at, *room, size);
}

struct bytes {
	char *at;
	size_t n, room;
};

/* Makes room for n more bytes, and returns where they go. */
static inline char *bytes_reserve(struct bytes *b, size_t n)
{
	if (b->room - b->n < n || !b->at) {
		size_t room = 2 * b->room > b->n + n ? 2 * b->room : b->n + n + 64;
		b->at = text_grow(b->at, room, 1);
		b->room = room;
	}
	return b->at + b->n;
}

static inline void bytes_add(struct bytes *b, const char *s, size_t n)
{
	char *to = bytes_reserve(b, n);
	if (n)
		memcpy(to, s, n);
	b->n += n;
}

static inline void bytes_free(struct bytes *b)
{
	free(b->at);
	*b = (struct bytes){0};
}

static inline void bytes_swap(struct bytes *a, struct bytes *b)
{
	struct bytes c = *a;
	*a = *b;
	*b = c;
}

/* A string that is owned elsewhere; it may contain NUL. */
struct span {
	const char *at;
	size_t n;
};

static inline struct span span_of(const struct bytes *b) { return (struct span){b->at, b->n}; }

static inline int spans_equal(struct span a, struct span b) { return a.n == b.n && !memcmp(a.at, b.at, a.n); }
#endif
