/* `launcher probe`: the GPUs of this machine as a cluster of the language. */
#ifndef DEPLOY_PROBE_H
#define DEPLOY_PROBE_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "report.h"

enum { MAX_PROBED = 64 };
struct probed_gpu {
	char name[128];
	uint64_t bytes;   /* of memory, as the driver reports it */
	int major, minor; /* compute capability */
};
struct machine {
	int n, driver; /* driver: 12040 for CUDA 12.4 */
	struct probed_gpu gpu[MAX_PROBED];
	uint64_t taken; /* bytes of GPU 0 that driver and an empty context take */
	int pairs, nvlink,
		peers; /* pairs of GPUs; those with native atomics, and those with access to each other's memory */
	uint64_t host_bytes;
	int cores;
};

/* device_cuda_probe.c: asks the driver. Ends the process by rank_fail if that fails. */
void cuda_probe(struct machine *m, const struct reporter *r);
/* Writes the machine's text. NULL, or why it cannot be described. */
const char *probe_text(const struct machine *m, FILE *out);
/* The command. path NULL: standard output; a file that is there is not overwritten. Returns the exit status. */
int probe(const char *path);
#endif
