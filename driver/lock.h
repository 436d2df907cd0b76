/* The lock of a spec: `chat.lock` beside `chat.deploy` keeps what `deployc search` chose for `auto`. It is fresh as
 * long as the texts of the spec and of the library are those that were searched. */
#ifndef DEPLOYC_LOCK_H
#define DEPLOYC_LOCK_H
#include "driver.h"

struct search;

enum lock_state {
	LOCK_MISSING,
	LOCK_WRONG, /* this version cannot read the file as one */
	LOCK_STALE,
	LOCK_FRESH
};
struct lock {
	enum lock_state state;
	const char *path;              /* NULL: standard input has none */
	VEC(struct suggestion) values; /* of a fresh one, for fields that are open: `Chat.plan.tp` */
};

enum { LOCK_JSON_VERSION = 1 };

/* The lock of a spec of the command line, and the options of a compilation that uses it: the same ones if it decides
 * nothing. Reports nothing. */
struct options lock_use(const struct options *o, const char *spec, struct arena *a, struct lock *out);
/* Why a lock does not decide what is open: "`chat.lock` is missing". */
const char *lock_trouble(struct arena *a, const struct lock *lock);
/* Writes the best plan of a search. Other deployments of a fresh lock keep theirs. NULL: there is nothing to write, or
 * it could not be written, after a message; else the path. */
const char *lock_write(const struct search *s);
#endif
