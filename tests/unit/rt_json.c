/* config.json as Python writes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "runtime/json_text.h"

static json_t *read_text(const char *text, json_error_t *e) { return json_text_read(text, strlen(text), e); }

/* The text shown equals the text read, except for spaces and the order of keys. */
static void what_is_not_json_is_shown_as_written(void **state)
{
	(void)state;
	static const char *const both[][2] = {
		{"[0.0, Infinity]", "[0.0,Infinity]"},
		{"{\"b\":\n NaN ,\"a\":-Infinity}", "{\"a\":-Infinity,\"b\":NaN}"},
		{"[NaN,[Infinity\t],{\"Infinity\": -Infinity}]", "[NaN,[Infinity],{\"Infinity\":-Infinity}]"},
		{"[\"Infinity, NaN\", \"a \\\" NaN\", \"\\\\\", NaN]", "[\"Infinity, NaN\",\"a \\\" NaN\",\"\\\\\",NaN]"},
		{"[9223372036854775807, 1000000000000000019884624838656]", "[9223372036854775807,1e30]"},
		{"[9223372036854775808, 1234567]", "[9.22337203685477e18,1234567]"},
		{"[-12345678901234567890, 12345678901234567890.5]", "[-1.23456789012346e19,1.23456789012346e19]"},
	};
	for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
		json_error_t e;
		json_t *root = read_text(both[i][0], &e);
		assert_non_null(root);
		char *shown = json_text_show(root);
		assert_string_equal(shown, both[i][1]);
		free(shown);
		json_decref(root);
	}
}

static void it_is_no_number_and_no_word(void **state)
{
	(void)state;
	json_error_t e;
	json_t *root = read_text("[Infinity]", &e), *word = json_string("Infinity"), *v = json_array_get(root, 0);
	assert_non_null(v);
	assert_false(json_is_number(v) || json_is_null(v) || json_is_boolean(v) || json_equal(v, word));
	json_decref(word);
	json_decref(root);
}

/* A mistake after a constant keeps its position, and what Python does not write stays a mistake. */
static void mistakes_stay_mistakes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int column;
	} wrong[] = {
		{"[-Infinity, 3 4]", 15},
		{"{Infinity: 3}", 9},
		{"[Infinityx]", 10},
		{"[-NaN]", 2},
		{"[Infinity", 9},
		{"[infinity]", 9},
		{"[\"\\", 3},
		{"\"", 1},
		{"", 0},
		{"{\"a\": NaN, \"a\": 1}", 14},
		{"[00000000000000000001]", 2},
	};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		json_error_t e;
		assert_null(read_text(wrong[i].text, &e));
		if (e.column != wrong[i].column)
			fail_msg("%s: column %d", wrong[i].text, e.column);
	}
}

static void *nothing(size_t bytes)
{
	(void)bytes;
	return NULL;
}

static void a_text_that_does_not_fit_is_refused(void **state)
{
	(void)state;
	json_error_t e = {.line = 7};
	json_set_alloc_funcs(nothing, free);
	assert_null(read_text("{}", &e));
	json_set_alloc_funcs(malloc, free);
	assert_string_equal(e.text, "out of memory");
	assert_int_equal(e.line, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_json_is_shown_as_written),
		cmocka_unit_test(it_is_no_number_and_no_word),
		cmocka_unit_test(mistakes_stay_mistakes),
		cmocka_unit_test(a_text_that_does_not_fit_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
