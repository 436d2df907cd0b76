/* Params (docs/language.md, Checkpoints): their elements in the stored tensor. */
#include "walk.h"
#include <string.h>

/* ---- stored layouts -------------------------------------------------------------------------- */

struct layout {
	struct env *e;
	const char *name;  /* the param's */
	struct axes need;  /* axes of the param that are not in the key */
	struct axes found; /* axes seen so far, outside other pieces */
	int64_t base;
	int64_t *stride; /* by axis of the program */
	bool ok;
};

static const struct path *factor_path(const struct node *f) { return f->kind == N_PATH ? &f->path : NULL; }

static int factor_axis(struct layout *l, const struct node *f)
{
	const struct path *p = factor_path(f);
	int axis = env_need_axis(l->e, p->at[p->n - 1]);
	l->ok = l->ok && axis >= 0;
	return axis;
}

static int64_t prod_extent(struct layout *l, const struct node *prod);

static int64_t factor_extent(struct layout *l, const struct node *f)
{
	int64_t n = 0;
	double unused;
	bool is_int;
	if (f->kind == N_NUM) {
		long long value = 0;
		if (!number_value(f->num.text, &value, &unused, &is_int) || !is_int || value < 1) {
			walk_report(l->e->walk, DIAG_E0408, f->span, "an extent is a whole number, at least 1");
			l->ok = false;
			return 1;
		}
		return value;
	}
	if (f->kind == N_PATH) {
		int axis = factor_axis(l, f);
		return axis < 0 ? 1 : l->e->walk->p->axes.at[axis].extent;
	}
	for (int i = 0; i < f->list.n; i++)
		n += prod_extent(l, f->list.at[i]->piece.prod);
	return n;
}

static int64_t prod_extent(struct layout *l, const struct node *prod)
{
	int64_t n = 1, more;
	for (int i = 0; i < prod->list.n; i++) {
		more = factor_extent(l, prod->list.at[i]);
		if (__builtin_mul_overflow(n, more > 0 ? more : 1, &n) || n > MAX_ELEMENTS) {
			walk_report(l->e->walk, DIAG_E0408, prod->span, "the stored tensor of `%s` is too large", l->name);
			l->ok = false;
			return 1;
		}
	}
	return n;
}

/* The axes in a product, including those in its sums unless `direct`. */
static struct axes prod_axes(struct layout *l, const struct node *prod, bool direct, struct axes out)
{
	for (int i = 0; i < prod->list.n; i++) {
		const struct node *f = prod->list.at[i];
		int axis = f->kind == N_PATH ? factor_axis(l, f) : -1;
		if (axis >= 0)
			out = axes_add(l->e->walk, out, axis);
		for (int k = 0; f->kind == N_SUM && !direct && k < f->list.n; k++)
			out = prod_axes(l, f->list.at[k]->piece.prod, false, out);
	}
	return out;
}

/* The piece of a sum that is the param: the marked one, else the one with the axes found nowhere else. */
static int piece_of(struct layout *l, const struct node *sum, struct axes elsewhere)
{
	struct axes mine = axes_without(l->e->walk, l->need, elsewhere);
	int found = -1, n = 0;
	for (int i = 0; i < sum->list.n; i++)
		if (sum->list.at[i]->piece.marked) {
			found = i;
			n++;
		}
	for (int i = 0; !n && i < sum->list.n; i++)
		if (axes_same_set(prod_axes(l, sum->list.at[i]->piece.prod, false, (struct axes){0}), mine))
			found = found < 0 ? i : sum->list.n;
	if (n <= 1 && found >= 0 && found < sum->list.n)
		return found;
	struct diag *d = walk_report(
		l->e->walk, DIAG_E0409, sum->span,
		n > 1 ? "more than one piece of the sum is marked as `%s`" : "no piece of the sum is marked as `%s`", l->name);
	diag_help(l->e->walk->s->sink, d, "mark one piece with `!`: `(a ! + b)`");
	l->ok = false;
	return -1;
}

static void place_prod(struct layout *l, const struct node *prod, int64_t unit, struct axes elsewhere, bool in_piece);

/* The param's piece starts after the previous pieces. */
static void place_sum(struct layout *l, const struct node *sum, int64_t unit, struct axes elsewhere)
{
	int mine = piece_of(l, sum, elsewhere);
	if (mine < 0)
		return;
	for (int i = 0; i < mine; i++)
		l->base += prod_extent(l, sum->list.at[i]->piece.prod) * unit;
	const struct node *prod = sum->list.at[mine]->piece.prod;
	place_prod(l, prod, unit, prod_axes(l, prod, true, elsewhere), true);
}

