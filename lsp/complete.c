/* What may be written at the cursor. */
#include "complete.h"
#include <ctype.h>
#include <string.h>
#include "../planner/metrics_text.h"
#include "../planner/plan.h"
#include "../doc/doc.h"
#include "../sema/record.h"
#include "find.h"
#include "server.h"

/* CompletionItemKind */
enum item_kind {
	ITEM_FUNCTION = 3,
	ITEM_FIELD = 5,
	ITEM_VARIABLE = 6,
	ITEM_MODULE = 9,
	ITEM_UNIT = 11,
	ITEM_VALUE = 12,
	ITEM_ENUM = 13,
	ITEM_KEYWORD = 14,
	ITEM_SNIPPET = 15,
	ITEM_SYMBOL = 20,
	ITEM_RECORD = 22
};
/* The order in which candidates are shown. */
enum rank { RANK_NEEDED, RANK_LIKELY, RANK_USUAL, RANK_OTHER, RANK_IMPORT };

struct completing {
	struct server *server;
	struct document *document;
	struct analysis *analysis; /* of the text with a name at the cursor */
	struct spot spot;
	uint32_t word, offset;  /* the word in front of the cursor: bytes [word, offset) of the document */
	struct sources sources; /* the document as it is */
	json_t *items;
	struct index labels; /* those that are in `items` */
};

/* A candidate. NULL, 0: it has none. */
struct candidate {
	const char *label;
	enum item_kind kind;
	enum rank rank;
	const char *detail, *comment;
	const char *insert;  /* what is written instead of the label */
	const char *snippet; /* the same with places to fill in, for clients that know them */
	json_t *edits;       /* of other places */
};

/* ---- candidates ------------------------------------------------------------------------------ */

static void set_text(json_t *item, const struct completing *c, const struct candidate *x)
{
	bool snippet = x->snippet && c->server->snippets;
	if (snippet)
		json_set(item, "insertTextFormat", json_integer(2));
	if (snippet || x->insert)
		json_set(item, "insertText", json_text(snippet ? x->snippet : x->insert));
}

static void offer(struct completing *c, struct candidate x)
{
	struct arena *a = c->server->arena;
	if (index_find(&c->labels, x.label) >= 0) {
		json_decref(x.edits);
		return;
	}
	index_add(a, &c->labels, x.label);
	json_t *item = json_object();
	json_set(item, "label", json_text(x.label));
	json_set(item, "kind", json_integer(x.kind));
	json_set(item, "sortText", json_text(arena_printf(a, "%d%s", x.rank, x.label)));
	if (x.detail && *x.detail)
		json_set(item, "detail", json_text(x.detail));
	if (x.comment && *x.comment)
		json_set(item, "data", json_pack("{s:o}", "comment", json_text(x.comment)));
	if (x.edits)
		json_set(item, "additionalTextEdits", x.edits);
	set_text(item, c, &x);
	json_array_append_new(c->items, item);
}

static const char *code_of(const struct completing *c, struct span at)
{
	return arena_printf(c->server->arena, "%.*s", (int)(at.hi - at.lo),
	                    c->analysis->sources.files.at[at.file].text + at.lo);
}

static const char *comment_of(const struct completing *c, struct span at)
{
	return doc_comment(c->server->arena, &c->analysis->sources.files.at[at.file], at.lo, at.hi);
}

static void offer_words(struct completing *c, const char *const *words, enum item_kind kind, enum rank rank)
{
	for (; *words; words++)
		offer(c, (struct candidate){.label = *words, .kind = kind, .rank = rank});
}

/* ---- modules and names ----------------------------------------------------------------------- */

static void offer_modules(struct completing *c)
{
	const struct exports *all = library_exports();
	for (int i = 0; i < all->n; i++) {
		const char *module = all->at[i].module, *dot = strchr(module, '.') + 1;
		bool after_std = c->word > 4 && !strncmp(c->document->text + c->word - 4, "std.", 4);
		if (!i || strcmp(all->at[i - 1].module, module) != 0)
			offer(c,
			      (struct candidate){.label = after_std ? dot : module,
			                         .kind = ITEM_MODULE,
			                         .snippet = arena_printf(c->server->arena, "%s { $0 }", after_std ? dot : module)});
	}
}

