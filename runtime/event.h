/* A counter that threads wait on, and processes if it is in shared memory. */
#ifndef DEPLOY_EVENT_H
#define DEPLOY_EVENT_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct event {
	atomic_uint value, sleepers;
};

int64_t now_ns(void);

/* Adds n, and wakes all waiters. */
void event_add(struct event *e, unsigned n);

/* How often a waiter polls before it sleeps. Adaptive: a futile poll halves it, a successful one raises it, so a
 * contended core is soon given up. 0: never polls, and stays 0. */
enum { MIN_SPINS = 64, MAX_SPINS = 20000 };

/* Returns true once the value differs from `seen`, false at `until` (of now_ns). */
bool event_wait(struct event *e, unsigned seen, int *spins, int64_t until);
#endif
