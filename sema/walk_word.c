/* Words in expressions of programs (docs/language.md, Tensor programs): cast, reductions, iota, size, alias, pointwise
 * functions. */
#include "walk.h"
#include <math.h>
#include <string.h>

static double reciprocal_root(double x) { return 1 / sqrt(x); }

/* Functions of tensors, with the same meaning for scalars. */
static const struct function {
	const char *name;
	enum op op;
	double (*scalar)(double);
} functions[] = {
	{"exp", OP_EXP, exp},    {"log", OP_LOG, log},       {"sqrt", OP_SQRT, sqrt}, {"rsqrt", OP_RSQRT, reciprocal_root},
	{"tanh", OP_TANH, tanh}, {"erf", OP_ERF, erf},       {"sin", OP_SIN, sin},    {"cos", OP_COS, cos},
	{"abs", OP_ABS, fabs},   {"floor", OP_FLOOR, floor}, {"ceil", OP_CEIL, ceil},
};
enum { N_FUNCTIONS = sizeof functions / sizeof *functions };

static const struct function *function_named(const char *name)
{
	for (int i = 0; i < N_FUNCTIONS; i++)
		if (!strcmp(name, functions[i].name))
			return &functions[i];
	return NULL;
}

/* ---- arguments ------------------------------------------------------------------------------- */

static const struct node *argument(const struct node *n, int i)
{
	for (int k = 0; k < n->call.args.n; k++)
		if (n->call.args.at[k]->kind != N_ARG_NAMED && i-- == 0)
			return n->call.args.at[k];
	return NULL;
}

static int argument_count(const struct node *n)
{
	int count = 0;
	while (argument(n, count))
		count++;
	return count;
}

/* The argument `over = ...`, or NULL. */
static const struct node *over_argument(const struct node *n)
{
	for (int k = 0; k < n->call.args.n; k++) {
		const struct node *a = n->call.args.at[k];
		if (a->kind == N_ARG_NAMED && !strcmp(a->dot.name.name, "over"))
			return a->dot.x;
	}
	return NULL;
}

static bool takes(struct env *e, const char *f, const struct node *n, int count)
{
	if (argument_count(n) == count)
		return true;
	walk_report(e->walk, DIAG_E0411, n->span, "`%s` takes %d argument%s, found %d", f, count, count == 1 ? "" : "s",
	            argument_count(n));
	return false;
}

/* The axis in an argument; -1 after a report. */
static int axis_argument(struct env *e, const char *f, const struct node *a)
{
	if (a->kind == N_ID)
		return env_need_axis(e, (struct ident){a->ident.name, a->span});
	walk_report(e->walk, DIAG_E0411, a->span, "`%s` takes the name of an axis here", f);
	return -1;
}

/* ---- words on tensors ------------------------------------------------------------------------ */

static struct val cast(struct env *e, const struct node *n)
{
	struct walk *w = e->walk;
	if (!takes(e, "cast", n, 2))
		return val_bad();
	struct val x = walk_eval(e, argument(n, 0), NULL), t = walk_eval(e, argument(n, 1), NULL);
	if (x.kind == V_BAD || t.kind == V_BAD)
		return val_bad();
	bool computed = t.kind == V_DTYPE
	                && (t.dtype == DTYPE_F64 || t.dtype == DTYPE_F32 || t.dtype == DTYPE_BF16 || t.dtype == DTYPE_F16);
	if (!computed || x.kind != V_TENSOR || w->p->values.at[x.tensor].type == TYPE_ROUTING) {
		walk_report(w, DIAG_E0412, n->span, "`cast` takes a tensor and f32, bf16 or f16, found %s and %s",
		            walk_show(w, x), walk_show(w, t));
		return val_bad();
	}
	const struct value *v = &w->p->values.at[x.tensor];
	if (v->type == TYPE_INDEX && !w->p->axes.at[v->index_of].extent) {
		struct diag *d =
			walk_report(w, DIAG_E0412, n->span, "`cast` of an index of `%s`: its values depend on how a step is packed",
		                w->p->axes.at[v->index_of].name);
		diag_help(w->s->sink, d, "`pos` says where a token is in its sequence");
		return val_bad();
	}
	int out = walk_cast(w, x.tensor, t.dtype, n->span);
	w->p->values.at[out].type = TYPE_FLOAT;
	return val_tensor(out);
}

