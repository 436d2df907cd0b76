/* Work that can be given up: its memory, its undos, and the report of internal errors. */
#include "heap.h"
#include "escape.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The allocated bytes follow the struct, whose size is a multiple of 16. */
struct heap_block {
	struct heap_block *next, **at; /* at: the pointer to this block; NULL: no heap owns it */
};
_Static_assert(sizeof(struct heap_block) % 16 == 0, "what follows must be aligned");

static _Thread_local struct heap *innermost;

/* ---- blocks ---------------------------------------------------------------------------------- */

static void *block_new(struct heap *h, size_t bytes, bool zeroed)
{
	struct heap_block *b = NULL;
	size_t all = bytes + sizeof *b;
	if (all > bytes)
		b = h && h->allocate ? h->allocate(all) : zeroed ? calloc(1, all) : malloc(all);
	if (!b)
		out_of_memory(bytes);
	*b = (struct heap_block){0};
	if (!h)
		return b + 1;
	*b = (struct heap_block){h->blocks, &h->blocks};
	if (b->next)
		b->next->at = &b->next;
	h->blocks = b;
	return b + 1;
}

void *heap_alloc(struct heap *h, size_t bytes) { return block_new(h, bytes, true); }

void *heap_malloc(size_t bytes) { return block_new(innermost, bytes, false); }

void heap_free(void *p)
{
	struct heap_block *b = p ? (struct heap_block *)p - 1 : NULL;
	if (b && b->at) {
		*b->at = b->next;
		if (b->next)
			b->next->at = b->at;
	}
	free(b);
}

/* ---- work ------------------------------------------------------------------------------------ */

int heap_run(struct heap *h, int (*work)(void *context), void *context)
{
	sigjmp_buf end;
	h->outer = innermost;
	h->end = &end;
	innermost = h;
	if (!sigsetjmp(end, 1))
		h->status = work(context);
	while (h->blocks)
		heap_free(h->blocks + 1);
	innermost = h->outer;
	h->undo = NULL;
	h->end = NULL;
	return h->status;
}

static void undo_all(void)
{
	while (innermost && innermost->undo) {
		struct undo *u = innermost->undo;
		innermost->undo = u->next;
		u->run(u->what);
	}
}

void give_up(int status)
{
	undo_all();
	if (!innermost)
		abort();
	innermost->status = status;
	siglongjmp(*innermost->end, 1);
}

void undo_add(struct undo *u)
{
	if (!innermost)
		return;
	u->next = innermost->undo;
	innermost->undo = u;
}

void undo_remove(struct undo *u)
{
	for (struct undo **at = innermost ? &innermost->undo : NULL; at && *at; at = &(*at)->next)
		if (*at == u) {
			*at = u->next;
			return;
		}
}

/* ---- reports --------------------------------------------------------------------------------- */

/* Undoes first: this drops half-printed diagnostics, so the message has its own line. */
void out_of_memory(size_t bytes)
{
	undo_all();
	fprintf(stderr, "deployc: out of memory: %zu bytes requested; raise the limit (ulimit -v) or free memory\n", bytes);
	give_up(EXIT_MEMORY);
}

__attribute__((format(printf, 3, 0))) static void note_error(const char *file, int line, const char *fmt, va_list args)
{
	if (!innermost)
		return;
	int n = snprintf(innermost->said, MAX_SAID, "%s:%d: ", file, line);
	if (n > 0 && n < MAX_SAID)
		vsnprintf(innermost->said + n, (size_t)(MAX_SAID - n), fmt, args);
}

void internal_error_at(const char *file, int line, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fprintf(stderr, "deployc: internal error at %s:%d: ", file, line);
	vprint_escaped(stderr, fmt, args);
	fprintf(stderr, "\nThis is a bug in deployc, not in the spec. Report it with the spec that shows it.\n");
	va_end(args);
	va_start(args, fmt);
	note_error(file, line, fmt, args);
	va_end(args);
	give_up(EXIT_INTERNAL);
}
