/* Values of tokenizer.json by type, and refusals that say where. */
#include <stdarg.h>
#include <stdio.h>
#include "../support/escape.h"
#include "field.h"
#include "utf8.h"

enum { MAX_DEPTH = 8, MAX_SEQUENCE = 64, SHOWN = 60 };

struct field field_of(const struct field *f, const char *name)
{
	return (struct field){f, name, 0, json_object_get(f->v, name), f->error};
}

struct field field_at(const struct field *f, size_t index)
{
	return (struct field){f, NULL, index, json_array_get(f->v, index), f->error};
}

static void print_path(FILE *out, const struct field *f)
{
	if (f->parent)
		print_path(out, f->parent);
	if (!f->name)
		fprintf(out, "[%zu]", f->index);
	else
		fprintf(out, "%s%s", !f->parent ? "" : f->parent->parent ? "." : ": ", f->name);
}

bool field_refuse(const struct field *f, const char *fmt, ...)
{
	char *text = NULL;
	size_t n;
	va_list args;
	FILE *out = open_memstream(&text, &n);
	if (!out)
		no_memory(1);
	print_path(out, f);
	fputs(": ", out);
	va_start(args, fmt);
	vfprintf(out, fmt, args);
	va_end(args);
	if (fclose(out) || !text)
		no_memory(n);
	FILE *into = fmemopen(f->error->text, sizeof f->error->text, "w");
	if (!into)
		no_memory(sizeof f->error->text);
	put_escaped(into, text);
	fclose(into);
	f->error->text[sizeof f->error->text - 1] = 0;
	free(text);
	return false;
}

static bool refuse_type(const struct field *f, const char *expected)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list", [JSON_STRING] = "a string", [JSON_INTEGER] = "a number",
		[JSON_REAL] = "a number",    [JSON_TRUE] = "true",    [JSON_FALSE] = "false",     [JSON_NULL] = "null",
	};
	return f->v ? field_refuse(f, "expected %s, found %s", expected, names[json_typeof(f->v)])
	            : field_refuse(f, "is missing; expected %s", expected);
}

bool field_object(const struct field *f) { return json_is_object(f->v) || refuse_type(f, "an object"); }

bool field_list(const struct field *f, size_t max, size_t *n)
{
	if (!json_is_array(f->v))
		return refuse_type(f, "a list");
	*n = json_array_size(f->v);
	return *n <= max || field_refuse(f, "has %zu elements; at most %zu are supported", *n, max);
}

bool field_string(const struct field *f, struct span *out)
{
	if (!json_is_string(f->v))
		return refuse_type(f, "a string");
	*out = (struct span){json_string_value(f->v), json_string_length(f->v)};
	return out->n <= TEXT_MAX_TOKEN
	       || field_refuse(f, "has %zu bytes; at most %d are supported", out->n, TEXT_MAX_TOKEN);
}

bool field_string_of(const struct field *f, const char *name, struct span *out)
{
	struct field g = field_of(f, name);
	return field_string(&g, out);
}

bool field_bool_of(const struct field *f, const char *name, bool *out)
{
	struct field g = field_of(f, name);
	if (field_absent(&g))
		return true;
	*out = json_is_true(g.v);
	return json_is_boolean(g.v) || refuse_type(&g, "true or false");
}

bool field_number_of(const struct field *f, const char *name, int32_t max, int32_t *out)
{
	struct field g = field_of(f, name);
	if (!json_is_integer(g.v))
		return refuse_type(&g, "a whole number");
	json_int_t v = json_integer_value(g.v);
	*out = (int32_t)v;
	return (v >= 0 && v <= max)
	       || field_refuse(&g, "%" JSON_INTEGER_FORMAT " is not a number from 0 to %d", v, (int)max);
}

bool field_char_of(const struct field *f, const char *name, struct span *out)
{
	struct field g = field_of(f, name);
	return field_string(&g, out)
	       && ((out->n && (size_t)utf8_length(*out->at) == out->n)
	           || field_refuse(&g, "`%.*s` is not one character", SHOWN, out->at));
}

bool field_keys(const struct field *f, const char *const *known)
{
	const char *key;
	json_t *v;
	json_object_foreach (f->v, key, v) {
		const char *const *name = known;
		while (*name && strcmp(*name, key))
			name++;
		if (!*name && strcmp(key, "type"))
			return field_refuse(f, "the field `%.*s` is not supported", SHOWN, key);
	}
	return true;
}

int field_type(const struct field *f, const char *what, const char *const *names)
{
	struct span type;
	if (!field_object(f) || !field_string_of(f, "type", &type))
		return -1;
	for (int i = 0; names[i]; i++)
		if (spans_equal(type, (struct span){names[i], strlen(names[i])}))
			return i;
	field_refuse(f, "%s `%.*s` is not supported", what, SHOWN, type.at);
	return -1;
}

struct visit {
	const char *list;
	bool (*one)(const struct field *f, void *context);
	void *context;
	int visited;
};

static bool visit(const struct field *f, struct visit *v, int depth)
{
	struct field type = field_of(f, "type"), elements = field_of(f, v->list);
	const char *const keys[] = {v->list, NULL};
	size_t n;
	if (!json_is_string(type.v) || strcmp(json_string_value(type.v), "Sequence"))
		return v->visited++ < MAX_SEQUENCE
		           ? v->one(f, v->context)
		           : field_refuse(f, "more than %d of its kind are not supported", MAX_SEQUENCE);
	if (depth == MAX_DEPTH)
		return field_refuse(f, "sequences are nested deeper than %d", MAX_DEPTH);
	if (!field_keys(f, keys) || !field_list(&elements, MAX_SEQUENCE, &n))
		return false;
	for (size_t i = 0; i < n; i++) {
		struct field element = field_at(&elements, i);
		if (!visit(&element, v, depth + 1))
			return false;
	}
	return true;
}

bool field_sequence(const struct field *f, const char *list, bool (*one)(const struct field *f, void *context),
                    void *context)
{
	struct visit v = {list, one, context, 0};
	return visit(f, &v, 0);
}
