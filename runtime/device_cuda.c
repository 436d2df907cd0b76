/* The cuda device: an NVIDIA GPU. All work is queued on one stream, in order; only reads and sync() wait for it. */
#include "device_cuda.h"
#include "entry.h"
#include <stdlib.h>

static uint64_t cuda_alloc(struct device *d, uint64_t bytes)
{
	struct cuda *c = (struct cuda *)d;
	CUdeviceptr at = 0;
	if (!bytes)
		return 0;
	if (c->n_areas == DR_SPACES)
		rank_fail(&c->options.reporter, "internal: more than %d allocations on a device", DR_SPACES);
	CUresult got = c->cuMemAlloc_v2(&at, bytes);
	if (got == CUDA_ERROR_OUT_OF_MEMORY)
		rank_fail(&c->options.reporter, "the GPU does not have %llu bytes of memory left", (unsigned long long)bytes);
	cuda_check(c, got, "cannot get memory of the GPU");
	c->area[c->n_areas++] = at;
	cuda_check(c, c->cuMemsetD8Async(at, 0, bytes, c->stream), "cannot clear the GPU's memory");
	cuda_queued(c, "the GPU's memory was not cleared");
	return at;
}

static void cuda_room(struct device *d, uint64_t *free_bytes, uint64_t *all)
{
	struct cuda *c = (struct cuda *)d;
	size_t left = 0, total = 0;
	cuda_check(c, c->cuMemGetInfo_v2(&left, &total), "cannot ask the GPU for its memory");
	*free_bytes = left;
	*all = total;
}

/* Queues a copy. The driver bounds the distance of rows, so bytes in one piece are not one long row. A copy from or to
 * memory that is not pinned may block in the driver until all work is done, which cuda_wait does not. */
static void copy(struct cuda *c, const CUDA_MEMCPY2D *what)
{
	size_t bytes = what->WidthInBytes * what->Height;
	bool pieces = what->Height > 1, out = what->srcMemoryType == CU_MEMORYTYPE_DEVICE;
	if (!bytes)
		return;
	if (c->busy)
		cuda_wait(c, "the GPU failed");
	cuda_check(c,
	           pieces ? c->cuMemcpy2DAsync_v2(what, c->stream)
	           : out  ? c->cuMemcpyDtoHAsync_v2(what->dstHost, what->srcDevice, bytes, c->stream)
	                  : c->cuMemcpyHtoDAsync_v2(what->dstDevice, what->srcHost, bytes, c->stream),
	           "cannot copy to or from the GPU");
	cuda_queued(c, "a copy %s the GPU failed", out ? "from" : "to");
}

void cuda_launched(struct cuda *c)
{
	c->busy = true;
	cuda_mark(c);
}

void cuda_copy(struct cuda *c, struct rect to, struct rect from)
{
	const CUDA_MEMCPY2D rows = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
	                            .srcDevice = from.at,
	                            .srcPitch = from.pitch,
	                            .dstMemoryType = CU_MEMORYTYPE_DEVICE,
	                            .dstDevice = to.at,
	                            .dstPitch = to.pitch,
	                            .WidthInBytes = from.width,
	                            .Height = from.rows};
	if (!from.width || !from.rows)
		return;
	cuda_check(c,
	           from.rows > 1 ? c->cuMemcpy2DAsync_v2(&rows, c->stream)
	                         : c->cuMemcpyDtoDAsync_v2(to.at, from.at, from.width, c->stream),
	           "cannot copy within the GPU");
	cuda_launched(c);
	cuda_queued(c, "a copy within the GPU failed");
}

static void cuda_sync(struct device *d) { cuda_wait((struct cuda *)d, "the GPU failed"); }

