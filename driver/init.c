/* deployc init: writes a first spec. What the options do not say is asked for on a terminal. */
#include "init.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "../sema/foreign.h"
#include "../support/escape.h"

enum { MAX_ANSWER = 200, MAX_NAMES = 200 };

static struct module *library(struct first_spec *f, const char *name)
{
	return module_std(f->library.sema, name, (struct span){0});
}

/* ---- names ----------------------------------------------------------------------------------- */

/* The declared names of a kind, in the order of the module. */
static int names_of(struct first_spec *f, const char *module, const char *kind, const char **out)
{
	struct module *m = library(f, module);
	int n = 0;
	for (int i = 0; i < m->own.n && n < MAX_NAMES; i++)
		if (!strcmp(m->own.at[i]->kind, kind) && m->own.at[i]->name[0] != '_')
			out[n++] = m->own.at[i]->name;
	return n;
}

/* Do both start with the same letters? */
static bool is_akin(const char *a, const char *b)
{
	enum { LETTERS = 3 };
	return strlen(b) >= LETTERS && !strncasecmp(a, b, LETTERS);
}

static bool unknown(struct first_spec *f, const char *what, const char *name, const char *module, const char *kind)
{
	const char *all[MAX_NAMES];
	int n = names_of(f, module, kind, all);
	const char *near = nearest_name(name, all, n);
	struct text list = {.arena = f->arena};
	for (int i = 0; i < n; i++)
		if (is_akin(all[i], name))
			text_add(&list, "%s`%s`", list.n ? ", " : "", all[i]);
	for (int i = 0; i < n && !list.n && !near; i++)
		text_add(&list, "%s%s", i ? ", " : "", all[i]);
	if (near)
		complain("the library has no %s `%s`, did you mean `%s`?", what, name, near);
	else
		complain("the library has no %s `%s`; it has %s", what, name, list.n ? list.at : "none");
	return false;
}

static bool set_model(struct first_spec *f, const char *name)
{
	struct module *models = library(f, "models");
	struct def *d = module_own(models, name);
	struct published_model known = {d && !strcmp(d->kind, "model") ? name : NULL, "", NULL};
	if (!known.name)
		known = foreign_model(f->library.sema, name);
	f->model = known.name;
	f->settings = known.settings;
	if (known.name && known.stored)
		complain("the published weights of %s are %s, which is not built: the plan is that of bf16", name,
		         known.stored);
	return f->model || unknown(f, "model", name, "models", "model");
}

/* A cluster, a device of one, or a part of its name: `DGX_H100`, `H100_SXM`, `H100`. */
static bool set_cluster(struct first_spec *f, const char *name)
{
	struct sema *s = f->library.sema;
	struct module *clusters = library(f, "clusters");
	struct def *d = module_own(clusters, name);
	f->cluster = d && !strcmp(d->kind, "cluster") ? name : foreign_cluster(s, name);
	if (!f->cluster && !d)
		f->cluster = foreign_related(s, clusters, name, "cluster");
	return f->cluster || unknown(f, d ? "cluster of the device" : "device", name, "clusters", d ? "cluster" : "device");
}

/* ---- the cluster ----------------------------------------------------------------------------- */

static int64_t int_field(struct record *r, const char *name)
{
	struct val v = record_get(r, name, r->span);
	return v.kind == V_INT ? v.i : 0;
}

/* The devices of the cluster, and the field that multiplies them. */
static bool read_cluster(struct first_spec *f, struct module *m)
{
	struct def *d = module_own(m, f->cluster);
	struct record *r = d ? def_record(f->library.sema, d) : NULL;
	f->devices = r ? int_field(r, "devices") : 0;
	for (int i = 0; r && i < r->fields.n && !f->field; i++) {
		const struct field *x = r->fields.at[i];
		if (x->sort == FIELD_PLAIN && x->layer->kind == LAYER_HEAD && type_is(x->type, "Int") && x->init) {
			f->units = int_field(r, x->name);
			f->field = f->units > 0 ? x->name : NULL;
		}
	}
	if (!f->field)
		f->units = 1;
	if (f->devices < 1)
		complain("the number of devices of `%s` is not known", f->cluster);
	return f->devices >= 1;
}

/* The cluster of a file that `launcher probe` wrote. */
static bool read_here(struct first_spec *f)
{
	struct sema *s = f->library.sema;
	if (!sema_load(s, f->here)) {
		complain("cannot read %s: %s", f->here, file_error());
		return false;
	}
	for (int i = 0; i < s->main->own.n; i++)
		if (!strcmp(s->main->own.at[i]->kind, "cluster"))
			f->cluster = s->main->own.at[i]->name;
	if (f->library.sink.errors)
		print_diagnostics(f->options, &f->library.sink, true);
	else if (!f->cluster)
		complain("%s declares no cluster: `launcher probe -o %s` writes one", f->here, f->here);
	return f->cluster && !f->library.sink.errors && read_cluster(f, s->main);
}

/* ---- questions ------------------------------------------------------------------------------- */

