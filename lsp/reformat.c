/* Formatting: the edits that bring a document into its canonical form. */
#include <string.h>
#include "../parser/format.h"
#include "server.h"

/* NULL: the document does not parse. */
static const char *formatted(struct server *s, const struct document *d, size_t *size)
{
	struct names names = {.arena = s->arena};
	struct sources sources = {.arena = s->arena};
	struct sink sink = {.arena = s->arena, .sources = &sources};
	uint32_t file = sources_add(&sources, d->key, d->key, d->text, d->size);
	struct formatted f = format_module(s->arena, &names, &sink, file);
	*size = f.size;
	return f.text;
}

/* The lines that differ at all: from the first to the last one that does. */
static json_t *edits_of(struct server *s, const struct document *d, const char *text, size_t size)
{
	json_t *edits = json_array();
	size_t lo = 0, end = 0;
	while (lo < d->size && lo < size && d->text[lo] == text[lo])
		lo++;
	if (lo == d->size && lo == size)
		return edits;
	while (lo && d->text[lo - 1] != '\n')
		lo--;
	while (end < d->size - lo && end < size - lo && d->text[d->size - 1 - end] == text[size - 1 - end])
		end++;
	while (end && d->text[d->size - end] != '\n')
		end--;
	struct sources sources = {.arena = s->arena};
	sources_add(&sources, d->key, d->key, d->text, d->size);
	json_t *edit = json_object();
	json_set(edit, "range", range_json(&sources, (struct span){0, (uint32_t)lo, (uint32_t)(d->size - end)}, s->utf8));
	json_set(edit, "newText", json_text(arena_printf(s->arena, "%.*s", (int)(size - end - lo), text + lo)));
	json_array_append_new(edits, edit);
	return edits;
}

json_t *format_document(struct server *s, const json_t *params)
{
	struct document *d = server_target(s, params);
	size_t size;
	const char *text = d ? formatted(s, d, &size) : NULL;
	if (!text)
		return d ? server_fail(s, LSP_REQUEST_FAILED, "the text has mistakes that keep it from being formatted") : NULL;
	return edits_of(s, d, text, size);
}

/* After a brace, the text is formatted if it parses; while it does not, nothing is changed. */
json_t *format_typed(struct server *s, const json_t *params)
{
	struct document *d = server_target(s, params);
	size_t size;
	const char *text = d ? formatted(s, d, &size) : NULL;
	return text ? edits_of(s, d, text, size) : NULL;
}
