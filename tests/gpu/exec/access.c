/* Loads and stores. One check serves a whole warp when all its addresses are in one allocation, else each lane has its
 * own. */
#include <string.h>
#include "../../../runtime/cuda_api.h"
#include "access.h"
#include "handlers.h"
#include "weak.h"

static const char *const space_names[] = {"generic", "global", "const", "shared", "local", "param"};

/* ---- the memory of one lane ---- */
static unsigned char *shared_at(struct warp *w, int lane, uint64_t at, unsigned bytes)
{
	const struct launch *n = w->cta->grid->launch;
	const struct cta *c = shared_owner(w, &at);
	bool is_static = at >= STATIC_SHARED;
	uint64_t inside = is_static ? at - STATIC_SHARED : at,
			 size = is_static ? n->kernel->shared_bytes : n->dynamic_shared;
	if (!c)
		warp_fault(w, CUDA_ERROR_ILLEGAL_ADDRESS, lane,
		           "shared memory of a CTA that is not, or no longer, in the cluster");
	if (inside + bytes > size)
		warp_fault(w, CUDA_ERROR_ILLEGAL_ADDRESS, lane, "%u bytes at %s shared address 0x%llx: there are %llu", bytes,
		           is_static ? "static" : "dynamic", (unsigned long long)inside, (unsigned long long)size);
	return c->shared + at;
}

static unsigned char *local_at(struct warp *w, int lane, uint64_t at, unsigned bytes)
{
	uint64_t frame = w->cta->grid->launch->kernel->local_bytes;
	if (at > frame || bytes > frame - at)
		warp_fault(w, CUDA_ERROR_ILLEGAL_ADDRESS, lane, "%u bytes at local address 0x%llx: there are %llu", bytes,
		           (unsigned long long)at, (unsigned long long)frame);
	return w->local + (uint64_t)lane * frame + at;
}

static unsigned char *param_at(struct warp *w, int lane, uint64_t at, unsigned bytes)
{
	const struct launch *n = w->cta->grid->launch;
	if (at > n->kernel->param_bytes || bytes > n->kernel->param_bytes - at)
		warp_fault(w, CUDA_ERROR_ILLEGAL_ADDRESS, lane, "%u bytes at parameter byte %llu: there are %u", bytes,
		           (unsigned long long)at, n->kernel->param_bytes);
	return (unsigned char *)(uintptr_t)n->params + at;
}

static unsigned char *device_at(struct warp *w, int lane, uint64_t at, unsigned bytes, bool writes)
{
	const struct range *r = memory_find(w->cta->grid->map, at, bytes);
	if (!r)
		warp_fault(w, CUDA_ERROR_ILLEGAL_ADDRESS, lane, "%u bytes at 0x%llx, which is not in an allocation", bytes,
		           (unsigned long long)at);
	if (writes && r->constant)
		warp_fault(w, CUDA_ERROR_ILLEGAL_ADDRESS, lane, "write of constant memory at 0x%llx", (unsigned long long)at);
	w->recent = r;
	return memory_host(at);
}

unsigned char *lane_part(struct warp *w, int lane, enum space space, uint64_t at, unsigned align, unsigned bytes,
                         bool writes)
{
	if (at % align)
		warp_fault(w, CUDA_ERROR_MISALIGNED_ADDRESS, lane, "%u bytes at misaligned %s address 0x%llx", align,
		           space_names[space], (unsigned long long)at);
	if (space == SPACE_GENERIC && at - SHARED_WINDOW < WINDOW_BYTES) {
		space = SPACE_SHARED;
		at -= SHARED_WINDOW;
	} else if (space == SPACE_GENERIC && at - LOCAL_WINDOW < WINDOW_BYTES) {
		space = SPACE_LOCAL;
		at -= LOCAL_WINDOW;
	} else if (space == SPACE_GENERIC && at - PARAM_WINDOW < WINDOW_BYTES) {
		space = SPACE_PARAM;
		at -= PARAM_WINDOW;
	}
	switch (space) {
	case SPACE_SHARED: return shared_at(w, lane, at, bytes);
	case SPACE_LOCAL:  return local_at(w, lane, at, bytes);
	case SPACE_PARAM:  return param_at(w, lane, at, bytes);
	default:           return device_at(w, lane, at, bytes, writes);
	}
}

unsigned char *lane_memory(struct warp *w, int lane, enum space space, uint64_t at, unsigned bytes, bool writes)
{
	return lane_part(w, lane, space, at, bytes, bytes, writes);
}

