/* The files of the library, read and parsed once for any number of compilations. What is made of their trees differs
 * from one compilation to the next; the trees, the texts and the names in them do not. */
#include "internal.h"

struct library {
	struct names names;
	struct sources sources; /* number 0 is left to the file that is loaded */
	struct nodes *items;    /* of each file, by its place in `stdlib` */
};

/* Parses file i. A mistake in it is reported by the compilation that needs it. */
static void read_file(struct library *l, struct arena *arena, int i)
{
	struct sink sink = {.arena = arena, .sources = &l->sources};
	const char *path = arena_printf(arena, "std/%s.deploy", stdlib[i].name);
	const char *label = arena_printf(arena, "std.%s", stdlib[i].name);
	uint32_t source = sources_add(&l->sources, path, label, (const char *)stdlib[i].text, stdlib[i].size);
	struct nodes items = parse_module(arena, &l->names, &sink, source);
	if (!sink.diags.n && !sink.allows.n)
		l->items[i] = items;
}

const struct library *library_read(struct arena *arena)
{
	struct library *l = arena_new(arena, struct library);
	int n = 0;
	while (stdlib[n].name)
		n++;
	l->names.arena = l->sources.arena = arena;
	l->items = arena_array(arena, struct nodes, n + 1);
	sources_add(&l->sources, "", "", "", 0);
	for (int i = 0; i < n; i++)
		read_file(l, arena, i);
	return l;
}

void library_use(const struct library *l, struct names *names, struct sources *sources)
{
	if (names->used || sources->files.n)
		internal_error("the library comes before other files");
	names->base = &l->names;
	for (int i = 0; i < l->sources.files.n; i++)
		vec_push(sources->arena, &sources->files, l->sources.files.at[i]);
	sources->first_is_free = true;
}

bool library_file(const struct library *l, int i, uint32_t *source, struct nodes *items)
{
	*source = 1 + (uint32_t)i;
	*items = l->items[i];
	return items->n > 0;
}