static bool names_already(const struct node *use, const char *name)
{
	for (int i = 0; i < use->use.names.n; i++)
		if (!strcmp(use->use.names.at[i].name, name))
			return true;
	return false;
}

static void offer_exports_of(struct completing *c, const struct node *use)
{
	const struct exports *all = library_exports();
	const char *module = code_of(c, use->use.path.span);
	for (int i = 0; i < all->n; i++)
		if (!strcmp(all->at[i].module, module) && !names_already(use, all->at[i].name))
			offer(c, (struct candidate){.label = all->at[i].name,
			                            .kind = ITEM_RECORD,
			                            .detail = all->at[i].kind,
			                            .comment = all->at[i].comment});
}

/* The edit that imports a name: into the file's list of the module, else a new line before the first `use`. */
static json_t *import_edit(const struct completing *c, const char *module, const char *name)
{
	const struct document *d = c->document;
	struct arena *a = c->server->arena;
	const char *list = arena_printf(a, "use %s {", module), *first = NULL, *found = NULL;
	for (const char *line = d->text; line && !found; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		first = first || strncmp(line, "use ", 4) != 0 ? first : line;
		found = strncmp(line, list, strlen(list)) != 0 ? NULL : line + strlen(list);
	}
	const char *at = found ? found : first ? first : d->text;
	const char *text = found ? arena_printf(a, " %s,", name) : arena_printf(a, "use %s { %s }\n", module, name);
	struct span place = {0, (uint32_t)(at - d->text), (uint32_t)(at - d->text)};
	json_t *edit = json_object();
	json_set(edit, "range", range_json(&c->sources, place, c->server->utf8));
	json_set(edit, "newText", json_text(text));
	json_t *edits = json_array();
	json_array_append_new(edits, edit);
	return edits;
}

