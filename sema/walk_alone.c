/* Walks blocks and ops that no model calls, with axes and operands made up from their signatures, so that mistakes are
 * found before the first call. What a caller decides is unknown: relations between axes, numbers, formats. So only
 * mistakes that no caller can avoid are reported, and mistakes of formats only if they occur in all formats. */
#include "walk.h"
#include <string.h>

/* Codes of mistakes that no caller can avoid. */
static bool counts(enum diag_code c)
{
	switch (c) {
	case DIAG_E0004:
	case DIAG_E0101:
	case DIAG_E0106:
	case DIAG_E0206:
	case DIAG_E0401:
	case DIAG_E0402:
	case DIAG_E0403:
	case DIAG_E0404:
	case DIAG_E0407:
	case DIAG_E0411:
	case DIAG_E0412: return true;
	default:         return false;
	}
}

/* ---- a caller that is made up ---------------------------------------------------------------- */
enum { SOME_EXTENT = 64 };

static int new_axis(struct walk *w, const char *name, struct span at)
{
	struct axis a = {
		.name = name, .kind = AXIS_MODEL, .extent = SOME_EXTENT, .like = -1, .of = -1, .tokens = -1, .span = at};
	vec_push(w->arena, &w->p->axes, a);
	return w->p->axes.n - 1;
}

static int axis_named(const struct program *p, const char *name)
{
	for (int i = 0; i < p->axes.n; i++)
		if (!strcmp(p->axes.at[i].name, name))
			return i;
	return -1;
}

/* Makes `axis` ragged over `of`, or, if that is -1, dynamic. */
static void make_ragged(struct program *p, int axis, int of)
{
	if (axis < 0)
		return;
	p->axes.at[axis].kind = of < 0 ? AXIS_DYNAMIC : AXIS_RAGGED;
	p->axes.at[axis].of = of;
	p->axes.at[axis].extent = 0;
}

/* Makes axes named like those of Decoder the same as there, and the second axis of a Routing ragged over the first. */
static void known_axes(struct walk *w, struct nodes params)
{
	struct program *p = w->p;
	p->batch = axis_named(p, "batch"), p->seq = axis_named(p, "seq"), p->row = axis_named(p, "row"),
	p->ctx = axis_named(p, "ctx");
	make_ragged(p, p->batch, -1);
	make_ragged(p, p->seq, p->batch);
	make_ragged(p, p->row, p->batch);
	make_ragged(p, p->ctx, p->batch);
	if (p->ctx >= 0 && p->seq >= 0)
		p->axes.at[p->ctx].like = p->seq;
	for (int i = 0; i < params.n; i++) {
		const struct node *t = params.at[i]->field.type;
		if (!t || t->type.args.n != 2 || !t->type.args.at[0]->type.has_path || !t->type.args.at[1]->type.has_path)
			continue;
		struct path *of = &t->type.args.at[0]->type.path, *axis = &t->type.args.at[1]->type.path;
		make_ragged(p, axis_named(p, axis->at[axis->n - 1].name), axis_named(p, of->at[of->n - 1].name));
	}
}

static struct val some_scalar(struct walk *w, const struct def *f, const struct node *param)
{
	const struct node *type = param->field.type;
	const char *word = type && type->type.has_path ? type->type.path.at[type->type.path.n - 1].name : "";
	struct scope declared = {.module = f->module, .sema = w->s};
	if (param->field.value)
		return eval(&declared, param->field.value, type);
	if (!strcmp(word, "Int"))
		return val_int(2);
	if (!strcmp(word, "Float"))
		return val_float(0.5);
	return !strcmp(word, "Bool") ? val_bool(true) : val_bad();
}

static struct val some_tensor(struct walk *w, struct env *e, const struct node *param)
{
	struct tensor_type t;
	if (!walk_tensor_type(e, param->field.type, "act", &t))
		return val_bad();
	struct value v = walk_value(w, OP_INPUT, param->span);
	v.type = t.type;
	v.dtype = t.dtype;
	v.index_of = t.index_of;
	v.slot = t.slot;
	v.axes = t.axes.at;
	v.n_axes = t.axes.n;
	return val_tensor(walk_emit(w, v));
}

static bool is_tensor(const struct node *param) { return param->field.type && param->field.type->type.axes; }

/* ---- one block or op ------------------------------------------------------------------------- */

/* Binds each `...t` in an op's signature to one axis of that name. */
static void bind_rests(struct call *c, struct env *e)
{
	for (int i = 0; i < c->n_params; i++) {
		struct nodes items =
			is_tensor(c->params[i].node) ? c->params[i].node->field.type->type.axes->axes.items : (struct nodes){0};
		for (int k = 0; k < items.n; k++) {
			const char *name = axis_item_name(items.at[k]);
			if (items.at[k]->kind != N_AX_REST || env_find(e, name))
				continue;
			int axis = new_axis(c->w, name, items.at[k]->span);
			env_bind(e, name, (struct val){.kind = V_AXIS, .axis = axis}, items.at[k]->span);
			vec_push(c->w->arena, &c->rests, ((struct rest_name){name, axes_add(c->w, (struct axes){0}, axis)}));
		}
	}
}

