/* Assigns registers. Virtual registers that are never alive together share bytes of a warp's file, which then stays in
 * the cache. A register is alive in one interval of the ordered code; each class of size has bytes of its own, so two
 * registers overlap exactly or not at all. */
#include <stdlib.h>
#include <string.h>
#include "lower.h"

enum { CLASSES = 4 };
static int class_of_size(int size) { return size == 0 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3; }
static const int bytes_of_class[CLASSES] = {0, 2, 4, 8};

struct interval {
	int begin, end; /* instructions; begin > end: never used */
};

struct liveness {
	struct lowering *lo;
	int n_blocks, words;
	int *start;
	int (*next)[2];
	uint64_t *use, *define, *in; /* a set for each block */
	struct interval *intervals;
};

static uint64_t *set_of(const struct liveness *v, uint64_t *sets, int block)
{
	return sets + (size_t)block * (size_t)v->words;
}
static bool contains(const uint64_t *set, int i) { return set[i / 64] >> (i % 64) & 1; }
static void include(uint64_t *set, int i) { set[i / 64] |= UINT64_C(1) << (i % 64); }

/* -1: the operand is not a register. */
static int register_number(uint32_t op)
{
	return (op & AREA_MASK) == AREA_REGISTERS || (op & AREA_MASK) == AREA_PREDICATES ? (int)(op >> 2) : -1;
}

/* ---- blocks of the ordered code ---- */
static void find_blocks(struct liveness *v)
{
	struct lowering *lo = v->lo;
	struct arena *arena = lo->l->arena;
	int *block_at = arena_take(arena, ((size_t)lo->n + 1) * sizeof *block_at);
	block_at[0] = 1;
	for (int i = 0; i < lo->n; i++) {
		bool branches = lo->code[i].run == x_bra;
		if (branches)
			block_at[lo->code[i].target] = 1;
		if (branches || lo->code[i].run == x_exit)
			block_at[i + 1] = 1;
	}
	v->start = arena_take(arena, ((size_t)lo->n + 1) * sizeof *v->start);
	for (int i = 0; i < lo->n; i++) {
		if (block_at[i])
			v->start[v->n_blocks++] = i;
		block_at[i] = v->n_blocks - 1;
	}
	v->start[v->n_blocks] = lo->n;
	v->next = arena_take(arena, (size_t)v->n_blocks * sizeof *v->next);
	for (int b = 0; b < v->n_blocks; b++) {
		const struct ins *last = &lo->code[v->start[b + 1] - 1];
		bool ends = (last->run == x_bra || last->run == x_exit) && last->guard == NO_GUARD;
		v->next[b][0] = !ends && b + 1 < v->n_blocks ? b + 1 : -1;
		v->next[b][1] = last->run == x_bra ? block_at[last->target] : -1;
	}
}

static void note_use(uint64_t *use, const uint64_t *define, int i)
{
	if (i >= 0 && !contains(define, i))
		include(use, i);
}

/* What a block reads before it writes it, and what it writes whole. */
static void summarise(struct liveness *v, int block)
{
	uint64_t *use = set_of(v, v->use, block), *define = set_of(v, v->define, block);
	for (int i = v->start[block]; i < v->start[block + 1]; i++) {
		const struct ins *in = &v->lo->code[i];
		if (in->guard != NO_GUARD)
			note_use(use, define, in->guard);
		for (int k = in->n_defs; k < in->n_ops; k++)
			note_use(use, define, register_number(in->op[k]));
		for (int k = 0; k < in->n_defs; k++) {
			if (in->guard != NO_GUARD || in->partial)
				note_use(use, define, register_number(in->op[k]));
			include(define, register_number(in->op[k]));
		}
	}
}

/* live in = use | (live out & ~define), until nothing changes. */
static bool flow(struct liveness *v, int block)
{
	uint64_t *in = set_of(v, v->in, block), changed = 0;
	const uint64_t *use = set_of(v, v->use, block), *define = set_of(v, v->define, block);
	for (int k = 0; k < v->words; k++) {
		uint64_t out = 0;
		for (int e = 0; e < 2; e++)
			if (v->next[block][e] >= 0)
				out |= set_of(v, v->in, v->next[block][e])[k];
		uint64_t now = use[k] | (out & ~define[k]);
		changed |= now ^ in[k];
		in[k] = now;
	}
	return changed;
}

static void solve(struct liveness *v)
{
	size_t bytes = (size_t)v->n_blocks * (size_t)v->words * sizeof(uint64_t);
	v->use = arena_take(v->lo->l->arena, bytes);
	v->define = arena_take(v->lo->l->arena, bytes);
	v->in = arena_take(v->lo->l->arena, bytes);
	for (int b = 0; b < v->n_blocks; b++)
		summarise(v, b);
	for (bool again = true; again;) {
		again = false;
		for (int b = v->n_blocks - 1; b >= 0; b--)
			again |= flow(v, b);
	}
}

/* ---- intervals ---- */
static void extend(struct interval *i, int at)
{
	i->begin = at < i->begin ? at : i->begin;
	i->end = at > i->end ? at : i->end;
}

static void extend_operands(struct liveness *v, const struct ins *in, int at)
{
	for (int k = 0; k < in->n_ops; k++)
		if (register_number(in->op[k]) >= 0)
			extend(&v->intervals[register_number(in->op[k])], at);
}

static int next_wait(const struct lowering *lo, int at)
{
	while (at + 1 < lo->n && lo->code[at].run != x_wgmma_wait)
		at++;
	return at;
}

