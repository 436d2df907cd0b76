/* Trees of valid texts, and reports of invalid ones: one diagnostic for each mistake, at the right place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "../../parser/parser.h"

struct parsed {
	struct arena arena;
	struct sources sources;
	struct sink sink;
	struct names names;
	struct nodes items;
};

static void parse_text(struct parsed *p, const char *text)
{
	*p = (struct parsed){0};
	p->sources.arena = p->sink.arena = p->names.arena = &p->arena;
	p->sink.sources = &p->sources;
	p->items = parse_module(&p->arena, &p->names, &p->sink, sources_add(&p->sources, "a", "a", text, strlen(text)));
}

static void assert_tree(const char *text, const char *expected)
{
	struct parsed p;
	char *tree = NULL;
	size_t n = 0;
	parse_text(&p, text);
	FILE *out = open_memstream(&tree, &n);
	assert_non_null(out);
	ast_print(p.items, out);
	diag_print(&p.sink, out);
	fclose(out);
	assert_string_equal(tree, expected);
	free(tree);
	arena_free(&p.arena);
}

/* Mistakes as "CODE line:column", sorted by place, separated by spaces. */
static int by_offset(const void *a, const void *b)
{
	const struct diag *x = *(struct diag *const *)a, *y = *(struct diag *const *)b;
	return (x->at.lo > y->at.lo) - (x->at.lo < y->at.lo);
}

static void assert_reports(const char *text, const char *expected)
{
	struct parsed p;
	parse_text(&p, text);
	struct text found = {.arena = &p.arena};
	text_add(&found, "%s", "");
	if (p.sink.diags.n)
		qsort(p.sink.diags.at, (size_t)p.sink.diags.n, sizeof *p.sink.diags.at, by_offset);
	for (int i = 0; i < p.sink.diags.n; i++) {
		int line, column;
		sources_position(&p.sources, p.sink.diags.at[i]->at, &line, &column);
		text_add(&found, "%s%s %d:%d", i ? " " : "", diag_code_name(p.sink.diags.at[i]->code), line, column);
	}
	assert_string_equal(found.at, expected);
	arena_free(&p.arena);
}

static void assert_message(const char *text, const char *message)
{
	struct parsed p;
	parse_text(&p, text);
	assert_int_equal(p.sink.diags.n, 1);
	assert_string_equal(p.sink.diags.at[0]->message, message);
	arena_free(&p.arena);
}

/* ---- right texts ----------------------------------------------------------------------------- */

static void trees_of_items(void **state)
{
	(void)state;
	assert_tree("use std.ops { a, b\n}\nuse \"x.deploy\" as x", "use std.ops { a, b }\nuse-file \"x.deploy\" as x\n");
	assert_tree("plan P {\n  mesh tp = 8 within nvlink\n  a * b -> tp * dp\n  c -> none\n}",
	            "named plan P (block)\n  body:\n    named mesh tp (is) within nvlink\n      number 8\n    rule a * b "
	            "-> tp * dp\n    rule c -> none\n");
	assert_tree(
		"param w : f32[a, b+ | lse n] from \"w\" as [2 * a, (b! + c)]",
		"named param w (typed)\n  type f32\n    axes | lse n\n      ax a\n      ax b +\n  from:\n    string \"w\"\n"
		"  stored\n    product\n      number 2\n      path a\n    product\n      sum\n        piece !\n          "
		"product\n            path b\n"
		"        piece\n          product\n            path c\n");
	assert_tree("op f(x: T? = 1, y: index(v)[s@(a * b), ...t]) -> [] { return x }",
	            "named op f (signature)\n  param x\n    type T ?\n    number 1\n  param y\n    type index\n      "
	            "arguments:\n        type v\n"
	            "      axes\n        ax-at s @ a * b\n        ax-rest t\n  type\n    axes\n  body:\n    return\n      "
	            "name x\n");
	assert_tree("when (a) { b = 1 } else { c : T }",
	            "when\n  name a\n  then:\n    set b\n      number 1\n  else:\n    field c\n      type T\n");
	assert_tree("a = \"q\\\"s\\\\t\\tx\"", "set a\n  string \"q\\\"s\\\\t\\tx\"\n");
	assert_tree("= 1\ny = 2",
	            "error\nset y\n  number 2\n"
	            "error[E0005]: expected an item or end of file, found `=`\n  --> a:1:1\n 1 | = 1\n   | ^\n");
	assert_tree("require a : \"m\\n\"\nassert x : [b]",
	            "require \"m\\n\"\n  name a\nassert-type\n  name x\n  type\n    axes\n      ax b\n");
}