/* ---- the addresses of a warp ---- */
void lane_addresses(struct warp *w, const struct ins *in, int operand, bool narrow, uint64_t *at)
{
	uint64_t offset = (uint64_t)in->offset;
	if (narrow) {
		const uint32_t *base = OPERAND(uint32_t, operand);
		for (int l = 0; l < LANES; l++)
			at[l] = (uint32_t)(base[l] + (uint32_t)offset);
	} else {
		const uint64_t *base = OPERAND(uint64_t, operand);
		for (int l = 0; l < LANES; l++)
			at[l] = base[l] + offset;
	}
}

bool shared_has(const struct warp *w, uint64_t low, uint64_t end)
{
	const struct launch *n = w->cta->grid->launch;
	bool is_dynamic = end <= n->dynamic_shared;
	bool is_static = low >= STATIC_SHARED && end <= (uint64_t)STATIC_SHARED + n->kernel->shared_bytes;
	return is_static || is_dynamic;
}

/* Where a lane's address `a` is at `base + a`, for all lanes that run: NULL if one check does not do. */
static unsigned char *common_base(struct warp *w, const struct ins *in, const uint64_t *at, unsigned bytes, bool writes)
{
	uint64_t low = UINT64_MAX, high = 0, all = 0;
	for (int l = 0; l < LANES; l++) {
		bool runs = w->exec >> l & 1;
		uint64_t a = at[l];
		low = runs && a < low ? a : low;
		high = runs && a > high ? a : high;
		all |= runs ? a : 0;
	}
	if (all & (bytes - 1))
		return NULL;
	uint64_t end = high + bytes;
	if (in->space == SPACE_SHARED)
		return shared_has(w, low, end) ? w->cta->shared : NULL;
	if (in->space == SPACE_PARAM || in->space == SPACE_LOCAL || !(low & DEVICE_BIT))
		return NULL;
	const struct range *r = w->recent;
	if (!r || low < r->at || end > r->at + r->size)
		r = memory_find(w->cta->grid->map, low, high - low + bytes);
	if (!r || (writes && r->constant))
		return NULL;
	w->recent = r;
	return (unsigned char *)(uintptr_t)(0 - DEVICE_BIT);
}

void note_poll(struct warp *w, const struct ins *in, uint64_t found)
{
	bool again = w->polled == in && w->found == found;
	w->polls = again ? w->polls + 1 : 0;
	if (!again) {
		w->cta->grid->stuck_since = 0;
		w->cta->grid->went_on = true;
	}
	w->yields = again;
	w->awaits.cta = NULL;
	w->polled = in;
	w->found = found;
}

/* Pointers to each lane's bytes, which are at these addresses. */
static void lane_pointers(struct warp *w, const struct ins *in, int operand, bool writes, uint64_t *at,
                          unsigned char **p)
{
	unsigned bytes = (unsigned)(in->size * in->count);
	lane_addresses(w, in, operand, in->variant, at);
	uintptr_t base = (uintptr_t)common_base(w, in, at, bytes, writes);
	if (base) {
		for (int l = 0; l < LANES; l++)
			p[l] = (unsigned char *)(base + at[l]);
		return;
	}
	for (int l = 0; l < LANES; l++)
		if (w->exec >> l & 1)
			p[l] = lane_memory(w, l, in->space, at[l], bytes, writes);
}

/* ---- instructions ---- */

static uint64_t bits_found(const struct warp *w, unsigned char *const *p, unsigned bytes)
{
	uint64_t found = w->exec;
	for (uint32_t left = w->exec; left; left &= left - 1)
		for (unsigned i = 0; i < bytes; i++)
			found = found * 31 + p[__builtin_ctz(left)][i];
	return found;
}

static void after_strong_load(struct warp *w, const struct ins *in, uint64_t found)
{
	note_poll(w, in, found);
	if (in->order == ORDER_ACQUIRE)
		weak_acquire(w, in->scope);
}

