/* Checks `require`, `assert` and `prefer` of a deployment against its totals, layouts and metrics, which are a closed
 * vocabulary. Totals are exact; what a metric's interval decides is in verdict.c. */
#include "goals.h"
#include <string.h>

/* What goals may name besides the deployment's fields. `metric`: of those that are not totals. */
static const struct goal_name {
	const char *name, *type;
	bool is_total;
	enum metric metric;
} terms[] = {
	{"params", "Params", true, METRICS},
	{"params.active", "Params", true, METRICS},
	{"total.weights", "Data", true, METRICS},
	{"total.kv", "Data", true, METRICS},
	{"memory.weights", "Data", true, METRICS},
	{"memory.gradients", "Data", true, METRICS},
	{"memory.optimizer", "Data", true, METRICS},
	{"memory.kv", "Data", true, METRICS},
	{"memory.activations", "Data", true, METRICS},
	{"memory.comm", "Data", true, METRICS},
	{"memory.peak", "Data", true, METRICS},
	{"memory.headroom", "Ratio", true, METRICS},
	{"ttft", "Time", false, METRIC_TTFT},
	{"tpot", "Time", false, METRIC_TPOT},
	{"step_time", "Time", false, METRIC_STEP_TIME},
	{"throughput", "TokenRate", false, METRIC_THROUGHPUT},
	{"throughput.sequences", "RequestRate", false, METRIC_SEQUENCES},
	{"prefill.throughput", "TokenRate", false, METRIC_PREFILL_THROUGHPUT},
	{"decode.throughput", "TokenRate", false, METRIC_DECODE_THROUGHPUT},
	{"mfu", "Ratio", false, METRIC_MFU},
	{"hfu", "Ratio", false, METRIC_HFU},
	{"bubble", "Ratio", false, METRIC_BUBBLE},
	{"comm.share", "Ratio", false, METRIC_COMM_SHARE},
	{"comm.bytes", "Data", false, METRIC_COMM_BYTES},
	{"comm.time", "Time", false, METRIC_COMM_TIME},
	{"comm.hidden", "Ratio", false, METRIC_COMM_HIDDEN},
	{"memory.share", "Ratio", false, METRIC_MEMORY_SHARE},
	{"cost", "Money", false, METRIC_COST},
	{"energy", "Energy", false, METRIC_ENERGY},
	{"handover.bytes", "Data", false, METRIC_HANDOVER_BYTES},
	{"handover.time", "Time", false, METRIC_HANDOVER_TIME},
};
enum { TERMS = sizeof terms / sizeof *terms };
static const char *const collective_kinds[] = {"all_reduce", "all_gather", "reduce_scatter",
                                               "all_to_all", "send",       "recv"};
enum { COLLECTIVE_KINDS = sizeof collective_kinds / sizeof *collective_kinds };

/* ---- names ----------------------------------------------------------------------------------- */

static const struct goal_name *term_named(const char *name)
{
	for (int i = 0; i < TERMS; i++)
		if (!strcmp(terms[i].name, name))
			return &terms[i];
	return NULL;
}

/* The first word of a name with a dot: `memory`, `prefill`. */
static bool is_prefix(const char *word)
{
	size_t n = strlen(word);
	for (int i = 0; i < TERMS; i++)
		if (!strncmp(terms[i].name, word, n) && terms[i].name[n] == '.')
			return true;
	return false;
}

static const struct total *total_known(const struct subject *s, const char *name)
{
	for (int i = 0; i < s->n_totals; i++)
		if (!strcmp(s->totals[i].name, name))
			return &s->totals[i];
	return NULL;
}

/* What a dotted name is about: this deployment, or another whose name it begins with; *rest: the name there. */
static struct subject *subject_of(struct goals *g, const char *name, const char **rest)
{
	const char *dot = strchr(name, '.');
	struct subject *other = dot ? goal_other(g, arena_strndup(g->sema->arena, name, (size_t)(dot - name))) : NULL;
	*rest = other ? dot + 1 : name;
	return other ? other : &g->self;
}

