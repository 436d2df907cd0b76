/* A phase of an mbarrier is over when all arrivals that it counts, and all bytes that were announced, have come. */
#include "mbarrier.h"
#include <string.h>
#include "../../../runtime/cuda_api.h"
#include "access.h"
#include "handlers.h"
#include "race.h"
#include "weak.h"

enum { MAX_COUNT = (1 << 20) - 1 };

/* What the word holds. Memory that nothing has written has all bits set. */
struct word {
	uint64_t pending : 20, expected : 20, phase : 1, unset : 1;
	int64_t bytes : 22; /* announced, and not here yet; negative while they come before that */
};

static struct word read_word(struct mbarrier_at m)
{
	struct word v;
	memcpy(&v, m.cta->shared + m.at, sizeof v);
	return v;
}

static void write_word(struct mbarrier_at m, struct word v) { memcpy(m.cta->shared + m.at, &v, sizeof v); }

static struct mbarrier_at place(struct warp *w, int lane, uint64_t at)
{
	lane_memory(w, lane, SPACE_SHARED, at, 8, true);
	struct mbarrier_at m = {NULL, at};
	m.cta = shared_owner(w, &m.at);
	return m;
}

struct mbarrier_at mbarrier_of(struct warp *w, int lane, uint64_t at)
{
	struct mbarrier_at m = place(w, lane, at);
	if (w->cta->races)
		race_access(w, lane, SPACE_SHARED, at, 8, ACCESS_LOAD);
	if (read_word(m).unset)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, lane, "the mbarrier at 0x%llx was not initialized",
		           (unsigned long long)at);
	return m;
}

/* Begins the next phase if this one is over. */
static void advance(struct mbarrier_at m, struct word v)
{
	if (v.pending == 0 && v.bytes == 0) {
		v.phase ^= 1;
		v.pending = v.expected;
		race_phase(m.cta->grid, m.cta->number, m.at);
	}
	write_word(m, v);
}

static void check_bytes(struct warp *w, int lane, int64_t bytes)
{
	if (bytes > MAX_COUNT || bytes < -MAX_COUNT)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, lane, "an mbarrier that waits for %lld bytes", (long long)bytes);
}

void mbarrier_count(struct warp *w, int lane, struct mbarrier_at m, unsigned count)
{
	struct word v = read_word(m);
	if (!count || count > v.pending)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, lane, "%u arrivals at an mbarrier that waits for %u", count,
		           (unsigned)v.pending);
	v.pending -= count;
	advance(m, v);
}

void mbarrier_expect_one(struct warp *w, int lane, struct mbarrier_at m)
{
	struct word v = read_word(m);
	if (v.pending == MAX_COUNT)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, lane, "an mbarrier for too many arrivals");
	v.pending++;
	write_word(m, v);
}

/* The bytes are announced before the arrival, which may end the phase. */
static void arrive(struct warp *w, int lane, struct mbarrier_at m, unsigned count, unsigned bytes)
{
	struct word v = read_word(m);
	check_bytes(w, lane, v.bytes + (int64_t)bytes);
	v.bytes += bytes;
	write_word(m, v);
	race_arrive_at(w, m.cta->number, m.at);
	weak_release_near(w);
	mbarrier_count(w, lane, m, count);
	w->polls = 0;
}

void mbarrier_complete(struct warp *w, struct mbarrier_at m, unsigned bytes, uint32_t copy)
{
	struct word v = read_word(m);
	check_bytes(w, -1, v.bytes - (int64_t)bytes);
	race_copy_arrives(w->cta, m.cta->number, m.at, copy);
	v.bytes -= bytes;
	advance(m, v);
}

/* ---- instructions. Addresses are operands of 64 bits. ---- */
void x_mbarrier_init(struct warp *w, const struct ins *in)
{
	const uint64_t *at = OPERAND(uint64_t, 0);
	const uint32_t *count = OPERAND(uint32_t, 1);
	LANES_IN_TURN(l)
	{
		if (!count[l] || count[l] > MAX_COUNT)
			warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, l, "an mbarrier for %u arrivals", count[l]);
		struct mbarrier_at m = place(w, l, at[l]);
		write_word(m, (struct word){.pending = count[l], .expected = count[l]});
		if (w->watched)
			watch_access(w, 1u << l, SPACE_SHARED, at, 8, ACCESS_STORE);
	}
}

void x_mbarrier_inval(struct warp *w, const struct ins *in)
{
	const uint64_t *at = OPERAND(uint64_t, 0);
	LANES_IN_TURN(l)
	{
		struct mbarrier_at m = mbarrier_of(w, l, at[l]);
		memset(m.cta->shared + m.at, 0xff, 8);
	}
}

/* state, [at], count, bytes: the state is that of the phase before the arrival. */
void x_mbarrier_arrive(struct warp *w, const struct ins *in)
{
	uint64_t *state = OPERAND(uint64_t, 0);
	const uint64_t *at = OPERAND(uint64_t, 1);
	const uint32_t *count = OPERAND(uint32_t, 2), *bytes = OPERAND(uint32_t, 3);
	LANES_IN_TURN(l)
	{
		struct mbarrier_at m = mbarrier_of(w, l, at[l]);
		uint64_t phase = read_word(m).phase;
		arrive(w, l, m, count[l], bytes[l]);
		state[l] = phase;
	}
}

/* [at], bytes. variant: they have come, else they are announced. */
void x_mbarrier_bytes(struct warp *w, const struct ins *in)
{
	const uint64_t *at = OPERAND(uint64_t, 0);
	const uint32_t *bytes = OPERAND(uint32_t, 1);
	LANES_IN_TURN(l)
	{
		struct mbarrier_at m = mbarrier_of(w, l, at[l]);
		struct word v = read_word(m);
		int64_t now = in->variant ? v.bytes - (int64_t)bytes[l] : v.bytes + (int64_t)bytes[l];
		check_bytes(w, l, now);
		v.bytes = now;
		advance(m, v);
	}
}

/* p, [at], phase: whether that phase is over; the phase is a state or a parity, whose lowest bit counts. */
void x_mbarrier_wait(struct warp *w, const struct ins *in)
{
	const uint64_t *at = OPERAND(uint64_t, 1);
	const uint32_t *phase = OPERAND(uint32_t, 2);
	uint32_t over = 0;
	struct mbarrier_at polled = {NULL, 0};
	LANES_IN_TURN(l)
	{
		struct mbarrier_at m = mbarrier_of(w, l, at[l]);
		bool is_over = read_word(m).phase != (phase[l] & 1);
		over |= (uint32_t)is_over << l;
		polled = m;
		if (is_over) {
			race_phase_seen(w, m.cta->number, m.at);
			weak_acquire_near(w);
		}
	}
	warp_set_predicate(w, in->op[0], over);
	w->polls = over ? 0 : w->polls;
	if (!over)
		note_poll(w, in, w->exec);
	w->awaits = polled;
}
