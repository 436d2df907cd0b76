/* Errors of NCCL, and where the GPU is. Queued work fails late, or waits for ranks that never come: the device asks
 * while it waits. */
#include <stdarg.h>
#include <time.h>
#include "comm_nccl.h"
#include "event.h"

static struct rank_status *status_of(const struct nccl_comm *c) { return &c->reporter.board->rank[c->reporter.rank]; }

/* Reports first: whatever the library then does, the launcher knows why. Aborting ends what waits on the GPU. */
static _Noreturn void fail(struct nccl_comm *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static _Noreturn void fail(struct nccl_comm *c, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	board_blame(c->reporter.board, c->reporter.rank, "%s", text);
	for (int g = 0; g <= c->plan->n_groups; g++)
		if (c->of_group[g] && c->of_group[g] != c->world)
			c->ncclCommAbort(c->of_group[g]);
	if (c->world)
		c->ncclCommAbort(c->world);
	rank_fail(&c->reporter, "%s", text);
}

/* ": what NCCL says about the last error" */
static void say_more(const struct nccl_comm *c, ncclComm_t comm, ncclResult_t r, char *out, size_t n)
{
	const char *more = c->ncclGetLastError(comm);
	snprintf(out, n, "%s%s%.400s", c->ncclGetErrorString(r), more && *more ? ": " : "", more ? more : "");
}

/* ---- calls ----------------------------------------------------------------------------------- */
static void nap(void)
{
	const struct timespec t = {0, 50000};
	nanosleep(&t, NULL);
}

static void set_waits_for(struct nccl_comm *c, int what)
{
	atomic_store_explicit(&status_of(c)->waits_for, what, memory_order_relaxed);
}

void nccl_waits(struct nccl_comm *c) { set_waits_for(c, WAITS_FOR_GROUP); }

/* With NCCL_COMM_BLOCKING=0 calls return while they go on. Not all say so: ncclCommSplit returns ncclSuccess. So the
 * communicator is asked after each call. */
void nccl_check(struct nccl_comm *c, ncclComm_t comm, ncclResult_t r, const char *what)
{
	char more[600];
	if (comm && r == ncclSuccess)
		r = ncclInProgress;
	for (int i = 0; r == ncclInProgress; i++) {
		ncclResult_t asked = c->ncclCommGetAsyncError(comm, &r);
		r = asked ? asked : r;
		if (board_failed(&c->reporter))
			fail(c, "another rank failed");
		if (r == ncclInProgress && i)
			nap();
	}
	set_waits_for(c, WAITS_FOR_NONE);
	if (r == ncclSuccess)
		return;
	say_more(c, comm, r, more, sizeof more);
	fail(c, "NCCL: %s: %s", what, more);
}

/* ---- where the GPU is ------------------------------------------------------------------------ */
static void record(struct nccl_comm *c, CUevent *event)
{
	struct cuda *d = c->cuda;
	if (!*event)
		cuda_check(d, d->cuEventCreate(event, CU_EVENT_DISABLE_TIMING), "cannot make an event on the GPU");
	cuda_check(d, d->cuEventRecord(*event, d->stream), "cannot record an event on the GPU");
}

/* Counts the collectives that the GPU has ended. true: it is in the next one. */
static bool is_in_collective(struct nccl_comm *c)
{
	struct cuda *d = c->cuda;
	while (c->ended != c->begun && d->cuEventQuery(c->travel[c->ended % TRAVELS].end) == CUDA_SUCCESS)
		c->ended++;
	return c->ended != c->begun && d->cuEventQuery(c->travel[c->ended % TRAVELS].begin) == CUDA_SUCCESS;
}

/* The host goes on until so many collectives are under way. Those of a graph run later, and are not followed. */
void nccl_begin(struct nccl_comm *c)
{
	c->in_graphs = c->in_graphs || c->cuda->capturing;
	if (c->cuda->capturing)
		return;
	struct rank_status *s = status_of(c);
	struct travel *t = &c->travel[c->begun % TRAVELS];
	if (c->begun - c->ended == TRAVELS)
		is_in_collective(c);
	if (c->begun - c->ended == TRAVELS)
		cuda_wait(c->cuda, "the GPU failed");
	record(c, &t->begin);
	nccl_waits(c);
	t->op = atomic_load(&s->op);
	t->layer = atomic_load(&s->layer);
}

void nccl_end(struct nccl_comm *c)
{
	if (c->cuda->capturing)
		return;
	record(c, &c->travel[c->begun++ % TRAVELS].end);
	cuda_launched(c->cuda);
}

/* "in layer 3 at `layer.attn: all_reduce`: " */
static void say_where(const struct nccl_comm *c, char *out, size_t n)
{
	const struct travel *t = &c->travel[c->ended % TRAVELS];
	if (c->ended == c->begun)
		snprintf(out, n, "%s", "");
	else if (t->layer < 0)
		snprintf(out, n, " at `%s`", plan_op(c->plan, t->op));
	else
		snprintf(out, n, " in layer %d at `%s`", t->layer, plan_op(c->plan, t->op));
}

static void look(struct nccl_comm *c, ncclComm_t comm)
{
	char where[300], more[600];
	ncclResult_t r = ncclSuccess, asked = comm ? c->ncclCommGetAsyncError(comm, &r) : ncclSuccess;
	r = asked ? asked : r;
	if (r == ncclSuccess || r == ncclInProgress)
		return;
	say_where(c, where, sizeof where);
	say_more(c, comm, r, more, sizeof more);
	fail(c, "NCCL failed%s: %s", where, more);
}

bool nccl_poll(void *comm)
{
	struct nccl_comm *c = comm;
	bool waits = is_in_collective(c) || (c->in_graphs && c->cuda->graph_runs);
	for (int g = 0; g <= c->plan->n_groups; g++)
		look(c, c->of_group[g]);
	return waits;
}
