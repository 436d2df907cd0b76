/* What the tuned kernels of a GPU do to its memory, by the counters of the emulated GPU: the only evidence of speed
 * where no GPU is. Without TEST_TARGET=cuda, nothing is tested here. */
#include <dlfcn.h>
#include "../gpu/counters.h"
#include "cg_jit.h"

static void (*count)(bool on);
static bool (*counters)(const char *kernel, struct emu_counters *to);

/* Bounds for one entry; in percent of the fewest possible. */
struct bound {
	const char *suffix;           /* of the entry's name */
	unsigned sectors, wavefronts; /* of global and of shared memory */
	unsigned resident_warps;      /* at least so many on a multiprocessor */
};
static const struct bound *bounds;
static int n_bounds, checked;

static void check_entry(const struct dr_entry *e)
{
	struct emu_counters c;
	const char *suffix = strrchr(e->name, '_');
	assert_true(counters(e->name, &c));
	for (int i = 0; i < n_bounds; i++) {
		const struct bound *b = &bounds[i];
		if (strcmp(b->suffix, suffix && !(suffix[1] >= '0' && suffix[1] <= '9') ? suffix : "") != 0)
			continue;
		uint64_t fewest = c.wavefronts - c.bank_conflicts;
		checked++;
		if (getenv("SHOW_COUNTERS"))
			printf("%s: %llu%% of %llu sectors, %llu%% of %llu wavefronts, %llu warps\n", e->name,
			       (unsigned long long)(100 * c.sectors / (c.ideal_sectors ? c.ideal_sectors : 1)),
			       (unsigned long long)c.ideal_sectors,
			       (unsigned long long)(100 * c.wavefronts / (fewest ? fewest : 1)), (unsigned long long)fewest,
			       (unsigned long long)c.resident_warps);
		assert_true(100 * c.sectors <= b->sectors * c.ideal_sectors);
		assert_true(100 * c.wavefronts <= b->wavefronts * fewest);
		assert_true(c.resident_warps >= b->resident_warps);
		assert_int_equal(c.local_requests, 0);
	}
}

static void run_bounded(struct kernel *k, const uint64_t *args, int phase, const struct bound *b, int n)
{
	bounds = b;
	n_bounds = n;
	checked = 0;
	gpu.phase = phase;
	gpu.launched = check_entry;
	count(true);
	snprintf(k->name, sizeof k->name, "%s_%d", kernel_family_name(k->family), jit.compiled++);
	gpu_run(k, args);
	count(false);
	gpu.launched = NULL;
	assert_int_equal(checked, n);
}

/* ---- rows ------------------------------------------------------------------------------------ */
static void rows(void **state)
{
	(void)state;
	enum { M = 6, D = 4096 };
	struct kernel k = {.family = KERNEL_ROWS};
	struct kernel_rows *r = &k.rows;
	*r = (struct kernel_rows){.dims = 1, .extent = {D}, .n_inputs = 2, .n_outputs = 1, .n_nodes = 6, .result = {5}};
	r->input[0] = r->output[0] = (struct rows_operand){.dtype = DTYPE_BF16, .row_stride = D, .stride = {1}};
	r->input[1] = (struct rows_operand){.dtype = DTYPE_BF16, .stride = {1}};
	r->node[0] = (struct rows_node){.op = ROWS_LOAD};
	r->node[1] = (struct rows_node){.op = ROWS_LOAD, .a = 1};
	r->node[2] = (struct rows_node){.op = ROWS_MUL};
	r->node[3] = (struct rows_node){.op = ROWS_MEAN, .a = 2};
	r->node[4] = (struct rows_node){.op = ROWS_MUL, .a = 0, .b = 3};
	r->node[5] = (struct rows_node){.op = ROWS_MUL, .a = 4, .b = 1};
	void *x = random_array(DTYPE_BF16, M * D), *w = random_array(DTYPE_BF16, D), *y = random_array(DTYPE_BF16, M * D);
	run_bounded(&k, (uint64_t[]){address(x), address(w), address(y), M}, 0, &(struct bound){"", 100, 100, 24}, 1);
}

/* ---- contract -------------------------------------------------------------------------------- */
static void contract(void **state)
{
	(void)state;
	enum { N = 256, K = 1024 };
	const struct target target = target_gpu();
	struct kernel k = {.family = KERNEL_CONTRACT};
	k.contract = (struct kernel_contract){.n = N,
	                                      .k = K,
	                                      .x_stride = K,
	                                      .y_stride = N,
	                                      .batch = 1,
	                                      .x = DTYPE_BF16,
	                                      .w = DTYPE_BF16,
	                                      .y = DTYPE_BF16,
	                                      .pack = target_packing(&target, DTYPE_BF16, DTYPE_BF16)};
	static const struct {
		int64_t m;
		struct bound bound;
	} cases[] = {{16, {"_few", 101, 101, 8}}, {64, {"_some", 105, 100, 8}}, {128, {"", 115, 100, 8}}};
	void *w = random_array(DTYPE_BF16, (int64_t)N * K);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t m = cases[i].m;
		void *x = random_array(DTYPE_BF16, m * K), *y = random_array(DTYPE_BF16, m * N);
		run_bounded(&k, (uint64_t[]){address(x), address(w), address(y), (uint64_t)m}, 0, &cases[i].bound, 1);
	}
}

