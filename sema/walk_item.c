/* Items of a tensor program: let, state, input, output, axis, repeat, when, rebinding, return, require. */
#include "walk.h"
#include <string.h>

static const char *const kinds[] = {"let", "param", "state", "input", "output", "repeat", "axis"};
enum { N_KINDS_OF_PROGRAM = sizeof kinds / sizeof *kinds };

bool walk_knows_kind(const char *kind)
{
	for (int i = 0; i < N_KINDS_OF_PROGRAM; i++)
		if (!strcmp(kind, kinds[i]))
			return true;
	return false;
}

void walk_unknown_item(struct sema *s, const struct node *item)
{
	if (item->kind != N_NAMED) {
		sema_report(s, DIAG_E0004, item->span, "this does not belong in a tensor program");
		return;
	}
	struct ident kind = item->named.kind;
	struct diag *d = sema_report(s, DIAG_E0004, kind.span, "unknown kind `%s` in a tensor program", kind.name);
	const char *near = nearest_name(kind.name, kinds, N_KINDS_OF_PROGRAM);
	if (!near)
		return;
	diag_help(s->sink, d, "did you mean `%s`?", near);
	diag_fix(s->sink, d, kind.span, near);
}

void walk_report_tail(struct walk *w, const struct node *item, const char *written)
{
	walk_report(w, DIAG_E0004, item->span, "`%s` is written `%s`", item->named.kind.name, written);
}

static bool has_axes(struct walk *w, struct val v, const struct tensor_type *want)
{
	return v.kind == V_TENSOR && axes_same_set(value_axes(w, v.tensor), want->axes);
}

/* ---- let, input, output, state --------------------------------------------------------------- */

static void item_let(struct env *e, const struct node *item)
{
	struct val v = val_bad();
	if (item->named.tail == TAIL_IS)
		v = walk_eval(e, item->named.value, NULL);
	else
		walk_report_tail(e->walk, item, "let name = value");
	env_define(e, item->named.name.at[0], v);
}

static void item_input(struct env *e, const struct node *item)
{
	static const char *const inputs[] = {[INPUT_IDS] = "ids", [INPUT_POS] = "pos", [INPUT_WANT] = "want"};
	struct walk *w = e->walk;
	struct ident name = item->named.name.at[0];
	struct tensor_type t;
	struct value v = walk_value(w, OP_INPUT, item->span);
	for (int i = 0; i < 3; i++)
		if (!strcmp(name.name, inputs[i]))
			v.input = i;
	if (e->kind != ENV_MODEL || v.input < 0) {
		struct diag *d = walk_report(w, DIAG_E0101, name.span, "a step has no input `%s`", name.name);
		diag_help(w->s->sink, d, "the inputs of a step are `ids`, `pos` and `want`, declared in a model or its schema");
		env_define(e, name, val_bad());
		return;
	}
	if (item->named.tail != TAIL_TYPED || !walk_tensor_type(e, item->named.type, "act", &t)) {
		w->failed = true;
		env_define(e, name, val_bad());
		return;
	}
	v.type = t.type;
	v.dtype = t.dtype;
	v.index_of = t.index_of;
	v.axes = t.axes.at;
	v.n_axes = t.axes.n;
	int value = walk_emit(w, v);
	w->p->input_value[v.input] = value;
	env_define(e, name, val_tensor(value));
}

/* The value of `kind name : type = value`, with the declared axes; V_BAD after a report. */
static struct val typed_value(struct env *e, const struct node *item, const char *by_default, struct tensor_type *want)
{
	struct walk *w = e->walk;
	if (item->named.tail != TAIL_TYPED || !item->named.value) {
		walk_report_tail(w, item, arena_printf(w->arena, "%s name : type = value", item->named.kind.name));
		return val_bad();
	}
	bool known = walk_tensor_type(e, item->named.type, by_default, want);
	struct val v = walk_eval(e, item->named.value, NULL);
	if (!known || v.kind == V_BAD)
		return val_bad();
	bool same_kind = has_axes(w, v, want) && w->p->values.at[v.tensor].type == want->type
	                 && w->p->values.at[v.tensor].index_of == want->index_of;
	if (same_kind)
		return v;
	struct diag *d =
		walk_report(w, DIAG_E0407, item->named.value->span, "%s `%s` is %s, declared %s", item->named.kind.name,
	                item->named.name.at[0].name, walk_show(w, v), walk_declared_text(w, want));
	diag_related(w->s->sink, d, item->named.type->span, "declared here");
	return val_bad();
}

