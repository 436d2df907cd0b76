/* Communicators: how ranks find each other, errors, the end. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "objects.h"

enum { VERSION = 22809 };

/* ---- errors ---- */
static char last_text[MAX_TEXT];
static pthread_mutex_t text_lock = PTHREAD_MUTEX_INITIALIZER;

static void say(const char *fmt, va_list args) __attribute__((format(printf, 1, 0)));
static void say(const char *fmt, va_list args)
{
	pthread_mutex_lock(&text_lock);
	vsnprintf(last_text, sizeof last_text, fmt, args);
	pthread_mutex_unlock(&text_lock);
}

ncclResult_t wrong(struct ncclComm *c, ncclResult_t error, const char *fmt, ...)
{
	int none = ncclSuccess;
	va_list args;
	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
	fprintf(stderr, "emulated NCCL: %s\n", last_text);
	atomic_compare_exchange_strong(&c->error, &none, error);
	return error;
}

/* A call that was refused; no communicator is harmed. */
static ncclResult_t refuse(ncclResult_t error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static ncclResult_t refuse(ncclResult_t error, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
	return error;
}

const char *ncclGetErrorString(ncclResult_t r)
{
	static const char *const texts[] = {"no error",
	                                    "unhandled cuda error",
	                                    "unhandled system error",
	                                    "internal error",
	                                    "invalid argument",
	                                    "invalid usage",
	                                    "remote process exited or there was a network error",
	                                    "NCCL operation in progress"};
	return (unsigned)r < sizeof texts / sizeof *texts ? texts[r] : "unknown result code";
}

const char *ncclGetLastError(ncclComm_t comm)
{
	(void)comm;
	return last_text;
}

ncclResult_t ncclGetVersion(int *version)
{
	const char *other = getenv("EMU_NCCL_VERSION");
	if (version)
		*version = other ? atoi(other) : VERSION;
	return version ? ncclSuccess : ncclInvalidArgument;
}

ncclResult_t check_comm(struct ncclComm *c, const char *call)
{
	CUcontext current = NULL;
	if (!c || c->magic != MAGIC_COMM)
		return refuse(ncclInvalidArgument, "%s: not a communicator", call);
	if (c->pending)
		return refuse(ncclInvalidUsage, "%s: a call before it is still in progress", call);
	if (atomic_load(&c->error) || c->finalized)
		return refuse(ncclInvalidUsage, "%s: the communicator has %s", call, c->finalized ? "ended" : "failed");
	if (cuCtxGetCurrent(&current) || current != c->context)
		return refuse(ncclInvalidUsage, "%s: the communicator is of another device than the current one", call);
	return ncclSuccess;
}

bool is_chosen(const char *variable, const struct ncclComm *c, int call)
{
	const char *text = getenv(variable);
	char *end = NULL;
	return text && strtol(text, &end, 10) == c->world && *end == ':' && strtol(end + 1, NULL, 10) == call;
}

/* ---- joining ---- */
/* What a unique id holds: where the first process has the memory. */
struct place {
	uint64_t nonce;
	int pid, file;
};

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
	struct place p = {.pid = getpid()};
	if (!id)
		return ncclInvalidArgument;
	if (getrandom(&p.nonce, sizeof p.nonce, 0) != sizeof p.nonce || (p.file = shared_make(p.nonce)) < 0)
		return refuse(ncclSystemError, "there is no memory to share");
	memset(id, 0, sizeof *id);
	memcpy(id->internal, &p, sizeof p);
	return ncclSuccess;
}

static struct ncclComm *comm_new(const struct place *p, int rank, int ranks, bool blocking, int world)
{
	struct shared *s = shared_open(p->pid, p->file, p->nonce, ranks);
	if (!s)
		return NULL;
	struct ncclComm *c = calloc(1, sizeof *c);
	*c = (struct ncclComm){.magic = MAGIC_COMM, .rank = rank, .ranks = ranks, .shared = s, .blocking = blocking};
	c->file = p->pid == getpid() ? p->file : -1;
	c->world = world;
	c->pending = JOIN;
	cuCtxGetCurrent(&c->context);
	if (!is_chosen("EMU_NCCL_HANG", c, 0))
		atomic_fetch_add(&s->joined, 1);
	return c;
}

