/* Writes the GPUs of this machine as a cluster of the language: what the driver says, what std.clusters knows of a GPU
 * of that name, and the rest as assumptions, or left open so that `deployc check` asks for it. */
#include "probe.h"
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../support/escape.h"
#include "no_memory.h"
#include "runtime.h"

/* Names that drivers report, and what std.clusters calls the GPU and its NVLink. */
static const struct known {
	const char *name, *device, *link;
} known[] = {
	{"NVIDIA A100-SXM4-80GB", "A100_SXM", "NVLink3"}, {"NVIDIA A100-SXM4-40GB", "A100_SXM_40GB", "NVLink3"},
	{"NVIDIA H100 80GB HBM3", "H100_SXM", "NVLink4"}, {"NVIDIA H200", "H200_SXM", "NVLink4"},
	{"NVIDIA H800", "H800_SXM", "NVLink4_H800"},      {"NVIDIA B200", "B200_SXM", "NVLink5"},
	{"NVIDIA GB200", "GB200_GPU", "NVLink5"},
};

static const struct known *find_known(const char *name)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (!strcmp(known[i].name, name))
			return &known[i];
	return NULL;
}

static bool all_nvlink(const struct machine *m) { return m->n > 1 && m->nvlink == m->pairs; }

/* ---- parts of the text ----------------------------------------------------------------------- */
static void put_head(const struct machine *m, const struct known *k, FILE *out)
{
	const struct probed_gpu *g = &m->gpu[0];
	fprintf(out, "// Written by `launcher probe`: %d x ", m->n);
	put_escaped(out, g->name);
	fprintf(out, ", compute capability %d.%d, driver of CUDA %d.%d.\n", g->major, g->minor, m->driver / 1000,
	        m->driver % 1000 / 10);
	if (k && all_nvlink(m))
		fprintf(out, "use std.hw { Cluster }\nuse std.clusters { %s, %s }\n\n", k->device, k->link);
	else if (k)
		fprintf(out, "use std.hw { Cluster }\nuse std.clusters { %s }\n\n", k->device);
	else
		fprintf(out, "use std.hw { Accelerator, Cluster }\n\n");
}

static void put_device(const struct probed_gpu *g, const struct known *k, FILE *out)
{
	unsigned long long bytes = g->bytes;
	if (k) {
		fprintf(out, "/// Bandwidth, peaks and power are those of std.clusters, from data sheets.\n");
		fprintf(out, "device ThisGPU = %s { memory = %llu B }  // as the driver reports it\n\n", k->device, bytes);
		return;
	}
	fprintf(out,
	        "device ThisGPU : Accelerator {\n"
	        "  memory    = %llu B  // as the driver reports it\n"
	        "  // The driver does not tell bandwidth and peaks of dense products: they are in the maker's data sheet.\n"
	        "  // Until they are filled in, `deployc check` refuses a deployment on this device\n"
	        "  // bandwidth = ... GB/s\n"
	        "  // peak { bf16 = ... TFLOPS; f16 = ... TFLOPS; f32 = ... TFLOPS }\n"
	        "}\n\n",
	        bytes);
}

static void put_level(const struct machine *m, const struct known *k, FILE *out)
{
	if (all_nvlink(m) && k)
		fprintf(out,
		        "  // Assumed: native atomics between all GPUs mean NVLink, all of it, through a switch\n"
		        "  level nvlink { count = %d; link = %s; topology = switch }\n",
		        m->n, k->link);
	else if (all_nvlink(m))
		fprintf(out,
		        "  // Assumed: native atomics between all GPUs mean NVLink. Its bandwidth is not known: add a link for "
		        "times\n"
		        "  level nvlink { count = %d }\n",
		        m->n);
	else
		fprintf(out,
		        "  // %d of %d pairs of GPUs have native atomics, which NVLink has, %d reach each other's memory. The "
		        "bandwidth\n"
		        "  // between them is not known: add a link for times\n"
		        "  level node { count = %d }\n",
		        m->nvlink, m->pairs, m->peers, m->n);
}

static void put_cluster(const struct machine *m, const struct known *k, FILE *out)
{
	fprintf(out, "cluster ThisMachine : Cluster {\n  device = ThisGPU\n");
	put_level(m, k, out);
	fprintf(out, "  // The host has %llu B and %d cores; the bandwidth of its bus is not known: add `host` for it\n",
	        (unsigned long long)m->host_bytes, m->cores);
	fprintf(out,
	        "  // Assumed: what std.clusters takes for such machines. Driver and an empty context took %llu B; "
	        "kernels, NCCL and\n"
	        "  // graphs come on top\n"
	        "  reserve { memory = 3.5 GiB }\n}\n",
	        (unsigned long long)m->taken);
}

const char *probe_text(const struct machine *m, FILE *out)
{
	static char why[400];
	const struct probed_gpu *first = &m->gpu[0];
	for (int i = 1; i < m->n; i++)
		if (strcmp(m->gpu[i].name, first->name) || m->gpu[i].bytes != first->bytes) {
			snprintf(why, sizeof why,
			         "GPU 0 is a %s of %llu B, GPU %d a %s of %llu B: a cluster has devices of one kind, and "
			         "CUDA_VISIBLE_DEVICES leaves some",
			         first->name, (unsigned long long)first->bytes, i, m->gpu[i].name,
			         (unsigned long long)m->gpu[i].bytes);
			return why;
		}
	const struct known *k = find_known(first->name);
	put_head(m, k, out);
	put_device(first, k, out);
	put_cluster(m, k, out);
	return NULL;
}

/* ---- the command ----------------------------------------------------------------------------- */
static struct board *board;

static void leave(int status)
{
	say_error("%s", board->rank[0].message);
	exit(status);
}

static void probe_host(struct machine *m)
{
	cpu_set_t set;
	m->host_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	m->cores = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

/* A file that is there may have been completed by hand: it stays. */
static bool write_text(const char *path, const char *text)
{
	FILE *out = path ? fopen(path, "wx") : stdout;
	bool written = out && fputs(text, out) >= 0;
	if (path && out && fclose(out))
		written = false;
	if (!written)
		say_error("cannot write %s: %s", path ? path : "standard output", strerror(errno));
	return written;
}

int probe(const char *path)
{
	struct machine *m = host_alloc(1, sizeof *m);
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);
	board = board_open(1);
	if (!board || !memory)
		no_memory(BUFSIZ);
	board->leave = leave;
	cuda_probe(m, &(struct reporter){board, 0});
	probe_host(m);
	const char *why = probe_text(m, memory);
	if (fclose(memory))
		no_memory(BUFSIZ);
	if (why)
		say_error("%s", why);
	bool written = !why && write_text(path, text);
	board_close(board, 1);
	free(text);
	free(m);
	return written ? STATUS_OK : STATUS_FAILED;
}
