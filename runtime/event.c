/* Events on Linux futexes. */
#include "event.h"
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

void event_add(struct event *e, unsigned n)
{
	atomic_fetch_add(&e->value, n);
	if (atomic_load(&e->sleepers))
		syscall(SYS_futex, &e->value, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static bool poll_event(struct event *e, unsigned seen, int *spins)
{
	for (int i = 0; i < *spins; i++) {
		if (atomic_load_explicit(&e->value, memory_order_acquire) != seen) {
			*spins = *spins + *spins / 8 > MAX_SPINS ? MAX_SPINS : *spins + *spins / 8;
			return true;
		}
		relax();
	}
	if (*spins)
		*spins = *spins / 2 < MIN_SPINS ? MIN_SPINS : *spins / 2;
	return false;
}

bool event_wait(struct event *e, unsigned seen, int *spins, int64_t until)
{
	if (poll_event(e, seen, spins))
		return true;
	/* Counted before the value is read again: either event_add sees the sleeper, or the sleeper the new value. */
	atomic_fetch_add(&e->sleepers, 1);
	bool changed;
	while (!(changed = atomic_load(&e->value) != seen)) {
		int64_t left = until - now_ns();
		if (left <= 0)
			break;
		struct timespec t = {left / 1000000000, left % 1000000000};
		syscall(SYS_futex, &e->value, FUTEX_WAIT, seen, &t, NULL, 0);
	}
	atomic_fetch_sub(&e->sleepers, 1);
	return changed;
}
