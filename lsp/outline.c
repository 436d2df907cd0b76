/* What a document consists of: symbols, folds, selections, links, and what editors show between its lines. */
#include <string.h>
#include <strings.h>
#include "../dag/local.h"
#include "../planner/plan.h"
#include "chosen.h"
#include "find.h"
#include "server.h"

/* SymbolKind */
enum symbol_kind {
	SYMBOL_MODULE = 2,
	SYMBOL_CLASS = 5,
	SYMBOL_FIELD = 8,
	SYMBOL_FUNCTION = 12,
	SYMBOL_VARIABLE = 13,
	SYMBOL_OBJECT = 19,
	SYMBOL_STRUCT = 23,
	SYMBOL_PARAMETER = 26
};

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

/* ---- symbols --------------------------------------------------------------------------------- */

static enum symbol_kind kind_of(const char *word)
{
	if (is(word, "op") || is(word, "block") || is(word, "builtin"))
		return SYMBOL_FUNCTION;
	if (is(word, "schema"))
		return SYMBOL_CLASS;
	if (is(word, "model"))
		return SYMBOL_STRUCT;
	if (is(word, "param") || is(word, "state") || is(word, "input") || is(word, "output") || is(word, "let"))
		return SYMBOL_VARIABLE;
	return is(word, "axis") || is(word, "mesh") ? SYMBOL_PARAMETER : SYMBOL_OBJECT;
}

/* The name of an item, and a word about it. false: it has none. */
static bool name_of(const struct node *x, struct span *name, const char **detail, enum symbol_kind *kind)
{
	const struct path *p = x->kind == N_SET     ? &x->set.path
	                       : x->kind == N_SUB   ? &x->sub.path
	                       : x->kind == N_FIELD ? &x->field.path
	                       : x->kind == N_NAMED ? &x->named.name
	                                            : NULL;
	if (!p || !p->n)
		return false;
	*name = p->span;
	*detail = x->kind == N_NAMED ? x->named.kind.name : "";
	*kind = x->kind == N_NAMED ? kind_of(x->named.kind.name) : SYMBOL_FIELD;
	return name->hi > name->lo;
}

static struct nodes body_of(const struct node *x)
{
	const struct node *value = x->kind == N_SET ? x->set.value : x->kind == N_NAMED ? x->named.value : NULL;
	if (x->kind == N_SUB)
		return x->sub.body;
	if (x->kind == N_NAMED && x->named.body.n)
		return x->named.body;
	return value && value->kind == N_REFINE ? value->sub2.body : (struct nodes){NULL, 0};
}

static json_t *symbols_in(const struct server *s, const struct analysis *a, struct nodes items)
{
	json_t *array = json_array();
	const char *text = analysis_source(a)->text;
	for (int i = 0; i < items.n; i++) {
		struct span name;
		const char *detail;
		enum symbol_kind kind;
		if (!name_of(items.at[i], &name, &detail, &kind))
			continue;
		json_t *symbol = json_object();
		json_set(symbol, "name", json_text(arena_printf(s->arena, "%.*s", (int)(name.hi - name.lo), text + name.lo)));
		json_set(symbol, "detail", json_text(detail));
		json_set(symbol, "kind", json_integer(kind));
		json_set(symbol, "range", server_range_json(s, a, items.at[i]->span));
		json_set(symbol, "selectionRange", server_range_json(s, a, name));
		json_set(symbol, "children", symbols_in(s, a, body_of(items.at[i])));
		json_array_append_new(array, symbol);
	}
	return array;
}

/* The analysis of the document in the parameters. NULL after server_fail, or if its text was not read. */
static struct analysis *target_analysis(struct server *s, const json_t *params)
{
	struct document *d = server_target(s, params);
	return d ? server_analysis(s, d) : NULL;
}

json_t *symbols_of(struct server *s, const json_t *params)
{
	const struct analysis *a = target_analysis(s, params);
	return a ? symbols_in(s, a, sema_items(a->sema)) : NULL;
}

enum { MAX_SOURCE = 1 << 24 /* bytes */ };

static bool contains(const char *text, const char *part)
{
	for (size_t n = strlen(part); *text || !n; text++)
		if (!strncasecmp(text, part, n))
			return true;
	return false;
}

