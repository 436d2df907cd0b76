/* Reads whole files, pipes included; gives up on a pipe that nobody opens for writing. Overlays replace files. */
#include "source.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_BYTES = 64 << 20, WRITER_MS = 5000 };

/* Waits until a pipe has something to read, or has or had a writer. false: no writer came. */
static bool has_writer(int fd)
{
	char nothing;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, WRITER_MS) != 0 || (read(fd, &nothing, 1) < 0 && errno == EAGAIN);
}

/* Opened without waiting, then read with waiting. -1: errno. */
static int open_to_read(const char *path)
{
	struct stat s;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -1;
	if (!fstat(fd, &s) && S_ISFIFO(s.st_mode) && !has_writer(fd)) {
		close(fd);
		errno = ENODATA;
		return -1;
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

/* 0, or an error number. */
static int read_rest(struct arena *a, int fd, size_t max_bytes, struct file_text *out)
{
	size_t room = 1 << 16, n = 0;
	char *at = arena_alloc(a, room);
	for (ssize_t more; (more = read(fd, at + n, room - n)) != 0;) {
		if (more < 0 && errno != EINTR)
			return errno;
		n += more > 0 ? (size_t)more : 0;
		if (n > max_bytes)
			return EFBIG;
		if (n == room) {
			char *larger = arena_alloc(a, 2 * room);
			memcpy(larger, at, n);
			at = larger;
			room *= 2;
		}
	}
	*out = (struct file_text){at, n};
	return 0;
}

static void close_file(void *fd) { close(*(int *)fd); }

static int read_all(struct arena *a, int fd, size_t max_bytes, struct file_text *out)
{
	struct undo undo = {close_file, &fd, NULL};
	if (fd != STDIN_FILENO)
		undo_add(&undo);
	int error = read_rest(a, fd, max_bytes, out);
	undo_remove(&undo);
	return error;
}

bool file_read(struct arena *a, const char *path, struct file_text *out)
{
	int fd = path ? open_to_read(path) : STDIN_FILENO;
	if (fd < 0)
		return false;
	int error = read_all(a, fd, MAX_BYTES, out);
	if (path)
		close(fd);
	errno = error;
	return !error;
}

bool file_read_regular(struct arena *a, const char *path, size_t max_bytes, struct file_text *out)
{
	struct stat s;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return false;
	int error = fstat(fd, &s)         ? errno
	            : S_ISDIR(s.st_mode)  ? EISDIR
	            : !S_ISREG(s.st_mode) ? ENXIO
	                                  : read_all(a, fd, max_bytes, out);
	close(fd);
	errno = error;
	return !error;
}

const char *file_error(void) { return errno == ENXIO ? "not a regular file" : strerror(errno); }

/* ---- paths ----------------------------------------------------------------------------------- */

const char *real_path(struct arena *a, const char *path)
{
	char *real = realpath(path, NULL);
	if (!real && errno == ENOMEM)
		out_of_memory(PATH_MAX);
	if (!real)
		return NULL;
	struct undo undo = {free, real, NULL};
	undo_add(&undo);
	const char *kept = arena_strndup(a, real, strlen(real));
	undo_remove(&undo);
	free(real);
	return kept;
}

const char *normal_path(struct arena *a, const char *path)
{
	struct text out = {.arena = a};
	text_add(&out, "%s", "");
	while (*path) {
		size_t n = strcspn(path, "/");
		if (n == 2 && !strncmp(path, "..", 2)) {
			while (out.n && out.at[--out.n] != '/')
				;
			out.at[out.n] = 0;
		} else if (n && !(n == 1 && *path == '.')) {
			text_add(&out, "/%.*s", (int)n, path);
		}
		path += n + (path[n] == '/');
	}
	return out.at;
}

/* ---- overlays -------------------------------------------------------------------------------- */

const struct overlay *overlay_find(const struct overlays *o, const char *key)
{
	for (int i = 0; i < o->n; i++)
		if (!strcmp(o->at[i].path, key))
			return &o->at[i];
	return NULL;
}

const char *source_key(struct arena *a, const struct overlays *o, const char *path)
{
	bool is_stdin = !strcmp(path, "-");
	const char *real = real_path(a, is_stdin ? "." : path);
	bool in_tree = real && real[0] == '/';
	if (is_stdin)
		return arena_printf(a, "%s/-", in_tree ? real : "/");
	if (in_tree || !o->n)
		return in_tree ? real : "/";
	const char *folder = path[0] == '/' ? NULL : real_path(a, ".");
	const char *named = normal_path(a, folder ? arena_printf(a, "%s/%s", folder, path) : path);
	return overlay_find(o, named) ? named : "/";
}

struct overlays overlays_with(struct arena *a, const struct overlays *o, const char *path, struct file_text text)
{
	struct overlay *at = arena_array(a, struct overlay, o->n + 1);
	at[0] = (struct overlay){source_key(a, o, path), text};
	for (int i = 0; i < o->n; i++)
		at[i + 1] = o->at[i];
	return (struct overlays){at, o->n + 1};
}

bool overlay_read(struct arena *a, const struct overlays *o, const char *key, const char *path, enum reading how,
                  struct file_text *out)
{
	const struct overlay *over = overlay_find(o, key);
	if (over) {
		*out = over->text;
		return true;
	}
	return how == READ_ANY ? file_read(a, path, out) : file_read_regular(a, path, MAX_BYTES, out);
}
