/* What completion knows of the library, apart from any document. */
#ifndef DEPLOYC_LSP_COMPLETE_H
#define DEPLOYC_LSP_COMPLETE_H
#include "../support/arena.h"

enum { MAX_SCHEMAS = 8 };
/* A public name of the library. */
struct export
{
	const char *module; /* "std.plans" */
	const char *kind, *name;
	const char *comment;
	const char *schemas[MAX_SCHEMAS]; /* those that its record is made from */
	int n_schemas;
};
struct exports {
	const struct export *at;
	int n;
};
/* All of them, read once for the process. */
const struct exports *library_exports(void);
#endif
