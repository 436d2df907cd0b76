/* deployc import: the model of a checkpoint, to a file or to standard output. */
#include "driver.h"
#include "../import/import.h"

static int write_text(struct arena *arena, const struct options *o, const char *text)
{
	struct out_file out;
	if (!output_open(arena, &out, o->output))
		return EXIT_ERRORS;
	bool written = fputs(text, out.file) >= 0;
	return output_close(&out, written) && written ? EXIT_OK : EXIT_ERRORS;
}

static int import_model(const struct options *o, int unused)
{
	(void)unused;
	struct arena arena = {.heap = o->heap};
	struct names names = {.arena = &arena};
	struct sources sources = {.arena = &arena};
	struct sink sink = {.arena = &arena, .sources = &sources};
	const struct import_options how = {&o->sema, o->output};
	struct imported m = import_checkpoint(&arena, &names, &sink, o->specs[0], &how);
	(o->color ? diag_print_colored : diag_print)(&sink, stderr);
	int status = m.text ? write_text(&arena, o, m.text) : EXIT_ERRORS;
	arena_free(&arena);
	return status;
}

int import_file(const struct options *o) { return run_alone(o, import_model, 0); }
