/* Calls about modules and functions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "driver.h"

/* ---- loading ---- */
/* Where messages go, and how much room is there. */
struct log {
	char *error;
	unsigned error_size;
	int error_option, info_option; /* the options with the sizes, or -1 */
};

static bool read_options(unsigned n, const CUjit_option *options, void **values, struct log *log)
{
	*log = (struct log){NULL, 0, -1, -1};
	if (n && (!options || !values))
		return false;
	for (unsigned i = 0; i < n; i++) {
		if ((int)options[i] < 0 || (int)options[i] > 40)
			return false;
		if (options[i] == CU_JIT_ERROR_LOG_BUFFER)
			log->error = values[i];
		if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) {
			log->error_size = (unsigned)(uintptr_t)values[i];
			log->error_option = (int)i;
		}
		if (options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES)
			log->info_option = (int)i;
	}
	return true;
}

/* The sizes become the bytes that were written. */
static void write_log(const struct log *log, void **values, const char *text)
{
	size_t n = strlen(text);
	if (log->error && log->error_size) {
		n = n < log->error_size ? n : log->error_size - 1;
		memcpy(log->error, text, n);
		log->error[n] = 0;
	}
	if (log->error_option >= 0)
		values[log->error_option] = (void *)(uintptr_t)n;
	if (log->info_option >= 0)
		values[log->info_option] = NULL;
}

static CUresult load(struct CUctx_st *c, CUmodule *module, const char *text, const struct log *log, void **values)
{
	char error[600];
	int code;
	/* Binaries of a real GPU, and what is not PTX at all. */
	if (!memcmp(text, "\177ELF", 4))
		return CUDA_ERROR_NO_BINARY_FOR_GPU;
	if (!strstr(text, ".version"))
		return CUDA_ERROR_INVALID_IMAGE;
	struct module *loaded = module_load(text, &c->memory, played()->sm, &code, error, sizeof error);
	write_log(log, values, error);
	if (!loaded) {
		fprintf(stderr, "emulated GPU: %s\n", error);
		return (CUresult)code;
	}
	struct CUmod_st *m = calloc(1, sizeof *m);
	*m = (struct CUmod_st){.magic = MAGIC_MODULE, .context = c, .next = c->modules, .module = loaded};
	c->modules = *module = m;
	return CUDA_SUCCESS;
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned n, CUjit_option *options, void **values)
{
	struct CUctx_st *c;
	struct log log;
	CUresult r = enter_unsafe(&c);
	if (r)
		return r;
	if (!module || !image || !read_options(n, options, values, &log))
		return leave(CUDA_ERROR_INVALID_VALUE);
	return leave(load(c, module, image, &log, values));
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	return cuModuleLoadDataEx(module, image, 0, NULL, NULL);
}

static void drop(struct CUmod_st *m)
{
	for (struct CUfunc_st *f = m->functions; f; f = f->next)
		f->magic = 0;
	m->magic = 0;
	module_drop(m->module);
	m->module = NULL;
}

void modules_drop(struct CUctx_st *c)
{
	for (struct CUmod_st *m = c->modules; m; m = m->next)
		if (m->module)
			drop(m);
	c->modules = NULL;
}

static struct CUmod_st *enter_module(CUmodule handle, CUresult *r)
{
	struct CUctx_st *c;
	*r = enter(&c);
	if (*r)
		return NULL;
	if (!handle || handle->magic != MAGIC_MODULE)
		*r = leave(CUDA_ERROR_INVALID_HANDLE);
	return *r ? NULL : handle;
}

CUresult cuModuleUnload(CUmodule module)
{
	CUresult r;
	struct CUmod_st *m = enter_module(module, &r);
	if (!m)
		return r;
	queue_drain_all(m->context);
	drop(m);
	return leave(CUDA_SUCCESS);
}

/* ---- what is in a module ---- */
static struct CUfunc_st *new_function(struct CUmod_st *m, const struct kernel *k)
{
	struct CUfunc_st *f = calloc(1, sizeof *f);
	*f = (struct CUfunc_st){.magic = MAGIC_FUNCTION, .next = m->functions, .kernel = k, .module = m};
	f->max_dynamic = SHARED_DEFAULT - (int)k->shared_bytes;
	m->functions = f;
	return f;
}