static void measure(struct liveness *v)
{
	struct lowering *lo = v->lo;
	for (int i = 0; i < lo->n_registers; i++)
		v->intervals[i] = (struct interval){lo->n, -1};
	for (int i = 0; i < lo->n; i++) {
		const struct ins *in = &lo->code[i];
		if (in->guard != NO_GUARD)
			extend(&v->intervals[in->guard], i);
		extend_operands(v, in, i);
		/* Sums are written until somebody waits. */
		if (in->run == x_wgmma)
			extend_operands(v, in, next_wait(lo, i));
	}
	for (int b = 0; b < v->n_blocks; b++)
		for (int i = 0; i < lo->n_registers; i++) {
			if (contains(set_of(v, v->in, b), i))
				extend(&v->intervals[i], v->start[b]);
			for (int e = 0; e < 2; e++)
				if (v->next[b][e] >= 0 && contains(set_of(v, v->in, v->next[b][e]), i))
					extend(&v->intervals[i], v->start[b + 1] - 1);
		}
}

/* ---- slots ---- */
struct slots {
	int *free_from; /* by slot: the first instruction at which it is free again */
	int n;
};

struct by_begin {
	int begin, number;
};

static int compare_begin(const void *a, const void *b)
{
	const struct by_begin *x = a, *y = b;
	return x->begin != y->begin ? x->begin - y->begin : x->number - y->number;
}

/* Registers in the order in which they come alive; each takes the first slot of its class that is free. */
static int *choose_slots(struct liveness *v, struct slots *slots)
{
	struct lowering *lo = v->lo;
	struct arena *arena = lo->l->arena;
	struct by_begin *order = arena_take(arena, (size_t)lo->n_registers * sizeof *order);
	int *slot_of = arena_take(arena, (size_t)lo->n_registers * sizeof *slot_of);
	for (int i = 0; i < lo->n_registers; i++)
		order[i] = (struct by_begin){v->intervals[i].begin, i};
	qsort(order, (size_t)lo->n_registers, sizeof *order, compare_begin);
	for (int c = 0; c < CLASSES; c++)
		slots[c].free_from = arena_take(arena, (size_t)lo->n_registers * sizeof(int));
	for (int i = 0; i < lo->n_registers; i++) {
		struct interval *live = &v->intervals[order[i].number];
		if (live->begin > live->end)
			break;
		struct slots *s = &slots[class_of_size(lo->registers[order[i].number].size)];
		int slot = 0;
		while (slot < s->n && s->free_from[slot] > live->begin)
			slot++;
		s->n += slot == s->n;
		s->free_from[slot] = live->end + 1;
		slot_of[order[i].number] = slot;
	}
	return slot_of;
}

/* Replaces numbers of virtual registers by bytes of the file, or numbers of predicates. */
static void rewrite(struct lowering *lo, const int *slot_of, const uint32_t *base)
{
	for (int i = 0; i < lo->n; i++) {
		struct ins *in = &lo->code[i];
		if (in->guard != NO_GUARD)
			in->guard = slot_of[in->guard];
		for (int k = 0; k < in->n_ops; k++) {
			uint32_t *op = (uint32_t *)(uintptr_t)&in->op[k];
			int number = register_number(*op);
			if (number < 0)
				continue;
			int class = class_of_size(lo->registers[number].size);
			uint32_t at = base[class] + (uint32_t)(slot_of[number] * bytes_of_class[class] * LANES);
			*op = class ? at | AREA_REGISTERS : (uint32_t)slot_of[number] << 2 | AREA_PREDICATES;
		}
	}
}

/* 32-bit registers that are alive at once, at most. */
static int pressure(const struct liveness *v)
{
	struct lowering *lo = v->lo;
	int *change = arena_take(lo->l->arena, ((size_t)lo->n + 2) * sizeof *change), alive = 0, most = 0;
	for (int i = 0; i < lo->n_registers; i++) {
		int words = (lo->registers[i].size + 3) / 4;
		if (v->intervals[i].begin <= v->intervals[i].end) {
			change[v->intervals[i].begin] += words;
			change[v->intervals[i].end + 1] -= words;
		}
	}
	for (int i = 0; i < lo->n; i++) {
		alive += change[i];
		most = alive > most ? alive : most;
	}
	return most;
}

/* What ptxas would use: what is alive, in eights; 255 at most, and no more than lets so many CTAs start as the kernel
 * asks for, as it would spill. */
static int estimate(const struct kernel *k, int alive)
{
	int ctas = k->min_ctas ? (int)k->min_ctas : 1;
	int warps = ctas * (int)((k->max_threads + LANES - 1) / LANES), most = 65536 / (warps * LANES) / 8 * 8;
	int n = (alive + 7) / 8 * 8;
	n = n < 8 ? 8 : n > 255 ? 255 : n;
	return k->max_threads < MAX_THREADS && n > most ? most : n;
}

void assign_registers(struct lowering *lo)
{
	struct liveness v = {.lo = lo, .words = (lo->n_registers + 63) / 64 + 1};
	struct slots slots[CLASSES] = {{0}};
	uint32_t base[CLASSES] = {0}, bytes = 0;
	v.intervals = arena_take(lo->l->arena, (size_t)lo->n_registers * sizeof *v.intervals);
	find_blocks(&v);
	solve(&v);
	measure(&v);
	const int *slot_of = choose_slots(&v, slots);
	for (int c = CLASSES - 1; c > 0; c--) {
		base[c] = bytes;
		bytes += (uint32_t)(slots[c].n * bytes_of_class[c] * LANES);
	}
	rewrite(lo, slot_of, base);
	lo->k->code = lo->code;
	lo->k->n_code = lo->n;
	lo->k->register_bytes = bytes;
	lo->k->predicates = slots[0].n;
	lo->k->registers = estimate(lo->k, pressure(&v));
}
