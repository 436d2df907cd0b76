/* A plan as JSON: docs/json.md. Every number is in base units and exact. */
#include "plan.h"
#include "../support/json.h"

static void set(json_t *object, const char *name, json_t *value) { json_object_set_new(object, name, value); }

static json_t *pair(int64_t a, int64_t b)
{
	json_t *array = json_array();
	json_array_append_new(array, json_integer(a));
	json_array_append_new(array, json_integer(b));
	return array;
}

/* ---- what is known without a schedule -------------------------------------------------------- */

static json_t *mesh_of(const struct deploy *d)
{
	json_t *mesh = json_array();
	int64_t stride = d->gpus;
	for (int i = 0; i < d->mesh.n; i++) {
		json_t *axis = json_object();
		stride /= d->mesh.at[i].size;
		set(axis, "axis", json_text(d->mesh.at[i].name));
		set(axis, "size", json_integer(d->mesh.at[i].size));
		set(axis, "stride", json_integer(stride));
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
		set(object, "level", json_text(level->name));
		set(object, "count", level->count ? json_integer(level->count) : json_null());
		set(object, "bandwidth", json_figure(level->link.bandwidth));
		set(object, "latency", json_figure(level->link.latency));
		json_array_append_new(levels, object);
	}
	return levels;
}

static json_t *device_of(const struct plan *p)
{
	const struct machine *m = &p->deploy->machine;
	json_t *device = json_object();
	set(device, "name", json_text_or_null(m->device.name));
	set(device, "memory", json_figure(m->device.memory));
	set(device, "reserve", json_figure(m->reserve));
	set(device, "usable", json_figure(p->usable));
	set(device, "bandwidth", json_figure(m->device.bandwidth));
	return device;
}

static json_t *loops_of(const struct program *program)
{
	json_t *loops = json_array();
	for (int i = 0; i < program->loops.n; i++) {
		json_t *loop = json_object();
		set(loop, "axis", json_text(program->axes.at[program->loops.at[i].axis].name));
		set(loop, "layers", json_integer(program->loops.at[i].turns));
		json_array_append_new(loops, loop);
	}
	return loops;
}

static json_t *totals_of(const struct plan *p)
{
	json_t *totals = json_object();
	for (int i = 0; i < p->n_totals; i++)
		set(totals, p->totals[i].name, json_figure(p->totals[i].value));
	return totals;
}

static json_t *workload_of(const struct workload *w)
{
	json_t *workload = json_object();
	set(workload, "training", json_boolean(w->training));
	set(workload, "sequences", json_integer(w->batch));
	set(workload, "prompt", pair(w->seq_lo, w->seq_hi));
	set(workload, "output", w->training ? json_null() : json_integer(w->output_hi));
	set(workload, "cache_positions", w->training ? json_null() : json_integer(w->cache));
	return workload;
}

/* ---- the schedule ---------------------------------------------------------------------------- */

static json_t *pools_of(const struct schedule *s)
{
	json_t *pools = json_array();
	for (int i = 0; i < s->n_pools; i++) {
		json_t *pool = json_object();
		set(pool, "window", i ? json_integer(s->pool[i].window) : json_null());
		set(pool, "pages", json_integer(s->pool[i].pages));
		json_array_append_new(pools, pool);
	}
	return pools;
}

static json_t *step_of(const struct schedule *s)
{
	json_t *step = json_object(), *programs = json_array();
	for (int i = 0; i < s->programs.n; i++) {
		json_t *program = json_object();
		set(program, "program", json_text(s->programs.at[i].name));
		set(program, "tokens", json_integer(s->programs.at[i].max_tokens));
		set(program, "rows", json_integer(s->programs.at[i].max_rows));
		json_array_append_new(programs, program);
	}
	set(step, "programs", programs);
	set(step, "microbatches", json_integer(s->pipeline.microbatches));
	set(step, "owners", json_integer(s->groups.at[s->owner_group].size));
	set(step, "sequences", json_integer(s->seqs));
	set(step, "page", json_integer(s->page));
	set(step, "pools", pools_of(s));
	return step;
}

json_t *plan_memory_json(const struct memory *m)
{
	json_t *bytes = json_object();
	set(bytes, "weights", json_figure(m->weights));
	set(bytes, "kv", json_figure(m->kv));
	set(bytes, "activations", json_figure(m->activations));
	set(bytes, "comm", json_figure(m->comm));
	set(bytes, "peak", json_figure(m->peak));
	return bytes;
}

static json_t *stages_of(const struct plan *p)
{
	const struct schedule *s = p->schedule;
	json_t *stages = json_array();
	for (int i = 0; i < s->stages.n; i++) {
		struct memory m = planner_stage_memory(s, i);
		json_t *stage = json_object();
		set(stage, "stage", json_integer(i));
		set(stage, "layers", pair(s->stages.at[i].layer_begin, s->stages.at[i].layer_end));
		set(stage, "ranks", json_integer(s->ranks / s->stages.n));
		set(stage, "bytes", plan_memory_json(&m));
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
	set(object, "program", json_text(s->programs.at[c->of->program].name));
	set(object, "kind", json_string(collective_name(c->of->kind)));
	set(object, "over", plan_over_json(s, group));
	set(object, "ranks", json_integer(group->size));
	set(object, "level", c->level < 0 ? json_null() : json_text(p->deploy->machine.levels.at[c->level].name));
	set(object, "region", json_text(c->of->where));
	set(object, "cause", json_text(c->of->cause));
	set(object, "dtype", json_string(dtype_name(c->of->dtype)));
	set(object, "times", json_integer(c->times));
	set(object, "of", json_string(often[c->often]));
	set(object, "bytes", json_figure(c->bytes));
	set(object, "per", json_string(plan_unit_name(c->unit)));
	set(object, "max_bytes", json_integer(c->max_bytes));
	return object;
}

static json_t *collectives_of(const struct plan *p)
{
	json_t *array = json_array();
	for (int i = 0; i < p->collectives.n; i++)
		json_array_append_new(array, plan_collective_json(p, &p->collectives.at[i]));
	return array;
}

static const char *status_of(const struct plan *p)
{
	return p->schedule                ? "scheduled"
	       : p->deploy->work.training ? "training"
	       : p->deploy->known         ? "unscheduled"
	                                  : "open";
}

json_t *plan_json(const struct plan *p)
{
	const struct deploy *d = p->deploy;
	bool scheduled = p->schedule != NULL;
	json_t *plan = json_object();
	set(plan, "deploy", json_text(d->name));
	set(plan, "model", json_text_or_null(d->model_name));
	set(plan, "cluster", json_text_or_null(d->machine.name));
	set(plan, "plan", json_text_or_null(d->plan_name));
	set(plan, "status", json_string(status_of(p)));
	set(plan, "ranks", d->known ? json_integer(d->gpus) : json_null());
	set(plan, "mesh", d->known ? mesh_of(d) : json_null());
	set(plan, "levels", levels_of(&d->machine));
	set(plan, "device", device_of(p));
	set(plan, "layers", json_integer(d->program->body_of.n));
	set(plan, "loops", loops_of(d->program));
	set(plan, "totals", totals_of(p));
	set(plan, "workload", workload_of(&d->work));
	set(plan, "step", scheduled ? step_of(p->schedule) : json_null());
	set(plan, "stages", scheduled ? stages_of(p) : json_array());
	set(plan, "collectives", scheduled ? collectives_of(p) : json_array());
	set(plan, "training", p->training ? training_json(p->training) : json_null());
	set(plan, "times", scheduled || p->training ? plan_times_json(p) : json_null());
	return plan;
}
