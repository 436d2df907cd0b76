/* CTAs: their memory, and how each starts. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "grid.h"
#include "race.h"
#include "weak.h"

static size_t aligned(size_t n) { return (n + 63) / 64 * 64; }

/* Bytes of a warp: registers, predicates, special registers, local memory. */
static size_t warp_bytes(const struct kernel *k)
{
	return aligned(k->register_bytes) + aligned((size_t)k->predicates * 4) + SPECIALS * LANES * 4
	       + aligned((size_t)k->local_bytes * LANES);
}

static uint32_t *special(struct warp *w, int number)
{
	return (uint32_t *)(void *)w->area[AREA_SPECIALS] + number * LANES;
}

static void fill_special(struct warp *w, int number, uint32_t value)
{
	for (int l = 0; l < LANES; l++)
		special(w, number)[l] = value;
}

/* Special registers that are the same in all CTAs. */
static void set_specials(struct warp *w)
{
	const struct launch *n = w->cta->grid->launch;
	for (int l = 0; l < LANES; l++) {
		unsigned thread = (unsigned)w->index * LANES + (unsigned)l, bit = 1u << l;
		special(w, SPECIAL_TID)[l] = thread % n->block[0];
		special(w, SPECIAL_TID + 1)[l] = thread / n->block[0] % n->block[1];
		special(w, SPECIAL_TID + 2)[l] = thread / n->block[0] / n->block[1];
		special(w, SPECIAL_LANE)[l] = (uint32_t)l;
		special(w, SPECIAL_MASK_EQ)[l] = bit;
		special(w, SPECIAL_MASK_LT)[l] = bit - 1;
		special(w, SPECIAL_MASK_LE)[l] = bit | (bit - 1);
		special(w, SPECIAL_MASK_GT)[l] = ~(bit | (bit - 1));
		special(w, SPECIAL_MASK_GE)[l] = ~(bit - 1);
	}
	for (int i = 0; i < 3; i++) {
		fill_special(w, SPECIAL_NTID + i, n->block[i]);
		fill_special(w, SPECIAL_NCTAID + i, n->grid[i]);
	}
	fill_special(w, SPECIAL_WARP, (uint32_t)w->index);
	fill_special(w, SPECIAL_WARPS, (uint32_t)w->cta->n_warps);
	fill_special(w, SPECIAL_SHARED_TOTAL, n->kernel->shared_bytes + n->dynamic_shared);
	fill_special(w, SPECIAL_SHARED_DYNAMIC, n->dynamic_shared);
	fill_special(w, SPECIAL_ZERO, 0);
	fill_special(w, SPECIAL_ONE, 1);
}

struct cta *cta_new(struct grid *g)
{
	struct cta *c = calloc(1, sizeof *c);
	const struct launch *n = g->launch;
	const struct kernel *k = n->kernel;
	c->grid = g;
	c->races = g->races ? race_cta_new() : NULL;
	c->n_warps = (int)((n->block[0] * n->block[1] * n->block[2] + LANES - 1) / LANES);
	c->file = aligned_alloc(64, (size_t)c->n_warps * warp_bytes(k));
	c->shared = aligned_alloc(64, aligned(STATIC_SHARED + k->shared_bytes));
	for (int i = 0; i < c->n_warps; i++) {
		struct warp *w = &c->warps[i];
		unsigned char *at = c->file + (size_t)i * warp_bytes(k);
		w->cta = c;
		w->index = i;
		w->watched = g->counting || g->races;
		w->weak = g->weak;
		w->area[AREA_REGISTERS] = at;
		w->area[AREA_CONSTANTS] = (unsigned char *)(uintptr_t)k->constants;
		w->predicates = (uint32_t *)(void *)(at + aligned(k->register_bytes));
		w->area[AREA_SPECIALS] = at + aligned(k->register_bytes) + aligned((size_t)k->predicates * 4);
		w->local = w->area[AREA_SPECIALS] + SPECIALS * LANES * 4;
		set_specials(w);
	}
	return c;
}

void cta_free(struct cta *c)
{
	for (int i = 0; i < c->n_warps; i++) {
		free(c->warps[i].copies);
		free(c->warps[i].products);
	}
	free(c->ops);
	free(c->file);
	free(c->shared);
	race_cta_free(c->races);
	free(c);
}

/* Special registers about clusters. */
static void set_cluster_specials(struct warp *w)
{
	const struct cta *c = w->cta;
	const struct launch *n = c->grid->launch;
	for (int d = 0; d < 3; d++) {
		fill_special(w, SPECIAL_CTAID + d, c->at[d]);
		fill_special(w, SPECIAL_CLUSTERID + d, c->at[d] / n->cluster[d]);
		fill_special(w, SPECIAL_NCLUSTERID + d, n->grid[d] / n->cluster[d]);
		fill_special(w, SPECIAL_CLUSTER_CTAID + d, c->at[d] % n->cluster[d]);
		fill_special(w, SPECIAL_CLUSTER_NCTAID + d, n->cluster[d]);
	}
	fill_special(w, SPECIAL_CLUSTER_RANK, (uint32_t)c->rank);
	fill_special(w, SPECIAL_CLUSTER_RANKS, (uint32_t)c->cluster->n);
}

/* Where the CTA of that rank is, in a cluster whose first one is at `first`. */
static void find_place(const struct launch *n, uint64_t first, unsigned rank, unsigned *at)
{
	for (int d = 0; d < 3; d++) {
		at[d] = (unsigned)(first % n->grid[d]) + rank % n->cluster[d];
		first /= n->grid[d];
		rank /= n->cluster[d];
	}
}

void cta_start(struct cta *c, struct cluster *cluster, int rank)
{
	const struct launch *n = c->grid->launch;
	unsigned threads = n->block[0] * n->block[1] * n->block[2];
	c->cluster = cluster;
	c->rank = rank;
	cluster->ctas[rank] = c;
	find_place(n, cluster->number, (unsigned)rank, c->at);
	c->live_warps = c->n_warps;
	c->number = c->at[0] + (uint64_t)n->grid[0] * (c->at[1] + (uint64_t)n->grid[1] * c->at[2]);
	c->n_ops = c->under_way = 0;
	c->n_copies = 0;
	c->acquired = 0;
	memset(c->barriers, 0, sizeof c->barriers);
	memset(c->shared, 0xff, n->dynamic_shared);
	memset(c->shared + STATIC_SHARED, 0xff, n->kernel->shared_bytes);
	for (int i = 0; i < c->n_warps; i++) {
		struct warp *w = &c->warps[i];
		unsigned left = threads - (unsigned)i * LANES;
		w->active = w->alive = left >= LANES ? ALL_LANES : (1u << left) - 1;
		w->pc = w->n_parked = w->n_copies = w->n_products = 0;
		w->product_fence = w->cluster_arrived = false;
		w->products_committed = 0;
		memset(w->committed, 0, sizeof w->committed);
		memset(w->bulk_committed, 0, sizeof w->bulk_committed);
		w->meets_at = INT_MAX;
		w->state = WARP_RUNS;
		w->polls = 0;
		w->polled = NULL;
		memset(w->area[AREA_REGISTERS], 0xff, n->kernel->register_bytes);
		memset(w->local, 0xff, (size_t)n->kernel->local_bytes * LANES);
		set_cluster_specials(w);
		weak_start(w);
	}
	race_cta_start(c);
}
