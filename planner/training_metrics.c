/* Metrics of training, and the parts of a step as text. */
#include <math.h>
#include "metrics_text.h"
#include "training_time.h"

static const char *basis_of(const struct training_time *time, const struct deploy *d, struct arena *a)
{
	if (!d->machine.device.calibration)
		return "efficiency as stated; the widest interval of all tables";
	if (!time->measured)
		return arena_printf(a, "%s was never measured on such devices; the widest interval of all tables",
		                    d->engine && d->engine->name ? d->engine->name : "deployc");
	return "80% of known tables of its kind";
}

static struct estimate spent(const struct training_time *time, double of_device, double gpus, enum interval_kind kind,
                             const char *lacks)
{
	if (!figure_known(of_device))
		return estimate_missing(lacks);
	return estimate_of(of_device * gpus * time->seconds, kind, false, of_device * gpus * time->peak_seconds);
}

/* A share of the step that may be as far off as the step is. */
static struct estimate share_of(double part, double whole, enum interval_kind kind)
{
	struct interval i = interval_of(kind);
	double rest = whole - part;
	return (struct estimate){.value = part / whole,
	                         .low80 = part * i.low80 / (part * i.low80 + rest * i.high80),
	                         .high80 = part * i.high80 / (part * i.high80 + rest * i.low80),
	                         .low90 = part * i.low90 / (part * i.low90 + rest * i.high90),
	                         .high90 = part * i.high90 / (part * i.high90 + rest * i.low90),
	                         .bound = NAN};
}

static void drop_values(struct metrics *m)
{
	for (int i = 0; i < METRICS; i++) {
		double bound = m->of[i].bound;
		m->of[i] = estimate_missing(m->of[i].lacks ? m->of[i].lacks : m->lacks);
		m->of[i].bound = bound;
	}
}

struct metrics training_metrics(const struct training *t, struct arena *arena)
{
	struct metrics m = {.lacks = NULL};
	struct training_time time = training_time_of(t, arena);
	const struct deploy *d = t->deploy;
	double batch = (double)d->work.batch, tokens = batch * (double)d->work.seq_hi, gpus = (double)d->gpus;
	enum interval_kind kind = !time.measured ? INTERVAL_UNKNOWN
	                          : time.experts ? INTERVAL_TRAIN_EXPERTS
	                                         : INTERVAL_TRAIN_DENSE;
	double seconds = time.seconds, least = time.peak_seconds;
	for (int i = 0; i < METRICS; i++)
		m.of[i] = estimate_missing("not of this workload");
	m.of[METRIC_STEP_TIME] = estimate_of(seconds, kind, false, least);
	m.of[METRIC_THROUGHPUT] = estimate_of(tokens / seconds, kind, true, tokens / least);
	m.of[METRIC_SEQUENCES] = estimate_of(batch / seconds, kind, true, batch / least);
	m.of[METRIC_MFU] = estimate_of(least / seconds, kind, true, 1);
	m.of[METRIC_HFU] = estimate_of((least + time.peak_again) / seconds, kind, true, 1);
	m.of[METRIC_BUBBLE] = estimate_exact(time.bubble);
	m.of[METRIC_COMM_SHARE] = share_of(time.exposed + time.messages + time.sync, seconds, kind);
	m.of[METRIC_COST] = spent(&time, d->machine.price, gpus, kind, "no `price` of the cluster");
	m.of[METRIC_ENERGY] = spent(&time, d->machine.device.power, gpus, kind, "no `power` of the device");
	m.batch = (struct floor){.compute = least};
	m.basis = arena_printf(arena, "%s%s", basis_of(&time, d, arena), time.borrowed);
	m.lacks = time.lacks;
	if (m.lacks)
		drop_values(&m);
	return m;
}

static void print_share(struct text *out, struct arena *a, const struct training_time *time, const char *what,
                        double seconds)
{
	if (seconds > 0)
		text_add(out, "    %5.1f%%  %10s  %s\n", 100 * seconds / time->seconds, metric_seconds(a, seconds), what);
}

void training_print_times(struct text *out, struct arena *a, const struct training *t)
{
	struct training_time time = training_time_of(t, a);
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
}
