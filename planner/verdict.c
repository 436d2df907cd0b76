/* Verdicts on goals that name metrics. A goal is evaluated at all corners of what its metrics may be: a result that is
 * the same at each of them is the verdict. */
#include "goals.h"
#include <math.h>
#include <string.h>

const struct metrics *goal_metrics(struct goals *g, struct subject *s)
{
	if (!s->metrics) {
		s->metrics = arena_new(g->sema->arena, struct metrics);
		*s->metrics = s->training ? training_metrics(s->training, g->sema->arena)
		                          : metrics_of(s->deploy, s->schedule, g->sema->arena);
	}
	return s->metrics;
}

/* Large, but finite: products and sums of a few stay finite too. */
#define NO_LIMIT 1e100

static bool ends_of(struct goals *g, enum metric unit, const struct estimate *e, double *low, double *high)
{
	if (g->level == CORNER_POINT) {
		*low = *high = isnan(e->value) ? e->bound : e->value;
		g->bounded |= isnan(e->value);
		return !isnan(*low);
	}
	if (g->level == CORNER_90 || e->low90 == e->high90) {
		*low = e->low90, *high = e->high90;
		return !isnan(e->value);
	}
	bool rate = metric_is_rate(unit);
	*low = rate ? 0 : e->bound, *high = rate ? e->bound : NO_LIMIT;
	return !isnan(e->bound);
}

struct val goal_figure(struct goals *g, const struct subject *of, const char *name, enum metric unit,
                       const struct estimate *e, struct dims dims)
{
	double low, high;
	int i = 0;
	while (i < g->n_used && strcmp(g->used[i].name, name))
		i++;
	if (!ends_of(g, unit, e, &low, &high) || i == MAX_USED) {
		if (!g->lacks)
			g->lacks = i == MAX_USED ? "the goal names too many metrics" : e->lacks;
		return val_unknown(name);
	}
	if (i == g->n_used)
		g->used[g->n_used++] = (struct used){name, unit, *e, of};
	return val_quantity(g->corner >> i & 1 ? high : low, dims);
}

enum verdict { ALWAYS, NEVER, OPEN, WRONG };

/* The goal's value at all corners of a level. The first evaluation finds out which metrics it names. */
static enum verdict at_corners(struct goals *g, struct scope *scope, const struct node *e, enum corner_level level)
{
	bool all = true, none = true;
	g->level = level;
	g->n_used = 0;
	g->lacks = NULL;
	for (g->corner = 0; g->corner < 1u << g->n_used || !g->corner; g->corner++) {
		struct val v = eval(scope, e, NULL);
		if (v.kind != V_BOOL) {
			g->level = CORNER_NONE;
			return v.kind == V_UNKNOWN ? OPEN : WRONG;
		}
		all &= v.b;
		none &= !v.b;
	}
	g->level = CORNER_NONE;
	return all ? ALWAYS : none ? NEVER : OPEN;
}

/* ---- reports ---------------------------------------------------------------------------------- */

static const char *interval_text(struct goals *g, const struct used *u)
{
	const struct estimate *e = &u->e;
	struct arena *a = g->sema->arena;
	if (isnan(e->value))
		return arena_printf(a, "%s is %s %s", u->name, metric_is_rate(u->unit) ? "at most" : "at least",
		                    metric_text(a, u->unit, e->bound));
	const char *value = arena_printf(a, "%s = %s", u->name, metric_text(a, u->unit, e->value));
	return e->low90 < e->high90 ? arena_printf(a, "%s (90%%: %s .. %s)", value, metric_text(a, u->unit, e->low90),
	                                           metric_text(a, u->unit, e->high90))
	                            : value;
}

static const char *values_text(struct goals *g)
{
	struct text t = {.arena = g->sema->arena};
	for (int i = 0; i < g->n_used; i++)
		text_add(&t, "%s%s", i ? ", " : "", interval_text(g, &g->used[i]));
	return t.at;
}