/* A contraction in this output's expression keeps its accumulator; any other value is cast. */
static int output_value(struct walk *w, int value, int first, const struct tensor_type *want, struct span at)
{
	struct value *v = &w->p->values.at[value];
	if (want->type != TYPE_FLOAT)
		return walk_in_order(w, value, want->axes, at);
	if (v->op == OP_CONTRACT && value >= first && want->dtype == DTYPE_F32)
		v->dtype = DTYPE_F32;
	return walk_in_order(w, walk_cast(w, value, want->dtype, at), want->axes, at);
}

static void item_output(struct env *e, const struct node *item)
{
	struct walk *w = e->walk;
	struct ident name = item->named.name.at[0];
	struct tensor_type want;
	int first = w->p->values.n;
	struct val v = typed_value(e, item, "act", &want);
	if (v.kind != V_BAD && e->kind != ENV_MODEL) {
		walk_report(w, DIAG_E0004, item->span, "`output` belongs in a model, outside its loop");
		v = val_bad();
	}
	if (v.kind == V_TENSOR) {
		v.tensor = output_value(w, v.tensor, first, &want, item->named.value->span);
		vec_push(w->arena, &w->p->outputs, ((struct output){name.name, v.tensor, item->span}));
	}
	env_define(e, name, v);
}

const char *walk_path(struct walk *w, const char *name)
{
	const char *path = name;
	for (int r = w->region; r > 0; r = w->p->regions.at[r].parent)
		path = arena_printf(w->arena, "%s.%s", w->p->regions.at[r].name, path);
	return path;
}

static void item_state(struct env *e, const struct node *item)
{
	struct walk *w = e->walk;
	struct ident name = item->named.name.at[0];
	struct tensor_type want;
	struct val v = typed_value(e, item, "kv", &want);
	if (v.kind == V_TENSOR
	    && (w->p->values.at[v.tensor].op != OP_APPEND || w->p->values.at[v.tensor].append.state >= 0)) {
		walk_report(w, DIAG_E0407, item->named.value->span, "state `%s` is not the result of a call of `append`",
		            name.name);
		v = val_bad();
	}
	if (v.kind == V_TENSOR) {
		struct value *cache = &w->p->values.at[v.tensor];
		cache->append.state = w->p->states.n;
		cache->dtype = want.dtype;
		cache->axes = want.axes.at;
		struct state state = {.name = name.name,
		                      .path = walk_path(w, name.name),
		                      .value = v.tensor,
		                      .region = w->region,
		                      .axes = want.axes.at,
		                      .n_axes = want.axes.n,
		                      .dtype = want.storage,
		                      .in_loop = w->loop >= 0,
		                      .body = w->loop >= 0 ? w->p->bodies.n : -1,
		                      .span = name.span};
		vec_push(w->arena, &w->p->states, state);
	}
	env_define(e, name, v);
}

static void item_axis(struct env *e, const struct node *item)
{
	if (item->named.tail == TAIL_BARE || item->named.tail == TAIL_MORE) {
		if (e->kind == ENV_BLOCK)
			return; /* bound by the call */
		walk_report_tail(e->walk, item, "axis name = extent");
		return;
	}
	int axis = walk_axis_declared(e, item);
	env_define(e, item->named.name.at[0], axis < 0 ? val_bad() : (struct val){.kind = V_AXIS, .axis = axis});
}

/* ---- rebinding ------------------------------------------------------------------------------- */

