/* Memory that lives as long as one compilation. Nothing in it is freed one by one. */
#ifndef DEPLOYC_ARENA_H
#define DEPLOYC_ARENA_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum { EXIT_INTERNAL = 70, EXIT_MEMORY = 71 }; /* EX_SOFTWARE and EX_OSERR of sysexits.h */

/* What is undone when the process ends for lack of memory: a file that is half written. Its owner keeps it alive. */
struct undo {
	void (*run)(void *what);
	void *what;
	struct undo *next;
};
/* What the arenas of a process share. apart: each request is a block of its own, so that tests see it and can make it
 * fail. */
struct heap {
	bool apart;
	struct undo *undo;
};
struct arena {
	struct arena_block *head;
	struct heap *heap; /* may be NULL */
};

void undo_add(const struct arena *a, struct undo *u);
void undo_remove(const struct arena *a, struct undo *u); /* also of one that was not added */
/* Undoes, says so, and ends the process with EXIT_MEMORY. `a` may be NULL where nothing is to be undone. */
_Noreturn void out_of_memory(const struct arena *a, size_t bytes);
/* For libraries that take an allocator: malloc that never gives NULL. */
void *malloc_or_exit(size_t bytes) __attribute__((malloc));

/* Zeroed memory, aligned to 16 bytes. Never NULL. */
void *arena_alloc(struct arena *a, size_t bytes);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
void arena_free(struct arena *a);

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
/* A bug of ours: says so, asks for a report, ends the process with EXIT_INTERNAL. */
#define internal_error(...) internal_error_at(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void internal_error_at(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
#endif
