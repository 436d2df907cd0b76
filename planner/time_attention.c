/* Fused attention: the queries of a head against its keys and values, block by block, without writing scores. */
#include "time.h"

/* Queries in a block of a kernel; query heads that share one pass over a latent. */
#define BLOCK_QUERIES 128.0
#define LATENT_HEADS  16.0
/* Share of the bandwidth that a prefill reaches, and products of the backward pass over those of the forward pass. */
#define PREFILL_MEMORY 0.8
#define BACK_PRODUCTS  2.5

static double max(double x, double y) { return x > y ? x : y; }
static double min(double x, double y) { return x < y ? x : y; }

/* Positions that a query sees on average. Causal queries see context - queries + 1 to context positions, and at most
 * the window. */
static double seen(const struct attention *a)
{
	double last = a->context, first = a->causal ? a->context - a->queries + 1 : a->context;
	if (a->window <= 0 || last <= a->window)
		return (first + last) / 2;
	if (first >= a->window)
		return a->window;
	double rising = a->window - first; /* queries with less than a window before them */
	return (rising * (first + a->window - 1) / 2 + (a->queries - rising) * a->window) / a->queries;
}

/* Positions that at least one query sees. */
static double positions(const struct attention *a)
{
	return a->window > 0 ? min(a->context, a->window + a->queries - 1) : a->context;
}

double attention_operations(const struct attention *a)
{
	return 2 * a->sequences * a->heads * a->queries * seen(a) * (a->d + a->w);
}

double attention_cached(const struct attention *a)
{
	double width = a->latent ? a->d : a->d + a->w;
	return a->sequences * a->kv_heads * positions(a) * width * a->cache_bytes;
}

struct time_parts time_prefill(const struct silicon *d, const struct fit_prefill *fit, const struct attention *a)
{
	double rate = d->attention_peak * fit->compute, keys = seen(a), width = a->d + a->w,
		   of_head = a->sequences * a->heads;
	double blocks = of_head * ceil(a->queries / BLOCK_QUERIES);
	double all = 2 * of_head * a->queries * width * (keys + fit->rise) / rate;
	double one = 2 * BLOCK_QUERIES * keys * width * d->multiprocessors / rate;
	double compute = max(all, one) + max(1, blocks / d->multiprocessors) * fit->block;
	double bytes = 2 * of_head * a->queries * width + attention_cached(a);
	return (struct time_parts){
		.launch = fit->launch, .compute = compute, .memory = bytes / (d->bandwidth * PREFILL_MEMORY)};
}

double time_prefill_back(const struct silicon *d, const struct fit_attention *fit, const struct attention *a)
{
	double launch = fit->prefill.launch, forward = time_of(time_prefill(d, &fit->prefill, a)) - launch;
	return 2 * launch + BACK_PRODUCTS * fit->backward * forward;
}

struct time_parts time_decode(const struct silicon *d, const struct fit_decode *fit, const struct attention *a)
{
	double bytes = attention_cached(a), heads = a->heads * a->queries;
	double passes = a->latent ? max(1, heads / a->kv_heads / LATENT_HEADS) : 1;
	double block = a->sequences * a->kv_heads * passes * fit->block / d->multiprocessors;
	return (struct time_parts){.launch = fit->launch,
	                           .compute = max(attention_operations(a) / (d->attention_peak * fit->compute), block),
	                           .memory = bytes / (d->bandwidth * fit->memory),
	                           .more = fit->latency * min(1, bytes / fit->saturation)};
}
