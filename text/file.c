/* Files in memory. Nothing is opened that could block. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "file.h"

static bool read_all(int fd, struct bytes *out, size_t n)
{
	bytes_reserve(out, n);
	while (out->n < n) {
		ssize_t got = read(fd, out->at + out->n, n - out->n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		out->n += (size_t)got;
	}
	return true;
}

static bool read_file(int fd, const struct field *f, struct bytes *out)
{
	struct stat st;
	if (fd < 0 || fstat(fd, &st))
		return field_refuse(f, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return field_refuse(f, "is not a file");
	if (st.st_size > TEXT_MAX_FILE)
		return field_refuse(f, "has %lld bytes; at most %d are supported", (long long)st.st_size, TEXT_MAX_FILE);
	errno = 0;
	return read_all(fd, out, (size_t)st.st_size)
	       || field_refuse(f, "%s", errno ? strerror(errno) : "ends before its end: something else writes to it");
}

bool text_file_read(const struct field *f, struct bytes *out)
{
	int fd = open(f->name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	bool ok = read_file(fd, f, out);
	if (fd >= 0)
		close(fd);
	return ok;
}
