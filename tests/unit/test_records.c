/* Modules, records, values: fields after refinement, and the mistakes reported, with their places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../sema/internal.h"

enum { FILES = 4 };
struct fixture {
	struct arena arena;
	struct sources sources;
	struct sink sink;
	struct names names;
	struct sema_options options;
	struct sema *sema;
	char folder[32];
	char files[FILES][64];
	int n;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	strcpy(f->folder, "/tmp/records-XXXXXX");
	if (!mkdtemp(f->folder))
		return -1;
	f->sources.arena = f->sink.arena = f->names.arena = &f->arena;
	f->sink.sources = &f->sources;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	while (f->n > 0)
		unlink(f->files[--f->n]);
	rmdir(f->folder);
	arena_free(&f->arena);
	free(f);
	return 0;
}

static const char *add_file(struct fixture *f, const char *name, const char *text)
{
	assert_true(f->n < FILES);
	snprintf(f->files[f->n], sizeof f->files[f->n], "%s/%s", f->folder, name);
	FILE *out = fopen(f->files[f->n], "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
	return f->files[f->n++];
}

static void load(struct fixture *f, const char *text)
{
	const char *path = add_file(f, "main.deploy", text);
	f->sema = sema_new(&f->arena, &f->names, &f->sink, &f->options);
	assert_true(sema_load(f->sema, path));
}

static const char *text_at(struct fixture *f, struct span at)
{
	return arena_strndup(&f->arena, f->sources.files.at[at.file].text + at.lo, at.hi - at.lo);
}

/* Expects one mistake only, with this code, at this text of its file. */
static struct diag *expect_only(struct fixture *f, enum diag_code code, const char *at)
{
	if (f->sink.diags.n != 1)
		diag_print(&f->sink, stderr);
	assert_int_equal(f->sink.diags.n, 1);
	struct diag *d = f->sink.diags.at[0];
	assert_string_equal(diag_code_name(d->code), diag_code_name(code));
	assert_string_equal(text_at(f, d->at), at);
	return d;
}

static void expect_none(struct fixture *f)
{
	if (f->sink.diags.n)
		diag_print(&f->sink, stderr);
	assert_int_equal(f->sink.diags.n, 0);
}

static struct record *record(struct fixture *f, const char *name)
{
	struct binding *b = module_find(f->sema, f->sema->main, name);
	assert_non_null(b);
	struct record *r = def_record(f->sema, b->def);
	assert_non_null(r);
	return r;
}

static struct val get(struct fixture *f, const char *name, const char *field)
{
	struct record *r = record(f, name);
	return record_get(r, field, r->span);
}

static int64_t get_int(struct fixture *f, const char *name, const char *field)
{
	struct val v = get(f, name, field);
	assert_int_equal(v.kind, V_INT);
	return v.i;
}

/* ---- meaning --------------------------------------------------------------------------------- */

static void defaults_are_bound_late(void **state)
{
	struct fixture *f = *state;
	load(f, "schema S { a : Int = 1; b : Int = a + 1; c = a * b }\n"
	        "device X : S { a = 5 }\n"
	        "device Y = X { b = 7 }\n");
	expect_none(f);
	assert_int_equal(get_int(f, "X", "b"), 6);
	assert_int_equal(get_int(f, "X", "c"), 30);
	assert_int_equal(get_int(f, "Y", "c"), 35);
}

static void names_mean_fields_then_records_around_then_module(void **state)
{
	struct fixture *f = *state;
	load(f, "schema In { x : Int = 1; y : Int = 2 }\n"
	        "schema Out { x : Int = 10; z : Int = 20; part : In = In {} }\n"
	        "device D : Out { part { y = x + z } }\n");
	expect_none(f);
	struct val in = get(f, "D", "part");
	assert_int_equal(in.kind, V_RECORD);
	assert_int_equal(record_get(in.record, "y", in.record->span).i, 21);
}

static void nested_records_refine_in_depth(void **state)
{
	struct fixture *f = *state;
	load(f, "use std.clusters { DGX_H100 }\n"
	        "cluster A = DGX_H100 { nvlink { count = 4 }; nodes = 3 }\n"
	        "cluster B = A { nvlink.count = 2 }\n");
	expect_none(f);
	assert_int_equal(get_int(f, "A", "devices"), 12);
	assert_int_equal(get_int(f, "B", "devices"), 6);
	struct val level = get(f, "B", "level");
	assert_int_equal(level.kind, V_LIST);
	assert_int_equal(level.list.n, 2);
	assert_string_equal(level.list.at[0].record->name, "nvlink");
}