static void find_symbols(struct server *s, const struct sources *sources, struct nodes items, const char *query,
                         json_t *array)
{
	for (int i = 0; i < items.n; i++) {
		const struct node *x = items.at[i];
		if (x->kind != N_NAMED || !x->named.name.n || !contains(x->named.name.at[0].name, query))
			continue;
		json_t *symbol = json_object();
		json_set(symbol, "name", json_text(x->named.name.at[0].name));
		json_set(symbol, "kind", json_integer(kind_of(x->named.kind.name)));
		json_set(symbol, "containerName", json_text(x->named.kind.name));
		json_set(symbol, "location", location_json(s, sources, x->named.name.span));
		json_array_append_new(array, symbol);
	}
}

/* Those of a file that is not open, which is only parsed. */
static void find_symbols_of_file(struct server *s, const char *path, const char *query, json_t *array)
{
	struct names names = {.arena = s->arena};
	struct sources sources = {.arena = s->arena};
	struct sink sink = {.arena = s->arena, .sources = &sources};
	struct file_text text;
	if (file_read_regular(s->arena, path, MAX_SOURCE, &text))
		find_symbols(s, &sources,
		             parse_module(s->arena, &names, &sink, sources_add(&sources, path, path, text.at, text.size)),
		             query, array);
}

/* Declarations of the open documents, and of the other files of the workspace, whose names contain the query. */
json_t *workspace_symbols(struct server *s, const json_t *params)
{
	const char *query = json_string_value(json_object_get(params, "query"));
	json_t *array = json_array();
	int n;
	query = query ? query : "";
	for (struct document *d = s->documents; d; d = d->next) {
		const struct analysis *a = server_analysis(s, d);
		if (a)
			find_symbols(s, &a->sources, sema_items(a->sema), query, array);
	}
	const char *const *files = workspace_files(s, &n);
	for (int i = 0; i < n; i++)
		if (!workspace_is_open(s, files[i]))
			find_symbols_of_file(s, files[i], query, array);
	return array;
}

/* ---- folds, selections, links ---------------------------------------------------------------- */

static void fold_items(const struct analysis *a, struct nodes items, json_t *array)
{
	const struct source *f = analysis_source(a);
	for (int i = 0; i < items.n; i++) {
		int first = position_line(f, items.at[i]->span.lo), last = position_line(f, items.at[i]->span.hi);
		if (last > first)
			json_array_append_new(array, json_pack("{s:i, s:i}", "startLine", first, "endLine", last - 1));
		fold_items(a, body_of(items.at[i]), array);
	}
}

/* Neighbouring lines that are comments. */
static void fold_comments(const struct source *f, json_t *array)
{
	int first = -1, last = -1;
	for (int i = 0; i <= f->n_lines; i++) {
		uint32_t at = i < f->n_lines ? f->lines[i] : f->size;
		const char *line = f->text + at;
		bool comment = !strncmp(line + strspn(line, " \t"), "//", 2);
		if (!comment && last > first)
			json_array_append_new(array,
			                      json_pack("{s:i, s:i, s:s}", "startLine", first, "endLine", last, "kind", "comment"));
		last = comment ? position_line(f, at) : -1;
		first = !comment ? -1 : first < 0 ? last : first;
	}
}

json_t *folding_of(struct server *s, const json_t *params)
{
	const struct analysis *a = target_analysis(s, params);
	if (!a)
		return NULL;
	json_t *array = json_array();
	fold_items(a, sema_items(a->sema), array);
	fold_comments(analysis_source(a), array);
	return array;
}

/* The ranges around a place, from the inside out, each the parent of the one before. */
static json_t *selection_at(const struct server *s, const struct analysis *a, uint32_t offset)
{
	struct span around[MAX_AROUND];
	int n = spans_around(a, offset, around);
	uint32_t file = sema_source(a->sema);
	json_t *selection =
		json_pack("{s:o}", "range", server_range_json(s, a, (struct span){file, 0, analysis_source(a)->size}));
	for (int i = 0; i < n; i++) {
		if (i && around[i].lo == around[i - 1].lo && around[i].hi == around[i - 1].hi)
			continue;
		selection = json_pack("{s:o, s:o}", "range", server_range_json(s, a, around[i]), "parent", selection);
	}
	return selection;
}

