/* How ranks of one host hand bytes to each other. comm_ports.c has the protocol of ports, comm_collectives.c the
 * collectives on them, comm_local.c host values, messages between stages, and the communicator. */
#ifndef DEPLOY_COMM_LOCAL_H
#define DEPLOY_COMM_LOCAL_H
#include <stdatomic.h>
#include "comm.h"
#include "event.h"

/* A rank gives data to others through two buffers, used in turn. A buffer is published under a tag to a number of
 * readers. Its rank may reuse it when all of them have released it, so an exchange needs no second synchronization. */
struct port {
	_Alignas(64) struct event published, released;
	_Alignas(64) atomic_ullong tag[2];
	atomic_int readers[2];
};
/* The ports of all ranks, as one rank sees them. */
struct channel {
	struct port *ports;
	unsigned char *bytes; /* [ranks][2][size] */
	size_t size;          /* bytes of a buffer */
	uint64_t *count;      /* [groups + 2]: exchanges of this rank in each group so far; the last entry is for `give` */
	unsigned next_buffer; /* next buffer */
};
/* Messages to a rank: `sent` - `taken` of them are in its two boxes. One writer, one reader. */
struct mail {
	_Alignas(64) struct event sent, taken;
	uint64_t bytes[2];
};

/* Header of the shared mapping, at the same address in every rank. */
struct comm_shared {
	size_t total; /* bytes of the mapping */
	struct port *data_ports, *host_ports;
	struct mail *mail;
	unsigned char *data, *host, *boxes;
	size_t data_size, host_size, box_size;
};

struct local_comm {
	struct comm comm;
	const struct plan *plan;
	struct device *device;
	struct reporter reporter;
	struct comm_shared *shared;
	struct channel data, host;
	uint64_t *taken; /* [ranks]: parts that this rank has taken from each */
	int spins;
	/* Buffers of the current exchange, by member. */
	const void **part;
	int *half;
};

/* Waits until the event differs from `seen`; the caller then checks its condition again. peer: the rank waited for; -1:
 * readers. */
void local_await(struct local_comm *c, struct event *e, unsigned seen, int peer);
/* Waits for a buffer of this rank's port without readers. */
void *port_acquire(struct local_comm *c, struct channel *ch);
/* Publishes the acquired buffer to `readers` members of the group. */
void port_publish(struct local_comm *c, struct channel *ch, int group, int readers);
/* Waits until a rank has published exchange number `count` of a group. c->part[i] is its buffer. */
void port_wait_for(struct local_comm *c, struct channel *ch, int rank, uint64_t count, int group, int i);
/* Waits for member i; c->part[i] is its buffer until port_release. */
void port_wait(struct local_comm *c, struct channel *ch, int group, int i);
void port_wait_all(struct local_comm *c, struct channel *ch, int group);
void port_release(struct local_comm *c, struct channel *ch, int group, int i);
void port_release_all(struct local_comm *c, struct channel *ch, int group);

/* comm_collectives.c */
void local_all_reduce(struct comm *c, const struct collective_args *x);
void local_reduce_scatter(struct comm *c, const struct collective_args *x);
void local_all_gather(struct comm *c, const struct collective_args *x);
void local_all_to_all(struct comm *c, const struct collective_args *x);
#endif
