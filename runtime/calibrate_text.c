/* Fits of what `bench --calibrate` measured, as records of the language: a calibration, and the device, link and
 * cluster that it belongs to. Shares are of the most that any launch reached: no data sheet is known here. The formulas
 * are the planner's (docs/planner.md), with the constants that a few kernels of fixed shapes can tell: a launch, a
 * share of the peak, a share of the bandwidth. */
#include "calibrate.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../support/escape.h"
#include "pass.h"

static double larger(double a, double b) { return a > b ? a : b; }

void work_add(struct work_points *w, struct work_point p)
{
	if (w->n == w->room)
		w->at = host_grow(w->at, (size_t)(w->room = w->room ? 2 * w->room : 64), sizeof *w->at);
	w->at[w->n++] = p;
}

/* ---- fitting --------------------------------------------------------------------------------- */
static double seconds_of(const struct work_fit *f, const struct work_point *p, double peak, double bandwidth, bool soft)
{
	double compute = p->operations / (peak * f->compute), memory = p->bytes / (bandwidth * f->memory);
	return f->launch + (soft ? sqrt(sqrt(pow(compute, 4) + pow(memory, 4))) : larger(compute, memory));
}

enum { FEWEST_APART = 8 };

/* Does the fit see point i? */
static bool is_seen(const struct work_points *w, int i) { return w->n < FEWEST_APART || i % 2 == 0; }

static double loss_of(const struct work_fit *f, const struct work_points *w, double peak, double bandwidth, bool soft)
{
	double sum = 0, weights = 0;
	for (int i = 0; i < w->n; i++) {
		if (!is_seen(w, i))
			continue;
		double weight = pow(w->at[i].seconds, 0.4); /* long kernels decide the time of a step */
		sum += weight * fabs(log(seconds_of(f, &w->at[i], peak, bandwidth, soft) / w->at[i].seconds));
		weights += weight;
	}
	return sum / weights;
}

static double spread_of(const struct work_fit *f, const struct work_points *w, double peak, double bandwidth, bool soft)
{
	double *errors = host_alloc((size_t)w->n, sizeof *errors);
	int n = 0;
	for (int i = 0; i < w->n; i++)
		if (w->n < FEWEST_APART || !is_seen(w, i))
			errors[n++] = fabs(seconds_of(f, &w->at[i], peak, bandwidth, soft) / w->at[i].seconds - 1);
	double middle = quantile(errors, n, 0.5);
	free(errors);
	return middle;
}

/* Moves one constant after the other, by less and less, as long as the loss falls. */
static void refine(struct work_fit *best, double loss, const struct work_points *w, double peak, double bandwidth,
                   bool soft)
{
	static const double steps[] = {1.06, 1.02, 1.006};
	for (size_t s = 0; s < sizeof steps / sizeof *steps; s++)
		for (bool better = true; better;) {
			better = false;
			for (int way = 0; way < 6; way++) {
				struct work_fit f = *best;
				double *constants[] = {&f.launch, &f.compute, &f.memory}, *x = constants[way / 2];
				*x *= way % 2 ? steps[s] : 1 / steps[s];
				double new_loss = f.compute <= 1 && f.memory <= 1 ? loss_of(&f, w, peak, bandwidth, soft) : INFINITY;
				if (new_loss < loss * (1 - 1e-9))
					*best = f, loss = new_loss, better = true;
			}
		}
}

struct work_fit work_fit(const struct work_points *w, double peak, double bandwidth, bool soft)
{
	enum { LAUNCHES = 5, SHARES = 48 };
	double least = INFINITY, best_loss = INFINITY;
	struct work_fit best = {0};
	for (int i = 0; i < w->n; i++)
		least = w->at[i].seconds < least ? w->at[i].seconds : least;
	for (int l = 0; l < LAUNCHES; l++)
		for (int c = 0; c < SHARES; c++)
			for (int m = 0; m < SHARES; m++) {
				struct work_fit f = {
					.launch = least * l / (LAUNCHES - 1), .compute = pow(0.88, c), .memory = pow(0.88, m)};
				double loss = loss_of(&f, w, peak, bandwidth, soft);
				if (loss < best_loss)
					best = f, best_loss = loss;
			}
	refine(&best, best_loss, w, peak, bandwidth, soft);
	best.spread = spread_of(&best, w, peak, bandwidth, soft);
	return best;
}

