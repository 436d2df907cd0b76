/* Rank 0 asks all ranks what their steps took: means over steps and ranks. */
#include <string.h>
#include "meter.h"
#include "runtime.h"

static void scale(struct step_figures *f, double by)
{
	struct step_figures sum = {0};
	double *to = (double *)(void *)&sum, *from = (double *)(void *)f;
	for (size_t i = 0; i < sizeof sum / sizeof *to; i++)
		to[i] = from[i] * by;
	*f = sum;
}

/* Adds what a rank did. wall: s of rank 0's steps, which include those of all ranks. */
static void add_rank(struct step_figures *to, const struct meter_sum *s, double wall, bool staged)
{
	double compute = (double)s->compute / 1e9, exposed = (double)s->communication / 1e9, waits = (double)s->waits / 1e9;
	double bubble = staged ? waits + wall - (double)s->active / 1e9 : 0;
	struct step_figures x = {.step = wall, .compute = compute, .exposed = exposed, .bubble = bubble};
	x.host = wall - compute - exposed - bubble;
	memcpy(x.sent, s->sent, sizeof x.sent);
	figures_add(to, &x);
}

void meter_read(struct rank *r, struct meter_report out[DR_PHASES])
{
	const struct plan *plan = r->job->plan;
	struct meter *m = r->meter;
	struct meter_sum own[DR_PHASES], other[DR_PHASES];
	memcpy(own, m->sum, sizeof own);
	memset(out, 0, DR_PHASES * sizeof *out);
	r->step.head->phase = STEP_METER;
	rank_step(r);
	for (int rank = 0; rank < (int)plan->head->ranks; rank++) {
		memcpy(other, own, sizeof other);
		if (rank)
			r->comm->take(r->comm, rank, other, sizeof other);
		for (int p = 0; p < DR_PHASES; p++)
			add_rank(&out[p].measured, &other[p], (double)own[p].wall / 1e9, plan->n_stages > 1);
	}
	for (int p = 0; p < DR_PHASES; p++) {
		double steps = (double)own[p].steps;
		out[p].steps = own[p].steps;
		out[p].timed = !r->device->queue;
		out[p].predicted = m->predicted[p];
		out[p].is_predicted = m->predicted[p].step > 0;
		scale(&out[p].measured, steps > 0 ? 1 / steps / plan->head->ranks : 0);
		scale(&out[p].predicted, steps > 0 ? 1 / steps : 0);
	}
	memset(m->predicted, 0, sizeof m->predicted);
}
