/* Contractions of an activation with a param: decides which axes are rows, batches, outputs and summed elements. */
#include "lower.h"

/* Axes of a contraction, each list in the kernel's order. `batch`: static axes of both operands and of the result, in
 * the param's order. `group`: the axis of experts if rows are sorted by it; -1: none. */
struct axes {
	int rest[MAX_DIMS], batch[MAX_DIMS], k[MAX_DIMS], n_rest, n_batch, n_k, group;
};

static struct axes axes_of(const struct lower *w, int local, const struct phys *x, const struct contraction *c)
{
	const struct local_value *weight = &w->ph->values.at[c->weight];
	struct axes a = {.group = c->experts};
	for (int i = 0; i < x->n_dims; i++)
		if (!axis_among(weight->axes, weight->n_axes, x->dim[i].axis))
			a.rest[a.n_rest++] = x->dim[i].axis;
	for (int i = 0; i < weight->n_axes; i++) {
		enum dr_role role = contraction_role(w, local, c, weight->axes[i]);
		if (role == DR_WEIGHT_K)
			a.k[a.n_k++] = weight->axes[i];
		else if (role == DR_WEIGHT_GROUP && weight->axes[i] != c->experts)
			a.batch[a.n_batch++] = weight->axes[i];
	}
	return a;
}

/* Can the kernel read or write the value in place? It needs rows, then batches, each with one stride, then the other
 * axes without gaps. */
static bool strided(const struct phys *p, const struct axes *a)
{
	int rest = a->n_rest, inner = rest + a->n_batch;
	if (!phys_merges(p, inner, p->n_dims, 1) || (rest < inner && !phys_merges(p, rest, inner, p->stride[inner - 1])))
		return false;
	return !rest || (phys_merges(p, 0, rest, p->stride[rest - 1]) && p->row_stride == p->stride[0] * p->dim[0].extent);
}

static bool readable(const struct phys *x, const struct axes *a, const int *order)
{
	for (int i = 0; i < x->n_dims; i++)
		if (x->dim[i].axis != order[i])
			return false;
	return strided(x, a);
}

static const struct phys *operand(struct lower *w, const struct contraction *c, int user, struct axes *a)
{
	const struct phys *x = lower_materialize(w, c->x, user, NULL);
	int *order = arena_array(w->arena, int, x->n_dims + 1), n = 0;
	*a = axes_of(w, user, x, c);
	for (int i = 0; i < a->n_rest; i++)
		order[n++] = a->rest[i];
	for (int i = 0; i < a->n_batch; i++)
		order[n++] = a->batch[i];
	for (int i = 0; i < a->n_k; i++)
		order[n++] = a->k[i];
	return readable(x, a, order) ? x : lower_materialize_contiguous(w, c->x, user, order);
}

static void set_extents(struct lower *w, struct kernel_contract *c, const struct phys *x, const struct axes *a,
                        const struct local_value *param, struct phys *y, struct span span)
{
	int rest = a->n_rest, first_k = x->n_dims - a->n_k;
	c->n = c->k = c->batch = c->groups = 1;
	for (int i = rest; i < first_k; i++)
		c->batch *= x->dim[i].extent;
	for (int i = first_k; i < x->n_dims; i++)
		c->k *= x->dim[i].extent;
	y->n_dims = first_k;
	for (int i = 0; i < param->n_axes; i++) {
		int64_t extent = axis_local(w->l, param, i);
		if (param->axes[i] == a->group)
			c->groups = extent;
		else if (!axis_among(a->k, a->n_k, param->axes[i]) && !axis_among(a->batch, a->n_batch, param->axes[i])) {
			if (y->n_dims == MAX_DIMS) {
				lower_unsupported(w, span, "a value of more than %d axes", MAX_DIMS);
				break;
			}
			y->dim[y->n_dims++] = (struct dim){param->axes[i], extent};
			c->n *= extent;
		}
	}
	phys_make_contiguous(y);
}

static void set_strides(struct kernel_contract *c, const struct phys *x, const struct phys *y, const struct axes *a)
{
	int rest = a->n_rest, inner = rest + a->n_batch;
	c->x_stride = rest ? x->stride[rest - 1] : x->row_stride;
	c->y_stride = rest ? y->stride[rest - 1] : y->row_stride;
	c->x_batch = a->n_batch ? x->stride[inner - 1] : 0;
	c->y_batch = a->n_batch ? y->stride[inner - 1] : 0;
}

static struct number rows_of(const struct lower *w, const struct phys *x, const struct axes *a)
{
	if (x->exchange >= 0)
		return number_const(w->exchanges.at[x->exchange].rows);
	struct number rows = x->rows;
	for (int i = 0; i < a->n_rest; i++)
		rows.value *= x->dim[i].extent;
	return rows;
}

static bool supported(struct lower *w, const struct value *s, const struct phys *x, const struct axes *a)
{
	if (x->exchange >= 0 && (a->n_rest || a->n_batch))
		lower_unsupported(w, s->span, "a contraction of experts' rows with axis `%s` besides",
		                  w->l->program->axes.at[a->n_rest ? a->rest[0] : a->batch[0]].name);
	return !w->failed;
}

void lower_contract(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct value *s = lower_source(w, local);
	struct contraction of;
	bool weighted = lower_contraction(w, local, &of);
	for (int i = 0; i < 2; i++) {
		int moved = lower_moved_param(w, lower_through_cast(w, v->args[i]));
		if (moved < 0)
			continue;
		lower_unsupported(w, w->l->program->params.at[lower_source(w, moved)->param].span,
		                  "a weight that its reader wants in another layout");
		return;
	}
	if (!weighted) {
		lower_unsupported(w, s->span, "a contraction of two activations over several axes, or of two params");
		return;
	}
	const struct local_value *weight = &w->ph->values.at[of.weight];
	const struct placed_param *placed = lower_placed(w, of.weight, local);
	struct axes a;
	const struct phys *x = operand(w, &of, local, &a);
	if (!supported(w, s, x, &a))
		return;
	struct kernel k = kernel_of(KERNEL_CONTRACT);
	struct kernel_contract *c = &k.contract;
	struct phys y = *x;
	y.dtype = v->dtype;
	set_extents(w, c, x, &a, weight, &y, s->span);
	if (w->failed)
		return;
	c->x = x->dtype, c->y = y.dtype, c->w = placed->param->dtype;
	c->pack = placed->pack;
	c->grouped = a.group >= 0;
	struct argument args[CONTRACT_ARGUMENTS] = {arg_phys(x), arg_placed(placed->space, placed->offset)};
	const struct phys *out = lower_define_in_join(w, local, y);
	if (!out || !strided(out, &a))
		out = lower_define(w, local, y);
	set_strides(c, x, out, &a);
	args[CONTRACT_Y] = arg_phys(out);
	args[CONTRACT_M] = arg_number(rows_of(w, x, &a));
	if (c->grouped) {
		args[CONTRACT_OFFSETS] = arg_buffer(w->exchanges.at[x->exchange].offsets);
		args[CONTRACT_OFFSETS].number = number_const(4 * x->first);
	}
	lower_launch(w, local, x->exchange, &k, args, kernel_args(&k),
	             arena_printf(w->arena, "contract %s", placed->param->name));
}