/* ---- points ---------------------------------------------------------------------------------- */
enum { DTYPES = DR_FP8E5M2 + 1 };
static const char *const dtype_names[DTYPES] = {"f32", "bf16", "f16", "i32", "fp8_e4m3", "fp8_e5m2"};
static const int dtype_sizes[DTYPES] = {4, 2, 2, 4, 1, 1};

enum attention_part { PREFILL, DECODE, PARTS };
struct summary {
	struct work_points passes, reductions, products[DTYPES][DTYPES], grouped[DTYPES][DTYPES],
		attention[PARTS];                        /* products: weights, activations */
	struct work_points collectives[DR_RECV + 1]; /* bytes: sent by a rank */
	double peak[DTYPES], bandwidth, link;
};

static void add_launch(struct summary *s, const struct dr_work *w, const struct measured_point *p)
{
	double per = w->kind == DR_WORK_ATTENTION ? p->rows * p->seen : p->rows;
	struct work_point point = {w->operations * per, w->bytes + w->row_bytes * p->rows, p->median};
	if (w->kind == DR_WORK_ATTENTION)
		point.bytes = w->bytes * per;
	if (w->kind == DR_WORK_GROUPED)
		point.bytes = w->bytes * p->seen + w->row_bytes * p->rows;
	s->bandwidth = p->phase == DR_PREFILL && w->kind == DR_WORK_ATTENTION
	                   ? s->bandwidth
	                   : larger(s->bandwidth, point.bytes / p->least);
	switch ((enum dr_work_kind)w->kind) {
	case DR_WORK_PASS:      work_add(&s->passes, point); break;
	case DR_WORK_REDUCTION: work_add(&s->reductions, point); break;
	case DR_WORK_PRODUCT:
		s->peak[w->activations] = larger(s->peak[w->activations], point.operations / p->least);
		work_add(&s->products[w->weights][w->activations], point);
		break;
	case DR_WORK_ATTENTION:
		if (p->phase == DR_PREFILL)
			point.bytes = w->row_bytes * p->rows;
		work_add(&s->attention[p->phase == DR_PREFILL ? PREFILL : DECODE], point);
		break;
	case DR_WORK_GROUPED:
		s->peak[w->activations] = larger(s->peak[w->activations], point.operations / p->least);
		work_add(&s->grouped[w->weights][w->activations], point);
		break;
	case DR_WORK_KINDS: break;
	}
}

/* Bytes that a rank sends, as docs/planner.md counts them. */
static double sent(const struct plan *plan, const struct dr_collective *c, double elements)
{
	double n = plan_group_size(plan, (int)c->group), bytes = elements * dtype_sizes[c->dtype];
	switch ((enum dr_collective_kind)c->kind) {
	case DR_ALL_REDUCE: return 2 * (n - 1) / n * bytes;
	case DR_SEND:       return bytes;
	case DR_RECV:       return 0;
	default:            return (n - 1) * bytes; /* a block of each member */
	}
}

static void summarize(struct summary *s, const struct rank *r, const struct measured *m)
{
	const struct plan *plan = r->job->plan;
	for (int i = 0; i < m->n; i++) {
		const struct measured_point *p = &m->at[i];
		if (!p->is_collective) {
			add_launch(s, &plan->kernels[p->index].work, p);
			continue;
		}
		const struct dr_collective *c = &plan->collectives[p->index];
		double bytes = sent(plan, c, p->rows);
		s->link = larger(s->link, bytes / p->least);
		if (bytes > 0)
			work_add(&s->collectives[c->kind], (struct work_point){0, bytes, p->median});
	}
}

