/* Places of requests in documents, and places in sources as JSON. */
#include "server.h"
#include <string.h>

/* ---- of requests ----------------------------------------------------------------------------- */

struct document *server_target(struct server *s, const json_t *params)
{
	const char *uri = json_string_value(json_object_get(json_object_get(params, "textDocument"), "uri"));
	struct document *d = server_document(s, uri);
	if (!d)
		server_fail(s, LSP_INVALID_PARAMS, "`%s` is not open", uri ? uri : "");
	return d;
}

bool server_place(struct server *s, const json_t *params, struct place_at *out)
{
	struct position p;
	out->document = server_target(s, params);
	if (!out->document)
		return false;
	if (!position_read(json_object_get(params, "position"), &p)) {
		server_fail(s, LSP_INVALID_PARAMS, "`position` has no line and character");
		return false;
	}
	out->analysis = server_analysis(s, out->document);
	if (!out->analysis) {
		server_fail(s, LSP_REQUEST_FAILED, "the text cannot be checked: see its diagnostics");
		return false;
	}
	const struct document *d = out->document;
	out->file = sema_source(out->analysis->sema);
	out->offset = (uint32_t)position_offset(d->text, d->size, p, s->utf8);
	return true;
}

bool server_place_judged(struct server *s, const json_t *params, struct place_at *out)
{
	if (!server_place(s, params, out))
		return false;
	struct document *d = out->document;
	if (d->untimed && !d->analysis->status) {
		d->unsent = true;
		server_judge(s, d);
		out->analysis = d->analysis;
		out->file = sema_source(out->analysis->sema);
	}
	return true;
}

bool server_range(const struct server *s, const json_t *range, const struct document *d, struct span *out)
{
	struct position lo, hi;
	if (!position_read(json_object_get(range, "start"), &lo) || !position_read(json_object_get(range, "end"), &hi))
		return false;
	out->lo = (uint32_t)position_offset(d->text, d->size, lo, s->utf8);
	out->hi = (uint32_t)position_offset(d->text, d->size, hi, s->utf8);
	return out->lo <= out->hi;
}

/* ---- places as JSON -------------------------------------------------------------------------- */

const char *server_uri(struct server *s, const struct source *f)
{
	for (struct document *d = s->documents; d; d = d->next)
		if (!strcmp(d->key, f->path))
			return d->uri;
	if (f->path[0] == '/')
		return path_uri(s->arena, f->path);
	bool in_library = !strncmp(f->path, "std/", 4);
	return in_library && s->library ? path_uri(s->arena, arena_printf(s->arena, "%s/%s", s->library, f->path)) : NULL;
}

json_t *location_json(struct server *s, const struct sources *sources, struct span at)
{
	const char *uri = server_uri(s, &sources->files.at[at.file]);
	if (!uri)
		return NULL;
	json_t *location = json_object();
	json_set(location, "uri", json_text(uri));
	json_set(location, "range", range_json(sources, at, s->utf8));
	return location;
}

json_t *server_range_json(const struct server *s, const struct analysis *a, struct span at)
{
	return range_json(&a->sources, at, s->utf8);
}

json_t *text_edit_json(const struct server *s, const struct analysis *a, struct span at, const char *text)
{
	json_t *edit = json_object();
	json_set(edit, "range", server_range_json(s, a, at));
	json_set(edit, "newText", json_text(text));
	return edit;
}

json_t *workspace_edit_json(const char *uri, json_t *edits)
{
	json_t *edit = json_object(), *changes = json_object();
	json_set(changes, uri, edits);
	json_set(edit, "changes", changes);
	return edit;
}