static struct val iota(struct env *e, const struct node *n)
{
	if (!takes(e, "iota", n, 1))
		return val_bad();
	int axis = axis_argument(e, "iota", argument(n, 0));
	if (axis < 0)
		return val_bad();
	struct value v = walk_value(e->walk, OP_IOTA, n->span);
	v.dtype = DTYPE_F32;
	v.axes = axes_add(e->walk, (struct axes){0}, axis).at;
	v.n_axes = 1;
	return val_tensor(walk_emit(e->walk, v));
}

/* The numbers of a list, one for each index of the axis. NULL after a report. */
static const double *list_numbers(struct walk *w, struct val list, int axis, struct span at)
{
	int64_t extent = w->p->axes.at[axis].extent;
	double *out = arena_array(w->arena, double, list.list.n + 1);
	for (int i = 0; i < list.list.n; i++)
		if (!val_number(list.list.at[i], &out[i]) || list.list.at[i].kind == V_QUANTITY) {
			walk_report(w, DIAG_E0203, at, "`constant` takes a list of numbers, found %s in it",
			            walk_show(w, list.list.at[i]));
			return NULL;
		}
	if (list.list.n == extent)
		return out;
	if (extent)
		walk_report(w, DIAG_E0203, at, "`constant` of %d numbers over `%s`, which has %lld", list.list.n,
		            w->p->axes.at[axis].name, (long long)extent);
	else
		walk_report(w, DIAG_E0203, at, "`constant` over `%s`, whose extent is only known when a step runs",
		            w->p->axes.at[axis].name);
	return NULL;
}

/* A list as a tensor over an axis. */
static struct val constant(struct env *e, const struct node *n)
{
	struct walk *w = e->walk;
	if (!takes(e, "constant", n, 1))
		return val_bad();
	struct val list = walk_eval(e, argument(n, 0), NULL), open;
	int axis = axis_argument(e, "constant", over_argument(n));
	if (list.kind == V_BAD || axis < 0)
		return val_bad();
	struct value v = walk_value(w, OP_LIST, n->span);
	bool known = !val_open(list, &open) && !env_partial(e);
	if (known && list.kind != V_LIST) {
		walk_report(w, DIAG_E0203, argument(n, 0)->span, "`constant` takes a list of numbers, found %s",
		            walk_show(w, list));
		return val_bad();
	}
	v.numbers = known ? list_numbers(w, list, axis, argument(n, 0)->span) : NULL;
	v.dtype = DTYPE_F32;
	v.axes = axes_add(w, (struct axes){0}, axis).at;
	v.n_axes = 1;
	return known && !v.numbers ? val_bad() : val_tensor(walk_emit(w, v));
}

static struct val reduce(struct env *e, const char *f, const struct node *n)
{
	struct walk *w = e->walk;
	if (!takes(e, f, n, 1))
		return val_bad();
	struct val x = walk_eval(e, argument(n, 0), NULL);
	int axis = axis_argument(e, f, over_argument(n));
	if (x.kind == V_BAD || axis < 0)
		return val_bad();
	if (!walk_is_float(w, x)) {
		walk_report(w, DIAG_E0412, n->span, "`%s` takes a float tensor, found %s", f, walk_show(w, x));
		return val_bad();
	}
	struct axes have = value_axes(w, x.tensor), over = axes_add(w, (struct axes){0}, axis);
	if (!axes_have(have, axis)) {
		walk_report(w, DIAG_E0402, over_argument(n)->span, "`%s` over `%s`: %s has no such axis", f,
		            w->p->axes.at[axis].name, walk_show(w, x));
		return val_bad();
	}
	struct value v = walk_value(w, !strcmp(f, "sum") ? OP_SUM : !strcmp(f, "mean") ? OP_MEAN : OP_REDUCE_MAX, n->span);
	struct axes left = axes_without(w, have, over);
	v.dtype = w->p->values.at[x.tensor].dtype;
	v.axes = left.at;
	v.n_axes = left.n;
	v.reduce.over = over.at;
	v.reduce.n_over = 1;
	value_args(w, &v, &x.tensor, 1);
	return walk_ragged(w, &v) ? val_tensor(walk_emit(w, v)) : val_bad();
}

