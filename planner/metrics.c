/* Serving metrics: steps of prompts and of growing sequences, added up. */
#include "metrics.h"
#include <math.h>
#include "pipeline.h"
#include "planner.h"

struct serving {
	struct timing timing;
	const struct schedule *schedule;
	const struct deploy *deploy;
	struct metrics *out;
};

/* Times and floors of many steps together. */
struct sum {
	double seconds, floor, exposed, bytes, operations;
	struct floor by;
	const struct op_time *ops; /* [schedule.op_names.n]; NULL: none yet */
};

static const struct op_time *add_ops(struct serving *s, const struct op_time *a, const struct op_time *b, double times)
{
	int n = s->schedule->op_names.n;
	struct op_time *out = arena_array(s->timing.arena, struct op_time, n + 1);
	for (int i = 0; i < n; i++) {
		struct op_time x = a ? a[i] : (struct op_time){.term = NULL}, y = b ? b[i] : (struct op_time){.term = NULL};
		out[i] = (struct op_time){.term = x.term ? x.term : y.term,
		                          .seconds = x.seconds + times * y.seconds,
		                          .exposed = x.exposed + times * y.exposed,
		                          .sent = x.sent + times * y.sent,
		                          .least_sent = x.least_sent + times * y.least_sent,
		                          .most_sent = x.most_sent + times * y.most_sent};
	}
	return out;
}

static struct sum add(struct serving *s, struct sum a, struct sum b, double times)
{
	return (struct sum){
		a.seconds + times * b.seconds,
		a.floor + times * b.floor,
		a.exposed + times * b.exposed,
		a.bytes + times * b.bytes,
		a.operations + times * b.operations,
		{a.by.compute + times * b.by.compute, a.by.memory + times * b.by.memory, a.by.links + times * b.by.links},
		add_ops(s, a.ops, b.ops, times)};
}

static double microbatches_of(const struct serving *s) { return (double)s->schedule->pipeline.microbatches; }

/* Bytes and operations are those of a rank, in the mean of all stages. */
static struct sum sum_of(const struct serving *s, const struct step_time *t, double microbatches)
{
	struct sum out = {.seconds = t->seconds, .floor = t->floor, .exposed = t->exposed, .by = t->by, .ops = t->ops};
	double share = microbatches / (double)s->schedule->stages.n;
	for (int i = 0; i < s->schedule->stages.n; i++) {
		out.bytes += share * t->stage[i].bytes;
		out.operations += share * t->stage[i].operations;
	}
	return out;
}

/* ---- prompts ---------------------------------------------------------------------------------- */

/* A step that reads `tokens` of an owner's prompts, of `sequences` sequences, up to position `context`. */
static struct sum prefill_step(struct serving *s, double tokens, double sequences, double context, bool keep)
{
	double most = (double)s->schedule->programs.at[PHASE_PREFILL].max_tokens, all = microbatches_of(s);
	double used = ceil(tokens / most);
	used = used < 1 ? 1 : used < all ? used : all;
	struct step_load load = {.program = PHASE_PREFILL,
	                         .tokens = tokens / used,
	                         .sequences = sequences / used < 1 ? 1 : sequences / used,
	                         .context = context,
	                         .rows = sequences / used < 1 ? 1 : sequences / used};
	struct step_time t = step_time_of(&s->timing, &load, (int64_t)used);
	if (keep) {
		s->out->prefill = arena_new(s->timing.arena, struct step_time);
		*s->out->prefill = t;
		s->out->prefill_load = load;
	}
	return sum_of(s, &t, used);
}

/* One prompt of an owner after the other, each in steps of `chunk` tokens. What a step reads of the cache grows with
 * the position, in proportion: three of the full steps tell the mean of all. */
static struct sum long_prompt(struct serving *s, double prompt, double chunk, bool keep)
{
	double full = floor(prompt / chunk), rest = prompt - full * chunk;
	struct sum total = {0};
	if (full >= 1) {
		double middle = chunk * (1 + full) / 2;
		total = add(s, total, prefill_step(s, chunk, 1, middle, keep), full);
	}
	if (rest > 0)
		total = add(s, total, prefill_step(s, rest, 1, prompt, keep && full < 1), 1);
	return total;
}