static bool is_known(const struct completing *c, const char *name)
{
	const struct module *m = c->analysis->sema->main;
	return index_find(&m->name_index, name) >= 0;
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool is_made_from(const struct export *x, const char *schema)
{
	for (int i = 0; i < x->n_schemas; i++)
		if (!strcmp(x->schemas[i], schema))
			return true;
	return false;
}

/* Records of a schema: of the file, then of the library, which are imported. */
static void offer_records(struct completing *c, const char *schema)
{
	struct sema *s = c->analysis->sema;
	struct arena *a = c->server->arena;
	for (int i = 0; i < s->main->names.n; i++) {
		struct def *d = s->main->names.at[i].def;
		struct record *r = d && !def_is_program(d) && strcmp(d->kind, "deploy") != 0 ? def_record(s, d) : NULL;
		if (r && record_is(r, schema))
			offer(c, (struct candidate){.label = s->main->names.at[i].name,
			                            .kind = ITEM_RECORD,
			                            .rank = RANK_LIKELY,
			                            .detail = d->kind,
			                            .snippet = arena_printf(a, "%s { $0 }", s->main->names.at[i].name),
			                            .comment = comment_of(c, d->node->span)});
	}
	const struct exports *all = library_exports();
	for (int i = 0; i < all->n; i++) {
		const struct export *x = &all->at[i];
		if (is_made_from(x, schema) && !is_known(c, x->name))
			offer(c, (struct candidate){.label = x->name,
			                            .kind = ITEM_RECORD,
			                            .rank = RANK_IMPORT,
			                            .detail = arena_printf(a, "%s, from %s", x->kind, x->module),
			                            .comment = x->comment,
			                            .edits = import_edit(c, x->module, x->name)});
	}
}

static void offer_type(struct completing *c, const struct node *t)
{
	static const char *const bools[] = {"true", "false", NULL}, *const none[] = {"none", NULL};
	if (t->type.opt)
		offer_words(c, none, ITEM_VALUE, RANK_LIKELY);
	if (!t->type.has_path)
		return;
	const char *name = t->type.path.at[t->type.path.n - 1].name;
	if (!strcmp(name, "enum") || !strcmp(name, "any"))
		for (int i = 0; i < t->type.args.n; i++)
			if (!strcmp(name, "any") && t->type.args.at[i]->kind == N_TYPE)
				offer_type(c, t->type.args.at[i]);
			else
				offer(c, (struct candidate){.label = code_of(c, t->type.args.at[i]->span), .kind = ITEM_SYMBOL});
	else if (!strcmp(name, "Bool"))
		offer_words(c, bools, ITEM_VALUE, RANK_LIKELY);
	else if (!strcmp(name, "DType"))
		for (int i = 0; i < DTYPE_COUNT; i++)
			offer(c, (struct candidate){.label = dtype_name((enum dtype)i), .kind = ITEM_SYMBOL, .rank = RANK_LIKELY});
	else if (type_is_schema(t))
		offer_records(c, name);
}

/* The deployment around the cursor, as it was planned before the word was begun; NULL: none. */
static const struct deploy *deploy_around(const struct completing *c)
{
	const struct analysis *a = c->document->analysis;
	const struct node *outer = c->spot.outer;
	for (int i = 0; a && i < a->n; i++)
		if (outer && outer->kind == N_NAMED && outer->named.name.n
		    && !strcmp(a->planned[i].deploy->name, outer->named.name.at[0].name))
			return a->planned[i].deploy;
	return a && a->n == 1 ? a->planned[0].deploy : NULL;
}

/* Ways that a mesh axis may have: they divide the devices, and what the rules place on it. NULL: not so many. Else what
 * is left of the axes. */
static const char *ways_text(const struct completing *c, const struct deploy *d, const char *mesh, int64_t ways)
{
	struct text t = {.arena = c->server->arena};
	text_add(&t, "%s", "");
	for (int i = 0; i < d->rules.n; i++) {
		const struct rule *r = &d->rules.at[i];
		int64_t extent = 1;
		if (r->n_target != 1 || strcmp(d->mesh.at[r->target[0]].name, mesh) != 0)
			continue;
		for (int k = 0; k < r->n_lhs; k++)
			extent *= d->program->axes.at[r->lhs[k]].extent;
		if (!extent)
			continue;
		if (extent % ways && r->lhs[0] != d->program->vocab)
			return NULL;
		for (int k = 0; k < r->n_lhs && t.n < 80; k++)
			text_add(&t, "%s%s", k ? " * " : t.n ? ", " : "", d->program->axes.at[r->lhs[k]].name);
		text_add(&t, " %lld", (long long)((extent + ways - 1) / ways));
	}
	return t.n ? t.at : "divides the devices";
}

static void offer_ways(struct completing *c, const char *mesh)
{
	const struct deploy *d = deploy_around(c);
	if (!d || !d->program || d->gpus < 1)
		return;
	for (int64_t ways = 1; ways <= d->gpus && ways <= 4096; ways++) {
		const char *left = d->gpus % ways ? NULL : ways_text(c, d, mesh, ways);
		if (left)
			offer(c, (struct candidate){.label = arena_printf(c->server->arena, "%lld", (long long)ways),
			                            .kind = ITEM_VALUE,
			                            .detail = left});
	}
}

static void offer_names(struct completing *c)
{
	const struct module *m = c->analysis->sema->main;
	for (const struct record *r = c->spot.record; r; r = r->outer)
		for (int i = 0; i < r->fields.n; i++)
			if (r->fields.at[i] != c->spot.field)
				offer(c, (struct candidate){.label = r->fields.at[i]->name, .kind = ITEM_FIELD, .rank = RANK_USUAL});
	for (int i = 0; i < m->names.n; i++)
		offer(c, (struct candidate){.label = m->names.at[i].name,
		                            .kind = m->names.at[i].module ? ITEM_MODULE : ITEM_RECORD,
		                            .rank = RANK_OTHER});
}

static void offer_value(struct completing *c)
{
	static const char *const words[] = {"auto", "none", "true", "false", "if", NULL};
	const struct field *f = c->spot.field;
	if (f && f->sort == FIELD_MESH)
		offer_ways(c, f->name);
	if (c->spot.type)
		offer_type(c, c->spot.type);
	offer_names(c);
	offer_words(c, words, ITEM_KEYWORD, RANK_OTHER);
}

/* ---- units ----------------------------------------------------------------------------------- */

/* Is there a number in front of the word? */
static bool follows_number(const struct completing *c)
{
	const char *text = c->document->text;
	uint32_t at = c->word;
	while (at > 0 && (text[at - 1] == ' ' || text[at - 1] == '/'))
		at--;
	uint32_t end = at;
	while (at > 0 && (isdigit((unsigned char)text[at - 1]) || text[at - 1] == '.' || text[at - 1] == '_'))
		at--;
	bool starts = !at || !(isalnum((unsigned char)text[at - 1]) || text[at - 1] == '_');
	return end > at && starts && end < c->word;
}

static void offer_units(struct completing *c)
{
	static const char *const units[] = {
#define U(word, ...) word,
#define TRAP(...)
#include "../lexer/units.def"
#undef U
#undef TRAP
	};
	struct dims wanted, dims;
	const struct node *t = c->spot.type;
	bool typed = t && t->type.has_path && dims_named(t->type.path.at[t->type.path.n - 1].name, &wanted);
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		dims = (struct dims){{0}};
		quantity_value(arena_printf(c->server->arena, "1 %s", units[i]), &dims);
		bool fits = typed && dims_equal(dims, wanted);
		if (!typed || fits)
			offer(c, (struct candidate){.label = units[i], .kind = ITEM_UNIT, .rank = fits ? RANK_NEEDED : RANK_USUAL});
	}
	static const char *const rates[] = {"B/s",      "GB/s",      "TB/s",        "GiB/s",
	                                    "tokens/s", "tokens/ms", "sequences/s", "USD/h"};
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		dims = (struct dims){{0}};
		quantity_value(arena_printf(c->server->arena, "1 %s", rates[i]), &dims);
		if (!typed || dims_equal(dims, wanted))
			offer(c,
			      (struct candidate){.label = rates[i], .kind = ITEM_UNIT, .rank = typed ? RANK_NEEDED : RANK_USUAL});
	}
}

