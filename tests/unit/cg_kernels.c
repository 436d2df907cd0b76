/* Generated kernels, compared with plain loops written from dag/kernel.h: odd shapes, formats, one worker and three. */
#include "cg_jit.h"

static const enum dtype formats[] = {DTYPE_F32, DTYPE_BF16};

/* ---- elementary functions, through rows ------------------------------------------------------ */
static double reference(enum rows_op op, double x)
{
	switch (op) {
	case ROWS_EXP:   return exp(x);
	case ROWS_LOG:   return log(x);
	case ROWS_TANH:  return tanh(x);
	case ROWS_ERF:   return erf(x);
	case ROWS_SIN:   return sin(x);
	case ROWS_COS:   return cos(x);
	case ROWS_SQRT:  return sqrt(x);
	case ROWS_RSQRT: return 1 / sqrt(x);
	case ROWS_FLOOR: return floor(x);
	case ROWS_CEIL:  return ceil(x);
	default:         return fabs(x);
	}
}

static struct kernel pointwise(enum rows_op op, int64_t n)
{
	struct kernel k = {.family = KERNEL_ROWS};
	k.rows = (struct kernel_rows){.dims = 1, .extent = {n}, .n_inputs = 1, .n_outputs = 1, .n_nodes = 2, .result = {1}};
	k.rows.input[0] = k.rows.output[0] = (struct rows_operand){.dtype = DTYPE_F32, .row_stride = n, .stride = {1}};
	k.rows.node[0] = (struct rows_node){.op = ROWS_LOAD};
	k.rows.node[1] = (struct rows_node){.op = op};
	return k;
}

static void math_of(const struct processor *p, enum rows_op op, double low, double high, double relative,
                    double absolute)
{
	enum { N = 4099 };
	struct kernel k = pointwise(op, N);
	float *x = random_array(DTYPE_F32, N), *y = random_array(DTYPE_F32, N);
	for (int i = 0; i < N; i++)
		x[i] = (float)(low + (high - low) * i / (N - 1));
	uint64_t args[] = {address(x), address(y), 1};
	run_twice(&k, p, args, 1, N * 4);
	for (int i = 0; i < N; i++)
		assert_near(y[i], reference(op, x[i]), relative, absolute);
}

static void math_on(const struct processor *p)
{
	const double ulp = 1.2e-7;
	math_of(p, ROWS_EXP, -87, 88.7, 2 * ulp, 0);
	math_of(p, ROWS_EXP, -110, -80, 2 * ulp, 2e-45);
	math_of(p, ROWS_LOG, 1e-30, 4, 2 * ulp, ulp);
	math_of(p, ROWS_LOG, 1e-44, 1e-37, 2 * ulp, 0);
	math_of(p, ROWS_TANH, -10, 10, 4 * ulp, 0);
	math_of(p, ROWS_ERF, -5, 5, 4 * ulp, 0);
	math_of(p, ROWS_SIN, -1e6, 1e6, 4 * ulp, 2 * ulp);
	math_of(p, ROWS_COS, -7, 7, 4 * ulp, 2 * ulp);
	math_of(p, ROWS_SQRT, 0, 100, ulp, 0);
	math_of(p, ROWS_RSQRT, 1e-6, 100, 2 * ulp, 0);
	math_of(p, ROWS_FLOOR, -4, 4, 0, 0);
	math_of(p, ROWS_CEIL, -4, 4, 0, 0);
	math_of(p, ROWS_ABS, -4, 4, 0, 0);
}

/* The result has gaps, which keep their values. */
static void gaps_on(const struct processor *p)
{
	enum { N = 21 };
	struct kernel k = pointwise(ROWS_ABS, N);
	k.rows.output[0].stride[0] = 3;
	float *x = random_array(DTYPE_F32, N), *y = random_array(DTYPE_F32, 3 * N), before[3 * N];
	memcpy(before, y, sizeof before);
	uint64_t args[] = {address(x), address(y), 1};
	run_twice(&k, p, args, 1, 3 * N * 4);
	for (int i = 0; i < 3 * N; i++)
		assert_true(y[i] == (i % 3 ? before[i] : fabsf(x[i / 3])));
}

