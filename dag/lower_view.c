/* Views of existing bytes, and joins of values side by side. */
#include "lower.h"

static int find_dim(const struct phys *p, int axis)
{
	for (int i = 0; i < p->n_dims; i++)
		if (p->dim[i].axis == axis)
			return i;
	internal_error("a value lacks axis %d", axis);
}

/* Narrows a value to axis `axis`, which is part of `whole` and begins at index `before` of it. */
static void narrow(struct lower *w, struct phys *p, int whole, int axis, int64_t before)
{
	const struct axis *part = &w->l->program->axes.at[axis];
	if (p->exchange >= 0 && whole == p->sorted_by) {
		p->sorted_by = axis, p->first += before, p->experts = part->extent;
		return;
	}
	int at = find_dim(p, whole);
	p->offset.value += before * p->stride[at] * dtype_bytes(p->dtype);
	p->dim[at] = (struct dim){axis, part->extent};
}

void lower_view(struct lower *w, int local)
{
	const struct program *p = w->l->program;
	const struct value *s = lower_source(w, local);
	int arg = w->ph->values.at[local].args[0];
	struct phys v = *lower_materialize(w, arg, local, NULL);
	int at = 0;
	while (at < v.n_dims && v.dim[at].axis != s->view.from)
		at++;
	if (s->op == OP_PIECE) {
		const struct axis *whole = &p->axes.at[s->view.from];
		int64_t before = 0;
		for (int i = 0; whole->part[i] != s->view.to; i++)
			before += p->axes.at[whole->part[i]].extent;
		if (v.offset.kind != NUMBER_CONST && v.cache)
			lower_unsupported(w, s->span, "a piece of a cache of which each rank takes a part");
		else if (v.offset.kind != NUMBER_CONST)
			v = *lower_copy(w, arg);
		narrow(w, &v, s->view.from, s->view.to, before);
	} else if (at < v.n_dims)
		v.dim[at].axis = s->view.to;
	w->phys[local] = v;
}

/* Memory of the result, with the joined axis innermost. Allocated when the first operand needs its place. */
static const struct phys *joined(struct lower *w, int local)
{
	if (w->phys[local].state == PHYS_READY)
		return &w->phys[local];
	struct phys shape = lower_shape(w, local), ordered = shape;
	const int *order = lower_axes_last(w, &shape, &lower_source(w, local)->into, 1);
	for (int i = 0; i < shape.n_dims; i++)
		ordered.dim[i] = shape.dim[find_dim(&shape, order[i])];
	phys_make_contiguous(&ordered);
	return lower_define(w, local, ordered);
}

/* The place of operand `n` in the result. */
static struct phys part_of(struct lower *w, int join, int n)
{
	const struct program *p = w->l->program;
	const int *parts = p->axes.at[lower_source(w, join)->into].part;
	struct phys to = *joined(w, join);
	int64_t before = 0;
	for (int i = 0; i < n; i++)
		before += p->axes.at[parts[i]].extent;
	narrow(w, &to, lower_source(w, join)->into, parts[n], before);
	return to;
}

struct phys *lower_define_in_join(struct lower *w, int local, struct phys p)
{
	for (int join = local + 1; join < w->ph->values.n && w->uses[local] == 1; join++) {
		const struct local_value *v = &w->ph->values.at[join];
		if (v->op != LOCAL_OP || lower_source(w, join)->op != OP_JOIN)
			continue;
		for (int i = 0; i < v->n_args; i++) {
			if (v->args[i] != local)
				continue;
			struct phys to = part_of(w, join, i);
			bool same = to.n_dims == p.n_dims && to.dtype == p.dtype && to.exchange == p.exchange
			            && to.sorted_by == p.sorted_by;
			for (int d = 0; same && d < p.n_dims; d++)
				same = to.dim[d].axis == p.dim[d].axis && to.dim[d].extent == p.dim[d].extent;
			if (!same)
				return NULL;
			w->phys[local] = to;
			return &w->phys[local];
		}
	}
	return NULL;
}

/* Computes or copies each operand to its place, unless it already is in place. An operand that lacks axes is copied
 * along them. */
void lower_join(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	joined(w, local);
	for (int i = 0; i < v->n_args; i++) {
		struct phys to = part_of(w, local, i);
		bool repeated = w->ph->values.at[v->args[i]].n_axes < w->ph->values.at[local].n_axes;
		if (repeated)
			lower_into(w, v->args[i], &to);
		else
			lower_place(w, v->args[i], local, &to);
	}
}
