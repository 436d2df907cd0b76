/* Waits for the GPU, and reports its errors. A wait asks and sleeps instead of blocking in the driver, so that it ends
 * when another rank fails or the GPU is stuck. */
#include <stdarg.h>
#include <time.h>
#include "device_cuda.h"
#include "event.h"

enum {
	MIN_SLEEP_NS = 20000,
	MAX_SLEEP_NS = 1000000,
	WAIT_SHARE = 16 /* it sleeps this part of the time that it has waited for: so much longer it waits at most */
};
static const int64_t SECOND = 1000000000, MAX_STEP = 200000000;

/* Queued work failed: the driver answers each later call with the error. */
static bool is_late(CUresult r)
{
	switch (r) {
	case CUDA_ERROR_ILLEGAL_ADDRESS:
	case CUDA_ERROR_LAUNCH_TIMEOUT:
	case CUDA_ERROR_ILLEGAL_INSTRUCTION:
	case CUDA_ERROR_MISALIGNED_ADDRESS:
	case CUDA_ERROR_INVALID_ADDRESS_SPACE:
	case CUDA_ERROR_LAUNCH_FAILED:         return true;
	default:                               return false;
	}
}

static struct rank_status *status_of(const struct cuda *c)
{
	return &c->options.reporter.board->rank[c->options.reporter.rank];
}

void cuda_check(struct cuda *c, CUresult result, const char *what)
{
	const char *name = "an unknown error", *text = "the driver knows no words for it";
	if (result == CUDA_SUCCESS)
		return;
	c->cuGetErrorName(result, &name);
	c->cuGetErrorString(result, &text);
	if (is_late(result) && !c->options.sync) {
		what = "the GPU failed";
		atomic_store(&status_of(c)->late, true);
	}
	rank_fail(&c->options.reporter, "%s: %s, %s", what, name, text);
}

void cuda_mark(struct cuda *c)
{
	struct cuda_marks *m = &c->marks;
	if (c->capturing || ++m->launches % LAUNCHES_PER_MARK || m->recorded - m->passed == MARKS)
		return;
	CUevent *event = &m->event[m->recorded++ % MARKS];
	if (!*event)
		cuda_check(c, c->cuEventCreate(event, CU_EVENT_DISABLE_TIMING), "cannot make an event on the GPU");
	cuda_check(c, c->cuEventRecord(*event, c->stream), "cannot record an event on the GPU");
}

/* Has the GPU passed a mark since the last look? */
static bool progressed(struct cuda *c)
{
	struct cuda_marks *m = &c->marks;
	unsigned before = m->passed;
	while (m->passed != m->recorded && c->cuEventQuery(m->event[m->passed % MARKS]) == CUDA_SUCCESS)
		m->passed++;
	return m->passed != before;
}

static void set_waits(struct cuda *c, bool waits)
{
	atomic_store_explicit(&status_of(c)->waits_for, waits ? WAITS_FOR_GROUP : WAITS_FOR_NONE, memory_order_relaxed);
}

/* Time in which the rank was stopped does not count. */
static void look(struct cuda *c, int64_t passed, int64_t *still)
{
	const struct device *d = &c->device;
	bool waits = d->poll && d->poll(d->poll_context);
	set_waits(c, waits);
	if (board_failed(&c->options.reporter))
		rank_fail(&c->options.reporter, "another rank failed");
	*still = progressed(c) || waits ? 0 : *still + (passed < MAX_STEP ? passed : MAX_STEP);
	if (*still < c->options.timeout * SECOND)
		return;
	atomic_store(&status_of(c)->late, !c->options.sync);
	rank_fail(&c->options.reporter, "its GPU was stuck for %d s (DEPLOY_TIMEOUT): it did not end what it was given",
	          c->options.timeout);
}

static void sleep_ns(int64_t ns)
{
	struct timespec t = {0, ns < MAX_SLEEP_NS ? ns : MAX_SLEEP_NS};
	nanosleep(&t, NULL);
}

/* event NULL: waits for all that was queued. */
static CUresult ask(struct cuda *c, CUevent event)
{
	return event ? c->cuEventQuery(event) : c->cuStreamQuery(c->stream);
}

static void wait_until_done(struct cuda *c, CUevent event, const char *what)
{
	CUresult now;
	int64_t begin = now_ns(), last = begin, still = 0;
	while ((now = ask(c, event)) == CUDA_ERROR_NOT_READY) {
		int64_t at = now_ns(), sleep = (at - begin) / WAIT_SHARE;
		look(c, at - last, &still);
		last = at;
		if (sleep >= MIN_SLEEP_NS || !c->options.spin)
			sleep_ns(sleep > MIN_SLEEP_NS ? sleep : MIN_SLEEP_NS);
	}
	set_waits(c, false);
	cuda_check(c, now, what);
}

void cuda_wait_for(struct cuda *c, CUevent event)
{
	wait_until_done(c, event, "the GPU failed");
	progressed(c);
}

void cuda_wait(struct cuda *c, const char *what)
{
	wait_until_done(c, NULL, what);
	c->marks.passed = c->marks.recorded;
	c->busy = c->graph_runs = false;
}

void cuda_queued(struct cuda *c, const char *format, ...)
{
	char what[256];
	va_list args;
	if (!c->options.sync)
		return;
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	cuda_wait(c, what);
}
