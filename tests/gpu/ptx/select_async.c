/* Copies that are waited for later: cp.async, alone and in bulk; mbarriers; clusters. */
#include <string.h>
#include "lower.h"

/* cp.async.ca.shared.global [to], [from], size{, bytes}{, policy} */
void select_cp_async(struct lowering *lo, const struct statement *s)
{
	bool hint = has_word(s, "L2::cache_hint"), near = has_word(s, "ca");
	const struct operand_text *o = s->operands;
	operand_count(lo, s, 3 + hint, 4 + hint);
	bool sized = s->n_operands == 4 + hint;
	uint64_t size = o[2].bits;
	if (o[2].kind != OPERAND_INTEGER || !(size == 16 || (near && (size == 4 || size == 8))))
		lower_error(lo, "`%s` of a number of bytes that is not possible", s->name);
	uint32_t ops[3] = {shared_address(lo, &o[0], false), global_address(lo, &o[1])};
	ops[2] = sized ? source(lo, &o[3], 'r') : constant(lo, size, 4);
	if (hint)
		source(lo, &o[s->n_operands - 1], 'L');
	emit(lo, x_cp_async, 0, 3, ops)->count = (uint8_t)size;
}

void select_cp_async_wait(struct lowering *lo, const struct statement *s)
{
	bool all = has_word(s, "wait_all");
	operand_count(lo, s, !all, !all);
	if (!all && (s->operands[0].kind != OPERAND_INTEGER || s->operands[0].bits > 255))
		lower_error(lo, "`%s` needs a small number", s->name);
	struct ins *in = emit(lo, x_cp_async_wait, 0, 0, NULL);
	in->variant = all;
	in->count = all ? 0 : (uint8_t)s->operands[0].bits;
}

/* ---- mbarriers ---- */
static uint32_t barrier_address(struct lowering *lo, const struct operand_text *o)
{
	return shared_address(lo, o, !says_shared(lo->s));
}

/* mbarrier.init [at], count; mbarrier.expect_tx [at], bytes; mbarrier.inval [at] */
void select_mbarrier(struct lowering *lo, const struct statement *s)
{
	bool inval = has_word(s, "inval");
	operand_count(lo, s, 2 - inval, 2 - inval);
	uint32_t ops[2] = {barrier_address(lo, &s->operands[0]), 0};
	if (!inval)
		ops[1] = source(lo, &s->operands[1], 'r');
	handler *run = inval ? x_mbarrier_inval : has_word(s, "init") ? x_mbarrier_init : x_mbarrier_bytes;
	emit(lo, run, 0, 2 - inval, ops)->variant = has_word(s, "complete_tx");
}

/* mbarrier.arrive state, [at]{, count}; mbarrier.arrive.expect_tx state, [at], bytes */
void select_mbarrier_arrive(struct lowering *lo, const struct statement *s)
{
	bool bytes = has_word(s, "expect_tx");
	operand_count(lo, s, 2 + bytes, 3);
	uint32_t given = s->n_operands == 3 ? source(lo, &s->operands[2], 'r') : constant(lo, 1, 4);
	uint32_t at = barrier_address(lo, &s->operands[1]);
	uint32_t ops[4] = {definition(lo, &s->operands[0], 'L'), at, bytes ? constant(lo, 1, 4) : given,
	                   bytes ? given : constant(lo, 0, 4)};
	emit(lo, x_mbarrier_arrive, 1, 4, ops);
}

/* mbarrier.try_wait p, [at], state{, time}; .parity: a parity. */
void select_mbarrier_wait(struct lowering *lo, const struct statement *s)
{
	bool parity = has_word(s, "parity");
	operand_count(lo, s, 3, has_word(s, "try_wait") ? 4 : 3);
	uint32_t at = barrier_address(lo, &s->operands[1]), phase = source(lo, &s->operands[2], parity ? 'r' : 'L');
	if (s->n_operands == 4)
		source(lo, &s->operands[3], 'r');
	if (!parity) {
		uint32_t low = new_register(lo, 4, KIND_BITS);
		emit(lo, cvt_handler(U32, U64), 1, 2, (uint32_t[]){low, phase});
		phase = low;
	}
	emit(lo, x_mbarrier_wait, 1, 3, (uint32_t[]){definition(lo, &s->operands[0], 'p'), at, phase});
}

/* cp.async.mbarrier.arrive[.noinc] [at] */
void select_cp_async_arrive(struct lowering *lo, const struct statement *s)
{
	operand_count(lo, s, 1, 1);
	uint32_t at = barrier_address(lo, &s->operands[0]);
	emit(lo, x_cp_async_arrive, 0, 1, &at)->variant = has_word(s, "noinc");
}

/* ---- copies in bulk ---- */
/* The map's address and the corner: their number. */
static int map_operands(struct lowering *lo, const struct operand_text *o, uint32_t *ops)
{
	const char *rank = lo->s->words[4];
	if (o->n != rank[0] - '0')
		lower_error(lo, "`%s` with %d coordinates", lo->s->name, o->n);
	ops[0] = generic_address(lo, o);
	for (int i = 0; i < o->n; i++)
		ops[1 + i] = source(lo, &o->list[i], 'r');
	return 1 + o->n;
}

