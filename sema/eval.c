/* Scalar expressions (docs/language.md, Records): names, members, refinements, operators. */
#include "eval.h"
#include <math.h>
#include <string.h>
#include "foreign.h"
#include "record.h"

/* ---- names ----------------------------------------------------------------------------------- */

static struct val def_value(struct sema *s, struct def *d)
{
	if (def_is_program(d))
		return (struct val){.kind = V_DEF, .def = d};
	struct record *r = def_record(s, d);
	return r ? (struct val){.kind = V_RECORD, .record = r} : val_bad();
}

static struct val binding_value(struct sema *s, const struct binding *b)
{
	if (b->def)
		return def_value(s, b->def);
	return b->module ? (struct val){.kind = V_MODULE, .module = b->module} : val_bad();
}

bool scope_find(struct scope *s, const char *name, struct span use, struct val *out)
{
	for (struct scope *t = s; t; t = t->parent) {
		if (t->lookup && t->lookup(t, name, use, out))
			return true;
		struct field *f = t->record && !record_is_map(t->record) ? record_field(t->record, name) : NULL;
		if (f) {
			refer_field(s->sema, (struct ident){name, use}, f);
			*out = record_get(t->record, name, use);
			return true;
		}
	}
	struct binding *b = module_find(s->sema, s->module, name);
	if (!b)
		return false;
	refer_binding(s->sema, (struct ident){name, use}, b);
	*out = binding_value(s->sema, b);
	return true;
}

/* The library module that declares a name. `models` comes before the modules it re-exports. */
static const struct module *declaring_module(struct sema *s, const char *name, struct span at)
{
	const struct module *found = NULL;
	for (const struct embedded *e = stdlib; e->name; e++) {
		struct module *m = module_std(s, e->name, at);
		if (m && module_own(m, name) && name[0] != '_' && (!found || !strcmp(e->name, "models")))
			found = m;
	}
	return found;
}

static void offer_import(struct sema *s, struct diag *d, uint32_t file, const char *module, const char *name)
{
	struct edit edit = foreign_import(s, file, module, name);
	diag_help(s->sink, d, "add `use %s { %s }`", module, name);
	diag_fix(s->sink, d, edit.at, edit.text);
}

/* Another name in place of the one at `at`, imported if it has to be. */
static void offer_name(struct scope *s, struct diag *d, struct span at, const char *name)
{
	struct sema *sema = s->sema;
	const struct module *m = module_find(sema, s->module, name) ? NULL : declaring_module(sema, name, at);
	struct edit edits[2] = {{at, name}};
	if (m)
		edits[1] = foreign_import(sema, at.file, m->label, name);
	diag_help(sema->sink, d, "did you mean `%s`?", name);
	diag_fix_edits(sema->sink, d, edits, m ? 2 : 1);
}

/* `Llama-3.1-8B`, of which only the first word is a name. */
static bool offer_dashed(struct scope *s, struct diag *d, struct span at)
{
	struct span whole = at;
	const char *name = foreign_dashed(s->sema, at, &whole);
	if (!name || (!module_find(s->sema, s->module, name) && !declaring_module(s->sema, name, at)))
		return false;
	const char *text = s->sema->sink->sources->files.at[at.file].text, *word = foreign_source(s->sema, whole);
	const char *first = strstr(text, word);
	if (first < text + at.lo) { /* in a `use`, which has an edit of its own */
		diag_help(s->sema->sink, d, "did you mean `%s`?", name);
		diag_fix(s->sema->sink, d, whole, name);
	} else {
		offer_name(s, d, whole, name);
	}
	return true;
}

/* A name of the library for one from elsewhere, `H100`, by the field that it is the value of. */
static const char *library_name(struct scope *s, const char *name, struct span at)
{
	const char *kind = foreign_wanted(s->module, name);
	const char *module = !kind                      ? NULL
	                     : !strcmp(kind, "model")   ? "models"
	                     : !strcmp(kind, "plan")    ? "plans"
	                     : !strcmp(kind, "cluster") ? "clusters"
	                                                : NULL;
	return module ? foreign_related(s->sema, module_std(s->sema, module, at), name, kind) : NULL;
}