/* The environment comes before the configuration. */
static bool blocks(const ncclConfig_t *config)
{
	const char *set = getenv("NCCL_COMM_BLOCKING");
	return set ? strcmp(set, "0") != 0 : !config || config->blocking != 0;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t *config)
{
	CUcontext current = NULL;
	struct place p;
	if (!comm || ranks < 1 || ranks > MAX_RANKS || rank < 0 || rank >= ranks)
		return refuse(ncclInvalidArgument, "ncclCommInitRankConfig: rank %d of %d", rank, ranks);
	if (config && (config->magic != NCCL_CONFIG_MAGIC || config->size != sizeof *config))
		return refuse(ncclInvalidArgument, "ncclCommInitRankConfig: the configuration was not initialized");
	if (cuCtxGetCurrent(&current) || !current)
		return refuse(ncclUnhandledCudaError, "ncclCommInitRankConfig: no device is current");
	memcpy(&p, id.internal, sizeof p);
	*comm = comm_new(&p, rank, ranks, blocks(config), rank);
	if (!*comm)
		return refuse(ncclInvalidArgument, "ncclCommInitRankConfig: there are no %d ranks of this id", ranks);
	return settle(*comm);
}

/* ---- splitting ---- */
static bool is_wrong(const char *what)
{
	const char *chosen = getenv("EMU_NCCL_SPLIT");
	return chosen && !strcmp(chosen, what);
}

ncclResult_t ncclCommSplit(ncclComm_t c, int color, int key, ncclComm_t *part, ncclConfig_t *config)
{
	ncclResult_t r = check_comm(c, "ncclCommSplit");
	if (r)
		return r;
	if (!part || config || color < NCCL_SPLIT_NOCOLOR)
		return wrong(c, ncclInvalidArgument, "ncclCommSplit: an argument is wrong");
	*part = c->part = NULL;
	c->part_out = part;
	c->color = is_wrong("colors") ? 0 : color;
	c->key = is_wrong("keys") ? -key : key;
	c->splits++;
	c->step = 0;
	c->pending = SPLIT;
	r = settle(c);
	return r == ncclInProgress ? ncclSuccess : r; /* as NCCL does */
}

/* This rank's number among those of its color, their number, and the first of them. */
static void find_part(const struct ncclComm *c, int *rank, int *ranks, int *first)
{
	const struct member *m = c->shared->member;
	*rank = *ranks = 0;
	*first = c->rank;
	for (int i = 0; i < c->ranks; i++) {
		if (m[i].color != c->color)
			continue;
		++*ranks;
		*rank += m[i].key < c->key || (m[i].key == c->key && i < c->rank);
		if (m[i].key < m[*first].key || (m[i].key == m[*first].key && i < *first))
			*first = i;
	}
}

/* The first rank of a part offers memory; the others find it there. */
static bool join_part(struct ncclComm *c)
{
	int rank, ranks, first;
	find_part(c, &rank, &ranks, &first);
	struct member *m = &c->shared->member[first];
	uint64_t nonce = c->shared->nonce + (uint64_t)c->splits;
	if (first == c->rank) {
		m->pid = getpid();
		m->file = shared_make(nonce);
		atomic_store(&m->offered, c->splits);
	}
	if (atomic_load(&m->offered) != c->splits)
		return false;
	c->part = comm_new(&(struct place){nonce, m->pid, m->file}, rank, ranks, c->blocking, c->world);
	if (!c->part)
		wrong(c, ncclSystemError, "ncclCommSplit: rank %d has no memory to share", first);
	return true;
}

/* One step. 0: all have ended the split before; 1: all have said their color; 2: the part's memory is there; 3: all of
 * the part have it. true: the split is over. */
