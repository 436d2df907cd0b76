/* The part of `deployc plan` that says how long things take: metrics with their intervals, and what takes the time. */
#include <math.h>
#include <string.h>
#include "metrics_text.h"
#include "plan.h"

enum { TERMS_SHOWN = 5 };

/* ---- figures ---------------------------------------------------------------------------------- */

/* Three digits of a figure with the prefix that fits: "13.1 ms". Prefixes go down by thousands from `largest`. */
static const char *in_prefixes(struct arena *a, double x, double largest, const char *const *prefixes, int n,
                               const char *unit)
{
	int i = 0;
	for (; i + 1 < n && fabs(x) < 0.9995 * largest; i++)
		largest /= 1000;
	double y = x / largest;
	int decimals = fabs(y) < 9.995 ? 2 : fabs(y) < 99.95 ? 1 : 0;
	return arena_printf(a, "%.*f %s%s", decimals, y, prefixes[i], unit);
}

const char *metric_seconds(struct arena *a, double s)
{
	static const char *const prefixes[] = {"", "m", "u", "n"};
	if (isinf(s))
		return "no end";
	return in_prefixes(a, s, 1, prefixes, 4, "s");
}

static const char *with_prefix(struct arena *a, double x, const char *unit)
{
	static const char *const prefixes[] = {"G", "M", "k", ""};
	return in_prefixes(a, x, 1e9, prefixes, 4, unit);
}

const char *metric_text(struct arena *a, enum metric m, double x)
{
	switch (m) {
	case METRIC_TTFT:
	case METRIC_TPOT:
	case METRIC_COMM_TIME:
	case METRIC_HANDOVER_TIME:
	case METRIC_STEP_TIME:          return metric_seconds(a, x);
	case METRIC_HANDOVER_BYTES:
	case METRIC_COMM_BYTES:         return planner_bytes(a, x);
	case METRIC_THROUGHPUT:
	case METRIC_PREFILL_THROUGHPUT:
	case METRIC_DECODE_THROUGHPUT:  return with_prefix(a, x, "tokens/s");
	case METRIC_SEQUENCES:          return with_prefix(a, x, "sequences/s");
	case METRIC_COST:               return arena_printf(a, "%.3g USD", x);
	case METRIC_ENERGY:             return with_prefix(a, x, "J");
	default:                        return arena_printf(a, "%.1f%%", 100 * x);
	}
}

const char *metric_name(enum metric m)
{
	static const char *const names[METRICS] = {[METRIC_TTFT] = "ttft",
	                                           [METRIC_TPOT] = "tpot",
	                                           [METRIC_THROUGHPUT] = "throughput",
	                                           [METRIC_PREFILL_THROUGHPUT] = "prefill.throughput",
	                                           [METRIC_DECODE_THROUGHPUT] = "decode.throughput",
	                                           [METRIC_SEQUENCES] = "throughput.sequences",
	                                           [METRIC_STEP_TIME] = "step_time",
	                                           [METRIC_MFU] = "mfu",
	                                           [METRIC_HFU] = "hfu",
	                                           [METRIC_BUBBLE] = "bubble",
	                                           [METRIC_COMM_SHARE] = "comm.share",
	                                           [METRIC_COMM_BYTES] = "comm.bytes",
	                                           [METRIC_COMM_TIME] = "comm.time",
	                                           [METRIC_COMM_HIDDEN] = "comm.hidden",
	                                           [METRIC_MEMORY_SHARE] = "memory.share",
	                                           [METRIC_COST] = "cost",
	                                           [METRIC_ENERGY] = "energy",
	                                           [METRIC_HANDOVER_BYTES] = "handover.bytes",
	                                           [METRIC_HANDOVER_TIME] = "handover.time"};
	return names[m];
}

/* ---- what takes the time ---------------------------------------------------------------------- */

static void print_largest(struct text *out, struct arena *a, const struct schedule *s, const struct step_time *t,
                          const char *what)
{
	double stage = t->stage[t->slowest].seconds * (double)t->microbatches;
	bool *shown = arena_array(a, bool, s->op_names.n + 1);
	text_add(out, "\n  a step of %s: %s", what, metric_seconds(a, t->seconds));
	if (s->stages.n > 1)
		text_add(out, "; stage %d works %s of it", t->slowest, metric_seconds(a, stage));
	text_add(out, "; exposed communication %s\n", metric_seconds(a, t->exposed > 0 ? t->exposed : 0));
	for (int n = 0; n < TERMS_SHOWN; n++) {
		int best = -1;
		for (int i = 0; i < s->op_names.n; i++)
			if (!shown[i] && t->ops[i].seconds > (best < 0 ? 0 : t->ops[best].seconds))
				best = i;
		if (best < 0)
			return;
		shown[best] = true;
		text_add(out, "    %5.1f%%  %10s  %s\n", 100 * t->ops[best].seconds / stage,
		         metric_seconds(a, t->ops[best].seconds), s->op_names.at[best]);
	}
}

