/* Messages of the language server protocol on two file descriptors: a header with the length of the JSON text that
 * follows (LSP 3.17, Base Protocol). */
#ifndef DEPLOYC_LSP_WIRE_H
#define DEPLOYC_LSP_WIRE_H
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Messages are read ahead, so that one which cancels another is seen in time. */
struct wire {
	int in, out;
	char *buffer; /* bytes read, and not yet taken: [begin, end) */
	size_t begin, end, room;
	bool over;     /* the input ended, or is not understood any more */
	bool cut;      /* it ended within a message */
	bool unwanted; /* the client does not read: what is sent is dropped */
	pthread_mutex_t writing;
};

enum { MAX_MESSAGE = 64 << 20, MAX_HEADER = 4096 /* bytes */ };
enum wire_result {
	WIRE_MESSAGE,
	WIRE_NOTHING, /* no whole message is there yet */
	WIRE_BAD,     /* the text of a message is not JSON, or its numbers, strings or nesting are beyond limits */
	WIRE_END      /* no more will come */
};

/* Takes the next message; wait: until there is one, or no more will come. The caller releases *message. A header
 * without a length, or with one above MAX_MESSAGE, ends the input: where the next message begins is not known. */
enum wire_result wire_next(struct wire *w, bool wait, json_t **message);
/* Sends a message, and releases it. */
void wire_send(struct wire *w, json_t *message);
/* The same in two steps. wire_text: header and text, freed by json_text_free. wire_put may be called by any thread. */
char *wire_text(json_t *message);
void wire_put(struct wire *w, const char *text, size_t n);
void wire_free(struct wire *w);
#endif