static void keys_of_a_map_are_not_names(void **state)
{
	struct fixture *f = *state;
	load(f, "schema S { n : Int; m : Map(String, Any) = {} }\n"
	        "device D : S { n = 3; m { n = n + 1; a.b = \"x\"; when (n > 2) { c = n } else { d = 1 } } }\n");
	expect_none(f);
	struct record *m = get(f, "D", "m").record;
	assert_int_equal(m->fields.n, 3);
	assert_int_equal(record_get(m, "n", m->span).i, 4);
	assert_string_equal(record_get(m, "a.b", m->span).name, "x");
	assert_int_equal(record_get(m, "c", m->span).i, 3);
}

static void units_are_dimensions(void **state)
{
	struct fixture *f = *state;
	load(f, "schema S { a : Data = 2 GiB; b : Time = a / 1 GiB * 1 s; r : Ratio = 50%; t = a / b }\n"
	        "device D : S {}\n");
	expect_none(f);
	assert_true(get(f, "D", "b").f == 2);
	assert_true(get(f, "D", "r").f == 0.5);
	assert_string_equal(val_kind_text(f->sema, get(f, "D", "t")), "Bandwidth");
}

static void auto_has_choices(void **state)
{
	struct fixture *f = *state;
	load(f, "plan P { mesh tp = auto in [1, 2, 4]; mesh dp = auto; mesh ep = auto in 2..4 }\n");
	expect_none(f);
	struct val ep = get(f, "P", "ep");
	assert_int_equal(ep.kind, V_AUTO);
	assert_int_equal(ep.list.n, 3);
	assert_int_equal(ep.list.at[0].i, 2);
	assert_int_equal(ep.list.at[2].i, 4);
	struct val tp = get(f, "P", "tp"), dp = get(f, "P", "dp");
	assert_int_equal(tp.kind, V_AUTO);
	assert_int_equal(tp.list.n, 3);
	assert_int_equal(tp.list.at[2].i, 4);
	assert_int_equal(dp.kind, V_AUTO);
	assert_int_equal(dp.list.n, 0);
}

static void a_family_leaves_fields_unset(void **state)
{
	struct fixture *f = *state;
	load(f, "schema S { a : Int; b : Int = a + 1; require b > a }\n"
	        "device F : S {}\n"
	        "device M = F { a = 1 }\n");
	expect_none(f);
	assert_int_equal(get_int(f, "M", "b"), 2);
}

static void a_file_of_its_own_folder_is_imported(void **state)
{
	struct fixture *f = *state;
	add_file(f, "lib.deploy", "schema S { a : Int = 4 }\ndevice D : S {}\n");
	load(f, "use \"lib.deploy\" as lib\ndevice E = lib.D { a = lib.D.a * 2 }\n");
	expect_none(f);
	assert_int_equal(get_int(f, "E", "a"), 8);
}

static void lists_are_replaced_never_merged(void **state)
{
	struct fixture *f = *state;
	load(f, "schema S { l : List(Int) = [1, 2]; n = product(l) }\ndevice D : S { l = [5] }\ndevice E = D { l = [2, 3, "
	        "4] }\n");
	expect_none(f);
	assert_int_equal(get_int(f, "D", "n"), 5);
	assert_int_equal(get_int(f, "E", "n"), 24);
}

static void functions_of_scalars(void **state)
{
	struct fixture *f = *state;
	load(f, "schema S { r : Range(Int) = 3..9; a = max(r) - min(r); b = ceil(7 / 2); c = floor(sqrt(17.0)); d = abs(2 "
	        "- 5) * -1\n"
	        "  e = 17 mod 5; f = max(2, 7, 4); g = 3 divides 9 and not (4 in [1, 2]); h = if 5 in 1..5 then 1 else 2\n"
	        "  i = product(cycle([2, 3] + [5], 5)); j = floor(100 * log(8)); k = floor(100 * exp(1.5)); m = "
	        "ceil(sqrt(0)) }\n"
	        "device D : S {}\n");
	expect_none(f);
	static const struct {
		const char *field;
		int64_t value;
	} wanted[] = {
		{"a", 6}, {"b", 4},   {"c", 4},   {"d", -3},  {"e", 2}, {"f", 7},
		{"h", 1}, {"i", 180}, {"j", 207}, {"k", 448}, {"m", 0},
	};
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		assert_int_equal(get_int(f, "D", wanted[i].field), wanted[i].value);
	assert_true(get(f, "D", "g").b);
}

