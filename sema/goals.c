/* `require`, `assert`, `prefer` of a deployment against its totals; metrics are a closed vocabulary, checked but not decided. */
#include "internal.h"
#include <string.h>

/* Names that goals may use and this version does not compute. A metric without dimensions known here has `any`. */
static const struct metric { const char *name, *type; signed char time, token; bool any; } metrics[] = {
	{"ttft", "Time", 1, 0, false}, {"tpot", "Time", 1, 0, false}, {"step_time", "Time", 1, 0, false},
	{"throughput", "TokenRate", -1, 1, false}, {"prefill.throughput", "TokenRate", -1, 1, false},
	{"decode.throughput", "TokenRate", -1, 1, false},
	{"mfu", "Ratio", 0, 0, false}, {"hfu", "Ratio", 0, 0, false}, {"bubble", "Ratio", 0, 0, false}, {"comm.share", "Ratio", 0, 0, false},
	{"cost", "Money", 0, 0, true}, {"energy", "Energy", 0, 0, true},
};
enum { METRICS = sizeof metrics / sizeof *metrics };
static const char *const totals[] = {
	"params", "params.active", "total.weights", "total.kv", "memory.weights", "memory.kv", "memory.activations", "memory.comm",
	"memory.peak", "memory.headroom",
};
enum { TOTALS = sizeof totals / sizeof *totals };
static const char *const collective_kinds[] = {"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send", "recv"};
enum { COLLECTIVE_KINDS = sizeof collective_kinds / sizeof *collective_kinds };

struct goals {
	struct sema *sema; struct deploy *deploy;
	const struct total *known; int n_known;
};

/* ---- names --------------------------------------------------------------------------------------------------------- */

/* `a.b.c` as text; NULL: not a chain of names. */
static const char *dotted(struct arena *a, const struct node *e)
{
	if (e->kind == N_ID)
		return e->ident.name;
	const char *x = e->kind == N_DOT ? dotted(a, e->dot.x) : NULL;
	return x ? arena_printf(a, "%s.%s", x, e->dot.name.name) : NULL;
}

static const struct metric *metric_named(const char *name)
{
	for (int i = 0; i < METRICS; i++)
		if (!strcmp(metrics[i].name, name))
			return &metrics[i];
	return NULL;
}

/* The metric that an expression is, possibly `per gpu`; NULL: another expression. */
static const struct metric *metric_of(struct arena *a, const struct node *e)
{
	if (e->kind == N_PER)
		e = e->dot.x;
	const char *name = dotted(a, e);
	return name ? metric_named(name) : NULL;
}

static bool is_total(const char *name)
{
	for (int i = 0; i < TOTALS; i++)
		if (!strcmp(totals[i], name))
			return true;
	return false;
}

/* `memory`, `prefill`: the first word of a name with a dot. */
static bool is_prefix(const char *name)
{
	size_t n = strcspn(name, ".");
	for (int i = 0; i < TOTALS; i++)
		if (strlen(totals[i]) > n && totals[i][n] == '.' && !memcmp(totals[i], name, n))
			return true;
	for (int i = 0; i < METRICS; i++)
		if (strlen(metrics[i].name) > n && metrics[i].name[n] == '.' && !memcmp(metrics[i].name, name, n))
			return true;
	return false;
}

static struct val unknown(const char *name)
{
	return (struct val){.kind = V_UNKNOWN, .name = name};
}

static struct val total_value(const struct total *t)
{
	if (t->unit == TOTAL_RATIO)
		return val_float(t->value);
	struct val v = {.kind = V_QUANTITY, .f = t->value};
	v.dims.power[t->unit == TOTAL_BYTES ? DIM_DATA : DIM_PARAM] = 1;
	return v;
}

static void no_such_metric(struct goals *g, const char *name, struct span at)
{
	const char *all[METRICS + TOTALS];
	for (int i = 0; i < METRICS + TOTALS; i++)
		all[i] = i < METRICS ? metrics[i].name : totals[i - METRICS];
	struct sink *sink = g->sema->sink;
	const char *near = nearest_name(name, all, METRICS + TOTALS);
	struct diag *d = diag_report(sink, DIAG_E0101, at, "no metric or total `%s`", name);
	if (near)
		diag_help(sink, d, "did you mean `%s`?", near);
}