/* One function has one handle. */
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
	CUresult r;
	struct CUmod_st *m = enter_module(module, &r);
	if (!m)
		return r;
	if (!function || !name)
		return leave(CUDA_ERROR_INVALID_VALUE);
	for (struct CUfunc_st *f = m->functions; f; f = f->next)
		if (!strcmp(f->kernel->name, name)) {
			*function = f;
			return leave(CUDA_SUCCESS);
		}
	for (const struct kernel *k = m->module->kernels; k; k = k->next)
		if (!strcmp(k->name, name)) {
			*function = new_function(m, k);
			return leave(CUDA_SUCCESS);
		}
	return leave(CUDA_ERROR_NOT_FOUND);
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr *at, size_t *bytes, CUmodule module, const char *name)
{
	CUresult r;
	struct CUmod_st *m = enter_module(module, &r);
	if (!m)
		return r;
	if (!name)
		return leave(CUDA_ERROR_INVALID_VALUE);
	for (const struct variable *v = m->module->variables; v; v = v->next)
		if ((v->space == SPACE_GLOBAL || v->space == SPACE_CONST) && !strcmp(v->name, name)) {
			if (at)
				*at = v->address;
			if (bytes)
				*bytes = v->size;
			return leave(CUDA_SUCCESS);
		}
	return leave(CUDA_ERROR_NOT_FOUND);
}

/* ---- attributes ---- */
static struct CUfunc_st *enter_function(CUfunction handle, CUresult *r)
{
	struct CUctx_st *c;
	*r = enter(&c);
	if (*r)
		return NULL;
	if (!handle || handle->magic != MAGIC_FUNCTION)
		*r = leave(CUDA_ERROR_INVALID_HANDLE);
	return *r ? NULL : handle;
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function)
{
	CUresult r;
	const struct CUfunc_st *f = enter_function(function, &r);
	if (!f)
		return r;
	if (!value || (int)attribute < 0 || (int)attribute > 15)
		return leave(CUDA_ERROR_INVALID_VALUE);
	const struct kernel *k = f->kernel;
	switch (attribute) {
	case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:            *value = (int)k->max_threads; break;
	case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:                *value = (int)k->shared_bytes; break;
	case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:                 *value = (int)k->local_bytes; break;
	case CU_FUNC_ATTRIBUTE_NUM_REGS:                         *value = k->registers; break;
	case CU_FUNC_ATTRIBUTE_PTX_VERSION:
	case CU_FUNC_ATTRIBUTE_BINARY_VERSION:                   *value = played()->sm; break;
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:    *value = f->max_dynamic; break;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: *value = -1; break;
	default:                                                 *value = 0;
	}
	return leave(CUDA_SUCCESS);
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value)
{
	CUresult r;
	struct CUfunc_st *f = enter_function(function, &r);
	if (!f)
		return r;
	if (attribute == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT && value >= -1 && value <= 100)
		return leave(CUDA_SUCCESS);
	if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0
	    || value > played()->shared_optin - (int)f->kernel->shared_bytes)
		return leave(CUDA_ERROR_INVALID_VALUE);
	f->max_dynamic = value;
	return leave(CUDA_SUCCESS);
}

static int min(int a, int b) { return a < b ? a : b; }

int resident_ctas(const struct kernel *k, int threads, uint64_t dynamic_shared)
{
	const struct played *p = played();
	int warps = (threads + LANES - 1) / LANES, registers = warps * LANES * k->registers;
	uint64_t bytes = dynamic_shared + k->shared_bytes + (uint64_t)p->shared_reserved;
	int n = min(p->blocks, p->threads / (warps * LANES));
	n = min(n, registers ? REGISTERS_PER_BLOCK / registers : n);
	return min(n, bytes > (uint64_t)p->shared ? 0 : bytes ? (int)((uint64_t)p->shared / bytes) : n);
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction function, int block_size, size_t shared)
{
	CUresult r;
	const struct CUfunc_st *f = enter_function(function, &r);
	if (!f)
		return r;
	if (!blocks || block_size <= 0)
		return leave(CUDA_ERROR_INVALID_VALUE);
	*blocks = resident_ctas(f->kernel, block_size, shared);
	if (block_size > (int)f->kernel->max_threads || shared > (size_t)f->max_dynamic)
		*blocks = 0;
	return leave(CUDA_SUCCESS);
}
