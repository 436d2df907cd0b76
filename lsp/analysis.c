/* Runs the passes over a document. */
#include "analysis.h"
#include <limits.h>
#include <string.h>
#include "../planner/joint.h"
#include "../sema/internal.h"
#include "reuse.h"

/* ---- memory ---------------------------------------------------------------------------------- */

static struct arena take(struct spares *s) { return s->n ? s->at[--s->n] : (struct arena){0}; }

static void give(struct spares *s, struct arena *a)
{
	if (s->n < SPARES) {
		arena_reset(a);
		s->at[s->n++] = *a;
	} else {
		arena_free(a);
	}
}

void spares_free(struct spares *s)
{
	while (s->n)
		arena_free(&s->at[--s->n]);
}

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

/* Notes that a report would suggest a value. */
static int do_not_try(void *analysis, const char *deploy, enum diag_code mistake, const struct suggestion *values,
                      int n)
{
	(void)deploy, (void)mistake, (void)values, (void)n;
	((struct analysis *)analysis)->untried = true;
	return -2;
}

static struct analysis *begin(const struct analysis_options *o, const struct document *d, struct file_text text)
{
	struct analysis *a = heap_alloc(NULL, sizeof *a);
	a->spares = o->spares;
	a->arena = take(a->spares);
	a->names.arena = a->sources.arena = a->sink.arena = &a->arena;
	a->sink.sources = &a->sources;
	a->options = *o->sema;
	a->options.references = true;
	a->options.overlays = overlays_of(&a->arena, o->documents, d, text);
	a->passes = (struct passes){.names = &a->names, .sink = &a->sink, .target = o->target, .no_goals = true};
	a->trials = (struct trials){.passes = &a->passes, .options = &a->options, .spec = d->key};
	a->sink.check = do_not_try;
	a->sink.context = a;
	return a;
}

/* ---- work that may be given up --------------------------------------------------------------- */

