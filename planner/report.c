/* The text of `deployc plan`: mesh, stages, parameters, bytes of a rank, collectives with their causes. */
#include "planner.h"
#include <string.h>

struct report {
	struct text text;
	struct arena *arena;
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

static void print_totals(struct report *r)
{
	struct total t[PLANNER_TOTALS];
	int n = planner_totals(r->deploy, r->schedule, t);
	text_add(&r->text, "  parameters  %sparam, %sparam active for a token; weights %s\n",
	         planner_count(r->arena, t[0].value), planner_count(r->arena, t[1].value),
	         planner_bytes(r->arena, t[2].value));
	const struct workload *w = &r->deploy->work;
	if (w->training)
		return;
	text_add(&r->text, "  cache       %lld positions%s\n", (long long)w->cache,
	         n > 3 ? arena_printf(r->arena, ", %s in all", planner_bytes(r->arena, t[3].value)) : "");
	const char *prompts = w->seq_lo == w->seq_hi ? arena_printf(r->arena, "prompts of %lld", (long long)w->seq_hi)
	                                             : arena_printf(r->arena, "prompts of %lld to %lld",
	                                                            (long long)w->seq_lo, (long long)w->seq_hi);
	text_add(&r->text, "  workload    %lld sequence%s, %s, at most %lld token%s generated\n", (long long)w->batch,
	         plural(w->batch), prompts, (long long)w->output_hi, plural(w->output_hi));
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

static bool same_memory(const struct stage *a, const struct stage *b)
{
	return !memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

static void print_memory(struct report *r)
{
	const struct schedule *s = r->schedule;
	text_add(&r->text, "\n  bytes of a rank        weights      kv cache   activations communication          peak\n");
	for (int i = 0, next; i < s->stages.n; i = next) {
		for (next = i + 1; next < s->stages.n && same_memory(&s->stages.at[i], &s->stages.at[next]); next++)
			;
		struct memory m = planner_stage_memory(s, i);
		const char *stages = next == i + 1 ? arena_printf(r->arena, "stage %d", i)
		                                   : arena_printf(r->arena, "stages %d..%d", i, next - 1);
		text_add(&r->text, "    %-16s %13s %13s %13s %13s %13s\n", stages, planner_bytes(r->arena, m.weights),
		         planner_bytes(r->arena, m.kv), planner_bytes(r->arena, m.activations), planner_bytes(r->arena, m.comm),
		         planner_bytes(r->arena, m.peak));
	}
	double usable = planner_usable(r->deploy), peak = planner_stage_memory(s, planner_fullest_stage(s)).peak;
	if (usable > 0)
		text_add(&r->text, "    usable on %s: %s; headroom %.1f%%\n",
		         r->deploy->machine.device.name ? r->deploy->machine.device.name : "the device",
		         planner_bytes(r->arena, usable), 100 * (1 - peak / usable));
}

/* ---- collectives ----------------------------------------------------------------------------- */

/* "8.0 KiB a token": what one rank contributes. Exchanges over experts have a fixed size and run in rounds. */
static const char *volume(const struct report *r, const struct collective *c)
{
	bool fixed = c->outer.kind == NUMBER_CONST;
	double bytes = (double)c->bytes_per_outer * (double)c->outer.value;
	double each = !fixed && c->outer.div ? bytes / (double)c->outer.div : bytes;
	const char *of = c->outer.kind == NUMBER_TOKENS      ? " a token"
	                 : c->outer.kind == NUMBER_ROWS      ? " a row"
	                 : c->outer.kind == NUMBER_PAGES     ? " a page in use"
	                 : fixed && c->kind == DR_ALL_TO_ALL ? " a round"
	                                                     : "";
	return arena_printf(r->arena, "%s%s", planner_bytes(r->arena, each), of);
}

/* A line of the list, with the layers of all bodies that have it, or the cuts where it is sent. */
struct line {
	const char *text;
	int body, nth; /* nth: index among equal lines of the body */
	int64_t times;
};

static int64_t all_layers(const struct schedule *s)
{
	int64_t n = 0;
	for (int i = 0; i < s->n_bodies; i++)
		n += s->bodies[i].layers;
	return n;
}

static bool is_message(const struct collective *c) { return c->kind == DR_SEND || c->kind == DR_RECV; }

/* The cuts of the pipeline where what a body's loop carries is passed on. */
static int64_t cuts_of(const struct report *r, int body)
{
	const struct program *p = r->deploy->program;
	const struct loop *loop = &p->loops.at[p->bodies.at[body].loop];
	int64_t n = 0;
	for (int i = 1; i < r->schedule->stages.n; i++) {
		int64_t last = r->schedule->stages.at[i].layer_begin - 1;
		n += last >= loop->first_turn && last < loop->first_turn + loop->turns;
	}
	return n;
}

static const char *how_often(const struct report *r, const struct collective *c, int64_t times)
{
	if (is_message(c) && times == r->schedule->stages.n - 1)
		return "each cut";
	if (is_message(c))
		return arena_printf(r->arena, "%lld cut%s", (long long)times, plural(times));
	if (!c->per_layer)
		return "once";
	return times == all_layers(r->schedule) ? "each layer"
	                                        : arena_printf(r->arena, "%lld layer%s", (long long)times, plural(times));
}

/* Merges a line with an equal one of an earlier body, which then counts the layers of both. false: there is none. */
static bool joins(struct line *lines, int n, struct line *new)
{
	for (int i = 0; i < n; i++)
		new->nth += lines[i].body == new->body && !strcmp(lines[i].text, new->text);
	for (int i = 0; i < n; i++)
		if (!strcmp(lines[i].text, new->text) && lines[i].body != new->body
		    && lines[i].nth == new->nth &&lines[i].times) {
			lines[i].times += new->times;
			new->times = 0;
			return true;
		}
	return false;
}

static void print_collectives(struct report *r, int program)
{
	const struct schedule *s = r->schedule;
	struct line *lines = arena_array(r->arena, struct line, s->collectives.n + 1);
	int n = 0;
	for (int i = 0; i < s->collectives.n; i++) {
		const struct collective *c = &s->collectives.at[i];
		lines[i] = (struct line){arena_printf(r->arena, "%d %17s  %s", c->program, volume(r, c), c->cause),
		                         c->per_layer ? c->body : -1, 0,
		                         is_message(c)  ? cuts_of(r, c->body)
		                         : c->per_layer ? s->bodies[c->body].layers
		                                        : 1};
		joins(lines, i, &lines[i]);
	}
	text_add(&r->text, "\n  collectives of %s", s->programs.at[program].name);
	for (int i = 0; i < s->collectives.n; i++) {
		const struct collective *c = &s->collectives.at[i];
		if (c->program == program && lines[i].times)
			text_add(&r->text, "%s    %-10s %17s  %s\n", n++ ? "" : "\n", how_often(r, c, lines[i].times), volume(r, c),
			         c->cause);
	}
	if (!n)
		text_add(&r->text, ": none\n");
}

const char *planner_report(struct arena *arena, const struct deploy *d, const struct schedule *s)
{
	struct report r = {.text = {.arena = arena}, .arena = arena, .deploy = d, .schedule = s};
	text_add(&r.text, "deploy %s: %s on %s, plan %s\n", d->name, d->model_name ? d->model_name : "a model",
	         d->machine.name ? d->machine.name : "a cluster", d->plan_name ? d->plan_name : "of its own");
	if (d->known)
		print_mesh(&r);
	print_layers(&r);
	print_totals(&r);
	if (!s) {
		text_add(&r.text, "  %s\n",
		         d->work.training ? "training: not built in this version; of its memory only the weights are counted"
		         : d->known       ? "not scheduled"
		                          : "not scheduled: the plan has `auto`");
		return r.text.at;
	}
	print_step(&r);
	print_memory(&r);
	for (int i = 0; i < s->programs.n; i++)
		print_collectives(&r, i);
	return r.text.at;
}

/* "8 ranks of DGX_H100; the fullest rank takes 32.4 GiB of 76.1 GiB usable" */
static const char *room(struct arena *a, const struct deploy *d, const struct schedule *s, const struct local *l)
{
	double taken = s ? planner_stage_memory(s, planner_fullest_stage(s)).peak : planner_layout_total(l).value;
	return arena_printf(a, "%lld rank%s of %s; %s %s of %s usable", (long long)d->gpus, plural(d->gpus),
	                    d->machine.name ? d->machine.name : "a cluster",
	                    s ? "the fullest rank takes" : "weights of the fullest rank are", planner_bytes(a, taken),
	                    planner_bytes(a, planner_usable(d)));
}

const char *planner_summary(struct arena *arena, const struct deploy *d, const struct schedule *s,
                            const struct local *l)
{
	struct total t[PLANNER_TOTALS];
	planner_totals(d, NULL, t);
	const char *where = l && (s || d->needs_training) ? room(arena, d, s, l) : "a plan that is not decided";
	return arena_printf(arena, "%s: %s, %sparam, on %s\n", d->name, d->model_name ? d->model_name : "a model",
	                    planner_count(arena, t[0].value), where);
}
