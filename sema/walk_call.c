/* Calls: the callee, its arguments, its region. */
#include "walk.h"
#include <string.h>

/* ---- facts of a call ------------------------------------------------------------------------- */

struct param_value *call_param(struct call *c, const char *name)
{
	int i = index_find(&c->index, name);
	return i < 0 ? NULL : &c->params[i];
}

int call_axis(struct call *c, const char *variable)
{
	for (int i = 0; i < c->axes.n; i++)
		if (!strcmp(c->axes.at[i].name, variable))
			return c->axes.at[i].axis;
	return -1;
}

struct axes call_rest(struct call *c, const char *variable)
{
	for (int i = 0; i < c->rests.n; i++)
		if (!strcmp(c->rests.at[i].name, variable))
			return c->rests.at[i].axes;
	return (struct axes){0};
}

void call_set_axis(struct call *c, const char *variable, int axis)
{
	vec_push(c->w->arena, &c->axes, ((struct axis_name){variable, axis}));
}

/* ---- arguments ------------------------------------------------------------------------------- */

static void report_no_param(struct call *c, struct ident name, struct idents axes)
{
	const char **known = arena_array(c->w->arena, const char *, c->n_params + axes.n + 1);
	int n = 0;
	for (int i = 0; i < c->n_params; i++)
		known[n++] = c->params[i].name;
	for (int i = 0; i < axes.n; i++)
		known[n++] = axes.at[i].name;
	struct diag *d = walk_report(c->w, DIAG_E0411, name.span, "`%s` has no parameter `%s`", c->f->name, name.name);
	diag_related(c->w->s->sink, d, c->sig->named.name.span, "`%s` is declared here", c->f->name);
	struct text list = {.arena = c->w->arena};
	for (int i = 0; i < n; i++)
		text_add(&list, "%s`%s`", i ? ", " : "", known[i]);
	const char *near = nearest_name(name.name, known, n);
	if (!diag_suggest(c->w->s->sink, d, name.span, near) && n)
		diag_help(c->w->s->sink, d, "its parameters are %s", list.at);
	c->bad = true;
}

static void give(struct call *c, struct param_value *p, const struct node *a, struct span at)
{
	if (p->given) {
		walk_report(c->w, DIAG_E0411, at, "`%s` of `%s` is given twice", p->name, c->f->name);
		c->bad = true;
		return;
	}
	p->given = true;
	p->at = a->span;
	p->val = walk_eval(c->env, a, p->tensor ? NULL : p->node->field.type);
}

/* `name = value`, for a parameter or an axis variable. */
static void give_named(struct call *c, const struct node *a, struct idents axes)
{
	struct param_value *p = call_param(c, a->dot.name.name);
	if (p) {
		refer(c->w->s, a->dot.name, p->node->span, REFERENCE_LOCAL);
		give(c, p, a->dot.x, a->span);
		return;
	}
	for (int i = 0; i < axes.n; i++) {
		if (axes.at[i].name != a->dot.name.name)
			continue;
		int axis = -1;
		if (a->dot.x->kind == N_ID)
			axis = env_need_axis(c->env, (struct ident){a->dot.x->ident.name, a->dot.x->span});
		else
			walk_report(c->w, DIAG_E0411, a->dot.x->span, "`%s` of `%s` takes the name of an axis", a->dot.name.name,
			            c->f->name);
		refer(c->w->s, a->dot.name, axes.at[i].span, REFERENCE_AXIS);
		c->bad = c->bad || axis < 0;
		call_set_axis(c, axes.at[i].name, axis);
		return;
	}
	report_no_param(c, a->dot.name, axes);
}

static void give_all(struct call *c, struct idents axes)
{
	int next = 0;
	for (int i = 0; i < c->node->call.args.n; i++) {
		const struct node *a = c->node->call.args.at[i];
		if (a->kind == N_ARG_NAMED) {
			give_named(c, a, axes);
		} else if (next < c->n_params) {
			give(c, &c->params[next++], a, a->span);
		} else {
			struct diag *d = walk_report(c->w, DIAG_E0411, a->span, "`%s` takes %d argument%s", c->f->name, c->n_params,
			                             c->n_params == 1 ? "" : "s");
			diag_related(c->w->s->sink, d, c->sig->named.name.span, "`%s` is declared here", c->f->name);
			c->bad = true;
			return;
		}
	}
}

