/* Modules (docs/language.md, Modules): reading files, imports, cycles, names. */
#include "foreign.h"
#include "module.h"
#include <string.h>

struct loading {
	struct module *module;
	struct span use;
	struct loading *next;
	int depth;
};
enum { MAX_IMPORT_DEPTH = 2000 }; /* length of a chain of imports */

static const char *const kinds[] = {"schema", "model",       "plan",    "deploy", "workload",
                                    "device", "calibration", "engine",  "link",   "cluster",
                                    "block",  "op",          "builtin", "serve",  "share"};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* ---- what a module declares ------------------------------------------------------------------ */

static struct binding *own_binding(struct module *m, const char *name)
{
	int i = index_find(&m->name_index, name);
	return i < 0 ? NULL : &m->names.at[i];
}

bool def_is_program(const struct def *d)
{
	return !strcmp(d->kind, "op") || !strcmp(d->kind, "block") || !strcmp(d->kind, "builtin");
}

struct def *module_own(struct module *m, const char *name)
{
	int i = index_find(&m->own_index, name);
	return i < 0 ? NULL : m->own.at[i];
}

static bool is_bound(const struct binding *b) { return b->def || b->module || b->late; }

static void bind(struct sema *s, struct module *m, struct binding b)
{
	struct binding *first = own_binding(m, b.name);
	if (first && is_bound(first) && is_bound(&b)) {
		struct diag *d = sema_report(s, DIAG_E0106, b.span, "`%s` is defined twice", b.name);
		diag_related(s->sink, d, first->span, "first here");
	}
	if (first)
		return;
	vec_push(s->arena, &m->names, b);
	index_add(s->arena, &m->name_index, b.name);
}

static const char *nearest_own(struct sema *s, struct module *m, const char *name)
{
	VEC(const char *) names = {0};
	for (int i = 0; i < m->own.n && diag_affords(s->sink, name, 1); i++)
		if (m->own.at[i]->name[0] != '_')
			vec_push(s->arena, &names, m->own.at[i]->name);
	return nearest_name(name, names.at, names.n);
}

/* The nearest name, or one that says more: `DGX_H100` for `H100`, of the kind that the file uses it for. */
static const char *related_own(struct sema *s, struct module *m, struct module *from, const char *name)
{
	const char *near = nearest_own(s, from, name), *kind = near ? NULL : foreign_wanted(m, name);
	if (!near && diag_affords(s->sink, name, from->own.n))
		near = foreign_related(s, from, name, kind);
	return near;
}

static bool is_kind(const char *word)
{
	for (int i = 0; i < KINDS; i++)
		if (!strcmp(kinds[i], word))
			return true;
	return false;
}

static void unknown_kind(struct sema *s, struct ident kind)
{
	struct diag *d = sema_report(s, DIAG_E0004, kind.span, "unknown kind `%s`", kind.name);
	const char *near = nearest_name(kind.name, kinds, KINDS);
	if (!strcmp(kind.name, "deployment") || !strcmp(kind.name, "service"))
		near = "deploy";
	if (!strcmp(kind.name, "pair") || !strcmp(kind.name, "disaggregate"))
		near = "serve";
	if (!strcmp(kind.name, "gpu") || !strcmp(kind.name, "accelerator"))
		near = "device";
	if (!diag_suggest(s->sink, d, kind.span, near)) {
		diag_help(s->sink, d,
		          "a module declares schema, model, plan, deploy, workload, device, calibration, link, cluster, "
		          "engine, serve, share, block or op");
	}
}

static void declare(struct sema *s, struct module *m, const struct node *item)
{
	struct ident kind = item->named.kind, name = item->named.name.at[item->named.name.n - 1];
	if (!is_kind(kind.name)) {
		unknown_kind(s, kind);
		bind(s, m, (struct binding){.name = name.name, .span = name.span});
		return;
	}
	struct def *d = arena_new(s->arena, struct def);
	*d = (struct def){.kind = kind.name, .name = name.name, .node = item, .module = m};
	if (!strcmp(kind.name, "builtin") && strcmp(m->label, "std.ops") != 0) {
		struct diag *e = sema_report(s, DIAG_E0912, kind.span, "only std.ops may declare a builtin");
		diag_help(s->sink, e, "write an `op` with a body");
		d->failed = true;
	}
	bind(s, m, (struct binding){.name = d->name, .def = d, .span = name.span});
	vec_push(s->arena, &m->own, d);
	index_add(s->arena, &m->own_index, d->name);
}

