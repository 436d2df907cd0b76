/* What looks at memory accesses while a kernel runs. It costs nothing where it is off. */
#ifndef GPU_WATCH_H
#define GPU_WATCH_H
#include "warp.h"

enum access_kind { ACCESS_LOAD, ACCESS_STORE, ACCESS_ATOMIC, ACCESS_COPY };

/* `lanes` access `bytes` each, at addresses that have been checked. Call it where w->watched. */
void watch_access(struct warp *w, uint32_t lanes, enum space space, const uint64_t *at, unsigned bytes,
                  enum access_kind kind);

/* ---- counters.c ---- */
bool counters_are_on(void);
void count_access(struct warp *w, uint32_t lanes, enum space space, const uint64_t *at, unsigned bytes);
/* Adds what a grid counted. */
void counters_add(const struct grid *g);
/* Appends a line of JSON for each kernel to the file EMU_COUNTERS, and forgets what was counted. */
void counters_write(void);

/* The space of a generic address, and the address there. */
static inline enum space space_of_address(enum space space, uint64_t *at)
{
	if (space != SPACE_GENERIC)
		return space == SPACE_CONST ? SPACE_GLOBAL : space;
	if (*at - SHARED_WINDOW < WINDOW_BYTES) {
		*at -= SHARED_WINDOW;
		return SPACE_SHARED;
	}
	if (*at - LOCAL_WINDOW < WINDOW_BYTES) {
		*at -= LOCAL_WINDOW;
		return SPACE_LOCAL;
	}
	if (*at - PARAM_WINDOW < WINDOW_BYTES)
		return SPACE_PARAM;
	return SPACE_GLOBAL;
}
#endif
