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
enum magic { MAGIC_CONTEXT = 0x6e7fc0de, MAGIC_STREAM, MAGIC_EVENT, MAGIC_MODULE, MAGIC_FUNCTION };

enum op_kind { OP_COPY, OP_FILL, OP_KERNEL, OP_RECORD, OP_WAIT, OP_WORK };

/* Rows of bytes. `staging` is freed with the operation. */
struct copy {
	char *to;
	const char *from;
	size_t to_pitch, from_pitch, width, rows;
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
	uint64_t number; /* counts all operations */
	union {
		struct copy copy;
		struct fill fill;
		struct launch *launch;
		struct {
			struct CUevent_st *event;
			uint64_t version;
		} sync; /* RECORD, WAIT */
		struct emu_work work;
	};
};

struct CUstream_st {
	enum magic magic;
	struct CUctx_st *context;
	struct CUstream_st *next;
	struct op *head, *tail; /* the head stays while it runs */
	bool blocking;          /* ordered with the legacy stream */
};

struct CUevent_st {
	enum magic magic;
	struct CUctx_st *context;
	struct CUevent_st *next;
	unsigned flags;
	uint64_t recorded, done; /* versions: the last that was queued, the last that ran */
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

/* The primary context of a device, and the device. */
struct CUctx_st {
	enum magic magic;
	CUdevice device;
	int retained;
	struct memory memory;
	struct CUstream_st legacy, *streams; /* streams: all, the legacy one last */
	struct CUevent_st *events;
	struct CUmod_st *modules;
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
int device_count(void); /* that the process sees; 0 before cuInit */

/* ---- queue.c: with the lock held ---- */
void queue_push(struct CUstream_st *s, const struct op *op);
/* Waits until the stream, or all of the context's, have nothing left; returns the context's error. */
CUresult queue_drain(struct CUstream_st *s);
CUresult queue_drain_all(struct CUctx_st *c);
/* The answer to a query. Who asks waits: work starts at once until more is queued. */
CUresult queue_not_ready(void);
CUresult queue_wait_event(const struct CUevent_st *e);
/* A handle to a stream, NULL the legacy one: NULL if it is not one of a live context. */
struct CUstream_st *stream_of(struct CUctx_st *current, CUstream handle);
void streams_drop(struct CUctx_st *c);

/* ---- the others, with the lock held ---- */
struct CUevent_st *event_of(CUevent handle);
void events_drop(struct CUctx_st *c);
void modules_drop(struct CUctx_st *c);
bool is_pinned(const void *at);
/* CTAs of a kernel that a multiprocessor holds. */
int resident_ctas(const struct kernel *k, int threads, uint64_t dynamic_shared);
/* Whether device memory, of any device, holds these bytes. */
bool is_device_memory(CUdeviceptr at, uint64_t bytes);
#endif