/* A name from elsewhere: `bfloat16`, `H100`, `TTFT`. */
static bool offer_foreign(struct scope *s, struct diag *d, const char *name, struct span at)
{
	const struct foreign_word *word = foreign_word(s->sema->arena, name);
	const char *meant = foreign_format(name);
	if (!meant && word && !word->engines && word->how == HOW_CLAIM)
		meant = word->word;
	if (!meant)
		meant = library_name(s, name, at);
	if (!meant || !strcmp(meant, name))
		return false;
	offer_name(s, d, at, meant);
	return true;
}

void report_unknown_name(struct scope *s, const char *name, struct span at)
{
	struct sema *sema = s->sema;
	VEC(const char *) known = {0};
	bool partial = s->module->partial;
	for (struct scope *t = s; t; t = t->parent) {
		for (int i = 0; t->record && i < t->record->fields.n && diag_affords(sema->sink, name, 1); i++)
			vec_push(sema->arena, &known, t->record->fields.at[i]->name);
		partial |= t->record && t->record->partial;
	}
	if (partial) /* the item that did not parse may declare it */
		return;
	for (int i = 0; i < s->module->names.n && diag_affords(sema->sink, name, 1); i++)
		vec_push(sema->arena, &known, s->module->names.at[i].name);
	static const char *const values[] = {"true", "false", "none", "auto"};
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		vec_push(sema->arena, &known, values[i]);
	struct diag *d = sema_report(sema, DIAG_E0101, at, "cannot find `%s` in this scope", name);
	const struct module *m = declaring_module(sema, name, at);
	const char *near = nearest_name(name, known.at, known.n);
	if (offer_dashed(s, d, at))
		return;
	if (m)
		offer_import(sema, d, at.file, m->label, name);
	else if (!offer_foreign(s, d, name, at) && !diag_suggest(sema->sink, d, at, near))
		diag_help(sema->sink, d, "neither this file nor the library declares it: declare it, or import it with `use`");
}

/* Does the type `t` alone give `name` a meaning, as a symbol of an enum or a region? */
static bool expected_symbol(const struct node *t, const char *name)
{
	if (type_is(t, "Region"))
		return true;
	for (int i = 0; type_is(t, "enum") && i < t->type.args.n; i++)
		if (type_is(t->type.args.at[i], name))
			return true;
	return false;
}

static bool dtype_named(const char *name, enum dtype *out)
{
	for (int i = 0; i < DTYPE_COUNT; i++)
		if (!strcmp(dtype_name((enum dtype)i), name)) {
			*out = (enum dtype)i;
			return true;
		}
	return false;
}

static bool is_enum(const struct node *t) { return type_is(t, "enum"); }

/* Reports a name that is not a symbol of the expected enum. */
static struct val unknown_symbol(struct scope *s, const struct node *e, const struct node *t)
{
	const char *name = e->ident.name;
	VEC(const char *) known = {0};
	struct text all = {.arena = s->sema->arena};
	if (!t->type.args.n) /* reported with the type */
		return val_bad();
	for (int i = 0; i < t->type.args.n && diag_affords(s->sema->sink, name, 1); i++) {
		const struct path *p = &t->type.args.at[i]->type.path;
		if (!t->type.args.at[i]->type.has_path) /* reported with the type */
			return val_bad();
		vec_push(s->sema->arena, &known, p->at[p->n - 1].name);
		text_add(&all, "%s`%s`", i ? ", " : "", p->at[p->n - 1].name);
	}
	struct diag *d = sema_report(s->sema, DIAG_E0101, e->span, "cannot find `%s` in this scope", name);
	const char *near = nearest_name(name, known.at, known.n);
	if (near) {
		diag_help(s->sema->sink, d, "did you mean `%s`?", near);
		diag_fix(s->sema->sink, d, e->span, near);
	} else if (known.n) {
		diag_help(s->sema->sink, d, "expected one of %s", all.at);
	}
	return val_bad();
}

static struct val eval_name(struct scope *s, const struct node *e, const struct node *expect)
{
	struct val v;
	const char *name = e->ident.name;
	if (expected_symbol(expect, name))
		return (struct val){.kind = V_SYMBOL, .name = name};
	if (dtype_named(name, &v.dtype))
		return (struct val){.kind = V_DTYPE, .dtype = v.dtype};
	if (scope_find(s, name, e->span, &v))
		return v;
	if (is_enum(expect))
		return unknown_symbol(s, e, expect);
	report_unknown_name(s, name, e->span);
	return val_bad();
}

