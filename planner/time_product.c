/* Products and passes over memory. A product is bound by its tiles, which run in waves over the multiprocessors, or by
 * the traffic of memory; near the point where both take as long, neither hides the other fully. */
#include <math.h>
#include <stddef.h>
#include "time.h"

enum { SIDES = 5, SPLITS = 5 };
static const double sides[SIDES] = {256, 128, 64, 32, 16};
/* Rows and columns of tiles, as indices of `sides`. */
static const struct tile {
	unsigned char rows, columns;
} tiles[] = {{0, 1}, {1, 0}, {1, 1}, {1, 2}, {2, 1}, {2, 2}, {1, 3}, {3, 1}, {1, 4}, {4, 1}};
#define TILES (sizeof tiles / sizeof *tiles)
/* The part of a sum that one of several tiles adds, and the part whose cost a shorter sum has too. */
#define MIN_SPLIT_K     128.0
#define MIN_K           64.0
#define GROUPED_COLUMNS 128.0
/* Share of the bandwidth that a cast reaches: it reads 2 bytes of an element. */
#define CAST_SHARE 0.75

/* Like ceil for x >= 0, without a call. Adding 2^52 rounds to a whole number. */
static inline double round_up(double x)
{
	double whole = x + 0x1p52 - 0x1p52;
	return whole < x ? whole + 1 : whole;
}
static inline double max(double x, double y) { return x > y ? x : y; }
static inline double min(double x, double y) { return x < y ? x : y; }

/* (x^4 + y^4)^(1/4) of positive numbers. */
static double smooth_max(double x, double y)
{
	double ratio = min(x, y) / max(x, y), square = ratio * ratio;
	return max(x, y) * sqrt(sqrt(1 + square * square));
}

/* Seconds of the tiles: the best shape and split. */
static double tiles_time(const struct silicon *d, const struct fit_product *fit, const struct product *p)
{
	double compute = d->multiprocessors / (p->peak * fit->compute), l2 = d->bandwidth * fit->l2;
	double rows[SIDES], columns[SIDES], best = INFINITY;
	for (int i = 0; i < SIDES; i++) {
		rows[i] = round_up(p->m / sides[i]);
		columns[i] = round_up(p->n / sides[i]);
	}
	for (size_t t = 0; t < TILES; t++) {
		double tm = sides[tiles[t].rows], tn = sides[tiles[t].columns];
		double of_k =
			max(2 * tm * tn * compute, (tm * p->activation_bytes + tn * p->weight_bytes) * d->multiprocessors / l2);
		double waves = rows[tiles[t].rows] * columns[tiles[t].columns] / d->multiprocessors;
		double whole = (1 - fit->waves) * waves + fit->waves * round_up(waves);
		best = min(best, max(1, whole) * (of_k * max(p->k, MIN_K) + fit->tile));
		for (double s = 2; s <= 16 && p->k >= s * MIN_SPLIT_K; s *= 2) {
			whole = (1 - fit->waves) * waves * s + fit->waves * round_up(waves * s);
			best = min(best, max(1, whole) * (of_k * p->k / s + fit->tile) + 8 * p->m * p->n * s / l2 + fit->split);
		}
	}
	return best;
}

double time_of(struct time_parts p)
{
	double busy = p.smooth ? smooth_max(p.compute, p.memory) : max(max(p.compute, p.memory), p.link);
	return p.launch + busy + p.more;
}

struct time_parts time_scaled(struct time_parts p, double by)
{
	return (struct time_parts){by * p.launch, by * p.compute, by * p.memory, by * p.link, by * p.more, p.smooth};
}

/* Without launch and cast. */
static struct time_parts product_parts(const struct silicon *d, const struct fit_product *fit, const struct product *p)
{
	double bytes = p->m * p->k * p->activation_bytes + p->n * p->k * p->weight_bytes + 2 * p->m * p->n;
	double compute = fit->untiled ? 2 * p->m * p->n * p->k / (p->peak * fit->compute) : tiles_time(d, fit, p);
	return (struct time_parts){.compute = compute, .memory = bytes / (d->bandwidth * fit->memory), .smooth = true};
}

struct time_parts time_product(const struct silicon *d, const struct fit_product *fit, const struct product *p)
{
	double cast = p->m * p->k * (2 + p->activation_bytes) / (d->bandwidth * CAST_SHARE);
	struct time_parts parts = product_parts(d, fit, p);
	parts.launch = fit->launch;
	parts.more = fit->casts ? cast : 0;
	return parts;
}

struct time_parts time_product_cast_before(const struct silicon *d, const struct fit_product *fit,
                                           const struct fit_product *plain, const struct product *p)
{
	struct time_parts parts = product_parts(d, fit, p);
	parts.launch = fit->casts ? min(fit->launch, plain->launch) : fit->launch;
	return parts;
}

/* The tiles of all groups. */
static double grouped_tiles(const struct silicon *d, const struct fit_grouped *fit, const struct grouped *g)
{
	double compute = d->multiprocessors / (g->peak * fit->compute), l2 = d->bandwidth * fit->l2 / d->multiprocessors;
	double each = g->rows / g->hit, columns = round_up(g->n / GROUPED_COLUMNS), best = INFINITY;
	for (int i = 0; i < SIDES; i++) {
		double tm = sides[i], traffic = (tm * g->activation_bytes + GROUPED_COLUMNS * g->weight_bytes) / l2;
		double tile = max(2 * tm * GROUPED_COLUMNS * compute, traffic) * g->k + fit->tile;
		best = min(best, max(1, g->hit * columns * round_up(each / tm) / d->multiprocessors) * tile);
	}
	return best;
}

struct time_parts time_grouped(const struct silicon *d, const struct fit_grouped *fit, const struct grouped *g)
{
	double best = fit->untiled ? 2 * g->rows * g->n * g->k / (g->peak * fit->compute) : grouped_tiles(d, fit, g);
	double bytes = g->hit * g->n * g->k * g->weight_bytes + g->rows * (g->k * g->activation_bytes + g->n * 2);
	return (struct time_parts){.compute = best, .memory = bytes / (d->bandwidth * fit->memory), .smooth = true};
}

double groups_hit(double held, double all, double top, double tokens)
{
	return tokens > 0 ? -held * expm1(tokens * log1p(-top / all)) : 0;
}

struct time_parts time_rows(const struct silicon *d, const struct fit_rows *fit, double bytes, bool reduces)
{
	double share = reduces ? fit->reduction : fit->pointwise;
	return (struct time_parts){.launch = fit->launch, .memory = bytes / (d->bandwidth * share)};
}
