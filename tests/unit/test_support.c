/* Arena, names, sources, and diagnostics as printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../support/diag.h"
#include "../../support/names.h"

static void arena_memory_is_zeroed_and_aligned(void **state)
{
	(void)state;
	struct arena a = {0};
	for (size_t size = 1; size < 300000; size = size * 3 + 1) {
		unsigned char *p = arena_alloc(&a, size);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xFF, size);
	}
	arena_free(&a);
	assert_null(a.head);
}

static void requests_apart_have_blocks_of_their_own(void **state)
{
	(void)state;
	struct heap heap = {.apart = true};
	struct arena a = {.heap = &heap};
	char *kept = arena_strndup(&a, "kept", 4);
	const struct arena_block *block = a.head;
	arena_alloc(&a, 1);
	assert_ptr_not_equal(a.head, block);
	assert_string_equal(kept, "kept");
	arena_free(&a);
}

/* ---- work that is given up ------------------------------------------------------------------- */

struct given_up {
	struct heap inner;
	struct undo undo[2];
	int order[2], n, status;
	bool nested;
};

static void note_first(void *what)
{
	struct given_up *g = what;
	g->order[g->n++] = 1;
}

static void note_second(void *what)
{
	struct given_up *g = what;
	g->order[g->n++] = 2;
}

static int fails_late(void *what)
{
	struct given_up *g = what;
	struct arena arena = {.heap = &g->inner};
	struct undo removed = {note_first, g, NULL};
	g->undo[0] = (struct undo){note_first, g, NULL};
	g->undo[1] = (struct undo){note_second, g, NULL};
	undo_add(&g->undo[0]);
	undo_add(&removed);
	undo_add(&g->undo[1]);
	undo_remove(&removed);
	arena_alloc(&arena, 1000);
	arena_alloc(&arena, 1000000);
	heap_free(heap_malloc(10));
	heap_malloc(10);
	give_up(g->status);
}

static void what_is_given_up_is_undone_and_freed(void **state)
{
	(void)state;
	struct given_up g = {.status = 5};
	assert_int_equal(heap_run(&g.inner, fails_late, &g), 5);
	assert_int_equal(g.n, 2);
	assert_int_equal(g.order[0], 2); /* the last first */
	assert_int_equal(g.order[1], 1);
	assert_null(g.inner.blocks);
}

static int runs_another(void *what)
{
	struct given_up *g = what;
	struct undo own = {note_first, g, NULL};
	undo_add(&own);
	char *kept = heap_malloc(10);
	struct given_up inner = {.status = 7};
	assert_int_equal(heap_run(&inner.inner, fails_late, &inner), 7);
	memset(kept, 1, 10);
	assert_int_equal(g->n, 0);
	undo_remove(&own);
	return 3;
}

static void work_inside_ends_alone(void **state)
{
	(void)state;
	struct given_up g = {0};
	assert_int_equal(heap_run(&g.inner, runs_another, &g), 3);
	assert_int_equal(g.n, 0);
	assert_null(g.inner.blocks);
}

static void vectors_and_texts_grow(void **state)
{
	(void)state;
	struct arena a = {0};
	VEC(int) v = {0};
	struct text t = {.arena = &a};
	for (int i = 0; i < 1000; i++) {
		vec_push(&a, &v, i);
		text_add(&t, "%d,", i % 10);
	}
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(v.at[i], i);
		assert_int_equal(t.at[2 * i], '0' + i % 10);
	}
	assert_int_equal(strlen(t.at), 2000);
	arena_free(&a);
}

static void equal_names_are_one_pointer(void **state)
{
	(void)state;
	struct arena a = {0};
	struct names names = {.arena = &a};
	const char *seen[2000];
	for (int i = 0; i < 2000; i++)
		seen[i] = names_str(&names, arena_printf(&a, "name%d", i));
	for (int i = 0; i < 2000; i++)
		assert_ptr_equal(seen[i], names_str(&names, arena_printf(&a, "name%d", i)));
	assert_ptr_equal(names_intern(&names, "name12345", 6), seen[12]);
	arena_free(&a);
}

