/* Bodies: a block's is walked at each call with the caller's axes; an op's replaces its call. */
#include "walk.h"
#include <math.h>
#include <string.h>

/* ---- blocks ---------------------------------------------------------------------------------- */

/* Is it `axis a, b`, without a tail: axes from the caller? */
static bool is_axis_params(const struct node *item)
{
	return item->kind == N_NAMED && !strcmp(item->named.kind.name, "axis")
	       && (item->named.tail == TAIL_BARE || item->named.tail == TAIL_MORE);
}

static void add_unique(struct walk *w, struct idents *out, struct ident name)
{
	for (int i = 0; i < out->n; i++)
		if (out->at[i].name == name.name)
			return;
	struct idents longer = {arena_array(w->arena, struct ident, out->n + 1), out->n + 1};
	if (out->n)
		memcpy(longer.at, out->at, sizeof *out->at * (size_t)out->n);
	longer.at[out->n] = name;
	*out = longer;
}

struct idents block_axis_names(struct walk *w, const struct node *sig)
{
	struct idents out = {0};
	for (int i = 0; i < sig->named.params.n; i++) {
		const struct node *type = sig->named.params.at[i]->field.type;
		if (!type || !type->type.axes)
			continue;
		for (int k = 0; k < type->type.args.n; k++) {
			const struct node *a = type->type.args.at[k];
			if (a->type.has_path)
				add_unique(w, &out, a->type.path.at[a->type.path.n - 1]);
		}
		struct nodes items = type->type.axes->axes.items;
		for (int k = 0; k < items.n; k++)
			add_unique(w, &out, (struct ident){axis_item_name(items.at[k]), items.at[k]->span});
	}
	for (int i = 0; i < sig->named.body.n; i++) {
		const struct node *item = sig->named.body.at[i];
		if (!is_axis_params(item))
			continue;
		add_unique(w, &out, item->named.name.at[0]);
		for (int k = 0; k < item->named.more.n; k++)
			add_unique(w, &out, item->named.more.at[k]);
	}
	return out;
}

/* Did the caller give or declare the axis, but wrongly? That was reported. */
static bool axis_is_bad(struct call *c, const char *name)
{
	for (int i = 0; i < c->axes.n; i++)
		if (!strcmp(c->axes.at[i].name, name))
			return true;
	struct bound *b = NULL;
	for (struct env *e = c->env; e && !b; e = e->parent)
		b = env_find(e, name);
	return b && b->val.kind == V_BAD;
}

static bool bind_axis(struct call *c, struct env *inner, struct ident name)
{
	int given = call_axis(c, name.name);
	int axis = given >= 0 ? given : env_axis(c->env, name.name);
	if (axis >= 0) {
		env_bind(inner, name.name, (struct val){.kind = V_AXIS, .axis = axis}, name.span);
		return true;
	}
	c->w->failed = true;
	if (env_partial(c->env) || axis_is_bad(c, name.name))
		return false;
	struct diag *d = walk_report(c->w, DIAG_E0401, c->node->call.f->span, "axis `%s` is not in scope of block `%s`",
	                             name.name, c->f->name);
	diag_related(c->w->s->sink, d, name.span, "the block takes this axis from its caller");
	diag_help(c->w->s->sink, d, "the caller has no `%s`: declare it, or pass `%s = ...`", name.name, name.name);
	return false;
}

static bool same_type(struct walk *w, int value, const struct tensor_type *t)
{
	const struct value *v = &w->p->values.at[value];
	if (v->type != t->type || !axes_same_set(value_axes(w, value), t->axes))
		return false;
	return t->type == TYPE_FLOAT ? v->dtype == t->dtype : v->index_of == t->index_of && v->slot == t->slot;
}

/* The value of a block's operand in its body. */
static struct val block_operand(struct call *c, struct env *inner, const struct param_value *p)
{
	struct tensor_type want;
	if (!p->tensor || p->val.kind != V_TENSOR)
		return p->val;
	if (!walk_tensor_type(inner, p->node->field.type, "act", &want))
		return val_bad();
	if (same_type(c->w, p->val.tensor, &want))
		return p->val;
	struct diag *d = walk_report(c->w, DIAG_E0407, p->at, "`%s` of block `%s` is %s, expected %s", p->name, c->f->name,
	                             walk_type_text(c->w, p->val.tensor), walk_declared_text(c->w, &want));
	diag_related(c->w->s->sink, d, p->node->span, "declared here");
	return val_bad();
}

static struct val block_result(struct call *c, struct env *inner, struct val got)
{
	struct tensor_type want;
	const struct node *type = c->sig->named.type;
	if (got.kind == V_BAD || !type || !walk_tensor_type(inner, type, "act", &want))
		return val_bad();
	if (got.kind == V_TENSOR && same_type(c->w, got.tensor, &want))
		return val_tensor(walk_in_order(c->w, got.tensor, want.axes, inner->returned_at));
	if (got.kind == V_NONE && env_partial(inner))
		return val_bad();
	struct span at = got.kind == V_NONE ? c->sig->named.name.span : inner->returned_at;
	struct diag *d =
		walk_report(c->w, DIAG_E0407, at, "block `%s` returns %s, declared %s", c->f->name,
	                got.kind == V_NONE ? "nothing" : walk_show(c->w, got), walk_declared_text(c->w, &want));
	diag_related(c->w->s->sink, d, type->span, "declared here");
	return val_bad();
}

