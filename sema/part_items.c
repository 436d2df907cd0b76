/* Parts of a deployment as items of the language: fields and rules, in their scopes. */
#include <string.h>
#include "sema.h"

/* Splits `path` at the last " word "; NULL: it has none. */
static const char *scope_in(struct arena *a, const char **path, const char *word)
{
	const char *pattern = arena_printf(a, " %s ", word), *found = NULL;
	for (const char *at = strstr(*path, pattern); at; at = strstr(at + 1, pattern))
		found = at;
	if (!found)
		return NULL;
	*path = arena_strndup(a, *path, (size_t)(found - *path));
	return found + strlen(pattern);
}

static const char word_rule[] = "rule ";

struct part_item sema_part_item(struct arena *a, struct suggestion value)
{
	static const char *const scopes[] = {"store", "phase", "at"};
	const char *path = value.path, *dot = strrchr(path, '.');
	struct text scope = {.arena = a};
	if (strncmp(path, word_rule, strlen(word_rule)) != 0) {
		const char *name = dot ? dot + 1 : path;
		return (struct part_item){dot ? arena_strndup(a, path, (size_t)(dot - path)) : "", path,
		                          arena_printf(a, "%s = %s", name, value.value)};
	}
	path += strlen(word_rule);
	for (int i = 0; i < 3; i++) {
		const char *name = scope_in(a, &path, scopes[i]);
		if (name)
			text_add(&scope, "%s%s %s", scope.n ? " { " : "", scopes[i], name);
	}
	return (struct part_item){scope.n ? scope.at : "", NULL, arena_printf(a, "%s -> %s", path, value.value)};
}

void part_items_end(struct part_items *t)
{
	for (const char *at = t->scope; *t->scope && at; at = strchr(at + 1, '{'))
		text_add(&t->text, " }");
	t->scope = "";
}

void part_items_add(struct part_items *t, const struct part_item *item)
{
	bool same = !strcmp(t->scope, item->scope);
	if (!same)
		part_items_end(t);
	text_add(&t->text, "%s", t->text.n ? "; " : "");
	if (!same && *item->scope)
		text_add(&t->text, "%s { ", item->scope);
	text_add(&t->text, "%s", item->text);
	t->scope = item->scope;
}
