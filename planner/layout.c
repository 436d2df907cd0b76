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

static bool is_on_stage(const struct local *l, enum step_section section, int stage)
{
	return section == SECTION_FIRST_STAGE  ? stage == 0
	       : section == SECTION_LAST_STAGE ? stage == l->stage_layers.n - 1
	                                       : true;
}

/* Both ends of a pipeline read a tied embedding. */
static bool stage_reads(const struct local *l, int value, int stage)
{
	const struct local_phase *ph = &l->phase[PHASE_PREFILL];
	for (int u = value + 1; u < ph->values.n; u++)
		for (int i = 0; i < ph->values.at[u].n_args; i++)
			if (ph->values.at[u].args[i] == value && is_on_stage(l, ph->values.at[u].section, stage))
				return true;
	return false;
}

static int64_t layers_of_body(const struct loop *loop, int body, int64_t begin, int64_t end)
{
	int64_t n = 0;
	for (int64_t k = begin; k < end; k++)
		n += loop->body_of[k] == body;
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
		int64_t times = p->in_loop ? layers_of_body(&l->program->loop, p->body, begin, end) : 1;
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
