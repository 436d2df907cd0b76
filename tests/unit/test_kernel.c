/* Kernel descriptions: their equality depends on all fields and nothing else; arguments and costs of kernel.def. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "../../dag/kernel.h"

static const size_t size_of[KERNEL_FAMILIES] = {
	[KERNEL_ROWS] = sizeof(struct kernel_rows),       [KERNEL_CONTRACT] = sizeof(struct kernel_contract),
	[KERNEL_EMBED] = sizeof(struct kernel_embed),     [KERNEL_PICK] = sizeof(struct kernel_pick),
	[KERNEL_SLICE] = sizeof(struct kernel_slice),     [KERNEL_ANGLES] = sizeof(struct kernel_angles),
	[KERNEL_ROTATE] = sizeof(struct kernel_rotate),   [KERNEL_APPEND] = sizeof(struct kernel_append),
	[KERNEL_ATTEND] = sizeof(struct kernel_attend),   [KERNEL_ROUTE] = sizeof(struct kernel_route),
	[KERNEL_ASSIGN] = sizeof(struct kernel_assign),   [KERNEL_PACK] = sizeof(struct kernel_pack),
	[KERNEL_OFFSETS] = sizeof(struct kernel_offsets), [KERNEL_SORT] = sizeof(struct kernel_sort),
	[KERNEL_GATHER] = sizeof(struct kernel_gather),   [KERNEL_SCATTER] = sizeof(struct kernel_gather),
	[KERNEL_COMBINE] = sizeof(struct kernel_combine), [KERNEL_CANDIDATES] = sizeof(struct kernel_sample),
	[KERNEL_DRAW] = sizeof(struct kernel_sample),     [KERNEL_TILE] = sizeof(struct kernel_tile),
};

/* Marks the bytes of a description that belong to fields in the list. */
static void listed(enum kernel_family f, unsigned char *mask)
{
	memset(mask, 0, size_of[f]);
	for (const struct kernel_field *k = kernel_fields(f); k->size; k++)
		for (size_t i = 0; i < k->n; i++) {
			assert_true(k->offset + i * k->stride + k->size <= size_of[f]);
			memset(mask + k->offset + i * k->stride, 0xff, k->size);
		}
}

static void test_each_byte(void **state)
{
	(void)state;
	static unsigned char mask[sizeof(struct kernel)];
	for (int f = 0; f < KERNEL_FAMILIES; f++) {
		struct kernel a, b;
		memset(&a, 0, sizeof a);
		a.family = (enum kernel_family)f;
		listed(a.family, mask);
		for (size_t i = 0; i < size_of[f]; i++) {
			memcpy(&b, &a, sizeof a);
			((unsigned char *)&b.rows)[i] ^= 1;
			assert_int_equal(kernel_equal(&a, &b), !mask[i]);
		}
	}
}

/* The compiler knows which bytes lie between fields. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define KNOWS_PADDING
#endif
#endif
#ifdef KNOWS_PADDING
/* gcc 12 is wrong about arrays of structs, so elements and gaps are handled one by one. */
static void rows_padding(struct kernel_rows *k)
{
	for (int i = 0; i < ROWS_MAX_OPERANDS; i++)
		__builtin_clear_padding(&k->input[i]);
	for (size_t i = 0; i < sizeof k->output / sizeof *k->output; i++)
		__builtin_clear_padding(&k->output[i]);
	for (int i = 0; i < ROWS_MAX_NODES; i++)
		__builtin_clear_padding(&k->node[i]);
	memset((char *)k + sizeof k->dims, 0, offsetof(struct kernel_rows, extent) - sizeof k->dims);
	memset(&k->n_nodes + 1, 0,
	       offsetof(struct kernel_rows, node) - offsetof(struct kernel_rows, n_nodes) - sizeof k->n_nodes);
	memset(&k->ranged + 1, 0, offsetof(struct kernel_rows, groups) - offsetof(struct kernel_rows, ranged) - 1);
}
#endif