/* A name or a chain of them: a total, a metric, or false: names of the deployment's records. */
static bool named_value(struct goals *g, struct scope *scope, const struct node *e, struct val *out)
{
	const char *name = dotted(g->sema->arena, e);
	if (!name)
		return false;
	for (int i = 0; i < g->n_known; i++)
		if (!strcmp(g->known[i].name, name)) {
			*out = total_value(&g->known[i]);
			return true;
		}
	if (is_total(name) || metric_named(name)) {
		*out = unknown(name);
		return true;
	}
	struct val ignored;
	const char *first = arena_strndup(g->sema->arena, name, strcspn(name, "."));
	if (!is_prefix(name) || record_field(scope->record, first) || scope_find(scope->parent, first, e->span, &ignored))
		return false;
	no_such_metric(g, name, e->span);
	*out = val_bad();
	return true;
}

/* ---- expressions --------------------------------------------------------------------------------------------------- */

/* count(kind, at = region), p99(metric): names are checked, the value is left open. */
static bool call_value(struct goals *g, const struct node *e, struct val *out)
{
	const char *f = e->call.f->kind == N_ID ? e->call.f->ident.name : "";
	const struct node *first = e->call.args.n ? e->call.args.at[0] : NULL;
	const char *name = first ? dotted(g->sema->arena, first) : NULL;
	bool count = !strcmp(f, "count");
	if (!count && strcmp(f, "p50") && strcmp(f, "p90") && strcmp(f, "p99"))
		return false;
	*out = unknown(f);
	for (int i = 0; count && name && i < COLLECTIVE_KINDS; i++)
		if (!strcmp(collective_kinds[i], name))
			return true;
	if (!count && name && metric_named(name))
		return true;
	*out = val_bad();
	const char *text = count ? "`count` expects a kind of collective: all_reduce, all_gather, reduce_scatter, all_to_all, send, recv"
	                         : "a percentile is of a metric, such as `p99(tpot)`";
	diag_report(g->sema->sink, DIAG_E0101, first ? first->span : e->span, "%s", text);
	return true;
}

static bool same_dims(const struct metric *m, struct val v)
{
	struct dims want = {{0}};
	want.power[DIM_TIME] = m->time;
	want.power[DIM_TOKEN] = m->token;
	double ignored;
	if (v.kind == V_RANGE)
		return same_dims(m, v.range[0]) && same_dims(m, v.range[1]);
	return m->any || !val_number(v, &ignored) || !memcmp(&want, &v.dims, sizeof want);
}

static bool is_comparison(enum bin_op op)
{
	return op == B_LT || op == B_GT || op == B_LE || op == B_GE || op == B_EQ || op == B_NE || op == B_IN;
}

/* A metric against something: only the dimensions can be checked. */
static bool comparison(struct goals *g, struct scope *scope, const struct node *e, struct val *out)
{
	struct arena *a = g->sema->arena;
	const struct metric *left = metric_of(a, e->bin.a), *right = metric_of(a, e->bin.b), *m = left ? left : right;
	if (!m)
		return false;
	struct val other = eval(scope, left ? e->bin.b : e->bin.a, NULL);
	if (!same_dims(m, other) || (left && right && !(left->any || right->any) && strcmp(left->type, right->type))) {
		const char *with = left && right ? right->type : val_show(g->sema, other);
		struct diag *d = diag_report(g->sema->sink, DIAG_E0302, e->bin.op_span, "cannot compare %s with %s", m->type, with);
		diag_related(g->sema->sink, d, e->bin.a->span, "left side");
		diag_related(g->sema->sink, d, e->bin.b->span, "right side");
		*out = val_bad();
		return true;
	}
	*out = other.kind == V_BAD ? other : unknown(m->name);
	return true;
}

static bool goal_expr(struct scope *scope, const struct node *e, const struct node *expect, struct val *out)
{
	struct goals *g = scope->walk;
	(void)expect;
	switch (e->kind) {
	case N_ID: case N_DOT: return named_value(g, scope, e, out);
	case N_CALL: return call_value(g, e, out);
	case N_BIN: return is_comparison(e->bin.op) && comparison(g, scope, e, out);
	case N_PER:
		*out = eval(scope, e->dot.x, NULL);
		if (strcmp(e->dot.name.name, "gpu"))
			*out = unknown(e->dot.name.name);
		else if (out->kind != V_UNKNOWN && out->kind != V_BAD)
			*out = g->deploy->known ? arith(g->sema, B_DIV, *out, val_int(g->deploy->gpus), e->span) : unknown("gpus");
		return true;
	default: return false;
	}
}

/* ---- verdicts ------------------------------------------------------------------------------------------------------ */

static const char *bytes_text(struct arena *a, double x)
{
	return x >= 1e9 ? arena_printf(a, "%.0f bytes = %.2f GB = %.2f GiB", x, x / 1e9, x / 0x1p30)
	                : arena_printf(a, "%.0f bytes = %.2f MB = %.2f MiB", x, x / 1e6, x / 0x1p20);
}

