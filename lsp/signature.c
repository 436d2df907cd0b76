/* Signature help: the parameters of the call, or the fields of the template, around the cursor. */
#include <string.h>
#include "../doc/doc.h"
#include "../sema/record.h"
#include "../support/escape.h"
#include "call_site.h"
#include "find.h"
#include "server.h"

struct asking {
	struct server *server;
	const struct analysis *analysis;
	struct call_site site;
	uint32_t offset;
	json_t *signatures;
	int active; /* the signature that fits best */
};

/* ---- signatures as JSON ---------------------------------------------------------------------- */

/* A label that grows by its parameters. */
struct label {
	struct text text;
	json_t *params;
	const char **names;
	int n;
};

static json_int_t units(const char *text, size_t n)
{
	json_int_t sum = 0;
	uint32_t point;
	for (size_t at = 0; at < n; at += (size_t)decode_utf8(text + at, text + n, &point))
		sum += point > 0xFFFF ? 2 : 1;
	return sum;
}

/* `name`: what an argument may call it; NULL: only its place counts. */
static void add_param(struct asking *q, struct label *l, const char *name, const char *code, const char *comment)
{
	int at = l->text.n;
	text_add(&l->text, "%s", code);
	json_int_t lo = units(l->text.at, (size_t)at), hi = units(l->text.at, (size_t)l->text.n);
	json_t *param =
		q->server->label_offsets ? json_pack("{s:[I, I]}", "label", lo, hi) : json_pack("{s:s}", "label", code);
	if (comment && *comment)
		json_set(param, "documentation", json_pack("{s:s, s:o}", "kind", "markdown", "value", json_text(comment)));
	json_array_append_new(l->params, param);
	const char **names = arena_array(q->server->arena, const char *, l->n + 1);
	for (int i = 0; i < l->n; i++)
		names[i] = l->names[i];
	names[l->n++] = name;
	l->names = names;
}

static struct label label_begin(struct asking *q, const char *text)
{
	struct label l = {.text.arena = q->server->arena, .params = json_array()};
	text_add(&l.text, "%s", text);
	return l;
}

/* Adds the signature. The parameter at the cursor is the one that the argument names, else that of its place. */
static void label_end(struct asking *q, struct label *l, const char *comment)
{
	const char *given = q->site.given;
	int active = q->site.braces ? 0 : q->site.before; /* fields have no order */
	for (int i = 0; i < l->n && given; i++)
		if (l->names[i] && !strcmp(l->names[i], given))
			active = i;
	json_t *signature = json_object();
	json_set(signature, "label", json_text(l->text.at));
	if (comment && *comment)
		json_set(signature, "documentation", json_pack("{s:s, s:o}", "kind", "markdown", "value", json_text(comment)));
	json_set(signature, "parameters", l->params);
	json_set(signature, "activeParameter", json_integer(active));
	json_array_append_new(q->signatures, signature);
}

/* ---- ops, blocks, builtins ------------------------------------------------------------------- */

static const char *code_of(const struct asking *q, struct span at)
{
	struct text out = {.arena = q->server->arena};
	const char *text = q->analysis->sources.files.at[at.file].text;
	text_add(&out, "%s", "");
	for (uint32_t i = at.lo; i < at.hi; i++)
		if (text[i] != '\n' && !(i > at.lo && text[i] == ' ' && strchr(" \n", text[i - 1])))
			text_add(&out, "%c", text[i]);
	return out.at;
}

static void add_def(struct asking *q, const struct def *d)
{
	struct arena *a = q->server->arena;
	const struct node *sig = d->node;
	struct label l = label_begin(q, arena_printf(a, "%s(", d->name));
	for (int i = 0; i < sig->named.params.n; i++) {
		const struct node *p = sig->named.params.at[i];
		text_add(&l.text, "%s", i ? ", " : "");
		add_param(q, &l, p->field.path.at[0].name, code_of(q, p->span), NULL);
	}
	struct idents open = strcmp(d->kind, "block") ? sema_open_axes(a, sig) : (struct idents){NULL, 0};
	for (int i = 0; i < open.n; i++) {
		text_add(&l.text, "%s", l.n ? ", " : "");
		add_param(q, &l, open.at[i].name, arena_printf(a, "%s = axis", open.at[i].name), NULL);
	}
	text_add(&l.text, ")%s%s", sig->named.type ? " -> " : "", sig->named.type ? code_of(q, sig->named.type->span) : "");
	const struct source *f = &q->analysis->sources.files.at[sig->span.file];
	label_end(q, &l, doc_comment(a, f, sig->span.lo, sig->span.hi));
}

