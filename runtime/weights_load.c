/* Loads a rank's slices of the params into device memory, and constants and expert maps. Weights are reordered into the
 * tiles that kernels read (struct packing in dag/kernel.h), in host buffers of bounded size, by as many threads as
 * kernels have. */
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "number.h"
#include "runtime.h"

enum {
	BLOCK_BYTES = 1 << 20, /* bytes of tiles that a thread fills before it copies them to the device */
	CACHE_LINE = 64,
	BLOCK_RUNS = 16 /* runs of each row that are interleaved before the next ones */
};

/* Axes that form one dimension: a mixed radix number, major to minor. */
struct digits {
	uint32_t axis[MAX_AXES];
	int n;
	int64_t size;
};

/* The transfer of one param of one layer to the device. A plain param is [all axes but the last][last]: tiles of one
 * element's width. */
struct transfer {
	const struct plan *plan;
	const struct dr_param *param;
	const struct dr_axis *axes;
	const struct checkpoint *checkpoint;
	int rank;
	int64_t layer;
	struct digits g, n, k;
	int64_t n_tile, k_run, tiles, k_padded; /* tiles: per g */
	bool swizzled;
	int64_t index[MAX_AXES]; /* global index along each axis; along k from the slice's begin */
	int64_t keyed[MAX_AXES];
	bool has_source; /* `keyed`: digits for which `source` was looked up */
	struct source source;
	unsigned char *rows;
	size_t row_bytes; /* rows: [n_tile][k_padded] elements, before they go into a tile */
};

static void add_digit(struct digits *d, uint32_t axis, uint32_t local)
{
	d->axis[d->n++] = axis;
	d->size *= local;
}

static void split_axes(struct transfer *t)
{
	bool tiled = t->param->n_tile != 0;
	t->g.size = t->n.size = t->k.size = 1;
	for (uint32_t a = 0; a < t->param->axes.n; a++) {
		bool last = a + 1 == t->param->axes.n;
		uint32_t role = tiled ? t->axes[a].role : last && !t->axes[a].keyed ? DR_WEIGHT_K : DR_WEIGHT_N;
		add_digit(role == DR_WEIGHT_K ? &t->k : role == DR_WEIGHT_N ? &t->n : &t->g, a, t->axes[a].local);
	}
	t->n_tile = tiled ? t->param->n_tile : 1;
	t->k_run = tiled ? t->param->k_run : 1;
	t->swizzled = tiled && t->param->swizzled;
	t->tiles = (t->n.size + t->n_tile - 1) / t->n_tile;
	t->k_padded = (t->k.size + t->k_run - 1) / t->k_run * t->k_run;
}

static int64_t slice_begin(const struct transfer *t, uint32_t a)
{
	return (int64_t)t->axes[a].local * plan_group_index(t->plan, (int)t->axes[a].group, t->rank);
}

/* Sets the axes' global indices from a number. */
static void set_digits(struct transfer *t, const struct digits *d, int64_t number)
{
	for (int i = d->n; i-- > 0;) {
		uint32_t a = d->axis[i];
		t->index[a] = slice_begin(t, a) + number % t->axes[a].local;
		number /= t->axes[a].local;
	}
}

/* ---- sources --------------------------------------------------------------------------------- */
/* Random weights: uniform with variance 1/k, so sums over k elements are of order one. Gains of norms are near one. */
static void random_source(struct transfer *t, const char *key)
{
	double k = 1;
	uint64_t seed = 0xcbf29ce484222325u;
	for (const char *s = key; *s; s++)
		seed = (seed ^ (unsigned char)*s) * 0x100000001b3u;
	for (uint32_t a = 0; a < t->param->axes.n; a++)
		if (t->param->n_tile ? t->axes[a].role == DR_WEIGHT_K : a + 1 == t->param->axes.n)
			k *= t->axes[a].extent;
	bool gain = t->param->axes.n < 2;
	t->source = (struct source){NULL, seed, gain ? 1.0f : 0.0f, gain ? 0.1f : (float)sqrt(3.0 / k)};
}

static void look_up_source(struct transfer *t)
{
	bool same = t->has_source;
	for (uint32_t a = 0; a < t->param->axes.n; a++)
		same = same && (!t->axes[a].keyed || t->keyed[a] == t->index[a]);
	if (same)
		return;
	char key[KEY_BYTES];
	param_key(t->plan, t->param, t->layer, t->index, key, sizeof key);
	for (uint32_t a = 0; a < t->param->axes.n; a++)
		t->keyed[a] = t->index[a];
	if (t->checkpoint)
		t->source.tensor = checkpoint_find(t->checkpoint, key);
	else
		random_source(t, key);
	t->has_source = true;
}

