/* What may be written at the cursor. */
#include <ctype.h>
#include <string.h>
#include "../planner/metrics_text.h"
#include "../planner/plan.h"
#include "../doc/doc.h"
#include "../parser/language.h"
#include "../sema/record.h"
#include "completing.h"

/* ---- candidates ------------------------------------------------------------------------------ */

static void set_text(json_t *item, const struct completing *c, const struct candidate *x)
{
	bool snippet = x->snippet && c->server->snippets;
	if (snippet)
		json_set(item, "insertTextFormat", json_integer(2));
	if (snippet || x->insert)
		json_set(item, "insertText", json_text(snippet ? x->snippet : x->insert));
}

void offer(struct completing *c, struct candidate x)
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

const char *completing_code(const struct completing *c, struct span at)
{
	return arena_printf(c->server->arena, "%.*s", (int)(at.hi - at.lo),
	                    c->analysis->sources.files.at[at.file].text + at.lo);
}

const char *completing_comment(const struct completing *c, struct span at)
{
	return doc_comment(c->server->arena, &c->analysis->sources.files.at[at.file], at.lo, at.hi);
}

void offer_words(struct completing *c, const char *const *words, enum item_kind kind, enum rank rank)
{
	for (; *words; words++)
		offer(c, (struct candidate){.label = *words, .kind = kind, .rank = rank});
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
			                            .comment = completing_comment(c, d->node->span)});
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
				offer(c,
				      (struct candidate){.label = completing_code(c, t->type.args.at[i]->span), .kind = ITEM_SYMBOL});
	else if (!strcmp(name, "Bool"))
		offer_words(c, bools, ITEM_VALUE, RANK_LIKELY);
	else if (!strcmp(name, "DType"))
		for (int i = 0; i < DTYPE_COUNT; i++)
			offer(c, (struct candidate){.label = dtype_name((enum dtype)i), .kind = ITEM_SYMBOL, .rank = RANK_LIKELY});
	else if (type_is_schema(t))
		offer_records(c, name);
}

/* The deployment around the cursor, else the first one. NULL: there is none. */
static const struct deploy *deploy_in(const struct completing *c, const struct analysis *a)
{
	int n = 0;
	struct deploy **all = analysis_is_read(a) ? sema_deploys(a->sema, &n) : NULL;
	const struct node *outer = c->spot.outer;
	for (int i = 0; i < n; i++)
		if (outer && outer->kind == N_NAMED && outer->named.name.n
		    && !strcmp(all[i]->name, outer->named.name.at[0].name))
			return all[i];
	return n ? all[0] : NULL;
}

