/* Seconds that one kernel or one collective takes: pure functions of sizes, of the device's data sheet and of constants
 * that were fitted to measured operators (sema/calibration.h). docs/planner.md derives the formulas and has the errors
 * of the fits.
 *
 * Sizes are those of one rank, at least 1 where nothing else is said, and need not be whole: expected values are fine.
 * Bytes are of one element in structs, and totals as parameters. Figures of the machine must be known and above 0.
 * Results are finite, above 0, and never below what the peak, the bandwidth of memory or the link allow.
 *
 * A time is launch + the larger of compute, memory and link + more (struct time_parts); of products, and where two take
 * about as long, a little above the larger.
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

/* What a time is made of, in s, each 0 or more. */
struct time_parts {
	double launch, compute, memory, link;
	double more; /* what nothing hides, beside the launch */
	bool smooth; /* (compute^4 + memory^4)^(1/4) in place of the larger */
};
double time_of(struct time_parts p);
struct time_parts time_scaled(struct time_parts p, double by);

/* ---- time_product.c ---- */
/* y[m, n] = x[m, k] w[n, k]; `peak` in operations/s of the format that is multiplied. A result takes 2 bytes.
 * Never falls with m and n. With k it can fall where another split of the sum becomes possible: at 256, 512, 1024 and
 * 2048. */
struct product {
	double m, n, k, weight_bytes, activation_bytes, peak;
};
/* With the cast of the activations, if fit->casts. */
struct time_parts time_product(const struct silicon *d, const struct fit_product *fit, const struct product *p);
/* The same in an engine whose kernel before it casts the activations: without the cast, and launched like a product
 * that needs none. plain: the fit of bf16. */
struct time_parts time_product_cast_before(const struct silicon *d, const struct fit_product *fit,
                                           const struct fit_product *plain, const struct product *p);

/* One product over `rows` rows (0 or more) that `hit` groups (above 0) share evenly, each with a weight of n x k.
 * Without the launch: see fit_grouped. Never falls with rows, n and k. */
struct grouped {
	double rows, hit, n, k, weight_bytes, activation_bytes, peak;
};
struct time_parts time_grouped(const struct silicon *d, const struct fit_grouped *fit, const struct grouped *g);
/* The expected number of `held` groups, of `all`, that are chosen by at least one of `tokens`, each of which chooses
 * `top` at random. */
double groups_hit(double held, double all, double top, double tokens);

/* A pass over `bytes` of memory. */
struct time_parts time_rows(const struct silicon *d, const struct fit_rows *fit, double bytes, bool reduces);

/* ---- time_attention.c ---- */
/* Attention of `queries` queries of each of `sequences` sequences. The last query sees `context` positions, itself
 * among them; with `causal` each query sees one fewer than the next. With `window`, none sees more than that many; 0:
 * no window. d, w: width of a key and of a value. latent: keys and values are one vector of d elements, of which w are
 * the values. */
struct attention {
	double sequences, queries, heads, kv_heads, d, w, context, window, cache_bytes; /* bytes of a cached element */
	bool causal, latent;
};
/* Of the products with keys and with values. */
double attention_operations(const struct attention *a);
/* Bytes of the keys and values that all queries of the sequences see. */
double attention_cached(const struct attention *a);
/* Many queries of a sequence. Never falls with sequences, heads, widths and context. */
struct time_parts time_prefill(const struct silicon *d, const struct fit_prefill *fit, const struct attention *a);
/* One query of each sequence, or a few. */
struct time_parts time_decode(const struct silicon *d, const struct fit_decode *fit, const struct attention *a);
/* The backward pass of time_prefill: five products where the forward pass has two. */
double time_prefill_back(const struct silicon *d, const struct fit_attention *fit, const struct attention *a);

/* ---- time_collective.c ---- */
/* A collective among `ranks` devices that `link` bytes/s (one direction, of one device) connect. bytes: of the whole
 * result of a gather, of the whole operand of a reduction, of what a rank sends in an all-to-all or to another rank.
 * fit->latency is of the whole protocol. 0 for one rank, and for 0 bytes. */
struct time_parts time_collective(const struct fit_collective *fit, enum fit_collective_of of, double link,
                                  double ranks, double bytes);

/* The ranks of a group that are in one unit of level i, over those in a unit of the level below; as many entries as the
 * machine has levels. Their product is the size of the group. */
struct across {
	const struct machine *machine;
	const struct fit_collective *fits; /* COLLECTIVE_FITS of the innermost level */
	const double *members;
};
/* A collective over the levels of a machine. Inside the innermost level, and only there, by its fit; OF_ONE_SHOT there
 * is the faster of both kinds of all-reduce, and outside an all-reduce like any other. Never falls with bytes, nor with
 * the members of outer levels. */
struct time_parts time_across(const struct across *g, enum fit_collective_of of, double bytes);
/* Rows of `row_bytes` bytes of each of a rank's `tokens`, to the ranks of the `top` experts that each has chosen at
 * random; a row goes to another innermost unit once. The way back takes as long. 0 for one rank. */
struct time_parts time_dispatch(const struct across *g, double tokens, double top, double row_bytes);
#endif
