/* Runs a grid: CTAs one after another in random order, the warps of a CTA in turns of random length; barriers. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../../runtime/cuda_api.h"
#include "handlers.h"
#include "warp.h"

/* ---- barriers ---- */
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
	c->barriers[id].expected = count;
	c->barriers[id].arrived += LANES;
	if (in->variant != BAR_ARRIVE) {
		w->votes = in->variant >= BAR_POPC ? warp_predicate(w, in->op[3]) & w->exec : 0;
		w->waits_for = id;
		w->state = WARP_WAITS;
		w->waits_in = in;
	}
	check_barrier(c, id);
}

/* ---- warps ---- */
static void run_warp(struct warp *w, uint64_t turn)
{
	const struct ins *code = w->cta->grid->launch->kernel->code;
	uint64_t left = turn;
	for (; left && w->state == WARP_RUNS; left--) {
		if (w->pc >= w->meets_at)
			warp_regroup(w);
		const struct ins *in = &code[w->pc++];
		w->exec = w->active;
		if (in->guard != NO_GUARD)
			w->exec &= in->unless ? ~w->predicates[in->guard] : w->predicates[in->guard];
		if (w->exec) {
			w->in = in;
			in->run(w, in);
		}
	}
	w->cta->grid->instructions += turn - left;
}

static void warp_ended(struct cta *c)
{
	c->live_warps--;
	for (unsigned id = 0; id < BARRIERS; id++)
		if (!c->barriers[id].expected)
			check_barrier(c, id);
}

static void fault_all_wait(struct cta *c)
{
	struct warp *first = NULL;
	char where[200] = "";
	for (int i = 0; i < c->n_warps; i++) {
		struct warp *w = &c->warps[i];
		size_t n = strlen(where);
		if (w->state != WARP_WAITS)
			continue;
		first = first ? first : w;
		if (n < sizeof where - 32)
			snprintf(where + n, sizeof where - n, " warp %d at line %d,", i, w->waits_in->line);
	}
	warp_fault(first, CUDA_ERROR_LAUNCH_TIMEOUT, -1, "all warps wait for a barrier:%s", where);
}

/* Long turns are fast, short ones find what depends on the order of warps. */
static uint64_t turn_length(struct grid *g)
{
	static const uint64_t most[] = {4, 32, 256, 2048};
	uint64_t r = random_next(&g->seed);
	return 1 + (r >> 8) % most[r % 4];
}

static void run_cta(struct grid *g)
{
	struct cta *c = &g->cta;
	while (c->live_warps) {
		int runnable[MAX_WARPS], n = 0;
		for (int i = 0; i < c->n_warps; i++)
			if (c->warps[i].state == WARP_RUNS)
				runnable[n++] = i;
		if (!n)
			fault_all_wait(c);
		struct warp *w = &c->warps[runnable[random_next(&g->seed) % (uint64_t)n]];
		run_warp(w, n == 1 ? 4096 : turn_length(g));
		if (w->state == WARP_DONE)
			warp_ended(c);
		if (g->instructions > g->limit)
			warp_fault(w, CUDA_ERROR_LAUNCH_TIMEOUT, -1, "%llu instructions (EMU_LIMIT)", (unsigned long long)g->limit);
	}
}

/* ---- a CTA's memory ---- */
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

static void set_up_warps(struct grid *g)
{
	const struct kernel *k = g->launch->kernel;
	struct cta *c = &g->cta;
	unsigned threads = g->launch->block[0] * g->launch->block[1] * g->launch->block[2];
	c->grid = g;
	c->n_warps = (int)((threads + LANES - 1) / LANES);
	g->file = aligned_alloc(64, (size_t)c->n_warps * warp_bytes(k));
	c->shared = aligned_alloc(64, aligned(DYNAMIC_SHARED + g->launch->dynamic_shared));
	for (int i = 0; i < c->n_warps; i++) {
		struct warp *w = &c->warps[i];
		unsigned char *at = g->file + (size_t)i * warp_bytes(k);
		w->cta = c;
		w->index = i;
		w->area[AREA_REGISTERS] = at;
		w->area[AREA_CONSTANTS] = (unsigned char *)(uintptr_t)k->constants;
		w->predicates = (uint32_t *)(void *)(at + aligned(k->register_bytes));
		w->area[AREA_SPECIALS] = at + aligned(k->register_bytes) + aligned((size_t)k->predicates * 4);
		w->local = w->area[AREA_SPECIALS] + SPECIALS * LANES * 4;
		set_specials(w);
	}
}

/* A fresh CTA: what nothing wrote is NaN. */
static void start_cta(struct grid *g, uint64_t number)
{
	struct cta *c = &g->cta;
	const struct launch *n = g->launch;
	unsigned threads = n->block[0] * n->block[1] * n->block[2];
	c->at[0] = (unsigned)(number % n->grid[0]);
	c->at[1] = (unsigned)(number / n->grid[0] % n->grid[1]);
	c->at[2] = (unsigned)(number / n->grid[0] / n->grid[1]);
	c->live_warps = c->n_warps;
	memset(c->barriers, 0, sizeof c->barriers);
	memset(c->shared, 0xff, n->kernel->shared_bytes);
	memset(c->shared + DYNAMIC_SHARED, 0xff, n->dynamic_shared);
	for (int i = 0; i < c->n_warps; i++) {
		struct warp *w = &c->warps[i];
		unsigned left = threads - (unsigned)i * LANES;
		w->active = w->alive = left >= LANES ? ALL_LANES : (1u << left) - 1;
		w->pc = w->n_parked = w->n_copies = 0;
		memset(w->committed, 0, sizeof w->committed);
		w->meets_at = INT_MAX;
		w->state = WARP_RUNS;
		memset(w->area[AREA_REGISTERS], 0xff, n->kernel->register_bytes);
		memset(w->local, 0xff, (size_t)n->kernel->local_bytes * LANES);
		for (int d = 0; d < 3; d++)
			fill_special(w, SPECIAL_CTAID + d, c->at[d]);
	}
}

/* ---- grids ---- */
static uint64_t common_divisor(uint64_t a, uint64_t b) { return b ? common_divisor(b, a % b) : a; }

/* i -> i * step + first is a permutation when step and n have no common divisor. */
static void run_ctas(struct grid *g)
{
	const struct launch *l = g->launch;
	uint64_t n = (uint64_t)l->grid[0] * l->grid[1] * l->grid[2];
	uint64_t step = 1 + random_next(&g->seed) % n, first = random_next(&g->seed) % n;
	while (common_divisor(step, n) != 1)
		step = step % n + 1;
	for (uint64_t i = 0; i < n; i++) {
		start_cta(g, (uint64_t)(((unsigned __int128)i * step + first) % n));
		run_cta(g);
	}
}

static bool run_guarded(struct grid *g)
{
	if (setjmp(g->failed))
		return false;
	run_ctas(g);
	return true;
}

bool grid_run(const struct launch *launch, const struct memory_map *map, uint64_t seed, uint64_t limit,
              struct fault *fault, uint64_t *instructions)
{
	struct grid *g = calloc(1, sizeof *g);
	*g = (struct grid){.launch = launch, .map = map, .seed = seed | 1, .limit = limit, .fault = fault};
	fault->code = CUDA_SUCCESS;
	set_up_warps(g);
	bool good = run_guarded(g);
	*instructions += g->instructions;
	for (int i = 0; i < g->cta.n_warps; i++)
		free(g->cta.warps[i].copies);
	free(g->file);
	free(g->cta.shared);
	free(g);
	return good;
}
