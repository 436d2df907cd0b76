/* Streams, and the thread that executes them. It takes the head of a random stream that may run, as late as
 * EMU_DELAY_US allows while nobody waits: what streams and events do not order happens in any order. EMU_SEED chooses
 * which. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "driver.h"

enum { MIN_PAUSE_US = 20, MAX_PAUSE_US = 640 };

static pthread_cond_t queued = PTHREAD_COND_INITIALIZER, finished = PTHREAD_COND_INITIALIZER;
static bool running, asked; /* asked: somebody queries until work is done */
static int waiters;
static uint64_t seed, n_ops, instructions;
static double kernel_seconds;

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

/* ---- operations ---- */
static void run_copy(const struct copy *c)
{
	for (size_t i = 0; i < c->rows; i++)
		memmove(c->to + i * c->to_pitch, c->from + i * c->from_pitch, c->width);
}

static void run_fill(const struct fill *f)
{
	for (size_t i = 0; i < f->rows; i++)
		memset(f->at + i * f->pitch, f->value, f->width);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void delay(uint64_t most)
{
	uint64_t us = most ? random_next(&seed) % most : 0;
	pthread_mutex_unlock(&driver_lock);
	usleep((useconds_t)us);
	pthread_mutex_lock(&driver_lock);
}

/* EMU_FAULT, EMU_HANG: KERNEL:N or KERNEL:N:DEVICE. Is this the N-th launch of the kernel? */
static bool is_chosen(const char *text, const char *kernel, int device, int *count)
{
	size_t n = strlen(kernel);
	if (!text || strncmp(text, kernel, n) || text[n] != ':')
		return false;
	char *end;
	long number = strtol(text + n + 1, &end, 10);
	return (*end != ':' || strtol(end + 1, NULL, 10) == device) && ++*count == number;
}

/* true: the kernel failed, or the process ended while it never did. */
static bool fault_injected(struct CUctx_st *c, const char *kernel)
{
	static int faults, hangs;
	if (is_chosen(getenv("EMU_HANG"), kernel, c->device, &hangs))
		for (;;)
			delay(100000);
	if (!is_chosen(getenv("EMU_FAULT"), kernel, c->device, &faults))
		return false;
	c->fault.code = CUDA_ERROR_ILLEGAL_ADDRESS;
	snprintf(c->fault.text, sizeof c->fault.text, "EMU_FAULT in %s", kernel);
	return true;
}

/* Without the lock while the kernel runs. */
static void run_kernel(struct CUctx_st *c, const struct launch *l)
{
	if (fault_injected(c, l->kernel->name))
		return;
	struct memory_map *map = memory_hold(&c->memory);
	struct fault fault;
	uint64_t start = random_next(&seed), n = 0;
	pthread_mutex_unlock(&driver_lock);
	double begin = now();
	bool good = grid_run(l, map, start, setting("EMU_LIMIT", UINT64_C(20000000000)), &fault, &n);
	double seconds = now() - begin;
	if (!good)
		fprintf(stderr, "emulated GPU %d: %s\n", c->device, fault.text);
	pthread_mutex_lock(&driver_lock);
	memory_release(map);
	instructions += n;
	kernel_seconds += seconds;
	if (!good)
		c->fault = fault;
}

/* false: work of another library that goes on later. */
static bool run_op(struct CUstream_st *s, struct op *op)
{
	struct CUctx_st *c = s->context;
	bool over = true;
	if (op->kind == OP_RECORD) {
		clock_gettime(CLOCK_MONOTONIC, &op->sync.event->at);
		if (op->sync.event->done < op->sync.version)
			op->sync.event->done = op->sync.version;
	} else if (c->fault.code) {
		return true; /* nothing runs after a fault */
	} else if (op->kind == OP_KERNEL) {
		run_kernel(c, op->launch);
	} else if (op->kind != OP_WAIT) {
		pthread_mutex_unlock(&driver_lock);
		if (op->kind == OP_COPY)
			run_copy(&op->copy);
		else if (op->kind == OP_FILL)
			run_fill(&op->fill);
		else
			over = op->work.poll(op->work.state);
		pthread_mutex_lock(&driver_lock);
	}
	return over;
}

static void drop_op(struct CUstream_st *s)
{
	struct op *op = s->head;
	s->head = op->next;
	if (op->kind == OP_COPY)
		free(op->copy.staging);
	if (op->kind == OP_KERNEL)
		free(op->launch);
	if (op->kind == OP_WORK)
		op->work.drop(op->work.state);
	free(op);
}

/* ---- the thread ---- */
/* After work that waits for another process: for something else to do, or a while that grows. */
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
	(void)unused;
	pthread_mutex_lock(&driver_lock);
	for (;;) {
		struct CUstream_st *s = choose();
		if (!s) {
			pthread_cond_wait(&queued, &driver_lock);
			continue;
		}
		if (!waiters && !asked && most) {
			delay(most);
			s = choose();
		}
		if (!s)
			continue;
		if (!run_op(s, s->head)) {
			wait_for_others(&pause);
			continue;
		}
		pause = MIN_PAUSE_US;
		drop_op(s);
		pthread_cond_broadcast(&finished);
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
void queue_push(struct CUstream_st *s, const struct op *op)
{
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

/* ---- for other emulated libraries ---- */
CUresult emu_queue(CUstream stream, const struct emu_work *work)
{
	struct CUctx_st *c;
	CUresult r = enter(&c);
	if (r)
		return r;
	struct CUstream_st *s = stream_of(c, stream);
	if (!s)
		return leave(CUDA_ERROR_INVALID_HANDLE);
	queue_push(s, &(struct op){.kind = OP_WORK, .work = *work});
	return leave(CUDA_SUCCESS);
}

void *emu_memory(CUdeviceptr at, size_t bytes)
{
	pthread_mutex_lock(&driver_lock);
	void *host = bytes && is_device_memory(at, bytes) ? memory_host(at) : NULL;
	pthread_mutex_unlock(&driver_lock);
	return host;
}

void emu_statistics(uint64_t *ran, double *seconds)
{
	pthread_mutex_lock(&driver_lock);
	*ran = instructions;
	*seconds = kernel_seconds;
	pthread_mutex_unlock(&driver_lock);
}