static void special_on(const struct processor *p)
{
	enum { N = 5 };
	struct kernel k = pointwise(ROWS_EXP, N);
	float *x = random_array(DTYPE_F32, N), *y = random_array(DTYPE_F32, N);
	memcpy(x, (float[]){-INFINITY, INFINITY, NAN, 0, 1000}, N * 4);
	uint64_t args[] = {address(x), address(y), 1};
	run_twice(&k, p, args, 1, N * 4);
	assert_true(y[0] == 0 && isinf(y[1]) && isnan(y[2]) && y[3] == 1 && isinf(y[4]));
	k = pointwise(ROWS_RSQRT, N);
	run_twice(&k, p, args, 1, N * 4);
	assert_true(isnan(y[1]) && isinf(y[3]) && y[4] > 0.03f); /* 1 / infinity would be 0 */
	k = pointwise(ROWS_LOG, N);
	memcpy(x, (float[]){0, INFINITY, NAN, 1, -1}, N * 4);
	run_twice(&k, p, args, 1, N * 4);
	assert_true(isinf(y[0]) && y[0] < 0 && isinf(y[1]) && isnan(y[2]) && y[3] == 0 && isnan(y[4]));
}

static void test_math(void **state)
{
	(void)state;
	for_processors(math_on);
	for_processors(gaps_on);
	for_processors(special_on);
}

/* ---- rows ------------------------------------------------------------------------------------ */
static int node(struct kernel_rows *r, enum rows_op op, int a, int b)
{
	r->node[r->n_nodes] = (struct rows_node){.op = op, .a = a, .b = b};
	return r->n_nodes++;
}

/* A norm over heads of d: y = round(x * rsqrt(mean(x^2) + eps)) * w, with x [M][heads][d], and the mean as a second
 * output. */
static void norm_on(const struct processor *p, enum dtype t, int64_t m, int64_t heads, int64_t d)
{
	struct kernel k = {.family = KERNEL_ROWS};
	struct kernel_rows *r = &k.rows;
	*r = (struct kernel_rows){.dims = 2, .extent = {heads, d}, .n_inputs = 2, .n_outputs = 2};
	r->input[0] = r->output[0] = (struct rows_operand){.dtype = t, .row_stride = heads * d, .stride = {d, 1}};
	r->input[1] = (struct rows_operand){.dtype = DTYPE_F32, .stride = {0, 1}};
	r->output[1] = (struct rows_operand){.dtype = DTYPE_F32, .row_stride = heads, .stride = {1, 0}};
	int x = node(r, ROWS_LOAD, 0, 0), w = node(r, ROWS_LOAD, 1, 0),
		mean = node(r, ROWS_MEAN, node(r, ROWS_MUL, x, x), 0);
	int eps = node(r, ROWS_CONST, 0, 0);
	r->node[eps].number = 1e-5;
	int scaled = node(r, ROWS_MUL, x, node(r, ROWS_RSQRT, node(r, ROWS_ADD, mean, eps), 0));
	int rounded = node(r, ROWS_ROUND_TO, scaled, 0);
	r->node[rounded].dtype = t;
	r->result[0] = node(r, ROWS_MUL, rounded, w);
	r->result[1] = mean;

	void *in = random_array(t, m * heads * d), *out = random_array(t, m * heads * d);
	float *weight = random_array(DTYPE_F32, d), *means = random_array(DTYPE_F32, m * heads);
	uint64_t args[] = {address(in), address(weight), address(out), address(means), (uint64_t)m};
	run_twice(&k, p, args, 2, (size_t)(m * heads * d * dtype_bytes(t)));
	for (int64_t i = 0; i < m * heads; i++) {
		double sum = 0;
		for (int64_t j = 0; j < d; j++)
			sum += (double)get(t, in, i * d + j) * get(t, in, i * d + j);
		assert_near(means[i], sum / (double)d, 1e-5, 0);
		for (int64_t j = 0; j < d; j++) {
			double y = get(t, in, i * d + j) / sqrt(sum / (double)d + 1e-5) * weight[j];
			assert_near(get(t, out, i * d + j), y, t == DTYPE_F32 ? 1e-5 : 1.2e-2, 1e-6);
		}
	}
}

