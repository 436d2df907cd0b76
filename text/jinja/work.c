/* Memory and errors of one template. */
#include <stdarg.h>
#include <stdio.h>
#include "../../support/escape.h"
#include "work.h"

enum { BLOCK = 1 << 16, ALIGN = 16 };

struct block {
	_Alignas(ALIGN) struct block *next;
};

void work_fail(struct work *w, const char *fmt, ...)
{
	char text[sizeof w->error->text];
	int n = snprintf(text, sizeof text, "%.200s: line %d: ", w->name, w->line);
	va_list args;
	va_start(args, fmt);
	vsnprintf(text + n, sizeof text - (size_t)n, fmt, args);
	va_end(args);
	FILE *into = fmemopen(w->error->text, sizeof w->error->text, "w");
	if (!into)
		no_memory(sizeof w->error->text);
	put_escaped(into, text);
	fclose(into);
	w->error->text[sizeof w->error->text - 1] = 0;
	longjmp(w->stop, 1);
}

bool work_run(struct work *w, void (*run)(void *context), void *context)
{
	if (setjmp(w->stop))
		return false;
	run(context);
	return true;
}

static void count_memory(struct work *w, size_t n)
{
	if (n > w->max_used - w->used)
		work_fail(w, "takes more than %zu MiB of memory", w->max_used >> 20);
	w->used += n;
}

void *work_alloc(struct work *w, size_t n)
{
	if (n > SIZE_MAX / 2)
		work_fail(w, "takes more than %zu MiB of memory", w->max_used >> 20);
	n = (n + ALIGN - 1) / ALIGN * ALIGN;
	if (n > w->left || !w->free) {
		size_t size = n > BLOCK / 4 ? n : BLOCK;
		count_memory(w, size);
		struct block *b = text_grow(NULL, sizeof *b + size, 1);
		b->next = w->blocks;
		w->blocks = b;
		/* A large request has a block of its own, and the rest of the block before it is used on. */
		if (size == n && size != BLOCK)
			return memset(b + 1, 0, n);
		w->free = (char *)(b + 1);
		w->left = size;
	}
	void *p = w->free;
	w->free += n;
	w->left -= n;
	return memset(p, 0, n);
}

void *work_grow(struct work *w, void *at, size_t old, size_t n, size_t size)
{
	if (n > SIZE_MAX / 4 / size)
		work_fail(w, "takes more than %zu MiB of memory", w->max_used >> 20);
	void *grown = work_alloc(w, n * size);
	if (old)
		memcpy(grown, at, old * size);
	return grown;
}

void work_free(struct work *w)
{
	for (struct block *next, *b = w->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	w->blocks = NULL;
	w->free = NULL;
	w->left = 0;
}

void text_append(struct text *t, const char *s, size_t n)
{
	if (!n)
		return;
	if (t->max && n > t->max - t->n)
		work_fail(t->work, "makes a text of more than %zu MiB", t->max >> 20);
	if (t->room - t->n < n) {
		size_t room = 2 * t->room > t->n + n ? 2 * t->room : t->n + n + 64;
		t->at = work_grow(t->work, t->at, t->n, room, 1);
		t->room = room;
	}
	work_bytes(t->work, n);
	memcpy(t->at + t->n, s, n);
	t->n += n;
}
