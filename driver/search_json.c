/* A search as JSON: docs/json.md. */
#include <math.h>
#include "../planner/metrics_text.h"
#include "../support/json.h"
#include "search.h"

static void set(json_t *object, const char *name, json_t *value) { json_object_set_new(object, name, value); }

static json_t *pair(double low, double high)
{
	json_t *array = json_array();
	json_array_append_new(array, json_figure(low));
	json_array_append_new(array, json_figure(high));
	return array;
}

static json_t *estimate_json(const struct estimate *e)
{
	json_t *o = json_object();
	set(o, "value", json_figure(e->value));
	set(o, "interval80", isnan(e->value) ? json_null() : pair(e->low80, e->high80));
	set(o, "interval90", isnan(e->value) ? json_null() : pair(e->low90, e->high90));
	set(o, "bound", json_figure(e->bound));
	set(o, "lacks", json_text_or_null(e->lacks));
	return o;
}

static const char *kind_name(const struct preference *p)
{
	return p->kind == PREFER ? "prefer" : p->kind == MAXIMIZE ? "maximize" : "minimize";
}

static json_t *values_json(const struct search *s, const struct candidate *c)
{
	json_t *o = json_object();
	for (int i = 0; i < s->knobs.n; i++)
		set(o, s->knobs.at[i].path, c->value[i] < 0 ? json_null() : json_text(s->knobs.at[i].values.at[c->value[i]]));
	return o;
}

static json_t *order_json(const struct search *s, const struct candidate *c)
{
	json_t *array = json_array();
	for (int i = 0; i < s->n_preferences; i++) {
		const struct preference *p = &c->preference[i];
		json_t *o = json_object();
		set(o, "kind", json_text(kind_name(p)));
		set(o, "text", json_text(p->text));
		set(o, "value", json_figure(p->value));
		set(o, "bound", json_boolean(p->bound));
		json_array_append_new(array, o);
	}
	return array;
}

static json_t *plan_object(const struct search *s, const struct candidate *c)
{
	json_t *o = json_object(), *metrics = json_object();
	for (int i = 0; i < METRICS; i++)
		set(metrics, metric_name((enum metric)i), estimate_json(&c->of[i]));
	set(o, "values", values_json(s, c));
	set(o, "choice", json_text(search_choice(s, c, "; ")));
	set(o, "ranks", json_figure(c->gpus));
	set(o, "peak", json_figure(c->peak));
	set(o, "open", json_integer(c->n_open));
	set(o, "order", order_json(s, c));
	set(o, "metrics", metrics);
	return o;
}

static json_t *refused_json(const struct search *s)
{
	json_t *o = json_object();
	for (int i = 0; i < DIAG_COUNT; i++)
		if (s->counts[i])
			set(o, diag_code_name((enum diag_code)i), json_integer(s->counts[i]));
	return o;
}

static json_t *plans_json(const struct search *s, const int *index, int n)
{
	json_t *array = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(array, plan_object(s, &s->all.at[index[i]]));
	return array;
}

void search_json(const struct search *s)
{
	json_t *document = json_document("deployc-search", SEARCH_JSON_VERSION), *fields = json_array();
	int *front = arena_array(s->arena, int, s->n_hold + 1), n = search_front(s, front);
	for (int i = 0; i < s->knobs.n; i++)
		json_array_append_new(fields, json_text(s->knobs.at[i].path));
	set(document, "spec", json_text(s->compilation.label));
	set(document, "deploy", json_text(s->deploy->name));
	set(document, "fields", fields);
	set(document, "plans", json_integer(s->all.n));
	set(document, "refused", refused_json(s));
	set(document, "holds", json_integer(s->n_hold));
	set(document, "interrupted", json_boolean(s->interrupted));
	set(document, "best", plans_json(s, s->ranked, s->n_hold < 2 ? s->n_hold : 2));
	set(document, "front", plans_json(s, front, n));
	set(document, "lock", json_text_or_null(s->lock));
	json_put_lines(document, stdout);
}
