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

/* Called when a warp polls. Memory that it polls may be shared with other processes, which get some time. */
static void check_spin(struct grid *g)
{
	bool stuck = !can_start(g);
	for (int i = 0; i < g->n_live && stuck; i++)
		stuck = is_stuck(g->ctas[i]);
	if (!stuck) {
		g->stuck_since = 0;
		return;
	}
	uint64_t now = milliseconds();
	g->stuck_since = g->stuck_since ? g->stuck_since : now;
	if (now - g->stuck_since > longest_spin(g)) {
		char what[100];
		snprintf(what, sizeof what, "all warps of %d CTAs wait or poll, %llu CTAs have not started", g->n_live,
		         (unsigned long long)(g->n_clusters - g->started) * (unsigned)g->cluster_size);
		fault_all_wait(g->ctas, g->n_live, what);
	}
	nanosleep(&(struct timespec){0, 20000}, NULL);
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

/* A turn of a warp that can run. */
static void run_turn(struct grid *g, struct cta *c)
{
	int runnable[MAX_WARPS], n = 0;
	for (int i = 0; i < c->n_warps; i++)
		if (c->warps[i].state == WARP_RUNS)
			runnable[n++] = i;
	if (!n && c->under_way) {
		bulk_advance(c);
		return;
	}
	if (!n) {
		check_waits(c);
		return;
	}
	struct warp *w = &c->warps[runnable[random_next(&g->seed) % (uint64_t)n]];
	run_warp(w, n == 1 && g->n_live == 1 ? 4096 : turn_length(g));
	if (w->state == WARP_DONE) {
		c->live_warps--;
		race_exit(w);
		barriers_after_exit(c);
		cluster_after_exit(c);
	}
	advance_copies(w);
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
	g->step = 1 + random_next(&g->seed) % g->n_clusters;
	g->first = random_next(&g->seed) % g->n_clusters;
	while (common_divisor(g->step, g->n_clusters) != 1)
		g->step = g->step % g->n_clusters + 1;
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

/* In some launches CTAs take turns often, in others rarely, nearly one after another. */
static void run_ctas(struct grid *g)
{
	static const uint64_t most[] = {1, 16, 256, 4096};
	uint64_t longest = most[random_next(&g->seed) % 4], stay = 0;
	struct cta *c = NULL;
	choose_order(g);
	while (g->n_live || g->started < g->n_clusters) {
		if (!stay) {
			c = choose_cta(g);
			stay = 1 + random_next(&g->seed) % longest;
		}
		stay--;
		run_turn(g, c);
		if (!c->live_warps) {
			bulk_finish(c);
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
	for (int i = 0; i < g->n_live; i++)
		leave_cluster(g->ctas[i]);
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
	g->cluster_size = (int)(launch->cluster[0] * launch->cluster[1] * launch->cluster[2]);
	g->n_clusters = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2] / (unsigned)g->cluster_size;
	g->n_resident = (int)launch->resident * launch->multiprocessors;
	g->n_resident = g->n_resident > g->cluster_size ? g->n_resident : g->cluster_size;
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
