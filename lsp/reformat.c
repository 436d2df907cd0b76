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

/* ---- of a range ------------------------------------------------------------------------------ */

/* Two texts that differ in spaces only, and the bytes of the old one that may be changed. */
struct comparing {
	struct server *server;
	const char *old, *new;
	size_t old_size, new_size;
	struct span within;
	struct sources sources;
	json_t *edits;
};

/* Past the spaces at `at`; a mark of the byte order at the start of a text counts as one. */
static size_t gap_end(const char *text, size_t size, size_t at)
{
	if (!at && size >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3))
		at = 3;
	while (at < size && strchr(" \t\r\n", text[at]) && text[at])
		at++;
	return at;
}

/* Bytes [old.lo, old.hi) of the old text become those of the new one. */
struct change {
	size_t lo, hi, new_lo, new_hi;
};

/* Adds the edit, without what both texts have in common. false: it leaves the lines that may be changed. */
static bool add_change(struct comparing *c, struct change x)
{
	while (x.lo < x.hi && x.new_lo < x.new_hi && c->old[x.lo] == c->new[x.new_lo])
		x.lo++, x.new_lo++;
	while (x.lo < x.hi && x.new_lo < x.new_hi && c->old[x.hi - 1] == c->new[x.new_hi - 1])
		x.hi--, x.new_hi--;
	if (x.lo < c->within.lo || x.hi > c->within.hi)
		return false;
	if (x.lo == x.hi && x.new_lo == x.new_hi)
		return true;
	json_t *edit = json_object();
	struct span at = {0, (uint32_t)x.lo, (uint32_t)x.hi};
	json_set(edit, "range", range_json(&c->sources, at, c->server->utf8));
	json_set(edit, "newText",
	         json_text(arena_printf(c->server->arena, "%.*s", (int)(x.new_hi - x.new_lo), c->new + x.new_lo)));
	json_array_append_new(c->edits, edit);
	return true;
}

static size_t line_start_in(const char *text, size_t lo, size_t hi)
{
	while (hi > lo && text[hi - 1] != '\n')
		hi--;
	return hi;
}

static size_t line_end_in(const char *text, size_t lo, size_t hi)
{
	while (lo < hi && text[lo] != '\n' && text[lo] != '\r')
		lo++;
	return lo;
}

/* A gap over several lines of which only some may be changed: the spaces that end its first one, and the indentation of
 * its last one. */
static void edit_gap(struct comparing *c, struct change x)
{
	size_t first = line_end_in(c->old, x.lo, x.hi), last = line_start_in(c->old, x.lo, x.hi);
	if (add_change(c, x) || first == x.hi)
		return;
	add_change(c, (struct change){x.lo, first, x.new_lo, line_end_in(c->new, x.new_lo, x.new_hi)});
	add_change(c, (struct change){last, x.hi, line_start_in(c->new, x.new_lo, x.new_hi), x.new_hi});
}

static void edit_gaps(struct comparing *c)
{
	size_t old = 0, new = 0;
	while (old < c->old_size || new < c->new_size) {
		size_t old_end = gap_end(c->old, c->old_size, old), new_end = gap_end(c->new, c->new_size, new);
		edit_gap(c, (struct change){old, old_end, new, new_end});
		if (old_end < c->old_size && (new_end == c->new_size || c->old[old_end] != c->new[new_end]))
			internal_error("formatting changed more than spaces");
		old = old_end + (old_end < c->old_size);
		new = new_end + (new_end < c->new_size);
	}
}

/* The lines that a range touches. A range that ends at the start of a line does not touch it. */
static struct span whole_lines(const struct document *d, struct span at)
{
	at.hi -= at.hi > at.lo && at.hi < d->size && d->text[at.hi - 1] == '\n';
	while (at.lo && d->text[at.lo - 1] != '\n')
		at.lo--;
	while (at.hi < d->size && d->text[at.hi] != '\n')
		at.hi++;
	return at;
}

/* Each line of the range becomes what it is in the formatted document. */
json_t *format_range(struct server *s, const json_t *params)
{
	struct document *d = server_target(s, params);
	struct comparing c = {.server = s, .sources.arena = s->arena};
	if (!d)
		return NULL;
	if (!server_range(s, json_object_get(params, "range"), d, &c.within))
		return server_fail(s, LSP_INVALID_PARAMS, "`range` has no start before its end");
	c.new = formatted(s, d, &c.new_size);
	if (!c.new)
		return server_fail(s, LSP_REQUEST_FAILED, "the text has mistakes that keep it from being formatted");
	c.within = whole_lines(d, c.within);
	c.old = d->text;
	c.old_size = d->size;
	c.edits = json_array();
	sources_add(&c.sources, d->key, d->key, d->text, d->size);
	edit_gaps(&c);
	return c.edits;
}

/* ---- of a document --------------------------------------------------------------------------- */

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
