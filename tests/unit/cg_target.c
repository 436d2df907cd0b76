/* The table of processors (target/cpu.def) agrees with LLVM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../codegen/codegen.h"

static const char *const names[] = {
#define X(name, floats, bf16_dot) name,
#include "../../target/cpu.def"
#undef X
};

static void assert_same(const char *cpu)
{
	struct target ours, llvm;
	assert_true(target_find(cpu, &ours));
	assert_true(codegen_target(cpu, &llvm));
	if (ours.lanes != llvm.lanes || ours.bf16_dot != llvm.bf16_dot)
		fail_msg("%s: %d %d, of LLVM %d %d", cpu ? cpu : "default", ours.lanes, ours.bf16_dot, llvm.lanes,
		         llvm.bf16_dot);
}

static void each_row_is_as_llvm_has_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_same(names[i]);
	assert_same(NULL);
}

static void other_names_are_left_to_llvm(void **state)
{
	(void)state;
	struct target target;
	assert_false(target_find("native", &target));
	assert_false(target_find("i386", &target));
	assert_false(target_find("help", &target));
	assert_true(codegen_target("native", &target));
	assert_false(codegen_target("no-such-cpu", &target));
}

/* What docs/language.md and docs/gpu.md say of launches. */
static void workers(void **state)
{
	(void)state;
	struct target cpu = target_cpu(16, true), gpu = target_gpu();
	assert_int_equal(cpu.image, DR_IMAGE_FUNCTIONS);
	assert_int_equal(cpu.workers, 64);
	assert_int_equal(cpu.worker_elements, 16384);
	assert_true(cpu.lanes == 16 && cpu.bf16_dot && !cpu.gap);
	assert_int_equal(gpu.image, DR_IMAGE_PTX);
	assert_int_equal(gpu.workers, 8192);
	assert_int_equal(gpu.worker_elements, 1);
	assert_true(gpu.lanes == 1 && !gpu.bf16_dot && !gpu.gap);
}

/* Two vectors of outputs; pairs where both formats are bf16 and the processor multiplies them. */
static void tiles(void **state)
{
	(void)state;
	for (int bf16_dot = 0; bf16_dot < 2; bf16_dot++) {
		struct target t = {.lanes = 8, .bf16_dot = bf16_dot};
		struct packing both = target_packing(&t, DTYPE_BF16, DTYPE_BF16);
		assert_int_equal(both.n_tile, 16);
		assert_int_equal(both.k_run, bf16_dot ? 2 : 1);
		assert_int_equal(target_packing(&t, DTYPE_F32, DTYPE_BF16).k_run, 1);
		assert_int_equal(target_packing(&t, DTYPE_BF16, DTYPE_F32).k_run, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_is_as_llvm_has_it),
		cmocka_unit_test(other_names_are_left_to_llvm),
		cmocka_unit_test(workers),
		cmocka_unit_test(tiles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
