/* Runs a grid. As many CTAs are resident as the multiprocessors can hold; they take turns at random, and so do the
 * warps of each, for times of random length. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "../../../runtime/cuda_api.h"
#include "bulk.h"
#include "grid.h"
#include "race.h"
#include "weak.h"

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
enum { POLLS_OF_A_SPIN = 100, SPIN_MS = 5000, SPIN_MS_OF_OTHERS = 60000 };

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
		if (c->under_way || (c->warps[i].state == WARP_RUNS && c->warps[i].polls < POLLS_OF_A_SPIN))
			return false;
	return true;
}

static bool can_start(const struct grid *g)
{
	return g->started < g->n_clusters && g->n_live + g->cluster_size <= g->n_resident;
}

/* Longer where a warp reads memory that other processes share. */
static uint64_t longest_spin(const struct grid *g)
{
	const char *setting = getenv("EMU_SPIN_MS");
	if (setting)
		return strtoull(setting, NULL, 10);
	for (int i = 0; i < g->n_live; i++)
		for (int k = 0; k < g->ctas[i]->n_warps; k++) {
			const struct range *r = g->ctas[i]->warps[k].recent;
			if (r && (r->file || r->imported))
				return SPIN_MS_OF_OTHERS;
		}
	return SPIN_MS;
}

/* Called when a warp polls. What it polls may be written by other devices and processes, which get some time. */
static bool is_grid_stuck(struct grid *g)
{
	bool stuck = !can_start(g);
	for (int i = 0; i < g->n_live && stuck; i++)
		stuck = is_stuck(g->ctas[i]);
	if (!stuck) {
		g->stuck_since = 0;
		return false;
	}
	uint64_t now = milliseconds();
	g->stuck_since = g->stuck_since ? g->stuck_since : now;
	if (now - g->stuck_since > longest_spin(g)) {
		char what[100];
		snprintf(what, sizeof what, "all warps of %d CTAs wait or poll, %llu CTAs have not started", g->n_live,
		         (unsigned long long)(g->n_clusters - g->started) * (unsigned)g->cluster_size);
		fault_all_wait(g->ctas, g->n_live, what);
	}
	return true;
}

/* Called when no warp of the CTA can run: others of its cluster may let them go on. */
static void check_waits(const struct cta *c)
{
	const struct cluster *cluster = c->cluster;
	struct cta *ctas[MAX_CLUSTER];
	int n = 0;
	for (int i = 0; i < cluster->n; i++) {
		if (!cluster->ctas[i])
			continue;
		ctas[n++] = cluster->ctas[i];
		for (int k = 0; k < c->n_warps; k++)
			if (cluster->ctas[i]->warps[k].state == WARP_RUNS)
				return;
		if (cluster->ctas[i]->under_way)
			return;
	}
	fault_all_wait(ctas, n, "all warps wait for a barrier");
}

/* ---- turns ---- */
/* Long turns are fast, short ones find what depends on the order of warps. */
static uint64_t turn_length(struct grid *g)
{
	static const uint64_t most[] = {4, 32, 256, 2048};
	uint64_t r = random_next(&g->seed);
	return 1 + (r >> 8) % most[r % 4];
}

/* After a warp's turn. It may wait for copies that others of its cluster began. */
static void advance_copies(struct warp *w)
{
	struct cta *c = w->cta;
	for (int i = 0; i < c->cluster->n && w->yields; i++) {
		struct cta *other = c->cluster->ctas[i];
		if (other && other->under_way && w->awaits.cta && w->polls < POLLS_OF_A_SPIN)
			bulk_advance_for(other, w->awaits);
		else if (other && other->under_way)
			bulk_advance(other);
	}
	if (c->under_way && random_next(&c->grid->seed) & 1)
		bulk_advance_soon(c);
}

/* A turn of a warp that can run. true: the whole grid waits. */
static bool run_turn(struct grid *g, struct cta *c)
{
	int runnable[MAX_WARPS], n = 0;
	for (int i = 0; i < c->n_warps; i++)
		if (c->warps[i].state == WARP_RUNS)
			runnable[n++] = i;
	if (!n && c->under_way) {
		bulk_advance(c);
		return false;
	}
	if (!n) {
		check_waits(c);
		return false;
	}
	struct warp *w = &c->warps[runnable[random_next(&g->seed) % (uint64_t)n]];
	run_warp(w, n == 1 && g->n_live == 1 ? 4096 : turn_length(g));
	if (w->state == WARP_DONE) {
		c->live_warps--;
		race_exit(w);
		weak_release(w, SCOPE_CTA);
		barriers_after_exit(c);
		cluster_after_exit(c);
	}
	advance_copies(w);
	if (g->instructions > g->limit)
		warp_fault(w, CUDA_ERROR_LAUNCH_TIMEOUT, -1, "%llu instructions (EMU_LIMIT)", (unsigned long long)g->limit);
	return w->yields && w->polls >= POLLS_OF_A_SPIN && is_grid_stuck(g);
}

/* ---- CTAs ---- */
static uint64_t common_divisor(uint64_t a, uint64_t b) { return b ? common_divisor(b, a % b) : a; }

