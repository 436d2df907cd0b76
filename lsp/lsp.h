/* A language server: `deployc lsp` (LSP 3.17). It runs the passes of the compiler over the texts that an editor has. */
#ifndef DEPLOYC_LSP_H
#define DEPLOYC_LSP_H
#include "../sema/sema.h"
#include "../target/target.h"

struct lsp_options {
	struct sema_options sema; /* -D and -I; an editor's settings come after them */
	const char *deploy;       /* only this deployment is planned; NULL: all of a file */
	struct target target;
};

/* Serves a client on two file descriptors until it says `exit`, or the input ends. Returns 0 if the client said
 * `shutdown` before, else 1. An internal error, or lack of memory, ends the work on one message only. */
int lsp_serve(const struct lsp_options *o, int in, int out);
#endif
