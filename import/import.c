/* The steps of an import, in order. */
#include "internal.h"
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *file_of(struct arena *arena, const char *path)
{
	struct stat s;
	return !stat(path, &s) && S_ISDIR(s.st_mode) ? arena_printf(arena, "%s/config.json", path) : path;
}

/* `Llama-3.1-8B/config.json` makes Llama_3_1_8B. */
static const char *name_of(struct arena *arena, const char *file)
{
	char *real = realpath(file, NULL);
	if (!real && errno == ENOMEM)
		out_of_memory(arena, PATH_MAX);
	char *slash = real ? strrchr(real, '/') : NULL;
	if (slash)
		*slash = 0;
	const char *folder = slash && strrchr(real, '/') ? strrchr(real, '/') + 1 : "";
	struct text out = {.arena = arena};
	text_add(&out, "%s", isalpha((unsigned char)*folder) ? "" : "Model_");
	for (; *folder; folder++)
		text_add(&out, "%c", isalnum((unsigned char)*folder) ? *folder : '_');
	free(real);
	return out.at;
}

static const char *model_text(struct import *m)
{
	if (!find_family(m))
		return NULL;
	if (!strcmp(m->name, m->family->name))
		m->name = arena_printf(m->arena, "%s_checkpoint", m->name);
	collect_entries(m, family_map(m->family, "config"));
	solve(m);
	find_left(m);
	const char *text = write_model(m);
	return compare_with_file(m, text) ? text : NULL;
}

struct imported import_checkpoint(struct arena *arena, struct names *names, struct sink *sink, const char *path)
{
	const struct sema_options none = {0};
	struct import m = {.arena = arena, .source = file_of(arena, path), .sema = sema_new(arena, names, sink, &none)};
	struct imported out = {.source = m.source};
	m.name = name_of(arena, m.source);
	m.root = json_read(arena, m.source, m.source == path);
	if (m.root)
		out.text = model_text(&m);
	out.left = m.left.at;
	out.n_left = m.left.n;
	json_decref(m.root);
	return out;
}
