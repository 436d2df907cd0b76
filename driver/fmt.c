/* deployc fmt: canonical form, in place or from standard input to standard output. */
#include "driver.h"
#include <errno.h>
#include <string.h>
#include "../parser/format.h"
#include "../sema/foreign_file.h"
#include "../parser/language.h"
#include "../support/escape.h"

struct formatting {
	const struct options *options;
	const char *path; /* "-": standard input */
	struct arena arena;
	struct names names;
	struct sources sources;
	struct sink sink;
};

static bool is_stdin(const struct formatting *f) { return !strcmp(f->path, "-"); }

static bool trouble(const struct formatting *f)
{
	complain("cannot read %s: %s", is_stdin(f) ? "standard input" : f->path, strerror(errno));
	return false;
}

/* Becomes source 0. */
static bool add_source(struct formatting *f)
{
	struct file_text text;
	const struct overlays *o = &f->options->sema.overlays;
	const char *key = source_key(&f->arena, o, f->path);
	if (!overlay_read(&f->arena, o, key, is_stdin(f) ? NULL : f->path, READ_ANY, &text))
		return trouble(f);
	sources_add(&f->sources, f->path, is_stdin(f) ? "<standard input>" : f->path, text.at, text.size);
	return true;
}

static bool write_formatted(struct formatting *f, struct formatted text)
{
	struct out_file out;
	if (!output_open(&f->arena, &out, f->path))
		return false;
	fwrite(text.text, 1, text.size, out.file);
	return output_close(&out, true);
}

/* YAML and the like have no canonical form. */
static bool is_foreign(struct formatting *f)
{
	const char *text = f->sources.files.at[0].text, *name = foreign_format_name(foreign_format_of(text));
	uint32_t lo = (uint32_t)(foreign_start(text) - text);
	struct span first = {0, lo, lo + (uint32_t)strcspn(text + lo, "\r\n")};
	if (!name)
		return false;
	struct diag *d = diag_report(&f->sink, DIAG_E0010, first, "this is %s; a spec is a `deploy` with its fields", name);
	diag_help(&f->sink, d, "`deployc check` says what to write in its place");
	return true;
}

/* The source with the text in the newest version of the language: 0 itself, if it is in it. */
static uint32_t upgraded_source(struct formatting *f)
{
	struct upgraded u = language_upgrade(&f->arena, &f->sink, 0, &this_language);
	if (u.from == this_language.version)
		return 0;
	return sources_add(&f->sources, f->path, f->sources.files.at[0].label, u.text, u.size);
}

static int format_source(struct formatting *f)
{
	if (is_foreign(f))
		return EXIT_ERRORS;
	struct formatted now = format_module(&f->arena, &f->names, &f->sink, 0);
	uint32_t upgraded = now.text && f->options->upgrade ? upgraded_source(f) : 0;
	if (upgraded)
		now = format_module(&f->arena, &f->names, &f->sink, upgraded);
	if (!now.text)
		return EXIT_ERRORS;
	const struct source *was = &f->sources.files.at[0];
	bool same = was->size == now.size && !memcmp(was->text, now.text, now.size);
	if (f->options->only_check) {
		if (!same)
			print_escaped(stdout, "%s", was->label), putchar('\n');
		return same ? EXIT_OK : EXIT_ERRORS;
	}
	if (same && !is_stdin(f))
		return EXIT_OK;
	return write_formatted(f, now) ? EXIT_OK : EXIT_ERRORS;
}

static int format_spec(const struct options *o, int i)
{
	struct formatting f = {.options = o, .path = o->specs[i], .arena.heap = o->heap};
	f.names.arena = f.sources.arena = f.sink.arena = &f.arena;
	f.sink.sources = &f.sources;
	int status = add_source(&f) ? format_source(&f) : EXIT_ERRORS;
	print_diagnostics(o, &f.sink, i == 0);
	arena_free(&f.arena);
	return status;
}

int format_file(const struct options *o, int i) { return run_alone(o, format_spec, i); }
