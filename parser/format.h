/* The canonical text of a module (`deployc fmt`). Only spaces change: tokens, the newlines between them and comments
 * stay as they are. */
#ifndef DEPLOYC_FORMAT_H
#define DEPLOYC_FORMAT_H
#include "../support/diag.h"
#include "../support/names.h"

struct formatted {
	const char *text;
	size_t size;
}; /* text NULL: the module does not parse; the sink has the reports */

/* Formats file `file` of sink->sources. Formatting the result again does not change it. */
struct formatted format_module(struct arena *arena, struct names *names, struct sink *sink, uint32_t file);
#endif
