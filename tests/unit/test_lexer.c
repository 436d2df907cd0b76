/* Tokens, numbers and units. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "../../lexer/lexer.h"
#include "../../lexer/units.h"
#include "parser/grammar.tab.h"

struct lexed {
	struct arena arena;
	struct sources sources;
	struct sink sink;
	struct tokens tokens;
	const char *text;
};

static void lex_text(struct lexed *l, const char *text)
{
	*l = (struct lexed){.text = text};
	l->sources.arena = l->sink.arena = &l->arena;
	l->sink.sources = &l->sources;
	l->tokens = lex(&l->arena, &l->sink, sources_add(&l->sources, "a", "a", text, strlen(text)));
}

/* The kinds of the tokens, ended by the end of the file. */
static void assert_kinds(const char *text, const int *kinds)
{
	struct lexed l;
	lex_text(&l, text);
	for (int i = 0; i < l.tokens.n; i++)
		assert_int_equal(l.tokens.at[i].kind, kinds[i]);
	assert_int_equal(kinds[l.tokens.n - 1], 0);
	assert_int_equal(l.sink.errors, 0);
	arena_free(&l.arena);
}
#define KINDS(...) (const int[]){__VA_ARGS__, 0}

static void kinds_of_tokens(void **state)
{
	(void)state;
	assert_kinds("let x = y", KINDS(TOK_IDENT, TOK_IDENT, '=', TOK_IDENT));
	assert_kinds("128..10240", KINDS(TOK_NUMBER, TOK_DOTDOT, TOK_NUMBER));
	assert_kinds("1.5e3 10_240 1e-6 1e+6", KINDS(TOK_NUMBER, TOK_NUMBER, TOK_NUMBER, TOK_NUMBER));
	assert_kinds("x @[d] w", KINDS(TOK_IDENT, TOK_ATLB, TOK_IDENT, ']', TOK_IDENT));
	assert_kinds("a -> b ...t <= >= == != ; !", KINDS(TOK_IDENT, TOK_ARROW, TOK_IDENT, TOK_ELLIPSIS, TOK_IDENT, TOK_LE,
	                                                  TOK_GE, TOK_EQ, TOK_NE, TOK_NL, '!'));
	assert_kinds("in inn true \"a \\\" b\"", KINDS(TOK_IN, TOK_IDENT, TOK_TRUE, TOK_STRING));
	assert_kinds("a // b\n/* c\n** */ d /// e", KINDS(TOK_IDENT, TOK_IDENT));
	assert_kinds("\xEF\xBB\xBFx", KINDS(TOK_IDENT));
}

static void quantities_are_cut_back(void **state)
{
	(void)state;
	static const struct {
		const char *text, *token;
		int kind;
	} cases[] = {
		{"80 GiB", "80 GiB", TOK_QUANTITY},
		{"80GiB", "80GiB", TOK_QUANTITY},
		{"80  GiB", "80", TOK_NUMBER},
		{"3.35 TB/s", "3.35 TB/s", TOK_QUANTITY},
		{"100 tokens/ms", "100 tokens/ms", TOK_QUANTITY},
		{"50%", "50%", TOK_QUANTITY},
		{"5 GB/n", "5 GB", TOK_QUANTITY},
		{"5 GB*s_max", "5 GB", TOK_QUANTITY},
		{"2 s^2/GB", "2 s^2/GB", TOK_QUANTITY},
		{"5 in x", "5", TOK_NUMBER},
		{"5 s_max", "5", TOK_NUMBER},
		{"1e6", "1e6", TOK_NUMBER},
		{"1e6 B", "1e6 B", TOK_QUANTITY},
		{"1e+6 B", "1e+6 B", TOK_QUANTITY},
		{"5 EFLOPS", "5 EFLOPS", TOK_QUANTITY},
		{"5EFLOPS", "5EFLOPS", TOK_QUANTITY},
		{"7B", "7B", TOK_QUANTITY},
		{"2*s", "2", TOK_NUMBER},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct lexed l;
		lex_text(&l, cases[i].text);
		assert_int_equal(l.tokens.at[0].kind, cases[i].kind);
		assert_int_equal(l.tokens.at[0].hi, strlen(cases[i].token));
		arena_free(&l.arena);
	}
}

static void lines_and_indentation(void **state)
{
	(void)state;
	struct lexed l;
	lex_text(&l, "a b\n\t c /*\n*/ d");
	static const struct {
		bool line_start;
		int indent;
	} expected[] = {{true, 0}, {false, 0}, {true, 9}, {true, 3}, {true, 0}};
	assert_int_equal(l.tokens.n, 5);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(l.tokens.at[i].line_start, expected[i].line_start);
		assert_int_equal(l.tokens.at[i].indent, expected[i].indent);
	}
	arena_free(&l.arena);
}

