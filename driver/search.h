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
/* The candidates of one plan on one cluster: a deployment has several spaces if `auto` leaves these open. */
struct space {
	const struct deploy *deploy;    /* with its plan and cluster chosen, as far as it is decided */
	VEC(struct knob) knobs;         /* a chosen part is the first, with one value */
	VEC(const struct node *) fixed; /* items that all candidates have besides */
};
/* How far a candidate came. */
enum reached {
	REACHED_RULES,  /* a rule of the checker refuses it */
	REACHED_MEMORY, /* it is scheduled, but does not fit */
	REACHED_GOALS,  /* it fits, but a requirement is false */
	REACHED_END     /* it holds */
};
struct candidate {
	struct space *space;
	int *value; /* [space.knobs]: index of a value; -1: any, since the others refuse it */
	enum reached reached;
	enum diag_code refused; /* the code of its first error, */
	const char *message;    /* and its text; NULL: it holds */
	double gpus, peak, usable;
	struct estimate of[METRICS];
	const char *basis, *lacks;
	struct preference *preference; /* [search.n_preferences] */
	struct claim *claim;           /* [n_claims]; those that are false */
	int n_claims, n_open;          /* open: requirements that no interval decides */
	int n_limits, n_others;        /* errors: limits of requirements that it misses, and others */
	double distance;               /* of one that does not hold: from what it needs, as a share of it */
	bool bounded;                  /* refused by its weights alone: `distance` is what it lacks at least */
};
struct search {
	struct arena *arena;
	const struct options *options;
	struct compilation compilation;
	struct deploy *deploy; /* as the spec has it */
	bool open;             /* it has `auto`; else the mesh is varied */
	VEC(struct space *) spaces;
	VEC(struct candidate) all;
	int counts[DIAG_COUNT]; /* candidates refused, by code */
	int n_hold, n_preferences;
	int best;    /* of those so far */
	int *ranked; /* [n_hold]: indices of those that hold, best first */
	bool interrupted, crowded;
	const char *lock;     /* the file that the choice was written to; NULL: none */
	struct arena scratch; /* of the candidate in hand */
	enum diag_code wrong; /* the last mistake in a record: one that several candidates name is reported once */
	const char *wrong_text;
};

/* search_space.c: the spaces, and the fields to set in each. false after reports. */
bool search_spaces(struct search *s);
/* Lists all candidates in s->all, without their results. false: there are more than `most`. */
bool search_candidates(struct search *s, int most);
/* The first field that sets `path` in a space; NULL: none does. */
struct knob *search_knob(struct space *space, const char *path);

/* search.c: loads the spec and lists the candidates. Returns EXIT_OK, or another status; s->crowded: there are too
 * many.
 */
int search_begin(struct search *s, int most);
/* Tries all candidates. until_one: stops at the first that holds. */
void search_try_all(struct search *s, bool until_one);
/* Tries one that is bounded in full. */
void search_try(struct search *s, struct candidate *c);
/* > 0: a is better. *why: index of the preference that decides; n_preferences: memory does; -1: nothing. */
int search_compare(const struct search *s, const struct candidate *a, const struct candidate *b, int *why);
/* The candidates that no other surpasses in throughput per gpu, tpot and cost together, by throughput. */
int search_front(const struct search *s, int *out);

/* search_near.c: E0814, with the nearest candidate and the smallest change that would help. */
void search_report_none(struct search *s);

/* search_page.c: adds the plans of a search over the deployment to its page, unless it has too many to try. */
void search_for_page(struct compilation *c, const struct planned *p, struct page *page);

/* search_print.c, search_json.c */
/* "plan = Megatron { tp = 8; ep = 4 }", an item for each part of the deployment. */
const char *search_choice(const struct search *s, const struct candidate *c, const char *between);
void search_print(const struct search *s);
void search_json(const struct search *s);
#endif
