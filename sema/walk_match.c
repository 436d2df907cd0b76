/* The axis variables of a signature (docs/language.md, Operators and builtins): their axes in a call, and the type of
 * its result. */
#include "walk.h"
#include <string.h>

/* ---- patterns: a type of a signature, read as names of axis variables ------------------------ */

static bool is_tensor_param(const struct node *p) { return p->field.type && p->field.type->type.axes; }

static struct nodes items_of(const struct node *type)
{
	return type && type->type.axes ? type->type.axes->axes.items : (struct nodes){0};
}

static const char *word_of(const struct node *type)
{
	return type && type->type.has_path ? type->type.path.at[type->type.path.n - 1].name : NULL;
}

/* Argument i of index(v) or Routing(e, slot). */
static const char *over_of(const struct node *type, int i)
{
	const struct node *a = i < type->type.args.n ? type->type.args.at[i] : NULL;
	return a && a->type.has_path ? a->type.path.at[a->type.path.n - 1].name : "?";
}

static int n_over(const struct node *type)
{
	const char *word = word_of(type);
	return !word ? 0 : !strcmp(word, "index") ? 1 : !strcmp(word, "Routing") ? 2 : 0;
}

static void add_name(struct idents *out, const char *name, struct span at)
{
	for (int i = 0; i < out->n; i++)
		if (out->at[i].name == name)
			return;
	out->at[out->n++] = (struct ident){name, at};
}

static void add_names(struct idents *out, const struct node *type)
{
	struct nodes items = items_of(type);
	for (int i = 0; i < n_over(type); i++)
		add_name(out, over_of(type, i), type->span);
	for (int i = 0; i < items.n; i++)
		if (items.at[i]->kind != N_AX_REST)
			add_name(out, axis_item_name(items.at[i]), items.at[i]->span);
}

static int names_in(const struct node *type) { return items_of(type).n + n_over(type); }

struct idents op_axis_names(struct walk *w, const struct node *sig)
{
	int max_names = names_in(sig->named.type);
	for (int i = 0; i < sig->named.params.n; i++)
		max_names += names_in(sig->named.params.at[i]->field.type);
	struct idents out = {arena_array(w->arena, struct ident, max_names + 1), 0};
	for (int i = 0; i < sig->named.params.n; i++)
		if (is_tensor_param(sig->named.params.at[i]))
			add_names(&out, sig->named.params.at[i]->field.type);
	add_names(&out, sig->named.type);
	return out;
}

/* Does a pattern determine all of its variables, so that no call names them? With a rest, it is a set of named axes. */
static bool is_in_order(const struct node *type)
{
	struct nodes items = items_of(type);
	for (int i = 0; i < items.n; i++)
		if (items.at[i]->kind == N_AX_REST)
			return false;
	return true;
}

static bool has_name(const struct idents *names, const char *name)
{
	for (int i = 0; i < names->n; i++)
		if (names->at[i].name == name)
			return true;
	return false;
}

struct idents sema_open_axes(struct arena *a, const struct node *sig)
{
	struct walk w = {.arena = a};
	struct idents all = op_axis_names(&w, sig), fixed = {arena_array(a, struct ident, all.n + 1), 0}, open = {0};
	for (int i = 0; i < sig->named.params.n; i++) {
		const struct node *type = sig->named.params.at[i]->field.type;
		struct nodes items = items_of(type);
		for (int k = 0; is_tensor_param(sig->named.params.at[i]) && k < n_over(type); k++)
			add_name(&fixed, over_of(type, k), type->span);
		for (int k = 0; is_in_order(type) && k < items.n; k++)
			add_name(&fixed, axis_item_name(items.at[k]), items.at[k]->span);
	}
	open.at = arena_array(a, struct ident, all.n + 1);
	for (int i = 0; i < all.n; i++)
		if (!has_name(&fixed, all.at[i].name))
			open.at[open.n++] = all.at[i];
	return open;
}

static bool rest_known(struct call *c, const char *variable)
{
	for (int i = 0; i < c->rests.n; i++)
		if (c->rests.at[i].name == variable)
			return true;
	return false;
}

/* ---- matching -------------------------------------------------------------------------------- */

