/* Memory of other devices and of other processes, and launch attributes. Each runs in a child, with settings of its
 * own. */
#include <sys/wait.h>
#include <unistd.h>
#include "gpu_test.h"

#define IS(call, code) gpu_expect((call), (code), #call, __FILE__, __LINE__)
#define BAD(call)      IS(call, CUDA_ERROR_INVALID_VALUE)

/* out[0] = in[0] + 1 */
static const char increment[] = "ld.global.u32 %r1, [%rd1];\nadd.u32 %r1, %r1, 1;\nst.global.u32 [%rd0], %r1;";

static CUcontext context(CUdevice device)
{
	CUcontext c;
	GOOD(cu.cuDevicePrimaryCtxRetain(&c, device));
	GOOD(cu.cuCtxSetCurrent(c));
	return c;
}

/* ---- devices ---- */
struct pair {
	CUcontext a, b;
	CUdeviceptr x, y; /* x on device 0, y on device 1 */
	CUfunction increment;
};

static struct pair open_pair(const char *link)
{
	struct pair p;
	int seven = 7;
	setenv("EMU_DEVICES", "2", 1);
	if (link)
		setenv("EMU_LINK", link, 1);
	GOOD(cu.cuInit(0));
	p.b = context(1);
	p.y = gpu_put(&seven, 4);
	p.a = context(0);
	p.x = gpu_put(NULL, 4);
	p.increment = gpu_function(gpu_module(KERNEL("k", 2, increment)), "k");
	GOOD(cu.cuCtxSynchronize());
	return p;
}

static int read_word(CUdeviceptr at)
{
	int value = 0;
	gpu_get(&value, at, 4);
	return value;
}

