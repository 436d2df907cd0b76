/* deployc doc: the documentation of modules, or of the library, in a folder of pages. */
#include "driver.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "../doc/doc.h"

struct documenting {
	const struct options *options;
	struct arena arena;
	struct names names;
	struct sources sources;
	struct sink sink;
	struct docs docs;
};

/* "x/chat.deploy" is documented as chat. */
static const char *module_name(struct documenting *c, const char *path)
{
	if (!strcmp(path, "-"))
		return "standard_input";
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *end = strrchr(base, '.');
	return arena_strndup(&c->arena, base, end && end > base ? (size_t)(end - base) : strlen(base));
}

static void add_loaded(struct documenting *c, struct sema *s, const char *name)
{
	if (!c->sink.errors)
		docs_add(&c->docs, s, &c->sources.files.at[sema_source(s)], name);
}

static struct sema *new_sema(struct documenting *c)
{
	return sema_new(&c->arena, &c->names, &c->sink, &c->options->sema);
}

static void read_library(struct documenting *c)
{
	for (int i = 0; sema_library(i); i++) {
		struct sema *s = new_sema(c);
		sema_load_library(s, i);
		add_loaded(c, s, arena_printf(&c->arena, "std.%s", sema_library(i)));
	}
}

static bool read_module(struct documenting *c, const char *path)
{
	struct sema *s = new_sema(c);
	if (!sema_load(s, path)) {
		complain("cannot read %s: %s", path, strerror(errno));
		return false;
	}
	add_loaded(c, s, module_name(c, path));
	return true;
}

/* m NULL: the list of modules. */
static bool write_page(struct documenting *c, const struct doc_module *m)
{
	const struct doc_form *form = c->options->format == FORM_HTML ? &doc_html : &doc_markdown;
	struct out_file out;
	const char *name = m ? m->name : form->index_name;
	if (!output_open(&c->arena, &out, arena_printf(&c->arena, "%s/%s%s", c->options->output, name, form->suffix)))
		return false;
	if (m)
		form->module(&c->docs, m, out.file);
	else
		form->index(&c->docs, out.file);
	return output_close(&out, true);
}

static bool write_pages(struct documenting *c)
{
	if (mkdir(c->options->output, 0777) && errno != EEXIST) {
		complain("cannot make the folder %s: %s", c->options->output, strerror(errno));
		return false;
	}
	docs_link(&c->docs);
	bool written = write_page(c, NULL);
	for (int i = 0; written && i < c->docs.modules.n; i++)
		written = write_page(c, c->docs.modules.at[i]);
	return written;
}

static int document_modules(const struct options *o, int unused)
{
	(void)unused;
	struct documenting c = {.options = o, .arena.heap = o->heap};
	bool done = true;
	c.names.arena = c.sources.arena = c.sink.arena = c.docs.arena = &c.arena;
	c.sink.sources = &c.sources;
	for (int i = 0; done && i < o->n_specs; i++)
		if (!strcmp(o->specs[i], "std"))
			read_library(&c);
		else
			done = read_module(&c, o->specs[i]);
	done = done && !c.sink.errors && write_pages(&c);
	print_diagnostics(o, &c.sink, true);
	arena_free(&c.arena);
	return done ? EXIT_OK : EXIT_ERRORS;
}

int document(const struct options *o) { return run_alone(o, document_modules, 0); }
