/* Records (docs/language.md, Records): made from declarations, refined, checked. */
#include "record.h"
#include <string.h>

enum { MAX_DEPTH = 100 }; /* of records within records; only a schema that contains itself reaches it */
enum {
	MAX_WITHIN = 1 << 18
}; /* records within one, nested ones included: a few schemas that hold the next one twice make many */
enum { MAX_DERIVED = 200 }; /* length of a chain of derived records: each has the layers of all previous ones */

struct record *record_new(struct sema *s, const char *kind, const char *name, struct span at)
{
	struct record *r = arena_new(s->arena, struct record);
	r->kind = kind;
	r->name = name;
	r->sema = s;
	r->arena = s->arena;
	r->span = at;
	return r;
}

bool record_is_map(const struct record *r) { return !strcmp(r->kind, "map"); }

struct record *map_new(struct record *outer, struct sema *s, const struct node *type, struct module *m, struct span at)
{
	struct record *r = record_new(s, "map", NULL, at);
	r->outer = outer;
	r->element = type ? type_arg(type, 1) : NULL;
	r->element_module = m;
	return r;
}

struct field *record_field(struct record *r, const char *name)
{
	int i = index_find(&r->index, name);
	return i < 0 ? NULL : r->fields.at[i];
}

bool record_is(struct record *r, const char *schema)
{
	for (int i = 0; i < r->layers.n; i++)
		if (r->layers.at[i]->kind == LAYER_SCHEMA && !strcmp(r->layers.at[i]->name, schema))
			return true;
	return false;
}

/* ---- layers ---------------------------------------------------------------------------------- */

struct scope *module_scope(struct sema *s, struct module *m)
{
	struct scope *scope = arena_new(s->arena, struct scope);
	scope->module = m;
	scope->sema = s;
	return scope;
}

static bool inside_deploy(const struct scope *scope)
{
	for (; scope; scope = scope->parent)
		if (scope->record && !strcmp(scope->record->kind, "deploy"))
			return true;
	return false;
}

struct layer *layer_new(struct scope *scope, struct nodes items, enum layer_kind kind, const char *name, struct span at)
{
	struct layer *l = arena_new(scope->sema->arena, struct layer);
	*l =
		(struct layer){.items = items, .scope = scope, .module = scope->module, .kind = kind, .name = name, .span = at};
	l->in_deploy = kind == LAYER_REFINE && inside_deploy(scope);
	return l;
}

/* The layers of `base`, in a new record. */
static struct record *record_like(struct record *base, const char *kind, const char *name, struct span at)
{
	struct sema *s = base->sema;
	struct record *r = record_new(s, kind, name, at);
	r->outer = base->outer;
	r->element = base->element;
	r->element_module = base->element_module;
	for (int i = 0; i < base->layers.n; i++) {
		vec_push(s->arena, &r->layers, base->layers.at[i]);
		record_lay(r, base->layers.at[i], true);
	}
	r->partial |= base->partial;
	r->derived = base->derived;
	return r;
}

void record_push(struct record *r, struct layer *l)
{
	vec_push(r->sema->arena, &r->layers, l);
	refer_layer(r, l);
	record_lay(r, l, false);
}

struct record *record_refine(struct record *base, struct layer *layer)
{
	struct record *r = record_like(base, base->kind, base->name, layer->span);
	record_push(r, layer);
	return r;
}

/* ---- declarations ---------------------------------------------------------------------------- */

static struct record *no_body(struct sema *s, struct def *d)
{
	if (d->module->partial) /* the body may be in the item that did not parse */
		return NULL;
	struct diag *e = sema_report(s, DIAG_E0004, d->node->named.name.span, "`%s %s` has no body", d->kind, d->name);
	diag_help(s->sink, e, "write `%s %s : Schema { ... }`, or derive it from another: `%s %s = Base { ... }`", d->kind,
	          d->name, d->kind, d->name);
	return NULL;
}

