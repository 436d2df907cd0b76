/* Checks a spec again with suggested values: only those that pass every check are suggested. */
#include "compile.h"
#include <string.h>

/* Each trial is a compilation up to `check`. A long text, or one with many mistakes, gets fewer suggestions. */
enum { MAX_TRIALS = 64, MAX_TEXT = 1 << 20 /* bytes checked again, in total */, MAX_MISTAKES = 32 };

static void count(const struct sink *sink, struct counts *out)
{
	*out = (struct counts){{0}};
	for (int i = 0; i < sink->diags.n; i++)
		if (!sink->diags.at[i]->allowed)
			out->of[sink->diags.at[i]->code]++;
}

static struct deploy *named(struct sema *s, const char *name)
{
	int n;
	struct deploy **all = sema_deploys(s, &n);
	for (int i = 0; i < n; i++)
		if (!strcmp(all[i]->name, name))
			return all[i];
	return NULL;
}

struct overlays with_text(struct arena *a, const struct overlays *o, const char *spec, struct file_text text)
{
	struct overlay *at = arena_array(a, struct overlay, o->n + 1);
	at[0] = (struct overlay){source_key(a, o, spec), text};
	for (int i = 0; i < o->n; i++)
		at[i + 1] = o->at[i];
	return (struct overlays){at, o->n + 1};
}

struct options compilation_with(const struct compilation *c, struct arena *a, const char *deploy,
                                const struct suggestion *values, int n)
{
	struct options o = *c->options;
	const struct source *main = &c->sources.files.at[sema_source(c->sema)];
	o.sema.set = arena_array(a, struct suggestion, o.sema.n_set + n + 1);
	for (int i = 0; i < o.sema.n_set; i++)
		o.sema.set[i] = c->options->sema.set[i];
	for (int i = 0; i < n; i++)
		o.sema.set[o.sema.n_set++] =
			(struct suggestion){arena_printf(a, "%s.%s", deploy, values[i].path), values[i].value};
	o.sema.overlays = with_text(a, &c->options->sema.overlays, c->spec, (struct file_text){main->text, main->size});
	return o;
}

/* Counts what is reported about one deployment and the file's other declarations. false: no such deployment. */
static bool counts_with(const struct compilation *c, const char *deploy, const struct suggestion *values, int n,
                        struct counts *out)
{
	struct compilation t;
	struct arena text = {.heap = c->arena.heap};
	struct options o = compilation_with(c, &text, deploy, values, n);
	compilation_begin(&t, &o, c->spec);
	t.target = c->target;
	struct planned p = {.deploy = sema_load(t.sema, c->spec) ? named(t.sema, deploy) : NULL,
	                    .arena.heap = c->arena.heap};
	if (p.deploy)
		plan_deployment(&t, &p);
	allow_apply(&t.sink, false);
	count(&t.sink, out);
	arena_free(&p.arena);
	arena_free(&t.arena);
	arena_free(&text);
	return p.deploy != NULL;
}

/* What a new warning costs. A collective over the slow link in every layer is worse than any waste. */
static int weight(enum diag_code warning) { return warning == DIAG_W0604 ? 16 : 1; }

/* The weight of the new warnings; -1: the mistake remains, or there is a new error. */
static int compare(const struct counts *before, const struct counts *after, enum diag_code mistake)
{
	int warnings = 0;
	if (after->of[mistake] >= before->of[mistake])
		return -1;
	for (int i = 0; i < DIAG_COUNT; i++) {
		int more = after->of[i] - before->of[i];
		if (more > 0 && diag_is_error((enum diag_code)i))
			return -1;
		warnings += more > 0 ? more * weight((enum diag_code)i) : 0;
	}
	return warnings;
}

/* Takes `times` checks of the text from the budget; false: it is used up. */
static bool affords(struct trials *t, int times)
{
	const struct compilation *c = t->compilation;
	int64_t cost = (int64_t)times * c->sources.files.at[sema_source(c->sema)].size;
	if (t->n >= MAX_TRIALS || t->text + cost > MAX_TEXT || c->sink.errors > MAX_MISTAKES)
		return false;
	t->n++;
	t->text += cost;
	return true;
}

int trial_check(void *context, const char *deploy, enum diag_code mistake, const struct suggestion *values, int n)
{
	struct trials *t = context;
	struct baseline *b = &t->baseline;
	struct counts after;
	bool first = !b->deploy || strcmp(b->deploy, deploy) != 0;
	if (!affords(t, 1 + first))
		return -2;
	if (first) {
		b->deploy = deploy;
		b->known = counts_with(t->compilation, deploy, NULL, 0, &b->counts);
	}
	if (!b->known || !counts_with(t->compilation, deploy, values, n, &after))
		return -1;
	return compare(&b->counts, &after, mistake);
}
