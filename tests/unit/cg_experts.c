/* Generated kernels of experts and tokens, compared with plain loops. Their IR has the same shape for all sizes. */
#include "cg_jit.h"

static const enum dtype formats[] = {DTYPE_F32, DTYPE_BF16};

/* ---- route ----------------------------------------------------------------------------------- */
/* Keys of routing: score + bias for the experts it may choose from, -infinity for the others. */
static void route_keys(const struct kernel_route *k, const float *score, const float *bias, float *key)
{
	int groups = k->groups > 1 ? (int)k->groups : 1, size = (int)k->experts / groups;
	double of_group[64];
	for (int e = 0; e < k->experts; e++)
		key[e] = score[e] + (k->biased ? bias[e] : 0);
	for (int group = 0; group < groups; group++) {
		float best = -INFINITY, second = -INFINITY;
		for (int e = group * size; e < (group + 1) * size; e++) {
			second = fmaxf(second, fminf(best, key[e]));
			best = fmaxf(best, key[e]);
		}
		of_group[group] = size > 1 && !k->by_best ? best + second : best;
	}
	for (int group = 0; group < groups && groups > 1; group++) {
		int before = 0;
		for (int o = 0; o < groups; o++)
			before += of_group[o] > of_group[group] || (of_group[o] == of_group[group] && o < group);
		for (int e = group * size; e < (group + 1) * size && before >= k->top_groups; e++)
			key[e] = -INFINITY;
	}
}

static void route_on(const struct processor *p, int experts, int top, bool renormalize, bool biased, int groups,
                     int top_groups, bool by_best)
{
	enum { M = 9 };
	struct kernel k = {.family = KERNEL_ROUTE,
	                   .route = {experts, top, renormalize, 2.5, biased, groups, top_groups, by_best}};
	float *bias = random_array(DTYPE_F32, experts), key[256];
	for (int i = 0; i < experts; i++)
		bias[i] = (float)random_below(5);
	float *score = random_array(DTYPE_F32, M * experts), *weight = random_array(DTYPE_F32, M * top);
	int32_t *seq = index_array(M), *index = index_array(M * top);
	for (int i = 0; i < M * experts; i++)
		score[i] = (float)(1 + random_below(7)); /* many ties */
	seq[4] = -1;
	uint64_t args[] = {address(score), address(seq), address(index), address(weight), M, workspaces(&k), address(bias)};
	run_twice(&k, p, args, 3, (size_t)(M * top * 4));
	for (int t = 0; t < M; t++) {
		int n = 0;
		float sum = 0;
		route_keys(&k.route, score + t * experts, bias, key);
		for (int e = 0; e < experts && t != 4; e++) {
			int before = 0;
			for (int o = 0; o < experts; o++)
				before += key[o] > key[e] || (key[o] == key[e] && o < e);
			if (before >= top)
				continue;
			assert_int_equal(index[t * top + n++], e);
			sum += score[t * experts + e];
		}
		assert_int_equal(n, t == 4 ? 0 : top);
		for (int i = 0; i < top; i++) {
			if (t == 4)
				assert_true(index[t * top + i] == -1 && weight[t * top + i] == 0);
			else
				assert_near(weight[t * top + i],
				            score[t * experts + index[t * top + i]] / (renormalize ? sum : 1) * 2.5, 1e-6, 0);
		}
	}
}

static void routes_on(const struct processor *p)
{
	route_on(p, 8, 2, true, false, 0, 0, false);
	route_on(p, 37, 5, false, false, 1, 1, false);
	route_on(p, 3, 3, true, false, 0, 0, false);
	route_on(p, 37, 5, true, true, 1, 1, false);
	route_on(p, 32, 4, true, true, 4, 2, false);
	route_on(p, 60, 8, false, false, 20, 3, false);
	route_on(p, 12, 3, true, true, 12, 4, false);
	route_on(p, 32, 4, false, false, 4, 2, true);
	route_on(p, 60, 8, true, true, 20, 3, true);
}

static void test_route(void **state)
{
	(void)state;
	for_processors(routes_on);
}

/* ---- from assignments to rows and back ------------------------------------------------------------------------------
 * What the kernels of an exchange do to each other's results, round by round: every assignment reaches its expert once,
 * and the combination is the weighted sum over them. */
enum { TOKENS = 23, TOP = 3, EXPERTS = 10, DESTS = 3, LOCAL = 3, CAPACITY = 5, D = 20 };
struct exchange {
	int32_t index[TOKENS * TOP], map[EXPERTS], order[TOKENS * TOP], place[TOKENS * TOP], start[DESTS * LOCAL + 1];
	float weight[TOKENS * TOP], out[TOKENS * D];
};