/* Sets the strides of a product whose minor factor has stride `unit`. */
static void place_prod(struct layout *l, const struct node *prod, int64_t unit, struct axes elsewhere, bool in_piece)
{
	struct walk *w = l->e->walk;
	for (int i = prod->list.n; i-- > 0;) {
		const struct node *f = prod->list.at[i];
		int64_t extent = factor_extent(l, f);
		int axis = f->kind == N_PATH ? factor_axis(l, f) : -1;
		if (axis >= 0) {
			l->found = axes_add(w, l->found, axis);
			l->stride[axis] = unit;
		} else if (f->kind == N_SUM) {
			place_sum(l, f, unit, elsewhere);
		} else if (f->kind == N_NUM && extent != 1) {
			walk_report(w, DIAG_E0408, f->span, "a bare number in %s must be 1, found %lld",
			            in_piece ? "a piece" : "a layout", (long long)extent);
			l->ok = false;
		}
		unit *= extent;
	}
}

static void check_axes(struct layout *l, struct span at, struct span type)
{
	struct walk *w = l->e->walk;
	bool twice = false;
	for (int i = 0; i < l->found.n; i++)
		for (int k = 0; k < i; k++)
			twice = twice || l->found.at[i] == l->found.at[k];
	if (!l->ok || (!twice && axes_same_set(l->found, l->need)))
		return;
	int64_t has = axes_size(w->p, l->found), needs = axes_size(w->p, l->need);
	struct diag *d =
		walk_report(w, DIAG_E0408, at, "stored layout has axes %s (%lld elements), `%s` has %s (%lld)",
	                walk_axes_text(w, l->found), (long long)has, l->name, walk_axes_text(w, l->need), (long long)needs);
	diag_related(w->s->sink, d, type, "declared here");
	struct axes missing = axes_without(w, l->need, l->found);
	if (missing.n)
		diag_note(w->s->sink, d, "the layout lacks %s", walk_axes_text(w, missing));
	l->ok = false;
}

/* The axes in all stored dimensions except `but`. */
static struct axes other_dims(struct layout *l, const struct node *stored, int but)
{
	struct axes out = {0};
	for (int i = 0; i < stored->list.n; i++)
		if (i != but)
			out = prod_axes(l, stored->list.at[i], false, out);
	return out;
}

static bool read_layout(struct layout *l, const struct node *stored, struct stored *out)
{
	if (stored->list.n > 8) {
		walk_report(l->e->walk, DIAG_E0408, stored->span, "a stored tensor has at most 8 dimensions, found %d",
		            stored->list.n);
		return false;
	}
	out->n_dims = stored->list.n;
	for (int i = 0; i < stored->list.n; i++)
		out->dim[i] = prod_extent(l, stored->list.at[i]);
	int64_t unit = 1;
	for (int i = stored->list.n; i-- > 0 && l->ok;) {
		const struct node *dim = stored->list.at[i];
		if (out->dim[i] > MAX_ELEMENTS / unit) {
			walk_report(l->e->walk, DIAG_E0408, stored->span, "the stored tensor of `%s` is too large", l->name);
			l->ok = false;
			break;
		}
		place_prod(l, dim, unit, prod_axes(l, dim, true, other_dims(l, stored, i)), false);
		unit *= out->dim[i] > 0 ? out->dim[i] : 1;
	}
	return l->ok;
}

/* Layout without `as`: the param's axes in order. */
static bool plain_layout(struct layout *l, struct span type, struct stored *out)
{
	int64_t unit = 1;
	if (l->need.n > 8) {
		walk_report(l->e->walk, DIAG_E0408, type, "`%s` has more than 8 axes: give its stored layout", l->name);
		return false;
	}
	out->n_dims = l->need.n;
	for (int i = l->need.n; i-- > 0;) {
		out->dim[i] = l->e->walk->p->axes.at[l->need.at[i]].extent;
		l->stride[l->need.at[i]] = unit;
		unit *= out->dim[i];
	}
	return true;
}

