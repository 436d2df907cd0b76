/* The driver's calls: their errors, and the order that streams and events promise. What depends on settings runs in a
 * child. */
#include "gpu_test.h"

#define IS(call, code) gpu_expect((call), (code), #call, __FILE__, __LINE__)
#define BAD(call)      IS(call, CUDA_ERROR_INVALID_VALUE)
#define HANDLE(call)   IS(call, CUDA_ERROR_INVALID_HANDLE)

/* ---- start and devices ---- */
static int before_init(const void *unused)
{
	int n;
	CUcontext c;
	(void)unused;
	IS(cu.cuDeviceGetCount(&n), CUDA_ERROR_NOT_INITIALIZED);
	IS(cu.cuCtxGetCurrent(&c), CUDA_ERROR_NOT_INITIALIZED);
	IS(cu.cuCtxSynchronize(), CUDA_ERROR_NOT_INITIALIZED);
	BAD(cu.cuInit(1));
	GOOD(cu.cuInit(0));
	IS(cu.cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
	IS(cu.cuMemAlloc_v2(&(CUdeviceptr){0}, 4), CUDA_ERROR_INVALID_CONTEXT);
	return 0;
}

static int use_after_fork(const void *unused)
{
	int n;
	(void)unused;
	IS(cu.cuInit(0), CUDA_ERROR_NOT_INITIALIZED);
	IS(cu.cuDeviceGetCount(&n), CUDA_ERROR_NOT_INITIALIZED);
	IS(cu.cuCtxSynchronize(), CUDA_ERROR_NOT_INITIALIZED);
	return 0;
}

static int forks(const void *unused)
{
	(void)unused;
	gpu_open();
	return gpu_in_child(use_after_fork, NULL);
}

static int several_devices(const void *unused)
{
	CUcontext a, b, now;
	CUdeviceptr x, y;
	CUuuid u, v;
	size_t free_bytes, total;
	int n, value = 7;
	(void)unused;
	setenv("EMU_DEVICES", "3", 1);
	setenv("EMU_MEMORY", "1M", 1);
	GOOD(cu.cuInit(0));
	GOOD(cu.cuDeviceGetCount(&n));
	IS(n, 3);
	IS(cu.cuDeviceGet(&n, 3), CUDA_ERROR_INVALID_DEVICE);
	GOOD(cu.cuDeviceGetUuid_v2(&u, 0));
	GOOD(cu.cuDeviceGetUuid_v2(&v, 1));
	IS(memcmp(&u, &v, sizeof u) != 0, true);
	GOOD(cu.cuDevicePrimaryCtxRetain(&a, 0));
	GOOD(cu.cuDevicePrimaryCtxRetain(&b, 2));
	GOOD(cu.cuCtxSetCurrent(a));
	x = gpu_put(&value, 4);
	GOOD(cu.cuCtxSynchronize());
	GOOD(cu.cuCtxSetCurrent(b));
	GOOD(cu.cuCtxGetCurrent(&now));
	IS(now == b, true);
	y = gpu_put(NULL, 4);
	GOOD(cu.cuMemcpyDtoD_v2(y, x, 4));
	value = 0;
	gpu_get(&value, y, 4);
	IS(value, 7);
	/* The limit holds for each device. */
	GOOD(cu.cuMemGetInfo_v2(&free_bytes, &total));
	IS((int)total, 1 << 20);
	IS((int)free_bytes, (1 << 20) - 4);
	IS(cu.cuMemAlloc_v2(&x, 1 << 20), CUDA_ERROR_OUT_OF_MEMORY);
	GOOD(cu.cuMemAlloc_v2(&x, (1 << 20) - 4));
	/* A context ends with the last release. */
	GOOD(cu.cuDevicePrimaryCtxRelease_v2(2));
	IS(cu.cuMemAlloc_v2(&x, 4), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	IS(cu.cuDevicePrimaryCtxRelease_v2(2), CUDA_ERROR_INVALID_CONTEXT);
	return 0;
}

/* Devices 2 and 0, by the numbers 0 and 1: the list ends at what is not a device. */
static int visible_devices(const void *unused)
{
	CUuuid all[3], u;
	int n;
	(void)unused;
	setenv("EMU_DEVICES", "3", 1);
	setenv("CUDA_VISIBLE_DEVICES", "2,0,3,1", 1);
	gpu_open();
	GOOD(cu.cuDeviceGetCount(&n));
	IS(n, 2);
	for (int i = 0; i < 2; i++)
		GOOD(cu.cuDeviceGetUuid_v2(&all[i], i));
	IS(cu.cuDeviceGetUuid_v2(&u, 2), CUDA_ERROR_INVALID_DEVICE);
	IS(all[0].bytes[15], 2);
	IS(all[1].bytes[15], 0);
	return 0;
}

static int no_visible_device(const void *list)
{
	setenv("CUDA_VISIBLE_DEVICES", list, 1);
	IS(cu.cuInit(0), CUDA_ERROR_NO_DEVICE);
	return 0;
}

/* A GPU runs code for itself and for older ones. */
static int capabilities(const void *capability)
{
	CUmodule m;
	int major, shared;
	bool turing = !strcmp(capability, "7.5"), blackwell = !strcmp(capability, "12.0");
	setenv("EMU_CAPABILITY", capability, 1);
	gpu_open();
	GOOD(cu.cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
	IS(major, turing ? 7 : 12);
	GOOD(cu.cuDeviceGetAttribute(&shared, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 0));
	IS(shared, turing ? 65536 : 101376);
	IS(cu.cuModuleLoadData(&m, ".version 7.8\n.target sm_80\n.address_size 64\n"),
	   turing ? CUDA_ERROR_NO_BINARY_FOR_GPU : CUDA_SUCCESS);
	IS(cu.cuModuleLoadData(&m, ".version 8.7\n.target sm_120\n.address_size 64\n"),
	   blackwell ? CUDA_SUCCESS : CUDA_ERROR_NO_BINARY_FOR_GPU);
	IS(cu.cuModuleLoadData(&m, ".version 8.0\n.target sm_90a\n.address_size 64\n"), CUDA_ERROR_NO_BINARY_FOR_GPU);
	return 0;
}

static int unknown_capability(const void *unused)
{
	(void)unused;
	setenv("EMU_CAPABILITY", "9", 1);
	IS(cu.cuInit(0), CUDA_ERROR_NO_DEVICE);
	return 0;
}

static void processes(void **state)
{
	(void)state;
	assert_int_equal(gpu_in_child(before_init, NULL), 0);
	assert_int_equal(gpu_in_child(forks, NULL), 0);
	gpu_open();
}

static void devices(void **state)
{
	int v;
	size_t bytes;
	char name[100];
	CUdevice d;
	const char *text;
	(void)state;
	GOOD(cu.cuDriverGetVersion(&v));
	assert_true(v >= 12000);
	BAD(cu.cuDriverGetVersion(NULL));
	IS(cu.cuDeviceGet(&d, -1), CUDA_ERROR_INVALID_DEVICE);
	GOOD(cu.cuDeviceGetName(name, sizeof name, 0));
	GOOD(cu.cuDeviceTotalMem_v2(&bytes, 0));
	GOOD(cu.cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0));
	assert_int_equal(v, 32);
	GOOD(cu.cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
	assert_int_equal(v, 9);
	GOOD(cu.cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 0));
	assert_int_equal(v, 232448);
	BAD(cu.cuDeviceGetAttribute(&v, (CUdevice_attribute)0, 0));
	GOOD(cu.cuGetErrorName(CUDA_ERROR_INVALID_PTX, &text));
	assert_string_equal(text, "CUDA_ERROR_INVALID_PTX");
	GOOD(cu.cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &text));
	assert_string_equal(text, "out of memory");
	BAD(cu.cuGetErrorName((CUresult)12345, &text));
}

/* ---- memory and copies ---- */
static void memory(void **state)
{
	CUdeviceptr at;
	void *host;
	char bytes[64];
	(void)state;
	BAD(cu.cuMemAlloc_v2(&at, 0));
	BAD(cu.cuMemAlloc_v2(NULL, 4));
	GOOD(cu.cuMemAlloc_v2(&at, 64));
	assert_int_equal(at % 256, 0);
	GOOD(cu.cuMemsetD8_v2(at, 0x5a, 64));
	gpu_get(bytes, at, 64);
	for (int i = 0; i < 64; i++)
		assert_int_equal(bytes[i], 0x5a);
	BAD(cu.cuMemcpyDtoH_v2(NULL, at, 4));
	BAD(cu.cuMemcpyHtoD_v2(0, bytes, 4));
	GOOD(cu.cuMemcpyHtoD_v2(at, bytes, 0));
	if (gpu_is_emulated()) {
		BAD(cu.cuMemcpyDtoH_v2(bytes, at, 65));
		BAD(cu.cuMemcpyDtoH_v2(bytes, at + 1, 64));
		BAD(cu.cuMemsetD8_v2(at, 0, 65));
		BAD(cu.cuMemFree_v2(at + 8));
	}
	GOOD(cu.cuMemFree_v2(at));
	BAD(cu.cuMemFree_v2(at));
	BAD(cu.cuMemHostAlloc(&host, 0, 0));
	GOOD(cu.cuMemHostAlloc(&host, 100, CU_MEMHOSTALLOC_PORTABLE));
	memset(host, 1, 100);
	GOOD(cu.cuMemFreeHost(host));
	BAD(cu.cuMemFreeHost(bytes));
}

static void rectangles(void **state)
{
	unsigned char from[64], to[64] = {0};
	CUdeviceptr at = gpu_put(NULL, 64);
	(void)state;
	for (int i = 0; i < 64; i++)
		from[i] = (unsigned char)i;
	GOOD(cu.cuMemsetD2D8_v2(at, 8, 0xee, 8, 8));
	/* 3 x 4 bytes from row 1, column 2 of a host array of 8 columns, to rows of 16 bytes. */
	CUDA_MEMCPY2D c = {.srcMemoryType = CU_MEMORYTYPE_HOST,
	                   .srcHost = from,
	                   .srcPitch = 8,
	                   .srcXInBytes = 2,
	                   .srcY = 1,
	                   .dstMemoryType = CU_MEMORYTYPE_DEVICE,
	                   .dstDevice = at,
	                   .dstPitch = 16,
	                   .WidthInBytes = 4,
	                   .Height = 3};
	GOOD(cu.cuMemcpy2D_v2(&c));
	gpu_get(to, at, 64);
	for (int row = 0; row < 3; row++)
		for (int i = 0; i < 4; i++)
			assert_int_equal(to[row * 16 + i], (row + 1) * 8 + 2 + i);
	assert_int_equal(to[4], 0xee);
	c.dstPitch = 3;
	BAD(cu.cuMemcpy2D_v2(&c));
	c.dstPitch = 16;
	c.srcMemoryType = (CUmemorytype)9;
	BAD(cu.cuMemcpy2D_v2(&c));
	GOOD(cu.cuMemFree_v2(at));
}

/* ---- modules and launches ---- */
static const char empty_kernel[] = ".extern .shared .align 16 .b8 dynamic[];\n.visible .entry k(.param .u64 "
								   "a)\n{\n.reg .b32 %r<3>;\nmov.u32 %r1, dynamic;\n"
								   "st.shared.u32 [%r1], %r1;\nret;\n}\n"
								   ".visible .entry bound(.param .u64 a) .maxntid 128, 1, 1\n{\nret;\n}\n"
								   ".visible .entry fixed() .reqntid 64, 1, 1\n{\n.shared .align 4 .b8 s[1000];\n.reg "
								   ".b32 %r<2>;\nmov.u32 %r1, s;\nst.shared.u32 [%r1], 1;\nret;\n}\n";

static CUresult launch(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                       unsigned shared)
{
	uint64_t value = 0;
	void *params[] = {&value};
	return cu.cuLaunchKernel(f, gx, gy, gz, bx, by, bz, shared, NULL, params, NULL);
}

static void launches(void **state)
{
	CUmodule m = gpu_module(empty_kernel);
	CUfunction f = gpu_function(m, "k"), bound = gpu_function(m, "bound"), fixed = gpu_function(m, "fixed"), again;
	int v;
	(void)state;
	GOOD(cu.cuModuleGetFunction(&again, m, "k"));
	assert_ptr_equal(f, again);
	IS(cu.cuModuleGetFunction(&again, m, "missing"), CUDA_ERROR_NOT_FOUND);
	GOOD(launch(f, 1, 1, 1, 32, 1, 1, 64));
	BAD(launch(f, 0, 1, 1, 32, 1, 1, 64));
	BAD(launch(f, 1, 65536, 1, 32, 1, 1, 64));
	BAD(launch(f, 1, 1, 65536, 32, 1, 1, 64));
	GOOD(launch(f, 1, 65535, 1, 1, 1, 1, 64));
	BAD(launch(f, 1, 1, 1, 1025, 1, 1, 64));
	BAD(launch(f, 1, 1, 1, 64, 32, 1, 64));
	BAD(launch(f, 1, 1, 1, 1, 1, 65, 64));
	BAD(launch(f, 1, 1, 1, 32, 1, 1, 48 * 1024 + 1));
	GOOD(cu.cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 100000));
	GOOD(launch(f, 1, 1, 1, 32, 1, 1, 100000));
	BAD(cu.cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 232449));
	GOOD(launch(bound, 1, 1, 1, 128, 1, 1, 0));
	BAD(launch(bound, 1, 1, 1, 129, 1, 1, 0));
	GOOD(launch(fixed, 1, 1, 1, 64, 1, 1, 0));
	BAD(launch(fixed, 1, 1, 1, 32, 1, 1, 0));
	GOOD(cu.cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, bound));
	assert_int_equal(v, 128);
	GOOD(cu.cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, fixed));
	assert_true(v >= 1000);
	GOOD(cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(&v, f, 1024, 0));
	assert_int_equal(v, 2);
	GOOD(cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(&v, f, 32, 99000));
	assert_int_equal(v, 2);
	GOOD(cu.cuCtxSynchronize());
	GOOD(cu.cuModuleUnload(m));
	if (gpu_is_emulated()) {
		HANDLE(launch(f, 1, 1, 1, 32, 1, 1, 64));
		HANDLE(cu.cuModuleUnload(m));
	}
}

