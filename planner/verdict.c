/* Verdicts on goals that name metrics. A goal is evaluated at all corners of what its metrics may be: a result that is
 * the same at each of them is the verdict. */
#include "goals.h"
#include <math.h>
#include <string.h>

static const struct metrics *metrics_for(struct goals *g)
{
	if (!g->metrics) {
		g->metrics = arena_new(g->sema->arena, struct metrics);
		*g->metrics = metrics_of(g->deploy, g->schedule, g->sema->arena);
	}
	return g->metrics;
}

/* Large, but finite: products and sums of a few stay finite too. */
#define NO_LIMIT 1e100

static bool ends_of(const struct goals *g, enum metric m, const struct estimate *e, double *low, double *high)
{
	if (g->level == CORNER_90) {
		*low = e->low90, *high = e->high90;
		return !isnan(e->value);
	}
	bool rate = metric_is_rate(m);
	*low = rate ? 0 : e->bound, *high = rate ? e->bound : NO_LIMIT;
	return !isnan(e->bound);
}

struct val goal_metric(struct goals *g, enum metric m, const char *name, struct dims dims)
{
	const struct estimate *e = &metrics_for(g)->of[m];
	double low, high;
	int i = 0;
	while (i < g->n_used && g->used[i] != m)
		i++;
	if (!ends_of(g, m, e, &low, &high) || i == MAX_USED) {
		if (!g->lacks)
			g->lacks = i == MAX_USED ? "it names too many metrics" : e->lacks;
		return val_unknown(name);
	}
	if (i == g->n_used)
		g->used[g->n_used++] = m;
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

static const char *interval_text(struct goals *g, enum metric m)
{
	const struct estimate *e = &g->metrics->of[m];
	struct arena *a = g->sema->arena;
	if (isnan(e->value))
		return arena_printf(a, "%s is %s %s", metric_name(m), metric_is_rate(m) ? "at most" : "at least",
		                    metric_text(a, m, e->bound));
	const char *value = arena_printf(a, "%s = %s", metric_name(m), metric_text(a, m, e->value));
	return e->low90 < e->high90 ? arena_printf(a, "%s (90%%: %s .. %s)", value, metric_text(a, m, e->low90),
	                                           metric_text(a, m, e->high90))
	                            : value;
}

static const char *values_text(struct goals *g)
{
	struct text t = {.arena = g->sema->arena};
	for (int i = 0; i < g->n_used; i++)
		text_add(&t, "%s%s", i ? ", " : "", interval_text(g, g->used[i]));
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

/* What the bound of a time is made of. */
static void note_floor(struct goals *g, struct diag *d, enum metric m)
{
	const struct floor *f = metric_floor(g->metrics, m);
	struct arena *a = g->sema->arena;
	if (f)
		diag_note(g->sema->sink, d,
		          "the least possible: operations over the peak take %s, params and cache over the memory's bandwidth "
		          "%s, bytes sent over the links %s",
		          metric_seconds(a, f->compute), metric_seconds(a, f->memory), metric_seconds(a, f->links));
}

static void report_never(struct goals *g, const struct node *item, bool proved)
{
	struct sema *s = g->sema;
	const struct node *e = item->claim.value;
	const char *text = source_of(g, e->span);
	struct diag *d = proved ? sema_report(s, DIAG_E0801, e->span, "%s`%s` cannot hold", claim_of(g, item), text)
	                        : sema_report(s, DIAG_E0808, e->span, "%s`%s` is predicted to fail: %s", claim_of(g, item),
	                                      text, values_text(g));
	for (int i = 0; i < g->n_used && proved; i++) {
		const struct estimate *b = &g->metrics->of[g->used[i]];
		diag_note(s->sink, d, "%s is %s %s", metric_name(g->used[i]),
		          metric_is_rate(g->used[i]) ? "at most" : "at least", metric_text(s->arena, g->used[i], b->bound));
		note_floor(g, d, g->used[i]);
	}
	if (!proved)
		diag_note(s->sink, d, "intervals: %s", g->metrics->basis);
}

/* What keeps a metric or a total without a value. */
static void report_missing(struct goals *g, const struct node *item, const char *open)
{
	struct sink *sink = g->sema->sink;
	const struct deploy *d = g->deploy;
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
	diag_note(s->sink, d, "intervals: %s", g->metrics->basis);
}
