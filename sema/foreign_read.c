/* Reads YAML, JSON, TOML and flags of command lines as a flat list of settings: as much of them as settings of engines
 * need. */
#include "foreign_file.h"
#include <ctype.h>
#include <string.h>

enum { MAX_NESTED = 32, MAX_SETTINGS = 4096 };

/* ---- which format ---------------------------------------------------------------------------- */

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');
	return end ? end + 1 : line + strlen(line);
}

static const char *content(const char *line) { return line + strspn(line, " \t\r"); }

static bool is_ignored(const char *line)
{
	const char *at = content(line);
	return !*at || *at == '\n' || *at == '#' || !strncmp(at, "---", 3) || !strncmp(at, "//", 2);
}

static size_t key_length(const char *at)
{
	bool quoted = *at == '"' || *at == '\'';
	size_t n = quoted ? 1 + strcspn(at + 1, "\"'\n") + 1 : strcspn(at, " \t:=\n\"',{}[]()");
	return n;
}

/* `key:` with a space or a newline after it: no item of a spec has one at its margin. */
static bool is_yaml_line(const char *line)
{
	size_t n = key_length(line);
	if (line[0] == '-' && (line[1] == ' ' || line[1] == '-'))
		return true;
	return n && line[n] == ':' && (line[n + 1] == ' ' || line[n + 1] == '\n' || !line[n + 1] || line[n + 1] == '\r');
}

static bool is_section(const char *line)
{
	size_t n = *line == '[' ? strcspn(line, "]\n") : 0;
	return n > 1 && line[n] == ']' && line[1] != '"' && strchr("\n\r #", line[n + 1]);
}

const char *foreign_format_name(enum foreign_format f)
{
	static const char *const names[] = {[FOREIGN_YAML] = "YAML",
	                                    [FOREIGN_JSON] = "JSON",
	                                    [FOREIGN_TOML] = "TOML",
	                                    [FOREIGN_COMMAND] = "a command line"};
	return names[f];
}

const char *foreign_start(const char *text)
{
	while (*text && is_ignored(text))
		text = next_line(text);
	return content(text);
}

/* Begins a line with the name of a program and a space? An item of a spec has `=`, `{` or `:` after the space. */
static bool is_command(const char *line)
{
	static const char *const programs[] = {"vllm", "sglang",     "python", "python3", "torchrun", "deepspeed",
	                                       "srun", "accelerate", "mpirun", "docker",  "kubectl"};
	size_t n = strcspn(line, " \t\r\n");
	for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
		if (strlen(programs[i]) == n && !strncmp(line, programs[i], n))
			return line[n] && !strchr("=:{\r\n", *content(line + n));
	return false;
}

enum foreign_format foreign_format_of(const char *text)
{
	const char *first = foreign_start(text);
	int yaml = 0, other = 0;
	if (*first == '{')
		return FOREIGN_JSON;
	if (is_section(first))
		return FOREIGN_TOML;
	if (is_command(first))
		return FOREIGN_COMMAND;
	for (const char *line = first; *line; line = next_line(line))
		if (!is_ignored(line) && *line != ' ' && *line != '\t')
			*(is_yaml_line(line) ? &yaml : &other) += 1;
	return yaml && !other ? FOREIGN_YAML : FOREIGN_NONE;
}

/* ---- settings -------------------------------------------------------------------------------- */

struct flat_reading {
	struct arena *arena;
	struct foreign_settings *out;
};

static const char *trimmed(struct arena *a, const char *at, size_t n)
{
	while (n && strchr(" \t\r,", at[n - 1]))
		n--;
	while (n && strchr(" \t", *at))
		at++, n--;
	if (n >= 2 && (*at == '"' || *at == '\'') && at[n - 1] == *at)
		at++, n -= 2;
	return arena_strndup(a, at, n);
}

static void add(struct flat_reading *r, const char *section, const char *key, const char *value)
{
	struct foreign_setting setting = {section, key, value};
	if (*key && *value && r->out->n < MAX_SETTINGS)
		vec_push(r->arena, r->out, setting);
}

