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

static bool ends_line(const char *text, size_t size, size_t at)
{
	return at == size || text[at] == '\n' || (text[at] == '\r' && at + 1 < size && text[at + 1] == '\n');
}

size_t position_offset(const char *text, size_t size, struct position p, bool utf8)
{
	size_t at = 0;
	for (int64_t line = 0; line < p.line; line++) {
		const char *end = memchr(text + at, '\n', size - at);
		if (!end)
			return size;
		at = (size_t)(end - text) + 1;
	}
	int bytes;
	for (int64_t character = 0; !ends_line(text, size, at); at += (size_t)bytes) {
		int units = units_at(text, size, at, &bytes);
		character += utf8 ? bytes : units;
		if (character > p.character)
			break;
	}
	return at;
}

struct position position_at(const struct source *f, uint32_t offset, bool utf8)
{
	uint32_t end = offset < f->size ? offset : f->size;
	int line = source_line(f, end), bytes;
	struct position p = {line, 0};
	for (uint32_t at = f->lines[line]; at < end; at += (uint32_t)bytes) {
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