static bool stored_layout(struct env *e, const struct node *item, struct axes axes, struct axes keyed,
                          struct stored *out)
{
	struct walk *w = e->walk;
	const struct node *stored = item->named.stored;
	struct layout l = {.e = e,
	                   .name = item->named.name.at[0].name,
	                   .need = axes_without(w, axes, keyed),
	                   .stride = arena_array(w->arena, int64_t, w->p->axes.n),
	                   .ok = true};
	if (stored ? !read_layout(&l, stored, out) : !plain_layout(&l, item->named.type->span, out))
		return false;
	if (stored)
		check_axes(&l, stored->span, item->named.type->span);
	out->base = l.base;
	out->stride = arena_array(w->arena, int64_t, axes.n);
	for (int i = 0; i < axes.n; i++)
		out->stride[i] = axes_have(keyed, axes.at[i]) ? 0 : l.stride[axes.at[i]];
	return l.ok;
}

/* ---- the item -------------------------------------------------------------------------------- */

static bool param_type(struct env *e, const struct node *item, struct tensor_type *t)
{
	struct walk *w = e->walk;
	const char *name = item->named.name.at[0].name;
	if (item->named.tail != TAIL_TYPED) {
		walk_report(w, DIAG_E0004, item->span,
		            "`param` is written `param name : [axes] from \"name in the checkpoint\"`");
		return false;
	}
	if (!walk_tensor_type(e, item->named.type, "weight", t))
		return false;
	if (t->type != TYPE_FLOAT) {
		walk_report(w, DIAG_E0412, item->named.type->span, "param `%s` is %s: a param holds floats", name,
		            walk_declared_text(w, t));
		return false;
	}
	for (int i = 0; i < t->axes.n; i++)
		if (!w->p->axes.at[t->axes.at[i]].extent) {
			struct diag *d = walk_report(w, DIAG_E0408, item->named.type->span,
			                             "param `%s` has axis `%s`, whose extent is known only at run time", name,
			                             w->p->axes.at[t->axes.at[i]].name);
			diag_related(w->s->sink, d, w->p->axes.at[t->axes.at[i]].span, "declared here");
			return false;
		}
	int64_t size = 1;
	for (int i = 0; i < t->axes.n; i++) {
		int64_t extent = w->p->axes.at[t->axes.at[i]].extent;
		if (size > MAX_ELEMENTS / extent) {
			walk_report(w, DIAG_E0408, item->named.type->span, "param `%s` has more than 2^40 elements", name);
			return false;
		}
		size *= extent;
	}
	return true;
}

/* ---- `from { data = ...; scale = ...; block = [...] }` --------------------------------------- */
enum { SOURCE_DATA, SOURCE_SCALE, SOURCE_BLOCK, SOURCES };
static const char *const source_names[SOURCES] = {"data", "scale", "block"};

/* The fields of the record, by source_names. misnamed: it has an unknown field, perhaps a missing one misspelt. */
struct scaled_source {
	const struct node *value[SOURCES];
	bool misnamed;
};

static void source_field(struct walk *w, const struct node *item, struct scaled_source *out)
{
	int field = 0;
	struct ident name = item->set.path.at[0];
	while (field < SOURCES && strcmp(name.name, source_names[field]) != 0)
		field++;
	if (item->set.path.n > 1 || field == SOURCES) {
		struct diag *d =
			walk_report(w, DIAG_E0201, item->set.path.span, "weights with scales have no field `%s`", name.name);
		const char *near = nearest_name(name.name, source_names, SOURCES);
		if (near && item->set.path.n == 1)
			diag_help(w->s->sink, d, "did you mean `%s`?", near);
		else
			diag_help(w->s->sink, d, "their fields are `data`, `scale` and `block`");
		out->misnamed = true;
		return;
	}
	if (out->value[field]) {
		struct diag *d = walk_report(w, DIAG_E0106, name.span, "`%s` is given twice", name.name);
		diag_related(w->s->sink, d, out->value[field]->span, "first here");
		return;
	}
	out->value[field] = item->set.value;
}

/* Checks the name of a tensor. false: reported, or perhaps misspelled. */
static bool source_name(struct walk *w, const struct scaled_source *source, int field, const struct node *from)
{
	const struct node *n = source->value[field];
	if (n && n->kind == N_STR)
		return true;
	if (n) {
		walk_report(w, DIAG_E0203, n->span, "`%s` expects the name of a tensor, a String", source_names[field]);
		return false;
	}
	if (source->misnamed)
		return false;
	struct diag *d = walk_report(w, DIAG_E0202, from->span, "weights with scales need `%s`", source_names[field]);
	diag_help(w->s->sink, d, "name the tensor: `%s = \"...\"`", source_names[field]);
	return false;
}

