/* What the files of this folder share: the server, and the answers to requests. */
#ifndef DEPLOYC_LSP_SERVER_H
#define DEPLOYC_LSP_SERVER_H
#include "../support/json.h"
#include "../support/version.h"
#include "analysis.h"
#include "lsp.h"
#include "position.h"
#include "progress.h"
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
	bool utf8, snippets, pulls, label_offsets, refreshes_lenses, watches;
	struct document *documents; /* the one opened first is first */
	/* -D, -I and the deployment: of the command line, then of the client's settings, which live in an arena of theirs
	 */
	struct sema_options sema;
	const char *deploy;
	struct arena settings;
	struct spares *spares;
	const struct library *files; /* of the library, read once; NULL: each analysis reads them */
	const char *library;         /* the folder of the library's read-only files; NULL: it cannot be written */
	struct folder *folders;      /* of the workspace */
	struct sweep *sweeps;        /* requests for the diagnostics of all files, the first one is being answered */
	struct progress progress;
	/* of the message that is handled */
	struct arena *arena;
	const json_t *id;     /* of the request */
	bool deferred;        /* it is answered later: server_answer, server_reject */
	enum lsp_error error; /* 0: none */
	const char *message;
};

/* The answer of a request: its result, or NULL for null. Releases nothing of `params`. */
typedef json_t *request_handler(struct server *s, const json_t *params);

/* Makes the answer an error. Returns NULL. */
json_t *server_fail(struct server *s, enum lsp_error error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Answers to a deferred request, whose id is given as text. Takes the result. */
void server_answer(struct server *s, const char *id, json_t *result);
void server_reject(struct server *s, const char *id, enum lsp_error error, const char *text);
void server_notify(struct server *s, const char *method, json_t *params); /* takes the parameters */

/* ---- documents ------------------------------------------------------------------------------- */

struct document *server_document(struct server *s, const char *uri); /* NULL: it is not open */
/* Its analysis, made again if it is stale. NULL: the passes were given up before its text was read. */
struct analysis *server_analysis(struct server *s, struct document *d);
/* What takes longer than a keystroke may: tries the values that its reports would suggest, and judges goals. Does a
 * part of it; false: that was the last. */
bool server_judge(struct server *s, struct document *d);
struct analysis_options server_options(const struct server *s);
/* Texts that use the file of this key are analysed again; NULL: all texts are. */
void server_make_stale(struct server *s, const char *key);
/* settings.c: {"deploy": {"deployment": "Chat", "define": {"Chat.plan.tp": 4}, "include": ["lib"]}}, or what is inside.
 */
void settings_read(struct server *s, const json_t *settings);

/* ---- places (places.c) ----------------------------------------------------------------------- */

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
/* The same with the goals judged, whose names are found then. What is reported of them is sent when its turn comes. */
bool server_place_judged(struct server *s, const json_t *params, struct place_at *out);
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
/* All diagnostics of a document, those of goals too, as an array. */
json_t *diagnostics_all(struct server *s, struct document *d);
/* navigate.c */
request_handler definition_of, type_definition_of, references_of, highlights_of, prepare_rename, rename_at;
/* outline.c */
request_handler symbols_of, workspace_symbols, folding_of, selections_of, lenses_of, hints_of, links_of;
/* semantic.c */
request_handler semantic_tokens;
json_t *semantic_legend(void);
/* hover.c, complete.c */
request_handler hover_at, complete_at, complete_item;
/* signature.c, hierarchy.c */
request_handler signature_at, hierarchy_prepare, hierarchy_incoming, hierarchy_outgoing;
/* reformat.c */
request_handler format_document, format_range, format_typed;

/* spell.c: adds actions that write values into the text which it leaves out, or computes. */
void spell_actions(struct server *s, const struct document *d, const struct analysis *a, uint32_t offset,
                   json_t *actions);
/* workspace.c */
request_handler workspace_diagnostics;
void workspace_open(struct server *s, const json_t *params); /* the folders that `initialize` names */
void workspace_folders_changed(struct server *s, const json_t *params);
void workspace_cancel(struct server *s, const json_t *params);
void workspace_give_up(struct server *s); /* no more requests are answered */
void workspace_close(struct server *s);
/* Is a request for all diagnostics waiting? Then workspace_step checks one more file. */
bool workspace_waits(const struct server *s);
void workspace_step(struct server *s);
/* The .deploy files of the folders, each once, by their real paths. */
const char *const *workspace_files(struct server *s, int *n);
bool workspace_is_open(const struct server *s, const char *path);
/* Sends a step of work: `kind` is begin, report or end; takes the token. percentage: -1 for none. */
void lsp_progress_send(struct server *s, json_t *token, const char *kind, const char *text, int percentage);

/* library.c: writes the modules of the library to a folder of the user's cache, for editors to show. NULL: it cannot.
 */
const char *library_folder(struct arena *a);
/* The documentation of a code as a page there. NULL: there is no folder. */
const char *library_explain(struct server *s, enum diag_code code);
#endif
