/* Names, axes and types of tensor programs, and their texts in messages. */
#include "walk.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reports --------------------------------------------------------------------------------- */

void walk_offer_cast(struct walk *w, struct diag *d, struct span at, const char *format)
{
	const char *text = arena_strndup(w->arena, w->s->sink->sources->files.at[at.file].text + at.lo, at.hi - at.lo);
	diag_help(w->s->sink, d, "cast it: `cast(..., %s)`", format);
	diag_fix(w->s->sink, d, at, arena_printf(w->arena, "cast(%s, %s)", text, format));
}

struct diag *walk_report(struct walk *w, enum diag_code code, struct span at, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	const char *message = arena_vprintf(w->arena, fmt, args);
	va_end(args);
	w->failed = true;
	return sema_report(w->s, code, at, "%s", message);
}

/* What `print` writes to a stream, as a text in the arena. */
static const char *captured(struct walk *w, void (*print)(const struct program *, const void *, FILE *),
                            const void *what)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		out_of_memory(BUFSIZ);
	print(w->p, what, out);
	bool whole = !fflush(out) && !ferror(out);
	if (fclose(out) || !whole || !text) { /* fclose flushes: it may fail for lack of memory */
		free(text);
		out_of_memory(size + 1);
	}
	struct undo undo = {free, text, NULL};
	undo_add(&undo);
	const char *copy = arena_strndup(w->arena, text, size);
	undo_remove(&undo);
	free(text);
	return copy;
}

static void print_type(const struct program *p, const void *what, FILE *out) { print_value_type(p, what, out); }

static void print_list(const struct program *p, const void *what, FILE *out)
{
	const struct axes *a = what;
	print_axes(p, a->at, a->n, out);
}

const char *walk_axes_text(struct walk *w, struct axes a) { return captured(w, print_list, &a); }

const char *walk_type_text(struct walk *w, int value) { return captured(w, print_type, &w->p->values.at[value]); }

const char *walk_declared_text(struct walk *w, const struct tensor_type *t)
{
	struct value v = {.type = t->type,
	                  .dtype = t->dtype,
	                  .axes = t->axes.at,
	                  .n_axes = t->axes.n,
	                  .index_of = t->index_of,
	                  .slot = t->slot};
	return captured(w, print_type, &v);
}

const char *walk_show(struct walk *w, struct val v)
{
	if (v.kind == V_TENSOR)
		return walk_type_text(w, v.tensor);
	return val_show(w->s, v);
}

/* ---- sets of axes ---------------------------------------------------------------------------- */

bool axes_have(struct axes a, int axis)
{
	for (int i = 0; i < a.n; i++)
		if (a.at[i] == axis)
			return true;
	return false;
}

static bool is_subset(struct axes a, struct axes b)
{
	for (int i = 0; i < a.n; i++)
		if (!axes_have(b, a.at[i]))
			return false;
	return true;
}

bool axes_same_set(struct axes a, struct axes b) { return is_subset(a, b) && is_subset(b, a); }

struct axes axes_add(struct walk *w, struct axes a, int axis)
{
	struct axes out = {arena_array(w->arena, int, a.n + 1), a.n + 1};
	if (a.n)
		memcpy(out.at, a.at, sizeof *a.at * (size_t)a.n);
	out.at[a.n] = axis;
	return out;
}

struct axes axes_without(struct walk *w, struct axes a, struct axes gone)
{
	struct axes out = {arena_array(w->arena, int, a.n + 1), 0};
	for (int i = 0; i < a.n; i++)
		if (!axes_have(gone, a.at[i]))
			out.at[out.n++] = a.at[i];
	return out;
}

struct axes value_axes(struct walk *w, int value)
{
	const struct value *v = &w->p->values.at[value];
	return (struct axes){v->axes, v->n_axes};
}

int64_t axes_size(const struct program *p, struct axes a)
{
	int64_t size = 1;
	for (int i = 0; i < a.n; i++)
		size *= p->axes.at[a.at[i]].extent;
	return size;
}

/* ---- names ----------------------------------------------------------------------------------- */

struct bound *env_find(struct env *e, const char *name)
{
	int i = index_find(&e->index, name);
	return i < 0 ? NULL : &e->names.at[i];
}

