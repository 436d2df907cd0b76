/* The far device, for tests: a helper process has the memory and runs the kernels, on requests over a socket. Addresses
 * are mapped in the helper only, so a rank that dereferences one faults. Requests are served in their order, and only
 * those that have a result are answered; with DEPLOY_SYNC launches, too, so that one that ends the helper is named. */
#include "device.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum far_op { FAR_ALLOC, FAR_READ, FAR_WRITE, FAR_FILL, FAR_LAUNCH, FAR_SYNC, FAR_CLOSE };
enum { MAX_ARGS = 64 };

/* Where the helper maps memory: far from the kernel's own choices, so no rank has a mapping there. */
static const uint64_t FAR_BASE = 0x200000000000, FAR_GAP = 1 << 21;

struct far_request {
	int32_t op, kernel, n_args, small, byte, pad;
	struct rect rect;
};

struct far {
	struct device device;
	struct reporter reporter;
	int socket;
	bool sync;
	pid_t helper;
	pthread_mutex_t writing;
};

static bool send_all(int socket, const void *data, size_t n)
{
	const char *p = data;
	while (n) {
		ssize_t k = send(socket, p, n, MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

static bool recv_all(int socket, void *data, size_t n)
{
	char *p = data;
	while (n) {
		ssize_t k = recv(socket, p, n, 0);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

/* ---- the rank's side ------------------------------------------------------------------------- */
static _Noreturn void helper_lost(struct far *f)
{
	int status = 0;
	waitpid(f->helper, &status, 0);
	if (WIFSIGNALED(status))
		rank_fail(&f->reporter, "the far device's helper was ended by signal %d (%s)", WTERMSIG(status),
		          strsignal(WTERMSIG(status)));
	rank_fail(&f->reporter, "the far device's helper ended with status %d", WEXITSTATUS(status));
}

static void far_send(struct far *f, const void *data, size_t n)
{
	if (!send_all(f->socket, data, n))
		helper_lost(f);
}

static void far_recv(struct far *f, void *data, size_t n)
{
	if (!recv_all(f->socket, data, n))
		helper_lost(f);
}

/* Sends a request without data. Returns the answer: an address, or only that it is done. */
static uint64_t far_ask(struct far *f, struct far_request r)
{
	uint64_t answer;
	far_send(f, &r, sizeof r);
	far_recv(f, &answer, sizeof answer);
	return answer;
}

static uint64_t far_alloc(struct device *d, uint64_t bytes)
{
	struct far *f = (struct far *)d;
	uint64_t at = far_ask(f, (struct far_request){.op = FAR_ALLOC, .rect = flat(0, bytes)});
	if (!at)
		rank_fail(&f->reporter, "the far device does not have %llu bytes of memory left", (unsigned long long)bytes);
	return at;
}

static void far_read(struct device *d, void *to, struct rect from)
{
	struct far *f = (struct far *)d;
	far_send(f, &(struct far_request){.op = FAR_READ, .rect = from}, sizeof(struct far_request));
	far_recv(f, to, from.width * from.rows);
}

static void far_write(struct device *d, struct rect to, const void *from)
{
	struct far *f = (struct far *)d;
	pthread_mutex_lock(&f->writing);
	far_send(f, &(struct far_request){.op = FAR_WRITE, .rect = to}, sizeof(struct far_request));
	far_send(f, from, to.width * to.rows);
	pthread_mutex_unlock(&f->writing);
}

static void far_fill(struct device *d, uint64_t at, int byte, uint64_t bytes)
{
	struct far_request r = {.op = FAR_FILL, .byte = byte, .rect = flat(at, bytes)};
	far_send((struct far *)d, &r, sizeof r);
}

static void far_launch(struct device *d, const struct launch *what)
{
	struct far *f = (struct far *)d;
	struct {
		struct far_request request;
		uint64_t args[MAX_ARGS];
	} r = {.request = {.op = FAR_LAUNCH, .kernel = what->kernel, .n_args = what->n_args, .small = what->small}};
	if (what->n_args > MAX_ARGS)
		rank_fail(&f->reporter, "internal: a kernel with %d arguments", what->n_args);
	size_t bytes = (size_t)what->n_args * sizeof *what->args;
	memcpy(r.args, what->args, bytes);
	far_send(f, &r, sizeof r.request + bytes);
	if (f->sync)
		d->sync(d);
}

static void far_sync(struct device *d) { far_ask((struct far *)d, (struct far_request){.op = FAR_SYNC}); }

static void far_close(struct device *d)
{
	struct far *f = (struct far *)d;
	far_ask(f, (struct far_request){.op = FAR_CLOSE});
	close(f->socket);
	waitpid(f->helper, NULL, 0);
	pthread_mutex_destroy(&f->writing);
	free(f);
}

/* ---- the helper's side ----------------------------------------------------------------------- */
static uint64_t helper_alloc(uint64_t *next, uint64_t bytes)
{
	uint64_t at = *next, size = (bytes + FAR_GAP - 1) / FAR_GAP * FAR_GAP;
	void *p = mmap((void *)(uintptr_t)at, bytes ? bytes : 1, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (p == MAP_FAILED)
		return 0;
	*next += size + FAR_GAP;
	return at;
}

static bool helper_copy(int socket, const struct far_request *r)
{
	for (uint64_t i = 0; i < r->rect.rows; i++) {
		void *row = (void *)(uintptr_t)(r->rect.at + i * r->rect.pitch);
		bool ok = r->op == FAR_READ ? send_all(socket, row, r->rect.width) : recv_all(socket, row, r->rect.width);
		if (!ok)
			return false;
	}
	return true;
}

static bool helper_launch(int socket, struct device *cpu, const struct far_request *r)
{
	uint64_t args[MAX_ARGS];
	if (!recv_all(socket, args, (size_t)r->n_args * sizeof args[0]))
		return false;
	struct launch what = {.kernel = r->kernel, .n_args = r->n_args, .args = args, .small = r->small};
	cpu->launch(cpu, &what);
	return true;
}

/* Serves requests until the rank closes the device or ends. */
static _Noreturn void helper_main(int socket, const struct device_options *o)
{
	struct device *cpu = device_cpu_open(o);
	struct far_request r;
	uint64_t next = FAR_BASE, answer;
	while (recv_all(socket, &r, sizeof r)) {
		bool ok = true;
		answer = 1;
		if (r.op == FAR_ALLOC)
			answer = helper_alloc(&next, r.rect.width);
		else if (r.op == FAR_FILL)
			cpu->fill(cpu, r.rect.at, r.byte, r.rect.width);
		else if (r.op == FAR_LAUNCH)
			ok = helper_launch(socket, cpu, &r);
		else if (r.op == FAR_READ || r.op == FAR_WRITE)
			ok = helper_copy(socket, &r);
		if (r.op == FAR_ALLOC || r.op == FAR_SYNC || r.op == FAR_CLOSE)
			ok = send_all(socket, &answer, sizeof answer);
		if (!ok || r.op == FAR_CLOSE)
			break;
	}
	_exit(STATUS_OK);
}

struct device *device_far_open(const struct device_options *o)
{
	int pair[2];
	struct far *f = host_alloc(1, sizeof *f);
	pid_t rank = getpid();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) || (f->helper = fork()) < 0)
		rank_fail(&o->reporter, "cannot start the far device's helper: %s", strerror(errno));
	if (f->helper == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		if (getppid() != rank)
			_exit(STATUS_FAILED);
		helper_main(pair[1], o);
	}
	close(pair[1]);
	atomic_store(&o->reporter.board->rank[o->reporter.rank].helper, f->helper);
	f->socket = pair[0];
	f->sync = o->sync;
	pthread_mutex_init(&f->writing, NULL);
	f->reporter = o->reporter;
	f->device = (struct device){.alloc = far_alloc,
	                            .read = far_read,
	                            .write = far_write,
	                            .fill = far_fill,
	                            .launch = far_launch,
	                            .sync = far_sync,
	                            .close = far_close};
	return &f->device;
}