/* ---- imports --------------------------------------------------------------------------------- */

/* The declaration that a name of `use m { name }` means; NULL after a report. In place of a wrong name, the one that
 * was probably meant is bound, so that one typo is one mistake. */
static struct def *imported(struct sema *s, struct module *m, struct module *from, struct ident name)
{
	struct def *d = module_own(from, name.name);
	if (name.name[0] == '_') {
		struct diag *e = sema_report(s, DIAG_E0103, name.span, "`%s` has no public `%s`", from->label, name.name);
		diag_help(s->sink, e, "names that start with `_` are private");
		if (module_own(from, name.name + 1))
			diag_suggest(s->sink, e, name.span, name.name + 1);
	} else if (!d && !from->partial) {
		struct diag *e = sema_report(s, DIAG_E0101, name.span, "`%s` declares no `%s`", from->label, name.name);
		const char *near = related_own(s, m, from, name.name);
		if (near) {
			diag_help(s->sink, e, "did you mean `%s`?", near);
			diag_fix(s->sink, e, name.span, near);
			d = module_own(from, near);
			s->guessed = true;
			bind(s, m, (struct binding){.name = near, .def = d, .span = name.span});
		}
	}
	if (d)
		refer_def(s, name, d);
	return d;
}

/* Binds the names of a `use` of a module; `from` NULL: its file was not read. `late`: it is not read yet. */
static void import_names(struct sema *s, struct module *m, const struct node *item, struct module *from, bool late)
{
	struct ident last = item->use.path.at[item->use.path.n - 1];
	struct ident as = item->use.as.name ? item->use.as : last;
	struct binding b = {.name = as.name, .module = from, .span = as.span, .late = late ? item : NULL};
	if (!item->use.has_names)
		bind(s, m, b);
	for (int i = 0; i < item->use.names.n; i++) {
		struct ident name = item->use.names.at[i];
		b.name = name.name, b.span = name.span, b.module = NULL;
		b.def = from ? imported(s, m, from, name) : NULL;
		bind(s, m, b);
	}
}

static struct module *no_module(struct sema *s, struct path p)
{
	struct text name = {.arena = s->arena};
	VEC(const char *) known = {0};
	for (int i = 0; i < p.n; i++)
		text_add(&name, "%s%s", i ? "." : "", p.at[i].name);
	for (const struct embedded *e = stdlib; e->name; e++)
		vec_push(s->arena, &known, arena_printf(s->arena, "std.%s", e->name));
	struct diag *d = sema_report(s, DIAG_E0101, p.span, "no module `%s`", name.at);
	const char *near = nearest_name(name.at, known.at, known.n);
	if (near)
		diag_suggest(s->sink, d, p.span, near);
	else
		diag_help(
			s->sink, d,
			"modules of the library are `std.models`, `std.decoder` ...; a file is `use \"name.deploy\" as name`");
	return NULL;
}

static void use_std(struct sema *s, struct module *m, const struct node *item)
{
	struct path p = item->use.path;
	bool exists = false;
	for (const struct embedded *e = stdlib; e->name && p.n == 2 && !strcmp(p.at[0].name, "std"); e++)
		exists |= !strcmp(e->name, p.at[1].name);
	/* A file of the library reads another once a name of it is needed. One that is checked itself reads all. */
	bool late = exists && m->is_std && m != s->modules.at[0] && !s->options->references;
	struct module *from = late ? NULL : exists ? module_std(s, p.at[1].name, p.span) : no_module(s, p);
	if (from)
		refer_module(s, p.at[1], from);
	import_names(s, m, item, from, late);
}

/* Reads the file that a name of the library comes from. */
static struct binding *followed(struct sema *s, struct module *m, struct binding *b)
{
	const struct node *item = b->late;
	const char *name = b->name;
	struct arena *before = sema_use(s, s->root);
	struct module *from = module_std(s, item->use.path.at[1].name, item->use.path.span);
	struct def *d = item->use.has_names && from ? imported(s, m, from, (struct ident){name, b->span}) : NULL;
	b = own_binding(m, name); /* names may have been added */
	b->late = NULL;
	b->def = d;
	b->module = item->use.has_names ? NULL : from;
	sema_use(s, before);
	return b;
}