static void random_choices(struct exchange *x)
{
	for (int e = 0; e < EXPERTS; e++)
		x->map[e] = e == 4 ? -1 : (e * 5 + 2) % (DESTS * LOCAL);
	x->map[9] = -1;
	for (int t = 0; t < TOKENS; t++)
		for (int i = 0, e = 0; i < TOP; i++, e++) {
			e += (int)random_below(EXPERTS - e - (TOP - 1 - i));
			x->index[t * TOP + i] = t == 7 ? -1 : e;
			x->weight[t * TOP + i] = random_float();
		}
}

static int key_of(const struct exchange *x, int a) { return x->index[a] < 0 ? -1 : x->map[x->index[a]]; }

static void check_assign(const struct exchange *x)
{
	int j = 0;
	for (int key = 0; key < DESTS * LOCAL; key++) {
		assert_int_equal(x->start[key], j);
		for (int a = 0; a < TOKENS * TOP; a++) {
			if (key_of(x, a) != key)
				continue;
			assert_int_equal(x->order[j], a);
			assert_int_equal(x->place[a], j++);
		}
	}
	assert_int_equal(x->start[DESTS * LOCAL], j);
	for (int a = 0; a < TOKENS * TOP; a++)
		if (key_of(x, a) < 0)
			assert_int_equal(x->place[a], -1);
}

/* One round's rows to all destinations; row dest * CAPACITY + i is for local expert meta[..], or unused. */
static void check_pack(const struct exchange *x, enum dtype t, const void *tokens, const void *rows,
                       const int32_t *meta, int round)
{
	for (int r = 0; r < DESTS * CAPACITY; r++) {
		int dest = r / CAPACITY, j = x->start[dest * LOCAL] + round * CAPACITY + r % CAPACITY;
		if (j >= x->start[(dest + 1) * LOCAL]) {
			assert_int_equal(meta[r], -1);
			continue;
		}
		int a = x->order[j];
		assert_int_equal(meta[r], key_of(x, a) - dest * LOCAL);
		for (int i = 0; i < D; i++)
			assert_true(get(t, rows, r * D + i) == get(t, tokens, a / TOP * D + i));
	}
}

/* Sort, gather and scatter return every used row to its original place. */
static void check_sort(const struct processor *p, enum dtype t, const void *rows, int32_t *meta)
{
	enum { S = DESTS * CAPACITY };
	struct kernel sort = {.family = KERNEL_SORT, .sort = {LOCAL}};
	struct kernel gather = {.family = KERNEL_GATHER, .gather = {D, t}},
				  scatter = {.family = KERNEL_SCATTER, .gather = {D, t}};
	int32_t *from = index_array(S), *offsets = index_array(LOCAL + 1);
	size_t bytes = (size_t)(S * D * dtype_bytes(t));
	void *sorted = guarded(bytes), *back = guarded(bytes);
	run_twice(&sort, p, (uint64_t[]){address(meta), address(from), address(offsets), S}, 1, S * 4);
	int j = 0;
	for (int l = 0; l < LOCAL; l++) {
		assert_int_equal(offsets[l], j);
		for (int r = 0; r < S; r++)
			if (meta[r] == l)
				assert_int_equal(from[j++], r);
	}
	assert_int_equal(offsets[LOCAL], j);
	uint64_t count = address(&offsets[LOCAL]);
	run_twice(&gather, p, (uint64_t[]){address(rows), address(from), address(sorted), count, S}, 2, bytes);
	run_twice(&scatter, p, (uint64_t[]){address(sorted), address(from), address(back), count, S}, 2, bytes);
	for (int r = 0; r < S * D; r++)
		assert_true(get(t, back, r) == (meta[r / D] < 0 ? 0 : get(t, rows, r)));
}

static void check_combined(const struct exchange *x, enum dtype t, const void *tokens)
{
	for (int token = 0; token < TOKENS; token++)
		for (int i = 0; i < D; i++) {
			double sum = 0;
			for (int a = token * TOP; a < (token + 1) * TOP; a++)
				if (key_of(x, a) >= 0)
					sum += (double)x->weight[a] * get(t, tokens, token * D + i);
			assert_near(x->out[token * D + i], sum, 1e-5, 1e-6);
		}
}

