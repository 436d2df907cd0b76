/* Which entries of a kernel a GPU launches, and with how many blocks: see struct dr_entry. */
#ifndef DEPLOY_ENTRY_H
#define DEPLOY_ENTRY_H
#include <stdbool.h>
#include <stddef.h>
#include "abi.h"

/* The first entry that fits a launch; others follow while `then` is set. NULL: none does. */
static inline const struct dr_entry *entry_for(const struct dr_image *image, int32_t kernel, int32_t phase,
                                               const uint64_t *args)
{
	const struct dr_entry *e = &image->entries[image->first[kernel]], *end = &image->entries[image->first[kernel + 1]];
	for (bool follows = false; e < end; follows = e->then, e++)
		if (!follows && e->phases >> phase & 1 && (e->count < 0 || (int64_t)args[e->count] <= e->upto))
			return e;
	return NULL;
}

/* small: one worker is as fast as all. */
static inline uint32_t entry_blocks(const struct dr_entry *e, const uint64_t *args, bool small)
{
	if (e->count < 0)
		return small ? 1 : e->most;
	uint64_t pieces = (args[e->count] + e->per - 1) / e->per + e->plus;
	return pieces == 0 ? 1 : pieces > e->most / e->times ? e->most : (uint32_t)pieces * e->times;
}
#endif
