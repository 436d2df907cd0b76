/* What the language server takes over from the analysis before: which deployments are planned, and their reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "../../lsp/analysis.h"
#include "../../sema/internal.h"

#define HEAD                                                                                    \
	"use std.models { Llama_3_1_8B }\nuse std.clusters { DGX_H100 }\nuse std.plans { VLLM }\n"  \
	"use std.workload { Inference }\nplan Own {\n  mesh dp = 2\n  mesh tp = 4\n  batch -> dp\n" \
	"  kv_heads * q_group -> tp\n  ffn -> tp\n  vocab -> tp\n}\n"
#define DEPLOY(name, plan, batch)                                                                   \
	"deploy " name " {\n  model = Llama_3_1_8B\n  cluster = DGX_H100 { nodes = 1 }\n  plan = " plan \
	"\n  workload = Inference { batch = " batch "; seq = 128..1024; output = 256 }\n}\n"

static struct spares spares;
static struct sema_options sema_options;
static struct target target = {.lanes = 8};

static struct analysis *analyse(const char *text, const struct analysis *before)
{
	struct document d = {.uri = (char *)"file:///nowhere/a.deploy",
	                     .key = (char *)"/nowhere/a.deploy",
	                     .text = (char *)text,
	                     .size = strlen(text)};
	struct analysis_options o = {&sema_options, &d, &target, NULL, &spares};
	struct analysis *a = analysis_make(&o, &d, before, false);
	assert_int_equal(a->status, 0);
	return a;
}

/* Bit i: deployment i is planned. */
static int planned(const struct analysis *a)
{
	int all = 0;
	for (int i = 0; i < a->n; i++)
		all |= a->deployments[i].is_planned << i;
	return all;
}

/* The reports are those of an analysis that takes nothing over. */
static void reports_are_right(const struct analysis *a, const char *text)
{
	struct analysis *fresh = analyse(text, NULL);
	assert_int_equal(a->sink.diags.n, fresh->sink.diags.n);
	assert_int_equal(a->sink.errors, fresh->sink.errors);
	assert_int_equal(a->sink.warnings, fresh->sink.warnings);
	for (int i = 0; i < a->sink.diags.n; i++) {
		const struct diag *x = a->sink.diags.at[i], *y = fresh->sink.diags.at[i];
		assert_int_equal(x->code, y->code);
		assert_memory_equal(&x->at, &y->at, sizeof x->at);
		assert_string_equal(x->message, y->message);
		assert_int_equal(x->table.n, y->table.n);
		assert_int_equal(x->notes.n, y->notes.n);
	}
	analysis_free(fresh);
}

/* The deployments that are planned after an edit. */
static int planned_after(const char *old, const char *new)
{
	struct analysis *before = analyse(old, NULL), *a = analyse(new, before);
	int all = planned(a);
	reports_are_right(a, new);
	analysis_free(before);
	for (int i = 0; i < a->n; i++)
		if (!(all & 1 << i)) {
			assert_non_null(analysis_planned(a, i)->schedule);
			assert_true(a->deployments[i].is_planned);
		}
	reports_are_right(a, new);
	analysis_free(a);
	return all;
}

static const char two[] = HEAD DEPLOY("A", "VLLM { tp = 8 }", "90_000") DEPLOY("B", "Own", "90_000");

static void what_did_not_change(void **state)
{
	(void)state;
	assert_int_equal(planned_after(two, two), 0);
	assert_int_equal(
		planned_after(two, HEAD "// a comment\n" DEPLOY("A", "VLLM { tp = 8 }", "90_000") DEPLOY("B", "Own", "90_000")),
		0);
	assert_int_equal(planned_after(two, HEAD DEPLOY("A", "VLLM { tp = 8 }", "8") DEPLOY("B", "Own", "90_000")), 1);
	assert_int_equal(planned_after(two, HEAD DEPLOY("A", "VLLM { tp = 8 }", "90_000") DEPLOY("B", "Own", "8")), 2);
}

static void what_several_read(void **state)
{
	(void)state;
	static const char plan[] =
		HEAD "plan Other { mesh tp = 1 }\n" DEPLOY("A", "VLLM { tp = 8 }", "90_000") DEPLOY("B", "Own", "90_000");
	static const char renamed[] = HEAD DEPLOY("C", "VLLM { tp = 8 }", "90_000") DEPLOY("B", "Own", "90_000");
	static const char wrong[] = HEAD "use\n" DEPLOY("A", "VLLM { tp = 8 }", "90_000") DEPLOY("B", "Own", "90_000");
	assert_int_equal(planned_after(two, plan), 3);
	assert_int_equal(planned_after(two, renamed), 3);
	assert_int_equal(planned_after(wrong, wrong), 3);
}

/* B derives from A. */
static void what_another_names(void **state)
{
	(void)state;
	static const char old[] = HEAD DEPLOY("A", "VLLM { tp = 8 }", "90_000") "deploy B = A { plan { dp = 1 } }\n";
	static const char new[] = HEAD DEPLOY("A", "VLLM { tp = 8 }", "80_000") "deploy B = A { plan { dp = 1 } }\n";
	assert_int_equal(planned_after(old, old), 0);
	assert_int_equal(planned_after(old, new), 3);
}

/* Values of -D are read like files. */
static void other_options(void **state)
{
	(void)state;
	struct suggestion set = {"workload.batch", "8"};
	struct analysis *before = analyse(two, NULL);
	sema_options.set = &set;
	sema_options.n_set = 1;
	struct analysis *a = analyse(two, before);
	sema_options.n_set = 0;
	assert_int_equal(planned(a), 3);
	assert_int_equal(a->sink.errors, 0);
	assert_int_equal(before->sink.errors, 2);
	analysis_free(before);
	analysis_free(a);
}

/* The library that was read before gives the same as one that each analysis reads. */
static void a_library_for_all(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct analysis *alone = analyse(two, NULL);
	sema_options.library = library_read(&arena);
	struct analysis *shared = analyse(two, NULL);
	sema_options.library = NULL;
	assert_int_equal(alone->sink.diags.n, shared->sink.diags.n);
	assert_int_equal(alone->n_references, shared->n_references);
	for (int i = 0; i < alone->sink.diags.n; i++)
		assert_string_equal(alone->sink.diags.at[i]->message, shared->sink.diags.at[i]->message);
	analysis_free(alone);
	analysis_free(shared);
	arena_free(&arena);
}

/* A text of a size that readers of files refuse is an internal error of the first pass. The analysis is given up, and
 * the next one is as any. */
static void an_internal_error_is_survived(void **state)
{
	(void)state;
	struct document d = {.uri = (char *)"file:///nowhere/a.deploy",
	                     .key = (char *)"/nowhere/a.deploy",
	                     .text = (char *)two,
	                     .size = UINT32_MAX};
	struct analysis_options o = {&sema_options, &d, &target, NULL, &spares};
	struct analysis *given_up = analysis_make(&o, &d, NULL, false);
	assert_int_equal(given_up->status, EXIT_INTERNAL);
	analysis_free(given_up);
	struct analysis *after = analyse(two, NULL);
	assert_int_equal(after->n, 2);
	reports_are_right(after, two);
	analysis_free(after);
}

static int end(void **state)
{
	(void)state;
	spares_free(&spares);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_did_not_change), cmocka_unit_test(what_several_read),
		cmocka_unit_test(what_another_names),  cmocka_unit_test(other_options),
		cmocka_unit_test(a_library_for_all),   cmocka_unit_test(an_internal_error_is_survived),
	};
	return cmocka_run_group_tests(tests, NULL, end);
}
