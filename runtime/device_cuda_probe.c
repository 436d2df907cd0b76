/* What the driver says about the GPUs of this machine. */
#include <string.h>
#include "device_cuda.h"
#include "probe.h"

static const char WHAT[] = "cannot ask the driver about its GPUs";

static void probe_gpu(struct cuda *c, struct probed_gpu *g, CUdevice d)
{
	size_t bytes = 0;
	cuda_check(c, c->cuDeviceGetName(g->name, sizeof g->name, d), WHAT);
	cuda_check(c, c->cuDeviceTotalMem_v2(&bytes, d), WHAT);
	cuda_check(c, c->cuDeviceGetAttribute(&g->major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, d), WHAT);
	cuda_check(c, c->cuDeviceGetAttribute(&g->minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, d), WHAT);
	g->bytes = bytes;
}

static bool has(struct cuda *c, CUdevice_P2PAttribute attribute, CUdevice a, CUdevice b)
{
	int there = 0, back = 0;
	cuda_check(c, c->cuDeviceGetP2PAttribute(&there, attribute, a, b), WHAT);
	cuda_check(c, c->cuDeviceGetP2PAttribute(&back, attribute, b, a), WHAT);
	return there && back;
}

static void probe_links(struct cuda *c, struct machine *m)
{
	for (int a = 0; a < m->n; a++)
		for (int b = a + 1; b < m->n; b++) {
			bool reaches = has(c, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, a, b);
			m->pairs++;
			m->peers += reaches;
			m->nvlink += reaches && has(c, CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED, a, b);
		}
}

static void probe_context(struct cuda *c, struct machine *m)
{
	size_t left = 0, all = 0;
	cuda_check(c, c->cuDevicePrimaryCtxRetain(&c->context, 0), WHAT);
	cuda_enter(c);
	cuda_check(c, c->cuMemGetInfo_v2(&left, &all), WHAT);
	cuda_check(c, c->cuDevicePrimaryCtxRelease_v2(0), WHAT);
	m->taken = all - left;
}

void cuda_probe(struct machine *m, const struct reporter *r)
{
	struct cuda c = {.options = {.reporter = *r}};
	cuda_find_calls(&c);
	CUresult started = c.cuInit(0);
	if (started == CUDA_ERROR_NO_DEVICE)
		rank_fail(r, "the NVIDIA driver shows no GPU");
	cuda_check(&c, started, "the NVIDIA driver does not start");
	cuda_check(&c, c.cuDeviceGetCount(&m->n), WHAT);
	cuda_check(&c, c.cuDriverGetVersion(&m->driver), WHAT);
	if (m->n > MAX_PROBED)
		rank_fail(r, "this machine has %d GPUs, more than the %d that probe describes", m->n, MAX_PROBED);
	for (int i = 0; i < m->n; i++)
		probe_gpu(&c, &m->gpu[i], i);
	probe_links(&c, m);
	probe_context(&c, m);
}
