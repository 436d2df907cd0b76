/* The sharding rule of each operator (docs/language.md, Layouts and collectives): which factors pass, which are summed,
 * and which must be whole. */
#include "infer.h"

static const struct value *value_at(const struct infer *f, int value) { return &f->l->program->values.at[value]; }
static struct local_value *local_at(const struct infer *f, int at) { return &f->ph->values.at[at]; }
static const struct local_value *arg_now(const struct infer *f, const struct value *v, int i)
{
	return local_at(f, f->ph->of_program[v->args[i]]);
}

/* Pending atoms of operand i that this operator's layout does not use. */
static struct atoms passing(const struct infer *f, const struct value *v, int i, const struct required_layout *t)
{
	struct atoms out = {.n = 0};
	const struct atoms *p = &arg_now(f, v, i)->layout.pending;
	for (int k = 0; k < p->n; k++)
		if (!required_uses(t, p->at[k]))
			atoms_add(&out, p->at[k]);
	return out;
}

static void infer_contract(struct infer *f, int value)
{
	const struct value *v = value_at(f, value);
	int n;
	int *factors = infer_factors(f, v, &n);
	struct required_layout t = infer_want(f, v, factors, n, NULL, 0);
	bool px = arg_now(f, v, 0)->layout.pending.n, pw = arg_now(f, v, 1)->layout.pending.n;
	struct atoms carried = {.n = 0};
	int args[2];
	for (int i = 0; i < 2; i++) { /* bilinear: one pending operand may pass */
		struct atoms keep = {.n = 0};
		if (px != pw && (i ? pw : px))
			carried = keep = passing(f, v, i, &t);
		args[i] = infer_operand(f, value, i, &t, &keep);
	}
	struct layout out = required_restrict(f->l, &t, v->axes, v->n_axes);
	for (int i = 0; i < n; i++)
		for (int k = 0; axis_among(v->reduce.over, v->reduce.n_over, factors[i]) && k < t.layout.axis[i].n; k++)
			atoms_add(&out.pending, t.layout.axis[i].at[k]);
	for (int k = 0; k < carried.n; k++)
		atoms_add(&out.pending, carried.at[k]);
	infer_emit(f, value, args, 2, out);
}

/* A sum stays pending through `+` or `-` of two values pending over the same atoms, and through scaling by a
 * constant. */
static struct atoms pointwise_keep(const struct infer *f, const struct value *v, const struct required_layout *t)
{
	struct atoms none = {.n = 0};
	if (v->op == OP_ADD || v->op == OP_SUB) {
		const struct atoms *a = &arg_now(f, v, 0)->layout.pending, *b = &arg_now(f, v, 1)->layout.pending;
		struct atoms keep = passing(f, v, 0, t);
		return a->n == b->n && keep.n == a->n && passing(f, v, 1, t).n == b->n && atoms_equal(a, b) ? keep : none;
	}
	if (v->op == OP_MUL && arg_now(f, v, 1)->op == LOCAL_CONST && !arg_now(f, v, 1)->n_axes)
		return passing(f, v, 0, t);
	if (v->op == OP_MUL && arg_now(f, v, 0)->op == LOCAL_CONST && !arg_now(f, v, 0)->n_axes)
		return passing(f, v, 1, t);
	if (v->op == OP_DIV && arg_now(f, v, 1)->op == LOCAL_CONST && !arg_now(f, v, 1)->n_axes)
		return passing(f, v, 0, t);
	return none;
}

/* Is operand i the same at all positions, and not pending? */
static bool is_bias(const struct infer *f, const struct value *v, int i)
{
	const struct local_value *x = arg_now(f, v, i);
	for (int k = 0; k < x->n_axes; k++)
		if (!f->l->program->axes.at[x->axes[k]].extent)
			return false;
	return x->op != LOCAL_CONST && !x->layout.pending.n;
}

/* The operand of `+` or `-` that ranks may add in equal parts, so that the other operand's sum stays pending; -1: none.
 * The sum is then communicated once, with later terms, and not for each expert's rows. */
static int shared_bias(const struct infer *f, const struct value *v, const struct required_layout *t)
{
	for (int i = 0; i < 2 && (v->op == OP_ADD || v->op == OP_SUB); i++) {
		int pending = arg_now(f, v, 1 - i)->layout.pending.n;
		if (is_bias(f, v, i) && pending && passing(f, v, 1 - i, t).n == pending)
			return i;
	}
	return -1;
}

