/* The definition to which each name of a spec leads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "sema_fixture.h"

static const char spec[] = "use std.mixtral as mix\n"                                            /* 1 */
						   "use std.clusters { DGX_H100 }\n"                                     /* 2 */
						   "use std.workload { Inference }\n"                                    /* 3 */
						   "use std.ops { rms_norm }\n"                                          /* 4 */
						   "block Twice(x : [batch, seq, d_model]) -> [batch, seq, d_model] {\n" /* 5 */
						   "  param gain : weight[d_model]\n"                                    /* 6 */
						   "  let once = rms_norm(x, gain, eps = 1e-5)\n"                        /* 7 */
						   "  return once + x\n"                                                 /* 8 */
						   "}\n"                                                                 /* 9 */
						   "plan Mine {\n"                                                       /* 10 */
						   "  mesh tp = 1\n"                                                     /* 11 */
						   "  kv_heads -> tp\n"                                                  /* 12 */
						   "  at attn { d_model -> none }\n"                                     /* 13 */
						   "}\n"                                                                 /* 14 */
						   "model Small = mix.Mixtral { layers = 2 }\n"                          /* 15 */
						   "deploy Chat {\n"                                                     /* 16 */
						   "  model    = Small\n"                                                /* 17 */
						   "  cluster  = DGX_H100 { nodes = 1; level nvlink { count = 8 } }\n"   /* 18 */
						   "  plan     = Mine { tp = 8 within nvlink }\n"                        /* 19 */
						   "  workload = Inference { batch = 8; seq = 64 }\n"                    /* 20 */
						   "  model.layers = 3\n"                                                /* 21 */
						   "}\n";

/* A use by its line and its text, where it leads, and as what. line 0: somewhere in a module of the library. */
static const struct expected {
	int use_line;
	const char *name, *file;
	int line;
	enum reference_kind kind;
} all_expected[] = {
	{1, "mixtral", "std.mixtral", 0, REFERENCE_MODULE},
	{2, "DGX_H100", "std.clusters", 0, REFERENCE_DECLARATION},
	{4, "rms_norm", "std.ops", 0, REFERENCE_DECLARATION},
	{5, "seq", "<standard input>", 5, REFERENCE_AXIS},
	{6, "d_model", "<standard input>", 5, REFERENCE_AXIS},
	{7, "rms_norm", "std.ops", 0, REFERENCE_DECLARATION},
	{7, "x", "<standard input>", 5, REFERENCE_LOCAL},
	{7, "gain", "<standard input>", 6, REFERENCE_LOCAL},
	{7, "eps", "std.ops", 0, REFERENCE_LOCAL},
	{8, "once", "<standard input>", 7, REFERENCE_LOCAL},
	{12, "kv_heads", "std.mixtral", 0, REFERENCE_AXIS},
	{12, "tp", "<standard input>", 11, REFERENCE_MESH_AXIS},
	{13, "attn", "std.mixtral", 0, REFERENCE_REGION},
	{13, "d_model", "std.mixtral", 0, REFERENCE_AXIS},
	{15, "mix", "<standard input>", 1, REFERENCE_MODULE},
	{15, "Mixtral", "std.mixtral", 0, REFERENCE_DECLARATION},
	{15, "layers", "std.decoder", 0, REFERENCE_AXIS},
	{17, "model", "std.core", 0, REFERENCE_FIELD},
	{17, "Small", "<standard input>", 15, REFERENCE_DECLARATION},
	{18, "level", "std.hw", 0, REFERENCE_FIELD},
	{18, "nvlink", "std.clusters", 0, REFERENCE_LEVEL},
	{18, "count", "std.hw", 0, REFERENCE_FIELD},
	{19, "Mine", "<standard input>", 10, REFERENCE_DECLARATION},
	{19, "tp", "<standard input>", 11, REFERENCE_MESH_AXIS},
	{19, "nvlink", "std.clusters", 0, REFERENCE_LEVEL},
	{20, "seq", "std.workload", 0, REFERENCE_FIELD},
	{21, "model", "std.core", 0, REFERENCE_FIELD},
	{21, "layers", "std.decoder", 0, REFERENCE_AXIS},
};

/* The text, loaded, with its references if they are wanted. */
static struct sema *load_spec(struct fixture *f, bool references)
{
	f->options.references = references;
	struct sema *s = fixture_load(f, spec);
	assert_int_equal(f->sink.diags.n, 0);
	return s;
}

static int line_of(const struct fixture *f, struct span at)
{
	int line, column;
	sources_position(&f->sources, at, &line, &column);
	return line;
}

static bool is_text(const struct fixture *f, struct span at, const char *name)
{
	return at.hi - at.lo == strlen(name) && !memcmp(f->sources.files.at[at.file].text + at.lo, name, at.hi - at.lo);
}

static bool is_expected(const struct fixture *f, struct sema *s, const struct reference *r, const struct expected *e)
{
	return r->use.file == sema_source(s) && line_of(f, r->use) == e->use_line && is_text(f, r->use, e->name)
	       && !strcmp(f->sources.files.at[r->definition.file].label, e->file)
	       && (!e->line || line_of(f, r->definition) == e->line) && r->kind == e->kind;
}

static void names_lead_to_definitions(void **state)
{
	struct fixture *f = *state;
	int n;
	struct sema *s = load_spec(f, true);
	const struct reference *all = sema_references(s, &n);
	for (size_t i = 0; i < sizeof all_expected / sizeof *all_expected; i++) {
		const struct expected *e = &all_expected[i];
		int found = 0;
		for (int k = 0; k < n; k++)
			found += is_expected(f, s, &all[k], e);
		if (!found)
			fail_msg("`%s` of line %d leads to no definition in %s", e->name, e->use_line, e->file);
	}
}

static void nothing_is_recorded_unasked(void **state)
{
	int n;
	sema_references(load_spec(*state, false), &n);
	assert_int_equal(n, 0);
}

/* Both texts are the name; each pair occurs once, in order. */
static void assert_well_formed(const struct fixture *f, const struct reference *all, int n)
{
	for (int i = 0; i < n; i++) {
		struct span use = all[i].use, definition = all[i].definition;
		const char *text = f->sources.files.at[definition.file].text + definition.lo;
		const char *name = f->sources.files.at[use.file].text + use.lo;
		bool whole_module = all[i].kind == REFERENCE_MODULE && !definition.lo && !definition.hi;
		assert_true(use.hi > use.lo);
		assert_true(whole_module || definition.hi - definition.lo == use.hi - use.lo);
		assert_true(whole_module || !memcmp(text, name, use.hi - use.lo));
		if (i)
			assert_true(memcmp(&all[i], &all[i - 1], sizeof *all) != 0 && use.file >= all[i - 1].use.file);
	}
}

static void texts_are_equal_in_the_library(void **state)
{
	int seen[REFERENCE_KINDS] = {0};
	for (int i = 0; sema_library(i); i++) {
		struct fixture *f = *state;
		int n;
		f->options.references = true;
		struct sema *s = sema_new(&f->arena, &f->names, &f->sink, &f->options);
		sema_load_library(s, i);
		const struct reference *all = sema_references(s, &n);
		assert_well_formed(f, all, n);
		for (int k = 0; k < n; k++)
			seen[all[k].kind]++;
		teardown(state);
		setup(state);
	}
	assert_true(seen[REFERENCE_LOCAL] > 500 && seen[REFERENCE_AXIS] > 500 && seen[REFERENCE_FIELD] > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_lead_to_definitions, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_recorded_unasked, setup, teardown),
		cmocka_unit_test_setup_teardown(texts_are_equal_in_the_library, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
