/* Inside a grid's run. */
#ifndef GPU_GRID_H
#define GPU_GRID_H
#include "warp.h"

/* ---- cta.c ---- */
/* A CTA's memory, for one that is resident. */
struct cta *cta_new(struct grid *g);
void cta_free(struct cta *c);
/* Makes it CTA `number` of the grid: what nothing has written is NaN. */
void cta_start(struct cta *c, uint64_t number);

/* ---- barrier.c ---- */
/* A warp has ended: barriers for all threads may open. */
void barriers_after_exit(struct cta *c);
#endif
