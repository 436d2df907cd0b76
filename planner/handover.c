/* A cache from one layout to another. What a rank holds of a state is a box: some layers, the pages of one part of the
 * positions, and a range of each other axis. Boxes of two sides overlap in the product of the overlaps of their sides.
 */
#include "handover.h"

enum { MAX_AXES = 16 };
#define MAX_OVERLAPS ((int64_t)1 << 22) /* pairs of parts of a state */

/* How the ranks of a side hold a state. The parts are numbered by the coordinates of the axes' atoms, major first. */
struct held {
	struct atoms axis[MAX_AXES], copies; /* of each axis; of ranks that hold the same */
	int64_t ways[MAX_AXES], parts, n_copies;
};

static int64_t coordinate(const struct local *l, int atom, int64_t rank)
{
	return rank / l->atoms.at[atom].stride % l->atoms.at[atom].size;
}

/* The index of a rank in a group of atoms, major to minor. */
static int64_t index_in(const struct local *l, const struct atoms *a, int64_t rank)
{
	int64_t index = 0;
	for (int i = 0; i < a->n; i++)
		index = index * l->atoms.at[a->at[i]].size + coordinate(l, a->at[i], rank);
	return index;
}

static const struct state *state_of(const struct cache_side *c, int state)
{
	return &c->local->program->states.at[state];
}

static struct held held_of(const struct cache_side *c, int state)
{
	struct local *l = c->local;
	const struct state *s = state_of(c, state);
	struct held h = {.parts = 1};
	bool *used = arena_array(l->arena, bool, l->atoms.n + 1);
	for (int i = 0; i < l->stages.n; i++)
		used[l->stages.at[i]] = true;
	for (int i = 0; i < s->n_axes; i++) {
		h.axis[i] = place_axis(l, s->axes[i], s->region, PHASE_ANY, CLASS_CACHE);
		h.ways[i] = s->axes[i] == l->program->batch ? 1 : atoms_size(l, &h.axis[i]);
		h.parts *= h.ways[i];
		for (int k = 0; k < h.axis[i].n; k++)
			used[h.axis[i].at[k]] = true;
	}
	for (int i = 0; i < l->atoms.n; i++)
		if (!used[i])
			atoms_add(&h.copies, i);
	h.n_copies = atoms_size(l, &h.copies);
	return h;
}

/* Does a rank hold the first owner's sequences? */
static bool is_owner(const struct cache_side *c, int state, const struct held *h, int64_t rank)
{
	const struct state *s = state_of(c, state);
	for (int i = 0; i < s->n_axes; i++)
		if (s->axes[i] == c->local->program->batch && index_in(c->local, &h->axis[i], rank))
			return false;
	return true;
}

/* The part of a state that a rank holds. */
static int64_t part_of(const struct cache_side *c, int state, const struct held *h, int64_t rank)
{
	const struct state *s = state_of(c, state);
	int64_t part = 0;
	for (int i = 0; i < s->n_axes; i++)
		part = part * h->ways[i] + (h->ways[i] > 1 ? index_in(c->local, &h->axis[i], rank) : 0);
	return part;
}

/* ---- layers and positions --------------------------------------------------------------------- */

static int stage_of(const struct cache_side *c, int64_t rank)
{
	return (int)index_in(c->local, &c->local->stages, rank);
}

/* Does a stage hold a state in this turn of the loops? turn -1: a state outside them. Of several stages that hold one
 * outside, the first counts. */
static bool stage_holds(const struct cache_side *c, int state, int stage, int64_t turn)
{
	const struct schedule *s = c->schedule;
	const struct placed_state *p = &s->states.at[state];
	if (turn < 0)
		return stages_have(s->parts.at[p->part], stage);
	return turn >= s->stages.at[stage].layer_begin && turn < s->stages.at[stage].layer_end
	       && s->body_of[turn] == p->body;
}

