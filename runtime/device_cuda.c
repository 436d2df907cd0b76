/* The cuda device: an NVIDIA GPU through the driver, which is opened at run time. All work is queued on one stream, in
 * order; only reads and sync() wait for it. */
#include "device.h"
#include <dlfcn.h>
#include <stdlib.h>
#include "cuda_api.h"

enum {
	BLOCK = 64,   /* threads of a block; the workers of a launch are a multiple of it */
	MIN_MAJOR = 8 /* compute capability */
};

struct cuda {
	struct device device;
	struct device_options options;
	void *library;
#define CALL(name, parameters) CUresult(*name) parameters;
#include "cuda_api.def"
	CUdevice gpu;
	CUcontext context;
	CUstream stream;
	CUmodule module;
	CUfunction *kernel;
	const char *launched; /* the last kernel: an error of queued work comes late */
	CUdeviceptr area[DR_SPACES];
	int n_areas;
};

/* ---- the driver ------------------------------------------------------------------------------ */
/* Ends the rank if the driver did not do what it was asked. */
static void check(struct cuda *c, CUresult result, const char *what)
{
	const char *name = "an unknown error", *text = "the driver knows no words for it";
	if (result == CUDA_SUCCESS)
		return;
	c->cuGetErrorName(result, &name);
	c->cuGetErrorString(result, &text);
	rank_fail(&c->options.reporter, "%s: %s, %s%s%s%s", what, name, text, c->launched ? " (the last kernel was `" : "",
	          c->launched ? c->launched : "", c->launched ? "`)" : "");
}

static void find_calls(struct cuda *c)
{
	c->library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!c->library)
		rank_fail(&c->options.reporter, "there is no NVIDIA driver (%s): install it, or compile for --target=cpu",
		          dlerror());
#define CALL(name, parameters)                                                                                   \
	*(void **)&c->name = dlsym(c->library, #name);                                                               \
	if (!c->name)                                                                                                \
		rank_fail(&c->options.reporter, "the NVIDIA driver lacks " #name ": install a newer one, of CUDA 12 or " \
		                                "later");
#include "cuda_api.def"
}

/* The rank's thread says once which context it works in; threads that load weights say so before they copy. */
static void enter(struct cuda *c) { check(c, c->cuCtxSetCurrent(c->context), "cannot use the GPU's context"); }

/* ---- the device ------------------------------------------------------------------------------ */
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
	check(c, got, "cannot get memory of the GPU");
	c->area[c->n_areas++] = at;
	check(c, c->cuMemsetD8Async(at, 0, bytes, c->stream), "cannot clear the GPU's memory");
	return at;
}

/* Queues a copy. The driver bounds the distance of rows, so bytes in one piece are not one long row. */
static void copy(struct cuda *c, const CUDA_MEMCPY2D *what)
{
	size_t bytes = what->WidthInBytes * what->Height;
	bool pieces = what->Height > 1, out = what->srcMemoryType == CU_MEMORYTYPE_DEVICE;
	if (!bytes)
		return;
	enter(c);
	check(c,
	      pieces ? c->cuMemcpy2DAsync_v2(what, c->stream)
	      : out  ? c->cuMemcpyDtoHAsync_v2(what->dstHost, what->srcDevice, bytes, c->stream)
	             : c->cuMemcpyHtoDAsync_v2(what->dstDevice, what->srcHost, bytes, c->stream),
	      "cannot copy to or from the GPU");
}

static void cuda_sync(struct device *d)
{
	struct cuda *c = (struct cuda *)d;
	check(c, c->cuStreamSynchronize(c->stream), "the GPU failed");
}

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
	if (bytes)
		check(c, c->cuMemsetD8Async(at, (unsigned char)byte, bytes, c->stream), "cannot fill the GPU's memory");
}

/* Each thread is a worker. One block is as fast as all where there is little to do. */
static void cuda_launch(struct device *d, int32_t kernel, const uint64_t *args, int32_t n_args, bool small)
{
	struct cuda *c = (struct cuda *)d;
	enum { MAX_ARGS = 64 };
	void *params[MAX_ARGS];
	unsigned blocks = small ? 1 : (unsigned)c->options.workers / BLOCK;
	if (n_args > MAX_ARGS)
		rank_fail(&c->options.reporter, "internal: a kernel of %d arguments", n_args);
	for (int i = 0; i < n_args; i++)
		params[i] = (void *)&args[i];
	CUresult launched = c->cuLaunchKernel(c->kernel[kernel], blocks, 1, 1, BLOCK, 1, 1, 0, c->stream, params, NULL);
	c->launched = c->options.image->entries[kernel];
	check(c, launched, "cannot launch a kernel");
}

