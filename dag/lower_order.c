/* The exchanges of a phase, and the order in which its values are lowered.
 *
 * All that is dispatched by one routing goes through one exchange, with one loop over rounds, unless it depends on a
 * result of that exchange: then it begins another. The loop ends with the exchange's results (combine), so whatever
 * they need is lowered before the first of them. */
#include "lower.h"

/* Can both dispatches go through one exchange? Their tokens and experts must be split alike. */
static bool share_exchange(const struct local_value *a, const struct local_value *b)
{
	return a->args[1] == b->args[1] && atoms_equal(&a->experts.all, &b->experts.all)
	       && atoms_equal(&a->experts.exchange, &b->experts.exchange)
	       && atoms_equal(&a->experts.filter, &b->experts.filter);
}

/* The exchange of a dispatch: one that it can share and does not depend on, or a new one. after[e]: does the value
 * depend on a result of exchange e? */
static int exchange_for(struct lower *w, int dispatch, const bool *after)
{
	const struct local_value *v = &w->ph->values.at[dispatch];
	for (int e = 0; e < w->exchanges.n; e++)
		if (!after[e] && share_exchange(&w->ph->values.at[w->exchanges.at[e].dispatch], v))
			return e;
	vec_push(w->arena, &w->exchanges, ((struct expert_exchange){.dispatch = dispatch}));
	return w->exchanges.n - 1;
}

static int count_ops(const struct lower *w, enum op op)
{
	int n = 0;
	for (int i = 0; i < w->ph->values.n; i++)
		n += lower_is_op(w, i, op);
	return n;
}

/* The exchange that the operands of a value belong to, or -1. */
static int of_operands(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	int found = -1;
	for (int i = 0; i < v->n_args; i++) {
		int e = v->args[i] < 0 || lower_is_op(w, v->args[i], OP_COMBINE) ? -1 : w->exchange_of[v->args[i]];
		if (e >= 0 && found >= 0 && e != found && !w->failed)
			lower_unsupported(w, lower_source(w, local)->span,
			                  "`%s` of rows from before a `combine` and of rows dispatched after it",
			                  op_name(lower_source(w, local)->op));
		found = e >= 0 ? e : found;
	}
	return found;
}

static void find_exchanges(struct lower *w)
{
	int n = w->ph->values.n, most = count_ops(w, OP_DISPATCH);
	bool *after = arena_array(w->arena, bool, (size_t)n *(size_t)most + 1); /* [value][exchange] */
	w->exchange_of = arena_array(w->arena, int, n + 1);
	for (int i = 0; i < n; i++) {
		const struct local_value *v = &w->ph->values.at[i];
		bool *mine = after + (size_t)i * (size_t)most;
		for (int k = 0; k < v->n_args; k++)
			for (int e = 0; e < most && v->args[k] >= 0; e++)
				mine[e] |= after[(size_t)v->args[k] * (size_t)most + (size_t)e];
		w->exchange_of[i] = lower_is_op(w, i, OP_DISPATCH) ? exchange_for(w, i, mine) : of_operands(w, i);
		if (!lower_is_op(w, i, OP_COMBINE) || w->exchange_of[i] < 0)
			continue;
		if (mine[w->exchange_of[i]] && !w->failed)
			lower_unsupported(w, lower_source(w, i)->span,
			                  "a `combine` that depends on another one of the same dispatch");
		mine[w->exchange_of[i]] = true;
		w->exchanges.at[w->exchange_of[i]].results++;
	}
}

/* ---- order ----------------------------------------------------------------------------------- */
static void visit(struct lower *w, int local, bool *done);

static void visit_operands(struct lower *w, int local, bool *done)
{
	const struct local_value *v = &w->ph->values.at[local];
	for (int i = 0; i < v->n_args; i++)
		if (v->args[i] >= 0)
			visit(w, v->args[i], done);
}

/* Adds a value after what it needs: a result with all the other results of its exchange. */
static void visit(struct lower *w, int local, bool *done)
{
	if (done[local])
		return;
	visit_operands(w, local, done);
	if (!lower_is_op(w, local, OP_COMBINE)) {
		done[local] = true;
		vec_push(w->arena, &w->order, local);
		return;
	}
	for (int add = 0; add < 2; add++)
		for (int i = local; i < w->ph->values.n; i++) {
			if (!lower_is_op(w, i, OP_COMBINE) || w->exchange_of[i] != w->exchange_of[local] || done[i])
				continue;
			if (add) {
				done[i] = true;
				vec_push(w->arena, &w->order, i);
			} else
				visit_operands(w, i, done);
		}
}

void lower_order(struct lower *w)
{
	bool *done = arena_array(w->arena, bool, w->ph->values.n + 1);
	find_exchanges(w);
	for (int i = 0; i < w->ph->values.n && !w->failed; i++)
		visit(w, i, done);
}
