/* Collectives on GPUs: each is one call, or one group of messages, on the GPU's stream, and the host waits for none.
 * Where a member has several blocks, copies on the same stream bring them together first, or apart afterwards. */
#include "../support/staging.h"
#include "comm_nccl.h"
#include "number.h"

/* A collective as NCCL sees it: every member has a run of `bytes`. */
struct shape {
	int members, me;
	int64_t elements; /* of a run */
	uint64_t bytes;
	ncclDataType_t type;
	ncclComm_t comm;
};

/* Older versions of NCCL do not know formats of one byte: such numbers are moved as bytes, and never added. */
static ncclDataType_t type_of(const struct nccl_comm *c, uint32_t dtype, bool sums)
{
	switch (dtype) {
	case DR_F32:  return ncclFloat32;
	case DR_BF16: return ncclBfloat16;
	case DR_F16:  return ncclFloat16;
	case DR_I32:  return ncclInt32;
	}
	if (sums || dtype_size(dtype) != 1)
		rank_fail(&c->reporter, "internal: a collective on numbers of format %u", dtype);
	return ncclUint8;
}

static struct shape shape_of(const struct nccl_comm *c, const struct collective_args *x, bool sums)
{
	struct shape s = {.members = plan_group_size(c->plan, x->group),
	                  .me = plan_group_index(c->plan, x->group, c->reporter.rank),
	                  .elements = x->outer * x->block,
	                  .type = type_of(c, x->dtype, sums),
	                  .comm = c->of_group[x->group]};
	s.bytes = (uint64_t)s.elements * dtype_size(x->dtype);
	if (s.members > 1 && !s.comm)
		rank_fail(&c->reporter, "internal: a collective over a group without a communicator");
	return s;
}

/* Where runs are laid out that the operands do not have; 0: they have them. */
struct runs {
	uint64_t sent, received;
};

static struct runs runs_of(const struct nccl_comm *c, const struct shape *s, int64_t sent_blocks,
                           int64_t received_blocks)
{
	struct staging need = staging_of(sent_blocks, received_blocks, s->members * (int64_t)s->bytes);
	uint64_t total = (uint64_t)staging_bytes(need);
	if (total > c->plan->head->comm_device)
		rank_fail(&c->reporter, "internal: a collective needs %llu bytes of staging, planned are %llu",
		          (unsigned long long)total, (unsigned long long)c->plan->head->comm_device);
	return (struct runs){need.sent ? c->staging : 0, need.received ? c->staging + total - (uint64_t)need.received : 0};
}

/* The blocks of member i in [outer][n][block], and its run. */
static struct rect blocks(const struct shape *s, uint64_t base, int i, int64_t outer)
{
	uint64_t block = outer ? s->bytes / (uint64_t)outer : 0;
	return (struct rect){base + (uint64_t)i * block, (uint64_t)s->members * block, block, (uint64_t)outer};
}
static struct rect run(const struct shape *s, uint64_t base, int i, int64_t outer)
{
	uint64_t block = outer ? s->bytes / (uint64_t)outer : 0;
	return (struct rect){base + (uint64_t)i * s->bytes, block, block, (uint64_t)outer};
}

static void pack(struct nccl_comm *c, const struct shape *s, uint64_t to, uint64_t from, int64_t outer)
{
	for (int i = 0; i < s->members; i++)
		cuda_copy(c->cuda, run(s, to, i, outer), blocks(s, from, i, outer));
}
static void unpack(struct nccl_comm *c, const struct shape *s, uint64_t to, uint64_t from, int64_t outer)
{
	for (int i = 0; i < s->members; i++)
		cuda_copy(c->cuda, blocks(s, to, i, outer), run(s, from, i, outer));
}

static void *at(uint64_t address) { return (void *)(uintptr_t)address; }

/* Nothing to do, or a member alone, which has only its own elements to move. */
static bool is_trivial(struct nccl_comm *c, const struct shape *s, const struct collective_args *x)
{
	if (s->bytes && s->members == 1 && x->src != x->dst)
		cuda_copy(c->cuda, flat(x->dst, s->bytes), flat(x->src, s->bytes));
	return !s->bytes || s->members == 1;
}

void nccl_all_reduce(struct comm *comm, const struct collective_args *x)
{
	struct nccl_comm *c = (struct nccl_comm *)comm;
	struct shape s = shape_of(c, x, true);
	if (is_trivial(c, &s, x))
		return;
	nccl_begin(c);
	nccl_check(c, s.comm,
	           c->ncclAllReduce(at(x->src), at(x->dst), (size_t)s.elements, s.type, ncclSum, s.comm, c->cuda->stream),
	           "all_reduce");
	nccl_end(c);
}