static void test_no_field_is_left_out(void **state)
{
	(void)state;
#ifdef KNOWS_PADDING
	static unsigned char want[sizeof(struct kernel)];
#define CHECK(family, type, padding)             \
	do {                                         \
		static struct type s;                    \
		memset(&s, 0xff, sizeof s);              \
		padding(&s);                             \
		listed(family, want);                    \
		assert_memory_equal(&s, want, sizeof s); \
	} while (0)
	CHECK(KERNEL_ROWS, kernel_rows, rows_padding);
	CHECK(KERNEL_CONTRACT, kernel_contract, __builtin_clear_padding);
	CHECK(KERNEL_EMBED, kernel_embed, __builtin_clear_padding);
	CHECK(KERNEL_TILE, kernel_tile, __builtin_clear_padding);
	CHECK(KERNEL_PICK, kernel_pick, __builtin_clear_padding);
	CHECK(KERNEL_SLICE, kernel_slice, __builtin_clear_padding);
	CHECK(KERNEL_ANGLES, kernel_angles, __builtin_clear_padding);
	CHECK(KERNEL_ROTATE, kernel_rotate, __builtin_clear_padding);
	CHECK(KERNEL_APPEND, kernel_append, __builtin_clear_padding);
	CHECK(KERNEL_ATTEND, kernel_attend, __builtin_clear_padding);
	CHECK(KERNEL_ROUTE, kernel_route, __builtin_clear_padding);
	CHECK(KERNEL_ASSIGN, kernel_assign, __builtin_clear_padding);
	CHECK(KERNEL_PACK, kernel_pack, __builtin_clear_padding);
	CHECK(KERNEL_OFFSETS, kernel_offsets, __builtin_clear_padding);
	CHECK(KERNEL_SORT, kernel_sort, __builtin_clear_padding);
	CHECK(KERNEL_GATHER, kernel_gather, __builtin_clear_padding);
	CHECK(KERNEL_COMBINE, kernel_combine, __builtin_clear_padding);
	CHECK(KERNEL_DRAW, kernel_sample, __builtin_clear_padding);
#else
	skip();
#endif
}

static void test_family_and_name(void **state)
{
	(void)state;
	struct kernel a, b;
	memset(&a, 0, sizeof a);
	memset(&b, 0, sizeof b);
	a.family = KERNEL_CANDIDATES, b.family = KERNEL_DRAW;
	assert_false(kernel_equal(&a, &b));
	b.family = KERNEL_CANDIDATES;
	strcpy(b.name, "candidates_1");
	assert_true(kernel_equal(&a, &b));
}

/* ---- arguments and costs --------------------------------------------------------------------- */
static void argument(const struct kernel *k, int i, const int64_t *values, const char *name, enum arg_direction way,
                     int64_t reach)
{
	struct kernel_arg a = kernel_arg(k, i, values);
	assert_string_equal(a.name, name);
	assert_int_equal(a.direction, way);
	assert_int_equal(a.reach, reach);
	assert_int_equal(kernel_arg(k, i, NULL).reach, 0);
}

/* 5 rows of 2 batches, each of 3 outputs of 7 elements; tiles of 16 x 2. */
static struct kernel contraction(void)
{
	struct kernel k = {.family = KERNEL_CONTRACT};
	k.contract = (struct kernel_contract){.n = 3,
	                                      .k = 7,
	                                      .x_stride = 20,
	                                      .y_stride = 10,
	                                      .batch = 2,
	                                      .x_batch = 8,
	                                      .y_batch = 4,
	                                      .x = DTYPE_BF16,
	                                      .w = DTYPE_BF16,
	                                      .y = DTYPE_F32,
	                                      .pack = {16, 2, false},
	                                      .groups = 1};
	return k;
}

static void test_contraction(void **state)
{
	(void)state;
	struct kernel k = contraction();
	const int64_t values[CONTRACT_ARGUMENTS] = {[CONTRACT_M] = 5};
	assert_int_equal(kernel_args(&k), 4);
	argument(&k, CONTRACT_X, values, "X", ARG_IN, (4 * 20 + 8 + 7) * 2);
	argument(&k, CONTRACT_W, values, "W", ARG_IN, 2 * 16 * 8 * 2);
	argument(&k, CONTRACT_Y, values, "Y", ARG_OUT, (4 * 10 + 4 + 3) * 4);
	argument(&k, CONTRACT_M, values, "M", ARG_NUMBER, 0);
	assert_int_equal(kernel_elements(&k), 2 * 3 * 7);
	struct kernel_cost c = kernel_cost(&k, values, 0, 0);
	assert_true(c.operations == 2 * 5 * 2 * 3 * 7);
	assert_true(c.bytes == (4 * 20 + 8 + 7) * 2 + 2 * 16 * 8 * 2 + (4 * 10 + 4 + 3) * 4);
	k.contract.grouped = true, k.contract.groups = 6, k.contract.batch = 1;
	assert_int_equal(kernel_args(&k), 5);
	argument(&k, CONTRACT_W, values, "W", ARG_IN, 6 * 16 * 8 * 2);
	argument(&k, CONTRACT_OFFSETS, values, "OFFSETS", ARG_IN, 28);
	assert_int_equal(kernel_elements(&k), 0);
	assert_true(kernel_cost(&k, values, 0, 6).bytes - kernel_cost(&k, values, 0, 2).bytes == 4 * 16 * 8 * 2);
}

