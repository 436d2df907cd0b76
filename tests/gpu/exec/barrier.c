/* Barriers of a CTA. */
#include "../../../runtime/cuda_api.h"
#include "grid.h"
#include "handlers.h"
#include "race.h"
#include "weak.h"

enum { BAR_SYNC, BAR_ARRIVE, BAR_POPC, BAR_AND, BAR_OR };

static bool waits_for(const struct warp *w, unsigned id) { return w->state == WARP_WAITS && w->waits_for == id; }

/* Lets the warps that wait go on; what a bar.red returns to all of them is made of their votes. */
static void open_barrier(struct cta *c, unsigned id)
{
	int yes = 0, all = 0;
	for (int i = 0; i < c->n_warps; i++)
		if (waits_for(&c->warps[i], id)) {
			yes += __builtin_popcount(c->warps[i].votes);
			all += __builtin_popcount(c->warps[i].active);
		}
	for (int i = 0; i < c->n_warps; i++) {
		struct warp *w = &c->warps[i];
		if (!waits_for(w, id))
			continue;
		const struct ins *in = w->waits_in;
		w->exec = w->active;
		w->state = WARP_RUNS;
		race_leave(w, id);
		weak_acquire(w, SCOPE_CTA);
		if (in->variant == BAR_POPC)
			EACH_LANE(OPERAND(uint32_t, 0)[l] = (uint32_t)yes);
		else if (in->variant > BAR_POPC)
			warp_set_predicate(w, in->op[0], (in->variant == BAR_AND ? yes == all : yes > 0) ? ALL_LANES : 0);
	}
}

static unsigned live_threads(const struct cta *c) { return (unsigned)c->live_warps * LANES; }

/* Opens the barrier if all have come. */
static void check_barrier(struct cta *c, unsigned id)
{
	struct barrier *b = &c->barriers[id];
	if (!b->arrived || b->arrived < (b->expected ? b->expected : live_threads(c)))
		return;
	*b = (struct barrier){0};
	open_barrier(c, id);
	race_open(c, id);
}

/* The barrier's number or count, which all lanes must agree on. */
static unsigned uniform(struct warp *w, const uint32_t *values)
{
	unsigned first = values[__builtin_ctz(w->exec)];
	for (int l = 0; l < LANES; l++)
		if (w->exec >> l & 1 && values[l] != first)
			warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, l, "lanes disagree about a barrier: %u and %u", first, values[l]);
	return first;
}

static void check_arrival(struct warp *w, unsigned id, unsigned count)
{
	const struct cta *c = w->cta;
	if (w->exec != w->alive)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, -1, "barrier in divergent code: lanes %08x are elsewhere",
		           w->alive & ~w->exec);
	if (id >= BARRIERS)
		warp_fault(w, CUDA_ERROR_ILLEGAL_INSTRUCTION, -1, "barrier %u does not exist", id);
	if (count % LANES || count > (unsigned)c->n_warps * LANES)
		warp_fault(w, CUDA_ERROR_ILLEGAL_INSTRUCTION, -1, "barrier %u for %u of %d threads", id, count,
		           c->n_warps * LANES);
	if (c->barriers[id].arrived && c->barriers[id].expected != count)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, -1, "barrier %u for %u threads, and for %u before", id, count,
		           c->barriers[id].expected);
}

void x_bar(struct warp *w, const struct ins *in)
{
	struct cta *c = w->cta;
	int first = in->n_defs;
	unsigned id = uniform(w, OPERAND(uint32_t, first)), count = uniform(w, OPERAND(uint32_t, first + 1));
	check_arrival(w, id, count);
	c->grid->counters.barriers++;
	w->polls = 0;
	c->barriers[id].expected = count;
	c->barriers[id].arrived += LANES;
	race_arrive(w, id);
	weak_release(w, SCOPE_CTA);
	if (in->variant != BAR_ARRIVE) {
		w->votes = in->variant >= BAR_POPC ? warp_predicate(w, in->op[3]) & w->exec : 0;
		w->waits_for = id;
		w->state = WARP_WAITS;
		w->waits_in = in;
	}
	check_barrier(c, id);
}

void barriers_after_exit(struct cta *c)
{
	for (unsigned id = 0; id < BARRIERS; id++)
		if (!c->barriers[id].expected)
			check_barrier(c, id);
}
