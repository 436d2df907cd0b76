/* The communicator of GPUs, as its files share it: comm_nccl.c starts and ends it and has host values, which it leaves
 * to the host's communicator; comm_nccl_collectives.c queues collectives on the GPU's stream; comm_nccl_wait.c has
 * errors, and where the GPU is. */
#ifndef DEPLOY_COMM_NCCL_H
#define DEPLOY_COMM_NCCL_H
#include "comm.h"
#include "device_cuda.h"
#include "nccl_api.h"

/* A collective that was queued: events before and after it, and what it is for. Numbers count on. */
enum { TRAVELS = 512 };
struct travel {
	CUevent begin, end;
	int op, layer;
};

struct nccl_comm {
	struct comm comm;
	struct comm *host;
	const struct plan *plan;
	struct cuda *cuda;
	struct reporter reporter;
	void *library; /* NULL: no group has two members */
#define CALL(type, name, parameters) type(*name) parameters;
#include "nccl_api.def"
	ncclComm_t world, *of_group; /* [n_groups + 1]; NULL: no collective needs it */
	uint64_t staging;            /* device address of head->comm_device bytes */
	struct travel travel[TRAVELS];
	unsigned begun, ended; /* number n is at n % TRAVELS */
	bool in_graphs;        /* graphs have collectives, which are not followed */
};

/* ---- comm_nccl_wait.c ---- */
/* Before a call in which the host may wait for other ranks: the launcher knows when all ranks do. */
void nccl_waits(struct nccl_comm *c);
/* The result of a call: waits while it goes on, and ends the rank if it failed. comm: what it was called on. */
void nccl_check(struct nccl_comm *c, ncclComm_t comm, ncclResult_t result, const char *what);
/* Around each collective. */
void nccl_begin(struct nccl_comm *c);
void nccl_end(struct nccl_comm *c);
/* For the device: looks for errors of queued work. true: the GPU waits for other ranks. */
bool nccl_poll(void *comm);

/* ---- comm_nccl_collectives.c ---- */
void nccl_all_reduce(struct comm *c, const struct collective_args *x);
void nccl_reduce_scatter(struct comm *c, const struct collective_args *x);
void nccl_all_gather(struct comm *c, const struct collective_args *x);
void nccl_all_to_all(struct comm *c, const struct collective_args *x);
void nccl_send(struct comm *c, const struct collective_args *x);
void nccl_recv(struct comm *c, const struct collective_args *x);
#endif
