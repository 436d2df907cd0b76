/* The cuda device, as its files share it: device_cuda.c has memory, copies and launches, device_cuda_start.c opens
 * driver, GPU and kernels, device_cuda_wait.c waits for the GPU and reports its errors, device_cuda_queue.c copies
 * pinned memory, device_cuda_graphs.c makes graphs. */
#ifndef DEPLOY_DEVICE_CUDA_H
#define DEPLOY_DEVICE_CUDA_H
#include "cuda_api.h"
#include "device.h"

/* Events among the launches, so that a wait sees the GPU's progress. Numbers count on; event[n % MARKS] is number n. */
enum { MARKS = 64, LAUNCHES_PER_MARK = 32, MAX_PINNED = 8 };
struct cuda_marks {
	CUevent event[MARKS];
	unsigned launches, recorded, passed;
};

struct cuda {
	struct device device;
	struct device_options options;
	void *library;
#define CALL(name, parameters) CUresult(*name) parameters;
#include "cuda_api.def"
	CUdevice gpu;
	CUcontext context;
	CUstream stream;
	CUmodule module;
	CUfunction *function; /* by entry of the image */
	CUdeviceptr area[DR_SPACES];
	int n_areas;
	struct cuda_marks marks;
	bool busy; /* work was queued since the last wait */
	/* device_cuda_queue.c */
	void *pinned[MAX_PINNED];
	int n_pinned;
	CUevent used[DEVICE_MARKS];
	bool capturing, graph_runs;                   /* a graph is made; one that was launched may still run */
	unsigned graphs, graphs_before[DEVICE_MARKS]; /* graphs launched; of these, those before each mark */
};

/* ---- device_cuda.c ---- */
/* Queues a copy within the GPU's memory. */
void cuda_copy(struct cuda *c, struct rect to, struct rect from);
/* After kernels were launched, or a collective. */
void cuda_launched(struct cuda *c);

/* ---- device_cuda_start.c ---- */
/* Opens the driver's library. */
void cuda_find_calls(struct cuda *c);
/* Opens driver and GPU, and loads the kernels, if there are any. */
void cuda_start(struct cuda *c);
/* Each thread that calls the driver says once which context it works in. */
void cuda_enter(struct cuda *c);

/* ---- device_cuda_wait.c ---- */
/* Ends the rank if the driver did not do what it was asked. */
void cuda_check(struct cuda *c, CUresult result, const char *what);
/* After work was queued: with DEPLOY_SYNC waits for it, and names it if it failed. */
void cuda_queued(struct cuda *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* After each launch. */
void cuda_mark(struct cuda *c);
/* Waits until all queued work is done. Ends the rank if it failed, if the GPU makes no progress for the time-out, or if
 * another rank failed. */
void cuda_wait(struct cuda *c, const char *what);
/* Likewise for what came before an event. */
void cuda_wait_for(struct cuda *c, CUevent event);

/* ---- device_cuda_queue.c ---- */
extern const struct device_queue cuda_queue;
void cuda_queue_close(struct cuda *c);

/* ---- device_cuda_graphs.c ---- */
void cuda_begin_graph(struct device *d);
void *cuda_end_graph(struct device *d);
void cuda_launch_graph(struct device *d, void *graph);
void cuda_drop_graph(struct device *d, void *graph);
#endif