/* "params = 0.4523 Gparam, plan.tp = 2": every number that an expression names; exact bytes as notes of `d`, if given. */
static void facts(struct goals *g, struct scope *scope, const struct node *e, struct text *t, struct diag *d)
{
	const char *name = dotted(g->sema->arena, e);
	double x;
	if (name) {
		struct val v = eval(scope, e, NULL);
		if (!val_number(v, &x))
			return;
		if (d && v.dims.power[DIM_DATA] == 1)
			diag_note(g->sema->sink, d, "%s = %s", name, bytes_text(g->sema->arena, x));
		if (d)
			return;
		if (is_total(name) && !strcmp(name, "memory.headroom"))
			text_add(t, "%s%s = %.1f%%", t->n ? ", " : "", name, 100 * x);
		else
			text_add(t, "%s%s = %s", t->n ? ", " : "", name, val_show(g->sema, v));
	} else if (e->kind == N_BIN) {
		facts(g, scope, e->bin.a, t, d);
		facts(g, scope, e->bin.b, t, d);
	} else if (e->kind == N_NOT || e->kind == N_NEG) {
		facts(g, scope, e->one.x, t, d);
	} else if (e->kind == N_PER) {
		facts(g, scope, e->dot.x, t, d);
	} else if (e->kind == N_CALL) {
		for (int i = 0; i < e->call.args.n; i++)
			facts(g, scope, e->call.args.at[i], t, d);
	}
}

static const char *source_text(struct sema *s, struct span at)
{
	return arena_strndup(s->arena, s->sink->sources->files.at[at.file].text + at.lo, at.hi - at.lo);
}

static void is_false(struct goals *g, struct scope *scope, const struct node *goal)
{
	struct sema *s = g->sema;
	const struct node *e = goal->claim.value;
	struct text t = {.arena = s->arena}, claim = {.arena = s->arena};
	facts(g, scope, e, &t, NULL);
	if (goal->claim.message)
		text_add(&claim, "%s: ", goal->claim.message);
	if (t.n)
		text_add(&claim, "%s, ", t.at);
	text_add(&claim, "%s ", goal->kind == N_ASSERT ? "asserted" : "required");
	if (e->kind == N_BIN && is_comparison(e->bin.op) && dotted(s->arena, e->bin.a))
		text_add(&claim, "%s %s", bin_op_text(e->bin.op), source_text(s, e->bin.b->span));
	else
		text_add(&claim, "`%s`", source_text(s, e->span));
	struct diag *d = diag_report(s->sink, goal->kind == N_ASSERT ? DIAG_E0806 : DIAG_E0802, e->span, "%s", claim.at);
	facts(g, scope, e, &t, d);
}

static void check_goal(struct goals *g, const struct placed *goal)
{
	struct sema *s = g->sema;
	const struct node *item = goal->item;
	struct scope scope = {.parent = goal->layer->scope, .module = goal->layer->module, .sema = s, .record = g->deploy->record,
			      .expr = goal_expr, .walk = g};
	if (item->kind == N_ASSERT_TYPE) {
		diag_report(s->sink, DIAG_W0811, item->span, "`assert` is not decided by this version: layouts are not asserted");
		return;
	}
	const char *word = item->kind == N_ASSERT ? "assert" : "require";
	struct val v = eval(&scope, item->claim.value, NULL);
	if (item->kind != N_ASSERT && item->kind != N_REQUIRE)
		return;
	/* A total that is missing follows from an error that was reported, unless this plan has no schedule. */
	if (v.kind == V_UNKNOWN && (!is_total(v.name) || !g->deploy->known || g->deploy->needs_training))
		diag_report(s->sink, DIAG_W0811, item->claim.value->span, "`%s` is not decided by this version: it needs `%s`", word, v.name);
	else if (v.kind == V_BOOL && !v.b)
		is_false(g, &scope, item);
	else if (v.kind != V_BOOL && v.kind != V_BAD && v.kind != V_UNKNOWN && v.kind != V_AUTO)
		diag_report(s->sink, DIAG_E0203, item->claim.value->span, "`%s` expects Bool, found %s", word, val_show(s, v));
}

void sema_goals(struct sema *s, struct deploy *d, const struct total *known, int n)
{
	struct goals g = {.sema = s, .deploy = d, .known = known, .n_known = n};
	for (int i = 0; i < d->record->goals.n; i++)
		check_goal(&g, &d->record->goals.at[i]);
}
