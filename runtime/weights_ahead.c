/* Reads a checkpoint ahead of those who load it. Loaders fault pages in where they read, and wait for each of them; a
 * thread beside them asks the kernel for the tensors that come next, in the same order, up to a bounded number of bytes
 * ahead. It touches nothing, so a rank without it only loads more slowly. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "number.h"
#include "weights.h"

static const uint64_t AHEAD_BYTES = 256 << 20;

struct weight_ahead {
	const struct plan *plan;
	const struct checkpoint *checkpoint;
	int rank;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t change;
	uint64_t asked, loaded; /* bytes */
	bool ends;
	uintptr_t page;
};

/* Waits until the loaders are near; false: they are done. */
static bool may_ask(struct weight_ahead *a)
{
	pthread_mutex_lock(&a->lock);
	while (!a->ends && a->asked > a->loaded + AHEAD_BYTES)
		pthread_cond_wait(&a->change, &a->lock);
	bool goes_on = !a->ends;
	pthread_mutex_unlock(&a->lock);
	return goes_on;
}

/* The rank's part of a tensor, from its first to its last element; empty if the param is padding there. It is the same
 * in all tensors of a param. */
struct part {
	int64_t first, n;
};
static struct part part_of(const struct weight_rows *r)
{
	int64_t first = r->param->base, last = first;
	for (uint32_t i = 0; i < r->param->axes.n; i++) {
		int64_t begin = weight_slice_begin(r, i), end = begin + r->axes[i].local;
		end = end < r->axes[i].extent ? end : r->axes[i].extent;
		if (end <= begin)
			return (struct part){0, 0};
		first += begin * r->axes[i].stride;
		last += (end - 1) * r->axes[i].stride;
	}
	return (struct part){first, last - first + 1};
}

/* Tensors of the rank's slice: one for each of its digits of the keyed axes. */
static int64_t tensors_of(const struct weight_rows *r)
{
	int64_t n = 1;
	for (uint32_t i = 0; i < r->param->axes.n; i++)
		n *= r->axes[i].keyed ? r->axes[i].local : 1;
	return n;
}

static uint64_t part_bytes(const struct weight_rows *r) { return (uint64_t)part_of(r).n * dtype_size(r->param->dtype); }

static void ask_tensor(const struct weight_ahead *a, const struct weight_rows *r, int64_t number)
{
	char key[KEY_BYTES];
	int64_t digit[MAX_AXES] = {0};
	struct part part = part_of(r);
	for (uint32_t i = r->param->axes.n; i-- > 0;)
		if (r->axes[i].keyed) {
			digit[i] = weight_slice_begin(r, i) + number % r->axes[i].local;
			number /= r->axes[i].local;
		}
	param_key(a->plan, r->param, r->layer, digit, key, sizeof key);
	const struct tensor *t = checkpoint_find(a->checkpoint, key);
	if (!t) /* padding has no tensor */
		return;
	uintptr_t at = (uintptr_t)(t->data + (uint64_t)part.first * dtype_size(t->dtype)), from = at / a->page * a->page;
	madvise((void *)from, at - from + (uint64_t)part.n * dtype_size(t->dtype), MADV_WILLNEED);
}

static bool ask_param(struct weight_ahead *a, const struct weight_rows *r)
{
	for (int64_t i = 0, n = part_of(r).n ? tensors_of(r) : 0; i < n; i++) {
		if (!may_ask(a))
			return false;
		ask_tensor(a, r, i);
		a->asked += part_bytes(r);
	}
	return true;
}

static bool ask_layer(void *context, struct weight_rows *r, uint64_t offset)
{
	(void)offset;
	return ask_param(context, r);
}

static void *ask_all(void *context)
{
	struct weight_ahead *a = context;
	weights_each(a->plan, a->rank, a->checkpoint, ask_layer, a);
	return NULL;
}

static void destroy(struct weight_ahead *a)
{
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->change);
	free(a);
}

struct weight_ahead *weight_ahead_open(const struct plan *plan, int rank, const struct checkpoint *c)
{
	if (!c)
		return NULL;
	struct weight_ahead *a = host_alloc(1, sizeof *a);
	*a = (struct weight_ahead){.plan = plan, .checkpoint = c, .rank = rank, .page = (uintptr_t)sysconf(_SC_PAGESIZE)};
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->change, NULL);
	if (weights_thread(&a->thread, ask_all, a))
		return a;
	destroy(a);
	return NULL;
}

void weight_ahead_loaded(struct weight_ahead *a, const struct weight_rows *r)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->loaded += (uint64_t)tensors_of(r) * part_bytes(r);
	pthread_cond_signal(&a->change);
	pthread_mutex_unlock(&a->lock);
}

void weight_ahead_close(struct weight_ahead *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->ends = true;
	pthread_cond_signal(&a->change);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	destroy(a);
}
