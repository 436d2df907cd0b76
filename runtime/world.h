/* The interface between a launcher and what its ranks run on. A world starts ranks, connects them, and reports the
 * state of each to the launcher. world_fork.c: processes of this host.
 *
 * Data between ranks and the launcher:
 *   - A rank starts with the job that the launcher prepared: plan, options, mapped checkpoint, open files. If ranks do
 * not inherit it, the world copies it to them.
 *   - Each rank writes its entry of the board (report.h), and the launcher reads all entries. `first` also goes the
 * other way: once set, it ends every rank's waits. If memory is not shared, the world copies both.
 *   - Everything else goes through the communicator: steps to all ranks, values between them, results to rank 0, which
 *     prints them. Apart from the board, only the communicator uses shared memory. */
#ifndef DEPLOY_WORLD_H
#define DEPLOY_WORLD_H
#include <stdbool.h>
#include <stdint.h>
#include "comm.h"
#include "device.h"
#include "plan.h"
#include "report.h"

enum rank_state { RANK_RUNS, RANK_DONE, RANK_FAILED, RANK_KILLED };
struct rank_end {
	enum rank_state state;
	int number; /* RANK_FAILED: exit status; RANK_KILLED: signal */
};
/* The life of one rank. It succeeds if this returns; on failure it calls rank_fail, which ends it through the board's
 * `leave`. */
typedef void rank_fn(void *context, int rank);

struct world {
	struct board *board;
	/* ---- the launcher calls these, in this order ---- */
	/* Starts all ranks. false after a message: some may be running until `stop`. */
	bool (*start)(struct world *w, rank_fn *life, void *context);
	/* Waits until a rank ends, at most `ms`. Returns the signal that asks the launcher to end, or 0. */
	int (*wait)(struct world *w, int ms);
	struct rank_end (*end_of)(const struct world *w, int rank);
	/* Processor time in ns of a rank and its helper: a rank that uses none may be stuck (watch.c). */
	uint64_t (*processor_time)(const struct world *w, int rank);
	/* Ends all running ranks. When it returns, none is left. */
	void (*stop)(struct world *w);
	void (*close)(struct world *w);
	/* ---- a rank calls this, once ---- */
	struct comm *(*connect)(struct world *w, struct device *d, const struct reporter *r, bool spin);
};

/* Ranks are forks of the launcher. They end with it, their helpers end with them, and shared memory has no name, so
 * nothing is left over. own_memory: that of the plan is not the host's, but the devices'. NULL after a message: the
 * host has too little memory for the plan. */
struct world *world_fork_open(const struct plan *plan, int workers, bool own_memory);
#endif
