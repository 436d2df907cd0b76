/* What the tuned kernels of a GPU do to its memory, by the counters of the emulated GPU: the only evidence of speed
 * where no GPU is. Without TEST_TARGET=cuda, nothing is tested here. */
#include <dlfcn.h>
#include "../gpu/counters.h"
#include "cg_cases.h"

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
enum { N = 256, K = 1024 };
struct contract_case {
	int64_t m;
	struct bound bound;
};

/* Rows of x, spread over `groups` groups unless that is 0, times weights of other formats. */
static void contract_cases(enum dtype x, enum dtype w, int groups, const struct contract_case *cases, size_t n)
{
	struct kernel k = contract_case(x, w, N, K, groups);
	void *weights = random_array(w, (int64_t)N * K * (groups ? groups : 1));
	int32_t *offsets = index_array(groups + 1);
	for (size_t i = 0; i < n; i++) {
		int64_t m = cases[i].m;
		void *rows = random_array(x, m * K), *y = random_array(x, m * N);
		share_evenly(offsets, groups, m);
		uint64_t args[] = {address(rows), address(weights), address(y), (uint64_t)m, address(offsets)};
		run_bounded(&k, args, 0, &cases[i].bound, 1);
	}
}

static void contract(void **state)
{
	(void)state;
	static const struct contract_case cases[] = {
		{16, {"_few", 101, 101, 12}}, {64, {"_some", 105, 100, 16}}, {128, {"", 106, 100, 8}}};
	contract_cases(DTYPE_BF16, DTYPE_BF16, 0, cases, 3);
}

static void grouped(void **state)
{
	(void)state;
	static const struct contract_case cases[] = {
		{32, {"_few", 101, 101, 12}}, {128, {"_some", 110, 100, 16}}, {512, {"", 110, 100, 8}}};
	contract_cases(DTYPE_BF16, DTYPE_BF16, 4, cases, 3);
}

/* By multiply-adds: weights in f32, and in a format that only stores. A thread's 8 neighbours of k are two requests,
 * which touch the same sectors. */
static void multiply_adds(void **state)
{
	(void)state;
	static const struct contract_case f32[] = {{16, {"_few", 200, 100, 16}}, {64, {"", 200, 100, 16}}};
	static const struct contract_case stored[] = {{16, {"_few", 170, 100, 16}}, {64, {"", 170, 100, 16}}};
	contract_cases(DTYPE_F32, DTYPE_F32, 0, f32, 2);
	contract_cases(DTYPE_F32, DTYPE_F32, 4, f32, 1);
	contract_cases(DTYPE_BF16, DTYPE_FP8E4M3, 0, stored, 2);
}

/* ---- attend ---------------------------------------------------------------------------------- */
static void attend(void **state)
{
	(void)state;
	uint64_t args[ATTEND_ARGUMENTS];
	struct kernel k = attend_case(2, 4, 128, 64, args);
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

/* Rows to a cache, and to and from experts. */
static void rows_between(void **state)
{
	(void)state;
	enum { D = 512, M = 24, HEADS = 4, F = 128, PAGE = 16, TOP = 2, DESTS = 2, LOCAL = 2, C = 16, S = DESTS * C };
	void *x = random_array(DTYPE_BF16, S * D), *to = random_array(DTYPE_BF16, S * D);
	int32_t *from = index_array(S), *slots = index_array(M), *moving = index_array(1);
	for (int i = 0; i < S; i++)
		from[i] = (i * 5 + 3) % S;
	for (int i = 0; i < M; i++)
		slots[i] = (i * 5 + 3) % M;
	*moving = S;
	struct kernel k = {.family = KERNEL_APPEND, .append = {HEADS, F, PAGE, true, DTYPE_BF16, DTYPE_BF16}};
	run_bounded(&k, (uint64_t[]){address(x), address(slots), address(to), M}, 0, &(struct bound){"", 101, 100, 32}, 1);
	k = (struct kernel){.family = KERNEL_GATHER, .gather = {D, DTYPE_BF16}};
	uint64_t moved[] = {address(x), address(from), address(to), address(moving), S};
	run_bounded(&k, moved, 0, &(struct bound){"", 101, 100, 32}, 1);
	k.family = KERNEL_SCATTER;
	run_bounded(&k, moved, 0, &(struct bound){"", 101, 100, 32}, 1);

	/* assignment a, the choice a % TOP of token a / TOP, is in place a: an eighth of them for each expert */
	enum { A = M * TOP, EXPERTS = DESTS * LOCAL };
	int32_t *order = index_array(A), *start = index_array(EXPERTS + 1), *meta = index_array(S),
			*map = index_array(EXPERTS);
	int32_t *index = index_array(A);
	float *weight = random_array(DTYPE_F32, A), *out = random_array(DTYPE_F32, M * D);
	for (int a = 0; a < A; a++) {
		order[a] = a;
		index[a] = a * EXPERTS / A;
	}
	for (int e = 0; e < EXPERTS; e++) {
		map[e] = e;
		start[e + 1] = (e + 1) * A / EXPERTS;
	}
	k = (struct kernel){.family = KERNEL_PACK, .pack = {D, TOP, DESTS, LOCAL, DTYPE_BF16}};
	run_bounded(&k, (uint64_t[]){address(x), address(order), address(start), address(to), address(meta), 0, C}, 0,
	            &(struct bound){"", 101, 100, 32}, 1);
	k = (struct kernel){.family = KERNEL_COMBINE, .combine = {D, TOP, DESTS, LOCAL, DTYPE_BF16}};
	uint64_t combined[] = {address(to),
	                       address(index),
	                       address(weight),
	                       address(map),
	                       address(order),
	                       address(start),
	                       address(out),
	                       M,
	                       0,
	                       C};
	/* out is f32, so that a thread's 8 neighbours are two requests */
	run_bounded(&k, combined, 0, &(struct bound){"", 185, 100, 32}, 1);
}

/* ---- sampling -------------------------------------------------------------------------------- */
static void candidates(void **state)
{
	(void)state;
	enum { V = 4096, R = 4, EACH = 1 + DR_CANDIDATES };
	struct kernel k = {.family = KERNEL_CANDIDATES, .sample = {V, 1, V}};
	float *logits = random_array(DTYPE_F32, R * V);
	struct dr_sampling *how = guarded(R * sizeof *how);
	void *pairs = guarded(R * EACH * 8);
	for (int chosen = 0; chosen < 2; chosen++) {
		for (int r = 0; r < R; r++)
			how[r] = (struct dr_sampling){.temperature = chosen ? 0.8f : 0, .top_p = 1, .top_k = chosen ? 20 : 0};
		uint64_t args[] = {
			address(logits), address(how), 0, 0, 0, address(pairs), R, (uint64_t)(chosen ? R * EACH : R), 0};
		run_bounded(&k, args, 0, &(struct bound){"", 110, 101, 20}, 1);
	}
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
		cmocka_unit_test(rows),          cmocka_unit_test(contract),   cmocka_unit_test(grouped),
		cmocka_unit_test(multiply_adds), cmocka_unit_test(attend),     cmocka_unit_test(moves),
		cmocka_unit_test(rows_between),  cmocka_unit_test(candidates),
	};
	return jit_run(tests);
}
