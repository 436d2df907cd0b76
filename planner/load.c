/* Queues of a deployment: its scheduler's sizes, the times of its steps, how much it serves, and percentiles. */
#include "load.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "lengths.h"
#include "load_steps.h"
#include "metrics_text.h"
#include "planner.h"
#include "queue.h"

/* REQUESTS: that count, under a light load, and more under a heavier one; MAX_REQUESTS, MIN_REQUESTS: at most, at
 * least. ROWS: sequences that a scheduler visits in all steps of a queue, where a step or a page costs as much as
 * STEP_ROWS of them, and the time of a step that reads a prompt as READ_ROWS. SLOTS: sequences at a time of the owners
 * that are played. */
enum {
	REQUESTS = 4096,
	MAX_REQUESTS = 32768,
	MIN_REQUESTS = 128,
	ROWS = 20000000,
	STEP_ROWS = 32,
	READ_ROWS = 1000,
	SLOTS = 1024,
	MAX_SEQS = 1 << 16,
	MAX_USERS = 1 << 14
};

const char *loaded_name(enum loaded l)
{
	static const char *const names[LOADED] = {"ttft", "tpot", "latency"};
	return names[l];
}

const char *percentile_name(enum percentile p)
{
	static const char *const names[PERCENTILES] = {"p50", "p90", "p99"};
	return names[p];
}

double percentile_share(enum percentile p)
{
	static const double shares[PERCENTILES] = {0.5, 0.9, 0.99};
	return shares[p];
}

struct player {
	const struct deploy *deploy;
	const struct schedule *schedule;
	struct arena *arena;
	struct load_steps steps;
	struct scheduler_sizes sizes; /* of the owners that are played */
	double share;                 /* of all owners */
	struct lengths prompts, outputs;
	double prompt, output; /* means */
};

/* ---- sizes ------------------------------------------------------------------------------------ */

/* Owners are alike, and requests go round: a few of many owners stand for all. */
static struct scheduler_sizes sizes_of(const struct schedule *s, bool few_sizes, double *share)
{
	int64_t owners = s->groups.at[s->owner_group].size, fit = SLOTS / s->seqs;
	int64_t played = fit < 1 ? 1 : fit < owners ? fit : owners;
	struct scheduler_sizes out = {.owners = (int)played,
	                              .microbatches = (int)s->pipeline.microbatches,
	                              .seqs = (int)s->seqs,
	                              .adjusts = (int)s->adjusts,
	                              .page_size = (int)s->page,
	                              .page_multiple = (int)s->page_multiple,
	                              .token_multiple = (int)s->token_multiple,
	                              .row_multiple = (int)s->row_multiple,
	                              .n_pools = s->n_pools,
	                              .few_sizes = few_sizes};
	for (int i = 0; i < DR_PHASES; i++) {
		out.max_tokens[i] = (int)s->programs.at[i].max_tokens;
		out.max_rows[i] = (int)s->programs.at[i].max_rows;
	}
	for (int i = 0; i < s->n_pools; i++)
		out.pool[i] = (struct dr_pool){(uint32_t)pool_reach(&s->pool[i]), (uint32_t)s->pool[i].pages};
	*share = (double)played / (double)owners;
	return out;
}

/* The slowest first token, and the last one, of a request alone, of mean lengths. */
static double alone_seconds(struct player *p)
{
	struct step_load read = {DR_PREFILL, p->prompt, 1, p->prompt, 1},
					 grow = {DR_DECODE, 1, 1, p->prompt + p->output / 2, 1};
	double chunk = p->sizes.max_tokens[DR_PREFILL], steps = ceil(p->prompt / chunk);
	read.tokens = p->prompt / steps;
	return steps * load_step_seconds(&p->steps, &read, 1) + (p->output - 1) * load_step_seconds(&p->steps, &grow, 1);
}

/* ---- queues ----------------------------------------------------------------------------------- */

static struct arriving *requests_of(struct player *p, int64_t n, struct random *r)
{
	struct arriving *all = arena_array(p->arena, struct arriving, n);
	int64_t *length = arena_array(p->arena, int64_t, n);
	length_sample(&p->prompts, r, length, n);
	for (int64_t i = 0; i < n; i++)
		all[i].prompt = length[i];
	length_sample(&p->outputs, r, length, n);
	for (int64_t i = 0; i < n; i++)
		all[i].output = length[i];
	return all;
}

static struct queueing queue_of(struct player *p, struct arriving *requests, int64_t n)
{
	return (struct queueing){
		.sizes = p->sizes, .requests = requests, .n = n, .seconds = load_steps_seconds, .context = &p->steps};
}

