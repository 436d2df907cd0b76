/* Times of launches and collectives of a rank, added up by phase. */
#include "meter.h"
#include <stdlib.h>
#include <string.h>
#include "event.h"
#include "number.h"
#include "runtime.h"

/* ---- bytes ----------------------------------------------------------------------------------- */

/* The innermost level whose units have both ranks. */
static int level_between(const struct plan *plan, int a, int b)
{
	const struct dr_level *level = plan_array(plan, struct dr_level, plan->head->levels);
	int n = (int)plan->head->levels.n, k = 0;
	while (k + 1 < n && (uint64_t)a / level[k].unit != (uint64_t)b / level[k].unit)
		k++;
	return k;
}

static double *count_others(const struct plan *plan, int rank)
{
	double *others = host_alloc((size_t)plan->n_groups * DR_LEVELS + 1, sizeof *others);
	for (int g = 0; g < plan->n_groups; g++)
		for (int i = 0; i < plan_group_size(plan, g); i++) {
			int other = plan_group_member(plan, g, rank, i);
			if (other != rank)
				others[g * DR_LEVELS + level_between(plan, rank, other)]++;
		}
	return others;
}

/* Bytes that this rank sends to each other member (docs/planner.md, Collectives). */
static double to_each(const struct dr_collective *c, double bytes, double members)
{
	switch ((enum dr_collective_kind)c->kind) {
	case DR_ALL_REDUCE: return 2 * bytes / members;
	case DR_SEND:
	case DR_RECV:       return 0;
	default:            return bytes; /* a block of each member */
	}
}

static double sent_over(const struct rank *r, const struct dr_collective *c, int64_t elements, int level)
{
	const struct plan *plan = r->job->plan;
	double bytes = (double)elements * (double)dtype_size(c->dtype);
	int group = (int)c->group, index = plan_group_index(plan, group, r->index);
	if (c->kind != DR_SEND)
		return to_each(c, bytes, plan_group_size(plan, group)) * r->meter->others[group * DR_LEVELS + level];
	return level_between(plan, r->index, plan_group_member(plan, group, r->index, index + 1)) == level ? bytes : 0;
}

/* ---- a rank ---------------------------------------------------------------------------------- */
void meter_open(struct rank *r)
{
	r->meter = host_alloc(1, sizeof *r->meter);
	r->meter->others = count_others(r->job->plan, r->index);
}

void meter_close(struct rank *r)
{
	if (r->meter)
		free(r->meter->others);
	free(r->meter);
}

static struct meter_sum *sum_of(struct rank *r) { return &r->meter->sum[r->step.head->phase]; }

void meter_step_begin(struct rank *r)
{
	if (r->meter)
		r->meter->begin = now_ns();
}

/* The step's words may be another's when its results are there. */
void meter_step_ran(struct rank *r)
{
	struct meter *m = r->meter;
	if (!m)
		return;
	m->phase = r->step.head->phase;
	m->sum[m->phase].active += now_ns() - m->begin;
	if (r->index)
		return;
	struct step_figures predicted = forecast_of(r->job->plan, &r->step);
	figures_add(&m->predicted[m->phase], &predicted);
}

void meter_step_end(struct rank *r)
{
	struct meter *m = r->meter;
	if (!m)
		return;
	m->sum[m->phase].wall += now_ns() - m->begin;
	m->sum[m->phase].steps++;
}

static enum term_kind kind_of_launch(const struct rank *r, int32_t kernel)
{
	static const enum term_kind kinds[DR_WORK_KINDS] = {[DR_WORK_PASS] = TERM_ROWS,
	                                                    [DR_WORK_REDUCTION] = TERM_ROWS,
	                                                    [DR_WORK_PRODUCT] = TERM_PRODUCT,
	                                                    [DR_WORK_GROUPED] = TERM_EXPERTS,
	                                                    [DR_WORK_ATTENTION] = TERM_ATTENTION};
	const struct dr_kernel *kernels = r->job->plan->kernels;
	return kernels ? kinds[kernels[kernel].work.kind] : TERM_ROWS;
}

void meter_launch(struct rank *r, int32_t kernel, int32_t op, int64_t begin)
{
	if (!r->meter)
		return;
	int64_t end = now_ns();
	sum_of(r)->compute += end - begin;
	if (r->timeline)
		timeline_add(r, op, kind_of_launch(r, kernel), QUEUE_COMPUTE, 0, begin, end);
}

void meter_collective(struct rank *r, int32_t collective, int32_t op, int64_t elements, int64_t begin)
{
	if (!r->meter)
		return;
	const struct dr_collective *c = &r->job->plan->collectives[collective];
	int64_t end = now_ns();
	struct meter_sum *s = sum_of(r);
	double all = 0;
	*(c->kind == DR_RECV ? &s->waits : &s->communication) += end - begin;
	for (int k = 0; k < DR_LEVELS; k++) {
		double sent = c->kind == DR_RECV ? 0 : sent_over(r, c, elements, k);
		s->sent[k] += sent;
		all += sent;
	}
	bool message = c->kind == DR_SEND || c->kind == DR_RECV, exchange = c->kind == DR_ALL_TO_ALL;
	if (r->timeline)
		timeline_add(r, op,
		             message    ? TERM_MESSAGE
		             : exchange ? TERM_EXCHANGE
		                        : TERM_COLLECTIVE,
		             message    ? QUEUE_PIPELINE
		             : exchange ? QUEUE_EXPERTS
		                        : QUEUE_REDUCTIONS,
		             all, begin, end);
}

void meter_deliver(struct rank *r)
{
	struct meter *m = r->meter;
	if (r->index)
		r->comm->give(r->comm, m->sum, sizeof m->sum);
	memset(m->sum, 0, sizeof m->sum);
}
