/* Sizes of a step of training: microbatches, layers of a stage, elements of values on a rank. */
#include "training.h"
#include <string.h>
#include "../support/round.h"

const struct value *training_source(const struct training *t, int value)
{
	return &t->local->program->values.at[t->forward->values.at[value].source];
}

bool training_has_tokens(const struct training *t, int at)
{
	const struct local_value *v = &t->forward->values.at[at];
	for (int i = 0; i < v->n_axes; i++)
		if (!t->local->program->axes.at[v->axes[i]].extent)
			return true;
	return false;
}

bool training_is(const struct training *t, int value, enum op op)
{
	return t->forward->values.at[value].op == LOCAL_OP && training_source(t, value)->op == op;
}

int training_storage(const struct training *t, int value)
{
	while (training_is(t, value, OP_RENAME))
		value = t->forward->values.at[value].args[0];
	return value;
}

/* ---- layers ---------------------------------------------------------------------------------- */

struct layer_range training_layers(const struct training *t, int stage, int chunk)
{
	const struct local *l = t->local;
	int64_t chunks = t->pipeline.chunks, begin = 0;
	for (int c = 0; c <= chunk; c++)
		for (int s = 0; s < (c == chunk ? stage : l->stage_layers.n); s++)
			begin += l->stage_layers.at[s] / chunks;
	return (struct layer_range){begin, begin + l->stage_layers.at[stage] / chunks};
}

int64_t training_turns(const struct training *t, struct layer_range layers, int body)
{
	int64_t n = 0;
	for (int64_t k = layers.begin; k < layers.end; k++)
		n += t->local->program->body_of.at[k] == body;
	return n;
}

/* ---- elements -------------------------------------------------------------------------------- */

int training_slot(const struct program *p, const struct local_value *v)
{
	for (int i = 0; i < v->n_axes; i++) {
		const struct axis *a = &p->axes.at[v->axes[i]];
		if (a->kind == AXIS_RAGGED && a->of >= 0 && p->axes.at[a->of].extent)
			return v->axes[i];
	}
	return -1;
}

struct balance training_balance(const struct training *t, const struct local_value *v, struct expert_split *split)
{
	const struct program *p = t->local->program;
	const struct value *s = &p->values.at[v->source];
	int slot = training_slot(p, v), expert = slot < 0 ? -1 : p->axes.at[slot].of;
	double cut = 1;
	*split = (struct expert_split){.experts = slot < 0 ? 0 : (double)p->axes.at[expert].extent, .ranks = 1};
	for (int i = 0; i < v->n_axes; i++) {
		double ways = (double)atoms_size(t->local, &v->layout.axis[i]);
		split->ranks *= v->axes[i] == expert ? ways : 1;
		cut *= v->axes[i] == slot ? ways : 1;
	}
	split->top = s->routing >= 0 ? (double)p->values.at[s->routing].route.top : 1;
	split->tokens = t->tokens / cut;
	split->senders = split->ranks;
	return slot < 0 || s->routing < 0 ? (struct balance){1, 1, 0} : balance_of(t->balances, split);
}

/* Rows of a rank's experts, of the busiest rank: each token brings one to each expert that it chose. */
static double expert_rows(const struct training *t, const struct local_value *v, int slot)
{
	const struct program *p = t->local->program;
	const struct value *s = &p->values.at[v->source];
	struct expert_split split;
	double rows = t->tokens;
	if (s->routing >= 0)
		rows *= (double)p->values.at[s->routing].route.top;
	for (int i = 0; i < v->n_axes; i++)
		if (v->axes[i] == slot || v->axes[i] == p->axes.at[slot].of)
			rows /= (double)atoms_size(t->local, &v->layout.axis[i]);
	return rows * training_balance(t, v, &split).busiest;
}

double training_elements(const struct training *t, const struct local_value *v)
{
	const struct program *p = t->local->program;
	double n = 1;
	int slot = training_slot(p, v);
	for (int i = 0; i < v->n_axes; i++) {
		int axis = v->axes[i];
		double ways = (double)atoms_size(t->local, &v->layout.axis[i]);
		if (slot >= 0 && (axis == slot || axis == p->axes.at[slot].of))
			continue;
		if (axis == p->batch)
			n *= t->sequences * (double)atoms_size(t->local, &t->local->owners) / ways;
		else if (p->axes.at[axis].extent)
			n *= (double)axis_local(t->local, v, i);
		else
			n *= (double)t->deploy->work.seq_hi / ways; /* seq, or a view of it */
	}
	return slot >= 0 ? n * expert_rows(t, v, slot) : n;
}

