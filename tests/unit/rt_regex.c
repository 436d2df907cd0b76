/* Patterns of tokenizers, and normal forms of text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "text/regex.h"
#include "text/unicode.h"

static void patterns_are_rewritten(void **state)
{
	(void)state;
	static const char *const both[][2] = {
		{"a|b*?c++", "a|b*?c++"},
		{"(?i:'s|'t)(x)", "(?i:'s|'t)(?:x)"},
		{"\\d{,3}\\p{Lu}\\P{^Han}{2}", "\\p{Nd}{0,3}\\p{Lu}\\p{sc:Han}{2,2}"},
		{"[-a-z\\]\\d&][^\\r\\n]{1,}", "[\\-a-z\\]\\p{Nd}&][^\\r\\n]{1,}"},
		{"{a}\\u00e9\\x41\\v", "\\{a}\\x{e9}\\x{41}\\x{b}"},
		{"(?i)a", "(?i)a"},
		{"(?i:\\x41)\\u0041", "(?i:\\x{41})\\x{41}"},
	};
	for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
		struct bytes out = {0};
		char why[200];
		if (!regex_translate((struct span){both[i][0], strlen(both[i][0])}, &out, why, sizeof why))
			fail_msg("%s: %s", both[i][0], why);
		bytes_add(&out, "", 1);
		assert_string_equal(out.at, both[i][1]);
		bytes_free(&out);
	}
}

static void patterns_that_mean_something_else_are_refused(void **state)
{
	(void)state;
	static const char *const wrong[][2] = {
		{"a{1,2}+", "`}+`"},
		{"a{2}?", "`}?`"},
		{"\\h", "`\\h`"},
		{"\\b", "`\\b`"},
		{"\\1", "`\\1`"},
		{"[[:alpha:]]", "class"},
		{"[a&&b]", "`&&`"},
		{"[\\s-z]", "range of sets"},
		{"[a-\\d]", "range of sets"},
		{"[a", "not closed"},
		{"[]a]", "`]`"},
		{"(?i:st)", "`st`"},
		{"(?i:\xC3\xA9)", "U+007F"},
		{"(?i:\\u00e9)", "U+007F"},
		{"(?<n>a)", "`(?<`"},
		{"a(?i)b", "`(?i`"},
		{"(*UTF)", "`(*U`"},
		{")", "closes no group"},
		{"\\pL", "{NAME}"},
		{"\\p{L1}", "`L1`"},
		{"\\xff", "byte"},
		{"\\", "backslash"},
		{"\\x", "code"},
		{"a{1001}", "1000"},
		{"(?<=a*)b", ""},
		{"(?i:[\xC3\xA9])", "U+007F"},
		{"\\p{Nonsense}", ""},
		{"a**", ""},
		{"\\K", "`\\K`"},
		{"[\\W]", "`\\W`"},
	};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char why[200] = "";
		struct regex *r = regex_open((struct span){wrong[i][0], strlen(wrong[i][0])}, false, why, sizeof why);
		if (r || !*why || !strstr(why, wrong[i][1]))
			fail_msg("%s: `%s`", wrong[i][0], why);
	}
}

static void marks_are_sorted_by_class(void **state)
{
	(void)state;
	static const struct {
		enum normal_form form;
		const char *text, *expected;
	} tests[] = {
		{FORM_NFD, "e\xCC\x81\xCC\xA3", "e\xCC\xA3\xCC\x81"},
		{FORM_NFC, "e\xCC\x81\xCC\xA3", "\xE1\xBA\xB9\xCC\x81"},
		{FORM_NFD, "a\xCC\x81\xCC\xA3\xCC\x80\xCC\xB8", "a\xCC\xB8\xCC\xA3\xCC\x81\xCC\x80"},
		{FORM_NFKC, "\xEF\xAC\x81\xC2\xB2", "fi2"},
		{FORM_NFKD, "\xEA\xB0\x81", "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"},
	};
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		struct bytes out = {0};
		normal_form(tests[i].form, (struct span){tests[i].text, strlen(tests[i].text)}, &out);
		bytes_add(&out, "", 1);
		assert_string_equal(out.at, tests[i].expected);
		bytes_free(&out);
	}
}

/* More than the stack of compiled patterns holds. */
static void long_matches_are_no_problem(void **state)
{
	(void)state;
	enum { LONG = 60000 };
	struct regex *r = regex_open((struct span){"(?:ab|a|b)*c", 12}, false, (char[99]){0}, 99);
	char *text = malloc(LONG);
	memset(text, 'a', LONG);
	text[LONG - 1] = 'c';
	struct search s = search_begin(r, (struct span){text, LONG});
	assert_int_equal(search_next(&s), SEARCH_FOUND);
	assert_int_equal(s.end - s.start, LONG);
	assert_int_equal(search_next(&s), SEARCH_DONE);
	regex_close(r);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_are_rewritten),
		cmocka_unit_test(patterns_that_mean_something_else_are_refused),
		cmocka_unit_test(long_matches_are_no_problem),
		cmocka_unit_test(marks_are_sorted_by_class),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
