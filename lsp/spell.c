/* Code actions that write into the text a value that it leaves out: a default, or the result of an expression. */
#include <stdlib.h>
#include <string.h>
#include "../sema/record.h"
#include "chosen.h"
#include "find.h"
#include "server.h"

enum { MAX_OFFERS = 24, MAX_LIST = 64, MAX_NUMBER = 40, MAX_PARTS = 4 /* records in each other */ };

struct spelling {
	struct server *server;
	const struct document *document;
	const struct analysis *analysis;
	json_t *actions;
};

/* ---- values as text -------------------------------------------------------------------------- */

static const char *spelled(const struct spelling *t, struct val v);

/* The shortest digits that are read as the same number. */
static const char *digits(struct arena *a, double x)
{
	char out[MAX_NUMBER];
	for (int n = 1; n <= 17; n++) {
		snprintf(out, sizeof out, "%.*g", n, x);
		if (strtod(out, NULL) == x)
			break;
	}
	return arena_printf(a, "%s", out);
}

/* 10_240: in groups of three, from five digits on. */
static const char *spelled_int(struct arena *a, int64_t i)
{
	const char *text = arena_printf(a, "%lld", (long long)i);
	struct text out = {.arena = a};
	size_t n = strlen(text);
	for (size_t k = 0; k < n; k++)
		text_add(&out, "%s%c", n > 4 && k && text[k - 1] != '-' && (n - k) % 3 == 0 ? "_" : "", text[k]);
	return out.at;
}

static const char *spelled_float(struct arena *a, double x)
{
	const char *text = digits(a, x);
	return strpbrk(text, ".e") ? text : arena_printf(a, "%s.0", text);
}

/* With the unit that needs the fewest characters; of equal ones, the first of the table. */
static const char *spelled_quantity(struct arena *a, struct val v)
{
	static const struct {
		const char *word;
		double size;
	} units[] = {
#define U(word, size, ...) {word, size},
#define TRAP(...)
#include "../lexer/units.def"
#undef U
#undef TRAP
		{"GB/s", 1e9},   {"TB/s", 1e12},    {"GiB/s", 0x1p30},     {"B/s", 1},
		{"tokens/s", 1}, {"requests/s", 1}, {"USD/h", 1 / 3600.0},
	};
	const char *best = NULL;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		const char *text = arena_printf(a, "%s %s", digits(a, v.f / units[i].size), units[i].word);
		struct dims dims = {{0}};
		bool exact = quantity_value(text, &dims) == v.f && dims_equal(dims, v.dims);
		if (exact && !strchr(text, 'e') && (!best || strlen(text) < strlen(best)))
			best = text;
	}
	return best;
}

static const char *spelled_list(const struct spelling *t, struct val v)
{
	struct text out = {.arena = t->server->arena};
	text_add(&out, "[");
	for (int i = 0; i < v.list.n; i++) {
		const char *element = i < MAX_LIST ? spelled(t, v.list.at[i]) : NULL;
		if (!element)
			return NULL;
		text_add(&out, "%s%s", i ? ", " : "", element);
	}
	text_add(&out, "]");
	return out.at;
}

static const char *spelled_range(const struct spelling *t, struct val v)
{
	const char *lo = spelled(t, v.range[0]), *hi = spelled(t, v.range[1]);
	return lo && hi ? arena_printf(t->server->arena, "%s..%s", lo, hi) : NULL;
}

/* The name that the file has for a record. NULL: it has none. */
static const char *spelled_record(const struct spelling *t, const struct record *r)
{
	struct sema *s = t->analysis->sema;
	const struct binding *b = r->name ? module_find(s, s->main, r->name) : NULL;
	return b && b->def && b->def->record == r ? b->name : NULL;
}

/* Text of the language that has exactly this value; NULL: there is none. */
static const char *spelled(const struct spelling *t, struct val v)
{
	struct arena *a = t->server->arena;
	switch (v.kind) {
	case V_NONE:     return "none";
	case V_BOOL:     return v.b ? "true" : "false";
	case V_INT:      return spelled_int(a, v.i);
	case V_FLOAT:    return spelled_float(a, v.f);
	case V_QUANTITY: return spelled_quantity(a, v);
	case V_STRING:   return strpbrk(v.name, "\"\\\n") ? NULL : arena_printf(a, "\"%s\"", v.name);
	case V_SYMBOL:   return v.name;
	case V_DTYPE:    return dtype_name(v.dtype);
	case V_RANGE:    return spelled_range(t, v);
	case V_LIST:     return spelled_list(t, v);
	case V_RECORD:   return spelled_record(t, v.record);
	default:         return NULL;
	}
}

