/* The loop of the server: takes messages, keeps documents, and finds who answers a request. */
#include "server.h"
#include <string.h>
#include <unistd.h>

/* Messages that were read and not handled yet. */
struct waiting {
	json_t **at;
	int n, cap;
	struct arena arena;
};

/* ---- answers --------------------------------------------------------------------------------- */

json_t *server_fail(struct server *s, enum lsp_error error, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	s->error = error;
	s->message = arena_vprintf(s->arena, fmt, args);
	va_end(args);
	return NULL;
}

static json_t *message_json(void)
{
	json_t *message = json_object();
	json_set(message, "jsonrpc", json_string("2.0"));
	return message;
}

static void send_error(struct server *s, const json_t *id, enum lsp_error code, const char *text)
{
	json_t *message = message_json(), *error = json_object();
	json_set(error, "code", json_integer(code));
	json_set(error, "message", json_text(text));
	json_set(message, "id", id ? json_deep_copy(id) : json_null());
	json_set(message, "error", error);
	wire_send(&s->wire, message);
}

static void send_result(struct server *s, const json_t *id, json_t *result)
{
	json_t *message = message_json();
	json_set(message, "id", json_deep_copy(id));
	json_set(message, "result", result ? result : json_null());
	wire_send(&s->wire, message);
}

void server_notify(struct server *s, const char *method, json_t *params)
{
	json_t *message = message_json();
	json_set(message, "method", json_string(method));
	json_set(message, "params", params);
	wire_send(&s->wire, message);
}

static json_t *id_of(const char *text) { return json_loads(text, JSON_DECODE_ANY, NULL); }

void server_answer(struct server *s, const char *id, json_t *result)
{
	json_t *value = id_of(id);
	send_result(s, value, result);
	json_decref(value);
}

void server_reject(struct server *s, const char *id, enum lsp_error error, const char *text)
{
	json_t *value = id_of(id);
	send_error(s, value, error, text);
	json_decref(value);
}

void lsp_progress_send(struct server *s, json_t *token, const char *kind, const char *text, int percentage)
{
	json_t *value = json_pack("{s:s, s:o}", "kind", kind, strcmp(kind, "begin") ? "message" : "title", json_text(text));
	if (percentage >= 0)
		json_set(value, "percentage", json_integer(percentage));
	if (!strcmp(kind, "begin"))
		json_set(value, "cancellable", json_true());
	json_t *params = json_object();
	json_set(params, "token", token);
	json_set(params, "value", value);
	server_notify(s, "$/progress", params);
}

/* ---- documents ------------------------------------------------------------------------------- */

struct document *server_document(struct server *s, const char *uri)
{
	for (struct document *d = s->documents; d && uri; d = d->next)
		if (!strcmp(d->uri, uri))
			return d;
	return NULL;
}

struct analysis_options server_options(const struct server *s)
{
	return (struct analysis_options){&s->sema, s->documents, &s->options->target, s->deploy, s->spares};
}

struct analysis *server_analysis(struct server *s, struct document *d)
{
	if (d->stale) {
		struct analysis_options o = server_options(s);
		struct analysis *before = d->analysis;
		d->analysis = analysis_make(&o, d, before, false);
		analysis_free(before);
		d->stale = false;
		d->unsent = d->untimed = true;
	}
	return analysis_is_read(d->analysis) ? d->analysis : NULL;
}

bool server_judge(struct server *s, struct document *d)
{
	struct analysis_options o = server_options(s);
	struct analysis *before = d->analysis;
	if (before->untried && !before->tries) {
		d->analysis = analysis_make(&o, d, before, true);
		analysis_free(before);
	}
	return !d->analysis->status && analysis_judge(d->analysis);
}

/* ---- what changes documents ------------------------------------------------------------------ */

/* Texts that use the file of this key; NULL: all texts. */
void server_make_stale(struct server *s, const char *key)
{
	for (struct document *d = s->documents; d; d = d->next)
		d->stale |= !key || !d->analysis || !strcmp(d->key, key) || analysis_reads(d->analysis, key);
}

/* A text may have a NUL, as the file of it. `at` NULL: it is not a text. */
static struct file_text text_of(const json_t *json)
{
	return (struct file_text){json_string_value(json), json_string_length(json)};
}