/* Two more weights, of 17 and 5 outputs: the operand counts once. */
static void test_parts(void **state)
{
	(void)state;
	struct kernel k = contraction();
	const int64_t values[CONTRACT_ARGUMENTS + 2] = {[CONTRACT_M] = 5};
	double alone = kernel_cost(&k, values, 0, 0).bytes;
	k.contract.more = 2;
	k.contract.other[0] = (struct contract_part){.n = 17, .y_stride = 40, .y_batch = 20};
	k.contract.other[1] = (struct contract_part){.n = 5, .y_stride = 6, .y_batch = 30};
	assert_int_equal(kernel_args(&k), 8);
	argument(&k, 4, values, "OTHER_W", ARG_IN, 2 * 32 * 8 * 2);
	argument(&k, 5, values, "OTHER_W", ARG_IN, 2 * 16 * 8 * 2);
	argument(&k, 6, values, "OTHER_Y", ARG_OUT, (4 * 40 + 20 + 17) * 4);
	argument(&k, 7, values, "OTHER_Y", ARG_OUT, (4 * 6 + 30 + 5) * 4);
	assert_int_equal(contract_weight(&k.contract, 2), 5);
	assert_int_equal(contract_result(&k.contract, 1), 6);
	assert_int_equal(kernel_elements(&k), 2 * 25 * 7);
	assert_int_equal(kernel_work(&k, values).product.n, 25);
	struct kernel_cost c = kernel_cost(&k, values, 0, 0);
	assert_true(c.operations == 2 * 5 * 2 * 25 * 7);
	assert_true(c.bytes - alone == 2 * 32 * 8 * 2 + 2 * 16 * 8 * 2 + (4 * 40 + 20 + 17) * 4 + (4 * 6 + 30 + 5) * 4);
	k.contract.grouped = true, k.contract.groups = 6, k.contract.batch = 1;
	assert_int_equal(kernel_args(&k), 9);
	argument(&k, 4, values, "OFFSETS", ARG_IN, 28);
	argument(&k, 5, values, "OTHER_W", ARG_IN, 6 * 32 * 8 * 2);
	argument(&k, 8, values, "OTHER_Y", ARG_OUT, (4 * 6 + 5) * 4);
}

/* The number comes after as many arguments as there are operands. */
static void test_rows(void **state)
{
	(void)state;
	struct kernel k = {.family = KERNEL_ROWS};
	k.rows.dims = 2, k.rows.extent[0] = 3, k.rows.extent[1] = 4;
	k.rows.n_inputs = 2, k.rows.n_outputs = 1, k.rows.n_nodes = 3;
	k.rows.input[0] = (struct rows_operand){.dtype = DTYPE_BF16, .row_stride = 100, .stride = {10, 2}};
	k.rows.input[1] = (struct rows_operand){.dtype = DTYPE_F32, .stride = {0, 1}, .group_stride = 50};
	k.rows.output[0] = (struct rows_operand){.dtype = DTYPE_F32, .row_stride = 12, .stride = {4, 1}};
	const int64_t values[] = {0, 0, 0, 9, 0};
	assert_int_equal(kernel_args(&k), 4);
	argument(&k, 0, values, "INPUT", ARG_IN, (8 * 100 + 2 * 10 + 3 * 2 + 1) * 2);
	argument(&k, 1, values, "INPUT", ARG_IN, 4 * 4);
	argument(&k, 2, values, "OUTPUT", ARG_OUT, 9 * 12 * 4);
	argument(&k, 3, values, "M", ARG_NUMBER, 0);
	k.rows.limited = true;
	assert_int_equal(kernel_args(&k), 5);
	argument(&k, 4, values, "LIMIT", ARG_IN, 4);
	k.rows.groups = 3;
	argument(&k, 1, values, "INPUT", ARG_IN, (2 * 50 + 4) * 4);
	argument(&k, 4, values, "LIMIT", ARG_IN, 16);
	assert_int_equal(kernel_elements(&k), 12);
	assert_true(kernel_cost(&k, values, 0, 0).operations == 9 * 12 * 3);
}

