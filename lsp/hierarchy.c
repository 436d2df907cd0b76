/* Call hierarchy: which ops and blocks a declaration calls, and which declarations call it, in all modules that the
 * document reads. */
#include <string.h>
#include "find.h"
#include "server.h"

enum { SYMBOL_FUNCTION = 12, SYMBOL_STRUCT = 23 };

/* ---- items ----------------------------------------------------------------------------------- */

/* What a client sends back: the document that was asked about, the module, the name. */
static json_t *item_json(struct server *s, const struct analysis *a, const char *document, const struct def *d)
{
	struct span name = d->node->named.name.span, whole = {name.file, d->node->span.lo, d->node->span.hi};
	const char *uri = server_uri(s, &a->sources.files.at[name.file]);
	if (!uri)
		return NULL;
	const char *file = strrchr(d->module->label, '/'), *module = file ? file + 1 : d->module->label;
	json_t *item = json_object();
	json_set(item, "name", json_text(d->name));
	json_set(item, "kind", json_integer(def_is_program(d) ? SYMBOL_FUNCTION : SYMBOL_STRUCT));
	json_set(item, "detail", json_text(arena_printf(s->arena, "%s in %s", d->kind, module)));
	json_set(item, "uri", json_text(uri));
	json_set(item, "range", server_range_json(s, a, whole));
	json_set(item, "selectionRange", server_range_json(s, a, name));
	json_set(item, "data",
	         json_pack("{s:s, s:s, s:s}", "document", document, "module", d->module->label, "name", d->name));
	return item;
}

/* The declaration that a place names: where it is declared, where it is used, or in a body that no model calls, whose
 * names were not looked up. NULL: it names none. */
static const struct def *def_named(const struct place_at *at)
{
	struct name_at name;
	struct sema *s = at->analysis->sema;
	struct spot spot = spot_at(at->analysis, at->file, at->offset);
	const struct node *outer = spot.outer;
	if (outer && outer->kind == N_NAMED && outer->named.name.n && spot.item == outer && spot.on_name)
		return def_at(at->analysis, outer->named.name.span);
	if (name_find(at->analysis, at->file, at->offset, &name))
		return name.kind == REFERENCE_DECLARATION ? def_at(at->analysis, name.definition[0]) : NULL;
	bool is_name = spot.value && spot.value->kind == N_ID;
	const struct binding *b = is_name ? module_find(s, s->main, spot.value->ident.name) : NULL;
	return b ? b->def : NULL;
}

json_t *hierarchy_prepare(struct server *s, const json_t *params)
{
	struct place_at at;
	if (!server_place(s, params, &at))
		return NULL;
	const struct def *d = def_named(&at);
	bool calls = d && (def_is_program(d) || !strcmp(d->kind, "model"));
	json_t *item = calls ? item_json(s, at.analysis, at.document->uri, d) : NULL;
	return item ? json_pack("[o]", item) : NULL;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* Calls in the text of one declaration. */
struct calling {
	struct sema *sema;
	const struct def *caller;
	struct arena *arena;
	VEC(struct called {
		struct def *def;
		struct span at;
	}) calls;
};

/* The op or block that a name in front of parentheses is; NULL: a function of the language, or nothing. */
static struct def *callee_of(const struct calling *c, const struct node *f)
{
	struct module *m = c->caller->module;
	struct binding *b = f->kind == N_ID                              ? module_find(c->sema, m, f->ident.name)
	                    : f->kind == N_DOT && f->dot.x->kind == N_ID ? module_find(c->sema, m, f->dot.x->ident.name)
	                                                                 : NULL;
	struct def *d = !b                  ? NULL
	                : f->kind == N_ID   ? b->def
	                : b->module != NULL ? module_own(b->module, f->dot.name.name)
	                                    : NULL;
	return d && def_is_program(d) ? d : NULL;
}

static void find_calls(void *context, const struct node *x)
{
	struct calling *c = context;
	struct def *d = x->kind == N_CALL ? callee_of(c, x->call.f) : NULL;
	struct called call = {d, d && x->call.f->kind == N_DOT ? x->call.f->dot.name.span : x->span};
	if (d && x->call.f->kind == N_ID)
		call.at = x->call.f->span;
	if (d)
		vec_push(c->arena, &c->calls, call);
	node_each_child(x, find_calls, c);
}

/* The declaration that an item of `hierarchy_prepare` is. NULL after server_fail. */
static struct def *def_of_item(struct server *s, const json_t *params, const struct analysis **a, const char **document)
{
	const json_t *data = json_object_get(json_object_get(params, "item"), "data");
	const char *module = json_string_value(json_object_get(data, "module"));
	const char *name = json_string_value(json_object_get(data, "name"));
	*document = json_string_value(json_object_get(data, "document"));
	struct document *d = server_document(s, *document);
	*a = d ? server_analysis(s, d) : NULL;
	for (int i = 0; *a && module && name && i < (*a)->sema->modules.n; i++) {
		struct module *m = (*a)->sema->modules.at[i];
		struct def *found = strcmp(m->label, module) ? NULL : module_own(m, names_str((*a)->sema->names, name));
		if (found)
			return found;
	}
	server_fail(s, LSP_INVALID_PARAMS, "`item` is not in an open document any more");
	return NULL;
}

/* Adds a call, with the other side of the call as an item, or its place to one that is there. */
static void add_call(struct server *s, const struct analysis *a, json_t *calls, const char *side, const char *document,
                     const struct def *other, struct span at)
{
	json_t *call = NULL, *old;
	size_t i;
	json_array_foreach (calls, i, old) {
		const json_t *data = json_object_get(json_object_get(old, side), "data");
		if (!strcmp(json_string_value(json_object_get(data, "name")), other->name)
		    && !strcmp(json_string_value(json_object_get(data, "module")), other->module->label))
			call = old;
	}
	json_t *item = call ? NULL : item_json(s, a, document, other);
	if (item) {
		call = json_pack("{s:o, s:[]}", side, item, "fromRanges");
		json_array_append_new(calls, call);
	}
	if (call)
		json_array_append_new(json_object_get(call, "fromRanges"), server_range_json(s, a, at));
}

json_t *hierarchy_outgoing(struct server *s, const json_t *params)
{
	const struct analysis *a;
	const char *document;
	const struct def *d = def_of_item(s, params, &a, &document);
	if (!d)
		return NULL;
	struct calling c = {.sema = a->sema, .caller = d, .arena = s->arena};
	json_t *calls = json_array();
	find_calls(&c, d->node);
	for (int i = 0; i < c.calls.n; i++)
		add_call(s, a, calls, "to", document, c.calls.at[i].def, c.calls.at[i].at);
	return calls;
}

json_t *hierarchy_incoming(struct server *s, const json_t *params)
{
	const struct analysis *a;
	const char *document;
	const struct def *d = def_of_item(s, params, &a, &document);
	if (!d)
		return NULL;
	json_t *calls = json_array();
	for (int i = 0; i < a->sema->modules.n; i++)
		for (int k = 0; k < a->sema->modules.at[i]->own.n; k++) {
			struct def *caller = a->sema->modules.at[i]->own.at[k];
			struct calling c = {.sema = a->sema, .caller = caller, .arena = s->arena};
			find_calls(&c, caller->node);
			for (int n = 0; n < c.calls.n; n++)
				if (c.calls.at[n].def == d)
					add_call(s, a, calls, "from", document, caller, c.calls.at[n].at);
		}
	return calls;
}
