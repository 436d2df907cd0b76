/* Calls that allocate: device memory, pinned host memory. */
#include <stdlib.h>
#include <sys/mman.h>
#include "driver.h"

/* ---- device memory ---- */
CUresult cuMemAlloc_v2(CUdeviceptr *at, size_t bytes)
{
	struct CUctx_st *c;
	CUresult r = enter_unsafe(&c);
	if (r)
		return r;
	if (!at || !bytes)
		return leave(CUDA_ERROR_INVALID_VALUE);
	*at = memory_alloc(&c->memory, bytes, false);
	return leave(*at ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

static bool is_storage(const struct CUctx_st *c, CUdeviceptr at)
{
	for (const struct CUmod_st *m = c->modules; m; m = m->next)
		if (m->module && (m->module->storage[0] == at || m->module->storage[1] == at))
			return true;
	return false;
}

static struct CUctx_st *owner_of(CUdeviceptr at, uint64_t bytes)
{
	for (int d = 0; d < device_count(); d++) {
		struct CUctx_st *c = device_context(d);
		if (c->magic == MAGIC_CONTEXT && memory_find(c->memory.map, at, bytes))
			return c;
	}
	return NULL;
}

bool is_device_memory(CUdeviceptr at, uint64_t bytes) { return owner_of(at, bytes) != NULL; }

CUresult cuMemFree_v2(CUdeviceptr at)
{
	struct CUctx_st *c;
	CUresult r = enter_unsafe(&c);
	if (r)
		return r;
	if (!at)
		return leave(CUDA_SUCCESS);
	c = owner_of(at, 1);
	if (!c || is_storage(c, at) || memory_find(c->memory.map, at, 1)->imported)
		return leave(CUDA_ERROR_INVALID_VALUE);
	r = queue_drain_all(c);
	if (r)
		return leave(r);
	return leave(memory_free(&c->memory, at) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
	struct CUctx_st *c;
	CUresult r = enter(&c);
	if (r)
		return r;
	if (!free_bytes || !total)
		return leave(CUDA_ERROR_INVALID_VALUE);
	*free_bytes = c->memory.limit - c->memory.used;
	*total = c->memory.limit;
	return leave(CUDA_SUCCESS);
}

/* ---- pinned host memory ---- */
struct pinned {
	struct pinned *next;
	char *at;
	size_t bytes;
};
static struct pinned *pinned;

bool is_pinned(const void *at)
{
	for (const struct pinned *p = pinned; p; p = p->next)
		if ((uintptr_t)at - (uintptr_t)p->at < p->bytes)
			return true;
	return false;
}

CUresult cuMemHostAlloc(void **at, size_t bytes, unsigned flags)
{
	struct CUctx_st *c;
	CUresult r = enter_unsafe(&c);
	if (r)
		return r;
	if (!at || !bytes || flags > 7)
		return leave(CUDA_ERROR_INVALID_VALUE);
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return leave(CUDA_ERROR_OUT_OF_MEMORY);
	struct pinned *p = malloc(sizeof *p);
	*p = (struct pinned){pinned, memory, bytes};
	pinned = p;
	*at = memory;
	return leave(CUDA_SUCCESS);
}

/* Waits for copies that may use it. */
CUresult cuMemFreeHost(void *at)
{
	struct CUctx_st *c;
	CUresult r = enter_unsafe(&c);
	if (r)
		return r;
	queue_drain_all(c);
	for (struct pinned **p = &pinned; *p; p = &(*p)->next)
		if ((*p)->at == at) {
			struct pinned *found = *p;
			*p = found->next;
			munmap(found->at, found->bytes);
			free(found);
			return leave((CUresult)c->fault.code);
		}
	return leave(CUDA_ERROR_INVALID_VALUE);
}
