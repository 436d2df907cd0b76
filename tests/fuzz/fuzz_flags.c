/* Fuzzing: command lines, scripts and files of settings of other programs. The first byte says what the rest is; that
 * of the wrong specs in tests/golden, which are seeds, says a script. */
#include "engines/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const labels[] = {"it.json", "it.toml", "it.yaml", "it.sh"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct arena arena = {0};
	struct names names = {.arena = &arena};
	struct sources sources = {.arena = &arena};
	struct sink sink = {.arena = &arena, .sources = &sources};
	struct sema_options sema = {0};
	struct engine_options options = {.sema = &sema};
	struct request r = {.arena = &arena, .names = &names, .sink = &sink, .options = &options};
	const char *label = labels[data[0] % 4];
	uint32_t source = sources_add(&sources, label, label, (const char *)data + 1, size - 1);
	r.command.file = source;
	r.program = (enum flag_program)(data[0] / 4 % FLAG_PROGRAMS);
	bool read = is_key_file(label) ? request_source(&r, label, source)
	                               : request_commands(&r, shell_commands(&arena, &sink, source));
	if (read)
		check_values(&r);
	for (int i = 0; i < sink.diags.n; i++)
		if (sink.diags.at[i]->at.hi > sources.files.at[sink.diags.at[i]->at.file].size)
			__builtin_trap(); /* a place outside the text */
	arena_free(&arena);
	return 0;
}