/* i -> i * step + first is a permutation when step and n have no common divisor. More than two are never in order. */
static void choose_order(struct grid *g)
{
	uint64_t n = g->n_clusters;
	g->step = 1 + random_next(&g->seed) % n;
	g->first = random_next(&g->seed) % n;
	while (common_divisor(g->step, n) != 1)
		g->step = g->step % n + 1;
	if (n > 2 && g->step == 1 && !g->first)
		g->first = n - 1;
}

/* The number of a cluster's first CTA. */
static uint64_t first_of_cluster(const struct launch *l, uint64_t cluster)
{
	uint64_t number = 0, stride = 1;
	for (int d = 0; d < 3; d++) {
		uint64_t n = l->grid[d] / l->cluster[d];
		number += cluster % n * l->cluster[d] * stride;
		stride *= l->grid[d];
		cluster /= n;
	}
	return number;
}

/* Starts the CTAs of the next cluster, and returns its first. */
static struct cta *start_next(struct grid *g)
{
	struct cluster *cluster = calloc(1, sizeof *cluster);
	uint64_t number = (uint64_t)(((unsigned __int128)g->started++ * g->step + g->first) % g->n_clusters);
	cluster->n = cluster->live = g->cluster_size;
	cluster->number = first_of_cluster(g->launch, number);
	for (int rank = 0; rank < cluster->n; rank++) {
		struct cta **slot = &g->ctas[g->n_live++];
		*slot = *slot ? *slot : cta_new(g);
		cta_start(*slot, cluster, rank);
	}
	return cluster->ctas[0];
}

/* One that is resident, or of the next cluster where there is room for it. */
static struct cta *choose_cta(struct grid *g)
{
	uint64_t chosen = random_next(&g->seed) % (uint64_t)(g->n_live + can_start(g));
	return chosen == (uint64_t)g->n_live ? start_next(g) : g->ctas[chosen];
}

static void leave_cluster(struct cta *c)
{
	c->cluster->ctas[c->rank] = NULL;
	if (--c->cluster->live == 0)
		free(c->cluster);
}

static void end_cta(struct grid *g, struct cta *c)
{
	int i = 0;
	while (g->ctas[i] != c)
		i++;
	g->ctas[i] = g->ctas[--g->n_live];
	g->ctas[g->n_live] = c;
	leave_cluster(c);
}

static bool is_over(const struct grid *g) { return !g->n_live && g->started == g->n_clusters; }

/* Some turns of CTAs. */
static enum grid_state run_ctas(struct grid *g)
{
	static const uint64_t most[] = {16, 256, 4096};
	uint64_t left = random_next(&g->seed);
	bool waits = false;
	g->went_on = false;
	for (left = 1 + (left >> 8) % most[left % 3]; left && !waits && !is_over(g); left--) {
		if (!g->stay) {
			g->turn = choose_cta(g);
			g->stay = 1 + random_next(&g->seed) % g->longest;
		}
		g->stay--;
		waits = run_turn(g, g->turn);
		if (waits)
			g->stay = 0; /* what others did may have let another CTA go on */
		if (!g->turn->live_warps) {
			bulk_finish(g->turn);
			end_cta(g, g->turn);
			g->stay = 0;
		}
	}
	if (is_over(g))
		return GRID_ENDED;
	return is_grid_stuck(g) && !g->went_on ? GRID_WAITS : GRID_RUNS;
}

enum grid_state grid_go(struct grid *g, bool alone)
{
	if (!alone)
		g->stuck_since = 0;
	if (setjmp(g->failed))
		return GRID_ENDED;
	return run_ctas(g);
}

struct grid *grid_start(const struct launch *launch, const struct memory_map *map, uint64_t seed, uint64_t limit)
{
	/* In some launches CTAs take turns often, in others rarely, nearly one after another. */
	static const uint64_t most[] = {1, 16, 256, 4096};
	struct grid *g = calloc(1, sizeof *g);
	*g = (struct grid){.launch = launch, .map = map, .seed = seed | 1, .limit = limit};
	g->cluster_size = (int)(launch->cluster[0] * launch->cluster[1] * launch->cluster[2]);
	g->n_clusters = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2] / (unsigned)g->cluster_size;
	g->n_resident = (int)launch->resident * launch->multiprocessors;
	g->n_resident = g->n_resident > g->cluster_size ? g->n_resident : g->cluster_size;
	g->ctas = calloc((size_t)g->n_resident, sizeof(struct cta *));
	g->longest = most[random_next(&g->seed) % 4];
	choose_order(g);
	g->counting = counters_are_on();
	g->races = races_new(launch);
	g->weak = weak_new(launch, map);
	return g;
}

void grid_end(struct grid *g, struct fault *fault, uint64_t *instructions)
{
	*fault = g->fault;
	*instructions += g->instructions;
	if (g->counting)
		counters_add(g);
	for (int i = 0; i < g->n_live; i++)
		leave_cluster(g->ctas[i]);
	for (int i = 0; i < g->n_resident; i++)
		if (g->ctas[i])
			cta_free(g->ctas[i]);
	free(g->ctas);
	races_free(g->races);
	weak_free(g->weak);
	free(g);
}
