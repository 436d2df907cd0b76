/* Calls that copy and fill. A captured copy reads and writes when its graph runs; else pinned host memory is read and
 * written when the copy runs. Pageable memory is read before the call returns, which may wait for
 * the stream first, by chance; and a copy to it has ended then. */
#include <stdlib.h>
#include <string.h>
#include "driver.h"

/* One side of a copy. */
struct side {
	bool host;
	char *at; /* as the emulator reads it; NULL: not valid */
	size_t pitch;
};

/* Bytes of rows from the first to the end of the last. */
static uint64_t extent(size_t pitch, size_t width, size_t rows) { return (uint64_t)pitch * (rows - 1) + width; }

static struct side device_side(CUdeviceptr at, size_t pitch, size_t width, size_t rows)
{
	bool valid = is_device_memory(at, extent(pitch, width, rows));
	return (struct side){false, valid ? memory_host(at) : NULL, pitch};
}

static struct side host_side(const void *at, size_t pitch)
{
	bool device = (uintptr_t)at & DEVICE_BIT;
	return (struct side){true, device ? NULL : (char *)(uintptr_t)at, pitch};
}

/* Reads pageable memory now. */
static void stage(struct copy *c)
{
	char *bytes = malloc(c->width * c->rows);
	for (size_t i = 0; i < c->rows; i++)
		memcpy(bytes + i * c->width, c->from + i * c->from_pitch, c->width);
	c->from = c->staging = bytes;
	c->from_pitch = c->width;
}

/* waits: the call has no stream, so it returns when pinned memory was read too. Called with the lock, which it gives
 * back. */
static CUresult copy(struct CUctx_st *context, struct side to, struct side from, size_t width, size_t rows,
                     CUstream stream, bool waits)
{
	struct CUstream_st *s = stream_of(context, stream);
	if (!s)
		return leave(CUDA_ERROR_INVALID_HANDLE);
	if (!to.at || !from.at)
		return leave(CUDA_ERROR_INVALID_VALUE);
	struct op op = {.kind = OP_COPY,
	                .copy = {to.at, from.at, to.pitch, from.pitch, width, rows, !to.host, !from.host, NULL}};
	bool staged = from.host && !is_pinned(from.at) && !s->capture;
	if (staged)
		stage(&op.copy);
	CUresult r = queue_push(s, &op);
	if (r || s->capture)
		return leave(r);
	bool ends = (to.host && !is_pinned(to.at)) || (waits && (to.host || (from.host && !staged)));
	ends |= staged && queue_random() & 1;
	return leave(ends ? queue_drain(s) : CUDA_SUCCESS);
}

/* ---- flat copies ---- */
static CUresult flat_copy(CUdeviceptr d_to, void *h_to, CUdeviceptr d_from, const void *h_from, size_t bytes,
                          CUstream stream, bool waits)
{
	struct CUctx_st *c;
	CUresult r = waits ? enter_unsafe(&c) : enter(&c);
	if (r)
		return r;
	if (!bytes)
		return leave(CUDA_SUCCESS);
	struct side to = d_to ? device_side(d_to, bytes, bytes, 1) : host_side(h_to, bytes);
	struct side from = d_from ? device_side(d_from, bytes, bytes, 1) : host_side(h_from, bytes);
	return copy(c, to, from, bytes, 1, stream, waits);
}

/* A device address of 0 is not valid; as a side, 0 would mean the host. */
static CUdeviceptr device(CUdeviceptr at) { return at ? at : DEVICE_BIT; }

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes)
{
	return flat_copy(device(to), NULL, 0, from, bytes, NULL, true);
}
CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
	return flat_copy(0, to, device(from), NULL, bytes, NULL, true);
}
CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
	return flat_copy(device(to), NULL, device(from), NULL, bytes, NULL, true);
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
	return flat_copy(device(to), NULL, 0, from, bytes, stream, false);
}
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
	return flat_copy(0, to, device(from), NULL, bytes, stream, false);
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
	return flat_copy(device(to), NULL, device(from), NULL, bytes, stream, false);
}

