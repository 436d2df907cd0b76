/* Rows kernels: chains of pointwise values and reductions, fused into one kernel where a value's bytes are needed. A
 * contraction of two activations becomes one too, since it has no weight to pack and sums little per row. */
#include <string.h>
#include "lower.h"

_Static_assert((int)ROWS_MAX_DIMS > (int)MAX_DIMS, "a value's axes, and one that is reduced");

struct done {
	int local, node;
}; /* the node of a local value */

struct chain {
	struct lower *w;
	int root;
	struct kernel_rows *k;
	struct phys shape; /* shape of the root: rows, and the axes iterated over */
	int reduced;
	int64_t extent;              /* reduced: axis of the reductions, -1: none yet; its extent */
	int group;                   /* axis by which an exchange's rows are sorted (experts), or -1 */
	int leaf[ROWS_MAX_OPERANDS]; /* local values that the kernel loads */
	VEC(struct done) done;
	int cut;   /* chains of values up to this depth are computed by kernels of their own */
	bool full; /* one kernel cannot compute it all */
};

static bool is_product_of_rows(const struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	if (lower_source(w, local)->op != OP_CONTRACT || lower_source(w, local)->reduce.n_over != 1)
		return false;
	for (int i = 0; i < 2; i++)
		if (lower_is_param(w, lower_through_cast(w, v->args[i])) || lower_moved_param(w, v->args[i]) >= 0)
			return false;
	return true;
}

bool lower_is_rows(const struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	if (v->op != LOCAL_OP)
		return v->op == LOCAL_NARROW || v->op == LOCAL_TO_PENDING;
	enum op op = lower_source(w, local)->op;
	return op_is_pointwise(op) || op_is_reduce(op) || op == OP_IOTA || is_product_of_rows(w, local);
}

/* The axis that a value's sum, mean or maximum runs over, or -1. */
static int reduced_axis(const struct value *s) { return value_reduced(s).n ? s->reduce.over[0] : -1; }

/* The extent of that axis on a rank; a contraction may sum only the rank's part. */
static int64_t reduced_extent(const struct lower *w, int local)
{
	const struct value *s = lower_source(w, local);
	const struct local_value *x = &w->ph->values.at[w->ph->values.at[local].args[0]];
	const struct atoms *cut = layout_of(x, s->reduce.over[0]);
	return w->l->program->axes.at[s->reduce.over[0]].extent / (s->op == OP_CONTRACT && cut ? atoms_size(w->l, cut) : 1);
}

/* Where the author wrote a value; for a value inside an op, the call. */
static struct span written(const struct lower *w, const struct value *s)
{
	return s->call >= 0 ? w->l->program->calls.at[s->call].span : s->span;
}

static int add_node(struct chain *c, enum rows_op op, int a, int b, int x, double number, enum dtype dtype)
{
	struct kernel_rows *k = c->k;
	c->full |= k->n_nodes == ROWS_MAX_NODES;
	if (c->full)
		return 0;
	struct rows_node *n = &k->node[k->n_nodes];
	n->op = op, n->a = a, n->b = b, n->c = x, n->number = number, n->dtype = dtype;
	return k->n_nodes++;
}

static enum rows_op rows_op_of(enum op op)
{
	static const enum rows_op map[OP_COUNT] = {
		[OP_ADD] = ROWS_ADD,     [OP_SUB] = ROWS_SUB,     [OP_MUL] = ROWS_MUL,
		[OP_DIV] = ROWS_DIV,     [OP_MIN] = ROWS_MIN,     [OP_MAX] = ROWS_MAX,
		[OP_CLAMP] = ROWS_CLAMP, [OP_EXP] = ROWS_EXP,     [OP_LOG] = ROWS_LOG,
		[OP_SQRT] = ROWS_SQRT,   [OP_RSQRT] = ROWS_RSQRT, [OP_TANH] = ROWS_TANH,
		[OP_ERF] = ROWS_ERF,     [OP_SIN] = ROWS_SIN,     [OP_COS] = ROWS_COS,
		[OP_ABS] = ROWS_ABS,     [OP_FLOOR] = ROWS_FLOOR, [OP_CEIL] = ROWS_CEIL,
		[OP_SUM] = ROWS_SUM,     [OP_MEAN] = ROWS_MEAN,   [OP_REDUCE_MAX] = ROWS_REDUCE_MAX,
	};
	return map[op];
}

