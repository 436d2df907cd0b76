/* Computes fields from values of the file. Each entry of `config` is an equation. It determines a field that is alone
 * on its right side, or the only unknown field of a sum, difference, product or quotient of numbers. All other entries
 * are only compared, once the model is known; a field that only they name is a mistake. */
#include "internal.h"
#include <math.h>
#include <string.h>

enum { MAX_DEPTH = 40 }; /* length of a chain of derived fields */

/* ---- what is known --------------------------------------------------------------------------- */

/* The expression of a derived field, which no file sets, or NULL. */
static const struct node *derived(struct import *m, const struct node *e)
{
	const struct field *f = e->kind == N_ID ? record_field(m->record, names_str(m->sema->names, e->ident.name)) : NULL;
	return f && f->sort == FIELD_DERIVED ? f->init : NULL;
}

/* The number that the file has for exactly this expression. */
static bool said_number(struct import *m, const struct node *e, double *x)
{
	const char *text = node_text(m, e);
	for (int i = 0; i < m->entries.n; i++) {
		const struct entry *said = &m->entries.at[i];
		json_t *v = said->there ? json_at(m->root, said->name) : NULL;
		if (json_is_number(v) && !strcmp(said->text, text)) {
			*x = json_number_value(v);
			return true;
		}
	}
	return false;
}

static double literal_number(const struct node *e)
{
	long long i = 0;
	double f = 0;
	bool is_int = false;
	if (!number_value(e->num.text, &i, &f, &is_int))
		internal_error("the parser accepted `%s`", e->num.text);
	return is_int ? (double)i : f;
}

static bool element_number(struct import *m, const struct node *e, double *x)
{
	const struct node *list = e->call.f, *at = e->call.args.n == 1 ? e->call.args.at[0] : NULL;
	const struct setting *s = list->kind == N_ID ? setting_of(m, list->ident.name) : NULL;
	if (!s || !s->list || !at || at->kind != N_NUM)
		return false;
	json_t *v = json_array_get(s->list, (size_t)literal_number(at));
	*x = json_number_value(v);
	return json_is_number(v);
}

static bool known_number(struct import *m, const struct node *e, int depth, double *x);

static bool known_pair(struct import *m, const struct node *e, int depth, double *x)
{
	double a, b;
	if (!known_number(m, e->bin.a, depth, &a) || !known_number(m, e->bin.b, depth, &b))
		return false;
	switch (e->bin.op) {
	case B_ADD: *x = a + b; return true;
	case B_SUB: *x = a - b; return true;
	case B_MUL: *x = a * b; return true;
	case B_DIV: *x = a / b; return b != 0;
	default:    return false;
	}
}

/* The value of an expression of numbers, decided fields and values of the file. */
static bool known_number(struct import *m, const struct node *e, int depth, double *x)
{
	const struct setting *s = e->kind == N_ID ? setting_of(m, e->ident.name) : NULL;
	const struct node *inner = depth < MAX_DEPTH ? derived(m, e) : NULL;
	if (s && s->is_number) {
		*x = s->number;
		return true;
	}
	if (e->kind == N_NUM) {
		*x = literal_number(e);
		return true;
	}
	if (e->kind != N_ID && said_number(m, e, x))
		return true;
	if (inner)
		return known_number(m, inner, depth + 1, x);
	if (e->kind == N_NEG && known_number(m, e->one.x, depth, x)) {
		*x = -*x;
		return true;
	}
	if (e->kind == N_INDEX)
		return element_number(m, e, x);
	return e->kind == N_BIN && known_pair(m, e, depth, x);
}

/* ---- equations ------------------------------------------------------------------------------- */

static const char *isolate(struct import *m, const struct node *e, int depth, double value, double *x);

/* Solves value = a op b, where one side is known. */
static const char *isolate_side(struct import *m, const struct node *e, int depth, double value, double *x)
{
	const struct node *a = e->bin.a, *b = e->bin.b;
	double known;
	bool second = known_number(m, b, depth, &known);
	if (!second && !known_number(m, a, depth, &known))
		return NULL;
	const struct node *open = second ? a : b;
	switch (e->bin.op) {
	case B_ADD: return isolate(m, open, depth, value - known, x);
	case B_SUB: return isolate(m, open, depth, second ? value + known : known - value, x);
	case B_MUL: return known != 0 ? isolate(m, open, depth, value / known, x) : NULL;
	case B_DIV: return second || value != 0 ? isolate(m, open, depth, second ? value * known : known / value, x) : NULL;
	default:    return NULL;
	}
}