static bool split_step(struct ncclComm *c)
{
	struct shared *s = c->shared;
	bool next = false;
	switch (c->step) {
	case 0:
		next = atomic_load(&s->finished) == c->ranks * (c->splits - 1);
		if (!next)
			break;
		s->member[c->rank].color = c->color;
		s->member[c->rank].key = c->key;
		atomic_fetch_add(&s->asked, 1);
		break;
	case 1:  next = atomic_load(&s->asked) == c->ranks * c->splits; break;
	case 2:  next = c->color == NCCL_SPLIT_NOCOLOR || join_part(c); break;
	default: next = !c->part || settle(c->part) == ncclSuccess; break;
	}
	c->step += next;
	if (c->step < 4)
		return false;
	*c->part_out = c->part;
	atomic_fetch_add(&s->finished, 1);
	return true;
}

/* ---- what goes on ---- */
static bool join_step(struct ncclComm *c)
{
	if (atomic_load(&c->shared->joined) < c->ranks)
		return false;
	if (c->file >= 0)
		close(c->file);
	c->file = -1;
	return true;
}

/* Advances what is pending. true: nothing is any more. */
static bool step(struct ncclComm *c)
{
	bool over = true;
	switch (c->pending) {
	case NOTHING: return true;
	case JOIN:    over = join_step(c); break;
	case SPLIT:   over = split_step(c); break;
	case QUEUE:
		work_queue(c->posted);
		c->posted = NULL;
		break;
	case FINALIZE:
		over = atomic_load(&c->works) == 0;
		c->finalized = over;
		break;
	}
	if (over)
		c->pending = NOTHING;
	return over;
}

ncclResult_t settle(struct ncclComm *c)
{
	bool over;
	while (!(over = step(c)) && c->blocking && !atomic_load(&c->error))
		usleep(100);
	return atomic_load(&c->error) ? (ncclResult_t)atomic_load(&c->error) : over ? ncclSuccess : ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t *error)
{
	if (!c || c->magic != MAGIC_COMM || !error)
		return refuse(ncclInvalidArgument, "ncclCommGetAsyncError: an argument is wrong");
	*error = (ncclResult_t)atomic_load(&c->error);
	if (!*error && !step(c))
		*error = ncclInProgress;
	return ncclSuccess;
}

ncclResult_t ncclCommCount(const ncclComm_t c, int *ranks)
{
	ncclResult_t r = check_comm(c, "ncclCommCount");
	if (!r)
		*ranks = c->ranks;
	return r;
}

ncclResult_t ncclCommUserRank(const ncclComm_t c, int *rank)
{
	ncclResult_t r = check_comm(c, "ncclCommUserRank");
	if (!r)
		*rank = c->rank;
	return r;
}

/* ---- the end ---- */
ncclResult_t ncclCommFinalize(ncclComm_t c)
{
	ncclResult_t r = check_comm(c, "ncclCommFinalize");
	if (r)
		return r;
	c->pending = FINALIZE;
	return settle(c);
}

/* A handle that was destroyed keeps its memory, without the magic number. */
ncclResult_t ncclCommDestroy(ncclComm_t c)
{
	if (!c || c->magic != MAGIC_COMM || !c->finalized)
		return refuse(ncclInvalidUsage, "ncclCommDestroy: the communicator was not finalized");
	c->magic = 0;
	shared_close(c->shared, c->ranks);
	return ncclSuccess;
}

/* Work in streams ends without its bytes. The memory stays: that work may still look at it. */
ncclResult_t ncclCommAbort(ncclComm_t c)
{
	if (!c || c->magic != MAGIC_COMM)
		return refuse(ncclInvalidArgument, "ncclCommAbort: not a communicator");
	fprintf(stderr, "emulated NCCL: rank %d aborts a communicator of %d\n", c->world, c->ranks);
	atomic_store(&c->aborted, true);
	c->magic = 0;
	return ncclSuccess;
}
