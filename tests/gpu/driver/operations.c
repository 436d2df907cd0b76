/* What operations of streams do when they run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "driver.h"

static uint64_t instructions;
static double kernel_seconds;
_Thread_local bool in_host_function;

/* Memory of a graph's copy may have been freed since it was captured. */
static bool is_there(const void *at, bool device, size_t pitch, size_t width, size_t rows)
{
	return !device || is_device_memory((uintptr_t)at | DEVICE_BIT, (uint64_t)pitch * (rows - 1) + width);
}

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

static double processor_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
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
			queue_delay(100000);
	if (!is_chosen(getenv("EMU_FAULT"), kernel, c->device, &faults))
		return false;
	c->fault.code = CUDA_ERROR_ILLEGAL_ADDRESS;
	snprintf(c->fault.text, sizeof c->fault.text, "EMU_FAULT in %s", kernel);
	return true;
}

/* EMU_SLOW_US: what was fast has not ended yet. Without the lock. */
static void slow_down(void)
{
	uint64_t us = setting("EMU_SLOW_US", 0);
	if (us)
		usleep((useconds_t)us);
}

static void start_kernel(struct CUctx_st *c, const struct op *op)
{
	struct memory_map *map = peers_map(c);
	struct grid *g = grid_start(op->launch, map, queue_random(), setting("EMU_LIMIT", UINT64_C(20000000000)));
	c->running = (struct running){.op = op, .grid = g, .map = map};
}

static void end_kernel(struct CUctx_st *c)
{
	struct fault fault;
	grid_end(c->running.grid, &fault, &instructions);
	memory_release(c->running.map);
	c->running = (struct running){0};
	if (!fault.code)
		return;
	fprintf(stderr, "emulated GPU %d: %s\n", c->device, fault.text);
	c->fault = fault;
}

/* A part of a kernel, without the lock. */
static enum progress run_kernel(struct CUctx_st *c, const struct op *op)
{
	if (c->running.op && c->running.op != op)
		return OP_WAITS;
	if (!c->running.op && fault_injected(c, op->launch->kernel->name))
		return OP_OVER;
	if (!c->running.op)
		start_kernel(c, op);
	struct grid *g = c->running.grid;
	bool alone = c->running.progress == queue_progress();
	c->running.progress = queue_progress();
	pthread_mutex_unlock(&driver_lock);
	double begin = processor_seconds();
	enum grid_state state = grid_go(g, alone);
	double seconds = processor_seconds() - begin;
	if (state == GRID_ENDED)
		slow_down();
	pthread_mutex_lock(&driver_lock);
	kernel_seconds += seconds;
	if (state == GRID_ENDED)
		end_kernel(c);
	return state == GRID_ENDED ? OP_OVER : state == GRID_WAITS ? OP_WAITS : OP_MORE;
}

static void wild(struct CUctx_st *c)
{
	c->fault.code = CUDA_ERROR_ILLEGAL_ADDRESS;
	snprintf(c->fault.text, sizeof c->fault.text, "a copy or fill of memory that was freed");
}

/* Work of the host, or of another library: without the lock. */
static enum progress run_outside(struct op *op)
{
	enum progress progress = OP_OVER;
	pthread_mutex_unlock(&driver_lock);
	if (op->kind == OP_WORK) {
		progress = op->work.poll(op->work.state) ? OP_OVER : OP_WAITS;
	} else {
		in_host_function = true;
		op->host.function(op->host.argument);
		in_host_function = false;
	}
	pthread_mutex_lock(&driver_lock);
	return progress;
}

static void run_bytes(struct CUctx_st *c, const struct op *op)
{
	const struct copy *p = &op->copy;
	const struct fill *f = &op->fill;
	bool there = op->kind == OP_FILL ? is_there(f->at, true, f->pitch, f->width, f->rows)
	                                 : is_there(p->to, p->to_device, p->to_pitch, p->width, p->rows)
	                                       && is_there(p->from, p->from_device, p->from_pitch, p->width, p->rows);
	if (!there) {
		wild(c);
		return;
	}
	pthread_mutex_unlock(&driver_lock);
	if (op->kind == OP_COPY)
		run_copy(p);
	else
		run_fill(f);
	slow_down();
	pthread_mutex_lock(&driver_lock);
}

enum progress op_run(struct CUctx_st *c, struct op *op)
{
	if (op->kind == OP_RECORD) {
		clock_gettime(CLOCK_MONOTONIC, &op->sync.event->at);
		if (op->sync.event->done < op->sync.version)
			op->sync.event->done = op->sync.version;
		return OP_OVER;
	}
	if (c->fault.code && c->running.op == op)
		end_kernel(c);
	if (c->fault.code)
		return OP_OVER; /* nothing runs after a fault */
	switch (op->kind) {
	case OP_KERNEL: return run_kernel(c, op);
	case OP_COPY:
	case OP_FILL:   run_bytes(c, op); return OP_OVER;
	case OP_WORK:
	case OP_HOST:   return run_outside(op);
	case OP_GRAPH:  return graph_step(op->graph);
	default:        return OP_OVER;
	}
}

void op_drop(const struct op *op)
{
	if (op->kind == OP_COPY)
		free(op->copy.staging);
	if (op->kind == OP_KERNEL)
		free(op->launch);
	if (op->kind == OP_WORK)
		op->work.drop(op->work.state);
	if (op->kind == OP_GRAPH)
		graph_run_drop(op->graph);
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
	r = capture_check(s); /* the caller keeps what is refused */
	if (r)
		return leave(r);
	return leave(queue_push(s, &(struct op){.kind = OP_WORK, .work = *work}));
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
