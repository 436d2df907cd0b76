/* Weights of a rank as the layout cuts them, for plans that are checked and not built: no schedule says their bytes. */
#include "planner.h"
#include "../dag/local.h"

/* Bytes of a param on one rank: of all layers, if it is one of a layer. */
static double layout_bytes(const struct local *l, const struct local_value *v, const struct param *p)
{
	double n = dtype_millibits(p->dtype) / 8000.0;
	for (int i = 0; i < v->n_axes; i++)
		n *= (double)(l->program->axes.at[v->axes[i]].extent / atoms_size(l, &v->layout.axis[i]));
	return n;
}

static const struct param *param_of(const struct local *l, const struct local_value *v)
{
	const struct value *source = &l->program->values.at[v->source];
	return v->op == LOCAL_OP && source->op == OP_PARAM ? &l->program->params.at[source->param] : NULL;
}

/* Adds a param to the stages that read it: both ends of a pipeline hold a tied embedding. */
static void add_param(const struct local *l, int value, double bytes[SECTIONS])
{
	const struct local_phase *ph = &l->phase[PHASE_PREFILL];
	const struct local_value *v = &ph->values.at[value];
	const struct param *p = param_of(l, v);
	bool read[SECTIONS] = {false};
	for (int u = value + 1; p && u < ph->values.n; u++)
		for (int i = 0; i < ph->values.at[u].n_args; i++)
			if (ph->values.at[u].args[i] == value)
				read[p->in_loop ? SECTION_LAYER : ph->values.at[u].section] = true;
	for (int at = 0; p && at < SECTIONS; at++)
		if (read[at])
			bytes[at] += layout_bytes(l, v, p);
}

struct total planner_layout_total(const struct local *l)
{
	double bytes[SECTIONS] = {0}, fullest = 0;
	for (int i = 0; i < l->phase[PHASE_PREFILL].values.n; i++)
		add_param(l, i, bytes);
	for (int i = 0; i < l->stage_layers.n; i++) {
		double stage = (double)l->stage_layers.at[i] * bytes[SECTION_LAYER];
		stage += i == 0 ? bytes[SECTION_FIRST_STAGE] : 0;
		stage += i == l->stage_layers.n - 1 ? bytes[SECTION_LAST_STAGE] : 0;
		fullest = stage > fullest ? stage : fullest;
	}
	return (struct total){"memory.weights", fullest, TOTAL_BYTES};
}