void env_bind(struct env *e, const char *name, struct val v, struct span at)
{
	vec_push(e->walk->arena, &e->names,
	         ((struct bound){.name = name, .val = v, .span = at, .number = e->walk->bound++}));
	index_add(e->walk->arena, &e->index, name);
}

void env_define(struct env *e, struct ident name, struct val v)
{
	struct bound *first = env_find(e, name.name);
	if (first) {
		struct diag *d = walk_report(e->walk, DIAG_E0106, name.span, "`%s` is defined twice", name.name);
		diag_related(e->walk->s->sink, d, first->span, "first defined here");
		diag_help(e->walk->s->sink, d, "`let` binds once: give the second another name");
		return;
	}
	env_bind(e, name.name, v, name.span);
	if (v.kind == V_TENSOR && !e->walk->p->values.at[v.tensor].name)
		e->walk->p->values.at[v.tensor].name = name.name;
}

/* The first use of an axis variable in an op's signature. */
static struct span variable_span(struct env *e, const struct bound *b)
{
	struct idents names = op_axis_names(e->walk, e->call->sig);
	for (int i = 0; i < names.n; i++)
		if (names.at[i].name == b->name)
			return names.at[i].span;
	internal_error("axis `%s` is not in the signature", b->name);
}

void env_refer(struct env *e, const struct bound *b, struct span use)
{
	if (!e->walk->s->options->references)
		return;
	bool is_axis = b->val.kind == V_AXIS, is_variable = is_axis && e->kind == ENV_OP && e->call;
	refer(e->walk->s, (struct ident){b->name, use}, is_variable ? variable_span(e, b) : b->span,
	      is_axis ? REFERENCE_AXIS : REFERENCE_LOCAL);
}

/* The innermost env that binds the name to an axis, or NULL. */
static struct env *env_of_axis(struct env *e, const char *name)
{
	for (; e; e = e->parent) {
		const struct bound *b = env_find(e, name);
		if (b && b->val.kind == V_AXIS)
			return e;
	}
	return NULL;
}

int env_axis(struct env *e, const char *name)
{
	e = env_of_axis(e, name);
	return e ? env_find(e, name)->val.axis : -1;
}

/* The axis in scope that was probably meant. */
static const char *nearest_axis(struct env *e, const char *name)
{
	VEC(const char *) names = {0};
	struct arena *arena = e->walk->arena;
	for (; e; e = e->parent)
		for (int i = 0; i < e->names.n && diag_affords(e->walk->s->sink, name, 1); i++)
			if (e->names.at[i].val.kind == V_AXIS)
				vec_push(arena, &names, e->names.at[i].name);
	return nearest_name(name, names.at, names.n);
}

bool env_partial(struct env *e)
{
	return e->scope.module->partial || (e->kind != ENV_OP && e->walk->model && e->walk->model->partial);
}

/* Is the name bad after an earlier mistake? */
static bool is_bad(struct env *e, const char *name)
{
	for (; e; e = e->parent) {
		const struct bound *b = env_find(e, name);
		if (b)
			return b->val.kind == V_BAD;
	}
	return false;
}

int env_need_axis(struct env *e, struct ident name)
{
	struct env *owner = env_of_axis(e, name.name);
	if (owner) {
		env_refer(owner, env_find(owner, name.name), name.span);
		return env_find(owner, name.name)->val.axis;
	}
	e->walk->failed = true;
	if (env_partial(e) || is_bad(e, name.name))
		return -1;
	struct diag *d = walk_report(e->walk, DIAG_E0401, name.span, "axis `%s` is not in scope", name.name);
	const char *near = nearest_axis(e, name.name);
	if (near) {
		diag_help(e->walk->s->sink, d, "did you mean `%s`?", near);
		diag_fix(e->walk->s->sink, d, name.span, near);
	}
	return -1;
}

/* ---- types ----------------------------------------------------------------------------------- */

const char *axis_item_name(const struct node *item)
{
	if (item->kind == N_AX_REST)
		return item->ident.name;
	const struct path *first = &item->ax.factors[0];
	return first->at[first->n - 1].name;
}

