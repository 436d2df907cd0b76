/* Diagnostics as JSON, one object per line: docs/diagnostics.md lists its members. */
#include "diag.h"
#include "escape.h"
#include "json.h"
#include <math.h>
#include <string.h>

json_t *json_text(const char *text)
{
	json_t *string = json_string(text);
	if (string)
		return string;
	size_t n = strlen(text);
	char *ascii = memcpy(heap_malloc(n + 1), text, n + 1);
	for (char *c = ascii; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	string = json_string(ascii);
	heap_free(ascii);
	return string;
}

json_t *json_text_or_null(const char *text) { return text && *text ? json_text(text) : json_null(); }

json_t *json_figure(double figure)
{
	const double exact = 9007199254740992.0; /* 2^53 */
	if (!isfinite(figure))
		return json_null();
	bool whole = figure == floor(figure) && fabs(figure) <= exact;
	return whole ? json_integer((json_int_t)figure) : json_real(figure);
}

json_t *json_range(double begin, double end)
{
	json_t *array = json_array();
	json_array_append_new(array, json_figure(begin));
	json_array_append_new(array, json_figure(end));
	return array;
}

void json_set(json_t *object, const char *name, json_t *value) { json_object_set_new(object, name, value); }

json_t *json_document(const char *format, int version)
{
	json_t *document = json_object();
	json_object_set_new(document, "format", json_string(format));
	json_object_set_new(document, "version", json_integer(version));
	return document;
}

void json_set_region(json_t *object, const struct sources *s, struct span at, const char *const names[4])
{
	struct span ends[] = {at, {at.file, at.hi, at.hi}};
	for (int i = 0; i < 2; i++) {
		int line, column;
		sources_position(s, ends[i], &line, &column);
		json_object_set_new(object, names[2 * i], json_integer(line));
		json_object_set_new(object, names[2 * i + 1], json_integer(column));
	}
}

/* A JSON dump has such characters only in its strings, apart from newlines. */
static void put_dump(const char *text, FILE *out)
{
	const char *end = text + strlen(text);
	for (int n; text < end; text += n) {
		uint32_t point;
		n = decode_utf8(text, end, &point);
		if (is_control(point) && point != '\n')
			fprintf(out, "\\u%04x", point);
		else
			fwrite(text, 1, (size_t)n, out);
	}
}

void json_text_free(char *text)
{
	json_malloc_t allocate;
	json_free_t release;
	json_get_alloc_funcs(&allocate, &release);
	release(text);
}

static void put(json_t *value, size_t form, FILE *out)
{
	char *text = json_dumps(value, form);
	if (!text)
		internal_error("a value has no JSON form");
	put_dump(text, out);
	json_text_free(text);
	json_decref(value);
}

void json_put(json_t *value, FILE *out) { put(value, JSON_COMPACT, out); }

void json_put_lines(json_t *value, FILE *out)
{
	put(value, JSON_INDENT(2), out);
	putc('\n', out);
}

static void set_place(json_t *object, const struct sink *s, struct span at)
{
	static const char *const names[] = {"line", "column", "end_line", "end_column"};
	json_object_set_new(object, "file", json_text(s->sources->files.at[at.file].label));
	json_set_region(object, s->sources, at, names);
	json_object_set_new(object, "offset", json_integer(at.lo));
	json_object_set_new(object, "end_offset", json_integer(at.hi));
}

static json_t *texts_of(const char *const *texts, int n)
{
	json_t *array = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(array, json_text(texts[i]));
	return array;
}

static json_t *related_of(const struct sink *s, const struct diag *d)
{
	json_t *array = json_array();
	for (int i = 0; i < d->related.n; i++) {
		json_t *label = json_object();
		set_place(label, s, d->related.at[i].at);
		json_object_set_new(label, "text", json_text(d->related.at[i].text));
		json_array_append_new(array, label);
	}
	return array;
}

static json_t *fix_of(const struct sink *s, const struct diag *d)
{
	if (!d->fix)
		return json_null();
	json_t *fix = json_object();
	set_place(fix, s, d->fix_at);
	json_object_set_new(fix, "replacement", json_text(d->fix));
	return fix;
}

static json_t *object_of(const struct sink *s, const struct diag *d)
{
	json_t *object = json_object();
	json_object_set_new(object, "code", json_string(diag_code_name(d->code)));
	json_object_set_new(object, "severity", json_string(diag_is_error(d->code) ? "error" : "warning"));
	json_object_set_new(object, "title", json_text(diag_text(d->code, TEXT_TITLE)));
	json_object_set_new(object, "message", json_text(d->message));
	set_place(object, s, d->at);
	json_object_set_new(object, "label", json_text_or_null(d->label));
	json_object_set_new(object, "related", related_of(s, d));
	json_object_set_new(object, "table", texts_of(d->table.at, d->table.n));
	json_object_set_new(object, "notes", texts_of(d->notes.at, d->notes.n));
	json_object_set_new(object, "help", json_text_or_null(d->help));
	json_object_set_new(object, "fix", fix_of(s, d));
	json_object_set_new(object, "allowed", json_text_or_null(d->allowed));
	return object;
}

void diag_print_json(const struct sink *s, FILE *out)
{
	struct diag *const *sorted = diag_sorted(s);
	for (int i = 0; i < s->diags.n; i++) {
		json_put(object_of(s, sorted[i]), out);
		putc('\n', out);
	}
}
