/* Models: their axes, the walk over their items, and the `config` of the checkpoint. */
#include "walk.h"
#include "deploy.h"
#include <inttypes.h>
#include <string.h>

static bool lookup(struct scope *s, const char *name, struct span use, struct val *out);

struct env *env_new(struct walk *w, enum env_kind kind, struct env *parent, struct module *module)
{
	struct env *e = arena_new(w->arena, struct env);
	e->walk = w;
	e->parent = parent;
	e->kind = kind;
	e->scope = (struct scope){.parent = parent ? &parent->scope : NULL,
	                          .module = module,
	                          .sema = w->s,
	                          .lookup = lookup,
	                          .expr = walk_hook,
	                          .walk = e};
	return e;
}

/* In scalar expressions an axis is its extent. Of its model, a block sees only the formats. */
static bool lookup(struct scope *s, const char *name, struct span use, struct val *out)
{
	struct env *e = s->walk;
	struct walk *w = e->walk;
	const struct bound *b = env_find(e, name);
	if (b) {
		env_refer(e, b, use);
		*out = b->val;
		w->undecided |= w->replayed && b->number >= w->replayed;
		if (e->kind == ENV_LOOP && name == w->p->loops.at[w->loop].index)
			walk_index_read(e);
		if (b->val.kind == V_AXIS) {
			int64_t extent = w->p->axes.at[b->val.axis].extent;
			*out = extent ? val_int(extent) : (struct val){.kind = V_UNKNOWN, .name = name};
		}
		return true;
	}
	bool format = !strcmp(name, "weight") || !strcmp(name, "act") || !strcmp(name, "kv");
	if (e->kind == ENV_BLOCK && format && !w->model) {
		*out = (struct val){.kind = V_DTYPE, .dtype = w->act};
		return true;
	}
	if (e->kind != ENV_BLOCK || !format || !record_field(w->model, name))
		return false;
	refer_field(w->s, (struct ident){name, use}, record_field(w->model, name));
	*out = record_get(w->model, name, use);
	return true;
}

int walk_region(struct walk *w, struct ident name, const char *prefix, bool is_loop_body)
{
	struct region r = {
		.name = name.name, .parent = w->p->regions.n ? w->region : -1, .is_loop_body = is_loop_body, .span = name.span};
	vec_push(w->arena, &w->p->regions, r);
	vec_push(w->arena, &w->prefix, prefix);
	return w->p->regions.n - 1;
}

/* ---- axes ------------------------------------------------------------------------------------ */

static bool same_axis(const struct axis *a, const struct axis *b)
{
	return a->span.file == b->span.file && a->span.lo == b->span.lo && a->name == b->name && a->kind == b->kind
	       && a->extent == b->extent && a->like == b->like && a->of == b->of && a->n_parts == b->n_parts
	       && !memcmp(a->part, b->part, sizeof a->part);
}

/* Axes with the same declaration, over the same axes, are the same: a block that is called twice has its axes once. */
static int add_axis(struct walk *w, struct axis a)
{
	for (int i = 0; i < w->p->axes.n; i++)
		if (same_axis(&w->p->axes.at[i], &a))
			return i;
	vec_push(w->arena, &w->p->axes, a);
	return w->p->axes.n - 1;
}

static struct axis new_axis(struct ident name, enum axis_kind kind, int64_t extent)
{
	return (struct axis){
		.name = name.name, .kind = kind, .extent = extent, .like = -1, .of = -1, .tokens = -1, .span = name.span};
}

static int axis_with_extent(struct walk *w, struct ident name, struct val v, struct span at)
{
	if (v.kind == V_INT && v.i > 0 && v.i <= MAX_EXTENT)
		return add_axis(w, new_axis(name, AXIS_MODEL, v.i));
	if (v.kind == V_INT && v.i > 0)
		walk_report(w, DIAG_E0203, at, "extent of `%s` is %lld, at most %d", name.name, (long long)v.i, MAX_EXTENT);
	else if (v.kind != V_BAD)
		walk_report(w, DIAG_E0203, at, "extent of `%s` expects a positive Int, found %s", name.name, walk_show(w, v));
	w->failed = true;
	return -1;
}