static int emit_share(struct infer *f, int value, int bias, const struct atoms *over)
{
	struct local_value v = *local_at(f, bias);
	v.part = position_of(f->l, value);
	v.body = program_body(f->l->program, value);
	v.op = LOCAL_TO_PENDING;
	v.args = arena_array(f->l->arena, int, 1);
	v.args[0] = bias;
	v.n_args = 1;
	v.dtype = DTYPE_F32;
	v.move.atoms = v.layout.pending = *over;
	v.move.from = v.move.to = -1, v.move.cause = NULL;
	vec_push(f->l->arena, &f->ph->values, v);
	return f->ph->values.n - 1;
}

static void infer_pointwise(struct infer *f, int value)
{
	const struct value *v = value_at(f, value);
	struct reduced_axes over = value_reduced(v);
	int n, args[3] = {-1, -1, -1};
	int *factors = infer_factors(f, v, &n);
	struct required_layout t = infer_want(f, v, factors, n, over.at, over.n);
	struct atoms keep = pointwise_keep(f, v, &t);
	int bias = shared_bias(f, v, &t);
	if (bias >= 0)
		keep = passing(f, v, 1 - bias, &t);
	for (int i = 0; i < v->n_args; i++) {
		bool whole = arg_now(f, v, i)->op == LOCAL_CONST || i == bias;
		args[i] = infer_operand(f, value, i, &t, whole ? NULL : &keep);
		if (i == bias)
			args[i] = emit_share(f, value, args[i], &keep);
	}
	struct layout out = required_restrict(f->l, &t, v->axes, v->n_axes);
	out.pending = keep;
	infer_emit(f, value, args, v->n_args, out);
}

/* Inside an operator with a body: one layout for the whole call, no communication. */
static void infer_in_call(struct infer *f, int value)
{
	const struct value *v = value_at(f, value);
	const struct op_call *c = &f->l->program->calls.at[v->call];
	struct required_layout *t = &f->call_required[v->call];
	if (!t->axes) {
		VEC(int) axes = {0};
		for (int i = c->first; i <= c->last; i++) {
			int n;
			int *more = infer_factors(f, value_at(f, i), &n);
			for (int k = 0; k < n; k++)
				if (!axis_among(axes.at, axes.n, more[k]))
					vec_push(f->l->arena, &axes, more[k]);
		}
		vec_push(f->l->arena, &axes, -1);
		*t = infer_want(f, v, axes.at, axes.n - 1, c->whole, c->n_whole);
	}
	int args[3] = {-1, -1, -1};
	for (int i = 0; i < v->n_args; i++)
		args[i] = infer_operand(f, value, i, t, NULL);
	infer_emit(f, value, args, v->n_args, required_restrict(f->l, t, v->axes, v->n_axes));
}

/* The axis of positions, if the value is a view of a cache; else -1. */
static int positions_of(const struct infer *f, int value)
{
	while (value_at(f, value)->op == OP_RENAME || value_at(f, value)->op == OP_PIECE)
		value = value_at(f, value)->args[0];
	return value_at(f, value)->op == OP_APPEND ? value_at(f, value)->append.to : -1;
}

/* A piece needs the whole axis, and all positions of a cache: attention then gathers them once, for keys and values. */
static void infer_rename(struct infer *f, int value)
{
	const struct value *v = value_at(f, value);
	int arg = f->ph->of_program[v->args[0]], whole[2] = {v->view.from, positions_of(f, value)};
	if (v->op == OP_PIECE) {
		struct required_layout t = infer_want(f, v, local_at(f, arg)->axes, local_at(f, arg)->n_axes, whole, 2);
		arg = infer_operand(f, value, 0, &t, NULL);
	}
	infer_emit(f, value, &arg, 1, local_at(f, arg)->layout); /* no data moves: axes keep their order */
}

static void infer_embed(struct infer *f, int value)
{
	const struct value *v = value_at(f, value);
	int n;
	int *factors = infer_factors(f, v, &n);
	struct required_layout t = infer_want(f, v, factors, n, NULL, 0);
	int args[2] = {infer_operand(f, value, 0, &t, NULL), infer_operand(f, value, 1, &t, NULL)};
	struct layout out = required_restrict(f->l, &t, v->axes, v->n_axes);
	for (int i = 0; i < n; i++)
		if (factors[i] == v->v)
			out.pending = t.layout.axis[i];
	infer_emit(f, value, args, 2, out);
}

