/* Finds accesses of memory that no barrier, release or acquire puts in an order, while a grid runs (EMU_RACE=1). All of
 * these do nothing where the grid has no `races`. Lanes of one warp are taken as ordered. */
#ifndef GPU_RACE_H
#define GPU_RACE_H
#include "watch.h"

/* NULL: EMU_RACE is not 1. */
struct races *races_new(const struct launch *l);
void races_free(struct races *r);
struct race_cta *race_cta_new(void);
void race_cta_start(struct cta *c);
void race_cta_free(struct race_cta *c);

/* An access in space global or shared, as of watch_access. */
void race_access(struct warp *w, int lane, enum space space, uint64_t at, unsigned bytes, enum access_kind kind);
/* A cp.async writes shared memory, until the warp waits for it. */
void race_copy_begins(struct warp *w, int lane, uint64_t at, unsigned bytes);
void race_copy_ends(struct warp *w, uint64_t at, unsigned bytes, const struct ins *copy);

void race_fence(struct warp *w, enum scope scope);
/* Barriers, in this order: a warp arrives; all have, then each that waited goes on; it is empty again. */
void race_arrive(struct warp *w, unsigned barrier);
void race_leave(struct warp *w, unsigned barrier);
void race_open(struct cta *c, unsigned barrier);
void race_exit(struct warp *w);
#endif
