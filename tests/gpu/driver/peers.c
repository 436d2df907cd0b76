/* Memory of other devices: which may be accessed (EMU_LINK), and copies between devices. */
#include <stdlib.h>
#include <string.h>
#include "driver.h"

enum link { LINK_NONE, LINK_PCIE, LINK_NVLINK };

static enum link link_between(CUdevice a, CUdevice b)
{
	const char *text = getenv("EMU_LINK");
	if (a == b || (text && !strcmp(text, "none")))
		return LINK_NONE;
	return text && !strcmp(text, "pcie") ? LINK_PCIE : LINK_NVLINK;
}

static bool are_devices(CUdevice a, CUdevice b) { return a >= 0 && b >= 0 && a < device_count() && b < device_count(); }

CUresult cuDeviceCanAccessPeer(int *can, CUdevice device, CUdevice peer)
{
	if (!device_count())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!can)
		return CUDA_ERROR_INVALID_VALUE;
	if (!are_devices(device, peer))
		return CUDA_ERROR_INVALID_DEVICE;
	*can = link_between(device, peer) != LINK_NONE;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attribute, CUdevice from, CUdevice to)
{
	if (!device_count())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!value || (int)attribute < 1 || (int)attribute > 4)
		return CUDA_ERROR_INVALID_VALUE;
	if (!are_devices(from, to) || from == to)
		return CUDA_ERROR_INVALID_DEVICE;
	enum link link = link_between(from, to);
	switch (attribute) {
	case CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK:        *value = link == LINK_NVLINK ? 0 : 1; break;
	case CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED:        *value = link != LINK_NONE; break;
	case CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED: *value = link == LINK_NVLINK; break;
	default:                                              *value = 0;
	}
	return CUDA_SUCCESS;
}

static bool is_live(CUcontext c) { return c && c->magic == MAGIC_CONTEXT; }

CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned flags)
{
	struct CUctx_st *c;
	CUresult r = enter(&c);
	if (r)
		return r;
	if (flags)
		return leave(CUDA_ERROR_INVALID_VALUE);
	if (!is_live(peer))
		return leave(CUDA_ERROR_INVALID_CONTEXT);
	if (peer == c)
		return leave(CUDA_ERROR_INVALID_DEVICE);
	if (link_between(c->device, peer->device) == LINK_NONE)
		return leave(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
	if (c->peers & UINT64_C(1) << peer->device)
		return leave(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
	c->peers |= UINT64_C(1) << peer->device;
	return leave(CUDA_SUCCESS);
}

CUresult cuCtxDisablePeerAccess(CUcontext peer)
{
	struct CUctx_st *c;
	CUresult r = enter(&c);
	if (r)
		return r;
	if (!is_live(peer))
		return leave(CUDA_ERROR_INVALID_CONTEXT);
	if (!(c->peers & UINT64_C(1) << peer->device))
		return leave(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
	queue_drain_all(c);
	c->peers &= ~(UINT64_C(1) << peer->device);
	return leave(CUDA_SUCCESS);
}

struct memory_map *peers_map(struct CUctx_st *c)
{
	struct memory_map *maps[MAX_DEVICES] = {c->memory.map};
	int n = 1;
	for (int d = 0; d < device_count(); d++) {
		struct CUctx_st *peer = device_context(d);
		if (is_live(peer) && peer->peers & UINT64_C(1) << c->device)
			memory_expose(&c->memory);
		if (!is_live(peer) || !(c->peers & UINT64_C(1) << d))
			continue;
		memory_expose(&peer->memory);
		maps[n++] = peer->memory.map;
	}
	return n == 1 ? memory_hold(&c->memory) : memory_join(maps, n);
}

/* Works without peer access too: the driver goes through the host then. */
CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context, size_t bytes,
                           CUstream stream)
{
	if (!is_live(to_context) || !is_live(from_context))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!memory_find(to_context->memory.map, to, bytes) || !memory_find(from_context->memory.map, from, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	return cuMemcpyDtoDAsync_v2(to, from, bytes, stream);
}