/* ---- items ----------------------------------------------------------------------------------- */

static bool is_set_in(const struct field *f, const struct completing *c)
{
	uint32_t file = sema_source(c->analysis->sema);
	for (int i = 0; i < f->sets.n; i++)
		if (f->sets.at[i].span.file == file
		    && f->sets.at[i].layer == c->spot.record->layers.at[c->spot.record->layers.n - 1])
			return true;
	return false;
}

static void offer_field(struct completing *c, const struct field *f)
{
	struct arena *a = c->server->arena;
	bool open = !f->sets.n && !f->init, record = f->type && type_is_schema(f->type) && f->init;
	const char *type = f->type ? code_of(c, f->type->span) : f->sort == FIELD_MESH ? "mesh axis" : "";
	const char *value = f->init && f->init->kind != N_ERROR ? code_of(c, f->init->span) : NULL;
	offer(c, (struct candidate){
				 .label = f->name,
				 .kind = ITEM_FIELD,
				 .rank = open ? RANK_NEEDED : RANK_LIKELY,
				 .detail = value ? arena_printf(a, "%s = %s", type, value) : type,
				 .comment = comment_of(c, (struct span){f->span.file, f->span.lo,
	                                                    f->init   ? f->init->span.hi
	                                                    : f->type ? f->type->span.hi
	                                                              : f->span.hi}),
				 .insert = arena_printf(a, record ? "%s { }" : "%s = ", f->name),
				 .snippet = arena_printf(a, record ? "%s { $0 }" : "%s = $0", f->name),
			 });
}

static void offer_fields(struct completing *c)
{
	const struct record *r = c->spot.record;
	for (int i = 0; i < r->fields.n; i++) {
		const struct field *f = r->fields.at[i];
		bool fixed = f->sort == FIELD_DERIVED || f->sort == FIELD_VIEW || f->sort == FIELD_ELEMENT;
		if (!fixed && !is_set_in(f, c))
			offer_field(c, f);
	}
}

static void offer_axes(struct completing *c, enum rank rank)
{
	const struct deploy *d = deploy_around(c);
	const struct program *p = d ? d->program : NULL;
	for (int i = 0; p && i < p->axes.n; i++)
		offer(c, (struct candidate){.label = p->axes.at[i].name,
		                            .kind = ITEM_VARIABLE,
		                            .rank = rank,
		                            .detail = p->axes.at[i].extent ? arena_printf(c->server->arena, "%lld",
		                                                                          (long long)p->axes.at[i].extent)
		                                                           : "axis"});
}

