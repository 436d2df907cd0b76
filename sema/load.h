/* What arrives at a serving deployment: how frequent lengths are, and when requests come. It comes from records of
 * std.workload; sema reads them once (deploy_load.c). */
#ifndef DEPLOYC_SEMA_LOAD_H
#define DEPLOYC_SEMA_LOAD_H
#include <stdint.h>
#include "../support/source.h"

/* LENGTH_UNKNOWN: the workload has a range, and does not say how frequent each length is. */
enum length_law { LENGTH_UNKNOWN, LENGTH_LOGNORMAL, LENGTH_UNIFORM, LENGTH_WEIGHTED };
/* Lengths from `lo` to `hi`. What a lognormal law has beyond counts as the nearer end. */
struct lengths {
	enum length_law law;
	int64_t lo, hi;
	double median, p90; /* of LENGTH_LOGNORMAL */
	/* of LENGTH_WEIGHTED, in rising order: length[i] has the share[i] of all; shares add up to 1 */
	int n;
	const int64_t *length;
	const double *share;
};

/* ARRIVAL_POISSON: times between arrivals are independent and exponential; ARRIVAL_SPACED: they are equal;
 * ARRIVAL_USERS: each user sends a request `think` s after the last token of its previous one. */
enum arrival_law { ARRIVAL_NONE, ARRIVAL_POISSON, ARRIVAL_SPACED, ARRIVAL_USERS };
struct arrivals {
	enum arrival_law law;
	double rate;    /* requests/s, of the first two */
	int64_t users;  /* of the last */
	double think;   /* s */
	struct span at; /* where the workload sets them */
};
#endif