static int peer_access(const void *unused)
{
	struct pair p = open_pair(NULL);
	int v;
	(void)unused;
	GOOD(cu.cuDeviceCanAccessPeer(&v, 0, 1));
	IS(v, 1);
	GOOD(cu.cuDeviceCanAccessPeer(&v, 0, 0));
	IS(v, 0);
	IS(cu.cuDeviceCanAccessPeer(&v, 0, 2), CUDA_ERROR_INVALID_DEVICE);
	BAD(cu.cuCtxEnablePeerAccess(p.b, 1));
	IS(cu.cuCtxEnablePeerAccess(p.a, 0), CUDA_ERROR_INVALID_DEVICE);
	IS(cu.cuCtxDisablePeerAccess(p.b), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
	GOOD(cu.cuCtxEnablePeerAccess(p.b, 0));
	IS(cu.cuCtxEnablePeerAccess(p.b, 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
	GOOD(gpu_launch(p.increment, 1, 1, 0, NULL, (uint64_t[]){p.x, p.y}));
	IS(read_word(p.x), 8);
	/* It is enabled one way. */
	GOOD(cu.cuCtxSetCurrent(p.b));
	CUfunction other = gpu_function(gpu_module(KERNEL("k", 2, increment)), "k");
	GOOD(gpu_launch(other, 1, 1, 0, NULL, (uint64_t[]){p.y, p.x}));
	IS(cu.cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
	return 0;
}

static int disabled_again(const void *unused)
{
	struct pair p = open_pair(NULL);
	(void)unused;
	GOOD(cu.cuCtxEnablePeerAccess(p.b, 0));
	GOOD(cu.cuCtxDisablePeerAccess(p.b));
	GOOD(gpu_launch(p.increment, 1, 1, 0, NULL, (uint64_t[]){p.x, p.y}));
	IS(cu.cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
	return 0;
}

static int peer_copies(const void *unused)
{
	struct pair p = open_pair("none");
	(void)unused;
	IS(cu.cuCtxEnablePeerAccess(p.b, 0), CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
	BAD(cu.cuMemcpyPeerAsync(p.x, p.b, p.y, p.a, 4, NULL)); /* the contexts are exchanged */
	GOOD(cu.cuMemcpyPeerAsync(p.x, p.a, p.y, p.b, 4, NULL));
	IS(read_word(p.x), 7);
	return 0;
}

static int attribute(CUdevice_P2PAttribute a)
{
	int v = -1;
	GOOD(cu.cuDeviceGetP2PAttribute(&v, a, 0, 1));
	return v;
}

static int links(const void *link)
{
	bool none = !strcmp(link, "none"), nvlink = !strcmp(link, "nvlink");
	int v;
	open_pair(link);
	IS(attribute(CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED), !none);
	IS(attribute(CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED), nvlink);
	IS(attribute(CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK), !nvlink);
	IS(cu.cuDeviceGetP2PAttribute(&v, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 0, 0), CUDA_ERROR_INVALID_DEVICE);
	return 0;
}

/* ---- processes ---- */
/* What two processes tell each other. */
struct pipes {
	int to_child[2], to_parent[2];
};

static void put(int file, const void *bytes, size_t n) { IS(write(file, bytes, n) == (ssize_t)n, true); }
static void get(int file, void *bytes, size_t n) { IS(read(file, bytes, n) == (ssize_t)n, true); }

/* Adds one to the parent's word, and keeps no access to it after it closed the handle. */
static int import(const void *argument)
{
	const struct pipes *p = argument;
	CUipcMemHandle handle;
	CUdeviceptr at;
	get(p->to_child[0], &handle, sizeof handle);
	GOOD(cu.cuInit(0));
	context(0);
	BAD(cu.cuIpcOpenMemHandle_v2(&at, handle, 0));
	GOOD(cu.cuIpcOpenMemHandle_v2(&at, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	CUfunction f = gpu_function(gpu_module(KERNEL("k", 2, increment)), "k");
	GOOD(gpu_launch(f, 1, 1, 0, NULL, (uint64_t[]){at, at}));
	GOOD(cu.cuCtxSynchronize());
	put(p->to_parent[1], "x", 1);
	BAD(cu.cuMemFree_v2(at));
	BAD(cu.cuIpcCloseMemHandle(at + 4));
	GOOD(cu.cuIpcCloseMemHandle(at));
	GOOD(gpu_launch(f, 1, 1, 0, NULL, (uint64_t[]){at, at}));
	IS(cu.cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
	return 0;
}

static void export(const struct pipes *p)
{
	CUipcMemHandle handle, again;
	CUdeviceptr at, opened;
	char done;
	int words[2] = {41, 5};
	GOOD(cu.cuInit(0));
	context(0);
	at = gpu_put(words, sizeof words);
	BAD(cu.cuIpcGetMemHandle(&handle, at + 4));
	GOOD(cu.cuIpcGetMemHandle(&handle, at));
	GOOD(cu.cuIpcGetMemHandle(&again, at));
	IS(memcmp(&handle, &again, sizeof handle), 0);
	IS(cu.cuIpcOpenMemHandle_v2(&opened, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS), CUDA_ERROR_INVALID_CONTEXT);
	put(p->to_child[1], &handle, sizeof handle);
	get(p->to_parent[0], &done, 1);
	IS(read_word(at), 42);
	IS(read_word(at + 4), 5);
	GOOD(cu.cuMemFree_v2(at));
}

static int between_processes(const void *unused)
{
	struct pipes p;
	int status;
	(void)unused;
	IS(pipe(p.to_child) || pipe(p.to_parent), 0);
	pid_t pid = fork();
	if (!pid)
		_exit(import(&p));
	export(&p);
	waitpid(pid, &status, 0);
	return status;
}

static int exporter_has_ended(const void *unused)
{
	CUipcMemHandle handle;
	CUdeviceptr at;
	struct pipes p;
	(void)unused;
	IS(pipe(p.to_parent), 0);
	pid_t pid = fork();
	if (!pid) {
		gpu_open();
		GOOD(cu.cuIpcGetMemHandle(&handle, gpu_put(NULL, 4)));
		put(p.to_parent[1], &handle, sizeof handle);
		_exit(0);
	}
	get(p.to_parent[0], &handle, sizeof handle);
	waitpid(pid, NULL, 0);
	gpu_open();
	IS(cu.cuIpcOpenMemHandle_v2(&at, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS), CUDA_ERROR_MAP_FAILED);
	return 0;
}

/* ---- launch attributes ---- */
static CUresult launch_with(const struct pair *p, CUlaunchAttribute a)
{
	CUlaunchConfig n = {.gridDimX = 1,
	                    .gridDimY = 1,
	                    .gridDimZ = 1,
	                    .blockDimX = 1,
	                    .blockDimY = 1,
	                    .blockDimZ = 1,
	                    .attrs = &a,
	                    .numAttrs = 1};
	uint64_t at[] = {p->x, p->x};
	return cu.cuLaunchKernelEx(&n, p->increment, (void *[]){&at[0], &at[1]}, NULL);
}

static int attributes(const void *unused)
{
	struct pair p = open_pair(NULL);
	CUlaunchAttribute cluster = {.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, .value.clusterDim = {1, 1, 1}};
	(void)unused;
	GOOD(cu.cuMemsetD8_v2(p.x, 0, 4));
	GOOD(launch_with(&p, (CUlaunchAttribute){.id = CU_LAUNCH_ATTRIBUTE_PRIORITY, .value.word = -1}));
	GOOD(launch_with(&p, (CUlaunchAttribute){.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION}));
	GOOD(launch_with(&p, cluster));
	IS(read_word(p.x), 3);
	cluster.value.clusterDim.x = 2;
	IS(launch_with(&p, cluster), CUDA_ERROR_INVALID_CLUSTER_SIZE);
	IS(launch_with(&p, (CUlaunchAttribute){.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value.word = 1}),
	   CUDA_ERROR_NOT_SUPPORTED);
	IS(launch_with(&p,
	               (CUlaunchAttribute){.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION, .value.word = 1}),
	   CUDA_ERROR_NOT_SUPPORTED);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const void *);
	const void *argument;
} all[] = {{"peer access", peer_access, NULL},
           {"peer access that was disabled again", disabled_again, NULL},
           {"copies between devices", peer_copies, NULL},
           {"no link", links, "none"},
           {"PCIe", links, "pcie"},
           {"NVLink", links, "nvlink"},
           {"memory of another process", between_processes, NULL},
           {"memory of a process that ended", exporter_has_ended, NULL},
           {"launch attributes", attributes, NULL}};

static int is_emulated(const void *unused)
{
	(void)unused;
	gpu_open();
	return gpu_is_emulated();
}

static void peers(void **state)
{
	bool emulated = gpu_in_child(is_emulated, NULL) == 1;
	(void)state;
	for (size_t i = 0; emulated && i < sizeof all / sizeof *all; i++) {
		int status = gpu_in_child(all[i].run, all[i].argument);
		if (status)
			print_error("%s: %d\n", all[i].name, status);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(peers)};
	gpu_load_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