/* Takes x in its current layout. Atoms that split its positions leave a pending sum of masked picks. */
static void infer_pick(struct infer *f, int value)
{
	const struct value *v = value_at(f, value);
	const struct program *p = f->l->program;
	const struct local_value *x = arg_now(f, v, 0);
	struct required_layout t = {
		x->axes, x->n_axes,
		required_restrict(f->l, &(struct required_layout){x->axes, x->n_axes, x->layout}, x->axes, x->n_axes)};
	struct layout out = {.axis = arena_array(f->l->arena, struct atoms, v->n_axes + 1)};
	for (int i = 0; i < t.n; i++) {
		struct atoms *a = &t.layout.axis[i];
		if (t.axes[i] == p->batch)
			*a = f->l->owners;
		for (int k = 0; k < a->n && t.axes[i] != p->batch; k++)
			if (atoms_have(&f->l->owners, a->at[k]))
				a->n = k; /* they split the owners here */
		if (t.axes[i] == p->seq)
			out.pending = *a;
		for (int k = 0; k < v->n_axes; k++)
			if (v->axes[k] == t.axes[i])
				out.axis[k] = t.layout.axis[i];
	}
	int args[2] = {infer_operand(f, value, 0, &t, NULL), f->ph->of_program[v->args[1]]};
	infer_emit(f, value, args, 2, out);
}

static int find_angles(const struct infer *f, const int *args)
{
	for (int i = 0; i < f->ph->values.n; i++) {
		const struct local_value *a = local_at(f, i);
		if (a->op == LOCAL_ANGLES && a->args[0] == args[0] && a->args[1] == args[1])
			return i;
	}
	return -1;
}

/* Angles run on every stage where the frequencies are a constant or a param outside the loop, which every stage can
 * have. */
static int part_of_angles(const struct infer *f, const struct local_value *freq, const struct local_value *pos)
{
	bool param = freq->op == LOCAL_OP && value_at(f, freq->source)->op == OP_PARAM && !part_is_loop(freq->part);
	int part = param ? PART_EVERY : freq->part;
	return part > pos->part ? part : pos->part;
}

/* cos and sin of position times frequency. They are the same in every layer, so they are a value of their own. */
static int infer_angles(struct infer *f, int value, const struct required_layout *t)
{
	const struct value *v = value_at(f, value);
	int args[2] = {infer_operand(f, value, 1, t, NULL), infer_operand(f, value, 2, t, NULL)};
	int found = find_angles(f, args);
	if (found >= 0)
		return found;
	const struct local_value *freq = local_at(f, args[0]), *pos = local_at(f, args[1]);
	struct local_value out = {.op = LOCAL_ANGLES,
	                          .source = value,
	                          .n_args = 2,
	                          .dtype = DTYPE_F32,
	                          .n_axes = pos->n_axes + 1,
	                          .part = part_of_angles(f, freq, pos),
	                          .body = program_body(f->l->program, value),
	                          .region = v->region};
	out.args = arena_array(f->l->arena, int, 2);
	out.args[0] = args[0], out.args[1] = args[1];
	out.axes = arena_array(f->l->arena, int, out.n_axes);
	for (int i = 0; i < pos->n_axes; i++)
		out.axes[i] = pos->axes[i];
	out.axes[pos->n_axes] = freq->axes[0];
	out.layout = required_restrict(f->l, t, out.axes, out.n_axes);
	vec_push(f->l->arena, &f->ph->values, out);
	return f->ph->values.n - 1;
}

static void infer_rotate(struct infer *f, int value)
{
	const struct value *v = value_at(f, value);
	struct required_layout t = infer_want(f, v, v->axes, v->n_axes, &v->rotate.f, 1);
	int args[2];
	args[0] = infer_operand(f, value, 0, &t, NULL);
	args[1] = infer_angles(f, value, &t);
	infer_emit(f, value, args, 2, required_restrict(f->l, &t, v->axes, v->n_axes));
}