static const char *numbered(struct arena *a, int i) { return arena_printf(a, "name%d", i); }

static void places_are_found_by_name(void **state)
{
	(void)state;
	struct arena a = {0};
	struct index x = {0};
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(index_find(&x, numbered(&a, i)), -1);
		index_add(&a, &x, numbered(&a, i));
		index_add(&a, &x, "again");
	}
	assert_int_equal(index_find(&x, "again"), 1);
	for (int n = 2000; n >= 0; n -= 7) { /* the rest is found, also when fewer than 16 are left */
		index_cut(&x, n);
		for (int i = 0; i < 1000; i += 13)
			assert_int_equal(index_find(&x, numbered(&a, i)), 2 * i < n ? 2 * i : -1);
	}
	index_add(&a, &x, "after");
	assert_int_equal(index_find(&x, "after"), x.n - 1);
	arena_free(&a);
}

/* Characters are counted from the nearest multiple of 512 bytes. */
static void columns_of_a_long_line(void **state)
{
	(void)state;
	struct arena a = {0};
	struct text t = {.arena = &a};
	struct sources sources = {.arena = &a};
	for (int i = 0; i < 700; i++)
		text_add(&t, "%s", i == 600 ? "\n" : "a\u00E9"); /* 3 bytes, 2 characters */
	uint32_t file = sources_add(&sources, "a", "a", t.at, (size_t)t.n);
	for (int i = 0; i < 700; i++) {
		int line, column;
		uint32_t at = (uint32_t)(i <= 600 ? 3 * i : 3 * i - 2);
		sources_position(&sources, (struct span){file, at, at}, &line, &column);
		assert_int_equal(line, i <= 600 ? 1 : 2);
		assert_int_equal(column, i <= 600 ? 2 * i + 1 : 2 * (i - 601) + 1);
	}
	arena_free(&a);
}

static void nearest_names(void **state)
{
	(void)state;
	static const char *const words[] = {"let", "axis", "param", "layers", "softmax", "B", "kB"};
	static const struct {
		const char *name, *near;
	} cases[] = {
		{"lte", "let"}, {"layer", "layers"}, {"parma", "param"}, {"sotfmxa", "softmax"},
		{"KB", "kB"},   {"axes", "axis"},    {"mesh", NULL},     {"let", NULL},
		{"", NULL},     {"x", NULL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *near = nearest_name(cases[i].name, words, sizeof words / sizeof *words);
		if (cases[i].near)
			assert_string_equal(near, cases[i].near);
		else
			assert_null(near);
	}
}

static void columns_count_code_points(void **state)
{
	(void)state;
	struct arena a = {0};
	struct sources sources = {.arena = &a};
	uint32_t file = sources_add(&sources, "a", "a", "x\n\t\xC3\xA9y\n", 7);
	static const struct {
		uint32_t offset;
		int line, column;
	} cases[] = {{0, 1, 1}, {1, 1, 2}, {2, 2, 1}, {3, 2, 2}, {5, 2, 3}, {7, 3, 1}, {99, 3, 1}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int line, column;
		sources_position(&sources, (struct span){file, cases[i].offset, cases[i].offset}, &line, &column);
		assert_int_equal(line, cases[i].line);
		assert_int_equal(column, cases[i].column);
	}
	arena_free(&a);
}

/* ---- printing -------------------------------------------------------------------------------- */

struct report {
	struct arena arena;
	struct sources sources;
	struct sink sink;
};

static uint32_t open_report(struct report *r, const char *text)
{
	*r = (struct report){0};
	r->sources.arena = r->sink.arena = &r->arena;
	r->sink.sources = &r->sources;
	return sources_add(&r->sources, "dir/a.deploy", "a.deploy", text, strlen(text));
}

static void assert_prints(struct report *r, const char *expected)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	assert_non_null(out);
	diag_print(&r->sink, out);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
	arena_free(&r->arena);
}

