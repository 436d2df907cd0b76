/* Read-only copies of what is inside deployc, in the user's cache, for editors to show: the library's modules, and a
 * page for each diagnostic. */
#include "server.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../sema/internal.h"

static bool make_folder(const char *path) { return !mkdir(path, 0777) || errno == EEXIST; }

/* Does the file have these bytes already? */
static bool has_text(struct arena *a, const char *path, const char *text, size_t n)
{
	struct file_text old;
	return file_read_regular(a, path, n + 1, &old) && old.size == n && !memcmp(old.at, text, n);
}

/* Writes a file that appears whole or not at all. */
static bool put_file(struct arena *a, const char *path, const char *text, size_t n)
{
	if (has_text(a, path, text, n))
		return true;
	const char *new = arena_printf(a, "%s.%ld", path, (long)getpid());
	int fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		return false;
	bool written = write(fd, text, n) == (ssize_t)n;
	written = !close(fd) && written && !rename(new, path);
	if (!written)
		unlink(new);
	return written;
}

/* $XDG_CACHE_HOME/deployc/VERSION, or in ~/.cache. */
static const char *cache_folder(struct arena *a)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	if (!cache || *cache != '/')
		cache = home && *home == '/' ? arena_printf(a, "%s/.cache", home) : NULL;
	if (!cache || !make_folder(cache) || !make_folder(arena_printf(a, "%s/deployc", cache)))
		return NULL;
	const char *folder = arena_printf(a, "%s/deployc/" DEPLOYC_VERSION, cache);
	return make_folder(folder) ? folder : NULL;
}

const char *library_folder(struct arena *a)
{
	const char *folder = cache_folder(a);
	if (!folder || !make_folder(arena_printf(a, "%s/std", folder)) || !make_folder(arena_printf(a, "%s/codes", folder)))
		return NULL;
	for (const struct embedded *e = stdlib; e->name; e++)
		if (!put_file(a, arena_printf(a, "%s/std/%s.deploy", folder, e->name), (const char *)e->text, e->size))
			return NULL;
	return folder;
}

const char *library_explain(struct server *s, enum diag_code code)
{
	char *text = NULL;
	size_t n = 0;
	const char *path = s->library ? arena_printf(s->arena, "%s/codes/%s.txt", s->library, diag_code_name(code)) : NULL;
	FILE *out = path && access(path, R_OK) ? open_memstream(&text, &n) : NULL;
	if (!path || !out)
		return path ? path_uri(s->arena, path) : NULL;
	explain_code(code, out);
	bool written = !fclose(out) && put_file(s->arena, path, text, n);
	free(text);
	return written ? path_uri(s->arena, path) : NULL;
}
