/* What the tests share. They use the driver alone, so the same programs run on a GPU: without LD_LIBRARY_PATH at the
 * emulator, the real libcuda.so.1 is opened. */
#ifndef GPU_TEST_H
#define GPU_TEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../runtime/cuda_api.h"

/* The driver's functions, by their names. */
#define CALL(name, parameters) CUresult(*name) parameters;
struct cu {
#include "../../runtime/cuda_api.def"
};
extern struct cu cu;

/* The call must succeed. In a child process, where cmocka cannot end the test, the process ends. */
#define GOOD(call) gpu_expect((call), CUDA_SUCCESS, #call, __FILE__, __LINE__)
void gpu_expect(int got, int want, const char *what, const char *file, int line);

/* Opens the library; cuInit and a context on device 0, or another. */
void gpu_load_library(void);
void gpu_open(void);
void gpu_open_device(int ordinal);
bool gpu_is_emulated(void);

/* Loads PTX, which ptxas must assemble too; on a real GPU, only where it is on PATH. `body` follows `.version 7.8
 * .target sm_90 .address_size 64`. */
CUmodule gpu_module(const char *body);
/* ptxas must assemble a whole text. */
void gpu_assemble(const char *text);
CUfunction gpu_function(CUmodule m, const char *name);
/* What loading a whole text returns; ptxas must refuse it, or not. The message is copied to `log`. */
CUresult gpu_loads(const char *text, bool refused, char *log, size_t size);

/* A kernel of 64-bit parameters, on the legacy stream. */
CUresult gpu_launch(CUfunction f, unsigned grid, unsigned block, unsigned shared, CUstream s, const uint64_t *params);
/* A device copy of host bytes, and back. `from` NULL: it is not written. */
CUdeviceptr gpu_put(const void *from, size_t bytes);
void gpu_get(void *to, CUdeviceptr at, size_t bytes);

/* Runs `f` in a child process, whose exit status it returns; 200 + signal if it was killed. Errors of launches stay in
 * a process. */
int gpu_in_child(int (*f)(const void *), const void *argument);
/* Likewise `n` processes at once, each with its argument of `size` bytes; the first status that is not 0. */
int gpu_in_children(int n, int (*f)(const void *), const void *arguments, size_t size);

/* A kernel with the parameters a0.. as %rd0.., and registers %r %rd %f %fd %rs %p. */
void gpu_kernel_text(char *to, size_t size, const char *name, int params, const char *body);
#define KERNEL(name, params, body) kernel_text_(name, params, body)
const char *kernel_text_(const char *name, int params, const char *body);

/* The text of kernels/NAME.ptx; with `to` in place of `from` where that occurs for the `nth` time, from 0, or at each
 * place for -1. NULL: there is no such text. It is valid until the next call. */
const char *gpu_kernel(const char *name);
const char *gpu_mutant(const char *name, const char *from, const char *to, int nth);
/* A number in the environment. */
void gpu_set(const char *name, int value);

uint64_t gpu_random(void);
#endif