struct val walk_block_call(struct call *c)
{
	struct walk *w = c->w;
	if (w->call >= 0) {
		walk_report(w, DIAG_E0004, c->node->span, "a call of block `%s` does not belong in the body of an `op`",
		            c->f->name);
		return val_bad();
	}
	struct env *inner = env_new(w, ENV_BLOCK, NULL, c->f->module);
	inner->call = c;
	struct idents axes = block_axis_names(w, c->sig);
	bool ok = true;
	for (int i = 0; i < axes.n; i++)
		ok = bind_axis(c, inner, axes.at[i]) && ok;
	if (!ok)
		return val_bad();
	for (int i = 0; i < c->n_params; i++)
		env_bind(inner, c->params[i].name, block_operand(c, inner, &c->params[i]), c->params[i].node->span);
	struct val got = val_none();
	walk_body(inner, c->sig->named.body, &got);
	return block_result(c, inner, got);
}

/* ---- ops ------------------------------------------------------------------------------------- */

/* The axes marked `a!` in the signature, of the operands given. */
static struct axes whole_axes(struct call *c)
{
	struct axes out = {0};
	for (int i = 0; i < c->n_params; i++) {
		const struct node *type = c->params[i].node->field.type;
		struct nodes items =
			c->params[i].tensor && c->params[i].val.kind == V_TENSOR ? type->type.axes->axes.items : (struct nodes){0};
		for (int k = 0; k < items.n; k++) {
			if (items.at[k]->kind != N_AX || items.at[k]->ax.mark != '!')
				continue;
			int axis = call_axis(c, axis_item_name(items.at[k]));
			if (!axes_have(out, axis))
				out = axes_add(c->w, out, axis);
		}
	}
	return out;
}

/* The names in the body: axis variables, parameters (floats as f32), pi. */
static struct env *op_env(struct call *c)
{
	struct walk *w = c->w;
	struct env *inner = env_new(w, ENV_OP, NULL, c->f->module);
	inner->call = c;
	for (int i = 0; i < c->axes.n; i++)
		env_bind(inner, c->axes.at[i].name, (struct val){.kind = V_AXIS, .axis = c->axes.at[i].axis}, c->node->span);
	for (int i = 0; i < c->n_params; i++) {
		struct val v = c->params[i].val;
		if (walk_is_float(w, v))
			v.tensor = walk_cast(w, v.tensor, DTYPE_F32, c->params[i].at);
		env_bind(inner, c->params[i].name, v, c->params[i].node->span);
	}
	env_bind(inner, names_str(w->s->names, "pi"), val_float(M_PI), c->node->span);
	return inner;
}

/* Rounds the result of an op, once. The result is made the last value of the call, as op_call.last requires. */
static int rounded(struct call *c, int got, const struct value *result, int first)
{
	struct walk *w = c->w;
	got = walk_in_order(w, got, (struct axes){result->axes, result->n_axes}, c->node->span);
	got = walk_cast(w, got, result->dtype, c->node->span);
	if (got >= first && got == w->p->values.n - 1)
		return got;
	struct value v = walk_value(w, OP_CAST, c->node->span);
	v.dtype = result->dtype;
	v.axes = result->axes;
	v.n_axes = result->n_axes;
	value_args(w, &v, &got, 1);
	return walk_emit(w, v);
}

static bool check_result(struct call *c, struct env *inner, struct val got, const struct value *result)
{
	struct walk *w = c->w;
	struct axes want = {result->axes, result->n_axes};
	if (walk_is_float(w, got) && result->type == TYPE_FLOAT && axes_same_set(value_axes(w, got.tensor), want))
		return true;
	if (got.kind == V_BAD || (got.kind == V_NONE && env_partial(inner)))
		return false;
	struct span at = got.kind == V_NONE ? c->sig->named.name.span : inner->returned_at;
	struct tensor_type type = {.type = result->type,
	                           .dtype = result->dtype,
	                           .storage = result->dtype,
	                           .axes = want,
	                           .index_of = result->index_of,
	                           .slot = result->slot};
	struct diag *d =
		walk_report(w, DIAG_E0407, at, "op `%s` returns %s, its signature declares %s%s", c->f->name,
	                got.kind == V_NONE ? "nothing" : walk_show(w, got), result->type == TYPE_FLOAT ? "axes " : "",
	                result->type == TYPE_FLOAT ? walk_axes_text(w, want) : walk_declared_text(w, &type));
	diag_related(w->s->sink, d, c->sig->span, "declared here");
	return false;
}

struct val walk_inline(struct call *c, struct value result)
{
	struct walk *w = c->w;
	if (!c->sig->named.has_body) {
		walk_report(w, DIAG_E0911, c->sig->named.name.span, "op `%s` has no body", c->f->name);
		return val_bad();
	}
	int outer = w->call, first = w->p->values.n, own = w->p->calls.n;
	if (outer < 0) {
		struct axes whole = whole_axes(c);
		struct op_call call = {.name = c->f->name,
		                       .span = c->node->span,
		                       .region = w->region,
		                       .whole = whole.at,
		                       .n_whole = whole.n,
		                       .first = first};
		vec_push(w->arena, &w->p->calls, call);
		w->call = own;
	}
	struct env *inner = op_env(c);
	struct val got = val_none();
	walk_body(inner, c->sig->named.body, &got);
	bool ok = check_result(c, inner, got, &result);
	int last = ok ? rounded(c, got.tensor, &result, first) : -1;
	if (outer < 0)
		w->p->calls.at[own].last = last;
	w->call = outer;
	return ok ? val_tensor(last) : val_bad();
}
