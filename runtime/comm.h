/* The interface between the runtime and what connects ranks. All members of a group call the same functions in the same
 * order. Groups are those of the program; group n_groups is all ranks. Addresses are on the device, sizes are in
 * elements, and src and dst are laid out as enum dr_collective_kind says. A wait ends when another rank has failed; the
 * parent ends all ranks when one makes no progress (watch.c). */
#ifndef DEPLOY_COMM_H
#define DEPLOY_COMM_H
#include "device.h"
#include "plan.h"

struct comm;
struct collective_args {
	int group;
	uint32_t dtype;
	uint64_t src, dst;
	int64_t outer, block, dst_block; /* dst_block: all_to_all */
};

struct comm {
	/* The same plan gives the same bits. On the host sums are in f32 (i32: in i32), in the order of the members. */
	void (*all_reduce)(struct comm *c, const struct collective_args *x);
	void (*reduce_scatter)(struct comm *c, const struct collective_args *x);
	void (*all_gather)(struct comm *c, const struct collective_args *x);
	void (*all_to_all)(struct comm *c, const struct collective_args *x);
	/* To the next member, from the previous one. On the host send waits while two messages are on their way; on devices
	 * messages are queued. */
	void (*send)(struct comm *c, const struct collective_args *x);
	void (*recv)(struct comm *c, const struct collective_args *x);
	/* Copies host bytes of member 0 to all. */
	void (*broadcast)(struct comm *c, int group, void *bytes, size_t n);
	/* The maximum of the members' values. */
	int32_t (*max)(struct comm *c, int group, int32_t value);
	/* Copies n host bytes of a rank to rank 0, which takes from all others in the order of ranks. Both sides pass the
	 * same n, which may be 0. take waits for give; give may return earlier. */
	void (*give)(struct comm *c, const void *bytes, size_t n);
	void (*take)(struct comm *c, int rank, void *bytes, size_t n);
	/* Returns when all members have called it. */
	void (*barrier)(struct comm *c, int group);
	void (*close)(struct comm *c);
	bool queued; /* collectives and messages are queued on the device, so a graph can have them */
};

/* comm_local.c: ranks of one host, through memory inherited across fork. */
struct comm_shared;
struct comm_shared *comm_local_share(const struct plan *plan); /* before fork; NULL: no memory left */
void comm_local_unshare(struct comm_shared *s);
struct comm *comm_local_open(struct comm_shared *s, const struct plan *plan, struct device *d, const struct reporter *r,
                             bool spin);

/* comm_nccl.c: collectives of GPUs, on top of the communicator of their hosts, which keeps host values and is closed
 * with it. d: a cuda device. staging: device address of head->comm_device bytes. Sums are NCCL's: in the format of the
 * numbers, in an order of its own, which is the same in each run. */
struct comm *comm_nccl_open(struct comm *host, const struct plan *plan, struct device *d, uint64_t staging,
                            const struct reporter *r);
#endif