static void report_not_carried(struct env *e, struct ident name, const struct bound *here)
{
	struct walk *w = e->walk;
	struct diag *d = walk_report(w, DIAG_E0106, name.span, "`%s` is not a carried value here", name.name);
	if (here)
		diag_related(w->s->sink, d, here->span, "defined here");
	diag_help(w->s->sink, d, "use `let`: only tensors from outside a `repeat` are rebound, in its body");
}

static void item_set(struct env *e, const struct node *item)
{
	struct walk *w = e->walk;
	struct ident name = item->set.path.at[0];
	struct val v = walk_eval(e, item->set.value, NULL);
	struct bound *b = env_find(e, name.name);
	if (!b || !b->carried || item->set.path.n > 1) {
		report_not_carried(e, name, b);
		return;
	}
	env_refer(e, b, name.span);
	if (b->val.kind != V_TENSOR || v.kind == V_BAD) {
		b->val = val_bad();
		return;
	}
	struct axes want = value_axes(w, b->val.tensor);
	const struct value *old = &w->p->values.at[b->val.tensor];
	bool same = v.kind == V_TENSOR && axes_same_set(value_axes(w, v.tensor), want)
	            && w->p->values.at[v.tensor].dtype == old->dtype && w->p->values.at[v.tensor].type == old->type
	            && w->p->values.at[v.tensor].index_of == old->index_of && w->p->values.at[v.tensor].slot == old->slot;
	if (!same) {
		struct diag *d = walk_report(w, DIAG_E0413, item->set.value->span, "`%s` is carried as %s, found %s", name.name,
		                             walk_type_text(w, b->val.tensor), walk_show(w, v));
		diag_related(w->s->sink, d, b->span, "first bound here");
		if (v.kind == V_TENSOR && axes_same_set(value_axes(w, v.tensor), want))
			walk_offer_cast(w, d, item->set.value->span, dtype_name(old->dtype));
		b->val = val_bad();
		return;
	}
	if (old->type != TYPE_ROUTING && old->routing != w->p->values.at[v.tensor].routing) {
		struct diag *d = walk_report(w, DIAG_E0415, item->set.value->span,
		                             "`%s` would be carried to slots of another routing", name.name);
		diag_related(w->s->sink, d, b->span, "first bound here");
		b->val = val_bad();
		return;
	}
	b->val = val_tensor(walk_in_order(w, v.tensor, want, item->span));
	if (!w->p->values.at[b->val.tensor].name)
		w->p->values.at[b->val.tensor].name = name.name;
}

/* ---- when ------------------------------------------------------------------------------------ */

/* Adds the names that the items bind; of a `when`, those that both branches bind. */
static void bound_by(struct arena *a, struct nodes items, struct index *out)
{
	for (int i = 0; i < items.n; i++) {
		const struct node *item = items.at[i];
		struct index then = {0}, other = {0};
		if (item->kind == N_NAMED && item->named.name.n)
			index_add(a, out, item->named.name.at[0].name);
		if (item->kind != N_WHEN)
			continue;
		bound_by(a, item->when.then, &then);
		bound_by(a, item->when.other, &other);
		for (int k = 0; k < then.n; k++)
			if (index_find(&other, then.name[k]) >= 0)
				index_add(a, out, then.name[k]);
	}
}

/* Unbinds names that only one branch binds: they are local to it. */
static void forget_local(struct env *e, int before, struct nodes other)
{
	struct arena *a = e->walk->arena;
	struct index kept = {0};
	int n = e->names.n;
	if (n == before)
		return;
	bound_by(a, other, &kept);
	index_cut(&e->index, before);
	e->names.n = before;
	for (int i = before; i < n; i++)
		if (index_find(&kept, e->names.at[i].name) >= 0) {
			e->names.at[e->names.n++] = e->names.at[i];
			index_add(a, &e->index, e->names.at[i].name);
		}
}

