/* Fuzzing: any bytes give a tree, and diagnostics that can be printed; an item is N_ERROR only after a report. */
#include <stddef.h>
#include <stdlib.h>
#include "parser/parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_both(struct nodes items, const struct sink *sink)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	if (!out)
		abort();
	ast_print(items, out);
	diag_print(sink, out);
	fclose(out);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	struct sources sources = {.arena = &arena};
	struct sink sink = {.arena = &arena, .sources = &sources};
	struct names names = {.arena = &arena};
	uint32_t file = sources_add(&sources, "fuzz.deploy", "fuzz.deploy", (const char *)data, size);
	struct nodes items = parse_module(&arena, &names, &sink, file);
	for (int i = 0; i < items.n; i++)
		if (items.at[i]->kind == N_ERROR && !sink.errors)
			abort();
	print_both(items, &sink);
	arena_free(&arena);
	return 0;
}
