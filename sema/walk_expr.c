/* Expressions of tensor programs: contraction, pointwise arithmetic, renaming. Expressions without tensors are left to
 * scalar evaluation. */
#include "walk.h"
#include <string.h>

/* ---- values ---------------------------------------------------------------------------------- */

struct val val_tensor(int value) { return (struct val){.kind = V_TENSOR, .tensor = value}; }

struct value walk_value(struct walk *w, enum op op, struct span at)
{
	struct value v = {.op = op, .type = TYPE_FLOAT, .region = w->region, .call = w->call, .span = at};
	v.index_of = v.slot = v.routing = -1;
	if (op == OP_INPUT)
		v.input = -1;
	if (op == OP_CARRY)
		v.next = -1;
	return v;
}

static bool is_too_large(const struct program *p, const struct value *v)
{
	int64_t size = 1, most = MAX_ELEMENTS;
	for (int i = 0; i < v->n_axes; i++)
		if (!p->axes.at[v->axes[i]].extent)
			most = MAX_ELEMENTS_FOR_TOKEN;
	for (int i = 0; i < v->n_axes; i++) {
		int64_t extent = p->axes.at[v->axes[i]].extent;
		if (extent && size > most / extent)
			return true;
		size *= extent ? extent : 1;
	}
	return false;
}

int walk_emit(struct walk *w, struct value v)
{
	if (!w->failed && is_too_large(w->p, &v)) {
		struct diag *d = walk_report(w, DIAG_E0203, v.span, "the tensor has more elements than this version supports");
		diag_note(w->s->sink, d, "at most 2^40, and 2^28 for each token");
	}
	v.routing = walk_routing(w, &v);
	vec_push(w->arena, &w->p->values, v);
	return w->p->values.n - 1;
}

static void set_axes(struct value *v, struct axes a)
{
	v->axes = a.at;
	v->n_axes = a.n;
}

void value_args(struct walk *w, struct value *v, const int *args, int n)
{
	v->args = arena_array(w->arena, int, n);
	memcpy(v->args, args, sizeof *args * (size_t)n);
	v->n_args = n;
}

static int emit_cast(struct walk *w, int value, enum dtype dtype, struct axes order, struct span at)
{
	struct value v = walk_value(w, OP_CAST, at);
	const struct value *x = &w->p->values.at[value];
	v.type = x->type;
	v.index_of = x->index_of;
	v.slot = x->slot;
	v.dtype = dtype;
	set_axes(&v, order);
	value_args(w, &v, &value, 1);
	return walk_emit(w, v);
}

int walk_cast(struct walk *w, int value, enum dtype dtype, struct span at)
{
	return w->p->values.at[value].dtype == dtype ? value : emit_cast(w, value, dtype, value_axes(w, value), at);
}

int walk_in_order(struct walk *w, int value, struct axes order, struct span at)
{
	struct axes have = value_axes(w, value);
	if (!have.n || !memcmp(have.at, order.at, sizeof *have.at * (size_t)have.n))
		return value;
	return emit_cast(w, value, w->p->values.at[value].dtype, order, at);
}

static int emit_const(struct walk *w, double number, enum dtype dtype, struct span at)
{
	struct value v = walk_value(w, OP_CONST, at);
	v.dtype = dtype;
	v.number = number;
	return walk_emit(w, v);
}

/* ---- number formats -------------------------------------------------------------------------- */

bool walk_is_float(struct walk *w, struct val v)
{
	return v.kind == V_TENSOR && w->p->values.at[v.tensor].type == TYPE_FLOAT;
}

/* f32 if either is f32; else both must be the same. */
static bool common_dtype(enum dtype a, enum dtype b, enum dtype *out)
{
	bool small = (a == DTYPE_F32 && (b == DTYPE_BF16 || b == DTYPE_F16))
	             || (b == DTYPE_F32 && (a == DTYPE_BF16 || a == DTYPE_F16));
	*out = small ? DTYPE_F32 : a;
	return small || a == b;
}

static void report_formats(struct walk *w, int a, int b, struct span at)
{
	struct diag *d = walk_report(w, DIAG_E0412, at, "no common number format of %s and %s", walk_type_text(w, a),
	                             walk_type_text(w, b));
	diag_help(w->s->sink, d, "cast one: `cast(..., %s)`", dtype_name(w->p->values.at[a].dtype));
}

