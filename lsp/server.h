/* What the files of this folder share: the server, and the answers to requests. */
#ifndef DEPLOYC_LSP_SERVER_H
#define DEPLOYC_LSP_SERVER_H
#include "../support/json.h"
#include "analysis.h"
#include "lsp.h"
#include "position.h"
#include "wire.h"

enum lsp_error {
	LSP_PARSE_ERROR = -32700,
	LSP_INVALID_REQUEST = -32600,
	LSP_UNKNOWN_METHOD = -32601,
	LSP_INVALID_PARAMS = -32602,
	LSP_INTERNAL_ERROR = -32603,
	LSP_NOT_INITIALIZED = -32002,
	LSP_REQUEST_FAILED = -32803,
	LSP_CANCELLED = -32800
};

struct server {
	const struct lsp_options *options;
	struct wire wire;
	enum { STATE_NEW, STATE_RUNNING, STATE_SHUT, STATE_ENDED } state;
	/* what the client can do */
	bool utf8, snippets, pulls, versioned;
	struct document *documents; /* the one opened first is first */
	/* -D, -I and the deployment: of the command line, then of the client's settings, which live in an arena of theirs
	 */
	struct sema_options sema;
	const char *deploy;
	struct arena settings;
	const char *library; /* the folder of the library's read-only files; NULL: it cannot be written */
	/* of the message that is handled */
	struct arena *arena;
	enum lsp_error error; /* 0: none */
	const char *message;
};

/* The answer of a request: its result, or NULL for null. Releases nothing of `params`. */
typedef json_t *request_handler(struct server *s, const json_t *params);

/* Makes the answer an error. Returns NULL. */
json_t *server_fail(struct server *s, enum lsp_error error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

void server_notify(struct server *s, const char *method, json_t *params); /* takes the parameters */

/* ---- documents and places -------------------------------------------------------------------- */

struct document *server_document(struct server *s, const char *uri); /* NULL: it is not open */
/* Its analysis, made again if it is stale. NULL: the passes were given up before its text was read. */
struct analysis *server_analysis(struct server *s, struct document *d);
struct analysis_options server_options(const struct server *s);
/* The document of `textDocument` in the parameters. NULL after server_fail. */
struct document *server_target(struct server *s, const json_t *params);

/* A place in a document. */
struct place_at {
	struct document *document;
	struct analysis *analysis;
	uint32_t file, offset;
};
/* That of `position` in the parameters. false after server_fail. */
bool server_place(struct server *s, const json_t *params, struct place_at *out);
/* Bytes [lo, hi) of `range` in an object. false: it has none. */
bool server_range(const struct server *s, const json_t *range, const struct document *d, struct span *out);

/* The URI of a source; of a module of the library, that of its read-only file. NULL: it has none. */
const char *server_uri(struct server *s, const struct source *f);
json_t *location_json(struct server *s, const struct sources *sources, struct span at); /* NULL: it has no URI */
json_t *server_range_json(const struct server *s, const struct analysis *a, struct span at);
/* An edit of one document. */
json_t *text_edit_json(const struct server *s, const struct analysis *a, struct span at, const char *text);
/* {changes: {uri: edits}}; takes `edits`. */
json_t *workspace_edit_json(const char *uri, json_t *edits);

/* ---- answers --------------------------------------------------------------------------------- */

/* diagnostics.c */
void diagnostics_push(struct server *s, struct document *d);
void diagnostics_clear(struct server *s, const struct document *d);
request_handler diagnostics_pull, actions_of;
/* navigate.c */
request_handler definition_of, references_of, highlights_of, prepare_rename, rename_at;
/* outline.c */
request_handler symbols_of, workspace_symbols, folding_of, selections_of, lenses_of, hints_of, links_of;
/* semantic.c */
request_handler semantic_tokens;
json_t *semantic_legend(void);
/* hover.c, complete.c */
request_handler hover_at, complete_at, complete_item;
/* reformat.c */
request_handler format_document, format_typed;

/* library.c: writes the modules of the library to a folder of the user's cache, for editors to show. NULL: it cannot.
 */
const char *library_folder(struct arena *a, const char *version);
/* The documentation of a code as a page there. NULL: there is no folder. */
const char *library_explain(struct server *s, enum diag_code code);
#endif