static void infer_append(struct infer *f, int value)
{
	const struct value *v = value_at(f, value);
	const struct state *s = &f->l->program->states.at[v->append.state];
	struct required_layout t = {v->axes, v->n_axes,
	                            place_axes(f->l, v->axes, v->n_axes, NULL, 0, v->region, PHASE_ANY, CLASS_CACHE,
	                                       arena_printf(f->l->arena, "state %s", s->name), v->span)};
	int *axes = arena_array(f->l->arena, int, v->n_axes);
	struct required_layout from = {axes, v->n_axes, required_restrict(f->l, &t, v->axes, v->n_axes)};
	for (int i = 0; i < v->n_axes; i++) {
		axes[i] = v->axes[i] == v->append.to ? v->append.from : v->axes[i];
		if (v->axes[i] == v->append.to)
			from.layout.axis[i].n = 0; /* a rank knows its pages by their numbers */
	}
	int args[1] = {infer_operand(f, value, 0, &from, NULL)};
	infer_emit(f, value, args, 1, t.layout);
}

static void infer_attend(struct infer *f, int value)
{
	const struct value *v = value_at(f, value);
	int n, whole[2] = {v->attend.dot, v->attend.over}, args[6];
	int *factors = infer_factors(f, v, &n);
	struct required_layout t = infer_want(f, v, factors, n, whole, 2);
	for (int i = 0; i < v->n_args; i++)
		args[i] = infer_operand(f, value, i, &t, NULL);
	infer_emit(f, value, args, v->n_args, required_restrict(f->l, &t, v->axes, v->n_axes));
}

static void infer_route(struct infer *f, int value)
{
	const struct value *v = value_at(f, value);
	int n, args[2] = {-1, -1};
	int *factors = infer_factors(f, v, &n);
	struct required_layout t = infer_want(f, v, factors, n, &v->route.over, 1);
	for (int i = 0; i < v->n_args && i < 2; i++)
		args[i] = infer_operand(f, value, i, &t, NULL);
	infer_emit(f, value, args, v->n_args, required_restrict(f->l, &t, v->axes, v->n_axes));
}

/* Atoms of the experts, split into those that also split the tokens (exchange) and the others (filter). An atom that
 * also splits the features is an error: E0501. */
static void expert_atoms(struct infer *f, const struct value *v, int expert, const struct required_layout *tokens,
                         struct expert_atoms *out)
{
	int *apart = arena_array(f->l->arena, int, tokens->n + 1), n = 0;
	apart[n++] = expert;
	for (int k = 0; k < tokens->n; k++)
		if (!is_token_axis(f->l->program, tokens->axes[k]))
			apart[n++] = tokens->axes[k];
	infer_want(f, v, apart, n, NULL, 0);
	out->all = place_axis(f->l, expert, v->region, f->phase, CLASS_ACTIVATION);
	for (int i = 0; i < out->all.n; i++) {
		bool shared = false;
		for (int k = 0; k < tokens->n; k++)
			if (is_token_axis(f->l->program, tokens->axes[k]))
				shared |= atoms_have(&tokens->layout.axis[k], out->all.at[i]);
		atoms_add(shared ? &out->exchange : &out->filter, out->all.at[i]);
	}
}

static struct layout expert_layout(struct infer *f, const struct value *rows, int expert, int slot,
                                   const struct required_layout *t, const struct expert_atoms *x)
{
	struct layout out = required_restrict(f->l, t, rows->axes, rows->n_axes);
	for (int i = 0; i < rows->n_axes; i++) {
		if (rows->axes[i] == expert)
			out.axis[i] = x->all;
		if (rows->axes[i] != slot)
			continue;
		for (int k = 0; k < t->n; k++)
			for (int q = 0; q < t->layout.axis[k].n; q++)
				if (is_token_axis(f->l->program, t->axes[k]) && !atoms_have(&x->all, t->layout.axis[k].at[q]))
					atoms_add(&out.axis[i], t->layout.axis[k].at[q]);
	}
	return out;
}

static void infer_dispatch(struct infer *f, int value)
{
	const struct value *v = value_at(f, value), *x = value_at(f, v->args[0]), *r = value_at(f, v->args[1]);
	struct required_layout t = infer_want(f, v, x->axes, x->n_axes, NULL, 0);
	struct expert_atoms e = {.all = {.n = 0}};
	expert_atoms(f, v, r->index_of, &t, &e);
	int args[2] = {infer_operand(f, value, 0, &t, NULL), infer_operand(f, value, 1, &t, NULL)};
	int at = infer_emit(f, value, args, 2, expert_layout(f, v, r->index_of, r->slot, &t, &e));
	local_at(f, at)->experts = e;
}

