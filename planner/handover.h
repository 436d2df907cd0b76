/* The cache of one sequence, handed from ranks that read its prompt to ranks that continue it: which rank sends what to
 * which, byte by byte. Both sides hold the same program's states, each by its own layout. */
#ifndef DEPLOYC_HANDOVER_H
#define DEPLOYC_HANDOVER_H
#include "../dag/local.h"

/* One side: a deployment's layouts and its schedule. */
struct cache_side {
	struct local *local;
	const struct schedule *schedule;
};
/* Bytes of one sequence. A rank that holds a part of it receives that part, also where others hold the same. */
struct handover {
	double bytes;               /* of the sequence's cache, once */
	double windows;             /* of that, in layers of which only a window is handed over */
	double sent, received;      /* by the rank that sends, receives most */
	double moved;               /* by all ranks together */
	int64_t senders, receivers; /* ranks that send, receive */
	int64_t targets, sources;   /* ranks that one sends to, receives from, at most */
	bool alike;                 /* all states go the same ways */
	int64_t positions;
	struct cache_side from, to;
	const int64_t *window; /* of each state; 0: none */
	struct arena *arena;
};
/* Of a state, all positions are handed over, or those of the window that it is read through. The k-th page of a
 * sequence is on the k-th rank, in turn, where ranks divide the positions of a cache. Ranks that need a piece which
 * several hold take it from these in turn. In the arena. false: the layouts have too many parts. */
bool handover_of(struct arena *arena, struct cache_side from, struct cache_side to, int64_t positions,
                 struct handover *out);
/* Bytes that rank `from` sends to rank `to`, of a sequence of the first owner of each side. */
double handover_between(const struct handover *h, int64_t from, int64_t to);
#endif
