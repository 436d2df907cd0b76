/* Copies in bulk, that mbarriers or groups wait for. */
#ifndef GPU_BULK_H
#define GPU_BULK_H
#include "mbarrier.h"

/* Makes one of the copies of the CTA that are under way: of those that come soon; of all; of those that this mbarrier
 * waits for. */
void bulk_advance_soon(struct cta *c);
void bulk_advance(struct cta *c);
void bulk_advance_for(struct cta *c, struct mbarrier_at m);
/* Those that are left when a warp, or the CTA, ends. */
void bulk_finish(struct cta *c);

/* async.c: all cp.async of a lane are made, as copy `number` of the CTA's. */
void copies_finish(struct warp *w, int lane, uint32_t number);

/* Where 16 bytes of an address lie when rows of 32, 64 or 128 bytes are swizzled. */
static inline uint64_t swizzled(uint64_t at, unsigned row_bytes)
{
	return at ^ ((at >> 7 & (row_bytes / 16 - 1)) << 4);
}
#endif