/* Is it a part of a record, which braces after a field's name make? Not what was declared under a name. */
static bool is_part(const struct record *r, const struct record *part)
{
	for (int i = 0; i < part->layers.n; i++)
		if (part->layers.at[i]->kind == LAYER_HEAD)
			return part->outer == r;
	return true;
}

static const char *spelled_item(const struct spelling *t, const struct record *r, const struct field *f, int depth);

/* A part of a record, with all that it sets: `comm { reduce = f32; fuse_below = 0 B }`. */
static const char *spelled_part(const struct spelling *t, const char *name, const struct record *part, int depth)
{
	struct text out = {.arena = t->server->arena};
	for (int i = 0; i < part->fields.n && depth < MAX_PARTS; i++) {
		const char *item = spelled_item(t, part, part->fields.at[i], depth + 1);
		if (item)
			text_add(&out, "%s%s", out.n ? "; " : "", item);
	}
	return out.n ? arena_printf(t->server->arena, "%s { %s }", name, out.at) : NULL;
}

/* The item that gives a field the value that it has. NULL: the field cannot be set, or no text has its value. */
static const char *spelled_item(const struct spelling *t, const struct record *r, const struct field *f, int depth)
{
	bool settable = f->sort == FIELD_PLAIN || f->sort == FIELD_AXIS || f->sort == FIELD_MESH;
	if (!settable || f->progress != FIELD_DONE || f->value.kind == V_NONE)
		return NULL;
	if (f->value.kind == V_RECORD && is_part(r, f->value.record))
		return spelled_part(t, f->name, f->value.record, depth);
	const char *text = spelled(t, f->value);
	return text ? arena_printf(t->server->arena, "%s = %s", f->name, text) : NULL;
}

/* ---- actions --------------------------------------------------------------------------------- */

static void add_action(struct spelling *t, const char *title, struct span at, const char *text)
{
	json_t *edits = json_array();
	json_array_append_new(edits, text_edit_json(t->server, t->analysis, at, text));
	json_t *action = json_object();
	json_set(action, "title", json_text(title));
	json_set(action, "kind", json_string("refactor.rewrite"));
	json_set(action, "edit", workspace_edit_json(t->document->uri, edits));
	json_array_append_new(t->actions, action);
}

/* Is the expression more than a value? */
static bool is_computed(const struct node *v)
{
	if (v->kind == N_BIN && v->bin.op == B_RANGE)
		return is_computed(v->bin.a) || is_computed(v->bin.b);
	return v->kind == N_BIN || v->kind == N_CALL || v->kind == N_IF || v->kind == N_ID || v->kind == N_DOT;
}

/* The value of an expression in its place: `4 * 32` becomes 128; of a field that is set, of a derived one, of an axis.
 */
static void offer_computed(struct spelling *t, const struct spot *spot)
{
	const struct node *v;
	const struct field *f = spot->item ? field_valued(t->analysis, spot->item, &v) : NULL;
	bool computed = f && field_is_given_by(f, v) && is_computed(v);
	const char *text = computed && f->progress == FIELD_DONE ? spelled(t, f->value) : NULL;
	const char *old = text ? analysis_source(t->analysis)->text + v->span.lo : NULL;
	size_t n = text ? v->span.hi - v->span.lo : 0;
	if (text && (strlen(text) != n || strncmp(text, old, n) != 0))
		add_action(t, arena_printf(t->server->arena, "write `%s` in place of `%.*s`", text, (int)n, old), v->span,
		           text);
}

/* What a lock chose, in place of `auto`. */
static void offer_chosen(struct spelling *t, uint32_t offset)
{
	struct arena *a = t->server->arena;
	struct span here = {sema_source(t->analysis->sema), offset, offset};
	const char *text = chosen_value(t->analysis, here);
	if (text) {
		here = analysis_open(t->analysis, here, NULL)->at;
		add_action(t, arena_printf(a, "write `%s`, %s, in place of `auto`", text, chosen_by(a, t->analysis)), here,
		           text);
	}
}

/* ---- what a body does not set ---------------------------------------------------------------- */

