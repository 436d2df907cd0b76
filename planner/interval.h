/* How far a predicted time is from a measured one: quantiles of measured / predicted over published tables
 * (docs/accuracy.md). An interval is that of known tables; no law is assumed. */
#ifndef DEPLOYC_INTERVAL_H
#define DEPLOYC_INTERVAL_H
#include <stdbool.h>

/* Kinds of predictions that tables have. INTERVAL_UNKNOWN: what no table has, such as a device that is timed by its
 * efficiency. */
enum interval_kind {
	INTERVAL_TRAIN_DENSE,
	INTERVAL_TRAIN_EXPERTS,
	INTERVAL_BATCH,       /* throughput of a static batch */
	INTERVAL_FIRST_TOKEN, /* of a prompt alone */
	INTERVAL_TPOT_DENSE,
	INTERVAL_TPOT_EXPERTS,
	INTERVAL_LOADED_FIRST_TOKEN, /* under a load of other prompts */
	INTERVAL_UNKNOWN,
	INTERVAL_KINDS
};
/* Factors on a predicted time: half, four fifths and nine tenths of the tables lie between low and high. */
struct interval {
	double low50, high50, low80, high80, low90, high90;
};
/* Whose constants the predicted time was made with: the device's own, of another device of its generation, or of
 * another generation; `NARROW`: with products of 8 bits or less. */
enum interval_origin { INTERVAL_OWN, INTERVAL_SIBLING, INTERVAL_OTHER, INTERVAL_OTHER_NARROW, INTERVAL_ORIGINS };
/* known_engine: tables have steps of the engine. Of another, each end is at least that of the next share (80% for 50%,
 * 90% for 80%), and at least the farthest of all kinds. */
struct interval interval_of(enum interval_kind kind, bool known_engine, enum interval_origin origin);
double interval_moved(enum interval_origin origin); /* share by which an origin moves both ends outwards */

/* A metric's value. `bound`: what no schedule on these devices surpasses; NaN: none. What is not known is NaN. */
struct estimate {
	double value, low80, high80, low90, high90, bound;
	const char *lacks; /* why there is no value; NULL: there is one */
};
/* Of a value that is in proportion to a time, or (`rate`) to its inverse. */
struct estimate estimate_of(double value, struct interval interval, bool rate, double bound);
/* A part of a time, where the part and the rest may each be as far off as the interval says, independently. */
struct estimate estimate_share(double part, double whole, struct interval interval);
/* What so many devices take in `seconds`, and at the least, each `of_device` a second; NaN: `lacks`. */
struct estimate estimate_spent(double of_device, double devices, double seconds, double least, struct interval interval,
                               const char *lacks);
/* The same of a share that is at least `bound`. */
struct estimate estimate_share_above(double share, struct interval i, double bound);
struct estimate estimate_exact(double value); /* what follows from counts */
/* Of a count that is in [least, most] whatever happens, and is expected to be `value`. */
struct estimate estimate_between(double value, double least, double most);
struct estimate estimate_missing(const char *lacks);
struct estimate estimate_scaled(struct estimate e, double by); /* by > 0 */
/* Of two parts one after the other, each as far off as it can be. What either lacks, the sum lacks; so with bounds. */
struct estimate estimate_sum(struct estimate a, struct estimate b);
#endif
