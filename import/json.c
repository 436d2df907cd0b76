/* The file: values by dotted names, and how they are written. */
#include "internal.h"
#include "../runtime/json_text.h"
#include "../runtime/no_memory.h"
#include <errno.h>
#include <math.h>
#include <string.h>
#include "../support/escape.h"
#include "../support/json.h"
#include "../support/lfs.h"

void no_memory(size_t bytes) { out_of_memory(bytes); }

json_t *json_at(json_t *root, const char *path)
{
	json_t *v = config_find(root, path);
	return json_is_null(v) ? NULL : v;
}

bool json_says_null(json_t *root, const char *path) { return json_is_null(config_find(root, path)); }

enum { MAX_BYTES = 8 << 20 }; /* parsing needs at most forty times as much memory */

json_t *json_read(struct arena *arena, const char *path, bool named)
{
	json_error_t error;
	struct file_text file;
	bool read = named ? file_read(arena, path, &file) : file_read_regular(arena, path, MAX_BYTES, &file);
	if (read && file.size > MAX_BYTES) {
		read = false;
		errno = EFBIG;
	}
	if (!read) {
		complain("cannot read %s: %s", path, file_error());
		return NULL;
	}
	json_t *root = json_text_read(file.at, file.size, &error);
	if (!root && is_lfs_pointer(file.at, file.size))
		complain("%s " LFS_POINTER, path);
	else if (!root)
		complain("%s:%d:%d: %s", path, error.line, error.column, error.text);
	else if (!json_is_object(root))
		complain("%s is not a JSON object", path);
	if (json_is_object(root))
		return root;
	json_decref(root);
	return NULL;
}

const char *json_value_text(struct arena *arena, const json_t *v)
{
	char *text = json_text_show(v);
	const char *kept = text ? arena_strndup(arena, text, strlen(text)) : "?";
	json_text_free(text);
	return kept;
}

/* 131_072: numbers of five or more digits are written in groups of three. */
static const char *grouped(struct arena *arena, long long n)
{
	char digits[32];
	int length = snprintf(digits, sizeof digits, "%lld", n < 0 ? -n : n);
	struct text out = {.arena = arena};
	text_add(&out, "%s", n < 0 ? "-" : "");
	for (int i = 0; i < length; i++)
		text_add(&out, "%s%c", i && length > 4 && (length - i) % 3 == 0 ? "_" : "", digits[i]);
	return out.at;
}

/* The shortest decimal that reads back as the same double, with a point or an exponent: a Float. */
static const char *real_text(struct arena *arena, double x)
{
	if (x == floor(x) && fabs(x) < 1e15)
		return arena_printf(arena, "%s.0", grouped(arena, (long long)x));
	int digits = 1;
	while (digits < 17 && strtod(arena_printf(arena, "%.*g", digits, x), NULL) != x)
		digits++;
	const char *text = arena_printf(arena, "%.*g", digits, x);
	return strpbrk(text, ".e") ? text : arena_printf(arena, "%s.0", text);
}

static const char *quoted(struct arena *arena, const char *s)
{
	struct text out = {.arena = arena};
	text_add(&out, "\"");
	for (; *s; s++)
		text_add(&out, "%s%c", *s == '"' || *s == '\\' ? "\\" : "", *s);
	text_add(&out, "\"");
	return out.at;
}

/* Does the string have control characters? The language has no form for them. */
static bool acts_on_terminals(const char *s)
{
	const char *end = s + strlen(s);
	for (uint32_t point; s < end; s += decode_utf8(s, end, &point))
		if (decode_utf8(s, end, &point), is_control(point))
			return true;
	return false;
}

const char *json_deploy_text(struct arena *arena, const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_TRUE:    return "true";
	case JSON_FALSE:   return "false";
	case JSON_INTEGER: return grouped(arena, json_integer_value(v));
	case JSON_REAL:    return real_text(arena, json_real_value(v));
	case JSON_STRING:  return acts_on_terminals(json_string_value(v)) ? NULL : quoted(arena, json_string_value(v));
	case JSON_OBJECT:
	case JSON_ARRAY:
	case JSON_NULL:    break;
	}
	return NULL;
}