/* Layers of a state that both stages hold. */
static int64_t layers_in_both(const struct handover *h, int state, int from, int to)
{
	const struct schedule *a = h->from.schedule, *b = h->to.schedule;
	if (a->states.at[state].body < 0) {
		bool sends = a->parts.at[a->states.at[state].part].begin == from;
		return sends && stage_holds(&h->to, state, to, -1);
	}
	int64_t begin = a->stages.at[from].layer_begin, end = a->stages.at[from].layer_end, n = 0;
	begin = b->stages.at[to].layer_begin > begin ? b->stages.at[to].layer_begin : begin;
	end = b->stages.at[to].layer_end < end ? b->stages.at[to].layer_end : end;
	for (int64_t k = begin; k < end; k++)
		n += a->body_of[k] == a->states.at[state].body;
	return n;
}

/* Positions of a state that are handed over: the last ones, if it is read through a window. */
static int64_t first_position(const struct handover *h, int state)
{
	int64_t window = h->window[state];
	return window && window < h->positions ? h->positions - window : 0;
}

/* Positions from `first` on that lie in part i of n and in part k of m, where pages go to the parts in turn. */
static int64_t positions_in_both(const struct handover *h, int64_t first, int64_t i, int64_t n, int64_t k, int64_t m)
{
	int64_t page = h->from.schedule->page, other = h->to.schedule->page, both = 0;
	if (n == 1 && m == 1)
		return h->positions - first;
	for (int64_t at = first, next; at < h->positions; at = next) {
		int64_t end = (at / page + 1) * page, other_end = (at / other + 1) * other;
		next = end < other_end ? end : other_end;
		next = next < h->positions ? next : h->positions;
		both += at / page % n == i && at / other % m == k ? next - at : 0;
	}
	return both;
}

/* ---- overlaps --------------------------------------------------------------------------------- */

/* Elements of one layer of a state that part i of one side and part k of the other have in common. */
static double overlap(const struct handover *h, int state, const struct held *a, const struct held *b, int64_t i,
                      int64_t k)
{
	const struct program *p = h->from.local->program;
	const struct state *s = &p->states.at[state];
	double elements = 1;
	for (int x = s->n_axes - 1; x >= 0; x--) {
		int64_t n = a->ways[x], m = b->ways[x], extent = p->axes.at[s->axes[x]].extent, ia = i % n, kb = k % m;
		i /= n, k /= m;
		if (s->axes[x] == p->batch)
			continue;
		if (!extent) {
			elements *= (double)positions_in_both(h, first_position(h, state), ia, n, kb, m);
			continue;
		}
		int64_t begin = extent / n * ia, end = extent / n * (ia + 1), low = extent / m * kb,
				high = extent / m * (kb + 1);
		begin = begin > low ? begin : low, end = end < high ? end : high;
		elements *= end > begin ? (double)(end - begin) : 0;
	}
	return elements;
}

static double element_bytes(const struct handover *h, int state)
{
	return dtype_millibits(state_of(&h->from, state)->dtype) / 8000.0;
}

/* What of one layer of a state goes from where to where: table[i * b.parts + k] are the bytes that part i and part k
 * have in common; before[...] counts the parts of the other side that need something of part i, up to k. */
struct parts {
	struct held a, b;
	double *table;
	int64_t *before;
};

static bool parts_of(const struct handover *h, int state, struct parts *out)
{
	out->a = held_of(&h->from, state), out->b = held_of(&h->to, state);
	if (out->a.parts > MAX_OVERLAPS / out->b.parts)
		return false;
	out->table = arena_array(h->arena, double, out->a.parts * out->b.parts);
	out->before = arena_array(h->arena, int64_t, out->a.parts * out->b.parts);
	for (int64_t i = 0; i < out->a.parts; i++)
		for (int64_t k = 0, n = 0; k < out->b.parts; k++) {
			int64_t at = i * out->b.parts + k;
			out->table[at] = overlap(h, state, &out->a, &out->b, i, k) * element_bytes(h, state);
			out->before[at] = n;
			n += out->table[at] > 0;
		}
	return true;
}

/* The copy of part i that the n-th copy of part k takes it from: in turn, over all that need it. */
static int64_t source_copy(const struct parts *p, int64_t i, int64_t k, int64_t n)
{
	return (p->before[i * p->b.parts + k] * p->b.n_copies + n) % p->a.n_copies;
}

