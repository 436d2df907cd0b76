/* What is refused when a module is loaded, by the emulator and by ptxas; and the codes and messages that come with it.
 */
#include "gpu_test.h"

static const struct refused {
	const char *text, *message;
	CUresult code;
} refused[] = {
#define HEAD ".version 7.8\n.target sm_90\n.address_size 64\n"
#define BODY(it)                                                                                                  \
	HEAD ".visible .entry k(.param .u64 a)\n{\n.reg .b32 %r<9>;\n.reg .b64 %rd<9>;\n.reg .f32 %f<9>;\n.reg .b16 " \
		 "%rs<9>;\n.reg .pred %p<9>;\n" it "\nret;\n}\n"
	{BODY("frobnicate.u32 %r1, %r2;"), "line 11", CUDA_ERROR_INVALID_PTX},
	{BODY("add.u32 %r1, %r2;"), "operands", CUDA_ERROR_INVALID_PTX},
	{BODY("add.rn.u32 %r1, %r2, %r3;"), "not an instruction", CUDA_ERROR_INVALID_PTX},
	{BODY("add.u32 %r1, %r2, %rd3;"), "cannot be an operand", CUDA_ERROR_INVALID_PTX},
	{BODY("add.u32 %r1, %f2, %r3;"), "cannot be an operand", CUDA_ERROR_INVALID_PTX},
	{BODY("add.f32 %f1, %f2, 1;"), "integer", CUDA_ERROR_INVALID_PTX},
	{BODY("add.u32 %r1, %r2, %r99;"), "not declared", CUDA_ERROR_INVALID_PTX},
	{BODY("bra NOWHERE;"), "NOWHERE", CUDA_ERROR_INVALID_PTX},
	{BODY("A: A: add.u32 %r1, %r2, %r3;"), "twice", CUDA_ERROR_INVALID_PTX},
	{BODY("ld.shared.f32 %r1, [missing];"), "missing", CUDA_ERROR_INVALID_PTX},
	{BODY("ld.global.v2.u32 {%r1, %r2, %r3}, [%rd1];"), "elements", CUDA_ERROR_INVALID_PTX},
	{BODY("ld.global.u32 %rs1, [%rd1];"), "%rs1", CUDA_ERROR_INVALID_PTX},
	{BODY("st.const.u32 [%rd1], %r1;"), "not an instruction", CUDA_ERROR_INVALID_PTX},
	{BODY("cvt.s32.f32 %r1, %f1;"), "rounding", CUDA_ERROR_INVALID_PTX},
	{BODY("cvt.rn.f32.f64 %f1, %f2;"), "cannot be an operand", CUDA_ERROR_INVALID_PTX},
	{BODY("cvt.rni.f32.s32 %f1, %r1;"), "rounding", CUDA_ERROR_INVALID_PTX},
	{BODY("fma.f32 %f1, %f2, %f3, %f4;"), "not an instruction", CUDA_ERROR_INVALID_PTX},
	{BODY("div.f32 %f1, %f2, %f3;"), "not an instruction", CUDA_ERROR_INVALID_PTX},
	{BODY("call missing;"), "missing", CUDA_ERROR_INVALID_PTX},
	{BODY("@%r1 add.u32 %r1, %r2, %r3;"), "predicate", CUDA_ERROR_INVALID_PTX},
	{BODY("mov.b64 %rd1, {%r1, %r2, %r3};"), "elements", CUDA_ERROR_INVALID_PTX},
	{BODY("shfl.bfly.b32 %r1, %r2, 1, 31;"), "not an instruction", CUDA_ERROR_INVALID_PTX},
	{BODY("add.u32 %r1, %r2, %r3"), ";", CUDA_ERROR_INVALID_PTX},
	{BODY(".shared .align 4 .b8 large[50000];\nmov.u32 %r1, large;\nst.shared.u32 [%r1], %r1;"), "49152",
     CUDA_ERROR_INVALID_PTX},
	{HEAD ".visible .entry k()\n{\nret;\n", "in a function", CUDA_ERROR_INVALID_PTX},
	{HEAD ".const .align 4 .b8 large[70000];\n", "65536", CUDA_ERROR_INVALID_PTX},
	{HEAD ".global .u32 x[2] = {1, 2, 3};\n", "more initial values", CUDA_ERROR_INVALID_PTX},
	{".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry k()\n{\n.reg .b16 %h<4>;\nadd.bf16 %h1, %h2, "
     "%h3;\nret;\n}\n",
     "needs sm_90", CUDA_ERROR_INVALID_PTX},
	{".version 99.0\n.target sm_90\n.address_size 64\n", "too new", CUDA_ERROR_UNSUPPORTED_PTX_VERSION},
};

