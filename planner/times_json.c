/* Metrics and the steps that they are made of, as JSON: the member `times` of a plan (docs/json.md). */
#include <math.h>
#include "metrics_text.h"
#include "plan.h"
#include "../support/json.h"

static void set(json_t *object, const char *name, json_t *value) { json_object_set_new(object, name, value); }

static json_t *range(double low, double high)
{
	json_t *array = json_array();
	json_array_append_new(array, json_figure(low));
	json_array_append_new(array, json_figure(high));
	return array;
}

static json_t *metrics_json(const struct metrics *m)
{
	json_t *object = json_object();
	for (int i = 0; i < METRICS; i++) {
		const struct estimate *e = &m->of[i];
		json_t *one = json_object();
		bool known = !isnan(e->value);
		set(one, "value", json_figure(e->value));
		set(one, "interval80", known ? range(e->low80, e->high80) : json_null());
		set(one, "interval90", known ? range(e->low90, e->high90) : json_null());
		set(one, "bound", json_figure(e->bound));
		set(one, "lacks", known ? json_null() : json_text_or_null(e->lacks));
		set(object, metric_name((enum metric)i), one);
	}
	return object;
}

static json_t *floor_json(const struct floor *f)
{
	json_t *object = json_object();
	set(object, "compute", json_figure(f->compute));
	set(object, "memory", json_figure(f->memory));
	set(object, "links", json_figure(f->links));
	return object;
}

static json_t *term_json(const struct schedule *s, const struct machine *m, const struct played *at, double rounds)
{
	const struct term *t = &at->term;
	json_t *object = json_object();
	set(object, "what", json_text(s->op_names.at[t->instr->op]));
	set(object, "kind", json_string(term_kind_name(t->kind)));
	set(object, "queue", json_string(queue_name(t->instr->queue)));
	set(object, "start", json_figure(at->start));
	set(object, "end", json_figure(at->end));
	set(object, "rounds", json_figure(rounds));
	set(object, "operations", json_figure(t->operations));
	set(object, "bytes", json_figure(t->bytes));
	set(object, "sent", json_figure(t->sent));
	set(object, "level", t->level < 0 ? json_null() : json_text(m->levels.at[t->level].name));
	set(object, "floor", floor_json(&t->floor));
	return object;
}

static json_t *terms_json(const struct plan *p, const struct list_time *l)
{
	json_t *terms = json_array();
	double rounds = 1;
	for (int i = 0; i < l->list->n; i++) {
		enum instr_kind kind = l->list->at[i].kind;
		if (kind == INSTR_ROUNDS_BEGIN || kind == INSTR_ROUNDS_END)
			rounds = kind == INSTR_ROUNDS_BEGIN ? l->rounds : 1;
		else
			json_array_append_new(terms, term_json(p->schedule, &p->deploy->machine, &l->at[i], rounds));
	}
	return terms;
}

/* "layers of layers", "before the layers": as in dumps of the schedule. */
static json_t *part_json(const struct plan *p, int part)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	if (!out)
		out_of_memory(n);
	print_part(p->deploy->program, part, out);
	fclose(out);
	json_t *value = json_text(text);
	free(text);
	return value;
}

static json_t *list_json(const struct plan *p, const struct list_time *l)
{
	json_t *object = json_object(), *times = json_array();
	for (int stage = 0; stage < p->schedule->stages.n; stage++)
		json_array_append_new(times, json_figure(list_times(p->schedule, l, stage)));
	set(object, "part", part_json(p, l->block->part));
	set(object, "times", times);
	set(object, "seconds", json_figure(l->seconds));
	set(object, "host", json_figure(l->host));
	set(object, "compute", json_figure(l->compute));
	set(object, "communication", json_figure(l->messages));
	set(object, "terms", terms_json(p, l));
	return object;
}

static json_t *step_json(const struct plan *p, const struct step_time *t, const struct step_load *load)
{
	json_t *object = json_object(), *stages = json_array(), *lists = json_array();
	for (int i = 0; i < p->schedule->stages.n; i++)
		json_array_append_new(stages, json_figure(t->stage[i].seconds));
	for (int i = 0; i < t->n_lists; i++)
		json_array_append_new(lists, list_json(p, &t->list[i]));
	set(object, "program", json_text(p->schedule->programs.at[load->program].name));
	set(object, "tokens", json_figure(load->tokens));
	set(object, "sequences", json_figure(load->sequences));
	set(object, "context", json_figure(load->context));
	set(object, "microbatches", json_integer(t->microbatches));
	set(object, "seconds", json_figure(t->seconds));
	set(object, "fixed", json_figure(t->fixed));
	set(object, "bubble", json_figure(t->bubble));
	set(object, "exposed", json_figure(t->exposed));
	set(object, "floor", json_figure(t->floor));
	set(object, "stages", stages);
	set(object, "lists", lists);
	return object;
}

json_t *plan_times_json(const struct plan *p)
{
	const struct metrics *m = &p->metrics;
	json_t *object = json_object(), *steps = json_array();
	set(object, "lacks", json_text_or_null(m->lacks));
	set(object, "basis", json_text_or_null(m->lacks ? NULL : m->basis));
	set(object, "metrics", metrics_json(m));
	if (!m->lacks && m->prefill)
		json_array_append_new(steps, step_json(p, m->prefill, &m->prefill_load));
	if (!m->lacks && m->decode)
		json_array_append_new(steps, step_json(p, m->decode, &m->decode_load));
	set(object, "steps", steps);
	return object;
}
