/* Checks a spec again with suggested values: only those that pass every check are suggested. */
#include "passes.h"
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

static const struct source *text_of(const struct trials *t)
{
	return &t->passes->sink->sources->files.at[sema_source(t->passes->sema)];
}

/* The options of the compilation, which read the same text of its spec again, with values after the -D of the command
 * line. */
static struct sema_options options_with(const struct trials *t, struct arena *a, const char *deploy,
                                        const struct suggestion *values, int n)
{
	struct sema_options o = *t->options;
	const struct source *main = text_of(t);
	o.set = arena_array(a, struct suggestion, o.n_set + n + 1);
	for (int i = 0; i < o.n_set; i++)
		o.set[i] = t->options->set[i];
	for (int i = 0; i < n; i++)
		o.set[o.n_set++] = (struct suggestion){arena_printf(a, "%s.%s", deploy, values[i].path), values[i].value};
	o.overlays = overlays_with(a, &t->options->overlays, t->spec, (struct file_text){main->text, main->size});
	o.references = false;
	return o;
}

/* Counts what is reported about one deployment and the file's other declarations. false: no such deployment. */
static bool counts_with(const struct trials *t, const char *deploy, const struct suggestion *values, int n,
                        struct counts *out)
{
	struct arena text = {.heap = t->heap}, arena = {.heap = t->heap};
	struct names names = {.arena = &arena};
	struct sources sources = {.arena = &arena};
	struct sink sink = {.arena = &arena, .sources = &sources};
	struct sema_options o = options_with(t, &text, deploy, values, n);
	struct passes passes = {sema_new(&arena, &names, &sink, &o), &names, &sink, t->passes->target, t->passes->no_goals};
	struct planned p = {.deploy = sema_load(passes.sema, t->spec) ? named(passes.sema, deploy) : NULL,
	                    .arena.heap = t->heap};
	if (p.deploy)
		passes_run(&passes, &p);
	allow_apply(&sink, false);
	count(&sink, out);
	arena_free(&p.arena);
	arena_free(&arena);
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
	int64_t cost = (int64_t)times * text_of(t)->size;
	if (t->n >= MAX_TRIALS || t->text + cost > MAX_TEXT || t->passes->sink->errors > MAX_MISTAKES)
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
		b->known = counts_with(t, deploy, NULL, 0, &b->counts);
	}
	if (!b->known || !counts_with(t, deploy, values, n, &after))
		return -1;
	return compare(&b->counts, &after, mistake);
}