static int by_end(const void *a, const void *b)
{
	double x = ((const struct arriving *)a)->last, y = ((const struct arriving *)b)->last;
	return (x > y) - (x < y);
}

/* Requests/s of the owners that are played while requests always wait: of the third quarter, and half of the last, of
 * those that all wait from the start. Those that begin together end at different times only after a while. The parts
 * are multiples of what runs at a time, so that equal requests, which always end together, are counted whole. */
static double play_capacity(struct player *p)
{
	int64_t slots = (int64_t)p->sizes.owners * p->sizes.seqs, waves = 8 * slots;
	double most = ROWS * (double)slots / (p->output * (double)(slots + STEP_ROWS));
	int64_t wanted = most < REQUESTS ? (int64_t)most : REQUESTS, n = (wanted + waves) / waves * waves;
	struct random r = {1};
	struct queueing q = queue_of(p, requests_of(p, n, &r), n);
	queue_play(&q);
	qsort(q.requests, (size_t)n, sizeof *q.requests, by_end);
	double begin = q.requests[n / 2 - 1].last, end = q.requests[7 * n / 8 - 1].last;
	return (double)(3 * n / 8) / (end - begin);
}

/* ---- bounds ----------------------------------------------------------------------------------- */

/* The least s of what a request needs, whatever else runs. */
struct least {
	double token; /* of each of its tokens, by operations; all owners compute at the same time */
	double read;  /* of a step that reads a prompt */
	double step;  /* of a step that grows a sequence */
};

static struct least least_of(struct player *p)
{
	int64_t all = p->sizes.microbatches;
	double chunk = p->sizes.max_tokens[DR_PREFILL], seqs = p->sizes.max_tokens[DR_DECODE];
	struct step_load full = {DR_PREFILL, chunk, chunk, 1, 1}, grown = {DR_DECODE, seqs, seqs, 1, 1},
					 one = {DR_PREFILL, 1, 1, 1, 1}, next = {DR_DECODE, 1, 1, 1, 1};
	double read = load_step(&p->steps, &full, all).by.compute / ((double)all * chunk);
	double grow = load_step(&p->steps, &grown, all).by.compute / ((double)all * seqs);
	return (struct least){fmin(read, grow), load_step(&p->steps, &one, 1).floor, load_step(&p->steps, &next, 1).floor};
}

/* Requests/s of the owners that are played: operations of their tokens, and a step for as many tokens as run at a time.
 */
static double rate_bound(const struct player *p, const struct least *least)
{
	double by_tokens = (double)p->sizes.owners / (least->token * (p->prompt + p->output - 1));
	double slots = (double)p->sizes.owners * p->sizes.seqs,
		   by_steps = slots / (fmin(least->step, least->read) * p->output);
	return fmin(by_tokens, by_steps);
}

static double first_least(const struct least *l, double prompt) { return fmax(l->read, l->token * prompt); }

/* The percentile of a sum is at least that of one part and the least of the other. */
static double bound_of(const struct player *p, const struct least *l, enum loaded what, enum percentile at)
{
	double u = percentile_share(at), prompt = (double)length_quantile(&p->prompts, u),
		   output = (double)length_quantile(&p->outputs, u);
	double shortest = (double)length_quantile(&p->prompts, 1e-12), fewest = (double)length_quantile(&p->outputs, 1e-12);
	switch (what) {
	case LOADED_TTFT: return first_least(l, prompt);
	case LOADED_TPOT: return l->step;
	default:
		return fmax(first_least(l, prompt) + (fewest - 1) * l->step, first_least(l, shortest) + (output - 1) * l->step);
	}
}

/* ---- percentiles ------------------------------------------------------------------------------ */

/* What the requests that count have, in rising order; `first` of latencies: the part up to the first token. */
struct lasted {
	double seconds, first;
};
struct values {
	struct lasted *of[LOADED];
	int64_t n[LOADED];
};

static int by_value(const void *a, const void *b)
{
	double x = ((const struct lasted *)a)->seconds, y = ((const struct lasted *)b)->seconds;
	return (x > y) - (x < y);
}

