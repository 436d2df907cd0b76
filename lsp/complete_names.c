/* Names that may be written at the cursor: of modules, of the file, of records around it, of a program, of functions.
 */
#include <string.h>
#include "completing.h"

/* ---- modules and names ----------------------------------------------------------------------- */

void offer_modules(struct completing *c)
{
	const struct exports *all = library_exports();
	for (int i = 0; i < all->n; i++) {
		const char *module = all->at[i].module, *dot = strchr(module, '.') + 1;
		bool after_std = c->word > 4 && !strncmp(c->document->text + c->word - 4, "std.", 4);
		if (!i || strcmp(all->at[i - 1].module, module) != 0)
			offer(c,
			      (struct candidate){.label = after_std ? dot : module,
			                         .kind = ITEM_MODULE,
			                         .snippet = arena_printf(c->server->arena, "%s { $0 }", after_std ? dot : module)});
	}
}

static bool names_already(const struct node *use, const char *name)
{
	for (int i = 0; i < use->use.names.n; i++)
		if (!strcmp(use->use.names.at[i].name, name))
			return true;
	return false;
}

void offer_exports_of(struct completing *c, const struct node *use)
{
	const struct exports *all = library_exports();
	const char *module = completing_code(c, use->use.path.span);
	for (int i = 0; i < all->n; i++)
		if (!strcmp(all->at[i].module, module) && !names_already(use, all->at[i].name))
			offer(c, (struct candidate){.label = all->at[i].name,
			                            .kind = ITEM_RECORD,
			                            .detail = all->at[i].kind,
			                            .comment = all->at[i].comment});
}

json_t *insert_edit(const struct completing *c, const char *at, const char *text)
{
	uint32_t offset = (uint32_t)(at - c->document->text);
	json_t *edit = json_object();
	json_set(edit, "range", range_json(&c->sources, (struct span){0, offset, offset}, c->server->utf8));
	json_set(edit, "newText", json_text(text));
	return edit;
}

/* After the brace of the file's own list of names of the module; NULL: it has none. *first: its first `use`, or NULL.
 */
const char *import_list(const struct completing *c, const char *module, const char **first)
{
	const char *list = arena_printf(c->server->arena, "use %s {", module);
	*first = NULL;
	for (const char *line = c->document->text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		*first = *first || strncmp(line, "use ", 4) != 0 ? *first : line;
		if (!strncmp(line, list, strlen(list)))
			return line + strlen(list);
	}
	return NULL;
}

/* Where a file without a `use` may have one: at its start, but after `language = N`. */
static const char *first_line(const struct completing *c)
{
	const struct module *m = c->analysis->sema->main;
	const struct node *x = m->items.n ? m->items.at[0] : NULL;
	const char *text = c->document->text;
	if (!x || x->kind != N_SET || strcmp(x->set.path.at[0].name, "language") != 0)
		return text;
	const char *end = strchr(text + x->span.lo, '\n');
	return end ? end + 1 : text;
}

/* The edit that imports a name: into the file's list of the module, else a new line before the first `use`. */
json_t *import_edit(const struct completing *c, const char *module, const char *name)
{
	struct arena *a = c->server->arena;
	const char *first, *list = import_list(c, module, &first);
	const char *text = list ? arena_printf(a, " %s,", name) : arena_printf(a, "use %s { %s }\n", module, name);
	json_t *edits = json_array();
	json_array_append_new(edits, insert_edit(c, list ? list : first ? first : first_line(c), text));
	return edits;
}

bool is_known(const struct completing *c, const char *name)
{
	const struct module *m = c->analysis->sema->main;
	return index_find(&m->name_index, name) >= 0;
}

/* ---- names of a program ---------------------------------------------------------------------- */

static void offer_local(struct completing *c, struct ident name, const char *detail)
{
	if (name.name && name.span.hi < c->word)
		offer(c, (struct candidate){.label = name.name, .kind = ITEM_VARIABLE, .rank = RANK_LIKELY, .detail = detail});
}

/* What the items before the cursor bind: `let`, `param`, axes of a block. Inside `repeat` and `when` only if the cursor
 * is there. */
static void offer_bound(struct completing *c, struct nodes items)
{
	for (int i = 0; i < items.n; i++) {
		const struct node *x = items.at[i];
		bool around = x->span.lo <= c->offset && c->offset <= x->span.hi;
		if (x->kind == N_WHEN && around) {
			offer_bound(c, x->when.then);
			offer_bound(c, x->when.other);
		}
		if (x->kind != N_NAMED)
			continue;
		if (!strcmp(x->named.kind.name, "repeat") && around) {
			offer_local(c, x->named.loop_name, "index of the loop");
			offer_bound(c, x->named.body);
		}
		for (int k = 0; k < x->named.more.n; k++)
			offer_local(c, x->named.more.at[k], x->named.kind.name);
		if (x->named.name.n == 1 && strcmp(x->named.kind.name, "repeat") != 0)
			offer_local(c, x->named.name.at[0], x->named.kind.name);
	}
}

static bool is_program(const struct node *outer)
{
	static const char *const kinds[] = {"op", "block", "builtin", "model"};
	for (size_t i = 0; outer && outer->kind == N_NAMED && i < sizeof kinds / sizeof *kinds; i++)
		if (!strcmp(outer->named.kind.name, kinds[i]))
			return true;
	return false;
}

static void offer_functions(struct completing *c, unsigned places)
{
	struct arena *a = c->server->arena;
	int n;
	const struct function_form *all = sema_functions(&n);
	for (int i = 0; i < n; i++)
		if (all[i].places & places)
			offer(c, (struct candidate){.label = all[i].name,
			                            .kind = ITEM_FUNCTION,
			                            .rank = RANK_OTHER,
			                            .detail = arena_printf(a, "%s(%s)", all[i].name, all[i].params),
			                            .comment = all[i].text,
			                            .insert = arena_printf(a, "%s(", all[i].name),
			                            .snippet = arena_printf(a, "%s($0)", all[i].name)});
}

static void offer_locals(struct completing *c)
{
	const struct node *outer = c->spot.outer;
	bool program = is_program(outer);
	for (int i = 0; program && i < outer->named.params.n; i++) {
		const struct node *p = outer->named.params.at[i];
		offer_local(c, p->field.path.at[0], completing_code(c, p->span));
	}
	if (program)
		offer_bound(c, outer->named.body);
	offer_functions(c, program ? IN_PROGRAMS : c->spot.kind == SPOT_CLAIM ? IN_GOALS | IN_NUMBERS : IN_NUMBERS);
}

/* ---- names that are visible ------------------------------------------------------------------ */

void offer_names(struct completing *c)
{
	const struct module *m = c->analysis->sema->main;
	for (const struct record *r = c->spot.record; r; r = r->outer)
		for (int i = 0; i < r->fields.n; i++)
			if (r->fields.at[i] != c->spot.field)
				offer(c, (struct candidate){.label = r->fields.at[i]->name, .kind = ITEM_FIELD, .rank = RANK_USUAL});
	offer_locals(c);
	for (int i = 0; i < m->names.n; i++)
		offer(c, (struct candidate){.label = m->names.at[i].name,
		                            .kind = m->names.at[i].module ? ITEM_MODULE : ITEM_RECORD,
		                            .rank = RANK_OTHER});
}
