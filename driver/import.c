/* deployc import: the model of a checkpoint, or the spec for a command line of another program, to a file or to
 * standard output. */
#include "driver.h"
#include "../engines/engines.h"
#include "../import/import.h"

static int write_text(struct arena *arena, const struct options *o, const char *text)
{
	struct out_file out;
	if (!output_open(arena, &out, o->output))
		return EXIT_ERRORS;
	bool written = fputs(text, out.file) >= 0;
	return output_close(&out, written) && written ? EXIT_OK : EXIT_ERRORS;
}

static const char *imported_spec(const struct options *o, struct arena *arena, struct names *names, struct sink *sink)
{
	struct target target;
	if (!target_find(NULL, &target))
		internal_error("no processor is the common one");
	struct engine_options how = {
		.sema = &o->sema, .target = &target, .heap = o->heap, .cluster = o->cluster, .output = o->output};
	how.folder = o->n_specs ? o->specs[0] : NULL;
	return engine_import(arena, names, sink, o->from, &how);
}

static const char *imported_model(const struct options *o, struct arena *arena, struct names *names, struct sink *sink)
{
	const struct import_options how = {&o->sema, o->output};
	return import_checkpoint(arena, names, sink, o->specs[0], &how).text;
}

static int import_text(const struct options *o, int unused)
{
	(void)unused;
	struct arena arena = {.heap = o->heap};
	struct names names = {.arena = &arena};
	struct sources sources = {.arena = &arena};
	struct sink sink = {.arena = &arena, .sources = &sources};
	const char *text = (o->from ? imported_spec : imported_model)(o, &arena, &names, &sink);
	print_diagnostics(o, &sink, true);
	int status = text ? write_text(&arena, o, text) : EXIT_ERRORS;
	arena_free(&arena);
	return status;
}

int import_file(const struct options *o) { return run_alone(o, import_text, 0); }
