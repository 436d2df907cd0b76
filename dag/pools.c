/* Pools of cache pages. An attention with a window needs only the last positions of a sequence, so the states that it
 * reads lie in a pool of fewer pages than those that are read as a whole. */
#include "lower.h"
#include "../support/round.h"

/* The state that keys or values are read from; -1: something else. */
static int state_read(const struct program *p, int value)
{
	while (p->values.at[value].op == OP_RENAME || p->values.at[value].op == OP_PIECE)
		value = p->values.at[value].args[0];
	return p->values.at[value].op == OP_APPEND ? p->values.at[value].append.state : -1;
}

/* window 0 is the longest: all positions. */
static bool longer(int64_t window, int64_t than) { return than && (!window || window > than); }

int64_t *program_windows(const struct program *p, struct arena *arena)
{
	enum { UNREAD = -1 };
	int64_t *window = arena_array(arena, int64_t, p->states.n + 1);
	for (int i = 0; i < p->states.n; i++)
		window[i] = UNREAD;
	for (bool changed = true; changed;) {
		changed = false;
		for (int i = 0; i < p->values.n; i++) {
			const struct value *v = &p->values.at[i];
			if (v->op != OP_ATTEND)
				continue;
			int64_t widest = attend_reach(v);
			const int states[] = {state_read(p, v->args[1]), state_read(p, v->args[2])};
			for (int k = 0; k < 2; k++)
				if (states[k] >= 0 && longer(window[states[k]], widest))
					widest = window[states[k]];
			for (int k = 0; k < 2; k++)
				if (states[k] >= 0 && longer(widest, window[states[k]])) {
					window[states[k]] = widest;
					changed = true;
				}
		}
	}
	for (int i = 0; i < p->states.n; i++)
		window[i] = window[i] == UNREAD ? 0 : window[i];
	return window;
}

int64_t pool_reach(const struct pool *p) { return p->window ? p->window + ATTEND_BLOCK - 1 : 0; }

int64_t pool_bytes(const struct schedule *s, int pool, int stage)
{
	int64_t bytes = 0;
	for (int i = 0; i < s->states.n; i++) {
		const struct placed_state *p = &s->states.at[i];
		if (s->pool_of[i] != pool)
			continue;
		if (p->body < 0 && stages_have(s->parts.at[p->part], stage))
			bytes += p->bytes;
		for (int64_t k = s->stages.at[stage].layer_begin; k < s->stages.at[stage].layer_end; k++)
			bytes += p->body == s->body_of[k] ? p->bytes : 0;
	}
	return bytes;
}

/* Pages that suffice for any step: a sequence with n new positions holds those and `reach` - 1 before them, which lie
 * in at most floor(n / page) + floor((reach + 2 page - 4) / page) + 1 pages. */
static int64_t pages_of_windows(const struct schedule *s, const struct pool *pool)
{
	int64_t positions = s->pipeline.microbatches * program_max_tokens(s);
	int64_t each = (pool_reach(pool) + 2 * s->page - 4) / s->page + 1;
	return round_up(positions / s->page + s->seqs * each, s->page_multiple);
}

/* Inserts a pool; they are sorted by window, after that of all positions. Where there are too many, the states of the
 * shortest window go to the next pool. */
static void add_pool(struct schedule *s, struct pool pool)
{
	int at = 1;
	while (at < s->n_pools && s->pool[at].window < pool.window)
		at++;
	if (at < s->n_pools && s->pool[at].window == pool.window)
		return;
	if (s->n_pools < DR_POOLS) {
		for (int i = s->n_pools++; i > at; i--)
			s->pool[i] = s->pool[i - 1];
		s->pool[at] = pool;
		return;
	}
	if (at == 1)
		return;
	for (int i = 1; i < at - 1; i++)
		s->pool[i] = s->pool[i + 1];
	s->pool[at - 1] = pool;
}

void set_pools(struct schedule *s, const struct local *l)
{
	int n = l->program->states.n;
	int64_t *window = program_windows(l->program, l->arena);
	s->n_pools = 1;
	for (int i = 0; i < n; i++) {
		struct pool pool = {window[i], 0};
		pool.pages = pages_of_windows(s, &pool);
		if (window[i] && pool.pages < s->pool[0].pages)
			add_pool(s, pool);
	}
	int *of = arena_array(l->arena, int, n + 1);
	for (int i = 0; i < n; i++)
		for (int k = s->n_pools; window[i] && --k > 0 && s->pool[k].window >= window[i];)
			of[i] = k;
	s->pool_of = of;
}
