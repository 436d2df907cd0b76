/* A counter that threads and processes wait on: in shared memory it works across fork. */
#ifndef DEPLOY_EVENT_H
#define DEPLOY_EVENT_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct event { atomic_uint value, sleepers; };

int64_t now_ns(void);

/* Increments and wakes all who wait. */
void event_add(struct event *e);

/* Returns true once the value differs from `seen`, false at `until` (of now_ns). Polls `spins` times, then sleeps. */
bool event_wait(struct event *e, unsigned seen, int spins, int64_t until);
#endif
