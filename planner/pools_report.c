/* Two pools and what goes between them, as text and as JSON. */
#include <math.h>
#include "metrics_text.h"
#include "plan.h"
#include "pools.h"
#include "../support/json.h"

static const char *const side_names[SERVE_SIDES] = {"prefill", "decode"};

/* ---- text ------------------------------------------------------------------------------------- */

static void print_devices(struct text *t, const struct pools *s)
{
	const struct pool_side *a = &s->side[SERVE_PREFILL], *b = &s->side[SERVE_DECODE];
	const struct joint *j = s->joint;
	text_add(t, "  devices     %lld x %lld + %lld x %lld = %lld: %lld..%lld and %lld..%lld", (long long)a->units,
	         (long long)a->deploy->gpus, (long long)b->units, (long long)b->deploy->gpus, (long long)s->devices,
	         (long long)a->first, (long long)a->end - 1, (long long)b->first, (long long)b->end - 1);
	if (j->apart)
		text_add(t, " of %s and %s\n", j->self->machine.name, b->deploy->machine.name);
	else
		text_add(t, ", of %lld of %s\n", (long long)j->self->machine.devices, j->self->machine.name);
}

static void print_bytes(struct text *t, const struct pools *s)
{
	const struct handover *h = &s->longest;
	struct arena *a = t->arena;
	text_add(t, "  cache       %s for a prompt of %lld", planner_bytes(a, h->bytes), (long long)h->positions);
	if (s->shortest.positions < h->positions)
		text_add(t, ", %s for one of %lld", planner_bytes(a, s->shortest.bytes), (long long)s->shortest.positions);
	if (h->windows > 0)
		text_add(t, "; %s of it in windows", planner_bytes(a, h->windows));
	text_add(t,
	         "\n  handover    over %s: sent by %lld rank%s, at most %s each, to at most %lld; received by %lld, at "
	         "most %s each, from at most %lld\n",
	         s->link, (long long)h->senders, plural(h->senders), planner_bytes(a, h->sent), (long long)h->targets,
	         (long long)h->receivers, planner_bytes(a, h->received), (long long)h->sources);
}

static void print_estimate(struct text *t, const char *name, enum metric m, const struct estimate *e)
{
	struct arena *a = t->arena;
	if (!isnan(e->value))
		text_add(t, "    %-24s %16s%s\n", name, metric_text(a, m, e->value), metric_interval(a, m, e));
	else if (e->bound > 0)
		text_add(t, "    %-24s %s %s\n", name, metric_is_rate(m) ? "at most" : "at least", metric_text(a, m, e->bound));
}

static void print_rates(struct text *t, const struct pools *s)
{
	struct arena *a = t->arena;
	text_add(t, "\n  a unit of each pool\n");
	for (int i = 0; i < SERVE_SIDES; i++) {
		const struct pool_side *side = &s->side[i];
		print_estimate(t, arena_printf(a, "%s by %s", i ? "continues" : "reads", side->deploy->name), METRIC_SEQUENCES,
		               &side->rate);
		print_estimate(t, i ? "its links receive" : "its links send", METRIC_SEQUENCES, &side->links);
	}
}

/* Why so many units: of which the text gives the arithmetic. */
static void print_ratio(struct text *t, const struct pools *s)
{
	struct arena *a = t->arena;
	const struct pool_side *reads = &s->side[SERVE_PREFILL], *grows = &s->side[SERVE_DECODE];
	double p = fmin(reads->rate.value, reads->links.value), d = fmin(grows->rate.value, grows->links.value);
	for (int i = 0; i < SERVE_SIDES; i++)
		if (s->side[i].sized && !isnan(s->side[i].rate.value))
			text_add(t, "  %-8s    %lld unit%s: %s over %s of a unit\n", side_names[i], (long long)s->side[i].units,
			         plural(s->side[i].units), metric_text(a, METRIC_SEQUENCES, s->joint->rate),
			         metric_text(a, METRIC_SEQUENCES, i ? d : p));
	if (!s->balance[SERVE_DECODE])
		return;
	int64_t n = s->balance[SERVE_PREFILL], k = s->balance[SERVE_DECODE];
	text_add(
		t, "  balance     a unit of %s continues what %.3g of %s read; whole units: %lld read %s, %lld continue %s\n",
		grows->deploy->name, d / p, reads->deploy->name, (long long)n, metric_text(a, METRIC_SEQUENCES, (double)n * p),
		(long long)k, metric_text(a, METRIC_SEQUENCES, (double)k * d));
}

/* What is left of the handover when a prompt was read, for each way to send it. */
static void print_hidden(struct text *t, const struct pools *s)
{
	static const char *const when[SEND_WHENS] = {"sent whole", "after each chunk", "after each layer"};
	double reads = s->side[SERVE_PREFILL].metrics.of[METRIC_TTFT].value;
	if (isnan(s->ready[SEND_WHOLE].value))
		return;
	text_add(t, "  exposed    ");
	for (int i = 0; i < SEND_WHENS; i++)
		text_add(t, "%s %s %s%s", i ? "," : "", when[i], metric_seconds(t->arena, s->ready[i].value - reads),
		         (enum send_when)i == s->joint->send ? " (as stated)" : "");
	text_add(t, "\n");
}

static void print_metrics(struct text *t, const struct pools *s)
{
	if (s->lacks)
		text_add(t, "\n  the time of a handover is undecided: %s\n", s->lacks);
	text_add(t, "\n  times of both pools (%s)\n", s->metrics.basis);
	for (int i = 0; i < METRICS; i++)
		print_estimate(t, metric_name((enum metric)i), (enum metric)i, &s->metrics.of[i]);
}

