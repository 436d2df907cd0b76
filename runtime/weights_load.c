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

/* ---- params ---------------------------------------------------------------------------------- */
/* Does the rank's stage have the param, or some layer's? */
static bool has_param(const struct plan *plan, int rank, const struct dr_param *p)
{
	return p->space != DR_SPACE_OUTSIDE || (uint32_t)plan_stage(plan, rank) == p->stage;
}

/* The rows of a param in its first layer, checked against what is planned. */
static struct weight_rows rows_of(const struct plan *plan, const struct dr_param *p, int rank,
                                  const struct checkpoint *c, const struct reporter *reporter)
{
	struct weight_rows r = {.plan = plan, .param = p, .checkpoint = c, .rank = rank};
	if (p->axes.n > MAX_AXES)
		rank_fail(reporter, "internal: %s has %u axes", plan_string(plan, p->path), p->axes.n);
	weight_rows_open(&r);
	int64_t tile = p->n_tile ? p->n_tile : 1;
	uint64_t bytes = (uint64_t)(r.g.size * ((r.n.size + tile - 1) / tile * tile)) * r.row_bytes;
	if (bytes > p->bytes)
		rank_fail(reporter, "internal: %s has %llu bytes, planned are %llu", plan_string(plan, p->path),
		          (unsigned long long)bytes, (unsigned long long)p->bytes);
	if (p->swizzled && plan->head->tile_kernel < 0)
		rank_fail(reporter, "internal: no kernel puts %s into tiles", plan_string(plan, p->path));
	return r;
}

/* Buffers for the params of a rank. */
static void open_queue(struct weight_queue *q, const struct plan *plan, int rank, struct device *d,
                       const struct memory *m, int threads, const struct reporter *reporter)
{
	uint64_t longest = 1, all = 1;
	for (uint32_t i = 0; i < plan->head->params.n; i++)
		if (has_param(plan, rank, &plan->params[i])) {
			struct weight_rows r = rows_of(plan, &plan->params[i], rank, NULL, reporter);
			longest = r.row_bytes > longest ? r.row_bytes : longest;
			all = plan->params[i].bytes > all ? plan->params[i].bytes : all;
		}
	weight_queue_open(q, d, plan, m, threads, longest, all);
}

void weights_load(const struct plan *plan, int rank, const struct checkpoint *c, struct device *d,
                  const struct memory *m, int threads, const struct reporter *reporter)
{
	const struct dr_stage *stage = &plan->stages[plan_stage(plan, rank)];
	struct weight_queue queue;
	if (d->queue)
		open_queue(&queue, plan, rank, d, m, threads, reporter);
	for (uint32_t i = 0; i < plan->head->params.n; i++) {
		const struct dr_param *p = &plan->params[i];
		int64_t begin = p->in_loop ? stage->layer_begin : 0, end = p->in_loop ? stage->layer_end : 1;
		if (!has_param(plan, rank, p))
			continue;
		struct weight_rows r = rows_of(plan, p, rank, c, reporter);
		for (r.layer = begin; r.layer < end; r.layer++) {
			uint64_t to = m->base[p->space] + p->offset + (p->in_loop ? plan_layer_offset(plan, begin, r.layer) : 0);
			if (!plan_has_param(plan, p, r.layer))
				continue;
			r.has_source = false;
			if (d->queue)
				weight_queue_load(&queue, &r, to);
			else
				load_on_host(&r, d, to, threads);
			atomic_fetch_add(&reporter->board->rank[reporter->rank].loaded, p->bytes);
		}
	}
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
