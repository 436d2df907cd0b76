/* The driver's objects. What a GPU does later is an operation in a stream; one thread executes the heads of streams in
 * random order (queue.c). All of it is under one lock, except while an operation runs. */
#ifndef GPU_DRIVER_H
#define GPU_DRIVER_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "../exec/warp.h"
#include "../ptx/ptx.h"
#include "hooks.h"

/* What a handle must begin with. Objects that were destroyed keep their memory, without it. */
enum magic {
	MAGIC_CONTEXT = 0x6e7fc0de,
	MAGIC_STREAM,
	MAGIC_EVENT,
	MAGIC_MODULE,
	MAGIC_FUNCTION,
	MAGIC_GRAPH,
	MAGIC_EXEC
};

enum op_kind { OP_COPY, OP_FILL, OP_KERNEL, OP_RECORD, OP_WAIT, OP_WORK, OP_HOST, OP_GRAPH };
/* What is left of an operation: nothing; more that can run now; more that waits for another process. */
enum progress { OP_OVER, OP_MORE, OP_WAITS };

/* Rows of bytes. `staging` is freed with the operation. */
struct copy {
	char *to;
	const char *from;
	size_t to_pitch, from_pitch, width, rows;
	bool to_device, from_device;
	void *staging;
};

struct fill {
	char *at;
	size_t pitch, width, rows;
	unsigned char value;
};

struct op {
	struct op *next;
	enum op_kind kind;
	uint64_t number;                  /* counts all operations */
	const struct CUfunc_st *function; /* KERNEL */
	union {
		struct copy copy;
		struct fill fill;
		struct launch *launch;
		struct {
			struct CUevent_st *event;
			uint64_t version;
		} sync; /* RECORD, WAIT */
		struct emu_work work;
		struct {
			CUhostFn function;
			void *argument;
		} host;
		struct graph_run *graph;
	};
};

/* Nodes of the graph that is captured: the next one comes after them. */
struct front {
	int n, *at;
};

struct CUstream_st {
	enum magic magic;
	struct CUctx_st *context;
	struct CUstream_st *next;
	struct op *head, *tail;  /* the head stays while it runs */
	bool blocking;           /* ordered with the legacy stream */
	struct capture *capture; /* NULL: it runs what is queued */
	struct front front;
};

struct CUevent_st {
	enum magic magic;
	struct CUctx_st *context;
	struct CUevent_st *next;
	unsigned flags;
	uint64_t recorded, done; /* versions: the last that was queued, the last that ran */
	struct capture *capture; /* it was recorded in last, with the front of its stream; or NULL */
	struct front front;
	struct timespec at;
};

struct CUfunc_st {
	enum magic magic;
	struct CUfunc_st *next;
	const struct kernel *kernel;
	struct CUmod_st *module;
	int max_dynamic; /* bytes of dynamic shared memory that may be asked for */
};

struct CUmod_st {
	enum magic magic;
	struct CUctx_st *context;
	struct CUmod_st *next;
	struct module *module;
	struct CUfunc_st *functions;
};

/* The kernel that a device runs: kernels of one device follow each other, those of several run side by side. */
struct running {
	const struct op *op; /* NULL: none */
	struct grid *grid;
	struct memory_map *map;
	uint64_t progress; /* that there was when it last went on (queue_progress) */
};

/* The primary context of a device, and the device. */
struct CUctx_st {
	enum magic magic;
	CUdevice device;
	int retained;
	struct memory memory;
	uint64_t peers;                      /* devices whose memory its kernels may access: bit by bit */
	struct CUstream_st legacy, *streams; /* streams: all, the legacy one last */
	struct CUevent_st *events;
	struct CUmod_st *modules;
	struct running running;
	struct fault fault; /* of the launch that failed: every call returns its code */
};

enum {
	MAX_DEVICES = 32,
	MULTIPROCESSORS = 4,
	MAX_GRID_YZ = 65535,
	MAX_BLOCK_Z = 64,
	SHARED_DEFAULT = 48 << 10,
	REGISTERS_PER_BLOCK = 65536
};

extern pthread_mutex_t driver_lock;

