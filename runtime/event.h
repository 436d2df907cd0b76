/* A counter that threads and processes wait on: in shared memory it works across fork. */
#ifndef DEPLOY_EVENT_H
#define DEPLOY_EVENT_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct event {
	atomic_uint value, sleepers;
};

int64_t now_ns(void);

/* Increments and wakes all who wait. */
void event_add(struct event *e);

/* How often one waiter polls before it sleeps. It learns: polling that was in vain halves it, polling that was not
 * lengthens it, so a core that others need too is given up soon. 0: never polls, and stays 0. */
enum { MIN_SPINS = 64, MAX_SPINS = 20000 };

/* Returns true once the value differs from `seen`, false at `until` (of now_ns). */
bool event_wait(struct event *e, unsigned seen, int *spins, int64_t until);
#endif
