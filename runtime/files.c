/* Opens and reads regular files. */
#include "files.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../support/lfs.h"

bool file_exists(const char *path) { return !access(path, F_OK) || errno != ENOENT; }

int file_open(const char *path, size_t *bytes, struct problems *p)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0) {
		*bytes = (size_t)st.st_size;
		return fd;
	}
	if (fd < 0)
		problem(p, "cannot open %s: %s", path, strerror(errno));
	else
		problem(p, "%s is %s", path, S_ISREG(st.st_mode) ? "empty" : "not a file");
	if (fd >= 0)
		close(fd);
	return -1;
}

char *file_part(int fd, const char *path, size_t at, size_t n, struct problems *p)
{
	char *text = malloc(n + 1);
	size_t done = 0;
	if (!text)
		problem(p, "%s: out of memory: %zu bytes for its text", path, n + 1);
	while (text && done < n) {
		ssize_t k = pread(fd, text + done, n - done, (off_t)(at + done));
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0) {
			problem(p, "cannot read %s: %s", path, k < 0 ? strerror(errno) : "it was truncated");
			free(text);
			return NULL;
		}
		done += (size_t)k;
	}
	if (text)
		text[n] = 0;
	return text;
}

char *file_text(const char *path, size_t max_bytes, size_t *n, struct problems *p)
{
	int fd = file_open(path, n, p);
	char *text = NULL;
	if (fd < 0)
		return NULL;
	if (*n > max_bytes)
		problem(p, "%s has %zu bytes, at most %zu are read", path, *n, max_bytes);
	else
		text = file_part(fd, path, 0, *n, p);
	close(fd);
	if (!text || !is_lfs_pointer(text, *n))
		return text;
	problem(p, "%s " LFS_POINTER, path);
	free(text);
	return NULL;
}

/* ---- files that get their name when they are complete ---------------------------------------- */
bool whole_open(struct whole_file *f, const char *path)
{
	*f = (struct whole_file){path, host_alloc(strlen(path) + sizeof ".part", 1), NULL};
	sprintf(f->part, "%s.part", path);
	f->out = fopen(f->part, "w");
	if (f->out)
		return true;
	free(f->part);
	return false;
}

void whole_discard(struct whole_file *f)
{
	if (f->out)
		fclose(f->out);
	unlink(f->part);
	free(f->part);
}

bool whole_close(struct whole_file *f)
{
	bool written = !ferror(f->out);
	written = !fclose(f->out) && written;
	f->out = NULL;
	if (written && !rename(f->part, f->path)) {
		free(f->part);
		return true;
	}
	int error = errno;
	whole_discard(f);
	errno = error;
	return false;
}
