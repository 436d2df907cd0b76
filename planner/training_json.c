/* Training as JSON: docs/json.md. Every number is in base units. */
#include "training_time.h"
#include "plan.h"
#include "../support/json.h"

static json_t *layers_of(const struct training *t, int stage)
{
	json_t *chunks = json_array();
	for (int c = 0; c < t->pipeline.chunks; c++) {
		struct layer_range layers = training_layers(t, stage, c);
		json_array_append_new(chunks, json_range((double)layers.begin, (double)layers.end));
	}
	return chunks;
}

static json_t *bytes_of(const struct training_memory *m)
{
	json_t *bytes = json_object();
	json_set(bytes, "weights", json_figure(m->weights));
	json_set(bytes, "gradients", json_figure(m->gradients));
	json_set(bytes, "optimizer", json_figure(m->optimizer));
	json_set(bytes, "saved", json_figure(m->saved));
	json_set(bytes, "working", json_figure(m->working));
	json_set(bytes, "peak", json_figure(m->peak));
	return bytes;
}

/* null: the workload has one length. */
static json_t *mean_of(const struct training *t, struct arena *scratch)
{
	double length, seconds;
	if (!training_mean_step(t, scratch, &length, &seconds))
		return json_null();
	json_t *mean = json_object();
	json_set(mean, "length", json_figure(length));
	json_set(mean, "seconds", json_figure(seconds));
	return mean;
}

static json_t *step_time_json(const struct training *t)
{
	struct arena scratch = {.heap = t->arena->heap};
	struct training_time time = training_time_of(t, &scratch);
	json_t *object = json_object(), *layers = json_array();
	for (int b = 0; b < t->local->program->bodies.n && !time.lacks; b++) {
		json_t *layer = json_object();
		json_set(layer, "layers", json_integer(t->local->program->bodies.at[b].turns));
		json_set(layer, "forward", json_figure(time.body[b].forward));
		json_set(layer, "backward", json_figure(time.body[b].backward));
		json_array_append_new(layers, layer);
	}
	json_set(object, "seconds", json_figure(time.seconds));
	json_set(object, "kernels", json_figure(time.compute));
	json_set(object, "communication", json_figure(time.exposed));
	json_set(object, "host", json_figure(time.host));
	json_set(object, "messages", json_figure(time.messages));
	json_set(object, "waiting", json_figure(time.waiting));
	json_set(object, "gradients", json_figure(time.sync));
	json_set(object, "optimizer", json_figure(time.optimizer));
	json_set(object, "engine", json_figure(time.fixed));
	json_set(object, "slowest", json_integer(time.slowest));
	json_set(object, "forward", json_figure(time.forward));
	json_set(object, "backward", json_figure(time.backward));
	json_set(object, "bodies", layers);
	json_set(object, "mean", mean_of(t, &scratch));
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
	struct expert_split split;
	struct balance balance;
	for (int i = 0; i < t->pipeline.stages; i++) {
		struct training_memory m = training_stage_memory(t, i);
		json_t *stage = json_object();
		json_set(stage, "stage", json_integer(i));
		json_set(stage, "layers", layers_of(t, i));
		json_set(stage, "slots", json_integer(stage_slots(&t->pipeline, i)));
		json_set(stage, "bytes", bytes_of(&m));
		json_array_append_new(stages, stage);
	}
	json_set(training, "schedule", json_string(pipeline_order_name(t->pipeline.order)));
	json_set(training, "microbatches", json_integer(t->pipeline.microbatches));
	json_set(training, "sequences", json_figure(t->sequences));
	json_set(training, "stages", stages);
	json_set(training, "balance",
	         training_exchange(t, &split, &balance) >= 0 ? balance_json(&split, &balance) : json_null());
	json_set(training, "time", step_time_json(t));
	return training;
}
