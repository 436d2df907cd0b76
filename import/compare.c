/* The model that was found, compiled, against the file: what a launcher for it would say of the checkpoint. */
#include "internal.h"
#include "../sema/module.h"
#include <string.h>

static bool same_list(json_t *list, const char *expected)
{
	json_t *wanted = json_loads(expected, 0, NULL);
	bool same = wanted && json_is_array(list) && json_array_size(list) == json_array_size(wanted);
	for (size_t i = 0; same && i < json_array_size(wanted); i++) {
		json_t *a = json_array_get(list, i), *b = json_array_get(wanted, i);
		same = json_is_number(a) && json_is_number(b) ? same_number(json_number_value(a), json_number_value(b)) : json_equal(a, b);
	}
	json_decref(wanted);
	return same;
}

/* A word of a list, or a list of that word alone. */
static bool is_one_of(json_t *v, const char *expected)
{
	json_t *words = json_loads(expected, 0, NULL), *word = json_array_size(v) == 1 ? json_array_get(v, 0) : v;
	bool found = false;
	for (size_t i = 0; i < json_array_size(words); i++)
		found = found || json_equal(word, json_array_get(words, i));
	json_decref(words);
	return found;
}

static bool agrees(const struct config_entry *c, json_t *v)
{
	switch (c->type) {
	case CONFIG_NONE:   return !v;
	case CONFIG_BOOL:   return json_is_boolean(v) && json_is_true(v) == c->b;
	case CONFIG_INT:    return json_is_number(v) && same_number(json_number_value(v), (double)c->i);
	case CONFIG_FLOAT:  return json_is_number(v) && same_number(json_number_value(v), c->f);
	case CONFIG_STRING: return json_is_string(v) && !strcmp(json_string_value(v), c->s);
	case CONFIG_LIST:   return same_list(v, c->s);
	case CONFIG_ONE_OF: return is_one_of(v, c->s);
	}
	return false;
}

static const char *entry_text(struct import *m, const struct config_entry *c)
{
	switch (c->type) {
	case CONFIG_BOOL:   return c->b ? "true" : "false";
	case CONFIG_INT:    return arena_printf(m->arena, "%lld", (long long)c->i);
	case CONFIG_FLOAT:  return arena_printf(m->arena, "%.15g", c->f);
	case CONFIG_STRING: return arena_printf(m->arena, "\"%s\"", c->s);
	case CONFIG_LIST:   return c->s;
	case CONFIG_ONE_OF: return arena_printf(m->arena, "%s%s", strchr(c->s, ',') ? "one of " : "", c->s);
	case CONFIG_NONE:   break;
	}
	return "none";
}

/* The file says null where a file that lacks the name means a constant: null takes that away. */
static bool is_null_for_constant(struct import *m, const struct config_entry *c)
{
	return c->null_differs && c->type != CONFIG_NONE && json_says_null(m->root, c->name);
}

/* A word inside an object that the file lacks as a whole: older files have no rope_parameters. */
static bool is_word_of_absent_object(struct import *m, const struct config_entry *c)
{
	const char *dot = strchr(c->name, '.');
	return dot && c->type == CONFIG_STRING && !json_at(m->root, arena_strndup(m->arena, c->name, (size_t)(dot - c->name)));
}

/* A literal that the file does not say, and of which the family does not say that it goes without saying. Of fields, solve.c
 * knows. */
static bool is_unsaid(struct import *m, const struct config_entry *c)
{
	bool literal = !strcmp(c->field, c->name);
	if (!literal || c->type == CONFIG_NONE || c->absent || json_at(m->root, c->name) || is_word_of_absent_object(m, c))
		return false;
	complain("%s: %s is not there, and %s does not say in `absent` what that means", m->source, c->name, m->family->name);
	return true;
}

static bool compare(struct import *m, const struct program *p)
{
	bool same = true;
	for (int i = 0; i < p->config.n; i++) {
		const struct config_entry *c = &p->config.at[i];
		json_t *v = json_at(m->root, c->name);
		if (v ? agrees(c, v) : !is_null_for_constant(m, c)) {
			same = !is_unsaid(m, c) && same;
			continue;
		}
		complain("%s: %s is %s, and %s has %s", m->source, c->name, v ? json_value_text(m->arena, v) : "null", m->family->name,
		        entry_text(m, c));
		same = false;
	}
	return same;
}

/* `path` is `name`, or a field somewhere in it. */
static bool is_within(const char *path, const char *name)
{
	size_t n = strlen(name);
	return !strncmp(path, name, n) && (path[n] == 0 || path[n] == '.');
}

static bool is_known(const struct program *p, const char *path)
{
	for (int i = 0; i < p->config.n; i++)
		if (is_within(path, p->config.at[i].name))
			return true;
	for (int i = 0; i < p->harmless.n; i++)
		if (is_within(path, p->harmless.at[i]))
			return true;
	return false;
}

/* Something in the object at `path` is known. */
static bool holds_known(const struct program *p, const char *path)
{
	for (int i = 0; i < p->config.n; i++)
		if (is_within(p->config.at[i].name, path))
			return true;
	for (int i = 0; i < p->harmless.n; i++)
		if (is_within(p->harmless.at[i], path))
			return true;
	return false;
}

enum { LISTED = 8 };

/* As a launcher does it: how many fields of the object are neither compared nor harmless. `seen`: such fields before it. */
static int count_unknown(struct import *m, const struct program *p, json_t *object, const char *prefix, int seen)
{
	const char *key;
	json_t *v;
	int n = 0;
	json_object_foreach(object, key, v) {
		const char *path = arena_printf(m->arena, "%s%s", prefix, key);
		bool known = !strchr(key, '.') && is_known(p, path);    /* a dot in a key is no step into an object */
		if (json_is_object(v) && !known && !strchr(key, '.') && holds_known(p, path)) {
			n += count_unknown(m, p, v, arena_printf(m->arena, "%s.", path), seen + n);
		} else if (!json_is_null(v) && !known) {
			if (seen + n++ < LISTED)
				complain("%s: %s is %s, and %s does not say what that means", m->source, path,
				        json_value_text(m->arena, v), m->family->name);
		}
	}
	return n;
}

static bool all_known(struct import *m, const struct program *p)
{
	int n = count_unknown(m, p, m->root, "", 0);
	if (!n)
		return true;
	if (n > LISTED)
		complain("%s: %d more fields that %s does not know", m->source, n - LISTED, m->family->name);
	complain("a field that changes nothing of what is computed is listed in `harmless` of its family");
	return false;
}

bool compare_with_file(struct import *m, const char *text)
{
	struct sema *s = sema_new(m->arena, m->sema->names, m->sema->sink, m->options->sema);
	struct span nowhere = {0};
	const char *file = arena_printf(m->arena, "%s/", out_folder(m));
	s->main = module_file(s, file, arena_printf(m->arena, "the model of %s", m->source), (struct file_text){text, strlen(text)}, nowhere);
	struct def *d = module_own(s->main, names_str(s->names, m->name));
	struct record *r = d ? def_record(s, d) : NULL;
	if (!r || !record_check(r, false) || s->sink->errors)
		return false;
	struct program *p = walk_model(s, r, nowhere);
	if (!p)
		return false;
	bool same = compare(m, p);
	return all_known(m, p) && same;
}
