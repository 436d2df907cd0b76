/* What the backward pass of a step reads of the forward pass. An operator with a body, such as a norm, is
 * differentiated as a whole: it reads the operands of its call and computes the rest again; so it is with all that one
 * kernel computes on the way to what it writes. A gathered value is gathered again, so the rank's own part is what is
 * saved. */
#include "training.h"

/* One walk over the backward pass: marks what it reads. A value that is computed again is not read, but its operands
 * are. */
struct backward {
	const struct training *t;
	bool *mark, *seen;
	const bool *again, *in_memory;
};

/* Is it there throughout the step? Params, inputs, constants, and what follows from positions alone. */
static bool is_kept(const struct training *t, int at)
{
	const struct local_value *v = &t->forward->values.at[at];
	return v->part == PART_EVERY || v->op == LOCAL_CONST || v->op == LOCAL_ANGLES || training_is(t, at, OP_PARAM)
	       || training_is(t, at, OP_INPUT);
}

static void need(struct backward *r, int at)
{
	if (at < 0)
		return;
	at = training_storage(r->t, at);
	const struct local_value *v = &r->t->forward->values.at[at];
	if (is_kept(r->t, at) || r->seen[at])
		return;
	r->seen[at] = true;
	bool passes = v->op == LOCAL_ALL_GATHER || r->again[at] || !r->in_memory[at];
	r->mark[at] = !passes;
	for (int i = 0; passes && i < v->n_args; i++)
		need(r, v->args[i]);
}

/* The operands of a call that come from outside. */
static void need_operands(struct backward *r, int at, int call)
{
	const struct local_value *v = &r->t->forward->values.at[at];
	for (int i = 0; i < v->n_args; i++) {
		int arg = v->args[i];
		bool inside =
			arg >= 0 && r->t->forward->values.at[arg].op == LOCAL_OP && training_source(r->t, arg)->call == call;
		if (!inside)
			need(r, arg);
	}
}

static bool is_constant(const struct training *t, int at)
{
	return at >= 0 && is_kept(t, at) && !training_is(t, at, OP_PARAM);
}

/* Both factors, unless the product only scales. */
static void need_factors(struct backward *r, const struct local_value *v)
{
	for (int i = 0; i < 2; i++)
		if (!is_constant(r->t, v->args[1 - i]))
			need(r, v->args[i]);
}

static void need_all(struct backward *r, const struct local_value *v, int n)
{
	for (int i = 0; i < n && i < v->n_args; i++)
		need(r, v->args[i]);
}

/* What the adjoint of an operator reads. */
static void adjoint_reads(struct backward *r, int at)
{
	const struct local_value *v = &r->t->forward->values.at[at];
	const struct value *s = training_source(r->t, at);
	if (s->call >= 0) {
		need_operands(r, at, s->call);
		return;
	}
	switch (s->op) {
	case OP_CONTRACT:
	case OP_MUL:
	case OP_DIV:      need_factors(r, v); break;
	case OP_MIN:
	case OP_MAX:
	case OP_CLAMP:
	case OP_LOG:
	case OP_ERF:
	case OP_SIN:
	case OP_COS:
	case OP_ABS:
	case OP_COMBINE:  need_all(r, v, v->n_args); break;
	case OP_EXP:
	case OP_SQRT:
	case OP_RSQRT:
	case OP_TANH:     need(r, at); break;
	case OP_DISPATCH: need(r, v->args[1]); break;
	case OP_REDUCE_MAX:
	case OP_ROUTE:
	case OP_ATTEND:
		need_all(r, v, v->n_args);
		need(r, at);
		break;
	default: break; /* linear: nothing */
	}
}

static void look(const struct training *t, bool *mark, const bool *again)
{
	struct backward r = {t, mark, arena_array(t->arena, bool, t->forward->values.n + 1), again, training_in_memory(t)};
	for (int i = 0; i < t->forward->values.n; i++)
		if (t->forward->values.at[i].op == LOCAL_OP && !is_kept(t, i))
			adjoint_reads(&r, i);
}

void training_find_saved(struct training *t)
{
	look(t, t->saved, t->again);
	look(t, t->read, arena_array(t->arena, bool, t->forward->values.n + 1));
}
