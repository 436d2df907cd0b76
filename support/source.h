/* Source files of one compilation, and spans into them. A span is byte offsets; lines are computed when printed. */
#ifndef DEPLOYC_SOURCE_H
#define DEPLOYC_SOURCE_H
#include <stdbool.h>
#include <stdint.h>
#include "arena.h"

struct span {
	uint32_t file, lo, hi;
}; /* bytes [lo, hi) of sources.at[file] */

enum { CHARACTERS_EVERY = 512 };
struct source {
	const char *path;  /* the file read; "std/ops.deploy" for embedded text */
	const char *label; /* its name in diagnostics: the path as given, or `std.ops` */
	const char *text;  /* NUL-terminated */
	uint32_t size;
	uint32_t *lines;
	int n_lines;       /* offset of each line's first byte */
	uint32_t *returns; /* offsets past each \r without \n: a newline in the protocol of editors, but not in a spec */
	int n_returns;
	uint32_t *characters; /* number of characters before every CHARACTERS_EVERY bytes: lines may have megabytes */
};
/* The bytes of a file; path NULL: of standard input. At most 64 MiB: the scanner reports files above its lower limit.
 * false: errno, ENODATA for a pipe that nobody writes to. */
struct file_text {
	const char *at;
	size_t size;
};
bool file_read(struct arena *a, const char *path, struct file_text *out);
/* The same for a file named in another file, of at most `max_bytes` bytes: opens only regular files, never waits. */
bool file_read_regular(struct arena *a, const char *path, size_t max_bytes, struct file_text *out);
const char *file_error(void);                             /* errno after these, as text */
const char *real_path(struct arena *a, const char *path); /* absolute, without links; NULL: errno */
const char *normal_path(struct arena *a,
                        const char *path); /* an absolute path without `.` and `..`; the disk is not read */

/* Texts that replace those of files: unsaved buffers of an editor, or what cannot be read a second time. */
struct overlay {
	const char *path; /* a source_key; "std/ops.deploy" for a module of the library */
	struct file_text text;
};
struct overlays {
	const struct overlay *at;
	int n;
};
const struct overlay *overlay_find(const struct overlays *o, const char *key); /* the first one, or NULL */
/* The name by which an overlay replaces the file at `path` and two files are told apart: its real path. "-", standard
 * input: `-` in the working directory. "/" for a pipe or another file outside the tree, unless an overlay names it. */
const char *source_key(struct arena *a, const struct overlays *o, const char *path);
/* These overlays, and before them one that gives the spec at `path` this text. */
struct overlays overlays_with(struct arena *a, const struct overlays *o, const char *path, struct file_text text);
/* Reads every text of a spec or module: from the overlay of that key, else from the file at `path` (NULL: standard
 * input), by file_read or, for a file named in another one, file_read_regular. false: errno. */
enum reading { READ_ANY, READ_REGULAR };
bool overlay_read(struct arena *a, const struct overlays *o, const char *key, const char *path, enum reading how,
                  struct file_text *out);

struct sources {
	struct arena *arena;
	VEC(struct source) files;
	bool first_is_free; /* the next file that is added takes number 0, which stands for an empty text until then */
};

/* Adds a file; its text is copied into the arena. Returns its index. */
uint32_t sources_add(struct sources *s, const char *path, const char *label, const char *text, size_t size);
int source_returns(const struct source *f, uint32_t offset); /* those up to the offset */
int source_line(const struct source *f, uint32_t offset);    /* from 0: the last that starts at or before the offset */
/* 1-based line; column counts code points, tabs as one. */
void sources_position(const struct sources *s, struct span at, int *line, int *column);
struct span span_join(struct span a, struct span b);
#endif