static void show_names(struct first_spec *f, const char *module, const char *kind)
{
	const char *all[MAX_NAMES];
	int n = names_of(f, module, kind, all), column = 0;
	for (int i = 0; i < n; i++) {
		int width = (int)strlen(all[i]) + 2;
		column = column + width > 100 ? (fputc('\n', stderr), width) : column + width;
		fprintf(stderr, "  %s", all[i]);
	}
	fputc('\n', stderr);
}

/* One line of standard input without spaces around it; NULL at the end of it. */
static const char *answer(struct first_spec *f, const char *question, const char *usual)
{
	char line[MAX_ANSWER];
	fprintf(stderr, *usual ? "%s [%s] " : "%s ", question, usual);
	fflush(stderr);
	if (!fgets(line, sizeof line, stdin))
		return NULL;
	size_t n = strlen(line), lo = strspn(line, " \t");
	while (n > lo && isspace((unsigned char)line[n - 1]))
		n--;
	return n > lo ? arena_strndup(f->arena, line + lo, n - lo) : usual;
}

static bool set_gpus(struct first_spec *f, const char *text)
{
	char *end;
	long long n = strtoll(text, &end, 10);
	if (!strcmp(text, "as few as fit"))
		return true;
	f->gpus = n;
	if (*end || n < 1 || n > 1 << 20)
		complain("a number of devices is 1 or more, found `%s`", text);
	return !*end && n >= 1 && n <= 1 << 20;
}

/* Asks until an answer is accepted. false: there is none. */
static bool ask(struct first_spec *f, const char *question, const char *usual,
                bool (*accept)(struct first_spec *f, const char *text))
{
	for (;;) {
		const char *text = answer(f, question, usual);
		if (!text || !*text) {
			if (!text)
				complain("no answer: the file is not written");
			return false;
		}
		if (accept(f, text))
			return true;
	}
}

static bool ask_model(struct first_spec *f)
{
	if (f->options->model)
		return set_model(f, f->options->model);
	show_names(f, "models", "model");
	return ask(f, "Which model?", "Llama_3_1_8B", set_model);
}

static bool ask_cluster(struct first_spec *f)
{
	if (f->here)
		return read_here(f);
	bool known = f->options->device ? set_cluster(f, f->options->device) : false;
	if (!f->options->device) {
		show_names(f, "clusters", "device");
		known = ask(f, "On which device?", "H100_SXM", set_cluster);
	}
	return known && read_cluster(f, library(f, "clusters"));
}

static bool ask_gpus(struct first_spec *f)
{
	return f->options->gpus ? set_gpus(f, f->options->gpus) : ask(f, "How many devices?", "as few as fit", set_gpus);
}

/* ---- the file -------------------------------------------------------------------------------- */

const char *folder_of(struct arena *a, const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? arena_strndup(a, path, (size_t)(slash - path) + (slash == path)) : ".";
}

/* A file that a spec imports is beside it. */
static bool is_beside(struct first_spec *f)
{
	const char *path = f->options->output, *here = f->here;
	if (!here || !path || !strcmp(path, "-"))
		return true;
	const char *a = real_path(f->arena, folder_of(f->arena, here)), *b = real_path(f->arena, folder_of(f->arena, path));
	bool same = a && b && !strcmp(a, b);
	if (!same)
		complain("the spec imports %s: write it into the same folder", here);
	return same;
}

static bool is_free(const char *path)
{
	bool exists = path && strcmp(path, "-") != 0 && !access(path, F_OK);
	if (exists)
		complain("%s exists, and is not overwritten: choose another name with -o", path);
	return !exists;
}

static int write_spec(struct first_spec *f, const char *text)
{
	struct out_file out;
	const char *path = f->options->output;
	if (!output_open(f->arena, &out, path))
		return EXIT_ERRORS;
	bool written = fputs(text, out.file) >= 0;
	if (!output_close(&out, written) || !written)
		return EXIT_ERRORS;
	if (path && strcmp(path, "-") != 0) {
		print_escaped(stderr, "%s is written; `deployc plan %s` shows what it takes", path, path);
		putc('\n', stderr);
	}
	return EXIT_OK;
}

static int init(const struct options *o, int unused)
{
	(void)unused;
	struct arena arena = {.heap = o->heap};
	struct first_spec f = {.options = o, .arena = &arena, .here = o->here};
	bool asks = !o->model || (!o->device && !o->here);
	compilation_begin(&f.library, o, "-");
	int status = EXIT_ERRORS;
	const char *text = NULL;
	if (!is_free(o->output) || !is_beside(&f))
		status = EXIT_ERRORS;
	else if (ask_model(&f) && ask_cluster(&f) && (o->gpus || asks ? ask_gpus(&f) : true))
		text = init_plan(&f);
	if (text)
		status = write_spec(&f, text);
	arena_free(&f.library.arena);
	arena_free(&arena);
	return status;
}

int init_spec(const struct options *o) { return run_alone(o, init, 0); }
