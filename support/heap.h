/* Memory of a piece of work that may be given up, and where it ends then: an internal error or lack of memory ends the
 * work, not the process. */
#ifndef DEPLOYC_HEAP_H
#define DEPLOYC_HEAP_H
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>

enum { EXIT_INTERNAL = 70, EXIT_MEMORY = 71 }; /* EX_SOFTWARE and EX_OSERR of sysexits.h */

/* What is undone when work is given up: a file that is half written, one that is open. Its owner keeps it alive until
 * undo_remove, and allocates nothing in `run`. */
struct undo {
	void (*run)(void *what);
	void *what;
	struct undo *next;
};

struct heap {
	bool apart;                      /* each request of an arena is a block of its own: tests see it and can fail it */
	void *(*allocate)(size_t bytes); /* zeroed memory for free(), or NULL for lack of it; NULL: calloc */
	/* what follows is of heap.c */
	struct heap_block *blocks;
	struct undo *undo;
	struct heap *outer;
	sigjmp_buf *end;
	int status;
};

/* Does the work and gives its status, or that with which it was given up. All that was allocated in the heap meanwhile,
 * or by heap_malloc, is freed. Nests; each thread has work of its own. */
int heap_run(struct heap *h, int (*work)(void *context), void *context);
/* Undoes what the innermost work of this thread has listed, and ends that work. status: not 0. Aborts where there is no
 * work. */
_Noreturn void give_up(int status);
/* Gives up with EXIT_MEMORY, and says so. */
_Noreturn void out_of_memory(size_t bytes);
/* A bug in deployc: says so, asks for a report, gives up with EXIT_INTERNAL. */
#define internal_error(...) internal_error_at(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void internal_error_at(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Of the innermost work of this thread; without one they do nothing. */
void undo_add(struct undo *u);
void undo_remove(struct undo *u); /* also of one that was not added */

/* Zeroed, aligned to 16 bytes, never NULL. h NULL: nobody's, freed by heap_free alone. */
void *heap_alloc(struct heap *h, size_t bytes) __attribute__((malloc));
void heap_free(void *p); /* NULL is let be */
/* For libraries that take an allocator, which bear no NULL: of the innermost work's heap. To be freed by heap_free. */
void *heap_malloc(size_t bytes) __attribute__((malloc));
#endif