static void add_form(struct asking *q, const struct function_form *f)
{
	struct arena *a = q->server->arena;
	struct label l = label_begin(q, arena_printf(a, "%s(", f->name));
	for (const char *at = f->params; *at;) {
		size_t n = strcspn(at, ",");
		const char *code = arena_printf(a, "%.*s", (int)n, at);
		text_add(&l.text, "%s", l.n ? ", " : "");
		add_param(q, &l, arena_printf(a, "%.*s", (int)strcspn(code, " "), code), code, NULL);
		at += n + (at[n] ? 2 : 0);
	}
	text_add(&l.text, ")");
	const char *given = q->site.given;
	for (int i = 0; i < l.n && given; i++)
		if (!strcmp(l.names[i], given) && !q->active)
			q->active = (int)json_array_size(q->signatures);
	label_end(q, &l, f->text);
}

static void add_functions(struct asking *q)
{
	int n;
	const struct function_form *all = sema_functions(&n);
	for (int i = 0; i < n; i++)
		if (!strcmp(all[i].name, q->site.name))
			add_form(q, &all[i]);
}

/* ---- templates ------------------------------------------------------------------------------- */

static void add_field(struct asking *q, struct label *l, const struct field *f)
{
	struct arena *a = q->server->arena;
	const char *value = f->init && f->init->kind != N_ERROR ? code_of(q, f->init->span) : NULL;
	const char *code = arena_printf(a, "%s%s%s%s%s", f->name, f->type ? " : " : "",
	                                f->type ? code_of(q, f->type->span) : "", value ? " = " : "", value ? value : "");
	uint32_t end = f->init && f->init->span.file == f->span.file ? f->init->span.hi : f->span.hi;
	const struct source *source = &q->analysis->sources.files.at[f->span.file];
	text_add(&l->text, "%s", l->n ? "; " : " ");
	add_param(q, l, f->name, code, doc_comment(a, source, f->span.lo, end));
}

/* Mesh axes first: they are what a template of plans is used for. */
static void add_record(struct asking *q, const struct record *r)
{
	struct label l = label_begin(q, arena_printf(q->server->arena, "%s {", q->site.name));
	for (int mesh = 1; mesh >= 0; mesh--)
		for (int i = 0; i < r->fields.n; i++) {
			enum field_sort sort = r->fields.at[i]->sort;
			bool settable = sort == FIELD_PLAIN || sort == FIELD_AXIS || sort == FIELD_MESH;
			if (settable && (sort == FIELD_MESH) == mesh)
				add_field(q, &l, r->fields.at[i]);
		}
	text_add(&l.text, " }");
	label_end(q, &l, NULL);
}

/* ---- all ------------------------------------------------------------------------------------- */

/* What the name in front of the bracket is bound to; NULL: nothing. */
static struct def *def_of(const struct asking *q)
{
	struct sema *s = q->analysis->sema;
	const char *name = names_str(s->names, q->site.name), *module = q->site.module;
	struct binding *b = module_find(s, s->main, module ? names_str(s->names, module) : name);
	if (module)
		return b && b->module ? module_own(b->module, name) : NULL;
	return b ? b->def : NULL;
}

static void add_braces(struct asking *q, struct def *d)
{
	struct record *r = d && !def_is_program(d) ? def_record(q->analysis->sema, d) : NULL;
	r = r ? r : spot_at(q->analysis, sema_source(q->analysis->sema), q->offset).record;
	if (r && !record_is_map(r))
		add_record(q, r);
}

json_t *signature_at(struct server *s, const json_t *params)
{
	struct place_at at;
	if (!server_place(s, params, &at))
		return NULL;
	struct asking q = {.server = s, .analysis = at.analysis, .offset = at.offset};
	bool found = call_site_find(s->arena, at.document->text, at.document->size, at.offset, &q.site);
	if (!found || q.site.declared)
		return NULL;
	q.signatures = json_array();
	struct def *d = def_of(&q);
	if (q.site.braces)
		add_braces(&q, d);
	else if (d && def_is_program(d))
		add_def(&q, d);
	else
		add_functions(&q);
	json_t *best = json_array_get(q.signatures, (size_t)q.active);
	if (best)
		return json_pack("{s:o, s:i, s:O}", "signatures", q.signatures, "activeSignature", q.active, "activeParameter",
		                 json_object_get(best, "activeParameter"));
	json_decref(q.signatures);
	return NULL;
}
