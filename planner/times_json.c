/* Metrics and the steps that they are made of, as JSON: the member `times` of a plan (docs/json.md). */
#include <math.h>
#include "metrics_text.h"
#include "plan.h"
#include "../support/json.h"

json_t *estimate_json(const struct estimate *e)
{
	json_t *object = json_object();
	bool known = !isnan(e->value);
	json_set(object, "value", json_figure(e->value));
	json_set(object, "interval80", known ? json_range(e->low80, e->high80) : json_null());
	json_set(object, "interval90", known ? json_range(e->low90, e->high90) : json_null());
	json_set(object, "bound", json_figure(e->bound));
	json_set(object, "lacks", json_text_or_null(e->lacks));
	return object;
}

static json_t *metrics_json(const struct metrics *m)
{
	json_t *object = json_object();
	for (int i = 0; i < METRICS_OF_ONE; i++)
		json_set(object, metric_name((enum metric)i), estimate_json(&m->of[i]));
	return object;
}

static json_t *floor_json(const struct floor *f)
{
	json_t *object = json_object();
	json_set(object, "compute", json_figure(f->compute));
	json_set(object, "memory", json_figure(f->memory));
	json_set(object, "links", json_figure(f->links));
	return object;
}

/* `smooth` parts are joined by (compute^4 + memory^4)^(1/4). */
static json_t *parts_json(const struct time_parts *p)
{
	json_t *object = json_object();
	json_set(object, "launch", json_figure(p->launch));
	json_set(object, "compute", json_figure(p->compute));
	json_set(object, "memory", json_figure(p->memory));
	json_set(object, "link", json_figure(p->link));
	json_set(object, "more", json_figure(p->more));
	json_set(object, "smooth", json_boolean(p->smooth));
	return object;
}

static json_t *term_json(const struct schedule *s, const struct machine *m, const struct played *at, double rounds)
{
	const struct term *t = &at->term;
	json_t *object = json_object();
	json_set(object, "what", json_text(s->op_names.at[t->instr->op]));
	json_set(object, "kind", json_string(term_kind_name(t->kind)));
	json_set(object, "queue", json_string(queue_name(t->instr->queue)));
	json_set(object, "start", json_figure(at->start));
	json_set(object, "end", json_figure(at->end));
	json_set(object, "rounds", json_figure(rounds));
	json_set(object, "operations", json_figure(t->operations));
	json_set(object, "bytes", json_figure(t->bytes));
	json_set(object, "sent", json_figure(t->sent));
	json_set(object, "level", t->level < 0 ? json_null() : json_text(m->levels.at[t->level].name));
	json_set(object, "parts", parts_json(&t->parts));
	json_set(object, "floor", floor_json(&t->floor));
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
	json_set(object, "part", part_json(p, l->block->part));
	json_set(object, "times", times);
	json_set(object, "seconds", json_figure(l->seconds));
	json_set(object, "host", json_figure(l->host));
	json_set(object, "compute", json_figure(l->compute));
	json_set(object, "communication", json_figure(l->messages));
	json_set(object, "terms", terms_json(p, l));
	return object;
}

json_t *balance_json(const struct expert_split *s, const struct balance *b)
{
	json_t *object = json_object();
	json_set(object, "ranks", json_figure(s->ranks));
	json_set(object, "experts", json_figure(s->experts / s->ranks));
	json_set(object, "tokens", json_figure(s->tokens));
	json_set(object, "busiest", json_figure(b->busiest));
	json_set(object, "hit", json_figure(b->hit));
	return object;
}

/* Of an even routing, all ranks have as many rows. */
static json_t *exchange_json(const struct exchange *x)
{
	if (!x)
		return json_null();
	struct balance b = {x->balance.busiest, x->balance.longest, x->hit};
	json_t *object = balance_json(&x->split, &b);
	json_set(object, "rounds", json_figure(x->rounds));
	return object;
}

static json_t *step_json(const struct plan *p, const struct step_time *t, const struct step_load *load)
{
	json_t *object = json_object(), *stages = json_array(), *lists = json_array();
	for (int i = 0; i < p->schedule->stages.n; i++)
		json_array_append_new(stages, json_figure(t->stage[i].seconds));
	for (int i = 0; i < t->n_lists; i++)
		json_array_append_new(lists, list_json(p, &t->list[i]));
	json_set(object, "program", json_text(p->schedule->programs.at[load->program].name));
	json_set(object, "tokens", json_figure(load->tokens));
	json_set(object, "sequences", json_figure(load->sequences));
	json_set(object, "context", json_figure(load->context));
	json_set(object, "microbatches", json_integer(t->microbatches));
	json_set(object, "seconds", json_figure(t->seconds));
	json_set(object, "fixed", json_figure(t->fixed));
	json_set(object, "bubble", json_figure(t->bubble));
	json_set(object, "exposed", json_figure(t->exposed));
	json_set(object, "floor", json_figure(t->floor));
	json_set(object, "balance", exchange_json(step_exchange(t)));
	json_set(object, "stages", stages);
	json_set(object, "lists", lists);
	return object;
}

json_t *plan_times_json(const struct plan *p)
{
	const struct metrics *m = &p->metrics;
	json_t *object = json_object(), *steps = json_array();
	json_set(object, "lacks", json_text_or_null(m->lacks));
	json_set(object, "basis", json_text_or_null(m->lacks ? NULL : m->basis));
	json_set(object, "metrics", metrics_json(m));
	json_set(object, "routing",
	         planner_has_experts(p->deploy->program) ? json_string(expert_use_name(&p->deploy->work.experts))
	                                                 : json_null());
	json_set(object, "steering", p->steered ? steered_json(p->steered) : json_null());
	if (!m->lacks && m->prefill)
		json_array_append_new(steps, step_json(p, m->prefill, &m->prefill_load));
	if (!m->lacks && m->decode)
		json_array_append_new(steps, step_json(p, m->decode, &m->decode_load));
	json_set(object, "steps", steps);
	json_set(object, "load", p->load ? load_json(p->deploy, p->load) : json_null());
	return object;
}
