/* Memory of work that can be given up: an internal error or lack of memory ends the work, not the process. */
#ifndef DEPLOYC_HEAP_H
#define DEPLOYC_HEAP_H
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>

enum { EXIT_INTERNAL = 70, EXIT_MEMORY = 71 }; /* EX_SOFTWARE and EX_OSERR of sysexits.h */
enum { MAX_SAID = 256 };

/* Undoes something when work is given up: closes a file, removes a half-written one. Its owner keeps it alive until
 * undo_remove; `run` must not allocate. */
struct undo {
	void (*run)(void *what);
	void *what;
	struct undo *next;
};

struct heap {
	bool apart; /* each request of an arena is its own block, so tests can see it and make it fail */
	void *(*allocate)(size_t bytes); /* zeroed memory for free(), or NULL if there is none left; NULL: calloc */
	char said[MAX_SAID]; /* the internal error that ended the work, "file:line: text", which may be cut; else "" */
	/* the rest is private to heap.c */
	struct heap_block *blocks;
	struct undo *undo;
	struct heap *outer;
	sigjmp_buf *end;
	int status;
};

/* Does the work and returns its status, or the status with which it was given up. Then frees everything that was
 * allocated in the heap meanwhile, or by heap_malloc. Calls nest; each thread has its own work. */
int heap_run(struct heap *h, int (*work)(void *context), void *context);
/* Runs the undos of this thread's innermost work, and ends that work. status: not 0. Aborts if there is no work. */
_Noreturn void give_up(int status);
/* Gives up with EXIT_MEMORY, after a message. */
_Noreturn void out_of_memory(size_t bytes);
/* A bug in deployc: prints a message that asks for a report, and gives up with EXIT_INTERNAL. */
#define internal_error(...) internal_error_at(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void internal_error_at(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* For the innermost work of this thread; without one they do nothing. */
void undo_add(struct undo *u);
void undo_remove(struct undo *u); /* does nothing if it was not added */

/* Zeroed, aligned to 16 bytes, never NULL. h NULL: owned by no heap, freed only by heap_free. */
void *heap_alloc(struct heap *h, size_t bytes) __attribute__((malloc));
void heap_free(void *p); /* p may be NULL */
/* For libraries that take an allocator and cannot handle NULL: from the innermost work's heap. Freed by heap_free. */
void *heap_malloc(size_t bytes) __attribute__((malloc));
#endif