static void values_are_equal_or_not(void **state)
{
	struct fixture *f = *state;
	load(f,
	     "use std.ops { softmax, silu }\nuse std.hw as hw\n"
	     "schema I { n : Int = 2 }\n"
	     "schema S { i : I = I {}; j : I = I {}; r : Range(Int) = 1..4; l : List(Int) = [1, 2]\n"
	     "  t1 = none == none; t2 = bf16 == bf16; t3 = i == i; t4 = r == 1..4; t5 = [1, 2] == l; t6 = softmax == "
	     "softmax\n"
	     "  t7 = 2 in l; t8 = \"a\" in [\"b\", \"a\"]; t9 = true and t1; t10 = (5 mod -1) == 0; t11 = hw == hw\n"
	     "  t12 = abs(2 GiB - 5 GiB) == 3 GiB; t13 = -9223372036854775807 / -1 == 9223372036854775807; t14 = hw != i\n"
	     "  f1 = none == 3; f2 = bf16 == f32; f3 = i == j; f4 = r == 1..5; f5 = [1, 3] == l; f6 = softmax == silu\n"
	     "  f7 = 3 in l; f8 = [1] == l; f9 = l == r; f10 = i != i }\n"
	     "device D : S {}\n");
	expect_none(f);
	for (int i = 1; i <= 14; i++)
		assert_true(get(f, "D", arena_printf(&f->arena, "t%d", i)).b);
	for (int i = 1; i <= 10; i++)
		assert_false(get(f, "D", arena_printf(&f->arena, "f%d", i)).b);
}

/* A metric, a choice that is left open and an unset field have no value, and neither has what is computed from them. */
static void what_is_unknown_stays_unknown(void **state)
{
	struct fixture *f = *state;
	load(f,
	     "schema I { n : Int = 2 }\n"
	     "schema S { n : Int; i : I = auto; l : List(Int) = [1, 2]; axis t = 1\n"
	     "  u1 = l[n]; u2 = i.n; u3 = n + t; u4 = max(n, 2); u5 = n in l; u6 = 1 in [n]; u7 = if n > 2 then 1 else 2\n"
	     "  u8 = not (n > 2); u9 = n > 2 and true; u10 = true and n > 2; u11 = -n; u12 = max(auto, 1); u13 = n.x\n"
	     "  u14 = [n][0]; u15 = max([n, 1]); u16 = [1, n] == [1, 2]; u17 = [n] != l; k1 = n > 2 and false; k2 = false "
	     "and n > 2; k3 = not (1 in [n, 1])\n"
	     "  m : Map(String, Int) = { when (n > 2) { a = 1 } else { b = 1 } } }\n"
	     "device D : S {}\n");
	expect_none(f);
	f->sema->lenient = true;
	for (int i = 1; i <= 17; i++)
		assert_int_equal(get(f, "D", arena_printf(&f->arena, "u%d", i)).kind, V_UNKNOWN);
	assert_false(get(f, "D", "k1").b);
	assert_false(get(f, "D", "k2").b);
	assert_false(get(f, "D", "k3").b);
}

static void a_folder_is_given_with_I(void **state)
{
	struct fixture *f = *state;
	const char *folders[] = {"/tmp"};
	char name[64];
	add_file(f, "lib.deploy", "schema S { a : Int = 4 }\n");
	snprintf(name, sizeof name, "use \"../%s/lib.deploy\" as lib\ndevice D : lib.S {}\n", strrchr(f->folder, '/') + 1);
	f->options.include = folders;
	f->options.n_include = 1;
	load(f, name);
	expect_none(f);
	assert_int_equal(get_int(f, "D", "a"), 4);
}