/* The field that must be *x if the expression is `value`; NULL if none follows. */
static const char *isolate(struct import *m, const struct node *e, int depth, double value, double *x)
{
	const struct node *inner = depth < MAX_DEPTH ? derived(m, e) : NULL;
	if (inner)
		return isolate(m, inner, depth + 1, value, x);
	if (e->kind == N_NEG)
		return isolate(m, e->one.x, depth, -value, x);
	if (e->kind == N_BIN)
		return isolate_side(m, e, depth, value, x);
	*x = value;
	return e->kind == N_ID && is_field(m, e->ident.name) && !setting_of(m, e->ident.name) ? e->ident.name : NULL;
}

static bool solve_number(struct import *m, const struct node *e, double value)
{
	double x;
	const char *field = isolate(m, e, 0, value, &x);
	return field && fits_field(m, field, &x) && set_number(m, field, x);
}

static bool solve_entry(struct import *m, const struct entry *e)
{
	json_t *v = e->there ? json_at(m->root, e->name) : NULL;
	if (!v)
		return e->is_null && e->value->kind == N_ID && is_optional(m, e->value->ident.name)
		       && set_text(m, e->value->ident.name, "none");
	if (e->value->kind == N_ID && !json_is_number(v))
		return set_json(m, e->value->ident.name, v);
	return json_is_number(v) && solve_number(m, e->value, json_number_value(v));
}

/* ---- what the file leaves out ---------------------------------------------------------------- */

static bool one_of_its_names_is_there(struct import *m, const char *text)
{
	for (int i = 0; i < m->entries.n; i++)
		if (m->entries.at[i].there && !strcmp(m->entries.at[i].text, text))
			return true;
	return false;
}

/* The value of a name in a map, in any branch of its `when`, or NULL. */
static const struct node *value_in(struct import *m, struct nodes items, const char *name)
{
	for (int i = 0; i < items.n; i++) {
		const struct node *item = items.at[i], *found = NULL;
		if (item->kind == N_SET && !strcmp(dotted(m, item->set.path), name))
			return item->set.value;
		if (item->kind == N_WHEN)
			found = value_in(m, item->when.then, name);
		if (item->kind == N_WHEN && !found)
			found = value_in(m, item->when.other, name);
		if (found)
			return found;
	}
	return NULL;
}

/* What it means when a file lacks a name: the expression in the family's `absent`, or NULL. The name is of a branch of
 * `config` that the file agrees with, so `absent` has it in the same branch. */
static const struct node *meant_by_absence(struct import *m, const char *name)
{
	return value_in(m, family_map(m->family->node, "absent"), name);
}

/* Solves an entry that the file lacks: its value is the one that absence means. */
static bool solve_absent(struct import *m, const struct entry *e)
{
	const struct node *meant = e->there ? NULL : meant_by_absence(m, e->name);
	double x;
	if (!meant || one_of_its_names_is_there(m, e->text))
		return false;
	if (known_number(m, meant, 0, &x))
		return solve_number(m, e->value, x);
	return e->value->kind == N_ID && is_literal(meant) && set_text(m, e->value->ident.name, node_text(m, meant));
}

/* ---- fields that stay open ------------------------------------------------------------------- */

struct open_fields {
	struct import *m;
	VEC(const char *) at;
};

static void add_open(struct open_fields *o, const char *field)
{
	for (int i = 0; i < o->at.n; i++)
		if (!strcmp(o->at.at[i], field))
			return;
	vec_push(o->m->arena, &o->at, field);
}

static void find_open(struct open_fields *o, const struct node *e, int depth);

static void find_open_in(struct open_fields *o, struct nodes list, int depth)
{
	for (int i = 0; i < list.n; i++)
		find_open(o, list.at[i], depth);
}