enum { ROUTING_BYTES = 8 }; /* of a choice: the expert and its weight */

double training_value_bytes(const struct training *t, int value)
{
	const struct local_value *v = &t->forward->values.at[value];
	const struct value *s = training_source(t, value);
	double n = training_elements(t, v);
	if (s->type == TYPE_ROUTING)
		return n * (double)s->route.top * ROUTING_BYTES;
	return n * dtype_millibits(v->dtype) / 8000;
}

double training_gathered(const struct training *t, int value)
{
	const struct local_value *v = &t->forward->values.at[value];
	int bits = dtype_millibits(v->dtype);
	for (int i = 0; i < t->forward->carries.n; i++) {
		int used = dtype_millibits(t->forward->values.at[t->forward->carries.at[i].begin].dtype);
		bits = used < bits ? used : bits;
	}
	return training_elements(t, v) * bits / 8000;
}

/* ---- what is computed again ------------------------------------------------------------------ */

/* Does the region's own path end with `path`, of n characters? */
static bool region_is(const struct program *p, int region, const char *path, size_t n)
{
	const char *name = p->regions.at[region].name;
	size_t length = strlen(name);
	if (!length || length > n || memcmp(path + n - length, name, length))
		return false;
	return length == n
	       || (path[n - length - 1] == '.' && p->regions.at[region].parent >= 0
	           && region_is(p, p->regions.at[region].parent, path, n - length - 1));
}

static bool is_within(const struct program *p, int region, const char *path, size_t n)
{
	for (; region >= 0; region = p->regions.at[region].parent)
		if (region_is(p, region, path, n))
			return true;
	return false;
}

/* Does a setting name the value, as `layer.attn.o`, or a region that contains it, as `layer.attn`? */
static bool names(const struct program *p, const struct value *s, const char *path)
{
	const char *dot = strrchr(path, '.');
	if (is_within(p, s->region, path, strlen(path)))
		return true;
	return s->name && !strcmp(s->name, dot ? dot + 1 : path)
	       && (!dot || region_is(p, s->region, path, (size_t)(dot - path)));
}

/* What a loop carries is where computing again begins, and a routing that is made again might be another one. */
static void find_again(struct training *t)
{
	const struct program *p = t->local->program;
	for (int i = 0; i < t->forward->values.n; i++) {
		const struct local_value *v = &t->forward->values.at[i];
		const struct value *s = training_source(t, i);
		if (!part_is_loop(v->part) || (v->op == LOCAL_OP && (s->op == OP_CARRY || s->op == OP_ROUTE)))
			continue;
		for (int k = 0; k < t->deploy->recompute.n; k++) {
			const char *path = t->deploy->recompute.at[k];
			t->again[i] |= v->op == LOCAL_OP ? names(p, s, path) : is_within(p, v->region, path, strlen(path));
		}
	}
}

struct training *training_of(struct arena *a, const struct local *l)
{
	const struct deploy *d = l->deploy;
	const struct local_phase *ph = &l->phase[PHASE_PREFILL];
	int64_t owners = atoms_size(l, &l->owners);
	struct training *t = arena_new(a, struct training);
	*t = (struct training){
		.arena = a,
		.local = l,
		.deploy = d,
		.forward = ph,
		.pipeline = {d->order, l->stage_layers.n ? l->stage_layers.n : 1, d->microbatches, d->chunks, true},
		.sequences = (double)divide_up(d->work.batch, owners * d->microbatches),
		.again = arena_array(a, bool, ph->values.n + 1),
		.saved = arena_array(a, bool, ph->values.n + 1),
		.read = arena_array(a, bool, ph->values.n + 1),
		.balances = balances_new(a, &d->work.experts)};
	t->tokens = t->sequences * (double)owners * (double)d->work.seq_hi;
	find_again(t);
	training_find_saved(t);
	training_find_bytes(t);
	return t;
}
