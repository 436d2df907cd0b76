/* Preloaded: the FAIL_MALLOC-th call of malloc and its like out of the objects that FAIL_MALLOC_IN names fails with ENOMEM.
 * Calls out of other objects (LLVM, the C library itself) are as ever. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long calls;

static int counts(const void *caller)
{
	const char *wanted = getenv("FAIL_MALLOC_IN");
	Dl_info object;
	if (!wanted || !dladdr(caller, &object) || !object.dli_fname)
		return 0;
	const char *name = strrchr(object.dli_fname, '/');
	name = name ? name + 1 : object.dli_fname;
	size_t n = strcspn(name, ".");
	for (const char *w = wanted; *w; w += strcspn(w, " "), w += *w == ' ')
		if (strcspn(w, " ") == n && !strncmp(w, name, n))
			return 1;
	return 0;
}

/* Whether this call is the one. */
static int fails(const void *caller)
{
	const char *n = getenv("FAIL_MALLOC");
	if (!n || !counts(caller) || ++calls != strtol(n, NULL, 10))
		return 0;
	errno = ENOMEM;
	return 1;
}

/* R NAME(PARAMS): fails, or calls the next one of its name. */
#define WRAP(R, name, params, args) \
	R name params; \
	R name params \
	{ \
		static R (*next) params; \
		if (!next) \
			*(void **)&next = dlsym(RTLD_NEXT, #name); \
		return fails(__builtin_return_address(0)) ? NULL : next args; \
	}

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);

/* dlsym itself allocates: these two go to the C library under its own names. */
void *malloc(size_t n)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

WRAP(char *, strdup, (const char *s), (s))
WRAP(char *, realpath, (const char *path, char *out), (path, out))
WRAP(FILE *, fopen, (const char *path, const char *mode), (path, mode))
WRAP(FILE *, fdopen, (int fd, const char *mode), (fd, mode))
WRAP(FILE *, open_memstream, (char **text, size_t *size), (text, size))
