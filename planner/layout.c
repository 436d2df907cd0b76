/* Weights of a rank by layout alone, for plans that are checked but not scheduled: those of training. */
#include "planner.h"
#include "../dag/local.h"

/* Bytes of a param on one rank; of a param in the loop, those of one layer. */
static double layout_bytes(const struct local *l, const struct local_value *v, const struct param *p)
{
	double n = dtype_millibits(p->dtype) / 8000.0;
	for (int i = 0; i < v->n_axes; i++)
		n *= (double)axis_local(l, v, i);
	return n;
}

static const struct param *param_of(const struct local *l, const struct local_value *v)
{
	const struct value *source = &l->program->values.at[v->source];
	return v->op == LOCAL_OP && source->op == OP_PARAM ? &l->program->params.at[source->param] : NULL;
}

/* Both ends of a pipeline read a tied embedding. */
static bool stage_reads(const struct local *l, int value, int stage)
{
	const struct local_phase *ph = &l->phase[PHASE_PREFILL];
	for (int u = value + 1; u < ph->values.n; u++)
		for (int i = 0; i < ph->values.at[u].n_args; i++)
			if (ph->values.at[u].args[i] == value && stages_have(l->parts.at[ph->values.at[u].part], stage))
				return true;
	return false;
}

static int64_t layers_of_body(const struct program *p, int body, int64_t begin, int64_t end)
{
	int64_t n = 0;
	for (int64_t k = begin; k < end; k++)
		n += p->body_of.at[k] == body;
	return n;
}

static double stage_bytes(const struct local *l, int stage, int64_t begin, int64_t end)
{
	const struct local_phase *ph = &l->phase[PHASE_PREFILL];
	double bytes = 0;
	for (int i = 0; i < ph->values.n; i++) {
		const struct param *p = param_of(l, &ph->values.at[i]);
		if (!p || !stage_reads(l, i, stage))
			continue;
		int64_t times = p->in_loop ? layers_of_body(l->program, p->body, begin, end) : 1;
		bytes += (double)times * layout_bytes(l, &ph->values.at[i], p);
	}
	return bytes;
}

struct total planner_layout_total(const struct local *l)
{
	double fullest = 0;
	int64_t begin = 0;
	for (int i = 0; i < l->stage_layers.n; begin += l->stage_layers.at[i++]) {
		double bytes = stage_bytes(l, i, begin, begin + l->stage_layers.at[i]);
		fullest = bytes > fullest ? bytes : fullest;
	}
	return (struct total){"memory.weights", fullest, TOTAL_BYTES};
}
