/* Times of many operators at once, by the planner's own functions: a shared library for calibrate.py. Each function
 * takes `n` rows of sizes and writes n times in s. silicon: bandwidth, multiprocessors, peak of attention. */
#include "../planner/time.h"

#define TIMES(name)                                                                                                 \
	void name(const double *silicon, const double *format, const double *p, const double *row, int n, double *out); \
	void name(const double *silicon, const double *format, const double *p, const double *row, int n, double *out)

/* The constants of a fit in the order of std.calibration, without `spread`. */
static struct fit_decode decode_fit(const double *p)
{
	return (struct fit_decode){
		.memory = p[0], .launch = p[1], .block = p[2], .latency = p[3], .saturation = p[4], .compute = p[5]};
}

static struct silicon silicon_of(const double *s)
{
	return (struct silicon){.bandwidth = s[0], .multiprocessors = s[1], .attention_peak = s[2]};
}

/* format: bytes of a weight, bytes of an activation, peak, casts. A row: m, n, k. */
TIMES(products)
{
	struct silicon d = silicon_of(silicon);
	struct fit_product fit = {.compute = p[0],
	                          .memory = p[1],
	                          .l2 = p[2],
	                          .tile = p[3],
	                          .launch = p[4],
	                          .waves = p[5],
	                          .split = p[6],
	                          .casts = format[3] > 0};
	for (int i = 0; i < n; i++, row += 3)
		out[i] =
			time_of(time_product(&d, &fit, &(struct product){row[0], row[1], row[2], format[0], format[1], format[2]}));
}

/* A row: tokens, experts that a token chooses, experts, experts of the rank, of which so many have rows, width of the
 * model, of an expert on the rank. Three matrices, two products; what is permuted, activated and added up counts as in
 * docs/planner.md. */
TIMES(experts)
{
	struct silicon d = silicon_of(silicon);
	struct fit_grouped fit = {.compute = p[0], .memory = p[1], .l2 = p[2], .tile = p[3], .launch = p[4]};
	for (int i = 0; i < n; i++, row += 7) {
		double rows = row[0] * row[1] * row[3] / row[2], h = row[5], f = row[6];
		struct grouped up = {rows, row[4], 2 * f, h, format[0], format[1], format[2]}, down = up;
		down.n = h;
		down.k = f;
		double moved = rows * h * (4 + format[1]) + rows * f * 6 + row[0] * (h * 4 + row[1] * 24);
		out[i] = fit.launch + time_of(time_grouped(&d, &fit, &up)) + time_of(time_grouped(&d, &fit, &down))
		         + moved / (d.bandwidth * 0.75);
	}
}

/* A row: sequences, queries, heads, key/value heads, width; all queries see what is before them. */
TIMES(prefill)
{
	struct silicon d = silicon_of(silicon);
	struct fit_prefill fit = {.compute = p[0], .rise = p[1], .launch = p[2], .block = p[3]};
	(void)format;
	for (int i = 0; i < n; i++, row += 5)
		out[i] = time_of(time_prefill(&d, &fit,
		                              &(struct attention){.sequences = row[0],
		                                                  .queries = row[1],
		                                                  .heads = row[2],
		                                                  .kv_heads = row[3],
		                                                  .d = row[4],
		                                                  .w = row[4],
		                                                  .context = row[1],
		                                                  .cache_bytes = 2,
		                                                  .causal = true}));
}

/* A row: sequences, heads, key/value heads, width of a key, of a value, positions. format: is the cache latent? */
TIMES(decode)
{
	struct silicon d = silicon_of(silicon);
	struct fit_decode fit = decode_fit(p);
	for (int i = 0; i < n; i++, row += 6)
		out[i] = time_of(time_decode(&d, &fit,
		                             &(struct attention){.sequences = row[0],
		                                                 .queries = 1,
		                                                 .heads = row[1],
		                                                 .kv_heads = row[2],
		                                                 .d = row[3],
		                                                 .w = row[4],
		                                                 .context = row[5],
		                                                 .cache_bytes = 2,
		                                                 .causal = true,
		                                                 .latent = format[0] > 0}));
}

/* p: hop, then latency and share of three protocols, each latency beyond the one before. format: which collective, and
 * the link's bandwidth. A row: ranks, bytes. */
TIMES(collectives)
{
	struct fit_collective fit = {
		.hop = p[0], .latency = {p[1], p[1] + p[3], p[1] + p[3] + p[5]}, .share = {p[2], p[4], p[6]}, .known = true};
	(void)silicon;
	for (int i = 0; i < n; i++, row += 2)
		out[i] = time_of(time_collective(&fit, (enum fit_collective_of)format[0], format[1], row[0], row[1]));
}
