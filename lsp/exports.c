/* The public names of the library, and the schemas that they are made from. */
#include "complete.h"
#include <string.h>
#include "../doc/doc.h"
#include "../sema/internal.h"

struct collecting {
	struct arena *keep; /* of the result */
	VEC(struct export) all;
};

static void add_schemas(struct collecting *r, struct export *x, const struct record *record)
{
	for (int i = 0; record && i < record->layers.n && x->n_schemas < MAX_SCHEMAS; i++)
		if (record->layers.at[i]->kind == LAYER_SCHEMA)
			x->schemas[x->n_schemas++] = arena_printf(r->keep, "%s", record->layers.at[i]->name);
}

static void add_export(struct collecting *r, struct sema *s, const struct module *m, struct def *d)
{
	struct span at = d->node->span;
	struct export x = {arena_printf(r->keep, "%s", m->label),
	                   arena_printf(r->keep, "%s", d->kind),
	                   arena_printf(r->keep, "%s", d->name),
	                   doc_comment(r->keep, &s->sink->sources->files.at[at.file], at.lo, at.hi),
	                   {0},
	                   0};
	if (!def_is_program(d))
		add_schemas(r, &x, def_record(s, d));
	vec_push(r->keep, &r->all, x);
}

static int read_library(void *context)
{
	struct collecting *r = context;
	struct arena arena = {0};
	struct names names = {.arena = &arena};
	struct sources sources = {.arena = &arena};
	struct sink sink = {.arena = &arena, .sources = &sources};
	struct sema_options options = {0};
	struct sema *s = sema_new(&arena, &names, &sink, &options);
	for (int i = 0; sema_library(i); i++) {
		struct module *m = module_std(s, sema_library(i), (struct span){0});
		for (int k = 0; k < m->own.n; k++)
			if (m->own.at[k]->name[0] != '_')
				add_export(r, s, m, m->own.at[k]);
	}
	arena_free(&arena);
	return 0;
}

const struct exports *library_exports(void)
{
	static struct arena keep;
	static struct exports exports;
	struct heap heap = {0};
	struct collecting r = {.keep = &keep};
	if (!exports.n && !heap_run(&heap, read_library, &r))
		exports = (struct exports){r.all.at, r.all.n};
	return &exports;
}
