/* Shared by the tests: the driver, modules, kernels, child processes. */
#include <dlfcn.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "gpu_test.h"

struct cu cu;
static bool in_child;

void gpu_expect(int got, int want, const char *what, const char *file, int line)
{
	if (got == want)
		return;
	fprintf(stderr, "%s:%d: %s: %d, not %d\n", file, line, what, got, want);
	if (in_child)
		_exit(99);
	_fail(file, line);
}

void gpu_load_library(void)
{
	void *library = dlopen("libcuda.so.1", RTLD_NOW);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	/* POSIX has object and function pointers of one size. */
#define CALL(name, parameters) *(void **)(void *)&cu.name = dlsym(library, #name);
#include "../../runtime/cuda_api.def"
#define CALL(name, parameters)                            \
	if (!cu.name) {                                       \
		fprintf(stderr, "the driver has no " #name "\n"); \
		exit(1);                                          \
	}
#include "../../runtime/cuda_api.def"
}

void gpu_open(void) { gpu_open_device(0); }

void gpu_open_device(int ordinal)
{
	CUcontext context;
	CUdevice device;
	if (!cu.cuInit)
		gpu_load_library();
	GOOD(cu.cuInit(0));
	GOOD(cu.cuDeviceGet(&device, ordinal));
	GOOD(cu.cuDevicePrimaryCtxRetain(&context, device));
	GOOD(cu.cuCtxSetCurrent(context));
}

bool gpu_is_emulated(void) { return dlsym(dlopen("libcuda.so.1", RTLD_NOW), "emu_statistics") != NULL; }

/* ---- ptxas ---- */
/* A real driver checks what it loads, with its own assembler. */
static bool asks_ptxas(void)
{
	static int asks = -1;
	if (asks < 0) {
		asks = system("ptxas --version >/dev/null 2>&1") == 0;
		if (!asks)
			fprintf(stderr, "ptxas is not on PATH: whether it accepts the tests' PTX is not checked\n");
	}
	gpu_expect(asks || !gpu_is_emulated(), true, "ptxas (make setup) or a real GPU", __FILE__, __LINE__);
	return asks;
}

/* What a text says after .target. */
static const char *target_of(const char *text)
{
	static char target[16];
	const char *at = strstr(text, ".target");
	return at && sscanf(at, ".target %15[a-z0-9_]", target) == 1 ? target : "sm_90";
}

static bool ptxas_accepts(const char *text, bool quiet)
{
	char path[] = "/tmp/gpu_test_XXXXXX", command[200];
	int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");
	fputs(text, file);
	fclose(file);
	snprintf(command, sizeof command, "ptxas -arch=%s -O1 -o /dev/null %s%s", target_of(text), path,
	         quiet ? " >/dev/null 2>&1" : " 1>&2");
	bool good = system(command) == 0;
	unlink(path);
	return good;
}

/* ---- modules ---- */
static CUresult load(CUmodule *m, const char *text, char *log, size_t size)
{
	CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {log, (void *)(uintptr_t)size};
	log[0] = 0;
	return cu.cuModuleLoadDataEx(m, text, 2, options, values);
}

void gpu_assemble(const char *text)
{
	if (asks_ptxas())
		gpu_expect(ptxas_accepts(text, false), true, "ptxas", __FILE__, __LINE__);
}

CUmodule gpu_module(const char *body)
{
	static const char header[] = ".version 7.8\n.target sm_90\n.address_size 64\n";
	char log[1000], *text = malloc(strlen(body) + sizeof header);
	CUmodule m = NULL;
	sprintf(text, "%s%s", header, body);
	CUresult r = load(&m, text, log, sizeof log);
	if (r)
		fprintf(stderr, "%s\n", log);
	GOOD(r);
	gpu_assemble(text);
	free(text);
	return m;
}

CUresult gpu_loads(const char *text, bool refused, char *log, size_t size)
{
	CUmodule m;
	if (asks_ptxas() && ptxas_accepts(text, true) == refused)
		fail_msg("ptxas %s: %s", refused ? "accepts" : "refuses", text);
	return load(&m, text, log, size);
}

CUfunction gpu_function(CUmodule m, const char *name)
{
	CUfunction f = NULL;
	GOOD(cu.cuModuleGetFunction(&f, m, name));
	return f;
}

CUresult gpu_launch(CUfunction f, unsigned grid, unsigned block, unsigned shared, CUstream s, const uint64_t *params)
{
	void *addresses[16];
	for (int i = 0; i < 16; i++)
		addresses[i] = (void *)(uintptr_t)&params[i];
	return cu.cuLaunchKernel(f, grid, 1, 1, block, 1, 1, shared, s, params ? addresses : NULL, NULL);
}

CUdeviceptr gpu_put(const void *from, size_t bytes)
{
	CUdeviceptr at = 0;
	GOOD(cu.cuMemAlloc_v2(&at, bytes));
	if (from)
		GOOD(cu.cuMemcpyHtoD_v2(at, from, bytes));
	return at;
}

void gpu_get(void *to, CUdeviceptr at, size_t bytes) { GOOD(cu.cuMemcpyDtoH_v2(to, at, bytes)); }

/* ---- texts ---- */
void gpu_kernel_text(char *to, size_t size, const char *name, int params, const char *body)
{
	int n = snprintf(to, size, ".visible .entry %s(", name);
	for (int i = 0; i < params; i++)
		n += snprintf(to + n, size - (size_t)n, "%s.param .u64 %s_p%d", i ? ", " : "", name, i);
	n += snprintf(to + n, size - (size_t)n,
	              ")\n{\n.reg .pred %%p<10>; .reg .b16 %%rs<20>; .reg .b32 %%r<40>; .reg .f32 %%f<20>;\n"
	              ".reg .b64 %%rd<40>; .reg .f64 %%fd<20>;\n");
	for (int i = 0; i < params; i++)
		n += snprintf(to + n, size - (size_t)n, "ld.param.u64 %%rd%d, [%s_p%d];\n", i, name, i);
	n += snprintf(to + n, size - (size_t)n, "%s\nret;\n}\n", body);
	assert_true((size_t)n < size);
}

const char *kernel_text_(const char *name, int params, const char *body)
{
	static char texts[8][8192];
	static int next;
	char *text = texts[next++ % 8];
	gpu_kernel_text(text, sizeof texts[0], name, params, body);
	return text;
}

/* ---- files ---- */
enum { MAX_TEXT = 1 << 16 };

const char *gpu_kernel(const char *name)
{
	static char text[MAX_TEXT];
	char path[100];
	snprintf(path, sizeof path, "tests/gpu/kernels/%s.ptx", name);
	FILE *file = fopen(path, "r");
	if (!file)
		return NULL;
	text[fread(text, 1, sizeof text - 1, file)] = 0;
	fclose(file);
	return text;
}

const char *gpu_mutant(const char *name, const char *from, const char *to, int nth)
{
	static char changed[MAX_TEXT];
	const char *text = gpu_kernel(name), *at;
	size_t n = 0, length = strlen(from);
	bool found = false;
	for (int i = 0; text && (at = strstr(text, from)); i++, text = at + length) {
		bool here = nth < 0 || i == nth;
		found |= here;
		n += (size_t)snprintf(changed + n, sizeof changed - n, "%.*s%s", (int)(at - text), text, here ? to : from);
	}
	if (text)
		snprintf(changed + n, sizeof changed - n, "%s", text);
	return found ? changed : NULL;
}

void gpu_set(const char *name, int value)
{
	char text[12];
	snprintf(text, sizeof text, "%d", value);
	setenv(name, text, 1);
}

/* ---- processes ---- */
static pid_t start_child(int (*f)(const void *), const void *argument)
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid)
		return pid;
	in_child = true;
	signal(SIGSEGV, SIG_DFL);
	_exit(f(argument));
}

static int end_child(pid_t pid)
{
	int status;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
}

int gpu_in_child(int (*f)(const void *), const void *argument) { return end_child(start_child(f, argument)); }

int gpu_in_children(int n, int (*f)(const void *), const void *arguments, size_t size)
{
	enum { MAX_CHILDREN = 64 };
	pid_t pid[MAX_CHILDREN];
	int first = 0;
	assert_true(n <= MAX_CHILDREN);
	for (int i = 0; i < n; i++)
		pid[i] = start_child(f, (const char *)arguments + (size_t)i * size);
	for (int i = 0; i < n; i++) {
		int status = end_child(pid[i]);
		first = first ? first : status;
	}
	return first;
}

uint64_t gpu_random(void)
{
	static uint64_t x = 0x1234567887654321u;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x * 0x2545f4914f6cdd1du;
}
