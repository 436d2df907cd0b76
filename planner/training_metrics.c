/* Metrics of training, and the parts of a step as text. */
#include <math.h>
#include "metrics_text.h"
#include "steer.h"
#include "training_time.h"

/* A share of the stages' time, while microbatches run. */
static struct estimate bubble_of(const struct training *t, const struct training_time *time)
{
	double least = t->deploy->zero_bubble ? 0 : pipeline_least_bubble(&t->pipeline);
	return t->pipeline.stages > 1 ? estimate_share_above(time->bubble, time->interval, least) : estimate_exact(0);
}

struct metrics training_metrics(const struct training *t, struct arena *arena)
{
	struct metrics m = {.lacks = NULL};
	struct training_time time = training_time_of(t, arena);
	const struct deploy *d = t->deploy;
	double batch = (double)d->work.batch, tokens = batch * (double)d->work.seq_hi, gpus = (double)d->gpus;
	struct interval interval = time.interval;
	double seconds = time.seconds, least = time.peak_seconds;
	for (int i = 0; i < METRICS; i++)
		m.of[i] = estimate_missing("it is a metric of serving");
	m.of[METRIC_STEP_TIME] = estimate_of(seconds, interval, false, least);
	m.of[METRIC_THROUGHPUT] = estimate_of(tokens / seconds, interval, true, tokens / least);
	m.of[METRIC_SEQUENCES] = estimate_of(batch / seconds, interval, true, batch / least);
	m.of[METRIC_MFU] = estimate_of(least / seconds, interval, true, 1);
	m.of[METRIC_HFU] = estimate_of((least + time.peak_again) / seconds, interval, true, 1);
	m.of[METRIC_BUBBLE] = bubble_of(t, &time);
	m.of[METRIC_COMM_SHARE] = estimate_share(time.exposed + time.messages + time.sync, seconds, interval);
	m.of[METRIC_COST] = estimate_spent(d->machine.price, gpus, seconds, least, interval, "the cluster has no `price`");
	m.of[METRIC_ENERGY] =
		estimate_spent(d->machine.device.power, gpus, seconds, least, interval, "the device has no `power`");
	m.batch = (struct floor){.compute = least};
	m.basis = time.basis;
	m.lacks = time.lacks;
	if (m.lacks)
		metrics_drop_values(&m);
	return m;
}

struct training training_at(const struct training *t, int64_t length, struct deploy *of)
{
	struct training at = *t;
	*of = *t->deploy;
	of->work.seq_hi = length;
	at.deploy = of;
	at.tokens = t->tokens * (double)length / (double)t->deploy->work.seq_hi;
	return at;
}

bool training_mean_step(const struct training *t, struct arena *arena, double *length, double *seconds)
{
	const struct workload *w = &t->deploy->work;
	struct deploy deploy;
	struct training mean = training_at(t, w->seq_lo + (w->seq_hi - w->seq_lo) / 2, &deploy);
	*length = (double)deploy.work.seq_hi;
	*seconds = w->seq_lo < w->seq_hi ? training_time_of(&mean, arena).seconds : ABSENT;
	return figure_known(*seconds);
}

static void print_share(struct text *out, struct arena *a, const struct training_time *time, const char *what,
                        double seconds)
{
	if (seconds > 0)
		text_add(out, "    %5.1f%%  %10s  %s\n", 100 * seconds / time->seconds, metric_seconds(a, seconds), what);
}

int training_exchange(const struct training *t, struct expert_split *split, struct balance *balance)
{
	for (int i = 0; i < t->forward->values.n; i++)
		if (training_is(t, i, OP_DISPATCH)) {
			*balance = training_balance(t, &t->forward->values.at[i], split);
			return i;
		}
	return -1;
}

static void print_experts(struct text *out, struct arena *a, const struct training *t, const struct steered *steered)
{
	struct expert_split split;
	struct balance balance;
	if (training_exchange(t, &split, &balance) < 0)
		return;
	print_routing(out, a, &t->deploy->work.experts);
	if (!balances_even(t->balances))
		print_balance(out, "", &split, &balance);
	if (steered)
		print_steered(out, a, steered, balances_even(t->balances));
}

void training_print_times(struct text *out, struct arena *a, const struct training *t, const struct steered *steered)
{
	struct training_time time = training_time_of(t, a);
	print_experts(out, a, t, steered);
	if (time.lacks)
		return;
	text_add(out, "\n  a step: %s; ", metric_seconds(a, time.seconds));
	if (t->pipeline.stages > 1)
		text_add(out, "on stage %d ", time.slowest);
	text_add(out, "a microbatch takes %s forward, %s backward\n", metric_seconds(a, time.forward),
	         metric_seconds(a, time.backward));
	print_share(out, a, &time, "kernels", time.compute);
	print_share(out, a, &time, "communication that kernels wait for", time.exposed);
	print_share(out, a, &time, "the host, which starts kernels", time.host);
	print_share(out, a, &time, "messages between stages", time.messages);
	print_share(out, a, &time, "waiting for other stages", time.waiting);
	print_share(out, a, &time, "gradients over ranks", time.sync);
	print_share(out, a, &time, "optimizer", time.optimizer);
	print_share(out, a, &time, "what the engine adds", time.fixed);
	double length, seconds;
	if (training_mean_step(t, a, &length, &seconds))
		text_add(out, "    of sequences of the mean length, %.0f: %s\n", length, metric_seconds(a, seconds));
}
