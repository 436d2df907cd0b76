/* What a real GPU makes of a deployment's kernels, by events: see card_step.h, and card.sh, which runs it.
 *   load       loads the kernels: time, registers, stacks
 *   copy       bytes a second of a copy within the device: what memory can do
 *   kernels    each kernel of a decode and of a prefill step, and whole steps
 *   agree      whether a contraction's entries, for many rows and for few, make the same of the same rows
 *   latency    launches, nodes of graphs, a copy to the host */
#include <stdlib.h>
#include <time.h>
#include "card_step.h"

static struct card card;

static double host_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* ---- time of what is queued ---- */
struct span {
	CUevent from, to;
};

static void span_begin(struct span *s, CUstream stream)
{
	GOOD(cu.cuEventCreate(&s->from, CU_EVENT_DEFAULT));
	GOOD(cu.cuEventCreate(&s->to, CU_EVENT_DEFAULT));
	GOOD(cu.cuEventRecord(s->from, stream));
}

/* Waits. -> microseconds of the GPU */
static double span_end(struct span *s, CUstream stream)
{
	float ms;
	GOOD(cu.cuEventRecord(s->to, stream));
	GOOD(cu.cuEventSynchronize(s->to));
	GOOD(cu.cuEventElapsedTime(&ms, s->from, s->to));
	GOOD(cu.cuEventDestroy_v2(s->from));
	GOOD(cu.cuEventDestroy_v2(s->to));
	return (double)ms * 1e3;
}