/* ---- members --------------------------------------------------------------------------------- */

const char *dotted_name(struct arena *a, const struct node *e)
{
	if (e->kind == N_ID)
		return e->ident.name;
	const char *head = e->kind == N_DOT ? dotted_name(a, e->dot.x) : NULL;
	return head ? arena_printf(a, "%s.%s", head, e->dot.name.name) : NULL;
}

static struct val module_member(struct sema *s, struct module *m, struct ident name)
{
	VEC(const char *) known = {0};
	if (name.name[0] == '_') {
		struct diag *d = sema_report(s, DIAG_E0103, name.span, "`%s` has no public `%s`", m->label, name.name);
		diag_help(s->sink, d, "names that start with `_` are private");
		return val_bad();
	}
	struct def *found = module_own(m, name.name);
	if (found) {
		refer_def(s, name, found);
		return def_value(s, found);
	}
	for (int i = 0; i < m->own.n && diag_affords(s->sink, name.name, 1); i++)
		vec_push(s->arena, &known, m->own.at[i]->name);
	if (m->partial)
		return val_bad();
	struct diag *d = sema_report(s, DIAG_E0101, name.span, "`%s` declares no `%s`", m->label, name.name);
	const char *near = nearest_name(name.name, known.at, known.n);
	if (near) {
		diag_help(s->sink, d, "did you mean `%s`?", near);
		diag_fix(s->sink, d, name.span, near);
	}
	return val_bad();
}

static struct val member(struct sema *s, struct val base, const struct node *e);

/* `level.count`: the list of all counts; unknown if one of them is. */
static struct val members(struct sema *s, struct val list, const struct node *e)
{
	struct val *at = arena_array(s->arena, struct val, list.list.n + 1);
	for (int i = 0; i < list.list.n; i++) {
		at[i] = member(s, list.list.at[i], e);
		if (at[i].kind == V_BAD || at[i].kind == V_UNKNOWN)
			return at[i];
	}
	return val_list(at, list.list.n);
}

static struct val record_member(struct sema *s, struct record *r, struct ident name)
{
	const struct field *f = record_field(r, name.name);
	if (f)
		refer_field(s, name, f);
	return record_get(r, name.name, name.span);
}

static struct val member(struct sema *s, struct val base, const struct node *e)
{
	const char *name = e->dot.name.name;
	switch (base.kind) {
	case V_BAD:     return base;
	case V_UNKNOWN: return val_unknown(arena_printf(s->arena, "%s.%s", base.name, name));
	case V_AUTO:    return val_unknown("auto");
	case V_MODULE:  return module_member(s, base.module, e->dot.name);
	case V_LIST:    return members(s, base, e);
	case V_RECORD:  return record_member(s, base.record, e->dot.name);
	case V_RANGE:
		if (!strcmp(name, "lo") || !strcmp(name, "hi"))
			return base.range[name[0] == 'h'];
		break;
	default: break;
	}
	struct diag *d = sema_report(s, DIAG_E0203, e->dot.name.span, "`%s` of a value that is not a record", name);
	diag_related(s->sink, d, e->dot.x->span, "this is %s", val_kind_text(s, base));
	return val_bad();
}

static struct val eval_dot(struct scope *s, const struct node *e, const struct node *expect)
{
	const char *region = type_is(expect, "Region") ? dotted_name(s->sema->arena, e) : NULL;
	if (region)
		return (struct val){.kind = V_SYMBOL, .name = names_str(s->sema->names, region)};
	return member(s->sema, eval(s, e->dot.x, NULL), e);
}

static struct val eval_refine(struct scope *s, const struct node *e)
{
	struct val base = eval(s, e->sub2.base, NULL);
	if (base.kind == V_BAD || base.kind == V_UNKNOWN)
		return base;
	if (base.kind != V_RECORD) {
		sema_report(s->sema, DIAG_E0203, e->sub2.base->span, "only a record can be refined, this is %s",
		            val_kind_text(s->sema, base));
		return val_bad();
	}
	struct layer *l = layer_new(s, e->sub2.body, LAYER_REFINE, base.record->name, e->sub2.base->span);
	return (struct val){.kind = V_RECORD, .record = record_refine(base.record, l)};
}

