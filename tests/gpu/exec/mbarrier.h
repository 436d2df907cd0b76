/* mbarriers: words of shared memory that count arrivals and bytes that copies bring. */
#ifndef GPU_MBARRIER_H
#define GPU_MBARRIER_H
#include "warp.h"

struct mbarrier_at mbarrier_of(struct warp *w, int lane, uint64_t at);
/* `count` arrivals, of the lane or of what it began. */
void mbarrier_count(struct warp *w, int lane, struct mbarrier_at m, unsigned count);
/* One arrival more is waited for in this phase. */
void mbarrier_expect_one(struct warp *w, int lane, struct mbarrier_at m);
/* `bytes` have come, by the copy of the CTA's that had this number. */
void mbarrier_complete(struct warp *w, struct mbarrier_at m, unsigned bytes, uint32_t copy);
#endif