static struct values values_of(struct arena *a, const struct arriving *r, int64_t n)
{
	struct values v = {.n = {0}};
	for (int i = 0; i < LOADED; i++)
		v.of[i] = arena_array(a, struct lasted, n);
	for (int64_t i = 0; i < n; i++) {
		double first = r[i].first - r[i].arrival, all = r[i].last - r[i].arrival;
		v.of[LOADED_TTFT][v.n[LOADED_TTFT]++] = (struct lasted){first, first};
		v.of[LOADED_LATENCY][v.n[LOADED_LATENCY]++] = (struct lasted){all, first};
		if (r[i].output > 1)
			v.of[LOADED_TPOT][v.n[LOADED_TPOT]++] = (struct lasted){(all - first) / (double)(r[i].output - 1), 0};
	}
	for (int i = 0; i < LOADED; i++)
		qsort(v.of[i], (size_t)v.n[i], sizeof *v.of[i], by_value);
	return v;
}

/* The least value that a share of all does not pass. */
static struct lasted value_at(const struct values *v, enum loaded what, enum percentile p)
{
	int64_t n = v->n[what], i = (int64_t)ceil(percentile_share(p) * (double)n) - 1;
	return v->of[what][i < 0 ? 0 : i];
}

/* Numbers of requests: before those that count, those, and after them, while the others end. */
struct counts {
	int64_t before, count, after;
};

/* How many run in the mean, about. */
static double running_of(struct player *p, const struct queueing *q)
{
	const struct arrivals *a = &p->deploy->work.arrivals;
	double slots = (double)p->sizes.owners * p->sizes.seqs, alone = alone_seconds(p);
	double running = q->users ? (double)q->users * alone / (alone + a->think) : p->share * a->rate * alone;
	return running < 1 ? 1 : running > slots ? slots : running;
}

/* What a request costs, in sequences that a scheduler visits: its share of the steps in which it grows, steps that read
 * its prompt, and pages that come and go. */
static double visits_of(const struct player *p, double running, int64_t seqs)
{
	double step = (double)(p->sizes.owners * seqs + STEP_ROWS), pages = (p->prompt + p->output) / p->sizes.page_size;
	return p->output * step / running + STEP_ROWS * pages
	       + ceil(p->prompt / p->sizes.max_tokens[DR_PREFILL]) * (step + READ_ROWS);
}

/* As many as a budget of work allows, and more than are in flight. busy: the share of its capacity that the deployment
 * is used. */
static struct counts counts_of(const struct player *p, const struct queueing *q, double running, double busy)
{
	double wanted = REQUESTS / fmax(1 - busy, 0.01);
	double n = fmin(fmin(ROWS / visits_of(p, running, q->sizes.seqs), wanted), MAX_REQUESTS);
	double flight = fmax(running, (double)q->users);
	int64_t count = (int64_t)fmax(fmax(n, MIN_REQUESTS), 4 * running), some = (int64_t)(2 * flight);
	return (struct counts){some > count / 4 ? some : count / 4, count, some > count / 8 ? some : count / 8};
}

/* How far the 99th percentile depends on which requests came. */
static void set_quarters(struct load *l, const struct arriving *r, int64_t n)
{
	for (int i = 0; i < 4; i++) {
		struct values v = values_of(l->player->arena, r + i * (n / 4), n / 4);
		double p99 = value_at(&v, LOADED_TTFT, P99).seconds;
		l->quarters[0] = i && l->quarters[0] < p99 ? l->quarters[0] : p99;
		l->quarters[1] = i && l->quarters[1] > p99 ? l->quarters[1] : p99;
	}
}

/* When requests come that no user sends. All have ended long before `longest` has passed without one: a clock with
 * larger times would lose digits of small ones. */
static void set_arrivals(struct player *p, struct queueing *q, struct random *r, double longest)
{
	double *apart = arena_array(p->arena, double, q->n), now = 0;
	arrival_sample(&p->deploy->work.arrivals, r, apart, q->n);
	for (int64_t i = 0; i < q->n; i++)
		q->requests[i].arrival = now += fmin(apart[i] / p->share, longest);
}

/* What is in the mean of the requests that count. */
static void set_means(struct load *l, const struct queueing *q, struct counts c)
{
	const struct arriving *r = q->requests + c.before;
	double latency = 0, tokens = 0;
	for (int64_t i = 0; i < c.count; i++) {
		latency += r[i].last - r[i].arrival;
		tokens += (double)(r[i].prompt + r[i].output);
	}
	latency /= (double)c.count;
	l->requests = c.count, l->warmup = c.before, l->steps = q->steps, l->interrupted = q->interrupted;
	/* of users by Little's law: each waits for an answer, or thinks */
	l->offered = q->users ? (double)q->users / (latency + q->think) / l->player->share : l->offered;
	l->in_flight = l->offered * latency;
	l->tokens = l->offered * tokens / (double)c.count;
	set_quarters(l, r, c.count);
}

