/* Seconds that one kernel or one collective takes: pure functions of sizes, of the device's data sheet and of constants
 * that were fitted to measured operators (sema/calibration.h). docs/planner.md derives the formulas and has the errors
 * of the fits. All sizes are of one rank; all results are finite and above 0.
 *
 * No function knows of a model, a region or a schedule: terms.c makes their arguments from instructions. */
#ifndef DEPLOYC_TIME_H
#define DEPLOYC_TIME_H
#include "../sema/calibration.h"
#include "../sema/machine.h"

/* What the data sheet says, as far as kernels need it. */
struct silicon {
	double bandwidth;       /* of memory, bytes/s */
	double multiprocessors; /* SMs */
	double attention_peak;  /* operations/s of dense products in the format of attention: bf16 */
};

/* y[m, n] = x[m, k] w[n, k]; `peak` in operations/s of the format that is multiplied. A result takes 2 bytes. */
struct product {
	double m, n, k, weight_bytes, activation_bytes, peak; /* bytes of an element */
};
/* With the cast of the activations, if fit->casts. */
double time_product(const struct silicon *d, const struct fit_product *fit, const struct product *p);
/* The part of it that an engine saves which casts activations in the kernel before. `plain`: the fit of bf16. */
double time_fused_cast(const struct silicon *d, const struct fit_product *fit, const struct fit_product *plain,
                       const struct product *p);

/* One product over `rows` rows that lie with `hit` groups, each with a weight of n x k. Without launch: see
 * fit_grouped. */
struct grouped {
	double rows, hit, n, k, weight_bytes, activation_bytes, peak;
};
double time_grouped(const struct silicon *d, const struct fit_grouped *fit, const struct grouped *g);
/* The expected number of `held` groups, of `all`, that `tokens` reach which choose `top` groups each, at random. */
double groups_hit(double held, double all, double top, double tokens);

/* Attention of `queries` queries of each of `sequences` sequences; the last sees `context` positions, and with `causal`
 * each one fewer than the next. d, w: width of a key and of a value. latent: keys and values are one vector of d
 * elements, of which w are the values. */
struct attention {
	double sequences, queries, heads, kv_heads, d, w, context, cache_bytes; /* bytes of a cached element */
	bool causal, latent;
};
double time_prefill(const struct silicon *d, const struct fit_prefill *fit, const struct attention *a);
double time_decode(const struct silicon *d, const struct fit_decode *fit, const struct attention *a);
/* The backward pass of time_prefill: five products where the forward has two. */
double time_prefill_back(const struct silicon *d, const struct fit_attention *fit, const struct attention *a);

/* A pass over `bytes` of memory. */
double time_rows(const struct silicon *d, const struct fit_rows *fit, double bytes, bool reduces);

/* A collective among `ranks` devices that `link` bytes/s (one direction, of one device) connect. bytes: of the whole
 * result of a gather, of the whole operand of a reduction, of what a rank sends in an all-to-all. */
double time_collective(const struct fit_collective *fit, enum fit_collective_of of, double link, double ranks,
                       double bytes);
/* The same over the levels of a machine. members[i]: ranks of the group in one unit of level i, over the ranks of it in
 * a unit of the level below, so that their product is the size of the group. fits: those of the innermost level. */
double time_across(const struct machine *m, const struct fit_collective *fits, enum fit_collective_of of,
                   const double *members, double bytes);
#endif
