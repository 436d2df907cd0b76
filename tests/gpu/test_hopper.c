/* wgmma with all layouts of its operands, boxes of tensors, and what else Hopper has. */
#include <dlfcn.h>
#include "gpu_test.h"
#include "tensor_api.h"

#define HEAD ".version 8.0\n.target sm_90a\n.address_size 64\n.extern .shared .align 1024 .b8 dynamic[];\n"

static CUfunction load(const char *text, const char *name)
{
	CUmodule m;
	gpu_assemble(text);
	GOOD(cu.cuModuleLoadData(&m, text));
	return gpu_function(m, name);
}

/* ---- wgmma ---- */
enum { M = 64, N = 40, K = 16, B_AT = 16384, IMAGE = 32768, SUMS = N / 2 };

/* Where a matrix is in shared memory: contiguous along k, in rows of `swizzle` bytes, or in pieces of 16 bytes; or, if
 * `across`, contiguous along the other dimension, 64 of it in a row of 128 bytes. */
struct layout {
	unsigned swizzle;
	bool across;
};

/* Bytes from 8 rows to the next 8, and to the other half of k; across: from 64 rows to the next, from 8 of k to the
 * next 8. */
enum { STRIDE = 2048, LEADING = 256, ACROSS_LEADING = 4096, ACROSS_STRIDE = 1024 };

static unsigned byte_of(struct layout l, unsigned at, unsigned row, unsigned k)
{
	unsigned byte;
	if (l.across)
		byte = at + row / 64 * ACROSS_LEADING + k / 8 * ACROSS_STRIDE + k % 8 * 128 + row % 64 * 2;
	else if (l.swizzle)
		byte = at + row / 8 * STRIDE + row % 8 * l.swizzle + k * 2;
	else
		byte = at + row / 8 * STRIDE + k / 8 * LEADING + row % 8 * 16 + k % 8 * 2;
	unsigned rows_of_128 = byte / 128 % 8, mask = l.swizzle ? l.swizzle / 16 - 1 : 0;
	return byte ^ (rows_of_128 & mask) << 4;
}

static uint64_t descriptor(struct layout l, unsigned at)
{
	uint64_t mode = l.swizzle == 128 ? 1 : l.swizzle == 64 ? 2 : l.swizzle == 32 ? 3 : 0;
	uint64_t leading = l.across ? ACROSS_LEADING : LEADING, stride = l.across ? ACROSS_STRIDE : STRIDE;
	return at >> 4 | leading >> 4 << 16 | stride >> 4 << 32 | mode << 62;
}

static uint16_t half_bits(bool brain, float v)
{
	uint32_t bits;
	_Float16 half = (_Float16)v;
	uint16_t half_bits;
	memcpy(&bits, &v, sizeof bits);
	memcpy(&half_bits, &half, sizeof half_bits);
	return brain ? (uint16_t)(bits >> 16) : half_bits;
}

struct product {
	const char *type;
	struct layout a, b;
	bool in_registers; /* a */
	bool negated;      /* a and the sum before it are -1 times and 0 */
};

static int add_list(char *to, const char *prefix, int n)
{
	int length = sprintf(to, "{");
	for (int i = 0; i < n; i++)
		length += sprintf(to + length, "%s%s%d", i ? ", " : "", prefix, i);
	return length + sprintf(to + length, "}");
}