static void did_open(struct server *s, const json_t *params)
{
	const json_t *item = json_object_get(params, "textDocument");
	const char *uri = json_string_value(json_object_get(item, "uri"));
	struct file_text text = text_of(json_object_get(item, "text"));
	if (!uri || !text.at || server_document(s, uri))
		return;
	struct document **end = &s->documents;
	while (*end)
		end = &(*end)->next;
	*end = document_open(uri, text, json_integer_value(json_object_get(item, "version")));
	server_make_stale(s, NULL); /* a `use` of this file may have failed */
}

static void did_close(struct server *s, const json_t *params)
{
	const char *uri = json_string_value(json_object_get(json_object_get(params, "textDocument"), "uri"));
	for (struct document **at = &s->documents; *at && uri; at = &(*at)->next) {
		struct document *d = *at;
		if (strcmp(d->uri, uri) != 0)
			continue;
		*at = d->next;
		diagnostics_clear(s, d);
		analysis_free(d->analysis);
		document_free(d);
		server_make_stale(s, NULL);
		return;
	}
}

/* A change without a range is the whole text; one with a range that cannot be is left out. */
static void apply(struct server *s, struct document *d, const json_t *change)
{
	struct file_text text = text_of(json_object_get(change, "text"));
	const json_t *range = json_object_get(change, "range");
	struct span at = {0, 0, (uint32_t)d->size};
	if (text.at && (!range || server_range(s, range, d, &at)))
		document_replace(d, at.lo, at.hi, text);
}

static void did_change(struct server *s, const json_t *params)
{
	const json_t *item = json_object_get(params, "textDocument"), *change;
	struct document *d = server_document(s, json_string_value(json_object_get(item, "uri")));
	size_t i;
	if (!d)
		return;
	json_array_foreach (json_object_get(params, "contentChanges"), i, change)
		apply(s, d, change);
	d->version = json_integer_value(json_object_get(item, "version"));
	server_make_stale(s, d->key);
}

/* ---- settings -------------------------------------------------------------------------------- */

static void did_change_configuration(struct server *s, const json_t *params)
{
	settings_read(s, json_object_get(params, "settings"));
}

static void did_change_files(struct server *s, const json_t *params)
{
	(void)params;
	server_make_stale(s, NULL);
}

/* ---- the beginning and the end --------------------------------------------------------------- */

static const json_t *member(const json_t *object, const char *path)
{
	char name[64];
	while (object && *path) {
		size_t n = strcspn(path, ".");
		memcpy(name, path, n);
		name[n] = 0;
		object = json_object_get(object, name);
		path += n + (path[n] == '.');
	}
	return object;
}

static bool has_word(const json_t *array, const char *word)
{
	size_t i;
	json_t *value;
	json_array_foreach (array, i, value)
		if (json_is_string(value) && !strcmp(json_string_value(value), word))
			return true;
	return false;
}

/* What the server can do. */
static const char capabilities[] =
	"{\"textDocumentSync\": {\"openClose\": true, \"change\": 2, \"save\": false},"
	" \"hoverProvider\": true,"
	" \"completionProvider\": {\"triggerCharacters\": [\".\", \":\", \"=\", \"{\", "
	"\">\", \" \"], \"resolveProvider\": true},"
	" \"signatureHelpProvider\": {\"triggerCharacters\": [\"(\", \",\"]},"
	" \"definitionProvider\": true,"
	" \"typeDefinitionProvider\": true,"
	" \"callHierarchyProvider\": true,"
	" \"documentRangeFormattingProvider\": true,"
	" \"referencesProvider\": true,"
	" \"documentHighlightProvider\": true,"
	" \"renameProvider\": {\"prepareProvider\": true, \"workDoneProgress\": true},"
	" \"documentSymbolProvider\": true,"
	" \"workspaceSymbolProvider\": {\"workDoneProgress\": true},"
	" \"documentFormattingProvider\": true,"
	" \"documentOnTypeFormattingProvider\": {\"firstTriggerCharacter\": \"}\"},"
	" \"codeActionProvider\": {\"codeActionKinds\": [\"quickfix\", \"source.fixAll\", \"refactor.rewrite\"]},"
	" \"codeLensProvider\": {\"resolveProvider\": false, \"workDoneProgress\": true},"
	" \"foldingRangeProvider\": true,"
	" \"selectionRangeProvider\": true,"
	" \"inlayHintProvider\": true,"
	" \"documentLinkProvider\": {\"resolveProvider\": false},"
	" \"semanticTokensProvider\": {\"full\": true},"
	" \"workspace\": {\"workspaceFolders\": {\"supported\": true,"
	" \"changeNotifications\": true}}}";
/* A client that shows diagnostics which are pushed as well as those that it pulls would show each twice, so it says
 * which it wants. */
