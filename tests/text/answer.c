/* Answers questions about a tokenizer, one JSON object a line, for tests in Python: answer TOKENIZER.json
 *   {"text": "..."} or {"hex": "..."}, with "plain" or "bare": true    -> {"ids": [...]} or {"error": "..."}
 *   {"ids": [...]}, with "special", "whole" or "parts": true           -> {"text": "..."}, or {"parts": [...]}, token
 * by token */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "text/tokenizer.h"

static bool asked(json_t *question, const char *name) { return json_is_true(json_object_get(question, name)); }

static json_t *encode(struct tokenizer *t, json_t *question, const char *text, size_t n)
{
	struct token_ids ids = {0};
	struct text_error e;
	unsigned flags = (asked(question, "plain") ? ENCODE_PLAIN : 0) | (asked(question, "bare") ? 0 : ENCODE_TEMPLATE);
	if (!tokenizer_encode(t, text, n, flags, &ids, &e)) {
		free(ids.at);
		return json_pack("{ss}", "error", e.text);
	}
	json_t *list = json_array();
	for (size_t i = 0; i < ids.n; i++)
		json_array_append_new(list, json_integer(ids.at[i]));
	free(ids.at);
	return json_pack("{so}", "ids", list);
}

static json_t *encode_hex(struct tokenizer *t, json_t *question, const char *hex)
{
	size_t n = strlen(hex) / 2;
	char *bytes = malloc(n + 1);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)strtol((char[]){hex[2 * i], hex[2 * i + 1], 0}, NULL, 16);
	json_t *answer = encode(t, question, bytes, n);
	free(bytes);
	return answer;
}

static json_t *decode(const struct tokenizer *t, json_t *question, json_t *ids)
{
	struct text_stream *s = text_stream_open(t, (asked(question, "special") ? DECODE_SPECIAL : 0)
	                                                | (asked(question, "whole") ? DECODE_WHOLE : 0));
	json_t *parts = json_array(), *id;
	size_t i, n, size = 0;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);
	for (i = 0; i <= json_array_size(ids); i++) {
		const char *part = (id = json_array_get(ids, i)) ? text_stream_next(s, (int32_t)json_integer_value(id), &n)
		                                                 : text_stream_end(s, &n);
		json_array_append_new(parts, json_stringn(part, n));
		fwrite(part, 1, n, out);
	}
	fclose(out);
	text_stream_close(s);
	json_t *answer =
		asked(question, "parts") ? json_pack("{sO}", "parts", parts) : json_pack("{ss#}", "text", text, size);
	json_decref(parts);
	free(text);
	return answer;
}

static json_t *answer(struct tokenizer *t, json_t *question)
{
	json_t *text = json_object_get(question, "text"), *hex = json_object_get(question, "hex");
	if (hex)
		return encode_hex(t, question, json_string_value(hex));
	if (text)
		return encode(t, question, json_string_value(text), json_string_length(text));
	return decode(t, question, json_object_get(question, "ids"));
}

int main(int argc, char **argv)
{
	struct text_error e;
	struct tokenizer *t = argc == 2 ? tokenizer_open(argv[1], &e) : NULL;
	if (!t) {
		fprintf(stderr, "%s\n", argc == 2 ? e.text : "usage: answer TOKENIZER.json");
		return 1;
	}
	json_error_t wrong;
	for (json_t *q; (q = json_loadf(stdin, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &wrong));) {
		json_t *a = answer(t, q);
		json_dumpf(a, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(a);
		json_decref(q);
	}
	tokenizer_close(t);
	return 0;
}