/* What `queue` queues, as a graph that was instantiated. */
static CUgraphExec graph_of(void (*queue)(const void *), const void *argument, CUstream stream)
{
	CUgraph graph;
	CUgraphExec exec;
	GOOD(cu.cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	queue(argument);
	GOOD(cu.cuStreamEndCapture(stream, &graph));
	GOOD(cu.cuGraphInstantiateWithFlags(&exec, graph, 0));
	GOOD(cu.cuGraphDestroy(graph));
	return exec;
}

static double graph_us(CUgraphExec exec, CUstream stream)
{
	struct span s;
	span_begin(&s, stream);
	GOOD(cu.cuGraphLaunch(exec, stream));
	return span_end(&s, stream);
}

/* The second of two runs; the first only, where that takes long. */
static double repeated_us(void (*queue)(const void *), const void *argument, CUstream stream)
{
	enum { LONG_US = 200000 };
	CUgraphExec exec = graph_of(queue, argument, stream);
	double us = graph_us(exec, stream);
	if (us < LONG_US)
		us = graph_us(exec, stream);
	GOOD(cu.cuGraphExecDestroy(exec));
	return us;
}

/* ---- load ---- */
static void part_load(void)
{
	card_load(&card);
	for (uint32_t i = 0; i < dr_image.first[dr_image.n_kernels]; i++) {
		int registers, stack;
		GOOD(cu.cuFuncGetAttribute(&registers, CU_FUNC_ATTRIBUTE_NUM_REGS, card.function[i]));
		GOOD(cu.cuFuncGetAttribute(&stack, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, card.function[i]));
		printf("%-22s %4d registers %6d bytes of local memory\n", dr_image.entries[i].name, registers, stack);
	}
}

/* ---- copy ---- */
/* GB/s, of reads and writes together. */
static double copy_rate(void)
{
	size_t left, all, bytes = 4ull << 30;
	struct span s;
	GOOD(cu.cuMemGetInfo_v2(&left, &all));
	while (bytes > left / 4)
		bytes /= 2;
	CUdeviceptr from = gpu_put(NULL, bytes), to = gpu_put(NULL, bytes);
	double us = 0;
	for (int turn = 0; turn < 3; turn++) {
		span_begin(&s, NULL);
		GOOD(cu.cuMemcpyDtoDAsync_v2(to, from, bytes, NULL));
		us = span_end(&s, NULL);
	}
	double rate = 2e-3 * (double)bytes / us;
	printf("a copy of %zu MiB within the device: %.0f GB/s, reads and writes\n", bytes >> 20, rate);
	GOOD(cu.cuMemFree_v2(from));
	GOOD(cu.cuMemFree_v2(to));
	return rate;
}

/* ---- kernels ---- */
/* The launches of one operation, of all layers. */
struct operation {
	const struct card_launch *first;
	int n;
};

static bool is_of(const struct card_launch *l, const struct card_launch *first)
{
	return l->kernel == first->kernel && l->op == first->op && l->entry == first->entry;
}

static void queue_operation(const void *argument)
{
	const struct operation *o = argument;
	for (const struct card_launch *l = o->first; l < card.launch + card.launches; l++)
		if (is_of(l, o->first))
			card_queue(&card, l);
}

static void queue_step(const void *argument)
{
	(void)argument;
	for (int i = 0; i < card.launches; i++)
		card_queue(&card, &card.launch[i]);
}

static bool is_family(const struct card_launch *l, const char *name)
{
	return !strncmp(l->entry->name, name, strlen(name));
}

static double rows_of(const struct card_launch *l)
{
	return l->entry->count < 0 ? 0 : (double)l->args[l->entry->count];
}

/* Bytes that a launch must move: weights of a contraction, operands of rows, caches that a decode step attends to. */
static double bytes_of(const struct card_launch *l)
{
	const struct dr_program *h = card.plan.head;
	double elements = (double)card.plan.kernels[l->kernel].elements, number = 2; /* all are 16-bit floats */
	uint64_t act = card.frame.base[DR_SPACE_ACT], end = act + card.bytes[DR_SPACE_ACT];
	if (is_family(l, "dr_contract"))
		return elements * number;
	if (is_family(l, "dr_rows")) {
		int operands = 0;
		for (int i = 0; i < l->n_args; i++)
			operands += l->args[i] >= act && l->args[i] < end;
		return rows_of(l) * elements * number * operands;
	}
	if (is_family(l, "dr_attend") && card.phase == DR_DECODE) {
		const struct dr_body *body = plan_array(&card.plan, struct dr_body, h->bodies);
		double position = (double)body->state_bytes / ((double)card.plan.pools[0].pages * h->page_size);
		return (double)card.frame.tokens * card.context * position;
	}
	return 0;
}

static void print_operation(const struct card_launch *l, double us, double ceiling)
{
	double rate = 1e-3 * bytes_of(l) / us;
	printf("%-22s %-28s %10.2f us", l->entry->name, plan_op(&card.plan, l->op), us);
	if (rate > 0)
		printf(" %7.0f GB/s (%3.0f%%)", rate, 100 * rate / ceiling);
	if (is_family(l, "dr_contract"))
		printf(" %8.2f TFLOP/s", 2e-6 * rows_of(l) * (double)card.plan.kernels[l->kernel].elements / us);
	printf("\n");
}

/* Each operation once, at its first launch: all its launches back to back, so that weights come from memory. */
static void time_operations(double ceiling)
{
	for (int i = 0; i < card.launches; i++) {
		struct operation o = {&card.launch[i], 0};
		int before = 0;
		for (int k = 0; k < card.launches; k++)
			if (is_of(&card.launch[k], o.first)) {
				o.n++;
				before += k < i;
			}
		if (!before)
			print_operation(o.first, repeated_us(queue_operation, &o, card.stream) / o.n, ceiling);
	}
}

static void time_step(const char *name)
{
	struct span s;
	queue_step(NULL); /* the driver loads kernels late */
	GOOD(cu.cuStreamSynchronize(card.stream));
	double start = host_us();
	span_begin(&s, card.stream);
	queue_step(NULL);
	double queued = host_us() - start, eager = span_end(&s, card.stream);
	double graph = repeated_us(queue_step, NULL, card.stream);
	printf("%s step of %d tokens, %d layers, %d launches: %.0f us eager (%.0f us of the host), %.0f us as a graph\n",
	       name, card.frame.tokens, card.frame.layers, card.launches, eager, queued, graph);
	fflush(stdout);
}

static void part_kernels(void)
{
	double ceiling = copy_rate();
	card_memory(&card);
	card_load(&card);
	printf("GB/s: of weights, operands or caches; in brackets their share of the copy's\n");
	for (int phase = DR_DECODE; phase >= DR_PREFILL; phase--) {
		card_step(&card, (enum dr_phase)phase, card_tokens(&card, (enum dr_phase)phase));
		time_step(phase == DR_DECODE ? "decode" : "prefill");
		time_operations(ceiling);
	}
}

static int part_agree(void)
{
	card_memory(&card);
	card_load(&card);
	return !card_agree(&card);
}

/* ---- latency ---- */
enum { NODES = 1000 };
struct empty {
	CUfunction f;
	CUstream stream;
};

static void queue_empty(const void *argument)
{
	const struct empty *e = argument;
	for (int i = 0; i < NODES; i++)
		GOOD(gpu_launch(e->f, 1, 32, 0, e->stream, NULL));
}

static void time_fetch(CUstream stream)
{
	enum { BYTES = 16 << 10, TURNS = 100 };
	void *pinned;
	CUdeviceptr at = gpu_put(NULL, BYTES);
	GOOD(cu.cuMemHostAlloc(&pinned, BYTES, 0));
	double start = host_us();
	for (int i = 0; i < TURNS; i++) {
		GOOD(cu.cuMemcpyDtoHAsync_v2(pinned, at, BYTES, stream));
		GOOD(cu.cuStreamSynchronize(stream));
	}
	printf("a copy of 16 KiB to pinned memory, waited for: %.1f us\n", (host_us() - start) / TURNS);
	GOOD(cu.cuMemFreeHost(pinned));
}

static void part_latency(void)
{
	static const char text[] = ".version 7.8\n.target sm_80\n.address_size 64\n.visible .entry k()\n{\nret;\n}\n";
	struct empty e;
	struct span s;
	CUmodule module;
	GOOD(cu.cuModuleLoadData(&module, text));
	e.f = gpu_function(module, "k");
	GOOD(cu.cuStreamCreate(&e.stream, CU_STREAM_NON_BLOCKING));
	queue_empty(&e);
	GOOD(cu.cuStreamSynchronize(e.stream));
	double start = host_us();
	span_begin(&s, e.stream);
	queue_empty(&e);
	double queued = host_us() - start, us = span_end(&s, e.stream);
	printf("%d empty launches: %.2f us each, of the host %.2f us each\n", NODES, us / NODES, queued / NODES);
	CUgraphExec exec = graph_of(queue_empty, &e, e.stream);
	graph_us(exec, e.stream);
	start = host_us();
	span_begin(&s, e.stream);
	GOOD(cu.cuGraphLaunch(exec, e.stream));
	queued = host_us() - start;
	us = span_end(&s, e.stream);
	printf("a graph of %d: %.2f us a node; cuGraphLaunch takes %.0f us of the host\n", NODES, us / NODES, queued);
	time_fetch(e.stream);
}

/* The compute capability, as `major.minor`. */
static void part_capability(void)
{
	int major = 0, minor = 0;
	GOOD(cu.cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
	GOOD(cu.cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0));
	printf("compute capability %d.%d\n", major, minor);
}

/* The generated main calls this. */
int dr_main(int argc, char **argv)
{
	const char *part = argc > 1 ? argv[1] : "";
	char name[100] = "";
	setvbuf(stdout, NULL, _IOLBF, 0);
	gpu_open();
	GOOD(cu.cuDeviceGetName(name, sizeof name, 0));
	printf("device: %s%s\n", name, gpu_is_emulated() ? ": no figure below says anything of a GPU" : "");
	if (!strcmp(part, "capability"))
		part_capability();
	else if (!strcmp(part, "load"))
		part_load();
	else if (!strcmp(part, "copy"))
		copy_rate();
	else if (!strcmp(part, "kernels"))
		part_kernels();
	else if (!strcmp(part, "agree"))
		return part_agree();
	else if (!strcmp(part, "latency"))
		part_latency();
	else {
		fprintf(stderr, "usage: %s capability|load|copy|kernels|agree|latency\n", argv[0]);
		return 2;
	}
	return 0;
}
