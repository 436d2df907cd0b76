/* Locks: read, compared with the texts that they were made from, and written. */
#include "lock.h"
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include "../planner/metrics_text.h"
#include "../sema/internal.h"
#include "../support/hash.h"
#include "../support/json.h"
#include "search.h"

enum { MAX_LOCK = 1 << 20 /* bytes */ };

/* ---- what a lock was made from --------------------------------------------------------------- */

static const char *path_of(struct arena *a, const char *spec)
{
	static const char ending[] = ".deploy";
	size_t n = strlen(spec), k = strlen(ending);
	if (!strcmp(spec, "-"))
		return NULL;
	return arena_printf(a, "%.*s.lock", (int)(n > k && !strcmp(spec + n - k, ending) ? n - k : n), spec);
}

/* The texts of the spec and of the files that it uses, in the order in which they are loaded. */
static const char *hash_of_spec(struct arena *a, const struct sources *s)
{
	uint64_t hash = FNV_EMPTY;
	for (int i = 0; i < s->files.n; i++) {
		const struct source *f = &s->files.at[i];
		if (strncmp(f->path, "std/", 4) && strcmp(f->path, "<command line>"))
			hash = fnv1a(fnv1a(hash, f->text, f->size), "", 1);
	}
	return arena_printf(a, "%016" PRIx64, hash);
}