/* The schema of std.core of records that are declared without one; NULL: there is none. */
static const char *implied_schema(const char *kind)
{
	static const char *const implied[][2] = {
		{"plan", "Plan"}, {"deploy", "Deploy"}, {"serve", "Serve"}, {"share", "Share"}};
	for (size_t i = 0; i < sizeof implied / sizeof *implied; i++)
		if (!strcmp(implied[i][0], kind))
			return implied[i][1];
	return NULL;
}

/* `kind Name : Schema { ... }`; the schemas of `plan Name { ... }` and `deploy Name { ... }` are in std.core. */
static struct record *declared_record(struct sema *s, struct def *d)
{
	const struct node *n = d->node;
	bool is_schema = !strcmp(d->kind, "schema");
	struct record *base = NULL, *r;
	struct binding *implied = NULL;
	if (n->named.tail == TAIL_BLOCK && !is_schema) {
		const char *schema = implied_schema(d->kind);
		if (!schema)
			return no_body(s, d);
		implied = module_find(s, module_std(s, "core", n->span), schema);
	}
	if (n->named.tail == TAIL_OF || implied) {
		base = implied ? def_record(s, implied->def) : type_schema(s, n->named.type, d->module);
		if (!base)
			return NULL;
		r = record_like(base, d->kind, d->name, n->named.name.span);
	} else {
		r = record_new(s, d->kind, d->name, n->named.name.span);
	}
	struct scope *scope = module_scope(s, d->module);
	record_push(r, layer_new(scope, n->named.body, is_schema ? LAYER_SCHEMA : LAYER_HEAD, d->name, n->named.name.span));
	return r;
}

static struct record *derived_too_often(struct sema *s, struct def *d)
{
	struct diag *e = sema_report(s, DIAG_E0007, d->node->named.name.span,
	                             "`%s` is derived from more than %d records in a row", d->name, MAX_DERIVED);
	diag_help(s->sink, e, "derive it from an earlier one of them");
	return NULL;
}

/* `kind Name = Base { ... }` */
static struct record *derived_record(struct sema *s, struct def *d)
{
	const struct node *n = d->node;
	struct val v = eval(module_scope(s, d->module), n->named.value, NULL);
	if (v.kind == V_BAD)
		return NULL;
	if (v.kind != V_RECORD) {
		sema_report(s, DIAG_E0203, n->named.value->span, "`%s` expects a %s, found %s", d->name, d->kind,
		            val_kind_text(s, v));
		return NULL;
	}
	if (strcmp(v.record->kind, d->kind) != 0) {
		struct diag *e =
			sema_report(s, DIAG_E0203, n->named.value->span, "`%s` is declared a %s, its base `%s` is a %s", d->name,
		                d->kind, val_show(s, v), v.record->kind);
		diag_related(s->sink, e, n->named.kind.span, "declared a %s here", d->kind);
		return NULL;
	}
	if (v.record->derived == MAX_DERIVED)
		return derived_too_often(s, d);
	struct record *r = record_like(v.record, d->kind, d->name, n->named.name.span);
	r->bad = v.record->bad;
	r->derived = v.record->derived + 1;
	return r;
}

/* Of an item that sets a field, or rules of its body. */
static struct path path_of(const struct node *item) { return item->kind == N_SUB ? item->sub.path : item->set.path; }

/* Refines a deployment by one item of the command line. */
static void override(struct record *r, const struct def *d, const struct node *set, struct path path)
{
	struct sema *s = r->sema;
	struct node *item = arena_new(s->arena, struct node);
	item->kind = set->kind;
	item->span = set->span;
	if (set->kind == N_SUB) {
		item->sub = set->sub;
		item->sub.path = path;
	} else {
		item->set = set->set;
		item->set.path = path;
	}
	struct nodes items = {arena_array(s->arena, struct node *, 1), 1};
	items.at[0] = item;
	record_push(r, layer_new(module_scope(s, d->module), items, LAYER_REFINE, d->name, set->span));
}