json_t *selections_of(struct server *s, const json_t *params)
{
	struct document *d = server_target(s, params);
	const struct analysis *a = d ? server_analysis(s, d) : NULL;
	const json_t *place;
	size_t i;
	if (!a)
		return NULL;
	json_t *array = json_array();
	json_array_foreach (json_object_get(params, "positions"), i, place) {
		struct position p = {0, 0};
		position_read(place, &p);
		json_array_append_new(array, selection_at(s, a, (uint32_t)position_offset(d->text, d->size, p, s->utf8)));
	}
	return array;
}

/* The files that `use` names. */
json_t *links_of(struct server *s, const json_t *params)
{
	const struct analysis *a = target_analysis(s, params);
	if (!a)
		return NULL;
	json_t *array = json_array();
	for (int i = 0; i < a->n_references; i++) {
		const struct reference *r = &a->references[i];
		bool whole = r->kind == REFERENCE_MODULE && r->definition.hi == 0 && r->use.file == sema_source(a->sema);
		const char *uri = whole ? server_uri(s, &a->sources.files.at[r->definition.file]) : NULL;
		if (uri)
			json_array_append_new(array,
			                      json_pack("{s:o, s:s}", "range", server_range_json(s, a, r->use), "target", uri));
	}
	return array;
}

/* ---- between the lines ----------------------------------------------------------------------- */

enum { MAX_VERDICTS = 4 };

/* "8 ranks, 23.1 GiB of 75.8 GiB; ttft <= 10 s: holds": without the deployment's own name, and with verdicts once goals
 * are judged. */
static const char *lens_text(const struct server *s, const struct planned *p)
{
	const char *summary = planner_summary(s->arena, p->deploy, p->schedule, p->training);
	const char *rest = strstr(summary, ": ");
	struct text t = {.arena = s->arena};
	rest = rest ? rest + 2 : summary;
	text_add(&t, "%.*s", (int)strcspn(rest, "\n"), rest);
	for (int i = 0; i < p->goals.n && i < MAX_VERDICTS; i++)
		if (p->goals.at[i].verdict != GOAL_WRONG)
			text_add(&t, "; %s: %s", p->goals.at[i].text, goal_verdict_name(p->goals.at[i].verdict));
	return t.at;
}

static void add_lens(const struct server *s, const struct analysis *a, json_t *array, struct span at, const char *text)
{
	json_array_append_new(array, json_pack("{s:o, s:{s:s, s:s}}", "range", server_range_json(s, a, at), "command",
	                                       "title", text, "command", ""));
}

/* Collectives of the layer that has most, in a step of a program. */
static int layer_collectives(const struct schedule *s, const struct loop *loop, int program)
{
	int most = 0;
	for (int body = loop->first_body; body < loop->first_body + loop->n_bodies; body++) {
		int n = 0;
		for (int i = 0; i < s->collectives.n; i++) {
			const struct collective *c = &s->collectives.at[i];
			n += c->per_layer && c->program == program && c->body == body;
		}
		most = n > most ? n : most;
	}
	return most;
}

/* "Chat: collectives of a layer: prefill 4, decode 2" */
static const char *loop_text(const struct server *s, const struct planned *p, const struct loop *loop)
{
	struct text t = {.arena = s->arena};
	text_add(&t, "%s: collectives of a layer: ", p->deploy->name);
	for (int i = 0; i < p->schedule->programs.n; i++)
		text_add(&t, "%s%s %d", i ? ", " : "", p->schedule->programs.at[i].name,
		         layer_collectives(p->schedule, loop, i));
	return t.at;
}

json_t *lenses_of(struct server *s, const json_t *params)
{
	struct analysis *a = target_analysis(s, params);
	if (!a)
		return NULL;
	json_t *array = json_array();
	uint32_t file = sema_source(a->sema);
	for (int i = 0; i < a->n; i++) {
		const struct planned *p = analysis_planned(a, i);
		if (!p->deploy->program || p->deploy->refused)
			continue;
		const char *text = lens_text(s, p);
		add_lens(s, a, array, p->deploy->name_span,
		         a->sink.errors ? arena_printf(s->arena, "%s; the file has %d error%s", text, a->sink.errors,
		                                       plural(a->sink.errors))
		                        : text);
		for (int k = 0; p->schedule && k < p->deploy->program->loops.n; k++) {
			const struct loop *loop = &p->deploy->program->loops.at[k];
			if (loop->span.file == file)
				add_lens(s, a, array, loop->span, loop_text(s, p, loop));
		}
	}
	return array;
}