static void refusals(void **state)
{
	char log[1000];
	int wrong = 0;
	(void)state;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		CUresult r = gpu_loads(refused[i].text, true, log, sizeof log);
		bool right = r == refused[i].code && (!gpu_is_emulated() || strstr(log, refused[i].message));
		if (!right)
			print_error("%s: %d, %s\n", refused[i].text, r, log);
		wrong += !right;
	}
	assert_int_equal(wrong, 0);
}

/* Instructions that look alike: `refused` or not, as ptxas sees it. */
static const struct single {
	const char *text;
	bool refused;
} singles[] = {
	{"cvt.f32.bf16 %f1, %h1;", false},
	{"cvt.rn.bf16.f16 %h1, %h2;", false},
	{"cvt.rp.bf16.f32 %h1, %f2;", false},
	{"cvt.rni.u8.bf16 %h1, %h2;", true},
	{"cvt.u32.bf16 %r1, %h2;", true},
	{"cvt.rn.sat.f16.f32 %h1, %f1;", false},
	{"cvt.rn.f32.f16 %f1, %h2;", true},
	{"cvt.rz.sat.bf16.f32 %h1, %f2;", true},
	{"cvt.rm.f16x2.f32 %r1, %f2, %f1;", true},
	{"cvt.rn.relu.bf16x2.f32 %r1, %f2, %f1;", false},
	{"cvt.rzi.ftz.s32.f64 %r1, %d2;", true},
	{"cvt.u8.u32 %r1, %r2;", false},
	{"cvt.u64.u32 %rd1, %tid.x;", false},
	{"cvt.rn.f32.u32 %f1, %tid.x;", true},
	{"neg.s32 %r1, %tid.x;", true},
	{"st.global.u32 [%rd1], %tid.x;", true},
	{"mov.u64 %rd1, %tid.x;", true},
	{"mov.b32 %r1, %laneid;", false},
	{"add.u32 %r1, %r2, WARP_SZ;", false},
	{"add.s32 %r1, %r2, 1.0;", true},
	{"add.f32 %f1, %r1, %r2;", false},
	{"add.f64 %d1, %d2, 0f3F800000;", false},
	{"add.f16 %h1, %h2, 0f3F800000;", true},
	{"mov.b32 %r1, %f1;", false},
	{"mov.u32 %r1, %f1;", true},
	{"ld.global.f32 %r1, [%rd1];", false},
	{"ld.global.u32 %f1, [%rd1];", true},
	{"ld.global.u32 %r1, [%r2];", true},
	{"ld.global.u32 _, [%rd1];", true},
	{"ld.global.v2.u32 {_, %r1}, [%rd1];", false},
	{"ld.global.v4.f64 {%d1, %d2, %d3, %d1}, [%rd1];", true},
	{"st.global.u16 [%rd1], %r1;", false},
	{"st.global.L1::evict_last.u32 [%rd1], %r1;", false},
	{"atom.global.add.u32 _, [%rd1], 1;", false},
	{"atom.global.add.s64 %rd1, [%rd2], 1;", true},
	{"atom.global.min.f32 %f1, [%rd2], %f1;", true},
	{"setp.lt.s32 %p1|_, %r1, %r2;", false},
	{"setp.eq.s32 %r1, %r2, %r3;", true},
	{"shfl.sync.idx.b32 _|%p1, %r2, 0, 0x1f, 0xffffffff;", true},
	{"selp.b32 %r1, %r2, %r3, !%p1;", false},
	{"lop3.b32 %r1, %r2, %r3, %r1, %r2;", true},
	{"bar.sync 16;", true},
	{"bar.sync 0, 33;", true},
	{"bar.arrive 0;", true},
	{"add.s32 _, %r1, %r2;", true},
	{"mul.s32 %r1, %r2, %r3;", true},
	{"shl.b32 %r1, %r2, %rd1;", true},
	{"mma.sync.aligned.m16n8k16.row.col.f32.bf16.f16.f32 {%f1, %f2, %f3, %f1}, {%r1, %r2, %r3, %r1}, {%r1, %r2}, {%f1, "
     "%f2, %f3, %f1};",
     true},
	{"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f1}, {%r1, %r2}, {%r1, %r2}, {%f1, %f2, "
     "%f3, %f1};",
     true},
	{"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f1}, {%f1, %f2, %f3, %f1}, {%r1, %r2}, "
     "{%f1, %f2, %f3, %f1};",
     true},
	{"ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r1}, [%r2];", true},
	{"ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [%r2];", false},
	{"cp.async.cg.shared.global [%r1], [%rd1], 8;", true},
	{"cp.async.ca.shared.global [%r1], [%rd1], 8, %r2;", false},
	{"cp.async.wait_group %r1;", true},
	{"cp.async.wait_group;", true},
	{"cp.async.commit_group 1;", true},
	{"ld.global.L2::cache_hint.u32 %r1, [%rd1];", true},
	{"tanh.approx.ftz.f32 %f1, %f2;", true},
	{"fma.rn.sat.relu.f16 %h1, %h2, %h3, %h1;", true},
	{"add.rz.f16 %h1, %h2, %h3;", true},
};