#define LOAD(name, memory, T)                                                                       \
	void x_ld_##name(struct warp *w, const struct ins *in)                                          \
	{                                                                                               \
		unsigned char *p[LANES];                                                                    \
		uint64_t at[LANES];                                                                         \
		lane_pointers(w, in, in->n_defs, false, at, p);                                             \
		if (w->weak)                                                                                \
			weak_before_load(w, at, p);                                                             \
		if (w->watched)                                                                             \
			watch_access(w, w->exec, in->space, at, (unsigned)(in->size * in->count), ACCESS_LOAD); \
		for (int k = 0; k < in->count; k++) {                                                       \
			T *d = OPERAND(T, k);                                                                   \
			EACH_LANE(memory v; memcpy(&v, p[l] + (size_t)k * sizeof v, sizeof v); d[l] = (T)v);    \
		}                                                                                           \
		if (in->order != ORDER_WEAK)                                                                \
			after_strong_load(w, in, bits_found(w, p, (unsigned)(in->count * sizeof(memory))));     \
	}
LOAD(u8, uint8_t, uint16_t)
LOAD(s8, int8_t, uint16_t)
LOAD(16, uint16_t, uint16_t)
LOAD(32, uint32_t, uint32_t)
LOAD(64, uint64_t, uint64_t)

static void watch_store(struct warp *w, const struct ins *in, const uint64_t *at, uint32_t unchanged)
{
	unsigned bytes = (unsigned)(in->size * in->count);
	w->unchanged = unchanged;
	watch_access(w, w->exec, in->space, at, bytes, ACCESS_STORE);
	w->unchanged = 0;
}

/* Lanes may write the same address: one of them wins. Those that change nothing are no less writes, but who else
 * writes the same may do so. */
#define STORE(name, memory, T)                                                                      \
	static uint32_t unchanged_##name(struct warp *w, const struct ins *in, unsigned char *const *p) \
	{                                                                                               \
		uint32_t lanes = w->exec;                                                                   \
		for (int k = 0; k < in->count; k++)                                                         \
			for (uint32_t left = lanes; left; left &= left - 1) {                                   \
				int l = __builtin_ctz(left);                                                        \
				memory v = (memory)OPERAND(T, 1 + k)[l];                                            \
				if (memcmp(p[l] + (size_t)k * sizeof v, &v, sizeof v))                              \
					lanes &= ~(1u << l);                                                            \
			}                                                                                       \
		return lanes;                                                                               \
	}                                                                                               \
	void x_st_##name(struct warp *w, const struct ins *in)                                          \
	{                                                                                               \
		unsigned char *p[LANES];                                                                    \
		uint64_t at[LANES];                                                                         \
		lane_pointers(w, in, 0, true, at, p);                                                       \
		w->polls = 0;                                                                               \
		if (w->weak)                                                                                \
			weak_before_store(w, at, p);                                                            \
		if (w->watched)                                                                             \
			watch_store(w, in, at, unchanged_##name(w, in, p));                                     \
		for (int k = 0; k < in->count; k++) {                                                       \
			const T *a = OPERAND(T, 1 + k);                                                         \
			for (int l = 0; l < LANES; l++)                                                         \
				if (w->exec >> l & 1) {                                                             \
					memory v = (memory)a[l];                                                        \
					memcpy(p[l] + (size_t)k * sizeof v, &v, sizeof v);                              \
				}                                                                                   \
		}                                                                                           \
		if (w->weak)                                                                                \
			weak_after_store(w, at, p);                                                             \
	}
STORE(8, uint8_t, uint16_t)
STORE(16, uint16_t, uint16_t)
STORE(32, uint32_t, uint32_t)
STORE(64, uint64_t, uint64_t)

void x_touch(struct warp *w, const struct ins *in)
{
	(void)w;
	(void)in;
}

/* ---- generic addresses ---- */
UNARY(to_window, uint64_t, uint64_t, a + (uint64_t)in->offset)
UNARY(narrow_sum, uint64_t, uint32_t, a + (uint32_t)in->offset)
UNARY(from_window, uint64_t, uint64_t, a - (uint64_t)in->offset)

static bool is_in(const struct warp *w, enum space space, uint64_t at)
{
	if (space == SPACE_SHARED)
		return at - SHARED_WINDOW < WINDOW_BYTES;
	if (space == SPACE_LOCAL)
		return at - LOCAL_WINDOW < WINDOW_BYTES;
	const struct range *r = memory_find(w->cta->grid->map, at, 1);
	bool constant = r && r->constant;
	return space == SPACE_CONST ? constant : !constant && at & DEVICE_BIT;
}

void x_isspace(struct warp *w, const struct ins *in)
{
	const uint64_t *a = OPERAND(uint64_t, 1);
	uint32_t lanes = 0;
	for (int l = 0; l < LANES; l++)
		lanes |= (uint32_t)is_in(w, in->space, a[l]) << l;
	warp_set_predicate(w, in->op[0], lanes);
}