static void exchange_on(const struct processor *p, enum dtype t)
{
	struct exchange *x = guarded(sizeof *x);
	struct kernel assign = {.family = KERNEL_ASSIGN, .assign = {TOP, EXPERTS, DESTS * LOCAL}};
	struct kernel pack = {.family = KERNEL_PACK, .pack = {D, TOP, DESTS, LOCAL, t}};
	struct kernel combine = {.family = KERNEL_COMBINE, .combine = {D, TOP, DESTS, LOCAL, t}};
	void *tokens = random_array(t, TOKENS * D), *rows = random_array(t, DESTS * CAPACITY * D);
	int32_t *meta = index_array(DESTS * CAPACITY);
	random_choices(x);
	run_twice(&assign, p,
	          (uint64_t[]){address(x->index), address(x->map), address(x->order), address(x->place), address(x->start),
	                       TOKENS},
	          4, sizeof x->start);
	check_assign(x);
	for (uint64_t round = 0; round < 6; round++) {
		uint64_t packs[] = {address(x->order), address(x->start)};
		run_twice(&pack, p,
		          (uint64_t[]){address(tokens), packs[0], packs[1], address(rows), address(meta), round, CAPACITY}, 3,
		          (size_t)(DESTS * CAPACITY * D * dtype_bytes(t)));
		check_pack(x, t, tokens, rows, meta, (int)round);
		check_sort(p, t, rows, meta);
		run_twice(&combine, p,
		          (uint64_t[]){address(rows), address(x->index), address(x->weight), address(x->map), address(x->place),
		                       packs[1], address(x->out), TOKENS, round, CAPACITY},
		          6, sizeof x->out);
	}
	check_combined(x, t, tokens);
}

static void exchanges_on(const struct processor *p)
{
	for (int i = 0; i < 2; i++)
		exchange_on(p, formats[i]);
}

static void offsets_on(const struct processor *p)
{
	enum { N = 4, C = 10 };
	struct kernel k = {.family = KERNEL_OFFSETS, .offsets = {N}};
	const int32_t *start = guarded_copy((int32_t[]){0, 7, 7, 18, 24}, 5 * 4);
	int32_t want[3][N + 1] = {{0, 7, 7, 10, 10}, {0, 0, 0, 8, 10}, {0, 0, 0, 0, 4}};
	for (uint64_t round = 0; round < 3; round++) {
		int32_t *offsets = index_array(N + 1);
		run_twice(&k, p, (uint64_t[]){address(start), address(offsets), round, C}, 1, (N + 1) * 4);
		assert_memory_equal(offsets, want[round], sizeof want[round]);
	}
}

static void test_exchange(void **state)
{
	(void)state;
	for_processors(exchanges_on);
	for_processors(offsets_on);
}

/* ---- embed, pick ----------------------------------------------------------------------------- */
static void embed_on(const struct processor *p, enum dtype table, enum dtype out, int64_t N, struct packing pack)
{
	enum { V = 50, M = 6, FIRST = 100 };
	struct kernel k = {.family = KERNEL_EMBED, .embed = {V, N, table, out, pack}};
	const int32_t *ids = guarded_copy((int32_t[M]){100, 149, 99, 150, 120, -1}, M * 4);
	int64_t kp = pack.n_tile ? (N + pack.k_run - 1) / pack.k_run * pack.k_run : N,
			rows = pack.n_tile ? (V + pack.n_tile - 1) / pack.n_tile * pack.n_tile : V;
	void *in = random_array(table, rows * kp), *y = random_array(out, M * N);
	uint64_t args[] = {address(in), address(ids), address(y), M, FIRST};
	run_twice(&k, p, args, 2, (size_t)(M * N * dtype_bytes(out)));
	for (int i = 0; i < M * N; i++) {
		int64_t n = ids[i / N] - FIRST, j = i % N, at = n * N + j;
		if (pack.n_tile)
			at = n / pack.n_tile * (kp * pack.n_tile) + j / pack.k_run * (pack.n_tile * pack.k_run)
			     + n % pack.n_tile * pack.k_run
			     + (j % pack.k_run ^ (pack.swizzled ? n % SWIZZLE_PIECES * (pack.k_run / SWIZZLE_PIECES) : 0));
		float want = n < 0 || n >= V ? 0 : get(table, in, at);
		assert_true(get(out, y, i) == (out == DTYPE_F32 ? want : bf16_round(want)));
	}
}

static void embeds_on(const struct processor *p)
{
	for (int i = 0; i < 8; i++) {
		int64_t n = i < 4 ? 41 : 72;
		embed_on(p, formats[i & 1], formats[i >> 1 & 1], n, (struct packing){0, 0, false});
		embed_on(p, formats[i & 1], formats[i >> 1 & 1], n, (struct packing){16, 1, false});
		embed_on(p, formats[i & 1], formats[i >> 1 & 1], n, (struct packing){32, 2, false});
		if (!p->machine)
			embed_on(p, formats[i & 1], formats[i >> 1 & 1], n, target_packing(&p->target, formats[i & 1], DTYPE_F32));
	}
}

