/* Loading of weights: weights_rows.c reads the rows of a param, weights_blocks.c orders them as the files have them,
 * weights_load.c puts them into tiles (weights_tiles.c) and on the device, weights_queue.c lets a device that queues
 * work do that. */
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
	bool dense;       /* the elements of a row are one after the other in the file */
	/* weights_rows.c */
	int64_t index[MAX_AXES]; /* global index along each axis; along k from the slice's begin */
	int64_t keyed[MAX_AXES];
	bool has_source; /* `keyed`: digits for which `source` was looked up */
	struct source source;
};
void weight_rows_open(struct weight_rows *r); /* sets all below `layer` */
/* Row `number` < g.size * n.size; zeros past the end of a padded axis, and past k. */
void weight_rows_read(struct weight_rows *r, int64_t number, unsigned char *to);

/* A row's bytes in the file, from its first to its last element; NULL: it has none there, as padding and random
 * weights. */
struct stored_bytes {
	const unsigned char *begin, *end;
};
struct stored_bytes weight_row_bytes(struct weight_rows *r, int64_t number);
/* The row as weight_rows_read would write it, if the file has it so; else NULL. */
const unsigned char *weight_row_stored(struct weight_rows *r, int64_t number);

/* Calls f for each param of the rank and each of its layers, in the order in which they are loaded, until it returns
 * false. offset: of the layer's param in its space. Returns what f returned last, or true. */
typedef bool weights_fn(void *context, struct weight_rows *r, uint64_t offset);
bool weights_each(const struct plan *plan, int rank, const struct checkpoint *c, weights_fn *f, void *context);
/* A thread that receives no signals but those of checkpoint_guard. false: it cannot be created. */
bool weights_thread(pthread_t *thread, void *(*work)(void *), void *context);
/* Calls work(context) on the calling thread, and on up to threads - 1 others, as far as they can be created. */
void weights_run(int threads, void *(*work)(void *), void *context);

/* ---- weights_tiles.c ---- */
/* Fills a tile: run k of row i becomes run k * rows + i. row: `bytes` bytes each, which are whole runs, of any
 * alignment. */
void tile_fill(const unsigned char *const *row, int64_t rows, size_t bytes, size_t run, unsigned char *to);

/* ---- weights_blocks.c ---- */
/* A param of a layer, and the address of its memory on the device. */
struct weight_item {
	struct weight_rows rows;
	uint64_t to;
};
/* Rows of one group, and where the file has them: NULL if nowhere. */
struct weight_block {
	const struct weight_item *item;
	size_t number; /* of the item */
	int64_t first, n;
	const unsigned char *begin, *end;
};
/* Bytes that a block may have: of params whose tiles are swizzled, and of others. Its rows are one at least, or those
 * of one tile if tiles are to be whole. */
struct weight_block_size {
	uint64_t swizzled, plain;
	bool whole_tiles;
};
struct weight_blocks;
struct weight_blocks *weight_blocks_open(const struct plan *plan, int rank, const struct checkpoint *c,
                                         const struct memory *m, struct weight_block_size size);
size_t weight_blocks_count(const struct weight_blocks *b);
/* The next block in the order of the files; NULL: none is left. Several threads may call it. Asks for what comes after.
 */
const struct weight_block *weight_blocks_next(struct weight_blocks *b);
void weight_blocks_close(struct weight_blocks *b);

/* ---- weights_queue.c ---- */
enum { WEIGHT_BUFFERS = 2 };
/* Pinned buffers that take turns, and memory on the device for rows that have no place yet. */
struct weight_queue {
	struct device *device;
	const struct plan *plan;
	unsigned char *pinned[WEIGHT_BUFFERS]; /* buffer i is in use until the device's mark i */
	uint64_t bytes;                        /* of each */
	uint64_t staging, room;                /* device address; bytes, at least a row of any tile */
	unsigned turn;
	int threads;
};
/* m: that of the rank; its activations hold nothing yet. longest, all: bytes of the longest row and the largest param.
 */
void weight_queue_open(struct weight_queue *q, struct device *d, const struct plan *plan, const struct memory *m,
                       int threads, uint64_t longest, uint64_t all);
/* The blocks that it takes. */
struct weight_block_size weight_queue_size(const struct weight_queue *q);
/* Queues the rows of a block. The param's memory is zero, and stays so between rows. */
void weight_queue_load(struct weight_queue *q, const struct weight_block *b);
#endif