static void take_default(struct call *c, struct param_value *p)
{
	struct scope declared = {.module = c->f->module, .sema = c->w->s};
	p->at = c->node->span;
	if (p->node->field.value) {
		p->val = eval(&declared, p->node->field.value, p->tensor ? NULL : p->node->field.type);
		return;
	}
	p->val = val_bad();
}

/* E0411: parameters with neither an argument nor a default. */
static void report_missing(struct call *c)
{
	struct text names = {.arena = c->w->arena};
	const struct param_value *first = NULL;
	for (int i = 0; i < c->n_params; i++) {
		const struct param_value *p = &c->params[i];
		if (p->given || p->node->field.value)
			continue;
		text_add(&names, "%s`%s`", first ? ", " : "", p->name);
		first = first ? first : p;
	}
	if (!first)
		return;
	struct diag *d = walk_report(c->w, DIAG_E0411, c->node->call.f->span, "`%s` needs %s", c->f->name, names.at);
	diag_related(c->w->s->sink, d, first->node->span, "a parameter without a default");
}

/* Does a parameter's value have its declared type? The axes of tensors are matched later. */
static bool fits(struct call *c, struct param_value *p)
{
	const struct node *type = p->node->field.type;
	if (p->val.kind == V_BAD)
		return false;
	if (p->tensor && (p->val.kind == V_TENSOR || (p->val.kind == V_NONE && type->type.opt)))
		return true;
	if (p->tensor) {
		walk_report(c->w, DIAG_E0203, p->at, "`%s` of `%s` expects a tensor, found %s", p->name, c->f->name,
		            walk_show(c->w, p->val));
		return false;
	}
	if (p->val.kind == V_TENSOR) {
		walk_report(c->w, DIAG_E0203, p->at, "`%s` of `%s` expects %s, found %s", p->name, c->f->name,
		            type_text(c->w->s, type), walk_show(c->w, p->val));
		return false;
	}
	if (p->val.kind == V_UNKNOWN && strcmp(c->f->kind, "block")) {
		walk_report(c->w, DIAG_E0203, p->at, "`%s` of `%s` is known only at run time", p->name, c->f->name);
		return false;
	}
	return p->val.kind == V_UNKNOWN || check_type(c->w->s, p->val, type, c->f->module, p->name, p->at, p->node->span);
}

static bool is_tensor_param(const struct node *p) { return p->field.type && p->field.type->type.axes; }

/* Checks that no two parameters, and no parameter and axis, have the same name: one would hide the other. */
static bool own_names(struct call *c, struct idents axes)
{
	struct nodes params = c->sig->named.params;
	struct index seen = {0};
	for (int i = 0; i < axes.n; i++)
		index_add(c->w->arena, &seen, axes.at[i].name);
	for (int i = 0; i < params.n; i++) {
		struct ident name = params.at[i]->field.path.at[0];
		int first = index_find(&seen, name.name);
		if (first >= 0) {
			struct diag *d = walk_report(c->w, DIAG_E0106, name.span, "`%s` names a parameter and %s", name.name,
			                             first < axes.n ? "an axis" : "another");
			diag_related(c->w->s->sink, d, first < axes.n ? axes.at[first].span : params.at[first - axes.n]->span,
			             "first here");
			return false;
		}
		index_add(c->w->arena, &seen, name.name);
	}
	return true;
}

/* Binds the parameters of the signature, and the axis variables given by name. */
static void arguments(struct call *c, struct idents axes)
{
	c->n_params = c->sig->named.params.n;
	c->params = arena_array(c->w->arena, struct param_value, c->n_params);
	for (int i = 0; i < c->n_params; i++) {
		const struct node *p = c->sig->named.params.at[i];
		index_add(c->w->arena, &c->index, p->field.path.at[0].name);
		c->params[i] = (struct param_value){
			.name = p->field.path.at[0].name, .node = p, .val = val_bad(), .tensor = is_tensor_param(p)};
	}
	give_all(c, axes);
	report_missing(c);
	for (int i = 0; i < c->n_params; i++) {
		if (!c->params[i].given)
			take_default(c, &c->params[i]);
		if (!fits(c, &c->params[i])) {
			c->params[i].val = val_bad();
			c->bad = c->w->failed = true;
		}
	}
}