/* A sum in place, x = round(x + y), and its norm over d, in one pass: two results with an element for each of x. */
static void residual_on(const struct processor *p, enum dtype t, int64_t m, int64_t d)
{
	struct kernel k = {.family = KERNEL_ROWS};
	struct kernel_rows *r = &k.rows;
	*r = (struct kernel_rows){.dims = 1, .extent = {d}, .n_inputs = 2, .n_outputs = 2};
	r->input[0] = r->input[1] = r->output[0] = r->output[1] =
		(struct rows_operand){.dtype = t, .row_stride = d, .stride = {1}};
	int sum = node(r, ROWS_ADD, node(r, ROWS_LOAD, 0, 0), node(r, ROWS_LOAD, 1, 0));
	int rounded = node(r, ROWS_ROUND_TO, sum, 0), mean = node(r, ROWS_MEAN, node(r, ROWS_MUL, rounded, rounded), 0);
	r->node[rounded].dtype = t;
	r->result[0] = node(r, ROWS_MUL, rounded, node(r, ROWS_RSQRT, mean, 0));
	r->result[1] = sum;

	void *x = random_array(t, m * d), *y = random_array(t, m * d), *norm = random_array(t, m * d);
	float *want = random_array(DTYPE_F32, m * d);
	for (int64_t i = 0; i < m * d; i++) {
		put(t, norm, i, get(t, x, i) + get(t, y, i));
		want[i] = (float)get(t, norm, i);
	}
	uint64_t args[] = {address(x), address(y), address(norm), address(x), (uint64_t)m};
	run_kernel(jit_compile(p, &k), args, 2);
	for (int64_t i = 0; i < m; i++) {
		double squares = 0;
		for (int64_t j = 0; j < d; j++)
			squares += (double)want[i * d + j] * want[i * d + j];
		for (int64_t j = 0; j < d; j++) {
			assert_true(get(t, x, i * d + j) == want[i * d + j]);
			double scaled = want[i * d + j] / sqrt(squares / (double)d);
			assert_near(get(t, norm, i * d + j), scaled, t == DTYPE_F32 ? 1e-5 : 1e-2, 1e-6);
		}
	}
}

/* A sum or a mean that overflows is NaN. */
static void overflow_on(const struct processor *p, enum rows_op op)
{
	enum { M = 2, N = 37 };
	struct kernel k = {.family = KERNEL_ROWS};
	struct kernel_rows *r = &k.rows;
	*r = (struct kernel_rows){.dims = 1, .extent = {N}, .n_inputs = 1, .n_outputs = 1};
	r->input[0] = (struct rows_operand){.dtype = DTYPE_F32, .row_stride = N, .stride = {1}};
	r->output[0] = (struct rows_operand){.dtype = DTYPE_F32, .row_stride = 1};
	r->result[0] = node(r, op, node(r, ROWS_LOAD, 0, 0), 0);
	float *x = random_array(DTYPE_F32, M * N), *y = random_array(DTYPE_F32, M);
	x[3] = x[20] = 3e38f;
	uint64_t args[] = {address(x), address(y), M};
	run_twice(&k, p, args, 1, M * 4);
	assert_true(op == ROWS_REDUCE_MAX ? y[0] == 3e38f : isnan(y[0]));
	assert_true(isfinite(y[1]));
}

/* softmax(clamp(x + iota * c)) with x transposed in memory, rows bounded by an i32. Two levels of reductions. */
static void softmax_on(const struct processor *p, int64_t m, int64_t d)
{
	struct kernel k = {.family = KERNEL_ROWS};
	struct kernel_rows *r = &k.rows;
	*r = (struct kernel_rows){.dims = 1, .extent = {d}, .n_inputs = 1, .n_outputs = 1, .limited = true};
	r->input[0] = (struct rows_operand){.dtype = DTYPE_F32, .row_stride = 1, .stride = {m}};
	r->output[0] = (struct rows_operand){.dtype = DTYPE_F32, .row_stride = d, .stride = {1}};
	int c = node(r, ROWS_CONST, 0, 0);
	r->node[c].number = 0.25;
	int x = node(r, ROWS_ADD, node(r, ROWS_LOAD, 0, 0), node(r, ROWS_MUL, node(r, ROWS_IOTA, 0, 0), c));
	int e = node(r, ROWS_EXP, node(r, ROWS_SUB, x, node(r, ROWS_REDUCE_MAX, x, 0)), 0);
	r->result[0] = node(r, ROWS_DIV, e, node(r, ROWS_SUM, e, 0));

	float *in = random_array(DTYPE_F32, m * d), *out = random_array(DTYPE_F32, m * d), untouched = out[(m - 1) * d];
	int32_t *limit = index_array(1);
	*limit = (int32_t)m - 1;
	uint64_t args[] = {address(in), address(out), (uint64_t)m, address(limit)};
	run_twice(&k, p, args, 1, (size_t)(m * d * 4));
	for (int64_t i = 0; i < m - 1; i++) {
		double sum = 0;
		for (int64_t j = 0; j < d; j++)
			sum += exp(in[j * m + i] + 0.25 * (double)j);
		for (int64_t j = 0; j < d; j++)
			assert_near(out[i * d + j], exp(in[j * m + i] + 0.25 * (double)j) / sum, 1e-5, 0);
	}
	assert_true(out[(m - 1) * d] == untouched);
}