static bool below(const char *file, const char *folder)
{
	size_t n = strlen(folder);
	return !strncmp(file, folder, n) && (file[n] == '/' || (n && folder[n - 1] == '/'));
}

static bool reachable(const struct sema *s, const char *file)
{
	for (int i = 0; i < s->roots.n; i++)
		if (below(file, s->roots.at[i]))
			return true;
	return false;
}

static struct module *leaves_folder(struct sema *s, const struct node *item)
{
	struct diag *d =
		sema_report(s, DIAG_E0104, item->span, "\"%s\" leaves the folder of the main file", item->use.file);
	diag_help(s->sink, d, "give its folder with -I");
	return NULL;
}

/* The label of a file imported by the file with this label. */
static const char *label_beside(struct arena *a, const char *label, const char *file)
{
	const char *slash = strrchr(label, '/');
	return slash ? arena_printf(a, "%.*s/%s", (int)(slash - label), label, file) : file;
}

static struct module *open_module(const struct sema *s, const char *file)
{
	for (int i = 0; i < s->modules.n; i++)
		if (!s->modules.at[i]->is_std && !strcmp(s->modules.at[i]->file, file))
			return s->modules.at[i];
	return NULL;
}

static struct module *open_file(struct sema *s, struct module *m, const struct node *item)
{
	const char *wanted =
		item->use.file[0] == '/' ? item->use.file : arena_printf(s->arena, "%s/%s", m->folder, item->use.file);
	wanted = normal_path(s->arena, wanted);
	if (item->use.file[0] == '/' || m->is_std || !reachable(s, wanted))
		return leaves_folder(s, item);
	const struct overlays *overlays = &s->options->overlays;
	const char *file = real_path(s->arena, wanted);
	struct file_text text = {0};
	if (!file && overlay_find(overlays, wanted))
		file = wanted;
	if (file && !reachable(s, file))
		return leaves_folder(s, item);
	struct module *open = file ? open_module(s, file) : NULL;
	if (open)
		return module_again(s, open, item->span);
	if (s->loading && s->loading->depth > MAX_IMPORT_DEPTH) {
		sema_report(s, DIAG_E0007, item->span, "imports are nested more than %d deep", MAX_IMPORT_DEPTH);
		return NULL;
	}
	if (!file || !overlay_read(s->arena, overlays, file, file, READ_REGULAR, &text)) {
		sema_report(s, DIAG_E0101, item->span, "cannot read \"%s\": %s", item->use.file, file_error());
		return NULL;
	}
	return module_file(s, file, label_beside(s->arena, m->label, item->use.file), text, item->span);
}

static void use_file(struct sema *s, struct module *m, const struct node *item)
{
	struct ident as = item->use.as;
	struct module *from = open_file(s, m, item);
	bind(s, m, (struct binding){.name = as.name, .module = from, .span = as.span});
}

/* ---- opening --------------------------------------------------------------------------------- */

/* A module that is already open. If its own imports led here, that is a cycle. */
struct module *module_again(struct sema *s, struct module *m, struct span use)
{
	if (!m->loading)
		return m;
	const struct loading *l = s->loading;
	const char *inner = m->label; /* built from the inside out: frames are innermost first */
	for (; l && l->module != m; l = l->next)
		inner = arena_printf(s->arena, "%s → %s", l->module->label, inner);
	struct diag *d = sema_report(s, DIAG_E0102, use, "import cycle: %s → %s", m->label, inner);
	for (l = s->loading; l && l->module != m; l = l->next)
		diag_related(s->sink, d, l->use, "`%s` is imported here", l->module->label);
	diag_help(s->sink, d, "move what they share to a third module");
	return NULL;
}

/* An item that did not parse: the name it would have declared is bound as bad. */
static void module_error(struct sema *s, struct module *m, const struct node *item)
{
	struct path p = item->error.path;
	if (item->error.kind.name && p.n)
		bind(s, m, (struct binding){.name = p.at[p.n - 1].name, .span = p.at[p.n - 1].span});
	else
		m->partial = true;
}

/* `language = N`, which the parser has read. */
static bool is_language(struct sema *s, const struct module *m, const struct node *item)
{
	if (item->kind != N_SET || item->set.path.n != 1 || strcmp(item->set.path.at[0].name, "language") != 0)
		return false;
	if (item != m->items.at[0]) {
		struct diag *d = sema_report(s, DIAG_E0015, item->span, "`language` is not the first item of the file");
		diag_help(s->sink, d, "put it in front of all other items");
	}
	return true;
}

