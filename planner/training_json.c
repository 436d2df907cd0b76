/* Training as JSON: docs/json.md. Every number is in base units. */
#include "training_time.h"
#include "plan.h"
#include "../support/json.h"

static void set(json_t *object, const char *name, json_t *value) { json_object_set_new(object, name, value); }

static json_t *layers_of(const struct training *t, int stage)
{
	json_t *chunks = json_array();
	for (int c = 0; c < t->pipeline.chunks; c++) {
		struct layer_range layers = training_layers(t, stage, c);
		json_t *pair = json_array();
		json_array_append_new(pair, json_integer(layers.begin));
		json_array_append_new(pair, json_integer(layers.end));
		json_array_append_new(chunks, pair);
	}
	return chunks;
}

static json_t *bytes_of(const struct training_memory *m)
{
	json_t *bytes = json_object();
	set(bytes, "weights", json_figure(m->weights));
	set(bytes, "gradients", json_figure(m->gradients));
	set(bytes, "optimizer", json_figure(m->optimizer));
	set(bytes, "saved", json_figure(m->saved));
	set(bytes, "working", json_figure(m->working));
	set(bytes, "peak", json_figure(m->peak));
	return bytes;
}

static json_t *time_of(const struct training *t)
{
	struct arena scratch = {.heap = t->arena->heap};
	struct training_time time = training_time_of(t, &scratch);
	json_t *object = json_object(), *layers = json_array();
	for (int b = 0; b < t->local->program->bodies.n && !time.lacks; b++) {
		json_t *layer = json_object();
		set(layer, "layers", json_integer(t->local->program->bodies.at[b].turns));
		set(layer, "forward", json_figure(time.body[b].forward));
		set(layer, "backward", json_figure(time.body[b].backward));
		json_array_append_new(layers, layer);
	}
	set(object, "seconds", json_figure(time.seconds));
	set(object, "kernels", json_figure(time.compute));
	set(object, "communication", json_figure(time.exposed));
	set(object, "host", json_figure(time.host));
	set(object, "messages", json_figure(time.messages));
	set(object, "waiting", json_figure(time.waiting));
	set(object, "gradients", json_figure(time.sync));
	set(object, "optimizer", json_figure(time.optimizer));
	set(object, "engine", json_figure(time.fixed));
	set(object, "slowest", json_integer(time.slowest));
	set(object, "forward", json_figure(time.forward));
	set(object, "backward", json_figure(time.backward));
	set(object, "bodies", layers);
	bool lacks = time.lacks != NULL;
	arena_free(&scratch);
	if (!lacks)
		return object;
	json_decref(object);
	return json_null();
}

json_t *training_json(const struct training *t)
{
	json_t *training = json_object(), *stages = json_array();
	for (int i = 0; i < t->pipeline.stages; i++) {
		struct training_memory m = training_stage_memory(t, i);
		json_t *stage = json_object();
		set(stage, "stage", json_integer(i));
		set(stage, "layers", layers_of(t, i));
		set(stage, "slots", json_integer(stage_slots(&t->pipeline, i)));
		set(stage, "bytes", bytes_of(&m));
		json_array_append_new(stages, stage);
	}
	set(training, "schedule", json_string(pipeline_order_name(t->pipeline.order)));
	set(training, "microbatches", json_integer(t->pipeline.microbatches));
	set(training, "sequences", json_figure(t->sequences));
	set(training, "stages", stages);
	set(training, "time", time_of(t));
	return training;
}
