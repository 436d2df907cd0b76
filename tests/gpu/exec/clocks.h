/* Vector clocks of warps. A warp's own clock counts what it has released to others; what it knows of another says up to
 * which of these times it has seen what that one did. */
#ifndef GPU_CLOCKS_H
#define GPU_CLOCKS_H
#include "code.h"

/* The warps of a CTA, and its asynchronous copies. */
enum { ASYNC_AGENT = MAX_WARPS, AGENTS };

/* What is known of one CTA. */
struct known {
	uint64_t cta;
	uint32_t seen[AGENTS];
	uint32_t proxied[AGENTS]; /* what asynchronous copies and products see, from the last fence.proxy.async on */
};

struct clocks {
	struct known *ctas;
	int n, cap;
};

/* to = the later of both, everywhere */
void clocks_join(struct clocks *to, const struct clocks *from);
void clocks_set(struct clocks *to, const struct clocks *from);
uint32_t clocks_seen(const struct clocks *c, uint64_t cta, int agent);
uint32_t clocks_proxied(const struct clocks *c, uint64_t cta, int agent);
/* Asynchronous copies and products see all of it from here on. */
void clocks_proxy(struct clocks *c);
/* Knowledge of a CTA, which is added. */
struct known *clocks_of(struct clocks *c, uint64_t cta);
void clocks_forget(struct clocks *c); /* keeps the memory */
void clocks_free(struct clocks *c);
#endif