/* ---- the call -------------------------------------------------------------------------------- */

static struct val op_call(struct call *c)
{
	if (c->bad || !call_match(c))
		return val_bad();
	struct value result = walk_value(c->w, OP_COUNT, c->node->span);
	if (!call_result_type(c, &result))
		return val_bad();
	return strcmp(c->f->kind, "builtin") ? walk_inline(c, result) : walk_builtin(c, result);
}

/* The callee: V_DEF, V_NONE if the name is not declared, or V_BAD. */
static struct val callee(struct env *e, const struct node *f)
{
	struct val v = val_none();
	if (f->kind == N_ID && !scope_find(&e->scope, f->ident.name, f->span, &v))
		return val_none();
	if (f->kind != N_ID)
		v = walk_eval(e, f, NULL);
	if (v.kind == V_BAD || (v.kind == V_DEF && def_is_program(v.def)))
		return v;
	walk_report(e->walk, DIAG_E0101, f->span, "%s cannot be called",
	            f->kind == N_ID ? arena_printf(e->walk->arena, "`%s`", f->ident.name) : "this");
	return val_bad();
}

static bool calls_itself(struct walk *w, const struct def *f, struct span at)
{
	for (const struct active *a = w->active; a; a = a->outer)
		if (a->def == f) {
			walk_report(w, DIAG_E0206, at, "`%s` calls itself", f->name);
			return true;
		}
	return false;
}

enum { MAX_DEPTH = 200, MAX_NESTED = 1 << 16 };

/* Limits the calls within calls: a few ops that call the next one twice make many. */
static bool calls_too_much(struct walk *w, const struct def *f, struct span at)
{
	w->nested = w->active ? w->nested + 1 : 0;
	if (w->active && w->active->depth > MAX_DEPTH)
		walk_report(w, DIAG_E0007, at, "calls are nested more than %d deep", MAX_DEPTH);
	else if (w->nested == MAX_NESTED)
		walk_report(w, DIAG_E0007, at, "one call expands to more than %d others, `%s` among them", MAX_NESTED, f->name);
	else
		return w->nested > MAX_NESTED;
	return true;
}

static struct val call_def(struct env *e, struct def *f, const struct node *n, const struct node *label)
{
	struct walk *w = e->walk;
	if (calls_itself(w, f, n->call.f->span) || calls_too_much(w, f, n->call.f->span))
		return val_bad();
	f->called = true;
	struct call c = {.env = e, .w = w, .f = f, .node = n, .sig = f->node};
	bool block = !strcmp(f->kind, "block");
	struct idents axes = block ? block_axis_names(w, f->node) : op_axis_names(w, f->node);
	if (!own_names(&c, axes))
		return val_bad();
	arguments(&c, axes);
	const char *prefix = label && label->label.prefix ? label->label.prefix : "";
	if (*prefix)
		prefix = walk_fill_key(e, prefix, (struct axes){0}, NULL, label->span);
	int outside = w->region;
	if (label)
		w->region = walk_region(w, label->label.name, prefix ? prefix : "", false);
	struct active frame = {f, w->active, w->active ? w->active->depth + 1 : 0};
	w->active = &frame;
	struct val out = block ? walk_block_call(&c) : op_call(&c);
	w->active = frame.outer;
	w->region = outside;
	return out;
}

struct val walk_call(struct env *e, const struct node *n, const struct node *label)
{
	struct val f = callee(e, n->call.f), out;
	if (f.kind == V_BAD)
		return f;
	if (f.kind == V_DEF)
		return call_def(e, f.def, n, label);
	if (label && function_is(IN_PROGRAMS, n->call.f->ident.name)) {
		walk_report(e->walk, DIAG_E0004, label->label.name.span, "only the call of a block or an op opens a region");
		return val_bad();
	}
	return walk_word(e, n->call.f->ident.name, n, &out) ? out : val_none();
}
