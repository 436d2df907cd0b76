/* A plan as JSON: docs/json.md. Every number is in base units and exact. */
#include "plan.h"
#include "../support/json.h"

/* ---- what is known without a schedule -------------------------------------------------------- */

static json_t *mesh_of(const struct deploy *d)
{
	json_t *mesh = json_array();
	int64_t stride = d->gpus;
	for (int i = 0; i < d->mesh.n; i++) {
		json_t *axis = json_object();
		stride /= d->mesh.at[i].size;
		json_set(axis, "axis", json_text(d->mesh.at[i].name));
		json_set(axis, "size", json_integer(d->mesh.at[i].size));
		json_set(axis, "stride", json_integer(stride));
		json_array_append_new(mesh, axis);
	}
	return mesh;
}

static json_t *levels_of(const struct machine *m)
{
	json_t *levels = json_array();
	for (int i = 0; i < m->levels.n; i++) {
		const struct level *level = &m->levels.at[i];
		json_t *object = json_object();
		json_set(object, "level", json_text(level->name));
		json_set(object, "count", level->count ? json_integer(level->count) : json_null());
		json_set(object, "bandwidth", json_figure(level->link.bandwidth));
		json_set(object, "latency", json_figure(level->link.latency));
		json_array_append_new(levels, object);
	}
	return levels;
}

static json_t *device_of(const struct plan *p)
{
	const struct machine *m = &p->deploy->machine;
	json_t *device = json_object();
	json_set(device, "name", json_text_or_null(m->device.name));
	json_set(device, "memory", json_figure(m->device.memory));
	json_set(device, "reserve", json_figure(m->reserve));
	json_set(device, "usable", json_figure(p->usable));
	json_set(device, "bandwidth", json_figure(m->device.bandwidth));
	return device;
}

static json_t *loops_of(const struct program *program)
{
	json_t *loops = json_array();
	for (int i = 0; i < program->loops.n; i++) {
		json_t *loop = json_object();
		json_set(loop, "axis", json_text(program->axes.at[program->loops.at[i].axis].name));
		json_set(loop, "layers", json_integer(program->loops.at[i].turns));
		json_array_append_new(loops, loop);
	}
	return loops;
}

static json_t *totals_of(const struct plan *p)
{
	json_t *totals = json_object();
	for (int i = 0; i < p->n_totals; i++)
		json_set(totals, p->totals[i].name, json_figure(p->totals[i].value));
	return totals;
}

static json_t *workload_of(const struct workload *w)
{
	json_t *workload = json_object();
	json_set(workload, "training", json_boolean(w->training));
	json_set(workload, "sequences", json_integer(w->batch));
	json_set(workload, "prompt", json_range((double)w->seq_lo, (double)w->seq_hi));
	json_set(workload, "output", w->training ? json_null() : json_integer(w->output_hi));
	json_set(workload, "cache_positions", w->training ? json_null() : json_integer(w->cache));
	return workload;
}

/* ---- the schedule ---------------------------------------------------------------------------- */

static json_t *pools_of(const struct schedule *s)
{
	json_t *pools = json_array();
	for (int i = 0; i < s->n_pools; i++) {
		json_t *pool = json_object();
		json_set(pool, "window", i ? json_integer(s->pool[i].window) : json_null());
		json_set(pool, "pages", json_integer(s->pool[i].pages));
		json_array_append_new(pools, pool);
	}
	return pools;
}

static json_t *step_of(const struct schedule *s)
{
	json_t *step = json_object(), *programs = json_array();
	for (int i = 0; i < s->programs.n; i++) {
		json_t *program = json_object();
		json_set(program, "program", json_text(s->programs.at[i].name));
		json_set(program, "tokens", json_integer(s->programs.at[i].max_tokens));
		json_set(program, "rows", json_integer(s->programs.at[i].max_rows));
		json_array_append_new(programs, program);
	}
	json_set(step, "programs", programs);
	json_set(step, "microbatches", json_integer(s->pipeline.microbatches));
	json_set(step, "owners", json_integer(s->groups.at[s->owner_group].size));
	json_set(step, "sequences", json_integer(s->seqs));
	json_set(step, "page", json_integer(s->page));
	json_set(step, "pools", pools_of(s));
	return step;
}

json_t *plan_memory_json(const struct memory *m)
{
	json_t *bytes = json_object();
	json_set(bytes, "weights", json_figure(m->weights));
	json_set(bytes, "kv", json_figure(m->kv));
	json_set(bytes, "activations", json_figure(m->activations));
	json_set(bytes, "comm", json_figure(m->comm));
	json_set(bytes, "peak", json_figure(m->peak));
	return bytes;
}

