/* The quantiles of docs/accuracy.md, and estimates with them. */
#include "interval.h"
#include <math.h>
#include <stddef.h>

static const struct interval known[INTERVAL_UNKNOWN] = {
#define INTERVAL(KIND, l50, h50, l80, h80, l90, h90) [INTERVAL_##KIND] = {l50, h50, l80, h80, l90, h90},
#define ORIGIN(...)
#include "interval.def"
};

/* Of what no table has, each end is the farthest of all kinds. */
static struct interval widest(void)
{
	struct interval w = known[0];
	for (int i = 1; i < INTERVAL_UNKNOWN; i++) {
		w.low50 = fmin(w.low50, known[i].low50), w.high50 = fmax(w.high50, known[i].high50);
		w.low80 = fmin(w.low80, known[i].low80), w.high80 = fmax(w.high80, known[i].high80);
		w.low90 = fmin(w.low90, known[i].low90), w.high90 = fmax(w.high90, known[i].high90);
	}
	return w;
}

/* For an engine that no table has: the interval of the next share, or the widest of all kinds if that is wider. Beyond
 * 90% an end moves on as it did from 80%. */
static struct interval one_wider(struct interval i)
{
	struct interval w = widest();
	return (struct interval){.low50 = fmin(i.low80, w.low50),
	                         .high50 = fmax(i.high80, w.high50),
	                         .low80 = fmin(i.low90, w.low80),
	                         .high80 = fmax(i.high90, w.high80),
	                         .low90 = fmin(i.low90 * i.low90 / i.low80, w.low90),
	                         .high90 = fmax(i.high90 * i.high90 / i.high80, w.high90)};
}

double interval_moved(enum interval_origin origin)
{
	static const double moved[INTERVAL_ORIGINS] = {
#define INTERVAL(...)
#define ORIGIN(NAME, share) [INTERVAL_##NAME] = share,
#include "interval.def"
	};
	return moved[origin];
}

struct interval interval_of(enum interval_kind kind, bool known_engine, enum interval_origin origin)
{
	struct interval i = kind == INTERVAL_UNKNOWN ? widest() : known_engine ? known[kind] : one_wider(known[kind]);
	double by = 1 + interval_moved(origin);
	return (struct interval){i.low50 / by, i.high50 * by, i.low80 / by, i.high80 * by, i.low90 / by, i.high90 * by};
}

struct estimate estimate_of(double value, struct interval i, bool rate, double bound)
{
	if (rate)
		return (struct estimate){.value = value,
		                         .low80 = value / i.high80,
		                         .high80 = fmin(value / i.low80, isnan(bound) ? INFINITY : bound),
		                         .low90 = value / i.high90,
		                         .high90 = fmin(value / i.low90, isnan(bound) ? INFINITY : bound),
		                         .bound = bound};
	return (struct estimate){.value = value,
	                         .low80 = fmax(value * i.low80, isnan(bound) ? 0 : bound),
	                         .high80 = value * i.high80,
	                         .low90 = fmax(value * i.low90, isnan(bound) ? 0 : bound),
	                         .high90 = value * i.high90,
	                         .bound = bound};
}

struct estimate estimate_exact(double value) { return (struct estimate){value, value, value, value, value, NAN, NULL}; }

struct estimate estimate_between(double value, double least, double most)
{
	double bound = least < most ? least : NAN;
	return (struct estimate){value, least, most, least, most, bound, NULL};
}

struct estimate estimate_share(double part, double whole, struct interval i)
{
	double rest = whole - part;
	if (!(whole > 0))
		return estimate_missing("no step takes time");
	return (struct estimate){.value = part / whole,
	                         .low80 = part * i.low80 / (part * i.low80 + rest * i.high80),
	                         .high80 = part * i.high80 / (part * i.high80 + rest * i.low80),
	                         .low90 = part * i.low90 / (part * i.low90 + rest * i.high90),
	                         .high90 = part * i.high90 / (part * i.high90 + rest * i.low90),
	                         .bound = NAN};
}

struct estimate estimate_share_above(double share, struct interval i, double bound)
{
	struct estimate e = estimate_share(share, 1, i);
	e.low80 = fmax(e.low80, fmin(bound, share));
	e.low90 = fmax(e.low90, fmin(bound, share));
	e.bound = bound;
	return e;
}

struct estimate estimate_spent(double of_device, double devices, double seconds, double least, struct interval interval,
                               const char *lacks)
{
	double each = of_device * devices;
	return isnan(of_device) ? estimate_missing(lacks) : estimate_of(each * seconds, interval, false, each * least);
}

struct estimate estimate_missing(const char *lacks) { return (struct estimate){NAN, NAN, NAN, NAN, NAN, NAN, lacks}; }

struct estimate estimate_scaled(struct estimate e, double by)
{
	return (struct estimate){e.value * by,  e.low80 * by, e.high80 * by, e.low90 * by,
	                         e.high90 * by, e.bound * by, e.lacks};
}

struct estimate estimate_sum(struct estimate a, struct estimate b)
{
	return (struct estimate){a.value + b.value,
	                         a.low80 + b.low80,
	                         a.high80 + b.high80,
	                         a.low90 + b.low90,
	                         a.high90 + b.high90,
	                         a.bound + b.bound,
	                         isnan(a.value) ? a.lacks : b.lacks};
}