/* The longest context of the model; 0: unknown. */
static int64_t longest_context(struct walk *w)
{
	struct field *f = w->model ? record_field(w->model, names_str(w->s->names, "max_ctx")) : NULL;
	struct val v = f ? record_get(w->model, f->name, f->span) : val_none();
	return v.kind == V_INT ? v.i : 0;
}

/* Positions, as indices of an axis that has as many as a sequence may have. */
static struct val index_of(struct env *e, const struct node *n)
{
	struct walk *w = e->walk;
	if (!takes(e, "index", n, 1))
		return val_bad();
	struct val x = walk_eval(e, argument(n, 0), NULL);
	int axis = axis_argument(e, "index", over_argument(n));
	if (x.kind == V_BAD || axis < 0)
		return val_bad();
	if (x.kind != V_TENSOR || w->p->values.at[x.tensor].type != TYPE_INT || w->p->values.at[x.tensor].op != OP_INPUT) {
		walk_report(w, DIAG_E0412, n->span, "`index` takes positions, an input, found %s", walk_show(w, x));
		return val_bad();
	}
	int64_t extent = w->p->axes.at[axis].extent, longest = longest_context(w);
	if (!env_partial(e) && longest > extent) {
		struct diag *d = walk_report(w, DIAG_E0203, over_argument(n)->span,
		                             "`%s` is too short for the positions of a sequence", w->p->axes.at[axis].name);
		diag_note(w->s->sink, d, "`%s` = %lld, `max_ctx` = %lld", w->p->axes.at[axis].name, (long long)extent,
		          (long long)longest);
		return val_bad();
	}
	struct value v = w->p->values.at[x.tensor];
	v.type = TYPE_INDEX;
	v.index_of = axis;
	v.span = n->span;
	v.name = NULL;
	v.region = walk_value(w, OP_INPUT, n->span).region;
	return val_tensor(walk_emit(w, v));
}

/* ---- words on axes --------------------------------------------------------------------------- */

static struct val extent_value(struct walk *w, struct axes a)
{
	int64_t size = axes_size(w->p, a);
	if (size)
		return val_int(size);
	return (struct val){.kind = V_UNKNOWN, .name = "size"};
}

/* Elements of a tensor, or the extent of an axis. */
static struct val size_of(struct env *e, const struct node *n)
{
	if (!takes(e, "size", n, 1))
		return val_bad();
	const struct node *a = argument(n, 0);
	int axis = a->kind == N_ID ? env_axis(e, a->ident.name) : -1;
	if (axis >= 0)
		return extent_value(e->walk, axes_add(e->walk, (struct axes){0}, axis));
	struct val v = walk_eval(e, a, NULL);
	if (v.kind == V_TENSOR)
		return extent_value(e->walk, value_axes(e->walk, v.tensor));
	if (v.kind != V_BAD)
		walk_report(e->walk, DIAG_E0411, a->span, "`size` takes a tensor or the name of an axis, found %s",
		            walk_show(e->walk, v));
	return val_bad();
}

static struct val alias(struct env *e, const struct node *n)
{
	if (!takes(e, "alias", n, 2))
		return val_bad();
	int a = axis_argument(e, "alias", argument(n, 0)), b = axis_argument(e, "alias", argument(n, 1));
	if (a < 0 || b < 0)
		return val_bad();
	return val_bool(axis_root(e->walk->p, a) == axis_root(e->walk->p, b));
}

/* ---- functions of tensors or scalars --------------------------------------------------------- */