static int axis_like(struct env *e, struct ident name, const struct path *like)
{
	int of = env_need_axis(e, like->at[like->n - 1]);
	if (of < 0)
		return -1;
	struct axis a = e->walk->p->axes.at[of];
	a.kind = a.kind == AXIS_CONCAT ? AXIS_MODEL : a.kind;
	a.n_parts = 0;
	memset(a.part, 0, sizeof a.part);
	a.name = name.name;
	a.span = name.span;
	a.like = of;
	return add_axis(e->walk, a);
}

/* One part; -1 after a report. */
static int concat_part(struct env *e, const struct axis *a, const struct node *arg)
{
	bool named = arg->kind == N_ID && a->n_parts < 8;
	int part = named ? env_need_axis(e, (struct ident){arg->ident.name, arg->span}) : -1;
	if (named && part < 0)
		return -1;
	if (part < 0 || !e->walk->p->axes.at[part].extent) {
		walk_report(e->walk, DIAG_E0203, arg->span, "`concat` takes up to 8 axes of fixed extent");
		return -1;
	}
	for (int i = 0; i < a->n_parts; i++)
		if (a->part[i] == part) {
			walk_report(e->walk, DIAG_E0403, arg->span, "axis `%s` appears twice", arg->ident.name);
			return -1;
		}
	return part;
}

static int axis_concat(struct env *e, struct ident name, const struct node *call)
{
	struct axis a = new_axis(name, AXIS_CONCAT, 0);
	for (int i = 0; i < call->call.args.n; i++) {
		int part = concat_part(e, &a, call->call.args.at[i]);
		if (part < 0)
			return -1;
		a.part[a.n_parts++] = part;
		a.extent += e->walk->p->axes.at[part].extent;
	}
	if (!a.n_parts || a.extent > MAX_EXTENT) {
		walk_report(e->walk, DIAG_E0203, call->span, "extent of `%s` is %lld, expected 1 to %d", name.name,
		            (long long)a.extent, MAX_EXTENT);
		return -1;
	}
	return add_axis(e->walk, a);
}

static int axis_ragged(struct env *e, struct ident name, const struct node *call)
{
	const struct node *arg = call->call.args.n == 1 ? call->call.args.at[0] : NULL;
	if (!arg || arg->kind != N_ID) {
		walk_report(e->walk, DIAG_E0203, call->span, "`ragged` takes one axis");
		return -1;
	}
	struct axis a = new_axis(name, AXIS_RAGGED, 0);
	a.of = env_need_axis(e, (struct ident){arg->ident.name, arg->span});
	return a.of < 0 ? -1 : add_axis(e->walk, a);
}

int walk_axis_declared(struct env *e, const struct node *item)
{
	struct ident name = item->named.name.at[0];
	const struct node *value = item->named.value;
	if (item->named.tail == TAIL_LIKE)
		return axis_like(e, name, &item->named.like);
	if (item->named.tail != TAIL_IS) {
		walk_report(e->walk, DIAG_E0004, item->span, "`%s` has no extent: write `axis %s = ...`", name.name, name.name);
		return -1;
	}
	if (value->kind == N_ID && !strcmp(value->ident.name, "dynamic"))
		return add_axis(e->walk, new_axis(name, AXIS_DYNAMIC, 0));
	const char *f = value->kind == N_CALL && value->call.f->kind == N_ID ? value->call.f->ident.name : "";
	if (!strcmp(f, "ragged"))
		return axis_ragged(e, name, value);
	if (!strcmp(f, "concat"))
		return axis_concat(e, name, value);
	if (!strcmp(f, "pad")) {
		walk_report(e->walk, DIAG_E0004, value->span, "`pad` is reserved for a later version");
		return -1;
	}
	return axis_with_extent(e->walk, name, walk_eval(e, value, NULL), value->span);
}