static bool format_fits(const char *word, const struct value *v)
{
	if (!word)
		return v->type == TYPE_FLOAT;
	if (!strcmp(word, "index"))
		return v->type == TYPE_INDEX;
	if (!strcmp(word, "Routing"))
		return v->type == TYPE_ROUTING;
	if (!strcmp(word, "Int"))
		return v->type == TYPE_INT;
	return v->type == TYPE_FLOAT && !strcmp(word, dtype_name(v->dtype));
}

static bool check_format(struct call *c, struct param_value *p)
{
	const struct value *v = &c->w->p->values.at[p->val.tensor];
	const char *word = word_of(p->node->field.type);
	if (format_fits(word, v))
		return true;
	struct diag *d = walk_report(c->w, DIAG_E0412, p->at, "`%s` of `%s` is %s, expected %s", p->name, c->f->name,
	                             walk_type_text(c->w, p->val.tensor),
	                             word ? type_text(c->w->s, p->node->field.type) : "a float tensor");
	diag_related(c->w->s->sink, d, p->node->span, "declared here");
	if (word && v->type == TYPE_FLOAT && !n_over(p->node->field.type) && strcmp(word, "Int"))
		walk_offer_cast(c->w, d, p->at, word);
	return false;
}

/* index(v) and Routing(e, slot) bind their variables to the axes of the operand's type. */
static bool bind_over(struct call *c, struct param_value *p)
{
	const struct value *v = &c->w->p->values.at[p->val.tensor];
	const int actual[2] = {v->index_of, v->slot};
	for (int i = 0; i < n_over(p->node->field.type) && i < 2; i++) {
		const char *variable = over_of(p->node->field.type, i);
		int axis = call_axis(c, variable);
		if (axis < 0) {
			call_set_axis(c, variable, actual[i]);
		} else if (axis != actual[i]) {
			walk_report(c->w, DIAG_E0405, p->at, "`%s` of `%s`: `%s` is `%s` elsewhere in the call, here `%s`", p->name,
			            c->f->name, variable, c->w->p->axes.at[axis].name, c->w->p->axes.at[actual[i]].name);
			return false;
		}
	}
	return true;
}

/* The parameter of type index(variable), or NULL. */
static const char *indexed_by(struct call *c, const char *variable)
{
	for (int i = 0; i < c->n_params; i++) {
		const struct node *type = c->params[i].node->field.type;
		const char *word = word_of(type);
		if (c->params[i].tensor && word && !strcmp(word, "index") && n_over(type) && over_of(type, 0) == variable)
			return c->params[i].name;
	}
	return NULL;
}

static bool report_no_axis(struct call *c, struct param_value *p, const char *variable, int axis)
{
	const char *index = indexed_by(c, variable), *name = c->w->p->axes.at[axis].name;
	const char *type = walk_type_text(c->w, p->val.tensor);
	struct diag *d;
	if (index)
		d = walk_report(c->w, DIAG_E0405, p->at, "`%s` of `%s` indexes `%s`; `%s` is %s", index, c->f->name, name,
		                p->name, type);
	else
		d = walk_report(c->w, DIAG_E0402, p->at, "`%s` of `%s` is %s: it has no axis `%s`", p->name, c->f->name, type,
		                name);
	diag_related(c->w->s->sink, d, p->node->span, "declared here");
	return false;
}

/* Removes the axes that are bound already from `left`. */
static bool take_known(struct call *c, struct param_value *p, struct axes *left)
{
	struct nodes items = items_of(p->node->field.type);
	for (int i = 0; i < items.n; i++) {
		const char *name = axis_item_name(items.at[i]);
		bool rest = items.at[i]->kind == N_AX_REST;
		int axis = rest ? -1 : call_axis(c, name);
		struct axes known = rest       ? call_rest(c, name)
		                    : axis < 0 ? (struct axes){0}
		                               : axes_add(c->w, (struct axes){0}, axis);
		for (int k = 0; k < known.n; k++)
			if (!axes_have(*left, known.at[k]))
				return report_no_axis(c, p, name, known.at[k]);
		*left = axes_without(c->w, *left, known);
	}
	return true;
}

