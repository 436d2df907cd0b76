/* The interface between the runtime and a device. Only the device dereferences its addresses, unless it is on_host. */
#ifndef DEPLOY_DEVICE_H
#define DEPLOY_DEVICE_H
#include <stddef.h>
#include "abi.h"
#include "report.h"

/* A rectangle in device memory: `rows` runs of `width` bytes, `pitch` bytes apart. */
struct rect {
	uint64_t at, pitch, width, rows;
};

/* One launch of a kernel. */
struct launch {
	int32_t kernel, n_args;
	const uint64_t *args; /* may be reused when launch() returns */
	int32_t phase;        /* enum dr_phase of the step */
	bool small;           /* one worker is as fast as all */
};

/* What a device that queues its work can do besides: each call returns before its work is done. */
enum { DEVICE_MARKS = 4 };
struct device;
struct device_queue {
	/* Host memory that such copies use, freed by close: pinned, where there is such memory. */
	void *(*host_memory)(struct device *d, size_t bytes);
	/* As write and read. The host may change `from`, and read `to`, when the work is done. */
	void (*send)(struct device *d, uint64_t to, const void *from, size_t bytes);
	void (*fetch)(struct device *d, void *to, uint64_t from, size_t bytes);
	/* Within the device. */
	void (*copy)(struct device *d, uint64_t to, uint64_t from, size_t bytes);
	/* Marks what was queued until now. await returns when what came before the mark of that number is done, at once if
	 * there is none. */
	void (*mark)(struct device *d, unsigned which);
	void (*await)(struct device *d, unsigned which);
	/* Between begin and end nothing runs: launches, fills and copies of this interface become a graph, which
	 * launch_graph queues as a whole, as often as it is called. Nothing may be waited for meanwhile. */
	void (*begin_graph)(struct device *d);
	void *(*end_graph)(struct device *d);
	void (*launch_graph)(struct device *d, void *graph);
	void (*drop_graph)(struct device *d, void *graph);
};

struct device {
	/* Allocates zeroed memory, aligned for any kernel. It is freed by close. */
	uint64_t (*alloc)(struct device *d, uint64_t bytes);
	/* Copies; rows are packed on the host side. Ordered after earlier launches. Several threads may write
	 * at once, unless the device has a queue: then one thread does all. */
	void (*read)(struct device *d, void *to, struct rect from);
	void (*write)(struct device *d, struct rect to, const void *from);
	void (*fill)(struct device *d, uint64_t at, int byte, uint64_t bytes);
	/* Launches a kernel of the image that the device was opened with. */
	void (*launch)(struct device *d, const struct launch *what);
	/* Returns when all launches are done. */
	void (*sync)(struct device *d);
	/* Frees memory, threads and helpers. */
	void (*close)(struct device *d);
	/* Bytes that alloc can give, of all that the device has. NULL: unknown. */
	void (*room)(struct device *d, uint64_t *free_bytes, uint64_t *all);
	const struct device_queue *queue; /* NULL: whatever is called next finds earlier work done */
	bool on_host;                     /* addresses are the host's, which may write there too: loading of weights does */
	/* Set by a communicator that queues work on the device: called now and then while the device waits. It ends the
	 * rank if that work cannot end. true: the device waits for other ranks, so a lack of progress is not its fault.
	 * NULL: none. */
	bool (*poll)(void *context);
	void *poll_context;
};

struct device_options {
	const struct dr_image *image; /* NULL: it launches nothing */
	int workers;                  /* of each launch; the cpu device has as many threads */
	bool spin;                    /* each worker has a core of its own, so waiting may poll */
	struct reporter reporter;
	int timeout; /* seconds; a device that queues work ends the rank if that makes no progress for so long */
	bool sync;   /* such a device ends each operation before the next begins, so that a failure names its operation */
};

/* The names of the devices that run an image, NULL-terminated; the first is the default. */
const char *const *device_names(enum dr_image_form form);
struct device *device_open(const char *name, const struct device_options *o);

/* device_cpu.c: host memory and a team of threads.
 * device_cuda.c: an NVIDIA GPU.
 * device_far.c: the cpu device in a helper process, so that code that uses device memory as host memory faults. */
struct device *device_cpu_open(const struct device_options *o);
struct device *device_far_open(const struct device_options *o);
struct device *device_cuda_open(const struct device_options *o);

static inline struct rect flat(uint64_t at, uint64_t bytes) { return (struct rect){at, bytes, bytes, 1}; }
#endif
