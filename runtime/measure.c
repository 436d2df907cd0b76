/* What launches and collectives of a rank take, by their sizes. */
#include <stdlib.h>
#include "calibrate.h"

static struct measured_point *point_of(struct measured *m, const struct measured_point *like)
{
	for (int i = 0; i < m->n; i++) {
		struct measured_point *p = &m->at[i];
		if (p->is_collective == like->is_collective && p->index == like->index && p->phase == like->phase
		    && p->rows == like->rows && p->seen == like->seen)
			return p;
	}
	if (m->n == m->room)
		m->at = host_grow(m->at, (size_t)(m->room = m->room ? 2 * m->room : 256), sizeof *m->at);
	m->at[m->n] = *like;
	return &m->at[m->n++];
}

static void measure(struct measured *m, const struct measured_point *like, int64_t ns)
{
	double seconds = (double)(ns > 1 ? ns : 1) / 1e9;
	struct measured_point *p = point_of(m, like);
	if (p->n == p->room)
		p->seconds = host_grow(p->seconds, (size_t)(p->room = p->room ? 2 * p->room : 16), sizeof *p->seconds);
	p->seconds[p->n++] = seconds;
}

/* Positions that a row of the step sees on average, padding counted as none: those of the first owner's first
 * microbatch, which is like the others. */
static double seen_by_row(const struct rank *r, double rows)
{
	const struct plan *plan = r->job->plan;
	double sum = 0;
	int n = 0;
	const int32_t *pos = step_array(&r->step, plan, 0, 0, DR_INPUT_POS, &n);
	const int32_t *seq = step_array(&r->step, plan, 0, 0, DR_INPUT_SEQ, &n);
	for (int i = 0; i < n && i < rows; i++)
		sum += seq[i] >= 0 ? pos[i] + 1 : 0;
	return sum / rows;
}

/* Rows of a product of groups, and in `seen` the groups that have any. false: it has no rows. */
static bool count_groups(struct rank *r, const struct dr_work *w, const uint64_t *args, struct measured_point *out)
{
	int32_t *offsets = host_alloc((size_t)w->groups + 1, sizeof *offsets);
	r->device->read(r->device, offsets, flat(args[w->count + 1], ((uint64_t)w->groups + 1) * sizeof *offsets));
	out->rows = offsets[w->groups];
	for (uint32_t i = 0; i < w->groups; i++)
		out->seen += offsets[i + 1] > offsets[i];
	free(offsets);
	return out->rows > 0;
}

void measure_launch(struct rank *r, int32_t kernel, const uint64_t *args, int64_t ns)
{
	const struct dr_kernel *k = r->job->plan->kernels ? &r->job->plan->kernels[kernel] : NULL;
	if (!k || k->work.count < 0)
		return;
	struct measured_point like = {.index = kernel, .rows = (double)args[k->work.count], .phase = r->step.head->phase};
	if (like.rows <= 0)
		return;
	like.seen = k->work.kind == DR_WORK_ATTENTION ? seen_by_row(r, like.rows) : 0;
	if (k->work.kind == DR_WORK_GROUPED && !count_groups(r, &k->work, args, &like))
		return;
	measure(r->measured, &like, ns);
}

void measure_collective(struct rank *r, int32_t collective, int64_t elements, int64_t ns)
{
	struct measured_point like = {.is_collective = true, .index = collective, .rows = (double)elements};
	measure(r->measured, &like, ns);
}
