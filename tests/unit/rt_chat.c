/* Chat templates: what the interface promises. tests/chat compares texts with Jinja2's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "text/chat_template.h"

/* The text, or the error, of a template with these variables. */
static const char *rendered(const char *template, size_t size, const char *json, const struct tm *now)
{
	static char said[1024];
	struct text_error e;
	json_t *variables = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	struct chat_template *t = chat_template_read("chat", template, size, &e);
	char *text;
	size_t n;
	if (t && chat_template_render(t, variables, now, &text, &n, &e)) {
		assert_true(n < sizeof said);
		assert_int_equal(text[n], 0);
		memcpy(said, text, n + 1);
		free(text);
	} else
		memcpy(said, e.text, strlen(e.text) + 1);
	chat_template_close(t);
	json_decref(variables);
	return said;
}

static void expect(const char *template, const char *json, const char *expected)
{
	assert_string_equal(rendered(template, strlen(template), json, NULL), expected);
}

static void renders_a_conversation(void **state)
{
	(void)state;
	expect("{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}\n{% endfor %}",
	       "{\"messages\": [{\"role\": \"user\", \"content\": \" a \"}, {\"role\": \"x\", \"content\": \"\\u00e9\"}]}",
	       "<user>a\n<x>\xC3\xA9\n");
	expect("", "{}", "");
	expect("{{ a }}", "{\"a\": \"b\\u0000c\"}", "b"); /* its 3 bytes, up to the NUL here */
}

/* A template keeps nothing of what it rendered. */
static void renders_again(void **state)
{
	(void)state;
	static const char template[] =
		"{% set ns = namespace(n=0) %}{% set ns.n = ns.n + x %}{% set y = y ~ 1 %}{{ ns.n }}{{ y }}";
	struct text_error e;
	struct chat_template *t = chat_template_read("chat", template, strlen(template), &e);
	json_t *variables = json_pack("{si}", "x", 5);
	assert_non_null(t);
	for (int i = 0; i < 3; i++) {
		char *text;
		size_t n;
		assert_true(chat_template_render(t, variables, NULL, &text, &n, &e));
		assert_string_equal(text, "51");
		free(text);
	}
	json_decref(variables);
	chat_template_close(t);
	chat_template_close(NULL);
}

static void errors_name_template_and_line(void **state)
{
	(void)state;
	expect("a\n{{ x\n| nothing }}", "{}", "chat: line 3: filter `nothing` is not supported");
	expect("a\n\n{{ x.y }}", "{}", "chat: line 3: `x` is undefined");
	expect("{% if true %}\n{% if x %}\n{% endif %}", "{}", "chat: line 3: the template ends without `endif`");
	expect("\n{{ 1 +\n\n'a' }}", "{}", "chat: line 2: `+` does not apply to an integer and a string");
	expect("{% for x in [1] %}\n\n{{ x }}\n{{ raise_exception('no: ' ~ x) }}{% endfor %}", "{}",
	       "chat: line 4: the template refuses: no: 1");
	expect("{{ '\u1ffc' | upper }}", "{}", "chat: line 1: upper case of U+1FFC is not supported");
	expect("{{ '\u1ffd' | upper }}", "{}", "\u1ffd");
	expect("{{ '\u1f80' | upper }}", "{}", "chat: line 1: upper case of U+1F80 is not supported");
	expect("{{ '\u2170' | upper }}", "{}", "\u2160"); /* a Roman numeral */
	expect("{{ 'a\nb' }}\n{{ }}", "{}", "chat: line 3: unexpected: `}}`");
}

static void errors_hold_no_control_characters(void **state)
{
	(void)state;
	expect("{{ raise_exception(x) }}", "{\"x\": \"a\\u001b[1m\\n\\u202eb\"}",
	       "chat: line 1: the template refuses: a\\x1b[1m\\n\\xe2\\x80\\xaeb");
}

static void long_errors_are_cut(void **state)
{
	(void)state;
	char template[3000] = "{{ raise_exception('";
	memset(template + strlen(template), 'x', 2000);
	strcat(template, "') }}");
	const char *said = rendered(template, strlen(template), "{}", NULL);
	assert_true(strlen(said) < sizeof((struct text_error *)0)->text);
	assert_non_null(strstr(said, "the template refuses: xxx"));
}

static void refuses_what_is_not_text(void **state)
{
	(void)state;
	assert_string_equal(rendered("a\xFF", 2, "{}", NULL), "chat: line 1: is not UTF-8: byte 1");
	assert_string_equal(rendered("a\0b", 3, "{}", NULL), "chat: line 1: has a NUL byte");
	expect("{{ '\\ud800' }}", "{}", "chat: line 1: an escape in a string is not a character: U+D800");
	expect("a", "[1]", "chat: line 1: its variables are not an object");
}

static void time_is_what_the_caller_says(void **state)
{
	(void)state;
	const struct tm now = {.tm_year = 100, .tm_mon = 1, .tm_mday = 29, .tm_wday = 2};
	static const char template[] = "{{ strftime_now('%A %d %b %Y %H') }}";
	assert_string_equal(rendered(template, strlen(template), "{}", &now), "Tuesday 29 Feb 2000 00");
	expect(template, "{}", "chat: line 1: `strftime_now` needs the time, which is not known here");
}

/* Values that could change are the conversation's, not the template's: a set in a loop ends with its round. */
static void names_end_with_their_block(void **state)
{
	(void)state;
	expect("{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = 5 %}{{ x }}{% endfor %}{{ x }}{{ i is defined }}",
	       "{}", "15151False");
	expect("{{ l.append(3) }}", "{\"l\": []}", "chat: line 1: `append` is forbidden in templates");
	expect("{{ ', '.join(l.append) }}", "{\"l\": []}", "chat: line 1: `append` is forbidden in templates");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(renders_a_conversation),        cmocka_unit_test(renders_again),
		cmocka_unit_test(errors_name_template_and_line), cmocka_unit_test(errors_hold_no_control_characters),
		cmocka_unit_test(long_errors_are_cut),           cmocka_unit_test(refuses_what_is_not_text),
		cmocka_unit_test(time_is_what_the_caller_says),  cmocka_unit_test(names_end_with_their_block),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