/* ---- reordering ------------------------------------------------------------------------------ */
/* The number of `run` elements from the current indices on, along axis `last`, that the param has. A padded axis ends
 * within the last rank's slice. */
static int64_t stored_run(const struct transfer *t, const struct dr_axis *last, int64_t run)
{
	for (uint32_t a = 0; a < t->param->axes.n; a++) {
		int64_t left = (int64_t)t->axes[a].extent - t->index[a];
		if (left <= 0)
			return 0;
		if (&t->axes[a] == last && left < run)
			run = left;
	}
	return run;
}

/* Reads the k elements of the current g and n, in runs along the last axis of k; zeros past the end of a padded axis.
 */
static void read_row(struct transfer *t, unsigned char *row)
{
	size_t size = dtype_size(t->param->dtype);
	const struct dr_axis *last = t->k.n ? &t->axes[t->k.axis[t->k.n - 1]] : NULL;
	int64_t run = last ? last->local : 1, stride = last ? last->stride : 1;
	for (int64_t at = 0; at < t->k.size; at += run) {
		int64_t flat_at = t->param->base;
		set_digits(t, &t->k, at);
		int64_t stored = stored_run(t, last, run);
		memset(row + (size_t)(at + stored) * size, 0, (size_t)(run - stored) * size);
		if (!stored)
			continue;
		look_up_source(t);
		for (uint32_t a = 0; a < t->param->axes.n; a++)
			flat_at += t->index[a] * t->axes[a].stride;
		source_read(&t->source, flat_at, stride, stored, t->param->dtype, row + (size_t)at * size);
	}
}

/* Moves run k of row i to run k * n_tile + i, a few cache lines of each row at a time. */
static inline void interleave_runs(const struct transfer *t, unsigned char *tile, int64_t n_tile, size_t run)
{
	int64_t runs = t->k_padded / t->k_run;
	for (int64_t from = 0; from < runs; from += BLOCK_RUNS)
		for (int64_t k = from; k < from + BLOCK_RUNS && k < runs; k++)
			for (int64_t i = 0; i < n_tile; i++)
				memcpy(tile + (size_t)(k * n_tile + i) * run, t->rows + (size_t)i * t->row_bytes + (size_t)k * run,
				       run);
}

/* The same, with the pieces of each run in their swizzled places. */
static void swizzle_runs(const struct transfer *t, unsigned char *tile)
{
	enum { PIECE = 16, PIECES = 8 };
	for (int64_t k = 0; k < t->k_padded / t->k_run; k++)
		for (int64_t i = 0; i < t->n_tile; i++, tile += PIECE * PIECES) {
			const unsigned char *run = t->rows + (size_t)i * t->row_bytes + (size_t)k * PIECE * PIECES;
			for (int64_t p = 0; p < PIECES; p++)
				memcpy(tile + (p ^ i % PIECES) * PIECE, run + p * PIECE, PIECE);
		}
}

/* Passes usual sizes as constants, so that the compiler copies a run with one instruction. */
static void interleave(const struct transfer *t, unsigned char *tile)
{
	size_t run = (size_t)t->k_run * dtype_size(t->param->dtype);
	if (t->swizzled)
		swizzle_runs(t, tile);
	else if (run == 4 && t->n_tile == 32)
		interleave_runs(t, tile, 32, 4);
	else if (run == 4)
		interleave_runs(t, tile, t->n_tile, 4);
	else
		interleave_runs(t, tile, t->n_tile, run);
}

/* Fills tile number `number`, counted over all groups; rows past the end are zeros. */
static void fill_tile(struct transfer *t, unsigned char *tile, int64_t number)
{
	int64_t first = number % t->tiles * t->n_tile;
	set_digits(t, &t->g, number / t->tiles);
	if (t->n_tile == 1) {
		set_digits(t, &t->n, first);
		read_row(t, tile);
		return;
	}
	for (int64_t i = 0; i < t->n_tile; i++) {
		unsigned char *row = t->rows + (size_t)i * t->row_bytes;
		set_digits(t, &t->n, first + i);
		if (first + i < t->n.size)
			read_row(t, row);
		else
			memset(row, 0, t->row_bytes);
	}
	interleave(t, tile);
}

