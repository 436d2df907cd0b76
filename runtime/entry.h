/* Which entries of a kernel a GPU launches, and with how many blocks: see struct dr_entry. */
#ifndef DEPLOY_ENTRY_H
#define DEPLOY_ENTRY_H
#include "device.h"

/* The first entry that fits a launch; others follow while `then` is set. NULL: none does. */
static inline const struct dr_entry *entry_for(const struct dr_image *image, const struct launch *what)
{
	const struct dr_entry *e = &image->entries[image->first[what->kernel]],
						  *end = &image->entries[image->first[what->kernel + 1]];
	for (bool follows = false; e < end; follows = e->then, e++)
		if (!follows && e->phases >> what->phase & 1 && (e->count < 0 || (int64_t)what->args[e->count] <= e->upto))
			return e;
	return NULL;
}

static inline uint32_t entry_blocks(const struct dr_entry *e, const struct launch *what)
{
	if (e->count < 0)
		return what->small ? 1 : e->most;
	uint64_t pieces = (what->args[e->count] + e->per - 1) / e->per;
	return pieces == 0 ? 1 : pieces > e->most / e->times ? e->most : (uint32_t)pieces * e->times;
}
#endif
