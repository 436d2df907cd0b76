/* Says that work is going on, once it has taken long. */
#include "progress.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "../support/arena.h"
#include "../support/json.h"

/* ---- the thread ------------------------------------------------------------------------------ */

/* Sends the message that was made before. */
static void say(struct progress *p)
{
	wire_put(p->wire, p->begin, strlen(p->begin));
	heap_free(p->begin);
	p->begin = NULL;
	p->begun = true;
}

/* Waits for work, and then until it is due or done. */
static void *wait_and_say(void *context)
{
	struct progress *p = context;
	pthread_mutex_lock(&p->lock);
	while (!p->stops) {
		if (!p->begin) {
			pthread_cond_wait(&p->changed, &p->lock);
		} else if (pthread_cond_timedwait(&p->changed, &p->lock, &p->due) == ETIMEDOUT && p->begin) {
			say(p);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

void lsp_progress_open(struct progress *p, struct wire *w)
{
	pthread_condattr_t monotonic;
	p->wire = w;
	p->delay = PROGRESS_DELAY;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

void lsp_progress_close(struct progress *p)
{
	pthread_mutex_lock(&p->lock);
	p->stops = true;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
	if (p->has_thread)
		pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	heap_free(p->begin);
	heap_free(p->token);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static void token_of(const struct progress *p, char out[MAX_TOKEN]) { snprintf(out, MAX_TOKEN, "deployc/%d", p->made); }

void lsp_progress_make(struct progress *p)
{
	char token[MAX_TOKEN];
	if (!p->creates)
		return;
	p->made++;
	p->is_ready = false;
	token_of(p, token);
	wire_send(p->wire, json_pack("{s:s, s:s, s:s, s:{s:s}}", "jsonrpc", "2.0", "id", token, "method",
	                             "window/workDoneProgress/create", "params", "token", token));
}

void lsp_progress_made(struct progress *p, const json_t *id, bool accepted)
{
	char token[MAX_TOKEN];
	token_of(p, token);
	if (p->made && json_is_string(id) && !strcmp(json_string_value(id), token))
		p->is_ready = accepted;
}

/* ---- work ------------------------------------------------------------------------------------ */

/* Text that outlives the work on a message. */
static char *kept(const char *text)
{
	size_t n = strlen(text) + 1;
	return memcpy(heap_alloc(NULL, n), text, n);
}

/* A notification about the token, as bytes of the wire. */
static char *message_of(const char *token, json_t *value)
{
	json_t *message = json_pack("{s:s, s:s, s:{s:o, s:o}}", "jsonrpc", "2.0", "method", "$/progress", "params", "token",
	                            json_loads(token, JSON_DECODE_ANY, NULL), "value", value);
	char *text = wire_text(message), *out = kept(text);
	json_text_free(text);
	return out;
}

static struct timespec after(long ms)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

static bool start(struct progress *p)
{
	if (!p->has_thread)
		p->has_thread = !pthread_create(&p->thread, NULL, wait_and_say, p);
	return p->has_thread;
}

/* The token as text, for json_text_free; NULL: there is none. */
static char *token_text(struct progress *p, const json_t *token)
{
	char own[MAX_TOKEN];
	token_of(p, own);
	json_t *value = token ? json_deep_copy(token) : p->is_ready ? json_string(own) : NULL;
	char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	json_decref(value);
	return text;
}

void lsp_progress_watch(struct progress *p, const json_t *token, const char *title)
{
	char *text = p->delay < 0 ? NULL : token_text(p, token);
	if (!text || !start(p)) {
		json_text_free(text);
		return;
	}
	char *begin = message_of(text, json_pack("{s:s, s:s, s:b}", "kind", "begin", "title", title, "cancellable", 0));
	pthread_mutex_lock(&p->lock);
	p->token = kept(text);
	p->own = !token;
	p->begin = begin;
	p->begun = !p->delay;
	p->due = after(p->delay);
	if (p->begun)
		say(p);
	else
		pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
	json_text_free(text);
}

void lsp_progress_done(struct progress *p)
{
	pthread_mutex_lock(&p->lock);
	char *token = p->token, *begin = p->begin;
	bool begun = p->begun;
	p->token = p->begin = NULL;
	p->begun = false;
	pthread_mutex_unlock(&p->lock);
	heap_free(begin);
	if (begun) {
		char *end = message_of(token, json_pack("{s:s}", "kind", "end"));
		wire_put(p->wire, end, strlen(end));
		heap_free(end);
	}
	heap_free(token);
	if (begun && p->own) /* a token is used once */
		lsp_progress_make(p);
}
