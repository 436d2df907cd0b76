/* Writing .npy files (format 1.0, f32, C order) row by row. */
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

bool npy_open(struct npy *f, const char *path, int64_t n0, int64_t n1, int64_t n2)
{
	char header[NPY_HEADER];
	*f = (struct npy){ .path = path, .dim = { n0, n1, n2 } };
	if (asprintf(&f->temporary, "%s.XXXXXX", path) < 0)
		abort();
	f->fd = mkostemp(f->temporary, O_CLOEXEC);
	f->header = format_header(f->dim, header);
	if (f->fd >= 0 && !fchmod(f->fd, 0644) && write_at(f->fd, header, f->header, 0))
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
	bool ok = close(f->fd) == 0 && rename(f->temporary, f->path) == 0;
	if (!ok) {
		say_error("cannot write %s: %s", f->path, strerror(errno));
		unlink(f->temporary);
	}
	free(f->temporary);
	return ok;
}

void npy_discard(struct npy *f)
{
	if (f->fd >= 0) {
		close(f->fd);
		unlink(f->temporary);
	}
	free(f->temporary);
}
