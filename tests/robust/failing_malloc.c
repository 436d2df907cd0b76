/* Preloaded: requests for memory fail with ENOMEM. Those count that the program or jansson makes, and those that the C
 * library makes on behalf of one of them; requests of others (LLVM, the loader) are as ever.
 *     FAIL_MALLOC=N          request N fails
 *     FAIL_MALLOC_EVERY=K    each K-th request fails in a child of its own, a fork in which the program goes on from
 *                            there; in the process itself none fails. A child must not write where its parent writes:
 *                            once the program makes a temporary file, no further request fails, and a child that makes
 *                            one has status 98
 *     FAIL_MALLOC_FROM=N     ... from request N on
 *     FAIL_MALLOC_REPORT=FD  where records of this go; tests/robust/alloc.py reads and judges them
 * Standard output and error must be regular files for children. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILES = 16, FRAMES = 32, CHILD_SECONDS = 20, PARENT_SECONDS = 90, WRITES = 98, BROKEN = 99 };

/* kind: 'c' is a child's end: after the record come the `out` and `err` bytes that it wrote to standard output and
 * error, which had out_before and err_before bytes already. 'f': the request failed in the process itself. 't': a
 * temporary file is made, after so many requests. 'e': the end, after so many. */
struct record {
	long request;
	int kind, status;
	unsigned out_before, err_before, out, err;
};

static long requests, failing, every, from;
static bool off = true, is_child;
static int report = -1, child_out = -1, child_err = -1;

static void check(bool fine, const char *what)
{
	if (!fine) {
		fprintf(stderr, "failing_malloc: %s: %s\n", what, strerror(errno));
		_exit(BROKEN);
	}
}

static void write_record(struct record r)
{
	if (report >= 0)
		check(write(report, &r, sizeof r) == sizeof r, "write");
}

/* ---- which requests count -------------------------------------------------------------------- */

enum owner { OTHER, PROGRAM, C_LIBRARY };

static enum owner owner_of(void *address)
{
	struct dl_find_object object;
	if (_dl_find_object(address, &object))
		return OTHER;
	const char *path = object.dlfo_link_map->l_name, *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	if (!*name) /* the program itself, with jansson */
		return PROGRAM;
	return strncmp(name, "libc.", 5) ? OTHER : C_LIBRARY;
}

/* Who called the function of the C library that wants memory. */
static enum owner user_of_c_library(void)
{
	void *frames[FRAMES];
	int n = backtrace(frames, FRAMES), i = 0;
	while (i < n && owner_of(frames[i]) != C_LIBRARY)
		i++;
	while (i < n && owner_of(frames[i]) == C_LIBRARY)
		i++;
	return i < n ? owner_of(frames[i]) : OTHER;
}

static bool counts(void *caller)
{
	enum owner owner = owner_of(caller);
	return (owner == C_LIBRARY ? user_of_c_library() : owner) == PROGRAM;
}

/* ---- children -------------------------------------------------------------------------------- */

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The same place of the same file, with a position that moves by itself. */
static void reopen(int fd)
{
	char path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int own = open(path, O_RDONLY);
	check(own >= 0 && lseek(own, lseek(fd, 0, SEEK_CUR), SEEK_SET) >= 0 && dup2(own, fd) >= 0, path);
	close(own);
}

/* What the child writes to standard output and error goes aside, also through other numbers of theirs. */
static void leave_parents_files(void)
{
	struct stat out, err, it;
	check(!fstat(1, &out) && !fstat(2, &err), "fstat");
	for (int fd = 0; fd < FILES; fd++) {
		if (fstat(fd, &it))
			continue;
		if (same_file(&it, &out))
			dup2(child_out, fd);
		else if (same_file(&it, &err))
			dup2(child_err, fd);
		else if (S_ISREG(it.st_mode) && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
			reopen(fd);
	}
}

static unsigned size_of(int fd)
{
	struct stat s;
	check(!fstat(fd, &s), "fstat");
	return (unsigned)s.st_size;
}

static void send_contents(int fd, unsigned size)
{
	for (off_t sent = 0; sent < (off_t)size;)
		check(sendfile(report, fd, &sent, size - (size_t)sent) > 0, "sendfile");
}

static void report_child(int status)
{
	struct record r = {requests, 'c', status, size_of(1), size_of(2), size_of(child_out), size_of(child_err)};
	write_record(r);
	send_contents(child_out, r.out);
	send_contents(child_err, r.err);
}

static void empty(int fd) { check(!ftruncate(fd, 0) && !lseek(fd, 0, SEEK_SET), "ftruncate"); }

/* true in the child; in the parent false, when the child has ended. */
static bool in_child(void)
{
	int status;
	alarm(PARENT_SECONDS);
	empty(child_out);
	empty(child_err);
	pid_t child = fork();
	check(child >= 0, "fork");
	if (!child) {
		is_child = true;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(CHILD_SECONDS);
		leave_parents_files();
		return true;
	}
	while (waitpid(child, &status, 0) < 0)
		check(errno == EINTR, "waitpid");
	report_child(status);
	return false;
}

/* ---- the functions that are replaced --------------------------------------------------------- */

static bool this_fails(void)
{
	requests++;
	if (every)
		return requests >= from && requests % every == 0 && in_child();
	if (requests == failing)
		write_record((struct record){.request = requests, .kind = 'f'});
	return requests == failing;
}

/* Whoever calls from in here gets memory, and so does everybody after a failure. */
static bool fails(void *caller)
{
	if (off)
		return false;
	off = true;
	int error = errno;
	bool failing_now = counts(caller) && this_fails();
	errno = failing_now ? ENOMEM : error;
	off = failing_now;
	return failing_now;
}

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n) { return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n); }

void *calloc(size_t n, size_t size) { return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size); }

void *realloc(void *p, size_t n) { return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n); }

int mkstemp(char *path)
{
	int (*next)(char *);
	*(void **)&next = dlsym(RTLD_NEXT, "mkstemp");
	if (is_child)
		_exit(WRITES);
	if (every)
		write_record((struct record){.request = requests, .kind = 't'});
	every = 0;
	return next(path);
}

static long number(const char *variable)
{
	const char *n = getenv(variable);
	return n ? strtol(n, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(void)
{
	void *frame;
	backtrace(&frame, 1); /* loads what it needs */
	failing = number("FAIL_MALLOC");
	every = number("FAIL_MALLOC_EVERY");
	from = number("FAIL_MALLOC_FROM");
	off = !failing && !every;
	if (off)
		return;
	alarm(PARENT_SECONDS);
	report = getenv("FAIL_MALLOC_REPORT") ? (int)number("FAIL_MALLOC_REPORT") : -1;
	fcntl(report, F_SETFD, FD_CLOEXEC);
	unsetenv("LD_PRELOAD"); /* programs that this one starts are as ever */
	child_out = memfd_create("out", MFD_CLOEXEC);
	child_err = memfd_create("err", MFD_CLOEXEC);
	check(child_out >= 0 && child_err >= 0, "memfd_create");
}

__attribute__((destructor)) static void end(void)
{
	if (!off)
		write_record((struct record){.request = requests, .kind = 'e'});
}
