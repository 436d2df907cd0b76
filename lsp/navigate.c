/* From a name to its definition, its other uses, and another name. */
#include "find.h"
#include "server.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool same(struct span a, struct span b) { return a.file == b.file && a.lo == b.lo; }

/* Calls `each` with every place of the name in files: definitions, then uses. */
static void each_place(const struct analysis *a, const struct name_at *name, bool with_definition,
                       void (*each)(void *context, struct span at), void *context)
{
	for (int i = 0; i < name->n && with_definition; i++)
		each(context, name->definition[i]);
	struct span last = {UINT32_MAX, 0, 0};
	for (int i = 0; i < a->n_references; i++) {
		const struct reference *r = &a->references[i];
		if (!name_is_defined_as(name, r->definition) || same(r->use, last))
			continue;
		each(context, r->use);
		last = r->use;
	}
}

/* ---- requests -------------------------------------------------------------------------------- */

struct places {
	struct server *server;
	const struct analysis *analysis;
	json_t *array;
	const char *text; /* of edits */
};

static void add_location(void *context, struct span at)
{
	struct places *p = context;
	json_t *location = location_json(p->server, &p->analysis->sources, at);
	if (location)
		json_array_append_new(p->array, location);
}

json_t *definition_of(struct server *s, const json_t *params)
{
	struct place_at at;
	struct name_at name;
	if (!server_place(s, params, &at) || !name_find(at.analysis, at.file, at.offset, &name))
		return NULL;
	struct places p = {.server = s, .analysis = at.analysis, .array = json_array()};
	for (int i = 0; i < name.n; i++)
		add_location(&p, name.definition[i]);
	return p.array;
}

/* ---- types ----------------------------------------------------------------------------------- */

/* The definitions of a name that is written at `use`. */
static void add_defined(struct places *p, struct span use)
{
	for (int i = 0; i < p->analysis->n_references; i++) {
		const struct reference *r = &p->analysis->references[i];
		if (same(r->use, use) && r->use.hi == use.hi)
			add_location(p, r->definition);
	}
}

/* The schemas that a type names: of List(Level) the one of an element, of any(A, B) both. */
static void add_type(struct places *p, const struct node *type)
{
	if (!type || type->kind != N_TYPE)
		return;
	if (type->type.has_path)
		add_defined(p, type->type.path.at[type->type.path.n - 1].span);
	for (int i = 0; i < type->type.args.n; i++)
		add_type(p, type->type.args.at[i]);
}

/* The schema of an element, `level nvlink { }`: that of the list's field. */
static void add_element(struct places *p, const struct node *x)
{
	struct name_at list;
	if (!name_find(p->analysis, x->named.kind.span.file, x->named.kind.span.lo, &list))
		return;
	const struct node *field = item_declaring(p->analysis, list.definition[0]);
	if (field && field->kind == N_FIELD)
		add_type(p, field->field.type);
}

static struct span name_span(const struct node *name) { return name->kind == N_DOT ? name->dot.name.span : name->span; }

/* The declaration itself, where `model A = other.A` gives it a second name. */
static const struct def *without_aliases(const struct analysis *a, const struct def *d)
{
	enum { MAX_ALIASES = 16 /* a text with a mistake may have a circle of them */ };
	for (int i = 0; i < MAX_ALIASES; i++) {
		struct name_at name;
		const struct node *value = d->node->named.value;
		if (!value || (value->kind != N_ID && value->kind != N_DOT))
			return d;
		struct span at = name_span(value);
		const struct def *other = name_find(a, at.file, at.lo, &name) ? def_at(a, name.definition[0]) : NULL;
		if (!other)
			return d;
		d = other;
	}
	return d;
}

/* What a declaration is made from: the record in front of its braces, else its schema. */
static void add_origin(struct places *p, const struct def *d)
{
	d = without_aliases(p->analysis, d);
	const struct node *value = d->node->named.value;
	while (value && value->kind == N_REFINE)
		value = value->sub2.base;
	if (value && (value->kind == N_ID || value->kind == N_DOT)) {
		add_defined(p, name_span(value));
		return;
	}
	const struct layer *schema = NULL;
	for (int i = 0; d->record && i < d->record->layers.n; i++)
		if (d->record->layers.at[i]->kind == LAYER_SCHEMA
		    && d->record->layers.at[i]->span.lo != d->node->named.name.span.lo)
			schema = d->record->layers.at[i];
	if (schema)
		add_location(p, schema->span);
}