/* ---- a param --------------------------------------------------------------------------------- */
/* Shared by the threads that load one param. Each takes the next `room` tiles. */
struct loading {
	const struct transfer *transfer;
	struct device *device;
	uint64_t to;
	int64_t tiles, room;
	size_t tile_bytes;
	atomic_llong next;
};

static void *load_tiles(void *arg)
{
	struct loading *l = arg;
	struct transfer t = *l->transfer;
	unsigned char *block = host_alloc((size_t)l->room, l->tile_bytes);
	t.rows = host_alloc((size_t)t.n_tile, t.row_bytes); /* zeros: past k, the rest of the last run stays zero */
	for (int64_t at; (at = atomic_fetch_add(&l->next, l->room)) < l->tiles;) {
		int64_t n = l->tiles - at < l->room ? l->tiles - at : l->room;
		for (int64_t i = 0; i < n; i++)
			fill_tile(&t, block + (size_t)i * l->tile_bytes, at + i);
		l->device->write(l->device, flat(l->to + (uint64_t)at * l->tile_bytes, (uint64_t)n * l->tile_bytes), block);
	}
	free(t.rows);
	free(block);
	return NULL;
}

/* Loads with the calling thread and as many others as there is work for, or as can be created. */
static void load_with_threads(struct loading *l, int threads)
{
	int64_t blocks = (l->tiles + l->room - 1) / l->room;
	int others = 0, most = (int)(blocks < threads ? blocks : threads) - 1;
	pthread_t *other = host_alloc((size_t)threads, sizeof *other);
	sigset_t all, before;
	sigfillset(&all);
	sigdelset(&all, SIGBUS); /* checkpoint_guard */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (others < most && !pthread_create(&other[others], NULL, load_tiles, l))
		others++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	load_tiles(l);
	while (others)
		pthread_join(other[--others], NULL);
	free(other);
}

static void load_param(struct transfer *t, struct device *d, uint64_t to, int threads, const struct reporter *r)
{
	split_axes(t);
	size_t size = dtype_size(t->param->dtype), tile = (size_t)(t->k_padded * t->n_tile) * size;
	int64_t tiles = t->g.size * t->tiles, room = tile > BLOCK_BYTES ? 1 : (int64_t)(BLOCK_BYTES / tile);
	if ((uint64_t)tiles * tile > t->param->bytes)
		rank_fail(r, "internal: %s has %llu bytes, planned are %llu", plan_string(t->plan, t->param->path),
		          (unsigned long long)tiles * tile, (unsigned long long)t->param->bytes);
	/* An odd number of cache lines, so that the rows of a tile do not map to the same cache set. */
	t->row_bytes = (((size_t)t->k_padded * size + CACHE_LINE - 1) / CACHE_LINE | 1) * CACHE_LINE;
	struct loading l = {
		.transfer = t, .device = d, .to = to, .tiles = tiles, .room = room < tiles ? room : tiles, .tile_bytes = tile};
	load_with_threads(&l, threads);
}

/* Does the rank's stage have the param's space? */
static bool has_space(const struct plan *plan, int rank, uint32_t space)
{
	int stage = plan_stage(plan, rank);
	return space == DR_SPACE_PRE ? stage == 0 : space == DR_SPACE_POST ? stage == plan->n_stages - 1 : true;
}

void weights_load(const struct plan *plan, int rank, const struct checkpoint *c, struct device *d,
                  const struct memory *m, int threads, const struct reporter *r)
{
	const struct dr_stage *stage = &plan->stages[plan_stage(plan, rank)];
	for (uint32_t i = 0; i < plan->head->params.n; i++) {
		const struct dr_param *p = &plan->params[i];
		int64_t begin = p->in_loop ? stage->layer_begin : 0, end = p->in_loop ? stage->layer_end : 1;
		if (!has_space(plan, rank, p->space))
			continue;
		if (p->axes.n > MAX_AXES)
			rank_fail(r, "internal: %s has %u axes", plan_string(plan, p->path), p->axes.n);
		for (int64_t layer = begin; layer < end; layer++) {
			struct transfer t = {.plan = plan,
			                     .param = p,
			                     .axes = plan_array(plan, struct dr_axis, p->axes),
			                     .checkpoint = c,
			                     .rank = rank,
			                     .layer = layer};
			if (!plan_has_param(plan, p, layer))
				continue;
			uint64_t to = m->base[p->space] + p->offset + (p->in_loop ? plan_layer_offset(plan, begin, layer) : 0);
			load_param(&t, d, to, threads, r);
		}
	}
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
