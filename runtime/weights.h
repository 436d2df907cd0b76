/* Loading of weights: weights_rows.c reads the rows of a param, weights_load.c puts them into tiles and on the device,
 * weights_queue.c lets a device that queues work do that. */
#ifndef DEPLOY_WEIGHTS_H
#define DEPLOY_WEIGHTS_H
#include <pthread.h>
#include "runtime.h"

/* Axes that form one dimension: a mixed radix number, major to minor. */
struct digits {
	uint32_t axis[MAX_AXES];
	int n;
	int64_t size;
};

/* This rank's slice of a param of one layer, as rows [g][n] of k elements. A plain param is [all axes but the
 * last][last]. Each thread that reads has a copy. */
struct weight_rows {
	const struct plan *plan;
	const struct dr_param *param;
	const struct dr_axis *axes;
	const struct checkpoint *checkpoint; /* NULL: random */
	int rank;
	int64_t layer;
	struct digits g, n, k;
	int64_t k_padded; /* to whole runs */
	size_t row_bytes; /* of k_padded elements */
	/* weights_rows.c */
	int64_t index[MAX_AXES]; /* global index along each axis; along k from the slice's begin */
	int64_t keyed[MAX_AXES];
	bool has_source; /* `keyed`: digits for which `source` was looked up */
	struct source source;
};
void weight_rows_open(struct weight_rows *r); /* sets all below `layer` */
/* Row `number` < g.size * n.size; zeros past the end of a padded axis, and past k. */
void weight_rows_read(struct weight_rows *r, int64_t number, unsigned char *to);

/* The begin of the rank's slice along an axis. */
int64_t weight_slice_begin(const struct weight_rows *r, uint32_t axis);
/* Calls f for each param of the rank and each of its layers, in the order in which they are loaded, until it returns
 * false. offset: of the layer's param in its space. Returns what f returned last, or true. */
typedef bool weights_fn(void *context, struct weight_rows *r, uint64_t offset);
bool weights_each(const struct plan *plan, int rank, const struct checkpoint *c, weights_fn *f, void *context);
/* A thread that receives no signals but those of checkpoint_guard. false: it cannot be created. */
bool weights_thread(pthread_t *thread, void *(*work)(void *), void *context);
/* Calls work(context) on the calling thread, and on up to threads - 1 others, as far as they can be created. */
void weights_run(int threads, void *(*work)(void *), void *context);

/* ---- weights_ahead.c ---- */
/* A thread that reads the checkpoint ahead of its loaders. NULL: none could be made, or the weights are random; the
 * functions below do nothing then. */
struct weight_ahead;
struct weight_ahead *weight_ahead_open(const struct plan *plan, int rank, const struct checkpoint *c);
void weight_ahead_loaded(struct weight_ahead *a, const struct weight_rows *r); /* this layer's param is on its way */
void weight_ahead_close(struct weight_ahead *a);

/* ---- weights_queue.c ---- */
/* Pinned buffers that take turns, and memory on the device for rows that have no place yet. */
struct weight_queue {
	struct device *device;
	const struct plan *plan;
	unsigned char *pinned[DEVICE_MARKS];
	uint64_t bytes;         /* of each */
	uint64_t staging, room; /* device address; bytes, at least a row of any tile */
	unsigned turn;
	int threads;
};
/* m: that of the rank; its activations hold nothing yet. longest, all: bytes of the longest row and the largest param.
 */
void weight_queue_open(struct weight_queue *q, struct device *d, const struct plan *plan, const struct memory *m,
                       int threads, uint64_t longest, uint64_t all);
/* Queues all rows of a param; `to` is its device address. The memory there is zero, and stays so between rows. */
void weight_queue_load(struct weight_queue *q, const struct weight_rows *r, uint64_t to);
#endif