static const char pulling[] =
	"{\"interFileDependencies\": true, \"workspaceDiagnostics\": true, \"workDoneProgress\": true}";

static json_t *constant(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);
	if (!value)
		internal_error("`%s` is not JSON", text);
	return value;
}

static json_t *capabilities_of(const struct server *s)
{
	json_t *all = constant(capabilities);
	json_set(all, "positionEncoding", json_string(s->utf8 ? "utf-8" : "utf-16"));
	json_set(json_object_get(all, "semanticTokensProvider"), "legend", semantic_legend());
	if (s->pulls)
		json_set(all, "diagnosticProvider", constant(pulling));
	return all;
}

enum { MAX_DELAY = 1000000 /* ms */ };

static json_t *initialize(struct server *s, const json_t *params)
{
	const json_t *client = json_object_get(params, "capabilities");
	if (s->state != STATE_NEW)
		return server_fail(s, LSP_INVALID_REQUEST, "`initialize` was sent before");
	s->state = STATE_RUNNING;
	s->utf8 = has_word(member(client, "general.positionEncodings"), "utf-8");
	s->snippets = json_is_true(member(client, "textDocument.completion.completionItem.snippetSupport"));
	s->label_offsets = json_is_true(
		member(client, "textDocument.signatureHelp.signatureInformation.parameterInformation.labelOffsetSupport"));
	s->watches = json_is_true(member(client, "workspace.didChangeWatchedFiles.dynamicRegistration"));
	s->refreshes_lenses = json_is_true(member(client, "workspace.codeLens.refreshSupport"));
	const char *diagnostics = json_string_value(member(params, "initializationOptions.diagnostics"));
	s->pulls = diagnostics && !strcmp(diagnostics, "pull");
	const json_t *delay = member(params, "initializationOptions.progress");
	if (json_is_integer(delay) && json_integer_value(delay) <= MAX_DELAY)
		s->progress.delay = (long)json_integer_value(delay);
	s->progress.creates = json_is_true(member(client, "window.workDoneProgress"));
	workspace_open(s, params);
	settings_read(s, json_object_get(params, "initializationOptions"));
	return json_pack("{s:o, s:{s:s, s:s}}", "capabilities", capabilities_of(s), "serverInfo", "name", "deployc",
	                 "version", DEPLOYC_VERSION);
}

/* Files that texts use, and their locks, which others may write. */
static const char watchers[] =
	"{\"registrations\": [{\"id\": \"deployc/files\", \"method\": \"workspace/didChangeWatchedFiles\", "
	"\"registerOptions\":"
	" {\"watchers\": [{\"globPattern\": \"**/*.deploy\"}, {\"globPattern\": \"**/*.lock\"}]}}]}";

static void initialized(struct server *s, const json_t *params)
{
	(void)params;
	lsp_progress_make(&s->progress);
	if (s->watches)
		wire_send(&s->wire, json_pack("{s:s, s:s, s:s, s:o}", "jsonrpc", "2.0", "id", "deployc/watch", "method",
		                              "client/registerCapability", "params", constant(watchers)));
}

static json_t *shutdown_server(struct server *s, const json_t *params)
{
	(void)params;
	s->state = STATE_SHUT;
	workspace_give_up(s);
	return NULL;
}

static void exit_server(struct server *s, const json_t *params)
{
	(void)params;
	s->wire.over = true;
	s->wire.begin = s->wire.end;
	if (s->state == STATE_SHUT)
		s->state = STATE_ENDED;
}

