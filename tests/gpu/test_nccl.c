/* NCCL's calls, by ranks that are processes with a device each, compared with plain loops; what must be noticed. With
 * as many GPUs, the first half runs on them as well. */
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>
#include "../../runtime/nccl_api.h"
#include "../../runtime/number.h"
#include "gpu_test.h"

enum { MAX_RANKS = 8, MAX_COUNT = 40000, SECONDS = 60 };

static struct {
#define CALL(type, name, parameters) type(*name) parameters;
#include "../../runtime/nccl_api.def"
} nccl;

/* What ranks share besides NCCL: one of them makes the id. */
static struct board {
	_Atomic int has_id, over;
	ncclUniqueId id;
} *board;

struct site {
	int rank, ranks;
	void (*run)(struct site *);
	bool blocking;
	CUstream stream;
	ncclComm_t comm;
	CUdeviceptr in, out;
	char *host;
};

#define CHECK(condition) gpu_expect((condition) != 0, true, #condition, __FILE__, __LINE__)
#define NCCL(call)       gpu_expect((call), ncclSuccess, #call, __FILE__, __LINE__)

/* ---- ranks ---- */
/* Waits until a call that went on is over; its error. */
static ncclResult_t wait_for(ncclComm_t comm)
{
	ncclResult_t error = ncclInProgress;
	while (error == ncclInProgress)
		NCCL(nccl.ncclCommGetAsyncError(comm, &error));
	return error;
}

/* The result of a call on a communicator that may not block. Not all that go on say so. */
static ncclResult_t done(const struct site *s, ncclComm_t comm, ncclResult_t r)
{
	CHECK(r != ncclInProgress || !s->blocking);
	return r == ncclInProgress || (r == ncclSuccess && !s->blocking) ? wait_for(comm) : r;
}

static void load_nccl(void)
{
	void *library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
	CHECK(library);
#define CALL(type, name, parameters) CHECK(*(void **)(void *)&nccl.name = dlsym(library, #name));
#include "../../runtime/nccl_api.def"
}

static void join(struct site *s)
{
	ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
	config.blocking = s->blocking;
	if (s->rank == 0) {
		NCCL(nccl.ncclGetUniqueId(&board->id));
		board->has_id = 1;
	}
	while (!board->has_id)
		usleep(100);
	ncclResult_t r = nccl.ncclCommInitRankConfig(&s->comm, s->ranks, board->id, s->rank, &config);
	NCCL(done(s, s->comm, r));
}

static int rank_main(const void *argument)
{
	struct site s = *(const struct site *)argument;
	int devices;
	alarm(SECONDS);
	gpu_load_library();
	GOOD(cu.cuInit(0));
	GOOD(cu.cuDeviceGetCount(&devices));
	if (devices < s.ranks)
		return 0;
	gpu_open_device(s.rank);
	load_nccl();
	GOOD(cu.cuStreamCreate(&s.stream, CU_STREAM_NON_BLOCKING));
	s.in = gpu_put(NULL, MAX_COUNT * sizeof(float));
	s.out = gpu_put(NULL, MAX_COUNT * sizeof(float));
	s.host = malloc(MAX_COUNT * sizeof(float));
	join(&s);
	s.run(&s);
	return 0;
}

static void run_on(int ranks, bool blocking, void (*run)(struct site *))
{
	struct site sites[MAX_RANKS];
	*board = (struct board){0};
	for (int i = 0; i < ranks; i++)
		sites[i] = (struct site){.rank = i, .ranks = ranks, .run = run, .blocking = blocking};
	assert_int_equal(gpu_in_children(ranks, rank_main, sites, sizeof *sites), 0);
}

static void leave(struct site *s)
{
	GOOD(cu.cuStreamSynchronize(s->stream));
	NCCL(done(s, s->comm, nccl.ncclCommFinalize(s->comm)));
	NCCL(nccl.ncclCommDestroy(s->comm));
}

static const void *pointer(CUdeviceptr at) { return (const void *)(uintptr_t)at; }
static void *target(CUdeviceptr at) { return (void *)(uintptr_t)at; }