/* Attention is counted against the peak of bf16; a processor multiplies all formats with the same units. */
static void complete_peaks(struct summary *s)
{
	double most = 0;
	for (int t = 0; t < DTYPES; t++)
		most = larger(most, s->peak[t]);
	s->peak[DR_BF16] = s->peak[DR_BF16] > 0 ? s->peak[DR_BF16] : most;
	s->peak[DR_F32] = s->peak[DR_F32] > 0 ? s->peak[DR_F32] : most;
}

/* ---- text ------------------------------------------------------------------------------------ */
static void put_processor(FILE *out)
{
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "r");
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
			char *name = strchr(line, ':') + 2;
			name[strcspn(name, "\n\"\\")] = 0;
			put_escaped(out, name);
			fclose(f);
			return;
		}
	if (f)
		fclose(f);
	fputs("a processor", out);
}

static void put_fit(FILE *out, const struct work_fit *f)
{
	fprintf(out, "compute = %.4g%%; memory = %.4g%%; launch = %.4g us; spread = %.*f%%", f->compute * 100,
	        f->memory * 100, f->launch * 1e6, f->spread < 0.1 ? 2 : 0, f->spread * 100);
}

/* The launch of a fit of experts is that of two products. */
static void put_product(FILE *out, const struct summary *s, const char *list, const struct work_points *points, int w,
                        int a, int launches)
{
	if (!points->n)
		return;
	struct work_fit f = work_fit(points, s->peak[a], s->bandwidth, true);
	bool grouped = launches > 1;
	f.launch *= launches;
	fprintf(out, "  %s %s%s_%s {\n    weights = %s; activations = %s\n    untiled = true; l2 = 1; tile = 0 s%s\n    ",
	        list, grouped ? "experts_" : "", dtype_names[w], dtype_names[a], dtype_names[w], dtype_names[a],
	        grouped ? "" : "; waves = 0%; split = 0 s");
	put_fit(out, &f);
	fputs("\n  }\n", out);
}

static void put_products(FILE *out, const struct summary *s)
{
	for (int w = 0; w < DTYPES; w++)
		for (int a = 0; a < DTYPES; a++) {
			put_product(out, s, "matmul", &s->products[w][a], w, a, 1);
			put_product(out, s, "grouped", &s->grouped[w][a], w, a, 2);
		}
}

static void put_attention(FILE *out, const struct summary *s)
{
	if (!s->attention[PREFILL].n && !s->attention[DECODE].n)
		return;
	fputs("  attention deployc {\n", out);
	if (s->attention[PREFILL].n) {
		struct work_fit f = work_fit(&s->attention[PREFILL], s->peak[DR_BF16], s->bandwidth, false);
		fprintf(out, "    prefill { compute = %.4g%%; rise = 0; launch = %.4g us; block = 0 s; spread = %.3g%% }\n",
		        f.compute * 100, f.launch * 1e6, f.spread * 100);
	}
	if (s->attention[DECODE].n) {
		struct work_fit f = work_fit(&s->attention[DECODE], s->peak[DR_BF16], s->bandwidth, false);
		fputs("    decode { block = 0 s; latency = 0 s; saturation = 1 B; ", out);
		put_fit(out, &f);
		fputs(" }\n", out);
	}
	fputs("  }\n", out);
}

static void put_rows(FILE *out, const struct summary *s)
{
	struct work_fit passes = {.memory = 1}, reductions;
	double launch = 0, spread = 0;
	if (s->passes.n)
		passes = work_fit(&s->passes, INFINITY, s->bandwidth, false);
	reductions = s->reductions.n ? work_fit(&s->reductions, INFINITY, s->bandwidth, false) : passes;
	if (!s->passes.n)
		passes = reductions;
	launch = passes.launch < reductions.launch ? passes.launch : reductions.launch;
	spread = larger(passes.spread, reductions.spread);
	fprintf(out, "  rows { launch = %.4g us; pointwise = %.4g%%; reduction = %.4g%%; spread = %.3g%% }\n", launch * 1e6,
	        passes.memory * 100, reductions.memory * 100, spread * 100);
}

