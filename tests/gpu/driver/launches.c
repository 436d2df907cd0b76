/* Calls that launch kernels. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "driver.h"

static bool sizes_allowed(const CUlaunchConfig *n)
{
	bool grid = n->gridDimX && n->gridDimY && n->gridDimZ && n->gridDimX <= 0x7fffffff && n->gridDimY <= MAX_GRID_YZ
	            && n->gridDimZ <= MAX_GRID_YZ;
	bool block = n->blockDimX && n->blockDimY && n->blockDimZ && n->blockDimX <= MAX_THREADS
	             && n->blockDimY <= MAX_THREADS && n->blockDimZ <= MAX_BLOCK_Z;
	return grid && block;
}

/* Hints are accepted, and clusters. What changes when a kernel runs is not. */
static bool attributes_allowed(const CUlaunchConfig *n)
{
	for (unsigned i = 0; i < n->numAttrs; i++) {
		const CUlaunchAttribute *a = &n->attrs[i];
		bool hint = a->id == CU_LAUNCH_ATTRIBUTE_IGNORE || a->id == CU_LAUNCH_ATTRIBUTE_PRIORITY
		            || a->id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
		            || a->id == CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW;
		bool off = (a->id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION && !a->value.word)
		           || (a->id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE && !a->value.word);
		if (!hint && !off) {
			fprintf(stderr, "emulated GPU: launch attribute %d is not emulated\n", (int)a->id);
			return false;
		}
	}
	return !n->numAttrs || n->attrs;
}

/* The CTAs of a cluster: the kernel's, or the launch's. */
static void cluster_of(const CUlaunchConfig *n, const struct kernel *k, unsigned *cluster)
{
	for (int d = 0; d < 3; d++)
		cluster[d] = k->cluster[0] ? k->cluster[d] : 1;
	for (unsigned i = 0; i < n->numAttrs; i++)
		if (n->attrs[i].id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
			cluster[0] = n->attrs[i].value.clusterDim.x;
			cluster[1] = n->attrs[i].value.clusterDim.y;
			cluster[2] = n->attrs[i].value.clusterDim.z;
		}
}

/* Up to 8 CTAs: more are not portable. */
static bool cluster_allowed(const CUlaunchConfig *n, const struct kernel *k)
{
	unsigned c[3];
	cluster_of(n, k, c);
	bool same = !k->cluster[0] || !memcmp(c, k->cluster, sizeof c);
	return same && c[0] && c[1] && c[2] && (uint64_t)c[0] * c[1] * c[2] <= 8 && n->gridDimX % c[0] == 0
	       && n->gridDimY % c[1] == 0 && n->gridDimZ % c[2] == 0;
}

static CUresult check_launch(const CUlaunchConfig *n, const struct CUfunc_st *f)
{
	const struct kernel *k = f->kernel;
	if (!sizes_allowed(n))
		return CUDA_ERROR_INVALID_VALUE;
	unsigned threads = n->blockDimX * n->blockDimY * n->blockDimZ;
	if (threads > k->max_threads || n->sharedMemBytes > (unsigned)f->max_dynamic)
		return CUDA_ERROR_INVALID_VALUE;
	if (k->required[0]
	    && (n->blockDimX != k->required[0] || n->blockDimY != k->required[1] || n->blockDimZ != k->required[2]))
		return CUDA_ERROR_INVALID_VALUE;
	if (!cluster_allowed(n, k))
		return CUDA_ERROR_INVALID_CLUSTER_SIZE;
	unsigned warps = (threads + LANES - 1) / LANES;
	if (warps * LANES * (unsigned)k->registers > REGISTERS_PER_BLOCK)
		return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
	return CUDA_SUCCESS;
}

static struct launch *make_launch(const CUlaunchConfig *n, const struct CUfunc_st *f, void **params)
{
	const struct kernel *k = f->kernel;
	struct launch *l = malloc(sizeof *l);
	int threads = (int)(n->blockDimX * n->blockDimY * n->blockDimZ);
	*l = (struct launch){.kernel = k,
	                     .grid = {n->gridDimX, n->gridDimY, n->gridDimZ},
	                     .block = {n->blockDimX, n->blockDimY, n->blockDimZ},
	                     .dynamic_shared = n->sharedMemBytes,
	                     .resident = (unsigned)resident_ctas(k, threads, n->sharedMemBytes),
	                     .multiprocessors = MULTIPROCESSORS,
	                     .device = f->module->context->device};
	cluster_of(n, k, l->cluster);
	for (int i = 0; i < k->n_params; i++)
		memcpy(l->params + k->params[i].offset, params[i], k->params[i].size);
	return l;
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *n, CUfunction function, void **params, void **extra)
{
	struct CUctx_st *c;
	CUresult r = enter(&c);
	if (r)
		return r;
	if (!function || function->magic != MAGIC_FUNCTION)
		return leave(CUDA_ERROR_INVALID_HANDLE);
	struct CUstream_st *s = n ? stream_of(c, n->hStream) : NULL;
	if (!n || (function->kernel->n_params && !params && !extra) || (params && extra))
		return leave(CUDA_ERROR_INVALID_VALUE);
	if (!s || s->context != function->module->context)
		return leave(CUDA_ERROR_INVALID_HANDLE);
	if (extra || !attributes_allowed(n))
		return leave(CUDA_ERROR_NOT_SUPPORTED);
	r = check_launch(n, function);
	if (!r)
		r = queue_push(
			s, &(struct op){.kind = OP_KERNEL, .function = function, .launch = make_launch(n, function, params)});
	return leave(r);
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared, CUstream stream, void **params,
                        void **extra)
{
	CUlaunchConfig n = {grid_x, grid_y, grid_z, block_x, block_y, block_z, shared, stream, NULL, 0};
	return cuLaunchKernelEx(&n, function, params, extra);
}

/* A function of the host, in the order of the stream. */
CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void *argument)
{
	CUresult r;
	struct CUstream_st *s = enter_stream(stream, &r);
	if (!s)
		return r;
	if (!function)
		return leave(CUDA_ERROR_INVALID_VALUE);
	return leave(queue_push(s, &(struct op){.kind = OP_HOST, .host = {function, argument}}));
}
