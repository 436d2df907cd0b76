/* Calls that queue collectives and messages. Those of a group for one communicator become one work. */
#include <stdlib.h>
#include <string.h>
#include "objects.h"

static _Thread_local struct {
	int depth;
	struct work *works;
} group;

/* ---- when a group ends ---- */
/* A communicator that does not block may put its work into the stream later, when it is asked. */
static bool comes_later(const struct ncclComm *c, int call)
{
	const char *seed = getenv("EMU_SEED");
	uint64_t x = ((uint64_t)call + (seed ? strtoull(seed, NULL, 0) : 1)) * UINT64_C(0x9e3779b97f4a7c15);
	return !c->blocking && x >> 63;
}

static ncclResult_t end_group(void)
{
	static _Atomic int calls;
	ncclResult_t result = ncclSuccess;
	for (struct work *w = group.works, *next; w; w = next) {
		struct ncclComm *c = w->comm;
		int call = atomic_fetch_add(&calls, 1) + 1;
		next = w->next;
		w->fails = is_chosen("EMU_NCCL_FAIL", c, call);
		w->hangs = is_chosen("EMU_NCCL_HANG", c, call);
		ncclResult_t r = ncclInProgress;
		if (comes_later(c, call)) {
			c->posted = w;
			c->pending = QUEUE;
		} else {
			r = work_queue(w);
		}
		result = result && result != ncclInProgress ? result : r ? r : result;
	}
	group.works = NULL;
	return result;
}

ncclResult_t ncclGroupStart(void)
{
	group.depth++;
	return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void)
{
	if (!group.depth)
		return ncclInvalidUsage;
	return --group.depth ? ncclSuccess : end_group();
}

/* ---- calls ---- */
struct call {
	const char *name;
	struct ncclComm *comm;
	CUstream stream;
	struct head head;
};

static ncclResult_t check_call(const struct call *x)
{
	struct ncclComm *c = x->comm;
	ncclResult_t r = check_comm(c, x->name);
	if (r)
		return r;
	if (!type_bytes(x->head.type) || (x->head.op != ncclSum && x->head.op != ncclMax))
		return wrong(c, ncclInvalidArgument, "%s: type %u or operation %u", x->name, x->head.type, x->head.op);
	if (c->used && c->stream != x->stream)
		return wrong(c, ncclInvalidUsage, "%s: a second stream, which this library does not order", x->name);
	c->used = true;
	c->stream = x->stream;
	return ncclSuccess;
}

/* The device memory of an argument: `times` the count. */
static bool holds(const struct call *x, CUdeviceptr at, int times)
{
	return emu_memory(at, x->head.count * type_bytes(x->head.type) * (size_t)times) != NULL;
}

/* The work of the group for the call's communicator. */
static struct work *work_for(const struct call *x)
{
	struct work **at = &group.works;
	while (*at && (*at)->comm != x->comm)
		at = &(*at)->next;
	if (!*at)
		*at = work_new(x->comm, x->stream);
	return *at;
}

static ncclResult_t end_call(void) { return group.depth ? ncclSuccess : end_group(); }

static ncclResult_t bad_memory(const struct call *x)
{
	return wrong(x->comm, ncclInvalidArgument, "%s: no device memory holds an argument, or two overlap", x->name);
}

/* Both are in place, or do not touch: `in` of one part, or of all. */
static bool apart(const struct call *x, CUdeviceptr in, int in_times, CUdeviceptr out, int out_times, CUdeviceptr place)
{
	size_t bytes = x->head.count * type_bytes(x->head.type);
	return (in_times < out_times ? in : out) == place || in + bytes * (size_t)in_times <= out
	       || out + bytes * (size_t)out_times <= in;
}

/* Every rank sends to every rank, itself too. The bytes for rank i are at `in` + i * in_step; those of rank i go to
 * `out`
 * + i * out_step, or to `parts`. */
static void exchange(struct work *w, const struct head *h, CUdeviceptr in, size_t in_step, CUdeviceptr out,
                     size_t out_step, char *parts)
{
	for (int i = 0; i < w->comm->ranks; i++) {
		size_t k = (size_t)i;
		work_transfer(w, h, true, i, in + k * in_step, NULL);
		work_transfer(w, h, false, i, parts ? 0 : out + k * out_step, parts ? parts + k * out_step : NULL);
	}
}