/* Plays the queue with steps that take `slower` times as long, and returns what the requests that count have. A
 * scheduler visits all rows of its page table in a step; where few are used, one with fewer makes the same steps. */
static struct values play(struct load *l, double slower, bool keep)
{
	struct player *p = l->player;
	const struct arrivals *a = &p->deploy->work.arrivals;
	struct queueing q = queue_of(p, NULL, 0);
	bool users = a->law == ARRIVAL_USERS;
	q.users = users ? llround(fmax(1, p->share * (double)a->users)) : 0;
	q.think = a->think;
	double running = running_of(p, &q), rows = 64 + 8 * running / p->sizes.owners;
	q.sizes.seqs = rows < p->sizes.seqs ? (int)rows : p->sizes.seqs;
	struct counts c = counts_of(p, &q, running, users ? 0 : l->offered * slower / l->capacity);
	q.n = c.before + c.count + c.after;
	for (;;) {
		struct random r = {2};
		q.requests = requests_of(p, q.n, &r);
		for (int64_t i = 0; i < q.users && i < q.n; i++) /* they think when the queue begins */
			q.requests[i].arrival = random_unit(&r) * q.think;
		if (!users)
			set_arrivals(p, &q, &r, 1e5 * slower * alone_seconds(p));
		p->steps.slower = slower;
		queue_play(&q);
		p->steps.slower = 1;
		if (!q.full || q.sizes.seqs == p->sizes.seqs)
			break;
		q.sizes.seqs = p->sizes.seqs;
	}
	if (keep)
		set_means(l, &q, c);
	return values_of(p->arena, q.requests + c.before, c.count);
}

static struct interval interval_for(const struct player *p, enum loaded what)
{
	bool experts = planner_has_experts(p->deploy->program);
	enum interval_kind kind = what == LOADED_TTFT ? INTERVAL_LOADED_FIRST_TOKEN
	                          : experts           ? INTERVAL_TPOT_EXPERTS
	                                              : INTERVAL_TPOT_DENSE;
	return timing_interval(&p->steps.timing, kind);
}

/* Both parts of a latency are off by what their tables say. */
static struct estimate loaded_estimate(const struct player *p, enum loaded what, struct lasted v, double bound)
{
	if (what != LOADED_LATENCY)
		return estimate_of(v.seconds, interval_for(p, what), false, bound);
	struct estimate first = estimate_of(v.first, interval_for(p, LOADED_TTFT), false, NAN),
					rest = estimate_of(v.seconds - v.first, interval_for(p, LOADED_TPOT), false, NAN);
	return (struct estimate){v.seconds,
	                         fmax(first.low80 + rest.low80, bound),
	                         first.high80 + rest.high80,
	                         fmax(first.low90 + rest.low90, bound),
	                         first.high90 + rest.high90,
	                         bound,
	                         NULL};
}

/* Slower steps make a longer queue: an upper end is at least what is played with them. */
static void raise_ends(struct load *l, double slower, bool ninety)
{
	bool open = l->player->deploy->work.arrivals.law != ARRIVAL_USERS,
		 ends = !open || l->offered * slower < l->capacity;
	struct values v = {.n = {0}};
	if (!open)
		return;
	if (ends)
		v = play(l, slower, false);
	for (int what = 0; what < LOADED; what++)
		for (int at = 0; at < PERCENTILES; at++) {
			struct estimate *e = &l->of[what][at];
			double *end = ninety ? &e->high90 : &e->high80;
			if (isnan(e->value))
				continue;
			*end = !ends ? (double)INFINITY : fmax(*end, value_at(&v, (enum loaded)what, (enum percentile)at).seconds);
		}
}

/* All that is known where more arrives than is served: whether the queue grows even with the fastest steps of an
 * interval. */
static void set_growing(struct load *l, const struct least *least, const struct interval *i)
{
	for (int what = 0; what < LOADED; what++)
		for (int at = 0; at < PERCENTILES; at++) {
			double bound = bound_of(l->player, least, (enum loaded)what, (enum percentile)at);
			struct estimate *e = &l->of[what][at];
			*e = (struct estimate){INFINITY,
			                       bound,
			                       INFINITY,
			                       bound,
			                       INFINITY,
			                       l->proved ? (double)INFINITY : bound,
			                       load_text(l, l->player->arena)};
			if (l->proved || l->offered * i->low80 >= l->capacity)
				e->low80 = INFINITY;
			if (l->proved || l->offered * i->low90 >= l->capacity)
				e->low90 = INFINITY;
		}
}

