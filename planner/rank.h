/* What orders the plans of a search: `maximize`, `minimize` and `prefer` of a deployment, and how far its requirements
 * are from what is predicted. */
#ifndef DEPLOYC_RANK_H
#define DEPLOYC_RANK_H
#include "metrics.h"
#include "planner.h"

/* A claim that orders plans, and its value for one of them. */
struct preference {
	enum { PREFER, MAXIMIZE, MINIMIZE } kind;
	const char *text;  /* as the spec writes it: "throughput per gpu" */
	double value;      /* as predicted, in base units; of `prefer` 1 or 0; NaN: it has none */
	bool bound;        /* there is no prediction: the value is one that no schedule surpasses */
	const char *shown; /* the value as text */
};
/* A `require` or `assert` that compares two figures, for one plan. */
struct claim {
	const char *text;           /* "tpot <= 50 ms" */
	double miss;                /* how far the predicted side is beyond the limit, as a share of it; 0: it holds */
	bool bound;                 /* as of a preference */
	const char *shown, *wanted; /* both sides as text */
	const char *loosened;       /* "tpot <= 0.0065 s": the claim with what is predicted as its limit */
};

/* The claims of a deployment in the order of its text, without those that are of no use here: the goals of its record
 * are room enough. `m`: its metrics. Texts are in the arena of sema. Returns their number. */
int rank_preferences(struct sema *sema, const struct deploy *d, const struct local *l, const struct schedule *s,
                     const struct training *t, const struct target *target, struct metrics *m, struct preference *out);
int rank_claims(struct sema *sema, const struct deploy *d, const struct local *l, const struct schedule *s,
                const struct training *t, const struct target *target, struct metrics *m, struct claim *out);
/* What orders plans of a deployment that states nothing: throughput per gpu. */
struct preference rank_default(struct arena *a, const struct deploy *d, const struct metrics *m);
/* The number of claims that a deployment has, at most: room for the arrays above. */
int rank_room(const struct deploy *d);

/* Compares the values of one claim: > 0: a is better, < 0: b is. A known value is better than none, and a prediction
 * says nothing against a bound. */
int rank_compare(const struct preference *a, const struct preference *b);
#endif
