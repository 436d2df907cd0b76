/* Clusters: CTAs that run together, reach each other's shared memory, and have a barrier. */
#include "../../../runtime/cuda_api.h"
#include "grid.h"
#include "handlers.h"
#include "race.h"
#include "weak.h"

/* Where races find what the barrier's phases order: past a CTA's memory. */
enum { CLUSTER_PHASE = SHARED_OF_CTA - 8 };

static unsigned live_threads(const struct cluster *c)
{
	unsigned n = 0;
	for (int i = 0; i < c->n; i++)
		n += c->ctas[i] ? (unsigned)c->ctas[i]->live_warps * LANES : 0;
	return n;
}

static void wake(struct cta *c)
{
	for (int i = 0; i < c->n_warps; i++) {
		struct warp *w = &c->warps[i];
		if (w->state != WARP_WAITS || w->waits_for != CLUSTER_BARRIER)
			continue;
		w->state = WARP_RUNS;
		race_phase_seen(w, c->cluster->number, CLUSTER_PHASE);
		weak_acquire_near(w);
	}
}

static void check_open(struct grid *g, struct cluster *c)
{
	if (!c->arrived || c->arrived < live_threads(c))
		return;
	c->arrived = 0;
	c->phase++;
	race_phase(g, c->number, CLUSTER_PHASE);
	for (int i = 0; i < c->n; i++)
		if (c->ctas[i])
			wake(c->ctas[i]);
}

void cluster_after_exit(struct cta *c) { check_open(c->grid, c->cluster); }

static void check_aligned(struct warp *w)
{
	if (w->exec != w->alive)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, -1, "barrier in divergent code: lanes %08x are elsewhere",
		           w->alive & ~w->exec);
}

void x_cluster_arrive(struct warp *w, const struct ins *in)
{
	struct cluster *c = w->cta->cluster;
	check_aligned(w);
	if (w->cluster_arrived)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, -1, "a second arrival at the cluster's barrier without a wait");
	w->cluster_arrived = true;
	w->cluster_phase = c->phase;
	w->polls = 0;
	if (in->order == ORDER_RELEASE) {
		race_arrive_at(w, c->number, CLUSTER_PHASE);
		weak_release_near(w);
	}
	c->arrived += LANES;
	check_open(w->cta->grid, c);
}

void x_cluster_wait(struct warp *w, const struct ins *in)
{
	struct cluster *c = w->cta->cluster;
	check_aligned(w);
	if (!w->cluster_arrived)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, -1, "a wait for the cluster's barrier without an arrival");
	w->cluster_arrived = false;
	if (c->phase != w->cluster_phase) {
		race_phase_seen(w, c->number, CLUSTER_PHASE);
		weak_acquire_near(w);
		return;
	}
	w->state = WARP_WAITS;
	w->waits_for = CLUSTER_BARRIER;
	w->waits_in = in;
}

void x_mapa(struct warp *w, const struct ins *in)
{
	const uint32_t *rank = OPERAND(uint32_t, 2);
	const int n = w->cta->cluster->n;
	LANES_IN_TURN(l)
	{
		if (rank[l] >= (uint32_t)n)
			warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, l, "rank %u of a cluster of %d", rank[l], n);
		uint64_t there = (uint64_t)(rank[l] + 1) * SHARED_OF_CTA;
		if (in->size == 4)
			OPERAND(uint32_t, 0)[l] = (uint32_t)(OPERAND(uint32_t, 1)[l] % SHARED_OF_CTA + there);
		else
			OPERAND(uint64_t, 0)[l] = SHARED_WINDOW + (OPERAND(uint64_t, 1)[l] - SHARED_WINDOW) % SHARED_OF_CTA + there;
	}
}
