/* Loads a rank's slices of the params into device memory, and constants and expert maps. A device that queues its work
 * puts weights into tiles itself (weights_queue.c). For others they are reordered here, by as many threads as kernels
 * have: from the mapped file right into device memory if the host may write there, else in buffers of bounded size. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "number.h"
#include "weights.h"

enum {
	NEAR_BYTES = 4 << 20, /* of a block: some huge pages, which threads then seldom fault in together */
	FAR_BYTES = 1 << 20,  /* likewise, where the device copies it */
	CACHE_LINE = 64
};

struct weights_loading {
	const struct plan *plan;
	struct device *device;
	int threads;
	const struct reporter *reporter;
	struct weight_queue queue; /* where the device has one */
	struct weight_blocks *blocks;
	uint64_t longest, largest;       /* bytes of a row, of a param */
	int64_t tile_rows;               /* at most */
	uint64_t tile_bytes, rows_bytes; /* likewise: of a tile, and of its rows in a scratch */
};

static void count_loaded(const struct weights_loading *l, uint64_t bytes)
{
	atomic_fetch_add(&l->reporter->board->rank[l->reporter->rank].loaded, bytes);
}

/* ---- tiles ----------------------------------------------------------------------------------- */
static int64_t tile_rows(const struct weight_rows *r) { return r->param->n_tile ? r->param->n_tile : 1; }

/* Tiles of a group. The last one may have rows past the end, which are zeros. A plain param has tiles of one row. */
static int64_t tiles_of_group(const struct weight_rows *r) { return (r->n.size + tile_rows(r) - 1) / tile_rows(r); }

/* What a thread needs: room for rows that are not in the file as they are wanted, and for a block that the device
 * copies. */
struct scratch {
	unsigned char *rows, *block;
	const unsigned char **row;
};

/* An odd number of cache lines, so that the rows of a tile do not map to the same cache set. */
static size_t row_stride(size_t row_bytes) { return ((row_bytes + CACHE_LINE - 1) / CACHE_LINE | 1) * CACHE_LINE; }

static void scratch_open(struct scratch *s, const struct weights_loading *l)
{
	s->rows = host_alloc(1, l->rows_bytes);
	s->row = host_alloc((size_t)l->tile_rows, sizeof *s->row);
	s->block = l->device->on_host ? NULL : host_alloc(1, l->tile_bytes > FAR_BYTES ? l->tile_bytes : FAR_BYTES);
}

static void scratch_close(struct scratch *s)
{
	free(s->rows);
	free(s->row);
	free(s->block);
}

/* Fills the tile that begins with row `first`, of which the group has `n` or more. */
static void load_tile(struct scratch *s, struct weight_rows *r, int64_t first, int64_t n, unsigned char *to)
{
	int64_t rows = tile_rows(r);
	size_t run = r->param->k_run * dtype_size(r->param->dtype), stride = row_stride(r->row_bytes);
	if (!r->param->n_tile) {
		weight_rows_read(r, first, to);
		return;
	}
	for (int64_t i = 0; i < rows; i++) {
		unsigned char *row = s->rows + (size_t)i * stride;
		s->row[i] = i < n ? weight_row_stored(r, first + i) : NULL;
		if (s->row[i])
			continue;
		s->row[i] = row;
		if (i < n)
			weight_rows_read(r, first + i, row);
		else
			memset(row, 0, r->row_bytes);
	}
	tile_fill(s->row, rows, r->row_bytes, run, to);
}

static void load_block(const struct weights_loading *l, struct scratch *s, const struct weight_block *b)
{
	struct weight_rows r = b->item->rows;
	int64_t rows = tile_rows(&r), group = b->first / r.n.size, within = b->first % r.n.size;
	size_t tile_bytes = r.row_bytes * (size_t)rows;
	uint64_t to = b->item->to + (uint64_t)(group * tiles_of_group(&r) + within / rows) * tile_bytes;
	uint64_t bytes = (uint64_t)((b->n + rows - 1) / rows) * tile_bytes;
	unsigned char *at = l->device->on_host ? (unsigned char *)(uintptr_t)to : s->block;
	for (int64_t i = 0; i < b->n; i += rows)
		load_tile(s, &r, b->first + i, b->n - i, at + (size_t)i * r.row_bytes);
	if (!l->device->on_host)
		l->device->write(l->device, flat(to, bytes), at);
	count_loaded(l, bytes);
}

