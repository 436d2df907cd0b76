/* Fuzzing: formatting keeps all tokens (format_module checks this), and formatting again changes nothing. */
#include <stdlib.h>
#include <string.h>
#include "parser/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct formatted format_text(struct arena *arena, const char *text, size_t size)
{
	struct sources sources = {.arena = arena};
	struct sink sink = {.arena = arena, .sources = &sources};
	struct names names = {.arena = arena};
	return format_module(arena, &names, &sink, sources_add(&sources, "fuzz.deploy", "fuzz.deploy", text, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	struct formatted once = format_text(&arena, (const char *)data, size);
	if (once.text) {
		struct formatted twice = format_text(&arena, once.text, once.size);
		if (!twice.text || twice.size != once.size || memcmp(twice.text, once.text, once.size))
			abort();
	}
	arena_free(&arena);
	return 0;
}
