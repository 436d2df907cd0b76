/* Memory that lives as long as one compilation; it is freed all at once. */
#ifndef DEPLOYC_ARENA_H
#define DEPLOYC_ARENA_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include "heap.h"

struct arena {
	struct arena_block *head;
	struct heap *heap; /* owns the memory; NULL: the arena owns it, and only arena_free frees it */
};

/* Zeroed memory, aligned to 16 bytes. Never NULL. */
void *arena_alloc(struct arena *a, size_t bytes);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
void arena_free(struct arena *a);
/* Ends what is in it, and keeps some of its memory for what comes. */
void arena_reset(struct arena *a);

#define arena_new(a, T)      ((T *)arena_alloc((a), sizeof(T)))
#define arena_array(a, T, n) ((T *)arena_alloc((a), sizeof(T) * (size_t)(n)))

/* A growing array in an arena: VEC(int) v = {0}; vec_push(a, &v, 7); v.at[0]; v.n */
#define VEC(T)      \
	struct {        \
		T *at;      \
		int n, cap; \
	}
#define vec_push(a, v, x) \
	(vec_room((a), (void **)&(v)->at, &(v)->cap, (v)->n, sizeof *(v)->at), (v)->at[(v)->n++] = (x))
void vec_room(struct arena *a, void **at, int *cap, int n, size_t size);

/* A string under construction. */
struct text {
	struct arena *arena;
	char *at;
	int n, cap;
};
void text_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints "deployc: ", the text with control characters escaped, and a newline on standard error. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#endif