const char *pools_text(struct arena *arena, const struct pools *s)
{
	const struct joint *j = s->joint;
	struct text t = {.arena = arena};
	if (s->unplanned) {
		text_add(&t, "serve %s: not planned: %s\n", j->self->name, s->unplanned);
		return t.at;
	}
	const struct pool_side *a = &s->side[SERVE_PREFILL], *b = &s->side[SERVE_DECODE];
	text_add(&t, "serve %s: %s; prompts by %lld x %s, continued by %lld x %s\n", j->self->name, j->self->model_name,
	         (long long)a->units, a->deploy->name, (long long)b->units, b->deploy->name);
	print_devices(&t, s);
	print_bytes(&t, s);
	print_hidden(&t, s);
	print_ratio(&t, s);
	print_rates(&t, s);
	print_metrics(&t, s);
	return t.at;
}

const char *pools_summary(struct arena *arena, const struct pools *s)
{
	const struct joint *j = s->joint;
	if (s->unplanned)
		return arena_printf(arena, "%s: not planned: %s\n", j->self->name, s->unplanned);
	const struct pool_side *a = &s->side[SERVE_PREFILL], *b = &s->side[SERVE_DECODE];
	return arena_printf(arena, "%s: %lld x %s and %lld x %s on %lld devices; a prompt of %lld hands over %s\n",
	                    j->self->name, (long long)a->units, a->deploy->name, (long long)b->units, b->deploy->name,
	                    (long long)s->devices, (long long)s->longest.positions, planner_bytes(arena, s->longest.bytes));
}

struct plan *pools_plan(struct arena *arena, const struct pools *s)
{
	struct plan *p = arena_new(arena, struct plan);
	*p = (struct plan){.deploy = s->joint->self, .usable = planner_usable(s->joint->self), .metrics = s->metrics};
	p->n_totals = pools_totals(s, p->totals);
	return p;
}

/* ---- JSON ------------------------------------------------------------------------------------- */

static json_t *side_json(const struct pools *s, int i)
{
	const struct pool_side *side = &s->side[i];
	json_t *o = json_object();
	json_set(o, "deploy", json_text(side->deploy->name));
	json_set(o, "units", json_integer(side->units));
	json_set(o, "sized", json_boolean(side->sized));
	json_set(o, "ranks", json_integer(side->deploy->gpus));
	json_set(o, "placed", json_range((double)side->first, (double)side->end));
	json_set(o, "rate", estimate_json(&side->rate));
	json_set(o, "links", estimate_json(&side->links));
	return o;
}

static json_t *handover_json(const struct handover *h)
{
	json_t *o = json_object();
	json_set(o, "positions", json_integer(h->positions));
	json_set(o, "bytes", json_figure(h->bytes));
	json_set(o, "windows", json_figure(h->windows));
	json_set(o, "moved", json_figure(h->moved));
	json_set(o, "sent", json_figure(h->sent));
	json_set(o, "received", json_figure(h->received));
	json_set(o, "senders", json_integer(h->senders));
	json_set(o, "receivers", json_integer(h->receivers));
	json_set(o, "targets", json_integer(h->targets));
	json_set(o, "sources", json_integer(h->sources));
	return o;
}

static json_t *sending_json(const struct pools *s)
{
	json_t *o = json_object();
	for (int i = 0; i < SEND_WHENS; i++) {
		json_t *way = json_object();
		json_set(way, "pieces", json_integer(s->pieces[i]));
		json_set(way, "ready", estimate_json(&s->ready[i]));
		json_set(o, send_when_name((enum send_when)i), way);
	}
	return o;
}

static json_t *metrics_json(const struct pools *s)
{
	json_t *o = json_object();
	for (int i = 0; i < METRICS; i++)
		json_set(o, metric_name((enum metric)i), estimate_json(&s->metrics.of[i]));
	return o;
}

json_t *pools_json(const struct pools *s)
{
	const struct joint *j = s->joint;
	json_t *o = json_object();
	json_set(o, "serve", json_text(j->self->name));
	json_set(o, "unplanned", json_text_or_null(s->unplanned));
	json_set(o, "model", json_text_or_null(j->self->model_name));
	json_set(o, "cluster", json_text_or_null(j->self->machine.name));
	json_t *pools = json_object(), *balance = json_object();
	for (int i = 0; i < SERVE_SIDES; i++) {
		json_set(pools, side_names[i], s->unplanned ? json_null() : side_json(s, i));
		json_set(balance, side_names[i], s->balance[i] ? json_integer(s->balance[i]) : json_null());
	}
	json_set(o, "pools", pools);
	json_set(o, "devices", s->unplanned ? json_null() : json_integer(s->devices));
	json_set(o, "rate", json_figure(j->rate));
	json_set(o, "level", s->level < 0 ? json_null() : json_text(j->self->machine.levels.at[s->level].name));
	json_set(o, "link", json_text_or_null(j->link.name));
	json_set(o, "longest", s->unplanned ? json_null() : handover_json(&s->longest));
	json_set(o, "shortest", s->unplanned ? json_null() : handover_json(&s->shortest));
	json_set(o, "send", json_string(send_when_name(j->send)));
	json_set(o, "sending", s->unplanned ? json_null() : sending_json(s));
	json_set(o, "balance", balance);
	json_set(o, "lacks", json_text_or_null(s->lacks));
	json_set(o, "basis", json_text_or_null(s->metrics.basis));
	json_set(o, "metrics", s->unplanned ? json_null() : metrics_json(s));
	return o;
}
