/* Reads the documentation of a module from its tree and its comments, and the sizes of models from checked programs. */
#include "doc.h"
#include <ctype.h>
#include <string.h>
#include "../planner/planner.h"

struct reader {
	struct docs *docs;
	struct doc_module *module;
	const struct source *source;
	struct sema *sema;
};

/* ---- text and comments of the source --------------------------------------------------------- */

static const char *code_of(const struct reader *r, uint32_t lo, uint32_t hi)
{
	while (hi > lo && isspace((unsigned char)r->source->text[hi - 1]))
		hi--;
	return arena_strndup(r->docs->arena, r->source->text + lo, hi - lo);
}

static const char *code_of_node(const struct reader *r, const struct node *x)
{
	return x ? code_of(r, x->span.lo, x->span.hi) : "";
}

static const char *code_of_path(const struct reader *r, struct path p) { return code_of(r, p.span.lo, p.span.hi); }

/* The comment that a file starts with, without its `std.ops -- `. */
static const char *text_of_module(const struct reader *r)
{
	const char *text = r->source->text;
	struct text out = {.arena = r->docs->arena};
	text_add(&out, "%s", "");
	for (uint32_t line = 0; !strncmp(text + line, "//", 2) && text[line + 2] != '/'; line = doc_next_line(text, line))
		doc_add_line(&out, text, line, 2);
	const char *dash = strstr(out.at, " -- ");
	bool named =
		dash && !memchr(out.at, '\n', (size_t)(dash - out.at)) && !memchr(out.at, ' ', (size_t)(dash - out.at));
	return named ? dash + 4 : out.at;
}

/* ---- fields ---------------------------------------------------------------------------------- */

static void add_field(const struct reader *r, struct doc_item *item, const struct node *n, struct doc_field f)
{
	f.text = doc_comment(r->docs->arena, r->source, n->span.lo, n->span.hi);
	vec_push(r->docs->arena, &item->fields, f);
}

/* Where a param is in a checkpoint: from "q_proj.weight" as [...]. */
static const char *origin_of(const struct reader *r, const struct node *n)
{
	const char *from = code_of_node(r, n->named.from);
	return n->named.stored ? arena_printf(r->docs->arena, "%s as %s", from, code_of_node(r, n->named.stored)) : from;
}

/* axis batch = dynamic, axis ctx like seq, input ids : T */
static void add_named(const struct reader *r, struct doc_item *item, const struct node *n)
{
	struct arena *a = r->docs->arena;
	struct doc_field f = {arena_printf(a, "%s %s", n->named.kind.name, code_of_path(r, n->named.name)), "", "", ""};
	switch (n->named.tail) {
	case TAIL_MORE:
		for (int i = 0; i < n->named.more.n; i++)
			f.name = arena_printf(a, "%s, %s", f.name, n->named.more.at[i].name);
		break;
	case TAIL_LIKE: f.type = arena_printf(a, "like %s", code_of_path(r, n->named.like)); break;
	case TAIL_IS:
	case TAIL_TYPED:
		f.type = code_of_node(r, n->named.type);
		f.value = n->named.from ? origin_of(r, n) : code_of_node(r, n->named.value);
		break;
	default: break;
	}
	add_field(r, item, n, f);
}

static bool is_word(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(word, *words))
			return true;
	return false;
}

static void add_fields(const struct reader *r, struct doc_item *item, struct nodes body)
{
	static const char *const shown[] = {"axis", "input", "param", "state", NULL};
	for (int i = 0; i < body.n; i++) {
		const struct node *n = body.at[i];
		if (n->kind == N_FIELD)
			add_field(r, item, n,
			          (struct doc_field){code_of_path(r, n->field.path), code_of_node(r, n->field.type),
			                             code_of_node(r, n->field.value), ""});
		else if (n->kind == N_SET)
			add_field(r, item, n,
			          (struct doc_field){code_of_path(r, n->set.path), "", code_of_node(r, n->set.value), ""});
		else if (n->kind == N_NAMED && is_word(n->named.kind.name, shown))
			add_named(r, item, n);
	}
}

/* ---- items ----------------------------------------------------------------------------------- */

/* The end of an item's head: the brace of its body. A type or a default may have braces too. */
static uint32_t head_end(const struct reader *r, const struct node *n)
{
	const char *text = r->source->text;
	uint32_t at = n->span.lo;
	for (const struct node *ret = n->named.type; ret; ret = NULL)
		at = ret->span.hi;
	for (int i = 0; !n->named.type && i < n->named.params.n; i++)
		at = n->named.params.at[i]->span.hi;
	return at + (uint32_t)strcspn(text + at, "{");
}