/* ---- literals -------------------------------------------------------------------------------- */

static struct val eval_number(const struct node *e)
{
	long long i;
	double f;
	bool is_int;
	if (!number_value(e->num.text, &i, &f, &is_int))
		internal_error("the parser accepted `%s`", e->num.text);
	return is_int ? val_int(i) : val_float(f);
}

/* Is the dimension of the quantity's unit unclear, as of `TFLOPs`? The parser reported it. */
static bool unclear_dimension(const char *text)
{
	size_t n = strlen(text), at = number_length(text, n);
	at += text[at] == ' ';
	while (at < n) {
		size_t word = unit_word_length(text + at, n - at);
		const struct unit_trap *trap = unit_trap(text + at, word);
		if (trap && trap->code == DIAG_E0304)
			return true;
		at += word ? word : 1;
	}
	return false;
}

static struct val eval_quantity(struct sema *s, const struct node *e)
{
	struct dims dims = {{0}};
	if (unclear_dimension(e->num.text))
		return val_bad();
	double x = quantity_value(e->num.text, &dims);
	if (isfinite(x))
		return val_quantity(x, dims);
	sema_report(s, DIAG_E0008, e->span, "`%.40s%s` is too large for a Float", e->num.text,
	            strlen(e->num.text) > 40 ? "..." : "");
	return val_bad();
}

static struct val eval_list(struct scope *s, const struct node *e, const struct node *expect)
{
	const struct node *element = type_is(expect, "List") ? type_arg(expect, 0) : NULL;
	struct val *at = arena_array(s->sema->arena, struct val, e->list.n + 1);
	bool bad = false;
	for (int i = 0; i < e->list.n; i++) {
		at[i] = eval(s, e->list.at[i], element);
		bad |= at[i].kind == V_BAD;
	}
	return bad ? val_bad() : bounded_list(s->sema, at, e->list.n, e->span);
}

static void no_entry(struct sema *s, const struct record *map, const struct node *e, const char *key)
{
	struct span at = e->call.args.at[0]->span;
	struct text all = {.arena = s->arena};
	const struct index *known = &map->index;
	for (int i = 0; i < known->n; i++)
		text_add(&all, "%s`%s`", i ? ", " : "", known->name[i]);
	struct diag *d = sema_report(s, DIAG_E0201, at, "the map has no entry `%s`", key);
	diag_related(s->sink, d, e->call.f->span, "the map");
	if (known->n)
		diag_note(s->sink, d, "its entries: %s", all.at);
	diag_suggest(s->sink, d, at, nearest_name(key, known->name, known->n));
}

/* `peak[f16]`. As in the map itself, the key is not a name to be looked up. */
static struct val map_entry(struct scope *s, struct record *map, const struct node *e)
{
	const struct node *arg = e->call.args.n == 1 ? e->call.args.at[0] : NULL;
	const char *key = arg ? dotted_name(s->sema->arena, arg) : NULL;
	if (!key) {
		sema_report(s->sema, DIAG_E0203, e->span, "`[ ]` of a map needs one key, as it is written in the map");
		return val_bad();
	}
	if (map->partial || record_field(map, key))
		return record_field(map, key) ? record_member(s->sema, map, (struct ident){key, arg->span}) : val_bad();
	no_entry(s->sema, map, e, key);
	return val_bad();
}

static struct val eval_index(struct scope *s, const struct node *e)
{
	struct sema *sema = s->sema;
	struct val list = eval(s, e->call.f, NULL);
	if (list.kind == V_RECORD && record_is_map(list.record))
		return map_entry(s, list.record, e);
	struct val i = e->call.args.n == 1 ? eval(s, e->call.args.at[0], NULL) : val_none();
	if (list.kind == V_BAD || i.kind == V_BAD)
		return val_bad();
	if (list.kind == V_UNKNOWN || i.kind == V_UNKNOWN)
		return list.kind == V_UNKNOWN ? list : i;
	if (list.kind != V_LIST)
		sema_report(sema, DIAG_E0203, e->call.f->span, "`[ ]` needs a list or a map, found %s",
		            val_kind_text(sema, list));
	else if (e->call.args.n != 1 || i.kind != V_INT)
		sema_report(sema, DIAG_E0203, e->span, "`[ ]` needs one Int, the index of an element");
	else if (i.i >= 0 && i.i < list.list.n)
		return list.list.at[i.i];
	else
		sema_report(sema, DIAG_E0203, e->span, "element %lld of a list of %d: elements are counted from 0",
		            (long long)i.i, list.list.n);
	return val_bad();
}