static int find_dim(const struct phys *p, int axis)
{
	for (int i = 0; i < p->n_dims; i++)
		if (p->dim[i].axis == axis)
			return i;
	return -1;
}

/* Can the kernel also compute the reduction `local`? A kernel has one reduced axis, and one extent per axis. */
static bool may_reduce(const struct chain *c, int local)
{
	int axis = reduced_axis(lower_source(c->w, local)), at = find_dim(&c->shape, axis);
	int64_t extent = reduced_extent(c->w, local);
	return axis != c->group && (c->reduced < 0 || (c->reduced == axis && c->extent == extent))
	       && (at < 0 || c->shape.dim[at].extent == extent);
}

/* May `arg` be computed inside its user's kernel, instead of going through memory? */
static bool may_inline(const struct chain *c, int user, int arg)
{
	const struct lower *w = c->w;
	if (!lower_is_rows(w, arg) || w->phys[arg].state != PHYS_VIRTUAL || w->phys[arg].depth <= c->cut)
		return false;
	const struct value *a = lower_source(w, arg), *u = lower_source(w, user);
	const struct phys *p = &w->phys[arg];
	bool same_call =
		a->call >= 0 && a->call == u->call && w->l->program->calls.at[a->call].last != w->ph->values.at[arg].source;
	if (!same_call && w->uses[arg] > 1)
		return false;
	if (c->k->n_nodes > ROWS_MAX_NODES / 2 || c->k->n_inputs > ROWS_MAX_OPERANDS - 4)
		return same_call;
	if (w->ph->values.at[arg].op == LOCAL_OP && reduced_axis(a) >= 0 && !may_reduce(c, arg))
		return false;
	if (p->exchange != c->shape.exchange && p->rows.kind != NUMBER_CONST)
		internal_error("a token for each row of an expert");
	return w->ph->values.at[arg].part == w->ph->values.at[c->root].part;
}

static int build(struct chain *c, int user, int local);

static int load_leaf(struct chain *c, int local)
{
	c->full |= c->k->n_inputs == ROWS_MAX_OPERANDS;
	if (c->full)
		return 0;
	c->leaf[c->k->n_inputs] = local;
	return add_node(c, ROWS_LOAD, c->k->n_inputs++, 0, 0, 0, DTYPE_F32);
}

static int build_op(struct chain *c, int local)
{
	struct lower *w = c->w;
	const struct local_value *v = &w->ph->values.at[local];
	const struct value *s = lower_source(w, local);
	if (v->op == LOCAL_NARROW) {
		int node = build(c, local, v->args[0]);
		return local == c->root ? node : add_node(c, ROWS_ROUND_TO, node, 0, 0, 0, v->dtype);
	}
	if (v->op == LOCAL_TO_PENDING) {
		int part = add_node(c, ROWS_CONST, 0, 0, 0, 1 / (double)atoms_size(w->l, &v->move.atoms), DTYPE_F32);
		return add_node(c, ROWS_MUL, build(c, local, v->args[0]), part, 0, 0, DTYPE_F32);
	}
	int args[3] = {0}, run_over = s->op == OP_IOTA ? v->axes[0] : reduced_axis(s);
	if (run_over >= 0 && !w->l->program->axes.at[run_over].extent && !w->failed)
		lower_unsupported(w, written(w, s), "`%s` along the run-time axis `%s`", op_name(s->op),
		                  w->l->program->axes.at[run_over].name);
	if (reduced_axis(s) >= 0)
		c->reduced = run_over, c->extent = reduced_extent(w, local);
	for (int i = 0; i < v->n_args && i < 3; i++)
		args[i] = build(c, local, v->args[i]);
	int node = args[0];
	if (s->op == OP_IOTA) {
		node = add_node(c, ROWS_IOTA, 0, 0, 0, 0, DTYPE_F32);
		c->reduced = v->axes[0], c->extent = w->l->program->axes.at[c->reduced].extent;
	} else if (s->op == OP_CONTRACT)
		node = add_node(c, ROWS_SUM, add_node(c, ROWS_MUL, args[0], args[1], 0, 0, DTYPE_F32), 0, 0, 0, DTYPE_F32);
	else if (s->op != OP_CAST)
		node = add_node(c, rows_op_of(s->op), args[0], args[1], args[2], 0, DTYPE_F32);
	bool rounds = v->dtype != DTYPE_F32 && v->dtype != DTYPE_I32;
	if (rounds && local != c->root)
		node = add_node(c, ROWS_ROUND_TO, node, 0, 0, 0, v->dtype);
	return node;
}