static struct val scalar_function(struct walk *w, const struct function *f, const char *name, const struct val *v,
                                  int n, struct span at)
{
	double x[3];
	for (int i = 0; i < n; i++)
		val_number(v[i], &x[i]);
	if (!f && n == 3)
		return x[0] < x[1] ? v[1] : x[0] > x[2] ? v[2] : v[0];
	if (!f)
		return (*name == 'm' && name[1] == 'i') == (x[1] < x[0]) ? v[1] : v[0];
	double y = f->scalar(x[0]);
	if (!isfinite(y)) {
		walk_report(w, DIAG_E0203, at, "`%s` of %g is not a number", name, x[0]);
		return val_bad();
	}
	bool whole = f->op == OP_FLOOR || f->op == OP_CEIL || (f->op == OP_ABS && v[0].kind == V_INT);
	return whole && fabs(y) < 9e15 ? val_int((int64_t)y) : val_float(y);
}

/* The kind of a result: V_TENSOR, V_INT for plain numbers, V_BAD, V_UNKNOWN, or V_NONE: left to scalar evaluation. */
static enum vkind strongest(const struct val *v, int n)
{
	static const enum vkind order[] = {V_BAD, V_TENSOR, V_UNKNOWN};
	for (size_t k = 0; k < sizeof order / sizeof *order; k++)
		for (int i = 0; i < n; i++)
			if (v[i].kind == order[k])
				return order[k];
	for (int i = 0; i < n; i++)
		if (v[i].kind != V_INT && v[i].kind != V_FLOAT)
			return V_NONE;
	return V_INT;
}

static bool function_call(struct env *e, const struct function *f, const char *name, const struct node *n,
                          struct val *out)
{
	struct val v[3];
	int count = f ? 1 : !strcmp(name, "clamp") ? 3 : 2;
	if (!f && count == 2 && argument_count(n) == 1)
		return false; /* min or max of a range */
	*out = val_bad();
	if (!takes(e, name, n, count))
		return true;
	for (int i = 0; i < count; i++)
		v[i] = walk_eval(e, argument(n, i), NULL);
	enum op op = f ? f->op : count == 3 ? OP_CLAMP : name[1] == 'i' ? OP_MIN : OP_MAX;
	switch (strongest(v, count)) {
	case V_BAD:     return true;
	case V_TENSOR:  *out = walk_pointwise(e, op, name, v, count, n); return true;
	case V_UNKNOWN: *out = (struct val){.kind = V_UNKNOWN, .name = name}; return true;
	case V_INT:     *out = scalar_function(e->walk, f, name, v, count, n->span); return true;
	default:        return false;
	}
}

static void report_unknown_word(struct env *e, const char *f, struct span at)
{
	const char *near = function_near(IN_PROGRAMS, f);
	e->walk->failed = true;
	if (!near || env_partial(e)) {
		report_unknown_name(&e->scope, f, at);
		return;
	}
	struct diag *d = walk_report(e->walk, DIAG_E0101, at, "cannot find `%s` in this scope", f);
	diag_help(e->walk->s->sink, d, "did you mean `%s`?", near);
	diag_fix(e->walk->s->sink, d, at, near);
}

bool walk_word(struct env *e, const char *f, const struct node *n, struct val *out)
{
	if (!strcmp(f, "product"))
		return false;
	*out = val_bad();
	if (!function_is(IN_PROGRAMS, f)) {
		report_unknown_word(e, f, n->call.f->span);
		return true;
	}
	if ((!strcmp(f, "sum") || !strcmp(f, "mean") || !strcmp(f, "constant") || !strcmp(f, "index"))
	    && !over_argument(n)) {
		struct diag *d = walk_report(e->walk, DIAG_E0410, n->span, "cannot infer which axis is `over` of `%s`", f);
		diag_help(e->walk->s->sink, d, "pass it in the call: `%s(..., over = ...)`", f);
		return true;
	}
	if (over_argument(n) && (!strcmp(f, "sum") || !strcmp(f, "mean") || !strcmp(f, "max")))
		*out = reduce(e, f, n);
	else if (!strcmp(f, "cast"))
		*out = cast(e, n);
	else if (!strcmp(f, "iota"))
		*out = iota(e, n);
	else if (!strcmp(f, "constant"))
		*out = constant(e, n);
	else if (!strcmp(f, "index"))
		*out = index_of(e, n);
	else if (!strcmp(f, "size"))
		*out = size_of(e, n);
	else if (!strcmp(f, "alias"))
		*out = alias(e, n);
	else
		return function_call(e, function_named(f), f, n, out);
	return true;
}