struct record *record_with(struct def *d, const struct node *const *items, int n)
{
	struct record *r = record_like(d->record, d->kind, d->name, d->record->span);
	for (int i = 0; i < n; i++)
		override(r, d, items[i], path_of(items[i]));
	return r;
}

/* Each -D refines every deployment of the main file, or the one it names; several that are planned together are refined
 * by their name. */
static void apply_overrides(struct sema *s, struct record *r, struct def *d)
{
	for (int i = 0; i < s->overrides.n; i++) {
		const struct node *set = s->overrides.at[i];
		struct path p = path_of(set);
		struct binding *b = p.n > 1 ? module_find(s, d->module, p.at[0].name) : NULL;
		bool named = b && b->def && (!strcmp(b->def->kind, "deploy") || kind_is_joint(b->def->kind));
		if (named ? b->def != d : kind_is_joint(d->kind))
			continue;
		override(r, d, set, named ? (struct path){p.at + 1, p.n - 1, p.span} : p);
	}
}

static struct record *make_record(struct sema *s, struct def *d)
{
	struct record *r;
	switch (d->node->named.tail) {
	case TAIL_BLOCK:
	case TAIL_OF:    r = declared_record(s, d); break;
	case TAIL_IS:    r = derived_record(s, d); break;
	default:         return no_body(s, d);
	}
	if (r && d->module == s->main && (!strcmp(d->kind, "deploy") || kind_is_joint(d->kind)))
		apply_overrides(s, r, d);
	return r;
}

struct record *def_record(struct sema *s, struct def *d)
{
	if (d->record || d->failed)
		return d->record;
	if (d->busy) {
		struct diag *e = sema_report(s, DIAG_E0206, d->node->named.name.span, "`%s` is derived from itself", d->name);
		diag_help(s->sink, e, "derive it from another record");
		return NULL;
	}
	struct arena *before = sema_use(s, s->root);
	d->busy = true;
	s->making++;
	d->record = s->making > MAX_DERIVED ? derived_too_often(s, d) : make_record(s, d);
	s->making--;
	sema_use(s, before);
	d->failed = !d->record;
	d->busy = false;
	return d->record;
}

/* ---- checking -------------------------------------------------------------------------------- */

static bool check_within(struct record *r, bool family, struct span use, int depth);

/* Checks the records in the value of a field. */
static void check_value(struct record *r, struct field *f, struct val v, bool family, int depth)
{
	struct span use = f->sets.n ? f->value_span : r->span;
	if (r->sema->unwinding)
		return;
	if (v.kind == V_RECORD && !check_within(v.record, family, use, depth + 1))
		r->bad = true;
	for (int i = 0; v.kind == V_LIST && i < v.list.n; i++)
		check_value(r, f, v.list.at[i], family, depth);
}

/* The set that most likely must change for a precondition to hold: the last one in the user's files, of a field that it
 * uses or that a value of the library comes from. */
struct culprit {
	const struct field_set *set;
	const struct field *field;
	struct record *record;
};
enum { MAX_STEPS = 8 }; /* from a field to those that it is computed from */

static void find_culprit(struct record *r, const struct field_list *fields, int steps, struct culprit *out);

/* The fields, of this record and of those around it, that a value set by the library uses. */
static void find_behind(const struct field_set *set, int steps, struct culprit *out)
{
	for (struct scope *t = set->layer->scope; set->value && t && steps; t = t->parent) {
		struct field_list used = {0};
		if (!t->record)
			continue;
		fields_in(t->record, set->value, &used);
		find_culprit(t->record, &used, steps - 1, out);
	}
}