static int build(struct chain *c, int user, int local)
{
	const struct local_value *v = &c->w->ph->values.at[local];
	for (int i = 0; i < c->done.n; i++)
		if (c->done.at[i].local == local)
			return c->done.at[i].node;
	int node;
	if (v->op == LOCAL_CONST && v->constant.n == 1)
		node = add_node(c, ROWS_CONST, 0, 0, 0, v->constant.data[0], DTYPE_F32);
	else if (local == c->root || may_inline(c, user, local))
		node = build_op(c, local);
	else
		node = load_leaf(c, local);
	vec_push(c->w->arena, &c->done, ((struct done){local, node}));
	return node;
}

/* ---- iteration space and strides ------------------------------------------------------------- */
/* Orders the root's axes: by `order`, else as in the first operand that has all of them. The reduced axis must be
 * innermost; an `order` that contradicts this is ignored here and needs a copy. */
static void choose_order(struct chain *c, const int *order)
{
	if (c->reduced >= 0 && order && axis_among(order, c->shape.n_dims - 1, c->reduced))
		order = NULL;
	struct phys *shape = &c->shape, from = c->shape;
	const struct phys *model = NULL;
	for (int i = 0; i < c->k->n_inputs && !order && !model; i++) {
		const struct phys *p = &c->w->phys[c->leaf[i]];
		bool all = p->n_dims >= from.n_dims;
		for (int k = 0; k < from.n_dims; k++)
			all &= find_dim(p, from.dim[k].axis) >= 0;
		if (all)
			model = p;
	}
	int n = 0;
	for (int i = 0; i < (order ? from.n_dims : model ? model->n_dims : 0); i++) {
		int at = find_dim(&from, order ? order[i] : model->dim[i].axis);
		if (at >= 0)
			shape->dim[n++] = from.dim[at];
	}
	int at = c->reduced >= 0 ? find_dim(shape, c->reduced) : -1;
	if (at >= 0 && !order) {
		struct dim d = shape->dim[at];
		for (int i = at; i + 1 < shape->n_dims; i++)
			shape->dim[i] = shape->dim[i + 1];
		shape->dim[shape->n_dims - 1] = d;
	}
	phys_make_contiguous(shape);
}

static void set_operand(struct rows_operand *o, const struct phys *p, const struct phys *shape, const struct dim *dims,
                        int n)
{
	o->dtype = p->dtype;
	o->row_stride = shape->rows.kind == NUMBER_CONST && shape->exchange < 0 ? 0
	                : p->rows.kind == NUMBER_CONST && p->exchange < 0       ? 0
	                                                                        : p->row_stride;
	for (int i = 0; i < n; i++) {
		int at = find_dim(p, dims[i].axis);
		o->stride[i] = at < 0 ? 0 : p->stride[at];
	}
}

