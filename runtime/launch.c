/* Starts the ranks of a job in a world, watches them, and reports which rank failed, where and why. */
#include <string.h>
#include "event.h"
#include "progress.h"
#include "runtime.h"
#include "watch.h"
#include "world.h"

/* ---- messages -------------------------------------------------------------------------------- */
static const char *op_text(const struct job *job, int op)
{
	return op == OP_GRAPH ? "a decode step as a graph" : plan_op(job->plan, op);
}

static void format_place(const struct job *job, const struct rank_status *s, char *out, size_t n)
{
	static const char *const other[] = {
		[ACTIVITY_START] = "while starting",        [ACTIVITY_LOAD] = "while loading weights",
		[ACTIVITY_WAIT] = "between steps",          [ACTIVITY_OUTPUT] = "while handing over results",
		[ACTIVITY_PRINT] = "while writing results", [ACTIVITY_END] = "at the end",
	};
	int layer = atomic_load(&s->layer), activity = atomic_load(&s->activity);
	if (activity != ACTIVITY_STEP)
		snprintf(out, n, "%s", other[activity]);
	else if (layer >= 0)
		snprintf(out, n, "in layer %d at `%s`", layer, op_text(job, atomic_load(&s->op)));
	else
		snprintf(out, n, "at `%s`", op_text(job, atomic_load(&s->op)));
}

/* The last operations, newest first, by layer. */
static void format_recent(const struct job *job, const struct rank_status *s, char *out, size_t size)
{
	unsigned n = atomic_load(&s->operations);
	int before = -2;
	size_t at = 0;
	for (unsigned i = 0; i < n && i < RECENT && at < size; i++) {
		const struct place *p = &s->recent[(n - 1 - i) % RECENT];
		const char *op = op_text(job, atomic_load(&p->op));
		int layer = atomic_load(&p->layer);
		if (layer == before)
			at += (size_t)snprintf(out + at, size - at, ", `%s`", op);
		else if (layer < 0)
			at += (size_t)snprintf(out + at, size - at, "%soutside the layers `%s`", i ? "; " : "", op);
		else
			at += (size_t)snprintf(out + at, size - at, "%sin layer %d `%s`", i ? "; " : "", layer, op);
		before = layer;
	}
}

/* Queued work fails late: the cause is among the operations before. */
static void report_recent(const struct job *job, const struct rank_status *s)
{
	char list[900] = "none";
	format_recent(job, s, list, sizeof list);
	print_note("a GPU reports errors late, so an operation before may be the cause: DEPLOY_SYNC=1 names it");
	print_note("the last operations, newest first: %s", list);
}

/* Reports a failure. A rank that was killed left no message on the board; otherwise the rank that failed first is the
 * cause. Returns the exit status. */
static int report_failure(const struct job *job, int rank)
{
	const struct board *board = job->world->board;
	struct rank_end end = job->world->end_of(job->world, rank);
	int first = atomic_load(&board->first) - 1;
	char name[256], place[512];
	if (first >= 0 && end.state != RANK_KILLED)
		rank = first;
	const struct rank_status *s = &board->rank[rank];
	plan_rank_name(job->plan, rank, name, sizeof name);
	format_place(job, s, place, sizeof place);
	if (end.state == RANK_KILLED) {
		say_error("%s was ended by signal %d (%s) %s", name, end.number, strsignal(end.number), place);
		return STATUS_FAILED;
	}
	say_error("%s failed %s: %s", name, place, s->message[0] ? s->message : "it ended too early");
	if (atomic_load(&s->late))
		report_recent(job, s);
	return end.number == STATUS_INTERNAL || !strncmp(s->message, "internal:", 9) ? STATUS_INTERNAL : STATUS_FAILED;
}

static void print_memory(const struct job *job)
{
	for (uint32_t i = 0; i < job->plan->head->ranks; i++)
		printf("memory: rank %u planned %llu B allocated %llu B\n", i,
		       (unsigned long long)job->world->board->rank[i].planned,
		       (unsigned long long)job->world->board->rank[i].allocated);
}

static void print_graphs(const struct job *job)
{
	for (uint32_t i = 0; i < job->plan->head->ranks; i++) {
		const struct rank_status *s = &job->world->board->rank[i];
		if (atomic_load(&s->graphs))
			printf("graphs: rank %u made %u of decode steps, launched %u times\n", i, atomic_load(&s->graphs),
			       atomic_load(&s->graph_launches));
	}
	unsigned overlapped = atomic_load(&job->world->board->rank[0].overlapped);
	if (overlapped)
		printf("overlap: %u steps were queued before the tokens of the one before were known\n", overlapped);
}

/* ---- ranks ----------------------------------------------------------------------------------- */
static void run_rank(void *job, int rank) { rank_main(job, rank); }

/* The rank that failed, or -1. A rank ended by a signal comes before those that failed because of it. */
static int failed_rank(const struct job *job, int *running)
{
	int failed = -1;
	bool killed = false;
	*running = 0;
	for (int i = 0; i < (int)job->plan->head->ranks; i++) {
		enum rank_state state = job->world->end_of(job->world, i).state;
		*running += state == RANK_RUNS;
		if ((state == RANK_KILLED && !killed) || (state == RANK_FAILED && failed < 0))
			failed = i;
		killed = killed || state == RANK_KILLED;
	}
	return failed;
}

enum { LEAVING_NS = 2000000000 };

/* Waits a little for the rank that failed first: it may still have to abort its communicators. The others end because
 * it failed, and may be faster. */
static void let_leave(const struct job *job)
{
	const int first = atomic_load(&job->world->board->first) - 1;
	const int64_t until = now_ns() + LEAVING_NS;
	while (first >= 0 && job->world->end_of(job->world, first).state == RANK_RUNS && now_ns() < until)
		if (job->world->wait(job->world, WATCH_PERIOD_MS))
			return;
}

/* Waits until all ranks have ended, one failed or is stuck (returned), or a signal came. */
static int supervise(const struct job *job, int *signal_number)
{
	struct watch w;
	struct progress progress;
	int failed = -1, running = 1;
	progress_open(&progress);
	watch_open(&w, job->world, job->plan, job->options->timeout);
	while (running && failed < 0) {
		*signal_number = job->world->wait(job->world, WATCH_PERIOD_MS);
		if (*signal_number)
			break;
		progress_look(&progress, job);
		failed = failed_rank(job, &running);
		if (failed >= 0)
			let_leave(job);
		else if (running)
			failed = watch_look(&w);
	}
	watch_close(&w);
	return failed;
}

static int run_ranks(struct job *job)
{
	struct world *w = job->world;
	int signal_number = 0, failed = -1, status = STATUS_FAILED;
	if (w->start(w, run_rank, job)) {
		failed = supervise(job, &signal_number);
		status = failed >= 0 ? report_failure(job, failed) : STATUS_OK;
	}
	w->stop(w);
	if (signal_number) {
		say_error("ended by signal %d (%s)", signal_number, strsignal(signal_number));
		return STATUS_SIGNAL + signal_number;
	}
	return status;
}

int launch_in(struct job *job, struct world *w)
{
	job->world = w;
	int status = run_ranks(job);
	if (status == STATUS_OK && !(job->tokenizer && !job->batch)) { /* a text stands alone */
		print_memory(job);
		print_graphs(job);
		status = finish_output(status);
	}
	return status;
}

int launch(struct job *job)
{
	struct world *w = world_fork_open(job->plan, job->workers, job->generated->image->form == DR_IMAGE_PTX);
	if (!w)
		return STATUS_FAILED;
	int status = launch_in(job, w);
	w->close(w);
	return status;
}
