/* Entry of sema/: loads a file with its imports and checks every declaration. */
#include "deploy.h"
#include "foreign_file.h"
#include "module.h"
#include "record.h"
#include <errno.h>
#include <string.h>

struct diag *sema_report(struct sema *s, enum diag_code code, struct span at, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	const char *message = arena_vprintf(s->arena, fmt, args);
	va_end(args);
	int before = s->sink->diags.n;
	struct diag *d = diag_report(s->sink, code, at, "%s", message);
	if (s->sink->diags.n > before)
		return d;
	struct diag *again = arena_new(s->arena, struct diag);
	*again = (struct diag){.code = code, .at = at, .message = message};
	return again;
}

struct sema *sema_new(struct arena *arena, struct names *names, struct sink *sink, const struct sema_options *o)
{
	struct sema *s = arena_new(arena, struct sema);
	s->arena = s->root = arena;
	s->names = names;
	s->sink = sink;
	s->options = o;
	int n = 0;
	while (stdlib[n].name)
		n++;
	s->std = arena_array(arena, struct module *, n + 1);
	if (o->library)
		library_use(o->library, names, sink->sources);
	for (int i = 0; i < o->n_include; i++) {
		const char *folder = real_path(arena, o->include[i]);
		if (folder)
			vec_push(arena, &s->roots, folder);
	}
	return s;
}