enum matched { MATCH_FAILED, MATCH_LATER, MATCH_DONE };

/* Binds the rest of an operand's axes, if that is possible in one way only. */
static enum matched match(struct call *c, struct param_value *p)
{
	struct nodes items = items_of(p->node->field.type);
	struct axes left = value_axes(c->w, p->val.tensor);
	int variables = 0, rests = 0;
	const char *rest = NULL;
	if (!take_known(c, p, &left))
		return MATCH_FAILED;
	for (int i = 0; i < items.n; i++) {
		const char *name = axis_item_name(items.at[i]);
		if (items.at[i]->kind != N_AX_REST) {
			variables += call_axis(c, name) < 0;
		} else if (!rest_known(c, name)) {
			rests++;
			rest = name;
		}
	}
	if (rests == 1 && !variables) {
		vec_push(c->w->arena, &c->rests, ((struct rest_name){rest, left}));
		return MATCH_DONE;
	}
	if (rests)
		return MATCH_LATER;
	if (left.n != variables) {
		int expected = value_axes(c->w, p->val.tensor).n - left.n + variables;
		struct diag *d = walk_report(c->w, DIAG_E0402, p->at, "`%s` of `%s` is %s, expected %d %s", p->name, c->f->name,
		                             walk_type_text(c->w, p->val.tensor), expected, expected == 1 ? "axis" : "axes");
		diag_related(c->w->s->sink, d, p->node->span, "declared here");
		return MATCH_FAILED;
	}
	for (int i = 0, k = 0; i < items.n; i++)
		if (items.at[i]->kind != N_AX_REST && call_axis(c, axis_item_name(items.at[i])) < 0)
			call_set_axis(c, axis_item_name(items.at[i]), left.at[k++]);
	return MATCH_DONE;
}

/* E0410: the first variable of operand p that is unbound. */
static void report_open(struct call *c, struct param_value *p)
{
	struct nodes items = items_of(p->node->field.type);
	struct axes left = value_axes(c->w, p->val.tensor);
	for (int i = 0; i < items.n; i++) {
		const char *name = axis_item_name(items.at[i]);
		if (items.at[i]->kind == N_AX_REST || call_axis(c, name) >= 0)
			continue;
		struct diag *d =
			walk_report(c->w, DIAG_E0410, c->node->span, "cannot infer which axis is `%s` of `%s`", name, c->f->name);
		diag_related(c->w->s->sink, d, p->node->span, "`%s` of `%s`", name, c->f->name);
		diag_help(c->w->s->sink, d, "pass it in the call: `%s(..., %s = ...)` with one of %s", c->f->name, name,
		          walk_axes_text(c->w, left));
		return;
	}
	walk_report(c->w, DIAG_E0410, c->node->span, "the axes of `%s` of `%s` can be matched in more than one way",
	            p->name, c->f->name);
}

/* Matches every operand, again while one more can be decided. */
static bool match_all(struct call *c)
{
	bool *done = arena_array(c->w->arena, bool, c->n_params + 1);
	for (bool progress = true; progress;) {
		struct param_value *open = NULL;
		progress = false;
		for (int i = 0; i < c->n_params; i++) {
			struct param_value *p = &c->params[i];
			if (done[i] || !p->tensor || p->val.kind != V_TENSOR)
				continue;
			enum matched m = match(c, p);
			if (m == MATCH_FAILED)
				return false;
			done[i] = m == MATCH_DONE;
			progress = progress || done[i];
			open = done[i] ? open : open ? open : p;
		}
		if (!progress && open) {
			report_open(c, open);
			return false;
		}
	}
	return true;
}

static bool is_join(const struct call *c) { return !strcmp(c->f->kind, "builtin") && !strcmp(c->f->name, "join"); }

/* `join`: the operands' axes follow from the concat axis of the result. */
static bool bind_join(struct call *c)
{
	if (!is_join(c))
		return true;
	int into = call_axis(c, "into");
	const struct axis *a = into < 0 ? NULL : &c->w->p->axes.at[into];
	if (!a || a->n_parts != 2) {
		walk_report(c->w, DIAG_E0410, c->node->span, "`join` needs `into`, an axis declared concat(a, b)");
		return false;
	}
	call_set_axis(c, names_str(c->w->s->names, "a"), a->part[0]);
	call_set_axis(c, names_str(c->w->s->names, "b"), a->part[1]);
	return true;
}

