/* What a device, its links and an engine take for one operation, given its sizes: with the device's calibration, or by
 * the `efficiency` that the spec states. Terms of schedules and of training steps are made with it. */
#ifndef DEPLOYC_TIMING_H
#define DEPLOYC_TIMING_H
#include "../dag/dag.h"
#include "balance.h"
#include "interval.h"
#include "time.h"

/* A product whose time is known. */
struct product_time {
	const struct fit_product *fit; /* NULL: the place is free */
	bool cast_before;
	struct product of;
	struct time_parts parts;
};
enum { PRODUCT_TIMES = 64 };

struct timing {
	const struct schedule *schedule; /* of terms.c; else NULL */
	const struct machine *machine;
	const struct engine *engine;
	struct silicon silicon;
	const struct calibration *calibration;
	const struct fit_attention *attention;
	struct balances *balances; /* of experts, as the workload says that tokens choose them */
	struct arena *arena;
	const int64_t *index;          /* of a rank in each group of the schedule: 0 */
	double *members;               /* room for group_members() */
	struct product_time *products; /* [PRODUCT_TIMES], by a hash: steps of one plan have few different products */
	int products_timed;            /* how many were computed */
	const char
		*lacks;    /* the first input that seconds need and nobody stated, as "Card has no calibration"; NULL: none */
	bool borrowed; /* a fit of other formats, or of another library of kernels, had to do */
	bool narrow;   /* products of 8 bits or less were timed */
};
/* `lacks` may be set at once. What is made lives in the arena. */
struct timing timing_of_deploy(const struct deploy *d, struct arena *arena);

/* Published tables have steps of measured engines on calibrated devices. */
bool timing_in_tables(const struct timing *t);
/* How far off a metric of a kind may be, once all times are known. */
struct interval timing_interval(const struct timing *t, enum interval_kind kind);
/* What an interval rests on, for the reader. */
const char *timing_basis(const struct timing *t, struct arena *a);

/* Seconds by their parts; ABSENT with t->lacks, which they may set. Operations and bytes are those of the whole launch.
 */
struct time_parts timing_pass(const struct timing *t, double bytes, bool reduces);
struct time_parts timing_stream(const struct timing *t, double bytes,
                                bool reduces); /* a pass in the kernel of another */
/* A product in the formats that the engine multiplies in: with a fused cast, activations have the format of weights of
 * 8 bits or less, if the device multiplies in it. */
struct kernel_work timing_formats(const struct timing *t, struct kernel_work w);
/* May two products of one operand be one product, with the outputs of both? */
bool timing_joined(const struct kernel_work *a, const struct kernel_work *b);
struct time_parts timing_product(struct timing *t, const struct kernel_work *w, double operations, double bytes);
struct time_parts timing_grouped(struct timing *t, const struct kernel_work *w, double hit, double operations,
                                 double bytes);
struct time_parts timing_attention(struct timing *t, const struct attention *a);
double timing_attention_back(struct timing *t, const struct attention *a); /* of many queries */
/* Members of a group, by levels, as time_across() wants them: `atoms` are those that it goes over. */
void timing_members(const struct machine *m, const struct atom *const *atoms, int n, double *members);
/* members: as in time_across(); size: as in time_collective(). */
struct time_parts timing_collective(struct timing *t, enum dr_collective_kind kind, const double *members, double size);
/* Rows of a rank's tokens to the ranks of the `top` experts of each: time_dispatch(). */
struct time_parts timing_exchange(struct timing *t, const double *members, double tokens, double top, double row_bytes);
/* Bytes that each NIC or link must carry, over its bandwidth, at the level where that takes longest. */
double timing_collective_floor(const struct machine *m, enum dr_collective_kind kind, const double *members,
                               double size);
/* The share of a collective's bytes that each of n members sends. A switch that adds lets each send its operand once.
 */
double timing_share_sent(enum dr_collective_kind kind, double n, bool adds);
#endif