static void offer_meshes(struct completing *c)
{
	static const char *const words[] = {"none", "auto", NULL};
	const struct record *r = c->spot.record;
	for (; r; r = r->outer)
		for (int i = 0; i < r->fields.n; i++)
			if (r->fields.at[i]->sort == FIELD_MESH)
				offer(c,
				      (struct candidate){.label = r->fields.at[i]->name, .kind = ITEM_VARIABLE, .rank = RANK_NEEDED});
	offer_words(c, words, ITEM_KEYWORD, RANK_USUAL);
}

static void offer_regions(struct completing *c)
{
	const struct deploy *d = deploy_around(c);
	offer(c, (struct candidate){.label = "residual", .kind = ITEM_SYMBOL});
	for (int i = 0; d && d->program && i < d->program->regions.n; i++)
		if (*d->program->regions.at[i].name)
			offer(c, (struct candidate){.label = d->program->regions.at[i].name, .kind = ITEM_SYMBOL});
}

static const char deployment[] =
	"deploy ${1:Chat} {\n  model    = ${2:Mixtral_8x7B}\n  cluster  = ${3:DGX_H100} { nodes = "
	"${4:1} }\n  plan     = ${5:Megatron} { tp = ${6:8} }\n  workload = Inference { batch = "
	"${7:32}; seq = ${8:128..4096}; output = ${9:256} }\n  $0\n}";

static void offer_items(struct completing *c)
{
	static const char *const top[] = {"use", "model", "plan", "deploy", "cluster", "schema", "op", "block", NULL};
	static const char *const plan[] = {"mesh", "at", "phase", "store", "require", NULL};
	static const char *const deploy[] = {"require", "assert", "prefer", "maximize", "minimize", NULL};
	static const char *const model[] = {"axis",   "let",    "param",  "state", "input", "output",
	                                    "repeat", "return", "config", "when",  NULL};
	const struct record *r = c->spot.record;
	if (c->spot.scope) {
		offer_axes(c, RANK_NEEDED);
	} else if (!c->spot.outer || !c->spot.item || (c->spot.item == c->spot.outer && !r)) {
		offer_words(c, top, ITEM_KEYWORD, RANK_USUAL);
		offer(c, (struct candidate){.label = "deploy (whole)",
		                            .kind = ITEM_SNIPPET,
		                            .insert = "deploy ",
		                            .snippet = deployment,
		                            .detail = "a deployment: model, cluster, plan, workload"});
	} else if (r) {
		offer_fields(c);
		if (!strcmp(r->kind, "plan") || !strcmp(r->kind, "deploy"))
			offer_axes(c, RANK_OTHER);
		offer_words(c,
		            !strcmp(r->kind, "plan")     ? plan
		            : !strcmp(r->kind, "deploy") ? deploy
		            : !strcmp(r->kind, "model")  ? model
		                                         : plan + 4,
		            ITEM_KEYWORD, RANK_USUAL);
	}
}

/* ---- claims ---------------------------------------------------------------------------------- */

static void offer_claims(struct completing *c)
{
	const struct analysis *a = c->document->analysis;
	const struct deploy *d = deploy_around(c);
	struct total totals[PLANNER_TOTALS];
	for (int i = 0; i < METRICS; i++)
		offer(c, (struct candidate){.label = metric_name((enum metric)i), .kind = ITEM_FUNCTION, .detail = "metric"});
	for (int i = 0; a && i < a->n; i++) {
		const struct planned *p = &a->planned[i];
		int n = p->deploy == d && d->program && p->schedule ? planner_totals(d, p->schedule, totals) : 0;
		for (int k = 0; k < n; k++)
			offer(c, (struct candidate){.label = totals[k].name, .kind = ITEM_FUNCTION, .detail = "total"});
	}
	offer_names(c);
}

/* ---- members --------------------------------------------------------------------------------- */