/* The second part of a `join` is repeated over axes that it lacks; the first has all of them. */
static bool join_fits(struct call *c)
{
	if (!is_join(c))
		return true;
	struct axes first = call_rest(c, names_str(c->w->s->names, "t")),
				second = call_rest(c, names_str(c->w->s->names, "u"));
	for (int i = 0; i < second.n; i++)
		if (!axes_have(first, second.at[i]))
			return report_no_axis(c, &c->params[0], NULL, second.at[i]);
	return true;
}

bool call_match(struct call *c)
{
	if (!bind_join(c))
		return false;
	for (int i = 0; i < c->n_params; i++) {
		struct param_value *p = &c->params[i];
		if (p->tensor && p->val.kind == V_TENSOR && !(check_format(c, p) && bind_over(c, p)))
			return false;
	}
	return match_all(c) && join_fits(c);
}

/* ---- results --------------------------------------------------------------------------------- */

static bool need_bound(struct call *c, const char *variable)
{
	if (call_axis(c, variable) >= 0)
		return true;
	struct diag *d = walk_report(c->w, DIAG_E0410, c->node->span, "`%s` needs the axis `%s`", c->f->name, variable);
	diag_related(c->w->s->sink, d, c->sig->named.name.span, "`%s` is declared here", c->f->name);
	diag_help(c->w->s->sink, d, "pass it in the call: `%s(..., %s = ...)`", c->f->name, variable);
	return false;
}

static bool result_axes(struct call *c, struct axes *out)
{
	const struct node *ret = c->sig->named.type;
	struct nodes items = items_of(ret);
	for (int i = 0; i < items.n; i++) {
		const char *name = axis_item_name(items.at[i]);
		bool rest = items.at[i]->kind == N_AX_REST;
		if (!rest && !need_bound(c, name))
			return false;
		struct axes more = rest ? call_rest(c, name) : axes_add(c->w, (struct axes){0}, call_axis(c, name));
		for (int k = 0; k < more.n; k++) {
			if (axes_have(*out, more.at[k])) {
				walk_report(c->w, DIAG_E0403, c->node->span, "`%s` would return axis `%s` twice", c->f->name,
				            c->w->p->axes.at[more.at[k]].name);
				return false;
			}
			*out = axes_add(c->w, *out, more.at[k]);
		}
	}
	for (int i = 0; i < n_over(ret); i++)
		if (!need_bound(c, over_of(ret, i)))
			return false;
	return true;
}

/* The format of the first float operand; f32 if there is none. */
static enum dtype first_format(struct call *c)
{
	for (int i = 0; i < c->n_params; i++)
		if (walk_is_float(c->w, c->params[i].val))
			return c->w->p->values.at[c->params[i].val.tensor].dtype;
	return DTYPE_F32;
}

bool call_result_type(struct call *c, struct value *v)
{
	const struct node *ret = c->sig->named.type;
	const char *word = word_of(ret);
	struct axes axes = {0};
	if (!result_axes(c, &axes))
		return false;
	v->axes = axes.at;
	v->n_axes = axes.n;
	v->dtype = first_format(c);
	if (word && !strcmp(word, "index")) {
		v->type = TYPE_INDEX;
		v->dtype = DTYPE_I32;
		v->index_of = call_axis(c, over_of(ret, 0));
	} else if (word && !strcmp(word, "Routing")) {
		v->type = TYPE_ROUTING;
		v->dtype = DTYPE_F32;
		v->index_of = call_axis(c, over_of(ret, 0));
		v->slot = call_axis(c, over_of(ret, 1));
	} else if (word && !strcmp(word, "Int")) {
		v->type = TYPE_INT;
		v->dtype = DTYPE_I32;
	} else if (word) {
		for (int t = 0; t < DTYPE_COUNT; t++)
			if (!strcmp(word, dtype_name(t)))
				v->dtype = t;
	}
	return true;
}
