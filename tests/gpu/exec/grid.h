/* Inside a grid's run. */
#ifndef GPU_GRID_H
#define GPU_GRID_H
#include "warp.h"

/* ---- cta.c ---- */
/* A CTA's memory, for one that is resident. */
struct cta *cta_new(struct grid *g);
void cta_free(struct cta *c);
/* Makes it a CTA of the cluster: what nothing has written is NaN. */
void cta_start(struct cta *c, struct cluster *cluster, int rank);

/* ---- barrier.c ---- */
/* A warp has ended: barriers for all threads may open. */
void barriers_after_exit(struct cta *c);

/* ---- cluster.c ---- */
void cluster_after_exit(struct cta *c);
#endif