static const char *source_of(struct goals *g, struct span at)
{
	return arena_strndup(g->sema->arena, g->sema->sink->sources->files.at[at.file].text + at.lo, at.hi - at.lo);
}

static const char *claim_of(struct goals *g, const struct node *item)
{
	return item->claim.message ? arena_printf(g->sema->arena, "%s: ", item->claim.message) : "";
}

/* What bounds a figure, and what the bound is made of. */
static void note_bound(struct goals *g, struct diag *d, const struct used *u)
{
	struct arena *a = g->sema->arena;
	if (u->e.low90 == u->e.high90) {
		diag_note(g->sema->sink, d, "%s = %s", u->name, metric_text(a, u->unit, u->e.value));
		return;
	}
	diag_note(g->sema->sink, d, "%s is %s %s", u->name, metric_is_rate(u->unit) ? "at most" : "at least",
	          metric_text(a, u->unit, u->e.bound));
	const struct floor *f = metric_floor(u->of->metrics, u->unit);
	if (f)
		diag_note(g->sema->sink, d,
		          "the least possible: operations over the peak take %s, params and cache over the memory's bandwidth "
		          "%s, bytes sent over the links %s",
		          metric_seconds(a, f->compute), metric_seconds(a, f->memory), metric_seconds(a, f->links));
}

/* What the intervals of a goal rest on. */
static void note_basis(struct goals *g, struct diag *d)
{
	for (int i = 0; i < g->n_used; i++)
		if (g->used[i].e.low90 < g->used[i].e.high90 && g->used[i].of->metrics->basis) {
			diag_note(g->sema->sink, d, "intervals: %s", g->used[i].of->metrics->basis);
			return;
		}
}

static void report_never(struct goals *g, const struct node *item, bool proved)
{
	struct sema *s = g->sema;
	const struct node *e = item->claim.value;
	const char *text = source_of(g, e->span);
	struct diag *d = proved ? sema_report(s, DIAG_E0801, e->span, "%s`%s` cannot hold", claim_of(g, item), text)
	                        : sema_report(s, DIAG_E0808, e->span, "%s`%s` is predicted to fail: %s", claim_of(g, item),
	                                      text, values_text(g));
	for (int i = 0; i < g->n_used && proved; i++)
		note_bound(g, d, &g->used[i]);
	if (!proved)
		note_basis(g, d);
}

/* What keeps a metric or a total without a value. */
static void report_missing(struct goals *g, const struct node *item, const char *open)
{
	struct sink *sink = g->sema->sink;
	const struct deploy *d = g->self.deploy;
	struct diag *diag = sema_report(g->sema, DIAG_W0811, item->claim.value->span, "`%s` is open: %s has no value",
	                                item->kind == N_ASSERT ? "assert" : "require", open);
	diag_note(sink, diag, "%s",
	          !d->known           ? "the plan is left open"
	          : g->lacks          ? g->lacks
	          : d->needs_training ? "this version does not predict it of training"
	                              : "this version does not predict it");
}

void goal_decide(struct goals *g, struct scope *scope, const struct node *item, const char *open)
{
	struct sema *s = g->sema;
	const struct node *e = item->claim.value;
	const char *word = item->kind == N_ASSERT ? "assert" : "require";
	enum verdict proved = at_corners(g, scope, e, CORNER_BOUNDS);
	if (proved == ALWAYS || proved == WRONG)
		return;
	if (proved == NEVER) {
		report_never(g, item, true);
		return;
	}
	enum verdict predicted = at_corners(g, scope, e, CORNER_90);
	if (predicted == NEVER)
		report_never(g, item, false);
	if (predicted != OPEN)
		return;
	if (g->lacks || !g->n_used) {
		report_missing(g, item, open);
		return;
	}
	struct diag *d = sema_report(s, DIAG_W0811, e->span, "`%s` is open: %s", word, values_text(g));
	note_basis(g, d);
}
