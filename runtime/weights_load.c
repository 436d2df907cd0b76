/* Loads a rank's slices of the params into device memory, and constants and expert maps. A device that queues its work
 * puts weights into tiles itself (weights_queue.c). For others they are reordered here, in host buffers of bounded
 * size, by as many threads as kernels have. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "number.h"
#include "weights.h"

enum {
	BLOCK_BYTES = 1 << 20, /* bytes of tiles that a thread fills before it copies them to the device */
	CACHE_LINE = 64,
	BLOCK_RUNS = 16 /* runs of each row that are interleaved before the next ones */
};

/* ---- tiles ----------------------------------------------------------------------------------- */
/* One param on its way to a device. Threads take the next `room` tiles each. A plain param has tiles of one row. */
struct loading {
	const struct weight_rows *rows;
	struct device *device;
	uint64_t to;
	int64_t n_tile, k_run, per_group, tiles, room; /* tiles: per_group for each of g, and in all */
	size_t tile_bytes, stride;                     /* stride: between rows that are not in a tile yet */
	atomic_llong next;
};

/* Moves run k of row i to run k * n_tile + i, a few cache lines of each row at a time. */
static inline void interleave_runs(const struct loading *l, const unsigned char *rows, unsigned char *tile,
                                   int64_t n_tile, size_t run)
{
	int64_t runs = l->rows->k_padded / l->k_run;
	for (int64_t from = 0; from < runs; from += BLOCK_RUNS)
		for (int64_t k = from; k < from + BLOCK_RUNS && k < runs; k++)
			for (int64_t i = 0; i < n_tile; i++)
				memcpy(tile + (size_t)(k * n_tile + i) * run, rows + (size_t)i * l->stride + (size_t)k * run, run);
}

/* Passes usual sizes as constants, so that the compiler copies a run with one instruction. */
static void interleave(const struct loading *l, const unsigned char *rows, unsigned char *tile)
{
	size_t run = (size_t)l->k_run * dtype_size(l->rows->param->dtype);
	if (run == 4 && l->n_tile == 32)
		interleave_runs(l, rows, tile, 32, 4);
	else if (run == 4)
		interleave_runs(l, rows, tile, l->n_tile, 4);
	else
		interleave_runs(l, rows, tile, l->n_tile, run);
}

/* Fills tile number `number`, counted over all groups; rows past the end are zeros. rows: room for those of a tile. */
static void fill_tile(const struct loading *l, struct weight_rows *r, unsigned char *rows, unsigned char *tile,
                      int64_t number)
{
	int64_t first = number % l->per_group * l->n_tile, before = number / l->per_group * r->n.size;
	if (l->n_tile == 1) {
		weight_rows_read(r, before + first, tile);
		return;
	}
	for (int64_t i = 0; i < l->n_tile; i++) {
		unsigned char *row = rows + (size_t)i * l->stride;
		if (first + i < r->n.size)
			weight_rows_read(r, before + first + i, row);
		else
			memset(row, 0, r->row_bytes);
	}
	interleave(l, rows, tile);
}

static void *load_tiles(void *context)
{
	struct loading *l = context;
	struct weight_rows r = *l->rows;
	unsigned char *block = host_alloc((size_t)l->room, l->tile_bytes), *rows = host_alloc((size_t)l->n_tile, l->stride);
	for (int64_t at; (at = atomic_fetch_add(&l->next, l->room)) < l->tiles;) {
		int64_t n = l->tiles - at < l->room ? l->tiles - at : l->room;
		for (int64_t i = 0; i < n; i++)
			fill_tile(l, &r, rows, block + (size_t)i * l->tile_bytes, at + i);
		l->device->write(l->device, flat(l->to + (uint64_t)at * l->tile_bytes, (uint64_t)n * l->tile_bytes), block);
	}
	free(rows);
	free(block);
	return NULL;
}

static void load_on_host(const struct weight_rows *r, struct device *d, uint64_t to, int threads)
{
	const struct dr_param *p = r->param;
	struct loading l = {.rows = r, .device = d, .to = to, .n_tile = p->n_tile ? p->n_tile : 1};
	l.k_run = p->n_tile ? p->k_run : 1;
	l.per_group = (r->n.size + l.n_tile - 1) / l.n_tile;
	l.tiles = r->g.size * l.per_group;
	l.tile_bytes = r->row_bytes * (size_t)l.n_tile;
	/* An odd number of cache lines, so that the rows of a tile do not map to the same cache set. */
	l.stride = ((r->row_bytes + CACHE_LINE - 1) / CACHE_LINE | 1) * CACHE_LINE;
	l.room = l.tile_bytes > BLOCK_BYTES ? 1 : (int64_t)(BLOCK_BYTES / l.tile_bytes);
	l.room = l.room < l.tiles ? l.room : l.tiles;
	int64_t blocks = (l.tiles + l.room - 1) / l.room;
	weights_run(blocks < threads ? (int)blocks : threads, load_tiles, &l);
}

