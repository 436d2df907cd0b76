/* Memory of one device: allocations that the host cannot read, as a table that kernels look addresses up in. */
#ifndef GPU_MEMORY_H
#define GPU_MEMORY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What those who share a range know of each 4 bytes of it: when they last changed, by whom, and what was there before.
 * Nothing is known of what copies and other libraries wrote. */
struct history {
	uint32_t lock, unused[3];
	struct written {
		uint64_t time;
		uint32_t old, writer;
	} words[];
};

struct range {
	uint64_t at, size;
	bool constant;           /* kernels may only read it */
	bool imported;           /* of another process, which counts its bytes */
	int file;                /* shared with other processes: a file, else 0 */
	struct history *history; /* NULL: only this device accesses it */
};

/* Ranges in ascending order. Immutable: an allocation makes another, and running kernels keep the one they started
 * with. */
struct memory_map {
	int users;
	int n;
	struct range ranges[];
};

struct memory {
	struct memory_map *map;
	uint64_t limit, used;
};

void memory_open(struct memory *m, uint64_t limit);
void memory_close(struct memory *m);
/* Address of `bytes` fresh bytes, each 0xff; 0: the limit does not allow it. */
uint64_t memory_alloc(struct memory *m, uint64_t bytes, bool constant);
/* false: no allocation starts there. */
bool memory_free(struct memory *m, uint64_t at);
/* Other devices of this process may access all that is there. */
void memory_expose(struct memory *m);
/* Shares an allocation with other processes; nothing may run. Returns a file that has its bytes, or -1. */
int memory_share(struct memory *m, uint64_t at);
/* An allocation of `bytes` that another process shares by that file; 0: it is not possible. */
uint64_t memory_import(struct memory *m, int file, uint64_t bytes);
/* The range that holds all `bytes` from `at` on, or NULL. */
const struct range *memory_find(const struct memory_map *map, uint64_t at, uint64_t bytes);
/* While a word and its history change. */
void range_lock(const struct range *r);
void range_unlock(const struct range *r);
/* The bytes of a device address, for the emulator itself. */
void *memory_host(uint64_t at);
/* A map for a kernel's run. Callers of these and of alloc and free hold one lock. */
struct memory_map *memory_hold(struct memory *m);
/* All ranges of several maps. */
struct memory_map *memory_join(struct memory_map *const *maps, int n);
void memory_release(struct memory_map *map);
#endif