/* Rows from the middle of one group to that of the next. What is not a row keeps its bytes. */
static void tile_on(const struct processor *p, struct packing pack)
{
	enum { N = 150, GROUPS = 2, WORDS = 64, FIRST = 100, M = 120 };
	struct kernel k = {.family = KERNEL_TILE, .tile = {pack}};
	int64_t padded = (N + pack.n_tile - 1) / pack.n_tile * pack.n_tile, all = GROUPS * padded * WORDS;
	const int32_t *rows = random_array(DTYPE_F32, M * WORDS);
	int32_t *tiles = index_array(all), *want = memset(index_array(all), 0xab, (size_t)all * 4);
	memset(tiles, 0xab, (size_t)all * 4);
	for (int64_t i = 0; i < M * WORDS; i++) {
		int64_t row = FIRST + i / WORDS, n = row % N, word = i % WORDS, run = word / pack.k_run,
				piece = n % SWIZZLE_PIECES;
		int64_t at = row / N * padded * WORDS + n / pack.n_tile * pack.n_tile * WORDS + run * pack.n_tile * pack.k_run;
		want[at + n % pack.n_tile * pack.k_run + (word % pack.k_run ^ (pack.swizzled ? 4 * piece : 0))] = rows[i];
	}
	run_twice(&k, p, (uint64_t[]){address(rows), address(tiles), M, FIRST, N, WORDS}, 1, (size_t)all * 4);
	assert_memory_equal(tiles, want, (size_t)all * 4);
}

static void tiles_on(const struct processor *p)
{
	tile_on(p, (struct packing){128, 32, true});
	tile_on(p, (struct packing){16, 1, false});
}

static void pick_on(const struct processor *p, int64_t N)
{
	enum { MX = 5, R = 6, FIRST = 10 };
	struct kernel k = {.family = KERNEL_PICK, .pick = {N, DTYPE_BF16}};
	const int32_t *want = guarded_copy((int32_t[R]){10, 14, 15, 9, -1, 12}, R * 4);
	uint16_t *x = random_array(DTYPE_BF16, MX * N), *out = random_array(DTYPE_BF16, R * N);
	run_twice(&k, p, (uint64_t[]){address(x), address(want), address(out), MX, R, FIRST}, 2, (size_t)(R * N * 2));
	for (int i = 0; i < R * N; i++) {
		int row = want[i / N] - FIRST;
		assert_int_equal(out[i], want[i / N] < 0 || row < 0 || row >= MX ? 0 : x[row * N + i % N]);
	}
}

static void slice_on(const struct processor *p, int64_t N)
{
	enum { OWNERS = 3, STRIDE = 8, ROWS = 2, FIRST = 4 };
	struct kernel k = {.family = KERNEL_SLICE, .slice = {N, DTYPE_BF16}};
	uint16_t *x = random_array(DTYPE_BF16, OWNERS * STRIDE * N), *y = random_array(DTYPE_BF16, OWNERS * ROWS * N);
	run_twice(&k, p, (uint64_t[]){address(x), address(y), ROWS, OWNERS, STRIDE, FIRST}, 1,
	          (size_t)(OWNERS * ROWS * N * 2));
	for (int row = 0; row < OWNERS * ROWS; row++)
		for (int i = 0; i < N; i++)
			assert_int_equal(y[row * N + i], x[(row / ROWS * STRIDE + FIRST + row % ROWS) * N + i]);
}

static void moves_on(const struct processor *p)
{
	for (int64_t n = 19; n < 80; n += 45) { /* 19, and 64: whole pieces of 16 bytes */
		pick_on(p, n);
		slice_on(p, n);
	}
}

static void test_embed(void **state)
{
	(void)state;
	for_processors(embeds_on);
	for_processors(tiles_on);
	for_processors(moves_on);
}

/* ---- shape of the IR ------------------------------------------------------------------------- */
/* The shape of a kernel's IR: one line per function, one letter per instruction, one mark per block. */
static char *shape_of(const struct processor *p, struct kernel *k)
{
	struct codegen g;
	struct text t = {.arena = &(struct arena){0}};
	codegen_open(&g, "shape", p->machine, &p->target, &cpu_emitter);
	strcpy(k->name, "kernel");
	emit_kernel(&g, k);
	for (LLVMValueRef f = LLVMGetFirstFunction(g.module); f; f = LLVMGetNextFunction(f)) {
		size_t length;
		text_add(&t, "\n%s ", LLVMGetValueName2(f, &length));
		for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(f); b; b = LLVMGetNextBasicBlock(b)) {
			text_add(&t, " |");
			for (LLVMValueRef i = LLVMGetFirstInstruction(b); i; i = LLVMGetNextInstruction(i))
				text_add(&t, "%c", '0' + (char)LLVMGetInstructionOpcode(i));
		}
	}
	codegen_close(&g);
	char *copy = strdup(t.at);
	arena_free(t.arena);
	return copy;
}

