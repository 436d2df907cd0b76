/* Collectives. Inside the innermost level by what was measured there. Across units of it, rings or trees use the NICs
 * of all members in a unit: the slowest level counts, and each step over the network has its latency. */
#include "time.h"

/* Assumed of every network: s to begin; s of a hop beside the latency of the level's link, and that latency where the
 * machine does not state it. */
#define NETWORK_START 10e-6
#define NETWORK_HOP   8e-6
#define LINK_LATENCY  4e-6
/* Share of a NIC that rings reach: 0.96 (A100), 0.925 (H100), 0.95 (EFA) are published for 32 devices. */
#define NETWORK_SHARE 0.92
/* Share of the inner link for all-to-alls that also cross the network, and for rows to one rank; s of the latter. */
#define ALL_TO_ALL_SHARE 0.65
#define POINT_SHARE      0.7
#define POINT_START      8e-6
/* s to begin an exchange of experts' rows inside the innermost level, and across it. */
#define DISPATCH_START        20e-6
#define DISPATCH_START_ACROSS 60e-6

static double max(double x, double y) { return x > y ? x : y; }
static double min(double x, double y) { return x < y ? x : y; }

/* Bytes that a rank sends, over the operand's. */
static double sent_share(enum fit_collective_of of, double ranks)
{
	switch (of) {
	case OF_ALL_REDUCE:
	case OF_ONE_SHOT:       return 2 * (ranks - 1) / ranks;
	case OF_POINT_TO_POINT: return 1;
	default:                return (ranks - 1) / ranks;
	}
}

struct time_parts time_collective(const struct fit_collective *fit, enum fit_collective_of of, double link,
                                  double ranks, double bytes)
{
	struct time_parts best = {0};
	if (ranks <= 1 || bytes <= 0)
		return best;
	double sent = bytes * sent_share(of, ranks) / link, hops = fit->hop * (ranks - 1);
	for (int i = 0; i < 3; i++) {
		struct time_parts p = {.launch = hops + fit->latency[i], .link = sent / fit->share[i]};
		best = !i || time_of(p) < time_of(best) ? p : best;
	}
	return best;
}

/* ---- levels ---------------------------------------------------------------------------------- */
/* The innermost units that the group has ranks in. */
static double group_units(const struct across *g)
{
	double units = 1;
	for (int i = 1; i < g->machine->levels.n; i++)
		units *= g->members[i];
	return units;
}

/* Bytes/s over a level for one device: its NICs, when all devices of a unit use the level at the same time. */
static double network_rate(const struct level *l)
{
	return l->link.bandwidth * l->nics_per_device * NETWORK_SHARE / l->oversubscription;
}

/* s of the hops over all outer levels, as of a tree. */
static double network_latency(const struct across *g)
{
	double latency = NETWORK_START;
	for (int i = 1; i < g->machine->levels.n; i++) {
		double stated = g->machine->levels.at[i].link.latency;
		latency += (NETWORK_HOP + (figure_known(stated) ? stated : LINK_LATENCY)) * log2(g->members[i]);
	}
	return latency;
}

/* The rate of the slowest level on the way from one innermost unit to the farthest of the group. */
static double slowest_rate(const struct across *g, double units)
{
	double rate = INFINITY, below = 1;
	for (int i = 1; below < units; below *= g->members[i++])
		rate = min(rate, network_rate(&g->machine->levels.at[i]));
	return rate;
}

/* s of `bytes` that a rank sends evenly to all ranks of the group, on the level that takes longest. */
static struct time_parts all_to_all_across(const struct across *g, double units, double bytes)
{
	double below = 1, longest = bytes / (g->machine->levels.at[0].link.bandwidth * ALL_TO_ALL_SHARE);
	for (int i = 1; below < units; below *= g->members[i++])
		longest = max(longest, bytes * (1 - below / units) / network_rate(&g->machine->levels.at[i]));
	return (struct time_parts){.launch = network_latency(g), .link = longest};
}

static struct time_parts inside_unit(const struct across *g, enum fit_collective_of of, double ranks, double bytes)
{
	double link = g->machine->levels.at[0].link.bandwidth;
	if (of == OF_POINT_TO_POINT && !g->fits[of].known)
		return (struct time_parts){.launch = POINT_START, .link = bytes / (link * POINT_SHARE)};
	struct time_parts time = time_collective(&g->fits[of], of, link, ranks, bytes);
	if (of != OF_ONE_SHOT)
		return time;
	struct time_parts other = inside_unit(g, OF_ALL_REDUCE, ranks, bytes);
	return time_of(other) < time_of(time) ? other : time;
}

struct time_parts time_across(const struct across *g, enum fit_collective_of of, double bytes)
{
	double inside = g->members[0], units = group_units(g), ranks = inside * units;
	if (ranks <= 1 || bytes <= 0)
		return (struct time_parts){0};
	if (units <= 1)
		return inside_unit(g, of, ranks, bytes);
	if (of == OF_ALL_TO_ALL)
		return all_to_all_across(g, units, bytes);
	if (of == OF_POINT_TO_POINT)
		return (struct time_parts){.launch = POINT_START, .link = bytes / slowest_rate(g, units)};
	bool reduces_all = of == OF_ALL_REDUCE || of == OF_ONE_SHOT;
	double passes = reduces_all ? 2 : 1;
	double sent = bytes * (ranks - 1) / ranks;
	struct time_parts network = {.launch = passes * network_latency(g),
	                             .link = passes * sent / (slowest_rate(g, units) * inside)};
	struct time_parts unit = inside_unit(g, reduces_all ? OF_ALL_REDUCE : of, inside, bytes);
	return time_of(unit) > time_of(network) ? unit : network;
}

struct time_parts time_dispatch(const struct across *g, double tokens, double top, double row_bytes)
{
	double inside = g->members[0], units = group_units(g), ranks = inside * units, bytes = tokens * row_bytes;
	if (ranks <= 1 || bytes <= 0)
		return (struct time_parts){0};
	double link = g->machine->levels.at[0].link.bandwidth * ALL_TO_ALL_SHARE;
	struct time_parts time = {.launch = DISPATCH_START, .link = bytes * min(top, ranks) * (ranks - 1) / ranks / link};
	double reached = 1 - pow(1 - inside / ranks, top); /* the chance that a token has a row for a unit */
	double below = 1;                                  /* units of the innermost level in one of the level below */
	for (int i = 1; below < units; below *= g->members[i++]) {
		struct time_parts network = {.launch = DISPATCH_START_ACROSS,
		                             .link =
		                                 bytes * (units - below) * reached / network_rate(&g->machine->levels.at[i])};
		time = time_of(network) > time_of(time) ? network : time;
	}
	return time;
}
