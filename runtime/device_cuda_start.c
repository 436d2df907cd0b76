/* Opens the driver, a GPU and the kernels. Building needs no toolkit: the driver's library is opened at run time. */
#include <dlfcn.h>
#include <stdlib.h>
#include "device_cuda.h"

enum { MIN_MAJOR = 8 }; /* compute capability */

void cuda_find_calls(struct cuda *c)
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

void cuda_enter(struct cuda *c) { cuda_check(c, c->cuCtxSetCurrent(c->context), "cannot use the GPU's context"); }

/* Each rank of a host has a GPU of its own, of those that the driver shows. */
static void choose_gpu(struct cuda *c)
{
	int count = 0, rank = c->options.reporter.rank;
	const char *visible = getenv("CUDA_VISIBLE_DEVICES");
	CUresult started = c->cuInit(0);
	if (started != CUDA_ERROR_NO_DEVICE)
		cuda_check(c, started, "the NVIDIA driver does not start");
	if (started == CUDA_SUCCESS)
		cuda_check(c, c->cuDeviceGetCount(&count), "the NVIDIA driver does not count its GPUs");
	if (rank >= count)
		rank_fail(&c->options.reporter, "a rank needs a GPU of its own, and %s%s%s %d",
		          visible ? "CUDA_VISIBLE_DEVICES=" : "this host has", visible ? visible : "", visible ? " leaves" : "",
		          count);
	cuda_check(c, c->cuDeviceGet(&c->gpu, rank), "cannot find the GPU");
}

static int attribute(struct cuda *c, CUdevice_attribute a)
{
	int value = 0;
	cuda_check(c, c->cuDeviceGetAttribute(&value, a, c->gpu), "cannot ask the GPU what it is");
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
	cuda_check(c, c->cuDeviceGetName(name, sizeof name, c->gpu), "cannot ask the GPU for its name");
	rank_fail(&c->options.reporter,
	          "its GPU (%s) has compute capability %d.%d: launchers need %d.0, an NVIDIA GPU from Ampere on", name,
	          major, minor, MIN_MAJOR);
}

static void open_gpu(struct cuda *c)
{
	choose_gpu(c);
	check_capability(c);
	cuda_check(c, c->cuDevicePrimaryCtxRetain(&c->context, c->gpu), "cannot open the GPU");
	cuda_enter(c);
	cuda_check(c, c->cuStreamCreate(&c->stream, CU_STREAM_NON_BLOCKING), "cannot make a stream on the GPU");
}

static void find_entry(struct cuda *c, CUfunction *to, const struct dr_entry *e)
{
	enum { SHARED_BY_DEFAULT = 48 << 10 }; /* bytes of a block's shared memory; more must be asked for */
	cuda_check(c, c->cuModuleGetFunction(to, c->module, e->name), e->name);
	if (e->shared > SHARED_BY_DEFAULT)
		cuda_check(c, c->cuFuncSetAttribute(*to, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)e->shared),
		           e->name);
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
	cuda_check(c, loaded, "the NVIDIA driver rejects the kernels");
	uint32_t n = image->first[image->n_kernels];
	c->function = host_alloc(n, sizeof(CUfunction));
	for (uint32_t i = 0; i < n; i++)
		find_entry(c, &c->function[i], &image->entries[i]);
}

void cuda_start(struct cuda *c)
{
	cuda_find_calls(c);
	open_gpu(c);
	if (c->options.image)
		load_kernels(c);
}
