/* Device memory. Every allocation has its own pages with a page without access on both sides, and addresses are never
 * used twice: a pointer that is kept after a free stays wrong. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "code.h"
#include "memory.h"

enum { PAGE = 4096, ALIGNMENT = 512 };

void *memory_host(uint64_t at) { return (void *)(uintptr_t)(at & ~DEVICE_BIT); }

static struct memory_map *new_map(int n)
{
	struct memory_map *map = calloc(1, sizeof *map + (size_t)n * sizeof map->ranges[0]);
	map->users = 1;
	map->n = n;
	return map;
}

void memory_open(struct memory *m, uint64_t limit) { *m = (struct memory){new_map(0), limit, 0}; }

struct memory_map *memory_hold(struct memory *m)
{
	m->map->users++;
	return m->map;
}

void memory_release(struct memory_map *map)
{
	if (--map->users == 0)
		free(map);
}

struct memory_map *memory_join(struct memory_map *const *maps, int n)
{
	int ranges = 0, next[64] = {0};
	for (int i = 0; i < n; i++)
		ranges += maps[i]->n;
	struct memory_map *all = new_map(ranges);
	for (int k = 0; k < ranges; k++) {
		int first = -1;
		for (int i = 0; i < n; i++)
			if (next[i] < maps[i]->n
			    && (first < 0 || maps[i]->ranges[next[i]].at < maps[first]->ranges[next[first]].at))
				first = i;
		all->ranges[k] = maps[first]->ranges[next[first]++];
	}
	return all;
}

static void replace_map(struct memory *m, struct memory_map *map)
{
	memory_release(m->map);
	m->map = map;
}

/* Pages of an allocation, with those around it. It starts off a page's start, aligned to no more than a driver
 * promises. */
static uint64_t pages_of(uint64_t bytes) { return (ALIGNMENT + bytes + PAGE - 1) / PAGE * PAGE + 2 * PAGE; }

static uint64_t map_pages(uint64_t bytes)
{
	uint64_t pages = pages_of(bytes);
	char *p = mmap(NULL, pages, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return 0;
	if (mprotect(p + PAGE, pages - 2 * PAGE, PROT_READ | PROT_WRITE)) {
		munmap(p, pages);
		return 0;
	}
	memset(p + PAGE + ALIGNMENT, 0xff, bytes);
	return (uint64_t)(uintptr_t)(p + PAGE + ALIGNMENT) | DEVICE_BIT;
}

/* ---- histories ---- */
static size_t history_bytes(uint64_t bytes)
{
	return sizeof(struct history) + (bytes + 3) / 4 * sizeof(struct written);
}

/* Of a file, after the range's pages; file 0: of this process alone. NULL: no memory. */
static struct history *map_history(uint64_t bytes, int file)
{
	int flags = file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	off_t after = file ? (off_t)(pages_of(bytes) - 2 * PAGE) : 0;
	void *p = mmap(NULL, history_bytes(bytes), PROT_READ | PROT_WRITE, flags, file ? file : -1, after);
	return p == MAP_FAILED ? NULL : p;
}

void memory_expose(struct memory *m)
{
	for (int i = 0; i < m->map->n; i++) {
		struct range *r = &m->map->ranges[i];
		if (!r->history && !r->constant)
			r->history = map_history(r->size, 0);
	}
}

/* A process that ended while it had the lock does not give it back. */
void range_lock(const struct range *r)
{
	enum { PATIENCE = 100000 };
	for (int i = 0; i < PATIENCE && __atomic_exchange_n(&r->history->lock, 1, __ATOMIC_ACQUIRE); i++)
		sched_yield();
}

void range_unlock(const struct range *r) { __atomic_store_n(&r->history->lock, 0, __ATOMIC_RELEASE); }

/* Keeps the addresses, gives the pages back. */
static void drop_pages(const struct range *r)
{
	if (r->history)
		munmap(r->history, history_bytes(r->size));
	char *p = (char *)memory_host(r->at) - ALIGNMENT - PAGE;
	mmap(p, pages_of(r->size), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

static void insert(struct memory *m, const struct range *r)
{
	const struct memory_map *old = m->map;
	struct memory_map *map = new_map(old->n + 1);
	int before = 0;
	while (before < old->n && old->ranges[before].at < r->at)
		before++;
	memcpy(map->ranges, old->ranges, (size_t)before * sizeof *map->ranges);
	map->ranges[before] = *r;
	memcpy(map->ranges + before + 1, old->ranges + before, (size_t)(old->n - before) * sizeof *map->ranges);
	replace_map(m, map);
	m->used += r->imported ? 0 : r->size;
}

uint64_t memory_alloc(struct memory *m, uint64_t bytes, bool constant)
{
	uint64_t at = bytes > m->limit - m->used ? 0 : map_pages(bytes);
	if (at)
		insert(m, &(struct range){.at = at, .size = bytes, .constant = constant});
	return at;
}

/* ---- shared with other processes ---- */
static bool map_file(uint64_t at, uint64_t bytes, int file)
{
	char *p = (char *)memory_host(at) - ALIGNMENT;
	return mmap(p, pages_of(bytes) - 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) != MAP_FAILED;
}

int memory_share(struct memory *m, uint64_t at)
{
	struct range *r = m->map->ranges;
	while (r->at != at)
		r++;
	if (r->file)
		return r->file;
	size_t bytes = pages_of(r->size) - 2 * PAGE;
	int file = memfd_create("emulated GPU", MFD_CLOEXEC);
	if (file < 0 || pwrite(file, (char *)memory_host(at) - ALIGNMENT, bytes, 0) != (ssize_t)bytes
	    || ftruncate(file, (off_t)(bytes + history_bytes(r->size))) || !map_file(at, r->size, file))
		return -1;
	r->history = map_history(r->size, file); /* kernels of other devices may still use one that was there */
	return r->file = file;
}

uint64_t memory_import(struct memory *m, int file, uint64_t bytes)
{
	uint64_t at = map_pages(bytes);
	if (!at || !map_file(at, bytes, file))
		return 0;
	struct range r = {.at = at, .size = bytes, .imported = true, .history = map_history(bytes, file)};
	if (!r.history)
		return 0;
	insert(m, &r);
	return at;
}

bool memory_free(struct memory *m, uint64_t at)
{
	const struct memory_map *old = m->map;
	int i = 0;
	while (i < old->n && old->ranges[i].at != at)
		i++;
	if (i == old->n)
		return false;
	m->used -= old->ranges[i].imported ? 0 : old->ranges[i].size;
	if (old->ranges[i].file)
		close(old->ranges[i].file);
	drop_pages(&old->ranges[i]);
	struct memory_map *map = new_map(old->n - 1);
	memcpy(map->ranges, old->ranges, (size_t)i * sizeof *map->ranges);
	memcpy(map->ranges + i, old->ranges + i + 1, (size_t)(old->n - 1 - i) * sizeof *map->ranges);
	replace_map(m, map);
	return true;
}

void memory_close(struct memory *m)
{
	while (m->map->n)
		memory_free(m, m->map->ranges[0].at);
	memory_release(m->map);
	m->map = NULL;
}

const struct range *memory_find(const struct memory_map *map, uint64_t at, uint64_t bytes)
{
	int low = 0, high = map->n;
	while (low < high) {
		int middle = (low + high) / 2;
		if (map->ranges[middle].at <= at)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return NULL;
	const struct range *r = &map->ranges[low - 1];
	uint64_t inside = at - r->at;
	return inside <= r->size && bytes <= r->size - inside ? r : NULL;
}
