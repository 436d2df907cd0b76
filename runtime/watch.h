/* Finds ranks that are stuck. */
#ifndef DEPLOY_WATCH_H
#define DEPLOY_WATCH_H
#include "plan.h"
#include "world.h"

/* The time-out counts only time in which the parent ran, so a job may be stopped (Ctrl-Z) and continued. */
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
/* To be called every WATCH_PERIOD_MS. Returns the rank without a pulse for the time-out, which is reported on the
 * board, or -1. */
int watch_look(struct watch *w);
#endif
