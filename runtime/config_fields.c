/* Fields of config.json that the program does not know. What is not known to be harmless is rejected by name; a null says nothing. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include "json_text.h"
#include "runtime.h"

enum { LISTED = 8, SHOWN = 200 };

struct fields { const struct plan *plan; struct unverified *unverified; struct problems *p; int unknown; };

bool unverified_has(struct unverified *u, const char *name)
{
	bool has = false;
	for (int i = 0; i < u->n; i++)
		if (!strcmp(u->name[i], name) || !fnmatch(u->name[i], name, 0)) {
			u->used[i] = true;
			has = true;
		}
	return has;
}

void unverified_check(const struct unverified *u, struct problems *p)
{
	for (int i = 0; i < u->n; i++)
		if (!u->used[i])
			problem(p, "--unverified: the launcher compares no `%s` of config.json, and no tensor of that name is unread", u->name[i]);
}

/* `path` is `name`, or a field somewhere in it. */
static bool is_within(const char *path, const char *name)
{
	size_t n = strlen(name);
	return !strncmp(path, name, n) && (path[n] == 0 || path[n] == '.');
}

static bool is_known(const struct plan *plan, const char *path)
{
	const struct dr_span *harmless = plan_array(plan, struct dr_span, plan->head->harmless);
	for (uint32_t i = 0; i < plan->head->config.n; i++)
		if (is_within(path, plan_string(plan, plan->config[i].name)))
			return true;
	for (uint32_t i = 0; i < plan->head->harmless.n; i++)
		if (is_within(path, plan_string(plan, harmless[i])))
			return true;
	return false;
}

/* Something in the object at `path` is known. */
static bool holds_known(const struct plan *plan, const char *path)
{
	const struct dr_span *harmless = plan_array(plan, struct dr_span, plan->head->harmless);
	for (uint32_t i = 0; i < plan->head->config.n; i++)
		if (is_within(plan_string(plan, plan->config[i].name), path))
			return true;
	for (uint32_t i = 0; i < plan->head->harmless.n; i++)
		if (is_within(plan_string(plan, harmless[i]), path))
			return true;
	return false;
}

static void report_unknown(struct fields *f, const char *path, json_t *v)
{
	char *text;
	if (unverified_has(f->unverified, path) || f->unknown++ >= LISTED)
		return;
	text = json_text_show(v);
	problem(f->p, "config.json: %.*s is %.*s, and %s does not say what that means; --unverified=%.*s runs anyway", SHOWN, path, SHOWN,
	        text ? text : "?", plan_string(f->plan, f->plan->head->model), SHOWN, path);
	free(text);
}

static char *join_name(const char *prefix, const char *key)
{
	char *path;
	if (asprintf(&path, "%s%s%s", prefix, *prefix ? "." : "", key) < 0)
		abort();
	return path;
}

/* An object is looked into only where something in it is known, so no path is longer than a known name and one key. */
static void check_object(struct fields *f, json_t *object, const char *prefix)
{
	const char *key;
	json_t *v;
	json_object_foreach(object, key, v) {
		char *path = join_name(prefix, key);
		bool known = !strchr(key, '.') && is_known(f->plan, path);      /* a dot in a key is no step into an object */
		if (json_is_object(v) && !known && !strchr(key, '.') && holds_known(f->plan, path))
			check_object(f, v, path);
		else if (!json_is_null(v) && !known)
			report_unknown(f, path, v);
		free(path);
	}
}

void config_fields_check(const struct plan *plan, struct json_t *root, struct unverified *u, struct problems *p)
{
	struct fields f = { plan, u, p, 0 };
	check_object(&f, root, "");
	if (f.unknown > LISTED)
		problem(p, "config.json: %d more fields that %s does not know", f.unknown - LISTED, plan_string(plan, plan->head->model));
}
