/* The cpu device: host memory, and a team of threads, which claim the shares of each kernel. */
#include "device.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "event.h"

enum { MAX_AREAS = 16, ALIGN = 64 };
/* Shares of a launch for each worker: a thread whose core others use, too, claims fewer of them. Each claim takes a
 * cache line from another core, so a launch has about MAX_CLAIMS at most, and a large team fewer for each worker. */
enum { MAX_CLAIMS = 256, MAX_SHARES = 16, MIN_SHARES = 2 };
static const int64_t NEVER = INT64_MAX;

struct area {
	void *at;
	size_t bytes;
};

struct worker {
	struct cpu *cpu;
	int index;
	pthread_t thread;
};

/* A launch: the rank sets `job`, then `left` to the number of shares, and adds to `start`. A thread claims a share by
 * taking 1 from `left`; whoever finds it above 0 may read `job`, because the launch does not end before the share is
 * computed. So a thread that wakes up late claims what is left of this launch, of a later one, or nothing. Workers add
 * the shares that they have computed to `done`. The rank itself is worker 0, and waits for the others' shares alone. */
struct cpu {
	struct device device;
	struct device_options options;
	struct area area[MAX_AREAS];
	int n_areas;
	struct worker *workers;
	struct event start, done;
	unsigned others; /* shares that others have computed, in all launches that ended: what `done` must be */
	int spins;       /* for the rank's wait for `done` */
	struct {
		dr_kernel_fn fn;
		const uint64_t *args;
		int shares;
	} job;
	atomic_bool stop;
	char apart[2 * ALIGN]; /* `left` has cache lines of its own */
	atomic_int left;
	char apart_too[2 * ALIGN];
};

/* Computes shares of the launch as long as there are any; returns how many. */
static int run_shares(struct cpu *c, int worker)
{
	int n = 0, left;
	for (; (left = atomic_fetch_sub(&c->left, 1)) > 0; n++)
		c->job.fn(c->job.args, worker, c->job.shares - left, c->job.shares);
	return n;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct cpu *c = w->cpu;
	int spins = c->options.spin ? MAX_SPINS : 0;
	for (unsigned seen = 0;; seen = atomic_load(&c->start.value)) {
		int n = run_shares(c, w->index);
		if (n)
			event_add(&c->done, (unsigned)n);
		event_wait(&c->start, seen, &spins, NEVER);
		if (atomic_load(&c->stop))
			return NULL;
	}
}

/* The memory is between two pages that fault. It ends at the second one, up to the alignment of its start. */
static uint64_t cpu_alloc(struct device *d, uint64_t bytes)
{
	struct cpu *c = (struct cpu *)d;
	if (bytes == 0)
		return 0;
	if (c->n_areas == MAX_AREAS)
		rank_fail(&c->options.reporter, "internal: more than %d allocations on a device", MAX_AREAS);
	size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page - 1) / page * page;
	char *p = mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || mprotect(p + page, inner, PROT_READ | PROT_WRITE))
		rank_fail(&c->options.reporter, "the host does not have %llu bytes of memory left", (unsigned long long)bytes);
	madvise(p + page, inner, MADV_HUGEPAGE);
	c->area[c->n_areas++] = (struct area){p, inner + 2 * page};
	return (uint64_t)(uintptr_t)p + page + (inner - (bytes + ALIGN - 1) / ALIGN * ALIGN);
}

static void cpu_read(struct device *d, void *to, struct rect from)
{
	(void)d;
	const char *p = (const char *)(uintptr_t)from.at;
	for (uint64_t i = 0; i < from.rows; i++)
		memcpy((char *)to + i * from.width, p + i * from.pitch, from.width);
}

static void cpu_write(struct device *d, struct rect to, const void *from)
{
	(void)d;
	char *p = (char *)(uintptr_t)to.at;
	for (uint64_t i = 0; i < to.rows; i++)
		memcpy(p + i * to.pitch, (const char *)from + i * to.width, to.width);
}

static void cpu_fill(struct device *d, uint64_t at, int byte, uint64_t bytes)
{
	(void)d;
	memset((void *)(uintptr_t)at, byte, bytes);
}

static int shares_for(int workers)
{
	int each = MAX_CLAIMS / workers;
	return workers * (each > MAX_SHARES ? MAX_SHARES : each < MIN_SHARES ? MIN_SHARES : each);
}

static void cpu_launch(struct device *d, const struct launch *what)
{
	struct cpu *c = (struct cpu *)d;
	int workers = c->options.workers, shares = shares_for(workers);
	dr_kernel_fn fn = c->options.image->functions[what->kernel];
	if (workers == 1 || what->small) {
		fn(what->args, 0, 0, 1);
		return;
	}
	c->job.fn = fn;
	c->job.args = what->args;
	c->job.shares = shares;
	atomic_store(&c->left, shares);
	event_add(&c->start, 1);
	c->others += (unsigned)(shares - run_shares(c, 0));
	for (unsigned seen; (seen = atomic_load(&c->done.value)) != c->others;)
		event_wait(&c->done, seen, &c->spins, NEVER);
}

static void cpu_sync(struct device *d) { (void)d; }

static void cpu_close(struct device *d)
{
	struct cpu *c = (struct cpu *)d;
	atomic_store(&c->stop, true);
	event_add(&c->start, 1);
	for (int i = 1; i < c->options.workers; i++)
		pthread_join(c->workers[i].thread, NULL);
	for (int i = 0; i < c->n_areas; i++)
		munmap(c->area[i].at, c->area[i].bytes);
	free(c->workers);
	free(c);
}

/* Starts the workers, with all signals blocked: only the rank's first thread handles them. */
static void start_team(struct cpu *c)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	c->workers = host_alloc((size_t)c->options.workers, sizeof *c->workers);
	for (int i = 1; i < c->options.workers; i++) {
		c->workers[i] = (struct worker){.cpu = c, .index = i};
		if (pthread_create(&c->workers[i].thread, NULL, worker_main, &c->workers[i]))
			rank_fail(&c->options.reporter, "cannot start thread %d of %d", i + 1, c->options.workers);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct device *device_cpu_open(const struct device_options *o)
{
	struct cpu *c = host_alloc(1, sizeof *c);
	if (o->image && o->image->form != DR_IMAGE_FUNCTIONS)
		rank_fail(&o->reporter, "internal: the cpu runs functions, the image has form %u", o->image->form);
	c->device = (struct device){.alloc = cpu_alloc,
	                            .read = cpu_read,
	                            .write = cpu_write,
	                            .fill = cpu_fill,
	                            .launch = cpu_launch,
	                            .sync = cpu_sync,
	                            .close = cpu_close,
	                            .on_host = true};
	c->options = *o;
	c->spins = o->spin ? MAX_SPINS : 0;
	start_team(c);
	return &c->device;
}
