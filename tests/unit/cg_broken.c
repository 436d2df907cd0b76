/* Kernels that are generated for a GPU, with one synchronisation left out, or a weaker one, in their PTX. The emulated
 * GPU must notice each with every seed, by a race, a fault or other results: else it would not notice a generator that
 * forgot it. Barriers of a warp stay: races within one are not looked for. Without TEST_TARGET=cuda, nothing is tested
 * here. */
#include <unistd.h>
#include "cg_cases.h"

enum { SEEDS = 4, RIGHT = 0, WRONG = 30, BROKEN_TEST, MAX_BYTES = 1 << 20 };

/* What the kernel as it is makes, from the process that ran it first. */
static struct result {
	bool known;
	char bytes[MAX_BYTES];
} *want;

/* ---- places in a text ------------------------------------------------------------------------ */
static const struct change {
	const char *name, *from, *to; /* in a line that begins so */
} changes[] = {
	{"no barrier", "bar.sync", NULL},
	{"a copy that is not waited for", "cp.async.wait_group", NULL},
	{"a weaker wait for copies", "cp.async.wait_group \t", "cp.async.wait_group \t1"}, /* N becomes 1N */
	{"copies that are in no group", "cp.async.commit_group", NULL},
};
enum { CHANGES = sizeof changes / sizeof *changes };

/* The n-th place of a change in a function, or NULL. */
static const char *find_place(const char *text, const char *function, const struct change *c, int n)
{
	char entry[160];
	snprintf(entry, sizeof entry, ".entry %s(", function);
	const char *at = strstr(text, entry);
	assert_non_null(at);
	const char *end = strstr(at, "\n}");
	while ((at = strstr(at, c->from)) && at < end && n-- > 0)
		at++;
	return at && at < end ? at : NULL;
}

static char *changed_text(const char *text, const char *at, const struct change *c)
{
	size_t before = (size_t)(at - text);
	const char *rest = c->to ? at + strlen(c->from) : strchr(at, ';') + 1;
	char *made = malloc(strlen(text) + 16);
	sprintf(made, "%.*s%s%s", (int)before, text, c->to ? c->to : "", rest);
	return made;
}

/* ---- runs, in processes of their own --------------------------------------------------------- */
struct run {
	struct gpu_loaded *planned;
	const char *text;
	const uint64_t *args;
	void *out;
	size_t bytes;
	int seed;
};

static int run(const void *argument)
{
	const struct run *r = argument;
	if (!freopen("/dev/null", "w", stderr))
		return BROKEN_TEST;
	gpu_set("EMU_SEED", r->seed);
	gpu_set("EMU_RACE", 1);
	gpu_set("EMU_SPIN_MS", 50);
	gpu_open();
	if (cu.cuModuleLoadData(&r->planned->module, r->text))
		return BROKEN_TEST;
	gpu_run_loaded(r->planned, r->args);
	if (!want->known)
		memcpy(want->bytes, r->out, r->bytes);
	want->known = true;
	return memcmp(want->bytes, r->out, r->bytes) ? WRONG : RIGHT;
}

static int count_noticed(struct run r)
{
	int noticed = 0;
	for (r.seed = 1; r.seed <= SEEDS; r.seed++) {
		int got = gpu_in_child(run, &r);
		assert_int_not_equal(got, BROKEN_TEST);
		noticed += got != RIGHT;
	}
	return noticed;
}

static int noticed_places, needless_places, wrong_places;

static void check_function(const struct run *r, const char *function)
{
	for (int i = 0; i < CHANGES; i++) {
		const char *at;
		for (int n = 0; (at = find_place(r->text, function, &changes[i], n)); n++) {
			struct run broken = *r;
			char *text = changed_text(r->text, at, &changes[i]);
			broken.text = text;
			int noticed = count_noticed(broken);
			if (noticed != SEEDS)
				print_message("%s, %s (%d): noticed with %d of %d seeds\n", function, changes[i].name, n, noticed,
				              SEEDS);
			noticed_places += noticed == SEEDS;
			needless_places += noticed == 0;
			wrong_places += noticed != 0 && noticed != SEEDS;
			free(text);
		}
	}
}

/* args[out] is what the kernel makes. In the functions that are launched, at least `expected` places are noticed, and
 * at most `needless` ones are not: another place does what they are for, or the arguments do not need them. */
static void check_kernel(struct kernel *k, const uint64_t *args, int phase, int out, size_t bytes, int expected,
                         int needless)
{
	int64_t align[MAX_OPERANDS];
	snprintf(k->name, sizeof k->name, "%s_%d", kernel_family_name(k->family), jit.compiled++);
	gpu.phase = phase;
	gpu_alignment(k, args, align);
	struct gpu_loaded l = gpu_plan(k, align);
	l.planned.kernel = &l.kernel;
	for (int i = 0; i < l.planned.entries; i++)
		l.planned.entry[i].most = 1; /* a block does all in turn, so that what ends a turn matters */
	LLVMMemoryBufferRef ptx = gpu_kernel_ptx(&l.planned, 2);
	struct run r = {&l, LLVMGetBufferStart(ptx), args, (void *)(uintptr_t)args[out], bytes, 0};
	assert_true(bytes <= MAX_BYTES);
	want->known = false;
	assert_int_equal(count_noticed(r), 0);
	noticed_places = needless_places = wrong_places = 0;
	const struct dr_entry *e = gpu_entry_for(&l, args);
	check_function(&r, e->name);
	for (; e->then; e++)
		check_function(&r, (e + 1)->name);
	LLVMDisposeMemoryBuffer(ptx);
	arena_free(&l.arena);
	print_message("%s: %d noticed, %d needless, %d noticed with some seeds\n", k->name, noticed_places, needless_places,
	              wrong_places);
	assert_int_equal(wrong_places, 0);
	assert_true(noticed_places >= expected);
	assert_true(needless_places <= needless);
}