void load_play(struct load *l)
{
	struct player *p = l->player;
	if (l->played)
		return;
	l->played = true;
	struct least least = least_of(p);
	struct interval steps = timing_interval(&p->steps.timing, INTERVAL_BATCH);
	if (l->grows) {
		set_growing(l, &least, &steps);
		return;
	}
	struct values v = {.n = {0}};
	if (!l->lacks)
		v = play(l, 1, true);
	for (int what = 0; what < LOADED; what++)
		for (int at = 0; at < PERCENTILES; at++) {
			struct estimate *e = &l->of[what][at];
			double bound = bound_of(p, &least, (enum loaded)what, (enum percentile)at);
			*e = estimate_missing(l->lacks ? l->lacks : "every answer has one token");
			if (!l->lacks && v.n[what] > 0)
				*e = loaded_estimate(p, (enum loaded)what, value_at(&v, (enum loaded)what, (enum percentile)at), bound);
			e->bound = bound;
		}
	if (l->lacks)
		return;
	raise_ends(l, steps.high80, false);
	raise_ends(l, steps.high90, true);
}

/* ---- capacity --------------------------------------------------------------------------------- */

const char *load_text(const struct load *l, struct arena *a)
{
	const char *come = load_rate(a, l->offered);
	return l->proved ? arena_printf(a, "%s arrive, and no schedule on these devices serves more than %s", come,
	                                load_rate(a, l->bound))
	                 : arena_printf(a, "%s arrive, and %s are served at most", come, load_rate(a, l->capacity));
}

const char *load_sizes(const struct load *l, struct arena *a)
{
	const struct player *p = l->player;
	return arena_printf(a, "in the mean, a prompt has %.4g tokens and an answer %.4g; %lld sequences run at a time",
	                    p->prompt, p->output, (long long)(l->all_owners * p->sizes.seqs));
}

static const char *what_lacks(struct player *p)
{
	struct step_load one = {DR_DECODE, 1, 1, 1, 1}, read = {DR_PREFILL, 1, 1, 1, 1};
	const struct lengths *in = &p->prompts, *out = &p->outputs;
	int64_t room = p->schedule->pool[0].pages < p->schedule->pages_per_seq ? p->schedule->pool[0].pages
	                                                                       : p->schedule->pages_per_seq;
	if (p->schedule->seqs > MAX_SEQS)
		return "an owner has too many sequences for a queue to be played";
	if (scheduler_positions((int)in->hi, (int)out->hi) > room * p->schedule->page)
		return "the cache does not hold the longest sequence";
	if ((double)p->deploy->work.arrivals.users * p->share > MAX_USERS)
		return "an owner has too many users for a queue to be played";
	load_step(&p->steps, &one, 1);
	load_step(&p->steps, &read, 1);
	return p->steps.timing.lacks;
}

struct load *deploy_load(const struct deploy *d, const struct schedule *s, struct arena *arena)
{
	const struct workload *w = &d->work;
	if (!s || w->training || w->arrivals.law == ARRIVAL_NONE || w->prompts.law == LENGTH_UNKNOWN
	    || w->outputs.law == LENGTH_UNKNOWN)
		return NULL;
	struct load *l = arena_new(arena, struct load);
	struct player *p = l->player = arena_new(arena, struct player);
	bool gpu = s->target.image != DR_IMAGE_FUNCTIONS;
	*p = (struct player){.deploy = d, .schedule = s, .arena = arena, .prompts = w->prompts, .outputs = w->outputs};
	p->steps = load_steps_of(s, arena);
	gpu |= figure_known(p->steps.timing.silicon.multiprocessors);
	p->sizes = sizes_of(s, gpu, &p->share);
	l->owners = p->steps.owners = p->sizes.owners;
	l->all_owners = s->groups.at[s->owner_group].size;
	l->lacks = what_lacks(p);
	p->prompt = length_mean(&p->prompts), p->output = length_mean(&p->outputs);
	p->steps.parts = p->prompt > p->sizes.max_tokens[DR_PREFILL];
	struct least least = least_of(p);
	l->bound = rate_bound(p, &least) / p->share;
	l->bound = isfinite(l->bound) ? l->bound : (double)NAN;
	l->offered = w->arrivals.law == ARRIVAL_USERS ? (double)NAN : w->arrivals.rate;
	l->capacity = l->lacks ? (double)NAN : play_capacity(p) / p->share;
	l->proved = l->offered > l->bound;
	l->grows = l->proved || l->offered >= l->capacity;
	return l;
}
