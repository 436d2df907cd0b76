/* Calls about streams and events. */
#include <stdlib.h>
#include "driver.h"

/* ---- streams ---- */
CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
	struct CUctx_st *c;
	CUresult r = enter(&c);
	if (r)
		return r;
	if (!stream || flags > CU_STREAM_NON_BLOCKING)
		return leave(CUDA_ERROR_INVALID_VALUE);
	struct CUstream_st *s = calloc(1, sizeof *s);
	*s = (struct CUstream_st){.magic = MAGIC_STREAM, .context = c, .next = c->streams};
	s->blocking = flags != CU_STREAM_NON_BLOCKING;
	c->streams = *stream = s;
	return leave(CUDA_SUCCESS);
}

struct CUstream_st *enter_stream(CUstream handle, CUresult *r)
{
	struct CUctx_st *c;
	struct CUstream_st *s = NULL;
	*r = enter(&c);
	if (*r)
		return NULL;
	s = stream_of(c, handle);
	if (!s)
		*r = leave(CUDA_ERROR_INVALID_HANDLE);
	return s;
}

/* The work that was queued still runs. The legacy stream cannot be destroyed. */
CUresult cuStreamDestroy_v2(CUstream stream)
{
	CUresult r;
	struct CUstream_st *s = enter_stream(stream, &r);
	if (!s)
		return r;
	if (s == &s->context->legacy)
		return leave(CUDA_ERROR_INVALID_HANDLE);
	if (s->capture)
		capture_spoil(s->capture, CUDA_SUCCESS);
	s->magic = 0;
	return leave(CUDA_SUCCESS);
}

CUresult cuStreamQuery(CUstream stream)
{
	CUresult r;
	struct CUstream_st *s = enter_stream(stream, &r);
	if (s && (r = capture_check_wait(s)))
		return leave(r);
	return s ? leave(s->head ? queue_not_ready() : CUDA_SUCCESS) : r;
}

CUresult cuStreamSynchronize(CUstream stream)
{
	CUresult r;
	struct CUstream_st *s = enter_stream(stream, &r);
	if (s && (r = capture_check_wait(s)))
		return leave(r);
	return s ? leave(queue_drain(s)) : r;
}

/* ---- events ---- */
struct CUevent_st *event_of(CUevent handle) { return handle && handle->magic == MAGIC_EVENT ? handle : NULL; }

CUresult cuEventCreate(CUevent *event, unsigned flags)
{
	struct CUctx_st *c;
	CUresult r = enter(&c);
	if (r)
		return r;
	bool shared = flags & CU_EVENT_INTERPROCESS, timed = !(flags & CU_EVENT_DISABLE_TIMING);
	if (!event || flags > 7 || (shared && timed))
		return leave(CUDA_ERROR_INVALID_VALUE);
	struct CUevent_st *e = calloc(1, sizeof *e);
	*e = (struct CUevent_st){.magic = MAGIC_EVENT, .context = c, .next = c->events, .flags = flags};
	c->events = *event = e;
	return leave(CUDA_SUCCESS);
}

static struct CUevent_st *enter_event(CUevent handle, CUresult *r)
{
	struct CUctx_st *c;
	*r = enter(&c);
	if (*r)
		return NULL;
	if (!event_of(handle))
		*r = leave(CUDA_ERROR_INVALID_HANDLE);
	return *r ? NULL : handle;
}

CUresult cuEventDestroy_v2(CUevent event)
{
	CUresult r;
	struct CUevent_st *e = enter_event(event, &r);
	if (!e)
		return r;
	e->magic = 0;
	return leave(CUDA_SUCCESS);
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
	CUresult r;
	struct CUevent_st *e = enter_event(event, &r);
	if (!e)
		return r;
	struct CUstream_st *s = stream_of(e->context, stream);
	if (!s || s->context != e->context)
		return leave(CUDA_ERROR_INVALID_HANDLE);
	if (s->capture)
		return leave(capture_record(s, e));
	r = capture_check(s);
	if (r)
		return leave(r);
	e->capture = NULL;
	return leave(queue_push(s, &(struct op){.kind = OP_RECORD, .sync = {e, ++e->recorded}}));
}

/* Waits for the last record before this call: none, and it does not wait. */
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags)
{
	CUresult r;
	struct CUstream_st *s = enter_stream(stream, &r);
	if (!s)
		return r;
	if (flags > 1)
		return leave(CUDA_ERROR_INVALID_VALUE);
	struct CUevent_st *e = event_of(event);
	if (!e)
		return leave(CUDA_ERROR_INVALID_HANDLE);
	if (s->capture || e->capture)
		return leave(capture_wait(s, e));
	return leave(queue_push(s, &(struct op){.kind = OP_WAIT, .sync = {e, e->recorded}}));
}

/* What asks for an event, or waits for it, begins with this. */
static struct CUevent_st *enter_recorded(CUevent handle, CUresult *r)
{
	struct CUctx_st *c;
	*r = enter_unsafe(&c);
	if (*r)
		return NULL;
	if (!event_of(handle))
		*r = leave(CUDA_ERROR_INVALID_HANDLE);
	else if (handle->capture)
		*r = leave(CUDA_ERROR_CAPTURED_EVENT);
	return *r ? NULL : handle;
}

CUresult cuEventQuery(CUevent event)
{
	CUresult r;
	struct CUevent_st *e = enter_recorded(event, &r);
	return e ? leave(e->done < e->recorded ? queue_not_ready() : CUDA_SUCCESS) : r;
}

CUresult cuEventSynchronize(CUevent event)
{
	CUresult r;
	struct CUevent_st *e = enter_recorded(event, &r);
	return e ? leave(queue_wait_event(e)) : r;
}

static bool is_timed(const struct CUevent_st *e) { return e && e->recorded && !(e->flags & CU_EVENT_DISABLE_TIMING); }

CUresult cuEventElapsedTime(float *milliseconds, CUevent from, CUevent to)
{
	struct CUctx_st *c;
	CUresult r = enter(&c);
	if (r)
		return r;
	if (!milliseconds)
		return leave(CUDA_ERROR_INVALID_VALUE);
	if (!is_timed(event_of(from)) || !is_timed(event_of(to)) || from->context != to->context)
		return leave(CUDA_ERROR_INVALID_HANDLE);
	if (from->capture || to->capture)
		return leave(CUDA_ERROR_CAPTURED_EVENT);
	if (from->done < from->recorded || to->done < to->recorded)
		return leave(CUDA_ERROR_NOT_READY);
	*milliseconds =
		(float)((double)(to->at.tv_sec - from->at.tv_sec) * 1e3 + (double)(to->at.tv_nsec - from->at.tv_nsec) * 1e-6);
	return leave(CUDA_SUCCESS);
}

void events_drop(struct CUctx_st *c)
{
	for (struct CUevent_st *e = c->events; e; e = e->next)
		e->magic = 0;
	c->events = NULL;
}