/* The schema of a field, the record or schema that a declaration is made from. */
json_t *type_definition_of(struct server *s, const json_t *params)
{
	struct place_at at;
	struct name_at name;
	if (!server_place(s, params, &at) || !name_find(at.analysis, at.file, at.offset, &name))
		return NULL;
	struct places p = {.server = s, .analysis = at.analysis, .array = json_array()};
	for (int i = 0; i < name.n; i++) {
		const struct def *d = name.kind == REFERENCE_DECLARATION ? def_at(at.analysis, name.definition[i]) : NULL;
		const struct node *x = d ? NULL : item_declaring(at.analysis, name.definition[i]);
		if (d)
			add_origin(&p, d);
		else if (x && (x->kind == N_FIELD || x->kind == N_PARAM))
			add_type(&p, x->field.type);
		else if (x && x->kind == N_NAMED && name.kind == REFERENCE_LEVEL)
			add_element(&p, x);
	}
	return p.array;
}

json_t *references_of(struct server *s, const json_t *params)
{
	struct place_at at;
	struct name_at name;
	const json_t *context = json_object_get(params, "context");
	if (!server_place_judged(s, params, &at) || !name_find(at.analysis, at.file, at.offset, &name))
		return NULL;
	struct places p = {.server = s, .analysis = at.analysis, .array = json_array()};
	each_place(at.analysis, &name, json_is_true(json_object_get(context, "includeDeclaration")), add_location, &p);
	return p.array;
}

static void add_highlight(void *context, struct span at)
{
	struct places *p = context;
	if (at.file == sema_source(p->analysis->sema))
		json_array_append_new(p->array, json_pack("{s:o}", "range", server_range_json(p->server, p->analysis, at)));
}

json_t *highlights_of(struct server *s, const json_t *params)
{
	struct place_at at;
	struct name_at name;
	if (!server_place(s, params, &at) || !name_find(at.analysis, at.file, at.offset, &name))
		return NULL;
	struct places p = {.server = s, .analysis = at.analysis, .array = json_array()};
	each_place(at.analysis, &name, true, add_highlight, &p);
	return p.array;
}

/* ---- renaming -------------------------------------------------------------------------------- */

static bool is_users(const struct analysis *a, struct span at) { return a->sources.files.at[at.file].path[0] == '/'; }

/* Why the name cannot be changed; NULL: it can. */
static const char *fixed(const struct place_at *at, const struct name_at *name)
{
	if (name->kind == REFERENCE_MODULE)
		return "a module has the name of its file";
	for (int i = 0; i < name->n; i++)
		if (!is_users(at->analysis, name->definition[i]))
			return "the library defines this name";
	return NULL;
}

json_t *prepare_rename(struct server *s, const json_t *params)
{
	struct place_at at;
	struct name_at name;
	if (!server_place_judged(s, params, &at) || !name_find(at.analysis, at.file, at.offset, &name))
		return NULL;
	const char *why = fixed(&at, &name);
	return why ? server_fail(s, LSP_REQUEST_FAILED, "%s", why) : server_range_json(s, at.analysis, name.here);
}

static bool is_word(const char *name)
{
	static const char *const reserved[] = {
#define WORD(token, text, value) text,
#include "../lexer/words.def"
#undef WORD
	};
	if (!isalpha((unsigned char)*name) && *name != '_')
		return false;
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '_')
			return false;
	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
		if (!strcmp(name, reserved[i]))
			return false;
	return true;
}

static void add_edit(void *context, struct span at)
{
	struct places *p = context;
	const char *uri = server_uri(p->server, &p->analysis->sources.files.at[at.file]);
	json_t *edits = uri ? json_object_get(p->array, uri) : NULL;
	if (uri && !edits) {
		edits = json_array();
		json_set(p->array, uri, edits);
	}
	if (edits)
		json_array_append_new(edits, text_edit_json(p->server, p->analysis, at, p->text));
}

/* ---- does a new name change what a text means? ----------------------------------------------- */

/* The edits of one file, as a new text for it. */
struct renamed {
	struct arena *arena;
	const struct analysis *analysis;
	VEC(struct span) places;
};

static void add_place(void *context, struct span at)
{
	struct renamed *r = context;
	vec_push(r->arena, &r->places, at);
}

static int by_place(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	return x->file != y->file ? (x->file < y->file ? -1 : 1) : (x->lo > y->lo) - (x->lo < y->lo);
}

