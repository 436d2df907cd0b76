/* The text of `deployc plan`: mesh, stages, parameters, bytes of a rank, collectives with their causes. */
#include "metrics_text.h"
#include "report.h"
#include "training.h"
#include <string.h>

struct report {
	struct text text;
	struct arena *arena;
	const struct plan *plan;
	const struct deploy *deploy;
	const struct schedule *schedule;
};

/* ---- mesh ------------------------------------------------------------------------------------ */

/* "(pp * 2 + ep) * 4 + tp": the rank by its coordinates along the axes that are not 1. */
static const char *rank_grid(const struct report *r)
{
	const char *grid = NULL;
	bool sum = false;
	for (int i = 0; i < r->deploy->mesh.n; i++) {
		const struct mesh_axis *m = &r->deploy->mesh.at[i];
		if (m->size == 1)
			continue;
		grid = grid ? arena_printf(r->arena, "%s%s%s * %lld + %s", sum ? "(" : "", grid, sum ? ")" : "",
		                           (long long)m->size, m->name)
		            : m->name;
		sum = grid != m->name;
	}
	return grid ? grid : "0";
}

static void print_mesh(struct report *r)
{
	const struct deploy *d = r->deploy;
	text_add(&r->text, "  mesh        ");
	for (int i = 0; i < d->mesh.n; i++)
		text_add(&r->text, "%s%s %lld", i ? " * " : "", d->mesh.at[i].name, (long long)d->mesh.at[i].size);
	text_add(&r->text, "%s = %lld rank%s, outermost first\n", d->mesh.n ? "" : "1", (long long)d->gpus,
	         plural(d->gpus));
	text_add(&r->text, "  rank        %s\n", rank_grid(r));
}

static void print_layers(struct report *r)
{
	const struct program *p = r->deploy->program;
	const struct schedule *s = r->schedule;
	if (!p->loops.n)
		return;
	text_add(&r->text, "  layers      %d", p->body_of.n);
	for (int i = 0; i < p->loops.n && p->loops.n > 1; i++)
		text_add(&r->text, "%s%lld %s", i ? " + " : " = ", (long long)p->loops.at[i].turns,
		         p->axes.at[p->loops.at[i].axis].name);
	if (s) {
		text_add(&r->text, " in %d stage%s:", s->stages.n, plural(s->stages.n));
		for (int i = 0; i < s->stages.n; i++)
			text_add(&r->text, "%s %lld..%lld", i ? "," : "", (long long)s->stages.at[i].layer_begin,
			         (long long)s->stages.at[i].layer_end - 1);
	}
	text_add(&r->text, "\n");
}

/* ---- totals ---------------------------------------------------------------------------------- */

/* Are the bytes of all caches known? */
static bool has_cache(const struct plan *p) { return p->n_totals > 3 && !strcmp(p->totals[3].name, "total.kv"); }

/* "128 to 1024" */
static const char *lengths(const struct report *r)
{
	const struct workload *w = &r->deploy->work;
	return w->seq_lo == w->seq_hi ? arena_printf(r->arena, "%lld", (long long)w->seq_hi)
	                              : arena_printf(r->arena, "%lld to %lld", (long long)w->seq_lo, (long long)w->seq_hi);
}

static void print_totals(struct report *r)
{
	const struct total *t = r->plan->totals;
	text_add(&r->text, "  parameters  %sparam, %sparam active for a token; weights %s\n",
	         planner_count(r->arena, t[0].value), planner_count(r->arena, t[1].value),
	         planner_bytes(r->arena, t[2].value));
	const struct workload *w = &r->deploy->work;
	if (w->training)
		return;
	text_add(&r->text, "  cache       %lld positions%s\n", (long long)w->cache,
	         has_cache(r->plan) ? arena_printf(r->arena, ", %s in all", planner_bytes(r->arena, t[3].value)) : "");
	text_add(&r->text, "  workload    %lld sequence%s, prompts of %s, at most %lld token%s generated\n",
	         (long long)w->batch, plural(w->batch), lengths(r), (long long)w->output_hi, plural(w->output_hi));
}

