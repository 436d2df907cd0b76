/* Positions of the protocol. */
#include "position.h"
#include <string.h>
#include "../support/escape.h"
#include "../support/json.h"

/* ---- texts ----------------------------------------------------------------------------------- */

/* Units of UTF-16 of the character at `at`, and its bytes. */
static int units_at(const char *text, size_t size, size_t at, int *bytes)
{
	uint32_t point;
	*bytes = decode_utf8(text + at, text + size, &point);
	return point > 0xFFFF ? 2 : 1;
}

/* The end of the line, without what ends it. */
static size_t line_end(const char *text, size_t size, size_t at)
{
	const char *newline = memchr(text + at, '\n', size - at);
	size_t end = newline ? (size_t)(newline - text) : size;
	const char *back = memchr(text + at, '\r', end - at);
	return back ? (size_t)(back - text) : end;
}

/* The begin of the line after one that ends at `end`. */
static size_t next_line(const char *text, size_t size, size_t end)
{
	bool two = end + 1 < size && text[end] == '\r' && text[end + 1] == '\n';
	return end + (two ? 2 : 1);
}

size_t position_offset(const char *text, size_t size, struct position p, bool utf8)
{
	size_t at = 0;
	for (int64_t line = 0; line < p.line; line++) {
		size_t end = line_end(text, size, at);
		if (end == size)
			return size;
		at = next_line(text, size, end);
	}
	size_t end = line_end(text, size, at);
	int bytes;
	for (int64_t character = 0; at < end; at += (size_t)bytes) {
		int units = units_at(text, size, at, &bytes);
		character += utf8 ? bytes : units;
		if (character > p.character)
			break;
	}
	return at;
}

int position_line(const struct source *f, uint32_t offset)
{
	return source_line(f, offset) + source_returns(f, offset);
}

struct position position_at(const struct source *f, uint32_t offset, bool utf8)
{
	uint32_t end = offset < f->size ? offset : f->size;
	int returns = source_returns(f, end), bytes;
	struct position p = {position_line(f, end), 0};
	uint32_t at = f->lines[source_line(f, end)];
	if (returns && f->returns[returns - 1] > at)
		at = f->returns[returns - 1];
	for (; at < end; at += (uint32_t)bytes) {
		int units = units_at(f->text, f->size, at, &bytes);
		p.character += utf8 ? bytes : units;
	}
	return p;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static bool read_count(const json_t *json, int64_t *out)
{
	*out = json_integer_value(json);
	return json_is_integer(json) && *out >= 0;
}

bool position_read(const json_t *json, struct position *out)
{
	return read_count(json_object_get(json, "line"), &out->line)
	       && read_count(json_object_get(json, "character"), &out->character);
}

json_t *position_json(struct position p)
{
	json_t *json = json_object();
	json_set(json, "line", json_integer(p.line));
	json_set(json, "character", json_integer(p.character));
	return json;
}

json_t *range_json(const struct sources *s, struct span at, bool utf8)
{
	const struct source *f = &s->files.at[at.file];
	json_t *json = json_object();
	json_set(json, "start", position_json(position_at(f, at.lo, utf8)));
	json_set(json, "end", position_json(position_at(f, at.hi, utf8)));
	return json;
}