static void *load_blocks(void *context)
{
	struct weights_loading *l = context;
	struct scratch s;
	scratch_open(&s, l);
	for (const struct weight_block *b; (b = weight_blocks_next(l->blocks));)
		load_block(l, &s, b);
	scratch_close(&s);
	return NULL;
}

static void load_queued(struct weights_loading *l)
{
	for (const struct weight_block *b; (b = weight_blocks_next(l->blocks));) {
		weight_queue_load(&l->queue, b);
		count_loaded(l, (uint64_t)b->n * b->item->rows.row_bytes);
	}
}

/* ---- params ----------------------------------------------------------------------------------- */
/* Is what will be read what is planned? */
static void check_rows(const struct weights_loading *l, const struct weight_rows *r)
{
	const struct dr_param *p = r->param;
	uint64_t bytes = (uint64_t)(r->g.size * tiles_of_group(r) * tile_rows(r)) * r->row_bytes;
	if (bytes > p->bytes)
		rank_fail(l->reporter, "internal: %s has %llu bytes, planned are %llu", plan_string(l->plan, p->path),
		          (unsigned long long)bytes, (unsigned long long)p->bytes);
	if (p->swizzled && l->plan->head->tile_kernel < 0)
		rank_fail(l->reporter, "internal: no kernel puts %s into tiles", plan_string(l->plan, p->path));
}

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

static bool measure_layer(void *context, struct weight_rows *r, uint64_t offset)
{
	struct weights_loading *l = context;
	uint64_t rows = (uint64_t)tile_rows(r);
	(void)offset;
	check_rows(l, r);
	l->longest = larger(l->longest, r->row_bytes);
	l->largest = larger(l->largest, r->param->bytes);
	l->tile_rows = (int64_t)larger((uint64_t)l->tile_rows, rows);
	l->tile_bytes = larger(l->tile_bytes, rows * r->row_bytes);
	if (r->param->n_tile)
		l->rows_bytes = larger(l->rows_bytes, rows * row_stride(r->row_bytes));
	return true;
}

static void load_all(struct weights_loading *l)
{
	size_t blocks = weight_blocks_count(l->blocks);
	if (l->device->queue)
		load_queued(l);
	else
		weights_run(blocks < (size_t)l->threads ? (int)blocks : l->threads, load_blocks, l);
}

void weights_load(const struct plan *plan, int rank, const struct checkpoint *c, struct device *d,
                  const struct memory *m, int threads, const struct reporter *reporter)
{
	struct weights_loading l = {.plan = plan,
	                            .device = d,
	                            .threads = threads,
	                            .reporter = reporter,
	                            .longest = 1,
	                            .largest = 1,
	                            .tile_rows = 1,
	                            .rows_bytes = 1};
	uint64_t bytes = d->on_host ? NEAR_BYTES : FAR_BYTES;
	struct weight_block_size size = {bytes, bytes, .whole_tiles = true};
	for (uint32_t i = 0; i < plan->head->params.n; i++)
		if (plan->params[i].axes.n > MAX_AXES)
			rank_fail(reporter, "internal: %s has %u axes", plan_string(plan, plan->params[i].path),
			          plan->params[i].axes.n);
	weights_each(plan, rank, NULL, measure_layer, &l);
	if (d->queue) {
		weight_queue_open(&l.queue, d, plan, m, threads, l.longest, l.largest);
		size = weight_queue_size(&l.queue);
	}
	l.blocks = weight_blocks_open(plan, rank, c, m, size);
	load_all(&l);
	weight_blocks_close(l.blocks);
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
