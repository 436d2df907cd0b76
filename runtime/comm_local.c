/* The local communicator: its memory, host values, messages between stages. */
#include "comm_local.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "../support/round.h"
#include "number.h"

enum { HOST_BYTES = 1 << 15 };

/* Parts of the mapping start on cache lines. */
static size_t whole_lines(size_t bytes) { return (size_t)round_up((int64_t)bytes, 64); }

/* Allocates one mapping for everything. */
struct comm_shared *comm_local_share(const struct plan *plan)
{
	const struct dr_program *h = plan->head;
	size_t ranks = h->ranks, data_size = h->comm_staging / 2 / 64 * 64,
		   box_size = plan->n_stages > 1 ? h->comm_mailbox : 0;
	size_t sizes[] = {whole_lines(sizeof(struct comm_shared)),
	                  ranks * sizeof(struct port),
	                  ranks * sizeof(struct port),
	                  ranks * sizeof(struct mail),
	                  whole_lines(ranks * h->comm_staging),
	                  ranks * 2 * HOST_BYTES,
	                  ranks * 2 * box_size};
	enum { PARTS = sizeof sizes / sizeof sizes[0] };
	unsigned char *at[PARTS];
	size_t total = 0;
	for (int i = 0; i < PARTS; i++)
		total += sizes[i];
	at[0] = shared_alloc(total);
	if (!at[0])
		return NULL;
	for (int i = 1; i < PARTS; i++)
		at[i] = at[i - 1] + sizes[i - 1];
	struct comm_shared *s = (struct comm_shared *)(void *)at[0];
	*s = (struct comm_shared){total,
	                          (struct port *)(void *)at[1],
	                          (struct port *)(void *)at[2],
	                          (struct mail *)(void *)at[3],
	                          at[4],
	                          at[5],
	                          at[6],
	                          data_size,
	                          HOST_BYTES,
	                          box_size};
	return s;
}

void comm_local_unshare(struct comm_shared *s) { munmap(s, s->total); }

/* ---- host values ----------------------------------------------------------------------------- */
static void local_broadcast(struct comm *comm, int group, void *bytes, size_t n)
{
	struct local_comm *c = (struct local_comm *)comm;
	int members = plan_group_size(c->plan, group);
	bool root = plan_group_index(c->plan, group, c->reporter.rank) == 0;
	for (size_t at = 0; at < n && members > 1; at += c->host.size) {
		size_t part = n - at < c->host.size ? n - at : c->host.size;
		if (root) {
			memcpy(port_acquire(c, &c->host), (char *)bytes + at, part);
			port_publish(c, &c->host, group, members - 1);
			continue;
		}
		c->host.count[group]++;
		port_wait(c, &c->host, group, 0);
		memcpy((char *)bytes + at, c->part[0], part);
		port_release(c, &c->host, group, 0);
	}
}

/* Sends parts of at most a buffer; 0 bytes are one part. Each is published to one reader, under a group of its own. */
static void local_give(struct comm *comm, const void *bytes, size_t n)
{
	struct local_comm *c = (struct local_comm *)comm;
	size_t at = 0;
	do {
		size_t part = n - at < c->host.size ? n - at : c->host.size;
		memcpy(port_acquire(c, &c->host), (const char *)bytes + at, part);
		port_publish(c, &c->host, c->plan->n_groups + 1, 1);
		at += part;
	} while (at < n);
}

static void local_take(struct comm *comm, int rank, void *bytes, size_t n)
{
	struct local_comm *c = (struct local_comm *)comm;
	int everyone = c->plan->n_groups;
	size_t at = 0;
	do {
		size_t part = n - at < c->host.size ? n - at : c->host.size;
		port_wait_for(c, &c->host, rank, ++c->taken[rank], everyone + 1, rank);
		memcpy((char *)bytes + at, c->part[rank], part);
		port_release(c, &c->host, everyone, rank);
		at += part;
	} while (at < n);
}

static int32_t meet(struct local_comm *c, int group, int32_t value)
{
	int members = plan_group_size(c->plan, group);
	*(int32_t *)port_acquire(c, &c->host) = value;
	port_publish(c, &c->host, group, members);
	for (int i = 0; i < members; i++) {
		port_wait(c, &c->host, group, i);
		int32_t other = *(const int32_t *)c->part[i];
		value = other > value ? other : value;
		port_release(c, &c->host, group, i);
	}
	return value;
}