static void alike(void **state)
{
	char text[1000], log[1000];
	int wrong = 0;
	(void)state;
	for (size_t i = 0; i < sizeof singles / sizeof *singles; i++) {
		snprintf(text, sizeof text,
		         HEAD
		         ".visible .entry k()\n{\n.reg .b16 %%h<4>;\n.reg .f32 %%f<4>;\n.reg .b32 %%r<4>;\n.reg .b64 %%rd<4>;\n"
		         ".reg .f64 %%d<4>;\n.reg .pred %%p<4>;\n%s\nret;\n}\n",
		         singles[i].text);
		CUresult r = gpu_loads(text, singles[i].refused, log, sizeof log);
		if ((r != CUDA_SUCCESS) != singles[i].refused)
			print_error("%s is %s\n", singles[i].text, r ? log : "accepted");
		wrong += (r != CUDA_SUCCESS) != singles[i].refused;
	}
	assert_int_equal(wrong, 0);
}

/* What the text of a newer GPU and what is not PTX return. */
static void images(void **state)
{
	CUmodule m;
	(void)state;
	assert_int_equal(cu.cuModuleLoadData(&m, ".version 8.7\n.target sm_100\n.address_size 64\n"),
	                 CUDA_ERROR_NO_BINARY_FOR_GPU);
	assert_int_equal(cu.cuModuleLoadData(&m, "not a module at all"), CUDA_ERROR_INVALID_IMAGE);
	assert_int_equal(cu.cuModuleLoadData(NULL, HEAD), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cu.cuModuleLoadData(&m, NULL), CUDA_ERROR_INVALID_VALUE);
}

/* Comments, directives, debug sections, older targets. */
static void accepted(void **state)
{
	CUmodule m;
	(void)state;
	GOOD(cu.cuModuleLoadData(
		&m, "//\n// Generated\n//\n.version 7.0\n.target sm_80, debug\n.address_size 64\n\t// .globl k\n"
			".file 1 \"a.deploy\"\n.visible .entry k(\n\t.param .u64 .ptr .global .align 16 k_param_0\n)\n.maxntid "
			"128, 1, 1\n"
			".minnctapersm 2\n{\n/* a\ncomment */ .reg .b32 \t%r<2>;\n.loc 1 3 0\n.pragma \"nounroll\";\nmov.u32 %r1, "
			"WARP_SZ;\nret;\n"
			"}\n.section .debug_abbrev\n{\n.b8 1\n.b8 17, 0\n}\n"));
	GOOD(cu.cuModuleUnload(m));
}

/* The kernels that deployc emits: of some samples, and of some models at full size. */
static void of_deployc(void **state)
{
	static const char *const specs[] = {"tiny_llama.deploy",
	                                    "tiny_mixtral.deploy",
	                                    "own_op.deploy",
	                                    "library.deploy --deploy DeepSeek671B",
	                                    "library.deploy --deploy GPTOSS20B",
	                                    "library.deploy --deploy Gemma27B"};
	static char text[1 << 22];
	const char *deployc = getenv("DEPLOYC");
	(void)state;
	if (!deployc) {
		fprintf(stderr, "DEPLOYC is not set: the kernels that it emits are not loaded\n");
		skip();
	}
	for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
		char command[600];
		CUmodule m;
		snprintf(command, sizeof command, "%s samples/%s --target=cuda --emit=ptx", deployc, specs[i]);
		FILE *pipe = popen(command, "r");
		text[fread(text, 1, sizeof text - 1, pipe)] = 0;
		assert_int_equal(pclose(pipe), 0);
		GOOD(cu.cuModuleLoadData(&m, text));
		GOOD(cu.cuModuleUnload(m));
	}
}

static int setup(void **state)
{
	(void)state;
	gpu_open();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(refusals), cmocka_unit_test(alike), cmocka_unit_test(images),
	                                   cmocka_unit_test(accepted), cmocka_unit_test(of_deployc)};
	return cmocka_run_group_tests(tests, setup, NULL);
}