/* x + bias of the row's group. Some groups are empty; rows past the last group are untouched. */
static void grouped_on(const struct processor *p, const int32_t *sizes, int64_t groups)
{
	enum { M = 9, N = 21 };
	struct kernel k = pointwise(ROWS_ADD, N);
	k.rows.limited = true;
	k.rows.groups = groups;
	k.rows.n_inputs = 2;
	k.rows.input[1] = (struct rows_operand){.dtype = DTYPE_BF16, .stride = {1}, .group_stride = N};
	k.rows.node[2] = (struct rows_node){.op = ROWS_ADD, .b = 1};
	k.rows.node[1] = (struct rows_node){.op = ROWS_LOAD, .a = 1};
	k.rows.n_nodes = 3;
	k.rows.result[0] = 2;
	float *x = random_array(DTYPE_F32, M * N), *y = random_array(DTYPE_F32, M * N), untouched = y[M * N - 1];
	void *bias = random_array(DTYPE_BF16, groups * N);
	int32_t *offsets = index_array(groups + 1);
	offsets[0] = 0;
	for (int64_t i = 0; i < groups; i++)
		offsets[i + 1] = offsets[i] + sizes[i];
	uint64_t args[] = {address(x), address(bias), address(y), M, address(offsets)};
	run_twice(&k, p, args, 2, M * N * 4);
	for (int64_t e = 0; e < groups; e++)
		for (int64_t i = offsets[e] * N; i < offsets[e + 1] * N; i++)
			assert_near(y[i], (double)x[i] + get(DTYPE_BF16, bias, e * N + i % N), 1e-6, 1e-7);
	assert_true(y[M * N - 1] == untouched);
}

static void copy_on(const struct processor *p)
{
	enum { M = 3, N = 1500 };
	struct kernel k = pointwise(ROWS_LOAD, N);
	int32_t *x = index_array(M * N), *y = index_array(M * N);
	for (int i = 0; i < M * N; i++)
		x[i] = i % 3 ? rand() : -1 - i;
	uint64_t args[] = {address(x), address(y), M};
	run_twice(&k, p, args, 1, M * N * 4);
	assert_memory_equal(x, y, M * N * 4);
}

/* Two outputs, each at the address of the other's input. */
static void swap_on(const struct processor *p)
{
	enum { N = 53 };
	struct kernel k = pointwise(ROWS_LOAD, N);
	k.rows.n_inputs = k.rows.n_outputs = 2;
	k.rows.input[1] = k.rows.output[1] = k.rows.input[0];
	k.rows.node[1].a = 1;
	k.rows.result[0] = 1;
	k.rows.result[1] = 0;
	float *x = random_array(DTYPE_F32, N), *y = random_array(DTYPE_F32, N), before[2][N];
	memcpy(before[0], x, sizeof before[0]);
	memcpy(before[1], y, sizeof before[1]);
	run_kernel(jit_compile(p, &k), (uint64_t[]){address(x), address(y), address(x), address(y), 1}, 1);
	assert_memory_equal(x, before[1], sizeof before[1]);
	assert_memory_equal(y, before[0], sizeof before[0]);
}

static void rows_on(const struct processor *p)
{
	overflow_on(p, ROWS_SUM);
	overflow_on(p, ROWS_MEAN);
	overflow_on(p, ROWS_REDUCE_MAX);
	for (int i = 0; i < 2; i++) {
		norm_on(p, formats[i], 5, 3, 37);
		norm_on(p, formats[i], 1, 1, 64);
		residual_on(p, formats[i], 5, 37);
		residual_on(p, formats[i], 2, 4096);
		norm_on(p, formats[i], 2, 2, 1);
	}
	softmax_on(p, 5, 19);
	softmax_on(p, 4, 3);
	grouped_on(p, (int32_t[]){8}, 1);
	grouped_on(p, (int32_t[]){0, 3, 0, 0, 4, 1, 0}, 7);
	grouped_on(p, (int32_t[]){1, 0, 2, 5}, 4);
	copy_on(p);
	swap_on(p);
}

static void test_rows(void **state)
{
	(void)state;
	for_processors(rows_on);
}

