/* The board, on which ranks write what they do and the launcher reads it; and messages of the launcher. world.h says
 * who shares it. */
#ifndef DEPLOY_REPORT_H
#define DEPLOY_REPORT_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses of the launcher. STATUS_SIGNAL + n: signal n ended it. */
enum { STATUS_OK, STATUS_FAILED, STATUS_USAGE, STATUS_INTERNAL = 70, STATUS_SIGNAL = 128 };

/* What a rank does. ACTIVITY_STEP: `op` and `layer` say where. */
enum activity {
	ACTIVITY_START,
	ACTIVITY_LOAD,
	ACTIVITY_WAIT,
	ACTIVITY_STEP,
	ACTIVITY_OUTPUT,
	ACTIVITY_PRINT,
	ACTIVITY_END
};
enum { WAITS_FOR_NONE = -1, WAITS_FOR_READERS = -2 };

struct rank_status {
	atomic_int activity, op, layer; /* layer -1: outside the loop over the layers */
	atomic_uint operations;         /* begun so far */
	atomic_int waits_for;           /* a rank, or one of the above */
	atomic_int helper;              /* process that computes for it; 0: none */
	uint64_t planned, allocated;    /* bytes */
	atomic_bool blamed;             /* the message is written once: the rank may fail while the parent blames it */
	char message[2048];             /* why it failed */
};

/* One for all ranks. `first` is 1 + the rank that failed first, 0 while none did; set, all waits end. */
struct board {
	atomic_int first;
	void (*leave)(int status); /* ends a rank that failed, and does not return: _exit, unless a world sets another */
	struct rank_status rank[];
};

struct reporter {
	struct board *board;
	int rank;
};

/* Zeroed memory shared with processes forked later. NULL: none left. */
void *shared_alloc(size_t bytes);

struct board *board_open(int ranks); /* in memory of shared_alloc; NULL: none left */
void board_close(struct board *b, int ranks);
/* Ends the rank, with STATUS_INTERNAL when the message begins with "internal:". The parent tells the message of the
 * first one that failed, and ends the others. */
_Noreturn void rank_fail(const struct reporter *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The parent's word on a rank, as if it had said so itself. */
void board_blame(struct board *b, int rank, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static inline bool board_failed(const struct reporter *r) { return atomic_load(&r->board->first) != 0; }

/* Mistakes that are collected and reported together: the first PROBLEMS_LISTED, then how many more there are. */
enum { PROBLEMS_LISTED = 20 };
struct problems {
	FILE *out;
	char *text;
	size_t size;
	int n;
};
void problems_open(struct problems *p);
void problem(struct problems *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints "error: TITLE" and the problems, or the only one without the title; frees them. True when there were none. */
bool problems_close(struct problems *p, const char *title);

/* Control characters of what these print, and problem() and rank_fail(), are escaped. */
void say_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void print_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void print_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The exit status, once standard output is flushed: STATUS_FAILED with a message where that fails. */
int finish_output(int status);

/* Of calloc, for host tables whose size is known at start. Running out ends the process with a message. */
void *host_alloc(size_t n, size_t size);
/* Of reallocarray, the same way. n and size are not 0. */
void *host_grow(void *p, size_t n, size_t size);
#endif
