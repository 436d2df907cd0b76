/* Stream capture: what is queued in a captured stream becomes nodes of a graph, ordered by streams and events. What the
 * driver forbids in the meantime is refused, and most of it spoils the capture. */
#include <stdlib.h>
#include <string.h>
#include "graphs.h"

/* ---- fronts: the nodes that the next one comes after ---- */
static void front_clear(struct front *f)
{
	free(f->at);
	*f = (struct front){0, NULL};
}

static void front_add(struct front *f, const struct front *more)
{
	f->at = realloc(f->at, (size_t)(f->n + more->n + 1) * sizeof *f->at);
	for (int i = 0; i < more->n; i++) {
		int k = 0;
		while (k < f->n && f->at[k] != more->at[i])
			k++;
		if (k == f->n)
			f->at[f->n++] = more->at[i];
	}
}

static void add_node(struct CUstream_st *s, const struct op *op)
{
	struct nodes *n = s->capture->nodes;
	if (n->n == n->cap) {
		n->cap = n->cap ? 2 * n->cap : 16;
		n->at = realloc(n->at, (size_t)n->cap * sizeof *n->at);
	}
	n->at[n->n] = (struct node){*op, s->context, s->front.at, s->front.n};
	s->front = (struct front){0, NULL};
	front_add(&s->front, &(struct front){1, &(int){n->n}});
	n->n++;
}

/* ---- what is forbidden ---- */
CUresult capture_spoil(struct capture *k, CUresult r)
{
	k->invalid = true;
	return r;
}

/* A captured stream that is ordered with the legacy stream; NULL: none. */
static struct capture *blocking_capture(const struct CUctx_st *c)
{
	for (const struct CUstream_st *s = c->streams; s; s = s->next)
		if (s->capture && s->blocking)
			return s->capture;
	return NULL;
}