/* Merges neighbouring axes that are adjacent in memory in all operands, to make inner loops long. */
static void merge_dims(struct kernel_rows *k, bool keep_inner)
{
	for (int i = k->dims - 2; i >= 0; i--) {
		bool joined = !(keep_inner && i == k->dims - 2);
		for (int o = 0; o < k->n_inputs && joined; o++)
			joined = k->input[o].stride[i] == k->input[o].stride[i + 1] * k->extent[i + 1];
		for (int o = 0; o < k->n_outputs && joined; o++)
			joined = k->output[o].stride[i] == k->output[o].stride[i + 1] * k->extent[i + 1];
		if (!joined)
			continue;
		k->extent[i] *= k->extent[i + 1];
		for (int o = 0; o < k->n_inputs; o++)
			k->input[o].stride[i] = k->input[o].stride[i + 1];
		for (int o = 0; o < k->n_outputs; o++)
			k->output[o].stride[i] = k->output[o].stride[i + 1];
		for (int q = i + 1; q + 1 < k->dims; q++) {
			k->extent[q] = k->extent[q + 1];
			for (int o = 0; o < k->n_inputs; o++)
				k->input[o].stride[q] = k->input[o].stride[q + 1];
			for (int o = 0; o < k->n_outputs; o++)
				k->output[o].stride[q] = k->output[o].stride[q + 1];
		}
		k->dims--;
		for (int o = 0; o < k->n_inputs; o++)
			k->input[o].stride[k->dims] = 0;
		for (int o = 0; o < k->n_outputs; o++)
			k->output[o].stride[k->dims] = 0;
		k->extent[k->dims] = 0;
	}
}

/* An operand with the axis by which rows are sorted, such as a bias per expert, is indexed by the row's group. */
static void set_groups(struct chain *c)
{
	for (int i = 0; i < c->k->n_inputs; i++) {
		const struct phys *p = &c->w->phys[c->leaf[i]];
		int at = c->group < 0 || p->exchange >= 0 ? -1 : find_dim(p, c->group);
		if (at < 0)
			continue;
		c->k->input[i].group_stride = p->stride[at];
		c->k->groups = c->shape.experts;
	}
}

/* An integer result can only be an operand with its axes reordered, since only `cast` computes with integers. f32 does
 * not represent all integers, so the bits are moved unchanged, as if they were f32; no operation reads them. */
static void move_integers(struct kernel_rows *k)
{
	if (k->output[0].dtype != DTYPE_I32)
		return;
	k->output[0].dtype = DTYPE_F32;
	for (int i = 0; i < k->n_inputs; i++)
		k->input[i].dtype = DTYPE_F32;
}

static void set_space(struct chain *c)
{
	struct kernel_rows *k = c->k;
	struct dim dims[ROWS_MAX_DIMS + 1];
	int n = 0;
	for (int i = 0; i < c->shape.n_dims; i++)
		dims[n++] = c->shape.dim[i];
	if (c->reduced >= 0 && find_dim(&c->shape, c->reduced) < 0)
		dims[n++] = (struct dim){c->reduced, c->extent};
	if (!n)
		dims[n++] = (struct dim){AXIS_ONE, 1};
	k->dims = n;
	for (int i = 0; i < n; i++)
		k->extent[i] = dims[i].extent;
	for (int i = 0; i < k->n_inputs; i++)
		set_operand(&k->input[i], &c->w->phys[c->leaf[i]], &c->shape, dims, n);
	set_operand(&k->output[0], &c->shape, &c->shape, dims, n);
	set_groups(c);
	merge_dims(k, c->reduced >= 0);
	move_integers(k);
}

/* Adds the number of rows. Of an exchange's rows only those are computed that hold a token: all of them, or those of
 * some experts. Returns the number of arguments. */
static int row_range(const struct lower *w, struct kernel_rows *k, const struct phys *out, struct argument *args)
{
	args[0] = arg_number(out->rows);
	if (out->exchange < 0)
		return 1;
	const struct expert_exchange *m = &w->exchanges.at[out->exchange];
	args[0] = arg_number(number_const(m->rows));
	args[1] = arg_buffer(m->offsets);
	k->limited = true;
	if (lower_is_part(w, out))
		k->groups = out->experts, k->ranged = true;
	args[1].number = number_const(4 * (k->groups ? out->first : m->local));
	return 2;
}

