/* `launcher tokenize`. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "texts.h"
#include "tokenize.h"

/* All of a file, at most a byte more than a text may have. NULL after a message. */
static char *read_all(FILE *in, size_t *n)
{
	enum { STEP = 1 << 16 };
	char *text = NULL;
	size_t got;
	*n = 0;
	do {
		text = host_grow(text, *n + STEP, 1);
		*n += got = fread(text + *n, 1, STEP, in);
	} while (got && *n <= TEXT_MAX_INPUT);
	if (!ferror(in))
		return text;
	say_error("cannot read standard input: %s", strerror(errno));
	free(text);
	return NULL;
}

static bool print_ids(struct tokenizer *t, const char *text, size_t n, FILE *out)
{
	struct token_ids ids = {0};
	struct text_error e;
	bool ok = tokenizer_encode(t, text, n, ENCODE_TEMPLATE, &ids, &e);
	if (!ok)
		say_error("standard input: %s", e.text);
	for (size_t i = 0; ok && i < ids.n; i++)
		fprintf(out, "%s%d", i ? "," : "[", ids.at[i]);
	if (ok)
		fputs(ids.n ? "]\n" : "[]\n", out);
	free(ids.at);
	return ok;
}

/* Whether a value is a list of ids that have tokens; false after a message. */
static bool check_ids(const struct tokenizer *t, const json_t *ids)
{
	size_t n;
	if (!json_is_array(ids))
		say_error("standard input is not a JSON list of token ids, like [1,15,7]");
	for (size_t i = 0; i < json_array_size(ids); i++) {
		const json_t *id = json_array_get(ids, i);
		json_int_t v = json_integer_value(id);
		if (!json_is_integer(id) || v < 0 || v > TEXT_MAX_ID || !tokenizer_token(t, (int32_t)v, &n)) {
			say_error("standard input: element %zu of the list is not the id of a token", i);
			return false;
		}
	}
	return json_is_array(ids);
}

static bool print_text(const struct tokenizer *t, const char *text, size_t n, FILE *out)
{
	json_t *ids = json_loadb(text, n, 0, NULL);
	bool ok = check_ids(t, ids);
	struct text_stream *s = text_stream_open(t, DECODE_SPECIAL);
	for (size_t i = 0, size; ok && i <= json_array_size(ids); i++) {
		const json_t *id = json_array_get(ids, i);
		const char *part = id ? text_stream_next(s, (int32_t)json_integer_value(id), &size) : text_stream_end(s, &size);
		fwrite(part, 1, size, out);
	}
	text_stream_close(s);
	json_decref(ids);
	return ok;
}

int tokenize(const char *folder, uint32_t vocab, bool decode, FILE *in, FILE *out)
{
	struct text_error e;
	size_t n;
	struct tokenizer *t = checkpoint_tokenizer(folder, vocab, &e);
	if (!t)
		say_error("%s", e.text);
	char *text = t ? read_all(in, &n) : NULL;
	bool ok = text && (decode ? print_text(t, text, n, out) : print_ids(t, text, n, out));
	free(text);
	tokenizer_close(t);
	return ok ? STATUS_OK : STATUS_FAILED;
}
