/* Diagnostics of a document, and the edits that they offer. */
#include "server.h"
#include <string.h>

enum severity { SEVERITY_ERROR = 1, SEVERITY_WARNING = 2 };
enum { TAG_UNNECESSARY = 1, MAX_RELATED = 16 };

/* ---- where ----------------------------------------------------------------------------------- */

static bool is_main(const struct analysis *a, struct span at) { return at.file == sema_source(a->sema); }

/* The `use` of the document that reads another file, or its first item. */
static struct span use_of(const struct analysis *a, uint32_t file)
{
	struct nodes items = sema_items(a->sema);
	struct span first = items.n ? items.at[0]->span : (struct span){sema_source(a->sema), 0, 0};
	for (int i = 0; i < a->n_references; i++)
		if (a->references[i].kind == REFERENCE_MODULE && a->references[i].definition.file == file
		    && is_main(a, a->references[i].use))
			return a->references[i].use;
	for (int i = 0; i < items.n; i++)
		if (items.at[i]->kind == N_USE_FILE)
			return items.at[i]->span;
	return first;
}

/* A place in the document: that of the mistake, else the first that the mistake names there, else the `use` of the file
 * that has it. */
static struct span place_of(const struct analysis *a, const struct diag *d)
{
	if (is_main(a, d->at))
		return d->at;
	for (int i = 0; i < d->related.n; i++)
		if (is_main(a, d->related.at[i].at))
			return d->related.at[i].at;
	return use_of(a, d->at.file);
}

/* ---- as JSON --------------------------------------------------------------------------------- */

/* The message, and below it the arithmetic and the help. */
static const char *text_of(struct arena *arena, const struct analysis *a, const struct diag *d)
{
	struct text t = {.arena = arena};
	text_add(&t, "%s", d->message);
	if (d->label)
		text_add(&t, ": %s", d->label);
	if (!is_main(a, d->at))
		text_add(&t, "\nin %s", a->sources.files.at[d->at.file].label);
	for (int i = 0; i < d->table.n; i++)
		text_add(&t, "\n%s", d->table.at[i]);
	for (int i = 0; i < d->notes.n; i++)
		text_add(&t, "\n%s", d->notes.at[i]);
	if (d->help)
		text_add(&t, "\nhelp: %s", d->help);
	return t.at;
}

static void add_related(struct server *s, const struct analysis *a, json_t *array, struct span at, const char *text)
{
	json_t *location = location_json(s, &a->sources, at);
	if (!location)
		return;
	json_t *related = json_object();
	json_set(related, "location", location);
	json_set(related, "message", json_text(text));
	json_array_append_new(array, related);
}

static json_t *related_json(struct server *s, const struct analysis *a, const struct diag *d)
{
	json_t *array = json_array();
	if (!is_main(a, d->at))
		add_related(s, a, array, d->at, d->message);
	for (int i = 0; i < d->related.n && i < MAX_RELATED; i++)
		add_related(s, a, array, d->related.at[i].at, d->related.at[i].text);
	return array;
}

static bool is_fixable(const struct analysis *a, const struct diag *d) { return d->fix && is_main(a, d->fix_at); }

/* What a client sends back with a request for actions: the edit. */
static json_t *data_json(const struct server *s, const struct analysis *a, const struct diag *d)
{
	json_t *data = json_object();
	if (is_fixable(a, d))
		json_set(data, "fix", text_edit_json(s, a, d->fix_at, d->fix));
	return data;
}

static json_t *diagnostic_json(struct server *s, const struct analysis *a, const struct diag *d)
{
	json_t *json = json_object();
	const char *page = library_explain(s, d->code);
	json_set(json, "range", server_range_json(s, a, place_of(a, d)));
	json_set(json, "severity", json_integer(diag_is_error(d->code) ? SEVERITY_ERROR : SEVERITY_WARNING));
	json_set(json, "code", json_string(diag_code_name(d->code)));
	if (page)
		json_set(json, "codeDescription", json_pack("{s:s}", "href", page));
	json_set(json, "source", json_string("deployc"));
	json_set(json, "message", json_text(text_of(s->arena, a, d)));
	json_set(json, "relatedInformation", related_json(s, a, d));
	if (d->code == DIAG_W0013 || d->code == DIAG_W0511)
		json_set(json, "tags", json_pack("[i]", TAG_UNNECESSARY));
	json_set(json, "data", data_json(s, a, d));
	return json;
}

