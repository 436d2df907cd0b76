/* The page of a plan: one HTML file without links to others, for a browser or for print (`deployc report`). */
#ifndef DEPLOYC_PLANNER_PAGE_H
#define DEPLOYC_PLANNER_PAGE_H
#include "graph.h"

/* A diagnostic of the deployment. */
struct page_note {
	const char *code, *message, *place; /* place: "spec.deploy:12:3" */
	bool error;
};
/* A weight of the fullest rank. */
struct page_weight {
	const struct placed_param *param;
	int64_t copies; /* layers of the stage that have it, or 1 */
	double bytes;   /* of all copies */
};
/* A plan that a search tried, and that holds. */
struct page_rival {
	const char *choice;                   /* "plan.tp = 8; plan.pp = 2" */
	double ranks, throughput, tpot, cost; /* throughput of a GPU, tokens/s; of a batch. NaN: not predicted */
	bool front;                           /* no other surpasses it in the three together */
};
struct page {
	struct arena *arena;
	const char *spec;
	struct plan *plan;         /* scheduled, or of training */
	const struct graph *graph; /* NULL: of training */
	int fullest;               /* stage */
	int n_stages;
	VEC(struct stage_range) runs;    /* of equal stages; of training, of equal bytes */
	VEC(struct graph_axis) axes;     /* longer than 1, outermost first, without the pipeline's */
	VEC(const struct atom *) cuts;   /* the pipeline's, major to minor: their coordinates are the stage */
	VEC(struct page_weight) weights; /* of the fullest stage, the largest first */
	VEC(struct page_note) notes;
	VEC(struct page_rival) rivals; /* the highest throughput first */
	int tried;                     /* plans that a search tried; 0: there was no search, */
	bool crowded;                  /* perhaps since there are too many */
	json_t *data;                  /* what the page shows */
};

enum { PAGE_JSON_VERSION = 1 };
/* page.c: `plan` is scheduled, or of training. The caller adds the notes and rivals, then calls page_finish, which
 * makes `data`, and releases `data` in the end. Everything else is in the arena. */
struct page *planner_page(struct arena *arena, struct plan *plan, const char *spec);
void page_finish(struct arena *arena, struct page *p);
/* page_html.c: each figure in it names its place in `data`. */
void page_html(struct arena *arena, const struct page *p, FILE *out);
/* page.css */
extern const unsigned char page_style[];
extern const unsigned long page_style_size;
#endif
