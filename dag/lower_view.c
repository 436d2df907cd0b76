/* Other names for bytes that are there, and values put side by side. */
#include "lower.h"

static int find_dim(const struct phys *p, int axis)
{
	for (int i = 0; i < p->n_dims; i++)
		if (p->dim[i].axis == axis) return i;
	internal_error("a value lacks axis %d", axis);
}

/* Narrows a value to `part`, which lies behind `before` indices of dimension `at`. */
static void narrow(struct phys *p, int at, const struct axis *part, int axis, int64_t before)
{
	p->offset.value += before * p->stride[at] * dtype_bytes(p->dtype);
	p->dim[at] = (struct dim){ axis, part->extent };
}

void lower_view(struct lower *w, int local)
{
	const struct program *p = w->l->program;
	const struct value *s = lower_source(w, local);
	struct phys v = *lower_stored(w, w->ph->values.at[local].args[0], NULL);
	int at = 0;
	while (at < v.n_dims && v.dim[at].axis != s->from) at++;
	if (s->op == OP_PIECE) {
		const struct axis *whole = &p->axes.at[s->from];
		int64_t before = 0;
		for (int i = 0; whole->part[i] != s->to; i++) before += p->axes.at[whole->part[i]].extent;
		if (v.offset.kind != NUMBER_CONST) lower_unsupported(w, s->span, "a piece of a part that each rank has its own of");
		narrow(&v, find_dim(&v, s->from), &p->axes.at[s->to], s->to, before);
	} else if (at < v.n_dims) v.dim[at].axis = s->to;
	w->phys[local] = v;
}

/* Each operand is computed, or copied, to where it lies in the result. */
void lower_join(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct value *s = lower_source(w, local);
	const struct axis *whole = &w->l->program->axes.at[s->to];
	struct phys shape = lower_shape(w, local), ordered = shape;
	const int *order = lower_axes_last(w, &shape, &s->to, 1);
	for (int i = 0; i < shape.n_dims; i++) ordered.dim[i] = shape.dim[find_dim(&shape, order[i])];
	phys_make_contiguous(&ordered);
	const struct phys out = *lower_define(w, local, ordered);
	int64_t before = 0;
	for (int i = 0; i < v->n_args; i++) {
		const struct axis *part = &w->l->program->axes.at[whole->part[i]];
		struct phys to = out;
		narrow(&to, out.n_dims - 1, part, whole->part[i], before);
		before += part->extent;
		if (lower_is_param(w, v->args[i])) lower_unsupported(w, s->span, "`join` of a param");
		else lower_place(w, v->args[i], &to);
	}
}
