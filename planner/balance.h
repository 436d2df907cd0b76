/* How unevenly the ranks that share experts get rows, from how tokens choose experts (struct expert_use).
 *
 * Each token chooses `top` experts, expert i with the chance q[i]; tokens choose independently of each other. The rows
 * of a rank are then nearly normal: with c[i] = q[i] (1 - q[i]), C their sum over the experts of a rank and C' over
 * all, the variance for each token is C - C^2 / C' (Hajek, Annals of Mathematical Statistics 35, 1964, of choices of a
 * fixed number). */
#ifndef DEPLOYC_BALANCE_H
#define DEPLOYC_BALANCE_H
#include "../sema/sema.h"

/* Experts that `ranks` ranks share evenly, and the tokens that reach them. */
struct expert_split {
	double experts, top, ranks;
	double tokens;  /* that choose, of all ranks that send rows */
	double senders; /* ranks that bring as many of these tokens each */
};
struct balance {
	double busiest; /* rows of the rank that gets most, over the mean of all: its expected value; 1: even */
	double longest; /* rows of the fullest of all messages from a sender to a rank, over the mean of all */
	double hit;     /* experts of a rank that get a row, the mean of all ranks; even: all of them */
};

/* What was computed for a split is not computed again. */
struct balances;
struct balances *balances_new(struct arena *arena, const struct expert_use *use);
/* A use of exponents does not say on which rank an expert is that many tokens choose: the mean of many placements drawn
 * at random. Draws are those of a generator of its own, so the same on all machines. */
struct balance balance_of(struct balances *b, const struct expert_split *split);
/* The same if experts were steered. Each copy goes where it helps most: of the expert whose copies have the largest
 * number of rows each, to the rank with least among those that lack it and have room; copies of an expert share its
 * rows evenly. Then, with by_load, all lie by their load, the fullest first, each on the rank with least that has room.
 * A rank has room for as many copies as any, copies_held(). */
struct balance balance_steered(struct balances *b, const struct expert_split *split, const struct expert_steering *by);
double copies_held(const struct expert_split *split, const struct expert_steering *by);
bool balances_even(const struct balances *b);

/* q[i] of each expert, largest first. Never above 1; they add up to `top`. */
double *zipf_chances(struct arena *arena, int64_t experts, double top, double exponent);
#endif