/* All prompts of an owner: as many whole ones in a step as fit. */
static struct sum all_prompts(struct serving *s, double sequences, double prompt)
{
	double chunk = (double)s->schedule->programs.at[PHASE_PREFILL].max_tokens * microbatches_of(s);
	struct sum total = {0};
	if (prompt >= chunk)
		return add(s, total, long_prompt(s, prompt, chunk, true), sequences);
	double fit = floor(chunk / prompt);
	fit = fit < sequences ? fit : sequences;
	double full = floor(sequences / fit), rest = sequences - full * fit;
	total = add(s, total, prefill_step(s, fit * prompt, fit, prompt, true), full);
	return rest > 0 ? add(s, total, prefill_step(s, rest * prompt, rest, prompt, false), 1) : total;
}

/* ---- growing sequences ------------------------------------------------------------------------ */

static struct sum decode_step(struct serving *s, double sequences, double context, bool keep)
{
	double all = microbatches_of(s), used = sequences < all ? sequences : all;
	struct step_load load = {.program = PHASE_DECODE,
	                         .tokens = sequences / used,
	                         .sequences = sequences / used,
	                         .context = context,
	                         .rows = sequences / used * (double)s->deploy->work.rows};
	struct step_time t = step_time_of(&s->timing, &load, (int64_t)used);
	if (keep) {
		s->out->decode = arena_new(s->timing.arena, struct step_time);
		*s->out->decode = t;
		s->out->decode_load = load;
	}
	return sum_of(s, &t, used);
}

/* All steps but the one that ends the prompts. Their time is nearly linear in the context: Simpson's rule. */
static struct sum grow(struct serving *s, double sequences, double prompt, double output)
{
	struct sum total = {0};
	if (output < 2)
		return total;
	double steps = output - 1;
	struct sum first = decode_step(s, sequences, prompt + 1, false), last = {0},
			   middle = decode_step(s, sequences, prompt + (output + 1) / 2, true);
	last = decode_step(s, sequences, prompt + output - 1, false);
	total = add(s, add(s, add(s, total, first, steps / 6), middle, steps * 4 / 6), last, steps / 6);
	return total;
}

/* ---- metrics ---------------------------------------------------------------------------------- */

static double of_rank_peak(const struct serving *s)
{
	double peak = s->timing.silicon.attention_peak; /* in 16 bits */
	return figure_known(peak) ? peak : s->deploy->machine.device.peak[DTYPE_F32];
}

static bool is_sent(const struct op_time *o) { return o->term && o->term->kind >= TERM_COLLECTIVE; }

/* Communication of the batch: bytes that a rank sends, time, and the share of it in which kernels run too. */
static void set_communication(struct serving *s, const struct sum *all, struct interval interval)
{
	double seconds = 0, exposed = 0, sent = 0, least = 0, most = 0;
	for (int i = 0; i < s->schedule->op_names.n; i++)
		if (is_sent(&all->ops[i])) {
			seconds += all->ops[i].seconds;
			exposed += all->ops[i].exposed;
			sent += all->ops[i].sent;
			least += all->ops[i].least_sent;
			most += all->ops[i].most_sent;
		}
	s->out->of[METRIC_COMM_BYTES] = estimate_between(sent, least, most);
	s->out->of[METRIC_COMM_TIME] = estimate_of(seconds, interval, false, NAN);
	s->out->of[METRIC_COMM_HIDDEN] =
		seconds > 0 ? estimate_share(seconds - exposed, seconds, interval) : estimate_missing("nothing is sent");
}

