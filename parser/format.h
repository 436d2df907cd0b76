/* The canonical text of a module (`deployc fmt`). Only blanks differ from what was written: tokens, the line ends
 * between them and comments stay as they are. */
#ifndef DEPLOYC_FORMAT_H
#define DEPLOYC_FORMAT_H
#include "../support/diag.h"
#include "../support/names.h"

struct formatted {
	const char *text;
	size_t size;
}; /* text NULL: the module does not parse, as the sink says */

/* Formats file `file` of sink->sources. Formatting what it gives gives the same again. */
struct formatted format_module(struct arena *arena, struct names *names, struct sink *sink, uint32_t file);
#endif
