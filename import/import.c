/* The steps of an import, in order. */
#include "internal.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *file_of(struct arena *arena, const char *path)
{
	struct stat s;
	return !stat(path, &s) && S_ISDIR(s.st_mode) ? arena_printf(arena, "%s/config.json", path) : path;
}

/* Is it a quantised checkpoint? Some say so in a separate file beside config.json. */
static bool is_quantised(struct arena *arena, const char *file)
{
	const char *slash = strrchr(file, '/');
	const char *other = arena_printf(arena, "%.*shf_quant_config.json", slash ? (int)(slash + 1 - file) : 0, file);
	if (access(other, F_OK))
		return false;
	complain("%s says that the weights are quantised, which this version does not read: dequantise them first", other);
	return true;
}

/* `Llama-3.1-8B/config.json` makes Llama_3_1_8B. */
static const char *name_of(struct arena *arena, const char *file)
{
	const char *real = real_path(arena, file), *slash = real ? strrchr(real, '/') : NULL;
	const char *folder = slash ? arena_strndup(arena, real, (size_t)(slash - real)) : "";
	folder = strrchr(folder, '/') ? strrchr(folder, '/') + 1 : "";
	struct text out = {.arena = arena};
	text_add(&out, "%s", isalpha((unsigned char)*folder) ? "" : "Model_");
	for (; *folder; folder++)
		text_add(&out, "%c", isalnum((unsigned char)*folder) ? *folder : '_');
	return out.at;
}

/* Does the name mean something else in the file to write? */
static bool is_taken(const struct import *m)
{
	static const char *const reserved[] = {
#define WORD(token, text, value) text,
#include "../lexer/words.def"
#undef WORD
	};
	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
		if (!strcmp(m->name, reserved[i]))
			return true;
	return !strcmp(m->name, m->family->name) || !strcmp(m->name, "family");
}

static const char *model_text(struct import *m)
{
	if (!find_family(m))
		return NULL;
	if (is_taken(m))
		m->name = arena_printf(m->arena, "%s_checkpoint", m->name);
	collect_entries(m, family_map(m->family->node, "config"));
	if (!solve(m))
		return NULL;
	find_left(m);
	const char *text = write_model(m);
	return compare_with_file(m, text) ? text : NULL;
}

struct imported import_checkpoint(struct arena *arena, struct names *names, struct sink *sink, const char *path,
                                  const struct import_options *o)
{
	struct import m = {
		.arena = arena, .options = o, .source = file_of(arena, path), .sema = sema_new(arena, names, sink, o->sema)};
	struct imported out = {.source = m.source};
	m.name = name_of(arena, m.source);
	json_t *file = m.root = json_read(arena, m.source, m.source == path);
	bool quantised = file && is_quantised(arena, m.source);
	const char *text = file ? model_text(&m) : NULL;
	out.text = quantised ? NULL : text;
	json_decref(m.inner);
	json_decref(file);
	return out;
}
