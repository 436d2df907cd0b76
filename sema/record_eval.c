/* Values of fields (docs/language.md, Records): late binding in the most derived record, memoized; cycles. */
#include "record.h"
#include <string.h>

/* A field being evaluated, and the one whose value needs it. */
struct evaluating {
	struct field *field;
	struct evaluating *next;
	int depth;
};
enum { MAX_DEPTH = 250 }; /* length of a chain of dependent fields */

static struct val field_value(struct record *r, struct field *f, struct span use);

/* ---- types and scopes ------------------------------------------------------------------------ */

bool type_is(const struct node *type, const char *name)
{
	return type && type->type.has_path && !strcmp(type->type.path.at[type->type.path.n - 1].name, name);
}

const struct node *type_arg(const struct node *type, int i)
{
	return type && i < type->type.args.n ? type->type.args.at[i] : NULL;
}

struct scope *record_scope(struct record *r, struct layer *l)
{
	if (record_is_map(r)) /* keys are not names */
		return l->scope;
	struct scope *s = arena_new(r->sema->arena, struct scope);
	*s = (struct scope){.parent = l->scope, .module = l->module, .sema = r->sema, .record = r};
	return s;
}

/* ---- names of an expression ------------------------------------------------------------------ */

static void fields_in_list(struct record *r, struct nodes list, struct field_list *out)
{
	for (int i = 0; i < list.n; i++)
		fields_in(r, list.at[i], out);
}

static void fields_named(struct record *r, const char *name, struct field_list *out)
{
	struct field *f = record_field(r, name);
	for (int i = 0; i < out->n; i++)
		if (out->at[i] == f)
			return;
	if (f)
		vec_push(r->sema->arena, out, f);
}

void fields_in(struct record *r, const struct node *e, struct field_list *out)
{
	switch (e->kind) {
	case N_ID:        fields_named(r, e->ident.name, out); break;
	case N_DOT:
	case N_ARG_NAMED:
	case N_PER:       fields_in(r, e->dot.x, out); break;
	case N_CALL:
	case N_INDEX:     fields_in_list(r, e->call.args, out); break;
	case N_LIST:      fields_in_list(r, e->list, out); break;
	case N_NOT:
	case N_NEG:       fields_in(r, e->one.x, out); break;
	case N_REFINE:    fields_in(r, e->sub2.base, out); break;
	case N_BIN:
		fields_in(r, e->bin.a, out);
		fields_in(r, e->bin.b, out);
		break;
	case N_IF:
		fields_in(r, e->cond.c, out);
		fields_in(r, e->cond.a, out);
		fields_in(r, e->cond.b, out);
		break;
	default: break;
	}
}

/* ---- reports --------------------------------------------------------------------------------- */

/* Where the value of a field is given; *users: in a user's file, not in the library. */
static struct span given_at(const struct field *f, bool *users)
{
	const struct field_set *last = f->sets.n ? &f->sets.at[f->sets.n - 1] : NULL;
	*users = !(last ? last->layer : f->layer)->module->is_std;
	return last ? last->span : f->span;
}

/* Reports that `f` depends on itself, at a link of the cycle that the user wrote. */
static void report_cycle(struct sema *s, const struct field *f)
{
	const struct field *first = f;
	const char *chain = f->name;
	bool users;
	for (const struct evaluating *e = s->evaluating; e; e = e->next) {
		chain = arena_printf(s->arena, "%s → %s", e->field->name, chain);
		given_at(e->field, &users);
		if (users)
			first = e->field;
		if (e->field == f)
			break;
	}
	struct diag *d =
		sema_report(s, DIAG_E0206, given_at(first, &users), "`%s` depends on itself: %s", first->name, chain);
	for (const struct evaluating *e = s->evaluating; e; e = e->next) {
		if (e->field != first)
			diag_related(s->sink, d, given_at(e->field, &users), "`%s` is on the cycle", e->field->name);
		if (e->field == f)
			break;
	}
	diag_help(s->sink, d, "give one of them a value that does not depend on the others");
}

/* Reports a record whose default contains a record of the same schema, without end. */
static void report_endless(struct sema *s, const struct field *f)
{
	bool users;
	sema_report(s, DIAG_E0206, given_at(f, &users), "`%s` contains itself without end", f->name);
	s->unwinding = true;
}

/* An example of a type's values, for help: "80 GiB". */
static const char *sample(const struct node *type)
{
	static const struct {
		const char *type, *text;
	} samples[] = {
		{"Int", "1"},
		{"Float", "1.0"},
		{"Bool", "true"},
		{"String", "\"...\""},
		{"DType", "bf16"},
		{"Data", "80 GiB"},
		{"Time", "1 ms"},
		{"Bandwidth", "3.35 TB/s"},
		{"FlopRate", "989 TFLOPS"},
		{"Range", "128..4096"},
		{"Price", "2 USD/h"},
		{"Power", "700 W"},
		{"Tokens", "1 Mtokens"},
	};
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
		if (type_is(type, samples[i].type))
			return samples[i].text;
	return "...";
}