/* ---- experts ---------------------------------------------------------------------------------- */

const char *expert_use_name(const struct expert_use *use)
{
	static const char *const names[] = {[EXPERTS_EVEN] = "even", [EXPERTS_ZIPF] = "zipf", [EXPERTS_SHARES] = "shares"};
	return names[use->kind];
}

void print_routing(struct text *out, struct arena *a, const struct expert_use *use)
{
	const char *what = use->kind == EXPERTS_ZIPF ? arena_printf(a, "zipf %.3g", use->zipf) : expert_use_name(use);
	text_add(out, "    %-20s %16s%s\n", "routing to experts", what,
	         use->kind == EXPERTS_EVEN ? "  (assumed; the workload may say otherwise: `experts`)" : "");
}

void print_balance(struct text *out, const char *what, const struct expert_split *s, const struct balance *b)
{
	text_add(out, "      the busiest of %.0f ranks has %.2f times the mean of rows%s; %.1f of %.0f experts are hit\n",
	         s->ranks, b->busiest, what, b->hit, s->experts / s->ranks);
}

static void print_experts(struct text *out, struct arena *a, const struct plan *p)
{
	const struct metrics *m = &p->metrics;
	const struct expert_use *use = &p->deploy->work.experts;
	const struct exchange *read = step_exchange(m->prefill), *grow = step_exchange(m->decode);
	if (!read && !grow)
		return;
	print_routing(out, a, use);
	if (read && use->kind != EXPERTS_EVEN)
		print_balance(out, " in prefill", &read->split, &read->balance);
	if (grow && use->kind != EXPERTS_EVEN)
		print_balance(out, " in decode", &grow->split, &grow->balance);
	if (p->steered)
		print_steered(out, a, p->steered, use->kind == EXPERTS_EVEN);
}

/* ---- metrics ---------------------------------------------------------------------------------- */

const char *metric_interval(struct arena *a, enum metric m, const struct estimate *e)
{
	return e->low80 < e->high80
	           ? arena_printf(a, "  (80%%: %s .. %s)", metric_text(a, m, e->low80), metric_text(a, m, e->high80))
	           : "";
}

static void print_estimate(struct text *out, struct arena *a, enum metric m, const struct estimate *e)
{
	text_add(out, "    %-20s %16s%s\n", metric_name(m), metric_text(a, m, e->value), metric_interval(a, m, e));
}

bool metric_is_rate(enum metric m)
{
	return m == METRIC_THROUGHPUT || m == METRIC_PREFILL_THROUGHPUT || m == METRIC_DECODE_THROUGHPUT
	       || m == METRIC_SEQUENCES || m == METRIC_MFU || m == METRIC_HFU || m == METRIC_MEMORY_SHARE;
}

/* Shares of what the devices could do: nothing is beyond all of it. */
static bool metric_is_share(enum metric m) { return m == METRIC_MFU || m == METRIC_HFU || m == METRIC_MEMORY_SHARE; }

const struct floor *metric_floor(const struct metrics *all, enum metric m)
{
	switch (m) {
	case METRIC_TTFT:              return &all->first_token;
	case METRIC_TPOT:
	case METRIC_DECODE_THROUGHPUT: return &all->token;
	case METRIC_STEP_TIME:
	case METRIC_THROUGHPUT:
	case METRIC_SEQUENCES:         return &all->batch;
	default:                       return NULL;
	}
}

static void print_bound(struct text *out, struct arena *a, enum metric m, const struct estimate *e)
{
	text_add(out, "    %-20s %s %s\n", metric_name(m), metric_is_rate(m) ? "at most" : "at least",
	         metric_text(a, m, e->bound));
}

void report_times(struct text *out, struct arena *a, const struct plan *p)
{
	const struct schedule *s = p->schedule;
	const struct metrics *m = &p->metrics;
	if (m->lacks)
		text_add(out, "\n  times are undecided: %s; bounds by operations, bytes and links\n", m->lacks);
	else
		text_add(out, "\n  times (%s)\n", m->basis);
	for (int i = 0; i < METRICS; i++)
		if (!isnan(m->of[i].value))
			print_estimate(out, a, (enum metric)i, &m->of[i]);
		else if (m->of[i].bound > 0 && !metric_is_share((enum metric)i))
			print_bound(out, a, (enum metric)i, &m->of[i]);
	if (s)
		print_experts(out, a, p);
	if (!m->lacks && m->prefill)
		print_largest(out, a, s, m->prefill, "prefill");
	if (!m->lacks && m->decode)
		print_largest(out, a, s, m->decode, "decode");
}