static void put_collectives(FILE *out, const struct summary *s)
{
	static const char *const names[] = {[DR_ALL_REDUCE] = "all_reduce",
	                                    [DR_ALL_GATHER] = "all_gather",
	                                    [DR_REDUCE_SCATTER] = "reduce_scatter",
	                                    [DR_ALL_TO_ALL] = "all_to_all",
	                                    [DR_SEND] = "point_to_point"};
	static const char *const protocols[] = {"small ", "medium", "large "};
	for (int k = DR_ALL_REDUCE; k <= DR_SEND; k++) {
		if (!s->collectives[k].n)
			continue;
		struct work_fit f = work_fit(&s->collectives[k], INFINITY, s->link, false);
		fprintf(out, "  %s {\n    hop = 0 s; spread = %.3g%%\n", names[k], f.spread * 100);
		for (int i = 0; i < 3; i++)
			fprintf(out, "    %s { latency = %.4g us; share = %.4g%% }\n", protocols[i], f.launch * 1e6,
			        f.memory * 100);
		fputs("  }\n", out);
	}
}

static void put_device(FILE *out, const struct rank *r, const struct summary *s)
{
	uint64_t memory = host_memory("");
	const struct plan *plan = r->job->plan;
	uint64_t own = memory == UINT64_MAX ? plan_bytes(plan, r->index, r->job->workers) : memory / plan->head->ranks;
	fprintf(out, "\n/// One rank: %d thread%s.\ndevice ThisRank : Accelerator {\n", r->job->workers,
	        r->job->workers == 1 ? "" : "s");
	fprintf(out, "  memory      = %llu B\n  bandwidth   = %.4g GB/s\n  peak {", (unsigned long long)own,
	        s->bandwidth * 1.001 / 1e9);
	for (int t = 0, n = 0; t < DTYPES; t++)
		if (s->peak[t] > 0)
			fprintf(out, "%s %s = %.4g GFLOPS", n++ ? ";" : "", dtype_names[t], s->peak[t] * 1.001 / 1e9);
	fprintf(out, " }\n  sms         = %d\n  calibration = Measured\n}\n", r->job->workers);
}

static void put_cluster(FILE *out, const struct rank *r, const struct summary *s)
{
	unsigned ranks = r->job->plan->head->ranks;
	if (s->link > 0)
		fprintf(out, "link Exchange : Link { unidirectional = %.4g GB/s }\n", s->link * 1.001 / 1e9);
	fprintf(out, "\ncluster ThisMachine : Cluster {\n  ranks : Int = %u\n  device = ThisRank\n", ranks);
	fprintf(out, s->link > 0 ? "  level node { count = ranks; link = Exchange }\n}\n"
	                         : "  level node { count = ranks }\n}\n");
}

void calibration_write(const struct rank *r, const struct measured *m, FILE *out)
{
	struct summary *s = host_alloc(1, sizeof *s);
	summarize(s, r, m);
	complete_peaks(s);
	fputs("// Written by `launcher bench --calibrate`: the median launch of each size, of one rank while all ran.\n"
	      "// Bandwidths and peaks are the most that a launch reached, not a data sheet's.\n"
	      "use std.calibration { Calibration }\nuse std.hw { Accelerator, Link, Cluster }\n\n"
	      "calibration Measured : Calibration {\n  of     = \"ThisRank\"\n  source = \"launcher bench --calibrate on ",
	      out);
	put_processor(out);
	fprintf(out, ", %u x %d threads\"\n", r->job->plan->head->ranks, r->job->workers);
	put_products(out, s);
	put_attention(out, s);
	put_rows(out, s);
	put_collectives(out, s);
	fputs("}\n", out);
	put_device(out, r, s);
	put_cluster(out, r, s);
	for (int w = 0; w < DTYPES; w++)
		for (int a = 0; a < DTYPES; a++)
			free(s->products[w][a].at);
	for (int k = 0; k <= DR_RECV; k++)
		free(s->collectives[k].at);
	free(s->passes.at);
	free(s->reductions.at);
	free(s->attention[PREFILL].at);
	free(s->attention[DECODE].at);
	free(s);
}
