/* Work in a stream: transfers through rings, then sums. It is polled by the thread that executes streams. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "objects.h"

static const struct {
	const char *name;
	size_t bytes;
} types[] = {
	[ncclInt8] = {"i8", 1},     [ncclUint8] = {"u8", 1},      [ncclInt32] = {"i32", 4},   [ncclUint32] = {"u32", 4},
	[ncclInt64] = {"i64", 0},   [ncclUint64] = {"u64", 0},    [ncclFloat16] = {"f16", 2}, [ncclFloat32] = {"f32", 4},
	[ncclFloat64] = {"f64", 0}, [ncclBfloat16] = {"bf16", 2},
};
enum { TYPES = sizeof types / sizeof *types };

size_t type_bytes(uint32_t type) { return type < TYPES ? types[type].bytes : 0; }

/* "all_reduce of 8 bf16" */
static void describe(const struct head *h, char *out, size_t n)
{
	static const char *const kinds[] = {[ALL_REDUCE] = "all_reduce",
	                                    [ALL_GATHER] = "all_gather",
	                                    [REDUCE_SCATTER] = "reduce_scatter",
	                                    [BROADCAST] = "broadcast",
	                                    [POINT_TO_POINT] = "message"};
	snprintf(out, n, "%s of %llu %s%s", h->kind <= POINT_TO_POINT ? kinds[h->kind] : "?", (unsigned long long)h->count,
	         h->type < TYPES ? types[h->type].name : "?", h->op == ncclMax ? " (maximum)" : "");
}

/* ---- making it ---- */
struct work *work_new(struct ncclComm *c, CUstream stream)
{
	struct work *w = calloc(1, sizeof *w);
	*w = (struct work){.comm = c, .stream = stream};
	w->last = &w->transfers;
	return w;
}

void work_transfer(struct work *w, const struct head *head, bool sends, int peer, CUdeviceptr at, char *host)
{
	struct transfer *t = calloc(1, sizeof *t);
	*t = (struct transfer){.head = *head, .at = at, .host = host, .peer = peer, .sends = sends};
	t->bytes = head->count * type_bytes(head->type);
	*w->last = t;
	w->last = &t->next;
}

void work_sum(struct work *w, const struct head *head, CUdeviceptr to, char *parts)
{
	struct sum *s = calloc(1, sizeof *s);
	*s = (struct sum){.next = w->sums, .head = *head, .to = to, .parts = parts};
	w->sums = s;
}

static bool touch(const struct transfer *a, const struct transfer *b)
{
	return a->at < b->at + b->bytes && b->at < a->at + a->bytes;
}

/* Calls of other kinds check their own. */
static bool messages_overlap(const struct work *w)
{
	for (const struct transfer *a = w->transfers; a; a = a->next)
		for (const struct transfer *b = w->transfers; b; b = b->next)
			if (a != b && !a->sends && a->head.kind == POINT_TO_POINT && touch(a, b))
				return true;
	return false;
}

static void work_drop(void *state)
{
	struct work *w = state;
	for (struct transfer *t = w->transfers, *next; t; t = next) {
		next = t->next;
		free(t);
	}
	for (struct sum *s = w->sums, *next; s; s = next) {
		next = s->next;
		free(s->parts);
		free(s);
	}
	atomic_fetch_sub(&w->comm->works, 1);
	free(w);
}

/* ---- running it ---- */
static void disagree(struct ncclComm *c, const struct transfer *t)
{
	char mine[100], others[100];
	describe(&t->head, mine, sizeof mine);
	describe(&t->seen, others, sizeof others);
	wrong(c, ncclInvalidUsage, "ranks disagree: rank %d of %d is in %s, rank %d in %s", c->rank, c->ranks, mine,
	      t->peer, others);
}

