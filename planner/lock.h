/* The lock of a spec: `chat.lock` beside `chat.deploy` keeps what `deployc search` chose for `auto`. It is fresh as
 * long as the texts of the spec and of the library are those that were searched. */
#ifndef DEPLOYC_LOCK_H
#define DEPLOYC_LOCK_H
#include <jansson.h>
#include "../sema/sema.h"

enum lock_state {
	LOCK_MISSING,
	LOCK_WRONG, /* this version cannot read the file as one */
	LOCK_STALE,
	LOCK_FRESH
};
struct lock {
	enum lock_state state;
	const char *path;              /* NULL: standard input has none */
	json_t *document;              /* NULL: none that this version reads */
	VEC(struct suggestion) values; /* of a fresh one, for fields that are open: `Chat.plan.tp` */
};

enum { LOCK_JSON_VERSION = 1 };

/* Where the lock of a spec is; NULL: standard input has none. */
const char *lock_path(struct arena *a, const char *spec);
/* Reads the lock of a spec, which is stale until it is compared. Reports nothing. lock_close frees its document. */
void lock_open(struct arena *a, struct lock *out, const char *spec);
void lock_close(struct lock *lock);
/* Compares the lock with the texts that were loaded. A fresh one gives its values for fields that the deployments leave
 * open, unless -D sets them. */
void lock_take(struct arena *a, struct lock *lock, const struct sources *s, struct deploy *const *deploys, int n,
               const struct sema_options *o);
/* The options with the values of the lock, which those of -D refine. */
struct sema_options lock_options(struct arena *a, const struct lock *lock, const struct sema_options *o);
/* Why a lock does not decide what is open: "`chat.lock` is missing". */
const char *lock_trouble(struct arena *a, const struct lock *lock);
/* What it has for a choice of a deployment, as text of the language: `8`, `Megatron { tp = 8 }`. NULL: nothing. */
const char *lock_value(struct arena *a, const struct lock *lock, const struct deploy *d, const struct choice *c);
/* The lock at `path` with the entry of a deployment, which is taken over. Others of a fresh lock keep theirs. */
json_t *lock_document(struct arena *a, const char *path, const struct sources *s, json_t *entry);
#endif
