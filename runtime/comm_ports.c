/* Ports: a rank publishes bytes for others, and waits for theirs. */
#include "comm_local.h"

static const int64_t SLICE = 100000000; /* ns between checks whether another rank failed */

/* ---- waiting --------------------------------------------------------------------------------- */
void local_await(struct local_comm *c, struct event *e, unsigned seen, int peer)
{
	atomic_int *waits_for = &c->reporter.board->rank[c->reporter.rank].waits_for;
	atomic_store_explicit(waits_for, peer < 0 ? WAITS_FOR_READERS : peer, memory_order_relaxed);
	while (!event_wait(e, seen, &c->spins, now_ns() + SLICE))
		if (board_failed(&c->reporter))
			rank_fail(&c->reporter, "another rank failed");
	atomic_store_explicit(waits_for, WAITS_FOR_NONE, memory_order_relaxed);
}

/* ---- ports ----------------------------------------------------------------------------------- */
static unsigned char *port_bytes(const struct channel *ch, int rank, int half)
{
	return ch->bytes + ((size_t)rank * 2 + (size_t)half) * ch->size;
}

void *port_acquire(struct local_comm *c, struct channel *ch)
{
	int half = ch->next_buffer & 1;
	struct port *p = &ch->ports[c->reporter.rank];
	for (;;) {
		unsigned seen = atomic_load(&p->released.value);
		if (atomic_load(&p->readers[half]) == 0)
			return port_bytes(ch, c->reporter.rank, half);
		local_await(c, &p->released, seen, -1);
	}
}

/* A tag is the number of the exchange in its group, and the group in the low bits. Tags are never reused. */
static unsigned long long tag(uint64_t count, int group) { return (unsigned long long)count << 16 | (unsigned)group; }

void port_publish(struct local_comm *c, struct channel *ch, int group, int readers)
{
	int half = ch->next_buffer++ & 1;
	struct port *p = &ch->ports[c->reporter.rank];
	ch->count[group]++;
	atomic_store(&p->readers[half], readers);
	atomic_store(&p->tag[half], tag(ch->count[group], group));
	event_add(&p->published, 1);
}

void port_wait_for(struct local_comm *c, struct channel *ch, int rank, uint64_t count, int group, int i)
{
	struct port *p = &ch->ports[rank];
	unsigned long long expected = tag(count, group);
	for (;;) {
		unsigned seen = atomic_load(&p->published.value);
		for (int half = 0; half < 2; half++) {
			if (atomic_load(&p->tag[half]) != expected)
				continue;
			c->part[i] = port_bytes(ch, rank, half);
			c->half[i] = half;
			return;
		}
		local_await(c, &p->published, seen, rank);
	}
}

void port_wait(struct local_comm *c, struct channel *ch, int group, int i)
{
	port_wait_for(c, ch, plan_group_member(c->plan, group, c->reporter.rank, i), ch->count[group], group, i);
}

void port_release(struct local_comm *c, struct channel *ch, int group, int i)
{
	struct port *p = &ch->ports[plan_group_member(c->plan, group, c->reporter.rank, i)];
	if (atomic_fetch_sub(&p->readers[c->half[i]], 1) == 1)
		event_add(&p->released, 1);
}

void port_wait_all(struct local_comm *c, struct channel *ch, int group)
{
	for (int i = 0; i < plan_group_size(c->plan, group); i++)
		port_wait(c, ch, group, i);
}

void port_release_all(struct local_comm *c, struct channel *ch, int group)
{
	for (int i = 0; i < plan_group_size(c->plan, group); i++)
		port_release(c, ch, group, i);
}