/* The passes were given up: what they found before is shown with this. */
static json_t *given_up_json(struct server *s, const struct analysis *a)
{
	const char *text = a && a->status == EXIT_MEMORY
	                       ? "deployc has no memory left to check this text"
	                       : arena_printf(s->arena,
	                                      "internal error in deployc%s%s\nThis is a bug in deployc, not in the spec. "
	                                      "What was found before it is shown. Report it with the spec.",
	                                      a && *a->error ? " at " : "", a ? a->error : "");
	return json_pack("{s:{s:{s:i, s:i}, s:{s:i, s:i}}, s:i, s:s, s:o}", "range", "start", "line", 0, "character", 0,
	                 "end", "line", 0, "character", 1, "severity", SEVERITY_ERROR, "source", "deployc", "message",
	                 json_text(text));
}

static json_t *diagnostics_json(struct server *s, struct document *d)
{
	json_t *array = json_array();
	struct analysis *a = server_analysis(s, d);
	if (!d->analysis || d->analysis->status)
		json_array_append_new(array, given_up_json(s, d->analysis));
	struct diag *const *sorted = a ? diag_sorted(&a->sink) : NULL;
	for (int i = 0; a && i < a->sink.diags.n; i++)
		if (!sorted[i]->allowed)
			json_array_append_new(array, diagnostic_json(s, a, sorted[i]));
	return array;
}

static void publish(struct server *s, const struct document *d, json_t *diagnostics)
{
	json_t *params = json_object();
	json_set(params, "uri", json_text(d->uri));
	json_set(params, "version", json_integer(d->version));
	json_set(params, "diagnostics", diagnostics);
	server_notify(s, "textDocument/publishDiagnostics", params);
}

/* Lenses have verdicts once goals are judged. */
static void refresh_lenses(struct server *s)
{
	if (s->refreshes_lenses)
		wire_send(&s->wire, json_pack("{s:s, s:s, s:s, s:n}", "jsonrpc", "2.0", "id", "deployc/lenses", "method",
		                              "workspace/codeLens/refresh", "params"));
}

void diagnostics_push(struct server *s, struct document *d)
{
	bool judges = !d->stale && !d->unsent;
	if (judges) { /* marked first: if this is given up, it is not tried again */
		d->untimed = false;
		d->untimed = server_judge(s, d);
		if (!d->untimed)
			refresh_lenses(s);
		if (d->untimed || (d->analysis->sink.diags.n == d->sent && !d->analysis->tries && !d->analysis->status))
			return;
	}
	d->unsent = true;
	json_t *all = diagnostics_json(s, d);
	d->unsent = false;
	d->untimed = !judges && d->analysis && !d->analysis->status;
	d->sent = d->analysis ? d->analysis->sink.diags.n : 0;
	publish(s, d, all);
}

void diagnostics_clear(struct server *s, const struct document *d) { publish(s, d, json_array()); }

json_t *diagnostics_all(struct server *s, struct document *d)
{
	bool more = server_analysis(s, d) && d->untimed && !d->analysis->status;
	while (more)
		more = server_judge(s, d);
	d->untimed = false;
	return diagnostics_json(s, d);
}

json_t *diagnostics_pull(struct server *s, const json_t *params)
{
	struct document *d = server_target(s, params);
	if (!d)
		return NULL;
	json_t *report = json_object();
	json_set(report, "kind", json_string("full"));
	json_set(report, "items", diagnostics_all(s, d));
	return report;
}

/* ---- actions --------------------------------------------------------------------------------- */

struct acting {
	struct server *server;
	struct document *document;
	const struct analysis *analysis;
	struct span at;       /* where actions are asked for */
	const json_t *only;   /* kinds that are wanted; NULL: all */
	bool all[DIAG_COUNT]; /* codes of which all fixes were offered */
	json_t *actions;
};

static bool touches(struct span a, struct span b) { return a.lo <= b.hi && b.lo <= a.hi; }

/* Is it of a wanted kind, or below one: `quickfix.a` is below `quickfix`? */
static bool is_wanted(const json_t *only, const char *kind)
{
	size_t i, n;
	json_t *wanted;
	json_array_foreach (only, i, wanted) {
		const char *name = json_is_string(wanted) ? json_string_value(wanted) : "";
		n = strlen(name);
		if (!strncmp(name, kind, n) && (!kind[n] || kind[n] == '.' || !n))
			return true;
	}
	return !json_is_array(only);
}

