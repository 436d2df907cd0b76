/* A serving deployment under the load that its workload states: what it can serve, and percentiles of what each request
 * has. The queue is played with the launcher's own scheduler (queue.h), and each of its steps takes what step_time.h
 * says. */
#ifndef DEPLOYC_LOAD_H
#define DEPLOYC_LOAD_H
#include <jansson.h>
#include "metrics.h"

enum loaded {
	LOADED_TTFT,    /* s from arrival to the first token, with the time in the queue */
	LOADED_TPOT,    /* s between the tokens of a request, the mean over its answer; of those with at least 2 */
	LOADED_LATENCY, /* s from arrival to the last token */
	LOADED
};
enum percentile { P50, P90, P99, PERCENTILES };
const char *loaded_name(enum loaded l);         /* "ttft" */
const char *percentile_name(enum percentile p); /* "p50" */
double percentile_share(enum percentile p);     /* 0.5 */

struct player;
struct load {
	const char *lacks; /* why nothing is played; NULL: it can be. What it lacks may still have a bound */
	double offered;    /* requests/s that arrive; of users: that were served. NaN: not known */
	double capacity;   /* requests/s that are served while some always wait */
	double bound;      /* requests/s that no schedule on these devices surpasses */
	bool grows;        /* more arrive than are served: the queue grows, and nothing has a percentile */
	bool proved;       /* `grows`, by the bound */
	/* Of load_play: requests that count, after those of a warm-up; steps of all; how often one lost its pages; owners
	 * that were played, of all alike; mean number of requests that wait or run, of all owners */
	int64_t requests, warmup, steps, interrupted, owners, all_owners;
	double in_flight, tokens; /* tokens/s of prompts and answers */
	double quarters[2]; /* s: the least and the largest 99th percentile of `ttft` among quarters of the requests */
	bool played;
	/* An upper end is INFINITY where steps as slow as the interval allows do not serve what arrives. So are all ends
	 * but perhaps the lower ones where the queue grows. */
	struct estimate of[LOADED][PERCENTILES];
	struct player *player;
};
/* NULL: the workload states no arrivals, or leaves lengths open. In the arena, which outlives it. */
struct load *deploy_load(const struct deploy *d, const struct schedule *s, struct arena *arena);
/* The percentiles, once. */
void load_play(struct load *l);
/* "8.00 sequences/s arrive, and 5.31 are served at most" */
const char *load_text(const struct load *l, struct arena *a);
/* What the requests need, "a request has 900 tokens of a prompt and 200 of an answer in the mean; ..." */
const char *load_sizes(const struct load *l, struct arena *a);

/* load_text.c: "8.25 requests/s" */
const char *load_rate(struct arena *a, double x);
/* A part of `deployc plan`, and of its JSON. */
void report_load(struct text *out, struct arena *a, const struct deploy *d, const struct load *l);
json_t *load_json(const struct deploy *d, const struct load *l);
#endif
