/* Memory of other processes: an allocation whose handle is asked for moves to a file without a name, which the other
 * process finds by this process's number. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "driver.h"

struct handle {
	char magic[8];
	pid_t process;
	int file, device; /* device: its number on the host */
	uint64_t bytes;
};
_Static_assert(sizeof(struct handle) <= sizeof(CUipcMemHandle), "handle");
static const char MAGIC[8] = "emulate";

CUresult cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr at)
{
	struct CUctx_st *c;
	CUresult r = enter_unsafe(&c);
	if (r)
		return r;
	const struct range *range = memory_find(c->memory.map, at, 1);
	if (!handle || !range || range->at != at || range->imported)
		return leave(CUDA_ERROR_INVALID_VALUE);
	struct handle h = {.process = getpid(), .device = device_physical(c->device), .bytes = range->size};
	memcpy(h.magic, MAGIC, sizeof MAGIC);
	r = queue_drain_all(c);
	if (r)
		return leave(r);
	h.file = memory_share(&c->memory, at);
	memset(handle, 0, sizeof *handle);
	memcpy(handle, &h, sizeof h);
	return leave(h.file < 0 ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS);
}

static CUresult import(struct CUctx_st *c, CUdeviceptr *at, const struct handle *h)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)h->process, h->file);
	int file = open(path, O_RDWR | O_CLOEXEC);
	*at = file < 0 ? 0 : memory_import(&c->memory, file, h->bytes);
	if (file >= 0)
		close(file);
	return *at ? CUDA_SUCCESS : CUDA_ERROR_MAP_FAILED;
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *at, CUipcMemHandle handle, unsigned flags)
{
	struct handle h;
	struct CUctx_st *c;
	CUresult r = enter_unsafe(&c);
	if (r)
		return r;
	memcpy(&h, &handle, sizeof h);
	if (!at || flags != CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS || memcmp(h.magic, MAGIC, sizeof MAGIC))
		return leave(CUDA_ERROR_INVALID_VALUE);
	if (h.process == getpid())
		return leave(CUDA_ERROR_INVALID_CONTEXT);
	return leave(import(c, at, &h));
}

CUresult cuIpcCloseMemHandle(CUdeviceptr at)
{
	struct CUctx_st *c;
	CUresult r = enter_unsafe(&c);
	if (r)
		return r;
	const struct range *range = memory_find(c->memory.map, at, 1);
	if (!range || range->at != at || !range->imported)
		return leave(CUDA_ERROR_INVALID_VALUE);
	r = queue_drain_all(c);
	memory_free(&c->memory, at);
	return leave(r);
}
