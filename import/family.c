/* The families of the library: models that declare a `config` with a `model_type`. */
#include "internal.h"
#include <string.h>

struct nodes family_map(const struct def *d, const char *name)
{
	const struct node *n = d->node;
	for (int i = 0; n->named.tail == TAIL_OF && i < n->named.body.n; i++) {
		const struct node *item = n->named.body.at[i];
		if (item->kind == N_SUB && item->sub.path.n == 1 && !strcmp(item->sub.path.at[0].name, name))
			return item->sub.body;
	}
	return (struct nodes){0};
}

/* The `model_type` that a model's config demands, or NULL: it is no family. */
static const char *model_type(const struct def *d)
{
	struct nodes items = !strcmp(d->kind, "model") ? family_map(d, "config") : (struct nodes){0};
	for (int i = 0; i < items.n; i++) {
		const struct node *item = items.at[i];
		if (item->kind == N_SET && item->set.path.n == 1 && !strcmp(item->set.path.at[0].name, "model_type") && item->set.value->kind == N_STR)
			return item->set.value->text;
	}
	return NULL;
}

static void report_unknown(struct import *m, const char *wanted, const char *known)
{
	complain("%s: no family of the library has model_type `%s`; there are %s", m->source, wanted, known);
	complain("docs/how-to-add-a-model.md tells how to write one");
}

bool find_family(struct import *m)
{
	const char *wanted = json_string_value(json_at(m->root, "model_type"));
	struct span nowhere = {0};
	struct text known = {.arena = m->arena};
	if (!wanted) {
		complain("%s has no model_type: it says what family a checkpoint is of", m->source);
		return false;
	}
	for (const struct embedded *e = stdlib; e->name; e++) {
		struct module *module = module_std(m->sema, e->name, nowhere);
		for (int i = 0; module && i < module->own.n; i++) {
			struct def *d = module->own.at[i];
			const char *type = model_type(d);
			if (type && !strcmp(type, wanted)) {
				m->family = d;
				m->record = def_record(m->sema, d);
				return m->record != NULL;
			}
			if (type)
				text_add(&known, "%s%s", known.n ? ", " : "", type);
		}
	}
	report_unknown(m, wanted, known.at);
	return false;
}