static void launch_chain(struct chain *c, struct kernel *k, const struct phys *out)
{
	struct lower *w = c->w;
	struct argument args[ROWS_MAX_OPERANDS + 6];
	int n = 0, exchange = out->exchange;
	for (int i = 0; i < c->k->n_inputs; i++)
		args[n++] = arg_phys(lower_materialize(w, c->leaf[i], c->root, NULL));
	args[n++] = arg_phys(out);
	n += row_range(w, c->k, out, args + n);
	const struct value *s = lower_source(w, c->root);
	const char *call = s->call >= 0 ? w->l->program->calls.at[s->call].name : op_name(s->op);
	lower_launch(w, c->root, exchange, k, args, n,
	             arena_printf(w->arena, "%s%s%s", call, s->name ? " " : "", s->name ? s->name : ""));
}

/* Is a carried value read at other places than the result is written to? Then the result must not overwrite it. */
static bool reads_out_of_step(const struct chain *c)
{
	for (int i = 0; i < c->k->n_inputs; i++) {
		const struct phys *p = &c->w->phys[c->leaf[i]];
		if (lower_in_carry(c->w, p) && !phys_same_dims(p, &c->shape))
			return true;
	}
	return false;
}

/* Can the chain write to `to`, in the order of its axes? The reduced axis must be innermost. */
static bool may_write_to(const struct chain *c, const struct phys *to)
{
	int at = c->reduced < 0 ? -1 : find_dim(to, c->reduced);
	return at < 0 || at == to->n_dims - 1;
}

/* The chain that ends at a value, with chains up to depth `cut` as operands. */
static struct chain chain_of(struct lower *w, int local, int cut, struct kernel *k)
{
	memset(k, 0, sizeof *k);
	k->family = KERNEL_ROWS;
	struct chain c = {.w = w, .root = local, .k = &k->rows, .shape = lower_shape(w, local), .reduced = -1, .cut = cut};
	c.shape.exchange = w->phys[local].exchange;
	c.group = c.shape.exchange < 0 ? -1 : c.shape.sorted_by;
	if (!w->failed)
		k->rows.result[0] = build(&c, local, local);
	return c;
}

/* Computes a virtual value into memory: into `to`, if given and possible. A chain that is too long for one kernel is
 * cut halfway. */
static void compute(struct lower *w, int local, const int *order, const struct phys *to)
{
	struct kernel k;
	int depth = w->phys[local].depth;
	struct chain c = chain_of(w, local, 0, &k);
	while (c.full && c.cut < depth)
		c = chain_of(w, local, (c.cut + depth + 1) / 2, &k);
	if (w->failed) { /* nothing is launched: the mistake is already reported */
		w->phys[local] = c.shape;
		w->phys[local].state = PHYS_READY;
		phys_set_buffer(&w->phys[local], BUFFER_LOGITS);
		return;
	}
	for (int i = 0; i < k.rows.n_inputs; i++)
		lower_materialize(w, c.leaf[i], local, NULL);
	k.rows.n_outputs = 1;
	if (to && may_write_to(&c, to)) {
		c.shape = *to;
		set_space(&c);
		launch_chain(&c, &k, to);
		w->phys[local] = *to;
		return;
	}
	choose_order(&c, order);
	set_space(&c);
	bool turn_ends = w->turn_ends;
	w->turn_ends &= !reads_out_of_step(&c);
	launch_chain(&c, &k, lower_define(w, local, c.shape));
	w->turn_ends = turn_ends;
}