/* Reports an unset field in the user's file: where the record is named, or at `use`, which needs the value. */
static struct val unset(struct record *r, struct field *f, struct span use)
{
	struct sema *s = r->sema;
	if (s->lenient) {
		s->tainted = true;
		return val_unknown(f->name);
	}
	if (r->partial || r->misnamed)
		return val_bad();
	bool users = r->layers.n && !r->layers.at[r->layers.n - 1]->module->is_std;
	struct diag *d = sema_report(s, DIAG_E0202, users ? r->span : use, "field `%s` of `%s` is not set", f->name,
	                             r->name ? r->name : r->kind);
	diag_related(s->sink, d, f->span, "declared here without a default");
	diag_help(s->sink, d, "set it: `%s = %s`", f->name, f->type || f->sort == FIELD_PLAIN ? sample(f->type) : "1");
	return val_bad();
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool is_map_type(const struct field *f) { return type_is(f->type, "Map"); }

/* The value of `{ key = value }` if a map is expected. */
static struct val map_value(struct record *r, struct field *f, struct layer *l, const struct node *e)
{
	struct record *map = map_new(r, r->sema, f->type, f->layer->module, e ? e->span : f->span);
	if (e && e->list.n)
		map = record_refine(map, layer_new(record_scope(r, l), e->list, LAYER_REFINE, f->name, e->span));
	return (struct val){.kind = V_RECORD, .record = map};
}

static struct val expression_value(struct record *r, struct field *f, struct layer *l, const struct node *e)
{
	f->value_span = e->span;
	if (e->kind == N_RECORD && is_map_type(f))
		return map_value(r, f, l, e);
	return eval(record_scope(r, l), e, f->type);
}

/* Applies nested bodies, from set `first` on, to the value so far or, without one, to the schema of the type. */
static struct val refined_value(struct record *r, struct field *f, struct val v, int first)
{
	const struct field_set *set = &f->sets.at[first];
	struct sema *s = r->sema;
	struct record *base = v.kind == V_RECORD ? v.record : NULL;
	if (v.kind == V_BAD || v.kind == V_UNKNOWN)
		return v;
	if (v.kind == V_NONE && f->type && type_is_schema(f->type) && !(base = type_schema(s, f->type, f->layer->module)))
		return val_bad();
	if (!base) {
		struct diag *d = sema_report(s, DIAG_E0203, set->span, "`%s` is not a record and cannot be refined", f->name);
		diag_related(s->sink, d, f->span, "declared here");
		return val_bad();
	}
	struct record *refined = NULL;
	for (int i = first; i < f->sets.n; i++) {
		set = &f->sets.at[i];
		struct layer *l = layer_new(record_scope(r, set->layer), set->body, LAYER_REFINE, f->name, set->span);
		if (refined)
			record_push(refined, l);
		else
			refined = record_refine(base, l);
		refined->span = set->span;
	}
	refined->outer = r;
	if (f->sort == FIELD_ELEMENT)
		refined->name = f->name;
	f->value_span = set->span;
	return (struct val){.kind = V_RECORD, .record = refined};
}

static struct val element_list(struct record *r, const struct field *list, struct span use)
{
	VEC(struct val) elements = {0};
	for (int i = 0; i < r->fields.n; i++) {
		struct field *f = r->fields.at[i];
		if (f->sort != FIELD_ELEMENT || strcmp(f->list, list->name) != 0)
			continue;
		struct val v = record_get(r, f->name, use);
		if (v.kind == V_BAD)
			return v;
		vec_push(r->sema->arena, &elements, v);
	}
	return val_list(elements.at, elements.n);
}

/* The first named element of a list; NULL: it has none. */
static const struct field *first_element(const struct record *r, const struct field *list)
{
	for (int i = 0; i < r->fields.n; i++)
		if (r->fields.at[i]->sort == FIELD_ELEMENT && !strcmp(r->fields.at[i]->list, list->name))
			return r->fields.at[i];
	return NULL;
}

/* Reports a list that is set and has elements as well, which its value would drop. */
static struct val both_ways(struct sema *s, const struct field *list, const struct field *element)
{
	bool users;
	struct span set = given_at(list, &users), first = given_at(element, &users);
	struct diag *d =
		sema_report(s, DIAG_E0106, set, "`%s` is set, and has the element `%s`, which its value would drop", list->name,
	                element->name);
	diag_related(s->sink, d, first, "the element");
	diag_help(s->sink, d, "give the list in one way: refine the element, `%s { ... }`, or add one, `%s name { ... }`",
	          element->name, list->name);
	return val_bad();
}

/* The last set, or the default, refined by the bodies after it. *given false: there is none. */
static struct val given_value(struct record *r, struct field *f, bool *given)
{
	struct val v = val_none();
	int first = 0;
	for (int i = 1; i < f->sets.n; i++)
		if (!f->sets.at[i].is_sub)
			first = i;
	*given = true;
	if (f->sets.n && !f->sets.at[first].is_sub) {
		v = expression_value(r, f, f->sets.at[first].layer, f->sets.at[first].value);
		first++;
	} else if (f->init) {
		v = expression_value(r, f, f->layer, f->init);
	} else if (is_map_type(f)) {
		v = map_value(r, f, f->layer, NULL);
	} else {
		*given = f->sets.n > 0;
	}
	return first < f->sets.n ? refined_value(r, f, v, first) : v;
}

/* Checks that an axis or mesh axis is an Int >= 1, or `auto`. */
static bool check_extent(struct record *r, struct field *f, struct val v)
{
	struct sema *s = r->sema;
	const char *what = f->sort == FIELD_MESH ? "mesh axis" : "axis";
	bool chosen = v.kind == V_AUTO || (v.kind == V_UNKNOWN && !strcmp(v.name, "auto"));
	if (chosen && f->sort == FIELD_AXIS) {
		sema_report(s, DIAG_E0203, f->value_span,
		            "the extent of axis `%s` is fixed by the checkpoint and cannot be `auto`", f->name);
		return false;
	}
	if (v.kind == V_BAD || v.kind == V_UNKNOWN || v.kind == V_AUTO || (v.kind == V_INT && v.i > 0))
		return true;
	struct diag *d;
	if (v.kind == V_INT)
		d = sema_report(s, DIAG_E0203, f->value_span, "%s `%s` has %lld elements, at least 1 is needed", what, f->name,
		                (long long)v.i);
	else
		d = sema_report(s, DIAG_E0203, f->value_span, "`%s` expects Int, found %s", f->name, val_kind_text(s, v));
	diag_related(s->sink, d, f->span, "declared here as %s %s", f->sort == FIELD_MESH ? "a" : "an", what);
	offer_int(s, d, v, f->value_span);
	return false;
}

static struct val typed_value(struct record *r, struct field *f, struct val v)
{
	bool fits = true;
	if (f->sort == FIELD_AXIS || f->sort == FIELD_MESH)
		fits = check_extent(r, f, v);
	else if (f->type)
		fits = check_type(r->sema, v, f->type, record_is_map(r) ? r->element_module : f->layer->module, f->name,
		                  f->value_span, f->span);
	if (!fits)
		return val_bad();
	if (v.kind == V_INT && (type_is(f->type, "Float") || type_is(f->type, "Ratio")))
		return val_float((double)v.i);
	return v;
}

static struct val field_value(struct record *r, struct field *f, struct span use)
{
	bool given;
	if (f->sort == FIELD_VIEW) {
		struct diag *d =
			sema_report(r->sema, DIAG_E0203, use,
		                "axis `%s` is not a number: its extent is dynamic, or follows from other axes", f->name);
		diag_related(r->sema->sink, d, f->span, "declared here");
		return val_bad();
	}
	const struct field *element = type_is(f->type, "List") ? first_element(r, f) : NULL;
	if (element)
		return f->sets.n ? both_ways(r->sema, f, element) : element_list(r, f, use); /* in place of the default */
	struct val v = given_value(r, f, &given);
	if (!given)
		return unset(r, f, use);
	return typed_value(r, f, v);
}

struct val record_get(struct record *r, const char *name, struct span use)
{
	struct sema *s = r->sema;
	struct field *f = record_field(r, name);
	if (!f) {
		if (!r->partial)
			report_no_field(r, name, use);
		return val_bad();
	}
	if (f->progress == FIELD_DONE)
		return f->value;
	int depth = s->evaluating ? s->evaluating->depth + 1 : 0;
	if (f->progress == FIELD_BUSY)
		report_cycle(s, f);
	else if (depth > MAX_DEPTH && !s->unwinding)
		report_endless(s, f);
	if (f->progress == FIELD_BUSY || s->unwinding)
		return val_bad();
	struct evaluating frame = {f, s->evaluating, depth};
	bool tainted = s->tainted;
	struct arena *before = sema_use(s, r->arena);
	s->evaluating = &frame;
	s->tainted = false;
	f->progress = FIELD_BUSY;
	f->value = field_value(r, f, use);
	sema_use(s, before);
	f->progress = s->tainted ? FIELD_NEW : FIELD_DONE;
	r->bad |= f->value.kind == V_BAD;
	s->tainted |= tainted;
	s->evaluating = frame.next;
	s->unwinding &= frame.next != NULL;
	return f->value;
}
