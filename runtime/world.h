/* The seam between a launcher and what its ranks run on. A world brings ranks into being, connects them, and reports to
 * the launcher how each fares. world_fork.c: processes of this host.
 *
 * What passes between ranks and the launcher:
 *   - A rank starts from what the launcher prepared: the job (plan, options, mapped checkpoint, open files). A world
 *     whose ranks do not inherit it has to bring it to them.
 *   - Each rank writes its entry of the board (report.h), the launcher reads all of them. `first` goes the other way as
 *     well: once set, it ends every rank's waits. Where memory is not shared, the world copies both.
 *   - Everything else goes through the communicator: steps to all ranks, values between them, results to rank 0, which
 *     prints them. Nobody but the communicator has memory that ranks share. */
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
/* The life of one rank. The rank has succeeded when this returns; one that fails calls rank_fail, which ends it through
 * the board's `leave`. */
typedef void rank_fn(void *context, int rank);

struct world {
	struct board *board;
	/* ---- the launcher calls these, in this order ---- */
	/* Starts all ranks. false after a message: some may run, and `stop` ends them. */
	bool (*start)(struct world *w, rank_fn *life, void *context);
	/* Waits until a rank ends, but at most `ms`. Returns the signal that asks the launcher to end, or 0. */
	int (*wait)(struct world *w, int ms);
	struct rank_end (*end_of)(const struct world *w, int rank);
	/* Processor time in ns that a rank and its helper have used: a rank that uses none stands still (watch.c). */
	uint64_t (*processor_time)(const struct world *w, int rank);
	/* Ends all ranks that run. Once it returns, no rank is left. */
	void (*stop)(struct world *w);
	void (*close)(struct world *w);
	/* ---- a rank calls this, once ---- */
	struct comm *(*connect)(struct world *w, struct device *d, const struct reporter *r, bool spin);
};

/* Ranks are forks of the launcher. They end with it, their helpers end with them, and the memory that they share has no
 * name, so nothing is left behind. NULL after a message: the host has too little memory for the plan. */
struct world *world_fork_open(const struct plan *plan);
#endif
