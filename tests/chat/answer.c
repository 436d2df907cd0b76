/* Renders chat templates, one question a line, for tests in Python:
 *   {"template": "...", "variables": {...}}     -> {"text": "..."} or {"error": "..."}
 * The time is that of Wednesday, 5 March 2025, 16:07:09. */
#include <stdio.h>
#include <stdlib.h>
#include "text/chat_template.h"

static json_t *render(const struct chat_template *t, const json_t *variables)
{
	const struct tm now = {.tm_year = 125,
	                       .tm_mon = 2,
	                       .tm_mday = 5,
	                       .tm_hour = 16,
	                       .tm_min = 7,
	                       .tm_sec = 9,
	                       .tm_wday = 3,
	                       .tm_yday = 63};
	struct text_error e;
	char *text;
	size_t n;
	if (!chat_template_render(t, variables, &now, &text, &n, &e))
		return json_pack("{ss}", "error", e.text);
	json_t *answer = json_pack("{so}", "text", json_stringn(text, n));
	free(text);
	return answer;
}

static json_t *answer(json_t *question)
{
	json_t *text = json_object_get(question, "template"), *variables = json_object_get(question, "variables");
	struct text_error e;
	struct chat_template *t = chat_template_read("template", json_string_value(text), json_string_length(text), &e);
	json_t *out = t ? render(t, variables) : json_pack("{ss}", "error", e.text);
	chat_template_close(t);
	return out;
}

int main(void)
{
	json_error_t wrong;
	for (json_t *q; (q = json_loadf(stdin, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &wrong));) {
		json_t *a = answer(q);
		json_dumpf(a, stdout, JSON_COMPACT);
		putchar('\n');
		fflush(stdout);
		json_decref(a);
		json_decref(q);
	}
	return 0;
}
