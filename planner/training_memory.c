/* Bytes of a rank in a step of training. Weights, gradients and the optimizer's states follow from layouts; saved
 * values from what the backward pass reads, times the microbatches in flight on the stage (support/stage_order.h). */
#include "training.h"

/* ---- params ---------------------------------------------------------------------------------- */

double training_param_bytes(const struct training *t, const struct param *p, int klass, enum dtype format)
{
	struct local *l =
		arena_new(t->arena, struct local); /* placing reports through it; it was placed without a report */
	*l = *t->local;
	struct local_value v = {.axes = p->axes, .n_axes = p->n_axes, .layout = place_stored(l, p, klass)};
	double n = dtype_millibits(format) / 8000.0;
	for (int i = 0; i < v.n_axes; i++)
		n *= (double)axis_local(t->local, &v, i);
	return n;
}

bool training_reads(const struct training *t, int value, int stage)
{
	const struct local_phase *ph = t->forward;
	for (int u = value + 1; u < ph->values.n; u++)
		for (int i = 0; i < ph->values.at[u].n_args; i++)
			if (ph->values.at[u].args[i] == value && stages_have(t->local->parts.at[ph->values.at[u].part], stage))
				return true;
	return false;
}

/* Bytes of a param on a rank, for one layer if it is in a loop. */
static struct training_body param_bytes(const struct training *t, const struct param *p)
{
	const struct optimizer *o = &t->deploy->work.optimizer;
	struct training_body b = {.weights = training_param_bytes(t, p, CLASS_WEIGHT, p->dtype),
	                          .gradients = training_param_bytes(t, p, CLASS_GRADIENT, o->gradient)};
	b.optimizer = (double)o->states * training_param_bytes(t, p, CLASS_OPTIMIZER, o->moments);
	if (o->has_master)
		b.optimizer += training_param_bytes(t, p, CLASS_OPTIMIZER, o->master);
	return b;
}

static const struct param *param_of(const struct training *t, int value)
{
	return training_is(t, value, OP_PARAM) ? &t->local->program->params.at[training_source(t, value)->param] : NULL;
}

/* ---- activations ----------------------------------------------------------------------------- */

/* What an attention keeps beside its operands and its result: the logarithm of each query's sum, in f32. */
static double attend_bytes(const struct training *t, int value)
{
	const struct local_value *v = &t->forward->values.at[value];
	const struct value *s = training_source(t, value);
	double n = training_elements(t, v);
	for (int i = 0; i < v->n_axes; i++)
		if (v->axes[i] == s->attend.w)
			n /= (double)axis_local(t->local, v, i);
	return 4 * n;
}

static double kept_bytes(const struct training *t, int value)
{
	return training_value_bytes(t, value) + (training_is(t, value, OP_ATTEND) ? attend_bytes(t, value) : 0);
}

/* Bytes of the marked values of a body, for one layer; body -1: of the values outside the loops on a stage. */
static double marked_bytes(const struct training *t, const bool *mark, int body, int stage)
{
	double bytes = 0;
	for (int i = 0; i < t->forward->values.n; i++) {
		const struct local_value *v = &t->forward->values.at[i];
		bool here = body >= 0 ? part_is_loop(v->part) && v->body == body
		                      : !part_is_loop(v->part) && stages_have(t->local->parts.at[v->part], stage);
		if (here && mark[i])
			bytes += kept_bytes(t, i);
	}
	return bytes;
}

/* Bytes of the adjoints of an operator's operands and of its result, which are there while it is differentiated. */
static double adjoint_bytes(const struct training *t, int value)
{
	const struct local_value *v = &t->forward->values.at[value];
	double bytes = training_value_bytes(t, value);
	for (int i = 0; i < v->n_args; i++)
		if (v->args[i] >= 0 && t->forward->values.at[v->args[i]].part != PART_EVERY
		    && !training_is(t, v->args[i], OP_PARAM))
			bytes += training_value_bytes(t, v->args[i]);
	return bytes;
}