void nccl_reduce_scatter(struct comm *comm, const struct collective_args *x)
{
	struct nccl_comm *c = (struct nccl_comm *)comm;
	struct shape s = shape_of(c, x, true);
	if (is_trivial(c, &s, x))
		return;
	uint64_t sent = runs_of(c, &s, x->outer, 1).sent, from = sent ? sent : x->src;
	if (sent)
		pack(c, &s, sent, x->src, x->outer);
	nccl_begin(c);
	nccl_check(c, s.comm,
	           c->ncclReduceScatter(at(from), at(x->dst), (size_t)s.elements, s.type, ncclSum, s.comm, c->cuda->stream),
	           "reduce_scatter");
	nccl_end(c);
}

void nccl_all_gather(struct comm *comm, const struct collective_args *x)
{
	struct nccl_comm *c = (struct nccl_comm *)comm;
	struct shape s = shape_of(c, x, false);
	if (is_trivial(c, &s, x))
		return;
	uint64_t received = runs_of(c, &s, 1, x->outer).received, to = received ? received : x->dst;
	nccl_begin(c);
	nccl_check(c, s.comm, c->ncclAllGather(at(x->src), at(to), (size_t)s.elements, s.type, s.comm, c->cuda->stream),
	           "all_gather");
	nccl_end(c);
	if (received)
		unpack(c, &s, x->dst, received, x->outer);
}

/* One group of messages, so none waits for another. */
static void exchange_runs(struct nccl_comm *c, const struct shape *s, uint64_t from, uint64_t to)
{
	nccl_check(c, s->comm, c->ncclGroupStart(), "all_to_all");
	for (int i = 0; i < s->members; i++) {
		uint64_t run_at = (uint64_t)i * s->bytes;
		nccl_check(c, s->comm,
		           c->ncclSend(at(from + run_at), (size_t)s->elements, s->type, i, s->comm, c->cuda->stream),
		           "all_to_all");
		nccl_check(c, s->comm, c->ncclRecv(at(to + run_at), (size_t)s->elements, s->type, i, s->comm, c->cuda->stream),
		           "all_to_all");
	}
	nccl_waits(c);
	nccl_check(c, s->comm, c->ncclGroupEnd(), "all_to_all");
}

void nccl_all_to_all(struct comm *comm, const struct collective_args *x)
{
	struct nccl_comm *c = (struct nccl_comm *)comm;
	struct shape s = shape_of(c, x, false);
	if (is_trivial(c, &s, x))
		return;
	int64_t into = s.elements / x->dst_block;
	struct runs r = runs_of(c, &s, x->outer, into);
	if (r.sent)
		pack(c, &s, r.sent, x->src, x->outer);
	nccl_begin(c);
	exchange_runs(c, &s, r.sent ? r.sent : x->src, r.received ? r.received : x->dst);
	nccl_end(c);
	if (r.received)
		unpack(c, &s, x->dst, r.received, into);
}

/* ---- between stages -------------------------------------------------------------------------- */
/* A stage sends to later ones only and in the order in which they receive, so no circle of ranks waits. */
void nccl_send(struct comm *comm, const struct collective_args *x)
{
	struct nccl_comm *c = (struct nccl_comm *)comm;
	struct shape s = shape_of(c, x, false);
	if (s.me + 1 == s.members)
		rank_fail(&c->reporter, "internal: the last stage sends");
	if (!s.bytes)
		return;
	nccl_begin(c);
	nccl_check(c, s.comm, c->ncclSend(at(x->src), (size_t)s.elements, s.type, s.me + 1, s.comm, c->cuda->stream),
	           "send");
	nccl_end(c);
}

void nccl_recv(struct comm *comm, const struct collective_args *x)
{
	struct nccl_comm *c = (struct nccl_comm *)comm;
	struct shape s = shape_of(c, x, false);
	if (s.me == 0)
		rank_fail(&c->reporter, "internal: the first stage receives");
	if (!s.bytes)
		return;
	nccl_begin(c);
	nccl_check(c, s.comm, c->ncclRecv(at(x->dst), (size_t)s.elements, s.type, s.me - 1, s.comm, c->cuda->stream),
	           "recv");
	nccl_end(c);
}
