/* Output files: written under a temporary name next to their own, then renamed. */
#include "driver.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio_ext.h>
#include <string.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool trouble(const char *what, const char *path)
{
	complain("cannot %s %s: %s", what, path, strerror(errno));
	return false;
}

/* Devices and pipes are written to directly. */
static bool is_special(const char *path)
{
	struct stat s;
	return !stat(path, &s) && !S_ISREG(s.st_mode);
}

/* ---- signals --------------------------------------------------------------------------------- */

static const char *volatile unfinished; /* the temporary name that is in use, or NULL */

static void remove_unfinished(int number)
{
	const char *name = unfinished;
	if (name)
		unlink(name);
	signal(number, SIG_DFL);
	raise(number);
}

void output_guard(void)
{
	static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
	for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
		struct sigaction was;
		if (!sigaction(ending[i], NULL, &was) && was.sa_handler != SIG_IGN)
			signal(ending[i], remove_unfinished);
	}
	signal(SIGXFSZ, SIG_IGN); /* the write fails instead, with EFBIG */
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Abandons a file: discards the text in its buffer, and removes it. */
static void drop(void *what)
{
	struct out_file *o = what;
	if (o->file) {
		__fpurge(o->file);
		fclose(o->file);
	}
	if (!o->temporary)
		return;
	unlink(o->temporary);
	unfinished = NULL;
}

static void guard(struct out_file *o)
{
	o->undo = (struct undo){drop, o, NULL};
	undo_add(&o->undo);
}

enum { READER_MS = 5000, READER_STEP_MS = 20 };

/* Waits up to READER_MS until somebody reads the pipe. */
static FILE *open_special(const char *path)
{
	int fd;
	for (int waited = 0; (fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK)) < 0; waited += READER_STEP_MS) {
		if (errno != ENXIO || waited >= READER_MS)
			return NULL;
		poll(NULL, 0, READER_STEP_MS);
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	FILE *f = fdopen(fd, "wb");
	if (!f)
		close(fd);
	return f;
}

/* The permissions of the existing file, or of a new one. */
static mode_t mode_of(const char *path)
{
	struct stat s;
	mode_t mask = umask(0);
	umask(mask);
	return stat(path, &s) ? 0666 & ~mask : s.st_mode & 0777;
}

/* Follows symbolic links to a path that is not one, whether or not a file exists there. NULL: too many links. */
static const char *link_target(struct arena *arena, const char *path)
{
	enum { LINKS = 40 };
	for (int i = 0; i < LINKS; i++) {
		char name[4096];
		ssize_t n = readlink(path, name, sizeof name - 1);
		if (n < 0)
			return path;
		name[n] = 0;
		const char *slash = strrchr(path, '/');
		int folder = name[0] == '/' || !slash ? 0 : (int)(slash - path) + 1;
		path = arena_printf(arena, "%.*s%s", folder, path, name);
	}
	errno = ELOOP;
	return NULL;
}

/* Creates a temporary file next to `path`, or next to what `path` links to, with the final permissions. */
static bool reserve(struct arena *arena, struct out_file *o, const char *path, int *fd)
{
	const char *target = link_target(arena, path);
	if (!target) {
		*o = (struct out_file){.path = path};
		return trouble("write", path);
	}
	path = target;
	*o = (struct out_file){.path = path, .temporary = arena_printf(arena, "%s.XXXXXX", path)};
	unfinished = o->temporary;
	*fd = mkstemp(o->temporary);
	if (*fd < 0) {
		unfinished = o->temporary = NULL;
		return trouble("write", path);
	}
	guard(o);
	fchmod(*fd, mode_of(path));
	return true;
}

bool output_open(struct arena *arena, struct out_file *o, const char *path)
{
	if (!path || !strcmp(path, "-")) {
		*o = (struct out_file){.path = "standard output", .file = stdout};
		return true;
	}
	if (is_special(path)) {
		*o = (struct out_file){.path = path, .file = open_special(path)};
		if (!o->file)
			return trouble("write", path);
		guard(o);
		return true;
	}
	int fd;
	if (!reserve(arena, o, path, &fd))
		return false;
	o->file = fdopen(fd, "wb");
	if (o->file)
		return true;
	trouble("write", path);
	close(fd);
	output_close(o, false);
	return false;
}

bool output_reserve(struct arena *arena, struct out_file *o, const char *path)
{
	if (!strcmp(path, "-") || is_special(path)) {
		complain("cannot write a launcher to %s: not a regular file", path);
		return false;
	}
	int fd;
	if (!reserve(arena, o, path, &fd))
		return false;
	close(fd);
	return true;
}

bool output_close(struct out_file *o, bool keep)
{
	bool written = true;
	undo_remove(&o->undo);
	if (o->file) {
		written = !fflush(o->file) && !ferror(o->file);
		if (!written)
			trouble("write", o->path);
		if (o->file != stdout && fclose(o->file) && written)
			written = trouble("write", o->path);
	}
	if (!o->temporary)
		return written;
	bool renamed = keep && written && !rename(o->temporary, o->path);
	if (keep && written && !renamed)
		written = trouble("write", o->path);
	if (!renamed)
		unlink(o->temporary);
	unfinished = NULL;
	return written;
}