/* 255 registers a thread, 512 threads: there are 65536. */
static void registers(void **state)
{
	char text[8192 * 4];
	int n = sprintf(
			text,
			".visible .entry k(.param .u64 a)\n{\n.reg .b32 %%r<300>;\n.reg .b64 %%rd<2>;\nld.param.u64 %%rd1, [a];\n"),
		v;
	(void)state;
	for (int i = 0; i < 240; i++)
		n += sprintf(text + n, "ld.global.u32 %%r%d, [%%rd1+%d];\n", i, 4 * i);
	for (int i = 0; i < 240; i++)
		n += sprintf(text + n, "st.volatile.global.u32 [%%rd1+%d], %%r%d;\n", 4 * i, 239 - i);
	sprintf(text + n, "ret;\n}\n");
	CUfunction f = gpu_function(gpu_module(text), "k");
	GOOD(cu.cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_NUM_REGS, f));
	assert_in_range(v, 224, 255);
	IS(launch(f, 1, 1, 1, 512, 1, 1, 0), CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
	GOOD(cu.cuCtxSynchronize());
}

/* ---- streams and events ---- */
static const char add_one[] =
	"mov.u32 %r0, %tid.x;\nmul.wide.u32 %rd2, %r0, 4;\nadd.u64 %rd2, %rd0, %rd2;\nld.global.u32 %r1, [%rd2];\n"
	"mad.lo.u32 %r1, %r1, 3, 1;\nst.global.u32 [%rd2], %r1;";

