/* Blocks of zeroed memory that grow by doubling, vectors and strings in them. */
#include "arena.h"
#include "escape.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 16, FIRST_BLOCK = 64 << 10, MAX_BLOCK = 8 << 20 };

/* The head is the block with room; `bytes` of payload follow the struct, which is a multiple of 16 bytes long. */
struct arena_block {
	struct arena_block *next;
	size_t used, bytes, padding;
};
_Static_assert(sizeof(struct arena_block) % ALIGNMENT == 0, "the payload must be aligned");

static struct arena_block *block_new(const struct arena *a, size_t bytes, struct arena_block *next)
{
	if (bytes > SIZE_MAX - sizeof(struct arena_block))
		out_of_memory(bytes);
	struct arena_block *b = heap_alloc(a->heap, sizeof *b + bytes);
	b->next = next;
	b->bytes = bytes;
	return b;
}

/* A request larger than the usual block gets its own block after the head, whose free room stays in use. */
static struct arena_block *block_with_room(struct arena *a, size_t bytes)
{
	struct arena_block *head = a->head;
	if (a->heap && a->heap->apart)
		return a->head = block_new(a, bytes, head);
	if (head && bytes > head->bytes / 2 && bytes > FIRST_BLOCK)
		return head->next = block_new(a, bytes, head->next);
	size_t usual = head ? head->bytes * 2 : FIRST_BLOCK;
	if (usual > MAX_BLOCK)
		usual = MAX_BLOCK;
	return a->head = block_new(a, bytes > usual ? bytes : usual, head);
}

void *arena_alloc(struct arena *a, size_t bytes)
{
	if (bytes > SIZE_MAX - ALIGNMENT)
		out_of_memory(bytes);
	bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	struct arena_block *b = a->head;
	if (!b || b->bytes - b->used < bytes || (a->heap && a->heap->apart))
		b = block_with_room(a, bytes);
	void *p = (char *)(b + 1) + b->used;
	b->used += bytes;
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *copy = arena_alloc(a, n + 1);
	if (n)
		memcpy(copy, s, n);
	return copy;
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list args)
{
	char usual[128]; /* formatted once; longer texts twice */
	va_list again;
	va_copy(again, args);
	int n = vsnprintf(usual, sizeof usual, fmt, again);
	va_end(again);
	if (n < 0)
		internal_error("cannot format \"%s\"", fmt);
	char *s = arena_alloc(a, (size_t)n + 1);
	if ((size_t)n < sizeof usual)
		memcpy(s, usual, (size_t)n);
	else
		vsnprintf(s, (size_t)n + 1, fmt, args);
	return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	char *s = arena_vprintf(a, fmt, args);
	va_end(args);
	return s;
}

void arena_free(struct arena *a)
{
	for (struct arena_block *b = a->head, *next; b; b = next) {
		next = b->next;
		heap_free(b);
	}
	a->head = NULL;
}

void arena_reset(struct arena *a)
{
	struct arena_block *largest = NULL;
	if (a->heap && a->heap->apart) {
		arena_free(a);
		return;
	}
	for (struct arena_block *b = a->head, *next; b; b = next) {
		next = b->next;
		struct arena_block *other = !largest || b->bytes > largest->bytes ? largest : b;
		largest = other == b ? largest : b;
		if (other)
			heap_free(other);
	}
	if (largest) {
		memset(largest + 1, 0, largest->used);
		largest->used = 0;
		largest->next = NULL;
	}
	a->head = largest;
}

void vec_room(struct arena *a, void **at, int *cap, int n, size_t size)
{
	if (n < *cap)
		return;
	if (*cap > INT32_MAX / 2)
		out_of_memory((size_t)n * size);
	int larger = *cap ? 2 * *cap : 8;
	void *copy = arena_alloc(a, (size_t)larger * size);
	if (n)
		memcpy(copy, *at, (size_t)n * size);
	*at = copy;
	*cap = larger;
}

void text_add(struct text *t, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	va_list again;
	va_copy(again, args);
	int room = t->cap - t->n, more = vsnprintf(room ? t->at + t->n : NULL, (size_t)room, fmt, again);
	va_end(again);
	if (more < 0)
		internal_error("cannot format \"%s\"", fmt);
	if (more > INT32_MAX / 2 - t->n)
		out_of_memory((size_t)t->n + (size_t)more);
	if (more >= room) {
		int larger = 2 * (t->n + more) + 64;
		char *copy = arena_alloc(t->arena, (size_t)larger);
		if (t->n)
			memcpy(copy, t->at, (size_t)t->n);
		t->at = copy;
		t->cap = larger;
		vsnprintf(t->at + t->n, (size_t)more + 1, fmt, args);
	}
	t->n += more;
	va_end(args);
}

void complain(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fputs("deployc: ", stderr);
	vprint_escaped(stderr, fmt, args);
	putc('\n', stderr);
	va_end(args);
}