/* What a rank sends is counted, not predicted. */
static bool is_exact(struct goals *g, struct subject *s, const struct goal_name *t)
{
	return !t->is_total && t->metric == METRIC_COMM_BYTES && goal_metrics(g, s)->ops;
}

/* What each request has, so that percentiles are of it; by enum loaded. */
static const struct goal_name percentiles[LOADED] = {{"ttft", "Time", false, METRIC_TTFT},
                                                     {"tpot", "Time", false, METRIC_TPOT},
                                                     {"latency", "Time", false, METRIC_TTFT}};

static const struct goal_name *percentile_named(const char *name)
{
	for (int i = 0; name && i < LOADED; i++)
		if (!strcmp(percentiles[i].name, name))
			return &percentiles[i];
	return NULL;
}

/* What `p99(ttft)` is about; NULL: it is no such call. */
static const struct goal_name *percentile_of(struct goals *g, const struct node *e)
{
	const char *f = e->kind == N_CALL && e->call.f->kind == N_ID ? e->call.f->ident.name : "";
	bool is_percentile = false;
	for (int i = 0; i < PERCENTILES; i++)
		is_percentile |= !strcmp(f, percentile_name((enum percentile)i));
	if (!is_percentile || e->call.args.n != 1)
		return NULL;
	return percentile_named(dotted_name(g->sema->arena, e->call.args.at[0]));
}

/* The term that an expression names, possibly `per gpu`, if it has no value here; else NULL. */
static const struct goal_name *open_term(struct goals *g, const struct node *e)
{
	bool per_gpu = e->kind == N_PER && !strcmp(e->dot.name.name, "gpu");
	const char *name = dotted_name(g->sema->arena, per_gpu ? e->dot.x : e), *rest;
	if (!name)
		return percentile_of(g, e);
	struct subject *s = subject_of(g, name, &rest);
	const struct goal_name *term = total_known(s, rest) ? NULL : term_named(rest);
	return term && is_exact(g, s, term) ? NULL : term;
}

static struct val total_value(const struct total *t)
{
	struct dims dims = {{0}};
	if (t->unit != TOTAL_RATIO)
		dims.power[t->unit == TOTAL_BYTES ? DIM_DATA : DIM_PARAM] = 1;
	return val_quantity(t->value, dims);
}

static void no_such_term(struct goals *g, const char *name, struct span at)
{
	const char *all[TERMS];
	for (int i = 0; i < TERMS; i++)
		all[i] = terms[i].name;
	const char *near = nearest_name(name, all, TERMS);
	struct diag *d = sema_report(g->sema, DIAG_E0101, at, "no metric or total `%s`", name);
	diag_suggest(g->sema->sink, d, at, near);
}

static struct val metric_value(struct goals *g, struct subject *s, const struct goal_name *t, const char *name)
{
	struct dims dims = {{0}};
	dims_named(t->type, &dims);
	if (is_exact(g, s, t))
		return val_quantity(s->metrics->of[METRIC_COMM_BYTES].value, dims);
	return g->level == CORNER_NONE || t->is_total
	           ? val_unknown(name)
	           : goal_figure(g, s, name, t->metric, &goal_metrics(g, s)->of[t->metric], dims);
}

/* The value of a dotted name that is a total or a metric. false: it is a name of the deployment's records. */
static bool named_value(struct goals *g, struct scope *scope, const struct node *e, struct val *out)
{
	const char *name = dotted_name(g->sema->arena, e), *rest;
	if (!name)
		return false;
	struct subject *s = subject_of(g, name, &rest);
	const struct total *total = total_known(s, rest);
	const struct goal_name *term = term_named(rest);
	if (total || term) {
		*out = total ? total_value(total) : metric_value(g, s, term, name);
		return true;
	}
	struct val ignored;
	const char *first = names_intern(g->sema->names, rest, strcspn(rest, "."));
	if (s == &g->self
	    && (!is_prefix(first) || record_field(scope->record, first)
	        || scope_find(scope->parent, first, e->span, &ignored)))
		return false;
	no_such_term(g, rest, e->span);
	*out = val_bad();
	return true;
}