struct hinting {
	struct server *server;
	struct analysis *analysis;
	struct span within;
	json_t *hints;
};

static void add_hint(struct hinting *h, uint32_t offset, const char *text, const char *tooltip)
{
	const struct source *f = analysis_source(h->analysis);
	if (offset < h->within.lo || offset > h->within.hi)
		return;
	json_array_append_new(h->hints, json_pack("{s:o, s:s, s:b, s:b, s:s*}", "position",
	                                          position_json(position_at(f, offset, h->server->utf8)), "label", text,
	                                          "paddingLeft", 1, "paddingRight", 0, "tooltip", tooltip));
}

/* Is the value of no expression: what a loop carries, where the name is? */
static bool is_only_name(const struct analysis *a, const struct value *x)
{
	size_t n = strlen(x->name);
	return x->span.hi - x->span.lo == n && !strncmp(a->sources.files.at[x->span.file].text + x->span.lo, x->name, n);
}

/* The layout of each `let` and `param` of the file, in the first deployment that has it. */
static void hint_layouts(struct hinting *h, const struct planned *p, struct index *seen)
{
	uint32_t file = sema_source(h->analysis->sema);
	const struct local *l = p->local;
	for (int v = 0; l && v < l->program->values.n; v++) {
		const struct value *x = &l->program->values.at[v];
		int at = l->phase[PHASE_PREFILL].of_program[v];
		if (!x->name || x->span.file != file || at < 0 || is_only_name(h->analysis, x))
			continue;
		const char *key = arena_printf(h->server->arena, "%u", x->span.hi);
		if (index_find(seen, key) >= 0)
			continue;
		index_add(h->server->arena, seen, key);
		struct text t = {.arena = h->server->arena};
		text_add(&t, ": %s", dtype_name(l->phase[PHASE_PREFILL].values.at[at].dtype));
		local_layout_text(l, &l->phase[PHASE_PREFILL].values.at[at], &t);
		add_hint(h, x->span.hi, t.at, NULL);
	}
}

/* What an expression came out as: of a field that is set, of a derived one, of an axis. */
static void hint_values(struct hinting *h, struct nodes items)
{
	struct sema *sema = h->analysis->sema;
	for (int i = 0; i < items.n; i++) {
		const struct node *x = items.at[i], *v;
		hint_values(h, body_of(x));
		if (x->span.hi < h->within.lo || x->span.lo > h->within.hi)
			continue;
		const struct field *f = field_valued(h->analysis, x, &v);
		bool computed = f && (v->kind == N_BIN || v->kind == N_CALL || v->kind == N_IF);
		if (computed && f->progress == FIELD_DONE && field_is_given_by(f, v)
		    && (f->value.kind == V_INT || f->value.kind == V_FLOAT || f->value.kind == V_QUANTITY))
			add_hint(h, v->span.hi, arena_printf(h->server->arena, "= %s", val_show(sema, f->value)), NULL);
	}
}

/* What the lock chose for `auto`. */
static void hint_choices(struct hinting *h, struct index *seen)
{
	const struct analysis *a = h->analysis;
	for (int i = 0; i < a->open.n; i++) {
		const struct open_value *v = &a->open.at[i];
		const char *key = arena_printf(h->server->arena, "auto %u", v->at.hi);
		if (!v->chosen || strcmp(v->file, analysis_source(a)->path) != 0 || index_find(seen, key) >= 0)
			continue;
		index_add(h->server->arena, seen, key);
		add_hint(h, v->at.hi, chosen_hint(h->server->arena, a, v), chosen_by(h->server->arena, a));
	}
}

json_t *hints_of(struct server *s, const json_t *params)
{
	struct document *d = server_target(s, params);
	struct hinting h = {.server = s, .analysis = d ? server_analysis(s, d) : NULL};
	struct index seen = {0};
	if (!h.analysis || !server_range(s, json_object_get(params, "range"), d, &h.within))
		return NULL;
	h.hints = json_array();
	for (int i = 0; i < h.analysis->n; i++)
		hint_layouts(&h, analysis_planned(h.analysis, i), &seen);
	hint_values(&h, sema_items(h.analysis->sema));
	hint_choices(&h, &seen);
	return h.hints;
}
