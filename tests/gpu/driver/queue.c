/* Streams, and the thread that executes them. It takes the head of a random stream that may run, as late as
 * EMU_DELAY_US allows while nobody waits: what streams and events do not order happens in any order. EMU_SEED chooses
 * which. */
#include <stdlib.h>
#include <unistd.h>
#include "driver.h"

enum { MIN_PAUSE_US = 20, MAX_PAUSE_US = 640, WAITS_OF_A_PAUSE = 4 };
enum { LATE_AFTER_EVENT = 8 }; /* one in so many events, for which somebody asks, is long before what follows it */

static pthread_cond_t queued = PTHREAD_COND_INITIALIZER, finished = PTHREAD_COND_INITIALIZER;
static bool running, asked; /* asked: somebody queries until work is done */
static int waiters;
static uint64_t seed, n_ops, progressed;

/* ---- which operations may run ---- */
/* The legacy stream is ordered with all blocking streams: whatever was queued before, on the other side, comes first.
 */
static bool legacy_allows(const struct CUctx_st *c, const struct CUstream_st *s)
{
	if (!s->blocking)
		return true;
	if (s != &c->legacy)
		return !c->legacy.head || c->legacy.head->number > s->head->number;
	for (const struct CUstream_st *t = c->streams; t; t = t->next)
		if (t != s && t->blocking && t->head && t->head->number < s->head->number)
			return false;
	return true;
}

static bool may_run(const struct CUstream_st *s)
{
	const struct op *op = s->head;
	if (!op || !legacy_allows(s->context, s))
		return false;
	if (op->kind == OP_GRAPH)
		return graph_may_run(op->graph);
	if (op->kind == OP_KERNEL && s->context->running.op)
		return s->context->running.op == op;
	return op->kind != OP_WAIT || op->sync.event->done >= op->sync.version || op->sync.event->context->fault.code;
}

static struct CUstream_st *choose(void)
{
	struct CUstream_st *chosen = NULL;
	uint64_t n = 0;
	for (int d = 0; d < device_count(); d++)
		for (struct CUstream_st *s = device_context(d)->streams; s; s = s->next)
			if (may_run(s) && random_next(&seed) % ++n == 0)
				chosen = s;
	return chosen;
}

/* ---- the thread ---- */
uint64_t queue_random(void) { return random_next(&seed); }
uint64_t queue_progress(void) { return progressed; }

void queue_delay(uint64_t most)
{
	uint64_t us = most ? random_next(&seed) % most : 0;
	pthread_mutex_unlock(&driver_lock);
	usleep((useconds_t)us);
	pthread_mutex_lock(&driver_lock);
}

static void drop_head(struct CUstream_st *s)
{
	struct op *op = s->head;
	s->head = op->next;
	op_drop(op);
	free(op);
}

/* After work that waits for others: for something else to do, or a while that grows. */
static void wait_for_others(long *us)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += *us * 1000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	*us = *us < MAX_PAUSE_US ? *us * 2 : *us;
	pthread_cond_timedwait(&queued, &driver_lock, &until);
}

static void *execute(void *unused)
{
	uint64_t most = setting("EMU_DELAY_US", 200);
	long pause = MIN_PAUSE_US;
	int waits = 0; /* in a row */
	(void)unused;
	pthread_mutex_lock(&driver_lock);
	for (;;) {
		struct CUstream_st *s = choose();
		if (!s) {
			pthread_cond_wait(&queued, &driver_lock);
			continue;
		}
		if (!waiters && !asked && most && !s->context->running.op) {
			queue_delay(most);
			s = choose();
		}
		if (!s)
			continue;
		enum progress progress = op_run(s->context, s->head);
		waits = progress == OP_WAITS ? waits + 1 : 0;
		progressed += !waits;
		if (!waits)
			pause = MIN_PAUSE_US;
		else if (waits >= WAITS_OF_A_PAUSE)
			wait_for_others(&pause);
		if (progress == OP_OVER) {
			if (s->head->kind == OP_RECORD && random_next(&seed) % LATE_AFTER_EVENT == 0)
				asked = false;
			drop_head(s);
			pthread_cond_broadcast(&finished);
		}
	}
	return NULL;
}

static void start_thread(void)
{
	pthread_t thread;
	if (running)
		return;
	running = true;
	seed = (setting("EMU_SEED", 1) + 1) * UINT64_C(0x9e3779b97f4a7c15);
	for (int i = 0; i < 16; i++)
		random_next(&seed);
	pthread_create(&thread, NULL, execute, NULL);
	pthread_detach(thread);
}

/* ---- for the calls ---- */
CUresult queue_push(struct CUstream_st *s, const struct op *op)
{
	CUresult refused = capture_takes(s, op);
	if (refused || s->capture) {
		if (refused)
			op_drop(op);
		return refused;
	}
	struct op *copy = malloc(sizeof *copy);
	start_thread();
	*copy = *op;
	copy->next = NULL;
	copy->number = ++n_ops;
	asked = false;
	if (s->head)
		s->tail->next = copy;
	else
		s->head = copy;
	s->tail = copy;
	pthread_cond_signal(&queued);
	return CUDA_SUCCESS;
}

CUresult queue_not_ready(void)
{
	asked = true;
	return CUDA_ERROR_NOT_READY;
}

static void wait_change(void)
{
	waiters++;
	pthread_cond_wait(&finished, &driver_lock);
	waiters--;
}

CUresult queue_drain(struct CUstream_st *s)
{
	while (s->head)
		wait_change();
	return (CUresult)s->context->fault.code;
}

CUresult queue_drain_all(struct CUctx_st *c)
{
	struct CUstream_st *s = c->streams;
	while (s)
		if (s->head) {
			wait_change();
			s = c->streams;
		} else {
			s = s->next;
		}
	return (CUresult)c->fault.code;
}

CUresult queue_wait_event(const struct CUevent_st *e)
{
	uint64_t version = e->recorded;
	while (e->done < version)
		wait_change();
	return (CUresult)e->context->fault.code;
}

struct CUstream_st *stream_of(struct CUctx_st *current, CUstream handle)
{
	if (!handle || handle == (CUstream)1) /* CU_STREAM_LEGACY */
		return &current->legacy;
	return handle->magic == MAGIC_STREAM ? handle : NULL;
}

void streams_drop(struct CUctx_st *c)
{
	for (struct CUstream_st *s = c->streams; s; s = s->next)
		s->magic = 0;
	c->streams = NULL;
}
