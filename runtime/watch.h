/* Finds ranks that stand still. */
#ifndef DEPLOY_WATCH_H
#define DEPLOY_WATCH_H
#include "plan.h"
#include "world.h"

/* How long a rank may stand still is a matter of what the parent has seen, not of the clock: a job that is stopped
 * (Ctrl-Z) and goes on has lost nothing. */
enum { WATCH_PERIOD_MS = 100 };

struct pulse {
	uint64_t beats;
	int64_t still;
}; /* still: ns since they changed */
struct watch {
	const struct world *world;
	const struct plan *plan;
	int timeout;             /* seconds */
	struct pulse *rank, all; /* all: of the job, while every rank waits for another */
	int64_t looked;
};

void watch_open(struct watch *w, const struct world *world, const struct plan *plan, int timeout);
void watch_close(struct watch *w);
/* To be called every WATCH_PERIOD_MS. The rank that stood still for the time-out, which it has told the
 * board, or -1. */
int watch_look(struct watch *w);
#endif
