/* An answer's log-probabilities, as JSON and as lines to print. */
#include "answer_logprobs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "no_memory.h"

/* A token's text by itself; bytes that are not a whole character are U+FFFD. `before`: a token that it follows, so that
 * a space at its start is kept. */
static json_t *token_text(const struct tokenizer *t, int32_t before, int32_t id)
{
	struct text_stream *s = text_stream_open(t, DECODE_SPECIAL);
	size_t n, more;
	text_stream_next(s, before, &n);
	if (!n) /* only a part of a character */
		text_stream_end(s, &n);
	const char *next = text_stream_next(s, id, &n);
	char *text = memcpy(host_alloc(n + 1, 1), next, n);
	next = text_stream_end(s, &more);
	text = host_grow(text, n + more + 1, 1);
	memcpy(text + n, next, more);
	json_t *v = json_stringn(text, n + more);
	free(text);
	text_stream_close(s);
	return v;
}

static json_t *entry(const struct prompt *prompt, const struct tokenizer *t, const struct logprob *l)
{
	json_t *v = json_pack("{s:i, s:f}", "id", (int)l->token, "logprob", (double)l->value);
	if (prompt->text && t)
		json_object_set_new(v, "token", token_text(t, prompt->ids[0], l->token));
	return v;
}

json_t *answer_logprobs(const struct prompt *prompt, const struct answer *a, const struct tokenizer *t)
{
	json_t *all = json_array();
	const struct logprob *l = a->logprobs;
	for (int i = 0; i < a->n; i++) {
		json_t *of_token = entry(prompt, t, l++), *top = json_array();
		for (int k = 0; k < a->n_top; k++)
			json_array_append_new(top, entry(prompt, t, l++));
		json_object_set_new(of_token, "top_logprobs", top);
		json_array_append_new(all, of_token);
	}
	return all;
}

static void print_entry(FILE *out, const json_t *v)
{
	char *text = json_dumps(json_object_get(v, "token"), JSON_ENCODE_ANY);
	fprintf(out, "%lld%s%s %.6f", (long long)json_integer_value(json_object_get(v, "id")), text ? " " : "",
	        text ? text : "", json_real_value(json_object_get(v, "logprob")));
	free(text);
}

char *answer_logprob_lines(const struct prompt *prompt, const struct answer *a, const struct tokenizer *t)
{
	json_t *all = answer_logprobs(prompt, a, t), *v, *other;
	char *text = NULL;
	size_t n, i, k;
	FILE *out = open_memstream(&text, &n);
	if (!out)
		no_memory(BUFSIZ);
	json_array_foreach (all, i, v) {
		fprintf(out, "logprob: ");
		print_entry(out, v);
		json_array_foreach (json_object_get(v, "top_logprobs"), k, other) {
			fprintf(out, k ? ", " : " (");
			print_entry(out, other);
		}
		fprintf(out, k ? ")\n" : "\n");
	}
	fclose(out);
	json_decref(all);
	return text;
}
