/* Progress of work that takes long ($/progress, LSP 3.17): a thread says so while the work runs, since the passes have
 * no time to. */
#ifndef DEPLOYC_LSP_PROGRESS_H
#define DEPLOYC_LSP_PROGRESS_H
#include <pthread.h>
#include <time.h>
#include "wire.h"

enum { PROGRESS_DELAY = 100 /* ms after which work is shown */, MAX_TOKEN = 64 };

struct progress {
	struct wire *wire;
	long delay;    /* ms; 0: all work is shown; below 0: none is */
	bool creates;  /* the client lets the server make tokens, */
	int made;      /* so many until now; the last one is */
	bool is_ready; /* known to the client, and not used yet */
	/* of the work that runs */
	pthread_t thread;
	bool has_thread, stops;
	pthread_mutex_t lock; /* of the rest */
	pthread_cond_t changed;
	struct timespec due;
	char *begin; /* the message that is sent when it is due; NULL: no work is watched, or it was sent */
	bool begun;
	char *token; /* as JSON; NULL: no work is watched */
	bool own;    /* it is one of the server's own */
};

void lsp_progress_open(struct progress *p, struct wire *w);
void lsp_progress_close(struct progress *p);
/* Asks the client for a token of the server's own. */
void lsp_progress_make(struct progress *p);
/* Takes the answer to that: `id` is the token. */
void lsp_progress_made(struct progress *p, const json_t *id, bool accepted);

/* Watches work until lsp_progress_done. `token`: the client's; NULL: one of the server's own is used, if there is one.
 */
void lsp_progress_watch(struct progress *p, const json_t *token, const char *title);
void lsp_progress_done(struct progress *p);
#endif