/* ---- params ----------------------------------------------------------------------------------- */
struct weights_loading {
	const struct plan *plan;
	struct device *device;
	const struct memory *memory;
	int threads;
	const struct reporter *reporter;
	struct weight_queue queue;  /* where the device has one */
	struct weight_ahead *ahead; /* NULL: nothing is read ahead */
};

/* Is what is read what is planned? */
static void check_rows(const struct weights_loading *l, const struct weight_rows *r)
{
	const struct dr_param *p = r->param;
	int64_t tile = p->n_tile ? p->n_tile : 1;
	uint64_t bytes = (uint64_t)(r->g.size * ((r->n.size + tile - 1) / tile * tile)) * r->row_bytes;
	if (bytes > p->bytes)
		rank_fail(l->reporter, "internal: %s has %llu bytes, planned are %llu", plan_string(l->plan, p->path),
		          (unsigned long long)bytes, (unsigned long long)p->bytes);
	if (p->swizzled && l->plan->head->tile_kernel < 0)
		rank_fail(l->reporter, "internal: no kernel puts %s into tiles", plan_string(l->plan, p->path));
}

/* Sizes of the buffers of a queue: bytes of the longest row, and of the largest param. */
struct longest {
	uint64_t row, param;
};

static bool measure_layer(void *context, struct weight_rows *r, uint64_t offset)
{
	struct longest *l = context;
	(void)offset;
	l->row = r->row_bytes > l->row ? r->row_bytes : l->row;
	l->param = r->param->bytes > l->param ? r->param->bytes : l->param;
	return true;
}

static bool load_layer(void *context, struct weight_rows *r, uint64_t offset)
{
	struct weights_loading *l = context;
	uint64_t to = l->memory->base[r->param->space] + offset;
	check_rows(l, r);
	if (l->device->queue)
		weight_queue_load(&l->queue, r, to);
	else
		load_on_host(r, l->device, to, l->threads);
	weight_ahead_loaded(l->ahead, r);
	atomic_fetch_add(&l->reporter->board->rank[l->reporter->rank].loaded, r->param->bytes);
	return true;
}

void weights_load(const struct plan *plan, int rank, const struct checkpoint *c, struct device *d,
                  const struct memory *m, int threads, const struct reporter *reporter)
{
	struct weights_loading l = {.plan = plan, .device = d, .memory = m, .threads = threads, .reporter = reporter};
	struct longest longest = {1, 1};
	for (uint32_t i = 0; i < plan->head->params.n; i++)
		if (plan->params[i].axes.n > MAX_AXES)
			rank_fail(reporter, "internal: %s has %u axes", plan_string(plan, plan->params[i].path),
			          plan->params[i].axes.n);
	weights_each(plan, rank, NULL, measure_layer, &longest);
	if (d->queue)
		weight_queue_open(&l.queue, d, plan, m, threads, longest.row, longest.param);
	l.ahead = weight_ahead_open(plan, rank, c);
	weights_each(plan, rank, c, load_layer, &l);
	weight_ahead_close(l.ahead);
	d->sync(d);
}

/* ---- constants and expert maps --------------------------------------------------------------- */
/* The entry of expert e: see struct dr_map. */
static int32_t map_expert(const struct plan *plan, const struct dr_map *m, int rank, uint32_t e)
{
	const uint32_t *atom = plan_array(plan, uint32_t, m->atoms), *exchange = plan_array(plan, uint32_t, m->exchange);
	uint32_t owner = e / m->local, below = 1, dest = 0;
	for (uint32_t a = 0; a < m->atoms.n; a++)
		below *= plan->atoms[atom[a]].size;
	for (uint32_t a = 0; a < m->atoms.n; a++) {
		uint32_t size = plan->atoms[atom[a]].size, digit = owner / (below /= size) % size;
		if (exchange[a])
			dest = dest * size + digit;
		else if (digit != (uint32_t)plan_coordinate(plan, atom[a], rank))
			return -1;
	}
	return (int32_t)(dest * m->local + e % m->local);
}

void tables_load(const struct plan *plan, int rank, struct device *d, const struct memory *m)
{
	uint64_t table = m->base[DR_SPACE_TABLE];
	for (uint32_t i = 0; i < plan->head->constants.n; i++) {
		const struct dr_constant *c = &plan->constants[i];
		d->write(d, flat(table + c->offset, c->bytes.n), plan->blob + c->bytes.at);
	}
	for (uint32_t i = 0; i < plan->head->maps.n; i++) {
		const struct dr_map *map = &plan->maps[i];
		int32_t *to = host_alloc(map->experts, sizeof *to);
		for (uint32_t e = 0; e < map->experts; e++)
			to[e] = map_expert(plan, map, rank, e);
		d->write(d, flat(table + map->offset, map->experts * sizeof *to), to);
		free(to);
	}
}
