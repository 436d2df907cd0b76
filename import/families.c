/* The families that can be imported: models that declare a `config` with a `model_type`, in the folders given with -I
 * and in the library. Only files of a folder that declare one are loaded, so specs beside them do not matter. */
#include "internal.h"
#include "../sema/module.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct nodes family_map(const struct node *model, const char *map)
{
	for (int i = 0; model->named.tail == TAIL_OF && i < model->named.body.n; i++) {
		const struct node *item = model->named.body.at[i];
		if (item->kind == N_SUB && item->sub.path.n == 1 && !strcmp(item->sub.path.at[0].name, map))
			return item->sub.body;
	}
	return (struct nodes){0};
}

static void add_strings(struct import *m, const struct node *value, struct name_list *out)
{
	if (value->kind == N_STR)
		vec_push(m->arena, out, value->text);
	for (int i = 0; value->kind == N_LIST && i < value->list.n; i++)
		add_strings(m, value->list.at[i], out);
}

/* The values of a name in `config`, in all branches: each is a String or a list of them. */
static void find_words(struct import *m, struct nodes items, const char *name, struct name_list *out)
{
	for (int i = 0; i < items.n; i++) {
		const struct node *item = items.at[i];
		if (item->kind == N_SET && item->set.path.n == 1 && !strcmp(item->set.path.at[0].name, name))
			add_strings(m, item->set.value, out);
		if (item->kind == N_WHEN) {
			find_words(m, item->when.then, name, out);
			find_words(m, item->when.other, name, out);
		}
	}
}

static struct name_list words_of(struct import *m, const struct node *model, const char *name)
{
	struct name_list out = {0};
	find_words(m, family_map(model, "config"), name, &out);
	return out;
}

static bool is_family(struct import *m, const struct node *item)
{
	return item->kind == N_NAMED && !strcmp(item->named.kind.name, "model") && words_of(m, item, "model_type").n;
}

static void add_family(struct import *m, struct def *d)
{
	struct family f = {d, words_of(m, d->node, "model_type"), words_of(m, d->node, "architectures")};
	vec_push(m->arena, &m->families, f);
}

static void add_families(struct import *m, struct module *module)
{
	for (int i = 0; i < m->families.n; i++)
		if (m->families.at[i].def->module == module)
			return; /* its folder was given twice */
	for (int i = 0; module && i < module->own.n; i++)
		if (is_family(m, module->own.at[i]->node))
			add_family(m, module->own.at[i]);
}

/* ---- folders --------------------------------------------------------------------------------- */

static bool cannot_read(const char *path)
{
	complain("cannot read %s: %s", path, file_error());
	return false;
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static bool is_deploy_file(const char *name)
{
	size_t n = strlen(name);
	return name[0] != '.' && n > 7 && !strcmp(name + n - 7, ".deploy");
}

/* The file, parsed without its imports; syntax errors are reported. */
static bool declares_family(struct import *m, const char *label, struct file_text text)
{
	struct sink *sink = m->sema->sink;
	uint32_t source = sources_add(sink->sources, label, label, text.at, text.size);
	struct nodes items = parse_module(m->arena, m->sema->names, sink, source);
	for (int i = 0; i < items.n; i++)
		if (is_family(m, items.at[i]))
			return true;
	return false;
}

static bool add_file(struct import *m, const char *label)
{
	struct span nowhere = {0};
	struct file_text text;
	const char *file = real_path(m->arena, label);
	if (!file || !overlay_read(m->arena, &m->options->sema->overlays, file, file, READ_REGULAR, &text))
		return cannot_read(label);
	int mistakes = m->sema->sink->errors;
	if (!declares_family(m, label, text) || m->sema->sink->errors > mistakes)
		return true;
	add_families(m, module_at(m->sema, file, label, text, nowhere));
	return true;
}

static void close_folder(void *dir) { closedir(dir); }

static bool add_folder(struct import *m, const char *folder)
{
	VEC(const char *) files = {0};
	DIR *dir = opendir(folder);
	if (!dir && errno == ENOMEM)
		out_of_memory(sizeof(struct dirent));
	if (!dir)
		return cannot_read(folder);
	struct undo undo = {close_folder, dir, NULL};
	undo_add(&undo);
	for (struct dirent *e; (e = readdir(dir));)
		if (is_deploy_file(e->d_name))
			vec_push(m->arena, &files, arena_printf(m->arena, "%s/%s", folder, e->d_name));
	undo_remove(&undo);
	closedir(dir);
	if (files.n)
		qsort(files.at, (size_t)files.n, sizeof *files.at, by_name);
	bool read = true;
	for (int i = 0; i < files.n; i++)
		read = add_file(m, files.at[i]) && read;
	return read;
}

bool collect_families(struct import *m)
{
	struct span nowhere = {0};
	const struct sema_options *o = m->options->sema;
	bool read = true;
	for (int i = 0; i < o->n_include; i++)
		read = add_folder(m, o->include[i]) && read;
	for (const struct embedded *e = stdlib; e->name; e++)
		add_families(m, module_std(m->sema, e->name, nowhere));
	return read && !m->sema->sink->errors;
}
