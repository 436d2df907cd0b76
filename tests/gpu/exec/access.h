/* Addresses of lanes, checked. */
#ifndef GPU_ACCESS_H
#define GPU_ACCESS_H
#include "warp.h"
#include "watch.h"

/* The bytes that a lane's address means; a fault if it may not access them. */
unsigned char *lane_memory(struct warp *w, int lane, enum space space, uint64_t at, unsigned bytes, bool writes);
/* lane_memory of fewer bytes than those that the address must be aligned to. */
unsigned char *lane_part(struct warp *w, int lane, enum space space, uint64_t at, unsigned align, unsigned bytes,
                         bool writes);
/* Whether the CTA's dynamic or its static shared memory has all addresses from `low` up to `end`. */
bool shared_has(const struct warp *w, uint64_t low, uint64_t end);
/* Of an instruction that found this in memory that others may change. Where that is what it found before, the warp's
 * turn ends. */
void note_poll(struct warp *w, const struct ins *in, uint64_t found);
/* The address of each lane; narrow: its base has 32 bits. */
void lane_addresses(struct warp *w, const struct ins *in, int operand, bool narrow, uint64_t *at);
#endif
