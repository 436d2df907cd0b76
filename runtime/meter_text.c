/* Measured figures of a step beside predicted ones: as text, and as JSON. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "meter.h"
#include "pass.h"

/* ---- medians --------------------------------------------------------------------------------- */
enum { FIGURES = sizeof(struct step_figures) / sizeof(double) };
_Static_assert(FIGURES * sizeof(double) == sizeof(struct step_figures), "figures are doubles alone");

static struct step_figures median_of(const struct meter_report *of, int n, bool predicted)
{
	struct step_figures out;
	double *to = (double *)(void *)&out, *at = host_alloc((size_t)n, sizeof *at);
	for (int k = 0; k < FIGURES; k++) {
		for (int i = 0; i < n; i++)
			at[i] = ((const double *)(const void *)(predicted ? &of[i].predicted : &of[i].measured))[k];
		to[k] = quantile(at, n, 0.5);
	}
	free(at);
	return out;
}

struct meter_report meter_median(const struct meter_report *of, int n)
{
	struct meter_report out = of[0];
	out.measured = median_of(of, n, false);
	out.predicted = median_of(of, n, true);
	return out;
}

/* ---- text ------------------------------------------------------------------------------------ */
static void put_bytes(char *out, size_t n, double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	int u = 0;
	for (; bytes >= 1024 && u < 4; u++)
		bytes /= 1024;
	snprintf(out, n, u ? "%.2f %s" : "%.0f %s", bytes, units[u]);
}

static void put_time(char *out, size_t n, double s) { snprintf(out, n, "%.3f ms", s * 1e3); }

typedef void put_figure(char *out, size_t n, double x);

/* How far the prediction is off, where the figure is not a trifle of the step. Bytes are whole, but for the shares of
 * an operand that the members do not divide. */
static void print_line(const struct meter_report *m, const char *name, put_figure *put, double measured,
                       double predicted, bool is_predicted, FILE *out)
{
	char a[48], b[48], off[32] = "";
	put(a, sizeof a, measured);
	put(b, sizeof b, predicted);
	if (put == put_bytes && fabs(predicted - measured) < 0.01)
		strcpy(off, "  equal");
	else if (is_predicted && predicted > 0 && measured > 0.01 * (put == put_time ? m->measured.step : 0))
		snprintf(off, sizeof off, "  %+.1f%%", (predicted / measured - 1) * 100);
	fprintf(out, "  %-24s %14s %14s%s\n", name, a, is_predicted ? b : "-", off);
}

static void print_sent(const struct plan *plan, const struct meter_report *m, FILE *out)
{
	const struct dr_level *level = plan_array(plan, struct dr_level, plan->head->levels);
	for (uint32_t k = 0; k < plan->head->levels.n && k < DR_LEVELS; k++) {
		char name[64];
		if (m->measured.sent[k] <= 0 && m->predicted.sent[k] <= 0)
			continue;
		snprintf(name, sizeof name, "sent over %.40s", plan_string(plan, level[k].name));
		print_line(m, name, put_bytes, m->measured.sent[k], m->predicted.sent[k], true, out);
	}
}

void meter_print(const struct plan *plan, int phase, const struct meter_report *m, FILE *out)
{
	const struct step_figures *a = &m->measured, *b = &m->predicted;
	bool known = m->is_predicted;
	if (!m->steps)
		return;
	fprintf(out, "\na step of %s: the mean of %lld on all ranks\n  %-24s %14s %14s\n",
	        plan_string(plan, plan->programs[phase].name), (long long)m->steps, "", "measured", "predicted");
	print_line(m, "step", put_time, a->step, b->step, known, out);
	if (m->timed) {
		print_line(m, "compute", put_time, a->compute, b->compute, known, out);
		print_line(m, "exposed communication", put_time, a->exposed, b->exposed, known, out);
		print_line(m, "hidden communication", put_time, a->hidden, b->hidden, known, out);
		print_line(m, "bubble", put_time, a->bubble, b->bubble, known, out);
		print_line(m, "host", put_time, a->host, b->host, known, out);
		print_sent(plan, m, out);
	}
	if (!known)
		fprintf(out, "  nothing was predicted: %s\n",
		        plan->head->unpredicted.n ? plan_string(plan, plan->head->unpredicted)
		                                  : "the launcher has no tables of it");
	if (!m->timed)
		fputs("  the device queues its work, so only the whole step is measured\n", out);
}

/* ---- JSON ------------------------------------------------------------------------------------ */
static json_t *figures_json(const struct plan *plan, const struct step_figures *f, bool step, bool parts)
{
	json_t *o = json_object(), *sent = json_object();
	const struct dr_level *level = plan_array(plan, struct dr_level, plan->head->levels);
	for (uint32_t k = 0; k < plan->head->levels.n && k < DR_LEVELS; k++)
		json_object_set_new(sent, plan_string(plan, level[k].name), json_real(f->sent[k]));
	if (step)
		json_object_set_new(o, "step", json_real(f->step));
	if (parts)
		json_object_update_new(o, json_pack("{s:f, s:f, s:f, s:f, s:f}", "compute", f->compute, "exposed", f->exposed,
		                                    "hidden", f->hidden, "bubble", f->bubble, "host", f->host));
	json_object_set_new(o, "sent", sent);
	return o;
}

json_t *meter_json(const struct plan *plan, const struct meter_report *m)
{
	if (!m->steps)
		return json_null();
	return json_pack("{s:I, s:o, s:o}", "steps", (json_int_t)m->steps, "measured",
	                 figures_json(plan, &m->measured, true, m->timed), "predicted",
	                 figures_json(plan, &m->predicted, m->is_predicted, m->is_predicted));
}