static const char *source_text(struct sema *s, struct span at)
{
	return arena_strndup(s->arena, s->sink->sources->files.at[at.file].text + at.lo, at.hi - at.lo);
}

/* ---- expressions ----------------------------------------------------------------------------- */

/* count(kind), count(kind, at = region): the collectives that a step has there; those of the loop's body count once. */
static struct val count_value(struct goals *g, const struct node *e, const char *kind)
{
	const char *region = "";
	struct span at = e->span;
	for (int i = 1; i < e->call.args.n; i++) {
		const struct node *arg = e->call.args.at[i];
		const char *name = arg->kind == N_ARG_NAMED && !strcmp(arg->dot.name.name, "at")
		                       ? dotted_name(g->sema->arena, arg->dot.x)
		                       : NULL;
		if (!name || *region) {
			sema_report(g->sema, DIAG_E0411, arg->span, "`count` takes a kind and `at = region`");
			return val_bad();
		}
		region = name;
		at = arg->dot.x->span;
	}
	if (!g->layouts)
		return val_unknown("count");
	int n = dag_count(g->layouts, kind, region);
	if (n < 0)
		sema_report(g->sema, DIAG_E0505, at, "the model has no region `%s`", region);
	return n < 0 ? val_bad() : val_int(n);
}

/* The field of the workload that has a range without a distribution; NULL: there is none. */
static const char *undistributed(const struct workload *w)
{
	return w->prompts.law == LENGTH_UNKNOWN ? "seq" : w->outputs.law == LENGTH_UNKNOWN ? "output" : NULL;
}

/* A percentile needs arrivals and a distribution of lengths: E0812. false after a report. */
static bool has_distribution(struct goals *g, const struct node *e, const struct node *metric, const char *name)
{
	struct sink *sink = g->sema->sink;
	const struct workload *w = &g->self.deploy->work;
	const char *range = undistributed(w), *f = e->call.f->ident.name;
	if (kind_is_joint(g->self.deploy->record->kind)) {
		struct diag *d =
			sema_report(g->sema, DIAG_E0812, e->span,
		                "`%s(%s)` of two pools is not predicted: no queue before both is simulated", f, name);
		diag_help(sink, d, "write `ttft` or `tpot`, which hold for the longest prompt alone");
		return false;
	}
	if (!range && w->arrivals.law != ARRIVAL_NONE)
		return true;
	struct val work = record_get(g->self.deploy->record, "workload", e->span);
	const struct field *field = range && work.kind == V_RECORD ? record_field(work.record, range) : NULL;
	if (w->training) {
		sema_report(g->sema, DIAG_E0812, e->span, "`%s(%s)` is one of requests, and the workload is training", f, name);
		return false;
	}
	struct diag *d =
		range ? sema_report(g->sema, DIAG_E0812, e->span,
	                        "`%s(%s)` needs a distribution of lengths, but the workload has a range", f, name)
			  : sema_report(g->sema, DIAG_E0812, e->span, "`%s(%s)` needs `arrivals`, which the workload leaves out", f,
	                        name);
	if (field)
		diag_related(sink, d, field->sets.n ? field->sets.at[field->sets.n - 1].span : field->span,
		             "the workload does not say how frequent each length is");
	else
		diag_related(sink, d, w->span, "the workload does not say when requests come");
	const char *law = range && strcmp(range, "seq") ? "outputs" : "prompts", *text = source_text(g->sema, metric->span);
	if (range && term_named(name))
		diag_help(sink, d,
		          "write `%s`, which holds for all lengths of the range, or state a law as in `%s = Uniform {}`", text,
		          law);
	else if (range)
		diag_help(sink, d, "state how frequent lengths are, as in `%s = Uniform {}`", law);
	else if (term_named(name))
		diag_help(sink, d, "write `%s`, or state `arrivals`, as in `arrivals = Poisson { rate = 8 requests/s }`", text);
	else
		diag_help(sink, d, "state them, as in `arrivals = Poisson { rate = 8 requests/s }`");
	if (term_named(name))
		diag_fix(sink, d, e->span, text);
	return false;
}