static void assert_report(const char *text, enum diag_code code, uint32_t lo, uint32_t hi)
{
	struct lexed l;
	lex_text(&l, text);
	assert_int_equal(l.sink.diags.n, 1);
	assert_int_equal(l.sink.diags.at[0]->code, code);
	assert_int_equal(l.sink.diags.at[0]->at.lo, lo);
	assert_int_equal(l.sink.diags.at[0]->at.hi, hi);
	arena_free(&l.arena);
}

static void mistakes_of_characters(void **state)
{
	(void)state;
	assert_report("x = $", DIAG_E0001, 4, 5);
	assert_report("x = \xC3\xA9", DIAG_E0001, 4, 6);
	assert_report("x = \xFF", DIAG_E0001, 4, 5);
	assert_report("a % b", DIAG_E0001, 2, 3);
	assert_report("x = \"abc\ny", DIAG_E0006, 4, 8);
	assert_report("x = \"abc\\", DIAG_E0006, 4, 9);
	assert_report("x /* y", DIAG_E0006, 2, 4);
}

static void large_files_are_refused(void **state)
{
	(void)state;
	struct arena a = {0};
	struct sources sources = {.arena = &a};
	struct sink sink = {.arena = &a, .sources = &sources};
	size_t n = MAX_SOURCE_BYTES + 1;
	char *text = arena_alloc(&a, n);
	memset(text, ' ', n);
	struct tokens tokens = lex(&a, &sink, sources_add(&sources, "a", "a", text, n));
	assert_int_equal(sink.diags.at[0]->code, DIAG_E0009);
	assert_int_equal(tokens.n, 1);
	arena_free(&a);
}

static void numbers_have_values(void **state)
{
	(void)state;
	long long i;
	double f;
	bool is_int;
	assert_true(number_value("10_240", &i, &f, &is_int) && is_int && i == 10240);
	assert_true(number_value("9223372036854775807", &i, &f, &is_int) && i == INT64_MAX);
	assert_false(number_value("9223372036854775808", &i, &f, &is_int));
	assert_true(number_value("1e6", &i, &f, &is_int) && !is_int && f == 1e6);
	assert_true(number_value("3.3_5", &i, &f, &is_int) && !is_int && f == 3.35);
	assert_false(number_value("1e999", &i, &f, &is_int));
}

static void quantities_have_values_and_dimensions(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		double value;
		struct dims dims;
	} cases[] = {
		{"80 GiB", 80.0 * (1 << 30), {{[DIM_DATA] = 1}}},
		{"400 Gbit/s", 50e9, {{[DIM_DATA] = 1, [DIM_TIME] = -1}}},
		{"50%", 0.5, {{0}}},
		{"3 KiB", 3072, {{[DIM_DATA] = 1}}},
		{"100 tokens/ms", 1e5, {{[DIM_TOKEN] = 1, [DIM_TIME] = -1}}},
		{"2 TFLOPS", 2e12, {{[DIM_FLOP] = 1, [DIM_TIME] = -1}}},
		{"700 W", 700, {{[DIM_ENERGY] = 1, [DIM_TIME] = -1}}},
		{"7 Gparam", 7e9, {{[DIM_PARAM] = 1}}},
		{"3 USD/h", 3 / 3600.0, {{[DIM_MONEY] = 1, [DIM_TIME] = -1}}},
		{"2 min^2", 7200, {{[DIM_TIME] = 2}}},
		{"1 Gb/s", 0.125e9, {{[DIM_DATA] = 1, [DIM_TIME] = -1}}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct dims dims;
		double value = quantity_value(cases[i].text, &dims);
		assert_true(fabs(value - cases[i].value) <= 1e-12 * fabs(cases[i].value));
		assert_memory_equal(&dims, &cases[i].dims, sizeof dims);
	}
}

static void units_and_traps(void **state)
{
	(void)state;
	assert_int_equal(unit_prefix("KiB", 3), 3);
	assert_int_equal(unit_prefix("KB", 2), 0);
	assert_non_null(unit_trap("Gb", 2));
	assert_null(unit_trap("GB", 2));
	assert_string_equal(nearest_unit("KB"), "kB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_of_tokens),
		cmocka_unit_test(quantities_are_cut_back),
		cmocka_unit_test(lines_and_indentation),
		cmocka_unit_test(mistakes_of_characters),
		cmocka_unit_test(large_files_are_refused),
		cmocka_unit_test(numbers_have_values),
		cmocka_unit_test(quantities_have_values_and_dimensions),
		cmocka_unit_test(units_and_traps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
