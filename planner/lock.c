/* Locks: read, and compared with the texts that they were made from. */
#include "lock.h"
#include <inttypes.h>
#include <string.h>
#include "../sema/internal.h"
#include "../support/hash.h"
#include "../support/json.h"
#include "../support/version.h"

enum { MAX_LOCK = 1 << 20 /* bytes */ };

/* ---- what a lock was made from --------------------------------------------------------------- */

const char *lock_path(struct arena *a, const char *spec)
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

static void read_document(struct arena *a, struct lock *lock)
{
	struct file_text text;
	if (!file_read_regular(a, lock->path, MAX_LOCK, &text))
		return;
	json_t *document = json_loadb(text.at, text.size, JSON_REJECT_DUPLICATES, NULL);
	if (document && says(document, "format", "deployc-lock")
	    && json_integer_value(json_object_get(document, "version")) == LOCK_JSON_VERSION) {
		lock->state = LOCK_STALE;
		lock->document = document;
		return;
	}
	lock->state = LOCK_WRONG;
	json_decref(document);
}

void lock_open(struct arena *a, struct lock *out, const char *spec)
{
	*out = (struct lock){.path = lock_path(a, spec)};
	if (out->path)
		read_document(a, out);
}

void lock_close(struct lock *lock)
{
	json_decref(lock->document);
	lock->document = NULL;
}

static bool is_fresh(struct arena *a, const json_t *document, const struct sources *s)
{
	return says(document, "spec", hash_of_spec(a, s)) && says(document, "library", hash_of_library(a));
}

/* ---- values ---------------------------------------------------------------------------------- */

/* The entry of a deployment; NULL: it has none. */
static json_t *entry_of(const json_t *document, const char *deploy)
{
	const json_t *all = json_object_get(document, "deployments");
	for (size_t i = 0; i < json_array_size(all); i++)
		if (says(json_array_get(all, i), "deploy", deploy))
			return json_array_get(all, i);
	return NULL;
}

/* Is `path` that of `field`, or of a field in it? */
static bool is_in(const char *path, const char *field)
{
	size_t n = strlen(field);
	return !strncmp(path, field, n) && (!path[n] || path[n] == '.');
}

/* Is a value at `path` one for the choice, or for a field in the part that it leaves open? */
static bool decides(const char *path, const struct choice *c)
{
	return c->kind == CHOICE_PART ? is_in(path, c->path) : !strcmp(path, c->path);
}

/* Does the text leave the field open, or a part of the deployment that it belongs to? */
static bool is_open(const struct deploy *d, const char *path)
{
	for (int i = 0; i < d->choices.n; i++)
		if (decides(path, &d->choices.at[i]))
			return true;
	return false;
}

/* Does -D set a field of the deployment, or a part of it that holds the field? */
static bool is_set(const struct sema_options *o, const struct deploy *d, const char *path)
{
	for (int i = 0; i < o->n_set; i++) {
		const char *set = o->set[i].path;
		if (is_in(path, is_in(set, d->name) && set[strlen(d->name)] ? set + strlen(d->name) + 1 : set))
			return true;
	}
	return false;
}

/* Takes the values of fields that a deployment leaves open, unless -D sets them: parts of the deployment, or fields in
 * them. */
static void take_values(struct arena *a, struct lock *lock, const struct deploy *d, const struct sema_options *o,
                        bool parts)
{
	json_t *values = json_object_get(entry_of(lock->document, d->name), "values"), *value;
	const char *path;
	json_object_foreach (values, path, value) {
		const char *text = json_string_value(value);
		if (!text || parts != !strchr(path, '.') || !is_open(d, path) || is_set(o, d, path))
			continue;
		struct suggestion set = {arena_printf(a, "%s.%s", d->name, path), arena_printf(a, "%s", text)};
		vec_push(a, &lock->values, set);
	}
}

void lock_take(struct arena *a, struct lock *lock, const struct sources *s, struct deploy *const *deploys, int n,
               const struct sema_options *o)
{
	if (!lock->document || !is_fresh(a, lock->document, s))
		return;
	lock->state = LOCK_FRESH;
	for (int i = 0; i < n; i++) {
		take_values(a, lock, deploys[i], o, true);
		take_values(a, lock, deploys[i], o, false);
	}
}

struct sema_options lock_options(struct arena *a, const struct lock *lock, const struct sema_options *o)
{
	struct sema_options out = *o;
	struct suggestion *set = arena_array(a, struct suggestion, o->n_set + lock->values.n + 1);
	int n = 0;
	for (int i = 0; i < lock->values.n; i++)
		set[n++] = lock->values.at[i];
	for (int i = 0; i < o->n_set; i++)
		set[n++] = o->set[i];
	out.set = set;
	out.n_set = n;
	return out;
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

const char *lock_value(struct arena *a, const struct lock *lock, const struct deploy *d, const struct choice *c)
{
	const char *value = NULL;
	struct part_items fields = {.text.arena = a, .scope = ""};
	size_t name = strlen(d->name), part = strlen(c->path);
	for (int i = 0; i < lock->values.n; i++) {
		const struct suggestion *v = &lock->values.at[i];
		const char *path = is_in(v->path, d->name) ? v->path + name + 1 : NULL;
		if (!path || !decides(path, c))
			continue;
		if (!path[part]) {
			value = v->value;
			continue;
		}
		struct part_item item = sema_part_item(a, (struct suggestion){path + part + 1, v->value});
		part_items_add(&fields, &item);
	}
	part_items_end(&fields);
	return value && fields.text.n ? arena_printf(a, "%s { %s }", value, fields.text.at) : value;
}

/* ---- writing --------------------------------------------------------------------------------- */

json_t *lock_document(struct arena *a, const char *path, const struct sources *s, json_t *entry)
{
	struct lock old = {.path = path};
	json_t *document = json_document("deployc-lock", LOCK_JSON_VERSION), *all = json_array();
	const char *deploy = json_string_value(json_object_get(entry, "deploy"));
	read_document(a, &old);
	bool keeps = old.document && is_fresh(a, old.document, s);
	const json_t *kept = keeps ? json_object_get(old.document, "deployments") : NULL;
	for (size_t i = 0; i < json_array_size(kept); i++)
		if (!says(json_array_get(kept, i), "deploy", deploy))
			json_array_append(all, json_array_get(kept, i));
	json_array_append_new(all, entry);
	lock_close(&old);
	json_object_set_new(document, "spec", json_text(hash_of_spec(a, s)));
	json_object_set_new(document, "library", json_text(hash_of_library(a)));
	json_object_set_new(document, "deployments", all);
	return document;
}