/* ---- rectangles ---- */
struct rectangle {
	CUmemorytype type;
	const void *host;
	CUdeviceptr device;
	size_t pitch, x, y;
};

static struct side rectangle_side(const struct rectangle *r, size_t width, size_t rows)
{
	size_t skip = r->y * r->pitch + r->x;
	bool is_host = r->type == CU_MEMORYTYPE_HOST || (r->type == CU_MEMORYTYPE_UNIFIED && !(r->device & DEVICE_BIT));
	const char *host = r->type == CU_MEMORYTYPE_HOST ? r->host : (const char *)(uintptr_t)r->device;
	if (r->pitch && r->pitch < width + r->x)
		return (struct side){0};
	if (!r->pitch && rows > 1)
		return (struct side){0};
	return is_host ? host ? host_side(host + skip, r->pitch) : (struct side){0}
	               : device_side(r->device + skip, r->pitch, width, rows);
}

static CUresult rectangle_copy(const CUDA_MEMCPY2D *p, CUstream stream, bool waits)
{
	struct CUctx_st *c;
	CUresult r = waits ? enter_unsafe(&c) : enter(&c);
	if (r)
		return r;
	if (!p || p->srcMemoryType < 1 || p->srcMemoryType > 4 || p->dstMemoryType < 1 || p->dstMemoryType > 4
	    || p->srcMemoryType == CU_MEMORYTYPE_ARRAY || p->dstMemoryType == CU_MEMORYTYPE_ARRAY)
		return leave(CUDA_ERROR_INVALID_VALUE);
	if (!p->WidthInBytes || !p->Height)
		return leave(CUDA_SUCCESS);
	struct rectangle to = {p->dstMemoryType, p->dstHost, p->dstDevice, p->dstPitch, p->dstXInBytes, p->dstY};
	struct rectangle from = {p->srcMemoryType, p->srcHost, p->srcDevice, p->srcPitch, p->srcXInBytes, p->srcY};
	return copy(c, rectangle_side(&to, p->WidthInBytes, p->Height), rectangle_side(&from, p->WidthInBytes, p->Height),
	            p->WidthInBytes, p->Height, stream, waits);
}

CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *p) { return rectangle_copy(p, NULL, true); }
CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *p, CUstream stream) { return rectangle_copy(p, stream, false); }

/* ---- fills: none waits ---- */
static CUresult fill(CUdeviceptr at, size_t pitch, unsigned char value, size_t width, size_t rows, CUstream stream)
{
	struct CUctx_st *c;
	CUresult r = enter(&c);
	if (r)
		return r;
	struct CUstream_st *s = stream_of(c, stream);
	if (!s)
		return leave(CUDA_ERROR_INVALID_HANDLE);
	if (!width || !rows)
		return leave(CUDA_SUCCESS);
	if ((rows > 1 && pitch < width) || !is_device_memory(at, extent(pitch, width, rows)))
		return leave(CUDA_ERROR_INVALID_VALUE);
	return leave(queue_push(s, &(struct op){.kind = OP_FILL, .fill = {memory_host(at), pitch, width, rows, value}}));
}

CUresult cuMemsetD8_v2(CUdeviceptr at, unsigned char value, size_t bytes)
{
	return fill(at, bytes, value, bytes, 1, NULL);
}
CUresult cuMemsetD8Async(CUdeviceptr at, unsigned char value, size_t bytes, CUstream stream)
{
	return fill(at, bytes, value, bytes, 1, stream);
}
CUresult cuMemsetD2D8_v2(CUdeviceptr at, size_t pitch, unsigned char value, size_t width, size_t height)
{
	return fill(at, pitch, value, width, height, NULL);
}
CUresult cuMemsetD2D8Async(CUdeviceptr at, size_t pitch, unsigned char value, size_t width, size_t height,
                           CUstream stream)
{
	return fill(at, pitch, value, width, height, stream);
}