/* Casts both to one format (docs/language.md, Tensor programs); false after E0412. */
static bool same_dtype(struct walk *w, int *a, int *b, struct span at)
{
	enum dtype t;
	if (!common_dtype(w->p->values.at[*a].dtype, w->p->values.at[*b].dtype, &t)) {
		report_formats(w, *a, *b, at);
		return false;
	}
	*a = walk_cast(w, *a, t, at);
	*b = walk_cast(w, *b, t, at);
	return true;
}

/* ---- contraction ----------------------------------------------------------------------------- */

/* Marks the param that a contraction reads, directly or through views and casts. */
static void mark_contracted(struct walk *w, int value)
{
	const struct value *v = &w->p->values.at[value];
	while (v->op == OP_CAST || v->op == OP_RENAME || v->op == OP_PIECE)
		v = &w->p->values.at[v->args[0]];
	if (v->op == OP_PARAM)
		w->p->params.at[v->param].contracted = true;
}

static const char *names_text(struct walk *w, struct idents names)
{
	struct text t = {.arena = w->arena};
	for (int i = 0; i < names.n; i++)
		text_add(&t, "%s%s", i ? ", " : "", names.at[i].name);
	return t.at ? t.at : "";
}

static void report_not_contracted(struct env *e, const struct node *n, int i, int x, int y, bool left)
{
	struct walk *w = e->walk;
	struct ident a = n->contract.over.at[i];
	struct diag *d = walk_report(w, DIAG_E0402, a.span, "cannot contract over `%s`: %s operand has no such axis",
	                             a.name, left ? "left" : "right");
	diag_related(w->s->sink, d, n->contract.x->span, "%s", walk_type_text(w, x));
	diag_related(w->s->sink, d, n->contract.w->span, "%s", walk_type_text(w, y));
	diag_note(w->s->sink, d, "axes: %s @[%s] %s", walk_axes_text(w, value_axes(w, x)), names_text(w, n->contract.over),
	          walk_axes_text(w, value_axes(w, y)));
}

/* The contracted axes; both operands must have each. */
static bool contracted_axes(struct env *e, const struct node *n, int x, int y, struct axes *over)
{
	bool ok = true;
	for (int i = 0; i < n->contract.over.n; i++) {
		int axis = env_need_axis(e, n->contract.over.at[i]);
		bool left = axis >= 0 && axes_have(value_axes(e->walk, x), axis);
		bool right = axis >= 0 && axes_have(value_axes(e->walk, y), axis);
		if (axis >= 0 && !(left && right))
			report_not_contracted(e, n, i, x, y, !left);
		else if (axis >= 0 && axes_have(*over, axis))
			walk_report(e->walk, DIAG_E0403, n->contract.over.at[i].span, "axis `%s` appears twice",
			            n->contract.over.at[i].name);
		else if (axis >= 0)
			*over = axes_add(e->walk, *over, axis);
		ok = ok && left && right;
	}
	return ok && over->n == n->contract.over.n;
}

/* Axes of the result: those of the left operand, then new ones of the right. */
static struct axes contraction_axes(struct walk *w, int x, int y, struct axes over)
{
	struct axes out = axes_without(w, value_axes(w, x), over), right = axes_without(w, value_axes(w, y), over);
	for (int i = 0; i < right.n; i++)
		if (!axes_have(out, right.at[i]))
			out = axes_add(w, out, right.at[i]);
	return out;
}

static struct val contract(struct env *e, const struct node *n)
{
	struct walk *w = e->walk;
	struct val x = walk_eval(e, n->contract.x, NULL), y = walk_eval(e, n->contract.w, NULL);
	if (x.kind == V_BAD || y.kind == V_BAD)
		return val_bad();
	for (int side = 0; side < 2; side++)
		if (!walk_is_float(w, side ? y : x)) {
			walk_report(w, DIAG_E0402, side ? n->contract.w->span : n->contract.x->span,
			            "`@` takes float tensors, found %s", walk_show(w, side ? y : x));
			return val_bad();
		}
	if (w->call >= 0) {
		walk_report(w, DIAG_E0004, n->contract.op_span,
		            "a contraction does not belong in the body of an `op`: write a `block`");
		return val_bad();
	}
	struct axes over = {0};
	int args[2] = {x.tensor, y.tensor};
	if (!contracted_axes(e, n, args[0], args[1], &over) || !same_dtype(w, &args[0], &args[1], n->contract.op_span))
		return val_bad();
	struct value v = walk_value(w, OP_CONTRACT, n->span);
	v.dtype = w->p->values.at[args[0]].dtype;
	set_axes(&v, contraction_axes(w, args[0], args[1], over));
	v.reduce.over = over.at;
	v.reduce.n_over = over.n;
	value_args(w, &v, args, 2);
	if (!walk_ragged(w, &v))
		return val_bad();
	mark_contracted(w, args[0]);
	mark_contracted(w, args[1]);
	return val_tensor(walk_emit(w, v));
}

