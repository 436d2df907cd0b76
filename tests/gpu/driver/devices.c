/* The driver's start, devices, primary contexts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../exec/watch.h"
#include "driver.h"

pthread_mutex_t driver_lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t owner;                          /* the process that called cuInit */
static int n_devices, physical[MAX_DEVICES]; /* physical: the number of each on its host */
static struct CUctx_st contexts[MAX_DEVICES];
static _Thread_local struct CUctx_st *current;

int device_count(void) { return n_devices; }
int device_physical(CUdevice device) { return physical[device]; }

struct CUctx_st *device_context(CUdevice device) { return &contexts[device]; }

/* Neither cuInit nor anything else works in a child of the process that called cuInit. */
static bool started(void) { return owner && owner == getpid(); }

CUresult cuInit(unsigned flags)
{
	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (owner && owner != getpid())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!played()) {
		fprintf(stderr, "emulated GPU: EMU_CAPABILITY=%s is none that is known\n", getenv("EMU_CAPABILITY"));
		return CUDA_ERROR_NO_DEVICE;
	}
	if (!owner)
		n_devices = visible_devices(physical);
	if (!n_devices)
		return CUDA_ERROR_NO_DEVICE;
	owner = getpid();
	return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version)
{
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	*version = 13000;
	return CUDA_SUCCESS;
}

/* ---- devices ---- */
static CUresult check_device(const void *result, CUdevice device)
{
	if (!started())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (device < 0 || device >= device_count())
		return CUDA_ERROR_INVALID_DEVICE;
	return result ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGetCount(int *count)
{
	if (!started())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	*count = device_count();
	return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	CUresult r = check_device(device, ordinal);
	if (!r)
		*device = ordinal;
	return r;
}

/* EMU_NAME: names with commas between them; the last is that of all further devices. */
static void copy_name(char *to, size_t size, CUdevice device)
{
	const char *names = getenv("EMU_NAME"), *comma;
	names = names ? names : "emulated GPU";
	for (int i = 0; i < device && (comma = strchr(names, ',')); i++)
		names = comma + 1;
	snprintf(to, size, "%.*s", (int)strcspn(names, ","), names);
}

CUresult cuDeviceGetName(char *name, int size, CUdevice device)
{
	CUresult r = check_device(size > 0 ? name : NULL, device);
	if (!r)
		copy_name(name, (size_t)size, device);
	return r;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
	CUresult r = check_device(bytes, device);
	if (!r)
		*bytes = setting("EMU_MEMORY", UINT64_C(2) << 30);
	return r;
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device)
{
	CUresult r = check_device(uuid, device);
	if (!r) {
		memcpy(uuid->bytes, "emulated GPU    ", sizeof uuid->bytes);
		uuid->bytes[15] = (char)physical[device];
	}
	return r;
}

static const struct {
	CUdevice_attribute attribute;
	int value;
} attributes[] = {
	{CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, MAX_THREADS},
	{CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, MAX_THREADS},
	{CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, MAX_THREADS},
	{CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, MAX_BLOCK_Z},
	{CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 0x7fffffff},
	{CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, MAX_GRID_YZ},
	{CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, MAX_GRID_YZ},
	{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, SHARED_DEFAULT},
	{CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 65536},
	{CU_DEVICE_ATTRIBUTE_WARP_SIZE, LANES},
	{CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, REGISTERS_PER_BLOCK},
	{CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1000000},
	{CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, MULTIPROCESSORS},
	{CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1},
	{CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 1000000},
	{CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 64},
	{CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 1 << 20},
	{CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 1},
	{CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
	{CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, REGISTERS_PER_BLOCK},
};

/* What differs between GPUs; false: it does not. */
static bool played_attribute(CUdevice_attribute attribute, int *value)
{
	const struct played *p = played();
	switch ((int)attribute) {
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:             *value = p->sm / 10; return true;
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:             *value = p->sm % 10; return true;
	case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:       *value = p->threads; return true;
	case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: *value = p->shared; return true;
	case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:    *value = p->shared_optin; return true;
	case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR:        *value = p->blocks; return true;
	case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK:     *value = p->shared_reserved; return true;
	}
	return false;
}

/* Those that are not in a table are abilities that the device lacks. */
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
	CUresult r = check_device(value, device);
	if (!r && ((int)attribute < 1 || (int)attribute > 150))
		r = CUDA_ERROR_INVALID_VALUE;
	if (r || played_attribute(attribute, value))
		return r;
	*value = 0;
	for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
		if (attributes[i].attribute == attribute)
			*value = attributes[i].value;
	return CUDA_SUCCESS;
}

/* ---- contexts ---- */
static void open_context(struct CUctx_st *c, CUdevice device)
{
	c->magic = MAGIC_CONTEXT;
	c->device = device;
	c->peers = 0;
	c->legacy = (struct CUstream_st){.magic = MAGIC_STREAM, .context = c, .blocking = true};
	c->streams = &c->legacy;
	memory_open(&c->memory, setting("EMU_MEMORY", UINT64_C(2) << 30));
}

/* A fault stays: only a new process gets rid of it. */
static void close_context(struct CUctx_st *c)
{
	queue_drain_all(c);
	modules_drop(c);
	events_drop(c);
	streams_drop(c);
	memory_close(&c->memory);
	c->magic = 0;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
	CUresult r = check_device(context, device);
	if (r)
		return r;
	pthread_mutex_lock(&driver_lock);
	struct CUctx_st *c = &contexts[device];
	if (!c->fault.code && c->retained++ == 0)
		open_context(c, device);
	*context = c;
	return leave((CUresult)c->fault.code);
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
	CUresult r = check_device(&device, device);
	if (r)
		return r;
	pthread_mutex_lock(&driver_lock);
	struct CUctx_st *c = &contexts[device];
	if (!c->retained)
		return leave(CUDA_ERROR_INVALID_CONTEXT);
	if (--c->retained == 0) {
		close_context(c);
		counters_write();
	}
	return leave(CUDA_SUCCESS);
}

CUresult cuCtxSetCurrent(CUcontext context)
{
	if (!started())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (context && context->magic != MAGIC_CONTEXT)
		return CUDA_ERROR_INVALID_CONTEXT;
	current = context;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *context)
{
	if (!started())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!context)
		return CUDA_ERROR_INVALID_VALUE;
	*context = current;
	return CUDA_SUCCESS;
}

CUresult enter(struct CUctx_st **context)
{
	if (!started())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (in_host_function)
		return CUDA_ERROR_NOT_PERMITTED;
	pthread_mutex_lock(&driver_lock);
	*context = current;
	if (!current)
		return leave(CUDA_ERROR_INVALID_CONTEXT);
	if (current->magic != MAGIC_CONTEXT)
		return leave(CUDA_ERROR_CONTEXT_IS_DESTROYED);
	return current->fault.code ? leave((CUresult)current->fault.code) : CUDA_SUCCESS;
}

CUresult leave(CUresult r)
{
	pthread_mutex_unlock(&driver_lock);
	return r;
}

CUresult cuCtxSynchronize(void)
{
	struct CUctx_st *c;
	CUresult r = enter(&c);
	if (r)
		return r;
	r = capture_check_context(c);
	return leave(r ? r : queue_drain_all(c));
}