/* ---- methods --------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	request_handler *answer;
} requests[] = {
	{"initialize", initialize},
	{"shutdown", shutdown_server},
	{"textDocument/hover", hover_at},
	{"textDocument/completion", complete_at},
	{"completionItem/resolve", complete_item},
	{"textDocument/definition", definition_of},
	{"textDocument/signatureHelp", signature_at},
	{"textDocument/typeDefinition", type_definition_of},
	{"textDocument/prepareCallHierarchy", hierarchy_prepare},
	{"callHierarchy/incomingCalls", hierarchy_incoming},
	{"callHierarchy/outgoingCalls", hierarchy_outgoing},
	{"textDocument/references", references_of},
	{"textDocument/documentHighlight", highlights_of},
	{"textDocument/prepareRename", prepare_rename},
	{"textDocument/rename", rename_at},
	{"textDocument/documentSymbol", symbols_of},
	{"workspace/symbol", workspace_symbols},
	{"textDocument/formatting", format_document},
	{"textDocument/rangeFormatting", format_range},
	{"textDocument/onTypeFormatting", format_typed},
	{"textDocument/codeAction", actions_of},
	{"textDocument/codeLens", lenses_of},
	{"textDocument/foldingRange", folding_of},
	{"textDocument/selectionRange", selections_of},
	{"textDocument/inlayHint", hints_of},
	{"textDocument/documentLink", links_of},
	{"textDocument/diagnostic", diagnostics_pull},
	{"workspace/diagnostic", workspace_diagnostics},
	{"textDocument/semanticTokens/full", semantic_tokens},
};
static const struct {
	const char *name;
	void (*take)(struct server *s, const json_t *params);
} notifications[] = {
	{"exit", exit_server},
	{"textDocument/didOpen", did_open},
	{"textDocument/didChange", did_change},
	{"textDocument/didClose", did_close},
	{"workspace/didChangeConfiguration", did_change_configuration},
	{"workspace/didChangeWatchedFiles", did_change_files},
	{"workspace/didChangeWorkspaceFolders", workspace_folders_changed},
	{"initialized", initialized},
	{"$/cancelRequest", workspace_cancel},
};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static void take_notification(struct server *s, const char *method, const json_t *params)
{
	bool early = s->state == STATE_NEW || s->state == STATE_SHUT;
	for (size_t i = 0; i < COUNT(notifications); i++)
		if (!strcmp(notifications[i].name, method) && (!early || notifications[i].take == exit_server))
			notifications[i].take(s, params);
}

static request_handler *find_request(const char *method)
{
	for (size_t i = 0; i < COUNT(requests); i++)
		if (!strcmp(requests[i].name, method))
			return requests[i].answer;
	return NULL;
}

static void answer_request(struct server *s, const json_t *id, const char *method, const json_t *params)
{
	request_handler *answer = find_request(method);
	json_t *result = NULL;
	s->error = (enum lsp_error)0;
	s->id = id;
	s->deferred = false;
	if (s->state == STATE_NEW && answer != initialize)
		server_fail(s, LSP_NOT_INITIALIZED, "`initialize` comes first");
	else if (s->state == STATE_SHUT)
		server_fail(s, LSP_INVALID_REQUEST, "the server was shut down");
	else if (!answer)
		server_fail(s, LSP_UNKNOWN_METHOD, "there is no method `%s`", method);
	else
		result = answer(s, params);
	lsp_progress_done(&s->progress); /* the request's token ends with its answer */
	if (s->error)
		send_error(s, id, s->error, s->message);
	else if (!s->deferred)
		send_result(s, id, result);
}

/* ---- work ------------------------------------------------------------------------------------ */

struct job {
	struct server *server;
	struct heap heap;
	struct arena arena;
	const json_t *message;
	struct document *document; /* without a message: its diagnostics are due; NULL: a file of the workspace is */
};

static int do_message(struct job *j)
{
	const json_t *id = json_object_get(j->message, "id");
	const char *method = json_string_value(json_object_get(j->message, "method"));
	const json_t *params = json_object_get(j->message, "params");
	if (method && id)
		answer_request(j->server, id, method, params);
	else if (method)
		take_notification(j->server, method, params);
	else if (json_object_get(j->message, "result") || json_object_get(j->message, "error"))
		lsp_progress_made(&j->server->progress, id, !json_object_get(j->message, "error"));
	else
		send_error(j->server, id, LSP_INVALID_REQUEST, "a message has a method");
	return 0;
}

static int do_job(void *context)
{
	struct job *j = context;
	j->arena.heap = &j->heap;
	j->server->arena = &j->arena;
	if (j->message)
		return do_message(j);
	if (j->document)
		diagnostics_push(j->server, j->document);
	else
		workspace_step(j->server);
	return 0;
}

/* What a client shows while the work runs: "checking a.deploy". */
static void watch(struct server *s, const struct job *j)
{
	const json_t *params = json_object_get(j->message, "params"), *token = json_object_get(params, "workDoneToken");
	const char *uri = json_string_value(json_object_get(json_object_get(params, "textDocument"), "uri"));
	const char *method = json_string_value(json_object_get(j->message, "method"));
	uri = j->document ? j->document->uri : uri;
	const char *slash = uri ? strrchr(uri, '/') : NULL;
	char title[128];
	snprintf(title, sizeof title, "checking %.100s", slash ? slash + 1 : "files");
	bool has_own = method ? !strcmp(method, "workspace/diagnostic") : !j->document;
	if (!has_own)
		lsp_progress_watch(&s->progress, token, title);
}