/* ---- peers.c ---- */
/* The memory that kernels of a context may access, to be released. */
struct memory_map *peers_map(struct CUctx_st *c);

/* ---- played.c ---- */
/* What differs between GPUs. Sizes of shared memory in bytes. */
struct played {
	int sm;                                                     /* 90: compute capability 9.0 */
	int shared_optin, shared, shared_reserved, threads, blocks; /* the last four: of a multiprocessor */
};
const struct played *played(void); /* NULL: EMU_CAPABILITY is none that is known */
/* The devices that CUDA_VISIBLE_DEVICES leaves of the host's: returns their number. */
int visible_devices(int physical[MAX_DEVICES]);
/* EMU_<NAME>, or `otherwise`. A suffix K, M or G multiplies. */
uint64_t setting(const char *name, uint64_t otherwise);

/* ---- devices.c ---- */
/* What most calls begin with: the lock, and the current context, which has not failed. On an error the lock is not
 * held. */
CUresult enter(struct CUctx_st **context);
CUresult leave(CUresult r);
struct CUctx_st *device_context(CUdevice device);
int device_physical(CUdevice device); /* its number on the host */
int device_count(void);               /* that the process sees; 0 before cuInit */

/* ---- queue.c: with the lock held ---- */
/* Queues a copy of the operation, or adds it to the capture of its stream. An error drops it. */
CUresult queue_push(struct CUstream_st *s, const struct op *op);
uint64_t queue_random(void);
/* How often an operation has gone on, of any stream. */
uint64_t queue_progress(void);
/* Up to so many us without the lock. */
void queue_delay(uint64_t most);
/* Waits until the stream, or all of the context's, have nothing left; returns the context's error. */
CUresult queue_drain(struct CUstream_st *s);
CUresult queue_drain_all(struct CUctx_st *c);
/* The answer to a query. Who asks waits: work starts at once until more is queued. */
CUresult queue_not_ready(void);
CUresult queue_wait_event(const struct CUevent_st *e);
/* A handle to a stream, NULL the legacy one: NULL if it is not one of a live context. */
struct CUstream_st *stream_of(struct CUctx_st *current, CUstream handle);
void streams_drop(struct CUctx_st *c);

/* ---- operations.c: with the lock held, which some give back while they run ---- */
enum progress op_run(struct CUctx_st *c, struct op *op);
void op_drop(const struct op *op);
extern _Thread_local bool in_host_function; /* it may not call the driver */

/* ---- graphs.c, capture.c: with the lock held ---- */
enum progress graph_step(struct graph_run *run);
bool graph_may_run(const struct graph_run *run);
void graph_run_drop(struct graph_run *run);
/* Adds an operation to the graph of a captured stream. An error: the stream may not get work now. */
CUresult capture_takes(struct CUstream_st *s, const struct op *op);
CUresult capture_check(struct CUstream_st *s);
/* Errors of what waits for a stream, or for all of a context. */
CUresult capture_check_wait(struct CUstream_st *s);
CUresult capture_check_context(const struct CUctx_st *c);
CUresult capture_record(struct CUstream_st *s, struct CUevent_st *e);
CUresult capture_wait(struct CUstream_st *s, struct CUevent_st *e);
CUresult capture_spoil(struct capture *k, CUresult r); /* returns r */
/* As enter(), for calls that may make the device wait: captures forbid them. */
CUresult enter_unsafe(struct CUctx_st **context);

/* ---- the others, with the lock held ---- */
/* What a call with a stream begins with. NULL: *r is the error, and the lock is not held. */
struct CUstream_st *enter_stream(CUstream handle, CUresult *r);
struct CUevent_st *event_of(CUevent handle);
void events_drop(struct CUctx_st *c);
void modules_drop(struct CUctx_st *c);
bool is_pinned(const void *at);
/* CTAs of a kernel that a multiprocessor holds. */
int resident_ctas(const struct kernel *k, int threads, uint64_t dynamic_shared);
/* Whether device memory, of any device, holds these bytes. */
bool is_device_memory(CUdeviceptr at, uint64_t bytes);
#endif