/* Gathered params of a layer and their gradients before these are shared out. */
static double gathered_bytes(const struct training *t, int body)
{
	double bytes = 0, gradient = dtype_millibits(t->deploy->work.optimizer.gradient);
	for (int i = 0; i < t->forward->values.n; i++) {
		const struct local_value *v = &t->forward->values.at[i];
		if (v->op != LOCAL_ALL_GATHER || !training_is(t, v->args[0], OP_PARAM) || v->body != body)
			continue;
		bytes += training_gathered(t, i) + training_elements(t, v) * gradient / 8000;
	}
	return bytes;
}

enum { LAYERS_GATHERED = 2 }; /* the one that runs, and the next. Stages of a pipeline keep all of theirs. */

/* What the backward pass of one layer takes at most beside what was saved: values computed again, adjoints, the adjoint
 * of what the loop carries, and params that were gathered. */
static double layer_bytes(const struct training *t, int body)
{
	const struct local_phase *ph = t->forward;
	double again = 0, most = 0, carried = 0;
	for (int i = 0; i < ph->values.n; i++) {
		if (!part_is_loop(ph->values.at[i].part) || ph->values.at[i].body != body || local_is_move(&ph->values.at[i]))
			continue;
		again += t->read[i] && !t->saved[i] ? kept_bytes(t, i) : 0;
		if (training_is(t, i, OP_CARRY))
			carried += training_value_bytes(t, i);
		else if (ph->values.at[i].op == LOCAL_OP && training_source(t, i)->call < 0 && adjoint_bytes(t, i) > most)
			most = adjoint_bytes(t, i);
	}
	return again + most + carried + (t->pipeline.stages > 1 ? 0 : LAYERS_GATHERED * gathered_bytes(t, body));
}

/* Of a logit, where the loss is computed: 16 bits, f32, its probability, and both gradients. torchtitan's peaks say so
 * (docs/planner.md). */
enum { LOGIT_BYTES = 16 };

static double logits_bytes(const struct training *t, int stage)
{
	const struct program *p = t->local->program;
	double bytes = 0;
	for (int i = 0; i < p->outputs.n && stage == t->pipeline.stages - 1; i++) {
		int at = t->forward->of_program[p->outputs.at[i].value];
		if (at >= 0)
			bytes += LOGIT_BYTES * training_elements(t, &t->forward->values.at[at]);
	}
	return bytes;
}

void training_find_bytes(struct training *t)
{
	const struct program *p = t->local->program;
	t->body = arena_array(t->arena, struct training_body, p->bodies.n + 1);
	for (int i = 0; i < t->forward->values.n; i++) {
		const struct param *param = param_of(t, i);
		if (!param || !param->in_loop)
			continue;
		struct training_body b = param_bytes(t, param), *sum = &t->body[param->body];
		sum->weights += b.weights;
		sum->gradients += b.gradients;
		sum->optimizer += b.optimizer;
	}
	for (int b = 0; b < p->bodies.n; b++) {
		t->body[b].saved = marked_bytes(t, t->saved, b, 0);
		t->body[b].working = layer_bytes(t, b);
		t->body[b].gathered = t->pipeline.stages > 1 ? gathered_bytes(t, b) : 0;
	}
}

/* ---- a stage --------------------------------------------------------------------------------- */

/* A slot of the stage holds what one microbatch leaves in one of its chunks. Chunks of different layers take as much as
 * the largest. */
static void add_layers(const struct training *t, int stage, struct training_memory *m)
{
	double largest = 0, gathered = 0, slots = (double)stage_slots(&t->pipeline, stage);
	for (int c = 0; c < t->pipeline.chunks; c++) {
		double saved = 0;
		for (int b = 0; b < t->local->program->bodies.n; b++) {
			const struct training_body *body = &t->body[b];
			double turns = (double)training_turns(t, training_layers(t, stage, c), b);
			saved += turns * body->saved;
			m->weights += turns * body->weights;
			m->gradients += turns * body->gradients;
			m->optimizer += turns * body->optimizer;
			gathered += turns * body->gathered;
			m->working = turns > 0 && body->working > m->working ? body->working : m->working;
		}
		largest = fmax(largest, saved);
	}
	m->working += gathered;
	m->saved = slots * largest + slots / (double)t->pipeline.chunks * marked_bytes(t, t->saved, -1, stage);
}

