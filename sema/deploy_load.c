/* What arrives at a serving deployment: laws of lengths and of arrivals, from records of std.workload. */
#include <stdlib.h>
#include "deploy.h"

enum { MAX_LISTED = 1000 };

/* ---- lengths --------------------------------------------------------------------------------- */

struct law {
	struct deployment *c;
	const char *field, *range; /* `prompts`, and `seq`, which has the range of their lengths */
	struct record *r;
	struct lengths *out;
};

static struct span law_where(const struct law *l) { return field_where(record_field(l->c->work, l->field)); }

/* Is a length in the workload's range? false after a report. */
static bool in_range(const struct law *l, int64_t length, const char *what)
{
	const struct lengths *n = l->out;
	if (length >= n->lo && length <= n->hi)
		return true;
	const struct field *range = record_field(l->c->work, l->range);
	struct sink *sink = l->c->sema->sink;
	bool above = length > n->hi;
	struct diag *d = deployment_report(l->c, DIAG_E0707, law_where(l), "`%s` has %s %lld, and `%s` %s %lld", l->field,
	                                   what, (long long)length, l->range, above ? "ends at" : "begins at",
	                                   (long long)(above ? n->hi : n->lo));
	diag_related(sink, d, field_where(range), "the range of lengths");
	int64_t most = l->c->deploy->program->max_ctx;
	if (above && most > 0 && length > most)
		diag_note(sink, d, "the longest context of `%s` is %lld", l->c->deploy->model_name, (long long)most);
	else if (above)
		diag_help(sink, d, "let `%s` end at %lld or more", l->range, (long long)length);
	return false;
}

static bool read_lognormal(const struct law *l)
{
	struct val median = value_of(l->r, "median"), p90 = value_of(l->r, "p90");
	if (median.kind != V_INT || p90.kind != V_INT) /* left open */
		return false;
	l->out->median = (double)median.i, l->out->p90 = (double)p90.i;
	return in_range(l, median.i, "a median of") && in_range(l, p90.i, "a p90 of");
}

/* An end of a uniform law; none: that of the range. false after a report. */
static bool read_end(const struct law *l, const char *field, int64_t *end)
{
	struct val v = value_of(l->r, field);
	if (v.kind == V_NONE)
		return true;
	const char *what = arena_printf(l->c->sema->arena, "a %s of", field);
	if (v.kind != V_INT || !in_range(l, v.i, what))
		return false;
	*end = v.i;
	return true;
}

static bool read_uniform(const struct law *l)
{
	int64_t lo = l->out->lo, hi = l->out->hi;
	if (!read_end(l, "shortest", &lo) || !read_end(l, "longest", &hi))
		return false;
	if (lo > hi)
		deployment_report(l->c, DIAG_E0203, law_where(l), "`%s` has no length: the shortest is %lld, the longest %lld",
		                  l->field, (long long)lo, (long long)hi);
	l->out->lo = lo, l->out->hi = hi;
	return lo <= hi;
}

struct listed {
	int64_t length;
	double weight;
};

static int by_length(const void *a, const void *b)
{
	int64_t x = ((const struct listed *)a)->length, y = ((const struct listed *)b)->length;
	return (x > y) - (x < y);
}

/* The list as it is written; NULL after a report. */
static struct listed *read_listed(const struct law *l, struct val lengths, struct val weights)
{
	struct listed *all = arena_array(l->c->sema->arena, struct listed, lengths.list.n + 1);
	for (int i = 0; i < lengths.list.n; i++) {
		struct val length = lengths.list.at[i];
		double weight = 0;
		if (length.kind != V_INT || !val_number(weights.list.at[i], &weight))
			return NULL;
		if (!(weight > 0)) {
			deployment_report(l->c, DIAG_E0203, law_where(l), "`weights` of `%s` are above 0, found %s", l->field,
			                  val_show(l->c->sema, weights.list.at[i]));
			return NULL;
		}
		if (!in_range(l, length.i, "the length"))
			return NULL;
		all[i] = (struct listed){length.i, weight};
	}
	return all;
}

