/* Caches handed from one layout to another, held to every element: what a rank holds is found here from its
 * coordinates, by the rules of the plan below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "../../planner/handover.h"
#include "sema_fixture.h"

enum { LAYERS = 4, HEADS = 4, WIDTH = 8, WINDOW = 40, ELEMENT = 2 * WIDTH * 2 /* keys and values in bf16 */ };

/* A mesh, outermost first, and the positions in a page. */
struct grid {
	int pp, dp, cp, tp, page;
};

static const char *deploy_text(struct fixture *f, const char *name, struct grid g, int prompt)
{
	return arena_printf(&f->arena,
	                    "deploy %s {\n"
	                    "  model = Tiny; cluster = CPUHost { ranks = %d }\n"
	                    "  plan = P { pp = %d; dp = %d; cp = %d; tp = %d }\n"
	                    "  workload = Inference { batch = 8; seq = %d; output = 8; page = %d; chunk = 64 }\n"
	                    "}\n",
	                    name, g.pp * g.dp * g.cp * g.tp, g.pp, g.dp, g.cp, g.tp, prompt, g.page);
}

static struct cache_side side_of(struct fixture *f, struct deploy *d)
{
	assert_true(d->program && !d->refused);
	struct local *l = dag_local(&f->arena, &f->names, &f->sink, d);
	assert_non_null(l);
	struct target target = target_cpu(8, false);
	struct cache_side out = {l, dag_schedule(&f->arena, &f->sink, l, &target)};
	assert_non_null(out.schedule);
	return out;
}

static struct handover handover_between_grids(struct fixture *f, struct grid from, struct grid to, int prompt)
{
	const char *text = arena_printf(
		&f->arena,
		"use std.gemma2 { Gemma2 }\n"
		"use std.clusters { CPUHost }\n"
		"use std.workload { Inference }\n"
		"model Tiny = Gemma2 {\n"
		"  vocab = 64; layers = %d; d_model = 32; kv_heads = %d; q_group = 2; head_dim = %d; ffn = 32; window = %d\n"
		"  max_ctx = 1024; weight = bf16; act = bf16; kv = bf16\n"
		"}\n"
		"plan P { mesh pp = 1; mesh dp = 1; mesh cp = 1; mesh tp = 1\n"
		"  layers -> pp; batch -> dp; kv_heads * q_group -> tp; ffn -> tp; vocab -> tp; ctx -> cp }\n"
		"%s%s",
		LAYERS, HEADS, WIDTH, WINDOW, deploy_text(f, "A", from, prompt), deploy_text(f, "B", to, prompt));
	struct sema *s = fixture_load(f, text);
	int n;
	struct deploy **all = sema_deploys(s, &n);
	assert_int_equal(n, 2);
	struct handover h;
	assert_true(handover_of(&f->arena, side_of(f, all[0]), side_of(f, all[1]), prompt, &h));
	return h;
}

/* Does a rank hold keys and values of a layer, a position and a head, of a sequence of the first owner? */
static bool holds(struct grid g, int rank, int layer, int position, int head)
{
	int tp = rank % g.tp, cp = rank / g.tp % g.cp, dp = rank / g.tp / g.cp % g.dp, pp = rank / g.tp / g.cp / g.dp;
	int ways = g.tp < HEADS ? g.tp : HEADS; /* of the heads; query groups take the rest, and heads are there again */
	return !dp && layer / (LAYERS / g.pp) == pp && position / g.page % g.cp == cp
	       && head / (HEADS / ways) == tp / (g.tp / ways);
}

/* The first of every two layers has a window. */
static bool wanted(int layer, int position, int prompt) { return layer % 2 || position >= prompt - WINDOW; }

/* Bytes that both ranks hold, of layers with and without a window. */
static void held_by_both(struct grid from, int a, struct grid to, int b, int prompt, double out[2])
{
	out[0] = out[1] = 0;
	for (int layer = 0; layer < LAYERS; layer++)
		for (int position = 0; position < prompt; position++)
			for (int head = 0; head < HEADS; head++)
				if (wanted(layer, position, prompt) && holds(from, a, layer, position, head)
				    && holds(to, b, layer, position, head))
					out[layer % 2] += ELEMENT;
}

static double held(struct grid g, int rank, int prompt)
{
	double both[2];
	held_by_both(g, rank, g, rank, prompt, both);
	return both[0] + both[1];
}