static struct file_text text_with(const struct renamed *r, uint32_t file, const char *new_name)
{
	const struct source *f = &r->analysis->sources.files.at[file];
	struct text out = {.arena = r->arena};
	uint32_t from = 0;
	text_add(&out, "%s", "");
	for (int i = 0; i < r->places.n; i++) {
		struct span at = r->places.at[i];
		if (at.file != file || at.lo < from)
			continue;
		text_add(&out, "%.*s%s", (int)(at.lo - from), f->text + from, new_name);
		from = at.hi;
	}
	text_add(&out, "%s", f->text + from);
	return (struct file_text){out.at, (size_t)out.n};
}

/* Documents with the new texts; the one that is renamed in comes first. */
static struct document *renamed_documents(struct server *s, const struct place_at *at, const struct renamed *r,
                                          const char *new_name)
{
	struct document *all = NULL;
	for (int i = r->analysis->sources.files.n; i--;) {
		const struct source *f = &r->analysis->sources.files.at[i];
		if (f->path[0] != '/' || (uint32_t)i == at->file)
			continue;
		struct document *d = arena_new(s->arena, struct document);
		struct file_text text = text_with(r, (uint32_t)i, new_name);
		*d = (struct document){.key = (char *)f->path, .text = (char *)text.at, .size = text.size, .next = all};
		all = d;
	}
	struct document *main = arena_new(s->arena, struct document);
	struct file_text text = text_with(r, at->file, new_name);
	*main = (struct document){.key = at->document->key, .text = (char *)text.at, .size = text.size, .next = all};
	return main;
}

/* Where the first byte of a name is in the new texts. `places` are sorted. */
static struct span moved(const struct renamed *r, struct span at, size_t new_length)
{
	int lo = 0, hi = r->places.n, before = 0;
	while (lo < hi) {
		int mid = lo + (hi - lo) / 2;
		if (by_place(&r->places.at[mid], &at) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (int i = lo; i-- && r->places.at[i].file == at.file;)
		before++;
	int64_t more = before ? (int64_t)new_length - (r->places.at[0].hi - r->places.at[0].lo) : 0;
	return (struct span){at.file, (uint32_t)(at.lo + before * more), 0};
}

/* Every use in the new texts has the definition that it had, and there are no more errors. */
static bool means_the_same(struct server *s, const struct place_at *at, const struct renamed *r, const char *new_name)
{
	struct document *texts = renamed_documents(s, at, r, new_name);
	struct analysis_options old = server_options(s), new = old;
	new.documents = texts;
	struct file_text old_text = {at->document->text, at->document->size}, new_text = {texts->text, texts->size};
	struct analysis *before = analysis_of_text(&old, at->document, old_text);
	struct analysis *after = analysis_of_text(&new, texts, new_text);
	size_t n = strlen(new_name);
	bool good = !before->status && !after->status && after->sink.errors <= before->sink.errors
	            && after->n_references == before->n_references;
	for (int i = 0; good && i < before->n_references; i++) {
		const struct reference *x = &before->references[i], *y = &after->references[i];
		good = same(moved(r, x->use, n), y->use) && same(moved(r, x->definition, n), y->definition);
	}
	analysis_free(before);
	analysis_free(after);
	return good;
}

json_t *rename_at(struct server *s, const json_t *params)
{
	struct place_at at;
	struct name_at name;
	const char *new_name = json_string_value(json_object_get(params, "newName"));
	if (!server_place_judged(s, params, &at))
		return NULL;
	if (!new_name || !is_word(new_name))
		return server_fail(s, LSP_INVALID_PARAMS, "`%s` is not a name", new_name ? new_name : "");
	if (!name_find(at.analysis, at.file, at.offset, &name))
		return server_fail(s, LSP_REQUEST_FAILED, "there is no name here that has a definition");
	const char *why = fixed(&at, &name);
	if (why)
		return server_fail(s, LSP_REQUEST_FAILED, "%s", why);
	struct renamed r = {.arena = s->arena, .analysis = at.analysis};
	each_place(at.analysis, &name, true, add_place, &r);
	qsort(r.places.at, (size_t)r.places.n, sizeof *r.places.at, by_place);
	if (!means_the_same(s, &at, &r, new_name))
		return server_fail(s, LSP_REQUEST_FAILED, "`%s` has another meaning at some of these places", new_name);
	struct places p = {.server = s, .analysis = at.analysis, .array = json_object(), .text = new_name};
	for (int i = 0; i < r.places.n; i++)
		add_edit(&p, r.places.at[i]);
	return json_pack("{s:o}", "changes", p.array);
}