static void set_params(struct call *c, struct env *e)
{
	struct nodes params = c->sig->named.params;
	c->n_params = params.n;
	c->params = arena_array(c->w->arena, struct param_value, params.n);
	for (int i = 0; i < params.n; i++) {
		const struct node *p = params.at[i];
		index_add(c->w->arena, &c->index, p->field.path.at[0].name);
		c->params[i] = (struct param_value){
			.name = p->field.path.at[0].name, .node = p, .at = p->span, .given = true, .tensor = is_tensor(p)};
	}
	bind_rests(c, e);
	for (int i = 0; i < params.n; i++)
		c->params[i].val =
			c->params[i].tensor ? some_tensor(c->w, e, params.at[i]) : some_scalar(c->w, c->f, params.at[i]);
}

static void walk_one(struct walk *w, struct def *f)
{
	const struct node *sig = f->node;
	bool block = !strcmp(f->kind, "block");
	struct node name = {.kind = N_ID, .span = sig->named.name.span, .ident = {.name = f->name}};
	struct node node = {.kind = N_CALL, .span = sig->named.name.span, .call = {.f = &name}};
	struct idents axes = block ? block_axis_names(w, sig) : op_axis_names(w, sig);
	struct env *e = env_new(w, ENV_BLOCK, NULL, f->module);
	struct call c = {.env = e, .w = w, .f = f, .node = &node, .sig = sig};
	struct active frame = {f, NULL, 0};
	for (int i = 0; i < axes.n; i++) {
		int axis = new_axis(w, axes.at[i].name, axes.at[i].span);
		env_bind(e, axes.at[i].name, (struct val){.kind = V_AXIS, .axis = axis}, axes.at[i].span);
		call_set_axis(&c, axes.at[i].name, axis);
	}
	known_axes(w, sig->named.params);
	set_params(&c, e);
	w->active = &frame;
	if (block) {
		walk_block_call(&c);
		return;
	}
	struct value result = walk_value(w, OP_COUNT, node.span);
	if (call_result_type(&c, &result))
		walk_inline(&c, result);
}

/* The reports of a walk whose values between operators have the format `act`. Frees its program. */
static struct sink reports(struct sema *s, struct def *f, enum dtype act)
{
	struct arena arena = {.heap = s->arena->heap};
	struct program program = {.batch = -1, .seq = -1, .ctx = -1, .row = -1, .vocab = -1, .layers = -1};
	struct sink sink = {.arena = s->sink->arena, .sources = s->sink->sources}, *real = s->sink;
	struct walk w = {.s = s, .arena = &arena, .p = &program, .act = act, .call = -1, .loop = -1};
	s->sink = &sink;
	walk_region(&w, (struct ident){"", f->node->span}, "", false);
	walk_one(&w, f);
	s->sink = real;
	arena_free(&arena);
	return sink;
}

static void report_again(struct sema *s, const struct diag *from, const struct def *f)
{
	int before = s->sink->diags.n;
	struct diag *d = diag_report(s->sink, from->code, from->at, "%s", from->message);
	if (s->sink->diags.n == before)
		return;
	d->label = from->label;
	for (int i = 0; i < from->related.n; i++)
		vec_push(s->arena, &d->related, from->related.at[i]);
	for (int i = 0; i < from->notes.n; i++)
		vec_push(s->arena, &d->notes, from->notes.at[i]);
	d->help = from->help;
	d->fix_at = from->fix_at;
	d->fix = from->fix;
	diag_note(s->sink, d, "no model calls `%s`: it is checked by its signature alone", f->name);
}

static bool has_like(const struct sink *sink, const struct diag *d)
{
	for (int i = 0; i < sink->diags.n; i++) {
		const struct diag *other = sink->diags.at[i];
		if (other->code == d->code && other->at.file == d->at.file && other->at.lo == d->at.lo)
			return true;
	}
	return false;
}

void walk_alone(struct sema *s, struct def *f)
{
	static const enum dtype others[] = {DTYPE_F32, DTYPE_F16,
	                                    DTYPE_F64}; /* with DTYPE_BF16, all formats of arithmetic */
	enum { OTHERS = sizeof others / sizeof *others };
	bool program = !strcmp(f->kind, "block") || !strcmp(f->kind, "op");
	if (!program || f->called || f->failed || f->module->partial || !f->node->named.has_body)
		return;
	const struct sink first = reports(s, f, DTYPE_BF16);
	struct sink more[OTHERS];
	for (int k = 0; k < OTHERS && first.diags.n; k++)
		more[k] = reports(s, f, others[k]);
	for (int i = 0; i < first.diags.n; i++) {
		const struct diag *d = first.diags.at[i];
		bool always = counts(d->code);
		for (int k = 0; k < OTHERS && always; k++)
			always = has_like(&more[k], d);
		if (always)
			report_again(s, d, f);
	}
}