/* Moves the head, then the bytes. */
static void advance(struct ncclComm *c, struct transfer *t)
{
	int from = t->sends ? c->rank : t->peer, to = t->sends ? t->peer : c->rank;
	struct ring *r = &c->shared->ring[from * c->ranks + to];
	size_t moved = 1, all = sizeof t->head + t->bytes;
	while (moved && t->done < all) {
		bool in_head = t->done < sizeof t->head;
		char *head = (char *)(t->sends ? &t->head : &t->seen);
		moved = in_head ? ring_move(r, head + t->done, sizeof t->head - t->done, t->sends)
		                : ring_move(r, t->host + (t->done - sizeof t->head), all - t->done, t->sends);
		t->done += moved;
		if (in_head && !t->sends && t->done == sizeof t->head && memcmp(&t->seen, &t->head, sizeof t->head)) {
			disagree(c, t);
			return;
		}
	}
	if (t->done == all && t->sends && !t->end)
		t->end = atomic_load(&r->written);
}

/* A send is over when its receiver has taken all bytes: nothing is said of buffers on the way. */
static bool is_over(const struct ncclComm *c, const struct transfer *t)
{
	const struct ring *r = &c->shared->ring[c->rank * c->ranks + t->peer];
	return t->done == sizeof t->head + t->bytes && (!t->sends || atomic_load(&r->read) >= t->end);
}

/* Memory may have been freed since the call. */
static bool start(struct work *w)
{
	for (struct transfer *t = w->transfers; t; t = t->next) {
		t->host = t->at ? emu_memory(t->at, t->bytes) : t->host;
		if (!t->host)
			return false;
	}
	for (struct sum *s = w->sums; s; s = s->next)
		if (!emu_memory(s->to, s->head.count * type_bytes(s->head.type)))
			return false;
	return true;
}

static void finish(struct work *w)
{
	const struct ncclComm *c = w->comm;
	for (struct sum *s = w->sums; s; s = s->next)
		sum_numbers(s, c->rank, c->ranks, emu_memory(s->to, s->head.count * type_bytes(s->head.type)));
}

/* true: it is over. It may begin again. */
static bool end_work(struct work *w)
{
	if (w->comm->active == w)
		w->comm->active = NULL;
	w->started = false;
	for (struct transfer *t = w->transfers; t; t = t->next)
		t->done = t->end = 0;
	return true;
}

static bool work_poll(void *state)
{
	struct work *w = state;
	struct ncclComm *c = w->comm;
	bool waits[2][MAX_RANKS] = {{0}}, over = true;
	if (atomic_load(&c->aborted))
		return end_work(w);
	if (w->hangs || atomic_load(&c->error) || (c->active && c->active != w))
		return false;
	c->active = w;
	if (!w->started && w->fails)
		wrong(c, ncclSystemError, "EMU_NCCL_FAIL: this call fails on rank %d", c->world);
	else if (!w->started && !start(w))
		wrong(c, ncclUnhandledCudaError, "memory of a collective was freed before it ran");
	w->started = true;
	for (struct transfer *t = w->transfers; t && !atomic_load(&c->error); t = t->next) {
		bool *before = &waits[t->sends][t->peer];
		if (!*before)
			advance(c, t);
		*before = *before || t->done < sizeof t->head + t->bytes;
		over = over && is_over(c, t);
	}
	if (!over || atomic_load(&c->error))
		return false;
	finish(w);
	return end_work(w);
}

ncclResult_t work_queue(struct work *w)
{
	struct emu_work queued = {work_poll, work_drop, w};
	struct ncclComm *c = w->comm;
	atomic_fetch_add(&c->works, 1);
	if (messages_overlap(w)) {
		work_drop(w);
		return wrong(c, ncclInvalidArgument, "messages of one group overlap in memory");
	}
	if (emu_queue(w->stream, &queued) == CUDA_SUCCESS)
		return ncclSuccess;
	work_drop(w);
	return wrong(c, ncclUnhandledCudaError, "the stream refuses work");
}