static void handles(void **state)
{
	CUstream s;
	CUevent e, f;
	float ms;
	(void)state;
	BAD(cu.cuStreamCreate(&s, 2));
	BAD(cu.cuEventCreate(&e, 8));
	BAD(cu.cuEventCreate(&e, CU_EVENT_INTERPROCESS));
	GOOD(cu.cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	GOOD(cu.cuEventCreate(&e, CU_EVENT_DEFAULT));
	GOOD(cu.cuEventCreate(&f, CU_EVENT_DISABLE_TIMING));
	GOOD(cu.cuEventQuery(e));
	GOOD(cu.cuStreamWaitEvent(s, e, 0));
	HANDLE(cu.cuEventElapsedTime(&ms, e, e));
	GOOD(cu.cuEventRecord(e, s));
	GOOD(cu.cuEventRecord(f, s));
	GOOD(cu.cuEventSynchronize(f));
	HANDLE(cu.cuEventElapsedTime(&ms, e, f));
	GOOD(cu.cuEventElapsedTime(&ms, e, e));
	GOOD(cu.cuStreamQuery(s));
	HANDLE(cu.cuEventRecord(NULL, s));
	GOOD(cu.cuEventDestroy_v2(e));
	GOOD(cu.cuEventDestroy_v2(f));
	GOOD(cu.cuStreamDestroy_v2(s));
	if (gpu_is_emulated()) {
		HANDLE(cu.cuStreamSynchronize(s));
		HANDLE(cu.cuEventQuery(e));
		HANDLE(cu.cuStreamDestroy_v2(s));
	}
}

/* x -> 3x + 1, round and round over four streams, ordered by events: any other order has another result. */
static void order(void **state)
{
	CUstream s[4];
	CUevent done;
	uint32_t x[32] = {0}, want = 0;
	CUfunction f = gpu_function(gpu_module(KERNEL("k", 1, add_one)), "k");
	CUdeviceptr at = gpu_put(x, sizeof x);
	(void)state;
	GOOD(cu.cuCtxSynchronize());
	GOOD(cu.cuEventCreate(&done, 0));
	for (int i = 0; i < 4; i++)
		GOOD(cu.cuStreamCreate(&s[i], i < 2 ? 0 : CU_STREAM_NON_BLOCKING));
	for (int i = 0; i < 40; i++) {
		GOOD(cu.cuStreamWaitEvent(s[i % 4], done, 0));
		GOOD(gpu_launch(f, 1, 32, 0, s[i % 4], &(uint64_t){at}));
		GOOD(cu.cuEventRecord(done, s[i % 4]));
		want = want * 3 + 1;
	}
	GOOD(cu.cuEventSynchronize(done));
	gpu_get(x, at, sizeof x);
	for (int i = 0; i < 32; i++)
		assert_int_equal(x[i], want);
	for (int i = 0; i < 4; i++)
		GOOD(cu.cuStreamDestroy_v2(s[i]));
	GOOD(cu.cuEventDestroy_v2(done));
}

/* The legacy stream comes between two blocking streams. */
static void legacy(void **state)
{
	CUstream a, b;
	uint32_t x[32] = {0}, want = 0;
	CUfunction f = gpu_function(gpu_module(KERNEL("k", 1, add_one)), "k");
	CUdeviceptr at = gpu_put(x, sizeof x);
	(void)state;
	GOOD(cu.cuStreamCreate(&a, 0));
	GOOD(cu.cuStreamCreate(&b, 0));
	for (int i = 0; i < 10; i++) {
		GOOD(gpu_launch(f, 1, 32, 0, a, &(uint64_t){at}));
		GOOD(gpu_launch(f, 1, 32, 0, NULL, &(uint64_t){at}));
		GOOD(gpu_launch(f, 1, 32, 0, b, &(uint64_t){at}));
		GOOD(gpu_launch(f, 1, 32, 0, NULL, &(uint64_t){at}));
		want = (((want * 3 + 1) * 3 + 1) * 3 + 1) * 3 + 1;
	}
	gpu_get(x, at, sizeof x);
	for (int i = 0; i < 32; i++)
		assert_int_equal(x[i], want);
}

/* Pageable memory may be reused when a copy from it returns. */
static void pageable(void **state)
{
	uint32_t x[1000], y[1000];
	CUstream s;
	CUdeviceptr at = gpu_put(NULL, sizeof x);
	(void)state;
	GOOD(cu.cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	for (uint32_t round = 0; round < 10; round++) {
		for (int i = 0; i < 1000; i++)
			x[i] = round;
		GOOD(cu.cuMemcpyHtoDAsync_v2(at, x, sizeof x, s));
		memset(x, 0xff, sizeof x);
		GOOD(cu.cuMemcpyDtoHAsync_v2(y, at, sizeof y, s));
		for (int i = 0; i < 1000; i++)
			assert_int_equal(y[i], round);
	}
}

static int settings(const void *unused)
{
	(void)unused;
	gpu_open();
	return gpu_is_emulated() ? 1 : 0;
}

static const struct {
	int (*run)(const void *);
	const void *argument;
} played[] = {{several_devices, NULL},   {visible_devices, NULL}, {no_visible_device, ""}, {no_visible_device, "7"},
              {no_visible_device, "-1"}, {capabilities, "7.5"},   {capabilities, "12.0"},  {unknown_capability, NULL}};

static void emulated_only(void **state)
{
	(void)state;
	if (gpu_in_child(settings, NULL) == 1)
		for (size_t i = 0; i < sizeof played / sizeof *played; i++)
			assert_int_equal(gpu_in_child(played[i].run, played[i].argument), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(emulated_only), cmocka_unit_test(processes),  cmocka_unit_test(devices),
		cmocka_unit_test(memory),        cmocka_unit_test(rectangles), cmocka_unit_test(launches),
		cmocka_unit_test(registers),     cmocka_unit_test(handles),    cmocka_unit_test(order),
		cmocka_unit_test(legacy),        cmocka_unit_test(pageable)};
	gpu_load_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
