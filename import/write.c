/* The `.deploy` text of an imported model, and the fields of the file that it does not express. */
#include "internal.h"
#include "../sema/module.h"
#include <string.h>

/* ---- what is left ---------------------------------------------------------------------------- */

static bool starts_with_name(const char *path, const char *name)
{
	size_t n = strlen(name);
	return !strncmp(path, name, n) && (path[n] == 0 || path[n] == '.');
}

static bool is_expressed(struct import *m, const char *path)
{
	if (!strcmp(path, "architectures"))
		return true;
	for (int i = 0; i < m->entries.n; i++)
		if (starts_with_name(path, m->entries.at[i].name))
			return true;
	return decoder_reads(path);
}

static void find_left_in(struct import *m, json_t *object, const char *prefix)
{
	const char *key;
	json_t *v;
	json_object_foreach (object, key, v) {
		const char *path = arena_printf(m->arena, "%s%s", prefix, key);
		if (json_is_null(v) || is_expressed(m, path))
			continue;
		if (json_is_object(v) && json_object_size(v))
			find_left_in(m, v, arena_printf(m->arena, "%s.", path));
		else
			vec_push(m->arena, &m->left, arena_printf(m->arena, "%s = %s", path, json_value_text(m->arena, v)));
	}
}

void find_left(struct import *m) { find_left_in(m, m->root, ""); }

/* ---- the text -------------------------------------------------------------------------------- */

static int longest_field(const struct import *m)
{
	size_t n = 0;
	for (int i = 0; i < m->settings.n; i++)
		n = strlen(m->settings.at[i].field) > n ? strlen(m->settings.at[i].field) : n;
	return (int)n;
}

/* Writes the settings in the order in which the family declares the fields. */
static void write_settings(struct import *m, struct text *out)
{
	int width = longest_field(m);
	for (int i = 0; i < m->record->fields.n; i++) {
		const struct setting *s = setting_of(m, m->record->fields.at[i]->name);
		if (s)
			text_add(out, "  %-*s = %s\n", width, s->field, s->text);
	}
}

static void write_list(struct text *out, const char *title, const char *const *at, int n)
{
	if (n)
		text_add(out, "\n// %s\n", title);
	for (int i = 0; i < n; i++)
		text_add(out, "//   %s\n", at[i]);
}

const char *out_folder(struct import *m)
{
	const char *file = m->options->output, *slash = file ? strrchr(file, '/') : NULL;
	const char *folder = real_path(m->arena, slash ? arena_strndup(m->arena, file, (size_t)(slash + 1 - file)) : ".");
	return folder ? folder : "/";
}

/* The path of file `to` relative to folder `from`, both absolute: ../families/x.deploy. */
static const char *relative_path(struct arena *arena, const char *from, const char *to)
{
	struct text out = {.arena = arena};
	size_t same = 0, n = strlen(from);
	for (size_t i = 0; to[i] && (i == n || from[i] == to[i]); i++) {
		if (to[i] == '/')
			same = i;
		if (i == n)
			break;
	}
	for (size_t i = same; i < n; i++)
		text_add(&out, "%s", from[i] == '/' && from[i + 1] ? "../" : "");
	text_add(&out, "%s", to + same + 1);
	return out.at;
}

static void write_head(struct import *m, struct text *out)
{
	const struct module *module = m->family->module;
	const char *name = m->family->name;
	text_add(out, "// A %s checkpoint, from its config.json by `deployc import`.\n",
	         json_string_value(json_at(m->root, "model_type")));
	if (module->is_std)
		text_add(out, "use %s { %s }\n\nmodel %s = %s {\n", module->label, name, m->name, name);
	else
		text_add(out, "use \"%s\" as family\n\nmodel %s = family.%s {\n",
		         relative_path(m->arena, out_folder(m), module->file), m->name, name);
}

const char *write_model(struct import *m)
{
	struct text out = {.arena = m->arena};
	write_head(m, &out);
	write_settings(m, &out);
	text_add(&out, "}\n");
	write_list(&out, "In config.json, and without effect on this model:", m->left.at, m->left.n);
	return out.at;
}
