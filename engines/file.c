/* Files of settings: DeepSpeed's JSON, torchtitan's TOML, vLLM's and SGLang's YAML. Of TOML and YAML the forms that
 * such files have: tables, numbers, strings, switches, lists. Anything else is refused by line. */
#include "internal.h"
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "../runtime/json_text.h"
#include "../support/json.h"

enum { MAX_DEPTH = 16 };

static bool ends_with(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);
	return n > m && !strcmp(path + n - m, end);
}

static bool is_yaml(const char *path) { return ends_with(path, ".yaml") || ends_with(path, ".yml"); }

bool is_key_file(const char *path) { return ends_with(path, ".json") || ends_with(path, ".toml") || is_yaml(path); }

/* ---- JSON ------------------------------------------------------------------------------------ */

struct json_file {
	struct request *request;
	const struct source *source;
	uint32_t file;
};

/* The place of a key, after that of its object. */
static struct span key_span(const struct json_file *f, uint32_t from, const char *key)
{
	const char *quoted = arena_printf(f->request->arena, "\"%s\"", key);
	const char *at = strstr(f->source->text + from, quoted);
	uint32_t lo = at ? (uint32_t)(at - f->source->text) : from;
	return (struct span){f->file, lo, at ? lo + (uint32_t)strlen(quoted) : from};
}

static const char *json_value(struct request *r, json_t *v)
{
	if (json_is_string(v))
		return arena_strndup(r->arena, json_string_value(v), json_string_length(v));
	char *text = json_text_show(v);
	const char *kept = arena_strndup(r->arena, text ? text : "", text ? strlen(text) : 0);
	json_text_free(text);
	return kept;
}

static void json_keys(const struct json_file *f, json_t *object, const char *prefix, uint32_t from, int depth)
{
	struct request *r = f->request;
	const char *key;
	json_t *v;
	json_object_foreach (object, key, v) {
		const char *path = arena_printf(r->arena, "%s%s", prefix, key);
		struct span at = key_span(f, from, key);
		if (json_is_object(v) && depth < MAX_DEPTH)
			json_keys(f, v, arena_printf(r->arena, "%s.", path), at.hi, depth + 1);
		else if (!json_is_null(v))
			request_key(r, path, (struct word){json_value(r, v), at, NULL}, at);
	}
}

static bool read_json(struct request *r, uint32_t file)
{
	const struct source *source = &r->sink->sources->files.at[file];
	json_error_t error;
	json_t *root = json_text_read(source->text, source->size, &error);
	if (!json_is_object(root)) {
		uint32_t lo =
			root || error.position < 0 || (uint32_t)error.position > source->size ? 0 : (uint32_t)error.position;
		diag_report(r->sink, DIAG_E1001, (struct span){file, lo, lo}, "%s",
		            root ? "a JSON object is expected" : error.text);
		json_decref(root);
		return false;
	}
	struct json_file f = {r, source, file};
	json_keys(&f, root, "", 0, 0);
	json_decref(root);
	return true;
}

/* ---- lines of TOML and YAML ------------------------------------------------------------------ */

struct lines {
	struct request *request;
	uint32_t file;
	const char *text;
	uint32_t at, size;
	bool yaml;
	const char *table; /* TOML: "parallelism." */
};

static bool refuse_line(struct lines *l, uint32_t lo, const char *what)
{
	uint32_t hi = lo;
	while (hi < l->size && l->text[hi] != '\n')
		hi++;
	diag_report(l->request->sink, DIAG_E1001, (struct span){l->file, lo, hi}, "%s", what);
	return false;
}

static void skip_blanks(struct lines *l)
{
	while (l->at < l->size && (l->text[l->at] == ' ' || l->text[l->at] == '\t' || l->text[l->at] == '\r'))
		l->at++;
}

static void skip_line(struct lines *l)
{
	while (l->at < l->size && l->text[l->at] != '\n')
		l->at++;
	l->at += l->at < l->size;
}

/* A comment or nothing up to the end of the line? */
static bool at_end(struct lines *l)
{
	skip_blanks(l);
	return l->at >= l->size || l->text[l->at] == '\n' || l->text[l->at] == '#';
}

/* A string in quotes, without escapes other than of a quote. NULL: it is not closed on its line. */
static const char *read_quoted(struct lines *l)
{
	char quote = l->text[l->at];
	struct text t = {.arena = l->request->arena};
	for (l->at++; l->at < l->size && l->text[l->at] != '\n'; l->at++) {
		if (l->text[l->at] == quote) {
			l->at++;
			return t.at ? t.at : "";
		}
		if (quote == '"' && l->text[l->at] == '\\' && l->at + 1 < l->size)
			l->at++;
		text_add(&t, "%c", l->text[l->at]);
	}
	return NULL;
}

/* A list up to its `]`, as text. */
static const char *read_list(struct lines *l)
{
	uint32_t lo = l->at;
	int depth = 0;
	for (; l->at < l->size; l->at++) {
		depth += l->text[l->at] == '[' ? 1 : l->text[l->at] == ']' ? -1 : 0;
		if (!depth) {
			l->at++;
			return arena_strndup(l->request->arena, l->text + lo, l->at - lo);
		}
	}
	return NULL;
}