static bool type_axes(struct env *e, const struct node *t, struct axes *out)
{
	struct nodes items = t->type.axes ? t->type.axes->axes.items : (struct nodes){0};
	bool ok = true;
	for (int i = 0; i < items.n; i++) {
		int axis = env_need_axis(e, (struct ident){axis_item_name(items.at[i]), items.at[i]->span});
		if (axis >= 0 && axes_have(*out, axis)) {
			walk_report(e->walk, DIAG_E0403, items.at[i]->span, "axis `%s` appears twice", axis_item_name(items.at[i]));
			axis = -1;
		}
		ok = ok && axis >= 0;
		*out = axes_add(e->walk, *out, axis);
	}
	return ok;
}

/* The axis in argument i of index(v) or Routing(e, slot). */
static int type_argument(struct env *e, const struct node *t, int i)
{
	if (i >= t->type.args.n || !t->type.args.at[i]->type.has_path) {
		walk_report(e->walk, DIAG_E0410, t->span, "the type does not name its axis");
		return -1;
	}
	const struct path *p = &t->type.args.at[i]->type.path;
	return env_need_axis(e, p->at[p->n - 1]);
}

static bool format_named(const char *name, enum dtype *out)
{
	for (int t = 0; t < DTYPE_COUNT; t++)
		if (t != DTYPE_I32 && !strcmp(name, dtype_name(t))) {
			*out = t;
			return true;
		}
	return false;
}

bool walk_computes(enum dtype t) { return t == DTYPE_F64 || t == DTYPE_F32 || t == DTYPE_BF16 || t == DTYPE_F16; }

/* Reads a format from a field of the model: `weight`, `act`, `kv`. */
static bool format_field(struct env *e, struct ident name, enum dtype *out)
{
	struct record *model = e->walk->model;
	if (!model) {
		*out = e->walk->act;
		return true;
	}
	struct field *f = record_field(model, name.name);
	e->walk->failed = e->walk->failed || !f;
	if (!f && env_partial(e))
		return false;
	if (!f) {
		walk_report(e->walk, DIAG_E0101, name.span, "cannot find the number format `%s`", name.name);
		return false;
	}
	refer_field(e->walk->s, name, f);
	struct val v = record_get(model, name.name, name.span);
	if (v.kind == V_DTYPE)
		*out = v.dtype;
	else if (v.kind != V_BAD)
		walk_report(e->walk, DIAG_E0203, name.span, "`%s` is not a number format", name.name);
	e->walk->failed = e->walk->failed || v.kind != V_DTYPE;
	return v.kind == V_DTYPE;
}

static bool float_type(struct env *e, const struct node *t, const char *by_default, struct tensor_type *out)
{
	struct ident name = {names_str(e->walk->s->names, by_default), t->span};
	if (t->type.has_path)
		name = t->type.path.at[t->type.path.n - 1];
	bool written = format_named(name.name, &out->storage);
	if (!written && !format_field(e, name, &out->storage))
		return false;
	if (written && walk_computes(out->storage)) {
		out->dtype = out->storage;
		return true;
	}
	return format_field(e, (struct ident){names_str(e->walk->s->names, "act"), t->span}, &out->dtype);
}

bool walk_tensor_type(struct env *e, const struct node *t, const char *by_default, struct tensor_type *out)
{
	*out =
		(struct tensor_type){.type = TYPE_FLOAT, .dtype = DTYPE_I32, .storage = DTYPE_I32, .index_of = -1, .slot = -1};
	bool ok = type_axes(e, t, &out->axes);
	const char *word = t->type.has_path ? t->type.path.at[t->type.path.n - 1].name : "";
	if (!strcmp(word, "index")) {
		out->type = TYPE_INDEX;
		out->index_of = type_argument(e, t, 0);
		return ok && out->index_of >= 0;
	}
	if (!strcmp(word, "Routing")) {
		out->type = TYPE_ROUTING;
		out->dtype = DTYPE_F32;
		out->index_of = type_argument(e, t, 0);
		out->slot = type_argument(e, t, 1);
		return ok && out->index_of >= 0 && out->slot >= 0;
	}
	if (!strcmp(word, "Int")) {
		out->type = TYPE_INT;
		return ok;
	}
	return float_type(e, t, by_default, out) && ok;
}