/* Flags in a text: `vllm serve org/model --tensor-parallel-size 8`. */
static void read_flags(struct flat_reading *r, const char *at, const char *end)
{
	static const char between[] = " \t\"',[]\\";
	while (at < end) {
		while (at < end && strchr(between, *at))
			at++;
		const char *word = at;
		while (at < end && !strchr(between, *at) && *at != '=')
			at++;
		if (at - word < 3 || strncmp(word, "--", 2) != 0) {
			at += at < end;
			continue;
		}
		const char *key = arena_strndup(r->arena, word + 2, (size_t)(at - word - 2));
		while (at < end && (strchr(between, *at) || *at == '='))
			at++;
		const char *value = at;
		while (at < end && !strchr(between, *at))
			at++;
		if (at == value || !strncmp(value, "--", 2)) {
			add(r, "", key, "true");
			at = value;
		} else {
			add(r, "", key, arena_strndup(r->arena, value, (size_t)(at - value)));
		}
	}
}

/* The value of a line, up to a comment. */
static const char *value_end(const char *at)
{
	const char *end = at + strcspn(at, "\n");
	const char *comment = *at == '"' || *at == '\'' ? NULL : strstr(at, " #");
	return comment && comment < end ? comment : end;
}

static void read_yaml(struct flat_reading *r, const char *text)
{
	const char *keys[MAX_NESTED] = {""};
	int indents[MAX_NESTED] = {-1}, depth = 1;
	for (const char *line = text; *line; line = next_line(line)) {
		const char *at = content(line);
		if (is_ignored(line))
			continue;
		while (at[0] == '-' && at[1] == ' ')
			at += 2;
		int indent = (int)(at - line);
		while (depth > 1 && indents[depth - 1] >= indent)
			depth--;
		if (!is_yaml_line(at) || at[0] == '-') {
			read_flags(r, at, value_end(at));
			continue;
		}
		size_t n = key_length(at);
		const char *key = trimmed(r->arena, at, n), *value = content(at + n + 1), *end = value_end(value);
		if (*value == '[')
			read_flags(r, value, end);
		else if (value < end)
			add(r, keys[depth - 1], key, trimmed(r->arena, value, (size_t)(end - value)));
		if (depth < MAX_NESTED) {
			keys[depth] = key;
			indents[depth++] = indent;
		}
	}
}

static void read_toml(struct flat_reading *r, const char *text)
{
	const char *section = "";
	for (const char *line = text; *line; line = next_line(line)) {
		const char *at = content(line);
		size_t n = key_length(at);
		const char *equals = at + n + strspn(at + n, " \t");
		if (is_section(at))
			section = arena_strndup(r->arena, at + 1, strcspn(at + 1, "]"));
		else if (!is_ignored(line) && n && *equals == '=') {
			const char *value = content(equals + 1);
			add(r, section, trimmed(r->arena, at, n), trimmed(r->arena, value, (size_t)(value_end(value) - value)));
		}
	}
}

static const char *string_end(const char *at)
{
	for (at++; *at && *at != '"' && *at != '\n'; at++)
		at += *at == '\\' && at[1];
	return *at == '"' ? at + 1 : at;
}

/* Strings in arrays are words of a command line. */
static void read_json(struct flat_reading *r, const char *text)
{
	const char *keys[MAX_NESTED] = {""}, *key = "";
	int depth = 0;
	for (const char *at = text; *at;) {
		const char *end = *at == '"' ? string_end(at) : at + strcspn(at, " \t\r\n,:{}[]\"");
		const char *after = end + strspn(end, " \t\r\n");
		if (*at == '{' || *at == '[')
			keys[depth + 1 < MAX_NESTED ? ++depth : depth] = key;
		else if (*at == '}' || *at == ']')
			depth -= depth > 0;
		if (end == at) {
			if (*at == '[')
				read_flags(r, at, at + strcspn(at, "]"));
			at++;
		} else if (*after == ':') {
			key = trimmed(r->arena, at, (size_t)(end - at));
			at = after + 1;
		} else {
			add(r, keys[depth], key, trimmed(r->arena, at, (size_t)(end - at)));
			at = end;
		}
	}
}

void foreign_read(struct arena *a, enum foreign_format format, const char *text, struct foreign_settings *out)
{
	struct flat_reading r = {a, out};
	if (format == FOREIGN_JSON)
		read_json(&r, foreign_start(text));
	else if (format == FOREIGN_TOML)
		read_toml(&r, text);
	else
		read_yaml(&r, text);
}
