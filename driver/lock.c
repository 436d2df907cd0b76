/* Uses the lock of a spec of the command line, and writes one. */
#include "lock.h"
#include "../planner/metrics_text.h"
#include "../support/json.h"
#include "search.h"

/* ---- reading --------------------------------------------------------------------------------- */

/* The same text again, since it may not be there to be read twice, with the values of the lock. */
static struct options with_values(const struct compilation *c, const struct options *given, struct arena *a,
                                  const struct lock *lock)
{
	struct options o = *given;
	const struct source *main = &c->sources.files.at[sema_source(c->sema)];
	struct file_text text = {arena_strndup(a, main->text, main->size), main->size};
	o.sema = lock_options(a, lock, &given->sema);
	o.sema.overlays = overlays_with(a, &c->options->sema.overlays, c->spec, text);
	return o;
}

/* Checks the spec as it is written, to learn what is open and whether the lock was made from it. */
static struct options use(const struct options *o, const char *spec, struct arena *a, struct lock *lock)
{
	struct compilation c;
	struct options out = *o, plain = *o;
	int n;
	plain.sema.n_set = 0;
	compilation_begin(&c, &plain, spec);
	if (sema_load(c.sema, spec)) {
		struct deploy **all = sema_deploys(c.sema, &n);
		lock_take(a, lock, &c.sources, all, n, &o->sema);
		if (lock->values.n)
			out = with_values(&c, o, a, lock);
	}
	arena_free(&c.arena);
	return out;
}

struct options lock_use(const struct options *o, const char *spec, struct arena *a, struct lock *out)
{
	lock_open(a, out, spec);
	struct options locked = out->document ? use(o, spec, a, out) : *o;
	lock_close(out);
	return locked;
}

/* ---- writing --------------------------------------------------------------------------------- */

static json_t *entry(const struct search *s, const struct candidate *c)
{
	json_t *o = json_object(), *values = json_object(), *metrics = json_object();
	for (int i = 0; i < c->space->knobs.n; i++) {
		const struct knob *k = &c->space->knobs.at[i];
		json_object_set_new(values, k->path, json_text(k->values.at[c->value[i]]));
	}
	for (int i = 0; i < METRICS; i++)
		if (!c->of[i].lacks)
			json_object_set_new(metrics, metric_name((enum metric)i), json_figure(c->of[i].value));
	json_object_set_new(o, "deploy", json_text(s->deploy->name));
	json_object_set_new(o, "values", values);
	json_object_set_new(o, "metrics", metrics);
	json_object_set_new(o, "memory.peak", json_figure(c->peak));
	return o;
}

const char *lock_write(const struct search *s)
{
	const char *path = lock_path(s->arena, s->compilation.spec);
	struct out_file out;
	if (!path || !s->open || s->interrupted || !s->n_hold || s->options->sema.n_set
	    || !output_open(s->arena, &out, path))
		return NULL;
	json_put_lines(lock_document(s->arena, path, &s->compilation.sources, entry(s, &s->all.at[s->ranked[0]])),
	               out.file);
	return output_close(&out, true) ? path : NULL;
}