static void find_culprit(struct record *r, const struct field_list *fields, int steps, struct culprit *out)
{
	for (int i = 0; i < fields->n; i++)
		for (int j = 0; j < fields->at[i]->sets.n; j++) {
			const struct field_set *set = &fields->at[i]->sets.at[j];
			if (set->layer->module->is_std)
				find_behind(set, steps, out);
			else if (!out->set || set->span.lo >= out->set->span.lo)
				*out = (struct culprit){set, fields->at[i], r};
		}
}

static void note_value(struct sema *s, struct diag *d, struct record *r, const char *field, struct span use)
{
	struct val v = record_get(r, field, use);
	if (v.kind != V_BAD && v.kind != V_UNKNOWN)
		diag_note(s->sink, d, "`%s` = %s", field, val_exact(s->arena, v) ? val_exact(s->arena, v) : val_show(s, v));
}

static void report_precondition(struct record *r, const struct placed *p, struct span use)
{
	struct sema *s = r->sema;
	const struct node *n = p->item;
	struct field_list fields = {0};
	fields_in(r, n->claim.value, &fields);
	struct culprit culprit = {NULL, NULL, NULL};
	find_culprit(r, &fields, MAX_STEPS, &culprit);
	struct span at = culprit.set ? culprit.set->span : !p->layer->module->is_std ? n->span : use;
	const char *name = r->name ? r->name : p->layer->name, *message = n->claim.message;
	struct diag *d = sema_report(
		s, DIAG_E0205, at, message ? "precondition of `%s` fails: %s" : "precondition of `%s` fails", name, message);
	if (at.file != n->span.file || at.lo != n->span.lo)
		diag_related(s->sink, d, n->span, "required here");
	if (culprit.set && culprit.record != r && culprit.field->progress == FIELD_DONE)
		note_value(s, d, culprit.record, culprit.field->name, use);
	for (int i = 0; i < fields.n; i++)
		note_value(s, d, r, fields.at[i]->name, use);
}

static void check_precondition(struct record *r, const struct placed *p, struct span use)
{
	const struct node *n = p->item;
	struct val v = eval(record_scope(r, p->layer), n->claim.value, NULL);
	bool incomplete = r->partial || r->misnamed; /* what was not understood may make it true */
	if (v.kind == V_BOOL && !v.b && !incomplete)
		report_precondition(r, p, use);
	else if (v.kind != V_BOOL && v.kind != V_BAD && v.kind != V_UNKNOWN)
		sema_report(r->sema, DIAG_E0203, n->claim.value->span, "a precondition is a Bool, found %s",
		            val_kind_text(r->sema, v));
	if (v.kind == V_BAD || (v.kind == V_BOOL && !v.b))
		r->bad = true;
}

static bool check_within(struct record *r, bool family, struct span use, int depth)
{
	struct sema *s = r->sema;
	if (r->checked)
		return !r->bad;
	s->within = depth ? s->within + 1 : 0;
	if (depth > MAX_DEPTH || s->within > MAX_WITHIN) {
		const char *name = r->name ? r->name : r->kind;
		if (depth > MAX_DEPTH)
			sema_report(s, DIAG_E0206, r->span, "`%s` contains itself", name);
		else
			sema_report(s, DIAG_E0007, r->span, "a record holds more than %d others, `%s` among them", MAX_WITHIN,
			            name);
		s->unwinding = true;
		return !(r->bad = true);
	}
	bool lenient = s->lenient, tainted = s->tainted;
	s->lenient = family;
	s->tainted = false;
	r->checked = true;
	for (int i = 0; i < r->fields.n; i++) {
		struct field *f = r->fields.at[i];
		if (f->sort != FIELD_VIEW)
			check_value(r, f, record_get(r, f->name, use), family, depth);
	}
	for (int i = 0; i < r->requires.n; i++)
		check_precondition(r, &r->requires.at[i], use);
	r->checked = !s->tainted;
	s->tainted |= tainted;
	s->lenient = lenient;
	s->unwinding &= depth > 0;
	return !r->bad;
}

bool record_check(struct record *r, bool family) { return check_within(r, family, r->span, 0); }