/* Adds the axes that are fields of the model: first those with an extent, then those made from others. */
static void model_axes(struct env *e)
{
	struct record *model = e->walk->model;
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < model->fields.n; i++) {
			struct field *f = model->fields.at[i];
			if (f->sort != (pass ? FIELD_VIEW : FIELD_AXIS))
				continue;
			struct ident name = {f->name, f->span};
			e->scope.module = f->layer->module;
			int axis = pass ? walk_axis_declared(e, f->init)
			                : axis_with_extent(e->walk, name, record_get(model, f->name, f->span), f->span);
			env_bind(e, f->name, axis < 0 ? val_bad() : (struct val){.kind = V_AXIS, .axis = axis}, f->span);
		}
}

/* ---- config ---------------------------------------------------------------------------------- */

/* The expression of a field's value, or NULL. */
static const struct node *field_expression(const struct field *f)
{
	return f->sets.n && !f->sets.at[f->sets.n - 1].is_sub ? f->sets.at[f->sets.n - 1].value : f->init;
}

static bool is_constant(const struct node *e)
{
	if (e->kind == N_NEG)
		return is_constant(e->one.x);
	return e->kind == N_STR || e->kind == N_TRUE || e->kind == N_FALSE || e->kind == N_NUM || e->kind == N_LIST;
}

/* The text of that expression; for a literal, the field's name: equal literals do not mean the same value. */
static const char *field_text(struct walk *w, const struct field *f)
{
	const struct node *value = field_expression(f);
	if (!value || is_constant(value))
		return f->name;
	struct span at = value->span;
	return arena_strndup(w->arena, w->s->sink->sources->files.at[at.file].text + at.lo, at.hi - at.lo);
}

static const char *json_string(struct arena *arena, const char *s)
{
	struct text out = {.arena = arena};
	for (text_add(&out, "\""); *s; s++)
		text_add(&out, *s == '"' || *s == '\\' ? "\\%c" : (unsigned char)*s < ' ' ? "\\u%04x" : "%c", *s);
	text_add(&out, "\"");
	return out.at;
}

/* A list of Bools, numbers and Strings in JSON; NULL for others. */
static const char *json_list(struct walk *w, struct val list)
{
	struct text out = {.arena = w->arena};
	text_add(&out, "[");
	for (int i = 0; i < list.list.n; i++) {
		struct val v = list.list.at[i];
		text_add(&out, "%s", i ? "," : "");
		if (v.kind == V_BOOL)
			text_add(&out, "%s", v.b ? "true" : "false");
		else if (v.kind == V_INT)
			text_add(&out, "%" PRId64, v.i);
		else if (v.kind == V_FLOAT)
			text_add(&out, "%.17g", v.f);
		else if (v.kind == V_STRING)
			text_add(&out, "%s", json_string(w->arena, v.name));
		else
			return NULL;
	}
	text_add(&out, "]");
	return out.at;
}

/* Names the kind of model; a family may accept several values. */
static bool has_alternatives(const char *name) { return !strcmp(name, "model_type") || !strcmp(name, "architectures"); }

static void config_entry(struct walk *w, struct record *map, const struct field *f)
{
	struct val v = record_get(map, f->name, f->span);
	struct config_entry c = {.name = f->name, .field = field_text(w, f), .span = f->span};
	switch (v.kind) {
	case V_BOOL:
		c.type = CONFIG_BOOL;
		c.b = v.b;
		break;
	case V_INT:
		c.type = CONFIG_INT;
		c.i = v.i;
		break;
	case V_FLOAT:
		c.type = CONFIG_FLOAT;
		c.f = v.f;
		break;
	case V_STRING:
		c.type = CONFIG_STRING;
		c.s = v.name;
		break;
	case V_LIST:
		c.type = !(c.s = json_list(w, v)) ? CONFIG_NONE : has_alternatives(f->name) ? CONFIG_ONE_OF : CONFIG_LIST;
		break;
	default: break;
	}
	if (c.type == CONFIG_NONE && v.kind != V_NONE) {
		w->failed = true;
		if (v.kind != V_BAD)
			walk_report(
				w, DIAG_E0203, f->span,
				"`%s` of a checkpoint's config is a Bool, a number, a String, a list of these or none, found %s",
				f->name, walk_show(w, v));
		return;
	}
	vec_push(w->arena, &w->p->config, c);
}