/* ---- mistakes -------------------------------------------------------------------------------- */

struct mistake {
	enum diag_code code;
	const char *at, *text;
};

static void one_mistake_is_reported(void **state)
{
	static const char schema[] =
		"schema S { a : Int = 1; b : Int = 2; m : Data = 1 GiB; d = a; e : enum(on, off) = on }\n";
	static const struct mistake mistakes[] = {
		{DIAG_E0004, "devise", "devise D : S {}\n"},
		{DIAG_E0101, "T", "device D : T {}\n"},
		{DIAG_E0101, "aa", "device D : S { b = aa }\n"},
		{DIAG_E0101, "onn", "device D : S { e = onn }\n"},
		{DIAG_E0101, "std.opps", "use std.opps { silu }\ndevice D : S {}\n"},
		{DIAG_E0101, "Lst(Int)", "schema T { x : Lst(Int) }\n"},
		{DIAG_E0101, "hw.Pipeline", "use std.hw as hw\nschema T { x : hw.Pipeline }\n"},
		{DIAG_E0103, "_x", "use std.ops { _x }\n"},
		{DIAG_E0104, "use \"../x.deploy\" as x", "use \"../x.deploy\" as x\n"},
		{DIAG_E0106, "D", "device D : S {}\ndevice D : S {}\n"},
		{DIAG_E0201, "aaa", "device D : S { aaa = 1 }\n"},
		{DIAG_E0201, "c", "device D : S {}\ndevice E = D { c : Int = 1 }\n"},
		{DIAG_E0203, "1.5", "device D : S { a = 1.5 }\n"},
		{DIAG_E0203, "*", "device D : S { a = 9223372036854775807 * 2 }\n"},
		{DIAG_E0203, "/", "device D : S { a = 1 / (b - 2) }\n"},
		{DIAG_E0203, "-1..2", "plan P { mesh tp = auto in -1..2 }\n"},
		{DIAG_E0203, "0..4096", "plan P { mesh tp = auto in 0..4096 }\n"},
		{DIAG_E0204, "d", "device D : S { d = 3 }\n"},
		{DIAG_E0205, "b",
	     "schema T { a : Int = 1; b : Int = 2; require a < b : \"a is less\" }\ndevice D : T { b = 1 }\n"},
		{DIAG_E0206, "a", "device D : S { a = b; b = a }\n"},
		{DIAG_E0206, "D", "device D = D {}\n"},
		{DIAG_E0301, "80", "device D : S { m = 80 }\n"},
		{DIAG_E0302, "+", "device D : S { m = 1 GiB + 1 s }\n"},
		{DIAG_E0302, "<", "device D : S { require m < 3 }\n"},
		{DIAG_E0305, "7 B", "device D : S { a = 7 B }\n"},
		{DIAG_E0912, "builtin", "builtin f(x: [...t]) -> [...t]\n"},
	};
	for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
		void *fresh;
		assert_int_equal(setup(&fresh), 0);
		struct fixture *f = fresh;
		load(f, arena_printf(&f->arena, "%s%s", mistakes[i].text, schema));
		expect_only(f, mistakes[i].code, mistakes[i].at);
		teardown(&fresh);
	}
	(void)state;
}

static void a_record_that_contains_itself_is_a_cycle(void **state)
{
	struct fixture *f = *state;
	load(f, "schema S { s : S = S {} }\ndevice D : S {}\n");
	assert_int_equal(f->sink.diags.n, 1);
	assert_int_equal(f->sink.diags.at[0]->code, DIAG_E0206);
}

static void records_without_end_are_one_mistake(void **state)
{
	struct fixture *f = *state;
	load(f, "schema S { a : Int = S{}.a + S{}.a }\nschema T { a : T = T {}; b : T = T {} }\n"
	        "device D : S {}\ndevice E : T {}\n");
	assert_int_equal(f->sink.diags.n, 2);
	assert_int_equal(f->sink.diags.at[0]->code, DIAG_E0206);
	assert_int_equal(f->sink.diags.at[1]->code, DIAG_E0206);
}

