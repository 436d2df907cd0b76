/* The kernels of a deployment, their memory, and the launches of a step. */
#include <stdlib.h>
#include <time.h>
#include "../../runtime/entry.h"
#include "card_step.h"

static void refuse(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

/* ---- kernels ---- */
static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void card_load(struct card *c)
{
	static char info[8192], error[8192];
	CUjit_option options[] = {CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, CU_JIT_ERROR_LOG_BUFFER,
	                          CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {info, (void *)sizeof info, error, (void *)sizeof error};
	double start = seconds();
	CUresult got = cu.cuModuleLoadDataEx(&c->module, dr_image.ptx, 4, options, values);
	printf("the driver loads %zu bytes of PTX in %.2f s: code %d\n%.8000s%.8000s", strlen(dr_image.ptx),
	       seconds() - start, got, info, error);
	GOOD(got);
	uint32_t n = dr_image.first[dr_image.n_kernels];
	c->function = calloc(n, sizeof *c->function);
	for (uint32_t i = 0; i < n; i++) {
		c->function[i] = gpu_function(c->module, dr_image.entries[i].name);
		GOOD(cu.cuFuncSetAttribute(c->function[i], CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
		                           (int)dr_image.entries[i].shared));
	}
	GOOD(cu.cuStreamCreate(&c->stream, CU_STREAM_NON_BLOCKING));
}

/* ---- memory ---- */
/* The piece that repeats has a prime number of elements, so that no two rows of a matrix are equal. */
void card_random(uint64_t at, uint64_t bytes)
{
	enum { PIECE = 2 * 2097143 };
	static uint16_t piece[PIECE / sizeof(uint16_t)];
	uint64_t first = bytes < PIECE ? bytes : PIECE;
	for (size_t i = 0; i < PIECE / sizeof *piece; i++)
		piece[i] = 0x3c00 | (gpu_random() & 0x80ff);
	if (bytes)
		GOOD(cu.cuMemcpyHtoD_v2(at, piece, first));
	for (uint64_t done = first; done < bytes; done += PIECE)
		GOOD(cu.cuMemcpyDtoD_v2(at + done, at, bytes - done < PIECE ? bytes - done : PIECE));
}

void card_memory(struct card *c)
{
	const char *wrong = plan_open(&c->plan, dr_blob);
	if (wrong)
		refuse(wrong);
	if (c->plan.head->ranks != 1 || c->plan.head->maps.n || c->plan.n_pools != 1)
		refuse("the deployment must have one rank, no experts, and no windows shorter than its sequences");
	for (int s = 0; s < DR_SPACES; s++) {
		uint64_t bytes = plan_space_bytes(&c->plan, 0, (enum dr_space)s, (int)c->plan.head->workers);
		c->bytes[s] = bytes;
		if (!bytes)
			continue;
		c->frame.base[s] = gpu_put(NULL, bytes);
		GOOD(cu.cuMemsetD8_v2(c->frame.base[s], 0, bytes));
		if (s <= DR_SPACE_STATE_OUTSIDE)
			card_random(c->frame.base[s], bytes);
	}
	for (uint32_t i = 0; i < c->plan.head->constants.n; i++) {
		const struct dr_constant *k = &c->plan.constants[i];
		GOOD(cu.cuMemcpyHtoD_v2(c->frame.base[DR_SPACE_TABLE] + k->offset, dr_blob + k->bytes.at, k->bytes.n));
	}
	c->frame.index = calloc((size_t)c->plan.n_groups + 1, sizeof *c->frame.index);
	c->frame.body_of = plan_bodies(&c->plan, 0);
	c->frame.stages = 1;
	c->frame.layers = (int32_t)c->plan.stages[0].layer_end;
	c->frame.pages[0] = (int32_t)c->plan.pools[0].pages;
	c->frame.candidates = 1;
}

/* ---- a step ---- */
static int min(int a, int b) { return a < b ? a : b; }

int card_tokens(const struct card *c, enum dr_phase phase) { return (int)c->plan.programs[phase].max_tokens; }

/* Element i of an input array. Page p of sequence s is page s * pages_per_seq + p of the pool. */
static int32_t input_element(const struct card *c, uint32_t what, int i)
{
	const struct dr_program *h = c->plan.head;
	int each = c->phase == DR_DECODE ? 1 : min(c->frame.tokens, c->context), seq = i / each;
	int pos = c->phase == DR_DECODE ? c->context - 1 : i % each, page = (int)h->page_size;
	switch (what) {
	case DR_INPUT_IDS:   return (int32_t)((uint32_t)i * 7919u % h->vocab);
	case DR_INPUT_POS:   return pos;
	case DR_INPUT_SEQ:   return seq;
	case DR_INPUT_SLOT:  return (seq * (int)h->pages_per_seq + pos / page) * page + pos % page;
	case DR_INPUT_WANT:  return (i + 1) * each <= c->frame.tokens ? (i + 1) * each - 1 : -1;
	case DR_INPUT_PAGES: return i;
	default:             return 0; /* DR_INPUT_SAMPLE: temperature 0 */
	}
}

static void write_input(const struct card *c, const struct dr_step_input *in)
{
	const struct dr_program *h = c->plan.head;
	if (in->what == DR_INPUT_ADJUST)
		return; /* no row changes its logits */
	int n = in->what == DR_INPUT_PAGES    ? (int)(h->seqs * h->pages_per_seq)
	        : in->what == DR_INPUT_WANT   ? c->frame.rows
	        : in->what == DR_INPUT_SAMPLE ? c->frame.rows * (int)(sizeof(struct dr_sampling) / sizeof(int32_t))
	                                      : c->frame.tokens;
	int32_t *words = calloc((size_t)n, sizeof *words);
	for (int i = 0; i < n; i++)
		words[i] = input_element(c, in->what, i);
	GOOD(cu.cuMemcpyHtoD_v2(c->frame.base[DR_SPACE_INPUT] + in->offset, words, (size_t)n * sizeof *words));
	free(words);
}

void card_step(struct card *c, enum dr_phase phase, int tokens)
{
	const struct dr_program *h = c->plan.head;
	const struct dr_step_input *in = plan_array(&c->plan, struct dr_step_input, h->inputs);
	c->phase = phase;
	c->context = min((int)(h->pages_per_seq * h->page_size), 2048);
	c->frame.tokens = tokens;
	c->frame.rows = min(tokens, (int)c->plan.programs[phase].max_rows);
	for (uint32_t i = 0; i < h->inputs.n; i++)
		write_input(c, &in[i]);
	c->launches = 0;
	dr_step_table[phase](&c->frame);
}

void card_queue(const struct card *c, const struct card_launch *l)
{
	void *params[CARD_ARGS];
	const struct dr_entry *e = l->entry;
	for (int i = 0; i < l->n_args; i++)
		params[i] = (void *)(uintptr_t)&l->args[i];
	do
		GOOD(cu.cuLaunchKernel(c->function[e - dr_image.entries], entry_blocks(e, l->args, l->small), 1, 1, e->threads,
		                       1, 1, e->shared, c->stream, params, NULL));
	while (e++->then);
}

/* ---- what generated code calls ---- */
void dr_launch(struct dr_frame *f, int32_t kernel, int32_t op, const uint64_t *args, int32_t n_args)
{
	struct card *c = (struct card *)f;
	uint64_t elements = c->plan.kernels ? c->plan.kernels[kernel].elements : 0, most = c->plan.head->worker_elements;
	struct card_launch *l = &c->launch[c->launches];
	if (n_args > CARD_ARGS || ++c->launches == CARD_LAUNCHES)
		refuse("a step has more launches, or a launch more arguments, than expected");
	*l = (struct card_launch){.kernel = kernel, .op = op, .n_args = n_args};
	memcpy(l->args, args, (size_t)n_args * sizeof *args);
	l->entry = entry_for(&dr_image, kernel, c->phase, args);
	l->small = elements && elements <= most && elements * (uint64_t)f->tokens <= most;
	if (!l->entry)
		refuse("a kernel has no entry for this launch");
}

void dr_collective(struct dr_frame *f, int32_t collective, int32_t op, uint64_t src, uint64_t dst, int64_t outer,
                   int64_t block, int64_t dst_block)
{
	(void)f, (void)collective, (void)op, (void)src, (void)dst, (void)outer, (void)block, (void)dst_block;
	refuse("one rank has no collectives");
}

int32_t dr_rounds(struct dr_frame *f, int32_t group, int32_t op, uint64_t start, int32_t dests, int32_t local,
                  int64_t capacity)
{
	(void)f, (void)group, (void)op, (void)start, (void)dests, (void)local, (void)capacity;
	return 1;
}