static json_t *stages_of(const struct plan *p)
{
	const struct schedule *s = p->schedule;
	json_t *stages = json_array();
	for (int i = 0; i < s->stages.n; i++) {
		struct memory m = planner_stage_memory(s, i);
		json_t *stage = json_object();
		json_set(stage, "stage", json_integer(i));
		json_set(stage, "layers", json_range((double)s->stages.at[i].layer_begin, (double)s->stages.at[i].layer_end));
		json_set(stage, "ranks", json_integer(s->ranks / s->stages.n));
		json_set(stage, "bytes", plan_memory_json(&m));
		json_array_append_new(stages, stage);
	}
	return stages;
}

json_t *plan_over_json(const struct schedule *s, const struct group *g)
{
	json_t *over = json_array();
	for (int i = 0; i < g->n; i++)
		json_array_append_new(over, json_text(s->atoms.at[g->atom[i]].name));
	return over;
}

json_t *plan_collective_json(const struct plan *p, const struct plan_collective *c)
{
	static const char *const often[] = {[OFTEN_ONCE] = "step", [OFTEN_LAYER] = "layer", [OFTEN_CUT] = "cut"};
	const struct schedule *s = p->schedule;
	const struct group *group = &s->groups.at[c->of->group];
	json_t *object = json_object();
	json_set(object, "program", json_text(s->programs.at[c->of->program].name));
	json_set(object, "kind", json_string(collective_name(c->of->kind)));
	json_set(object, "over", plan_over_json(s, group));
	json_set(object, "ranks", json_integer(group->size));
	json_set(object, "level", c->level < 0 ? json_null() : json_text(p->deploy->machine.levels.at[c->level].name));
	json_set(object, "region", json_text(c->of->where));
	json_set(object, "cause", json_text(c->of->cause));
	json_set(object, "dtype", json_string(dtype_name(c->of->dtype)));
	json_set(object, "times", json_integer(c->times));
	json_set(object, "of", json_string(often[c->often]));
	json_set(object, "bytes", json_figure(c->bytes));
	json_set(object, "per", json_string(plan_unit_name(c->unit)));
	json_set(object, "max_bytes", json_integer(c->max_bytes));
	return object;
}

static json_t *collectives_of(const struct plan *p)
{
	json_t *array = json_array();
	for (int i = 0; i < p->collectives.n; i++)
		json_array_append_new(array, plan_collective_json(p, &p->collectives.at[i]));
	return array;
}

static json_t *goals_of_plan(const struct goal_list *goals)
{
	json_t *array = json_array();
	for (int i = 0; i < goals->n; i++) {
		const struct judged_goal *g = &goals->at[i];
		json_t *goal = json_object();
		json_set(goal, "kind", json_string(g->required ? "require" : "assert"));
		json_set(goal, "text", json_text(g->text));
		json_set(goal, "message", json_text_or_null(g->message));
		json_set(goal, "verdict", json_string(goal_verdict_name(g->verdict)));
		json_array_append_new(array, goal);
	}
	return array;
}

static const char *status_of(const struct plan *p)
{
	return p->schedule ? "scheduled" : p->training ? "training" : p->deploy->known ? "unscheduled" : "open";
}

json_t *plan_json(const struct plan *p)
{
	const struct deploy *d = p->deploy;
	bool scheduled = p->schedule != NULL;
	json_t *plan = json_object();
	json_set(plan, "deploy", json_text(d->name));
	json_set(plan, "model", json_text_or_null(d->model_name));
	json_set(plan, "cluster", json_text_or_null(d->machine.name));
	json_set(plan, "plan", json_text_or_null(d->plan_name));
	json_set(plan, "status", json_string(status_of(p)));
	json_set(plan, "ranks", d->known ? json_integer(d->gpus) : json_null());
	json_set(plan, "mesh", d->known ? mesh_of(d) : json_null());
	json_set(plan, "levels", levels_of(&d->machine));
	json_set(plan, "device", device_of(p));
	json_set(plan, "layers", json_integer(d->program->body_of.n));
	json_set(plan, "loops", loops_of(d->program));
	json_set(plan, "totals", totals_of(p));
	json_set(plan, "workload", workload_of(&d->work));
	json_set(plan, "step", scheduled ? step_of(p->schedule) : json_null());
	json_set(plan, "stages", scheduled ? stages_of(p) : json_array());
	json_set(plan, "collectives", scheduled ? collectives_of(p) : json_array());
	json_set(plan, "training", p->training ? training_json(p->training) : json_null());
	json_set(plan, "times", scheduled || p->training ? plan_times_json(p) : json_null());
	json_set(plan, "goals", goals_of_plan(&p->goals));
	return plan;
}