/* Of the queue, which is played when the first goal asks. */
static struct val percentile_value(struct goals *g, const struct node *e, const char *name)
{
	const char *text = source_text(g->sema, e->span);
	if (g->level == CORNER_NONE)
		return val_unknown(text);
	struct load *l = goal_load(g, &g->self);
	if (!l) {
		g->lacks = g->lacks ? g->lacks : "the plan has no schedule";
		return val_unknown(text);
	}
	goal_metrics(g, &g->self); /* what its intervals rest on */
	load_play(l);
	int what = (int)(percentile_named(name) - percentiles), at = 0;
	while (strcmp(percentile_name((enum percentile)at), e->call.f->ident.name))
		at++;
	return goal_figure(g, &g->self, text, METRIC_COMM_TIME, &l->of[what][at], (struct dims){.power[DIM_TIME] = 1});
}

/* count(kind, at = region), p99(metric) */
static bool call_value(struct goals *g, const struct node *e, struct val *out)
{
	const char *f = e->call.f->kind == N_ID ? e->call.f->ident.name : "";
	const struct node *first = e->call.args.n ? e->call.args.at[0] : NULL;
	const char *name = first ? dotted_name(g->sema->arena, first) : NULL;
	bool count = !strcmp(f, "count");
	if (!count && strcmp(f, "p50") && strcmp(f, "p90") && strcmp(f, "p99"))
		return false;
	*out = val_unknown(f);
	for (int i = 0; count && name && i < COLLECTIVE_KINDS; i++)
		if (!strcmp(collective_kinds[i], name)) {
			*out = count_value(g, e, name);
			return true;
		}
	if (percentile_of(g, e)) {
		*out = has_distribution(g, e, first, name) ? percentile_value(g, e, name) : val_bad();
		return true;
	}
	*out = val_bad();
	const char *text =
		count ? "`count` expects a kind of collective: all_reduce, all_gather, reduce_scatter, all_to_all, send, recv"
			  : "a percentile is of what each request has: ttft, tpot or latency";
	sema_report(g->sema, DIAG_E0101, first ? e->call.args.at[e->call.args.n > 1 && !count]->span : e->span, "%s", text);
	return true;
}

/* Does a value have the dimensions of a term? A Ratio has none. */
static bool same_dims(const struct goal_name *t, struct val v)
{
	struct dims want = {{0}};
	double ignored;
	dims_named(t->type, &want);
	if (v.kind == V_RANGE)
		return same_dims(t, v.range[0]) && same_dims(t, v.range[1]);
	return !val_number(v, &ignored) || dims_equal(want, v.kind == V_QUANTITY ? v.dims : (struct dims){{0}});
}

bool is_comparison(enum bin_op op)
{
	return op == B_LT || op == B_GT || op == B_LE || op == B_GE || op == B_EQ || op == B_NE || op == B_IN;
}

/* A comparison with a term that has no value: only dimensions can be checked. */
static bool comparison(struct goals *g, struct scope *scope, const struct node *e, struct val *out)
{
	const struct goal_name *left = open_term(g, e->bin.a), *right = open_term(g, e->bin.b), *t = left ? left : right;
	if (!t)
		return false;
	struct val other = eval(scope, left ? e->bin.b : e->bin.a, NULL);
	const struct node *term = left ? e->bin.a : e->bin.b;
	struct val self = term->kind == N_CALL ? eval(scope, term, NULL) : val_unknown(t->name);
	*out = other.kind == V_BAD ? other : self;
	bool agree = left && right ? !strcmp(left->type, right->type) : same_dims(t, other);
	if (agree)
		return true;
	const char *kind = left && right ? right->type : val_kind_text(g->sema, other);
	struct diag *d = sema_report(g->sema, DIAG_E0302, e->bin.op_span, "cannot compare %s with %s",
	                             left ? t->type : kind, left ? kind : t->type);
	diag_related(g->sema->sink, d, e->bin.a->span, "left side");
	diag_related(g->sema->sink, d, e->bin.b->span, "right side");
	if (left && !right && e->bin.b->kind == N_NUM)
		offer_unit(g->sema, d, left->type, e->bin.b->span);
	*out = val_bad();
	return true;
}