struct work {
	struct heap heap;
	struct analysis *analysis;
	const struct analysis_options *options;
	const struct document *document;
	const struct analysis *before;
	int deployment;
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

/* Notes which reports the passes made, and whether they depend on those before. */
static void run_passes(struct analysis *a, struct deployment *d)
{
	bool untried = a->untried;
	d->first_report = a->sink.diags.n;
	a->sink.repeated = INT_MAX;
	a->untried = false;
	passes_run(&a->passes, &d->planned);
	d->is_planned = true;
	d->untried = a->untried;
	d->end_report = a->sink.diags.n;
	d->reports_stand = a->sink.repeated >= d->first_report;
	a->untried |= untried;
}

static void plan_one(const struct work *w, struct reuse *reuse, int i)
{
	struct analysis *a = w->analysis;
	struct deployment *d = &a->deployments[i];
	d->first_report = a->sink.diags.n;
	if (!reuse_reports(reuse, i)) {
		run_passes(a, d);
		return;
	}
	d->end_report = a->sink.diags.n;
	d->reports_stand = true;
	a->untried |= d->untried;
}

static void note_open(struct analysis *a, const struct deploy *d)
{
	for (int i = 0; i < d->choices.n; i++) {
		const struct choice *c = &d->choices.at[i];
		struct open_value v = {a->sources.files.at[c->text.file].path, c->text, d->name,
		                       lock_value(&a->arena, &a->lock, d, c)};
		vec_push(&a->arena, &a->open, v);
	}
}

/* Looks for what the text leaves open in the lock of the document. false: it has no value of it. */
static bool use_lock(const struct work *w, struct deploy *const *deploys, int n)
{
	struct analysis *a = w->analysis;
	const char *path = uri_path(&a->arena, w->document->uri);
	lock_open(&a->arena, &a->lock, path ? path : "-");
	lock_take(&a->arena, &a->lock, &a->sources, deploys, n, &a->options);
	lock_close(&a->lock);
	for (int i = 0; i < n; i++)
		note_open(a, deploys[i]);
	a->options = lock_options(&a->arena, &a->lock, &a->options);
	return a->lock.values.n;
}

/* Forgets what was loaded. */
static void restart(struct analysis *a)
{
	a->names = (struct names){.arena = &a->arena};
	a->sources = (struct sources){.arena = &a->arena};
	a->sink =
		(struct sink){.arena = &a->arena, .sources = &a->sources, .check = a->sink.check, .context = a->sink.context};
	a->untried = false;
}

/* The deployments of the text, with what its lock chose. */
static struct deploy **load_deploys(struct work *w, int *n)
{
	struct analysis *a = w->analysis;
	load(w);
	struct deploy **deploys = sema_deploys(a->sema, n);
	if (!use_lock(w, deploys, *n))
		return deploys;
	restart(a);
	load(w);
	return sema_deploys(a->sema, n);
}

/* Notes what plans several deployments together: all of the file, or the one with this name, which is returned. */
static struct joint *choose_joints(struct analysis *a, const char *name)
{
	int n;
	struct joint **all = sema_joints(a->sema, &n), *chosen = NULL;
	for (int i = 0; i < n; i++) {
		bool named = name && !strcmp(name, all[i]->self->name);
		chosen = named ? all[i] : chosen;
		if (!name || named)
			vec_push(&a->arena, &a->joints, all[i]);
	}
	return chosen;
}

static bool is_member(const struct joint *j, const struct deploy *d)
{
	for (int i = 0; j && i < j->members.n; i++)
		if (j->members.at[i].deploy == d)
			return true;
	return false;
}

static int plan(void *context)
{
	struct work *w = context;
	struct analysis *a = w->analysis;
	int n;
	a->trials.heap = &w->heap;
	struct deploy **deploys = load_deploys(w, &n);
	a->deployments = arena_array(&a->arena, struct deployment, n + 1);
	for (int i = 0; i < n; i++) {
		struct planned *p = &a->deployments[a->n++].planned;
		p->deploy = deploys[i];
		p->arena = take(a->spares);
	}
	struct joint *chosen = choose_joints(a, w->options->deploy);
	struct reuse *reuse = reuse_begin(a, w->before);
	for (int i = 0; i < n; i++)
		if (!w->options->deploy || !strcmp(w->options->deploy, deploys[i]->name) || is_member(chosen, deploys[i]))
			plan_one(w, reuse, i);
	allow_apply(&a->sink, false);
	return 0;
}

/* Its reports are there already. */
static int plan_late(void *context)
{
	struct work *w = context;
	struct analysis *a = w->analysis;
	struct passes passes = a->passes;
	passes.sink = arena_new(&a->arena, struct sink); /* what the passes make refers to it */
	*passes.sink = (struct sink){.arena = &a->arena, .sources = &a->sources};
	passes_run(&passes, &a->deployments[w->deployment].planned);
	return 0;
}

static void judge_deployment(struct work *w)
{
	struct analysis *a = w->analysis;
	const struct planned *p = analysis_planned(a, w->deployment);
	if (!p->deploy->program)
		return;
	struct goal_list *goals = &a->deployments[w->deployment].planned.goals;
	goals->n = 0;
	planner_goals(a->sema, p->deploy, p->local, p->schedule, p->training, a->passes.target, goals);
}

static void judge_joint(struct analysis *a, struct joint *j)
{
	struct passes passes = a->passes;
	passes.no_goals = false;
	if (!sema_guessed(a->sema))
		passes_joint(&passes, &a->arena, j, NULL);
}

static int judge(void *context)
{
	struct work *w = context;
	struct analysis *a = w->analysis;
	a->trials.heap = &w->heap;
	if (w->deployment < a->n)
		judge_deployment(w);
	else if (w->deployment < a->n + a->joints.n)
		judge_joint(a, a->joints.at[w->deployment - a->n]);
	if (a->judged < a->n + a->joints.n)
		return 0;
	a->references = sema_references(a->sema, &a->n_references); /* goals have names too */
	allow_apply(&a->sink, !a->options.n_set);
	return 0;
}

static void run(struct work *w, int (*work)(void *context))
{
	int status = heap_run(&w->heap, work, w);
	if (status) {
		w->analysis->status = status;
		memcpy(w->analysis->error, w->heap.said, sizeof w->heap.said);
	}
	w->analysis->trials.heap = NULL;
}

struct analysis *analysis_make(const struct analysis_options *o, const struct document *d,
                               const struct analysis *before, bool tries)
{
	struct file_text text = {d->text, d->size};
	struct work w = {.analysis = begin(o, d, text), .options = o, .document = d, .before = before};
	w.analysis->tries = tries;
	if (tries) {
		w.analysis->sink.check = trial_check;
		w.analysis->sink.context = &w.analysis->trials;
	}
	run(&w, plan);
	return w.analysis;
}

struct analysis *analysis_of_text(const struct analysis_options *o, const struct document *d, struct file_text text)
{
	struct work w = {.analysis = begin(o, d, text), .options = o, .document = d};
	run(&w, load);
	return w.analysis;
}

const struct planned *analysis_planned(struct analysis *a, int i)
{
	struct deployment *d = &a->deployments[i];
	struct work w = {.analysis = a, .deployment = i};
	if (!d->is_planned && d->reports_stand) {
		d->is_planned = true;
		run(&w, plan_late);
	}
	return &d->planned;
}

bool analysis_judge(struct analysis *a)
{
	struct work w = {.analysis = a, .deployment = a->judged++};
	run(&w, judge);
	return a->judged < a->n + a->joints.n && !a->status;
}

void analysis_free(struct analysis *a)
{
	for (int i = 0; a && i < a->n; i++)
		give(a->spares, &a->deployments[i].planned.arena);
	if (a)
		give(a->spares, &a->arena);
	heap_free(a);
}

/* ---- what they found ------------------------------------------------------------------------- */

bool analysis_is_read(const struct analysis *a) { return a && a->sema && a->sema->main; }

const struct source *analysis_source(const struct analysis *a) { return &a->sources.files.at[sema_source(a->sema)]; }

const struct open_value *analysis_open(const struct analysis *a, struct span at, const struct open_value *after)
{
	const char *file = a->sources.files.at[at.file].path;
	for (int i = after ? (int)(after - a->open.at) + 1 : 0; i < a->open.n; i++) {
		const struct open_value *v = &a->open.at[i];
		if (v->at.lo <= at.lo && at.hi <= v->at.hi && !strcmp(v->file, file))
			return v;
	}
	return NULL;
}

bool analysis_reads(const struct analysis *a, const char *key)
{
	for (int i = 0; i < a->sources.files.n; i++)
		if (!strcmp(a->sources.files.at[i].path, key))
			return true;
	return false;
}
