/* Layout inference on hand-made cases: atoms of the mesh, placement by product rules, resharding, constants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "../../dag/local.h"

enum { BATCH, SEQ, KV, GROUP, EXPERT, SLOT };
enum { NONE = -1 };

struct fixture {
	struct arena arena;
	struct sources sources;
	struct sink sink;
	struct program program;
	struct deploy deploy;
	struct local local;
};

static void add_axis(struct fixture *f, const char *name, int64_t extent)
{
	vec_push(&f->arena, &f->program.axes,
	         ((struct axis){.name = name, .extent = extent, .like = -1, .of = -1, .tokens = -1}));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	f->sources.arena = f->sink.arena = &f->arena;
	f->sink.sources = &f->sources;
	add_axis(f, "batch", 0);
	add_axis(f, "seq", 0);
	add_axis(f, "kv_heads", 2);
	add_axis(f, "q_group", 6);
	add_axis(f, "expert", 8);
	add_axis(f, "slot", 0);
	f->program.batch = BATCH;
	f->program.seq = SEQ;
	f->program.row = NONE;
	vec_push(&f->arena, &f->program.regions, ((struct region){.name = "", .parent = -1}));
	f->deploy.program = &f->program;
	f->local = (struct local){.arena = &f->arena, .sink = &f->sink, .deploy = &f->deploy, .program = &f->program};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	arena_free(&f->arena);
	free(f);
	return 0;
}

static void mesh(struct fixture *f, const char *name, int64_t size)
{
	vec_push(&f->arena, &f->deploy.mesh, ((struct mesh_axis){.name = name, .size = size}));
}

static void rule(struct fixture *f, int a, int b, int target)
{
	struct rule r = {.phase = PHASE_ANY, .klass = CLASS_ANY, .n_lhs = b < 0 ? 1 : 2, .n_target = 1};
	r.lhs = arena_array(&f->arena, int, 2);
	r.target = arena_new(&f->arena, int);
	r.lhs[0] = a, r.lhs[1] = b, *r.target = target;
	vec_push(&f->arena, &f->deploy.rules, r);
}

static const char *placed(struct fixture *f, int axis)
{
	struct atoms a = place_axis(&f->local, axis, 0, PHASE_PREFILL, CLASS_ACTIVATION);
	return atoms_text(&f->local, &a);
}

/* ---- mesh and product rules ------------------------------------------------------------------ */

static void a_product_rule_cuts_its_mesh_axis(void **state)
{
	struct fixture *f = *state;
	mesh(f, "dp", 3);
	mesh(f, "tp", 4);
	rule(f, KV, GROUP, 1);
	assert_true(mesh_refine(&f->local));
	static const struct {
		const char *name;
		int64_t size, stride;
	} want[] = {{"dp", 3, 4}, {"tp.0", 2, 2}, {"tp.1", 2, 1}};
	assert_int_equal(f->local.atoms.n, 3);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(f->local.atoms.at[i].name, want[i].name);
		assert_int_equal(f->local.atoms.at[i].size, want[i].size);
		assert_int_equal(f->local.atoms.at[i].stride, want[i].stride);
	}
	assert_string_equal(placed(f, KV), "tp.0");
	assert_string_equal(placed(f, GROUP), "tp.1");
	assert_string_equal(placed(f, EXPERT), "none");
}

static void rules_may_cut_alike(void **state)
{
	struct fixture *f = *state;
	mesh(f, "tp", 4);
	rule(f, KV, GROUP, 0);
	rule(f, KV, EXPERT, 0);
	assert_true(mesh_refine(&f->local));
	assert_int_equal(f->local.atoms.n, 2);
	assert_int_equal(f->local.atoms.at[0].size, 2);
	assert_int_equal(f->local.atoms.at[1].size, 2);
}

static void a_product_that_does_not_fill_is_reported(void **state)
{
	struct fixture *f = *state;
	mesh(f, "tp", 16); /* two for the heads leave eight for six query heads */
	rule(f, KV, GROUP, 0);
	assert_true(mesh_refine(&f->local));
	placed(f, GROUP);
	assert_int_equal(f->sink.diags.at[0]->code, DIAG_E0506);
}