/* ---- contract -------------------------------------------------------------------------------- */
static int64_t packed(const struct packing *p, int64_t n, int64_t k, int64_t row, int64_t column, int64_t group)
{
	int64_t kp = (k + p->k_run - 1) / p->k_run * p->k_run, np = (n + p->n_tile - 1) / p->n_tile * p->n_tile;
	int64_t within_run = column % p->k_run;
	if (p->swizzled)
		within_run ^= row % SWIZZLE_PIECES * (p->k_run / SWIZZLE_PIECES);
	return group * np * kp + row / p->n_tile * (kp * p->n_tile) + column / p->k_run * (p->n_tile * p->k_run)
	       + row % p->n_tile * p->k_run + within_run;
}

/* Weights in tile order, of w[group][n][k] given row-major. */
static void *pack_weights(enum dtype t, const struct packing *p, const void *w, int64_t groups, int64_t n, int64_t k)
{
	int64_t kp = (k + p->k_run - 1) / p->k_run * p->k_run, np = (n + p->n_tile - 1) / p->n_tile * p->n_tile;
	void *out = guarded((size_t)(groups * np * kp * dtype_bytes(t)));
	for (int64_t g = 0; g < groups; g++)
		for (int64_t i = 0; i < n; i++)
			for (int64_t j = 0; j < k; j++)
				put(t, out, packed(p, n, k, i, j, g), get(t, w, (g * n + i) * k + j));
	return out;
}

struct contract_case {
	enum dtype x, w, y;
	int pair;
	int64_t m, n, k, groups;
};

static void contract_on(const struct processor *p, const struct contract_case *c)
{
	struct kernel k = {.family = KERNEL_CONTRACT};
	int64_t gap = c->k % 8 ? 1 : 8; /* rows of whole pieces of 16 bytes stay so */
	int64_t x_stride = c->k + gap * random_below(3), y_stride = c->n + random_below(3);
	k.contract = (struct kernel_contract){.n = c->n,
	                                      .k = c->k,
	                                      .x_stride = x_stride,
	                                      .y_stride = y_stride,
	                                      .batch = 1,
	                                      .x = c->x,
	                                      .w = c->w,
	                                      .y = c->y,
	                                      .pack = tiles_for(p, c->w, c->pair),
	                                      .grouped = c->groups > 0,
	                                      .groups = c->groups};
	int64_t groups = c->groups ? c->groups : 1;
	void *w = random_array(c->w, groups * c->n * c->k), *x = random_array(c->x, (c->m - 1) * x_stride + c->k);
	void *y = random_array(c->y, (c->m - 1) * y_stride + c->n),
		 *tiles = pack_weights(c->w, &k.contract.pack, w, groups, c->n, c->k);
	for (int64_t i = 0; i + 1 < c->m; i++) /* bytes between rows must not count */
		for (int64_t j = c->k; j < x_stride; j++)
			put(c->x, x, i * x_stride + j, NAN);
	int32_t *offsets = index_array(groups + 1);
	for (int64_t i = 1; i < groups; i++)
		offsets[i] = (int32_t)(offsets[i - 1] + random_below(c->m - offsets[i - 1] + 1));
	offsets[groups] = (int32_t)c->m;
	uint64_t args[] = {address(x), address(tiles), address(y), (uint64_t)c->m, address(offsets)};
	run_twice(&k, p, args, 2, (size_t)(((c->m - 1) * y_stride + c->n) * dtype_bytes(c->y)));
	for (int64_t i = 0, g = 0; i < c->m; i++) {
		while (i >= offsets[g + 1])
			g++;
		for (int64_t n = 0; n < c->n; n++) {
			double sum = 0, size = 0;
			for (int64_t j = 0; j < c->k; j++) {
				double term = (double)get(c->x, x, i * x_stride + j) * get(c->w, w, (g * c->n + n) * c->k + j);
				sum += term;
				size += fabs(term);
			}
			double got = get(c->y, y, i * y_stride + n);
			assert_near(got, sum, c->y == DTYPE_F32 ? 0 : 4e-3, 1e-5 * size);
		}
	}
}

static void contracts_on(const struct processor *p)
{
	static const int64_t m[] = {1, 2, 7, 12, 31, 101}, n[] = {5, 32, 77, 200, 33, 64}, k[] = {33, 1, 64, 7, 129, 48};
	for (int i = 0; i < 6; i++) {
		struct contract_case c = {DTYPE_F32, DTYPE_F32, DTYPE_F32, 1, m[i], n[i], k[i], 0};
		contract_on(p, &c);
		c.w = DTYPE_BF16;
		contract_on(p, &c);
		c.x = c.y = DTYPE_BF16;
		contract_on(p, &c);
		c.pair = 2;
		contract_on(p, &c);
		c.groups = 3;
		contract_on(p, &c);
		c.x = DTYPE_F32;
		contract_on(p, &c);
		c = (struct contract_case){DTYPE_BF16, i & 1 ? DTYPE_FP8E4M3 : DTYPE_FP8E5M2, DTYPE_F32, 1, m[i], n[i], k[i],
		                           0};
		contract_on(p, &c);
		if (p->target.lanes < 8)
			continue; /* conversion of f16 would be a call */
		c = (struct contract_case){DTYPE_F16, DTYPE_F16, DTYPE_F16, 1, m[i], n[i], k[i], 0};
		contract_on(p, &c);
	}
}

