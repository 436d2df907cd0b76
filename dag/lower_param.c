/* Places params: in tile order for contractions, else row-major, in the space of the stage that reads them. */
#include <string.h>
#include "lower.h"

static int64_t round64(int64_t n) { return (n + 63) / 64 * 64; }
static int64_t round_to(int64_t n, int64_t m) { return (n + m - 1) / m * m; }

int64_t param_bytes(const struct schedule *s, enum dr_space space, int body)
{
	int64_t bytes = 0;
	for (int i = 0; i < s->params.n; i++)
		if (s->params.at[i].space == space && s->params.at[i].param->body == body)
			bytes += round64(s->params.at[i].bytes);
	return bytes;
}

/* The space depends on the reader's stage. With one stage, all params outside the loop share a space. */
static enum dr_space space_of(const struct lower *w, const struct param *p, int user)
{
	if (p->in_loop)
		return DR_SPACE_LAYER;
	if (w->s->stages.n == 1)
		return DR_SPACE_PRE;
	switch (w->ph->values.at[user].section) {
	case SECTION_FIRST_STAGE: return DR_SPACE_PRE;
	case SECTION_LAST_STAGE:  return DR_SPACE_POST;
	default:                  return DR_SPACE_EVERY;
	}
}

static enum dr_role role_of(int axis, const int *k, int n_k, const int *group, int n_group)
{
	return axis_among(group, n_group, axis) ? DR_WEIGHT_GROUP : axis_among(k, n_k, axis) ? DR_WEIGHT_K : DR_WEIGHT_N;
}

static bool keyed(const struct param *p, int axis)
{
	for (int i = 0; i < p->n_keyed; i++)
		if (p->keyed[i] == axis)
			return true;
	return false;
}

/* Adds the param's axis `axis` to the list of the placed param. */
static void add_axis(struct lower *w, struct placed_param *out, const struct local_value *v, int axis,
                     enum dr_role role)
{
	const struct param *p = out->param;
	for (int i = 0; i < p->n_axes; i++) {
		if (p->axes[i] != axis)
			continue;
		struct atoms *a = layout_of(v, axis);
		const struct axis *x = &w->l->program->axes.at[axis];
		out->axes[out->n_axes++] = (struct placed_axis){
			x->name, x->extent,     x->extent / atoms_size(w->l, a), p->stored.stride[i], a->n ? lower_group(w, a) : -1,
			role,    keyed(p, axis)};
	}
}

static int64_t tile_elements(const struct placed_param *p)
{
	int64_t groups = 1, n = 1, k = 1;
	for (int i = 0; i < p->n_axes; i++)
		*(p->axes[i].role == DR_WEIGHT_GROUP ? &groups : p->axes[i].role == DR_WEIGHT_N ? &n : &k) *= p->axes[i].local;
	return groups * round_to(n, p->pack.n_tile) * round_to(k, p->pack.k_pair);
}

static bool same_order(const struct placed_param *a, const struct placed_param *b)
{
	bool same = a->n_axes == b->n_axes && a->pack.n_tile == b->pack.n_tile && a->pack.k_pair == b->pack.k_pair;
	for (int i = 0; same && i < a->n_axes; i++)
		same = !strcmp(a->axes[i].name, b->axes[i].name) && a->axes[i].role == b->axes[i].role;
	return same;
}

static struct argument place(struct lower *w, struct placed_param p, int user)
{
	struct schedule *s = w->s;
	p.space = space_of(w, p.param, user);
	p.offset = param_bytes(s, p.space, p.param->body);
	for (int i = 0; i < s->params.n; i++) {
		if (s->params.at[i].param != p.param || s->params.at[i].space != p.space)
			continue;
		if (!same_order(&s->params.at[i], &p))
			lower_unsupported(w, p.param->span, "a param that two operators read in different orders");
		return arg_placed(p.space, s->params.at[i].offset);
	}
	if (!dtype_is_loaded(p.param->dtype))
		lower_unsupported(w, p.param->span, "a weight stored as %s", dtype_name(p.param->dtype));
	vec_push(w->arena, &s->params, p);
	return arg_placed(p.space, p.offset);
}

/* A weight is read in place: to move it, each step would need a collective on weights. */
static const struct param *param_of(struct lower *w, int param)
{
	return &w->l->program->params.at[lower_source(w, param)->param];
}

struct argument lower_weight(struct lower *w, int param, int user, const int *k, int n_k, const int *group, int n_group,
                             struct packing pack)
{
	const struct local_value *v = &w->ph->values.at[param];
	struct placed_param p = {.param = param_of(w, param), .pack = pack};
	p.axes = arena_array(w->arena, struct placed_axis, v->n_axes + 1);
	for (int i = 0; i < v->n_axes;
	     i++) { /* groups and outputs keep the param's order; summed axes take the operand's */
		enum dr_role role = role_of(v->axes[i], k, n_k, group, n_group);
		if (role != DR_WEIGHT_K)
			add_axis(w, &p, v, v->axes[i], role);
	}
	for (int i = 0; i < n_k; i++)
		add_axis(w, &p, v, k[i], DR_WEIGHT_K);
	p.bytes = tile_elements(&p) * dtype_bytes(p.param->dtype);
	return place(w, p, user);
}

struct argument lower_plain(struct lower *w, int param, int user, const int *order)
{
	const struct local_value *v = &w->ph->values.at[param];
	struct placed_param p = {.param = param_of(w, param)};
	p.axes = arena_array(w->arena, struct placed_axis, v->n_axes + 1);
	int64_t elements = 1;
	for (int i = 0; i < v->n_axes; i++) {
		add_axis(w, &p, v, order ? order[i] : v->axes[i], DR_PLAIN);
		elements *= p.axes[i].local;
	}
	p.bytes = elements * dtype_bytes(p.param->dtype);
	return place(w, p, user);
}

const struct phys *lower_param(struct lower *w, int param, int user, const int *order)
{
	const struct phys *declared = &w->phys[param];
	struct phys *p = arena_new(w->arena, struct phys);
	*p = *declared;
	for (int i = 0; order && i < p->n_dims; i++)
		for (int k = 0; k < p->n_dims; k++)
			if (declared->dim[k].axis == order[i])
				p->dim[i] = declared->dim[k];
	phys_make_contiguous(p);
	struct address at = lower_plain(w, param, user, order).address;
	phys_set_address(p, at.space, at.offset);
	return p;
}