/* What `per` divides by: the devices, or the tokens or sequences of a batch. */
static bool divisor(const struct goals *g, const char *word, struct val *out)
{
	const struct workload *w = &g->self.deploy->work;
	double tokens = (double)w->batch * (double)(w->seq_hi + (w->training ? 0 : w->output_hi));
	if (!strcmp(word, "gpu"))
		*out = g->self.deploy->known ? val_int(g->self.deploy->gpus) : val_unknown("gpus");
	else if (!strcmp(word, "token"))
		*out = val_quantity(tokens, (struct dims){.power[DIM_TOKEN] = 1});
	else if (!strcmp(word, "sequence"))
		*out = val_quantity((double)w->batch, (struct dims){.power[DIM_REQUEST] = 1});
	else
		return false;
	return true;
}

/* `x per gpu` */
static struct val per_value(struct goals *g, struct scope *scope, const struct node *e)
{
	struct val x = eval(scope, e->dot.x, NULL), by;
	if (x.kind == V_BAD)
		return x;
	if (!divisor(g, e->dot.name.name, &by)) {
		sema_report(g->sema, DIAG_E0101, e->dot.name.span, "`per` is followed by gpu, token or sequence, not by `%s`",
		            e->dot.name.name);
		return val_bad();
	}
	return x.kind == V_UNKNOWN || by.kind == V_UNKNOWN ? val_unknown(x.kind == V_UNKNOWN ? x.name : by.name)
	                                                   : arith(g->sema, B_DIV, x, by, e->span);
}

static bool goal_expr(struct scope *scope, const struct node *e, const struct node *expect, struct val *out)
{
	struct goals *g = scope->walk;
	(void)expect;
	switch (e->kind) {
	case N_ID:
	case N_DOT:  return named_value(g, scope, e, out);
	case N_CALL: return call_value(g, e, out) || goal_part(g, e, out);
	case N_BIN:  return g->level == CORNER_NONE && is_comparison(e->bin.op) && comparison(g, scope, e, out);
	case N_PER:  *out = per_value(g, scope, e); return true;
	default:     return false;
	}
}

/* ---- verdicts -------------------------------------------------------------------------------- */

static const char *bytes_text(struct arena *a, double x)
{
	return x >= 1e9 ? arena_printf(a, "%.0f bytes = %.2f GB = %.2f GiB", x, x / 1e9, x / 0x1p30)
	                : arena_printf(a, "%.0f bytes = %.2f MB = %.2f MiB", x, x / 1e6, x / 0x1p20);
}

static bool is_data(struct val v)
{
	return v.kind == V_QUANTITY && dims_equal(v.dims, (struct dims){.power[DIM_DATA] = 1});
}

/* count(...), bytes(...): a call with arguments that are not expressions. */
static bool is_question(const struct node *e)
{
	const char *f = e->kind == N_CALL && e->call.f->kind == N_ID ? e->call.f->ident.name : "";
	return !strcmp(f, "count") || !strcmp(f, "bytes") || !strcmp(f, "time") || !strcmp(f, "hidden");
}

/* Every number that an expression names: added to `t`, "params = 0.4523 Gparam, plan.tp = 2", or, if `d` is given, to
 * its notes with all digits. */