/* `absent { name = value }`: what a file without a name of `config` means. */
static void absent_entry(struct walk *w, struct record *map, struct record *config, const struct field *f)
{
	struct val v = record_get(map, f->name, f->span);
	const char **names = arena_array(w->arena, const char *, w->p->config.n + 1);
	w->failed = w->failed || v.kind == V_BAD;
	for (int i = 0; i < w->p->config.n; i++) {
		struct config_entry *c = &w->p->config.at[i];
		names[i] = c->name;
		if (strcmp(c->name, f->name) != 0)
			continue;
		c->absent = walk_show(w, v);
		c->absent_holds = val_equal(v, record_get(config, c->name, f->span));
		/* a list's only default is null */
		c->null_differs = is_constant(field_expression(f)) && v.kind != V_LIST && c->type != CONFIG_ONE_OF;
		return;
	}
	struct diag *d = walk_report(w, DIAG_E0201, f->span, "`absent` has `%s`, which `config` does not name", f->name);
	diag_suggest(w->s->sink, d, f->span, nearest_name(f->name, names, w->p->config.n));
}

static void model_absent(struct walk *w, struct record *config)
{
	struct field *f = record_field(w->model, names_str(w->s->names, "absent"));
	struct val v = f ? record_get(w->model, f->name, f->span) : val_none();
	w->failed = w->failed || v.kind == V_BAD;
	for (int i = 0; v.kind == V_RECORD && i < v.record->fields.n; i++)
		absent_entry(w, v.record, config, v.record->fields.at[i]);
}

static void model_config(struct walk *w)
{
	struct field *f = record_field(w->model, "config");
	if (!f)
		return;
	struct val v = record_get(w->model, f->name, f->span);
	w->failed = w->failed || v.kind == V_BAD;
	if (v.kind != V_RECORD)
		return;
	for (int i = 0; i < v.record->fields.n; i++)
		config_entry(w, v.record, v.record->fields.at[i]);
	model_absent(w, v.record);
}

/* ---- the model ------------------------------------------------------------------------------- */

bool walk_require(struct env *e, const struct node *item, const char *what, struct span at)
{
	struct walk *w = e->walk;
	struct val v = walk_eval(e, item->claim.value, NULL);
	if (v.kind != V_BOOL || v.b)
		return true;
	const char *message = item->claim.message;
	struct diag *d = walk_report(w, DIAG_E0205, at, "precondition of `%s` fails%s%s", what, message ? ": " : "",
	                             message ? message : "");
	if (item->span.file != at.file || item->span.lo != at.lo)
		diag_related(w->s->sink, d, item->span, "required here");
	return false;
}

