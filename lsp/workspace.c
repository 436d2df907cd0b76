/* The folders of a workspace, and the diagnostics of their files that are not open. These are computed one file at a
 * time, when no message waits, so that an answer to another request never waits for the whole workspace. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "server.h"
#include "../support/hash.h"

enum { MAX_FILES = 10000, MAX_DEPTH = 32 /* folders in each other */, MAX_FILE = 1 << 24 /* bytes */ };

struct folder {
	struct arena arena; /* owned by no heap, as all of these */
	const char *uri, *path;
	struct folder *next;
};

/* A request for the diagnostics of the workspace that is not answered yet. JSON is kept as text: values live only as
 * long as the work on a message. */
struct sweep {
	struct arena arena;
	const char *id, *partial, *done; /* the request, and its tokens; NULL: none */
	const char *previous;            /* [{uri, value}]: reports that the client has */
	VEC(const char *) files;
	VEC(const char *) reports; /* that were not sent as a partial result */
	int at;                    /* the file that is next */
	struct document *document; /* the one being checked */
	struct sweep *next;
};

/* ---- folders --------------------------------------------------------------------------------- */

static void add_folder(struct server *s, const char *uri)
{
	const char *path = uri ? uri_path(s->arena, uri) : NULL;
	if (!path)
		return;
	struct folder *f = heap_alloc(NULL, sizeof *f);
	f->uri = arena_printf(&f->arena, "%s", uri);
	f->path = arena_printf(&f->arena, "%s", path);
	f->next = s->folders;
	s->folders = f;
}

static void remove_folder(struct server *s, const char *uri)
{
	for (struct folder **at = &s->folders; *at && uri; at = &(*at)->next) {
		struct folder *f = *at;
		if (strcmp(f->uri, uri) != 0)
			continue;
		*at = f->next;
		arena_free(&f->arena);
		heap_free(f);
		return;
	}
}

void workspace_open(struct server *s, const json_t *params)
{
	const json_t *folders = json_object_get(params, "workspaceFolders"), *folder;
	size_t i;
	json_array_foreach (folders, i, folder)
		add_folder(s, json_string_value(json_object_get(folder, "uri")));
	if (!json_is_array(folders))
		add_folder(s, json_string_value(json_object_get(params, "rootUri")));
}

void workspace_folders_changed(struct server *s, const json_t *params)
{
	const json_t *event = json_object_get(params, "event"), *folder;
	size_t i;
	json_array_foreach (json_object_get(event, "removed"), i, folder)
		remove_folder(s, json_string_value(json_object_get(folder, "uri")));
	json_array_foreach (json_object_get(event, "added"), i, folder)
		add_folder(s, json_string_value(json_object_get(folder, "uri")));
}

/* ---- files ----------------------------------------------------------------------------------- */

struct listing {
	struct arena *arena;
	VEC(const char *) files;
	struct index seen;
};

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Names in a folder, sorted, without hidden ones. */
static char **names_in(struct arena *a, const char *folder, int *n)
{
	VEC(char *) names = {0};
	DIR *dir = opendir(folder);
	for (struct dirent *e; dir && (e = readdir(dir));)
		if (e->d_name[0] != '.')
			vec_push(a, &names, arena_printf(a, "%s", e->d_name));
	if (dir)
		closedir(dir);
	if (names.n)
		qsort(names.at, (size_t)names.n, sizeof *names.at, by_text);
	*n = names.n;
	return names.at;
}

static bool is_spec(const char *name)
{
	size_t n = strlen(name), suffix = strlen(".deploy");
	return n > suffix && !strcmp(name + n - suffix, ".deploy");
}

/* Regular files below a folder; links are not followed, so that there is no circle. */
static void list_files(struct listing *l, const char *folder, int depth)
{
	int n;
	char **names = names_in(l->arena, folder, &n);
	for (int i = 0; i < n && l->files.n < MAX_FILES; i++) {
		const char *path = arena_printf(l->arena, "%s/%s", folder, names[i]);
		struct stat st;
		if (lstat(path, &st))
			continue;
		if (S_ISDIR(st.st_mode) && depth < MAX_DEPTH)
			list_files(l, path, depth + 1);
		const char *real = S_ISREG(st.st_mode) && is_spec(path) ? real_path(l->arena, path) : NULL;
		if (!real || index_find(&l->seen, real) >= 0)
			continue;
		index_add(l->arena, &l->seen, real);
		vec_push(l->arena, &l->files, real);
	}
}

const char *const *workspace_files(struct server *s, int *n)
{
	struct listing l = {.arena = s->arena};
	for (const struct folder *f = s->folders; f; f = f->next)
		list_files(&l, f->path, 0);
	*n = l.files.n;
	return l.files.at;
}

bool workspace_is_open(const struct server *s, const char *path)
{
	for (const struct document *d = s->documents; d; d = d->next)
		if (!strcmp(d->key, path))
			return true;
	return false;
}

/* ---- requests for all diagnostics ------------------------------------------------------------ */

/* Text of a value, in an arena of the sweep; NULL: there is none. */
static const char *kept(struct sweep *w, const json_t *value)
{
	char *text = value && !json_is_null(value) ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	const char *copy = text ? arena_printf(&w->arena, "%s", text) : NULL;
	if (text)
		json_text_free(text);
	return copy;
}

static json_t *value_of(const char *text) { return json_loads(text, JSON_DECODE_ANY, NULL); }

