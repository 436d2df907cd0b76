/* Turns the items of a record's bodies into its fields: declarations, sets, refinements, rules, goals
 * (docs/language.md, Records). */
#include "foreign.h"
#include "record.h"
#include <string.h>

struct laying {
	struct record *r;
	struct layer *l;
	bool quiet, conditional; /* conditional: in a `when` of a map, which may replace entries before it */
	const char *region, *phase, *klass;
	struct span region_span, phase_span, klass_span;
};

static const char *const program_kinds[] = {"let", "param", "state", "input", "output", "repeat"};
enum { PROGRAM_KINDS = sizeof program_kinds / sizeof *program_kinds };

static void lay_item(struct laying *b, const struct node *item);

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

static bool is_program(const char *kind)
{
	for (int i = 0; i < PROGRAM_KINDS; i++)
		if (is(program_kinds[i], kind))
			return true;
	return false;
}

static const char *record_label(const struct record *r) { return r->name ? r->name : r->kind; }

/* Rejects an item, and marks the record as `partial`: what the item would have set is missing. */
static struct diag *refuse(struct laying *b, enum diag_code code, struct span at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static struct diag *refuse(struct laying *b, enum diag_code code, struct span at, const char *fmt, ...)
{
	struct sema *s = b->r->sema;
	b->r->partial = b->r->bad = true;
	if (b->quiet)
		return arena_new(s->arena, struct diag);
	va_list args;
	va_start(args, fmt);
	const char *message = arena_vprintf(s->arena, fmt, args);
	va_end(args);
	return sema_report(s, code, at, "%s", message);
}

/* ---- fields ---------------------------------------------------------------------------------- */

static struct field *record_add(struct record *r, const char *name, enum field_sort sort, struct layer *l,
                                struct span at)
{
	struct field *f = arena_new(r->sema->arena, struct field);
	*f = (struct field){.name = name, .sort = sort, .layer = l, .span = at, .value_span = at};
	int first = index_find(&r->index, name);
	if (first >= 0)
		return r->fields.at[first] = f;
	vec_push(r->sema->arena, &r->fields, f);
	index_add(r->sema->arena, &r->index, name);
	return f;
}

/* Declares a field; E0106 if the record has it already. */
static struct field *declare(struct laying *b, struct ident name, enum field_sort sort)
{
	struct field *first = record_field(b->r, name.name);
	if (first) {
		struct diag *d = refuse(b, DIAG_E0106, name.span, "`%s` is declared twice", name.name);
		diag_related(b->r->sema->sink, d, first->span, "first here");
		if (first->layer->kind == LAYER_SCHEMA && first->layer != b->l)
			diag_help(b->r->sema->sink, d, "the schema declares it: give it a value with `%s = ...`", name.name);
	}
	return record_add(b->r, name.name, sort, b->l, name.span);
}

static bool may_declare(struct laying *b, const char *what, struct ident name)
{
	if (b->l->kind != LAYER_REFINE)
		return true;
	struct diag *d = refuse(b, DIAG_E0201, name.span, "a refinement cannot declare the %s `%s`", what, name.name);
	diag_help(b->r->sema->sink, d, "declare it where the record is made: `%s Name : Schema { ... }`", b->r->kind);
	return false;
}

enum { MAX_LISTED = 12 };

static void describe_no_field(struct record *r, struct diag *d, const char *name, struct span at)
{
	struct sema *s = r->sema;
	const struct index *known = &r->index;
	if (r->layers.n)
		diag_related(s->sink, d, r->layers.at[0]->span, "`%s` is declared here", r->layers.at[0]->name);
	struct text all = {.arena = s->arena};
	for (int i = 0; i < known->n && i < MAX_LISTED; i++)
		text_add(&all, "%s`%s`", i ? ", " : "", known->name[i]);
	const char *near = diag_affords(s->sink, name, known->n) ? nearest_name(name, known->name, known->n) : NULL;
	if (!diag_suggest(s->sink, d, at, near) && known->n)
		diag_help(s->sink, d, "its fields are %s%s", all.at, known->n > MAX_LISTED ? " ..." : "");
}

void report_no_field(struct record *r, const char *name, struct span at)
{
	struct diag *d = sema_report(r->sema, DIAG_E0201, at, "`%s` has no field `%s`", record_label(r), name);
	describe_no_field(r, d, name, at);
}

/* Another engine's word, or a field of another record. */
static bool is_foreign(struct laying *b, const struct node *item)
{
	if (item->kind != N_SET || b->quiet || !foreign_report(b->r, b->l, item))
		return false;
	b->r->bad = true;
	return true;
}

static struct field *need(struct laying *b, struct ident name, const struct node *item)
{
	struct field *f = record_field(b->r, name.name);
	if (!f && !b->r->partial) {
		if (!is_foreign(b, item)) {
			struct diag *d = refuse(b, DIAG_E0201, name.span, "`%s` has no field `%s`", record_label(b->r), name.name);
			describe_no_field(b->r, d, name.name, name.span);
		}
		b->r->partial = false; /* other names are still known */
		b->r->misnamed = true;
	}
	if (f)
		refer_field(b->r->sema, name, f);
	return f;
}

/* `model: Mixtral_8x7B`, where a field of the schema is set. */
static bool is_set_by_colon(struct laying *b, const struct node *item)
{
	struct ident name = item->field.path.at[0];
	struct field *first = record_field(b->r, name.name);
	if (!first || first->layer == b->l || first->layer->kind != LAYER_SCHEMA || item->field.value)
		return false;
	struct sink *sink = b->r->sema->sink;
	struct span type = item->field.type->span, colon = {type.file, item->field.path.span.hi, type.lo};
	struct diag *d = refuse(b, DIAG_E0106, name.span, "`%s` is declared twice", name.name);
	diag_related(sink, d, first->span, "first here");
	diag_help(sink, d, "a field is set with `=`: `%s = %s`", name.name, foreign_source(b->r->sema, type));
	diag_fix(sink, d, colon, " = ");
	return true;
}

static void lay_field(struct laying *b, const struct node *item)
{
	struct ident name = item->field.path.at[0];
	if (item->field.path.n > 1) {
		refuse(b, DIAG_E0201, item->field.path.span, "a field is declared by one name, in a schema or a record");
		return;
	}
	if (!may_declare(b, "fields", name) || is_set_by_colon(b, item))
		return;
	struct field *f = declare(b, name, FIELD_PLAIN);
	f->type = item->field.type;
	f->init = item->field.value;
}

/* ---- axes and mesh --------------------------------------------------------------------------- */

/* dynamic, ragged(a), concat(a, b), pad(n, m): extents that are not a field's number. */
static bool is_view(const struct node *value)
{
	if (value->kind == N_ID)
		return is(value->ident.name, "dynamic");
	if (value->kind != N_CALL || value->call.f->kind != N_ID)
		return false;
	const char *f = value->call.f->ident.name;
	return is(f, "ragged") || is(f, "concat") || is(f, "pad");
}

static void lay_axis(struct laying *b, const struct node *item)
{
	const char *kind = item->named.kind.name;
	struct ident name = item->named.name.at[0];
	enum tail tail = item->named.tail;
	bool is_mesh = is(kind, "mesh"),
		 view = !is_mesh && (tail == TAIL_LIKE || (tail == TAIL_IS && is_view(item->named.value)));
	if (!may_declare(b, kind, name))
		return;
	if (tail != TAIL_TYPED && tail != TAIL_IS && !view) {
		refuse(b, DIAG_E0004, name.span, "`%s` has no extent: write `%s %s = ...`, or `%s %s : Int`", name.name, kind,
		       name.name, kind, name.name);
		return;
	}
	const struct node *type = item->named.type;
	if (type && (!type_is(type, "Int") || type->type.has_args || type->type.axes || type->type.opt)) {
		refuse(b, DIAG_E0203, type->span, "the extent of `%s` is an Int: write `%s %s : Int`", name.name, kind,
		       name.name);
		return;
	}
	struct field *f = declare(b, name, view ? FIELD_VIEW : is_mesh ? FIELD_MESH : FIELD_AXIS);
	f->type = item->named.type;
	f->init = view ? item : item->named.value;
	if (item->named.place.kind != PLACE_NONE)
		f->place = &item->named.place;
}

/* ---- named items ----------------------------------------------------------------------------- */

static void unknown_kind(struct laying *b, const struct node *item)
{
	struct sema *s = b->r->sema;
	struct ident kind = item->named.kind;
	VEC(const char *) known = {0};
	for (int i = 0; i < PROGRAM_KINDS; i++)
		vec_push(s->arena, &known, program_kinds[i]);
	static const char *const others[] = {"axis", "mesh", "at", "phase", "store"};
	for (int i = 0; i < 5; i++)
		vec_push(s->arena, &known, others[i]);
	for (int i = 0; i < b->r->fields.n && diag_affords(s->sink, kind.name, 1); i++)
		if (type_is(b->r->fields.at[i]->type, "List"))
			vec_push(s->arena, &known, b->r->fields.at[i]->name);
	struct diag *d = refuse(b, DIAG_E0004, kind.span, "unknown kind `%s`", kind.name);
	const char *near = nearest_name(kind.name, known.at, known.n);
	if (near) {
		diag_help(s->sink, d, "did you mean `%s`?", near);
		diag_fix(s->sink, d, kind.span, near);
	}
}

/* `level nvlink { ... }`: adds an element to the list field `level`, or refines the one of that name. */
static void lay_element(struct laying *b, const struct node *item)
{
	struct ident kind = item->named.kind, name = item->named.name.at[0];
	struct field *list = record_field(b->r, kind.name), *f = record_field(b->r, name.name);
	if (!list || !type_is(list->type, "List")) {
		unknown_kind(b, item);
		return;
	}
	if (item->named.tail != TAIL_BLOCK || item->named.name.n != 1) {
		refuse(b, DIAG_E0004, item->named.name.span, "an element of `%s` is written `%s name { ... }`", kind.name,
		       kind.name);
		return;
	}
	if (f && (f->sort != FIELD_ELEMENT || f->list != list->name)) {
		struct diag *d = refuse(b, DIAG_E0106, name.span, "`%s` names a field and a %s", name.name, kind.name);
		diag_related(b->r->sema->sink, d, f->span, "first here");
		return;
	}
	if (!f) {
		f = record_add(b->r, name.name, FIELD_ELEMENT, list->layer, name.span);
		f->type = type_arg(list->type, 0);
		f->list = list->name;
	}
	refer_field(b->r->sema, kind, list);
	refer_field(b->r->sema, name, f);
	struct field_set set = {.is_sub = true, .body = item->named.body, .layer = b->l, .span = name.span};
	vec_push(b->r->sema->arena, &f->sets, set);
}

static void place(struct laying *b, const struct node *item, bool rule)
{
	struct placed p = {item, b->l, b->region, b->phase, b->klass, b->region_span, b->phase_span, b->klass_span};
	struct arena *a = b->r->sema->arena;
	if (rule)
		vec_push(a, &b->r->rules, p);
	else
		vec_push(a, &b->r->program, p);
}

static bool is_scope(const struct node *item)
{
	if (item->kind != N_NAMED)
		return false;
	const char *kind = item->named.kind.name;
	return is(kind, "at") || is(kind, "phase") || is(kind, "store");
}

/* at region { }, phase decode { }, store cache { }: rules in a scope. */
static void lay_scope(struct laying *b, const struct node *item)
{
	struct laying inner = *b;
	const char *kind = item->named.kind.name;
	struct ident name = item->named.name.at[item->named.name.n - 1];
	if (item->named.tail != TAIL_BLOCK) {
		refuse(b, DIAG_E0004, name.span, "`%s %s` needs a body of rules", kind, name.name);
		return;
	}
	*(is(kind, "at") ? &inner.region_span : is(kind, "phase") ? &inner.phase_span : &inner.klass_span) = name.span;
	*(is(kind, "at") ? &inner.region : is(kind, "phase") ? &inner.phase : &inner.klass) = name.name;
	for (int i = 0; i < item->named.body.n; i++) {
		const struct node *x = item->named.body.at[i];
		if (x->kind == N_RULE)
			place(&inner, x, true);
		else if (is_scope(x))
			lay_scope(&inner, x);
		else if (x->kind == N_ERROR)
			b->r->partial = b->r->bad = true;
		else
			refuse(b, DIAG_E0004, x->span, "only sharding rules belong here");
	}
}

static void lay_program(struct laying *b, const struct node *item)
{
	if (b->l->kind == LAYER_REFINE) {
		struct diag *d =
			refuse(b, DIAG_E0201, item->span, "a refinement cannot add to the program of `%s`", record_label(b->r));
		diag_help(b->r->sema->sink, d, "declare a separate model, or a Bool field and a `when` in the model");
		return;
	}
	place(b, item, false);
}

static void lay_named(struct laying *b, const struct node *item)
{
	const char *kind = item->named.kind.name;
	if (is(kind, "axis") || is(kind, "mesh"))
		lay_axis(b, item);
	else if (is_program(kind))
		lay_program(b, item);
	else if (is_scope(item))
		lay_scope(b, item);
	else
		lay_element(b, item);
}

/* ---- sets ------------------------------------------------------------------------------------ */

/* A value given twice in one body: the first would be dropped. What a refinement sets again is another layer's. */
static void check_first(struct laying *b, const struct field *f, struct ident name)
{
	const struct field_set *last = f && f->sets.n ? &f->sets.at[f->sets.n - 1] : NULL;
	if (!last || last->layer != b->l || b->conditional)
		return;
	bool partial = b->r->partial;
	struct diag *d = refuse(b, DIAG_E0106, name.span, "`%s` is set twice", name.name);
	b->r->partial = partial;
	diag_related(b->r->sema->sink, d, last->span, "first here");
	diag_help(b->r->sema->sink, d, "leave out one of them");
}

static struct path path_tail(struct path p)
{
	return (struct path){p.at + 1, p.n - 1, span_join(p.at[1].span, p.at[p.n - 1].span)};
}

/* A body with one item, from the rest of a dotted path: `a.b = x` is `a { b = x }`. */
static struct nodes single(struct laying *b, struct node item)
{
	struct nodes body = {arena_array(b->r->sema->arena, struct node *, 1), 1};
	body.at[0] = arena_new(b->r->sema->arena, struct node);
	*body.at[0] = item;
	return body;
}

static void lay_entry(struct laying *b, const struct node *item)
{
	struct path p = item->set.path;
	struct arena *a = b->r->sema->arena;
	struct text key = {.arena = a};
	for (int i = 0; i < p.n; i++)
		text_add(&key, "%s%s", i ? "." : "", p.at[i].name);
	const char *name = names_str(b->r->sema->names, key.at);
	check_first(b, record_field(b->r, name), (struct ident){name, p.span});
	struct field *f = record_add(b->r, name, FIELD_PLAIN, b->l, p.span);
	f->type = b->r->element;
	struct field_set set = {.value = item->set.value, .layer = b->l, .span = p.span};
	vec_push(a, &f->sets, set);
}

static void derived_set(struct laying *b, struct field *f, struct ident name, struct field_set set)
{
	struct sema *s = b->r->sema;
	struct diag *d = refuse(b, DIAG_E0204, name.span, "`%s` is derived and cannot be set", name.name);
	diag_related(s->sink, d, f->span, "computed here");
	struct field_list from = {0};
	struct text names = {.arena = s->arena};
	fields_in(b->r, f->init, &from);
	for (int i = 0; i < from.n; i++)
		text_add(&names, "%s`%s`", i ? ", " : "", from.at[i]->name);
	if (from.n)
		diag_help(s->sink, d, "leave it out; it is computed from %s", names.at);
	if (from.n && set.value)
		diag_fix_delete(s->sink, d, span_join(name.span, set.value->span));
}

static void push_set(struct laying *b, struct field *f, struct ident name, struct field_set set)
{
	if (f->sort == FIELD_DERIVED) {
		derived_set(b, f, name, set);
		return;
	}
	if (f->sort == FIELD_VIEW) {
		struct diag *d = refuse(b, DIAG_E0204, name.span, "`%s` has no extent of its own and cannot be set", name.name);
		diag_related(b->r->sema->sink, d, f->span, "declared here");
		return;
	}
	if (!set.is_sub)
		check_first(b, f, name);
	vec_push(b->r->sema->arena, &f->sets, set);
	if (set.place && set.place->kind != PLACE_NONE) {
		f->place = set.place;
		f->place_in_deploy = b->l->in_deploy;
	}
}

static void lay_set(struct laying *b, const struct node *item)
{
	struct path p = item->set.path;
	struct ident name = p.at[0];
	if (record_is_map(b->r)) {
		lay_entry(b, item);
		return;
	}
	if (p.n == 1 && b->l->kind == LAYER_SCHEMA && !record_field(b->r, name.name)) {
		record_add(b->r, name.name, FIELD_DERIVED, b->l, name.span)->init = item->set.value;
		return;
	}
	struct field *f = need(b, name, item);
	if (!f)
		return;
	struct field_set set = {.layer = b->l, .span = p.span};
	if (p.n > 1) {
		struct node rest = {.kind = N_SET, .span = item->span, .set = item->set};
		rest.set.path = path_tail(p);
		set.is_sub = true;
		set.body = single(b, rest);
	} else {
		set.value = item->set.value;
		set.place = &item->set.place;
	}
	push_set(b, f, name, set);
}

static void lay_sub(struct laying *b, const struct node *item)
{
	struct path p = item->sub.path;
	struct field *f = need(b, p.at[0], item);
	if (!f)
		return;
	struct field_set set = {.is_sub = true, .body = item->sub.body, .layer = b->l, .span = p.span};
	if (p.n > 1) {
		struct node rest = {.kind = N_SUB, .span = item->span, .sub = item->sub};
		rest.sub.path = path_tail(p);
		set.body = single(b, rest);
	}
	push_set(b, f, p.at[0], set);
}

/* `when` inside a map: its keys are not names, so the condition is evaluated in the enclosing records. */
static void lay_when(struct laying *b, const struct node *item)
{
	if (!record_is_map(b->r)) {
		lay_program(b, item);
		return;
	}
	struct sema *s = b->r->sema;
	struct val c = eval(b->l->scope, item->when.cond, NULL);
	if (c.kind == V_BAD)
		b->r->partial = b->r->bad = true;
	else if (c.kind == V_UNKNOWN)
		return;
	else if (c.kind != V_BOOL)
		refuse(b, DIAG_E0203, item->when.cond->span, "the condition of `when` is a Bool, found %s",
		       val_kind_text(s, c));
	struct nodes body = c.kind == V_BOOL && c.b ? item->when.then : item->when.other;
	struct laying inner = *b;
	inner.conditional = true;
	for (int i = 0; c.kind == V_BOOL && i < body.n; i++)
		lay_item(&inner, body.at[i]);
}

/* ---- all ------------------------------------------------------------------------------------- */

static void lay_claim(struct laying *b, const struct node *item)
{
	struct placed p = {.item = item, .layer = b->l};
	bool promises = b->l->kind != LAYER_SCHEMA && (is(b->r->kind, "deploy") || kind_is_joint(b->r->kind));
	if (item->kind == N_REQUIRE && !promises)
		vec_push(b->r->sema->arena, &b->r->requires, p);
	else
		vec_push(b->r->sema->arena, &b->r->goals, p);
}

/* An item that did not parse. If it begins with one name and no kind, the field is bad; else the record is `partial`.
 */
static void lay_error(struct laying *b, const struct node *item)
{
	struct path p = item->error.path;
	b->r->bad = true;
	if (item->error.kind.name || p.n != 1 || record_is_map(b->r)) {
		b->r->partial = true;
		return;
	}
	struct field *f = record_field(b->r, p.at[0].name);
	struct field_set set = {.value = item, .layer = b->l, .span = p.span};
	b->r->misnamed |= !f || f->sort == FIELD_DERIVED;
	if (!f)
		f = record_add(b->r, p.at[0].name, FIELD_PLAIN, b->l, p.span);
	vec_push(b->r->sema->arena, &f->sets, set);
}

/* The kind of the records that an item has a meaning in; NULL: it has one in all. */
static const char *home(const struct node *item)
{
	switch (item->kind) {
	case N_RULE:        return "plan";
	case N_WHEN:        return "model";
	case N_ASSERT:
	case N_ASSERT_TYPE:
	case N_PREFER:
	case N_MAXIMIZE:
	case N_MINIMIZE:    return "deploy";
	case N_NAMED:       break;
	default:            return NULL;
	}
	const char *kind = item->named.kind.name;
	return is_scope(item) || is(kind, "mesh") ? "plan" : is_program(kind) ? "model" : NULL;
}

/* Refuses an item that would have no effect. A schema may have items for any record made from it. */
static bool is_misplaced(struct laying *b, const struct node *item)
{
	const char *kind = b->r->kind, *where = home(item);
	if (item->kind == N_ASSERT && kind_is_joint(kind))
		return false;
	if (is(kind, "map") ? item->kind == N_SET || item->kind == N_WHEN || item->kind == N_ERROR
	                    : !where || is(where, kind) || b->l->kind == LAYER_SCHEMA)
		return false;
	struct span at = item->kind == N_NAMED ? item->named.kind.span : item->span;
	if (is(kind, "map"))
		refuse(b, DIAG_E0004, item->span, "a map has only entries `key = value`");
	else
		refuse(b, DIAG_E0004, at, "this has no effect here: it belongs in a `%s`", where);
	return true;
}

static void lay_item(struct laying *b, const struct node *item)
{
	if (is_misplaced(b, item))
		return;
	switch (item->kind) {
	case N_ERROR:       lay_error(b, item); break;
	case N_FIELD:       lay_field(b, item); break;
	case N_SET:         lay_set(b, item); break;
	case N_SUB:         lay_sub(b, item); break;
	case N_NAMED:       lay_named(b, item); break;
	case N_RULE:        place(b, item, true); break;
	case N_WHEN:        lay_when(b, item); break;
	case N_REQUIRE:
	case N_ASSERT:
	case N_ASSERT_TYPE:
	case N_PREFER:
	case N_MAXIMIZE:
	case N_MINIMIZE:    lay_claim(b, item); break;
	default:            refuse(b, DIAG_E0004, item->span, "this does not belong in a record");
	}
}

void record_lay(struct record *r, struct layer *l, bool quiet)
{
	struct laying b = {.r = r, .l = l, .quiet = quiet};
	for (int i = 0; i < l->items.n; i++)
		lay_item(&b, l->items.at[i]);
}
