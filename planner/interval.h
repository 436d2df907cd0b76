/* How far a predicted time is from a measured one: quantiles of measured / predicted over published tables
 * (docs/accuracy.md). An interval is that of known tables; no law is assumed. */
#ifndef DEPLOYC_INTERVAL_H
#define DEPLOYC_INTERVAL_H
#include <stdbool.h>

/* Kinds of predictions that tables have. INTERVAL_UNKNOWN: an engine or a device that no table has. */
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
struct interval interval_of(enum interval_kind kind);

/* A metric's value. `bound`: what no schedule on these devices surpasses; NaN: none. What is not known is NaN. */
struct estimate {
	double value, low80, high80, low90, high90, bound;
	const char *lacks; /* why there is no value; NULL: there is one */
};
/* Of a value that is in proportion to a time, or (`rate`) to its inverse. */
struct estimate estimate_of(double value, enum interval_kind kind, bool rate, double bound);
/* A part of a time, where the part and the rest may each be as far off as `kind` says, independently. */
struct estimate estimate_share(double part, double whole, enum interval_kind kind);
/* What so many devices take in `seconds`, and at the least, each `of_device` a second; NaN: `lacks`. */
struct estimate estimate_spent(double of_device, double devices, double seconds, double least, enum interval_kind kind,
                               const char *lacks);
struct estimate estimate_exact(double value); /* bubbles and shares that follow from counts */
struct estimate estimate_missing(const char *lacks);
#endif
