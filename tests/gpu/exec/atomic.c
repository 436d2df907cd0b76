/* Atomic operations. They are atomic on the host too: other devices may share memory. */
#include "access.h"
#include "handlers.h"
#include "number.h"
#include "weak.h"

enum operation { ADD, MIN, MAX, AND, OR, XOR, EXCH, CAS, INC, DEC };

static uint16_t add_half(uint16_t a, uint16_t b, bool brain)
{
	return brain ? bf16_of_f64(add_odd(f32_of_bf16(a), f32_of_bf16(b)), ROUND_NEAREST)
	             : f16_of_f32(f32_of_f16(a) + f32_of_f16(b));
}

static uint32_t add_pair(uint32_t a, uint32_t b, bool brain)
{
	uint32_t high = add_half((uint16_t)(a >> 16), (uint16_t)(b >> 16), brain);
	return high << 16 | add_half((uint16_t)a, (uint16_t)b, brain);
}

static uint16_t combine_16(const struct ins *in, uint16_t old, uint16_t a, uint16_t b)
{
	return in->variant == CAS ? old == a ? b : old : add_half(old, a, in->number == BF16);
}

static uint32_t sum_32(enum number type, uint32_t a, uint32_t b)
{
	if (type == F32)
		return bits_of(float_of(a) + float_of(b));
	return type == F16X2 || type == BF16X2 ? add_pair(a, b, type == BF16X2) : a + b;
}

static uint32_t combine_32(const struct ins *in, uint32_t old, uint32_t a, uint32_t b)
{
	bool is_signed = in->number == S32, less = is_signed ? (int32_t)a < (int32_t)old : a < old;
	switch ((enum operation)in->variant) {
	case ADD:  return sum_32(in->number, old, a);
	case MIN:  return less ? a : old;
	case MAX:  return less ? old : a;
	case AND:  return old & a;
	case OR:   return old | a;
	case XOR:  return old ^ a;
	case EXCH: return a;
	case CAS:  return old == a ? b : old;
	case INC:  return old >= a ? 0 : old + 1;
	default:   return old == 0 || old > a ? a : old - 1;
	}
}

static uint64_t combine_64(const struct ins *in, uint64_t old, uint64_t a, uint64_t b)
{
	bool is_signed = in->number == S64, less = is_signed ? (int64_t)a < (int64_t)old : a < old;
	switch ((enum operation)in->variant) {
	case ADD:  return in->number == F64 ? bits_of_f64(double_of(old) + double_of(a)) : old + a;
	case MIN:  return less ? a : old;
	case MAX:  return less ? old : a;
	case AND:  return old & a;
	case OR:   return old | a;
	case XOR:  return old ^ a;
	case EXCH: return a;
	default:   return old == a ? b : old;
	}
}

static void before_atomic(struct warp *w, const struct ins *in)
{
	if (in->order == ORDER_RELEASE || in->order == ORDER_BOTH)
		weak_release(w, in->scope);
}

/* What changes nothing is a poll, as of a lock that another has. */
static void after_atomic(struct warp *w, const struct ins *in, uint64_t found, bool changed)
{
	if (in->order == ORDER_ACQUIRE || in->order == ORDER_BOTH)
		weak_acquire(w, in->scope);
	if (!changed)
		note_poll(w, in, found);
	else
		w->polls = 0;
}

/* Lanes one after another. The result may be in the register of a source, so sources are read first. */
#define ATOMIC(n)                                                                                                      \
	void x_atom_##n(struct warp *w, const struct ins *in)                                                              \
	{                                                                                                                  \
		uint64_t at[LANES];                                                                                            \
		uint##n##_t *d = OPERAND(uint##n##_t, 0);                                                                      \
		const uint##n##_t *a_ = OPERAND(uint##n##_t, 2), *b_ = in->n_ops > 3 ? OPERAND(uint##n##_t, 3) : a_;           \
		uint64_t found = w->exec, changed = 0;                                                                         \
		lane_addresses(w, in, 1, in->count, at);                                                                       \
		before_atomic(w, in);                                                                                          \
		for (int l = 0; l < LANES; l++) {                                                                              \
			if (!(w->exec >> l & 1))                                                                                   \
				continue;                                                                                              \
			void *p = lane_memory(w, l, in->space, at[l], n / 8, true);                                                \
			if (w->weak)                                                                                               \
				p = weak_before_atomic(w, at[l], p, n / 8);                                                            \
			uint##n##_t a = a_[l], b = b_[l], old = __atomic_load_n((uint##n##_t *)p, __ATOMIC_SEQ_CST), new;          \
			do                                                                                                         \
				new = combine_##n(in, old, a, b);                                                                      \
			while (                                                                                                    \
				!__atomic_compare_exchange_n((uint##n##_t *)p, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)); \
			if (w->weak)                                                                                               \
				weak_after_atomic(w, at[l], p, n / 8);                                                                 \
			d[l] = old;                                                                                                \
			found = found * 31 + old;                                                                                  \
			changed |= old ^ new;                                                                                      \
		}                                                                                                              \
		after_atomic(w, in, found, changed != 0);                                                                      \
		if (w->watched)                                                                                                \
			watch_access(w, w->exec, in->space, at, n / 8, ACCESS_ATOMIC);                                             \
	}
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)
