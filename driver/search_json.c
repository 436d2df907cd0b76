/* A search as JSON: docs/json.md. */
#include <math.h>
#include "../planner/metrics_text.h"
#include "../planner/plan.h"
#include "../support/json.h"
#include "search.h"

static const char *kind_name(const struct preference *p)
{
	return p->kind == PREFER ? "prefer" : p->kind == MAXIMIZE ? "maximize" : "minimize";
}

static json_t *values_json(const struct candidate *c)
{
	json_t *o = json_object();
	for (int i = 0; i < c->space->knobs.n; i++) {
		const struct knob *k = &c->space->knobs.at[i];
		json_set(o, k->path, c->value[i] < 0 ? json_null() : json_text(k->values.at[c->value[i]]));
	}
	return o;
}

static json_t *order_json(const struct search *s, const struct candidate *c)
{
	json_t *array = json_array();
	for (int i = 0; i < s->n_preferences; i++) {
		const struct preference *p = &c->preference[i];
		json_t *o = json_object();
		json_set(o, "kind", json_text(kind_name(p)));
		json_set(o, "text", json_text(p->text));
		json_set(o, "value", json_figure(p->value));
		json_set(o, "bound", json_boolean(p->bound));
		json_array_append_new(array, o);
	}
	return array;
}

static json_t *plan_object(const struct search *s, const struct candidate *c)
{
	json_t *o = json_object(), *metrics = json_object();
	for (int i = 0; i < METRICS; i++)
		json_set(metrics, metric_name((enum metric)i), estimate_json(&c->of[i]));
	json_set(o, "values", values_json(c));
	json_set(o, "choice", json_text(search_choice(s, c, "; ")));
	json_set(o, "ranks", json_figure(c->gpus));
	json_set(o, "peak", json_figure(c->peak));
	json_set(o, "open", json_integer(c->n_open));
	json_set(o, "order", order_json(s, c));
	json_set(o, "metrics", metrics);
	return o;
}

static json_t *refused_json(const struct search *s)
{
	json_t *o = json_object();
	for (int i = 0; i < DIAG_COUNT; i++)
		if (s->counts[i])
			json_set(o, diag_code_name((enum diag_code)i), json_integer(s->counts[i]));
	return o;
}

static json_t *plans_json(const struct search *s, const int *index, int n)
{
	json_t *array = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(array, plan_object(s, &s->all.at[index[i]]));
	return array;
}

/* The fields that are set in any space. */
static json_t *fields_json(const struct search *s)
{
	json_t *fields = json_array();
	for (int i = 0; i < s->spaces.n; i++)
		for (int k = 0; k < s->spaces.at[i]->knobs.n; k++) {
			const char *path = s->spaces.at[i]->knobs.at[k].path;
			bool listed = false;
			for (int before = 0; before < i; before++)
				listed |= search_knob(s->spaces.at[before], path) != NULL;
			if (!listed)
				json_array_append_new(fields, json_text(path));
		}
	return fields;
}

void search_json(const struct search *s)
{
	json_t *document = json_document("deployc-search", SEARCH_JSON_VERSION);
	int *front = arena_array(s->arena, int, s->n_hold + 1), n = search_front(s, front);
	json_set(document, "spec", json_text(s->compilation.label));
	json_set(document, "deploy", json_text(s->deploy->name));
	json_set(document, "fields", fields_json(s));
	json_set(document, "plans", json_integer(s->all.n));
	json_set(document, "refused", refused_json(s));
	json_set(document, "holds", json_integer(s->n_hold));
	json_set(document, "interrupted", json_boolean(s->interrupted));
	json_set(document, "best", plans_json(s, s->ranked, s->n_hold < 2 ? s->n_hold : 2));
	json_set(document, "front", plans_json(s, front, n));
	json_set(document, "lock", json_text_or_null(s->lock));
	json_put_lines(document, stdout);
}