static void precedence_of_operators(void **state)
{
	(void)state;
	assert_tree("x = a + b * c @[d] w", "set x\n  binary +\n    name a\n    contract d\n      binary *\n        name "
	                                    "b\n        name c\n      name w\n");
	assert_tree("x = not a and b or c where d", "set x\n  binary where\n    binary or\n      binary and\n        not\n "
	                                            "         name a\n        name b\n      name c\n    name d\n");
	assert_tree("x = -a.b per gpu", "set x\n  per gpu\n    negative\n      dot b\n        name a\n");
	assert_tree("x = 1..n + 1", "set x\n  binary ..\n    number 1\n    binary +\n      name n\n      number 1\n");
	assert_tree("x = f(y, over = z)[s -> t] as l from \"p\"",
	            "set x\n  label l \"p\"\n    index\n      call\n        name f\n        arguments:\n          name y\n "
	            "         argument over\n            name z\n"
	            "      arguments:\n        rename s -> t\n");
}

static void line_ends(void **state)
{
	(void)state;
	const char *two = "set x\n  binary +\n    name a\n    name b\nset y\n  list\n    number 1\n    number 2\n";
	assert_tree("x = a +\n  b\ny = [1,\n2\n]", two);
	assert_tree("x = a + b; y = [1, 2];", two);
	assert_tree("x = a + b /*\n*/ y = [1, 2]\r\n", two);
	assert_tree("\n\nx = a + b // c\n\n\n  y = [1, 2]\n\n", two);
	assert_tree("", "");
	assert_tree("x = r { a = 1\n}\n", "set x\n  refine\n    name r\n    body:\n      set a\n        number 1\n");
}

static void spans_cover_what_was_written(void **state)
{
	(void)state;
	struct parsed p;
	parse_text(&p, "x = (a + b) * 5 GB/s within n");
	struct node *set = p.items.at[0], *product = set->set.value, *quantity = product->bin.b;
	assert_int_equal(set->span.hi, 29);
	assert_int_equal(product->span.lo, 4);
	assert_int_equal(product->span.hi, 20);
	assert_int_equal(product->bin.op_span.lo, 12);
	assert_int_equal(quantity->num.unit.lo, 16);
	assert_int_equal(quantity->num.unit.hi, 20);
	assert_int_equal(set->set.place.span.lo, 21);
	arena_free(&p.arena);
}

/* ---- wrong texts ----------------------------------------------------------------------------- */

static void ten_mistakes_in_ten_items(void **state)
{
	(void)state;
	assert_reports(
		"model A {\n"
		"  a = \n"                     /* no value */
		"  b = $3\n"                   /* stray character */
		"  c = f(a, b\n"               /* bracket */
		"  d = 1 2\n"                  /* no operator */
		"  e = \"text\n"               /* string */
		"  f = 99999999999999999999\n" /* too large */
		"  g = 5 Gb/s\n"               /* bits or bytes */
		"  let h = a +\n"              /* breaks off */
		"  in = 3\n"                   /* reserved */
		"  j = [1, 2\n"                /* bracket, before a closing brace */
		"}\n"
		"k = 3\n",
		"E0002 2:6 E0001 3:7 E0003 4:8 E0005 5:9 E0006 6:7 E0008 7:7 E0303 8:9 E0005 9:14 E0005 10:3 E0003 11:7");
}

static void unclosed_braces_are_found_by_indentation(void **state)
{
	(void)state;
	assert_reports("model A {\n  sub {\n    y = 2\n\n  z = 3\n}\nmodel B {\n  x = 1\n}\n", "E0003 2:7");
	assert_reports("model A {\n  x = 1\n\nmodel B {\n  x = 1\n}\n", "E0003 1:9");
	assert_reports("model A {\nx = 1\nsub {\ny = 2\n}\n", "E0003 1:9");
	assert_reports("x = {", "E0003 1:5");
	assert_reports("x = 1 )\ny = }", "E0005 1:7 E0005 2:5");
}

static void only_the_first_mistake_of_an_item_is_reported(void **state)
{
	(void)state;
	assert_reports("x = 1 2 } 3 = =\ny = 1", "E0005 1:9");
	assert_reports("x = $ 1 2 3 4\ny = = 3", "E0001 1:5 E0005 2:5");
	assert_reports("x = f(\"abc)\n", "E0006 1:7");
	assert_reports("x = (", "E0003 1:5");
}