static bool has_body(const struct node *n)
{
	return n->named.tail == TAIL_OF || n->named.tail == TAIL_BLOCK || n->named.tail == TAIL_SIG;
}

static bool has_table(const struct node *n)
{
	static const char *const kinds[] = {"schema", "model", "block", NULL};
	return is_word(n->named.kind.name, kinds) && has_body(n);
}

/* The code without the spaces that align it with its neighbours. */
static const char *one_line(struct arena *a, const char *code)
{
	char *out = arena_strndup(a, code, strlen(code));
	bool quoted = false;
	size_t n = 0;
	if (strchr(code, '\n') || strstr(code, "//"))
		return code;
	for (const char *c = code; *c; c++) {
		quoted ^= *c == '"';
		if (quoted || *c != ' ' || c[1] != ' ')
			out[n++] = *c;
	}
	out[n] = 0;
	return out;
}

/* The code to show: operators, machines, plans and refinements whole, long items by their heads. */
static const char *code_of_item(const struct reader *r, const struct node *n)
{
	static const char *const heads[] = {"schema", "model", "block", "builtin", NULL};
	if (!has_body(n) || !is_word(n->named.kind.name, heads))
		return one_line(r->docs->arena, code_of(r, n->span.lo, n->span.hi));
	return n->named.tail == TAIL_BLOCK ? "" : code_of(r, n->span.lo, head_end(r, n));
}

static void measure(const struct reader *r, struct doc_item *item)
{
	struct deploy d = {.program = sema_model(r->sema, item->name)};
	struct total totals[PLANNER_TOTALS];
	if (!d.program)
		return;
	for (int i = 0, n = planner_totals(&d, NULL, totals); i < n; i++) {
		const char *name = totals[i].name;
		double *field = !strcmp(name, "params")          ? &item->size.params
		                : !strcmp(name, "params.active") ? &item->size.active
		                : !strcmp(name, "total.weights") ? &item->size.weights
		                                                 : NULL;
		if (field)
			*field = totals[i].value;
	}
	item->size.position = planner_position_bytes(d.program, r->docs->arena, false);
	item->size.windows = planner_position_bytes(d.program, r->docs->arena, true);
	item->sized = true;
}

static void add_item(const struct reader *r, const struct node *n)
{
	struct doc_item *item = arena_new(r->docs->arena, struct doc_item);
	*item = (struct doc_item){.kind = n->named.kind.name,
	                          .name = code_of_path(r, n->named.name),
	                          .module = r->module,
	                          .whole = code_of(r, n->span.lo, n->span.hi)};
	item->code = code_of_item(r, n);
	uint32_t end = n->span.hi;
	if (has_table(n)) {
		add_fields(r, item, n->named.body);
		if (!*doc_comment_beside(r->docs->arena, r->source, end))
			end = head_end(r, n) + 1;
	}
	item->text = doc_comment(r->docs->arena, r->source, n->span.lo, end);
	if (!strcmp(item->kind, "model"))
		measure(r, item);
	vec_push(r->docs->arena, &r->module->items, item);
	index_add(r->docs->arena, &r->module->item_index, item->name);
}

static void add_import(const struct reader *r, struct doc_import i)
{
	vec_push(r->docs->arena, &r->module->imports, i);
	index_add(r->docs->arena, &r->module->import_index, i.local);
}

static void add_imports(const struct reader *r, const struct node *n)
{
	struct path p = n->use.path;
	const char *module = code_of_path(r, p), *last = p.at[p.n - 1].name;
	if (!n->use.has_names)
		add_import(r, (struct doc_import){n->use.as.name ? n->use.as.name : last, module, NULL});
	for (int i = 0; i < n->use.names.n; i++) {
		const char *name = n->use.names.at[i].name;
		add_import(r, (struct doc_import){name, module, name});
	}
}

void docs_add(struct docs *d, struct sema *s, const struct source *source, const char *name)
{
	struct doc_module *m = arena_new(d->arena, struct doc_module);
	struct reader r = {d, m, source, s};
	struct nodes items = sema_items(s);
	*m = (struct doc_module){.name = name, .text = text_of_module(&r)};
	vec_push(d->arena, &d->modules, m);
	for (int i = 0; i < items.n; i++) {
		const struct node *n = items.at[i];
		if (n->kind == N_USE)
			add_imports(&r, n);
		else if (n->kind == N_NAMED && n->named.name.at[0].name[0] != '_')
			add_item(&r, n);
	}
}
