/* Writes .npy files (format 1.0, f32, C order) row by row. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "runtime.h"

enum { NPY_PREFIX = 10, NPY_ALIGN = 64, NPY_HEADER = 256 };

static size_t format_header(const int64_t *dim, char out[NPY_HEADER])
{
	char text[NPY_HEADER];
	int n = snprintf(text, sizeof text,
	                 "{'descr': '<f4', 'fortran_order': False, 'shape': (%" PRId64 ", %" PRId64 ", %" PRId64 "), }",
	                 dim[0], dim[1], dim[2]);
	size_t total = (NPY_PREFIX + (size_t)n + 1 + NPY_ALIGN - 1) / NPY_ALIGN * NPY_ALIGN, rest = total - NPY_PREFIX;
	memcpy(out, "\x93NUMPY\x01\x00", 8);
	out[8] = (char)(rest & 255);
	out[9] = (char)(rest >> 8);
	memset(out + NPY_PREFIX, ' ', rest);
	memcpy(out + NPY_PREFIX, text, (size_t)n);
	out[total - 1] = '\n';
	return total;
}

static bool write_at(int fd, const void *data, size_t n, off_t at)
{
	const char *p = data;
	while (n) {
		ssize_t k = pwrite(fd, p, n, at);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
		at += k;
	}
	return true;
}

/* The file at a path, or the target of a link, even if it is missing. NULL: errno. */
static char *target_of(const char *path)
{
	enum { LINKS = 40 };
	char *at = strdup(path), name[4096];
	for (int i = 0; at && i < LINKS; i++) {
		ssize_t n = readlink(at, name, sizeof name - 1);
		if (n < 0)
			return at;
		name[n] = 0;
		char *slash = strrchr(at, '/'), *next = NULL;
		if (name[0] == '/' || !slash)
			next = strdup(name);
		else if (asprintf(&next, "%.*s/%s", (int)(slash - at), at, name) < 0)
			next = NULL;
		free(at);
		at = next;
	}
	errno = at ? ELOOP : ENOMEM;
	free(at);
	return NULL;
}

/* Is it a file of another kind? Rows come in any order, so only a regular file works, and others are not replaced. */
static bool is_special(const char *path)
{
	struct stat st;
	return !stat(path, &st) && !S_ISREG(st.st_mode);
}

static mode_t mode_of(const char *path)
{
	struct stat st;
	mode_t mask = umask(0);
	umask(mask);
	return stat(path, &st) ? 0666 & ~mask : st.st_mode & 0777;
}

bool npy_open(struct npy *f, const char *path, int64_t n0, int64_t n1, int64_t n2)
{
	char header[NPY_HEADER];
	*f = (struct npy){.path = path, .target = target_of(path), .fd = -1, .dim = {n0, n1, n2}};
	if (f->target && is_special(f->target)) {
		say_error("cannot write %s: not a regular file", path);
		npy_discard(f);
		return false;
	}
	if (f->target && asprintf(&f->temporary, "%s.XXXXXX", f->target) < 0)
		f->temporary = NULL;
	f->fd = f->temporary ? mkostemp(f->temporary, O_CLOEXEC) : -1;
	f->header = format_header(f->dim, header);
	if (f->fd >= 0 && !fchmod(f->fd, mode_of(f->target)) && write_at(f->fd, header, f->header, 0))
		return true;
	say_error("cannot write %s: %s", path, strerror(errno));
	npy_discard(f);
	return false;
}

bool npy_row(const struct npy *f, int64_t i0, int64_t i1, const float *row)
{
	size_t bytes = (size_t)f->dim[2] * sizeof *row;
	return write_at(f->fd, row, bytes, (off_t)(f->header + (size_t)(i0 * f->dim[1] + i1) * bytes));
}

bool npy_finish(struct npy *f)
{
	int64_t bytes = f->dim[0] * f->dim[1] * f->dim[2] * (int64_t)sizeof(float);
	bool ok = ftruncate(f->fd, (off_t)f->header + bytes) == 0;
	ok = close(f->fd) == 0 && ok;
	f->fd = -1;
	ok = ok && rename(f->temporary, f->target) == 0;
	if (ok) {
		free(f->temporary);
		f->temporary = NULL;
	} else {
		say_error("cannot write %s: %s", f->path, strerror(errno));
	}
	npy_discard(f);
	return ok;
}

void npy_discard(struct npy *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->temporary)
		unlink(f->temporary);
	free(f->temporary);
	free(f->target);
}