/* How many copies of part k take part i from its copy c. */
static int64_t taken_from(const struct parts *p, int64_t i, int64_t k, int64_t c)
{
	int64_t first = source_copy(p, i, k, 0), wait = (c - first + p->a.n_copies) % p->a.n_copies;
	return wait < p->b.n_copies ? (p->b.n_copies - wait - 1) / p->a.n_copies + 1 : 0;
}

double handover_between(const struct handover *h, int64_t from, int64_t to)
{
	double bytes = 0;
	for (int state = 0; state < h->from.local->program->states.n; state++) {
		struct parts p;
		if (!parts_of(h, state, &p) || !is_owner(&h->from, state, &p.a, from) || !is_owner(&h->to, state, &p.b, to))
			continue;
		int64_t i = part_of(&h->from, state, &p.a, from), k = part_of(&h->to, state, &p.b, to);
		if (source_copy(&p, i, k, index_in(h->to.local, &p.b.copies, to)) != index_in(h->from.local, &p.a.copies, from))
			continue;
		bytes += p.table[i * p.b.parts + k]
		         * (double)layers_in_both(h, state, stage_of(&h->from, from), stage_of(&h->to, to));
	}
	return bytes;
}

/* ---- sums ------------------------------------------------------------------------------------- */

/* Atoms that neither number stages nor owners: ranks that hold something of one sequence differ in them. */
static struct atoms free_atoms(const struct cache_side *c)
{
	struct atoms out = {.n = 0};
	for (int i = 0; i < c->local->atoms.n; i++) {
		bool fixed = atoms_have(&c->local->stages, i);
		for (int k = 0, all = 1; k < c->local->program->states.n && !fixed; k++) {
			const struct state *s = state_of(c, k);
			struct atoms batch = place_axis(c->local, c->local->program->batch, s->region, PHASE_ANY, CLASS_CACHE);
			all &= atoms_have(&batch, i);
			fixed = all && k + 1 == c->local->program->states.n;
		}
		if (!fixed)
			atoms_add(&out, i);
	}
	return out;
}

/* The n-th rank of a stage that differs from its first in the free atoms. */
static int64_t rank_at(const struct cache_side *c, const struct atoms *free, int stage, int64_t n)
{
	int64_t rank = 0;
	for (int i = free->n - 1; i >= 0; i--) {
		const struct atom *a = &c->local->atoms.at[free->at[i]];
		rank += n % a->size * a->stride;
		n /= a->size;
	}
	for (int i = c->local->stages.n - 1, at = stage; i >= 0; i--) {
		const struct atom *a = &c->local->atoms.at[c->local->stages.at[i]];
		rank += at % a->size * a->stride;
		at = (int)(at / a->size);
	}
	return rank;
}

/* Sums of one rank over all states and all stages of the other side. Where states go different ways, each of them may
 * have other peers. */
struct rank_sum {
	double bytes;
	int64_t peers;
};

/* Do the parts of all states go the same ways? */
static bool are_alike(const struct handover *h, const struct parts *all)
{
	for (int i = 1; i < h->from.local->program->states.n; i++) {
		const struct parts *p = &all[0], *q = &all[i];
		if (p->a.parts != q->a.parts || p->b.parts != q->b.parts || p->a.n_copies != q->a.n_copies
		    || p->b.n_copies != q->b.n_copies)
			return false;
		for (int64_t k = 0; k < p->a.parts * p->b.parts; k++)
			if ((p->table[k] > 0) != (q->table[k] > 0))
				return false;
	}
	return true;
}

static int64_t add_peers(const struct handover *h, int64_t peers, int64_t n)
{
	return !h->alike ? peers + n : n > peers ? n : peers;
}

