/* For tests of generated kernels: compiles one description for one processor, and runs it in this process with any
 * number of workers, on memory that ends at a page without access. With TEST_TARGET=cuda in the environment, a GPU runs
 * it instead (cg_gpu.h). */
#ifndef TESTS_CG_JIT_H
#define TESTS_CG_JIT_H
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include <llvm-c/Analysis.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include "../../codegen/cpu/cpu.h"
#include "../../runtime/number.h"
#include "cg_gpu.h"

/* A compiled kernel. */
struct compiled {
	struct kernel kernel;
	dr_kernel_fn function; /* NULL: for a GPU */
};
struct processor {
	const char *name;
	LLVMTargetMachineRef machine; /* NULL: a GPU */
	struct target target;
};
static struct {
	LLVMOrcLLJITRef lljit;
	struct processor processor[3];
	int processors, compiled, seed;
	struct compiled kernel[4096];
} jit;

static inline void succeed(LLVMErrorRef e)
{
	if (e)
		fail_msg("%s", LLVMGetErrorMessage(e));
}

static inline void add_processor(const char *name, const char *cpu, const char *features, struct target target)
{
	char *triple = LLVMGetDefaultTargetTriple(), *error = NULL;
	LLVMTargetRef llvm;
	if (LLVMGetTargetFromTriple(triple, &llvm, &error))
		fail_msg("%s", error);
	LLVMTargetMachineRef machine = LLVMCreateTargetMachine(llvm, triple, cpu, features, LLVMCodeGenLevelDefault,
	                                                       LLVMRelocPIC, LLVMCodeModelDefault);
	jit.processor[jit.processors++] = (struct processor){name, machine, target};
	LLVMDisposeMessage(triple);
}

/* The program's argument, if any, is the seed of all random numbers. */
static inline void jit_open(int argc, char **argv)
{
	const char *target = getenv("TEST_TARGET");
	jit.seed = argc > 1 ? atoi(argv[1]) : 1;
	if (target && !strcmp(target, "cuda")) {
		gpu_load_library();
		gpu_open();
		jit.processor[jit.processors++] = (struct processor){"gpu", NULL, target_gpu()};
		jit.processor[jit.processors++] = (struct processor){"gpu, unaligned", NULL, target_gpu()};
		return;
	}
	LLVMInitializeNativeTarget();
	LLVMInitializeNativeAsmPrinter();
	char *cpu = LLVMGetHostCPUName(), *features = LLVMGetHostCPUFeatures();
	bool avx512 = strstr(features, "+avx512bw") != NULL, avx2 = strstr(features, "+avx2") != NULL;
	bool dot = strstr(features, "+avx512bf16") != NULL;
#if defined(__x86_64__)
	add_processor("x86-64", "x86-64", "", target_cpu(4, false));
	if (avx2)
		add_processor("x86-64-v3", "x86-64-v3", "", target_cpu(8, false));
#endif
	add_processor("native", cpu, features, target_cpu(avx512 ? 16 : avx2 ? 8 : 4, dot));
	succeed(LLVMOrcCreateLLJIT(&jit.lljit, NULL));
	LLVMOrcDefinitionGeneratorRef process;
	char prefix = LLVMOrcLLJITGetGlobalPrefix(jit.lljit);
	succeed(LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(&process, prefix, NULL, NULL));
	LLVMOrcJITDylibAddGenerator(LLVMOrcLLJITGetMainJITDylib(jit.lljit), process);
	LLVMDisposeMessage(cpu);
	LLVMDisposeMessage(features);
}

#define jit_run(tests) jit_close(cmocka_run_group_tests(tests, NULL, NULL))
static inline int jit_close(int failed)
{
	for (int i = 0; i < jit.processors; i++)
		if (jit.processor[i].machine)
			LLVMDisposeTargetMachine(jit.processor[i].machine);
	if (jit.lljit)
		succeed(LLVMOrcDisposeLLJIT(jit.lljit));
	return failed;
}

static inline void verify(LLVMModuleRef m)
{
	char *error = NULL;
	if (LLVMVerifyModule(m, LLVMReturnStatusAction, &error))
		fail_msg("%s", error);
	LLVMDisposeMessage(error);
}

static inline dr_kernel_fn jit_function(const struct processor *p, const struct kernel *k)
{
	struct codegen g;
	codegen_open(&g, "test", p->machine, &p->target, &cpu_emitter);
	emit_kernel(&g, k);
	verify(g.module);
	LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
	LLVMPassBuilderOptionsSetLoopVectorization(options, 0);
	LLVMPassBuilderOptionsSetSLPVectorization(options, 0);
	succeed(LLVMRunPasses(g.module, "default<O2>", p->machine, options));
	LLVMDisposePassBuilderOptions(options);
	verify(g.module);
	LLVMMemoryBufferRef object;
	char *error = NULL;
	if (LLVMTargetMachineEmitToMemoryBuffer(p->machine, g.module, LLVMObjectFile, &error, &object))
		fail_msg("%s", error);
	codegen_close(&g);
	succeed(LLVMOrcLLJITAddObjectFile(jit.lljit, LLVMOrcLLJITGetMainJITDylib(jit.lljit), object));
	LLVMOrcExecutorAddress address;
	succeed(LLVMOrcLLJITLookup(jit.lljit, &address, k->name));
	return (dr_kernel_fn)(uintptr_t)address;
}