/* ---- choices --------------------------------------------------------------------------------- */

bool eval_condition(struct sema *s, struct val v, struct span at)
{
	if (v.kind != V_BOOL && v.kind != V_BAD && v.kind != V_UNKNOWN)
		sema_report(s, DIAG_E0203, at, "a condition is a Bool, found %s", val_kind_text(s, v));
	return v.kind == V_BOOL;
}

static struct val eval_if(struct scope *s, const struct node *e, const struct node *expect)
{
	struct val c = eval(s, e->cond.c, NULL);
	if (!eval_condition(s->sema, c, e->cond.c->span))
		return c.kind == V_UNKNOWN ? c : val_bad();
	return eval(s, c.b ? e->cond.a : e->cond.b, expect);
}

struct val negated(struct sema *s, struct val v, struct span at)
{
	double x;
	if (val_number(v, &x) || v.kind == V_BAD || v.kind == V_UNKNOWN || v.kind == V_AUTO)
		return arith(s, B_MUL, val_int(-1), v, at);
	sema_report(s, DIAG_E0203, at, "`-` is not defined on %s", val_kind_text(s, v));
	return val_bad();
}

static struct val eval_not(struct scope *s, const struct node *e)
{
	struct val c = eval(s, e->one.x, NULL);
	if (!eval_condition(s->sema, c, e->one.x->span))
		return c.kind == V_UNKNOWN ? c : val_bad();
	return val_bool(!c.b);
}

/* planner/goals.c reads those of goals. */
static struct val eval_per(struct scope *s, const struct node *e)
{
	sema_report(s->sema, DIAG_E0203, e->span, "`per` has a meaning only in the goals of a deployment");
	return val_bad();
}

static struct val no_meaning(struct scope *s, const struct node *e)
{
	bool tensor = e->kind == N_CONTRACT || e->kind == N_LABEL || e->kind == N_ARG_ARROW;
	sema_report(s->sema, DIAG_E0203, e->span,
	            tensor ? "this belongs in the program of a model, a block or an op" : "this has no meaning here");
	return val_bad();
}

/* Asks the hook of the innermost scope that has one, for every node. Scopes of records have none. */
static bool hooked(struct scope *s, const struct node *e, const struct node *expect, struct val *out)
{
	for (struct scope *t = s; t; t = t->parent)
		if (t->expr || t->record)
			return t->expr && t->expr(t, e, expect, out);
	return false;
}

struct val eval(struct scope *s, const struct node *e, const struct node *expect)
{
	struct val v;
	if (hooked(s, e, expect, &v))
		return v;
	switch (e->kind) {
	case N_NUM:    return eval_number(e);
	case N_QTY:    return eval_quantity(s->sema, e);
	case N_STR:    return (struct val){.kind = V_STRING, .name = e->text};
	case N_TRUE:
	case N_FALSE:  return val_bool(e->kind == N_TRUE);
	case N_NONE:   return val_none();
	case N_AUTO:   return (struct val){.kind = V_AUTO};
	case N_ID:     return eval_name(s, e, expect);
	case N_DOT:    return eval_dot(s, e, expect);
	case N_LIST:   return eval_list(s, e, expect);
	case N_INDEX:  return eval_index(s, e);
	case N_REFINE: return eval_refine(s, e);
	case N_IF:     return eval_if(s, e, expect);
	case N_NOT:    return eval_not(s, e);
	case N_NEG:    return negated(s->sema, eval(s, e->one.x, NULL), e->span);
	case N_PER:    return eval_per(s, e);
	case N_BIN:    return eval_binary(s, e, expect);
	case N_CALL:   return eval_call(s, e);
	case N_ERROR:  return val_bad();
	default:       return no_meaning(s, e);
	}
}