struct arena *sema_use(struct sema *s, struct arena *arena)
{
	struct arena *before = s->arena;
	s->arena = arena;
	return before;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* The module name of a text that is a file of the library, or NULL. Its files are checked as part of the library. */
static const char *library_name(struct file_text text)
{
	for (const struct embedded *e = stdlib; e->name; e++)
		if (e->size == text.size && !memcmp(e->text, text.at, text.size))
			return e->name;
	return NULL;
}

struct nodes sema_parse(struct sema *s, uint32_t source)
{
	int before = s->sink->errors;
	struct nodes items = {NULL, 0};
	if (!foreign_file(s, source))
		items = parse_module(s->arena, s->names, s->sink, source);
	s->guessed |= s->sink->errors > before;
	return items;
}

/* `plan.rule expert at moe` = ep: "plan { at moe { expert -> ep } }". */
static const char *override_text(struct arena *a, const struct suggestion *set)
{
	const char *rule = strstr(set->path, ".rule ");
	if (!rule)
		return arena_printf(a, "%s = %s\n", set->path, set->value);
	struct part_item item = sema_part_item(a, (struct suggestion){rule + 1, set->value});
	struct part_items items = {.text.arena = a, .scope = ""};
	part_items_add(&items, &item);
	part_items_end(&items);
	return arena_printf(a, "%.*s { %s }\n", (int)(rule - set->path), set->path, items.text.at);
}

/* -D path=value: an item in a source of its own, so that mistakes in it have a location. */
static struct nodes parse_override(struct sema *s, const struct suggestion *set)
{
	const char *text = override_text(s->arena, set);
	uint32_t file = sources_add(s->sink->sources, "<command line>", "<command line>", text, strlen(text));
	return sema_parse(s, file);
}

/* Is it an item that sets a field, or a rule? Else a report was made. */
static bool sets_field(struct sema *s, const struct node *item)
{
	bool sets = item->kind == N_SET || item->kind == N_SUB;
	if (!sets && item->kind != N_ERROR)
		sema_report(s, DIAG_E0004, item->span, "-D sets a field: `-D path=value`");
	return sets;
}

const struct node *sema_item(struct sema *s, struct suggestion value)
{
	bool guessed = s->guessed;
	s->guessed = false;
	struct nodes items = parse_override(s, &value);
	bool sets = items.n > 0 && !s->guessed;
	s->guessed = guessed; /* the item is not used */
	for (int i = 0; i < items.n; i++)
		sets &= sets_field(s, items.at[i]);
	if (sets && items.n > 1)
		sema_report(s, DIAG_E0004, items.at[1]->span, "`%s` takes one value", value.path);
	return sets && items.n == 1 ? items.at[0] : NULL;
}

static void parse_overrides(struct sema *s)
{
	for (int i = 0; i < s->options->n_set; i++) {
		struct nodes items = parse_override(s, &s->options->set[i]);
		for (int j = 0; j < items.n; j++)
			if (sets_field(s, items.at[j]))
				vec_push(s->arena, &s->overrides, items.at[j]);
	}
}

/* ---- declarations ---------------------------------------------------------------------------- */

/* NULL after a report, and for a family, which has unset fields: only its members are walked. */
static struct program *check_model(struct sema *s, struct def *d, struct record *r)
{
	bool good = record_check(r, true);
	return good && r->checked ? walk_model(s, r, d->node->named.name.span) : NULL;
}

static void check_deploy(struct sema *s, struct def *d, struct record *r)
{
	int first = s->sink->diags.n;
	struct deploy *deploy = deploy_check(s, r, d);
	deploy->first_report = first;
	deploy->end_report = s->sink->diags.n;
	vec_push(s->arena, &s->deploys, deploy);
}

static void check_declared_types(struct sema *s, struct def *d, struct record *r)
{
	for (int i = 0; i < r->fields.n; i++) {
		const struct field *f = r->fields.at[i];
		if (f->type && f->sort == FIELD_PLAIN && f->layer->module == d->module)
			check_type_names(s, f->type, d->module);
	}
}

static void check_declaration(struct sema *s, struct def *d)
{
	if (d->failed)
		return;
	if (def_is_program(d)) {
		walk_declaration(s, d);
		return;
	}
	struct record *r = def_record(s, d);
	if (!r)
		return;
	check_declared_types(s, d, r);
	if (kind_is_joint(d->kind))
		return; /* check_joints */
	if (!strcmp(d->kind, "deploy"))
		check_deploy(s, d, r);
	else if (!strcmp(d->kind, "model"))
		check_model(s, d, r);
	else if (strcmp(d->kind, "schema") != 0 && record_check(r, true) /* those of a schema concern its records */
	         && r->checked && record_is(r, "Calibration"))
		calibration_read(s, r);
}

static void check_module(struct sema *s, struct module *m)
{
	for (int i = 0; i < m->own.n; i++)
		if (m == s->main || strcmp(m->own.at[i]->kind, "deploy") != 0)
			check_declaration(s, m->own.at[i]);
}

/* Deployments that are planned together, once each is checked by itself. */
static void check_joints(struct sema *s)
{
	for (int i = 0; i < s->main->own.n; i++) {
		struct def *d = s->main->own.at[i];
		struct record *r = kind_is_joint(d->kind) && !d->failed ? def_record(s, d) : NULL;
		if (r)
			vec_push(s->arena, &s->joints, joint_check(s, r, d));
	}
}

static void check_modules(struct sema *s)
{
	parse_overrides(s);
	for (int i = 0; i < s->modules.n; i++)
		if (s->modules.at[i] == s->main || !s->modules.at[i]->is_std)
			check_module(s, s->modules.at[i]);
	check_joints(s);
	for (int i = 0; i < s->modules.n; i++)
		for (int k = 0; k < s->modules.at[i]->own.n && (s->modules.at[i] == s->main || !s->modules.at[i]->is_std); k++)
			walk_alone(s, s->modules.at[i]->own.at[k]);
}

bool sema_load(struct sema *s, const char *path)
{
	struct file_text text;
	struct span nowhere = {0};
	bool is_stdin = !strcmp(path, "-");
	const char *file = source_key(s->arena, &s->options->overlays, path);
	if (!overlay_read(s->arena, &s->options->overlays, file, is_stdin ? NULL : path, READ_ANY, &text))
		return false;
	if (is_stdin)
		path = "<standard input>";
	vec_push(s->arena, &s->roots, arena_strndup(s->arena, file, (size_t)(strrchr(file, '/') - file)));
	const char *library = library_name(text);
	s->main = library ? module_std(s, library, nowhere) : module_file(s, file, path, text, nowhere);
	check_modules(s);
	return true;
}

void sema_load_library(struct sema *s, int i)
{
	s->main = module_std(s, stdlib[i].name, (struct span){0});
	check_modules(s);
}

const char *sema_library(int i) { return stdlib[i].name; }

bool sema_guessed(const struct sema *s) { return s->guessed; }

struct deploy **sema_deploys(struct sema *s, int *n)
{
	*n = s->deploys.n;
	return s->deploys.at;
}

struct joint **sema_joints(struct sema *s, int *n)
{
	*n = s->joints.n;
	return s->joints.at;
}

struct deploy *sema_deploy_with(struct sema *s, const struct deploy *d, const struct node *const *items, int n)
{
	struct def *def = module_own(s->main, d->name);
	return deploy_check(s, record_with(def, items, n), def);
}

void sema_forget(struct sema *s, const struct arena *arena)
{
	int n = 0;
	for (int i = 0; i < s->walked.n; i++)
		if (s->walked.at[i].model->arena != arena)
			s->walked.at[n++] = s->walked.at[i];
	s->walked.n = n;
	n = 0;
	for (int i = 0; i < s->trained.n; i++)
		if (s->trained.at[i].model->arena != arena)
			s->trained.at[n++] = s->trained.at[i];
	s->trained.n = n;
}

struct nodes sema_items(struct sema *s) { return s->main->items; }

uint32_t sema_source(struct sema *s) { return s->main->source; }

struct program *sema_model(struct sema *s, const char *name)
{
	struct def *d = module_own(s->main, name);
	struct record *r = d && !d->failed && !strcmp(d->kind, "model") ? def_record(s, d) : NULL;
	return r ? check_model(s, d, r) : NULL;
}
