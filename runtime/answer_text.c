/* The text of an answer. What may be the beginning of a stop string is held back until more is known. */
#include "answer_text.h"
#include <stdlib.h>
#include <string.h>
#include "runtime.h"

struct answer_text {
	struct text_stream *stream;
	char *const *stop;
	int n_stop;
	char *at;
	size_t n, room, given;
	bool ended;
};

struct answer_text *answer_text_open(const struct tokenizer *t, const int32_t *ids, int n_ids, char *const *stop,
                                     int n_stop)
{
	struct answer_text *a = host_alloc(1, sizeof *a);
	size_t n;
	*a = (struct answer_text){.stream = text_stream_open(t, 0), .stop = stop, .n_stop = n_stop, .room = 64};
	a->at = host_alloc(a->room, 1);
	for (int i = 0; i < n_ids; i++)
		text_stream_next(a->stream, ids[i], &n);
	return a;
}

void answer_text_close(struct answer_text *a)
{
	if (!a)
		return;
	text_stream_close(a->stream);
	free(a->at);
	free(a);
}

static void append(struct answer_text *a, const char *text, size_t n)
{
	while (a->n + n > a->room)
		a->at = host_grow(a->at, a->room *= 2, 1);
	memcpy(a->at + a->n, text, n);
	a->n += n;
}

/* Cuts the text before the first stop string that occurs in it. `from`: none ends before this byte. */
static bool cut(struct answer_text *a, size_t from)
{
	size_t first = a->n;
	for (int i = 0; i < a->n_stop; i++) {
		size_t length = strlen(a->stop[i]), begin = from < length ? 0 : from - length + 1;
		char *found = memmem(a->at + begin, a->n - begin, a->stop[i], length);
		if (found && (size_t)(found - a->at) < first)
			first = (size_t)(found - a->at);
	}
	bool is_cut = first < a->n;
	a->n = first;
	return is_cut;
}

bool answer_text_add(struct answer_text *a, int32_t id)
{
	size_t n, before = a->n;
	const char *text = text_stream_next(a->stream, id, &n);
	append(a, text, n);
	a->ended = cut(a, before);
	return a->ended;
}

bool answer_text_end(struct answer_text *a)
{
	size_t n, before = a->n;
	bool stopped = a->ended;
	const char *text = text_stream_end(a->stream, &n);
	a->ended = true;
	if (stopped)
		return false;
	append(a, text, n);
	return cut(a, before);
}

const char *answer_text_all(const struct answer_text *a, size_t *n)
{
	*n = a->n;
	return a->at;
}

/* Bytes at the end of the text that a stop string begins with, the most of all. */
static size_t held_back(const struct answer_text *a)
{
	size_t most = 0;
	for (int i = 0; i < a->n_stop && !a->ended; i++)
		for (size_t n = strlen(a->stop[i]) - 1; n > most; n--)
			if (n <= a->n && !memcmp(a->at + a->n - n, a->stop[i], n))
				most = n;
	return most;
}

const char *answer_text_more(struct answer_text *a, size_t *n)
{
	const char *from = a->at + a->given;
	size_t end = a->n - held_back(a);
	*n = end > a->given ? end - a->given : 0;
	a->given += *n;
	return from;
}
