/* Copies that a warp starts and waits for later. Each is made at once, or at the last moment that the program allows,
 * by chance: so both a read that is too early and a buffer that is filled too early show. */
#include <stdlib.h>
#include <string.h>
#include "../../../runtime/cuda_api.h"
#include "access.h"
#include "bulk.h"
#include "handlers.h"
#include "race.h"
#include "weak.h"

enum { ONE_AT_ONCE_IN = 4 };

/* A cp.async of one lane: `zeros` bytes of zeros follow. */
struct pending_copy {
	unsigned char *to;
	uint64_t from;
	uint8_t bytes, zeros, lane;
	uint64_t at; /* `to` as an address of shared memory */
	const struct ins *in;
	bool made;      /* only the wait is left */
	uint32_t begun; /* copies of the CTA that had begun before */
	uint32_t group; /* of the lane's groups, the one it will be committed to */
};

static void make_copy(struct warp *w, const struct pending_copy *c)
{
	if (c->bytes)
		weak_read(w, c->from, c->to, c->bytes);
	memset(c->to + c->bytes, 0, c->zeros);
}

static void end_copy(struct warp *w, const struct pending_copy *c)
{
	if (!c->made)
		make_copy(w, c);
	if (w->cta->races)
		race_ends(w, SPACE_SHARED, c->at, (unsigned)(c->bytes + c->zeros), c->in);
}

static void add_pending(struct warp *w, struct pending_copy c)
{
	if (w->n_copies == w->cap_copies) {
		w->cap_copies = w->cap_copies ? 2 * w->cap_copies : 256;
		w->copies = realloc(w->copies, (size_t)w->cap_copies * sizeof *w->copies);
	}
	w->copies[w->n_copies++] = c;
}

/* cp.async [to], [from], size, bytes: in->count is the size, and what follows the bytes becomes zero. */
void x_cp_async(struct warp *w, const struct ins *in)
{
	const uint64_t *to = OPERAND(uint64_t, 0), *from = OPERAND(uint64_t, 1);
	const uint32_t *bytes = OPERAND(uint32_t, 2);
	bool at_once = random_next(&w->cta->grid->seed) % ONE_AT_ONCE_IN == 0;
	uint32_t copied = 0;
	for (uint32_t left = w->exec; left; left &= left - 1) {
		int l = __builtin_ctz(left);
		copied |= (uint32_t)(bytes[l] != 0) << l;
		if (bytes[l] > in->count)
			warp_fault(w, CUDA_ERROR_ILLEGAL_INSTRUCTION, l, "%u bytes of a copy of %u", bytes[l], in->count);
		struct pending_copy c = {.bytes = (uint8_t)bytes[l], .zeros = (uint8_t)(in->count - bytes[l])};
		c.to = lane_memory(w, l, SPACE_SHARED, to[l], in->count, true);
		/* Bytes that are not copied need not be there. */
		if (c.bytes)
			lane_part(w, l, SPACE_GLOBAL, from[l], in->count, c.bytes, false);
		c.from = from[l];
		c.lane = (uint8_t)l;
		c.group = w->committed[l];
		c.at = to[l];
		c.in = in;
		c.made = at_once;
		c.begun = w->cta->n_copies;
		if (at_once)
			make_copy(w, &c);
		if (!at_once || w->cta->races)
			add_pending(w, c);
	}
	if (w->watched) {
		watch_access(w, w->exec, SPACE_SHARED, to, in->count, ACCESS_COPY);
		if (copied)
			watch_access(w, copied, SPACE_GLOBAL, from, in->count, ACCESS_LOAD);
	}
}

void copies_finish(struct warp *w, int lane, uint32_t number)
{
	int kept = 0;
	for (int i = 0; i < w->n_copies; i++) {
		const struct pending_copy *c = &w->copies[i];
		if (c->lane != lane || c->begun >= number) {
			w->copies[kept++] = *c;
			continue;
		}
		if (!c->made)
			make_copy(w, c);
		if (w->cta->races)
			race_copy_ends(w, SPACE_SHARED, c->at, (unsigned)(c->bytes + c->zeros), c->in, number);
	}
	w->n_copies = kept;
}

void x_cp_async_commit(struct warp *w, const struct ins *in)
{
	(void)in;
	EACH_LANE(w->committed[l]++);
}

/* Makes the copies of all groups but the `in->count` last, and with in->variant also those of no group yet. */
void x_cp_async_wait(struct warp *w, const struct ins *in)
{
	int kept = 0;
	for (int i = 0; i < w->n_copies; i++) {
		const struct pending_copy *c = &w->copies[i];
		bool done = in->variant || w->committed[c->lane] - c->group > in->count;
		if (done && w->exec >> c->lane & 1)
			end_copy(w, c);
		else
			w->copies[kept++] = *c;
	}
	w->n_copies = kept;
}
