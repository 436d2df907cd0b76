/* Files that a user or a checkpoint names. Nothing is opened that could block, and each mistake is reported. */
#ifndef DEPLOY_FILES_H
#define DEPLOY_FILES_H
#include "report.h"

/* Is there anything at the path? Also true if that cannot be asked, so that opening it tells why. */
bool file_exists(const char *path);
/* Opens a regular file that is not empty. -1 after a report. */
int file_open(const char *path, size_t *bytes, struct problems *p);
/* n bytes from `at` on, then NUL, for free(). NULL after a report. */
char *file_part(int fd, const char *path, size_t at, size_t n, struct problems *p);
/* The whole of a file of at most max_bytes, likewise; a pointer of git-lfs is refused. */
char *file_text(const char *path, size_t max_bytes, size_t *n, struct problems *p);
/* A file that gets its name when it is complete. errno says what is wrong. */
struct whole_file {
	const char *path;
	char *part; /* the name until then */
	FILE *out;
};
bool whole_open(struct whole_file *f, const char *path);
bool whole_close(struct whole_file *f); /* false: nothing is left of it */
void whole_discard(struct whole_file *f);
#endif
