/* Output files: written under a temporary name beside their own, then renamed. */
#include "driver.h"
#include <errno.h>
#include <string.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool trouble(const char *what, const char *path)
{
	fprintf(stderr, "deployc: cannot %s %s: %s\n", what, path, strerror(errno));
	return false;
}

/* A device or a pipe keeps its name: it is written to as it is. */
static bool is_special(const char *path)
{
	struct stat s;
	return !stat(path, &s) && !S_ISREG(s.st_mode);
}

/* Of a file that memory ran out for. */
static void drop(void *what)
{
	const struct out_file *o = what;
	unlink(o->temporary);
}

/* A new file beside `path`, with the permissions that `path` shall have. */
static bool reserve(struct arena *arena, struct out_file *o, const char *path, int *fd)
{
	*o = (struct out_file){.path = path, .temporary = arena_printf(arena, "%s.XXXXXX", path), .arena = arena, .undo = {drop, o, NULL}};
	*fd = mkstemp(o->temporary);
	if (*fd < 0) {
		o->temporary = NULL;
		return trouble("write", path);
	}
	undo_add(arena, &o->undo);
	mode_t mask = umask(0);
	umask(mask);
	fchmod(*fd, 0666 & ~mask);
	return true;
}

bool output_open(struct arena *arena, struct out_file *o, const char *path)
{
	if (!path || !strcmp(path, "-")) {
		*o = (struct out_file){.path = "standard output", .file = stdout};
		return true;
	}
	if (is_special(path)) {
		*o = (struct out_file){.path = path, .file = fopen(path, "wb")};
		return o->file || trouble("write", path);
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
		fprintf(stderr, "deployc: cannot write a launcher to %s: not a regular file\n", path);
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
	if (o->file) {
		written = !fflush(o->file) && !ferror(o->file);
		if (!written)
			trouble("write", o->path);
		if (o->file != stdout && fclose(o->file) && written)
			written = trouble("write", o->path);
	}
	if (!o->temporary)
		return written;
	undo_remove(o->arena, &o->undo);
	if (keep && written && !rename(o->temporary, o->path))
		return true;
	if (keep && written)
		written = trouble("write", o->path);
	unlink(o->temporary);
	return written;
}