static ncclResult_t sum_call(const struct call *x, CUdeviceptr in, CUdeviceptr out)
{
	ncclResult_t r = check_call(x);
	if (r || !x->head.count)
		return r;
	bool scatters = x->head.kind == REDUCE_SCATTER;
	int ranks = x->comm->ranks, times = scatters ? ranks : 1;
	size_t bytes = x->head.count * type_bytes(x->head.type);
	CUdeviceptr place = scatters ? in + bytes * (size_t)x->comm->rank : in;
	if (!holds(x, in, times) || !holds(x, out, 1) || !apart(x, in, times, out, 1, place))
		return bad_memory(x);
	struct work *w = work_for(x);
	char *parts = malloc(bytes * (size_t)ranks);
	exchange(w, &x->head, in, scatters ? bytes : 0, 0, bytes, parts);
	work_sum(w, &x->head, out, parts);
	return end_call();
}

static CUdeviceptr address(const void *at) { return (CUdeviceptr)(uintptr_t)at; }

ncclResult_t ncclAllReduce(const void *in, void *out, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream)
{
	struct call x = {"ncclAllReduce", comm, stream, {ALL_REDUCE, type, op, 0, count}};
	return sum_call(&x, address(in), address(out));
}

ncclResult_t ncclReduceScatter(const void *in, void *out, size_t count, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream)
{
	struct call x = {"ncclReduceScatter", comm, stream, {REDUCE_SCATTER, type, op, 0, count}};
	return sum_call(&x, address(in), address(out));
}

ncclResult_t ncclAllGather(const void *in, void *out, size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream)
{
	struct call x = {"ncclAllGather", comm, stream, {ALL_GATHER, type, ncclSum, 0, count}};
	ncclResult_t r = check_call(&x);
	if (r || !count)
		return r;
	size_t bytes = count * type_bytes(type);
	CUdeviceptr from = address(in), to = address(out), place = to + bytes * (size_t)comm->rank;
	if (!holds(&x, from, 1) || !holds(&x, to, comm->ranks) || !apart(&x, from, 1, to, comm->ranks, place))
		return bad_memory(&x);
	exchange(work_for(&x), &x.head, from, 0, to, bytes, NULL);
	return end_call();
}

ncclResult_t ncclBroadcast(const void *in, void *out, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream)
{
	struct call x = {"ncclBroadcast", comm, stream, {BROADCAST, type, ncclSum, (uint32_t)root, count}};
	ncclResult_t r = check_call(&x);
	if (r || !count)
		return r;
	if (root < 0 || root >= comm->ranks)
		return wrong(comm, ncclInvalidArgument, "ncclBroadcast: root %d of %d", root, comm->ranks);
	bool sends = comm->rank == root;
	if (!holds(&x, address(out), 1) || (sends && !holds(&x, address(in), 1)))
		return bad_memory(&x);
	struct work *w = work_for(&x);
	for (int i = 0; i < comm->ranks && sends; i++)
		work_transfer(w, &x.head, true, i, address(in), NULL);
	work_transfer(w, &x.head, false, root, address(out), NULL);
	return end_call();
}

static ncclResult_t message(const struct call *x, bool sends, CUdeviceptr at, int peer)
{
	ncclResult_t r = check_call(x);
	if (r)
		return r;
	if (peer < 0 || peer >= x->comm->ranks)
		return wrong(x->comm, ncclInvalidArgument, "%s: peer %d of %d", x->name, peer, x->comm->ranks);
	if (!x->head.count)
		return ncclSuccess;
	if (!holds(x, at, 1))
		return bad_memory(x);
	work_transfer(work_for(x), &x->head, sends, peer, at, NULL);
	return end_call();
}

ncclResult_t ncclSend(const void *in, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream)
{
	struct call x = {"ncclSend", comm, stream, {POINT_TO_POINT, type, ncclSum, 0, count}};
	return message(&x, true, address(in), peer);
}

ncclResult_t ncclRecv(void *out, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream)
{
	struct call x = {"ncclRecv", comm, stream, {POINT_TO_POINT, type, ncclSum, 0, count}};
	return message(&x, false, address(out), peer);
}
