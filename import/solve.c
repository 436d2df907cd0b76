/* Fields of the model from values of the file: `hidden_size = d_model` gives d_model, `num_attention_heads = kv_heads *
 * q_group` gives the factor that is not known yet. What is more than that stays open, and is compared afterwards. */
#include "internal.h"
#include <math.h>
#include <string.h>

struct setting *setting_of(struct import *m, const char *field)
{
	for (int i = 0; i < m->settings.n; i++)
		if (!strcmp(m->settings.at[i].field, field))
			return &m->settings.at[i];
	return NULL;
}

static bool is_field(struct import *m, const char *name)
{
	const struct field *f = record_field(m->record, names_str(m->sema->names, name));
	return f && (f->sort == FIELD_PLAIN || f->sort == FIELD_AXIS);
}

/* An Int of the model where the file says 8.0. */
static const char *text_for(struct import *m, const char *field, json_t *v)
{
	const struct field *f = record_field(m->record, names_str(m->sema->names, field));
	double x = json_number_value(v);
	bool wants_int = f->sort == FIELD_AXIS || (f->type && f->type->kind == N_TYPE && f->type->type.path.n && !strcmp(f->type->type.path.at[0].name, "Int"));
	if (!wants_int || !json_is_real(v) || x != floor(x) || fabs(x) > 1e15)
		return json_deploy_text(m->arena, v);
	json_t *whole = json_integer((json_int_t)x);
	const char *text = json_deploy_text(m->arena, whole);
	json_decref(whole);
	return text;
}

static bool set(struct import *m, const char *field, json_t *v)
{
	if (!is_field(m, field) || setting_of(m, field))
		return false;
	struct setting s = {.field = field, .text = text_for(m, field, v), .is_number = json_is_number(v), .number = json_number_value(v)};
	if (s.text)
		vec_push(m->arena, &m->settings, s);
	return s.text != NULL;
}

/* The literal of a condition as the value of a field: `rope_factor != 1.0` does not hold, so rope_factor is 1.0. */
static void set_literal(struct import *m, const char *field, const struct node *literal)
{
	struct setting s = {.field = field, .text = node_text(m, literal)};
	if (is_field(m, field) && !setting_of(m, field))
		vec_push(m->arena, &m->settings, s);
}

void assume(struct import *m, const struct node *c, bool holds)
{
	struct setting s = {.text = holds ? "true" : "false"};
	if (c->kind == N_NOT) {
		assume(m, c->one.x, !holds);
	} else if (c->kind == N_ID && is_field(m, c->ident.name) && !setting_of(m, c->ident.name)) {
		s.field = c->ident.name;
		vec_push(m->arena, &m->settings, s);
	} else if (c->kind == N_BIN && (c->bin.op == B_EQ || c->bin.op == B_NE) && (c->bin.op == B_EQ) == holds
	           && c->bin.a->kind == N_ID && is_literal(c->bin.b)) {
		set_literal(m, c->bin.a->ident.name, c->bin.b);
	}
}

/* ---- products ------------------------------------------------------------------------------------------------------ */

struct product { double known; const char *unknown; int n_unknown; bool other; };       /* other: more than fields and products */

static void read_factor(struct import *m, const struct node *e, struct product *p)
{
	const struct setting *s = e->kind == N_ID ? setting_of(m, e->ident.name) : NULL;
	if (e->kind == N_BIN && e->bin.op == B_MUL) {
		read_factor(m, e->bin.a, p);
		read_factor(m, e->bin.b, p);
	} else if (s && s->is_number) {
		p->known *= s->number;
	} else if (e->kind == N_ID && is_field(m, e->ident.name)) {
		p->unknown = e->ident.name;
		p->n_unknown++;
	} else {
		p->other = true;
	}
}

static bool solve_product(struct import *m, const struct node *value, json_t *v)
{
	struct product p = {.known = 1};
	read_factor(m, value, &p);
	double quotient = json_number_value(v) / p.known;
	if (p.other || p.n_unknown != 1 || quotient != floor(quotient) || !(quotient >= 1 && quotient <= 1e15))
		return false;
	json_t *whole = json_integer((json_int_t)quotient);
	bool done = set(m, p.unknown, whole);
	json_decref(whole);
	return done;
}