/* Whole pieces of 16 bytes, around the sizes of a GPU's tiles. */
static void matrices_on(const struct processor *p)
{
	static const int64_t m[] = {1, 8, 17, 64, 65, 128, 129, 200}, n[] = {32, 31, 127, 128, 129, 256, 34, 100},
						 k[] = {8, 64, 136, 256, 200, 64, 520, 48};
	for (int i = 0; i < 8; i++) {
		enum dtype t = i % 3 == 1 && p->target.lanes != 4 ? DTYPE_F16 : DTYPE_BF16;
		struct contract_case c = {t, t, i % 2 ? t : DTYPE_F32, 1, m[i], n[i], k[i], 0};
		contract_on(p, &c);
		c.groups = i + 1;
		contract_on(p, &c);
		c.groups = 70;
		contract_on(p, &c);
	}
}

/* Several weights of one operand: each result is that of a launch of its own, to the bit, in batches and in groups. */
static void parts_on(const struct processor *p, enum dtype t, int64_t m, int64_t k, int64_t batch, int64_t groups)
{
	static const int64_t n[CONTRACT_MAX_PARTS] = {72, 5, 160, 128};
	struct kernel all = {.family = KERNEL_CONTRACT};
	struct kernel_contract *c = &all.contract;
	int64_t weights = groups ? groups : batch, wide = m * batch * 200;
	*c = (struct kernel_contract){.k = k,
	                              .x_stride = batch * k,
	                              .batch = batch,
	                              .x_batch = k,
	                              .x = t,
	                              .w = t,
	                              .y = t,
	                              .pack = tiles_for(p, t, t == DTYPE_BF16 ? 2 : 1),
	                              .grouped = groups > 0,
	                              .groups = groups,
	                              .more = CONTRACT_MAX_PARTS - 1};
	void *x = random_array(t, m * batch * k), *y[CONTRACT_MAX_PARTS], *alone[CONTRACT_MAX_PARTS], *w;
	int32_t *offsets = index_array(weights + 1);
	for (int64_t i = 0; i <= weights && groups; i++)
		offsets[i] = (int32_t)(m * i / weights);
	uint64_t args[CONTRACT_ARGUMENTS + 2 * CONTRACT_MAX_PARTS] = {address(x), 0, 0, (uint64_t)m, address(offsets)};
	for (int i = 0; i < CONTRACT_MAX_PARTS; i++) {
		struct contract_part part = {n[i], batch * n[i] + i, n[i]};
		if (i)
			c->other[i - 1] = part;
		else
			c->n = part.n, c->y_stride = part.y_stride, c->y_batch = part.y_batch;
		w = random_array(t, weights * n[i] * k);
		y[i] = random_array(t, wide), alone[i] = guarded((size_t)(wide * dtype_bytes(t)));
		memcpy(alone[i], y[i], (size_t)(wide * dtype_bytes(t)));
		args[contract_weight(c, i)] = address(pack_weights(t, &c->pack, w, weights, n[i], k));
		args[contract_result(c, i)] = address(y[i]);
	}
	run_kernel(jit_compile(p, &all), args, 3);
	for (int i = 0; i < CONTRACT_MAX_PARTS; i++) {
		struct kernel one = all;
		struct contract_part part = contract_part(c, i);
		one.contract.more = 0;
		memset(one.contract.other, 0, sizeof one.contract.other);
		one.contract.n = part.n, one.contract.y_stride = part.y_stride, one.contract.y_batch = part.y_batch;
		uint64_t own[] = {args[CONTRACT_X], args[contract_weight(c, i)], address(alone[i]), (uint64_t)m,
		                  address(offsets)};
		run_kernel(jit_compile(p, &one), own, 2);
		assert_memory_equal(y[i], alone[i], (size_t)(wide * dtype_bytes(t)));
	}
}

