/* The settings of a deployment: the values of its fields, and where its rules place axes. */
#include "deploy.h"
#include <string.h>

/* Records within records that are listed. Deeper ones are those that refer to each other. */
enum { MAX_DEPTH = 8 };

struct listing {
	struct sema *sema;
	VEC(struct deploy_setting) out;
};

/* All digits, so that two values have one text only if they are equal. */
static const char *whole_text(struct sema *s, struct val v)
{
	const char *exact = val_exact(s->arena, v);
	return exact ? arena_printf(s->arena, "%s (%s)", val_show(s, v), exact) : val_show(s, v);
}

static void add(struct listing *l, const char *path, const char *text)
{
	struct deploy_setting setting = {path, text};
	vec_push(l->sema->arena, &l->out, setting);
}

static void list_fields(struct listing *l, const char *prefix, const struct record *r, int depth);

static const char *below(struct listing *l, const char *prefix, const char *name)
{
	return *prefix ? arena_printf(l->sema->arena, "%s.%s", prefix, name) : name;
}

static void list_value(struct listing *l, const char *path, struct val v, int depth)
{
	if (v.kind == V_BAD)
		return;
	bool records = v.kind == V_LIST && v.list.n && v.list.at[0].kind == V_RECORD;
	if (!records)
		add(l, path, whole_text(l->sema, v));
	if (v.kind == V_RECORD)
		list_fields(l, path, v.record, depth + 1);
	for (int i = 0; records && i < v.list.n; i++) {
		const struct val *element = &v.list.at[i];
		const char *name = element->kind == V_RECORD && element->record->name ? element->record->name
		                                                                      : arena_printf(l->sema->arena, "%d", i);
		list_value(l, below(l, path, name), *element, depth);
	}
}

/* Elements of a list are fields too; they are listed with the list. */
static void list_fields(struct listing *l, const char *prefix, const struct record *r, int depth)
{
	for (int i = 0; i < r->fields.n && depth <= MAX_DEPTH; i++) {
		const struct field *f = r->fields.at[i];
		if (f->progress == FIELD_DONE && f->sort != FIELD_ELEMENT)
			list_value(l, below(l, prefix, f->name), f->value, depth);
	}
}

static void list_rule(struct listing *l, const struct deploy *d, const struct rule *r)
{
	struct arena *a = l->sema->arena;
	add(l, deploy_rule_path(a, d, r), deploy_rule_target(a, d, r));
}

const struct deploy_setting *sema_settings(const struct deploy *d, int *n)
{
	struct listing l = {.sema = d->record->sema};
	list_fields(&l, "", d->record, 0);
	for (int i = 0; i < d->rules.n && d->program; i++)
		list_rule(&l, d, &d->rules.at[i]);
	*n = l.out.n;
	return l.out.at;
}