static void print_step(struct report *r)
{
	const struct schedule *s = r->schedule;
	text_add(&r->text, "  step        ");
	for (int i = 0; i < s->programs.n; i++)
		text_add(&r->text, "%s: %lld%s; ", s->programs.at[i].name, (long long)s->programs.at[i].max_tokens,
		         i ? "" : " tokens of an owner");
	text_add(&r->text, "%lld microbatch%s\n", (long long)s->pipeline.microbatches,
	         s->pipeline.microbatches == 1 ? "" : "es");
	text_add(&r->text, "  owner       %lld sequence%s, %lld pages of %lld positions", (long long)s->seqs,
	         plural(s->seqs), (long long)s->pool[0].pages, (long long)s->page);
	for (int i = 1; i < s->n_pools; i++)
		text_add(&r->text, ", %lld for windows of %lld", (long long)s->pool[i].pages, (long long)s->pool[i].window);
	text_add(&r->text, "\n");
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static void print_usable(struct report *r, double peak)
{
	const struct machine *m = &r->deploy->machine;
	double usable = r->plan->usable;
	if (!(usable > 0))
		return;
	text_add(&r->text, "    usable on %s: %s; headroom %.1f%%\n", m->device.name ? m->device.name : "the device",
	         planner_bytes(r->arena, usable), 100 * (1 - peak / usable));
	if (m->reserve > 0)
		text_add(&r->text, "    besides, %s for driver, communicators and graphs: %s%s\n",
		         planner_bytes(r->arena, m->reserve), m->reserve_measured ? "as measured on " : "an estimate",
		         m->reserve_measured ? m->reserve_measured : "");
}

static const char *stages_label(const struct report *r, struct stage_range range)
{
	return range.end == range.begin + 1 ? arena_printf(r->arena, "stage %d", range.begin)
	                                    : arena_printf(r->arena, "stages %d..%d", range.begin, range.end - 1);
}

enum { SERVING_PARTS = 4, TRAINING_PARTS = 5 };

static void serving_parts(const struct memory *m, struct bar_part *out)
{
	const struct bar_part parts[SERVING_PARTS] = {{"weights", 'w', m->weights},
	                                              {"cache", 'k', m->kv},
	                                              {"activations", 'a', m->activations},
	                                              {"communication", 'c', m->comm}};
	memcpy(out, parts, sizeof parts);
}

static void training_parts(const struct training_memory *m, struct bar_part *out)
{
	const struct bar_part parts[TRAINING_PARTS] = {{"weights", 'w', m->weights},
	                                               {"gradients", 'g', m->gradients},
	                                               {"optimizer", 'o', m->optimizer},
	                                               {"saved", 's', m->saved},
	                                               {"working", 'x', m->working}};
	memcpy(out, parts, sizeof parts);
}

static void print_memory(struct report *r)
{
	const struct schedule *s = r->schedule;
	text_add(&r->text, "\n  bytes of a rank        weights      kv cache   activations communication          peak\n");
	for (int i = 0; i < r->plan->stages.n; i++) {
		struct stage_range range = r->plan->stages.at[i];
		struct memory m = planner_stage_memory(s, range.begin);
		text_add(&r->text, "    %-16s %13s %13s %13s %13s %13s\n", stages_label(r, range),
		         planner_bytes(r->arena, m.weights), planner_bytes(r->arena, m.kv),
		         planner_bytes(r->arena, m.activations), planner_bytes(r->arena, m.comm),
		         planner_bytes(r->arena, m.peak));
	}
	struct memory fullest = planner_stage_memory(s, planner_fullest_stage(s));
	struct bar_part parts[SERVING_PARTS];
	print_usable(r, fullest.peak);
	serving_parts(&fullest, parts);
	double scale = report_scale(&r->text, r->arena, parts, SERVING_PARTS, r->plan->usable);
	for (int i = 0; i < r->plan->stages.n; i++) {
		struct memory m = planner_stage_memory(s, r->plan->stages.at[i].begin);
		serving_parts(&m, parts);
		report_bar(&r->text, stages_label(r, r->plan->stages.at[i]), parts, SERVING_PARTS, scale);
	}
}

static void print_training_bars(struct report *r)
{
	const struct training *t = r->plan->training;
	int stage = 0;
	struct training_memory fullest = training_fullest(t, &stage);
	struct bar_part parts[TRAINING_PARTS];
	print_usable(r, fullest.peak);
	training_parts(&fullest, parts);
	double scale = report_scale(&r->text, r->arena, parts, TRAINING_PARTS, r->plan->usable);
	for (struct stage_range range = {0, 0}; range.end < t->pipeline.stages;) {
		range = training_equal_stages(t, range.end);
		struct training_memory m = training_stage_memory(t, range.begin);
		training_parts(&m, parts);
		report_bar(&r->text, stages_label(r, range), parts, TRAINING_PARTS, scale);
	}
}

/* Stages of equal bytes are one line. */
static void print_training(struct report *r)
{
	const struct training *t = r->plan->training;
	const struct workload *w = &r->deploy->work;
	text_add(&r->text, "  workload    training: %lld sequence%s of %s, in %lld microbatch%s; %s%s\n",
	         (long long)w->batch, plural(w->batch), lengths(r), (long long)t->pipeline.microbatches,
	         t->pipeline.microbatches == 1 ? "" : "es", pipeline_order_name(t->pipeline.order),
	         t->pipeline.chunks > 1 ? arena_printf(r->arena, ", %lld chunks a stage", (long long)t->pipeline.chunks)
	                                : "");
	report_grid(&r->text, r->arena, r->deploy);
	text_add(&r->text,
	         "\n  bytes of a rank    weights     gradients     optimizer         saved       working          peak\n");
	for (struct stage_range range = {0, 0}; range.end < t->pipeline.stages;) {
		range = training_equal_stages(t, range.end);
		struct training_memory m = training_stage_memory(t, range.begin);
		text_add(&r->text, "    %-12s %13s %13s %13s %13s %13s %13s\n", stages_label(r, range),
		         planner_bytes(r->arena, m.weights), planner_bytes(r->arena, m.gradients),
		         planner_bytes(r->arena, m.optimizer), planner_bytes(r->arena, m.saved),
		         planner_bytes(r->arena, m.working), planner_bytes(r->arena, m.peak));
	}
	print_training_bars(r);
}

/* ---- collectives ----------------------------------------------------------------------------- */

/* "8.0 KiB a token": what one rank contributes. Exchanges over experts have a fixed size and run in rounds. */
static const char *volume(const struct report *r, const struct plan_collective *c)
{
	static const char *const of[PLAN_UNITS] = {[UNIT_CALL] = "",
	                                           [UNIT_TOKEN] = " a token",
	                                           [UNIT_ROW] = " a row",
	                                           [UNIT_PAGE] = " a page in use",
	                                           [UNIT_ROUND] = " a round"};
	return arena_printf(r->arena, "%s%s", planner_bytes(r->arena, c->bytes), of[c->unit]);
}

static const char *how_often(const struct report *r, const struct plan_collective *c)
{
	if (c->often == OFTEN_ONCE)
		return "once";
	const char *what = c->often == OFTEN_CUT ? "cut" : "layer";
	return c->all ? arena_printf(r->arena, "each %s", what)
	              : arena_printf(r->arena, "%lld %s%s", (long long)c->times, what, plural(c->times));
}

static void print_collectives(struct report *r, int program)
{
	int n = 0;
	text_add(&r->text, "\n  collectives of %s", r->schedule->programs.at[program].name);
	for (int i = 0; i < r->plan->collectives.n; i++) {
		const struct plan_collective *c = &r->plan->collectives.at[i];
		if (c->of->program == program)
			text_add(&r->text, "%s    %-10s %17s  %s\n", n++ ? "" : "\n", how_often(r, c), volume(r, c), c->of->cause);
	}
	if (!n)
		text_add(&r->text, ": none\n");
}

const char *plan_text(struct arena *arena, const struct plan *p)
{
	const struct deploy *d = p->deploy;
	const struct schedule *s = p->schedule;
	struct report r = {.text = {.arena = arena}, .arena = arena, .plan = p, .deploy = d, .schedule = s};
	text_add(&r.text, "deploy %s: %s on %s, plan %s\n", d->name, d->model_name ? d->model_name : "a model",
	         d->machine.name ? d->machine.name : "a cluster",
	         d->plan_name ? d->plan_name
	         : d->known   ? "of its own"
	                      : "not decided");
	if (d->known)
		print_mesh(&r);
	print_layers(&r);
	print_totals(&r);
	if (p->training) {
		print_training(&r);
		report_times(&r.text, arena, p);
		training_print_times(&r.text, arena, p->training, p->steered);
	}
	if (!s) {
		report_goals(&r.text, &p->goals);
		text_add(&r.text, "  %s\n",
		         p->training ? "training: planned, not built, in this version"
		         : d->known  ? "not scheduled"
		                     : "not scheduled: the plan has `auto`");
		return r.text.at;
	}
	print_step(&r);
	report_grid(&r.text, arena, d);
	print_memory(&r);
	report_times(&r.text, arena, p);
	if (p->load)
		report_load(&r.text, arena, p->deploy, p->load);
	report_goals(&r.text, &p->goals);
	for (int i = 0; i < s->programs.n; i++)
		print_collectives(&r, i);
	return r.text.at;
}

/* "8 ranks of DGX_H100; the fullest rank takes 32.4 GiB of 76.1 GiB usable" */
static const char *room(struct arena *a, const struct deploy *d, double taken)
{
	return arena_printf(a, "%lld rank%s of %s; the fullest rank takes %s of %s usable", (long long)d->gpus,
	                    plural(d->gpus), d->machine.name ? d->machine.name : "a cluster", planner_bytes(a, taken),
	                    planner_bytes(a, planner_usable(d)));
}

const char *planner_summary(struct arena *arena, const struct deploy *d, const struct schedule *s,
                            const struct training *t)
{
	struct total totals[PLANNER_TOTALS];
	planner_totals(d, NULL, totals);
	int stage = 0;
	double taken = s   ? planner_stage_memory(s, planner_fullest_stage(s)).peak
	               : t ? training_fullest(t, &stage).peak
	                   : 0;
	const char *where = s || t ? room(arena, d, taken) : "a plan that is not decided";
	return arena_printf(arena, "%s: %s, %sparam, on %s\n", d->name, d->model_name ? d->model_name : "a model",
	                    planner_count(arena, totals[0].value), where);
}