static void send_given_up(struct server *s, const json_t *id, int status, const char *said)
{
	char text[MAX_SAID + 64];
	snprintf(text, sizeof text, "internal error in deployc at %s", said);
	send_error(s, id, LSP_INTERNAL_ERROR, status == EXIT_MEMORY ? "deployc has no memory left for this" : text);
}

static void run_job(struct server *s, struct job *j)
{
	j->server = s;
	const json_t *id = json_object_get(j->message, "id");
	watch(s, j);
	int status = heap_run(&j->heap, do_job, j);
	lsp_progress_done(&s->progress);
	if (status && id && json_object_get(j->message, "method"))
		send_given_up(s, id, status, j->heap.said);
}

/* Sends the diagnostics that are due for one document: those that were not sent, then those of goals; then checks a
 * file of the workspace. false: nothing is due. */
static bool work_ahead(struct server *s)
{
	for (int times = 0; times < 2 && !s->pulls; times++)
		for (struct document *d = s->documents; d; d = d->next)
			if (times ? d->untimed : d->stale || d->unsent) {
				struct job j = {.document = d};
				run_job(s, &j);
				return true;
			}
	struct job j = {0};
	bool waits = workspace_waits(s);
	if (waits)
		run_job(s, &j);
	return waits;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void read_ahead(struct server *s, struct waiting *q, bool wait)
{
	json_t *message;
	for (enum wire_result r; (r = wire_next(&s->wire, wait && !q->n, &message)) <= WIRE_BAD;) {
		if (r == WIRE_NOTHING)
			return;
		if (r == WIRE_MESSAGE && json_is_object(message))
			vec_push(&q->arena, q, message);
		else
			send_error(s, NULL, r == WIRE_BAD ? LSP_PARSE_ERROR : LSP_INVALID_REQUEST, "a message is a JSON object");
		if (r == WIRE_MESSAGE && !json_is_object(message))
			json_decref(message);
	}
}

/* Is the request cancelled by a message that was read ahead? */
static bool is_cancelled(const struct waiting *q, const json_t *request)
{
	const json_t *id = json_object_get(request, "id");
	for (int i = 0; i < q->n && id; i++) {
		const char *method = json_string_value(json_object_get(q->at[i], "method"));
		const json_t *params = json_object_get(q->at[i], "params");
		if (method && !strcmp(method, "$/cancelRequest") && json_equal(json_object_get(params, "id"), id))
			return true;
	}
	return false;
}

static void handle_first(struct server *s, struct waiting *q)
{
	json_t *message = q->at[0];
	memmove(q->at, q->at + 1, sizeof *q->at * (size_t)--q->n);
	struct job j = {.message = message};
	if (is_cancelled(q, message))
		send_error(s, json_object_get(message, "id"), LSP_CANCELLED, "the request was cancelled");
	else
		run_job(s, &j);
	json_decref(message);
}

static void end(struct server *s, struct waiting *q)
{
	for (int i = 0; i < q->n; i++)
		json_decref(q->at[i]);
	arena_free(&q->arena);
	while (s->documents) {
		struct document *d = s->documents;
		s->documents = d->next;
		analysis_free(d->analysis);
		document_free(d);
	}
	workspace_close(s);
	lsp_progress_close(&s->progress);
	arena_free(&s->settings);
	wire_free(&s->wire);
}

struct reading_library {
	struct server *server;
	struct arena *arena;
};

static int read_library(void *context)
{
	struct reading_library *r = context;
	r->server->files = r->server->sema.library = library_read(r->arena);
	return 0;
}

int lsp_serve(const struct lsp_options *o, int in, int out)
{
	struct server s = {.options = o,
	                   .wire = {.in = in, .out = out, .writing = PTHREAD_MUTEX_INITIALIZER},
	                   .sema = o->sema,
	                   .deploy = o->deploy};
	struct arena arena = {0};
	struct spares spares = {.n = 0};
	struct waiting q = {0};
	struct heap heap = {0};
	s.spares = &spares;
	heap_run(&heap, read_library, &(struct reading_library){&s, &arena});
	lsp_progress_open(&s.progress, &s.wire);
	s.library = library_folder(&arena);
	while (!(s.wire.over && !q.n) && s.state != STATE_ENDED) {
		read_ahead(&s, &q, false);
		if (q.n)
			handle_first(&s, &q);
		else if (!work_ahead(&s))
			read_ahead(&s, &q, true);
	}
	end(&s, &q);
	spares_free(&spares);
	arena_free(&arena);
	return s.state == STATE_ENDED ? 0 : 1;
}