static void cuts_without_a_common_refinement(void **state)
{
	struct fixture *f = *state;
	mesh(f, "tp", 6);
	add_axis(f, "three", 3);
	rule(f, KV, GROUP, 0); /* 2 * 3 */
	rule(f, 6, GROUP, 0);  /* 3 * 2 */
	assert_false(mesh_refine(&f->local));
	assert_int_equal(f->sink.diags.at[0]->code, DIAG_E0507);
}

/* A group has room for every atom of the mesh; a larger mesh is reported, once. */
static void a_mesh_of_many_axes(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < MAX_GROUP_ATOMS; i++)
		mesh(f, "m", 2);
	assert_true(mesh_refine(&f->local));
	struct atoms all = {.n = 0};
	for (int i = 0; i < f->local.atoms.n; i++)
		atoms_add(&all, i);
	assert_int_equal(atoms_size(&f->local, &all), (int64_t)1 << MAX_GROUP_ATOMS);
	f->local.atoms.n = 0;
	mesh(f, "m", 2);
	assert_false(mesh_refine(&f->local));
	assert_int_equal(f->sink.diags.n, 1);
	assert_int_equal(f->sink.diags.at[0]->code, DIAG_E0918);
}

static void what_does_not_divide_is_reported(void **state)
{
	struct fixture *f = *state;
	mesh(f, "ep", 3);
	rule(f, EXPERT, NONE, 0);
	assert_true(mesh_refine(&f->local));
	placed(f, EXPERT);
	assert_int_equal(f->sink.diags.at[0]->code, DIAG_E0503);
}

/* ---- resharding ------------------------------------------------------------------------------ */
/* A layout is written "batch|seq|expert": atoms by name, then pending ones after '+'. */

enum { AXES = 3 };

static struct layout parse(struct fixture *f, const char *text)
{
	struct layout out = {.axis = arena_array(&f->arena, struct atoms, AXES + 1)};
	struct atoms *to = out.axis;
	for (; *text; text++) {
		if (*text == '|')
			to++;
		else if (*text == '+')
			to = &out.pending;
		else
			atoms_add(to, *text - 'a');
	}
	return out;
}

static int start(struct fixture *f, const char *from)
{
	static int axes[AXES] = {BATCH, SEQ, EXPERT};
	struct value source = {.op = OP_CAST};
	if (!f->local.atoms.n) {
		for (const char *name = "a\0b\0c"; f->local.atoms.n < 3; name += 2)
			vec_push(&f->arena, &f->local.atoms, ((struct atom){.name = name, .size = 2}));
		vec_push(&f->arena, &f->program.values, source);
	}
	struct local_phase *ph = &f->local.phase[0];
	vec_push(&f->arena, &ph->values,
	         ((struct local_value){.op = LOCAL_OP, .axes = axes, .n_axes = AXES, .layout = parse(f, from)}));
	return ph->values.n - 1;
}

/* The moves from one layout to another, as "ag ab, sl c". */
static const char *moves(struct fixture *f, const char *from, const char *to)
{
	static const char *const name[LOCAL_OPS] = {[LOCAL_ALL_REDUCE] = "ar",
	                                            [LOCAL_REDUCE_SCATTER] = "rs",
	                                            [LOCAL_ALL_GATHER] = "ag",
	                                            [LOCAL_ALL_TO_ALL] = "aa",
	                                            [LOCAL_SLICE] = "sl"};
	struct local_phase *ph = &f->local.phase[0];
	int at = start(f, from);
	struct layout want = parse(f, to);
	int end = reshard(&f->local, ph, at, &want, 0, -1, "test");
	struct text t = {.arena = &f->arena};
	text_add(&t, "%s", "");
	for (int i = at + 1; i < ph->values.n; i++) {
		text_add(&t, "%s%s ", i > at + 1 ? ", " : "", name[ph->values.at[i].op]);
		for (int k = 0; k < ph->values.at[i].move.atoms.n; k++)
			text_add(&t, "%s", f->local.atoms.at[ph->values.at[i].move.atoms.at[k]].name);
	}
	for (int i = 0; i < AXES; i++)
		assert_true(atoms_equal(&ph->values.at[end].layout.axis[i], &want.axis[i]));
	return t.at;
}

