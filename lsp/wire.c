/* Reads and writes the messages of a client. */
#include "wire.h"
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "../support/arena.h"
#include "../support/json.h"

enum { READ_BYTES = 1 << 16, MAX_DIGITS = 10 };

/* ---- reading --------------------------------------------------------------------------------- */

/* Makes room for READ_BYTES more. */
static void make_room(struct wire *w)
{
	size_t n = w->end - w->begin;
	if (w->begin) {
		memmove(w->buffer, w->buffer + w->begin, n);
		w->begin = 0;
		w->end = n;
	}
	if (n + READ_BYTES <= w->room)
		return;
	size_t room = 2 * (n + READ_BYTES);
	char *larger = heap_alloc(NULL, room);
	if (n)
		memcpy(larger, w->buffer, n);
	heap_free(w->buffer);
	w->buffer = larger;
	w->room = room;
}

/* Reads what is there; wait: at least something. false: nothing was there. */
static bool read_more(struct wire *w, bool wait)
{
	struct pollfd p = {.fd = w->in, .events = POLLIN};
	if (w->over || (!wait && poll(&p, 1, 0) <= 0))
		return false;
	make_room(w);
	ssize_t n;
	while ((n = read(w->in, w->buffer + w->end, READ_BYTES)) < 0 && errno == EINTR)
		;
	w->over = n <= 0;
	w->end += n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* The value of the header `name` on a line, or NULL. */
static const char *header_value(const char *line, size_t n, const char *name)
{
	size_t length = strlen(name);
	if (n <= length || strncasecmp(line, name, length) != 0 || line[length] != ':')
		return NULL;
	line += length + 1;
	while (*line == ' ' || *line == '\t')
		line++;
	return line;
}

/* -1: something else than a number up to MAX_MESSAGE. */
static long length_of(const char *digits)
{
	long n = 0;
	int i = 0;
	for (; i < MAX_DIGITS && isdigit((unsigned char)digits[i]); i++)
		n = 10 * n + (digits[i] - '0');
	return i && !isdigit((unsigned char)digits[i]) && n <= MAX_MESSAGE ? n : -1;
}

/* The bytes of the header of the next message, and *length, those of its text. 0: more must come. -1: it is not
 * understood. */
static long read_header(const struct wire *w, long *length)
{
	const char *text = w->buffer + w->begin;
	size_t n = w->end - w->begin, at = 0;
	*length = -1;
	while (at < n) {
		const char *line = text + at, *end = memchr(line, '\n', n - at);
		if (!end || (size_t)(end - text) > MAX_HEADER)
			return n - at > MAX_HEADER ? -1 : 0;
		size_t bytes = (size_t)(end - line);
		at += bytes + 1;
		if (!bytes || (bytes == 1 && *line == '\r'))
			return *length < 0 ? -1 : (long)at;
		const char *value = header_value(line, bytes, "Content-Length");
		if (value)
			*length = length_of(value);
	}
	return at > MAX_HEADER ? -1 : 0;
}

static enum wire_result parse(struct wire *w, long header, long length, json_t **message)
{
	json_error_t error;
	*message = json_loadb(w->buffer + w->begin + header, (size_t)length, JSON_ALLOW_NUL, &error);
	w->begin += (size_t)(header + length);
	return *message ? WIRE_MESSAGE : WIRE_BAD;
}

enum wire_result wire_next(struct wire *w, bool wait, json_t **message)
{
	for (;;) {
		long length, header = w->begin < w->end ? read_header(w, &length) : 0;
		if (header > 0 && w->end - w->begin >= (size_t)(header + length))
			return parse(w, header, length, message);
		if (header < 0) {
			complain("the client sent no `Content-Length` up to %d: what follows cannot be read", MAX_MESSAGE);
			w->over = w->cut = true;
			w->begin = w->end;
		}
		if (w->over) {
			w->cut |= w->begin < w->end;
			return WIRE_END;
		}
		if (!read_more(w, wait) && !wait)
			return w->over ? WIRE_END : WIRE_NOTHING;
	}
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_all(struct wire *w, const char *text, size_t n)
{
	while (n && !w->unwanted) {
		ssize_t written = write(w->out, text, n);
		if (written < 0 && errno != EINTR)
			w->unwanted = true;
		text += written > 0 ? written : 0;
		n -= written > 0 ? (size_t)written : 0;
	}
}

void wire_put(struct wire *w, const char *text, size_t n)
{
	pthread_mutex_lock(&w->writing);
	write_all(w, text, n);
	pthread_mutex_unlock(&w->writing);
}

char *wire_text(json_t *message)
{
	enum { HEADER = 64 };
	char *text = json_dumps(message, JSON_COMPACT);
	if (!text)
		internal_error("a message has no JSON form");
	size_t n = strlen(text);
	char *out = heap_malloc(HEADER + n + 1);
	int head = snprintf(out, HEADER, "Content-Length: %zu\r\n\r\n", n);
	memcpy(out + head, text, n + 1);
	json_text_free(text);
	json_decref(message);
	return out;
}

void wire_send(struct wire *w, json_t *message)
{
	char *text = wire_text(message);
	wire_put(w, text, strlen(text));
	json_text_free(text);
}

void wire_free(struct wire *w)
{
	heap_free(w->buffer);
	w->buffer = NULL;
}