/* The braces around a place, their items, and what their items refine. */
struct braces {
	struct nodes items;
	uint32_t close;              /* the closing brace */
	const struct record *record; /* NULL: none was made, or the body is one of rules or of a program */
};

static struct nodes items_of(const struct node *x)
{
	return x->kind == N_REFINE ? x->sub2.body : x->kind == N_SUB ? x->sub.body : x->named.body;
}

struct searching {
	uint32_t offset;
	const char *text;
	const struct node *found;
};

static void search(void *context, const struct node *x)
{
	struct searching *s = context;
	if (x->span.lo > s->offset || x->span.hi < s->offset)
		return;
	bool has_body = x->kind == N_REFINE || x->kind == N_SUB || (x->kind == N_NAMED && x->named.tail == TAIL_BLOCK);
	if (has_body && x->span.hi && s->text[x->span.hi - 1] == '}')
		s->found = x;
	node_each_child(x, search, s);
}

static bool find_body(const struct spelling *t, uint32_t offset, struct braces *out)
{
	struct nodes items = sema_items(t->analysis->sema);
	struct searching s = {offset, analysis_source(t->analysis)->text, NULL};
	for (int i = 0; i < items.n; i++)
		search(&s, items.at[i]);
	if (!s.found)
		return false;
	uint32_t file = sema_source(t->analysis->sema), close = s.found->span.hi - 1;
	*out = (struct braces){items_of(s.found), close, spot_at(t->analysis, file, close).record};
	return out->record && !record_is_map(out->record);
}

static bool sets(const struct braces *b, const char *field)
{
	for (int i = 0; i < b->items.n; i++) {
		const struct node *x = b->items.at[i];
		const struct path *p = x->kind == N_SET     ? &x->set.path
		                       : x->kind == N_SUB   ? &x->sub.path
		                       : x->kind == N_FIELD ? &x->field.path
		                       : x->kind == N_NAMED ? &x->named.name
		                                            : NULL;
		if (p && p->n && !strcmp(p->at[0].name, field))
			return true;
	}
	return false;
}

/* The edit that adds items at the end of a body: lines of their own if the brace that closes it is on one. */
static void add_items(struct spelling *t, const struct braces *b, const char *title, const char *const *items, int n)
{
	struct arena *a = t->server->arena;
	const struct source *f = analysis_source(t->analysis);
	uint32_t line = f->lines[source_line(f, b->close)], at = b->close;
	int indent = (int)strspn(f->text + line, " \t");
	bool own_line = line + (uint32_t)indent == b->close;
	struct text out = {.arena = a};
	while (!own_line && at && f->text[at - 1] == ' ')
		at--;
	bool empty = f->text[at - 1] == '{' || f->text[at - 1] == ';';
	for (int i = 0; i < n; i++)
		if (own_line)
			text_add(&out, "%.*s  %s\n", indent, f->text + line, items[i]);
		else
			text_add(&out, "%s%s", i || !empty ? "; " : " ", items[i]);
	if (!own_line && at == b->close)
		text_add(&out, " ");
	at = own_line ? line : at;
	add_action(t, title, (struct span){sema_source(t->analysis->sema), at, at}, out.at);
}

static void offer_unset(struct spelling *t, uint32_t offset)
{
	struct arena *a = t->server->arena;
	struct braces b;
	const char *items[MAX_OFFERS];
	int n = 0;
	if (!find_body(t, offset, &b))
		return;
	for (int i = 0; i < b.record->fields.n && n < MAX_OFFERS; i++) {
		const struct field *f = b.record->fields.at[i];
		const char *item = sets(&b, f->name) ? NULL : spelled_item(t, b.record, f, 0);
		if (item)
			items[n++] = item;
	}
	for (int i = 0; i < n; i++)
		add_items(t, &b, arena_printf(a, "write `%s`", items[i]), &items[i], 1);
	if (n > 1)
		add_items(t, &b, arena_printf(a, "write all %d values that are not set here", n), items, n);
}

void spell_actions(struct server *s, const struct document *d, const struct analysis *a, uint32_t offset,
                   json_t *actions)
{
	struct spelling t = {s, d, a, actions};
	struct spot spot = spot_at(a, sema_source(a->sema), offset);
	offer_computed(&t, &spot);
	offer_chosen(&t, offset);
	if (!spot.in_when)
		offer_unset(&t, offset);
}