static void cuda_close(struct device *d)
{
	struct cuda *c = (struct cuda *)d;
	cuda_sync(d);
	for (int i = 0; i < c->n_areas; i++)
		check(c, c->cuMemFree_v2(c->area[i]), "cannot free the GPU's memory");
	if (c->module)
		check(c, c->cuModuleUnload(c->module), "cannot unload the kernels");
	check(c, c->cuStreamDestroy_v2(c->stream), "cannot end the GPU's stream");
	check(c, c->cuDevicePrimaryCtxRelease_v2(c->gpu), "cannot leave the GPU");
	free(c->kernel);
	free(c);
}

/* ---- start ----------------------------------------------------------------------------------- */
/* Each rank of a host has a GPU of its own, of those that the driver shows. */
static void choose_gpu(struct cuda *c)
{
	int count = 0, rank = c->options.reporter.rank;
	const char *visible = getenv("CUDA_VISIBLE_DEVICES");
	CUresult started = c->cuInit(0);
	if (started != CUDA_ERROR_NO_DEVICE)
		check(c, started, "the NVIDIA driver does not start");
	if (started == CUDA_SUCCESS)
		check(c, c->cuDeviceGetCount(&count), "the NVIDIA driver does not count its GPUs");
	if (rank >= count)
		rank_fail(&c->options.reporter, "a rank needs a GPU of its own, and %s%s%s %d",
		          visible ? "CUDA_VISIBLE_DEVICES=" : "this host has", visible ? visible : "", visible ? " leaves" : "",
		          count);
	check(c, c->cuDeviceGet(&c->gpu, rank), "cannot find the GPU");
}

static int attribute(struct cuda *c, CUdevice_attribute a)
{
	int value = 0;
	check(c, c->cuDeviceGetAttribute(&value, a, c->gpu), "cannot ask the GPU what it is");
	return value;
}

/* The kernels are for sm_80. Newer GPUs run them too: the driver compiles them. */
static void check_capability(struct cuda *c)
{
	char name[128] = "";
	int major = attribute(c, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
		minor = attribute(c, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
	if (major >= MIN_MAJOR)
		return;
	check(c, c->cuDeviceGetName(name, sizeof name, c->gpu), "cannot ask the GPU for its name");
	rank_fail(&c->options.reporter,
	          "its GPU (%s) has compute capability %d.%d: launchers need %d.0, an NVIDIA GPU from Ampere on", name,
	          major, minor, MIN_MAJOR);
}

static void open_gpu(struct cuda *c)
{
	choose_gpu(c);
	check_capability(c);
	check(c, c->cuDevicePrimaryCtxRetain(&c->context, c->gpu), "cannot open the GPU");
	enter(c);
	check(c, c->cuStreamCreate(&c->stream, CU_STREAM_NON_BLOCKING), "cannot make a stream on the GPU");
}

/* The driver compiles the kernels for its GPU, or says why not. */
static void load_kernels(struct cuda *c)
{
	static char log[1024];
	const struct dr_image *image = c->options.image;
	CUjit_option option[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *value[] = {log, (void *)sizeof log};
	CUresult loaded = c->cuModuleLoadDataEx(&c->module, image->ptx, 2, option, value);
	if (loaded != CUDA_SUCCESS && *log)
		rank_fail(&c->options.reporter, "the NVIDIA driver rejects the kernels: %.*s", (int)sizeof log - 1, log);
	check(c, loaded, "the NVIDIA driver rejects the kernels");
	c->kernel = host_alloc(image->n_kernels, sizeof(CUfunction));
	for (uint32_t i = 0; i < image->n_kernels; i++)
		check(c, c->cuModuleGetFunction(&c->kernel[i], c->module, image->entries[i]), image->entries[i]);
}

struct device *device_cuda_open(const struct device_options *o)
{
	struct cuda *c = host_alloc(1, sizeof *c);
	c->options = *o;
	c->device = (struct device){cuda_alloc, cuda_read, cuda_write, cuda_fill, cuda_launch, cuda_sync, cuda_close};
	find_calls(c);
	open_gpu(c);
	if (o->image)
		load_kernels(c);
	return &c->device;
}
