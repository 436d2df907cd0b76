/* Laws of lengths and arrivals: quantiles and stratified samples. */
#include "lengths.h"
#include <math.h>

double random_unit(struct random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

/* Below the middle, the logarithm of the law is concave, so that each step stays left of the solution. */
double normal_quantile(double u)
{
	if (u > 0.5)
		return -normal_quantile(1 - u);
	double z = -sqrt(-2 * log(u)), step = 1;
	for (int i = 0; i < 60 && step > 1e-13; i++) {
		double below = 0.5 * erfc(-z / M_SQRT2), density = exp(-z * z / 2) / sqrt(2 * M_PI);
		step = (log(u) - log(below)) * below / density;
		z += step;
	}
	return z;
}

static int64_t nearest_in(const struct lengths *l, double x)
{
	return x<(double)l->lo ? l->lo : x>(double) l->hi ? l->hi : llround(x);
}

int64_t length_quantile(const struct lengths *l, double u)
{
	double sum = 0;
	switch (l->law) {
	case LENGTH_LOGNORMAL: {
		double sigma = log(l->p90 / l->median) / normal_quantile(0.9);
		return nearest_in(l, l->median * exp(sigma * normal_quantile(u)));
	}
	case LENGTH_UNIFORM: return nearest_in(l, floor((double)l->lo + u * (double)(l->hi - l->lo + 1)));
	case LENGTH_WEIGHTED:
		for (int i = 0; i < l->n; i++)
			if ((sum += l->share[i]) >= u)
				return l->length[i];
		return l->length[l->n - 1];
	case LENGTH_UNKNOWN: break;
	}
	return l->hi;
}

/* The share of a lognormal law that counts as k or more. */
static double reaches(const struct lengths *l, double k)
{
	double sigma = log(l->p90 / l->median) / normal_quantile(0.9);
	return 0.5 * erfc(log((k - 0.5) / l->median) / (sigma * M_SQRT2));
}

/* The least length, and 1 for each further one that is reached; long lengths are summed up in runs of a thousandth. */
static double lognormal_mean(const struct lengths *l)
{
	double sum = (double)l->lo;
	for (int64_t k = l->lo + 1; k <= l->hi;) {
		int64_t run = k / 1024 < 1 ? 1 : k / 1024;
		run = run < l->hi - k + 1 ? run : l->hi - k + 1;
		sum += (double)run * reaches(l, (double)k + (double)(run - 1) / 2);
		k += run;
	}
	return sum;
}

double length_mean(const struct lengths *l)
{
	double sum = 0;
	for (int i = 0; i < l->n; i++)
		sum += l->share[i] * (double)l->length[i];
	return l->law == LENGTH_WEIGHTED    ? sum
	       : l->law == LENGTH_LOGNORMAL ? lognormal_mean(l)
	                                    : (double)(l->lo + l->hi) / 2;
}

/* A place in the i-th of n equal parts of (0, 1). */
static double stratum(struct random *r, int64_t i, int64_t n)
{
	double u = ((double)i + random_unit(r)) / (double)n;
	return u > 0 ? u : 0x1p-60;
}

/* The last of i + 1 places that a shuffle has not filled goes to a random one of them. */
static int64_t shuffled(struct random *r, int64_t i) { return (int64_t)(random_unit(r) * (double)(i + 1)); }

void length_sample(const struct lengths *l, struct random *r, int64_t *out, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		int64_t length = length_quantile(l, stratum(r, i, n)), to = shuffled(r, i);
		out[i] = to < i ? out[to] : 0;
		out[to] = length;
	}
}

void arrival_sample(const struct arrivals *a, struct random *r, double *out, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		double apart = a->law == ARRIVAL_SPACED ? 1 / a->rate : -log1p(-stratum(r, i, n)) / a->rate;
		int64_t to = shuffled(r, i);
		out[i] = to < i ? out[to] : 0;
		out[to] = apart;
	}
}
