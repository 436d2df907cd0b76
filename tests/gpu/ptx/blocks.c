/* Orders blocks so that lanes which took different ways meet: the group with the lowest position runs, so a block must
 * come after all that lead to it, and a loop must be contiguous, before what follows it. Both hold when strongly
 * connected components are laid out in topological order, and each in turn without the edges back to where it is
 * entered. */
#include <string.h>
#include "lower.h"

struct blocks {
	int n;
	int *start;                                /* first instruction of each; start[n] is the end */
	int (*next)[2];                            /* falls through to, branches to; -1: none */
	int *order, n_order;                       /* the result */
	int *number, *low, *stack, n_stack, count; /* of the search for components */
	bool *inside, *on_stack;                   /* inside: belongs to what is being ordered */
};

static bool ends_block(const struct ins *in) { return in->run == x_bra || in->run == x_exit; }

/* ---- blocks and edges ---- */
static int *find_blocks(struct lowering *lo, struct blocks *b)
{
	struct arena *arena = lo->l->arena;
	bool *leader = arena_take(arena, (size_t)lo->n + 1);
	int *block_of = arena_take(arena, ((size_t)lo->n + 1) * sizeof *block_of);
	leader[0] = true;
	for (int i = 0; i < lo->n; i++) {
		leader[i + 1] |= ends_block(&lo->code[i]);
		if (lo->code[i].run == x_bra)
			leader[lo->code[i].target] = true;
	}
	b->start = arena_take(arena, ((size_t)lo->n + 1) * sizeof *b->start);
	for (int i = 0; i < lo->n; i++) {
		if (leader[i])
			b->start[b->n++] = i;
		block_of[i] = b->n - 1;
	}
	b->start[b->n] = lo->n;
	return block_of;
}

static void find_edges(struct lowering *lo, struct blocks *b, const int *block_of)
{
	b->next = arena_take(lo->l->arena, (size_t)b->n * sizeof *b->next);
	for (int i = 0; i < b->n; i++) {
		const struct ins *last = &lo->code[b->start[i + 1] - 1];
		bool goes_on = !ends_block(last) || last->guard != NO_GUARD;
		b->next[i][0] = goes_on && i + 1 < b->n ? i + 1 : -1;
		b->next[i][1] = last->run == x_bra ? block_of[last->target] : -1;
	}
}

/* ---- components: Tarjan's algorithm. `list` gets them last first, each ended by -1, its entry just before that. ----
 */
struct search {
	struct blocks *b;
	int entry; /* edges to it are left out */
	int *list, n;
};

static void visit(struct search *s, int block);

static void follow(struct search *s, int block, int to)
{
	struct blocks *b = s->b;
	if (to < 0 || to == s->entry || !b->inside[to])
		return;
	if (!b->number[to]) {
		visit(s, to);
		if (b->low[to] < b->low[block])
			b->low[block] = b->low[to];
	} else if (b->on_stack[to] && b->number[to] < b->low[block]) {
		b->low[block] = b->number[to];
	}
}

static void visit(struct search *s, int block)
{
	struct blocks *b = s->b;
	b->number[block] = b->low[block] = ++b->count;
	b->stack[b->n_stack++] = block;
	b->on_stack[block] = true;
	follow(s, block, b->next[block][0]);
	follow(s, block, b->next[block][1]);
	if (b->low[block] != b->number[block])
		return;
	int member;
	do {
		member = b->stack[--b->n_stack];
		b->on_stack[member] = false;
		s->list[s->n++] = member;
	} while (member != block);
	s->list[s->n++] = -1;
}

static void order_members(struct lowering *lo, struct blocks *b, const int *members, int n, int entry)
{
	struct search s = {b, entry, arena_take(lo->l->arena, (size_t)n * 2 * sizeof(int)), 0};
	memset(b->inside, 0, (size_t)b->n);
	for (int i = 0; i < n; i++) {
		b->inside[members[i]] = true;
		b->number[members[i]] = 0;
	}
	visit(&s, entry);
	for (int end = s.n - 1; end > 0;) {
		int begin = end;
		while (begin > 0 && s.list[begin - 1] != -1)
			begin--;
		if (end - begin == 1)
			b->order[b->n_order++] = s.list[begin];
		else
			order_members(lo, b, s.list + begin, end - begin, s.list[end - 1]);
		end = begin - 1;
	}
}

/* ---- code in the new order ---- */
static struct ins jump(int block, int line)
{
	return (struct ins){.run = x_bra, .guard = NO_GUARD, .target = block, .line = line};
}

/* Copies blocks in order; where one no longer falls into its successor, a jump is added. Targets are blocks, then
 * positions. */
static void lay_out(struct lowering *lo, struct blocks *b, const int *block_of)
{
	int *position = arena_take(lo->l->arena, (size_t)b->n * sizeof *position), n = 0;
	struct ins *code = arena_take(lo->l->arena, ((size_t)lo->n + (size_t)b->n) * sizeof *code);
	for (int i = 0; i < b->n_order; i++) {
		int block = b->order[i], next = b->next[block][0];
		position[block] = n;
		for (int k = b->start[block]; k < b->start[block + 1]; k++) {
			code[n] = lo->code[k];
			if (code[n].run == x_bra)
				code[n].target = block_of[code[n].target];
			n++;
		}
		if (next >= 0 && (i + 1 == b->n_order || b->order[i + 1] != next)) {
			code[n] = jump(next, code[n - 1].line);
			n++;
		}
	}
	for (int i = 0; i < n; i++)
		if (code[i].run == x_bra)
			code[i].target = position[code[i].target];
	lo->code = code;
	lo->n = n;
}

void order_blocks(struct lowering *lo)
{
	struct blocks b = {0};
	struct arena *arena = lo->l->arena;
	int *block_of = find_blocks(lo, &b);
	find_edges(lo, &b, block_of);
	size_t ints = (size_t)b.n * sizeof(int);
	b.order = arena_take(arena, ints);
	b.number = arena_take(arena, ints);
	b.low = arena_take(arena, ints);
	b.stack = arena_take(arena, ints);
	b.inside = arena_take(arena, (size_t)b.n);
	b.on_stack = arena_take(arena, (size_t)b.n);
	int *all = arena_take(arena, ints);
	for (int i = 0; i < b.n; i++)
		all[i] = i;
	order_members(lo, &b, all, b.n, 0);
	lay_out(lo, &b, block_of);
}
