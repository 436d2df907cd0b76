/* Values of the claims that order plans, and of requirements that fail. */
#include "rank.h"
#include <math.h>
#include "goals.h"

int rank_room(const struct deploy *d) { return d->record->goals.n + 1; }

static const char *text_of(struct sema *s, struct span at)
{
	return arena_strndup(s->arena, s->sink->sources->files.at[at.file].text + at.lo, at.hi - at.lo);
}

static double number_of(struct val v)
{
	double x;
	return v.kind == V_BOOL ? (double)v.b : val_number(v, &x) && isfinite(x) ? x : (double)NAN;
}

static struct val at_point(struct goals *g, const struct placed *goal, const struct node *e)
{
	g->level = CORNER_POINT;
	g->bounded = false;
	g->n_used = 0;
	g->corner = 0;
	struct val v = goal_value(g, goal, e);
	g->level = CORNER_NONE;
	return v;
}

int rank_preferences(struct sema *sema, const struct deploy *d, const struct local *l, const struct schedule *s,
                     const struct training *t, const struct target *target, struct metrics *m, struct preference *out)
{
	struct goals g = goals_of(sema, d, l, s, t, target);
	g.self.metrics = m;
	int n = 0;
	for (int i = 0; i < d->record->goals.n; i++) {
		const struct placed *goal = &d->record->goals.at[i];
		const struct node *item = goal->item;
		if (item->kind != N_PREFER && item->kind != N_MAXIMIZE && item->kind != N_MINIMIZE)
			continue;
		struct val v = at_point(&g, goal, item->claim.value);
		struct preference p = {.kind = item->kind == N_PREFER     ? PREFER
		                               : item->kind == N_MAXIMIZE ? MAXIMIZE
		                                                          : MINIMIZE,
		                       .text = text_of(sema, item->claim.value->span),
		                       .value = number_of(v),
		                       .bound = g.bounded,
		                       .shown = v.kind == V_BAD ? "-" : val_show(sema, v)};
		out[n++] = p;
	}
	return n;
}

/* The share of the limit by which `a op b` fails; 0: it holds. */
static double miss_of(enum bin_op op, double a, double b)
{
	bool holds = op == B_LT ? a < b : op == B_LE ? a <= b : op == B_GT ? a > b : op == B_GE ? a >= b : a == b;
	if (holds || isnan(a) || isnan(b) || op == B_NE)
		return 0;
	double limit = fabs(b);
	return limit > 0 ? fabs(a - b) / limit : 1;
}

/* A limit that the value meets after it is rounded to the digits that are shown. */
static struct val eased(struct val v, bool below)
{
	if (v.kind == V_QUANTITY || v.kind == V_FLOAT)
		v.f += fabs(v.f) * (below ? 0.006 : -0.006);
	return v;
}

int rank_claims(struct sema *sema, const struct deploy *d, const struct local *l, const struct schedule *s,
                const struct training *t, const struct target *target, struct metrics *m, struct claim *out)
{
	struct goals g = goals_of(sema, d, l, s, t, target);
	g.self.metrics = m;
	int n = 0;
	for (int i = 0; i < d->record->goals.n; i++) {
		const struct placed *goal = &d->record->goals.at[i];
		const struct node *item = goal->item, *e = item->claim.value;
		if ((item->kind != N_REQUIRE && item->kind != N_ASSERT) || e->kind != N_BIN || !is_comparison(e->bin.op)
		    || e->bin.op == B_IN)
			continue;
		struct val left = at_point(&g, goal, e->bin.a);
		bool bounded = g.bounded;
		struct val right = at_point(&g, goal, e->bin.b);
		bool below = e->bin.op == B_LT || e->bin.op == B_LE;
		struct claim c = {.text = text_of(sema, e->span),
		                  .miss = miss_of(e->bin.op, number_of(left), number_of(right)),
		                  .bound = bounded | g.bounded,
		                  .shown = left.kind == V_BAD ? "-" : val_show(sema, left),
		                  .wanted = right.kind == V_BAD ? "-" : val_show(sema, right)};
		c.loosened = arena_printf(sema->arena, "%s %s %s", text_of(sema, e->bin.a->span), bin_op_text(e->bin.op),
		                          left.kind == V_BAD ? "-" : val_show(sema, eased(left, below)));
		out[n++] = c;
	}
	return n;
}

struct preference rank_default(struct arena *a, const struct deploy *d, const struct metrics *m)
{
	const struct estimate *e = &m->of[METRIC_THROUGHPUT];
	bool bound = isnan(e->value);
	double value = (bound ? e->bound : e->value) / (double)d->gpus;
	return (struct preference){MAXIMIZE, "throughput per gpu", value, bound,
	                           isnan(value) ? "-" : metric_text(a, METRIC_THROUGHPUT, value)};
}

int rank_compare(const struct preference *a, const struct preference *b)
{
	bool known = !isnan(a->value);
	if (known != !isnan(b->value))
		return known ? 1 : -1;
	if (!known || a->value == b->value || a->bound != b->bound)
		return 0;
	return (a->value > b->value) == (a->kind != MINIMIZE) ? 1 : -1;
}