/* ---- numbers ---- */
/* Small integers: exact in every format and sum. */
static int value(int rank, size_t i) { return (int)((i * 7 + (size_t)rank * 5) % 13); }

static void put_number(ncclDataType_t type, void *to, size_t i, float v)
{
	switch (type) {
	case ncclFloat32:  ((float *)to)[i] = v; return;
	case ncclInt32:    ((int32_t *)to)[i] = (int32_t)v; return;
	case ncclBfloat16: ((uint16_t *)to)[i] = bf16_of_f32(v); return;
	case ncclFloat16:  ((uint16_t *)to)[i] = f16_of_f32(v); return;
	default:           ((uint8_t *)to)[i] = (uint8_t)v; return;
	}
}

static float get_number(ncclDataType_t type, const void *from, size_t i)
{
	switch (type) {
	case ncclFloat32:  return ((const float *)from)[i];
	case ncclInt32:    return (float)((const int32_t *)from)[i];
	case ncclBfloat16: return f32_of_bf16(((const uint16_t *)from)[i]);
	case ncclFloat16:  return f32_of_f16(((const uint16_t *)from)[i]);
	default:           return ((const uint8_t *)from)[i];
	}
}

static size_t bytes_of(ncclDataType_t type)
{
	return type == ncclFloat32 || type == ncclInt32 ? 4 : type == ncclUint8 ? 1 : 2;
}

/* ---- collectives ---- */
enum kind { SUM, MAXIMUM, SCATTER, GATHER, COPY, KINDS };

static size_t parts_in(const struct site *s, enum kind k) { return k == SCATTER ? (size_t)s->ranks : 1; }
static size_t parts_out(const struct site *s, enum kind k) { return k == GATHER ? (size_t)s->ranks : 1; }

static float expected(const struct site *s, enum kind k, size_t count, size_t i)
{
	int sum = 0, most = 0;
	if (k == GATHER)
		return (float)value((int)(i / count), i % count);
	if (k == COPY)
		return (float)value(s->ranks - 1, i);
	for (int r = 0; r < s->ranks; r++) {
		int v = value(r, k == SCATTER ? (size_t)s->rank * count + i : i);
		sum += v;
		most = v > most ? v : most;
	}
	return (float)(k == MAXIMUM ? most : sum);
}

static ncclResult_t call(const struct site *s, enum kind k, CUdeviceptr in, CUdeviceptr out, size_t n, ncclDataType_t t)
{
	const void *from = pointer(in);
	void *to = target(out);
	switch (k) {
	case SUM:     return nccl.ncclAllReduce(from, to, n, t, ncclSum, s->comm, s->stream);
	case MAXIMUM: return nccl.ncclAllReduce(from, to, n, t, ncclMax, s->comm, s->stream);
	case SCATTER: return nccl.ncclReduceScatter(from, to, n, t, ncclSum, s->comm, s->stream);
	case GATHER:  return nccl.ncclAllGather(from, to, n, t, s->comm, s->stream);
	default:      return nccl.ncclBroadcast(from, to, n, t, s->ranks - 1, s->comm, s->stream);
	}
}

/* Everything is queued before anything is waited for, so the stream's order is what is tested. */
static void run_kind(struct site *s, enum kind k, ncclDataType_t type, size_t count, bool in_place)
{
	size_t bytes = bytes_of(type), n_in = count * parts_in(s, k), n_out = count * parts_out(s, k);
	CUdeviceptr in = s->in, out = s->out;
	if (in_place && k == GATHER)
		in = out + (size_t)s->rank * count * bytes;
	else if (in_place)
		out = in + (k == SCATTER ? (size_t)s->rank * count * bytes : 0);
	for (size_t i = 0; i < n_in; i++)
		put_number(type, s->host, i, (float)value(s->rank, i));
	GOOD(cu.cuMemsetD8Async(s->out, 0xee, MAX_COUNT * sizeof(float), s->stream));
	GOOD(cu.cuMemcpyHtoDAsync_v2(in, s->host, n_in * bytes, s->stream));
	NCCL(done(s, s->comm, call(s, k, in, out, count, type)));
	GOOD(cu.cuMemcpyDtoHAsync_v2(s->host, out, n_out * bytes, s->stream));
	GOOD(cu.cuStreamSynchronize(s->stream));
	for (size_t i = 0; i < n_out; i++)
		if (get_number(type, s->host, i) != expected(s, k, count, i)) {
			fprintf(stderr, "rank %d of %d, kind %d, type %d, %zu numbers: %g at %zu, not %g\n", s->rank, s->ranks, k,
			        type, count, get_number(type, s->host, i), i, expected(s, k, count, i));
			_exit(1);
		}
}

