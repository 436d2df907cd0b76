/* What deployc predicts of a step, from the tables that it compiled in: interpolated between their sizes. */
#include "meter.h"
#include "runtime.h"

/* ---- sizes of a microbatch ------------------------------------------------------------------- */

/* Of an owner: tokens, those of a sequence, and positions before them, both in the mean. */
struct load {
	double tokens, queries, before;
};

static struct load load_of(const struct plan *plan, const struct step *s, int microbatch, int owner)
{
	int n = 0, sequences = 0, tokens = 0;
	double seen = 0;
	const int32_t *pos = step_array(s, plan, microbatch, owner, DR_INPUT_POS, &n);
	const int32_t *seq = step_array(s, plan, microbatch, owner, DR_INPUT_SEQ, &n);
	for (int i = 0; i < n; i++) {
		if (seq[i] < 0)
			continue;
		sequences += !tokens || seq[i] != seq[i - 1];
		tokens++;
		seen += pos[i] + 1;
	}
	if (!tokens)
		return (struct load){0, 0, 0};
	double queries = (double)tokens / sequences;
	return (struct load){tokens, queries, seen / tokens - (queries + 1) / 2};
}

/* That of the owner with the maximum of tokens: the others wait for it. */
static struct load largest_load(const struct plan *plan, const struct step *s, int microbatch)
{
	struct load most = {0, 0, 0};
	for (int owner = 0; owner < plan->n_owners; owner++) {
		struct load x = load_of(plan, s, microbatch, owner);
		most = x.tokens > most.tokens ? x : most;
	}
	return most;
}

/* ---- interpolation --------------------------------------------------------------------------- */

/* Between entries `below` and `below` + 1 of a list, `share` of the way; beyond its ends, at them. */
struct place_between {
	uint32_t below;
	double share;
};

static struct place_between find_between(const double *at, uint32_t n, double x)
{
	struct place_between p = {0, 0};
	if (n < 2 || x <= at[0])
		return p;
	while (p.below + 2 < n && x >= at[p.below + 1])
		p.below++;
	double share = (x - at[p.below]) / (at[p.below + 1] - at[p.below]);
	p.share = share < 1 ? share : 1;
	return p;
}

static void add_cell(struct dr_predicted *sum, const struct dr_predicted *cell, double weight)
{
	sum->all += weight * cell->all;
	sum->longest += weight * cell->longest;
	sum->compute += weight * cell->compute;
	sum->communication += weight * cell->communication;
	sum->exposed += weight * cell->exposed;
}

static void add_predicted(const struct plan *plan, const struct dr_forecast *f, struct load x, struct dr_predicted *sum)
{
	const struct dr_predicted *cells = plan_array(plan, struct dr_predicted, f->at);
	struct place_between t = find_between(plan_array(plan, double, f->tokens), f->tokens.n, x.tokens);
	struct place_between q = find_between(plan_array(plan, double, f->queries), f->queries.n, x.queries);
	struct place_between b = find_between(plan_array(plan, double, f->before), f->before.n, x.before);
	for (uint32_t corner = 0; corner < 8; corner++) {
		uint32_t i = corner & 1, k = corner >> 1 & 1, m = corner >> 2;
		double weight = (i ? t.share : 1 - t.share) * (k ? q.share : 1 - q.share) * (m ? b.share : 1 - b.share);
		if (weight > 0)
			add_cell(sum, &cells[((t.below + i) * f->queries.n + q.below + k) * f->before.n + b.below + m], weight);
	}
}

/* ---- a step ---------------------------------------------------------------------------------- */

static double units_of(const struct step *s, const struct dr_traffic *t, int microbatch)
{
	switch ((enum dr_unit)t->unit) {
	case DR_UNIT_TOKEN: return s->tokens[microbatch];
	case DR_UNIT_ROW:   return s->rows[microbatch];
	case DR_UNIT_PAGE:  return s->head->pages[0];
	default:            return 1;
	}
}

static void set_sent(const struct plan *plan, const struct step *s, struct step_figures *out)
{
	const struct dr_traffic *t = plan_array(plan, struct dr_traffic, plan->head->traffic);
	for (uint32_t i = 0; i < plan->head->traffic.n; i++)
		for (int m = 0; m < s->head->microbatches; m++)
			if ((int)t[i].phase == s->head->phase && t[i].level < DR_LEVELS)
				out->sent[t[i].level] += t[i].bytes * units_of(s, &t[i], m) / plan->head->ranks;
}

/* Differences of nearly equal sums. */
static double positive(double x) { return x > 1e-12 ? x : 0; }

/* Equal microbatches pass the stages in order: the first takes the sum of all stages, each further one as long as the
 * slowest. */
struct step_figures forecast_of(const struct plan *plan, const struct step *s)
{
	struct step_figures out = {0};
	struct dr_predicted sum = {0};
	const struct dr_forecast *f = plan_array(plan, struct dr_forecast, plan->head->forecasts) + s->head->phase;
	double stages = plan->n_stages, microbatches = s->head->microbatches;
	set_sent(plan, s, &out);
	if (!plan->head->forecasts.n || !f->at.n || microbatches < 1)
		return out;
	for (int m = 0; m < s->head->microbatches; m++)
		add_predicted(plan, f, largest_load(plan, s, m), &sum);
	out.step = sum.all / microbatches + (microbatches - 1) * sum.longest / microbatches;
	out.compute = sum.compute / stages;
	out.exposed = sum.exposed / stages;
	out.hidden = positive((sum.communication - sum.exposed) / stages);
	out.bubble = positive(out.step - sum.all / stages);
	out.host = positive((sum.all - sum.compute - sum.exposed) / stages);
	return out;
}

void figures_add(struct step_figures *sum, const struct step_figures *x)
{
	sum->step += x->step;
	sum->compute += x->compute;
	sum->exposed += x->exposed;
	sum->hidden += x->hidden;
	sum->bubble += x->bubble;
	sum->host += x->host;
	for (int i = 0; i < DR_LEVELS; i++)
		sum->sent[i] += x->sent[i];
}