static bool read_weighted(const struct law *l)
{
	struct val lengths = value_of(l->r, "lengths"), weights = value_of(l->r, "weights");
	if (lengths.kind != V_LIST || weights.kind != V_LIST)
		return false;
	int n = lengths.list.n;
	if (n != weights.list.n || n < 1 || n > MAX_LISTED) {
		deployment_report(l->c, DIAG_E0203, law_where(l),
		                  "`%s` expects 1 to %d lengths with a weight each, found %d and %d weights", l->field,
		                  MAX_LISTED, n, weights.list.n);
		return false;
	}
	struct listed *all = read_listed(l, lengths, weights);
	if (!all)
		return false;
	qsort(all, (size_t)n, sizeof *all, by_length);
	int64_t *length = arena_array(l->c->sema->arena, int64_t, n);
	double *share = arena_array(l->c->sema->arena, double, n), sum = 0;
	for (int i = 0; i < n; i++)
		sum += all[i].weight;
	for (int i = 0; i < n; i++)
		length[i] = all[i].length, share[i] = all[i].weight / sum;
	l->out->n = n, l->out->length = length, l->out->share = share;
	return true;
}

/* The law of the lengths from lo to hi. Without one, a single length is known all the same. */
static struct lengths read_lengths(struct deployment *c, const char *field, const char *range, int64_t lo, int64_t hi)
{
	static const struct {
		const char *schema;
		enum length_law law;
		bool (*read)(const struct law *l);
	} laws[] = {{"LogNormal", LENGTH_LOGNORMAL, read_lognormal},
	            {"Uniform", LENGTH_UNIFORM, read_uniform},
	            {"Weighted", LENGTH_WEIGHTED, read_weighted}};
	struct lengths out = {.law = lo == hi ? LENGTH_UNIFORM : LENGTH_UNKNOWN, .lo = lo, .hi = hi};
	struct law l = {c, field, range, record_of(c->work, field), &out};
	if (!l.r)
		return out;
	for (size_t i = 0; i < sizeof laws / sizeof *laws; i++)
		if (record_is(l.r, laws[i].schema)) {
			out.law = laws[i].read(&l) ? laws[i].law : LENGTH_UNKNOWN;
			return out;
		}
	deployment_report(c, DIAG_E0203, law_where(&l), "`%s` expects LogNormal, Uniform or Weighted, found %s", field,
	                  val_kind_text(c->sema, value_of(c->work, field)));
	return out;
}

/* ---- arrivals -------------------------------------------------------------------------------- */

static struct arrivals read_arrivals(struct deployment *c)
{
	struct record *r = record_of(c->work, "arrivals");
	const struct field *f = record_field(c->work, "arrivals");
	struct arrivals out = {.law = ARRIVAL_NONE, .at = f ? field_where(f) : c->deploy->work.span};
	if (!r)
		return out;
	out.rate = figure_of(r, "rate"), out.think = figure_of(r, "think");
	if (record_is(r, "Users")) {
		out.law =
			deployment_int(c, r, "count", 1, &out.users) && figure_known(out.think) ? ARRIVAL_USERS : ARRIVAL_NONE;
		return out;
	}
	bool poisson = record_is(r, "Poisson");
	if (!poisson && !record_is(r, "Spaced"))
		deployment_report(c, DIAG_E0203, out.at, "`arrivals` expects Poisson, Spaced or Users, found %s",
		                  val_kind_text(c->sema, value_of(c->work, "arrivals")));
	else if (figure_known(out.rate))
		out.law = poisson ? ARRIVAL_POISSON : ARRIVAL_SPACED;
	return out;
}

void deployment_load(struct deployment *c, int64_t shortest_output)
{
	struct workload *w = &c->deploy->work;
	int64_t shortest = shortest_output > 1 ? shortest_output : 1, longest = w->output_hi > 1 ? w->output_hi : 1;
	w->prompts = read_lengths(c, "prompts", "seq", w->seq_lo, w->seq_hi);
	w->outputs = read_lengths(c, "outputs", "output", shortest, longest);
	w->arrivals = read_arrivals(c);
}
