/* The parent watches the pulse of each rank: the operations that it began, and the processor time of its processes.
 * Kernels are loops with bounds, so one that uses processor time ends; a process that is stopped, or waits for what
 * does not come, uses none. A rank that waits for another looks round ten times a second, which is a pulse as well;
 * when all wait, none of them is at fault, and operations alone count. */
#include "watch.h"
#include <stdlib.h>
#include <time.h>
#include "event.h"

static const int64_t MS = 1000000;

void watch_open(struct watch *w, const struct job *job, const pid_t *pid)
{
	*w = (struct watch){
		.job = job, .pid = pid, .rank = host_alloc(job->plan->head->ranks, sizeof *w->rank), .looked = now_ns()};
}

void watch_close(struct watch *w) { free(w->rank); }

/* ns that a process and its threads have used. */
static uint64_t processor_time(pid_t pid)
{
	clockid_t clock;
	struct timespec t;
	if (pid <= 0 || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* true: it stood still for the time-out. */
static bool feel(struct pulse *p, uint64_t beats, int64_t passed, int64_t timeout)
{
	p->still = p->beats == beats ? p->still + passed : 0;
	p->beats = beats;
	return p->still >= timeout;
}

static bool waits(const struct rank_status *s) { return atomic_load(&s->waits_for) != WAITS_FOR_NONE; }

/* A slow reader of results is no fault of the rank that writes them. */
static bool is_exempt(const struct rank_status *s) { return atomic_load(&s->activity) == ACTIVITY_PRINT; }

static void blame_waiting(struct watch *w, int rank, int timeout)
{
	char name[256] = "what it sent to be read";
	int peer = atomic_load(&w->job->board->rank[rank].waits_for);
	if (peer >= 0)
		plan_rank_name(w->job->plan, peer, name, sizeof name);
	board_blame(w->job->board, rank,
	            "internal: every rank waits for another for %d s (DEPLOY_TIMEOUT), this one for %s", timeout, name);
}

int watch_look(struct watch *w)
{
	int timeout = w->job->options->timeout, waiting = -1;
	int64_t now = now_ns(), most = 2 * WATCH_PERIOD_MS * MS, limit = timeout * 1000 * MS;
	int64_t passed = now - w->looked < most ? now - w->looked : most;
	uint64_t operations = 0;
	bool all_wait = true;
	w->looked = now;
	for (int i = 0; i < (int)w->job->plan->head->ranks; i++) {
		struct rank_status *s = &w->job->board->rank[i];
		uint64_t begun = atomic_load(&s->operations);
		uint64_t beats = begun + processor_time(w->pid[i]) + processor_time(atomic_load(&s->helper));
		operations += begun;
		all_wait = all_wait && w->pid[i] && waits(s);
		waiting = waits(s) ? i : waiting;
		if (!w->pid[i] || is_exempt(s))
			w->rank[i].still = 0;
		else if (feel(&w->rank[i], beats, passed, limit)) {
			board_blame(w->job->board, i,
			            "it stood still for %d s (DEPLOY_TIMEOUT): it began no operation and used no processor time",
			            timeout);
			return i;
		}
	}
	if (!all_wait)
		w->all.still = 0;
	else if (feel(&w->all, operations, passed, limit)) {
		blame_waiting(w, waiting, timeout);
		return waiting;
	}
	return -1;
}