static void all_parts_on(const struct processor *p)
{
	for (int i = 0; i < 2; i++) {
		enum dtype t = i ? DTYPE_BF16 : DTYPE_F32;
		parts_on(p, t, 1, 40, 1, 0);
		parts_on(p, t, 29, 136, 1, 0);
		parts_on(p, t, 130, 64, 1, 0);
		parts_on(p, t, 9, 24, 3, 0);
		parts_on(p, t, 3, 64, 1, 5);
		parts_on(p, t, 150, 72, 1, 4);
	}
}

static void test_parts(void **state)
{
	(void)state;
	for_processors(all_parts_on);
}

/* A batch: x holds [m][batch][k] with gaps, y has the batches in front: [batch][m][n]. */
static void batch_on(const struct processor *p, enum dtype t, int64_t m, int64_t batch, int64_t n, int64_t k)
{
	struct kernel c = {.family = KERNEL_CONTRACT};
	int64_t x_batch = k + (k % 8 ? 3 : 8), y_batch = m * n, x_n = m * batch * x_batch;
	c.contract = (struct kernel_contract){.n = n,
	                                      .k = k,
	                                      .x_stride = batch * x_batch,
	                                      .y_stride = n,
	                                      .batch = batch,
	                                      .x_batch = x_batch,
	                                      .y_batch = y_batch,
	                                      .x = t,
	                                      .w = t,
	                                      .y = t,
	                                      .pack = tiles_for(p, t, t == DTYPE_BF16 ? 2 : 1)};
	void *w = random_array(t, batch * n * k), *x = random_array(t, x_n), *y = random_array(t, batch * m * n);
	uint64_t args[] = {address(x), address(pack_weights(t, &c.contract.pack, w, batch, n, k)), address(y), (uint64_t)m};
	run_twice(&c, p, args, 2, (size_t)(batch * m * n * dtype_bytes(t)));
	for (int64_t i = 0; i < m * batch * n; i++) {
		int64_t row = i / n % m, b = i / n / m;
		double sum = 0, size = 0;
		for (int64_t j = 0; j < k; j++) {
			double term = (double)get(t, x, (row * batch + b) * x_batch + j) * get(t, w, (b * n + i % n) * k + j);
			sum += term;
			size += fabs(term);
		}
		assert_near(get(t, y, i), sum, t == DTYPE_F32 ? 0 : 4e-3, 1e-5 * size);
	}
}

static void batches_on(const struct processor *p)
{
	batch_on(p, DTYPE_F32, 1, 5, 37, 21);
	batch_on(p, DTYPE_F32, 70, 3, 150, 8);
	batch_on(p, DTYPE_BF16, 13, 4, 64, 33);
	batch_on(p, DTYPE_BF16, 13, 4, 64, 40);
	batch_on(p, DTYPE_BF16, 70, 3, 130, 72);
}

static void test_batch(void **state)
{
	(void)state;
	for_processors(batches_on);
}

static void test_contract(void **state)
{
	(void)state;
	for_processors(contracts_on);
	for_processors(matrices_on);
}

/* The result of a row must not depend on other rows. */
static void rows_agree_on(const struct processor *p)
{
	enum { M = 29, N = 40, K = 75 };
	struct kernel k = {.family = KERNEL_CONTRACT};
	int pair = p->target.bf16_dot ? 2 : 1;
	k.contract = (struct kernel_contract){.n = N,
	                                      .k = K,
	                                      .x_stride = K,
	                                      .y_stride = N,
	                                      .batch = 1,
	                                      .x = DTYPE_BF16,
	                                      .w = DTYPE_BF16,
	                                      .y = DTYPE_F32,
	                                      .pack = tiles_for(p, DTYPE_BF16, pair)};
	void *w = random_array(DTYPE_BF16, N * K), *tiles = pack_weights(DTYPE_BF16, &k.contract.pack, w, 1, N, K);
	uint16_t *x = random_array(DTYPE_BF16, M * K);
	float *all = random_array(DTYPE_F32, M * N), *one = random_array(DTYPE_F32, N);
	const struct compiled *f = jit_compile(p, &k);
	run_kernel(f, (uint64_t[]){address(x), address(tiles), address(all), M}, 2);
	for (int i = 0; i < M; i++) {
		run_kernel(f, (uint64_t[]){address(x + i * K), address(tiles), address(one), 1}, 1);
		assert_memory_equal(one, all + i * N, N * 4);
	}
}

static void test_rows_agree(void **state)
{
	(void)state;
	for_processors(rows_agree_on);
}