/* ---- kernels --------------------------------------------------------------------------------- */
/* Two sums of a row, one after the other: x / mean(x x), and what that makes likewise. */
static void rows(void **state)
{
	(void)state;
	enum { M = 2, D = 2048 };
	struct kernel k = {.family = KERNEL_ROWS};
	k.rows = (struct kernel_rows){.dims = 1, .extent = {D}, .n_inputs = 1, .n_outputs = 1, .n_nodes = 7, .result = {6}};
	k.rows.input[0] = k.rows.output[0] = (struct rows_operand){.dtype = DTYPE_BF16, .row_stride = D, .stride = {1}};
	k.rows.node[0] = (struct rows_node){.op = ROWS_LOAD};
	for (int i = 0; i < 2; i++) {
		k.rows.node[3 * i + 1] = (struct rows_node){.op = ROWS_MUL, .a = 3 * i, .b = 3 * i};
		k.rows.node[3 * i + 2] = (struct rows_node){.op = ROWS_MEAN, .a = 3 * i + 1};
		k.rows.node[3 * i + 3] = (struct rows_node){.op = ROWS_MUL, .a = 3 * i, .b = 3 * i + 2};
	}
	void *x = random_array(DTYPE_BF16, M * D), *y = random_array(DTYPE_BF16, M * D);
	check_kernel(&k, (uint64_t[]){address(x), address(y), M}, 0, 1, M * D * 2, 4, 0);
}

static void contract_of(enum dtype type, int64_t m, int64_t groups, int expected, int needless)
{
	enum { N = 160, K = 320, WEIGHT = 256 * 384 };
	struct kernel k = contract_case(type, type, N, K, groups);
	void *x = random_array(type, m * K), *w = random_array(type, (groups ? groups : 1) * WEIGHT);
	void *y = random_array(type, m * N);
	int32_t *offsets = index_array(groups + 1);
	share_evenly(offsets, groups, m);
	uint64_t args[] = {address(x), address(w), address(y), (uint64_t)m, address(offsets)};
	check_kernel(&k, args, 0, 2, (size_t)(m * N * dtype_bytes(type)), expected, needless);
}

static void contract(void **state)
{
	(void)state;
	contract_of(DTYPE_BF16, 8, 0, 2, 0);
	/* The last wait is for copies that are in no tile: empty groups. */
	contract_of(DTYPE_BF16, 40, 0, 6, 1);
	contract_of(DTYPE_BF16, 80, 0, 6, 1);
	contract_of(DTYPE_BF16, 200, 2, 6, 1);
	/* A tile's last step ends with a barrier, and so does the tile. */
	contract_of(DTYPE_F32, 8, 0, 2, 1);
	contract_of(DTYPE_F32, 70, 0, 2, 1);
}

static void attend(void **state)
{
	(void)state;
	enum { HEADS = 1, GROUP = 2, D = 64, M = 2 };
	uint64_t args[ATTEND_ARGUMENTS];
	struct kernel k = attend_case(HEADS, GROUP, D, M, args);
	check_kernel(&k, args, DR_DECODE, ATTEND_Y, M * HEADS * GROUP * D * 2, 2, 0);
}

/* Rows with all ways to choose, of which one has ties everywhere; records of log-probabilities; changed logits. Some
 * parts end with a barrier that begins the next one. */
static void candidates(void **state)
{
	(void)state;
	enum { ROWS = 5, TIES = 3, V = 1500, EACH = 1 + DR_CANDIDATES, TOTAL = ROWS * EACH, PAIR = 8 };
	struct kernel k = {.family = KERNEL_CANDIDATES, .sample = {V, 1, V}};
	struct dr_sampling how[ROWS] = {{.top_p = 1, .logprobs = 1, .adjusts = 2},
	                                {.temperature = 1, .top_p = 1},
	                                {.temperature = 1, .top_p = 1, .top_k = 40, .logprobs = 1},
	                                {.temperature = 1, .top_p = 0.5f, .logprobs = 1},
	                                {.temperature = 1, .top_p = 0.5f, .logprobs = 1}};
	struct dr_adjust changed[] = {{3, 1, 1, 0}, {700, 5, 1, 0}};
	float *logits = random_array(DTYPE_F32, ROWS * V);
	for (int i = 0; i < V; i++)
		logits[TIES * V + i] = 1;
	void *settings = guarded_copy(how, sizeof how), *records = guarded(ROWS * sizeof(struct dr_logprobs));
	void *pairs = guarded(TOTAL * PAIR), *entries = guarded_copy(changed, sizeof changed), *saved = guarded(64);
	uint64_t args[] = {address(logits),
	                   address(settings),
	                   address(entries),
	                   address(saved),
	                   address(records),
	                   address(pairs),
	                   ROWS,
	                   TOTAL,
	                   0};
	check_kernel(&k, args, 0, 5, TOTAL * PAIR, 20, 5);
}

int main(int argc, char **argv)
{
	const char *target = getenv("TEST_TARGET");
	if (!target || strcmp(target, "cuda") != 0)
		return 0;
	(void)argc, (void)argv;
	gpu_load_library();
	if (!gpu_is_emulated())
		return 0; /* a GPU notices none of them for sure */
	srand(1);
	want = mmap(NULL, sizeof *want, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(want != MAP_FAILED);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows),
		cmocka_unit_test(contract),
		cmocka_unit_test(attend),
		cmocka_unit_test(candidates),
	};
	return jit_run(tests);
}
