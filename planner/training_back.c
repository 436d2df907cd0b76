/* What the backward pass sums over ranks. A gradient is pending over a mesh axis where an operator splits its work over
 * the axis and the operand is the same on all its ranks: each rank then has the part that its own work gives. Operators
 * that are linear pass such a sum on; before any other it is added up. Sums that reach a param are added up once a
 * step.
 *
 *   forward         backward, if the gradient of its result is pending over the axis   if not
 *   all_gather      reduce_scatter                                                     slice
 *   reduce_scatter  -                                                                  all_gather
 *   all_reduce      all_reduce                                                         nothing
 *   all_to_all      all_to_all                                                         all_to_all
 *   slice           -                                                                  all_gather */
#include "training_time.h"

static uint64_t mask_of(const struct atoms *a)
{
	uint64_t mask = 0;
	for (int i = 0; i < a->n; i++)
		mask |= (uint64_t)1 << a->at[i];
	return mask;
}

static uint64_t split_of(const struct local_value *v)
{
	uint64_t mask = 0;
	for (int i = 0; i < v->n_axes; i++)
		mask |= mask_of(&v->layout.axis[i]);
	return mask;
}

uint64_t training_move_atoms(const struct local_value *v) { return mask_of(&v->move.atoms); }

/* Does it pass a pending gradient on, as a sum or a copy does? */
static bool is_linear(const struct training *t, int at)
{
	const struct local_value *v = &t->forward->values.at[at];
	if (v->op != LOCAL_OP)
		return true;
	switch (training_source(t, at)->call >= 0 ? OP_COUNT : training_source(t, at)->op) {
	case OP_ADD:
	case OP_SUB:
	case OP_CAST:
	case OP_RENAME:
	case OP_PIECE:
	case OP_JOIN:
	case OP_FINAL:  return true;
	default:        return false;
	}
}

/* The atoms that a whole operator splits its work over; all values of a call are one operator. */
static uint64_t *find_splits(const struct training *t)
{
	const struct local_phase *ph = t->forward;
	int calls = t->local->program->calls.n;
	uint64_t *of = arena_array(t->arena, uint64_t, ph->values.n + 1);
	uint64_t *of_call = arena_array(t->arena, uint64_t, calls + 1);
	for (int i = 0; i < ph->values.n; i++) {
		const struct local_value *v = &ph->values.at[i];
		of[i] = split_of(v);
		for (int k = 0; k < v->n_args; k++)
			if (v->args[k] >= 0 && ph->values.at[v->args[k]].op != LOCAL_CONST)
				of[i] |= split_of(&ph->values.at[v->args[k]]);
		int call = training_source(t, i)->call;
		if (v->op == LOCAL_OP && call >= 0)
			of_call[call] |= of[i];
	}
	for (int i = 0; i < ph->values.n; i++)
		if (ph->values.at[i].op == LOCAL_OP && training_source(t, i)->call >= 0)
			of[i] = of_call[training_source(t, i)->call];
	return of;
}

/* The gradient of a gather's operand: what it adds up is no longer pending. */
static uint64_t through_move(const struct local_value *v, uint64_t pending)
{
	return v->op == LOCAL_ALL_GATHER ? pending & ~mask_of(&v->move.atoms) : pending;
}

void training_find_pending(const struct training *t, struct training_pending *out)
{
	const struct local_phase *ph = t->forward;
	const uint64_t *split = find_splits(t);
	out->of = arena_array(t->arena, uint64_t, ph->values.n + 1);
	out->resolved = arena_array(t->arena, uint64_t, ph->values.n + 1);
	for (int i = ph->values.n; i-- > 0;) {
		const struct local_value *v = &ph->values.at[i];
		bool move = local_is_move(v), linear = is_linear(t, i), param = training_is(t, i, OP_PARAM);
		int call = v->op == LOCAL_OP ? training_source(t, i)->call : -1;
		uint64_t passes = linear ? through_move(v, out->of[i]) : 0;
		if (v->op == LOCAL_ALL_REDUCE) { /* its result is read where it is whole */
			out->resolved[i] = out->of[i];
			passes = 0;
		}
		if (!linear && !param && call < 0)
			out->resolved[i] = out->of[i];
		if (call >= 0 && t->local->program->calls.at[call].last == v->source)
			out->resolved[i] = out->of[i];
		for (int k = 0; k < v->n_args; k++)
			if (v->args[k] >= 0)
				out->of[v->args[k]] |= passes | (move ? 0 : split[i] & ~split_of(&ph->values.at[v->args[k]]));
	}
}