/* Copies a value from `have` to `to`, in the block that `user` is in. */
static void copy(struct lower *w, const struct phys *have, int user, const struct phys *to)
{
	struct kernel k;
	memset(&k, 0, sizeof k);
	k.family = KERNEL_ROWS;
	k.rows.dims = to->n_dims ? to->n_dims : 1;
	k.rows.extent[0] = 1;
	for (int i = 0; i < to->n_dims; i++)
		k.rows.extent[i] = to->dim[i].extent;
	k.rows.n_inputs = k.rows.n_outputs = k.rows.n_nodes = 1;
	set_operand(&k.rows.input[0], have, have, to->dim, to->n_dims);
	set_operand(&k.rows.output[0], to, have, to->dim, to->n_dims);
	merge_dims(&k.rows, false);
	move_integers(&k.rows);
	struct argument args[4] = {arg_phys(have), arg_phys(to)};
	int n = 2 + row_range(w, &k.rows, to, args + 2);
	lower_launch(w, user, to->exchange, &k, args, n, "copy");
}

/* Copies `have`, with its axes in another order: a param for one reader, any other value for all. */
static const struct phys *copy_ordered(struct lower *w, int local, const struct phys *have, int user, const int *order)
{
	bool param = lower_is_param(w, local);
	struct phys *to = param ? arena_new(w->arena, struct phys) : &w->phys[local], from = *have;
	*to = from;
	for (int i = 0; i < from.n_dims; i++)
		to->dim[i] = order ? from.dim[find_dim(&from, order[i])] : from.dim[i];
	phys_make_contiguous(to);
	phys_set_buffer(to, lower_buffer(w, lower_rows_max(w, to) * to->row_stride * dtype_bytes(to->dtype)));
	copy(w, &from, param ? user : local, to);
	return to;
}

/* Rows kernels read any strides, so a view is as good as a copy. */
const struct phys *lower_materialize(struct lower *w, int local, int user, const int *order)
{
	const struct value *s = lower_source(w, user);
	if (w->phys[local].state == PHYS_NONE)
		internal_error("local value %%%d was never made", local);
	if (lower_is_param(w, local))
		return lower_param(w, local, user);
	if (w->phys[local].state == PHYS_VIRTUAL)
		compute(w, local, order, NULL);
	if (w->phys[local].cache && s->op != OP_RENAME && s->op != OP_PIECE && !w->failed)
		lower_unsupported(w, s->span, "`%s` of a cache", op_name(s->op));
	return &w->phys[local];
}

const struct phys *lower_materialize_contiguous(struct lower *w, int local, int user, const int *order)
{
	const struct phys *p = lower_materialize(w, local, user, order);
	bool as_is = phys_contiguous(p);
	for (int i = 0; order && i < p->n_dims; i++)
		as_is &= p->dim[i].axis == order[i];
	return as_is ? p : copy_ordered(w, local, p, user, order);
}

const struct phys *lower_materialize_f32(struct lower *w, int local, int user)
{
	const struct phys *have = lower_materialize_contiguous(w, local, user, NULL);
	if (have->dtype == DTYPE_F32)
		return have;
	struct phys *to = arena_new(w->arena, struct phys);
	*to = *have;
	to->dtype = DTYPE_F32;
	phys_set_buffer(to, lower_buffer(w, lower_rows_max(w, to) * to->row_stride * dtype_bytes(DTYPE_F32)));
	copy(w, have, user, to);
	return to;
}

const struct phys *lower_copy(struct lower *w, int local)
{
	return copy_ordered(w, local, lower_materialize(w, local, local, NULL), local, NULL);
}

void lower_into(struct lower *w, int local, const struct phys *to)
{
	const struct phys *have = lower_materialize(w, local, local, NULL);
	if (!phys_in_buffer(have, to->buffer) || !phys_same_dims(have, to))
		copy(w, have, local, to);
}

void lower_place(struct lower *w, int local, int user, const struct phys *to)
{
	if (w->phys[local].state == PHYS_VIRTUAL)
		compute(w, local, NULL, to);
	const struct phys *have = lower_materialize(w, local, user, NULL);
	if (!phys_in_buffer(have, to->buffer) || have->offset.value != to->offset.value)
		copy(w, have, lower_is_param(w, local) ? user : local, to);
}
