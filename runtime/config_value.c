/* Values of config.json: looked up by path, compared; fields without a name. */
#include "config_value.h"
#include "no_memory.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *config_find(json_t *root, const char *path)
{
	const char *dot = strchr(path, '.');
	return dot ? config_find(json_object_getn(root, path, (size_t)(dot - path)), dot + 1) : json_object_get(root, path);
}

bool same_number(double a, double b) { return a == b || fabs(a - b) <= 1e-12 * fmax(fabs(a), fabs(b)); }

/* The compiler wrote this text, so parsing fails only for lack of memory. */
static json_t *parse_expected(const char *text)
{
	json_t *v = json_loads(text, 0, NULL);
	if (!v)
		no_memory(strlen(text));
	return v;
}

static bool same_list(json_t *list, const char *expected)
{
	json_t *wanted = parse_expected(expected);
	bool same = json_is_array(list) && json_array_size(list) == json_array_size(wanted);
	for (size_t i = 0; same && i < json_array_size(wanted); i++) {
		json_t *a = json_array_get(list, i), *b = json_array_get(wanted, i);
		same = json_is_number(a) && json_is_number(b) ? same_number(json_number_value(a), json_number_value(b))
		                                              : json_equal(a, b);
	}
	json_decref(wanted);
	return same;
}

/* Is v a word of the list, or a list of only such a word? */
static bool is_one_of(json_t *v, const char *expected)
{
	json_t *words = parse_expected(expected), *word = json_array_size(v) == 1 ? json_array_get(v, 0) : v;
	bool found = false;
	for (size_t i = 0; i < json_array_size(words); i++)
		found = found || json_equal(word, json_array_get(words, i));
	json_decref(words);
	return found;
}

bool config_agrees(const struct config_value *want, json_t *v)
{
	switch (want->type) {
	case CONFIG_NONE:   return !v || json_is_null(v);
	case CONFIG_BOOL:   return json_is_boolean(v) && json_is_true(v) == want->b;
	case CONFIG_INT:    return json_is_number(v) && same_number(json_number_value(v), (double)want->i);
	case CONFIG_FLOAT:  return json_is_number(v) && same_number(json_number_value(v), want->f);
	case CONFIG_STRING: return json_is_string(v) && !strcmp(json_string_value(v), want->s);
	case CONFIG_LIST:   return same_list(v, want->s);
	case CONFIG_ONE_OF: return is_one_of(v, want->s);
	}
	return false;
}

void config_text(const struct config_value *want, char *out, size_t n)
{
	switch (want->type) {
	case CONFIG_NONE:   break;
	case CONFIG_BOOL:   snprintf(out, n, "%s", want->b ? "true" : "false"); return;
	case CONFIG_INT:    snprintf(out, n, "%lld", (long long)want->i); return;
	case CONFIG_FLOAT:  snprintf(out, n, "%.15g", want->f); return;
	case CONFIG_STRING: snprintf(out, n, "\"%s\"", want->s); return;
	case CONFIG_LIST:   snprintf(out, n, "%s", want->s); return;
	case CONFIG_ONE_OF: snprintf(out, n, "%s%s", strchr(want->s, ',') ? "one of " : "", want->s); return;
	}
	snprintf(out, n, "none");
}

/* ---- fields without a name ------------------------------------------------------------------- */
struct search {
	const struct config_names *names;
	void (*report)(void *context, const char *path, json_t *v);
	void *context;
};

/* Is `path` the field `name`, or nested in it? */
static bool is_within(const char *path, const char *name)
{
	size_t n = strlen(name);
	return !strncmp(path, name, n) && (path[n] == 0 || path[n] == '.');
}

static bool is_named(const struct config_names *names, const char *path)
{
	for (size_t i = 0; i < names->n; i++)
		if (is_within(path, names->at[i]))
			return true;
	return false;
}

/* Does the object at `path` contain a field with a name? */
static bool holds_named(const struct config_names *names, const char *path)
{
	for (size_t i = 0; i < names->n; i++)
		if (is_within(names->at[i], path))
			return true;
	return false;
}

static char *join_name(const char *prefix, const char *key)
{
	char *path;
	if (asprintf(&path, "%s%s%s", prefix, *prefix ? "." : "", key) < 0)
		no_memory(strlen(prefix) + strlen(key) + 2);
	return path;
}

/* Searches an object only if it contains a name, so no path is longer than a name and one key. */
static void search(const struct search *s, json_t *object, const char *prefix)
{
	const char *key;
	json_t *v;
	json_object_foreach (object, key, v) {
		char *path = join_name(prefix, key);
		bool dotted = strchr(key, '.'), named = !dotted && is_named(s->names, path);
		if (json_is_object(v) && !named && !dotted && holds_named(s->names, path))
			search(s, v, path);
		else if (!json_is_null(v) && !named)
			s->report(s->context, path, v);
		free(path);
	}
}

void config_unknown(json_t *root, const struct config_names *names,
                    void (*report)(void *context, const char *path, json_t *v), void *context)
{
	search(&(struct search){names, report, context}, root, "");
}

/* ---- the language model in the file of a larger one -------------------------------------------- */
static bool is_said(const json_t *v) { return v && !json_is_null(v); }

static void take(json_t *inner, json_t *root, const char *name)
{
	json_t *v = json_object_get(root, name);
	if (is_said(v) && json_object_set(inner, name, v))
		no_memory(sizeof *v);
}

json_t *config_inner(json_t *root, const char *key)
{
	static const char *const decided[] = {"tie_word_embeddings", "quantization_config", "compression_config",
	                                      "quantization"};
	static const char *const formats[] = {"dtype", "torch_dtype"};
	json_t *inner = json_copy(json_object_get(root, key));
	if (!inner)
		no_memory(sizeof *inner);
	for (size_t i = 0; i < sizeof decided / sizeof *decided; i++)
		take(inner, root, decided[i]);
	bool has_format = is_said(json_object_get(inner, "dtype")) || is_said(json_object_get(inner, "torch_dtype"));
	for (size_t i = 0; i < sizeof formats / sizeof *formats && !has_format; i++)
		take(inner, root, formats[i]);
	return inner;
}

const char *config_inner_key(json_t *root, bool (*reads)(void *context, json_t *object), void *context)
{
	const char *key, *found = NULL;
	json_t *v;
	int n = 0;
	if (reads(context, root))
		return NULL;
	json_object_foreach (root, key, v)
		if (json_is_object(v) && reads(context, v)) {
			found = key;
			n++;
		}
	return n == 1 ? found : NULL;
}