/* cp.async.bulk.shared::cluster.global.mbarrier... [to], [from], bytes, [mbarrier]{, CTAs}{, policy};
 * cp.async.bulk.tensor.<n>d. ... [to], [map, {x, ..}], [mbarrier]{, CTAs}{, policy} */
void select_bulk_load(struct lowering *lo, const struct statement *s)
{
	bool tensor = has_word(s, "tensor"), to_many = has_word(s, "multicast::cluster");
	int more = to_many + has_word(s, "L2::cache_hint"), fixed = tensor ? 3 : 4, n = 1;
	uint32_t ops[10];
	operand_count(lo, s, fixed + more, fixed + more);
	const struct operand_text *o = s->operands;
	ops[0] = shared_address(lo, &o[0], false);
	if (tensor) {
		n += map_operands(lo, &o[1], ops + 1);
	} else {
		ops[n++] = global_address(lo, &o[1]);
		ops[n++] = source(lo, &o[2], 'r');
	}
	ops[n++] = shared_address(lo, &o[fixed - 1], false);
	if (to_many)
		ops[n++] = source(lo, &o[fixed], 'h');
	if (to_many) {
		uint32_t wide = new_register(lo, 4, KIND_BITS);
		emit(lo, cvt_handler(U32, U16), 1, 2, (uint32_t[]){wide, ops[n - 1]});
		ops[n - 1] = wide;
	}
	if (has_word(s, "L2::cache_hint"))
		source(lo, &o[s->n_operands - 1], 'L');
	struct ins *in = emit(lo, x_bulk_load, 0, n, ops);
	in->count = tensor ? (uint8_t)o[1].n : 0;
	in->variant = to_many;
}

/* cp.async.bulk.global.shared::cta.bulk_group [to], [from], bytes{, policy};
 * cp.async.bulk.tensor.<n>d.global.shared::cta.bulk_group [map, {x, ..}], [from]{, policy} */
void select_bulk_store(struct lowering *lo, const struct statement *s)
{
	bool tensor = has_word(s, "tensor"), hint = has_word(s, "L2::cache_hint");
	uint32_t ops[8];
	int n = 1, fixed = tensor ? 2 : 3;
	operand_count(lo, s, fixed + hint, fixed + hint);
	const struct operand_text *o = s->operands;
	ops[0] = shared_address(lo, &o[1], false);
	if (tensor) {
		n += map_operands(lo, &o[0], ops + 1);
	} else {
		ops[n++] = global_address(lo, &o[0]);
		ops[n++] = source(lo, &o[2], 'r');
	}
	if (hint)
		source(lo, &o[fixed], 'L');
	emit(lo, x_bulk_store, 0, n, ops)->count = tensor ? (uint8_t)o[0].n : 0;
}

/* Whether only the reads are waited for does not matter: both are made at once. */
void select_bulk_wait(struct lowering *lo, const struct statement *s)
{
	operand_count(lo, s, 1, 1);
	if (s->operands[0].kind != OPERAND_INTEGER || s->operands[0].bits > 255)
		lower_error(lo, "`%s` needs a small number", s->name);
	emit(lo, x_bulk_wait, 0, 0, NULL)->count = (uint8_t)s->operands[0].bits;
}

void select_prefetch_map(struct lowering *lo, const struct statement *s)
{
	operand_count(lo, s, 1, 1);
	generic_address(lo, &s->operands[0]);
}

/* ---- clusters ---- */
/* mapa.shared::cluster.u32 d, a, rank: where the CTA of that rank has what this one has at a. */
void select_mapa(struct lowering *lo, const struct statement *s)
{
	const struct type *t = last_type(s);
	bool generic = !says_shared(s);
	operand_count(lo, s, 3, 3);
	if (t->size != (generic ? 8 : 4))
		lower_error(lo, "`%s` of an address of %d bytes", s->name, t->size);
	struct place place;
	uint32_t ignored;
	const struct operand_text *o = &s->operands[1];
	bool named =
		o->kind == OPERAND_NAME && !find_register(lo, o->name, &ignored) && find_variable_place(lo, o->name, &place);
	uint32_t a = named ? constant(lo, place.address + o->bits, t->size) : source(lo, o, letter_of(t));
	uint32_t rank = source(lo, &s->operands[2], 'r'), d = definition(lo, &s->operands[0], letter_of(t));
	emit(lo, x_mapa, 1, 3, (uint32_t[]){d, a, rank})->size = t->size;
}

void select_cluster_barrier(struct lowering *lo, const struct statement *s)
{
	bool arrives = has_word(s, "arrive");
	operand_count(lo, s, 0, 0);
	struct ins *in = emit(lo, arrives ? x_cluster_arrive : x_cluster_wait, 0, 0, NULL);
	in->order = has_word(s, "relaxed") ? ORDER_RELAXED : arrives ? ORDER_RELEASE : ORDER_ACQUIRE;
}
