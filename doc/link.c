/* Names in documented code that refer to documented items; anchors and sentences. */
#include "doc.h"
#include <ctype.h>
#include <string.h>
#include "../planner/planner.h"

static size_t name_length(const char *s)
{
	size_t n = 0;
	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	return isdigit((unsigned char)*s) ? 0 : n;
}

static const struct doc_item *own_item(const struct doc_module *m, const char *name)
{
	int i = m ? index_find(&m->item_index, name) : -1;
	return i < 0 ? NULL : m->items.at[i];
}

static const struct doc_module *find_module(const struct docs *d, const char *name)
{
	for (int i = 0; i < d->modules.n; i++)
		if (!strcmp(d->modules.at[i]->name, name))
			return d->modules.at[i];
	return NULL;
}

static const struct doc_import *find_import(const struct doc_module *m, const char *name)
{
	int i = index_find(&m->import_index, name);
	return i < 0 ? NULL : &m->imports.at[i];
}

const struct doc_item *docs_find(const struct docs *d, const struct doc_module *m, const char *code, size_t *length)
{
	size_t n = *length = name_length(code);
	const char *name = n ? arena_strndup(d->arena, code, n) : "";
	const struct doc_item *own = n ? own_item(m, name) : NULL;
	const struct doc_import *import = n && !own ? find_import(m, name) : NULL;
	if (own || !n)
		return own;
	if (!import) /* std.core is known everywhere */
		return own_item(find_module(d, "std.core"), name);
	if (import->name)
		return own_item(find_module(d, import->module), name);
	size_t second = code[n] == '.' ? name_length(code + n + 1) : 0;
	if (!second)
		return NULL;
	*length = n + 1 + second;
	return own_item(find_module(d, import->module), arena_strndup(d->arena, code + n + 1, second));
}

static void add_use(struct docs *d, struct doc_item *item, const struct doc_item *used)
{
	if (!used || used == item)
		return;
	for (int i = 0; i < item->uses.n; i++)
		if (item->uses.at[i] == used)
			return;
	vec_push(d->arena, &item->uses, used);
}

size_t doc_opaque(const char *code)
{
	if (!strncmp(code, "//", 2))
		return strcspn(code, "\n");
	if (*code == '"') {
		size_t n = 1 + strcspn(code + 1, "\"\n");
		return n + (code[n] == '"');
	}
	return *code == '.' || isdigit((unsigned char)*code) ? 1 + name_length(code + 1) : 0;
}

static void link_code(struct docs *d, struct doc_item *item)
{
	size_t n;
	for (const char *code = item->whole; *code; code += n) {
		n = doc_opaque(code);
		if (n)
			continue;
		add_use(d, item, docs_find(d, item->module, code, &n));
		n += n == 0;
	}
}

void docs_link(struct docs *d)
{
	for (int i = 0; i < d->modules.n; i++)
		for (int k = 0; k < d->modules.at[i]->items.n; k++)
			link_code(d, d->modules.at[i]->items.at[k]);
}

/* The anchor that GitHub gives the heading `### plan Megatron`. */
const char *doc_anchor(struct arena *a, const struct doc_item *item)
{
	char *anchor = arena_printf(a, "%s-%s", item->kind, item->name);
	for (char *c = anchor; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return anchor;
}

const char *doc_first_sentence(struct arena *a, const char *text)
{
	const char *end = text;
	while (*end && !(*end == '.' && (end[1] == ' ' || end[1] == '\n' || !end[1])) && !(*end == '\n' && end[1] == '\n'))
		end++;
	char *sentence = arena_strndup(a, text, (size_t)(end - text));
	for (char *c = sentence; *c; c++)
		*c = *c == '\n' ? ' ' : *c;
	return *end == '.' ? arena_printf(a, "%s.", sentence) : sentence;
}

const char *doc_size_text(struct arena *a, const struct doc_item *item)
{
	const struct doc_size *s = &item->size;
	const char *all = planner_count(a, s->params), *active = planner_count(a, s->active);
	const char *windows =
		s->windows > 0 ? arena_printf(a, ", %s of it within a window", planner_bytes(a, s->windows)) : "";
	return arena_printf(a, "%s parameters, %s of them read for a token; %s of weights; %s of cache for a position%s.",
	                    all, active, planner_bytes(a, s->weights), planner_bytes(a, s->position), windows);
}