/* ---- pointwise ------------------------------------------------------------------------------- */

/* The operand with the most axes, to which the others are broadcast. -1 after E0404. */
static int widest(struct walk *w, const char *what, const struct val *args, int n, const struct node *at)
{
	int big = -1;
	for (int i = 0; i < n; i++)
		if (args[i].kind == V_TENSOR
		    && (big < 0 || w->p->values.at[args[i].tensor].n_axes > w->p->values.at[args[big].tensor].n_axes))
			big = i;
	struct axes have = value_axes(w, args[big].tensor);
	for (int i = 0; i < n; i++) {
		if (args[i].kind != V_TENSOR || !axes_without(w, value_axes(w, args[i].tensor), have).n)
			continue;
		int a = i < big ? i : big, b = i < big ? big : i;
		struct diag *d = walk_report(
			w, DIAG_E0404, at->kind == N_BIN ? at->bin.op_span : at->span, "`%s` cannot broadcast %s with %s", what,
			walk_axes_text(w, value_axes(w, args[a].tensor)), walk_axes_text(w, value_axes(w, args[b].tensor)));
		if (at->kind == N_BIN) {
			diag_related(w->s->sink, d, at->bin.a->span, "%s", walk_show(w, args[0]));
			diag_related(w->s->sink, d, at->bin.b->span, "%s", walk_show(w, args[1]));
		}
		diag_note(w->s->sink, d, "the axes of neither are a subset of the other's");
		return -1;
	}
	return big;
}

static bool pointwise_operand(struct walk *w, const char *what, struct val v, struct span at)
{
	double number;
	if (walk_is_float(w, v) || ((v.kind == V_INT || v.kind == V_FLOAT) && val_number(v, &number)))
		return true;
	if (v.kind == V_UNKNOWN)
		walk_report(w, DIAG_E0412, at, "`%s` on a number that is known only at run time", what);
	else if (v.kind == V_TENSOR)
		walk_report(w, DIAG_E0412, at, "`%s` on %s: cast it", what, walk_show(w, v));
	else
		walk_report(w, DIAG_E0412, at, "`%s` takes tensors and numbers, found %s", what, walk_show(w, v));
	return false;
}

/* The format to which all tensors among the operands are cast. */
static bool pointwise_dtype(struct walk *w, const struct val *args, int n, struct span at, enum dtype *out)
{
	int first = -1;
	for (int i = 0; i < n; i++) {
		if (args[i].kind != V_TENSOR)
			continue;
		enum dtype t = w->p->values.at[args[i].tensor].dtype;
		if (first < 0) {
			first = args[i].tensor;
			*out = t;
		} else if (!common_dtype(*out, t, out)) {
			report_formats(w, first, args[i].tensor, at);
			return false;
		}
	}
	return true;
}

/* Is the divisor the constant 0? */
static bool divides_by_zero(enum op op, const struct val *args)
{
	double divisor;
	return op == OP_DIV && val_number(args[1], &divisor) && divisor == 0;
}

struct val walk_pointwise(struct env *e, enum op op, const char *what, struct val *args, int n, const struct node *at)
{
	struct walk *w = e->walk;
	struct span span = at->kind == N_BIN ? at->bin.op_span : at->span;
	enum dtype dtype = DTYPE_F32;
	int values[3];
	for (int i = 0; i < n; i++)
		if (!pointwise_operand(w, what, args[i], span))
			return val_bad();
	if (divides_by_zero(op, args)) {
		walk_report(w, DIAG_E0203, span, "division by zero");
		return val_bad();
	}
	int big = widest(w, what, args, n, at);
	if (big < 0 || !pointwise_dtype(w, args, n, span, &dtype))
		return val_bad();
	for (int i = 0; i < n; i++) {
		double number = 0;
		if (args[i].kind == V_TENSOR) {
			values[i] = walk_cast(w, args[i].tensor, dtype, at->span);
		} else {
			val_number(args[i], &number);
			values[i] = emit_const(w, number, dtype, at->span);
		}
	}
	struct value v = walk_value(w, op, at->span);
	v.dtype = dtype;
	set_axes(&v, value_axes(w, args[big].tensor));
	value_args(w, &v, values, n);
	return walk_ragged(w, &v) ? val_tensor(walk_emit(w, v)) : val_bad();
}

