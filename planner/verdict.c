/* Verdicts on goals that name metrics. A comparison is evaluated at all corners of what its metrics may be: a result
 * that is the same at each of them holds between them too, since each side rises or falls with each metric. */
#include "goals.h"
#include <math.h>
#include <string.h>
#include "training_time.h"

const struct metrics *goal_metrics(struct goals *g, struct subject *s)
{
	if (!s->metrics) {
		s->metrics = arena_new(g->sema->arena, struct metrics);
		*s->metrics = s->training ? training_metrics(s->training, g->sema->arena)
		                          : metrics_of(s->deploy, s->schedule, g->sema->arena);
	}
	return s->metrics;
}

struct load *goal_load(struct goals *g, struct subject *s)
{
	if (!s->load)
		s->load = deploy_load(s->deploy, s->schedule, g->sema->arena);
	return s->load;
}

/* Large, but finite: products and sums of a few stay finite too. */
#define NO_LIMIT 1e100

static bool ends_of(struct goals *g, enum metric unit, const struct estimate *e, double *low, double *high)
{
	if (g->level == CORNER_POINT) {
		*low = *high = isnan(e->value) ? e->bound : e->value;
		g->bounded |= isnan(e->value);
		return isfinite(*low);
	}
	if (g->level == CORNER_90 || (e->low90 == e->high90 && isfinite(e->low90))) {
		*low = fmin(e->low90, NO_LIMIT), *high = fmin(e->high90, NO_LIMIT);
		return !isnan(e->value);
	}
	bool rate = metric_is_rate(unit);
	*low = rate ? 0 : fmin(e->bound, NO_LIMIT), *high = rate ? e->bound : NO_LIMIT;
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

/* An expression's value at all corners of a level, if it is as true at the ends of an interval as between them. */
static enum verdict at_corners(struct goals *g, struct scope *scope, const struct node *e)
{
	bool all = true, none = true;
	for (g->corner = 0; g->corner < 1u << g->n_used || !g->corner; g->corner++) {
		struct val v = eval(scope, e, NULL);
		if (v.kind != V_BOOL)
			return v.kind == V_UNKNOWN ? OPEN : WRONG;
		all &= v.b;
		none &= !v.b;
	}
	return all ? ALWAYS : none ? NEVER : OPEN;
}

static enum verdict both(enum verdict a, enum verdict b)
{
	return a == WRONG || b == WRONG     ? WRONG
	       : a == NEVER || b == NEVER   ? NEVER
	       : a == ALWAYS && b == ALWAYS ? ALWAYS
	                                    : OPEN;
}

static enum verdict not(enum verdict v) { return v == ALWAYS ? NEVER : v == NEVER ? ALWAYS : v; }

/* `x in a..b`, `x == a`: not below one end, and not above the other. Between the corners x may be inside. */
static enum verdict within(struct goals *g, struct scope *scope, const struct node *e)
{
	bool low_always = true, low_never = true, high_always = true, high_never = true;
	for (g->corner = 0; g->corner < 1u << g->n_used || !g->corner; g->corner++) {
		double x, low, high;
		struct val v = eval(scope, e->bin.a, NULL), r = eval(scope, e->bin.b, NULL);
		if (v.kind == V_UNKNOWN || r.kind == V_UNKNOWN)
			return OPEN;
		bool range = r.kind == V_RANGE;
		if (!val_number(v, &x) || !val_number(range ? r.range[0] : r, &low)
		    || !val_number(range ? r.range[1] : r, &high))
			return at_corners(g, scope, e); /* it reports what is wrong */
		low_always &= x >= low, low_never &= x < low;
		high_always &= x <= high, high_never &= x > high;
	}
	return both(low_always ? ALWAYS : low_never ? NEVER : OPEN, high_always ? ALWAYS : high_never ? NEVER : OPEN);
}

/* What follows for a goal from the intervals of a level. Parts of it are judged by themselves: that can only leave more
 * open than is. */
static enum verdict judge(struct goals *g, struct scope *scope, const struct node *e)
{
	if (e->kind == N_NOT)
		return not(judge(g, scope, e->one.x));
	if (e->kind != N_BIN)
		return at_corners(g, scope, e);
	switch (e->bin.op) {
	case B_AND: return both(judge(g, scope, e->bin.a), judge(g, scope, e->bin.b));
	case B_OR:  return not(both(not(judge(g, scope, e->bin.a)), not(judge(g, scope, e->bin.b))));
	case B_IN:
	case B_EQ:  return within(g, scope, e);
	case B_NE:  return not(within(g, scope, e));
	default:    return at_corners(g, scope, e);
	}
}

static enum verdict judged_at(struct goals *g, struct scope *scope, const struct node *e, enum corner_level level)
{
	g->level = level;
	g->n_used = 0;
	g->lacks = NULL;
	enum verdict v = judge(g, scope, e);
	g->level = CORNER_NONE;
	return v;
}

/* ---- reports ---------------------------------------------------------------------------------- */

static const char *interval_text(struct goals *g, const struct used *u)
{
	const struct estimate *e = &u->e;
	struct arena *a = g->sema->arena;
	if (isinf(e->value))
		return arena_printf(a, "%s has no end: %s", u->name, e->lacks);
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

static void add_floor(struct text *t, double seconds, const char *what)
{
	if (seconds > 0)
		text_add(t, "%s%s take %s", t->n ? ", " : "", what, metric_seconds(t->arena, seconds));
}

/* What bounds a figure, and what the bound is made of. */
static void note_bound(struct goals *g, struct diag *d, const struct used *u)
{
	struct arena *a = g->sema->arena;
	if (isinf(u->e.bound)) {
		diag_note(g->sema->sink, d, "%s has no end: %s", u->name, u->e.lacks);
		return;
	}
	if (u->e.low90 == u->e.high90) {
		diag_note(g->sema->sink, d, "%s = %s", u->name, metric_text(a, u->unit, u->e.value));
		return;
	}
	diag_note(g->sema->sink, d, "%s is %s %s", u->name, metric_is_rate(u->unit) ? "at most" : "at least",
	          metric_text(a, u->unit, u->e.bound));
	const struct floor *f = metric_floor(u->of->metrics, u->unit);
	if (!f)
		return;
	struct text t = {.arena = a};
	add_floor(&t, f->compute, "operations over the peak");
	add_floor(&t, f->memory, "params and cache over the memory's bandwidth");
	add_floor(&t, f->links, "bytes sent over the links");
	diag_note(g->sema->sink, d, "the least possible: %s", t.at);
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
	for (int i = 0; i < g->n_used; i++)
		g->overloaded |= isinf(g->used[i].e.value);
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

/* ---- other lengths ---------------------------------------------------------------------------- */

/* The metrics of the deployment with sequences of `length`, for its times alone. */
static struct metrics *metrics_at(struct goals *g, int64_t length)
{
	struct arena *a = g->sema->arena;
	for (int i = 0; i < g->lengths.n; i++)
		if (g->lengths.at[i]->length == length)
			return &g->lengths.at[i]->metrics;
	struct deploy *other = arena_new(a, struct deploy);
	struct metrics_of_length *made = arena_new(a, struct metrics_of_length);
	*other = *g->self.deploy;
	other->work.seq_hi = length;
	made->length = length;
	if (g->self.training) {
		struct training training = training_at(g->self.training, length, other);
		made->metrics = training_metrics(&training, a);
	} else
		made->metrics = metrics_of(other, g->self.schedule, a);
	vec_push(a, &g->lengths, made);
	return &made->metrics;
}

static enum verdict judged_for(struct goals *g, struct scope *scope, const struct node *e, int64_t length)
{
	struct metrics *longest = g->self.metrics;
	g->self.metrics = metrics_at(g, length);
	enum verdict v = judged_at(g, scope, e, CORNER_90);
	g->self.metrics = longest;
	return v;
}

/* Lengths below the longest: the shortest; halves of the longest; and, since a step reads as many whole prompts as fit
 * in a chunk and a longer prompt takes whole chunks and a rest, the first length at which one fewer fits, or one chunk
 * more is begun. */
enum { CUTS = 4, LENGTHS = 64 + 2 * CUTS };
static int other_lengths(const struct goals *g, int64_t *length)
{
	const struct workload *w = &g->self.deploy->work;
	const struct schedule *s = g->self.schedule;
	int64_t chunk = s ? s->programs.at[PHASE_PREFILL].max_tokens * s->pipeline.microbatches : 0;
	int n = 0, kept = 0;
	length[n++] = w->seq_lo;
	for (int64_t half = w->seq_hi / 2; half > w->seq_lo; half /= 2)
		length[n++] = half;
	for (int64_t k = 1; chunk > 0 && k <= CUTS; k++) {
		length[n++] = chunk / k + 1;
		length[n++] = chunk < INT64_MAX / CUTS ? chunk * k + 1 : w->seq_hi;
	}
	for (int i = 0; i < n; i++)
		if (length[i] >= w->seq_lo && length[i] < w->seq_hi)
			length[kept++] = length[i];
	return kept;
}

/* A metric is that of the longest sequences. It may be worse with others, which the promise covers too: reports the
 * first of them for which the goal fails, else the first for which it is open. */
static void check_other_lengths(struct goals *g, struct scope *scope, const struct node *item)
{
	const struct workload *w = &g->self.deploy->work;
	struct sema *s = g->sema;
	const struct node *e = item->claim.value;
	int64_t length[LENGTHS], found = 0;
	if (w->seq_lo >= w->seq_hi || (!g->self.schedule && !g->self.training) || s->sink->first_only)
		return;
	int n = other_lengths(g, length);
	enum verdict worst = ALWAYS;
	for (int i = 0; i < n && worst != NEVER; i++) {
		enum verdict v = judged_for(g, scope, e, length[i]);
		if (v == NEVER || (v == OPEN && worst == ALWAYS && !g->lacks && g->n_used))
			worst = v, found = length[i];
	}
	if (worst == ALWAYS)
		return;
	judged_for(g, scope, e, found); /* its figures */
	const char *what = w->training ? "sequences" : "prompts";
	struct diag *d = sema_report(s, DIAG_W0817, e->span, "%s`%s` holds for %s of %lld, and %s for %s of %lld: %s",
	                             claim_of(g, item), source_of(g, e->span), what, (long long)w->seq_hi,
	                             worst == NEVER ? "fails" : "is open", what, (long long)found, values_text(g));
	diag_related(s->sink, d, w->seq_span, "%s of %lld to %lld", what, (long long)w->seq_lo, (long long)w->seq_hi);
	diag_help(s->sink, d, "state it in a deployment whose `seq` has the lengths that it is about");
}

/* After the longest: what holds is looked at for other lengths. */
static enum goal_verdict holds(struct goals *g, struct scope *scope, const struct node *item, enum goal_verdict verdict)
{
	check_other_lengths(g, scope, item);
	return verdict;
}

/* ---- verdicts --------------------------------------------------------------------------------- */

enum goal_verdict goal_decide(struct goals *g, struct scope *scope, const struct node *item, const char *open)
{
	struct sema *s = g->sema;
	const struct node *e = item->claim.value;
	const char *word = item->kind == N_ASSERT ? "assert" : "require";
	enum verdict proved = judged_at(g, scope, e, CORNER_BOUNDS);
	if (proved == WRONG)
		return GOAL_WRONG;
	if (proved == ALWAYS)
		return holds(g, scope, item, GOAL_PROVED);
	if (proved == NEVER) {
		report_never(g, item, true);
		return GOAL_IMPOSSIBLE;
	}
	enum verdict predicted = judged_at(g, scope, e, CORNER_90);
	if (predicted == NEVER)
		report_never(g, item, false);
	if (predicted == ALWAYS)
		return holds(g, scope, item, GOAL_HOLDS);
	if (predicted != OPEN)
		return predicted == NEVER ? GOAL_FAILS : GOAL_WRONG;
	if (g->lacks || !g->n_used) {
		report_missing(g, item, open);
		return GOAL_OPEN;
	}
	struct diag *d = sema_report(s, DIAG_W0811, e->span, "`%s` is open: %s", word, values_text(g));
	for (int i = 0; i < g->n_used; i++)
		g->overloaded |= isinf(g->used[i].e.value);
	note_basis(g, d);
	return GOAL_OPEN;
}