CUresult capture_check(struct CUstream_st *s)
{
	struct capture *implied = s == &s->context->legacy ? blocking_capture(s->context) : NULL;
	if (implied)
		return capture_spoil(implied, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
	return s->capture && s->capture->invalid ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS;
}

CUresult capture_takes(struct CUstream_st *s, const struct op *op)
{
	CUresult r = capture_check(s);
	if (!r && s->capture)
		add_node(s, op);
	return r;
}

CUresult capture_check_wait(struct CUstream_st *s)
{
	CUresult r = capture_check(s);
	return r || !s->capture ? r : capture_spoil(s->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

CUresult capture_check_context(const struct CUctx_st *c)
{
	CUresult r = CUDA_SUCCESS;
	for (const struct CUstream_st *s = c->streams; s; s = s->next)
		if (s->capture)
			r = capture_spoil(s->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	return r;
}

/* Does the capture forbid this thread what could make the device wait? */
static bool forbids(const struct capture *k)
{
	return k->mode == CU_STREAM_CAPTURE_MODE_GLOBAL
	       || (k->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && pthread_equal(k->thread, pthread_self()));
}

CUresult enter_unsafe(struct CUctx_st **context)
{
	CUresult r = enter(context), found = CUDA_SUCCESS;
	if (r)
		return r;
	for (int d = 0; d < device_count(); d++)
		for (const struct CUstream_st *s = device_context(d)->streams; s; s = s->next)
			if (s->capture && forbids(s->capture))
				found = capture_spoil(s->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	return found ? leave(found) : CUDA_SUCCESS;
}

/* ---- events ---- */
CUresult capture_record(struct CUstream_st *s, struct CUevent_st *e)
{
	CUresult r = capture_check(s);
	if (r)
		return r;
	front_clear(&e->front);
	front_add(&e->front, &s->front);
	e->capture = s->capture;
	return CUDA_SUCCESS;
}

/* The stream comes after the event: one that is not captured is from then on. */
CUresult capture_wait(struct CUstream_st *s, struct CUevent_st *e)
{
	CUresult r = capture_check(s);
	if (r)
		return r;
	if (!e->capture)
		return e->recorded ? capture_spoil(s->capture, CUDA_ERROR_STREAM_CAPTURE_ISOLATION) : CUDA_SUCCESS;
	if (e->capture->ended)
		return CUDA_ERROR_CAPTURED_EVENT;
	if (e->capture->invalid)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (s->capture && s->capture != e->capture) {
		capture_spoil(e->capture, CUDA_SUCCESS);
		return capture_spoil(s->capture, CUDA_ERROR_STREAM_CAPTURE_MERGE);
	}
	if (s == &s->context->legacy)
		return capture_spoil(e->capture, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
	s->capture = e->capture;
	front_add(&s->front, &e->front);
	return CUDA_SUCCESS;
}

/* ---- begin and end ---- */
CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode)
{
	static uint64_t number;
	CUresult r;
	struct CUstream_st *s = enter_stream(stream, &r);
	if (!s)
		return r;
	if (mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return leave(CUDA_ERROR_INVALID_VALUE);
	if (s == &s->context->legacy)
		return leave(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	if (s->capture)
		return leave(CUDA_ERROR_ILLEGAL_STATE);
	struct capture *k = calloc(1, sizeof *k);
	*k = (struct capture){mode, pthread_self(), s, nodes_new(), ++number, false, false};
	s->capture = k;
	return leave(CUDA_SUCCESS);
}

/* Is each node that nothing comes after the origin's own? */
static bool is_joined(const struct capture *k)
{
	const struct nodes *n = k->nodes;
	char *followed = calloc((size_t)n->n + 1, 1);
	bool joined = true;
	for (int i = 0; i < n->n; i++)
		for (int a = 0; a < n->at[i].n_after; a++)
			followed[n->at[i].after[a]] = 1;
	for (int i = 0; i < k->origin->front.n; i++)
		followed[k->origin->front.at[i]] = 1;
	for (int i = 0; i < n->n; i++)
		joined = joined && followed[i];
	free(followed);
	return joined;
}

static void end_capture(struct capture *k)
{
	k->ended = true;
	for (int d = 0; d < device_count(); d++)
		for (struct CUstream_st *s = device_context(d)->streams; s; s = s->next)
			if (s->capture == k) {
				s->capture = NULL;
				front_clear(&s->front);
			}
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
	CUresult r;
	struct CUstream_st *s = enter_stream(stream, &r);
	if (!s)
		return r;
	struct capture *k = s->capture;
	if (!graph)
		return leave(CUDA_ERROR_INVALID_VALUE);
	*graph = NULL;
	if (!k)
		return leave(CUDA_ERROR_ILLEGAL_STATE);
	if (k->mode != CU_STREAM_CAPTURE_MODE_RELAXED && !pthread_equal(k->thread, pthread_self()))
		return leave(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
	if (s != k->origin)
		return leave(capture_spoil(k, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED));
	r = k->invalid     ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
	    : is_joined(k) ? CUDA_SUCCESS
	                   : CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
	end_capture(k);
	if (r)
		nodes_release(k->nodes);
	else
		*graph = graph_new(k->nodes);
	k->nodes = NULL;
	return leave(r);
}

/* ---- questions ---- */
CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status)
{
	return cuStreamGetCaptureInfo_v2(stream, status, NULL, NULL, NULL, NULL);
}

/* The graph under construction and its nodes cannot be had. */
CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus *status, uint64_t *number, CUgraph *graph,
                                   const CUgraphNode **nodes, size_t *n)
{
	CUresult r;
	const struct CUstream_st *s = enter_stream(stream, &r);
	if (!s)
		return r;
	if (!status)
		return leave(CUDA_ERROR_INVALID_VALUE);
	if (graph || nodes || n)
		return leave(CUDA_ERROR_NOT_SUPPORTED);
	if (s == &s->context->legacy && blocking_capture(s->context))
		return leave(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
	*status = !s->capture           ? CU_STREAM_CAPTURE_STATUS_NONE
	          : s->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
	                                : CU_STREAM_CAPTURE_STATUS_ACTIVE;
	if (number && s->capture)
		*number = s->capture->number;
	return leave(CUDA_SUCCESS);
}