/* In any order, also where one ends at the byte at which the next begins. */
static void edits_become_one(void **state)
{
	(void)state;
	struct report r;
	uint32_t file = open_report(&r, "tp=8\n");
	struct diag *d = diag_report(&r.sink, DIAG_E0001, (struct span){file, 0, 4}, "m");
	const struct edit edits[] = {{{file, 3, 3}, " "}, {{file, 2, 3}, " ="}, {{file, 0, 2}, "dp"}};
	diag_fix_edits(&r.sink, d, edits, 3);
	assert_string_equal(d->fix, "dp = ");
	assert_int_equal(d->fix_at.lo, 0);
	assert_int_equal(d->fix_at.hi, 3);
	arena_free(&r.arena);
}

static void a_report_with_all_its_parts(void **state)
{
	(void)state;
	struct report r;
	uint32_t file = open_report(&r, "x = 1\n  expert -> ep * tp\n");
	uint32_t other = sources_add(&r.sources, "b", "b.deploy", "\n\n\n\n\n\n\n\n\n  axis expert = 8", 26);
	struct diag *d =
		diag_report(&r.sink, DIAG_E0503, (struct span){file, 18, 25}, "`expert` (8) cannot be split %d ways", 16);
	diag_label(&r.sink, d, "ep * tp = %d", 16);
	diag_related(&r.sink, d, (struct span){file, 8, 14}, "%s", "");
	diag_related(&r.sink, d, (struct span){other, 16, 22}, "8 experts");
	diag_table(&r.sink, d, "weights 1 GiB");
	diag_note(&r.sink, d, "a note");
	diag_note(&r.sink, d, "a note");
	diag_help(&r.sink, d, "drop `tp`");
	assert_int_equal(r.sink.errors, 1);
	assert_prints(&r, "error[E0503]: `expert` (8) cannot be split 16 ways\n"
	                  "  --> a.deploy:2:13\n"
	                  " 2 |   expert -> ep * tp\n"
	                  "   |   ------    ^^^^^^^ ep * tp = 16\n"
	                  "  ::: b.deploy:10:8\n"
	                  "10 |   axis expert = 8\n"
	                  "   |        ------ 8 experts\n"
	                  "   |  weights 1 GiB\n"
	                  "  = note: a note\n"
	                  "  = help: drop `tp`\n");
}

static void tabs_and_wide_characters_line_up(void **state)
{
	(void)state;
	struct report r;
	uint32_t file = open_report(&r, "\ta = \"\xE6\xBC\xA2\" b\n");
	diag_report(&r.sink, DIAG_W0811, (struct span){file, 11, 12}, "late");
	diag_report(&r.sink, DIAG_E0001, (struct span){file, 1, 2}, "early");
	assert_int_equal(r.sink.warnings, 1);
	assert_prints(&r, "error[E0001]: early\n"
	                  "  --> a.deploy:1:2\n"
	                  " 1 |     a = \"\xE6\xBC\xA2\" b\n"
	                  "   |     ^\n"
	                  "\n"
	                  "warning[W0811]: late\n"
	                  "  --> a.deploy:1:10\n"
	                  " 1 |     a = \"\xE6\xBC\xA2\" b\n"
	                  "   |              ^\n");
}

static void labels_of_one_line_share_it(void **state)
{
	(void)state;
	struct report r;
	uint32_t file = open_report(&r, "aa bb cc");
	struct diag *d = diag_report(&r.sink, DIAG_E0302, (struct span){file, 3, 5}, "m");
	diag_label(&r.sink, d, "middle");
	diag_related(&r.sink, d, (struct span){file, 6, 8}, "right");
	diag_related(&r.sink, d, (struct span){file, 0, 2}, "left");
	assert_prints(&r, "error[E0302]: m\n"
	                  "  --> a.deploy:1:4\n"
	                  " 1 | aa bb cc\n"
	                  "   | -- ^^ -- right\n"
	                  "   |    middle\n"
	                  "   | left\n");
}