/* ---- fp8 ------------------------------------------------------------------------------------- */
static void convert_on(const struct processor *p, enum dtype from, const void *in, enum dtype to, void *out, int64_t n)
{
	struct kernel k = {.family = KERNEL_ROWS};
	k.rows = (struct kernel_rows){.dims = 1,
	                              .extent = {n},
	                              .n_inputs = 1,
	                              .n_outputs = 1,
	                              .input = {{.dtype = from, .row_stride = n, .stride = {1}}},
	                              .output = {{.dtype = to, .row_stride = n, .stride = {1}}},
	                              .n_nodes = 1,
	                              .node = {{.op = ROWS_LOAD}}};
	uint64_t args[] = {address(in), address(out), 1};
	run_twice(&k, p, args, 1, (size_t)(n * dtype_bytes(to)));
}

/* All bytes to f32. To bytes: numbers between two neighbours, on either side of the middle, and NaN. */
static void fp8_on(const struct processor *p)
{
	for (int f = 0; f < 2; f++) {
		enum { NEAR = 5, N = 256 * NEAR };
		enum dtype t = f ? DTYPE_FP8E5M2 : DTYPE_FP8E4M3;
		uint8_t *bytes = guarded(256), *narrow = guarded(N);
		float *wide = guarded(256 * 4), *between = guarded(N * 4);
		for (int i = 0; i < 256; i++)
			bytes[i] = (uint8_t)i;
		convert_on(p, t, bytes, DTYPE_F32, wide, 256);
		for (int i = 0; i < 256; i++) {
			float want = get(t, bytes, i), middle = i & 1 ? want * 1e3f : (want + get(t, bytes, (i + 1) & 255)) / 2;
			assert_true(isnan(want) ? isnan(wide[i]) : wide[i] == want);
			float near[NEAR] = {want, middle, nextafterf(middle, -1e30f), nextafterf(middle, 1e30f), want * 0.9f};
			memcpy(between + i * NEAR, near, sizeof near);
		}
		convert_on(p, DTYPE_F32, between, t, narrow, N);
		for (int i = 0; i < N; i++)
			assert_int_equal(narrow[i] & (isnan(between[i]) ? 0x7f : 0xff),
			                 fp8_of_f32(f ? FP8_E5M2 : FP8_E4M3, between[i]) & (isnan(between[i]) ? 0x7f : 0xff));
	}
}

static void test_fp8(void **state)
{
	(void)state;
	for_processors(fp8_on);
}

/* ---- conversions ----------------------------------------------------------------------------- */
/* Every format to every other, with numbers that both can hold; integers also where f32 rounds. */
static void conversions_on(const struct processor *p)
{
	enum { N = 17 };
	static const enum dtype all[] = {DTYPE_F64, DTYPE_F32,     DTYPE_BF16,   DTYPE_F16,
	                                 DTYPE_I32, DTYPE_FP8E4M3, DTYPE_FP8E5M2};
	static const int32_t large[] = {16777215, -16777216, 16777217, 2147483647, -2147483647, 123456789};
	for (size_t a = 0; a < sizeof all / sizeof *all; a++)
		for (size_t b = 0; b < sizeof all / sizeof *all; b++) {
			size_t from = (size_t)dtype_bytes(all[a]) * N, to = (size_t)dtype_bytes(all[b]) * N;
			char *in = guarded(from), *out = guarded(to), *want = guarded(to);
			for (int i = 0; i < N; i++)
				put(all[a], in, i, (float)(i - 8)), put(all[b], want, i, (float)(i - 8));
			convert_on(p, all[a], in, all[b], out, N);
			assert_memory_equal(out, want, to);
		}
	enum { M = sizeof large / sizeof *large };
	int32_t *in = guarded(sizeof large);
	float *out = guarded(M * sizeof *out);
	memcpy(in, large, sizeof large);
	convert_on(p, DTYPE_I32, in, DTYPE_F32, out, M);
	for (int i = 0; i < M; i++)
		assert_true(out[i] == (float)large[i]);
}

static void test_conversions(void **state)
{
	(void)state;
	for_processors(conversions_on);
}

/* ---- main ------------------------------------------------------------------------------------ */
int main(int argc, char **argv)
{
	jit_open(argc, argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_math),     cmocka_unit_test(test_rows),        cmocka_unit_test(test_parts),
		cmocka_unit_test(test_contract), cmocka_unit_test(test_batch),       cmocka_unit_test(test_rows_agree),
		cmocka_unit_test(test_fp8),      cmocka_unit_test(test_conversions),
	};
	return jit_run(tests);
}
