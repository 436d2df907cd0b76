/* Counters of each kernel: sectors of global memory, conflicts of banks. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "watch.h"

enum { SECTOR = 32, BANKS = 32, WORD = 4, WAVEFRONT = BANKS * WORD };

/* ---- one access ---- */
/* Adds `v` to a set, unless it is there already. */
static void include(uint64_t *set, int *n, uint64_t v)
{
	for (int i = *n; i > 0; i--)
		if (set[i - 1] == v)
			return;
	set[(*n)++] = v;
}

/* An access of a lane is aligned, so that it lies in one sector. */
static void count_global(struct emu_counters *c, uint32_t lanes, const uint64_t *at, unsigned bytes)
{
	uint64_t sectors[LANES], addresses[LANES];
	int n_sectors = 0, n_addresses = 0;
	for (; lanes; lanes &= lanes - 1) {
		uint64_t a = at[__builtin_ctz(lanes)];
		include(sectors, &n_sectors, a / SECTOR);
		include(addresses, &n_addresses, a);
	}
	c->global_requests++;
	c->sectors += (uint64_t)n_sectors;
	c->ideal_sectors += ((uint64_t)n_addresses * bytes + SECTOR - 1) / SECTOR;
}

/* How often the banks are used for these lanes: the most different words in one bank. */
static int wavefronts(uint32_t lanes, const uint64_t *at, unsigned bytes)
{
	uint64_t words[LANES * 4];
	int n = 0, uses[BANKS] = {0}, most = 0;
	for (; lanes; lanes &= lanes - 1) {
		uint64_t first = at[__builtin_ctz(lanes)] / WORD;
		for (uint64_t w = first; w == first || w * WORD < at[__builtin_ctz(lanes)] + bytes; w++)
			include(words, &n, w);
	}
	for (int i = 0; i < n; i++) {
		int used = ++uses[words[i] % BANKS];
		most = used > most ? used : most;
	}
	return most;
}

/* Accesses of 8 and of 16 bytes are made by a half, and by a quarter, of the lanes at a time. */
static void count_shared(struct emu_counters *c, uint32_t lanes, const uint64_t *at, unsigned bytes)
{
	int at_a_time = bytes > WORD ? WAVEFRONT / (int)bytes : LANES;
	c->shared_requests++;
	for (int first = 0; first < LANES; first += at_a_time) {
		uint32_t part = lanes & (uint32_t)(((UINT64_C(1) << at_a_time) - 1) << first);
		if (!part)
			continue;
		int used = wavefronts(part, at, bytes);
		c->wavefronts += (uint64_t)used;
		c->bank_conflicts += (uint64_t)used - 1;
	}
}

void count_access(struct warp *w, uint32_t lanes, enum space space, const uint64_t *at, unsigned bytes)
{
	uint64_t there[LANES];
	uint32_t by_space[SPACE_PARAM + 1] = {0};
	struct emu_counters *c = &w->cta->grid->counters;
	for (uint32_t left = lanes; left; left &= left - 1) {
		int l = __builtin_ctz(left);
		there[l] = at[l];
		by_space[space_of_address(space, &there[l])] |= 1u << l;
	}
	if (by_space[SPACE_GLOBAL])
		count_global(c, by_space[SPACE_GLOBAL], there, bytes);
	if (by_space[SPACE_SHARED])
		count_shared(c, by_space[SPACE_SHARED], there, bytes);
	c->local_requests += by_space[SPACE_LOCAL] != 0;
}

/* ---- by kernel ---- */
struct counted {
	struct counted *next;
	char *kernel;
	struct emu_counters counters;
};

static struct counted *all;
static bool wanted;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

bool counters_are_on(void) { return __atomic_load_n(&wanted, __ATOMIC_RELAXED) || getenv("EMU_COUNTERS"); }

static struct counted *find(const char *kernel)
{
	struct counted *c = all;
	while (c && strcmp(c->kernel, kernel))
		c = c->next;
	return c;
}

static struct counted *find_or_add(const char *kernel)
{
	struct counted *c = find(kernel), **last = &all;
	if (c)
		return c;
	while (*last)
		last = &(*last)->next;
	*last = c = calloc(1, sizeof *c);
	c->kernel = strdup(kernel);
	return c;
}

static void drop_all(void)
{
	while (all) {
		struct counted *c = all;
		all = c->next;
		free(c->kernel);
		free(c);
	}
}

static void add(struct emu_counters *to, const struct emu_counters *from)
{
#define COUNTER(name) to->name += from->name;
#define FACT(name)    to->name = from->name;
#include "../counters.def"
}

void counters_add(const struct grid *g)
{
	const struct launch *l = g->launch;
	struct emu_counters c = g->counters;
	c.launches = 1;
	c.ctas = (uint64_t)l->grid[0] * l->grid[1] * l->grid[2];
	c.instructions = g->instructions;
	c.threads = (uint64_t)l->block[0] * l->block[1] * l->block[2];
	c.registers = (uint64_t)l->kernel->registers;
	c.shared_bytes = l->kernel->shared_bytes + l->dynamic_shared;
	c.local_bytes = l->kernel->local_bytes;
	c.resident_ctas = l->resident;
	c.resident_warps = l->resident * ((c.threads + LANES - 1) / LANES);
	pthread_mutex_lock(&lock);
	add(&find_or_add(l->kernel->name)->counters, &c);
	pthread_mutex_unlock(&lock);
}

/* ---- for others ---- */
void emu_count(bool on)
{
	pthread_mutex_lock(&lock);
	__atomic_store_n(&wanted, on, __ATOMIC_RELAXED);
	if (on)
		drop_all();
	pthread_mutex_unlock(&lock);
}

bool emu_counters(const char *kernel, struct emu_counters *to)
{
	pthread_mutex_lock(&lock);
	const struct counted *c = find(kernel);
	if (c)
		*to = c->counters;
	pthread_mutex_unlock(&lock);
	return c != NULL;
}

/* A line is one write, so that those of several ranks do not mix. */
static void write_line(FILE *file, const struct counted *c)
{
	char line[1000];
	size_t n = (size_t)snprintf(line, sizeof line, "{\"kernel\": \"%s\"", c->kernel);
#define COUNTER(name) \
	n += (size_t)snprintf(line + n, sizeof line - n, ", \"%s\": %llu", #name, (unsigned long long)c->counters.name);
#define FACT(name) COUNTER(name)
#include "../counters.def"
	snprintf(line + n, sizeof line - n, "}\n");
	fputs(line, file);
	fflush(file);
}

__attribute__((destructor)) void counters_write(void)
{
	const char *path = getenv("EMU_COUNTERS");
	if (!path)
		return;
	pthread_mutex_lock(&lock);
	FILE *file = all ? fopen(path, "a") : NULL;
	for (const struct counted *c = all; c && file; c = c->next)
		write_line(file, c);
	if (file)
		fclose(file);
	drop_all();
	pthread_mutex_unlock(&lock);
}