static void set_batch(struct serving *s, double prompt, double output, bool experts)
{
	struct metrics *m = s->out;
	double sequences = (double)s->schedule->seqs, batch = (double)s->deploy->work.batch;
	struct sum read = all_prompts(s, sequences, prompt), grown = grow(s, sequences, prompt, output),
			   all = add(s, read, grown, 1);
	struct interval interval = timing_interval(&s->timing, INTERVAL_BATCH);
	struct interval tpot = timing_interval(&s->timing, experts ? INTERVAL_TPOT_EXPERTS : INTERVAL_TPOT_DENSE);
	double devices = (double)s->deploy->gpus, tokens = batch * (prompt + output), peak = of_rank_peak(s),
		   bandwidth = s->timing.silicon.bandwidth;
	m->prefill_seconds = read.seconds, m->decode_seconds = grown.seconds;
	m->of[METRIC_THROUGHPUT] = estimate_of(tokens / all.seconds, interval, true, tokens / all.floor);
	m->of[METRIC_SEQUENCES] = estimate_of(batch / all.seconds, interval, true, batch / all.floor);
	m->of[METRIC_PREFILL_THROUGHPUT] =
		estimate_of(batch * prompt / read.seconds, interval, true, batch * prompt / read.floor);
	if (output >= 2) {
		double each = output - 1;
		m->of[METRIC_TPOT] = estimate_of(grown.seconds / each, tpot, false, grown.floor / each);
		m->of[METRIC_DECODE_THROUGHPUT] =
			estimate_of(batch * each / grown.seconds, tpot, true, batch * each / grown.floor);
	}
	m->of[METRIC_COMM_SHARE] = estimate_share(all.exposed > 0 ? all.exposed : 0, all.seconds, interval);
	set_communication(s, &all, interval);
	m->ops = all.ops;
	m->interval = interval;
	m->of[METRIC_MEMORY_SHARE] = estimate_of(all.bytes / bandwidth / all.seconds, interval, true, 1);
	double active = m->active_params * 2 * tokens / (double)s->deploy->gpus;
	active = active < all.operations ? active : all.operations; /* logits are not wanted of every token */
	if (figure_known(peak))
		m->of[METRIC_MFU] = estimate_of(active / peak / all.seconds, interval, true, 1);
	if (figure_known(peak))
		m->of[METRIC_HFU] = estimate_of(all.operations / peak / all.seconds, interval, true, 1);
	m->batch = all.by;
	m->token = m->decode ? m->decode->by : (struct floor){0};
	m->of[METRIC_COST] = estimate_spent(s->deploy->machine.price, devices, all.seconds, all.floor, interval,
	                                    "the cluster has no `price`");
	m->of[METRIC_ENERGY] = estimate_spent(s->deploy->machine.device.power, devices, all.seconds, all.floor, interval,
	                                      "the device has no `power`");
}

/* Microbatches pass the stages in order, without backwards. */
static struct estimate bubble_of(const struct serving *s)
{
	const struct step_time *t = s->out->decode ? s->out->decode : s->out->prefill;
	struct pipeline p = {PIPELINE_FILL_DRAIN, s->schedule->stages.n, t->microbatches, 1, false};
	return p.stages > 1 ? estimate_share_above(t->bubble, s->out->interval, pipeline_least_bubble(&p))
	                    : estimate_exact(0);
}

static void set_first_token(struct serving *s, double prompt)
{
	double chunk = (double)s->schedule->programs.at[PHASE_PREFILL].max_tokens * microbatches_of(s);
	struct sum alone = long_prompt(s, prompt, prompt < chunk ? prompt : chunk, false);
	struct interval interval = timing_interval(&s->timing, INTERVAL_FIRST_TOKEN);
	s->out->first_token = alone.by;
	s->out->of[METRIC_TTFT] = estimate_of(alone.seconds, interval, false, alone.floor);
}

/* Without seconds, what remains of each estimate is its bound. */
void metrics_drop_values(struct metrics *m)
{
	for (int i = 0; i < METRICS; i++) {
		double bound = m->of[i].bound;
		const char *lacks = m->of[i].lacks;
		m->of[i] = estimate_missing(lacks ? lacks : m->lacks);
		m->of[i].bound = bound;
	}
}

struct metrics metrics_of(const struct deploy *d, const struct schedule *s, struct arena *arena)
{
	struct metrics m = {.lacks = NULL};
	struct total totals[PLANNER_TOTALS];
	for (int i = 0; i < METRICS; i++)
		m.of[i] = estimate_missing(NULL);
	m.of[METRIC_HANDOVER_BYTES].lacks = m.of[METRIC_HANDOVER_TIME].lacks = "it is a metric of a `serve`";
	m.of[METRIC_STEP_TIME].lacks = d->work.training ? NULL : "it is a metric of training";
	if (!d->work.training && d->work.output_hi < 2)
		m.of[METRIC_TPOT].lacks = m.of[METRIC_DECODE_THROUGHPUT].lacks = "one token is generated";
	if (!s || d->work.training) {
		m.lacks = !s ? "the plan has no schedule" : "training is not timed";
		return m;
	}
	struct serving v = {.timing = timing_of(s, arena), .schedule = s, .deploy = d, .out = &m};
	double prompt = (double)d->work.seq_hi, output = (double)d->work.output_hi;
	planner_totals(d, NULL, totals);
	m.active_params = totals[1].value;
	set_batch(&v, prompt, output, planner_has_experts(d->program));
	set_first_token(&v, prompt);
	m.of[METRIC_BUBBLE] = bubble_of(&v);
	m.basis = timing_basis(&v.timing, arena);
	m.lacks = v.timing.lacks;
	if (m.lacks)
		metrics_drop_values(&m);
	return m;
}