/* Compiles a kernel, under a name that is unique in the process. */
static inline const struct compiled *jit_compile(const struct processor *p, struct kernel *k)
{
	struct compiled *c = &jit.kernel[jit.compiled];
	snprintf(k->name, sizeof k->name, "%s_%d", kernel_family_name(k->family), jit.compiled++);
	*c = (struct compiled){*k, p->machine ? jit_function(p, k) : NULL};
	return c;
}

static inline void run_kernel(const struct compiled *c, const uint64_t *args, int workers)
{
	if (!c->function) {
		gpu_run(&c->kernel, args);
		return;
	}
	for (int share = workers - 1; share >= 0; share--)
		c->function(args, workers - 1 - share, share, workers);
}

/* ---- memory ---------------------------------------------------------------------------------- */
/* Zeroed bytes that end at a page without access. Never freed. */
static inline void *guarded(size_t bytes)
{
	size_t page = 4096, room = (bytes + page - 1) / page * page;
	char *at = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(at != MAP_FAILED);
	assert_int_equal(mprotect(at + room, page, PROT_NONE), 0);
	gpu_note_area(at + room - bytes, bytes);
	return at + room - bytes;
}

static inline void *guarded_copy(const void *from, size_t bytes) { return memcpy(guarded(bytes), from, bytes); }

static inline void for_processors(void (*test)(const struct processor *p))
{
	for (int i = 0; i < jit.processors; i++) {
		srand((unsigned)jit.seed);
		gpu.unaligned = i > 0;
		test(&jit.processor[i]);
	}
}

static inline uint64_t address(const void *p) { return (uint64_t)(uintptr_t)p; }

/* Runs a kernel with one worker, then with three into a second copy of its output. Both must be equal, bit for bit. */
enum { WORKERS = 3, GPU_WORKERS = 64 };
/* The workspaces of so many workers: f32 NaNs, since a kernel may not depend on what is there. */
static inline uint64_t workspaces(const struct kernel *k)
{
	bool parts = k->family == KERNEL_ATTEND && k->attend.on_matrix;
	size_t bytes = (size_t)(kernel_workspace(k) * (parts ? target_gpu().workers : GPU_WORKERS));
	return address(memset(guarded(bytes), 0xff, bytes));
}

static inline void run_twice(struct kernel *k, const struct processor *p, uint64_t *args, int out, size_t bytes)
{
	const struct compiled *f = jit_compile(p, k);
	void *first = (void *)(uintptr_t)args[out], *again = guarded(bytes);
	memcpy(again, first, bytes);
	run_kernel(f, args, 1);
	args[out] = address(again);
	run_kernel(f, args, WORKERS);
	args[out] = address(first);
	assert_memory_equal(first, again, bytes);
}

static inline uint32_t f32_bits(float x)
{
	uint32_t u;
	memcpy(&u, &x, 4);
	return u;
}
static inline float bits_f32(uint32_t u)
{
	float x;
	memcpy(&x, &u, 4);
	return x;
}

static inline float bf16_round(float x)
{
	uint32_t u = f32_bits(x);
	return bits_f32((u + 0x7fff + (u >> 16 & 1)) & 0xffff0000u);
}

static inline float get(enum dtype t, const void *p, int64_t i)
{
	if (t == DTYPE_F32)
		return ((const float *)p)[i];
	if (t == DTYPE_F16)
		return f32_of_f16(((const uint16_t *)p)[i]);
	if (dtype_bytes(t) == 1)
		return f32_of_fp8(t == DTYPE_FP8E4M3 ? FP8_E4M3 : FP8_E5M2, ((const uint8_t *)p)[i]);
	return bits_f32((uint32_t)((const uint16_t *)p)[i] << 16);
}

static inline void put(enum dtype t, void *p, int64_t i, float x)
{
	if (t == DTYPE_F32)
		((float *)p)[i] = x;
	else if (t == DTYPE_F64)
		((double *)p)[i] = (double)x;
	else if (t == DTYPE_I32)
		((int32_t *)p)[i] = (int32_t)x;
	else if (t == DTYPE_F16)
		((uint16_t *)p)[i] = f16_of_f32(x);
	else if (dtype_bytes(t) == 1)
		((uint8_t *)p)[i] = fp8_of_f32(t == DTYPE_FP8E4M3 ? FP8_E4M3 : FP8_E5M2, x);
	else
		((uint16_t *)p)[i] = (uint16_t)(f32_bits(bf16_round(x)) >> 16);
}

static inline int64_t random_below(int64_t n) { return rand() % n; }
static inline float random_float(void) { return (float)(rand() % 20001 - 10000) / 10000; }

static inline void *random_array(enum dtype t, int64_t n)
{
	void *p = guarded((size_t)(n * dtype_bytes(t)));
	for (int64_t i = 0; i < n; i++)
		put(t, p, i, random_float());
	return p;
}

static inline int32_t *index_array(int64_t n) { return guarded((size_t)n * 4); }

/* |a - b| within `relative` of the larger, or within `absolute`. */
static inline void assert_near(double a, double b, double relative, double absolute)
{
	double far = fabs(a - b), most = fmax(fabs(a), fabs(b));
	if (!(far <= relative * most || far <= absolute))
		fail_msg("%.9g is not near %.9g", a, b);
}

/* The tiles of weights: on a processor with runs of `run` elements. */
static inline struct packing tiles_for(const struct processor *p, enum dtype w, int run)
{
	return p->machine ? (struct packing){2 * p->target.lanes, run, false} : target_packing(&p->target, w, w);
}

static inline double tolerance(enum dtype t) { return t == DTYPE_F32 ? 2e-5 : 8e-3; }
#endif
