/* Calls of builtins: preconditions, and attributes that later passes read instead of the signature. */
#include "walk.h"
#include <string.h>

static const struct {
	const char *name;
	enum op op;
} builtins[] = {
	{"embed", OP_EMBED},   {"pick", OP_PICK},     {"rotate", OP_ROTATE},     {"append", OP_APPEND},
	{"attend", OP_ATTEND}, {"route", OP_ROUTE},   {"dispatch", OP_DISPATCH}, {"combine", OP_COMBINE},
	{"join", OP_JOIN},     {"sample", OP_SAMPLE},
};

static bool builtin_op(const char *name, enum op *out)
{
	for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
		if (!strcmp(name, builtins[i].name)) {
			*out = builtins[i].op;
			return true;
		}
	return false;
}

/* ---- the contract in the body ---------------------------------------------------------------- */

static struct env *contract_env(struct call *c)
{
	struct env *inner = env_new(c->w, ENV_OP, NULL, c->f->module);
	for (int i = 0; i < c->axes.n; i++)
		env_bind(inner, c->axes.at[i].name, (struct val){.kind = V_AXIS, .axis = c->axes.at[i].axis}, c->node->span);
	for (int i = 0; i < c->n_params; i++)
		env_bind(inner, c->params[i].name, c->params[i].val, c->params[i].node->span);
	return inner;
}

static void check_set(const struct node *item)
{
	static const char *const known[] = {"flops", "bytes", "reduce", "linear"};
	const char *name = item->set.path.at[0].name;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (!strcmp(name, known[i]))
			return;
	internal_error("a builtin of the library has no `%s`", name);
}

/* Checks the preconditions. false after a report. */
static bool check_contract(struct call *c)
{
	struct walk *w = c->w;
	struct env *inner = contract_env(c);
	bool failed = w->failed;
	w->failed = false;
	for (int i = 0; i < c->sig->named.body.n; i++) {
		const struct node *item = c->sig->named.body.at[i];
		if (item->kind == N_REQUIRE)
			walk_require(inner, item, c->f->name, c->node->span);
		else if (item->kind == N_SET)
			check_set(item);
	}
	bool ok = !w->failed;
	w->failed = failed || !ok;
	return ok;
}

/* ---- attributes ------------------------------------------------------------------------------ */

static int64_t int_of(struct call *c, const char *name)
{
	const struct param_value *p = call_param(c, name);
	return p && p->val.kind == V_INT ? p->val.i : 0;
}

static double number_of(struct call *c, const char *name)
{
	const struct param_value *p = call_param(c, name);
	double x = 0;
	if (p)
		val_number(p->val, &x);
	return x;
}

static bool bool_of(struct call *c, const char *name)
{
	const struct param_value *p = call_param(c, name);
	return p && p->val.kind == V_BOOL && p->val.b;
}

static bool symbol_is(struct call *c, const char *name, const char *symbol)
{
	const struct param_value *p = call_param(c, name);
	return p && p->val.kind == V_SYMBOL && !strcmp(p->val.name, symbol);
}

static void attend_attributes(struct call *c, struct value *v)
{
	struct axes h = call_rest(c, "h"), r = call_rest(c, "r");
	v->attend.h = h.at;
	v->attend.n_h = h.n;
	v->attend.r = r.at;
	v->attend.n_r = r.n;
	v->attend.dot = call_axis(c, "dot");
	v->attend.w = call_axis(c, "w");
	v->attend.over = call_axis(c, "over");
	v->attend.scale = number_of(c, "scale");
	v->attend.causal = bool_of(c, "causal");
	v->attend.window = int_of(c, "window");
	v->attend.chunk = int_of(c, "chunk");
	v->attend.cap = number_of(c, "cap");
}

static void route_attributes(struct call *c, struct value *v)
{
	v->route.top = int_of(c, "top");
	v->route.groups = int_of(c, "groups");
	v->route.top_groups = int_of(c, "top_groups");
	v->route.by_best = symbol_is(c, "group_score", "best");
	v->route.renormalize = bool_of(c, "renormalize");
	v->route.factor = number_of(c, "factor");
	v->route.over = call_axis(c, "over");
	v->route.expert = call_axis(c, "to");
	v->route.slot = call_axis(c, "slot");
	if (v->route.expert >= 0 && !c->w->p->axes.at[v->route.expert].top)
		c->w->p->axes.at[v->route.expert].top = v->route.top;
}

static void attributes(struct call *c, struct value *v)
{
	switch (v->op) {
	case OP_EMBED:
	case OP_SAMPLE: v->v = call_axis(c, "v"); break;
	case OP_ROTATE:
		v->rotate.f = call_axis(c, "f");
		v->rotate.interleaved = symbol_is(c, "order", "interleaved");
		break;
	case OP_APPEND:
		v->append.state = -1; /* until a `state` names it */
		v->append.from = call_axis(c, "s");
		v->append.to = call_axis(c, "to");
		break;
	case OP_ATTEND: attend_attributes(c, v); break;
	case OP_ROUTE:  route_attributes(c, v); break;
	case OP_JOIN:   v->into = call_axis(c, "into"); break;
	default:        break;
	}
}

/* Sets the operands that are tensors, in the order of the signature; -1: missing. */
static void operands(struct call *c, struct value *v)
{
	int *args = arena_array(c->w->arena, int, c->n_params + 1), n = 0;
	for (int i = 0; i < c->n_params; i++)
		if (c->params[i].tensor)
			args[n++] = c->params[i].val.kind == V_TENSOR ? c->params[i].val.tensor : -1;
	value_args(c->w, v, args, n);
}

struct val walk_builtin(struct call *c, struct value result)
{
	struct walk *w = c->w;
	if (w->call >= 0) {
		walk_report(w, DIAG_E0004, c->node->span,
		            "a call of `%s` does not belong in the body of an `op`: write a `block`", c->f->name);
		return val_bad();
	}
	if (!builtin_op(c->f->name, &result.op)) {
		walk_report(w, DIAG_E0911, c->node->call.f->span, "builtin `%s` is not built in this version", c->f->name);
		return val_bad();
	}
	if (!check_contract(c))
		return val_bad();
	operands(c, &result);
	attributes(c, &result);
	if (!walk_ragged(w, &result) || (result.op == OP_ROUTE && !walk_slots(w, &result)))
		return val_bad();
	return val_tensor(walk_emit(w, result));
}