static void each_kind_of_move(void **state)
{
	struct fixture *f = *state;
	assert_string_equal(moves(f, "a|b|", "a|b|"), "");
	assert_string_equal(moves(f, "||", "|a|"), "sl a");
	assert_string_equal(moves(f, "|a|", "||"), "ag a");
	assert_string_equal(moves(f, "|a|", "||a"), "aa a");
	assert_string_equal(moves(f, "||+a", "||"), "ar a");
	assert_string_equal(moves(f, "||+a", "|a|"), "rs a");
	assert_string_equal(moves(f, "||+a", "||+a"), "");
}

static void sums_shrink_before_they_grow(void **state)
{
	struct fixture *f = *state;
	assert_string_equal(moves(f, "||+ab", "|a|"), "rs a, ar b");
	assert_string_equal(moves(f, "|c|+a", "|ca|"), "rs a");
	assert_string_equal(moves(f, "|c|+a", "a||"), "rs a, ag c");
	assert_string_equal(moves(f, "||+ba", "||"), "ar ab"); /* in the order of the mesh */
}

static void suffixes_move_at_once(void **state)
{
	struct fixture *f = *state;
	assert_string_equal(moves(f, "|abc|", "||abc"), "aa abc");
	assert_string_equal(moves(f, "a|bc|", "||abc"), "aa a, aa bc"); /* batch's, then seq's as one */
	assert_string_equal(moves(f, "|abc|", "|a|"), "ag bc");
	assert_string_equal(moves(f, "|ab|", "|b|a"), "ag ab, sl b, sl a"); /* only a suffix can leave */
}

static void equal_moves_are_made_once(void **state)
{
	struct fixture *f = *state;
	struct local_phase *ph = &f->local.phase[0];
	int at = start(f, "|a|");
	struct layout whole = parse(f, "||");
	int first = reshard(&f->local, ph, at, &whole, 0, -1, "q");
	assert_int_equal(reshard(&f->local, ph, at, &whole, 0, -1, "k"), first);
	assert_int_equal(ph->values.n, at + 2);
}

/* ---- constants ------------------------------------------------------------------------------- */

static int value(struct fixture *f, struct value v, int axis, int a, int b)
{
	v.axes = arena_array(&f->arena, int, 1);
	v.args = arena_array(&f->arena, int, 2);
	v.axes[0] = axis, v.n_axes = axis >= 0;
	v.args[0] = a, v.args[1] = b, v.n_args = (a >= 0) + (b >= 0);
	v.call = -1;
	vec_push(&f->arena, &f->program.values, v);
	return f->program.values.n - 1;
}

static void constants_are_folded_and_broadcast(void **state)
{
	struct fixture *f = *state;
	int two = value(f, (struct value){.op = OP_CONST, .number = 2}, NONE, NONE, NONE);
	int iota = value(f, (struct value){.op = OP_IOTA}, EXPERT, NONE, NONE);
	int twice = value(f, (struct value){.op = OP_MUL}, EXPERT, two, iota);
	int ids = value(f, (struct value){.op = OP_INPUT}, BATCH, NONE, NONE);
	int sum = value(f, (struct value){.op = OP_ADD}, BATCH, ids, two);
	int runtime = value(f, (struct value){.op = OP_IOTA}, SEQ, NONE, NONE);
	fold_constants(&f->local);
	for (int i = 0; i < 8; i++)
		assert_true(f->local.folded[twice][i] == 2 * i);
	assert_null(f->local.folded[ids]);
	assert_null(f->local.folded[sum]);
	assert_null(f->local.folded[runtime]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_product_rule_cuts_its_mesh_axis, setup, teardown),
		cmocka_unit_test_setup_teardown(rules_may_cut_alike, setup, teardown),
		cmocka_unit_test_setup_teardown(a_product_that_does_not_fill_is_reported, setup, teardown),
		cmocka_unit_test_setup_teardown(cuts_without_a_common_refinement, setup, teardown),
		cmocka_unit_test_setup_teardown(a_mesh_of_many_axes, setup, teardown),
		cmocka_unit_test_setup_teardown(what_does_not_divide_is_reported, setup, teardown),
		cmocka_unit_test_setup_teardown(each_kind_of_move, setup, teardown),
		cmocka_unit_test_setup_teardown(sums_shrink_before_they_grow, setup, teardown),
		cmocka_unit_test_setup_teardown(suffixes_move_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(equal_moves_are_made_once, setup, teardown),
		cmocka_unit_test_setup_teardown(constants_are_folded_and_broadcast, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
