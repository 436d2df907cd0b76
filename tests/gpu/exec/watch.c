/* Accesses of memory, for those who want to know. */
#include "watch.h"

void watch_access(struct warp *w, uint32_t lanes, enum space space, const uint64_t *at, unsigned bytes,
                  enum access_kind kind)
{
	(void)kind;
	if (w->cta->grid->counting)
		count_access(w, lanes, space, at, bytes);
}
