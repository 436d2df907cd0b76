/* The rows of a param as a rank stores them: which elements of which tensors they are. The threads that read them. */
#include "weights.h"
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "../support/hash.h"
#include "number.h"

static void add_digit(struct digits *d, uint32_t axis, uint32_t local)
{
	d->axis[d->n++] = axis;
	d->size *= local;
}

static bool is_tiled(const struct dr_param *p) { return p->n_tile != 0; }

/* Are the elements of a row in the order of the file, with nothing between them? */
static bool is_dense(const struct weight_rows *r)
{
	int64_t size = 1;
	for (int i = r->k.n; i-- > 0; size *= r->axes[r->k.axis[i]].local)
		if (r->axes[r->k.axis[i]].local > 1 && r->axes[r->k.axis[i]].stride != size)
			return false;
	return true;
}

void weight_rows_open(struct weight_rows *r)
{
	const struct dr_param *p = r->param;
	int64_t run = is_tiled(p) ? p->k_run : 1;
	r->axes = plan_array(r->plan, struct dr_axis, p->axes);
	r->g.size = r->n.size = r->k.size = 1;
	for (uint32_t a = 0; a < p->axes.n; a++) {
		bool last = a + 1 == p->axes.n;
		uint32_t role = is_tiled(p) ? r->axes[a].role : last && !r->axes[a].keyed ? DR_WEIGHT_K : DR_WEIGHT_N;
		add_digit(role == DR_WEIGHT_K ? &r->k : role == DR_WEIGHT_N ? &r->n : &r->g, a, r->axes[a].local);
	}
	r->k_padded = (r->k.size + run - 1) / run * run;
	r->row_bytes = (size_t)r->k_padded * dtype_size(p->dtype);
	r->dense = is_dense(r);
}

/* The begin of the rank's slice along an axis. */
static int64_t slice_begin(const struct weight_rows *r, uint32_t a)
{
	return (int64_t)r->axes[a].local * plan_group_index(r->plan, (int)r->axes[a].group, r->rank);
}

/* Sets the axes' global indices from a number. */
static void set_digits(struct weight_rows *r, const struct digits *d, int64_t number)
{
	for (int i = d->n; i-- > 0;) {
		uint32_t a = d->axis[i];
		r->index[a] = slice_begin(r, a) + number % r->axes[a].local;
		number /= r->axes[a].local;
	}
}

/* ---- sources --------------------------------------------------------------------------------- */
/* Random weights: uniform with variance 1/k, so sums over k elements are of order one. Gains of norms are near one. */
static void random_source(struct weight_rows *r, const char *key)
{
	double k = 1;
	for (uint32_t a = 0; a < r->param->axes.n; a++)
		if (is_tiled(r->param) ? r->axes[a].role == DR_WEIGHT_K : a + 1 == r->param->axes.n)
			k *= r->axes[a].extent;
	bool gain = r->param->axes.n < 2;
	r->source = (struct source){NULL, fnv1a(FNV_EMPTY, key, strlen(key)), gain ? 1.0f : 0.0f,
	                            gain ? 0.1f : (float)sqrt(3.0 / k)};
}

static void look_up_source(struct weight_rows *r)
{
	bool same = r->has_source;
	for (uint32_t a = 0; a < r->param->axes.n; a++)
		same = same && (!r->axes[a].keyed || r->keyed[a] == r->index[a]);
	if (same)
		return;
	char key[KEY_BYTES];
	param_key(r->plan, r->param, r->layer, r->index, key, sizeof key);
	for (uint32_t a = 0; a < r->param->axes.n; a++)
		r->keyed[a] = r->index[a];
	if (r->checkpoint)
		r->source.tensor = checkpoint_find(r->checkpoint, key);
	else
		random_source(r, key);
	r->has_source = true;
}

/* ---- reading --------------------------------------------------------------------------------- */
/* The number of `run` elements from the current indices on, along axis `last`, that the param has. A padded axis ends
 * within the last rank's slice. */
static int64_t stored_run(const struct weight_rows *r, const struct dr_axis *last, int64_t run)
{
	for (uint32_t a = 0; a < r->param->axes.n; a++) {
		int64_t left = (int64_t)r->axes[a].extent - r->index[a];
		if (left <= 0)
			return 0;
		if (&r->axes[a] == last && left < run)
			run = left;
	}
	return run;
}

static void set_row(struct weight_rows *r, int64_t number)
{
	set_digits(r, &r->g, number / r->n.size);
	set_digits(r, &r->n, number % r->n.size);
}

