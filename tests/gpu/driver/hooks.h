/* What the emulated driver has beyond the driver's own functions, for measurements and for the emulated NCCL. */
#ifndef GPU_HOOKS_H
#define GPU_HOOKS_H
#include <stdbool.h>
#include <stdint.h>
#pragma GCC visibility push(default)
#include "../../../runtime/cuda_api.h"

/* Warp instructions that ran, and the time they took. */
void emu_statistics(uint64_t *instructions, double *seconds);

/* Work of another library in a stream, in order with everything else there. poll advances it and returns whether it is
 * over; it neither waits nor calls the driver, but for emu_memory. After that it may start again: a graph runs it more
 * than once. drop frees it, when no stream needs it any more. */
struct emu_work {
	bool (*poll)(void *state);
	void (*drop)(void *state);
	void *state;
};
CUresult emu_queue(CUstream stream, const struct emu_work *work);
/* Where the emulator has bytes of device memory; NULL: no allocation holds them all. */
void *emu_memory(CUdeviceptr at, size_t bytes);
#pragma GCC visibility pop
#endif