/* The fields of an expression that nothing decided. */
static void find_open(struct open_fields *o, const struct node *e, int depth)
{
	const struct node *inner = depth < MAX_DEPTH ? derived(o->m, e) : NULL;
	switch (e->kind) {
	case N_ID:
		if (inner)
			find_open(o, inner, depth + 1);
		else if (is_field(o->m, e->ident.name) && !setting_of(o->m, e->ident.name))
			add_open(o, e->ident.name);
		break;
	case N_NEG:
	case N_NOT: find_open(o, e->one.x, depth); break;
	case N_BIN:
		find_open(o, e->bin.a, depth);
		find_open(o, e->bin.b, depth);
		break;
	case N_IF:
		find_open(o, e->cond.c, depth);
		find_open(o, e->cond.a, depth);
		find_open(o, e->cond.b, depth);
		break;
	case N_LIST: find_open_in(o, e->list, depth); break;
	case N_INDEX:
		find_open(o, e->call.f, depth);
		/* fall through */
	case N_CALL: find_open_in(o, e->call.args, depth); break;
	default:     break;
	}
}

/* Reports a field that cannot have the value that follows from an entry. */
static bool report_misfit(struct import *m, const struct entry *e)
{
	double x;
	json_t *v = json_at(m->root, e->name);
	const char *field = json_is_number(v)        ? isolate(m, e->value, 0, json_number_value(v), &x)
	                    : e->value->kind == N_ID ? e->value->ident.name
	                                             : NULL;
	if (!field)
		return false;
	complain("%s: %s is %s, and `%s` of %s cannot be %s", m->source, e->name, json_value_text(m->arena, v), field,
	         m->family->name, json_is_number(v) ? arena_printf(m->arena, "%.15g", x) : "that");
	return true;
}

/* Reports an entry of the file with fields that it does not decide. */
static bool report_unsolved(struct import *m, const struct entry *e, const struct open_fields *o)
{
	struct text names = {.arena = m->arena};
	for (int i = 0; i < o->at.n; i++)
		text_add(&names, "%s`%s`", i ? " and " : "", o->at.at[i]);
	struct diag *d =
		sema_report(m->sema, DIAG_E0207, e->value->span, "%s cannot be found from `%s`", names.at, e->text);
	diag_note(m->sema->sink, d, "%s: %s is %s", m->source, e->name,
	          json_value_text(m->arena, json_at(m->root, e->name)));
	diag_help(m->sema->sink, d, "let another name of `config`, or `absent`, give %s",
	          o->at.n > 1 ? "one of them" : "it");
	return true;
}

static bool report_missing(struct import *m, const struct entry *e, const struct open_fields *o)
{
	complain("%s: %s is missing, and %s does not say in `absent` what that means for `%s`", m->source, e->name,
	         m->family->name, o->at.at[0]);
	return true;
}

enum why { MISFIT, UNSOLVED, MISSING };

/* Reports each open field once, at the first entry that names it. */
static bool report_open(struct import *m, enum why why)
{
	bool any = false;
	for (int i = 0; i < m->entries.n; i++) {
		const struct entry *e = &m->entries.at[i];
		struct open_fields o = {.m = m};
		if (e->there == (why != MISSING))
			find_open(&o, e->value, 0);
		if (!o.at.n
		    || !(why == MISFIT     ? report_misfit(m, e)
		         : why == UNSOLVED ? report_unsolved(m, e, &o)
		                           : report_missing(m, e, &o)))
			continue;
		any = true;
		for (int k = 0; k < o.at.n; k++)
			set_text(m, o.at.at[k], "none");
	}
	return any;
}

bool solve(struct import *m)
{
	for (bool progress = true; progress;) {
		progress = false;
		for (int i = 0; i < m->entries.n; i++)
			progress |= solve_entry(m, &m->entries.at[i]);
		for (int i = 0; i < m->entries.n && !progress; i++)
			progress |= solve_absent(m, &m->entries.at[i]);
	}
	bool good = decoder_settings(m);
	return !report_open(m, MISFIT) && !report_open(m, UNSOLVED) && !report_open(m, MISSING) && good;
}
