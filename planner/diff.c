/* What differs between two plans. */
#include "diff.h"
#include <math.h>
#include <string.h>

/* ---- settings -------------------------------------------------------------------------------- */

static const char *setting_text(const struct compared *c, const char *path)
{
	for (int i = 0; i < c->n_settings; i++)
		if (!strcmp(c->settings[i].path, path))
			return c->settings[i].text;
	return NULL;
}

static void add_setting(struct arena *arena, struct diff *d, const char *path)
{
	struct diff_setting s = {path, {setting_text(&d->side[0], path), setting_text(&d->side[1], path)}};
	if (!s.text[0] || !s.text[1] || strcmp(s.text[0], s.text[1]) != 0)
		vec_push(arena, &d->settings, s);
}

static bool is_of_model(const char *path) { return !strncmp(path, "model.", 6); }

/* Those of the model come last: another model has other settings throughout. */
static void compare_settings(struct arena *arena, struct diff *d)
{
	for (int of_model = 0; of_model < 2; of_model++)
		for (int side = 0; side < 2; side++)
			for (int i = 0; i < d->side[side].n_settings; i++) {
				const char *path = d->side[side].settings[i].path;
				bool seen = side == 1 && setting_text(&d->side[0], path);
				if (is_of_model(path) == (of_model == 1) && !seen)
					add_setting(arena, d, path);
			}
}

/* ---- totals ---------------------------------------------------------------------------------- */

static struct diff_total *total_named(struct arena *arena, struct diff *d, const char *name)
{
	for (int i = 0; i < d->totals.n; i++)
		if (!strcmp(d->totals.at[i].name, name))
			return &d->totals.at[i];
	struct diff_total t = {.name = name, .value = {(double)NAN, (double)NAN}};
	vec_push(arena, &d->totals, t);
	return &d->totals.at[d->totals.n - 1];
}

static void compare_totals(struct arena *arena, struct diff *d, int side)
{
	const struct plan *p = d->side[side].plan;
	if (!p)
		return;
	if (p->deploy->known)
		total_named(arena, d, "ranks")->value[side] = (double)p->deploy->gpus;
	for (int i = 0; i < p->n_totals; i++) {
		struct diff_total *t = total_named(arena, d, p->totals[i].name);
		t->value[side] = p->totals[i].value;
		t->bytes = p->totals[i].unit == TOTAL_BYTES;
		t->ratio = p->totals[i].unit == TOTAL_RATIO;
	}
}

/* ---- metrics --------------------------------------------------------------------------------- */

static void compare_metrics(struct arena *arena, struct diff *d)
{
	for (int m = 0; m < METRICS; m++) {
		struct diff_metric both = {.metric = (enum metric)m};
		bool known = false;
		for (int side = 0; side < 2; side++) {
			const struct plan *p = d->side[side].plan;
			const struct estimate *e = p ? &p->metrics.of[m] : NULL;
			both.value[side] = e ? e->value : (double)NAN;
			both.low80[side] = e ? e->low80 : (double)NAN;
			both.high80[side] = e ? e->high80 : (double)NAN;
			known |= isfinite(both.value[side]);
		}
		if (known)
			vec_push(arena, &d->metrics, both);
	}
}

/* ---- collectives ----------------------------------------------------------------------------- */

static const char *over_text(struct arena *arena, const struct schedule *s, const struct group *g)
{
	struct text t = {.arena = arena};
	for (int i = 0; i < g->n; i++)
		text_add(&t, "%s%s", i ? "*" : "", s->atoms.at[g->atom[i]].name);
	return t.at ? t.at : "one rank";
}

static struct diff_traffic *traffic_of(struct arena *arena, struct diff *d, const struct diff_traffic *like)
{
	for (int i = 0; i < d->traffic.n; i++) {
		struct diff_traffic *t = &d->traffic.at[i];
		if (!strcmp(t->program, like->program) && !strcmp(t->kind, like->kind) && !strcmp(t->over, like->over)
		    && !strcmp(t->region, like->region))
			return t;
	}
	vec_push(arena, &d->traffic, *like);
	return &d->traffic.at[d->traffic.n - 1];
}

static void compare_traffic(struct arena *arena, struct diff *d, int side)
{
	const struct plan *p = d->side[side].plan;
	for (int i = 0; p && i < p->collectives.n; i++) {
		const struct plan_collective *c = &p->collectives.at[i];
		const struct schedule *s = p->schedule;
		struct diff_traffic like = {.program = s->programs.at[c->of->program].name,
		                            .kind = collective_name(c->of->kind),
		                            .over = over_text(arena, s, &s->groups.at[c->of->group]),
		                            .region = c->of->where};
		struct diff_traffic *t = traffic_of(arena, d, &like);
		double runs = (double)c->times * (double)s->pipeline.microbatches;
		t->side[side].runs += runs;
		t->side[side].bytes += runs * (double)c->max_bytes;
	}
}

struct diff *planner_diff(struct arena *arena, const struct compared side[2])
{
	struct diff *d = arena_new(arena, struct diff);
	memcpy(d->side, side, sizeof d->side);
	compare_settings(arena, d);
	for (int i = 0; i < 2; i++) {
		compare_totals(arena, d, i);
		compare_traffic(arena, d, i);
	}
	compare_metrics(arena, d);
	return d;
}