/* y, the image of shared memory, descriptors of a and b, fragments of a: the sum of 3 and the product. */
static const char *product_text(const struct product *p)
{
	static char text[20000];
	char sums[400], source[100];
	add_list(sums, "%a", SUMS);
	if (p->in_registers)
		add_list(source, "%w", 4);
	else
		sprintf(source, "%%rd2");
	int n = sprintf(
		text,
		HEAD ".visible .entry k(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param .u64 p3, .param .u64 p4)\n"
			 "{\n.reg .f32 %%a<%d>;\n.reg .b32 %%r<9>, %%w<4>;\n.reg .b64 %%rd<9>;\n.reg .pred %%p<3>;\n"
			 "ld.param.u64 %%rd0, [p0];\nld.param.u64 %%rd1, [p1];\nld.param.u64 %%rd2, [p2];\n"
			 "ld.param.u64 %%rd3, [p3];\nld.param.u64 %%rd4, [p4];\nmov.u32 %%r0, %%tid.x;\n"
			 "mov.u32 %%r1, dynamic;\nmad.lo.u32 %%r1, %%r0, 4, %%r1;\nmul.wide.u32 %%rd5, %%r0, 4;\n"
			 "add.u64 %%rd1, %%rd1, %%rd5;\nmov.u32 %%r2, 0;\nCOPY:\nld.global.u32 %%r3, [%%rd1];\n"
			 "st.shared.u32 [%%r1], %%r3;\nadd.u64 %%rd1, %%rd1, 512;\nadd.u32 %%r1, %%r1, 512;\n"
			 "add.u32 %%r2, %%r2, 1;\nsetp.lt.u32 %%p1, %%r2, %d;\n@%%p1 bra COPY;\n"
			 "fence.proxy.async.shared::cta;\nbar.sync 0;\nmul.wide.u32 %%rd5, %%r0, 16;\n"
			 "add.u64 %%rd4, %%rd4, %%rd5;\nld.global.v4.u32 {%%w0, %%w1, %%w2, %%w3}, [%%rd4];\n"
			 "setp.%s.u32 %%p2, %%r0, %%r0;\n",
		SUMS, IMAGE / 512, p->negated ? "ne" : "eq");
	for (int i = 0; i < SUMS; i++)
		n += sprintf(text + n, "mov.f32 %%a%d, 0f40400000;\n", i);
	n += sprintf(
		text + n,
		"wgmma.fence.sync.aligned;\nwgmma.mma_async.sync.aligned.m64n%dk16.f32.%s.%s %s, %s, %%rd3, %%p2, %d, 1", N,
		p->type, p->type, sums, source, p->negated ? -1 : 1);
	n += sprintf(text + n, p->in_registers ? ", %d;\n" : ", %d, %d;\n", p->in_registers ? p->b.across : p->a.across,
	             p->b.across);
	n += sprintf(text + n,
	             "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n"
	             "mul.wide.u32 %%rd5, %%r0, %d;\nadd.u64 %%rd0, %%rd0, %%rd5;\n",
	             SUMS * 4);
	for (int i = 0; i < SUMS; i++)
		n += sprintf(text + n, "st.global.f32 [%%rd0+%d], %%a%d;\n", 4 * i, i);
	sprintf(text + n, "ret;\n}\n");
	return text;
}

static float small_number(void) { return (float)(int)(gpu_random() % 31) / 4 - 3; }

static void run_product(const struct product *p)
{
	static float a[M][K], b[N][K], y[128][SUMS];
	static unsigned char image[IMAGE];
	static uint16_t fragments[128][4][2];
	bool brain = !strcmp(p->type, "bf16");
	for (unsigned i = 0; i < M; i++)
		for (unsigned k = 0; k < K; k++) {
			a[i][k] = small_number();
			uint16_t bits = half_bits(brain, a[i][k]);
			memcpy(image + byte_of(p->a, 0, i, k), &bits, 2);
			unsigned lane = i % 8 * 4 + k % 8 / 2, word = i / 8 % 2 + k / 8 * 2;
			fragments[i / 16 * 32 + lane][word][k % 2] = bits;
		}
	for (unsigned i = 0; i < N; i++)
		for (unsigned k = 0; k < K; k++) {
			b[i][k] = small_number();
			uint16_t bits = half_bits(brain, b[i][k]);
			memcpy(image + byte_of(p->b, B_AT, i, k), &bits, 2);
		}
	CUfunction f = load(product_text(p), "k");
	CUdeviceptr d_y = gpu_put(NULL, sizeof y), d_image = gpu_put(image, sizeof image),
				d_a = gpu_put(fragments, sizeof fragments);
	GOOD(gpu_launch(f, 1, 128, IMAGE, NULL,
	                (uint64_t[]){d_y, d_image, descriptor(p->a, 0), descriptor(p->b, B_AT), d_a}));
	gpu_get(y, d_y, sizeof y);
	for (int t = 0; t < 128; t++)
		for (int r = 0; r < SUMS; r++) {
			int row = t / 32 * 16 + t % 32 / 4 + r / 2 % 2 * 8, column = r / 4 * 8 + t % 4 * 2 + r % 2;
			float sum = p->negated ? 0 : 3;
			for (int k = 0; k < K; k++)
				sum += (p->negated ? -1 : 1) * a[row][k] * b[column][k];
			assert_float_equal(y[t][r], sum, 0);
		}
}

