/* A queue in virtual time: steps follow each other, as in a launcher; those that arrive during a step enter the next
 * one. */
#include "queue.h"
#include "../runtime/host_alloc.h"

/* A request that waits or runs. */
struct guest {
	struct sequence sequence; /* first: the scheduler returns pointers to it */
	int64_t request, user;
};
struct play {
	struct queueing *queue;
	struct scheduler *scheduler;
	struct guest *guest; /* [n] */
	/* Of users: when each sends its next request; a heap by time, then by number. */
	struct due {
		double at;
		int64_t user;
	} *due;
	int64_t n_due, next; /* next: the request that arrives next */
	double now;
};

/* ---- users ----------------------------------------------------------------------------------- */

static bool before(const struct due *a, const struct due *b)
{
	return a->at < b->at || (a->at == b->at && a->user < b->user);
}

static void push_due(struct play *p, struct due d)
{
	int64_t at = p->n_due++;
	for (int64_t above; at > 0 && before(&d, &p->due[above = (at - 1) / 2]); at = above)
		p->due[at] = p->due[above];
	p->due[at] = d;
}

static struct due pop_due(struct play *p)
{
	struct due first = p->due[0], last = p->due[--p->n_due];
	int64_t at = 0;
	for (int64_t least; (least = 2 * at + 1) < p->n_due; at = least) {
		if (least + 1 < p->n_due && before(&p->due[least + 1], &p->due[least]))
			least++;
		if (!before(&p->due[least], &last))
			break;
		p->due[at] = p->due[least];
	}
	p->due[at] = last;
	return first;
}

/* ---- arrivals -------------------------------------------------------------------------------- */

static bool any_left(const struct play *p) { return p->next < p->queue->n && (!p->queue->users || p->n_due); }

static double next_arrival(const struct play *p)
{
	return p->queue->users ? p->due[0].at : p->queue->requests[p->next].arrival;
}

static void arrive(struct play *p)
{
	struct queueing *q = p->queue;
	struct arriving *r = &q->requests[p->next];
	struct guest *g = &p->guest[p->next];
	*g = (struct guest){.request = p->next++};
	if (q->users) {
		struct due d = pop_due(p);
		r->arrival = d.at;
		g->user = d.user;
	}
	g->sequence.n_prompt = (int)r->prompt;
	g->sequence.max_tokens = (int)r->output;
	scheduler_add(p->scheduler, &g->sequence);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void take_token(struct play *p, struct sequence *s)
{
	struct queueing *q = p->queue;
	struct guest *g = (struct guest *)s;
	struct arriving *r = &q->requests[g->request];
	if (s->n_out++ == 0)
		r->first = p->now;
	if (s->n_out < s->max_tokens)
		return;
	r->last = p->now;
	scheduler_remove(p->scheduler, s);
	if (q->users)
		push_due(p, (struct due){p->now + q->think, g->user});
}

static void take_tokens(struct play *p, const struct chosen_step *step)
{
	for (int m = 0; m < step->microbatches; m++)
		for (int owner = 0; owner < p->queue->sizes.owners; owner++) {
			const struct pieces *pieces = &step->microbatch[m].owner[owner];
			for (int i = 0; i < pieces->n; i++)
				if (pieces->at[i].wanted)
					take_token(p, pieces->at[i].sequence);
		}
}

void queue_play(struct queueing *q)
{
	struct play p = {.queue = q, .scheduler = scheduler_open(&q->sizes)};
	p.guest = host_alloc((size_t)q->n, sizeof *p.guest);
	p.due = host_alloc((size_t)q->users, sizeof *p.due);
	for (int64_t i = 0; i < q->users && i < q->n; i++)
		push_due(&p, (struct due){q->requests[i].arrival, i});
	for (q->steps = 0;; q->steps++) {
		while (any_left(&p) && next_arrival(&p) <= p.now)
			arrive(&p);
		const struct chosen_step *step = scheduler_next(p.scheduler);
		while (!step && any_left(&p)) {
			p.now = next_arrival(&p);
			while (any_left(&p) && next_arrival(&p) <= p.now)
				arrive(&p);
			step = scheduler_next(p.scheduler);
		}
		if (!step)
			break;
		for (int i = 0; i < q->sizes.owners; i++)
			q->full |= scheduler_running(p.scheduler, i, q->sizes.seqs - 1) != NULL;
		p.now += q->seconds(q->context, step);
		take_tokens(&p, step);
	}
	q->end = p.now;
	q->interrupted = scheduler_interrupted(p.scheduler);
	scheduler_close(p.scheduler);
	host_free(p.guest);
	host_free(p.due);
}