/* ---- attend ---------------------------------------------------------------------------------- */
static void attend(void **state)
{
	(void)state;
	enum { HEADS = 2, GROUP = 4, D = 128, PAGE = 16, PAGES = 8, M = 64, ROW = HEADS * GROUP * D };
	struct kernel k = {.family = KERNEL_ATTEND};
	k.attend = (struct kernel_attend){.heads = HEADS,
	                                  .group = GROUP,
	                                  .d = D,
	                                  .w = D,
	                                  .keys_by_position = true,
	                                  .d_cached = D,
	                                  .w_cached = D,
	                                  .q_row = ROW,
	                                  .q_head = GROUP * D,
	                                  .q_group = D,
	                                  .y_row = ROW,
	                                  .y_head = GROUP * D,
	                                  .y_group = D,
	                                  .page = PAGE,
	                                  .pages_per_seq = PAGES,
	                                  .scale = 0.1,
	                                  .causal = true,
	                                  .on_matrix = true,
	                                  .q = DTYPE_BF16,
	                                  .kv = DTYPE_BF16,
	                                  .y = DTYPE_BF16,
	                                  .sink = DTYPE_F64};
	const int64_t cached = (int64_t)PAGES * HEADS * PAGE * D;
	void *q = random_array(DTYPE_BF16, M * ROW), *y = random_array(DTYPE_BF16, M * ROW);
	void *keys = random_array(DTYPE_BF16, cached), *values = random_array(DTYPE_BF16, cached);
	int32_t *seq = index_array(M), *pos = index_array(M), *pages = index_array(PAGES);
	for (int i = 0; i < M; i++)
		pos[i] = PAGE * PAGES - M + i;
	for (int i = 0; i < PAGES; i++)
		pages[i] = (i * 3 + 1) % PAGES;
	uint64_t args[ATTEND_ARGUMENTS] = {address(q),    address(keys),  address(values), address(seq),
	                                   address(pos),  address(pages), address(y),      M,
	                                   workspaces(&k)};
	run_bounded(&k, args, DR_PREFILL, &(struct bound){"", 110, 100, 8}, 1);
	args[ATTEND_M] = 4;
	run_bounded(&k, args, DR_DECODE, (struct bound[]){{"_decode", 140, 140, 8}, {"_join", 140, 100, 16}}, 2);
}

/* ---- moves ----------------------------------------------------------------------------------- */
static void moves(void **state)
{
	(void)state;
	enum { V = 256, D = 512, M = 12 };
	const struct target target = target_gpu();
	struct kernel k = {.family = KERNEL_EMBED};
	k.embed = (struct kernel_embed){V, D, DTYPE_BF16, DTYPE_BF16, target_packing(&target, DTYPE_BF16, DTYPE_BF16)};
	void *table = random_array(DTYPE_BF16, (int64_t)V * D), *out = random_array(DTYPE_BF16, M * D);
	int32_t *ids = index_array(M);
	for (int i = 0; i < M; i++)
		ids[i] = i * 21;
	run_bounded(&k, (uint64_t[]){address(table), address(ids), address(out), M, 0}, 0,
	            &(struct bound){"", 101, 100, 32}, 1);
	k = (struct kernel){.family = KERNEL_ROTATE, .rotate = {4, 128, false, DTYPE_BF16, DTYPE_BF16, 512, 128, 512, 128}};
	void *angles = random_array(DTYPE_F32, M * 128);
	run_bounded(&k, (uint64_t[]){address(out), address(angles), address(table), M}, 0,
	            &(struct bound){"", 125, 100, 24}, 1);
}

int main(int argc, char **argv)
{
	const char *target = getenv("TEST_TARGET");
	if (!target || strcmp(target, "cuda") != 0)
		return 0;
	jit_open(argc, argv);
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
	*(void **)(void *)&count = dlsym(library, "emu_count");
	*(void **)(void *)&counters = dlsym(library, "emu_counters");
	if (!count || !counters)
		return 0; /* a GPU counts in other ways */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows),
		cmocka_unit_test(contract),
		cmocka_unit_test(attend),
		cmocka_unit_test(moves),
	};
	return jit_run(tests);
}