static bool solve_entry(struct import *m, const struct entry *e)
{
	json_t *v = e->there ? json_at(m->root, e->name) : NULL;
	if (!v)
		return false;
	if (e->value->kind == N_ID)
		return set(m, e->value->ident.name, v);
	return e->value->kind == N_BIN && json_is_number(v) && solve_product(m, e->value, v);
}

/* ---- what every decoder has ---------------------------------------------------------------------------------------- */

static const char *const formats[][2] = {{"float32", "f32"}, {"bfloat16", "bf16"}, {"float16", "f16"}};
/* Not among a family's entries, because a launcher may run with another length and in another format. */
static const char *const decoder_names[] = {"max_position_embeddings", "dtype", "torch_dtype"};

static const char *format_of(const char *name)
{
	for (size_t i = 0; name && i < sizeof formats / sizeof *formats; i++)
		if (!strcmp(formats[i][0], name))
			return formats[i][1];
	return NULL;
}

bool decoder_reads(const char *name)
{
	for (size_t i = 0; i < sizeof decoder_names / sizeof *decoder_names; i++)
		if (!strcmp(decoder_names[i], name))
			return true;
	return false;
}

void decoder_settings(struct import *m)
{
	static const char *const fields[] = {"weight", "act", "kv"};
	json_t *length = json_at(m->root, "max_position_embeddings"), *type = json_at(m->root, "dtype");
	const char *format = format_of(json_string_value(type ? type : json_at(m->root, "torch_dtype")));
	if (json_is_integer(length))
		set(m, "max_ctx", length);
	for (int i = 0; format && i < 3; i++) {
		struct setting s = {.field = fields[i], .text = format};
		vec_push(m->arena, &m->settings, s);
	}
}

/* ---- the whole ----------------------------------------------------------------------------------------------------- */

static bool one_of_its_names_is_there(struct import *m, const char *text)
{
	for (int i = 0; i < m->entries.n; i++)
		if (m->entries.at[i].there && !strcmp(node_text(m, m->entries.at[i].value), text))
			return true;
	return false;
}

/* What the family says that a file without a name means: the expression in `absent { name = ... }`, or NULL. */
static const struct node *meant_by_absence(struct import *m, const char *name)
{
	struct nodes items = family_map(m->family->node, "absent");
	for (int i = 0; i < items.n; i++)
		if (items.at[i]->kind == N_SET && !strcmp(dotted(m, items.at[i]->set.path), name))
			return items.at[i]->set.value;
	return NULL;
}

/* The field of an entry that the file lacks has what the absence means. */
static void solve_absent(struct import *m, const struct entry *e)
{
	const struct node *meant = e->there ? NULL : meant_by_absence(m, e->name);
	if (!meant || e->value->kind != N_ID || one_of_its_names_is_there(m, e->value->ident.name))
		return;
	struct setting s = {.field = e->value->ident.name, .text = node_text(m, meant)};
	if (is_field(m, s.field) && !setting_of(m, s.field))
		vec_push(m->arena, &m->settings, s);
}

static void note_absent(struct import *m, const struct entry *e)
{
	const char *text = node_text(m, e->value);
	if (is_literal(e->value) || one_of_its_names_is_there(m, text) || meant_by_absence(m, e->name) || (e->value->kind == N_ID && setting_of(m, text)))
		return;
	for (int i = 0; i < m->absent.n; i++)
		if (!strcmp(m->absent.at[i], text))
			return;
	vec_push(m->arena, &m->absent, text);
}

void solve(struct import *m)
{
	for (bool progress = true; progress;) {
		progress = false;
		for (int i = 0; i < m->entries.n; i++)
			progress |= solve_entry(m, &m->entries.at[i]);
	}
	for (int i = 0; i < m->entries.n; i++)
		solve_absent(m, &m->entries.at[i]);
	for (int i = 0; i < m->entries.n; i++)
		note_absent(m, &m->entries.at[i]);
	decoder_settings(m);
}
