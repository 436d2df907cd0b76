/* Runs a grid. As many CTAs are resident as the multiprocessors can hold; they take turns at random, and so do the
 * warps of each, for times of random length. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "../../../runtime/cuda_api.h"
#include "grid.h"
#include "race.h"

/* ---- warps ---- */
static void run_warp(struct warp *w, uint64_t turn)
{
	struct grid *g = w->cta->grid;
	const struct ins *code = g->launch->kernel->code;
	uint64_t left = turn;
	w->yields = false;
	for (; left && w->state == WARP_RUNS && !w->yields; left--) {
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
	g->instructions += turn - left;
}

/* ---- deadlocks ---- */
enum { POLLS_OF_A_SPIN = 100, SPIN_MS = 5000 };

static uint64_t milliseconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Where warps wait for a barrier, and where they read the same again and again. */
_Noreturn static void fault_all_wait(struct cta *const *ctas, int n, const char *what)
{
	struct warp *first = NULL;
	char where[400] = "";
	for (int i = 0; i < n; i++)
		for (int k = 0; k < ctas[i]->n_warps; k++) {
			struct warp *w = &ctas[i]->warps[k];
			size_t used = strlen(where);
			if (w->state == WARP_DONE)
				continue;
			first = first ? first : w;
			if (used < sizeof where - 50)
				snprintf(where + used, sizeof where - used, " CTA (%u, %u, %u) warp %d at line %d,", ctas[i]->at[0],
				         ctas[i]->at[1], ctas[i]->at[2], k, w->state == WARP_WAITS ? w->waits_in->line : w->in->line);
		}
	warp_fault(first, CUDA_ERROR_LAUNCH_TIMEOUT, -1, "%s:%s", what, where);
}

static bool is_stuck(const struct cta *c)
{
	for (int i = 0; i < c->n_warps; i++)
		if (c->warps[i].state == WARP_RUNS && c->warps[i].polls < POLLS_OF_A_SPIN)
			return false;
	return true;
}

/* Called when a warp polls. Memory that it polls may be shared with other processes, which get some time. */
static void check_spin(struct grid *g)
{
	bool full = g->n_live == g->n_resident || g->started == g->n_ctas, stuck = full;
	for (int i = 0; i < g->n_live && stuck; i++)
		stuck = is_stuck(g->ctas[i]);
	if (!stuck) {
		g->stuck_since = 0;
		return;
	}
	uint64_t now = milliseconds();
	const char *setting = getenv("EMU_SPIN_MS");
	g->stuck_since = g->stuck_since ? g->stuck_since : now;
	if (now - g->stuck_since > (setting ? strtoull(setting, NULL, 10) : SPIN_MS)) {
		char what[100];
		snprintf(what, sizeof what, "all warps of %d CTAs wait or poll, %llu CTAs have not started", g->n_live,
		         (unsigned long long)(g->n_ctas - g->started));
		fault_all_wait(g->ctas, g->n_live, what);
	}
	nanosleep(&(struct timespec){0, 20000}, NULL);
}

/* ---- turns ---- */
/* Long turns are fast, short ones find what depends on the order of warps. */
static uint64_t turn_length(struct grid *g)
{
	static const uint64_t most[] = {4, 32, 256, 2048};
	uint64_t r = random_next(&g->seed);
	return 1 + (r >> 8) % most[r % 4];
}

/* A turn of a warp that can run. */
static void run_turn(struct grid *g, struct cta *c)
{
	int runnable[MAX_WARPS], n = 0;
	for (int i = 0; i < c->n_warps; i++)
		if (c->warps[i].state == WARP_RUNS)
			runnable[n++] = i;
	if (!n)
		fault_all_wait(&c, 1, "all warps wait for a barrier");
	struct warp *w = &c->warps[runnable[random_next(&g->seed) % (uint64_t)n]];
	run_warp(w, n == 1 && g->n_live == 1 ? 4096 : turn_length(g));
	if (w->state == WARP_DONE) {
		c->live_warps--;
		race_exit(w);
		barriers_after_exit(c);
	}
	if (w->yields && w->polls >= POLLS_OF_A_SPIN)
		check_spin(g);
	if (g->instructions > g->limit)
		warp_fault(w, CUDA_ERROR_LAUNCH_TIMEOUT, -1, "%llu instructions (EMU_LIMIT)", (unsigned long long)g->limit);
}

/* ---- CTAs ---- */
static uint64_t common_divisor(uint64_t a, uint64_t b) { return b ? common_divisor(b, a % b) : a; }

/* i -> i * step + first is a permutation when step and n have no common divisor. */
static void choose_order(struct grid *g)
{
	g->step = 1 + random_next(&g->seed) % g->n_ctas;
	g->first = random_next(&g->seed) % g->n_ctas;
	while (common_divisor(g->step, g->n_ctas) != 1)
		g->step = g->step % g->n_ctas + 1;
}

static struct cta *start_next(struct grid *g)
{
	struct cta **slot = &g->ctas[g->n_live++];
	*slot = *slot ? *slot : cta_new(g);
	cta_start(*slot, (uint64_t)(((unsigned __int128)g->started++ * g->step + g->first) % g->n_ctas));
	return *slot;
}

/* One that is resident, or the next one where there is room for it. */
static struct cta *choose_cta(struct grid *g)
{
	bool can_start = g->started < g->n_ctas && g->n_live < g->n_resident;
	uint64_t chosen = random_next(&g->seed) % (uint64_t)(g->n_live + can_start);
	return chosen == (uint64_t)g->n_live ? start_next(g) : g->ctas[chosen];
}

static void end_cta(struct grid *g, struct cta *c)
{
	int i = 0;
	while (g->ctas[i] != c)
		i++;
	g->ctas[i] = g->ctas[--g->n_live];
	g->ctas[g->n_live] = c;
}

/* In some launches CTAs take turns often, in others rarely, nearly one after another. */
static void run_ctas(struct grid *g)
{
	static const uint64_t most[] = {1, 16, 256, 4096};
	uint64_t longest = most[random_next(&g->seed) % 4], stay = 0;
	struct cta *c = NULL;
	choose_order(g);
	while (g->n_live || g->started < g->n_ctas) {
		if (!stay) {
			c = choose_cta(g);
			stay = 1 + random_next(&g->seed) % longest;
		}
		stay--;
		run_turn(g, c);
		if (!c->live_warps) {
			end_cta(g, c);
			stay = 0;
		}
	}
}

static bool run_guarded(struct grid *g)
{
	if (setjmp(g->failed))
		return false;
	run_ctas(g);
	return true;
}

static void drop_ctas(struct grid *g)
{
	for (int i = 0; i < g->n_resident; i++)
		if (g->ctas[i])
			cta_free(g->ctas[i]);
	free(g->ctas);
}

bool grid_run(const struct launch *launch, const struct memory_map *map, uint64_t seed, uint64_t limit,
              struct fault *fault, uint64_t *instructions)
{
	struct grid *g = calloc(1, sizeof *g);
	*g = (struct grid){.launch = launch, .map = map, .seed = seed | 1, .limit = limit, .fault = fault};
	fault->code = CUDA_SUCCESS;
	g->n_ctas = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2];
	g->n_resident = (int)launch->resident * launch->multiprocessors;
	g->n_resident = g->n_resident > 0 ? g->n_resident : 1;
	g->ctas = calloc((size_t)g->n_resident, sizeof(struct cta *));
	g->counting = counters_are_on();
	g->races = races_new(launch);
	bool good = run_guarded(g);
	*instructions += g->instructions;
	if (g->counting)
		counters_add(g);
	drop_ctas(g);
	races_free(g->races);
	free(g);
	return good;
}
