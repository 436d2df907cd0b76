/* Fields of the model that the file decides, as they will be written. */
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

static const struct field *field_of(struct import *m, const char *name)
{
	return record_field(m->record, names_str(m->sema->names, name));
}

bool is_field(struct import *m, const char *name)
{
	const struct field *f = field_of(m, name);
	return f && (f->sort == FIELD_PLAIN || f->sort == FIELD_AXIS);
}

/* Is the field an Int, or a list of Ints? */
static bool holds_ints(struct import *m, const struct field *f)
{
	return f->sort == FIELD_AXIS || (f->type && strstr(type_text(m->sema, f->type), "Int"));
}

bool is_optional(struct import *m, const char *name)
{
	const struct field *f = field_of(m, name);
	return f && f->type && f->type->kind == N_TYPE && f->type->type.opt;
}

bool fits_field(struct import *m, const char *name, double *x)
{
	const struct field *f = field_of(m, name);
	bool whole = holds_ints(m, f), close = fabs(*x - round(*x)) <= 1e-9 * fmax(1, fabs(*x));
	*x = whole && close ? round(*x) : *x;
	return fabs(*x) <= 1e15 && (!whole || close) && (f->sort != FIELD_AXIS || *x >= 1);
}

/* The text for a field: an Int even if the file has 8.0; lists in brackets. */
static const char *text_for(struct import *m, const struct field *f, json_t *v)
{
	double x = json_number_value(v);
	struct text out = {.arena = m->arena};
	if (json_is_array(v)) {
		text_add(&out, "[");
		for (size_t i = 0; i < json_array_size(v); i++) {
			json_t *one = json_array_get(v, i);
			const char *element = json_is_array(one) ? NULL : text_for(m, f, one);
			if (!element)
				return NULL;
			text_add(&out, "%s%s", i ? ", " : "", element);
		}
		text_add(&out, "]");
		return out.at;
	}
	if (!holds_ints(m, f) || !json_is_real(v) || x != floor(x) || fabs(x) > 1e15)
		return json_deploy_text(m->arena, v);
	json_t *whole = json_integer((json_int_t)x);
	const char *text = json_deploy_text(m->arena, whole);
	json_decref(whole);
	return text;
}

/* Is the value a number or a list, as the field requires? Other types are checked with the model. */
static bool accepts(struct import *m, const struct field *f, const json_t *v)
{
	const char *type = f->sort == FIELD_AXIS ? "Int" : f->type ? type_text(m->sema, f->type) : "";
	bool number = !strncmp(type, "Int", 3) || !strncmp(type, "Float", 5), list = !strncmp(type, "List", 4);
	return (!number || json_is_number(v)) && (!list || json_is_array(v));
}

bool set_json(struct import *m, const char *field, json_t *v)
{
	if (!is_field(m, field) || setting_of(m, field) || !accepts(m, field_of(m, field), v))
		return false;
	struct setting s = {.field = field,
	                    .text = text_for(m, field_of(m, field), v),
	                    .is_number = json_is_number(v),
	                    .number = json_number_value(v)};
	s.list = json_is_array(v) ? v : NULL;
	if (s.text)
		vec_push(m->arena, &m->settings, s);
	return s.text != NULL;
}

bool set_number(struct import *m, const char *field, double x)
{
	json_t *v = x == floor(x) ? json_integer((json_int_t)x) : json_real(x);
	bool done = set_json(m, field, v);
	json_decref(v);
	return done;
}

bool set_text(struct import *m, const char *field, const char *text)
{
	struct setting s = {.field = field, .text = text};
	if (!is_field(m, field) || setting_of(m, field))
		return false;
	vec_push(m->arena, &m->settings, s);
	return true;
}

/* ---- conditions ------------------------------------------------------------------------------ */

/* Decides a field from a condition: if `rope_factor != 1.0` does not hold, rope_factor is 1.0. */
void assume(struct import *m, const struct node *c, bool holds)
{
	const struct node *a = c->kind == N_BIN ? c->bin.a : NULL;
	if (c->kind == N_NOT)
		assume(m, c->one.x, !holds);
	else if (c->kind == N_ID)
		set_text(m, c->ident.name, holds ? "true" : "false");
	else if (a && c->bin.op == (holds ? B_EQ : B_NE) && a->kind == N_ID && is_literal(c->bin.b))
		set_text(m, a->ident.name, node_text(m, c->bin.b));
}

/* ---- what every decoder has ------------------------------------------------------------------ */

static const char *const formats[][2] = {{"float32", "f32"}, {"bfloat16", "bf16"}, {"float16", "f16"}};
/* No family has entries for these, because a launcher may run with another length and in another format. */
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

static bool decoder_refuses(struct import *m, const char *name, json_t *v, const char *wanted)
{
	complain("%s: %s is %s, not %s", m->source, name, json_value_text(m->arena, v), wanted);
	return false;
}

bool decoder_settings(struct import *m)
{
	static const char *const fields[] = {"weight", "act", "kv"};
	json_t *length = json_at(m->root, "max_position_embeddings"), *newer = json_at(m->root, "dtype");
	json_t *type = newer ? newer : json_at(m->root, "torch_dtype");
	const char *format = format_of(json_string_value(type));
	bool good = true;
	double x = json_number_value(length);
	if (length
	    && !(json_is_number(length) && x >= 1 && fits_field(m, "max_ctx", &x)
	         && (setting_of(m, "max_ctx") || set_number(m, "max_ctx", x))))
		good = decoder_refuses(m, "max_position_embeddings", length, "a number of positions");
	if (type && !format)
		good = decoder_refuses(m, newer ? "dtype" : "torch_dtype", type, "float32, bfloat16 or float16");
	for (int i = 0; format && i < 3; i++)
		set_text(m, fields[i], format);
	return good;
}