static int32_t local_max(struct comm *comm, int group, int32_t value)
{
	return meet((struct local_comm *)comm, group, value);
}

static void local_barrier(struct comm *comm, int group) { meet((struct local_comm *)comm, group, 0); }

/* ---- messages between stages ----------------------------------------------------------------- */
static unsigned char *box(const struct local_comm *c, int rank, unsigned number)
{
	return c->shared->boxes + ((size_t)rank * 2 + number % 2) * c->shared->box_size;
}

static uint64_t message_bytes(const struct local_comm *c, const struct collective_args *x)
{
	uint64_t bytes = (uint64_t)x->outer * (uint64_t)x->block * dtype_size(x->dtype);
	if (bytes > c->shared->box_size)
		rank_fail(&c->reporter, "internal: a message of %llu bytes between stages, planned are %zu",
		          (unsigned long long)bytes, c->shared->box_size);
	return bytes;
}

static void local_send(struct comm *comm, const struct collective_args *x)
{
	struct local_comm *c = (struct local_comm *)comm;
	int index = plan_group_index(c->plan, x->group, c->reporter.rank);
	int next = plan_group_member(c->plan, x->group, c->reporter.rank, index + 1);
	if (index + 1 == plan_group_size(c->plan, x->group))
		rank_fail(&c->reporter, "internal: the last stage sends");
	struct mail *m = &c->shared->mail[next];
	uint64_t bytes = message_bytes(c, x);
	unsigned number = atomic_load(&m->sent.value), taken;
	while (number - (taken = atomic_load(&m->taken.value)) >= 2)
		local_await(c, &m->taken, taken, next);
	c->device->read(c->device, box(c, next, number), flat(x->src, bytes));
	m->bytes[number % 2] = bytes;
	event_add(&m->sent, 1);
}

static void local_recv(struct comm *comm, const struct collective_args *x)
{
	struct local_comm *c = (struct local_comm *)comm;
	int me = c->reporter.rank, index = plan_group_index(c->plan, x->group, me);
	if (index == 0)
		rank_fail(&c->reporter, "internal: the first stage receives");
	struct mail *m = &c->shared->mail[me];
	uint64_t bytes = message_bytes(c, x);
	unsigned number = atomic_load(&m->taken.value), sent;
	while ((sent = atomic_load(&m->sent.value)) == number)
		local_await(c, &m->sent, sent, plan_group_member(c->plan, x->group, me, index - 1));
	if (m->bytes[number % 2] != bytes)
		rank_fail(&c->reporter, "internal: a message of %llu bytes came, %llu were expected",
		          (unsigned long long)m->bytes[number % 2], (unsigned long long)bytes);
	c->device->write(c->device, flat(x->dst, bytes), box(c, me, number));
	event_add(&m->taken, 1);
}

/* ---- start and end --------------------------------------------------------------------------- */
static void local_close(struct comm *comm)
{
	struct local_comm *c = (struct local_comm *)comm;
	free(c->data.count);
	free(c->host.count);
	free(c->taken);
	free(c->part);
	free(c->half);
	free(c);
}

static struct channel channel_open(const struct plan *plan, struct port *ports, unsigned char *bytes, size_t size)
{
	return (struct channel){ports, bytes, size, host_alloc((size_t)plan->n_groups + 2, sizeof(uint64_t)), 0};
}

struct comm *comm_local_open(struct comm_shared *s, const struct plan *plan, struct device *d, const struct reporter *r,
                             bool spin)
{
	struct local_comm *c = host_alloc(1, sizeof *c);
	c->comm = (struct comm){local_all_reduce,
	                        local_reduce_scatter,
	                        local_all_gather,
	                        local_all_to_all,
	                        local_send,
	                        local_recv,
	                        local_broadcast,
	                        local_max,
	                        local_give,
	                        local_take,
	                        local_barrier,
	                        local_close,
	                        false};
	c->plan = plan;
	c->device = d;
	c->reporter = *r;
	c->shared = s;
	c->data = channel_open(plan, s->data_ports, s->data, s->data_size);
	c->host = channel_open(plan, s->host_ports, s->host, s->host_size);
	c->taken = host_alloc(plan->head->ranks, sizeof *c->taken);
	c->spins = spin ? MAX_SPINS : 0;
	c->part = host_alloc(plan->head->ranks, sizeof *c->part);
	c->half = host_alloc(plan->head->ranks, sizeof *c->half);
	return &c->comm;
}