static struct rank_sum sends(const struct handover *h, const struct parts *all, int64_t rank)
{
	struct rank_sum sum = {.bytes = 0};
	int stage = stage_of(&h->from, rank);
	for (int other = 0; other < h->to.schedule->stages.n; other++) {
		int64_t peers = 0;
		for (int state = 0; state < h->from.local->program->states.n; state++) {
			const struct parts *p = &all[state];
			int64_t layers = layers_in_both(h, state, stage, other), n = 0;
			if (!layers || !is_owner(&h->from, state, &p->a, rank))
				continue;
			int64_t i = part_of(&h->from, state, &p->a, rank), c = index_in(h->from.local, &p->a.copies, rank);
			for (int64_t k = 0; k < p->b.parts; k++)
				if (p->table[i * p->b.parts + k] > 0) {
					int64_t times = taken_from(p, i, k, c);
					sum.bytes += p->table[i * p->b.parts + k] * (double)(layers * times);
					n += times;
				}
			peers = add_peers(h, peers, n);
		}
		sum.peers += peers;
	}
	return sum;
}

static struct rank_sum receives(const struct handover *h, const struct parts *all, int64_t rank)
{
	struct rank_sum sum = {.bytes = 0};
	int stage = stage_of(&h->to, rank);
	for (int other = 0; other < h->from.schedule->stages.n; other++) {
		int64_t peers = 0;
		for (int state = 0; state < h->from.local->program->states.n; state++) {
			const struct parts *p = &all[state];
			int64_t layers = layers_in_both(h, state, other, stage), n = 0;
			if (!layers || !is_owner(&h->to, state, &p->b, rank))
				continue;
			int64_t k = part_of(&h->to, state, &p->b, rank);
			for (int64_t i = 0; i < p->a.parts; i++)
				if (p->table[i * p->b.parts + k] > 0) {
					sum.bytes += p->table[i * p->b.parts + k] * (double)layers;
					n++;
				}
			peers = add_peers(h, peers, n);
		}
		sum.peers += peers;
	}
	return sum;
}

static void add_senders(struct handover *h, const struct parts *all)
{
	struct atoms free = free_atoms(&h->from);
	for (int stage = 0; stage < h->from.schedule->stages.n; stage++)
		for (int64_t n = 0; n < atoms_size(h->from.local, &free); n++) {
			struct rank_sum r = sends(h, all, rank_at(&h->from, &free, stage, n));
			h->sent = r.bytes > h->sent ? r.bytes : h->sent;
			h->senders += r.bytes > 0;
			h->targets = r.peers > h->targets ? r.peers : h->targets;
		}
}

static void add_receivers(struct handover *h, const struct parts *all)
{
	struct atoms free = free_atoms(&h->to);
	for (int stage = 0; stage < h->to.schedule->stages.n; stage++)
		for (int64_t n = 0; n < atoms_size(h->to.local, &free); n++) {
			struct rank_sum r = receives(h, all, rank_at(&h->to, &free, stage, n));
			h->received = r.bytes > h->received ? r.bytes : h->received;
			h->receivers += r.bytes > 0;
			h->moved += r.bytes;
			h->sources = r.peers > h->sources ? r.peers : h->sources;
		}
}

/* Bytes of the sequence's cache in all layers of a state. */
static double whole_bytes(const struct handover *h, int state)
{
	const struct program *p = h->from.local->program;
	const struct state *s = state_of(&h->from, state);
	double elements = (double)(h->positions - first_position(h, state));
	for (int i = 0; i < s->n_axes; i++)
		elements *= p->axes.at[s->axes[i]].extent ? (double)p->axes.at[s->axes[i]].extent : 1;
	return elements * element_bytes(h, state) * (s->body >= 0 ? (double)p->bodies.at[s->body].turns : 1);
}

bool handover_of(struct arena *arena, struct cache_side from, struct cache_side to, int64_t positions,
                 struct handover *out)
{
	int states = from.local->program->states.n;
	*out = (struct handover){.from = from,
	                         .to = to,
	                         .positions = positions,
	                         .window = program_windows(from.local->program, arena),
	                         .arena = arena};
	struct parts *all = arena_array(arena, struct parts, states + 1);
	for (int i = 0; i < states; i++) {
		double bytes = whole_bytes(out, i);
		out->bytes += bytes;
		out->windows += first_position(out, i) ? bytes : 0;
		if (state_of(&from, i)->n_axes > MAX_AXES || !parts_of(out, i, &all[i]))
			return false;
	}
	out->alike = are_alike(out, all);
	add_senders(out, all);
	add_receivers(out, all);
	return true;
}