static void what_follows_from_a_mistake_is_silent(void **state)
{
	struct fixture *f = *state;
	load(f, "schema S { a : Int = 1; b : Int = a + 1; require b > a }\n"
	        "device D : S { a = 1 s }\ndevice E = D { b = 3 }\ndevice F = Nothing {}\ndevice G = F {}\n");
	assert_int_equal(f->sink.diags.n, 2);
	assert_int_equal(f->sink.diags.at[0]->code, DIAG_E0203);
	assert_int_equal(f->sink.diags.at[1]->code, DIAG_E0101);
}

/* An item that did not parse may declare what is missing. */
static void names_of_a_broken_module_may_exist(void **state)
{
	struct fixture *f = *state;
	add_file(f, "lib.deploy", "= 3\n");
	load(f, "use \"lib.deploy\" as lib\ndevice E = lib.Missing {}\nschema S { l : lib.Other }\ndevice F : S {}\n");
	struct diag *d = expect_only(f, DIAG_E0005, "=");
	assert_string_equal(d->message, "expected an item or end of file, found `=`");
}

static void an_import_cycle_shows_each_use(void **state)
{
	struct fixture *f = *state;
	add_file(f, "a.deploy", "use \"b.deploy\" as b\n");
	add_file(f, "b.deploy", "use \"a.deploy\" as a\n");
	load(f, "use \"a.deploy\" as a\n");
	struct diag *d = expect_only(f, DIAG_E0102, "use \"a.deploy\" as a");
	assert_int_equal(d->related.n, 1);
}

static void overrides_refine_the_deployment(void **state)
{
	struct fixture *f = *state;
	struct {
		const char *path, *value;
	} set[] = {{"plan.tp", "4"}, {"D.workload.batch", "8"}, {"cluster.nodes", "2"}};
	f->options.set = (void *)set;
	f->options.n_set = 3;
	load(f, "use std.models { Mixtral_8x7B }\nuse std.clusters { DGX_H100 }\nuse std.plans { Megatron }\n"
	        "use std.workload { Inference }\n"
	        "deploy D {\n  model = Mixtral_8x7B; cluster = DGX_H100; gpus = plan.tp * plan.dp\n"
	        "  workload = Inference { batch = 1; seq = 16 }\n  plan = Megatron { tp = 2; dp = 4 }\n}\n");
	assert_int_equal(f->sink.errors, 0);
	assert_int_equal(get_int(f, "D", "gpus"), 16);
	struct record *work = get(f, "D", "workload").record;
	assert_int_equal(record_get(work, "batch", work->span).i, 8);
}

static void a_wrong_override_is_reported_on_the_command_line(void **state)
{
	struct fixture *f = *state;
	struct {
		const char *path, *value;
	} set[] = {{"plan.tpp", "4"}};
	f->options.set = (void *)set;
	f->options.n_set = 1;
	load(f, "use std.models { Mixtral_8x7B }\nuse std.clusters { DGX_H100 }\nuse std.plans { Megatron }\n"
	        "use std.workload { Inference }\n"
	        "deploy D {\n  model = Mixtral_8x7B; cluster = DGX_H100\n"
	        "  workload = Inference { batch = 1; seq = 16 }\n  plan = Megatron { tp = 8 }\n}\n");
	struct diag *d = expect_only(f, DIAG_E0201, "tpp");
	assert_string_equal(f->sources.files.at[d->at.file].label, "<command line>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(defaults_are_bound_late),
		TEST(names_mean_fields_then_records_around_then_module),
		TEST(nested_records_refine_in_depth),
		TEST(keys_of_a_map_are_not_names),
		TEST(units_are_dimensions),
		TEST(auto_has_choices),
		TEST(a_family_leaves_fields_unset),
		TEST(a_file_of_its_own_folder_is_imported),
		TEST(lists_are_replaced_never_merged),
		TEST(functions_of_scalars),
		TEST(values_are_equal_or_not),
		TEST(what_is_unknown_stays_unknown),
		TEST(a_folder_is_given_with_I),
		TEST(one_mistake_is_reported),
		TEST(a_record_that_contains_itself_is_a_cycle),
		TEST(records_without_end_are_one_mistake),
		TEST(what_follows_from_a_mistake_is_silent),
		TEST(names_of_a_broken_module_may_exist),
		TEST(an_import_cycle_shows_each_use),
		TEST(overrides_refine_the_deployment),
		TEST(a_wrong_override_is_reported_on_the_command_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