static void all_kinds(struct site *s)
{
	static const ncclDataType_t types[] = {ncclFloat32, ncclBfloat16, ncclFloat16, ncclInt32, ncclUint8};
	static const size_t counts[] = {1, 7, 1000, 4999};
	for (int k = 0; k < KINDS; k++)
		for (size_t t = 0; t < sizeof types / sizeof *types; t++)
			for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
				run_kind(s, (enum kind)k, types[t], counts[n], false);
				run_kind(s, (enum kind)k, types[t], counts[n], true);
			}
	leave(s);
}

static void collectives(void **state)
{
	(void)state;
	for (int ranks = 1; ranks <= MAX_RANKS; ranks += ranks > 2 ? 5 : 1)
		run_on(ranks, ranks != 2, all_kinds);
}

/* ---- the order of sums ---- */
/* Sums that depend on their order have the same bits each time, and on all ranks: their maximum is that of each. */
static void reduce_twice(struct site *s)
{
	enum { N = 999 };
	static float numbers[N], sums[2][N];
	static int32_t bits[N], most[N];
	uint32_t x = (uint32_t)s->rank * 77 + 1;
	for (int i = 0; i < N; i++) {
		x = x * 1664525 + 1013904223;
		numbers[i] = (float)(x >> 8) * (float)(1 << (x >> 4 & 15));
	}
	for (int k = 0; k < 2; k++) {
		GOOD(cu.cuMemcpyHtoDAsync_v2(s->in, numbers, sizeof numbers, s->stream));
		NCCL(done(s, s->comm, call(s, SUM, s->in, s->out, N, ncclFloat32)));
		GOOD(cu.cuMemcpyDtoHAsync_v2(sums[k], s->out, sizeof sums[k], s->stream));
	}
	GOOD(cu.cuStreamSynchronize(s->stream));
	CHECK(!memcmp(sums[0], sums[1], sizeof sums[0]));
	for (int i = 0; i < N; i++)
		bits[i] = (int32_t)bits_of_f32(sums[0][i]);
	GOOD(cu.cuMemcpyHtoDAsync_v2(s->in, bits, sizeof bits, s->stream));
	NCCL(done(s, s->comm, call(s, MAXIMUM, s->in, s->out, N, ncclInt32)));
	GOOD(cu.cuMemcpyDtoHAsync_v2(most, s->out, sizeof most, s->stream));
	GOOD(cu.cuStreamSynchronize(s->stream));
	CHECK(!memcmp(bits, most, sizeof bits));
	leave(s);
}