static void same_shape(const struct processor *p, struct kernel a, struct kernel b)
{
	char *x = shape_of(p, &a), *y = shape_of(p, &b);
	assert_string_equal(x, y);
	free(x);
	free(y);
}

static struct kernel attend_of(int64_t heads, int64_t group, int64_t d, int64_t page)
{
	struct kernel k = {.family = KERNEL_ATTEND};
	k.attend = (struct kernel_attend){.heads = heads,
	                                  .group = group,
	                                  .d = d,
	                                  .w = d,
	                                  .d_cached = d,
	                                  .w_cached = d,
	                                  .q_row = heads * group * d,
	                                  .q_head = group * d,
	                                  .q_group = d,
	                                  .y_row = heads * group * d,
	                                  .y_head = group * d,
	                                  .y_group = d,
	                                  .page = page,
	                                  .pages_per_seq = 4,
	                                  .scale = 1,
	                                  .causal = true,
	                                  .q = DTYPE_BF16,
	                                  .kv = DTYPE_BF16,
	                                  .y = DTYPE_BF16};
	return k;
}

static struct kernel latent_of(int64_t group, int64_t d, int64_t w, int64_t page)
{
	struct kernel k = attend_of(1, group, d, page);
	k.attend.keys_by_position = true;
	k.attend.w = w;
	return k;
}

static struct kernel route_of(int64_t experts, int64_t top, int64_t groups, int64_t top_groups)
{
	return (struct kernel){.family = KERNEL_ROUTE, .route = {experts, top, true, 1.5, true, groups, top_groups, false}};
}

static struct kernel sample_of(int family, int64_t v, int64_t n)
{
	return (struct kernel){.family = (enum kernel_family)family, .sample = {v, n, v * n}};
}

static struct kernel contract_of(const struct processor *p, int64_t n, int64_t k)
{
	struct kernel c = {.family = KERNEL_CONTRACT};
	c.contract = (struct kernel_contract){.n = n,
	                                      .k = k,
	                                      .x_stride = k,
	                                      .y_stride = n,
	                                      .batch = 1,
	                                      .x = DTYPE_BF16,
	                                      .w = DTYPE_BF16,
	                                      .y = DTYPE_F32,
	                                      .pack = tiles_for(p, DTYPE_BF16, 2)};
	return c;
}

static struct kernel norm_of(int64_t heads, int64_t d)
{
	struct kernel k = {.family = KERNEL_ROWS};
	k.rows = (struct kernel_rows){
		.dims = 2, .extent = {heads, d}, .n_inputs = 1, .n_outputs = 1, .n_nodes = 3, .result = {2}};
	k.rows.input[0] = k.rows.output[0] =
		(struct rows_operand){.dtype = DTYPE_F32, .row_stride = heads * d, .stride = {d, 1}};
	k.rows.node[1] = (struct rows_node){.op = ROWS_MEAN};
	k.rows.node[2] = (struct rows_node){.op = ROWS_MUL, .b = 1};
	return k;
}

static void shapes_on(const struct processor *p)
{
	if (!p->machine)
		return; /* kernels of a GPU are shaped by their extents */
	same_shape(p, attend_of(8, 4, 128, 64), attend_of(1, 1, 5, 3));
	same_shape(p, contract_of(p, 4096, 2048), contract_of(p, 7, 3));
	same_shape(p, norm_of(1, 1), norm_of(32, 4000));
	same_shape(p, latent_of(128, 576, 512, 64), latent_of(1, 3, 2, 5));
	same_shape(p, route_of(256, 8, 8, 4), route_of(6, 2, 2, 1));
	for (int family = KERNEL_CANDIDATES; family <= KERNEL_DRAW; family++)
		same_shape(p, sample_of(family, 128256, 8), sample_of(family, 3, 1));
}

static void test_shape(void **state)
{
	(void)state;
	for_processors(shapes_on);
}

/* ---- main ------------------------------------------------------------------------------------ */
int main(int argc, char **argv)
{
	jit_open(argc, argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route),
		cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_embed),
		cmocka_unit_test(test_shape),
	};
	return jit_run(tests);
}