static void module_item(struct sema *s, struct module *m, const struct node *item)
{
	if (is_language(s, m, item))
		return;
	switch (item->kind) {
	case N_USE:      use_std(s, m, item); break;
	case N_USE_FILE: use_file(s, m, item); break;
	case N_NAMED:    declare(s, m, item); break;
	case N_ERROR:    module_error(s, m, item); break;
	default:         {
		struct diag *d =
			sema_report(s, DIAG_E0004, item->span, "only declarations and `use` belong at the top of a module");
		diag_help(s->sink, d, "put it into a record, e.g. `deploy Name { ... }`");
	}
	}
}

/* `m` has its items. */
static struct module *module_open(struct sema *s, struct module m, struct module **where, struct span use)
{
	struct module *out = arena_new(s->arena, struct module);
	*out = m;
	if (where)
		*where = out;
	vec_push(s->arena, &s->modules, out);
	struct loading frame = {out, use, s->loading, s->loading ? s->loading->depth + 1 : 1};
	s->loading = &frame;
	out->loading = true;
	for (int i = 0; i < out->items.n; i++)
		module_item(s, out, out->items.at[i]);
	out->loading = false;
	s->loading = frame.next;
	return out;
}

struct module *module_file(struct sema *s, const char *file, const char *label, struct file_text text, struct span use)
{
	const char *slash = strrchr(file, '/');
	size_t folder = slash ? (size_t)(slash - file) : 0;
	struct module m = {.label = label, .file = file, .folder = arena_strndup(s->arena, file, folder)};
	m.source = sources_add(s->sink->sources, file, label, text.at, text.size);
	m.items = sema_parse(s, m.source);
	return module_open(s, m, NULL, use);
}

struct module *module_at(struct sema *s, const char *file, const char *label, struct file_text text, struct span use)
{
	struct module *open = open_module(s, file);
	return open ? module_again(s, open, use) : module_file(s, file, label, text, use);
}

/* A file of the library. Its text may be replaced by an overlay. */
static struct module *std_open(struct sema *s, int i, struct span use)
{
	struct arena *before = sema_use(s, s->root);
	const char *path = arena_printf(s->arena, "std/%s.deploy", stdlib[i].name);
	struct module m = {
		.label = arena_printf(s->arena, "std.%s", stdlib[i].name), .file = path, .folder = "std", .is_std = true};
	const struct overlay *over = overlay_find(&s->options->overlays, path);
	if (over || !s->options->library || !library_file(s->options->library, i, &m.source, &m.items)) {
		struct file_text text = over ? over->text : (struct file_text){(const char *)stdlib[i].text, stdlib[i].size};
		m.source = sources_add(s->sink->sources, path, m.label, text.at, text.size);
		m.items = sema_parse(s, m.source);
	}
	struct module *opened = module_open(s, m, &s->std[i], use);
	sema_use(s, before);
	return opened;
}

struct module *module_std(struct sema *s, const char *name, struct span use)
{
	for (int i = 0; stdlib[i].name; i++)
		if (!strcmp(stdlib[i].name, name))
			return s->std[i] ? module_again(s, s->std[i], use) : std_open(s, i, use);
	internal_error("the library has no module std.%s", name);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* std.core uses schemas of modules that import it implicitly. They are found by this table. */
static const struct {
	const char *name, *module;
} core_imports[] = {
	{"Decoder", "decoder"}, {"Inference", "workload"}, {"Training", "workload"}, {"Cluster", "hw"}, {"Link", "hw"},
};

struct binding *module_find(struct sema *s, struct module *m, const char *name)
{
	struct binding *b = own_binding(m, name);
	struct span nowhere = {0};
	if (b)
		return b->late ? followed(s, m, b) : b;
	if (!m->is_std || strcmp(m->label, "std.core") != 0) {
		struct module *core = module_std(s, "core", nowhere);
		return core && module_own(core, name) ? own_binding(core, name) : NULL;
	}
	for (size_t i = 0; i < sizeof core_imports / sizeof *core_imports; i++)
		if (!strcmp(core_imports[i].name, name))
			return own_binding(module_std(s, core_imports[i].module, nowhere), name);
	return NULL;
}