/* Text after a wrong token is parsed at its own level. */
static void recovery_stays_at_its_level(void **state)
{
	(void)state;
	assert_reports("model A {\n  sub { a = 1 } b = 2\n  c = 3\n}\nd = 1 1\n", "E0005 2:17 E0005 5:7");
	assert_reports("model A {\n  when (a) { b = 1 } c\n  when (a) { b = 1 } else { c = 2 } d\n}\n",
	               "E0005 2:22 E0005 3:37");
	assert_reports("a { b = 1 } {}\nc = 1 1\n", "E0005 1:13 E0005 2:7");
	assert_reports("op f(x: [...t, over!] -> [...t] {\n  return x\n}\ny = 1 1\n", "E0003 1:5 E0005 4:7");
	assert_reports("param w : [ [d]\nx = 1 1", "E0003 1:11 E0005 2:7");
	assert_reports("use use std.a { A, B }\nuse .b { A, B }\nuse { A, B }\nx = 1 1",
	               "E0005 1:5 E0005 2:5 E0005 3:5 E0005 4:7");
	assert_reports("x = (1).a\n  ).b = 2\ny = 1 1\n", "E0005 2:3 E0005 3:7");
}

static void bodies_of_wrong_items_are_parsed(void **state)
{
	(void)state;
	assert_reports("plan P extends Q {\n  a = 1 1\n  b = 2\n  c =\n}\nd = 1 1\n",
	               "E0005 1:8 E0005 2:9 E0002 4:6 E0005 6:7");
	assert_reports("use std.a { A, 5 }\nuse std.b { A B }\nx = 1 1", "E0005 1:16 E0005 2:15 E0005 3:7");
	assert_reports("g = { a = ; b = 2 2 }\nh = f({ a = }, 1)", "E0002 1:10 E0005 1:19 E0002 2:12");
}

static void messages(void **state)
{
	(void)state;
	assert_message("x = 4 KB", "expected an operator or end of line, found name `KB`");
	assert_message("x = (1 2)", "expected an operator or `)`, found number `2`");
	assert_message("x = a +\ny = 1", "expected the rest of the item after `+`, found end of line");
	assert_message("x = \"\\q\"", "unknown escape `\\q` in a string");
	assert_message("f = g(a -> b)", "`a -> b` renames an axis in `x[a -> b]`, not in a call");
	assert_message("w : T from \"w\"", "only a `param` is read `from` a checkpoint");
}

static void items_that_failed_keep_their_name(void **state)
{
	(void)state;
	struct parsed p;
	parse_text(&p, "plan P.q extends Q { a = 1 }\nx.y = 99999999999999999999\nz = 1");
	assert_int_equal(p.items.n, 3);
	assert_int_equal(p.items.at[0]->kind, N_ERROR);
	assert_string_equal(p.items.at[0]->error.kind.name, "plan");
	assert_string_equal(p.items.at[0]->error.path.at[1].name, "q");
	assert_int_equal(p.items.at[1]->kind, N_ERROR);
	assert_null(p.items.at[1]->error.kind.name);
	assert_string_equal(p.items.at[1]->error.path.at[1].name, "y");
	assert_int_equal(p.items.at[2]->kind, N_SET);
	arena_free(&p.arena);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static void assert_repeated(const char *start, const char *repeated, int times, const char *expected)
{
	struct arena a = {0};
	struct text t = {.arena = &a};
	text_add(&t, "%s", start);
	for (int i = 0; i < times; i++)
		text_add(&t, "%s", repeated);
	assert_reports(t.at, expected);
	arena_free(&a);
}

static void depth_is_bounded(void **state)
{
	(void)state;
	assert_repeated("x = ", "(", 100000, "E0007 1:205");
	assert_repeated("x = ", "{ a = ", 100000, "E0007 1:1205");
	assert_repeated("x = 1", " + 1", 100000, "E0007 1:5");
	assert_repeated("x = a", ".b", 100000, "E0007 1:5");
	assert_repeated("x = ", "- ", 100000, "E0007 1:19997");
	assert_repeated("x = 1", " + 1", 900, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trees_of_items),
		cmocka_unit_test(precedence_of_operators),
		cmocka_unit_test(line_ends),
		cmocka_unit_test(spans_cover_what_was_written),
		cmocka_unit_test(ten_mistakes_in_ten_items),
		cmocka_unit_test(unclosed_braces_are_found_by_indentation),
		cmocka_unit_test(only_the_first_mistake_of_an_item_is_reported),
		cmocka_unit_test(recovery_stays_at_its_level),
		cmocka_unit_test(bodies_of_wrong_items_are_parsed),
		cmocka_unit_test(messages),
		cmocka_unit_test(items_that_failed_keep_their_name),
		cmocka_unit_test(depth_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