/* Of the element at the current indices, in its tensor. */
static int64_t flat_index(const struct weight_rows *r)
{
	int64_t at = r->param->base;
	for (uint32_t a = 0; a < r->param->axes.n; a++)
		at += r->index[a] * r->axes[a].stride;
	return at;
}

struct stored_bytes weight_row_bytes(struct weight_rows *r, int64_t number)
{
	int64_t last = 0;
	set_row(r, number);
	set_digits(r, &r->k, 0);
	if (!r->checkpoint || !stored_run(r, NULL, 1))
		return (struct stored_bytes){NULL, NULL};
	look_up_source(r);
	for (int i = 0; i < r->k.n; i++) {
		const struct dr_axis *a = &r->axes[r->k.axis[i]];
		int64_t left = (int64_t)a->extent - r->index[r->k.axis[i]];
		last += ((left < a->local ? left : a->local) - 1) * a->stride;
	}
	const struct tensor *t = r->source.tensor;
	const unsigned char *begin = t->data + (size_t)flat_index(r) * dtype_size(t->dtype);
	return (struct stored_bytes){begin, begin + (size_t)(last + 1) * dtype_size(t->dtype)};
}

const unsigned char *weight_row_stored(struct weight_rows *r, int64_t number)
{
	if (!r->dense || !r->checkpoint)
		return NULL;
	struct stored_bytes row = weight_row_bytes(r, number);
	bool whole =
		row.begin && r->source.tensor->dtype == r->param->dtype && (size_t)(row.end - row.begin) == r->row_bytes;
	return whole ? row.begin : NULL;
}

/* In runs along the last axis of k. */
void weight_rows_read(struct weight_rows *r, int64_t number, unsigned char *to)
{
	size_t size = dtype_size(r->param->dtype);
	const struct dr_axis *last = r->k.n ? &r->axes[r->k.axis[r->k.n - 1]] : NULL;
	int64_t run = last ? last->local : 1, stride = last ? last->stride : 1;
	set_row(r, number);
	for (int64_t at = 0; at < r->k.size; at += run) {
		set_digits(r, &r->k, at);
		int64_t stored = stored_run(r, last, run);
		memset(to + (size_t)(at + stored) * size, 0, (size_t)(run - stored) * size);
		if (!stored)
			continue;
		look_up_source(r);
		source_read(&r->source, flat_index(r), stride, stored, r->param->dtype, to + (size_t)at * size);
	}
	memset(to + (size_t)r->k.size * size, 0, (size_t)(r->k_padded - r->k.size) * size);
}

/* ---- a rank's params ------------------------------------------------------------------------- */
/* Does the rank's stage have the param, or some layer's? */
static bool has_param(const struct plan *plan, int rank, const struct dr_param *p)
{
	return p->space != DR_SPACE_OUTSIDE || (uint32_t)plan_stage(plan, rank) == p->stage;
}

bool weights_each(const struct plan *plan, int rank, const struct checkpoint *c, weights_fn *f, void *context)
{
	const struct dr_stage *stage = &plan->stages[plan_stage(plan, rank)];
	for (uint32_t i = 0; i < plan->head->params.n; i++) {
		const struct dr_param *p = &plan->params[i];
		int64_t begin = p->in_loop ? stage->layer_begin : 0, end = p->in_loop ? stage->layer_end : 1;
		if (!has_param(plan, rank, p))
			continue;
		struct weight_rows r = {.plan = plan, .param = p, .checkpoint = c, .rank = rank};
		uint64_t offset = p->offset;
		weight_rows_open(&r);
		for (r.layer = begin; r.layer < end; offset += p->in_loop ? plan_layer_bytes(plan, r.layer) : 0, r.layer++) {
			if (!plan_has_param(plan, p, r.layer))
				continue;
			r.has_source = false;
			if (!f(context, &r, offset))
				return false;
		}
	}
	return true;
}

/* ---- threads --------------------------------------------------------------------------------- */
bool weights_thread(pthread_t *thread, void *(*work)(void *), void *context)
{
	sigset_t all, before;
	sigfillset(&all);
	sigdelset(&all, SIGBUS); /* checkpoint_guard */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(thread, NULL, work, context);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return !failed;
}

void weights_run(int threads, void *(*work)(void *), void *context)
{
	int others = 0;
	pthread_t *other = host_alloc((size_t)threads + 1, sizeof *other);
	while (others < threads - 1 && weights_thread(&other[others], work, context))
		others++;
	work(context);
	while (others)
		pthread_join(other[--others], NULL);
	free(other);
}