/* Linear in the rows, so a pending sum may pass. Atoms that split experts but not tokens leave a pending sum. */
static void infer_combine(struct infer *f, int value)
{
	const struct value *v = value_at(f, value), *y = value_at(f, v->args[0]), *r = value_at(f, v->args[1]);
	struct required_layout t = infer_want(f, v, v->axes, v->n_axes, NULL, 0);
	struct expert_atoms e = {.all = {.n = 0}};
	expert_atoms(f, v, r->index_of, &t, &e);
	struct required_layout rows = {y->axes, y->n_axes, expert_layout(f, y, r->index_of, r->slot, &t, &e)};
	struct atoms keep = passing(f, v, 0, &rows); /* the atoms of `t` split the rows too */
	int args[2] = {infer_operand(f, value, 0, &rows, &keep), infer_operand(f, value, 1, &t, NULL)};
	struct layout layout = required_restrict(f->l, &t, v->axes, v->n_axes);
	for (int k = 0; k < e.filter.n; k++)
		atoms_add(&layout.pending, e.filter.at[k]);
	for (int k = 0; k < keep.n; k++)
		atoms_add(&layout.pending, keep.at[k]);
	int at = infer_emit(f, value, args, 2, layout);
	local_at(f, at)->experts = e;
}

static void infer_sample(struct infer *f, int value)
{
	const struct value *v = value_at(f, value);
	int n;
	int *factors = infer_factors(f, v, &n);
	struct required_layout t = infer_want(f, v, factors, n, NULL, 0);
	int args[1] = {infer_operand(f, value, 0, &t, NULL)};
	infer_emit(f, value, args, 1, required_restrict(f->l, &t, v->axes, v->n_axes));
}

/* For operators whose operands only need the result's layout, with the axes in `whole` whole. */
static void infer_whole(struct infer *f, int value, const int *whole, int n_whole)
{
	const struct value *v = value_at(f, value);
	int n, args[4] = {-1, -1, -1, -1};
	int *factors = infer_factors(f, v, &n);
	struct required_layout t = infer_want(f, v, factors, n, whole, n_whole);
	for (int i = 0; i < v->n_args && i < 4; i++)
		args[i] = infer_operand(f, value, i, &t, NULL);
	infer_emit(f, value, args, v->n_args, required_restrict(f->l, &t, v->axes, v->n_axes));
}

/* The parts and the joined axis must be whole. */
static void infer_join(struct infer *f, int value)
{
	const struct axis *into = &f->l->program->axes.at[value_at(f, value)->into];
	int *whole = arena_array(f->l->arena, int, into->n_parts + 1);
	for (int i = 0; i < into->n_parts; i++)
		whole[i] = into->part[i];
	whole[into->n_parts] = value_at(f, value)->into;
	infer_whole(f, value, whole, into->n_parts + 1);
}

/* A rank counts from 0, so the axis is whole; readers take their parts. */
static void infer_iota(struct infer *f, int value)
{
	struct layout whole = {.axis = arena_array(f->l->arena, struct atoms, value_at(f, value)->n_axes + 1)};
	infer_emit(f, value, NULL, 0, whole);
}

void infer_op(struct infer *f, int value)
{
	const struct value *v = value_at(f, value);
	if (v->op == OP_IOTA) {
		infer_iota(f, value);
		return;
	}
	if (v->call >= 0) {
		infer_in_call(f, value);
		return;
	}
	switch (v->op) {
	case OP_CONTRACT: infer_contract(f, value); break;
	case OP_RENAME:
	case OP_PIECE:    infer_rename(f, value); break;
	case OP_EMBED:    infer_embed(f, value); break;
	case OP_PICK:     infer_pick(f, value); break;
	case OP_ROTATE:   infer_rotate(f, value); break;
	case OP_APPEND:   infer_append(f, value); break;
	case OP_ATTEND:   infer_attend(f, value); break;
	case OP_ROUTE:    infer_route(f, value); break;
	case OP_DISPATCH: infer_dispatch(f, value); break;
	case OP_COMBINE:  infer_combine(f, value); break;
	case OP_SAMPLE:   infer_sample(f, value); break;
	case OP_JOIN:     infer_join(f, value); break;
	default:          infer_pointwise(f, value); break;
	}
}