static void labels_between_keep_their_order(void **state)
{
	(void)state;
	struct report r;
	uint32_t file = open_report(&r, "aa\nbb\ncc dd");
	struct diag *d = diag_report(&r.sink, DIAG_E0302, (struct span){file, 6, 8}, "m");
	diag_related(&r.sink, d, (struct span){file, 0, 2}, "one");
	diag_related(&r.sink, d, (struct span){file, 3, 5}, "two");
	diag_related(&r.sink, d, (struct span){file, 9, 11}, "same line");
	assert_prints(&r, "error[E0302]: m\n"
	                  "  --> a.deploy:3:1\n"
	                  " 3 | cc dd\n"
	                  "   | ^^ -- same line\n"
	                  "  ::: a.deploy:1:1\n"
	                  " 1 | aa\n"
	                  "   | -- one\n"
	                  "  ::: a.deploy:2:1\n"
	                  " 2 | bb\n"
	                  "   | -- two\n");
}

static void a_report_is_made_once(void **state)
{
	(void)state;
	struct report r;
	uint32_t file = open_report(&r, "x");
	struct span at = {file, 0, 1};
	struct diag *d = diag_report(&r.sink, DIAG_E0101, at, "a %s", "b");
	assert_ptr_equal(d, diag_report(&r.sink, DIAG_E0101, at, "a b"));
	assert_ptr_not_equal(d, diag_report(&r.sink, DIAG_E0101, at, "a c"));
	assert_int_equal(r.sink.errors, 2);
	assert_string_equal(diag_code_name(DIAG_W0811), "W0811");
	assert_false(diag_is_error(DIAG_W0811));
	arena_free(&r.arena);
}

static void long_lines_are_cut(void **state)
{
	(void)state;
	struct report r;
	char text[1001];
	memset(text, 'x', 1000);
	text[1000] = 0;
	uint32_t file = open_report(&r, text);
	diag_report(&r.sink, DIAG_E0001, (struct span){file, 500, 501}, "m");
	char expected[600];
	snprintf(expected, sizeof expected, "error[E0001]: m\n  --> a.deploy:1:501\n 1 | %.160s\n   | %40s^\n", text, "");
	assert_prints(&r, expected);
}

static void a_file_may_be_as_large_as_asked(void **state)
{
	(void)state;
	struct arena a = {0};
	struct file_text text;
	char path[] = "/tmp/test_support_XXXXXX";
	int fd = mkstemp(path);
	assert_int_equal(write(fd, "0123456789", 10), 10);
	close(fd);
	assert_true(file_read_regular(&a, path, 10, &text));
	assert_int_equal(text.size, 10);
	assert_memory_equal(text.at, "0123456789", 10);
	assert_false(file_read_regular(&a, path, 9, &text));
	assert_int_equal(errno, EFBIG);
	unlink(path);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena_memory_is_zeroed_and_aligned),
		cmocka_unit_test(what_is_given_up_is_undone_and_freed),
		cmocka_unit_test(work_inside_ends_alone),
		cmocka_unit_test(vectors_and_texts_grow),
		cmocka_unit_test(requests_apart_have_blocks_of_their_own),
		cmocka_unit_test(equal_names_are_one_pointer),
		cmocka_unit_test(nearest_names),
		cmocka_unit_test(places_are_found_by_name),
		cmocka_unit_test(columns_of_a_long_line),
		cmocka_unit_test(columns_count_code_points),
		cmocka_unit_test(edits_become_one),
		cmocka_unit_test(a_report_with_all_its_parts),
		cmocka_unit_test(tabs_and_wide_characters_line_up),
		cmocka_unit_test(labels_of_one_line_share_it),
		cmocka_unit_test(labels_between_keep_their_order),
		cmocka_unit_test(a_report_is_made_once),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(a_file_may_be_as_large_as_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