/* ---- renaming -------------------------------------------------------------------------------- */

static bool is_part(const struct axis *a, int part)
{
	for (int i = 0; i < a->n_parts; i++)
		if (a->part[i] == part)
			return true;
	return false;
}

static void report_not_view(struct walk *w, const struct node *arrow, int from, int to)
{
	struct diag *d = walk_report(w, DIAG_E0406, arrow->span, "`%s -> %s` is not a view: the axes are unrelated",
	                             arrow->arrow.from.name, arrow->arrow.to.name);
	diag_related(w->s->sink, d, w->p->axes.at[from].span, "`%s` is declared here", arrow->arrow.from.name);
	diag_related(w->s->sink, d, w->p->axes.at[to].span, "`%s` is declared here", arrow->arrow.to.name);
	diag_help(w->s->sink, d,
	          "an axis can be renamed only to one declared `like` it, or a `concat` to one of its parts");
}

/* One `a -> b`. Returns the renamed value, or -1. */
static int rename_axis(struct env *e, int x, const struct node *arrow)
{
	struct walk *w = e->walk;
	int from = env_need_axis(e, arrow->arrow.from), to = env_need_axis(e, arrow->arrow.to);
	if (from < 0 || to < 0)
		return -1;
	struct axes have = value_axes(w, x);
	if (!axes_have(have, from)) {
		walk_report(w, DIAG_E0406, arrow->arrow.from.span, "%s has no axis `%s`", walk_type_text(w, x),
		            arrow->arrow.from.name);
		return -1;
	}
	if (axes_have(have, to)) {
		walk_report(w, DIAG_E0403, arrow->arrow.to.span, "axis `%s` would appear twice", arrow->arrow.to.name);
		return -1;
	}
	bool piece = is_part(&w->p->axes.at[from], to);
	if (!piece && axis_root(w->p, from) != axis_root(w->p, to)) {
		report_not_view(w, arrow, from, to);
		return -1;
	}
	struct value v = walk_value(w, piece ? OP_PIECE : OP_RENAME, arrow->span);
	const struct value *was = &w->p->values.at[x];
	v.type = was->type;
	v.dtype = was->dtype;
	v.index_of = was->index_of;
	v.slot = was->slot;
	v.view.from = from;
	v.view.to = to;
	set_axes(&v, axes_add(w, have, -1));
	v.n_axes = have.n;
	for (int i = 0; i < have.n; i++)
		v.axes[i] = have.at[i] == from ? to : have.at[i];
	value_args(w, &v, &x, 1);
	return walk_ragged(w, &v) ? walk_emit(w, v) : -1;
}

static bool rename_all(struct env *e, const struct node *n, struct val *out)
{
	for (int i = 0; i < n->call.args.n; i++)
		if (n->call.args.at[i]->kind != N_ARG_ARROW)
			return false;
	struct val x = walk_eval(e, n->call.f, NULL);
	*out = x;
	if (x.kind == V_BAD)
		return true;
	if (x.kind != V_TENSOR) {
		walk_report(e->walk, DIAG_E0406, n->call.f->span, "only a tensor has axes to rename, found %s",
		            walk_show(e->walk, x));
		*out = val_bad();
		return true;
	}
	int value = x.tensor;
	for (int i = 0; i < n->call.args.n && value >= 0; i++)
		value = rename_axis(e, value, n->call.args.at[i]);
	*out = value < 0 ? val_bad() : val_tensor(value);
	return true;
}

/* ---- scalars that take part ------------------------------------------------------------------ */

struct val walk_eval(struct env *e, const struct node *n, const struct node *expect)
{
	struct val v = eval(&e->scope, n, expect);
	if (v.kind == V_BAD)
		e->walk->failed = true;
	return v;
}