static void test_attention(void **state)
{
	(void)state;
	struct kernel k = {.family = KERNEL_ATTEND};
	k.attend = (struct kernel_attend){.heads = 2,
	                                  .group = 4,
	                                  .d = 16,
	                                  .w = 8,
	                                  .page = 32,
	                                  .q_row = 128,
	                                  .q_head = 64,
	                                  .q_group = 16,
	                                  .kv = DTYPE_BF16};
	const int64_t values[ATTEND_ARGUMENTS] = {[ATTEND_M] = 3};
	assert_int_equal(kernel_args(&k), 9);
	argument(&k, ATTEND_WORKSPACE, values, "WORKSPACE", ARG_OUT, kernel_workspace(&k));
	assert_int_equal(kernel_workspace(&k), 4 * 32 * (16 + 32 + 32)); /* a width of 8 takes a whole line */
	struct kernel wide = k;
	wide.attend.page = 4096, wide.attend.d = 100000;
	assert_int_equal(attend_tile(&wide.attend).positions, 1024);
	assert_int_equal(attend_tile(&wide.attend).queries, 2);
	wide.attend.d = 300000;
	assert_int_equal(attend_tile(&wide.attend).queries, 1);
	argument(&k, ATTEND_KEYS, values, "KEYS", ARG_IN, ARG_INDEXED);
	assert_true(kernel_cost(&k, values, 100, 0).operations == 2.0 * 3 * 8 * 24 * 100);
	double more = kernel_cost(&k, values, 164, 0).bytes - kernel_cost(&k, values, 100, 0).bytes;
	assert_true(more == 64 * 3 * 2 * (16 + 8) * 2 + 4 * 3 * 2);
	k.attend.has_sinks = true, k.attend.sink_head = 4, k.attend.sink_group = 1, k.attend.sink = DTYPE_BF16;
	assert_int_equal(kernel_args(&k), 10);
	argument(&k, ATTEND_SINKS, values, "SINKS", ARG_IN, 8 * 2);
	k.attend.has_slopes = true, k.attend.slope_head = 4, k.attend.slope_group = 1, k.attend.slope = DTYPE_F32;
	assert_int_equal(kernel_args(&k), 11);
	argument(&k, attend_slopes_argument(&k.attend), values, "SLOPES", ARG_IN, 8 * 4);
	k.attend.has_sinks = false;
	argument(&k, attend_slopes_argument(&k.attend), values, "SLOPES", ARG_IN, 8 * 4);
}

/* Routing needs keys of its own only if they are not the scores. */
static void test_routing(void **state)
{
	(void)state;
	struct kernel k = {.family = KERNEL_ROUTE, .route = {.experts = 40, .top = 2}};
	assert_int_equal(kernel_args(&k), 5);
	assert_int_equal(kernel_workspace(&k), 0);
	k.route.groups = 8;
	assert_int_equal(kernel_args(&k), 6);
	assert_int_equal(kernel_workspace(&k), 256);
	k.route.groups = 1, k.route.biased = true;
	assert_int_equal(kernel_args(&k), 7);
	assert_int_equal(kernel_workspace(&k), 256);
	k.route.experts = 32;
	assert_int_equal(kernel_workspace(&k), 128);
}

/* A result to which later rounds add is read and written. */
static void test_sums_of_rounds(void **state)
{
	(void)state;
	struct kernel k = {.family = KERNEL_COMBINE};
	k.combine = (struct kernel_combine){.d = 4, .top = 2, .dests = 3, .local = 5, .dtype = DTYPE_BF16};
	const int64_t values[COMBINE_ARGUMENTS] = {[COMBINE_M] = 7, [COMBINE_C] = 6};
	argument(&k, COMBINE_ROWS, values, "ROWS", ARG_IN, 6 * 3 * 4 * 2);
	argument(&k, COMBINE_START, values, "START", ARG_IN, 64);
	argument(&k, COMBINE_OUT, values, "OUT", ARG_INOUT, 7 * 4 * 4);
	assert_true(kernel_cost(&k, values, 0, 0).bytes == 144 + 4 * 7 * 2 * 4 + 64 + 2 * 112);
}

/* A row's tiles are those of all groups up to its own. */
static void test_tiles(void **state)
{
	(void)state;
	struct kernel k = {.family = KERNEL_TILE, .tile = {{128, 32, true}}};
	const int64_t values[TILE_ARGUMENTS] = {[TILE_M] = 7, [TILE_FIRST] = 299, [TILE_N] = 300, [TILE_WORDS] = 64};
	argument(&k, TILE_FROM, values, "FROM", ARG_IN, 7 * 64 * 4);
	argument(&k, TILE_TO, values, "TO", ARG_OUT, 2 * 384 * 64 * 4);
	assert_true(kernel_cost(&k, values, 0, 0).bytes == 2 * 7 * 64 * 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_byte),       cmocka_unit_test(test_no_field_is_left_out),
		cmocka_unit_test(test_family_and_name), cmocka_unit_test(test_contraction),
		cmocka_unit_test(test_parts),           cmocka_unit_test(test_rows),
		cmocka_unit_test(test_attention),       cmocka_unit_test(test_routing),
		cmocka_unit_test(test_sums_of_rounds),  cmocka_unit_test(test_tiles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