static void facts(struct goals *g, struct scope *scope, const struct node *e, struct text *t, struct diag *d)
{
	const char *name = dotted_name(g->sema->arena, e);
	double x;
	if (name) {
		struct val v = eval(scope, e, NULL);
		if (!val_number(v, &x))
			return;
		if (d && is_data(v))
			diag_note(g->sema->sink, d, "%s = %s", name, bytes_text(g->sema->arena, x));
		else if (d && val_exact(g->sema->arena, v))
			diag_note(g->sema->sink, d, "%s = %s", name, val_exact(g->sema->arena, v));
		if (d)
			return;
		if (is_data(v))
			text_add(t, "%s%s = %s", t->n ? ", " : "", name, val_data_text(g->sema->arena, x));
		else if (!strcmp(name, "memory.headroom"))
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
	} else if (is_question(e)) {
		struct val v = eval(scope, e, NULL);
		const char *value = is_data(v) && val_number(v, &x) ? val_data_text(g->sema->arena, x) : val_show(g->sema, v);
		if (!d)
			text_add(t, "%s`%s` = %s", t->n ? ", " : "", source_text(g->sema, e->span), value);
	} else if (e->kind == N_CALL) {
		for (int i = 0; i < e->call.args.n; i++)
			facts(g, scope, e->call.args.at[i], t, d);
	}
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
	if (e->kind == N_BIN && is_comparison(e->bin.op) && dotted_name(s->arena, e->bin.a))
		text_add(&claim, "%s %s", bin_op_text(e->bin.op), source_text(s, e->bin.b->span));
	else
		text_add(&claim, "`%s`", source_text(s, e->span));
	struct diag *d = sema_report(s, goal->kind == N_ASSERT ? DIAG_E0806 : DIAG_E0802, e->span, "%s", claim.at);
	facts(g, scope, e, &t, d);
}

/* A total is missing because of a reported error, unless the plan is left open or is one of training. */
static bool follows_from_error(const struct deploy *d, const char *name)
{
	const struct goal_name *t = term_named(name);
	bool one = !kind_is_joint(d->record->kind); /* several have fewer totals */
	return t && t->is_total && (d->refused || (one && d->known && !d->needs_training));
}

/* ---- one goal ------------------------------------------------------------------------------------ */

static struct scope scope_of(struct goals *g, const struct placed *goal)
{
	return (struct scope){.parent = goal->layer->scope,
	                      .module = goal->layer->module,
	                      .sema = g->sema,
	                      .record = g->self.deploy->record,
	                      .expr = goal_expr,
	                      .walk = g};
}

struct val goal_value(struct goals *g, const struct placed *goal, const struct node *e)
{
	struct scope scope = scope_of(g, goal);
	return eval(&scope, e, NULL);
}

static enum goal_verdict check_goal(struct goals *g, const struct placed *goal)
{
	struct sema *s = g->sema;
	const struct node *item = goal->item;
	struct scope scope = scope_of(g, goal);
	if (item->kind == N_ASSERT_TYPE)
		return goal_layout(g, item);
	const char *word = item->kind == N_ASSERT ? "assert" : "require";
	struct val v = eval(&scope, item->claim.value, NULL);
	if (item->kind != N_ASSERT && item->kind != N_REQUIRE)
		return GOAL_WRONG;
	if (v.kind == V_UNKNOWN && !follows_from_error(g->self.deploy, v.name))
		return goal_decide(g, &scope, item, arena_printf(s->arena, "`%s`", v.name));
	if (v.kind == V_BOOL && !v.b)
		is_false(g, &scope, item);
	if (v.kind == V_BOOL)
		return v.b ? GOAL_CONFIRMED : GOAL_FALSE;
	if (v.kind != V_BOOL && v.kind != V_BAD && v.kind != V_UNKNOWN && v.kind != V_AUTO)
		sema_report(s, DIAG_E0203, item->claim.value->span, "`%s` expects Bool, found %s", word, val_show(s, v));
	return GOAL_WRONG;
}

const char *goal_verdict_name(enum goal_verdict v)
{
	static const char *const names[GOAL_VERDICTS] = {[GOAL_WRONG] = "wrong",           [GOAL_CONFIRMED] = "confirmed",
	                                                 [GOAL_FALSE] = "false",           [GOAL_PROVED] = "proved",
	                                                 [GOAL_IMPOSSIBLE] = "impossible", [GOAL_HOLDS] = "holds",
	                                                 [GOAL_FAILS] = "fails",           [GOAL_OPEN] = "open"};
	return names[v];
}

