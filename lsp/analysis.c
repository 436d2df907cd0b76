/* Runs the passes over a document. */
#include "analysis.h"
#include <string.h>
#include "../sema/internal.h"

/* ---- what they read -------------------------------------------------------------------------- */

/* The texts of all documents. `text` replaces that of `main`. */
static struct overlays overlays_of(struct arena *a, const struct document *all, const struct document *main,
                                   struct file_text text)
{
	int n = 0;
	for (const struct document *d = all; d; d = d->next)
		n++;
	struct overlay *at = arena_array(a, struct overlay, n + 1);
	at[0] = (struct overlay){main->key, text};
	n = 1;
	for (const struct document *d = all; d; d = d->next)
		if (d != main)
			at[n++] = (struct overlay){d->key, {d->text, d->size}};
	return (struct overlays){at, n};
}

static struct analysis *begin(const struct analysis_options *o, const struct document *d, struct file_text text)
{
	struct analysis *a = heap_alloc(NULL, sizeof *a);
	a->names.arena = a->sources.arena = a->sink.arena = &a->arena;
	a->sink.sources = &a->sources;
	a->options = *o->sema;
	a->options.references = true;
	a->options.overlays = overlays_of(&a->arena, o->documents, d, text);
	a->passes = (struct passes){.names = &a->names, .sink = &a->sink, .target = o->target, .no_goals = true};
	a->trials = (struct trials){.passes = &a->passes, .options = &a->options, .spec = d->key};
	a->sink.check = trial_check;
	a->sink.context = &a->trials;
	return a;
}

/* ---- work that may be given up --------------------------------------------------------------- */

struct work {
	struct heap heap;
	struct analysis *analysis;
	const struct analysis_options *options;
	const struct document *document;
};

static int load(void *context)
{
	struct work *w = context;
	struct analysis *a = w->analysis;
	a->passes.sema = a->sema = sema_new(&a->arena, &a->names, &a->sink, &a->options);
	sema_load(a->sema, w->document->key);
	a->references = sema_references(a->sema, &a->n_references);
	return 0;
}

static int plan(void *context)
{
	struct work *w = context;
	struct analysis *a = w->analysis;
	int n;
	a->trials.heap = &w->heap;
	load(w);
	struct deploy **deploys = sema_deploys(a->sema, &n);
	a->planned = arena_array(&a->arena, struct planned, n + 1);
	for (int i = 0; i < n; i++) {
		struct planned *p = &a->planned[a->n++];
		p->deploy = deploys[i];
		if (!w->options->deploy || !strcmp(w->options->deploy, p->deploy->name))
			passes_run(&a->passes, p);
	}
	allow_apply(&a->sink, false);
	return 0;
}

static int judge(void *context)
{
	struct work *w = context;
	struct analysis *a = w->analysis;
	a->trials.heap = &w->heap;
	for (int i = 0; i < a->n; i++) {
		struct planned *p = &a->planned[i];
		if (p->deploy->program)
			planner_goals(a->sema, p->deploy, p->local, p->schedule, p->training, a->passes.target, NULL);
	}
	allow_apply(&a->sink, !a->options.n_set);
	return 0;
}

static void run(struct work *w, int (*work)(void *context))
{
	int status = heap_run(&w->heap, work, w);
	if (status)
		w->analysis->status = status;
	w->analysis->trials.heap = NULL;
}

struct analysis *analysis_make(const struct analysis_options *o, const struct document *d)
{
	struct file_text text = {d->text, d->size};
	struct work w = {.analysis = begin(o, d, text), .options = o, .document = d};
	run(&w, plan);
	return w.analysis;
}

struct analysis *analysis_of_text(const struct analysis_options *o, const struct document *d, struct file_text text)
{
	struct work w = {.analysis = begin(o, d, text), .options = o, .document = d};
	w.analysis->sink.check = NULL;
	run(&w, load);
	return w.analysis;
}

void analysis_judge(struct analysis *a)
{
	struct work w = {.analysis = a};
	run(&w, judge);
}

void analysis_free(struct analysis *a)
{
	for (int i = 0; a && i < a->n; i++)
		arena_free(&a->planned[i].arena);
	if (a)
		arena_free(&a->arena);
	heap_free(a);
}

/* ---- what they found ------------------------------------------------------------------------- */

bool analysis_is_read(const struct analysis *a) { return a && a->sema && a->sema->main; }

const struct source *analysis_source(const struct analysis *a) { return &a->sources.files.at[sema_source(a->sema)]; }

bool analysis_reads(const struct analysis *a, const char *key)
{
	for (int i = 0; i < a->sources.files.n; i++)
		if (!strcmp(a->sources.files.at[i].path, key))
			return true;
	return false;
}
