/* What the weights of a rank take at least, before any layout is known. */
#include "dag.h"
#include "local.h"

/* May a rule cut what is stored along one of its axes? Those of known extent are axes of params, or loops. */
static bool cuts_weights(const struct program *p, const struct rule *r)
{
	for (int i = 0; i < r->n_lhs; i++)
		if (p->axes.at[r->lhs[i]].kind != AXIS_DYNAMIC && p->axes.at[r->lhs[i]].kind != AXIS_RAGGED)
			return true;
	return false;
}

/* The ranks over which rules can spread the weights. */
static double cut_ways(const struct deploy *d)
{
	double ways = 1;
	for (int m = 0; m < d->mesh.n; m++) {
		bool cuts = false;
		for (int i = 0; i < d->rules.n; i++)
			for (int k = 0; k < d->rules.at[i].n_target; k++)
				cuts |= d->rules.at[i].target[k] == m && cuts_weights(d->program, &d->rules.at[i]);
		ways *= cuts ? (double)d->mesh.at[m].size : 1;
	}
	return ways;
}

double dag_least_weights(struct arena *arena, const struct deploy *d)
{
	struct local l = {.arena = arena, .program = d->program};
	if (d->work.training)
		l.program = training_program(arena, d->program);
	const struct program *p = l.program;
	double bytes = 0;
	mark_live(&l);
	for (int i = 0; i < p->params.n; i++) {
		const struct param *param = &p->params.at[i];
		double n = param->body >= 0 ? (double)p->bodies.at[param->body].turns : 1;
		for (int k = 0; k < param->n_axes; k++)
			n *= (double)p->axes.at[param->axes[k]].extent;
		bytes += l.live[param->value] ? n * dtype_millibits(param->dtype) / 8000 : 0;
	}
	return bytes / cut_ways(d);
}