json_t *workspace_diagnostics(struct server *s, const json_t *params)
{
	struct sweep *w = heap_alloc(NULL, sizeof *w), **end = &s->sweeps;
	w->id = kept(w, s->id);
	w->partial = kept(w, json_object_get(params, "partialResultToken"));
	w->done = kept(w, json_object_get(params, "workDoneToken"));
	w->previous = kept(w, json_object_get(params, "previousResultIds"));
	int n;
	const char *const *files = workspace_files(s, &n);
	for (int i = 0; i < n; i++)
		vec_push(&w->arena, &w->files, (const char *)arena_printf(&w->arena, "%s", files[i]));
	while (*end)
		end = &(*end)->next;
	*end = w;
	s->deferred = true;
	if (w->done)
		lsp_progress_send(s, value_of(w->done), "begin", "checking the workspace", 0);
	return NULL;
}

static void drop_document(struct sweep *w)
{
	if (!w->document)
		return;
	analysis_free(w->document->analysis);
	document_free(w->document);
	w->document = NULL;
}

static void drop(struct server *s, struct sweep *w)
{
	struct sweep **at = &s->sweeps;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	drop_document(w);
	arena_free(&w->arena);
	heap_free(w);
}

static void cancel(struct server *s, struct sweep *w)
{
	if (w->done)
		lsp_progress_send(s, value_of(w->done), "end", "cancelled", -1);
	server_reject(s, w->id, LSP_CANCELLED, "the request was cancelled");
	drop(s, w);
}

void workspace_cancel(struct server *s, const json_t *params)
{
	for (struct sweep *w = s->sweeps; w; w = w->next) {
		json_t *id = value_of(w->id);
		bool same = json_equal(id, json_object_get(params, "id"));
		json_decref(id);
		if (same) {
			cancel(s, w);
			return;
		}
	}
}

void workspace_give_up(struct server *s)
{
	while (s->sweeps)
		cancel(s, s->sweeps);
}

/* ---- one file -------------------------------------------------------------------------------- */

/* The report that the client has of a file; NULL: none. */
static const char *known_result(struct server *s, const struct sweep *w, const char *uri)
{
	json_t *all = w->previous ? value_of(w->previous) : NULL, *one;
	const char *found = NULL;
	size_t i;
	json_array_foreach (all, i, one) {
		const char *other = json_string_value(json_object_get(one, "uri"));
		const char *value = json_string_value(json_object_get(one, "value"));
		if (other && value && !strcmp(other, uri))
			found = arena_printf(s->arena, "%s", value);
	}
	json_decref(all);
	return found;
}

static json_t *report_json(struct server *s, const struct sweep *w, const char *uri, json_t *items)
{
	char *text = json_dumps(items, JSON_COMPACT);
	const char *result = arena_printf(s->arena, "%016llx", (unsigned long long)fnv1a(FNV_EMPTY, text, strlen(text)));
	json_text_free(text);
	const char *known = known_result(s, w, uri);
	bool same = known && !strcmp(known, result);
	json_t *report = json_pack("{s:s, s:s, s:n, s:s}", "kind", same ? "unchanged" : "full", "uri", uri, "version",
	                           "resultId", result);
	if (same)
		json_decref(items);
	else
		json_set(report, "items", items);
	return report;
}

static void deliver(struct server *s, struct sweep *w, json_t *report)
{
	if (!w->partial) {
		vec_push(&w->arena, &w->reports, kept(w, report));
		json_decref(report);
		return;
	}
	json_t *params = json_object();
	json_set(params, "token", value_of(w->partial));
	json_set(params, "value", json_pack("{s:[o]}", "items", report));
	server_notify(s, "$/progress", params);
}

static void check_file(struct server *s, struct sweep *w, const char *path)
{
	struct file_text text;
	const char *uri = path_uri(s->arena, path);
	if (workspace_is_open(s, path) || !file_read_regular(s->arena, path, MAX_FILE, &text))
		return;
	w->document = document_open(uri, text, 0);
	deliver(s, w, report_json(s, w, uri, diagnostics_all(s, w->document)));
	drop_document(w);
}

/* A file of which the client has a report, and which was deleted since, has no diagnostics. */
static void clear_vanished(struct server *s, struct sweep *w)
{
	json_t *all = w->previous ? value_of(w->previous) : NULL, *one;
	size_t i;
	json_array_foreach (all, i, one) {
		const char *uri = json_string_value(json_object_get(one, "uri"));
		const char *path = uri ? uri_path(s->arena, uri) : NULL;
		bool there = !path;
		for (int k = 0; k < w->files.n && !there; k++)
			there = !strcmp(w->files.at[k], path);
		if (!there && !server_document(s, uri))
			deliver(s, w, report_json(s, w, uri, json_array()));
	}
	json_decref(all);
}

static void finish(struct server *s, struct sweep *w)
{
	clear_vanished(s, w);
	json_t *items = json_array();
	for (int i = 0; i < w->reports.n; i++)
		json_array_append_new(items, value_of(w->reports.at[i]));
	if (w->done)
		lsp_progress_send(s, value_of(w->done), "end", arena_printf(s->arena, "%d files", w->files.n), -1);
	server_answer(s, w->id, json_pack("{s:o}", "items", items));
	drop(s, w);
}

bool workspace_waits(const struct server *s) { return s->sweeps; }

void workspace_step(struct server *s)
{
	struct sweep *w = s->sweeps;
	drop_document(w); /* of a file whose check was given up */
	if (w->at >= w->files.n) {
		if (w->at++ == w->files.n)
			finish(s, w);
		else /* the answer was given up */
			drop(s, w);
		return;
	}
	const char *path = w->files.at[w->at++];
	if (w->done)
		lsp_progress_send(s, value_of(w->done), "report", strrchr(path, '/') + 1, 100 * (w->at - 1) / w->files.n);
	check_file(s, w, path);
}

void workspace_close(struct server *s)
{
	while (s->sweeps)
		drop(s, s->sweeps);
	while (s->folders)
		remove_folder(s, s->folders->uri);
}
