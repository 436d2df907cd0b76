/* Fuzzing: any bytes give a tree or diagnostics, never a crash. */
#include <stddef.h>
#include "parser/parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct sources sources = { .arena = &arena };
	struct sink sink = { .arena = &arena, .sources = &sources };
	struct names names = { .arena = &arena };
	uint32_t file = sources_add(&sources, "fuzz.deploy", "fuzz.deploy", (const char *)data, size);
	parse_module(&arena, &names, &sink, file);
	arena_free(&arena);
	return 0;
}