/* The emulator's ring of four ranks is 0, 2, 3, 1; the first of four pieces begins at the second of these. */
static void ring_order(struct site *s)
{
	static const float numbers[4] = {1, 0x1p24f, -0x1p24f, 3};
	float all[4] = {numbers[s->rank], numbers[s->rank], numbers[s->rank], numbers[s->rank]}, got[4];
	uint16_t narrow[4] = {0};
	if (!gpu_is_emulated()) {
		leave(s);
		return;
	}
	GOOD(cu.cuMemcpyHtoDAsync_v2(s->in, all, sizeof all, s->stream));
	NCCL(done(s, s->comm, call(s, SUM, s->in, s->out, 4, ncclFloat32)));
	GOOD(cu.cuMemcpyDtoHAsync_v2(got, s->out, sizeof got, s->stream));
	/* 2 3 1 0, 3 1 0 2, 1 0 2 3, 0 2 3 1 */
	CHECK(got[0] == ((-0x1p24f + 3) + 0x1p24f) + 1);
	CHECK(got[1] == ((3 + 0x1p24f) + 1) - 0x1p24f);
	CHECK(got[2] == ((0x1p24f + 1) - 0x1p24f) + 3);
	CHECK(got[3] == ((1 - 0x1p24f) + 3) + 0x1p24f);
	CHECK(got[0] != got[2]);
	/* In bf16 256 + 1 is 256, and 258 + 1 is 260: ranks of 256, 1, 1, 1 */
	for (int i = 0; i < 4; i++)
		narrow[i] = bf16_of_f32(s->rank ? 1 : 256);
	GOOD(cu.cuMemcpyHtoDAsync_v2(s->in, narrow, sizeof narrow, s->stream));
	NCCL(done(s, s->comm, call(s, SUM, s->in, s->out, 4, ncclBfloat16)));
	GOOD(cu.cuMemcpyDtoHAsync_v2(narrow, s->out, sizeof narrow, s->stream));
	CHECK(f32_of_bf16(narrow[0]) == 260 && f32_of_bf16(narrow[1]) == 260 && f32_of_bf16(narrow[2]) == 256);
	leave(s);
}

static void orders(void **state)
{
	(void)state;
	run_on(3, true, reduce_twice);
	run_on(4, true, ring_order);
}

/* ---- messages ---- */
/* All ranks exchange with all, themselves too, in one group; twice. */
static void exchange(struct site *s)
{
	enum { N = 3000 };
	int32_t *host = (int32_t *)(void *)s->host;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < s->ranks * N; i++)
			host[i] = s->rank * 1000000 + i + round;
		GOOD(cu.cuMemcpyHtoDAsync_v2(s->in, host, (size_t)(s->ranks * N) * 4, s->stream));
		NCCL(nccl.ncclGroupStart());
		for (int i = 0; i < s->ranks; i++) {
			size_t at = (size_t)(i * N) * 4;
			NCCL(nccl.ncclSend(pointer(s->in + at), N, ncclInt32, i, s->comm, s->stream));
			NCCL(nccl.ncclRecv(target(s->out + at), N, ncclInt32, i, s->comm, s->stream));
		}
		NCCL(done(s, s->comm, nccl.ncclGroupEnd()));
		GOOD(cu.cuMemcpyDtoHAsync_v2(host, s->out, (size_t)(s->ranks * N) * 4, s->stream));
		GOOD(cu.cuStreamSynchronize(s->stream));
		for (int i = 0; i < s->ranks; i++)
			for (int k = 0; k < N; k++)
				CHECK(host[i * N + k] == i * 1000000 + s->rank * N + k + round);
	}
	leave(s);
}

/* A chain of messages that pass each rank. */
static void chain(struct site *s)
{
	int32_t got = -1;
	for (int32_t round = 0; round < 20; round++) {
		if (s->rank == 0)
			GOOD(cu.cuMemcpyHtoDAsync_v2(s->in, &round, 4, s->stream));
		else
			NCCL(done(s, s->comm, nccl.ncclRecv(target(s->in), 1, ncclInt32, s->rank - 1, s->comm, s->stream)));
		if (s->rank + 1 < s->ranks)
			NCCL(done(s, s->comm, nccl.ncclSend(pointer(s->in), 1, ncclInt32, s->rank + 1, s->comm, s->stream)));
		GOOD(cu.cuMemcpyDtoHAsync_v2(&got, s->in, 4, s->stream));
		CHECK(got == round);
	}
	leave(s);
}

static void messages(void **state)
{
	(void)state;
	run_on(1, true, exchange);
	run_on(4, true, exchange);
	run_on(3, false, exchange);
	run_on(4, true, chain);
	run_on(2, false, chain);
}