static const char *hash_of_library(struct arena *a)
{
	uint64_t hash = FNV_EMPTY;
	for (const struct embedded *e = stdlib; e->name; e++)
		hash = fnv1a(hash, e->text, e->size);
	return arena_printf(a, DEPLOYC_VERSION " %016" PRIx64, hash);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool says(const json_t *object, const char *member, const char *text)
{
	const char *found = json_string_value(json_object_get(object, member));
	return found && !strcmp(found, text);
}

/* NULL: there is not such a file, or it is another thing. */
static json_t *load(struct arena *a, struct lock *lock)
{
	struct file_text text;
	if (!file_read_regular(a, lock->path, MAX_LOCK, &text))
		return NULL;
	json_t *document = json_loadb(text.at, text.size, JSON_REJECT_DUPLICATES, NULL);
	if (document && says(document, "format", "deployc-lock")
	    && json_integer_value(json_object_get(document, "version")) == LOCK_JSON_VERSION)
		return document;
	lock->state = LOCK_WRONG;
	json_decref(document);
	return NULL;
}

static bool is_fresh(struct arena *a, const json_t *document, const struct sources *s)
{
	return says(document, "spec", hash_of_spec(a, s)) && says(document, "library", hash_of_library(a));
}

/* The entry of a deployment; NULL: it has none. */
static json_t *entry_of(const json_t *document, const char *deploy)
{
	const json_t *all = json_object_get(document, "deployments");
	for (size_t i = 0; i < json_array_size(all); i++)
		if (says(json_array_get(all, i), "deploy", deploy))
			return json_array_get(all, i);
	return NULL;
}

/* Takes the values of fields that a deployment leaves open. */
static void take_values(struct arena *a, struct lock *lock, const json_t *document, const struct deploy *d)
{
	const json_t *values = json_object_get(entry_of(document, d->name), "values");
	for (int i = 0; i < d->choices.n; i++) {
		const char *path = d->choices.at[i].path, *value = json_string_value(json_object_get(values, path));
		if (!value)
			continue;
		struct suggestion set = {arena_printf(a, "%s.%s", d->name, path), arena_printf(a, "%s", value)};
		vec_push(a, &lock->values, set);
	}
}

/* The same text again, since it may not be there to be read twice, with the values of the lock. */
static struct options with_values(const struct compilation *c, struct arena *a, const struct lock *lock)
{
	struct options o = *c->options;
	const struct source *main = &c->sources.files.at[sema_source(c->sema)];
	struct file_text text = {arena_strndup(a, main->text, main->size), main->size};
	struct suggestion *set = arena_array(a, struct suggestion, o.sema.n_set + lock->values.n + 1);
	int n = 0;
	for (int i = 0; i < o.sema.n_set; i++)
		set[n++] = o.sema.set[i];
	for (int i = 0; i < lock->values.n; i++)
		set[n++] = lock->values.at[i];
	o.sema.set = set;
	o.sema.n_set = n;
	o.sema.overlays = overlays_with(a, &c->options->sema.overlays, c->spec, text);
	return o;
}

/* Checks the spec as it is written, to learn what is open and whether the lock was made from it. */
static struct options use(const struct options *o, const char *spec, struct arena *a, struct lock *lock,
                          const json_t *document)
{
	struct compilation c;
	struct options out = *o;
	int n;
	compilation_begin(&c, o, spec);
	if (sema_load(c.sema, spec)) {
		struct deploy **all = sema_deploys(c.sema, &n);
		lock->state = is_fresh(a, document, &c.sources) ? LOCK_FRESH : LOCK_STALE;
		for (int i = 0; i < n && lock->state == LOCK_FRESH; i++)
			take_values(a, lock, document, all[i]);
		if (lock->values.n)
			out = with_values(&c, a, lock);
	}
	arena_free(&c.arena);
	return out;
}

struct options lock_use(const struct options *o, const char *spec, struct arena *a, struct lock *out)
{
	*out = (struct lock){.path = path_of(a, spec)};
	json_t *document = out->path ? load(a, out) : NULL;
	if (!document)
		return *o;
	struct options locked = use(o, spec, a, out, document);
	json_decref(document);
	return locked;
}

const char *lock_trouble(struct arena *a, const struct lock *lock)
{
	if (!lock->path)
		return "standard input has no lock";
	return arena_printf(a, "`%s` %s", lock->path,
	                    lock->state == LOCK_MISSING ? "is missing"
	                    : lock->state == LOCK_WRONG ? "is not a lock that this version reads"
	                    : lock->state == LOCK_STALE ? "is stale: the spec or the library has changed since"
	                                                : "has no value for it");
}

/* ---- writing --------------------------------------------------------------------------------- */

static json_t *entry(const struct search *s, const struct candidate *c)
{
	json_t *o = json_object(), *values = json_object(), *metrics = json_object();
	for (int i = 0; i < s->knobs.n; i++)
		json_object_set_new(values, s->knobs.at[i].path, json_text(s->knobs.at[i].values.at[c->value[i]]));
	for (int i = 0; i < METRICS; i++)
		if (!c->of[i].lacks)
			json_object_set_new(metrics, metric_name((enum metric)i), json_figure(c->of[i].value));
	json_object_set_new(o, "deploy", json_text(s->deploy->name));
	json_object_set_new(o, "values", values);
	json_object_set_new(o, "metrics", metrics);
	json_object_set_new(o, "memory.peak", json_figure(c->peak));
	return o;
}

static json_t *document_of(const struct search *s, const char *path)
{
	struct lock old = {.path = path};
	const struct sources *sources = &s->compilation.sources;
	json_t *document = json_document("deployc-lock", LOCK_JSON_VERSION), *all = json_array(),
		   *before = load(s->arena, &old);
	const json_t *kept = before && is_fresh(s->arena, before, sources) ? json_object_get(before, "deployments") : NULL;
	for (size_t i = 0; i < json_array_size(kept); i++)
		if (!says(json_array_get(kept, i), "deploy", s->deploy->name))
			json_array_append(all, json_array_get(kept, i));
	json_array_append_new(all, entry(s, &s->all.at[s->ranked[0]]));
	json_decref(before);
	json_object_set_new(document, "spec", json_text(hash_of_spec(s->arena, sources)));
	json_object_set_new(document, "library", json_text(hash_of_library(s->arena)));
	json_object_set_new(document, "deployments", all);
	return document;
}

const char *lock_write(const struct search *s)
{
	const char *path = path_of(s->arena, s->compilation.spec);
	struct out_file out;
	if (!path || !s->open || s->interrupted || !s->n_hold || s->options->sema.n_set
	    || !output_open(s->arena, &out, path))
		return NULL;
	json_put_lines(document_of(s, path), out.file);
	return output_close(&out, true) ? path : NULL;
}