struct training_body training_experts(const struct training *t, int stage, int axis)
{
	struct training_body sum = {.weights = 0};
	for (int i = 0; i < t->forward->values.n; i++) {
		const struct param *param = param_of(t, i);
		if (!param || !param->in_loop || !axis_among(param->axes, param->n_axes, axis))
			continue;
		struct training_body b = param_bytes(t, param);
		for (int c = 0; c < t->pipeline.chunks; c++) {
			double turns = (double)training_turns(t, training_layers(t, stage, c), param->body);
			sum.weights += turns * b.weights;
			sum.gradients += turns * b.gradients;
			sum.optimizer += turns * b.optimizer;
		}
	}
	return sum;
}

struct training_memory training_stage_memory(const struct training *t, int stage)
{
	struct training_memory m = {.working = logits_bytes(t, stage)};
	add_layers(t, stage, &m);
	for (int i = 0; i < t->forward->values.n; i++) {
		const struct param *param = param_of(t, i);
		if (!param || param->in_loop || !training_reads(t, i, stage))
			continue;
		struct training_body b = param_bytes(t, param);
		m.weights += b.weights;
		m.gradients += b.gradients;
		m.optimizer += b.optimizer;
	}
	m.peak = m.weights + m.gradients + m.optimizer + m.saved + m.working;
	return m;
}

struct training_memory training_fullest(const struct training *t, int *stage)
{
	struct training_memory fullest = {.peak = -1};
	for (int i = 0; i < t->pipeline.stages; i++) {
		struct training_memory m = training_stage_memory(t, i);
		if (m.peak <= fullest.peak)
			continue;
		fullest = m;
		*stage = i;
	}
	return fullest;
}

int planner_training_totals(const struct training *t, struct total out[PLANNER_TOTALS])
{
	struct training_memory max = {0};
	double usable = planner_usable(t->deploy);
	for (int i = 0; i < t->pipeline.stages; i++) {
		struct training_memory m = training_stage_memory(t, i);
		max.weights = m.weights > max.weights ? m.weights : max.weights;
		max.gradients = m.gradients > max.gradients ? m.gradients : max.gradients;
		max.optimizer = m.optimizer > max.optimizer ? m.optimizer : max.optimizer;
		max.saved = m.saved + m.working > max.saved ? m.saved + m.working : max.saved;
		max.peak = m.peak > max.peak ? m.peak : max.peak;
	}
	out[0] = (struct total){"memory.weights", max.weights, TOTAL_BYTES};
	out[1] = (struct total){"memory.gradients", max.gradients, TOTAL_BYTES};
	out[2] = (struct total){"memory.optimizer", max.optimizer, TOTAL_BYTES};
	out[3] = (struct total){"memory.activations", max.saved, TOTAL_BYTES};
	out[4] = (struct total){"memory.peak", max.peak, TOTAL_BYTES};
	out[5] = (struct total){"memory.headroom", 1 - max.peak / usable, TOTAL_RATIO};
	return usable > 0 ? 6 : 5;
}

static bool same_training(const struct training_memory *a, const struct training_memory *b)
{
	return a->weights == b->weights && a->gradients == b->gradients && a->optimizer == b->optimizer
	       && a->saved == b->saved && a->working == b->working;
}

struct stage_range training_equal_stages(const struct training *t, int begin)
{
	struct training_memory m = training_stage_memory(t, begin);
	int end = begin + 1;
	for (; end < t->pipeline.stages; end++) {
		struct training_memory next = training_stage_memory(t, end);
		if (!same_training(&m, &next))
			break;
	}
	return (struct stage_range){begin, end};
}