/* ---- graphs ---- */
/* A graph of a copy, a sum, a gather in place of it and a copy runs several times. */
static void captured(struct site *s)
{
	enum { N = 100 };
	CUgraph graph;
	CUgraphExec exec;
	int32_t *host;
	GOOD(cu.cuMemHostAlloc((void **)&host, (size_t)(s->ranks + 1) * N * 4, 0));
	GOOD(cu.cuStreamBeginCapture_v2(s->stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	GOOD(cu.cuMemcpyHtoDAsync_v2(s->in, host, N * 4, s->stream));
	NCCL(done(s, s->comm, call(s, SUM, s->in, s->in, N, ncclInt32)));
	NCCL(done(s, s->comm, call(s, GATHER, s->in, s->out, N, ncclInt32)));
	GOOD(cu.cuMemcpyDtoHAsync_v2(host + N, s->out, (size_t)s->ranks * N * 4, s->stream));
	GOOD(cu.cuStreamEndCapture(s->stream, &graph));
	GOOD(cu.cuGraphInstantiateWithFlags(&exec, graph, 0));
	for (int32_t round = 0; round < 5; round++) {
		for (int32_t i = 0; i < N; i++)
			host[i] = s->rank * round + i;
		GOOD(cu.cuGraphLaunch(exec, s->stream));
		GOOD(cu.cuStreamSynchronize(s->stream));
		for (int32_t i = 0; i < s->ranks * N; i++)
			CHECK(host[N + i] == s->ranks * (s->ranks - 1) / 2 * round + s->ranks * (i % N));
	}
	GOOD(cu.cuGraphExecDestroy(exec));
	GOOD(cu.cuGraphDestroy(graph));
	leave(s);
}

static void graphs(void **state)
{
	(void)state;
	run_on(3, true, captured);
	run_on(2, false, captured);
}

/* ---- communicators ---- */
/* Halves in reverse order, then one rank alone and another in none. */
static void split(struct site *s)
{
	for (int round = 0; round < 3; round++) {
		struct site part = *s;
		int rank, ranks;
		NCCL(done(s, s->comm, nccl.ncclCommSplit(s->comm, s->rank % 2, -s->rank, &part.comm, NULL)));
		NCCL(nccl.ncclCommCount(part.comm, &ranks));
		NCCL(nccl.ncclCommUserRank(part.comm, &rank));
		CHECK(ranks == s->ranks / 2 && rank == (s->ranks - 1 - s->rank) / 2);
		part.rank = rank;
		part.ranks = ranks;
		run_kind(&part, GATHER, ncclInt32, 100, false);
		run_kind(&part, SUM, ncclInt32, 100, true);
		run_kind(s, SUM, ncclFloat32, 100, false);
		leave(&part);
	}
	ncclComm_t none = s->comm;
	int color = s->rank == 0 ? 5 : NCCL_SPLIT_NOCOLOR, ranks;
	NCCL(done(s, s->comm, nccl.ncclCommSplit(s->comm, color, 0, &none, NULL)));
	CHECK(s->rank == 0 ? none != NULL : none == NULL);
	if (none) {
		NCCL(nccl.ncclCommCount(none, &ranks));
		CHECK(ranks == 1);
	}
	leave(s);
}

static void communicators(void **state)
{
	(void)state;
	run_on(4, true, split);
	run_on(6, false, split);
}

/* ---- what must be noticed ---- */
/* The communicator fails; work that waits ends when it is aborted. */
static void fails(struct site *s, ncclResult_t error, const char *words)
{
	ncclResult_t seen = ncclSuccess;
	while (!seen)
		NCCL((usleep(100), nccl.ncclCommGetAsyncError(s->comm, &seen)));
	CHECK(seen == error);
	CHECK(strstr(nccl.ncclGetLastError(s->comm), words));
	CHECK(cu.cuStreamQuery(s->stream) == CUDA_ERROR_NOT_READY);
	CHECK(call(s, SUM, s->in, s->out, 8, ncclFloat32) == ncclInvalidUsage);
	NCCL(nccl.ncclCommAbort(s->comm));
	GOOD(cu.cuStreamSynchronize(s->stream));
}

static void other_count(struct site *s)
{
	NCCL(call(s, SUM, s->in, s->out, s->rank ? 8 : 9, ncclFloat32));
	fails(s, ncclInvalidUsage,
	      s->rank ? "rank 1 of 2 is in all_reduce of 8 f32, rank 0 in all_reduce of 9 f32"
	              : "rank 0 of 2 is in all_reduce of 9 f32, rank 1 in all_reduce of 8 f32");
}

static void other_type(struct site *s)
{
	NCCL(call(s, GATHER, s->in, s->out, 8, s->rank ? ncclFloat16 : ncclBfloat16));
	fails(s, ncclInvalidUsage, s->rank ? "all_gather of 8 f16, rank 0 in all_gather of 8 bf16" : "of 8 bf16, rank 1");
}

static void other_kind(struct site *s)
{
	NCCL(call(s, s->rank ? SUM : MAXIMUM, s->in, s->out, 8, ncclFloat32));
	fails(s, ncclInvalidUsage, s->rank ? "rank 0 in all_reduce of 8 f32 (maximum)" : "rank 1 in all_reduce of 8 f32");
}

static void other_message(struct site *s)
{
	if (s->rank)
		NCCL(nccl.ncclRecv(target(s->in), 7, ncclInt32, 0, s->comm, s->stream));
	else
		NCCL(nccl.ncclSend(pointer(s->in), 8, ncclInt32, 1, s->comm, s->stream));
	if (s->rank)
		fails(s, ncclInvalidUsage, "rank 1 of 2 is in message of 7 i32, rank 0 in message of 8 i32");
	if (s->rank)
		board->over = 1;
	while (!board->over)
		usleep(100);
}

/* Both send first, and are not in a group. */
static void deadlock(struct site *s)
{
	NCCL(nccl.ncclSend(pointer(s->in), 8, ncclInt32, !s->rank, s->comm, s->stream));
	NCCL(nccl.ncclRecv(target(s->out), 8, ncclInt32, !s->rank, s->comm, s->stream));
	usleep(50000);
	CHECK(cu.cuStreamQuery(s->stream) == CUDA_ERROR_NOT_READY);
	NCCL(nccl.ncclCommAbort(s->comm));
	GOOD(cu.cuStreamSynchronize(s->stream));
}

static void absent(struct site *s)
{
	ncclResult_t error;
	if (s->rank)
		return;
	NCCL(call(s, SUM, s->in, s->out, 8, ncclFloat32));
	usleep(50000);
	NCCL(nccl.ncclCommGetAsyncError(s->comm, &error));
	CHECK(!error && cu.cuStreamQuery(s->stream) == CUDA_ERROR_NOT_READY);
	NCCL(nccl.ncclCommAbort(s->comm));
	GOOD(cu.cuStreamSynchronize(s->stream));
}

/* EMU_NCCL_FAIL=1:2 */
static void injected(struct site *s)
{
	run_kind(s, SUM, ncclFloat32, 8, false);
	NCCL(call(s, SUM, s->in, s->out, 8, ncclFloat32));
	if (s->rank)
		fails(s, ncclSystemError, "EMU_NCCL_FAIL: this call fails on rank 1");
}

/* What is received would overwrite what another call of the group sends. */
static void overlapping(struct site *s)
{
	NCCL(nccl.ncclGroupStart());
	NCCL(nccl.ncclSend(pointer(s->in), 8, ncclInt32, !s->rank, s->comm, s->stream));
	NCCL(nccl.ncclRecv(target(s->in + 16), 8, ncclInt32, !s->rank, s->comm, s->stream));
	CHECK(nccl.ncclGroupEnd() == ncclInvalidArgument);
	CHECK(strstr(nccl.ncclGetLastError(s->comm), "messages of one group overlap in memory"));
}

static void freed(struct site *s)
{
	CUdeviceptr mine = gpu_put(NULL, 64);
	NCCL(nccl.ncclGroupStart());
	NCCL(call(s, SUM, mine, mine, 16, ncclFloat32));
	GOOD(cu.cuMemFree_v2(mine));
	NCCL(nccl.ncclGroupEnd());
	fails(s, ncclUnhandledCudaError, "memory of a collective was freed before it ran");
}

static void refused(struct site *s)
{
	CUdeviceptr end = s->in + MAX_COUNT * sizeof(float);
	struct site broken = *s;
	ncclConfig_t config = {0};
	CUstream stream;
	CUdevice device;
	CUcontext other, mine;
	CHECK(nccl.ncclCommInitRankConfig(&broken.comm, 2, board->id, 0, &config) == ncclInvalidArgument);
	CHECK(nccl.ncclCommInitRankConfig(&broken.comm, 2, board->id, 2, NULL) == ncclInvalidArgument);
	CHECK(nccl.ncclCommDestroy(s->comm) == ncclInvalidUsage);
	/* another device is current */
	GOOD(cu.cuDeviceGet(&device, !s->rank));
	GOOD(cu.cuDevicePrimaryCtxRetain(&other, device));
	GOOD(cu.cuCtxGetCurrent(&mine));
	GOOD(cu.cuCtxSetCurrent(other));
	CHECK(call(s, SUM, s->in, s->out, 8, ncclFloat32) == ncclInvalidUsage);
	GOOD(cu.cuCtxSetCurrent(mine));
	/* none of these harmed the communicator; each of the next does, so they have one of their own */
	run_kind(s, SUM, ncclFloat32, 8, false);
	for (int i = 0; i < 5; i++) {
		NCCL(nccl.ncclCommSplit(s->comm, 0, 0, &broken.comm, NULL));
		GOOD(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
		run_kind(&broken, SUM, ncclFloat32, 8, false);
		broken.stream = i == 0 ? stream : s->stream;
		ncclResult_t r = i == 0   ? call(&broken, SUM, s->in, s->out, 8, ncclFloat32)
		                 : i == 1 ? call(&broken, SUM, s->in, end - 28, 8, ncclFloat32)
		                 : i == 2 ? call(&broken, GATHER, s->in, s->in + 4, 8, ncclFloat32)
		                 : i == 3 ? call(&broken, SUM, s->in, s->out, 8, ncclInt64)
		                          : nccl.ncclSend(pointer(s->in), 8, ncclFloat32, 2, broken.comm, s->stream);
		CHECK(r == (i ? ncclInvalidArgument : ncclInvalidUsage));
		NCCL(nccl.ncclCommAbort(broken.comm));
		broken.stream = s->stream;
	}
	leave(s);
	CHECK(call(s, SUM, s->in, s->out, 8, ncclFloat32) == ncclInvalidArgument);
}

/* A communicator that does not block refuses calls until the call before is over. */
static void in_progress(struct site *s)
{
	bool seen = false;
	for (int i = 0; i < 20; i++) {
		ncclResult_t r = call(s, SUM, s->in, s->out, 8, ncclFloat32);
		seen = seen || r == ncclInProgress;
		if (r == ncclInProgress)
			CHECK(call(s, SUM, s->in, s->out, 8, ncclFloat32) == ncclInvalidUsage);
		NCCL(done(s, s->comm, r));
	}
	CHECK(seen);
	leave(s);
}

static int is_emulated(const void *unused)
{
	(void)unused;
	gpu_open();
	return gpu_is_emulated();
}

static void mistakes(void **state)
{
	(void)state;
	static void (*const all[])(struct site *) = {other_count, other_type, other_kind, other_message, deadlock,
	                                             absent,      freed,      refused,    overlapping};
	if (gpu_in_child(is_emulated, NULL) != 1)
		skip();
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		run_on(2, true, all[i]);
	run_on(2, false, in_progress);
	setenv("EMU_NCCL_FAIL", "1:2", 1);
	run_on(2, true, injected);
	unsetenv("EMU_NCCL_FAIL");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(collectives),   cmocka_unit_test(orders), cmocka_unit_test(messages),
		cmocka_unit_test(communicators), cmocka_unit_test(graphs), cmocka_unit_test(mistakes),
	};
	setenv("EMU_DEVICES", "8", 1);
	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