/* A value without quotes: up to a comment, without the underscores of a TOML number. */
static const char *read_plain(struct lines *l)
{
	struct text t = {.arena = l->request->arena};
	bool number = !l->yaml && (isdigit((unsigned char)l->text[l->at]) || strchr("+-", l->text[l->at]));
	for (; l->at < l->size && l->text[l->at] != '\n'; l->at++) {
		char c = l->text[l->at];
		if (c == '#' && (!l->yaml || isspace((unsigned char)l->text[l->at - 1])))
			break;
		if (!(number && c == '_'))
			text_add(&t, "%c", c);
	}
	while (t.n && isspace((unsigned char)t.at[t.n - 1]))
		t.at[--t.n] = 0;
	return t.n ? t.at : NULL;
}

static const char *read_value(struct lines *l)
{
	char c = l->text[l->at];
	if (c == '"' || c == '\'')
		return read_quoted(l);
	if (c == '[')
		return read_list(l);
	return strchr(l->yaml ? "|>&*!%@`?" : "{", c) ? NULL : read_plain(l);
}

static bool is_key_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.'; }

/* Lines of YAML that are indented belong to the key before them: they are its value. */
static const char *read_indented(struct lines *l)
{
	uint32_t lo = l->at;
	while (l->at < l->size && (l->text[l->at] == ' ' || l->text[l->at] == '-' || l->text[l->at] == '\t'))
		skip_line(l);
	return l->at > lo ? arena_strndup(l->request->arena, l->text + lo, l->at - lo - 1) : NULL;
}

static bool read_pair(struct lines *l)
{
	uint32_t lo = l->at;
	while (l->at < l->size && is_key_char(l->text[l->at]))
		l->at++;
	struct span at = {l->file, lo, l->at};
	const char *key = arena_strndup(l->request->arena, l->text + lo, l->at - lo);
	skip_blanks(l);
	if (at.hi == lo || l->at >= l->size || l->text[l->at] != (l->yaml ? ':' : '='))
		return refuse_line(l, lo, l->yaml ? "`key: value` is expected" : "`[table]` or `key = value` is expected");
	l->at++;
	bool empty = at_end(l);
	uint32_t begin = l->at;
	if (empty && l->yaml)
		skip_line(l);
	const char *value = empty ? l->yaml ? read_indented(l) : NULL : read_value(l);
	if (empty && l->yaml && !value)
		return true; /* null */
	if (!value || (!empty && !at_end(l)))
		return refuse_line(l, lo,
		                   "the value has a form that is not read here: a number, a string, true, false or a list");
	struct span where = {l->file, begin, empty ? begin : l->at};
	while (where.hi > where.lo && isspace((unsigned char)l->text[where.hi - 1]))
		where.hi--;
	const char *path = l->table ? arena_printf(l->request->arena, "%s%s", l->table, key) : key;
	request_key(l->request, path, (struct word){value, where.hi > where.lo ? where : at, NULL}, at);
	if (!empty)
		skip_line(l);
	return true;
}

static bool read_table(struct lines *l)
{
	uint32_t lo = l->at++;
	uint32_t name = l->at;
	while (l->at < l->size && is_key_char(l->text[l->at]))
		l->at++;
	uint32_t end = l->at;
	l->at += l->at < l->size && l->text[l->at] != '\n';
	if (end == name || end >= l->size || l->text[end] != ']' || !at_end(l))
		return refuse_line(l, lo, "a table is `[name]`");
	l->table = arena_printf(l->request->arena, "%.*s.", (int)(end - name), l->text + name);
	skip_line(l);
	return true;
}

static bool read_lines(struct request *r, uint32_t file, bool yaml)
{
	const struct source *source = &r->sink->sources->files.at[file];
	struct lines l = {.request = r, .file = file, .text = source->text, .size = source->size, .yaml = yaml};
	bool read = true;
	while (l.at < l.size) {
		uint32_t begin = l.at;
		if (at_end(&l)) {
			skip_line(&l);
			continue;
		}
		if (yaml && (l.at > begin || !strncmp(l.text + begin, "---", 3)))
			read = (!strncmp(l.text + begin, "---", 3) || refuse_line(&l, begin, "`key: value` is expected")) && read,
			skip_line(&l);
		else if (!(!yaml && l.text[l.at] == '[' ? read_table(&l) : read_pair(&l)))
			read = false, skip_line(&l);
	}
	return read;
}

/* ---- which ----------------------------------------------------------------------------------- */

bool request_source(struct request *r, const char *path, uint32_t source)
{
	return ends_with(path, ".json") ? read_json(r, source) : read_lines(r, source, is_yaml(path));
}

bool request_file(struct request *r, const char *path, struct span at)
{
	struct file_text text;
	if (!is_key_file(path)) {
		diag_report(r->sink, DIAG_E1001, at, "`%s` is not a file of settings that is read here: .json, .toml, .yaml",
		            path);
		return false;
	}
	if (r->depth || !file_read_regular(r->arena, path, MAX_FROM, &text)) {
		diag_report(r->sink, DIAG_E1001, at,
		            r->depth ? "`%s`: a file of settings names no other" : "cannot read `%s`: %s", path, file_error());
		return false;
	}
	r->depth++;
	const char *real = real_path(r->arena, path);
	bool read = request_source(r, path, sources_add(r->sink->sources, real ? real : path, path, text.at, text.size));
	r->depth--;
	return read;
}