static void products(void **state)
{
	static const struct product all[] = {
		{"bf16", {128, false}, {128, false}, false, false}, {"f16", {128, false}, {128, false}, false, true},
		{"bf16", {64, false}, {32, false}, false, false},   {"bf16", {32, false}, {64, false}, false, false},
		{"f16", {0, false}, {0, false}, false, false},      {"bf16", {128, false}, {128, true}, false, false},
		{"f16", {128, true}, {128, false}, false, false},   {"bf16", {128, false}, {128, false}, true, false},
		{"f16", {128, false}, {128, true}, true, true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		run_product(&all[i]);
}

/* Whether a launch whose b begins at *at is an illegal access. */
static int run_at(const void *at)
{
	const struct product p = {"bf16", {128, false}, {128, false}, false, false};
	gpu_open();
	CUfunction f = load(product_text(&p), "k");
	CUdeviceptr y = gpu_put(NULL, 128 * SUMS * 4), image = gpu_put(NULL, IMAGE), a = gpu_put(NULL, 128 * 16);
	uint64_t b = descriptor(p.b, *(const unsigned *)at);
	GOOD(gpu_launch(f, 1, 128, IMAGE, NULL, (uint64_t[]){y, image, descriptor(p.a, 0), b, a}));
	return cu.cuCtxSynchronize() == CUDA_ERROR_ILLEGAL_ADDRESS;
}

/* A tile of 5 times 8 rows takes 4 times STRIDE, and 1024 bytes. */
static void tiles_past_the_end(void **state)
{
	const unsigned last = IMAGE - 4 * STRIDE - 1024, next = last + 1024;
	(void)state;
	assert_int_equal(gpu_in_child(run_at, &last), false);
	if (gpu_is_emulated())
		assert_int_equal(gpu_in_child(run_at, &next), true);
}

/* ---- boxes of tensors ---- */
static CUresult (*encode)(CUtensorMap *, CUtensorMapDataType, uint32_t, void *, const uint64_t *, const uint64_t *,
                          const uint32_t *, const uint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
                          CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

/* A box of 2 x 3 x 8 words at (x, 1, 1) of a tensor of 4 x 5 x 20, into shared memory and out again; then back into a
 * second tensor, at (8, 0, 0). The map is a parameter of the kernel. */
static const char box_text[] = HEAD
	".visible .entry box(.param .u64 y, .param .align 64 .b8 map[128], .param .u64 to, .param .u32 x)\n{\n.reg .b32 "
	"%r<20>;\n.reg .b64 %rd<9>;\n.reg .pred %p<4>;\n.shared .align 128 .b8 tile[256];\n"
	".shared .align 8 .b8 bars[8];\nld.param.u64 %rd0, [y];\nld.param.u64 %rd1, [to];\nld.param.u32 %r5, [x];\n"
	"mov.b64 %rd2, map;\ncvta.param.u64 %rd2, %rd2;\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, tile;\nmov.u32 %r2, bars;\n"
	"setp.ne.u32 %p0, %r0, 0;\nmov.u32 %r3, 1;\nmov.u32 %r4, 0;\nmov.u32 %r6, 8;\n@%p0 bra READY;\n"
	"mbarrier.init.shared.b64 [%r2], 1;\nmbarrier.arrive.expect_tx.shared.b64 _, [%r2], 192;\n"
	"fence.mbarrier_init.release.cluster;\nprefetch.tensormap [%rd2];\n"
	"cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r1], [%rd2, {%r5, %r3, %r3}], "
	"[%r2];\nREADY:\nbar.sync 0;\nWAIT:\nmbarrier.try_wait.parity.shared.b64 %p1, [%r2], 0;\n@!%p1 bra WAIT;\n"
	"mad.lo.u32 %r7, %r0, 4, %r1;\nld.shared.u32 %r8, [%r7];\nmul.wide.u32 %rd3, %r0, 4;\nadd.u64 %rd3, %rd3, %rd0;\n"
	"st.global.u32 [%rd3], %r8;\nadd.u32 %r8, %r8, 1000;\nst.shared.u32 [%r7], %r8;\nfence.proxy.async;\nbar.sync 0;\n"
	"@%p0 bra END;\ncp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%rd1, {%r6, %r4, %r4}], [%r1];\n"
	"cp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\nEND:\nret;\n}\n";
enum { DEEP = 4, HIGH = 5, WIDE = 20, BOX = 2 * 3 * 8 };

static CUtensorMap map_of(CUdeviceptr at, CUtensorMapFloatOOBfill fill)
{
	CUtensorMap map;
	GOOD(encode(&map, CU_TENSOR_MAP_DATA_TYPE_UINT32, 3, (void *)(uintptr_t)at, (uint64_t[]){WIDE, HIGH, DEEP},
	            (uint64_t[]){WIDE * 4, WIDE * HIGH * 4}, (uint32_t[]){8, 3, 2}, (uint32_t[]){1, 1, 1},
	            CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_L2_PROMOTION_NONE, fill));
	return map;
}

/* Word i of the box that begins at x: 0 where it is outside. */
static uint32_t word_of_box(const uint32_t tensor[DEEP][HIGH][WIDE], int i, int x)
{
	int column = x + i % 8;
	return column < 0 || column >= WIDE ? 0 : tensor[1 + i / 24][1 + i / 8 % 3][column];
}

static void boxes(void **state)
{
	static uint32_t from[DEEP][HIGH][WIDE], to[DEEP][HIGH][WIDE];
	uint32_t y[BOX];
	(void)state;
	for (int i = 0; i < DEEP * HIGH * WIDE; i++)
		from[i / (HIGH * WIDE)][i / WIDE % HIGH][i % WIDE] = (uint32_t)i + 1;
	CUfunction f = load(box_text, "box");
	CUdeviceptr d_from = gpu_put(from, sizeof from), d_to = gpu_put(NULL, sizeof to), d_y = gpu_put(NULL, sizeof y);
	CUtensorMap map = map_of(d_from, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
				out = map_of(d_to, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
	CUdeviceptr d_out = gpu_put(&out, sizeof out);
	static const int starts[] = {4, -3, 17, 30};
	for (int s = 0; s < 4; s++) {
		int x = starts[s];
		GOOD(cu.cuMemsetD8_v2(d_to, 0, sizeof to));
		GOOD(cu.cuLaunchKernel(f, 1, 1, 1, BOX, 1, 1, 0, NULL, (void *[]){&d_y, &map, &d_out, &x}, NULL));
		gpu_get(y, d_y, sizeof y);
		gpu_get(to, d_to, sizeof to);
		for (int i = 0; i < BOX; i++) {
			assert_int_equal(y[i], word_of_box(from, i, x));
			assert_int_equal(to[i / 24][i / 8 % 3][8 + i % 8], y[i] + 1000);
		}
		assert_int_equal(to[0][0][7], 0);
		assert_int_equal(to[0][0][16], 0);
		assert_int_equal(to[2][0][8], 0);
	}
}

static void maps(void **state)
{
	CUtensorMap map;
	CUdeviceptr at = gpu_put(NULL, 4096);
	static const struct {
		uint64_t offset, stride;
		uint32_t box;
		CUtensorMapSwizzle swizzle;
		CUresult want;
	} cases[] = {
		{0, 128, 8, CU_TENSOR_MAP_SWIZZLE_NONE, CUDA_SUCCESS},
		{8, 128, 8, CU_TENSOR_MAP_SWIZZLE_NONE, CUDA_ERROR_INVALID_VALUE},
		{0, 120, 8, CU_TENSOR_MAP_SWIZZLE_NONE, CUDA_ERROR_INVALID_VALUE},
		{0, 128, 6, CU_TENSOR_MAP_SWIZZLE_NONE, CUDA_ERROR_INVALID_VALUE},
		{0, 128, 0, CU_TENSOR_MAP_SWIZZLE_NONE, CUDA_ERROR_INVALID_VALUE},
		{0, 128, 32, CU_TENSOR_MAP_SWIZZLE_128B, CUDA_SUCCESS},
		{0, 128, 32, CU_TENSOR_MAP_SWIZZLE_64B, CUDA_ERROR_INVALID_VALUE},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(encode(&map, CU_TENSOR_MAP_DATA_TYPE_UINT32, 2, (void *)(uintptr_t)(at + cases[i].offset),
		                        (uint64_t[]){32, 32}, &cases[i].stride, (uint32_t[]){cases[i].box, 8},
		                        (uint32_t[]){1, 1}, CU_TENSOR_MAP_INTERLEAVE_NONE, cases[i].swizzle,
		                        CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
		                 cases[i].want);
}

/* ---- the others ---- */
/* stmatrix of what ldmatrix read, transposed by one of them; elect; registers; a launch that nobody waits for. */
static const char others_text[] = HEAD
	".visible .entry k(.param .u64 y, .param .u64 x)\n{\n.reg .b32 %r<20>;\n.reg .b64 %rd<9>;\n.reg .pred %p<4>;\n"
	".shared .align 16 .b8 a[512];\n.shared .align 16 .b8 b[512];\nld.param.u64 %rd0, [y];\nld.param.u64 %rd1, [x];\n"
	"setmaxnreg.dec.sync.aligned.u32 40;\ngriddepcontrol.wait;\nmov.u32 %r0, %tid.x;\nmul.wide.u32 %rd2, %r0, 16;\n"
	"add.u64 %rd1, %rd1, %rd2;\nadd.u64 %rd3, %rd0, %rd2;\nld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd1];\nmov.u32 "
	"%r5, "
	"a;\nmad.lo.u32 %r5, %r0, 16, %r5;\nmov.u32 %r6, b;\nmad.lo.u32 %r6, %r0, 16, %r6;\nst.shared.v4.u32 [%r5], {%r1, "
	"%r2, %r3, %r4};\nbar.warp.sync -1;\nldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%r1, %r2, %r3, %r4}, [%r5];\n"
	"stmatrix.sync.aligned.m8n8.x4.shared.b16 [%r6], {%r4, %r3, %r2, %r1};\nbar.warp.sync -1;\nld.shared.v4.u32 {%r1, "
	"%r2, %r3, %r4}, [%r6];\nst.global.v4.u32 [%rd3], {%r1, %r2, %r3, %r4};\n"
	"stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%r6], {%r1, %r2};\nelect.sync %r7|%p1, -1;\nselp.u32 %r8, 1, 0, "
	"%p1;\nredux.sync.add.u32 %r8, %r8, -1;\nst.global.u32 [%rd0+512], "
	"%r8;\ngriddepcontrol.launch_dependents;\nret;\n}\n";

static void others(void **state)
{
	uint16_t x[4][8][8], y[4][8][8];
	uint32_t elected;
	(void)state;
	for (int i = 0; i < 256; i++)
		x[i / 64][i / 8 % 8][i % 8] = (uint16_t)(i * 7);
	CUdeviceptr d_x = gpu_put(x, sizeof x), d_y = gpu_put(NULL, sizeof y + 4);
	GOOD(gpu_launch(load(others_text, "k"), 1, 32, 0, NULL, (uint64_t[]){d_y, d_x}));
	gpu_get(y, d_y, sizeof y);
	gpu_get(&elected, d_y + 512, 4);
	assert_int_equal(elected, 1);
	for (int m = 0; m < 4; m++)
		for (int i = 0; i < 64; i++)
			assert_int_equal(y[m][i / 8][i % 8], x[3 - m][i % 8][i / 8]);
}

static int setup(void **state)
{
	(void)state;
	gpu_open();
	*(void **)(void *)&encode = dlsym(dlopen("libcuda.so.1", RTLD_NOW), "cuTensorMapEncodeTiled");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(products), cmocka_unit_test(boxes), cmocka_unit_test(maps),
	                                   cmocka_unit_test(others)};
	const struct CMUnitTest in_children[] = {cmocka_unit_test(tiles_past_the_end)};
	gpu_load_library();
	int failed = cmocka_run_group_tests(in_children, NULL, NULL);
	return failed + cmocka_run_group_tests(tests, setup, NULL);
}