/* That of the text with a name at the cursor; if it has no program, that of the text as it was checked last. */
static const struct deploy *deploy_around(const struct completing *c)
{
	const struct deploy *now = deploy_in(c, c->analysis), *before = deploy_in(c, c->document->analysis);
	return before && before->program && !(now && now->program) ? before : now;
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

static bool is_figure_byte(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.'; }

/* The dimensions of what a goal is about: those of the figure that its text names last before the word. */
static bool goal_dims(const struct completing *c, struct dims *out)
{
	const char *text = c->document->text, *type = NULL;
	uint32_t at = c->word;
	while (at && !type && !strchr("\n;{}", text[at - 1])) {
		uint32_t end = at;
		while (at && is_figure_byte(text[at - 1]))
			at--;
		type = planner_goal_type(arena_strndup(c->server->arena, text + at, end - at));
		at -= at == end;
	}
	return type && dims_named(type, out);
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
	bool known = typed || goal_dims(c, &wanted);
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		dims = (struct dims){{0}};
		quantity_value(arena_printf(c->server->arena, "1 %s", units[i]), &dims);
		bool fits = known && dims_equal(dims, wanted);
		if (!typed || fits)
			offer(c, (struct candidate){.label = units[i], .kind = ITEM_UNIT, .rank = fits ? RANK_NEEDED : RANK_USUAL});
	}
	static const char *const rates[] = {"B/s",      "GB/s",      "TB/s",        "GiB/s",
	                                    "tokens/s", "tokens/ms", "sequences/s", "USD/h"};
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		dims = (struct dims){{0}};
		quantity_value(arena_printf(c->server->arena, "1 %s", rates[i]), &dims);
		bool fits = known && dims_equal(dims, wanted);
		if (!typed || fits)
			offer(c, (struct candidate){.label = rates[i], .kind = ITEM_UNIT, .rank = fits ? RANK_NEEDED : RANK_USUAL});
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
	const char *type = f->type ? completing_code(c, f->type->span) : f->sort == FIELD_MESH ? "mesh axis" : "";
	const char *value = f->init && f->init->kind != N_ERROR ? completing_code(c, f->init->span) : NULL;
	offer(c, (struct candidate){
				 .label = f->name,
				 .kind = ITEM_FIELD,
				 .rank = open ? RANK_NEEDED : RANK_LIKELY,
				 .detail = value ? arena_printf(a, "%s = %s", type, value) : type,
				 .comment = completing_comment(c, (struct span){f->span.file, f->span.lo,
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

/* Levels of the cluster: for `within` and `across`. */
static void offer_levels(struct completing *c)
{
	const struct deploy *d = deploy_around(c);
	for (int i = 0; d && i < d->machine.levels.n; i++)
		offer(c, (struct candidate){.label = d->machine.levels.at[i].name, .kind = ITEM_ENUM});
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

/* The snippet of a whole deployment imports what it names: in the file's own lists, and in lines before its first
 * `use`. Without one, these lines are a part of the snippet. */
static void offer_deployment(struct completing *c)
{
	static const char *const imports[][2] = {{"std.models", "Mixtral_8x7B"},
	                                         {"std.clusters", "DGX_H100"},
	                                         {"std.plans", "Megatron"},
	                                         {"std.workload", "Inference"}};
	struct arena *a = c->server->arena;
	struct text lines = {.arena = a};
	json_t *edits = json_array();
	const char *first = NULL;
	text_add(&lines, "%s", "");
	for (size_t i = 0; i < sizeof imports / sizeof *imports; i++) {
		const char *module = imports[i][0], *name = imports[i][1], *list = import_list(c, module, &first);
		if (!is_known(c, name) && list)
			json_array_append_new(edits, insert_edit(c, list, arena_printf(a, " %s,", name)));
		else if (!is_known(c, name))
			text_add(&lines, "use %s { %s }\n", module, name);
	}
	if (first && lines.n)
		json_array_append_new(edits, insert_edit(c, first, lines.at));
	const char *text = first || !lines.n ? deployment : arena_printf(a, "%s\n%s", lines.at, deployment);
	offer(c, (struct candidate){.label = "deploy (whole)",
	                            .kind = ITEM_SNIPPET,
	                            .insert = "deploy ",
	                            .snippet = text,
	                            .detail = "a deployment: model, cluster, plan, workload",
	                            .edits = c->server->snippets && json_array_size(edits) ? json_incref(edits) : NULL});
	json_decref(edits);
}

/* `language = N`, where it can be the first item: in the first line that has text, but for comments. */
static void offer_language(struct completing *c)
{
	const char *text = c->document->text;
	for (uint32_t at = 0; at < c->word; at++) {
		if (text[at] == '/' && text[at + 1] == '/')
			at += (uint32_t)strcspn(text + at, "\n");
		if (at < c->word && !strchr(" \t\r\n", text[at]))
			return;
	}
	offer(c, (struct candidate){.label = "language",
	                            .kind = ITEM_KEYWORD,
	                            .insert = arena_printf(c->server->arena, "language = %d", LANGUAGE_VERSION),
	                            .detail = "version of the language that the file is written in"});
}

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
		offer_language(c);
		offer_deployment(c);
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
	struct analysis *a = c->document->analysis;
	const struct deploy *d = deploy_around(c);
	struct total totals[PLANNER_TOTALS];
	for (int i = 0; i < METRICS; i++)
		offer(c, (struct candidate){.label = metric_name((enum metric)i), .kind = ITEM_FUNCTION, .detail = "metric"});
	for (int i = 0; a && i < a->n; i++) {
		bool around = d && !strcmp(a->deployments[i].planned.deploy->name, d->name) && d->program;
		const struct planned *p = around ? analysis_planned(a, i) : NULL;
		int n = p && p->schedule ? planner_totals(d, p->schedule, totals) : 0;
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
		offer(c, (struct candidate){.label = f->name,
		                            .kind = ITEM_FIELD,
		                            .detail = f->type ? completing_code(c, f->type->span) : NULL});
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
		case SPOT_LEVEL:   offer_levels(c); break;
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
