/* Equality of kernel descriptions: every field counts, and nothing else. */
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
	[KERNEL_DRAW] = sizeof(struct kernel_sample),
};

/* Which bytes of a description are of its fields, as the list says. */
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
/* gcc 12 is wrong about arrays of structs: their elements one by one, and the gaps besides. */
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
	memset(&k->limited + 1, 0, offsetof(struct kernel_rows, groups) - offsetof(struct kernel_rows, limited) - 1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_byte),
		cmocka_unit_test(test_no_field_is_left_out),
		cmocka_unit_test(test_family_and_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
