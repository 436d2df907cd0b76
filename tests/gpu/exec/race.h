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
/* What other asynchronous instructions read, or write, until they are waited for. */
void race_async_begins(struct warp *w, int lane, enum space space, uint64_t at, unsigned bytes, bool writes);
/* The warp has waited for what `in` began. */
void race_ends(struct warp *w, enum space space, uint64_t at, unsigned bytes, const struct ins *in);
/* Instead, an mbarrier will say that copy `copy` of the CTA, which `in` began, has been made. */
void race_copy_ends(struct warp *w, enum space space, uint64_t at, unsigned bytes, const struct ins *in, uint32_t copy);
void race_proxy_fence(struct warp *w);

/* mbarriers, and the barrier of a cluster, by number of a CTA and address: a warp arrives, a copy of a CTA does; the
 * phase ends; a warp has seen that it ended. */
void race_arrive_at(struct warp *w, uint64_t cta, uint64_t at);
void race_copy_arrives(const struct cta *from, uint64_t cta, uint64_t at, uint32_t copy);
void race_phase(const struct grid *g, uint64_t cta, uint64_t at);
void race_phase_seen(struct warp *w, uint64_t cta, uint64_t at);

void race_fence(struct warp *w, enum scope scope);
/* Barriers, in this order: a warp arrives; all have, then each that waited goes on; it is empty again. */
void race_arrive(struct warp *w, unsigned barrier);
void race_leave(struct warp *w, unsigned barrier);
void race_open(struct cta *c, unsigned barrier);
void race_exit(struct warp *w);
#endif
