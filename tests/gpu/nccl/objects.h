/* The emulated NCCL's objects. Ranks are processes of one host. A communicator is shared memory with a ring of bytes
 * for each pair of ranks; what is queued on a stream is a set of transfers through rings, with sums at the end. */
#ifndef NCCL_OBJECTS_H
#define NCCL_OBJECTS_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#pragma GCC visibility push(default)
#include "../../../runtime/nccl_api.h"
#pragma GCC visibility pop
#include "../driver/hooks.h"

enum { RING_BYTES = 1 << 15, MAX_RANKS = 64, MAX_TEXT = 300 };

/* ---- between processes ---- */
/* From one rank to another. The two counts grow forever. */
struct ring {
	_Alignas(64) _Atomic uint64_t written, read;
	char bytes[RING_BYTES];
};

/* What a rank says when its communicator is split. */
struct member {
	int color, key;
	pid_t pid; /* of the first rank of each part: where the others find the part's memory */
	int file;
	_Atomic int offered; /* number of the split that the two lines above are for, from 1 */
};

struct shared {
	uint64_t nonce;              /* of the unique id */
	_Atomic int ranks, joined;   /* ranks: 0 before the first one */
	_Atomic int asked, finished; /* ranks that began and ended a split, counted over all splits */
	struct member member[MAX_RANKS];
	struct ring ring[]; /* [from][to] */
};

/* What a rank does, in front of all bytes that it sends. The receiver must be doing the same. */
enum kind { ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, BROADCAST, POINT_TO_POINT };
struct head {
	uint32_t kind, type, op, root;
	uint64_t count;
};

/* ---- within a process ---- */
struct transfer {
	struct transfer *next;
	struct head head, seen; /* seen: the other's */
	CUdeviceptr at;         /* 0: `host` is memory of the work */
	char *host;
	size_t bytes, done; /* done: of head and bytes */
	int peer;
	bool sends;
	uint64_t end; /* of a send: the ring's count of bytes when all of it was written */
};

/* At the end of a work: `to` becomes the sum, or maximum, of all ranks' numbers. */
struct sum {
	struct sum *next;
	struct head head;
	CUdeviceptr to;
	char *parts; /* [ranks][count] */
};

/* Everything of one group of calls for one communicator. */
struct work {
	struct work *next;
	struct ncclComm *comm;
	CUstream stream;
	struct transfer *transfers, **last; /* in order; those of one peer and direction follow each other */
	struct sum *sums;
	bool started, fails, hangs; /* as EMU_NCCL_FAIL and EMU_NCCL_HANG say */
};

enum pending { NOTHING, JOIN, SPLIT, QUEUE, FINALIZE };

struct ncclComm {
	unsigned magic;
	int rank, ranks, world; /* world: the rank in the communicator that this is a part of */
	CUcontext context;
	CUstream stream; /* the one that it was first used with */
	bool blocking, used, finalized;
	struct shared *shared;
	int file;          /* of the memory, until all have joined: this rank made it; -1: another did */
	_Atomic int error; /* ncclResult_t */
	_Atomic bool aborted;
	_Atomic int works;   /* that streams or graphs have */
	struct work *active; /* works of a communicator do not overlap */

	enum pending pending;
	struct work *posted; /* QUEUE */
	int splits, step;    /* SPLIT: number of it, and how far it is */
	int color, key;
	ncclComm_t part, *part_out;
};
enum { MAGIC_COMM = 0x6ecc1c03 };

/* ---- shared.c ---- */
/* Memory for a communicator; the file, or -1. It has no name, so nothing is left when processes end. */
int shared_make(uint64_t nonce);
/* Opens the memory that a process made. NULL: there is none, or for another number of ranks. */
struct shared *shared_open(pid_t pid, int file, uint64_t nonce, int ranks);
void shared_close(struct shared *s, int ranks);
/* Moves what can be moved now: to the ring, or from it. Returns the bytes. */
size_t ring_move(struct ring *r, char *bytes, size_t n, bool to);

/* ---- comm.c ---- */
/* Records an error: ncclCommGetAsyncError returns it, unless the call does; ncclGetLastError has the words. */
ncclResult_t wrong(struct ncclComm *c, ncclResult_t error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Does a variable, RANK:CALL, name this rank and call? Call 0 is that in which the ranks join. */
bool is_chosen(const char *variable, const struct ncclComm *c, int call);
/* ncclSuccess: the communicator may be used in this thread now. */
ncclResult_t check_comm(struct ncclComm *c, const char *call);
/* What a call that may go on returns: a communicator that blocks waits here. */
ncclResult_t settle(struct ncclComm *c);

/* ---- work.c ---- */
struct work *work_new(struct ncclComm *c, CUstream stream);
void work_transfer(struct work *w, const struct head *head, bool sends, int peer, CUdeviceptr at, char *host);
void work_sum(struct work *w, const struct head *head, CUdeviceptr to, char *parts);
ncclResult_t work_queue(struct work *w);
size_t type_bytes(uint32_t type); /* 0: not one that is known here */

/* ---- sums.c ---- */
/* Sums in the order of a ring through the ranks, which is not their order; rounded after each addition. */
void sum_numbers(const struct sum *s, int rank, int ranks, void *to);
#endif