/* Behind a dot: the fields of a record, the names of a module. */
static bool offer_members(struct completing *c)
{
	const struct node *v = c->spot.value;
	if (!v || v->kind != N_DOT || c->offset < v->dot.name.span.lo)
		return false;
	struct sema *s = c->analysis->sema;
	struct scope scope = {.module = s->main, .sema = s, .record = c->spot.record};
	struct val base = eval(&scope, v->dot.x, NULL);
	if (base.kind == V_LIST && base.list.n)
		base = base.list.at[0];
	for (int i = 0; base.kind == V_RECORD && i < base.record->fields.n; i++) {
		const struct field *f = base.record->fields.at[i];
		offer(c, (struct candidate){
					 .label = f->name, .kind = ITEM_FIELD, .detail = f->type ? code_of(c, f->type->span) : NULL});
	}
	for (int i = 0; base.kind == V_MODULE && i < base.module->own.n; i++)
		offer(c, (struct candidate){.label = base.module->own.at[i]->name,
		                            .kind = ITEM_RECORD,
		                            .detail = base.module->own.at[i]->kind});
	return base.kind == V_RECORD || base.kind == V_MODULE;
}

/* ---- all ------------------------------------------------------------------------------------- */

static bool is_word_byte(char ch) { return isalnum((unsigned char)ch) || ch == '_'; }

/* The text with a name at the cursor, where there is none. */
static struct file_text with_name(const struct completing *c)
{
	const struct document *d = c->document;
	const char *name = c->word == c->offset ? "here" : "";
	const char *text = arena_printf(c->server->arena, "%.*s%s%s", (int)c->offset, d->text, name, d->text + c->offset);
	return (struct file_text){text, strlen(text)};
}

static void offer_all(struct completing *c)
{
	static const char *const phases[] = {"prefill", "decode", "train", NULL};
	static const char *const stores[] = {"weights", "gradients", "optimizer", "cache", NULL};
	if (follows_number(c)) {
		offer_units(c);
		return;
	}
	const struct node *item = c->spot.item;
	bool names_scope = item && item->kind == N_NAMED && c->spot.on_name;
	if (names_scope && !strcmp(item->named.kind.name, "at"))
		offer_regions(c);
	else if (names_scope && !strcmp(item->named.kind.name, "phase"))
		offer_words(c, phases, ITEM_SYMBOL, RANK_NEEDED);
	else if (names_scope && !strcmp(item->named.kind.name, "store"))
		offer_words(c, stores, ITEM_SYMBOL, RANK_NEEDED);
	else if (offer_members(c))
		return;
	else
		switch (c->spot.kind) {
		case SPOT_USE:     offer_modules(c); break;
		case SPOT_NAMES:   offer_exports_of(c, item); break;
		case SPOT_VALUE:   offer_value(c); break;
		case SPOT_CLAIM:   offer_claims(c); break;
		case SPOT_RULE:    offer_axes(c, RANK_NEEDED); break;
		case SPOT_TARGET:  offer_meshes(c); break;
		case SPOT_ITEM:    offer_items(c); break;
		case SPOT_TYPE:
		case SPOT_PROGRAM: offer_names(c); break;
		}
}

json_t *complete_at(struct server *s, const json_t *params)
{
	struct position p;
	struct completing c = {.server = s, .document = server_target(s, params), .items = NULL};
	if (!c.document)
		return NULL;
	if (!position_read(json_object_get(params, "position"), &p))
		return server_fail(s, LSP_INVALID_PARAMS, "`position` has no line and character");
	struct document *d = c.document;
	c.offset = c.word = (uint32_t)position_offset(d->text, d->size, p, s->utf8);
	while (c.word > 0 && is_word_byte(d->text[c.word - 1]))
		c.word--;
	if (!d->analysis)
		server_analysis(s, d);
	struct analysis_options o = server_options(s);
	c.analysis = analysis_of_text(&o, d, with_name(&c));
	c.sources.arena = s->arena;
	sources_add(&c.sources, d->key, d->key, d->text, d->size);
	c.items = json_array();
	if (analysis_is_read(c.analysis)) {
		c.spot = spot_at(c.analysis, sema_source(c.analysis->sema), c.offset);
		offer_all(&c);
	}
	analysis_free(c.analysis);
	return c.items;
}

json_t *complete_item(struct server *s, const json_t *item)
{
	(void)s;
	json_t *out = json_deep_copy(item);
	const char *comment = json_string_value(json_object_get(json_object_get(item, "data"), "comment"));
	if (comment)
		json_set(out, "documentation", json_pack("{s:s, s:s}", "kind", "markdown", "value", comment));
	return out;
}