/* Sets the axes and the context length that later passes know by name. */
static void known_names(struct env *e)
{
	struct program *p = e->walk->p;
	struct {
		const char *name;
		int *axis;
	} known[] = {
		{"batch", &p->batch}, {"seq", &p->seq},     {"ctx", &p->ctx},
		{"row", &p->row},     {"vocab", &p->vocab}, {"layers", &p->layers},
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		*known[i].axis = env_axis(e, names_str(e->walk->s->names, known[i].name));
	const char *max_ctx = names_str(e->walk->s->names, "max_ctx");
	struct field *f = record_field(e->walk->model, max_ctx);
	struct val v = f ? record_get(e->walk->model, max_ctx, f->span) : val_none();
	p->max_ctx = v.kind == V_INT ? v.i : 0;
}

/* Checks that `act` is a format of arithmetic. */
static void check_act(struct walk *w)
{
	struct field *f = record_field(w->model, names_str(w->s->names, "act"));
	struct val v = f ? record_get(w->model, f->name, f->span) : val_none();
	if (v.kind != V_DTYPE || walk_computes(v.dtype))
		return;
	struct diag *d = walk_report(w, DIAG_E0203, field_where(f),
	                             "`act` is %s: values between operators are computed with, but %s is for storage only",
	                             dtype_name(v.dtype), dtype_name(v.dtype));
	diag_help(w->s->sink, d, "choose f32, bf16 or f16; `weight` or `kv` may be smaller");
}

/* Checks that every cache is a `state`: rules of plans need its name. */
static void check_caches(struct walk *w)
{
	for (int i = 0; i < w->p->values.n; i++)
		if (w->p->values.at[i].op == OP_APPEND && w->p->values.at[i].append.state < 0) {
			struct diag *d =
				walk_report(w, DIAG_E0407, w->p->values.at[i].span, "`append` returns a cache that no `state` names");
			diag_help(w->s->sink, d, "write `state name : kv[...] = append(...)`");
		}
}

static struct program *new_program(struct walk *w)
{
	struct program *p = arena_new(w->arena, struct program);
	p->model = w->model->name;
	for (int i = 0; i < 3; i++)
		p->input_value[i] = -1;
	return p;
}

static struct program *walk_new(struct sema *s, struct record *model)
{
	struct walk w = {.s = s, .arena = s->arena, .model = model, .region = 0, .call = -1, .loop = -1};
	w.p = new_program(&w);
	walk_region(&w, (struct ident){"", model->span}, "", false);
	struct env *e =
		env_new(&w, ENV_MODEL, NULL, model->layers.n ? model->layers.at[model->layers.n - 1]->module : s->main);
	e->scope.record = model;
	model_axes(e);
	known_names(e);
	check_act(&w);
	model_config(&w);
	walk_checkpoint(e);
	struct val returned = val_none();
	for (int i = 0; i < model->program.n; i++) {
		e->scope.module = model->program.at[i].layer->module;
		walk_item(e, model->program.at[i].item, &returned);
	}
	if (!w.failed)
		check_caches(&w);
	return w.failed ? NULL : w.p;
}

struct program *walk_model(struct sema *s, struct record *model, struct span use)
{
	(void)use;
	for (int i = 0; i < s->walked.n; i++)
		if (s->walked.at[i].model == model)
			return s->walked.at[i].program;
	struct arena *before = sema_use(s, model->arena);
	struct program *p = walk_new(s, model);
	sema_use(s, before);
	vec_push(s->root, &s->walked, ((struct walked){model, p}));
	return p;
}

/* ---- declarations ---------------------------------------------------------------------------- */

static void check_kinds(struct sema *s, struct nodes items)
{
	for (int i = 0; i < items.n; i++) {
		const struct node *item = items.at[i];
		if (item->kind == N_NAMED && !walk_knows_kind(item->named.kind.name))
			walk_unknown_item(s, item);
		else if (item->kind == N_NAMED && item->named.tail == TAIL_LOOP)
			check_kinds(s, item->named.body);
		if (item->kind == N_WHEN) {
			check_kinds(s, item->when.then);
			check_kinds(s, item->when.other);
		}
	}
}

void walk_declaration(struct sema *s, struct def *d)
{
	const struct node *sig = d->node;
	if (!strcmp(d->kind, "builtin"))
		return;
	if (!sig->named.has_body && !strcmp(d->kind, "op")) {
		struct diag *r = sema_report(s, DIAG_E0911, sig->named.name.span, "op `%s` has no body", d->name);
		diag_help(s->sink, r, "its meaning is its body: `op %s(...) -> [...] { return ... }`", d->name);
	}
	for (int i = 0; i < sig->named.params.n; i++) {
		const struct node *type = sig->named.params.at[i]->field.type;
		if (type && !type->type.axes)
			check_type_names(s, type, d->module);
	}
	check_kinds(s, sig->named.body);
}
