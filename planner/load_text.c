/* What is known under load, as text and as JSON. */
#include <math.h>
#include "load.h"
#include "metrics_text.h"
#include "plan.h"
#include "../support/json.h"

/* ---- text ------------------------------------------------------------------------------------- */

const char *load_rate(struct arena *a, double x)
{
	return x < 999.5 ? arena_printf(a, "%.3g requests/s", x) : arena_printf(a, "%.0f requests/s", x);
}

static const char *share_text(struct arena *a, double x)
{
	return x < 10 ? arena_printf(a, "%.1f%%", 100 * x) : arena_printf(a, "%.3g times", x);
}

static void print_arrivals(struct text *out, struct arena *a, const struct arrivals *w, const struct load *l)
{
	if (w->law == ARRIVAL_USERS)
		text_add(out, "\n  under load: %lld user%s", (long long)w->users, w->users == 1 ? "" : "s");
	else
		text_add(out, "\n  under load: %s arrive%s", load_rate(a, w->rate),
		         w->law == ARRIVAL_SPACED ? " at equal distances" : "");
	if (!isnan(l->capacity) && w->law != ARRIVAL_USERS)
		text_add(out, ", %s of at most %s\n", share_text(a, w->rate / l->capacity), load_rate(a, l->capacity));
	else if (!isnan(l->capacity))
		text_add(out, ", and at most %s are served\n", load_rate(a, l->capacity));
	else
		text_add(out, "\n    undecided: %s\n", l->lacks);
}

static void print_percentiles(struct text *out, struct arena *a, const struct load *l)
{
	for (int i = 0; i < LOADED; i++) {
		const struct estimate *e = l->of[i];
		if (isnan(e[P50].value))
			continue;
		text_add(out, "    %-20s p50 %s, p90 %s, p99 %s  (80%%: %s .. %s)\n", loaded_name((enum loaded)i),
		         metric_seconds(a, e[P50].value), metric_seconds(a, e[P90].value), metric_seconds(a, e[P99].value),
		         metric_seconds(a, e[P99].low80), metric_seconds(a, e[P99].high80));
	}
}

void report_load(struct text *out, struct arena *a, const struct deploy *d, const struct load *l)
{
	const struct arrivals *w = &d->work.arrivals;
	print_arrivals(out, a, w, l);
	if (l->lacks)
		return;
	if (l->grows) {
		text_add(out, "    the queue grows without end: nothing has a percentile\n");
		return;
	}
	print_percentiles(out, a, l);
	text_add(out, "    %-20s %s, %s; %.1f requests in flight\n", "served", load_rate(a, l->offered),
	         metric_text(a, METRIC_THROUGHPUT, l->tokens), l->in_flight);
	text_add(out, "    %-20s %s to %s in the quarters of %lld requests, after %lld to fill it\n", "p99 of ttft",
	         metric_seconds(a, l->quarters[0]), metric_seconds(a, l->quarters[1]), (long long)l->requests,
	         (long long)l->warmup);
	if (l->interrupted)
		text_add(out, "    %-20s %lld times\n", "pages were lost", (long long)l->interrupted);
	if (l->owners < l->all_owners)
		text_add(out, "    %-20s %lld of %lld owners, with their share of the requests\n", "played",
		         (long long)l->owners, (long long)l->all_owners);
}

/* ---- JSON ------------------------------------------------------------------------------------- */

static json_t *percentiles_json(const struct estimate *e)
{
	json_t *object = json_object();
	for (int i = 0; i < PERCENTILES; i++)
		json_set(object, percentile_name((enum percentile)i), estimate_json(&e[i]));
	return object;
}

json_t *load_json(const struct deploy *d, const struct load *l)
{
	static const char *const laws[] = {NULL, "poisson", "spaced", "users"};
	const struct arrivals *w = &d->work.arrivals;
	bool users = w->law == ARRIVAL_USERS, known = !l->lacks && !l->grows;
	json_t *object = json_object(), *percentiles = json_object();
	json_set(object, "arrivals", json_string(laws[w->law]));
	json_set(object, "users", users ? json_integer(w->users) : json_null());
	json_set(object, "think", users ? json_figure(w->think) : json_null());
	json_set(object, "rate", json_figure(l->offered));
	json_set(object, "capacity", json_figure(l->capacity));
	json_set(object, "bound", json_figure(l->bound));
	json_set(object, "grows", json_boolean(l->grows));
	json_set(object, "lacks", json_text_or_null(l->lacks));
	for (int i = 0; i < LOADED; i++)
		json_set(percentiles, loaded_name((enum loaded)i), percentiles_json(l->of[i]));
	json_set(object, "percentiles", percentiles);
	json_set(object, "in_flight", known ? json_figure(l->in_flight) : json_null());
	json_set(object, "tokens", known ? json_figure(l->tokens) : json_null());
	json_set(object, "requests", json_integer(l->requests));
	json_set(object, "warmup", json_integer(l->warmup));
	json_set(object, "quarters", known ? json_range(l->quarters[0], l->quarters[1]) : json_null());
	json_set(object, "steps", json_integer(l->steps));
	json_set(object, "interrupted", json_integer(l->interrupted));
	json_set(object, "owners", json_integer(l->owners));
	return object;
}
