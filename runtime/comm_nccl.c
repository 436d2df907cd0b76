/* The communicator of GPUs: NCCL, which is opened at run time, for what is on the device; the host's communicator for
 * values of the host. */
#include "comm_nccl.h"
#include <dlfcn.h>
#include <stdlib.h>

enum { MIN_VERSION = 21800 /* has ncclCommSplit */ };

/* ---- host values ----------------------------------------------------------------------------- */
static struct comm *host_of(struct comm *comm) { return ((struct nccl_comm *)comm)->host; }

static void host_broadcast(struct comm *comm, int group, void *bytes, size_t n)
{
	host_of(comm)->broadcast(host_of(comm), group, bytes, n);
}

static int32_t host_max(struct comm *comm, int group, int32_t value)
{
	return host_of(comm)->max(host_of(comm), group, value);
}

static void host_give(struct comm *comm, const void *bytes, size_t n) { host_of(comm)->give(host_of(comm), bytes, n); }

static void host_take(struct comm *comm, int rank, void *bytes, size_t n)
{
	host_of(comm)->take(host_of(comm), rank, bytes, n);
}

static void host_barrier(struct comm *comm, int group) { host_of(comm)->barrier(host_of(comm), group); }

/* ---- the library ----------------------------------------------------------------------------- */
static void find_calls(struct nccl_comm *c)
{
	int version = 0;
	c->library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
	if (!c->library)
		rank_fail(
			&c->reporter,
			"NCCL cannot be opened (%s), and ranks on GPUs need it: install libnccl2, or Python's nvidia-nccl-cu12 "
			"and name its folder in LD_LIBRARY_PATH",
			dlerror());
#define CALL(type, name, parameters)               \
	*(void **)&c->name = dlsym(c->library, #name); \
	if (!c->name)                                  \
		rank_fail(&c->reporter, "NCCL lacks " #name ": install version 2.18 or later");
#include "nccl_api.def"
	nccl_check(c, NULL, c->ncclGetVersion(&version), "cannot ask for its version");
	if (version < MIN_VERSION)
		rank_fail(&c->reporter, "NCCL %d.%d is too old: install version 2.18 or later",
		          version / (version < 10000 ? 1000 : 10000), version / 100 % (version < 10000 ? 10 : 100));
}

/* ---- communicators --------------------------------------------------------------------------- */
static bool is_needed(const struct plan *plan, int group)
{
	for (uint32_t i = 0; i < plan->head->collectives.n; i++)
		if ((int)plan->collectives[i].group == group)
			return plan_group_size(plan, group) > 1;
	return false;
}

/* Are its members all ranks, in their order? */
static bool is_world(const struct plan *plan, int group)
{
	for (int i = 0; i < plan_group_size(plan, group); i++)
		if (plan_group_member(plan, group, 0, i) != i)
			return false;
	return plan_group_size(plan, group) == (int)plan->head->ranks;
}

static void join_ranks(struct nccl_comm *c)
{
	ncclUniqueId id;
	ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
	if (c->reporter.rank == 0)
		nccl_check(c, NULL, c->ncclGetUniqueId(&id), "cannot make an id");
	c->host->broadcast(c->host, c->plan->n_groups, &id, sizeof id);
	nccl_waits(c);
	ncclResult_t r = c->ncclCommInitRankConfig(&c->world, (int)c->plan->head->ranks, id, c->reporter.rank, &config);
	nccl_check(c, c->world, r, "the ranks cannot join");
}

/* All ranks split in the order of the groups. The color is the first member: others have another one. */
static void split(struct nccl_comm *c, int group)
{
	int rank = c->reporter.rank, first = plan_group_member(c->plan, group, rank, 0), ranks = 0, index = 0;
	ncclComm_t *part = &c->of_group[group];
	nccl_waits(c);
	nccl_check(c, c->world, c->ncclCommSplit(c->world, first, plan_group_index(c->plan, group, rank), part, NULL),
	           "cannot make a communicator of a group");
	nccl_check(c, *part, ncclSuccess, "cannot make a communicator of a group");
	nccl_check(c, *part, c->ncclCommCount(*part, &ranks), "cannot count a group");
	nccl_check(c, *part, c->ncclCommUserRank(*part, &index), "cannot count a group");
	if (ranks != plan_group_size(c->plan, group) || index != plan_group_index(c->plan, group, rank))
		rank_fail(&c->reporter, "internal: NCCL's group has %d ranks, and this one is number %d", ranks, index);
}

static void open_groups(struct nccl_comm *c)
{
	for (int g = 0; g < c->plan->n_groups; g++) {
		if (!is_needed(c->plan, g))
			continue;
		if (!c->world) {
			find_calls(c);
			join_ranks(c);
			c->of_group[c->plan->n_groups] = c->world;
		}
		if (is_world(c->plan, g))
			c->of_group[g] = c->world;
		else
			split(c, g);
	}
}

/* ---- start and end --------------------------------------------------------------------------- */
/* What is left of it ends with the process. With NCCL_COMM_BLOCKING=0 ncclCommDestroy would go on in the background,
 * and race with that end. */
static void end_comm(struct nccl_comm *c, ncclComm_t comm)
{
	nccl_waits(c);
	nccl_check(c, comm, c->ncclCommFinalize(comm), "cannot end a communicator");
}

static void nccl_close(struct comm *comm)
{
	struct nccl_comm *c = (struct nccl_comm *)comm;
	c->cuda->device.sync(&c->cuda->device);
	c->cuda->device.poll = NULL;
	c->host->barrier(c->host, c->plan->n_groups);
	for (int g = 0; g < c->plan->n_groups; g++)
		if (c->of_group[g] && c->of_group[g] != c->world)
			end_comm(c, c->of_group[g]);
	if (c->world)
		end_comm(c, c->world);
	for (int i = 0; i < TRAVELS && c->travel[i].begin; i++) {
		cuda_check(c->cuda, c->cuda->cuEventDestroy_v2(c->travel[i].begin), "cannot end an event of the GPU");
		cuda_check(c->cuda, c->cuda->cuEventDestroy_v2(c->travel[i].end), "cannot end an event of the GPU");
	}
	c->host->close(c->host);
	free(c->of_group);
	free(c);
}

struct comm *comm_nccl_open(struct comm *host, const struct plan *plan, struct device *d, uint64_t staging,
                            const struct reporter *r)
{
	struct nccl_comm *c = host_alloc(1, sizeof *c);
	c->comm = (struct comm){
		nccl_all_reduce, nccl_reduce_scatter, nccl_all_gather, nccl_all_to_all, nccl_send,  nccl_recv, host_broadcast,
		host_max,        host_give,           host_take,       host_barrier,    nccl_close, true};
	c->host = host;
	c->plan = plan;
	c->cuda = (struct cuda *)d;
	c->reporter = *r;
	c->staging = staging;
	c->of_group = host_alloc((size_t)plan->n_groups + 1, sizeof *c->of_group);
	cuda_enter(c->cuda);
	open_groups(c);
	d->poll_context = c;
	d->poll = nccl_poll;
	return &c->comm;
}