/* After an undecided condition: binds the names of the branches as V_BAD. */
static void bind_bad(struct env *e, struct nodes items)
{
	for (int i = 0; i < items.n; i++) {
		const struct node *item = items.at[i];
		if (item->kind == N_NAMED && item->named.name.n && !env_find(e, item->named.name.at[0].name))
			env_bind(e, item->named.name.at[0].name, val_bad(), item->span);
		struct bound *b = item->kind == N_SET ? env_find(e, item->set.path.at[0].name) : NULL;
		if (b && b->carried)
			b->val = val_bad();
		if (item->kind == N_WHEN) {
			bind_bad(e, item->when.then);
			bind_bad(e, item->when.other);
		}
	}
}

static void report_condition(struct env *e, const struct node *cond, struct val c)
{
	struct walk *w = e->walk;
	if (c.kind == V_BAD)
		return;
	struct diag *d = walk_report(w, DIAG_E0414, cond->span,
	                             "the condition of `when` is a Bool known at compile time, found %s", walk_show(w, c));
	diag_help(w->s->sink, d, "it may use fields, parameters of the block and loop indices, not tensors");
}

static void item_when(struct env *e, const struct node *item, struct val *returned)
{
	struct val c = walk_eval(e, item->when.cond, NULL);
	if (c.kind != V_BOOL) {
		report_condition(e, item->when.cond, c);
		bind_bad(e, item->when.then);
		bind_bad(e, item->when.other);
		return;
	}
	int before = e->names.n;
	walk_body(e, c.b ? item->when.then : item->when.other, returned);
	forget_local(e, before, c.b ? item->when.other : item->when.then);
}

/* ---- all items ------------------------------------------------------------------------------- */

/* An item that did not parse: the name it would have bound is V_BAD. */
static void item_error(struct env *e, const struct node *item)
{
	e->walk->failed = true;
	if (item->error.path.n) {
		struct bound *b = env_find(e, item->error.path.at[0].name);
		if (b)
			b->val = val_bad();
		else
			env_bind(e, item->error.path.at[0].name, val_bad(), item->span);
		return;
	}
	e->scope.module->partial = true;
}

static void item_named(struct env *e, const struct node *item)
{
	static void (*const walk[N_KINDS_OF_PROGRAM])(struct env *, const struct node *) = {
		item_let, walk_param, item_state, item_input, item_output, walk_repeat, item_axis};
	const char *kind = item->named.kind.name;
	if (e->kind == ENV_OP && walk_knows_kind(kind) && strcmp(kind, "let")) {
		walk_report(e->walk, DIAG_E0004, item->named.kind.span, "`%s` does not belong in the body of an `op`", kind);
		return;
	}
	for (int i = 0; i < N_KINDS_OF_PROGRAM; i++)
		if (!strcmp(kind, kinds[i])) {
			walk[i](e, item);
			return;
		}
	e->walk->failed = true;
	walk_unknown_item(e->walk->s, item);
}

/* A call whose precondition fails is V_BAD; the rest of the body is not walked. */
static void item_require(struct env *e, const struct node *item, struct val *returned)
{
	const struct env *body = e;
	while (!body->call && body->parent)
		body = body->parent;
	const struct call *c = body->call;
	if (!walk_require(e, item, c ? c->f->name : "this program", c ? c->node->span : item->span) && c)
		*returned = val_bad();
}

void walk_item(struct env *e, const struct node *item, struct val *returned)
{
	switch (item->kind) {
	case N_NAMED: item_named(e, item); break;
	case N_SET:   item_set(e, item); break;
	case N_WHEN:  item_when(e, item, returned); break;
	case N_RETURN:
		*returned = walk_eval(e, item->claim.value, NULL);
		e->returned_at = item->span;
		break;
	case N_REQUIRE: item_require(e, item, returned); break;
	case N_ERROR:   item_error(e, item); break;
	default:        e->walk->failed = true; walk_unknown_item(e->walk->s, item);
	}
}

void walk_body(struct env *e, struct nodes items, struct val *returned)
{
	for (int i = 0; i < items.n && returned->kind == V_NONE; i++)
		walk_item(e, items.at[i], returned);
}
