/* Versions of the language, by tables of renamed names that this file makes up: the compiler's own table is empty so
 * far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "../../parser/language.h"
#include "../../parser/parser.h"

/* Version 2 renames a field; version 3 renames it again, and a word. */
static const struct renamed renames[] = {
	{2, RENAMED_FIELD, "ways", "split"},
	{3, RENAMED_FIELD, "split", "tp"},
	{3, RENAMED_NAME, "machine", "cluster"},
};
static const struct language made_up = {3, renames, 3};

struct file {
	struct arena arena;
	struct sources sources;
	struct sink sink;
	struct upgraded now;
};

static void upgrade(struct file *f, const char *text, size_t size)
{
	*f = (struct file){0};
	f->sources.arena = f->sink.arena = &f->arena;
	f->sink.sources = &f->sources;
	f->now = language_upgrade(&f->arena, &f->sink, sources_add(&f->sources, "a", "a", text, size), &made_up);
}

static void assert_upgraded(const char *was, const char *now, int from, int renamed)
{
	struct file f;
	upgrade(&f, was, strlen(was));
	assert_non_null(f.now.text);
	assert_string_equal(f.now.text, now);
	assert_int_equal(f.now.size, strlen(now));
	assert_int_equal(f.now.from, from);
	assert_int_equal(f.now.renamed, renamed);
	assert_int_equal(f.sink.diags.n, 0);
	arena_free(&f.arena);
}

static void older_files_get_the_names_of_today(void **state)
{
	(void)state;
	assert_upgraded("language = 1\nmachine M { ways = 2 }\nplan P = Q { ways = 8; x = 2 * M.ways }\n",
	                "language = 3\ncluster M { tp = 2 }\nplan P = Q { tp = 8; x = 2 * M.tp }\n", 1, 4);
	assert_upgraded("language = 2 // split\nmachine M { split = 2; ways = 3 }",
	                "language = 3 // split\ncluster M { tp = 2; ways = 3 }", 2, 2);
	assert_upgraded("language = 1; schema S { ways : Int = 1 }\n", "language = 3; schema S { tp : Int = 1 }\n", 1, 1);
}

/* A name that is not in the place of a field is another name, and so is one in a string or a comment. */
static void only_what_was_renamed_changes(void **state)
{
	(void)state;
	assert_upgraded("language = 2\n/* machine */ let machine2 = \"machine\"; a = split\n",
	                "language = 3\n/* machine */ let machine2 = \"machine\"; a = split\n", 2, 0);
	assert_upgraded("language = 1\nfoo { machine = ways }", "language = 3\nfoo { machine = ways }", 1, 0);
}

static void files_of_today_stay(void **state)
{
	(void)state;
	const char *const texts[] = {"language = 3\nmachine M { ways = 2 }\n",
	                             "machine M { ways = 2 }\n",
	                             "x = 1\nlanguage = 1\nmachine M { ways = 2 }\n",
	                             "",
	                             "language\n",
	                             "language =\n1\n"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_upgraded(texts[i], texts[i], 3, 0);
}

/* A zero byte in a comment, and one that no rename touches, stay too. */
static void every_byte_is_kept(void **state)
{
	(void)state;
	static const char was[] = "language = 1 // a\0b\nplan P = Q { ways = 2 }";
	static const char now[] = "language = 3 // a\0b\nplan P = Q { tp = 2 }";
	struct file f;
	upgrade(&f, was, sizeof was - 1);
	assert_int_equal(f.now.size, sizeof now - 1);
	assert_memory_equal(f.now.text, now, sizeof now);
	arena_free(&f.arena);
}

static void assert_refused(const char *text, enum diag_code code, uint32_t lo, uint32_t hi)
{
	struct file f;
	upgrade(&f, text, strlen(text));
	assert_null(f.now.text);
	assert_int_equal(f.sink.diags.n, 1);
	assert_int_equal(f.sink.errors, 1);
	assert_int_equal(f.sink.diags.at[0]->code, code);
	assert_int_equal(f.sink.diags.at[0]->at.lo, lo);
	assert_int_equal(f.sink.diags.at[0]->at.hi, hi);
	arena_free(&f.arena);
}

/* One report: what else a newer file has, even characters that no token starts with, is not reported. */
static void newer_files_are_one_report(void **state)
{
	(void)state;
	assert_refused("language = 4\n$ ` ways", DIAG_E0014, 11, 12);
	assert_refused("language = 99999999999999999999", DIAG_E0014, 11, 31);
}

static void other_values_are_not_versions(void **state)
{
	(void)state;
	assert_refused("language = 0", DIAG_E0015, 11, 12);
	assert_refused("language = -1", DIAG_E0015, 11, 13);
	assert_refused("language = 1 + 1\n", DIAG_E0015, 11, 16);
	assert_refused("language = 1.0; x = 1", DIAG_E0015, 11, 14);
	assert_refused("language = v2", DIAG_E0015, 11, 13);
	assert_refused("language = 2 GB", DIAG_E0015, 11, 15);
}

/* An upgraded text is upgraded: doing it again changes nothing. */
static void once_is_enough(void **state)
{
	(void)state;
	const char *was = "language = 1\nmachine M { ways = 2; a = b.ways }\n";
	struct file f, again;
	upgrade(&f, was, strlen(was));
	upgrade(&again, f.now.text, f.now.size);
	assert_string_equal(again.now.text, f.now.text);
	assert_int_equal(again.now.renamed, 0);
	arena_free(&f.arena);
	arena_free(&again.arena);
}

/* The compiler's table: versions that it has, in order, and no name that is renamed to itself. */
static void the_table_is_in_order(void **state)
{
	(void)state;
	assert_int_equal(this_language.version, LANGUAGE_VERSION);
	for (int i = 0; i < this_language.n; i++) {
		const struct renamed *r = &this_language.renamed[i];
		assert_in_range(r->version, i ? r[-1].version : 2, LANGUAGE_VERSION);
		assert_string_not_equal(r->old, r->new);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(older_files_get_the_names_of_today),
		cmocka_unit_test(only_what_was_renamed_changes),
		cmocka_unit_test(files_of_today_stay),
		cmocka_unit_test(every_byte_is_kept),
		cmocka_unit_test(newer_files_are_one_report),
		cmocka_unit_test(other_values_are_not_versions),
		cmocka_unit_test(once_is_enough),
		cmocka_unit_test(the_table_is_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
