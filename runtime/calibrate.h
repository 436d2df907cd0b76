/* What `bench --calibrate` measures, and the fits that it writes. Times are in s. */
#ifndef DEPLOY_CALIBRATE_H
#define DEPLOY_CALIBRATE_H
#include <stdio.h>
#include "runtime.h"

/* Launches of one kernel with as many rows that see as many positions, or collectives of one size. */
struct measured_point {
	bool is_collective;
	int index;         /* of the kernel, or of the collective */
	double rows, seen; /* rows, or elements; positions that a row of attention sees, or groups that have rows */
	int phase;
	double *seconds; /* of each */
	int n, room;
	double least, median; /* of them, once all are there */
};
struct measured {
	struct measured_point *at;
	int n, room;
};

/* Operations that a point carried out, bytes that it moved, and what it took. */
struct work_point {
	double operations, bytes, seconds;
};
struct work_points {
	struct work_point *at;
	int n, room;
};
void work_add(struct work_points *w, struct work_point p);

/* seconds = launch + the larger of operations / (peak compute) and bytes / (bandwidth memory). soft: their smooth
 * maximum, as products have it. spread: the median of |model / measured - 1| over every other point, which the fit did
 * not see, or over all where there are fewer than 8. Shares are above 0 and at most 1. */
struct work_fit {
	double launch, compute, memory, spread;
};
struct work_fit work_fit(const struct work_points *w, double peak, double bandwidth, bool soft);

/* calibrate_text.c: the records of what was measured. */
void calibration_write(const struct rank *r, const struct measured *m, FILE *out);
#endif