/* On one line. */
static const char *in_one_line(struct arena *a, const char *text)
{
	struct text t = {.arena = a};
	while (*text) {
		size_t n = strcspn(text, " \t\n");
		text_add(&t, "%.*s", (int)n, text);
		text += n;
		size_t gap = strspn(text, " \t\n");
		text_add(&t, "%s", gap && text[gap] ? " " : "");
		text += gap;
	}
	return t.n ? t.at : "";
}

static void list_verdict(struct goals *g, const struct node *item, enum goal_verdict v, struct goal_list *out)
{
	if (item->kind != N_ASSERT && item->kind != N_REQUIRE && item->kind != N_ASSERT_TYPE)
		return;
	struct span at = item->kind == N_ASSERT_TYPE ? span_join(item->claim.value->span, item->claim.type->span)
	                                             : item->claim.value->span;
	const char *text = in_one_line(g->sema->arena, source_text(g->sema, at));
	struct judged_goal goal = {item->kind == N_REQUIRE, text, item->claim.message, v};
	vec_push(g->sema->arena, out, goal);
}

/* More arrives than is served: W0815, unless a goal says it. */
static void check_load(struct goals *g)
{
	const struct workload *w = &g->self.deploy->work;
	struct load *l = g->overloaded ? NULL : goal_load(g, &g->self);
	if (!l || !l->grows)
		return;
	struct diag *d = sema_report(g->sema, DIAG_W0815, w->arrivals.at, "the queue grows without end: %s",
	                             load_text(l, g->sema->arena));
	diag_note(g->sema->sink, d, "%s", load_sizes(l, g->sema->arena));
}

struct goals goals_of(struct sema *sema, const struct deploy *d, const struct local *l, const struct schedule *s,
                      const struct training *t, const struct target *target)
{
	struct goals g = {.sema = sema,
	                  .target = target,
	                  .self = {.deploy = d, .schedule = s, .training = t},
	                  .layouts = d->needs_training ? NULL : l};
	g.self.n_totals = planner_totals(d, s, g.self.totals);
	if (t)
		g.self.n_totals += planner_training_totals(t, g.self.totals + g.self.n_totals);
	return g;
}

/* What was planned of deployments together. Without a plan, an error was reported, or something is left open. */
static void joint_goals(struct sema *sema, const struct joint *j, struct subject self, bool planned,
                        const struct target *target)
{
	const struct deploy *d = j->self;
	struct goals g = {.sema = sema, .target = target, .self = self};
	for (int i = 0; (planned || j->open) && d->program && i < d->record->goals.n; i++)
		check_goal(&g, &d->record->goals.at[i]);
}

void pools_goals(struct sema *sema, const struct pools *s, const struct target *target)
{
	joint_goals(sema, s->joint, pools_subject(sema->arena, s), !s->unplanned, target);
}

void share_goals(struct sema *sema, const struct share *s, const struct target *target)
{
	joint_goals(sema, s->joint, share_subject(sema->arena, s), !s->unplanned, target);
}

const char *planner_goal_type(const char *name)
{
	const struct goal_name *term = term_named(name);
	return term ? term->type : NULL;
}

void planner_goals(struct sema *sema, const struct deploy *d, const struct local *l, const struct schedule *s,
                   const struct training *t, const struct target *target, struct goal_list *out)
{
	struct goals g = goals_of(sema, d, l, s, t, target);
	const bool *excluded = goals_excluded(&g);
	for (int i = 0; i < d->record->goals.n; i++) {
		enum goal_verdict v = excluded[i] ? GOAL_WRONG : check_goal(&g, &d->record->goals.at[i]);
		if (out)
			list_verdict(&g, d->record->goals.at[i].item, v, out);
	}
	check_load(&g);
}
