/* Lengths and times between arrivals by their laws. Samples are stratified: of n draws, one lies in each n-th of the
 * law, in random order, so that few of them have its mean and its percentiles. Random numbers are fixed. */
#ifndef DEPLOYC_LENGTHS_H
#define DEPLOYC_LENGTHS_H
#include "../sema/load.h"

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
struct random {
	uint64_t state;
};
double random_unit(struct random *r); /* in [0, 1) */

/* z with the normal law's share u below it, 0 < u < 1: Newton's method on the logarithm of the law. */
double normal_quantile(double u);
/* The length that the share u of all does not pass, 0 < u < 1. The law is known. */
int64_t length_quantile(const struct lengths *l, double u);
double length_mean(const struct lengths *l);
/* n stratified draws. */
void length_sample(const struct lengths *l, struct random *r, int64_t *out, int64_t n);
/* n stratified times between arrivals, in s, of the rate that `a` states; not of users. */
void arrival_sample(const struct arrivals *a, struct random *r, double *out, int64_t n);
#endif