static int ranks_of(struct grid g) { return g.pp * g.dp * g.cp * g.tp; }

/* Each rank gets exactly what it holds, from ranks that hold it, and no part twice. */
static void check(struct fixture *f, struct grid from, struct grid to, int prompt)
{
	struct handover h = handover_between_grids(f, from, to, prompt);
	double all = 0, most_sent = 0, most_received = 0, cache = 0;
	int senders = 0, receivers = 0;
	double *sent = calloc((size_t)ranks_of(from), sizeof *sent);
	for (int b = 0; b < ranks_of(to); b++) {
		double received = 0;
		int sources = 0;
		for (int a = 0; a < ranks_of(from); a++) {
			double bytes = handover_between(&h, a, b), both[2];
			held_by_both(from, a, to, b, prompt, both);
			assert_true(bytes == 0 || bytes == both[0] || bytes == both[1] || bytes == both[0] + both[1]);
			received += bytes;
			sent[a] += bytes;
			sources += bytes > 0;
		}
		assert_true(received == held(to, b, prompt));
		assert_true(sources <= h.sources);
		all += received;
		receivers += received > 0;
		most_received = received > most_received ? received : most_received;
	}
	for (int a = 0; a < ranks_of(from); a++) {
		most_sent = sent[a] > most_sent ? sent[a] : most_sent;
		senders += sent[a] > 0;
	}
	for (int layer = 0; layer < LAYERS; layer++)
		for (int position = 0; position < prompt; position++)
			cache += wanted(layer, position, prompt) ? HEADS * ELEMENT : 0;
	free(sent);
	assert_true(h.bytes == cache);
	assert_true(h.moved == all);
	assert_true(h.sent == most_sent);
	assert_true(h.received == most_received);
	assert_int_equal(h.senders, senders);
	assert_int_equal(h.receivers, receivers);
}

static void every_rank_gets_what_it_holds(void **state)
{
	static const struct grid grids[] = {{1, 1, 1, 1, 16}, {1, 1, 1, 2, 16}, {1, 1, 1, 4, 64}, {1, 1, 1, 8, 16},
	                                    {2, 1, 1, 2, 16}, {4, 2, 1, 1, 16}, {1, 4, 1, 2, 16}, {2, 2, 1, 4, 64},
	                                    {1, 1, 2, 2, 16}, {1, 1, 4, 1, 32}, {1, 2, 2, 1, 16}};
	enum { GRIDS = sizeof grids / sizeof *grids };
	for (int i = 0; i < GRIDS; i++)
		for (int k = 0; k < GRIDS; k++)
			check(*state, grids[i], grids[k], i % 2 ? 200 : 33);
}

/* Copies of a head share what is asked of them: 8 ranks of 4 heads, 2 copies of each, hand over to 8 of 4 heads. */
static void copies_take_turns(void **state)
{
	const struct grid eight = {1, 1, 1, 8, 16}, four = {1, 1, 1, 4, 16}, one = {1, 1, 1, 1, 16};
	struct handover same = handover_between_grids(*state, eight, eight, 200);
	assert_int_equal(same.senders, 8);
	assert_int_equal(same.targets, 1);
	assert_true(same.sent == same.received && same.moved == 2 * same.bytes);
	struct handover wider = handover_between_grids(*state, four, eight, 200);
	assert_int_equal(wider.senders, 4);
	assert_int_equal(wider.targets, 2);
	assert_true(wider.sent == 2 * wider.received);
	struct handover narrower = handover_between_grids(*state, eight, one, 200);
	assert_int_equal(narrower.sources, 4);
	assert_true(narrower.received == narrower.bytes && narrower.sent == narrower.bytes / 4);
}

/* 2 layers of all positions, 2 of a window; 2 x 4 heads x 8 wide, in bf16. */
static void windows_hand_over_their_positions(void **state)
{
	const struct grid one = {1, 1, 1, 1, 16};
	struct handover h = handover_between_grids(*state, one, one, 200);
	assert_true(h.bytes == 2 * 4 * 8 * 2 * (2 * 200 + 2 * 40));
	assert_true(h.windows == 2 * 4 * 8 * 2 * 2 * 40);
	h = handover_between_grids(*state, one, one, 33);
	assert_true(h.bytes == 2 * 4 * 8 * 2 * 4 * 33);
	assert_true(h.windows == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_rank_gets_what_it_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_take_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(windows_hand_over_their_positions, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
