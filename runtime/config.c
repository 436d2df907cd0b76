/* Compares config.json with the constants that the program was compiled for (docs/language.md, Checkpoints). A
 * different value is rejected. `none` means absent or null. Numbers compare as numbers. Names of one value are
 * alternatives: the file must have one of them, unless the program knows what a file without them means. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "config_value.h"
#include "json_text.h"
#include "runtime.h"

static struct config_value value_of(const struct plan *plan, const struct dr_config *c)
{
	return (struct config_value){(enum config_type)c->type, c->b != 0, c->i, c->f, plan_string(plan, c->s)};
}

static void format_expected(const struct plan *plan, const struct dr_config *c, char *out, size_t n)
{
	struct config_value want = value_of(plan, c);
	config_text(&want, out, n);
}

static void report_difference(const struct plan *plan, const struct dr_config *c, json_t *v, struct problems *p)
{
	char expected[256];
	char *there = json_text_show(v);
	format_expected(plan, c, expected, sizeof expected);
	problem(p, "config.json: %s is %.200s, the launcher was compiled for %s", plan_string(plan, c->name),
	        there ? there : "?", expected);
	free(there);
}

/* Is the field present? Null counts as absent. */
static bool is_there(json_t *root, const char *path)
{
	json_t *v = config_find(root, path);
	return v && !json_is_null(v);
}

/* Is it a word, such as "default", in an object that the file lacks? Older files have no rope_parameters. Other fields
 * of the object are values of the model, and are looked up under their other names. */
static bool is_word_of_absent_object(const struct plan *plan, const struct dr_config *c, json_t *root)
{
	const char *name = plan_string(plan, c->name), *dot = strchr(name, '.');
	if (!dot || c->type != CONFIG_STRING || strcmp(plan_string(plan, c->field), name) != 0)
		return false;
	char *object = strndup(name, (size_t)(dot - name));
	bool there = is_there(root, object);
	free(object);
	return !there;
}

/* What a file without any name of a value means; NULL: unknown. */
static const struct dr_config *absent_entry(const struct plan *plan, const char *value)
{
	for (uint32_t i = 0; i < plan->head->config.n; i++)
		if (plan->config[i].absent.n && !strcmp(plan_string(plan, plan->config[i].field), value))
			return &plan->config[i];
	return NULL;
}

/* Reports a value, at the first of its names, if the file has none of them. Not reported: a name was accepted on the
 * command line, or a file without the names means this value. */
static void check_there(const struct plan *plan, uint32_t first, json_t *root, struct unverified *u, struct problems *p)
{
	const char *value = plan_string(plan, plan->config[first].field);
	for (uint32_t i = 0; i < plan->head->config.n; i++) {
		const char *name = plan_string(plan, plan->config[i].name);
		bool same = !strcmp(plan_string(plan, plan->config[i].field), value);
		if (same && (i < first || is_there(root, name) || unverified_has(u, name)))
			return;
	}
	const char *name = plan_string(plan, plan->config[first].name);
	const struct dr_config *absent = absent_entry(plan, value);
	char expected[256];
	format_expected(plan, &plan->config[first], expected, sizeof expected);
	if (absent && !absent->absent_holds)
		problem(p, "config.json: %s is missing, which means %s; the launcher was compiled for %s", name,
		        plan_string(plan, absent->absent), expected);
	if (absent)
		return;
	problem(p, "config.json: %s is missing, so %s = %s is unverified; --unverified=%s runs anyway", name, value,
	        expected, name);
}

/* Must the file have the value under one of its names? */
static bool is_asked_for(const struct plan *plan, const struct dr_config *c, json_t *root)
{
	if (c->type == CONFIG_NONE)
		return c->absent.n && !config_find(root, plan_string(plan, c->name));
	return c->absent.n || !is_word_of_absent_object(plan, c, root);
}

static void check_entry(const struct plan *plan, uint32_t i, json_t *root, struct unverified *u, struct problems *p)
{
	const struct dr_config *c = &plan->config[i];
	struct config_value want = value_of(plan, c);
	json_t *v = config_find(root, plan_string(plan, c->name));
	if (v && !config_agrees(&want, v) && (!json_is_null(v) || c->null_differs))
		report_difference(plan, c, v, p);
	else if (is_asked_for(plan, c, root))
		check_there(plan, i, root, u, p);
}

/* Is there a value that the file must have? */
static bool needs_file(const struct plan *plan)
{
	for (uint32_t i = 0; i < plan->head->config.n; i++) {
		const struct dr_config *absent = absent_entry(plan, plan_string(plan, plan->config[i].field));
		if (absent ? !absent->absent_holds : plan->config[i].type != CONFIG_NONE)
			return true;
	}
	return false;
}

/* NULL after a report, or if there is no file and none is needed. */
static json_t *read_config(const struct plan *plan, const char *folder, struct problems *p)
{
	char *path = join_path(folder, "config.json");
	bool may_lack = !needs_file(plan) && access(path, F_OK) && errno == ENOENT;
	json_t *root = may_lack ? NULL : json_file(path, p);
	free(path);
	return root;
}

static bool is_of_model(void *context, json_t *object)
{
	const struct plan *plan = context;
	for (uint32_t i = 0; i < plan->head->config.n; i++) {
		struct config_value want = value_of(plan, &plan->config[i]);
		if (!strcmp(plan_string(plan, plan->config[i].name), "model_type"))
			return config_agrees(&want, json_object_get(object, "model_type"));
	}
	return true;
}

/* The part of the file that describes the program's model; the rest of a larger model's is not compared. */
static json_t *own_part(const struct plan *plan, json_t *root, bool *inner)
{
	const char *key = root ? config_inner_key(root, is_of_model, (void *)plan) : NULL;
	*inner = key;
	if (!key)
		return root;
	json_t *part = config_inner(root, key);
	print_note(
		"config.json: %s is the program's model; the rest of the file, and tensors outside this model, are not read",
		key);
	json_decref(root);
	return part;
}

bool config_check(const struct plan *plan, const char *folder, struct unverified *u, struct problems *p)
{
	bool inner;
	json_t *root = own_part(plan, read_config(plan, folder, p), &inner);
	for (uint32_t i = 0; i < plan->head->config.n; i++)
		unverified_has(u, plan_string(plan, plan->config[i].name)); /* a name in the file is not misspelt */
	for (uint32_t i = 0; root && i < plan->head->config.n; i++)
		check_entry(plan, i, root, u, p);
	if (root)
		config_fields_check(plan, root, u, p);
	json_decref(root);
	return inner;
}
