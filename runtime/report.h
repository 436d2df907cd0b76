/* The board, where ranks write what they do and the launcher reads it; and the launcher's messages. world.h says who
 * shares the board. */
#ifndef DEPLOY_REPORT_H
#define DEPLOY_REPORT_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "host_alloc.h"

/* Exit statuses of the launcher. STATUS_SIGNAL + n: signal n ended it. */
enum { STATUS_OK, STATUS_FAILED, STATUS_USAGE, STATUS_INTERNAL = 70, STATUS_SIGNAL = 128 };

/* What a rank is doing. ACTIVITY_STEP: `op` and `layer` say where. */
enum activity {
	ACTIVITY_START,
	ACTIVITY_LOAD,
	ACTIVITY_WAIT,
	ACTIVITY_STEP,
	ACTIVITY_OUTPUT,
	ACTIVITY_PRINT,
	ACTIVITY_END
};
enum { WAITS_FOR_NONE = -1, WAITS_FOR_READERS = -2, WAITS_FOR_GROUP = -3 /* in a collective of devices */ };

enum { RECENT = 16, OP_GRAPH = -1 }; /* OP_GRAPH: as `op`, a decode step that is launched as a graph */
struct place {
	atomic_int op, layer;
};

struct rank_status {
	atomic_int activity, op, layer;     /* layer -1: outside the loop over the layers */
	atomic_uint operations;             /* operations begun so far */
	atomic_int waits_for;               /* a rank, or one of the constants above */
	atomic_int helper;                  /* process that computes for the rank; 0: none */
	uint64_t planned, allocated;        /* bytes */
	atomic_ullong loaded;               /* bytes of weights that are on the device, or on their way */
	struct place recent[RECENT];        /* the last operations: number n of them, counted from 0, at n % RECENT */
	atomic_uint graphs, graph_launches; /* decode steps that were made graphs; launches of these */
	atomic_uint overlapped;             /* steps that were queued while the one before was under way */
	atomic_bool late;                   /* work that was queued failed: it may be an operation before `op` */
	atomic_bool blamed;                 /* `message` is claimed: rank and parent may write it at the same time */
	char message[2048];                 /* why the rank failed */
};

/* One for all ranks. `first`: 1 + the rank that failed first, or 0. When it is set, all waits end. */
struct board {
	atomic_int first;
	void (*leave)(int status); /* ends a failed rank and does not return: _exit, unless a world replaces it */
	struct rank_status rank[];
};

struct reporter {
	struct board *board;
	int rank;
};

/* Zeroed memory shared with processes forked later. NULL: no memory. */
void *shared_alloc(size_t bytes);

struct board *board_open(int ranks); /* in memory of shared_alloc; NULL: no memory */
void board_close(struct board *b, int ranks);
/* Ends the rank, with STATUS_INTERNAL if the message begins with "internal:". The parent reports the message of the
 * first rank to fail, and ends the others. */
_Noreturn void rank_fail(const struct reporter *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Writes a rank's message for it: the parent's report of a rank. */
void board_blame(struct board *b, int rank, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static inline bool board_failed(const struct reporter *r) { return atomic_load(&r->board->first) != 0; }

/* Mistakes, collected and reported together: the first PROBLEMS_LISTED, then the number of the others. */
enum { PROBLEMS_LISTED = 20 };
struct problems {
	FILE *out;
	char *text;
	size_t size;
	int n;
};
void problems_open(struct problems *p);
void problem(struct problems *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints "error: TITLE" and the problems, or a single problem alone, and frees them. true: there were none. */
bool problems_close(struct problems *p, const char *title);

/* These print messages. They, problem() and rank_fail() escape control characters. */
void say_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void print_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void print_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Flushes standard output. Returns `status`, or STATUS_FAILED after a message. */
int finish_output(int status);

/* reallocarray for memory of host_alloc; its error is that of host_alloc. n and size are not 0. */
void *host_grow(void *p, size_t n, size_t size);
#endif