static void add_action(struct acting *t, const char *kind, const char *title, json_t *diagnostics, json_t *edits,
                       bool preferred)
{
	json_t *action = json_object(), *edit = workspace_edit_json(t->document->uri, edits);
	json_set(action, "title", json_text(title));
	json_set(action, "kind", json_string(kind));
	if (diagnostics)
		json_set(action, "diagnostics", diagnostics);
	if (preferred)
		json_set(action, "isPreferred", json_true());
	json_set(action, "edit", edit);
	if (is_wanted(t->only, kind))
		json_array_append_new(t->actions, action);
	else
		json_decref(action);
}

static json_t *one(json_t *value)
{
	json_t *array = json_array();
	json_array_append_new(array, value);
	return array;
}

/* Later edits that overlap one before are left out: a client cannot apply both. */
static json_t *fixes_of(const struct acting *t, enum diag_code code, int *n)
{
	const struct analysis *a = t->analysis;
	struct diag *const *sorted = diag_sorted(&a->sink);
	json_t *edits = json_array();
	uint32_t end = 0;
	*n = 0;
	for (int i = 0; i < a->sink.diags.n; i++) {
		const struct diag *d = sorted[i];
		if (d->code != code || d->allowed || !is_fixable(a, d) || (*n && d->fix_at.lo < end))
			continue;
		json_array_append_new(edits, text_edit_json(t->server, a, d->fix_at, d->fix));
		end = d->fix_at.hi;
		++*n;
	}
	return edits;
}

static void offer_fix(struct acting *t, const struct diag *d)
{
	struct arena *a = t->server->arena;
	int n;
	const char *title = d->help ? d->help : *d->fix ? arena_printf(a, "replace by `%s`", d->fix) : "delete this";
	add_action(t, "quickfix", title, one(diagnostic_json(t->server, t->analysis, d)),
	           one(text_edit_json(t->server, t->analysis, d->fix_at, d->fix)), true);
	bool again = t->all[d->code];
	t->all[d->code] = true;
	json_t *all = fixes_of(t, d->code, &n);
	if (n > 1 && !again)
		add_action(t, "source.fixAll", arena_printf(a, "fix all %d of %s", n, diag_code_name(d->code)), NULL, all,
		           false);
	else
		json_decref(all);
}

/* A comment above the line, in its column. */
static void offer_allow(struct acting *t, const struct diag *d)
{
	struct arena *a = t->server->arena;
	const struct source *f = analysis_source(t->analysis);
	uint32_t line = f->lines[source_line(f, d->at.lo)];
	int indent = (int)strspn(f->text + line, " \t");
	const char *name = diag_code_name(d->code);
	const char *comment = arena_printf(a, "%.*s// deploy: allow %s the reason\n", indent, f->text + line, name);
	struct span at = {d->at.file, line, line};
	add_action(t, "quickfix", arena_printf(a, "allow %s here, with a reason", name),
	           one(diagnostic_json(t->server, t->analysis, d)),
	           one(text_edit_json(t->server, t->analysis, at, comment)), false);
}

json_t *actions_of(struct server *s, const json_t *params)
{
	struct acting t = {.server = s, .document = server_target(s, params)};
	if (!t.document)
		return NULL;
	t.analysis = server_analysis(s, t.document);
	t.actions = json_array();
	t.only = json_object_get(json_object_get(params, "context"), "only");
	if (!t.analysis || !server_range(s, json_object_get(params, "range"), t.document, &t.at))
		return t.actions;
	struct diag *const *sorted = diag_sorted(&t.analysis->sink);
	for (int i = 0; i < t.analysis->sink.diags.n; i++) {
		const struct diag *d = sorted[i];
		if (d->allowed || !touches(place_of(t.analysis, d), t.at))
			continue;
		if (is_fixable(t.analysis, d))
			offer_fix(&t, d);
		if (!diag_is_error(d->code) && is_main(t.analysis, d->at))
			offer_allow(&t, d);
	}
	if (is_wanted(t.only, "refactor.rewrite"))
		spell_actions(s, t.document, t.analysis, t.at.lo, t.actions);
	return t.actions;
}