static void cuda_read(struct device *d, void *to, struct rect from)
{
	copy((struct cuda *)d, &(CUDA_MEMCPY2D){.srcMemoryType = CU_MEMORYTYPE_DEVICE,
	                                        .srcDevice = from.at,
	                                        .srcPitch = from.pitch,
	                                        .dstMemoryType = CU_MEMORYTYPE_HOST,
	                                        .dstHost = to,
	                                        .dstPitch = from.width,
	                                        .WidthInBytes = from.width,
	                                        .Height = from.rows});
	cuda_sync(d);
}

/* The driver has read memory that is not pinned when the call returns. */
static void cuda_write(struct device *d, struct rect to, const void *from)
{
	copy((struct cuda *)d, &(CUDA_MEMCPY2D){.srcMemoryType = CU_MEMORYTYPE_HOST,
	                                        .srcHost = from,
	                                        .srcPitch = to.width,
	                                        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
	                                        .dstDevice = to.at,
	                                        .dstPitch = to.pitch,
	                                        .WidthInBytes = to.width,
	                                        .Height = to.rows});
}

static void cuda_fill(struct device *d, uint64_t at, int byte, uint64_t bytes)
{
	struct cuda *c = (struct cuda *)d;
	if (!bytes)
		return;
	cuda_check(c, c->cuMemsetD8Async(at, (unsigned char)byte, bytes, c->stream), "cannot fill the GPU's memory");
	cuda_queued(c, "the GPU's memory was not filled");
}

static void launch_entry(struct cuda *c, const struct dr_entry *e, const struct launch *what, void **params)
{
	CUfunction f = c->function[e - c->options.image->entries];
	CUresult launched = c->cuLaunchKernel(f, entry_blocks(e, what->args, what->small), 1, 1, e->threads, 1, 1,
	                                      e->shared, c->stream, params, NULL);
	cuda_check(c, launched, "cannot launch a kernel");
	cuda_launched(c);
	cuda_queued(c, "the kernel `%s` failed", e->name);
}

static void cuda_launch(struct device *d, const struct launch *what)
{
	struct cuda *c = (struct cuda *)d;
	enum { MAX_ARGS = 64 };
	void *params[MAX_ARGS];
	const struct dr_entry *e = entry_for(c->options.image, what->kernel, what->phase, what->args);
	if (what->n_args > MAX_ARGS || !e)
		rank_fail(&c->options.reporter, "internal: kernel %d, of %d arguments, has no entry", what->kernel,
		          what->n_args);
	for (int i = 0; i < what->n_args; i++)
		params[i] = (void *)&what->args[i];
	launch_entry(c, e, what, params);
	for (; e->then; e++)
		launch_entry(c, e + 1, what, params);
}

static void cuda_close(struct device *d)
{
	struct cuda *c = (struct cuda *)d;
	cuda_sync(d);
	cuda_queue_close(c);
	for (int i = 0; i < c->n_areas; i++)
		cuda_check(c, c->cuMemFree_v2(c->area[i]), "cannot free the GPU's memory");
	if (c->module)
		cuda_check(c, c->cuModuleUnload(c->module), "cannot unload the kernels");
	for (int i = 0; i < MARKS && c->marks.event[i]; i++)
		cuda_check(c, c->cuEventDestroy_v2(c->marks.event[i]), "cannot end an event of the GPU");
	cuda_check(c, c->cuStreamDestroy_v2(c->stream), "cannot end the GPU's stream");
	cuda_check(c, c->cuDevicePrimaryCtxRelease_v2(c->gpu), "cannot leave the GPU");
	free(c->function);
	free(c);
}

struct device *device_cuda_open(const struct device_options *o)
{
	struct cuda *c = host_alloc(1, sizeof *c);
	c->options = *o;
	c->device = (struct device){.alloc = cuda_alloc,
	                            .read = cuda_read,
	                            .write = cuda_write,
	                            .fill = cuda_fill,
	                            .launch = cuda_launch,
	                            .sync = cuda_sync,
	                            .close = cuda_close,
	                            .room = cuda_room,
	                            .queue = &cuda_queue};
	cuda_start(c);
	return &c->device;
}
