/* The lock of a spec of the command line. */
#ifndef DEPLOYC_DRIVER_LOCK_H
#define DEPLOYC_DRIVER_LOCK_H
#include "driver.h"
#include "../planner/lock.h"

struct search;

/* The options of a compilation that uses the lock: the same ones if it decides nothing. Reports nothing. */
struct options lock_use(const struct options *o, const char *spec, struct arena *a, struct lock *out);
/* Writes the best plan of a search. Other deployments of a fresh lock keep theirs. NULL: there is nothing to write, or
 * it could not be written, after a message; else the path. */
const char *lock_write(const struct search *s);
#endif
