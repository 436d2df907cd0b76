/* Memory that other devices or processes access too. What a kernel does there is seen elsewhere, and what others do is
 * seen here, in the order that PTX promises and no other: a weak store becomes visible when a fence or a release for
 * the system comes after it, when the kernel ends, or at any time; a weak load finds what was there at any time since
 * the last acquire for the system. Flags of a narrower scope are seen elsewhere as late as can be. Within the device
 * all is coherent and in order. */
#ifndef GPU_WEAK_H
#define GPU_WEAK_H
#include "warp.h"

/* NULL: all memory of the map is the kernel's alone. */
struct weak *weak_new(const struct launch *l, const struct memory_map *map);
/* A warp starts. */
void weak_start(struct warp *w);
/* Makes all stores visible. */
void weak_free(struct weak *k);

/* ---- These do nothing where the grid has no `weak`. ---- */
/* What the warp did, and what it has seen others do, comes before what follows for threads in that scope. */
void weak_release(struct warp *w, enum scope scope);
/* The warp sees what others in that scope have released. */
void weak_acquire(struct warp *w, enum scope scope);
/* Within the shared memory of a cluster's CTAs. */
void weak_release_near(struct warp *w);
void weak_acquire_near(struct warp *w);

/* Copies by instructions, of global memory at addresses that were checked: here without `weak` too. */
void weak_read(struct warp *w, uint64_t at, void *to, unsigned bytes);
void weak_write(struct warp *w, uint64_t at, const void *from, unsigned bytes);

/* ---- These expect that it has. ---- */
/* Before and after an instruction of w->in loads or stores: pointers to bytes that others access too become pointers to
 * bytes as the warp sees them; what was stored there becomes a store. */
void weak_before_load(struct warp *w, const uint64_t *at, unsigned char **p);
void weak_before_store(struct warp *w, const uint64_t *at, unsigned char **p);
void weak_after_store(struct warp *w, const uint64_t *at, unsigned char *const *p);
/* The same for one lane's atomic operation; the pointer is returned. */
void *weak_before_atomic(struct warp *w, uint64_t at, void *p, unsigned bytes);
void weak_after_atomic(struct warp *w, uint64_t at, const void *p, unsigned bytes);
#endif
