/* The parent watches the pulse of each rank: the operations it began, and the processor time of its processes. Kernels
 * are bounded loops, so one that uses processor time ends. A process that is stopped, or waits for something that does
 * not come, uses none. A rank that waits for another polls ten times a second, which counts as a pulse. When all ranks
 * wait, none of them is at fault, and only operations count. */
#include "watch.h"
#include <stdlib.h>
#include "event.h"

static const int64_t MS = 1000000;

void watch_open(struct watch *w, const struct world *world, const struct plan *plan, int timeout)
{
	*w = (struct watch){.world = world, .plan = plan, .timeout = timeout, .looked = now_ns()};
	w->rank = host_alloc(plan->head->ranks, sizeof *w->rank);
}

void watch_close(struct watch *w) { free(w->rank); }

/* Updates a pulse. true: there was none for the time-out. */
static bool feel(struct pulse *p, uint64_t beats, int64_t passed, int64_t timeout)
{
	p->still = p->beats == beats ? p->still + passed : 0;
	p->beats = beats;
	return p->still >= timeout;
}

static bool waits(const struct rank_status *s) { return atomic_load(&s->waits_for) != WAITS_FOR_NONE; }

/* A rank that writes results is exempt: their reader may be slow. */
static bool is_exempt(const struct rank_status *s) { return atomic_load(&s->activity) == ACTIVITY_PRINT; }

/* A rank whose GPU waits in a collective, or -1. */
static int first_in_collective(const struct watch *w)
{
	for (int i = 0; i < (int)w->plan->head->ranks; i++)
		if (atomic_load(&w->world->board->rank[i].waits_for) == WAITS_FOR_GROUP)
			return i;
	return -1;
}

/* All ranks wait. If GPUs do in a collective, the library or a link may be at fault; else the runtime is. Returns the
 * rank that is blamed. */
static int blame_waiting(struct watch *w, int rank, int timeout)
{
	char name[256] = "what it sent to be read";
	int gpu = first_in_collective(w), peer = atomic_load(&w->world->board->rank[rank].waits_for);
	if (peer >= 0)
		plan_rank_name(w->plan, peer, name, sizeof name);
	bool graph = gpu >= 0 && atomic_load(&w->world->board->rank[gpu].op) == OP_GRAPH;
	if (gpu >= 0)
		board_blame(w->world->board, gpu, "every rank waits for others for %d s (DEPLOY_TIMEOUT), this one in a %s",
		            timeout,
		            graph ? "graph with collectives: DEPLOY_SYNC=1 names the operation" : "collective of GPUs");
	else
		board_blame(w->world->board, rank,
		            "internal: every rank waits for another for %d s (DEPLOY_TIMEOUT), this one for %s", timeout, name);
	return gpu >= 0 ? gpu : rank;
}

int watch_look(struct watch *w)
{
	int timeout = w->timeout, waiting = -1;
	int64_t now = now_ns(), most = 2 * WATCH_PERIOD_MS * MS, limit = timeout * 1000 * MS;
	int64_t passed = now - w->looked < most ? now - w->looked : most;
	uint64_t operations = 0;
	bool all_wait = true;
	w->looked = now;
	for (int i = 0; i < (int)w->plan->head->ranks; i++) {
		struct rank_status *s = &w->world->board->rank[i];
		uint64_t begun = atomic_load(&s->operations);
		bool runs = w->world->end_of(w->world, i).state == RANK_RUNS;
		uint64_t beats = begun + (runs ? w->world->processor_time(w->world, i) : 0);
		operations += begun;
		all_wait = all_wait && runs && waits(s);
		waiting = waits(s) ? i : waiting;
		if (!runs || is_exempt(s))
			w->rank[i].still = 0;
		else if (feel(&w->rank[i], beats, passed, limit)) {
			board_blame(w->world->board, i,
			            "it was stuck for %d s (DEPLOY_TIMEOUT): it began no operation and used no processor time",
			            timeout);
			return i;
		}
	}
	if (!all_wait)
		w->all.still = 0;
	else if (feel(&w->all, operations, passed, limit)) {
		return blame_waiting(w, waiting, timeout);
	}
	return -1;
}
