/* Padding of the vocabulary. Sizes such as 49,155 are divided by no mesh. Each rank then takes the same number of
 * tokens, rounded up, and the last one has fewer: what it stores after them is zeros, which nothing reads.
 *
 * That holds for operators that treat each token by itself: a contraction that yields logits, arithmetic on them, an
 * embedding, `pick`, and `sample`, which stops at the last token. A model that does anything else along `vocab`, such
 * as a sum, cannot be padded; nor may a value be moved between layouts along it. */
#include "local.h"
#include "../support/round.h"

static bool has_axis(const struct program *p, int value, int axis)
{
	const struct value *v = value < 0 ? NULL : &p->values.at[value];
	return v && axis_among(v->axes, v->n_axes, axis);
}

/* Does the operator treat each token of the vocabulary by itself? */
static bool token_by_token(const struct program *p, const struct value *v)
{
	if (op_is_pointwise(v->op) || v->op == OP_PARAM || v->op == OP_PICK)
		return true;
	if (op_is_reduce(v->op))
		return !axis_among(v->reduce.over, v->reduce.n_over, p->vocab);
	if (v->op == OP_CONTRACT)
		return has_axis(p, v->args[0], p->vocab) != has_axis(p, v->args[1], p->vocab)
		       && !axis_among(v->reduce.over, v->reduce.n_over, p->vocab);
	return (v->op == OP_EMBED || v->op == OP_SAMPLE) && v->v == p->vocab;
}

int find_unpadded(const struct program *p)
{
	for (int i = 0; i < p->values.n; i++) {
		const struct value *v = &p->values.at[i];
		bool touches = has_axis(p, i, p->vocab);
		for (int k = 0; k < v->n_args; k++)
			touches |= has_axis(p, v->args[k], p->vocab);
		if (touches && !token_by_token(p, v))
			return i;
	}
	return -1;
}

bool may_pad(const struct local *l, int axis, int64_t ways)
{
	int64_t extent = l->program->axes.at[axis].extent;
	return axis == l->program->vocab && l->unpadded < 0 && (ways - 1) * divide_up(extent, ways) < extent;
}

/* Is the axis padded in the layout of this value? */
static bool is_padded(const struct local *l, const struct local_value *v, int axis)
{
	const struct atoms *a = layout_of(v, axis);
	return a && l->program->axes.at[axis].extent % atoms_size(l, a);
}

bool check_moves_of_padded(struct local *l)
{
	int vocab = l->program->vocab;
	for (int phase = 0; phase < PHASES && vocab >= 0; phase++)
		for (int i = 0; i < l->phase[phase].values.n; i++) {
			const struct local_value *v = &l->phase[phase].values.at[i];
			if (!local_is_move(v) || (v->move.from != vocab && v->move.to != vocab))
				continue;
			if (!is_padded(l, v, vocab) && !is_padded(l, &l->phase[phase].values.at[v->args[0]], vocab))
				continue;
			const struct axis *a = &l->program->axes.at[vocab];
			struct diag *d = diag_report(l->sink, DIAG_E0503, l->program->values.at[v->source].span,
			                             "`%s` (%lld) is padded, and this value would move along it (%s)", a->name,
			                             (long long)a->extent, v->move.cause);
			diag_help(l->sink, d, "place `%s` in the same way where the value is made and where it is read", a->name);
			return false;
		}
	return true;
}
