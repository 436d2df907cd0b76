/* Fuzzing chat templates: any bytes are a template or an error, and a template renders conversations, or refuses to,
 * without a crash. What is rendered is UTF-8. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "text/chat_template.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char conversation[] = "{\"messages\": [{\"role\": \"system\", \"content\": \" Be brief.\\n\"}, {\"role\": "
								   "\"user\", \"content\": \"a</think>\\u00e9\"},"
								   " {\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"id\": "
								   "\"abcdef123\", \"function\": {\"name\": \"f\","
								   " \"arguments\": {\"x\": [1, 2.5, true, null]}}}]}, {\"role\": \"tool\", "
								   "\"content\": [{\"type\": \"text\", \"text\": \"\"}]}],"
								   " \"tools\": null, \"add_generation_prompt\": true, \"bos_token\": \"<s>\", \"s\": "
								   "\"Hello\", \"i\": -7, \"f\": 1e22}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static json_t *variables;
	const struct tm now = {.tm_year = 125, .tm_mday = 1};
	struct text_error e;
	char *text;
	size_t n;
	if (!variables && !(variables = json_loads(conversation, 0, NULL)))
		abort();
	struct chat_template *t = chat_template_read("template", (const char *)data, size, &e);
	if (t && chat_template_render(t, variables, &now, &text, &n, &e)) {
		if (utf8_well_formed(text, n) != n)
			abort();
		free(text);
	}
	chat_template_close(t);
	return 0;
}
