/* deployc search: the plans of one deployment, each checked and timed, and the best of them. */
#ifndef DEPLOYC_SEARCH_H
#define DEPLOYC_SEARCH_H
#include "../planner/rank.h"
#include "compile.h"

enum { SEARCH_JSON_VERSION = 1, MAX_CANDIDATES = 100000 };

/* A field that the search sets, and the values that candidates give it. */
struct knob {
	const char *path; /* in the deployment: `plan.tp` */
	enum choice_kind kind;
	bool listed;                    /* the spec lists the values; else they are divisors, or powers of two */
	VEC(const char *) values;       /* as texts of the language */
	VEC(const struct node *) items; /* `path = value` of each value */
	int axis;                       /* of a mesh: its index in the deployment; else -1 */
};
/* How far a candidate came. */
enum reached {
	REACHED_RULES,  /* a rule of the checker refuses it */
	REACHED_MEMORY, /* it is scheduled, but does not fit */
	REACHED_GOALS,  /* it fits, but a requirement is false */
	REACHED_END     /* it holds */
};
struct candidate {
	int *value; /* [knobs]: index of a value; -1: any, since the others refuse it */
	enum reached reached;
	enum diag_code refused; /* the code of its first error, */
	const char *message;    /* and its text; NULL: it holds */
	double gpus, peak, usable;
	struct estimate of[METRICS];
	const char *basis, *lacks;
	struct preference *preference; /* [search.n_preferences] */
	struct claim *claim;           /* [n_claims]; those that are false */
	int n_claims, n_open;          /* open: requirements that no interval decides */
	double distance;               /* of one that does not hold: from what it needs, as a share of it */
};
struct search {
	struct arena *arena;
	const struct options *options;
	struct compilation compilation;
	struct deploy *deploy; /* as the spec has it */
	bool open;             /* it has `auto`; else the mesh is varied */
	VEC(struct knob) knobs;
	VEC(const struct node *) fixed; /* items that all candidates have */
	VEC(struct candidate) all;
	int counts[DIAG_COUNT]; /* candidates refused, by code */
	int n_hold, n_preferences, n_claims;
	int best;    /* of those so far */
	int *ranked; /* [n_hold]: indices of those that hold, best first */
	bool interrupted;
	int growth; /* without one that holds: the multiple of devices with which one does; 0: none was found */
	struct candidate grown;
	const char *lock; /* the file that the choice was written to; NULL: none */
};

/* search_space.c: the fields to set. false after reports. */
bool search_knobs(struct search *s);
/* Lists all candidates in s->all, without their results. false after a message: there are too many. */
bool search_space(struct search *s);
int search_value(struct search *s, struct knob *k, const char *text); /* the index of a value, added if it is new */

/* search.c: checks, plans and times one candidate. The result is of no use if it does not load. */
void search_try(struct search *s, struct candidate *c);
/* > 0: a is better. *why: index of the preference that decides; n_preferences: memory does; -1: nothing. */
int search_compare(const struct search *s, const struct candidate *a, const struct candidate *b, int *why);
/* The candidates that no other surpasses in throughput per gpu, tpot and cost together, by throughput. */
int search_front(const struct search *s, int *out);
/* "plan = Megatron { tp = 8; ep = 4 }", an item for each part of the deployment. */
const char *search_choice(const struct search *s, const struct candidate *c, const char *between);

/* search_print.c, search_json.c */
void search_print(const struct search *s);
void search_json(const struct search *s);
/* E0814, with the nearest candidate and what would help. */
void search_report_none(struct search *s);
#endif
