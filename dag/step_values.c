/* Computes the numbers of instructions in a step, as generated code does (codegen/step.c). */
#include "dag.h"
#include "../support/staging.h"

static int64_t times_share(int64_t x, const struct number *n)
{
	x *= n->value;
	return n->div > 1 ? x / n->div : x;
}

static int64_t index_in(const struct number *n, const struct step_values *v)
{
	return n->group < 0 ? 0 : v->index[n->group];
}

int64_t step_number(const struct number *n, const struct step_values *v)
{
	switch (n->kind) {
	case NUMBER_CONST:          return n->value;
	case NUMBER_TOKENS:         return times_share(v->tokens, n);
	case NUMBER_ROWS:           return times_share(v->rows, n);
	case NUMBER_PAGES:          return times_share(v->pages[n->group], n);
	case NUMBER_INDEX:          return index_in(n, v) * n->value;
	case NUMBER_INDEX_TOKENS:   return index_in(n, v) * times_share(v->tokens, n);
	case NUMBER_INDEX_ROWS:     return index_in(n, v) * times_share(v->rows, n);
	case NUMBER_EXCHANGE_ROUND: return v->round;
	case NUMBER_CANDIDATES:     return times_share(v->rows, n) * v->candidates;
	}
	internal_error("number of kind %d", (int)n->kind);
}

struct step_values step_values_max(const struct schedule *s, const struct step_program *p, struct arena *arena)
{
	int64_t *index = arena_array(arena, int64_t, s->groups.n + 1);
	for (int i = 0; i < s->groups.n; i++)
		index[i] = s->groups.at[i].size - 1;
	struct step_values v = {
		.tokens = p->max_tokens, .rows = p->max_rows, .candidates = 1 + DR_CANDIDATES, .index = index};
	for (int i = 0; i < s->n_pools; i++)
		v.pages[i] = s->pool[i].pages;
	return v;
}

int64_t step_staging(const struct schedule *s, const struct instr *i, const struct step_values *v)
{
	const struct collective *c = &s->collectives.at[i->collective.index];
	int64_t outer = step_number(&i->collective.outer, v), block = step_number(&i->collective.block, v),
			into = step_number(&i->collective.dst_block, v);
	int64_t bytes = s->groups.at[c->group].size * outer * block * dtype_bytes(c->dtype);
	switch (c->kind) {
	case DR_ALL_GATHER:     return staging_bytes(staging_of(1, outer, bytes));
	case DR_REDUCE_SCATTER: return staging_bytes(staging_of(outer, 1, bytes));
	case DR_ALL_TO_ALL:     return staging_bytes(staging_of(outer, into ? outer * block / into : 0, bytes));
	default:                return 0;
	}
}