/* +, -, *, / of tensors or scalars; comparisons and `mod` of scalars. */
static struct val arithmetic(struct env *e, const struct node *n)
{
	static const enum op ops[B_OPS] = {[B_ADD] = OP_ADD, [B_SUB] = OP_SUB, [B_MUL] = OP_MUL, [B_DIV] = OP_DIV};
	struct val v[2] = {walk_eval(e, n->bin.a, NULL), walk_eval(e, n->bin.b, NULL)};
	enum bin_op op = n->bin.op;
	if (v[0].kind == V_BAD || v[1].kind == V_BAD)
		return val_bad();
	bool tensors = v[0].kind == V_TENSOR || v[1].kind == V_TENSOR;
	if (tensors && (op == B_ADD || op == B_SUB || op == B_MUL || op == B_DIV))
		return walk_pointwise(e, ops[op], bin_op_text(op), v, 2, n);
	if (tensors) {
		walk_report(e->walk, DIAG_E0412, n->bin.op_span, "`%s` expects scalars known at compile time, found %s",
		            bin_op_text(op), walk_show(e->walk, v[v[0].kind == V_TENSOR ? 0 : 1]));
		return val_bad();
	}
	struct val out = arith(e->walk->s, op, v[0], v[1], n->bin.op_span);
	e->walk->failed = e->walk->failed || out.kind == V_BAD;
	return out;
}

static struct val negate(struct env *e, const struct node *n)
{
	struct val v[2] = {walk_eval(e, n->one.x, NULL), val_float(-1)};
	if (v[0].kind == V_BAD)
		return v[0];
	if (v[0].kind == V_TENSOR)
		return walk_pointwise(e, OP_MUL, "-", v, 2, n);
	return negated(e->walk->s, v[0], n->span);
}

/* Evaluates a condition: a Bool, or unknown. false after a report. */
static bool truth(struct env *e, const struct node *n, struct val *out)
{
	*out = walk_eval(e, n, NULL);
	if (out->kind == V_BOOL || out->kind == V_UNKNOWN || out->kind == V_BAD)
		return out->kind == V_BOOL;
	walk_report(e->walk, DIAG_E0203, n->span, "expected a Bool, found %s", walk_show(e->walk, *out));
	*out = val_bad();
	return false;
}

static struct val both(struct env *e, const struct node *n)
{
	struct val a, b;
	bool decided_by = n->bin.op == B_OR;
	if (truth(e, n->bin.a, &a) && a.b == decided_by)
		return a;
	if (a.kind == V_BAD)
		return a;
	if (truth(e, n->bin.b, &b) && b.b == decided_by)
		return b;
	return b.kind == V_BAD || a.kind == V_BOOL ? b : a;
}

static struct val choose(struct env *e, const struct node *n, const struct node *expect)
{
	struct val c;
	if (!truth(e, n->cond.c, &c))
		return c;
	return walk_eval(e, c.b ? n->cond.a : n->cond.b, expect);
}

static bool binary(struct env *e, const struct node *n, struct val *out)
{
	switch (n->bin.op) {
	case B_AND:
	case B_OR:    *out = both(e, n); return true;
	case B_WHERE:
	case B_IN:
	case B_RANGE: return false;
	default:      *out = arithmetic(e, n); return true;
	}
}

static struct val labelled(struct env *e, const struct node *n)
{
	if (n->label.call->kind == N_CALL)
		return walk_call(e, n->label.call, n);
	walk_report(e->walk, DIAG_E0004, n->label.name.span, "only a call opens a region");
	return val_bad();
}

static bool walk_one(struct env *e, const struct node *n, const struct node *expect, struct val *out)
{
	switch (n->kind) {
	case N_CONTRACT: *out = contract(e, n); return true;
	case N_LABEL:    *out = labelled(e, n); return true;
	case N_CALL:     *out = walk_call(e, n, NULL); return out->kind != V_NONE;
	case N_INDEX:    return rename_all(e, n, out);
	case N_NEG:      *out = negate(e, n); return true;
	case N_NOT:
		if (truth(e, n->one.x, out))
			out->b = !out->b;
		return true;
	case N_BIN: return binary(e, n, out);
	case N_IF:  *out = choose(e, n, expect); return true;
	default:    return false;
	}
}

bool walk_hook(struct scope *s, const struct node *n, const struct node *expect, struct val *out)
{
	struct env *e = s->walk;
	int before = e->walk->decisions.n;
	bool known = walk_one(e, n, expect, out);
	if (known && (n->kind == N_BIN || n->kind == N_NOT || n->kind == N_NEG))
		walk_decided(e, n, before, *out);
	return known;
}
