/* Accesses of memory, for those who want to know. */
#include "race.h"

void watch_access(struct warp *w, uint32_t lanes, enum space space, const uint64_t *at, unsigned bytes,
                  enum access_kind kind)
{
	if (w->cta->grid->counting)
		count_access(w, lanes, space, at, bytes);
	for (; lanes && w->cta->races; lanes &= lanes - 1) {
		int l = __builtin_ctz(lanes);
		uint64_t there = at[l];
		enum space in = space_of_address(space, &there);
		if (kind == ACCESS_COPY)
			race_copy_begins(w, l, there, bytes);
		else if (in == SPACE_GLOBAL || in == SPACE_SHARED)
			race_access(w, l, in, there, bytes, kind);
	}
}