static void source_block(struct walk *w, const struct node *n, struct stored *out)
{
	enum { MAX_DIMS = sizeof out->block / sizeof *out->block };
	bool list = n->kind == N_LIST && n->list.n <= MAX_DIMS;
	for (int i = 0; list && i < n->list.n; i++) {
		long long size = 0;
		double unused;
		bool is_int = false;
		const struct node *e = n->list.at[i];
		if (e->kind == N_NUM && number_value(e->num.text, &size, &unused, &is_int) && is_int && size >= 1)
			out->block[i] = size;
		else
			walk_report(w, DIAG_E0203, e->span,
			            "`block` expects positive Ints: elements along each dimension that share a scale");
	}
	if (!list)
		walk_report(w, DIAG_E0203, n->span, "`block` expects a list of Ints, one for each of at most %d dimensions",
		            MAX_DIMS);
}

/* Weights with scales: E0913. The location of their data and the blocks are read anyway, to check the plan (E0508).
 * Returns the name of the data, or NULL. */
static const struct node *quantised_source(struct walk *w, const struct node *from, struct stored *out)
{
	struct scaled_source source = {0};
	bool failed = w->failed;
	w->failed = false;
	for (int i = 0; i < from->list.n; i++) {
		const struct node *item = from->list.at[i];
		if (item->kind == N_SET)
			source_field(w, item, &source);
		else if (item->kind == N_ERROR)
			w->failed = source.misnamed = true;
		else
			walk_report(w, DIAG_E0004, item->span, "weights with scales have fields, `name = value`");
	}
	bool whole = source_name(w, &source, SOURCE_DATA, from)
	             && (!source.value[SOURCE_SCALE] || source_name(w, &source, SOURCE_SCALE, from));
	if (source.value[SOURCE_BLOCK])
		source_block(w, source.value[SOURCE_BLOCK], out);
	if (!w->failed)
		sema_report(w->s, DIAG_E0913, from->span, "quantised weights with scales are reserved for a later version");
	whole = whole && !w->failed;
	w->failed = w->failed || failed;
	return whole ? source.value[SOURCE_DATA] : NULL;
}

/* Sets key and layout. Mistakes in them do not make the param bad. */
static void param_source(struct env *e, const struct node *item, struct param *p)
{
	struct walk *w = e->walk;
	const struct node *from = item->named.from;
	struct axes axes = {p->axes, p->n_axes}, keyed = {0};
	if (!from) {
		struct diag *d = walk_report(w, DIAG_E0409, item->span, "param `%s` does not say where it comes from", p->name);
		diag_help(w->s->sink, d, "name its tensor in the checkpoint: `from \"%s.weight\"`", p->name);
		return;
	}
	if (from->kind != N_STR)
		from = quantised_source(w, from, &p->stored);
	if (!from)
		return;
	const char *own = walk_fill_key(e, from->text, axes, &keyed, from->span);
	if (!own)
		return;
	p->key = walk_full_key(w, own);
	p->keyed = keyed.at;
	p->n_keyed = keyed.n;
	if (!stored_layout(e, item, axes, keyed, &p->stored))
		w->failed = true;
}

void walk_param(struct env *e, const struct node *item)
{
	struct walk *w = e->walk;
	struct ident name = item->named.name.at[0];
	struct tensor_type t;
	if (!param_type(e, item, &t)) {
		w->failed = true;
		env_define(e, name, val_bad());
		return;
	}
	struct value v = walk_value(w, OP_PARAM, item->span);
	v.dtype = t.dtype;
	v.axes = t.axes.at;
	v.n_axes = t.axes.n;
	v.param = w->p->params.n;
	struct param p = {.name = name.name,
	                  .path = walk_path(w, name.name),
	                  .value = w->p->values.n,
	                  .region = w->region,
	                  .axes = t.axes.at,
	                  .n_axes = t.axes.n,
	                  .dtype = t.storage,
	                  .in_loop = w->loop >= 0,
	                  .body = w->loop >= 0 ? w->p->bodies.n : -1,
	                  .span = name.span};
	param_source(e, item, &p);
	vec_push(w->arena, &w->p->params, p);
	env_define(e, name, val_tensor(walk_emit(w, v)));
}
