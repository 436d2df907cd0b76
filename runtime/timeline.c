/* The measured timeline of a rank's queues (--trace). Memory is bounded: a rank keeps its first events and counts the
 * others. */
#include <stdlib.h>
#include "meter.h"
#include "runtime.h"

static int64_t room_of(const struct plan *plan)
{
	int64_t room = TRACE_MAX_EVENTS / plan->head->ranks;
	return room > 64 ? room : 64;
}

void timeline_open(struct rank *r)
{
	r->timeline = host_alloc(1, sizeof *r->timeline);
	r->timeline->room = room_of(r->job->plan);
	r->timeline->at = host_alloc((size_t)r->timeline->room, sizeof *r->timeline->at);
}

void timeline_close(struct rank *r)
{
	if (r->timeline)
		free(r->timeline->at);
	free(r->timeline);
}

static void keep(struct timeline *t, const struct timed *x)
{
	if (t->n < t->room)
		t->at[t->n++] = *x;
	else
		t->dropped++;
}

static void end_layer(struct timeline *t)
{
	if (t->open.end)
		keep(t, &t->open);
	t->open.end = 0;
}

void timeline_add(struct rank *r, int32_t op, enum term_kind kind, enum queue queue, double sent, int64_t begin,
                  int64_t end)
{
	struct timeline *t = r->timeline;
	int32_t layer = r->frame.layer < 0 ? -1 : r->frame.first_layer + r->frame.layer;
	struct timed x = {begin, end, op, layer, r->microbatch, r->step.head->phase, (uint32_t)kind, (uint32_t)queue, sent};
	if (t->open.end && t->open.layer != layer)
		end_layer(t);
	if (!t->open.end) {
		t->open = x;
		t->open.op = -1;
	}
	t->open.end = end;
	keep(t, &x);
}

void timeline_end_microbatch(struct rank *r)
{
	if (r->timeline)
		end_layer(r->timeline);
}

/* ---- to rank 0 ------------------------------------------------------------------------------- */
void timeline_deliver(struct rank *r)
{
	const struct timeline *t = r->timeline;
	if (!r->index)
		return;
	int64_t head[2] = {t->n, t->dropped};
	r->comm->give(r->comm, head, sizeof head);
	r->comm->give(r->comm, t->at, (size_t)t->n * sizeof *t->at);
}
