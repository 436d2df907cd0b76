/* Tensor programs: the DAG of a model's text, and the mistakes reported, with their places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../sema/internal.h"

struct fixture {
	struct arena arena;
	struct sources sources;
	struct sink sink;
	struct names names;
	struct sema_options options;
	struct sema *sema;
	char file[48];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	strcpy(f->file, "/tmp/program-XXXXXX");
	int fd = mkstemp(f->file);
	if (fd < 0)
		return -1;
	close(fd);
	f->sources.arena = f->sink.arena = f->names.arena = &f->arena;
	f->sink.sources = &f->sources;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	unlink(f->file);
	arena_free(&f->arena);
	free(f);
	return 0;
}

static const char *const head = "use std.decoder { Decoder, GQA, GatedMLP, SparseMoE }\n"
								"use std.ops { embed, pick, silu, softmax, rms_norm, rope_freq, rotate, append, "
								"attend, route, dispatch, combine, join, sample }\n";

/* A model of two layers whose block B is `block`, after `extra` items of the model. */
static const char *model_text(struct fixture *f, const char *block, const char *extra)
{
	return arena_printf(
		&f->arena,
		"%sblock B(x: [batch, seq, d_model]) -> [batch, seq, d_model] {\n%s\n}\n"
		"model M : Decoder {\n"
		"  vocab = 16; layers = 2; max_ctx = 8\n"
		"  axis d_model = 8\n"
		"  axis ffn = 12\n"
		"  axis heads = 2\n"
		"  axis expert = 4\n"
		"%s\n"
		"  param table : [vocab, d_model] from \"table\"\n"
		"  let x = embed(table, ids)\n"
		"  repeat layers as layer from \"layers.{layer}\" { x = B(x) as b from \"b\" }\n"
		"  param norm : [d_model] from \"norm\"\n"
		"  output logits : f32[batch, row, vocab] = rms_norm(pick(x, want), norm, 1e-5) @[d_model] table\n"
		"}\n",
		head, block, extra);
}

static void load(struct fixture *f, const char *text)
{
	FILE *out = fopen(f->file, "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
	f->sema = sema_new(&f->arena, &f->names, &f->sink, &f->options);
	assert_true(sema_load(f->sema, f->file));
}

static const char *text_at(struct fixture *f, struct span at)
{
	return arena_strndup(&f->arena, f->sources.files.at[at.file].text + at.lo, at.hi - at.lo);
}

static void show(struct fixture *f)
{
	for (int i = 0; i < f->sink.diags.n; i++) {
		struct diag *d = f->sink.diags.at[i];
		fprintf(stderr, "%s at `%s`: %s\n", diag_code_name(d->code), text_at(f, d->at), d->message);
	}
}

/* The only model of the file, without a mistake. */
static struct program *program_of(struct fixture *f, const char *text)
{
	load(f, text);
	show(f);
	assert_int_equal(f->sink.diags.n, 0);
	assert_int_equal(f->sema->walked.n, 1);
	struct program *p = f->sema->walked.at[0].program;
	assert_non_null(p);
	const char *wrong = program_check(p, &f->arena);
	if (wrong)
		fprintf(stderr, "%s\n", wrong);
	assert_null(wrong);
	return p;
}

static const struct value *the(const struct program *p, enum op op)
{
	const struct value *found = NULL;
	for (int i = 0; i < p->values.n; i++)
		if (p->values.at[i].op == op) {
			assert_null(found);
			found = &p->values.at[i];
		}
	assert_non_null(found);
	return found;
}

static const struct param *param(const struct program *p, const char *name)
{
	for (int i = 0; i < p->params.n; i++)
		if (!strcmp(p->params.at[i].name, name))
			return &p->params.at[i];
	fail_msg("no param %s", name);
	return NULL;
}

static const char *axis(const struct program *p, int i)
{
	assert_in_range(i, 0, p->axes.n - 1);
	return p->axes.at[i].name;
}

static void expect_axes(const struct program *p, const int *axes, int n, const char *want)
{
	char got[256] = "";
	for (int i = 0; i < n; i++) {
		strcat(got, i ? " " : "");
		strcat(got, axis(p, axes[i]));
	}
	assert_string_equal(got, want);
}

/* ---- loops ----------------------------------------------------------------------------------- */

static void test_loop_is_walked_once(void **state)
{
	struct program *p = program_of(*state, model_text(*state, "return x + x", ""));
	const struct value *carry = the(p, OP_CARRY), *final = the(p, OP_FINAL), *add = &p->values.at[carry->next];
	assert_true(p->loops.n == 1);
	assert_string_equal(axis(p, p->loops.at[0].axis), "layers");
	assert_string_equal(p->loops.at[0].index, "layer");
	assert_ptr_equal(carry, &p->values.at[p->loops.at[0].begin]);
	assert_int_equal(p->values.at[carry->args[0]].op, OP_EMBED);
	assert_int_equal(add->op, OP_ADD);
	assert_ptr_equal(&p->values.at[add->args[0]], carry);
	assert_int_equal(p->loops.at[0].end - p->loops.at[0].begin, 2);
	assert_ptr_equal(&p->values.at[final->args[0]], carry);
	assert_int_equal(final->region, 0);
	assert_string_equal(p->regions.at[p->loops.at[0].region].name, "layer");
	assert_true(p->regions.at[p->loops.at[0].region].is_loop_body);
}

static void test_arguments_stand_outside_the_region(void **state)
{
	const char *text = model_text(*state, "return x", "");
	const char *call = strstr(text, "B(x) as b");
	text = arena_printf(&((struct fixture *)*state)->arena, "%.*sB(silu(x))%s", (int)(call - text), text, call + 4);
	struct program *p = program_of(*state, text);
	assert_int_equal(p->calls.at[0].region, p->loops.at[0].region);
}

static void test_two_names_are_carried(void **state)
{
	struct fixture *f = *state;
	struct program *p = program_of(
		f,
		arena_printf(&f->arena,
	                 "%smodel M : Decoder {\n vocab = 16; layers = 2; max_ctx = 8\n axis d_model = 8\n"
	                 " param w : [vocab, d_model] from \"w\"\n let a = embed(w, ids)\n let b = a + a\n let kept = a\n"
	                 " repeat layers as layer { when (vocab > 3) { b = a + kept } else { kept = a }\n a = b }\n"
	                 " output out : f32[batch, seq, d_model] = a + b\n}\n",
	                 head));
	const struct value *first = &p->values.at[p->loops.at[0].begin];
	assert_string_equal(first[0].name, "b");
	assert_string_equal(first[1].name, "kept");
	assert_string_equal(first[2].name, "a");
	assert_int_equal(first[0].next, first[2].next);            /* a = b takes the b of this turn */
	assert_int_equal(first[1].next, p->loops.at[0].begin + 1); /* not rebound in the branch that was taken */
	assert_int_equal(p->values.at[p->outputs.at[0].value].op, OP_CAST);
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

static void expect_stored(const struct param *q, int64_t base, int n, const int64_t *stride)
{
	assert_int_equal(q->stored.base, base);
	assert_int_equal(q->n_axes, n);
	for (int i = 0; i < n; i++)
		assert_int_equal(q->stored.stride[i], stride[i]);
}

static void test_stored_layouts(void **state)
{
	struct program *p = program_of(
		*state, model_text(*state,
	                       " axis heads, ffn, expert\n"
	                       " param plain : [d_model, ffn] from \"plain\"\n"
	                       " param flipped : [d_model, heads, ffn] from \"flipped\" as [heads * ffn, d_model]\n"
	                       " param second : [d_model, ffn] from \"second\" as [(heads + ffn + heads), d_model]\n"
	                       " param marked : [ffn, d_model] from \"marked\" as [(ffn + ffn !), d_model]\n"
	                       " param odd : [d_model, ffn] from \"odd\" as [d_model, ffn * (1 + 1 !)]\n"
	                       " param inner : [d_model, heads, ffn] from \"inner\" as [heads * (d_model + ffn), d_model]\n"
	                       " return x",
	                       ""));
	expect_stored(param(p, "plain"), 0, 2, (int64_t[]){12, 1});
	expect_stored(param(p, "flipped"), 0, 3, (int64_t[]){1, 96, 8});
	expect_stored(param(p, "second"), 16, 2, (int64_t[]){1, 8});
	assert_int_equal(param(p, "second")->stored.dim[0], 16);
	expect_stored(param(p, "marked"), 96, 2, (int64_t[]){8, 1});
	expect_stored(param(p, "odd"), 1, 2, (int64_t[]){24, 2});
	expect_stored(param(p, "inner"), 64, 3, (int64_t[]){1, 160, 8});
}

static void test_keys(void **state)
{
	struct program *p = program_of(
		*state, model_text(*state,
	                       " axis expert, ffn\n"
	                       " param w : [expert, d_model, ffn] from \"experts.{expert}.w.weight\" as [ffn, d_model]\n"
	                       " return x",
	                       ""));
	const struct param *w = param(p, "w");
	assert_string_equal(w->key, "layers.{layer}.b.experts.{expert}.w.weight");
	assert_string_equal(w->path, "layer.b.w");
	expect_axes(p, w->keyed, w->n_keyed, "expert");
	expect_stored(w, 0, 3, (int64_t[]){0, 1, 8});
	assert_true(w->in_loop);
	assert_false(w->contracted);
	assert_string_equal(param(p, "table")->key, "table");
	assert_true(param(p, "table")->contracted); /* the head is tied to it */
	assert_false(param(p, "table")->in_loop);
}

static void test_strings_fill_keys(void **state)
{
	struct fixture *f = *state;
	struct program *p = program_of(f, arena_printf(&f->arena,
	                                               "%smodel M : Decoder {\n vocab = 16; layers = 2; max_ctx = 8\n axis "
	                                               "d_model = 8\n axis expert = 4\n axis expert_ffn = 6\n"
	                                               " param t : [vocab, d_model] from \"t\"\n let x = embed(t, ids)\n"
	                                               " repeat layers as layer from \"l.{layer}\" { x = SparseMoE(x, "
	                                               "top_k = 2, gate = \"w1\") as moe from \"m\" }\n}\n",
	                                               head));
	assert_string_equal(param(p, "w_gate")->key, "l.{layer}.m.experts.{expert}.w1.weight");
	assert_string_equal(param(p, "w_up")->key, "l.{layer}.m.experts.{expert}.up_proj.weight");
	const struct value *r = the(p, OP_ROUTE);
	assert_int_equal(r->route.top, 2);
	assert_true(r->route.renormalize);
	assert_int_equal(r->args[1], -1);
	assert_string_equal(axis(p, r->route.over), "choice");
	assert_string_equal(axis(p, r->route.expert), "expert");
	assert_int_equal(axis_root(p, r->route.over), r->route.expert);
	assert_string_equal(axis(p, r->route.slot), "slot");
}

/* ---- number formats -------------------------------------------------------------------------- */

static void test_op_computes_in_f32(void **state)
{
	struct program *p = program_of(*state, model_text(*state, "return softmax(x, over = d_model)", ""));
	const struct op_call *c = &p->calls.at[0];
	assert_string_equal(c->name, "softmax");
	expect_axes(p, c->whole, c->n_whole, "d_model");
	assert_int_equal(p->values.at[c->first].op, OP_CAST);
	for (int i = c->first; i <= c->last; i++)
		assert_int_equal(p->values.at[i].dtype, i == c->last ? DTYPE_BF16 : DTYPE_F32);
	assert_int_equal(p->values.at[c->last].op, OP_CAST);
}

static void test_output_takes_the_accumulator(void **state)
{
	struct program *p = program_of(*state, model_text(*state, "return x", ""));
	const struct value *logits = &p->values.at[p->outputs.at[0].value];
	assert_int_equal(logits->op, OP_CONTRACT);
	assert_int_equal(logits->dtype, DTYPE_F32);
	assert_int_equal(p->values.at[logits->args[0]].dtype, DTYPE_BF16);
}

static void test_formats_of_params_and_states(void **state)
{
	struct fixture *f = *state;
	struct program *p = program_of(
		f, arena_printf(
			   &f->arena,
			   "%smodel M : Decoder {\n vocab = 16; layers = 2; max_ctx = 8\n kv = fp8_e5m2\n axis d_model = 8\n"
			   " param t : [vocab, d_model] from \"t\"\n let x = embed(t, ids)\n"
			   " param small : fp8_e4m3[d_model] from \"small\"\n param wide : f32[d_model] from \"wide\"\n"
			   " state cache : kv[batch, ctx, d_model] = append(x * small + cast(x + wide, bf16), pos, to = ctx)\n}\n",
			   head));
	assert_int_equal(param(p, "small")->dtype, DTYPE_FP8E4M3);
	assert_int_equal(p->values.at[param(p, "small")->value].dtype, DTYPE_BF16);
	assert_int_equal(p->values.at[param(p, "wide")->value].dtype, DTYPE_F32);
	assert_int_equal(p->states.at[0].dtype, DTYPE_FP8E5M2);
	assert_int_equal(p->values.at[p->states.at[0].value].dtype, DTYPE_BF16);
	assert_string_equal(p->states.at[0].path, "cache");
}

/* ---- builtins, axes, config ------------------------------------------------------------------ */

static void test_attention(void **state)
{
	struct fixture *f = *state;
	struct program *p =
		program_of(f, arena_printf(&f->arena,
	                               "%smodel M : Decoder {\n vocab = 16; layers = 2; max_ctx = 8\n axis d_model = 8\n "
	                               "axis kv_heads = 2\n axis q_group = 3\n"
	                               " axis head_dim = 4\n axis pair = head_dim / 2\n param t : [vocab, d_model] from "
	                               "\"t\"\n let x = embed(t, ids)\n"
	                               " let freq = rope_freq(p = pair, theta = 1e4)\n"
	                               " repeat layers as layer { x = GQA(x, pos, freq, 1e-5, window = 5) as attn }\n}\n",
	                               head));
	const struct value *a = the(p, OP_ATTEND);
	expect_axes(p, a->attend.h, a->attend.n_h, "kv_heads");
	expect_axes(p, a->attend.r, a->attend.n_r, "q_group");
	assert_string_equal(axis(p, a->attend.dot), "head_dim");
	assert_string_equal(axis(p, a->attend.w), "head_dim");
	assert_string_equal(axis(p, a->attend.over), "ctx");
	assert_true(a->attend.causal);
	assert_int_equal(a->attend.window, 5);
	assert_float_equal(a->attend.scale, 0.5, 1e-12);
	assert_int_equal(a->args[4], -1);
	expect_axes(p, a->axes, a->n_axes, "batch seq kv_heads q_group head_dim");
	assert_int_equal(p->states.n, 2);
}

static void test_views(void **state)
{
	struct program *p =
		program_of(*state, model_text(*state,
	                                  " axis ffn\n axis both = concat(d_model, ffn)\n axis other like d_model\n"
	                                  " param w : [other, ffn] from \"w\"\n"
	                                  " let y = x[d_model -> other] @[other] w\n"
	                                  " return join(x, y, into = both)[both -> d_model]",
	                                  ""));
	const struct value *rename = the(p, OP_RENAME), *piece = the(p, OP_PIECE), *join = the(p, OP_JOIN);
	assert_string_equal(axis(p, rename->view.from), "d_model");
	assert_string_equal(axis(p, rename->view.to), "other");
	assert_string_equal(axis(p, join->into), "both");
	assert_int_equal(p->axes.at[join->into].extent, 20);
	assert_string_equal(axis(p, piece->view.to), "d_model");
}

static void test_axes_of_a_block_are_made_once(void **state)
{
	struct fixture *f = *state;
	struct program *p = program_of(f, arena_printf(&f->arena,
	                                               "%smodel M : Decoder {\n vocab = 16; layers = 2; max_ctx = 8\n axis "
	                                               "d_model = 8\n axis expert = 4\n axis expert_ffn = 6\n"
	                                               " param t : [vocab, d_model] from \"t\"\n let x = embed(t, ids)\n"
	                                               " repeat layers as layer { x = SparseMoE(x, top_k = 2) as one from "
	                                               "\"1\"\n x = SparseMoE(x, top_k = 1) as two from \"2\" }\n}\n",
	                                               head));
	int slots = 0;
	for (int i = 0; i < p->axes.n; i++)
		slots += !strcmp(p->axes.at[i].name, "slot");
	assert_int_equal(slots, 1);
}

static void test_config(void **state)
{
	struct program *p =
		program_of(*state, model_text(*state, "return x",
	                                  " config { hidden = d_model * 2; a.b = 1e-5; act = \"silu\"; off = none; list = "
	                                  "[]; yes = true; kinds = cycle([\"a\\\\b\"] + [2, 0.5, true], 5) }"));
	const struct config_entry *of_decoder = p->config.at, *own = of_decoder + 2;
	assert_int_equal(p->config.n, 9);
	assert_string_equal(of_decoder[0].name, "quantization_config");
	assert_int_equal(of_decoder[0].type, CONFIG_NONE);
	assert_string_equal(of_decoder[1].absent, "false");
	assert_string_equal(own[0].name, "hidden");
	assert_string_equal(own[0].field, "d_model * 2");
	assert_int_equal(own[0].i, 16);
	assert_string_equal(own[1].name, "a.b");
	assert_int_equal(own[1].type, CONFIG_FLOAT);
	assert_string_equal(own[2].s, "silu");
	assert_int_equal(own[3].type, CONFIG_NONE);
	assert_int_equal(own[4].type, CONFIG_LIST);
	assert_string_equal(own[4].s, "[]");
	assert_true(own[5].b);
	assert_string_equal(own[6].s, "[\"a\\\\b\",2,0.5,true,\"a\\\\b\"]");
	assert_string_equal(own[6].field, "cycle([\"a\\\\b\"] + [2, 0.5, true], 5)");
}

/* Maps of the schema are extended; names are filled; null differs from absence if that means a constant. */
static void test_what_a_checkpoint_may_hold(void **state)
{
	struct program *p = program_of(
		*state,
		model_text(*state, "return x",
	               " config { a = 1; b = d_model; c = -1; d = -1 }\n absent { a = 1; b = d_model * 1; c = -1 }\n"
	               " harmless { own = [\"x\", \"y.z\"] }\n"
	               " unused { after = [\"layers.{layers}.*\"]; when (d_model == 8) { kept = [\"k\"] } else { not_kept "
	               "= [\"l\"] } }\n"
	               " copies { head = [\"e\", \"h{vocab}\"] }"));
	const struct config_entry *own = p->config.at + 2;
	assert_true(own[0].null_differs);
	assert_false(own[1].null_differs);
	assert_true(own[2].null_differs);
	assert_string_equal(own[3].field, "d");
	assert_string_equal(p->harmless.at[0], "architectures");
	assert_string_equal(p->harmless.at[p->harmless.n - 1], "y.z");
	assert_int_equal(p->unused.n, 3);
	assert_string_equal(p->unused.at[0], "*.rotary_emb.inv_freq");
	assert_string_equal(p->unused.at[1], "layers.2.*");
	assert_string_equal(p->unused.at[2], "k");
	assert_int_equal(p->copies.n, 1);
	assert_string_equal(p->copies.at[0].at[1], "h16");
}

static void test_dump_is_stable(void **state)
{
	struct fixture *f = *state;
	struct program *p = program_of(f, model_text(f, "return x + silu(x)", ""));
	char *text[2] = {0};
	size_t size[2];
	for (int i = 0; i < 2; i++) {
		FILE *out = open_memstream(&text[i], &size[i]);
		program_print(p, out);
		fclose(out);
	}
	assert_string_equal(text[0], text[1]);
	assert_non_null(strstr(text[0], "repeat layers as layer, "));
	assert_non_null(strstr(text[0], "contract("));
	free(text[0]);
	free(text[1]);
}

/* ---- mistakes -------------------------------------------------------------------------------- */

/* One mistake in the block B: its code, and the text under which it is reported. */
static void test_mistakes(void **state)
{
	static const struct {
		const char *block;
		enum diag_code code;
		const char *at;
	} mistakes[] = {
		{" lte y = x\n return x", DIAG_E0004, "lte"},
		{" let y = siluu(x)\n return x", DIAG_E0101, "siluu"},
		{" let y = vocab\n return x", DIAG_E0101, "vocab"}, /* a block sees no names of its caller */
		{" let y = x\n let y = x\n return y", DIAG_E0106, "y"},
		{" x = x + x\n return x", DIAG_E0106, "x"},
		{" axis ffn\n axis slot = ragged(ffn)\n let r = route(cast(x, f32), over = d_model, to = ffn, slot = slot, top "
	     "= 2)\n return x",
	     DIAG_E0205, "route(cast(x, f32), over = d_model, to = ffn, slot = slot, top = 2)"},
		{" axis nope\n return x", DIAG_E0401, "B"},
		{" let y = softmax(x, over = nope)\n return x", DIAG_E0401, "nope"},
		{" axis ffn\n param w : [ffn, d_model] from \"w\"\n return x @[ffn] w", DIAG_E0402, "ffn"},
		{" param w : [d_model] from \"w\"\n let y = rms_norm(x, x, 1e-5)\n return x", DIAG_E0402, "x"},
		{" axis e like d_model\n param w : [e, d_model] from \"w\"\n let y = w[e -> d_model]\n return x", DIAG_E0403,
	     "d_model"},
		{" axis ffn\n param b : [ffn] from \"b\"\n return x + b", DIAG_E0404, "+"},
		{" axis ffn\n return x[d_model -> ffn]", DIAG_E0406, "d_model -> ffn"},
		{" axis ffn\n param w : [d_model, ffn] from \"w\"\n return x @[d_model] w", DIAG_E0407,
	     "return x @[d_model] w"},
		{" let y = x + x", DIAG_E0407, "B"},
		{" axis ffn\n param w : [d_model, ffn] from \"w\" as [d_model]\n return x", DIAG_E0408, "[d_model]"},
		{" param w : [batch] from \"w\"\n return x", DIAG_E0408, "[batch]"},
		{" param w : [d_model] from \"w\" as [2, d_model]\n return x", DIAG_E0408, "2"},
		{" axis ffn\n param w : [d_model, ffn] from \"w\" as [(ffn + ffn), d_model]\n return x", DIAG_E0409,
	     "(ffn + ffn)"},
		{" param w : [d_model] from \"{nope}.w\"\n return x", DIAG_E0409, "\"{nope}.w\""},
		{" param w : [d_model]\n return x", DIAG_E0409, "param w : [d_model]"},
		{" return softmax(x)", DIAG_E0410, "softmax(x)"},
		{" return softmax(x, axis = d_model)", DIAG_E0411, "axis"},
		{" return silu(x, x)", DIAG_E0411, "x"},
		{" let y = rms_norm(x)\n return x", DIAG_E0411, "rms_norm"},
		{" axis ffn\n axis choice like ffn\n axis slot = ragged(ffn)\n param w : [d_model, choice] from \"w\"\n"
	     " let s = x @[d_model] w\n let r = route(s, over = choice, to = ffn, slot = slot, top = 2)\n return x",
	     DIAG_E0412, "s"},
		{" let y = x < x\n return x", DIAG_E0412, "<"},
		{" let y = cast(x, fp8_e4m3)\n return x", DIAG_E0412, "cast(x, fp8_e4m3)"},
		{" when (1 + 1) { let y = x }\n return x", DIAG_E0414, "1 + 1"},
		{" param w : [d_model] from { data = \"w\" }\n return x", DIAG_E0913, "{ data = \"w\" }"},
		{" return B(x)", DIAG_E0206, "B"},
	};
	for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
		struct fixture *f;
		assert_int_equal(setup((void **)&f), 0);
		load(f, model_text(f, mistakes[i].block, ""));
		if (f->sink.diags.n != 1 || f->sink.diags.at[0]->code != mistakes[i].code) {
			fprintf(stderr, "%s\n", mistakes[i].block);
			show(f);
		}
		assert_int_equal(f->sink.diags.n, 1);
		assert_int_equal(f->sink.diags.at[0]->code, mistakes[i].code);
		assert_string_equal(text_at(f, f->sink.diags.at[0]->at), mistakes[i].at);
		/* A plan is checked against weights that cannot be loaded yet. */
		assert_int_equal(f->sema->walked.at[0].program != NULL, mistakes[i].code == DIAG_E0913);
		teardown((void **)&f);
	}
	(void)state;
}

static void expect_codes(struct fixture *f, const char *text, const enum diag_code *codes, int n)
{
	load(f, text);
	if (f->sink.diags.n != n)
		show(f);
	assert_int_equal(f->sink.diags.n, n);
	for (int i = 0; i < n; i++)
		assert_string_equal(diag_code_name(f->sink.diags.at[i]->code), diag_code_name(codes[i]));
}

static void test_all_mistakes_in_one_run(void **state)
{
	expect_codes(*state,
	             model_text(*state,
	                        " axis ffn\n param w : [d_model, ffn] from \"{no}\"\n let y = x @[ffn] w\n let z = y + y\n "
	                        "let q = softmax(x)\n return x @[d_model] w",
	                        ""),
	             (enum diag_code[]){DIAG_E0409, DIAG_E0402, DIAG_E0410, DIAG_E0407}, 4);
}

static void test_carried_value_keeps_its_type(void **state)
{
	struct fixture *f = *state;
	expect_codes(
		f,
		arena_printf(
			&f->arena,
			"%smodel M : Decoder {\n vocab = 16; layers = 2; max_ctx = 8\n axis d_model = 8\n param w : [vocab, "
			"d_model] from \"w\"\n"
			" let x = embed(w, ids)\n repeat layers as layer { x = cast(x, f32) }\n output y : [batch, seq] = x\n}\n",
			head),
		(enum diag_code[]){DIAG_E0413}, 1);
	assert_string_equal(f->sink.diags.at[0]->help, "cast it: `cast(..., bf16)`");
}

static void test_what_is_not_built(void **state)
{
	struct fixture *f = *state;
	expect_codes(f,
	             arena_printf(&f->arena,
	                          "%smodel M : Decoder {\n vocab = 16; layers = 2; max_ctx = 8\n axis d_model = 8\n param "
	                          "w : [vocab, d_model] from \"w\"\n"
	                          " let x = embed(w, ids)\n repeat layers as layer {\n repeat layers as again { x = x + x "
	                          "}\n }\n output y : [batch, seq, d_model] = x\n}\n",
	                          head),
	             (enum diag_code[]){DIAG_E0916}, 1);
}

/* Turns and bodies are numbered through all loops, and a loop takes what the one before it carried. */
static void test_two_loops(void **state)
{
	struct fixture *f = *state;
	struct program *p = program_of(
		f,
		arena_printf(&f->arena,
	                 "%smodel M : Decoder {\n vocab = 16; layers = 5; max_ctx = 8\n axis d_model = 8; axis some = 2\n"
	                 " param w : [vocab, d_model] from \"w\"\n let x = embed(w, ids)\n"
	                 " repeat some as layer from \"h.{layer}\" { param a : [d_model] from \"a\"; x = x * a }\n"
	                 " let y = x + x\n"
	                 " repeat layers as pair from \"h.{2 * pair + some}\" { param b : [d_model] from \"b.{1 + pair * "
	                 "some * 3}\"\n when (pair == 1) { x = x * b } else { x = x + y } }\n"
	                 " output z : [batch, seq, d_model] = x\n}\n",
	                 head));
	assert_int_equal(p->loops.n, 2);
	assert_int_equal(p->loops.at[1].first_turn, 2);
	assert_int_equal(p->loops.at[1].first_body, 1);
	assert_int_equal(p->loops.at[1].n_bodies, 2);
	static const int body_of[] = {0, 0, 1, 2, 1, 1, 1};
	assert_int_equal(p->body_of.n, 7);
	assert_memory_equal(p->body_of.at, body_of, sizeof body_of);
	assert_string_equal(p->params.at[1].key, "h.{layer}.a");
	assert_string_equal(p->params.at[2].key, "h.{pair*2+2}.b.{pair*6+1}");
	const struct value *carry = &p->values.at[p->loops.at[1].begin];
	assert_int_equal(carry->op, OP_CARRY);
	assert_int_equal(p->values.at[carry->args[0]].op, OP_FINAL);
	assert_null(program_check(p, &f->arena));
}

/* A model whose loop has the given body over `layers` turns. */
static const char *loop_text(struct fixture *f, int layers, const char *body)
{
	return arena_printf(&f->arena,
	                    "%smodel M : Decoder {\n vocab = 16; layers = %d; max_ctx = 8\n axis d_model = 8\n param w : "
	                    "[vocab, d_model] from \"w\"\n"
	                    " let x = embed(w, ids)\n repeat layers as layer from \"h.{layer}\" { %s }\n output y : "
	                    "[batch, seq, d_model] = x\n}\n",
	                    head, layers, body);
}

static void test_turns_that_differ_are_bodies_of_their_own(void **state)
{
	struct fixture *f = *state;
	struct program *p = program_of(
		f, loop_text(f, 7, "when (layer < 2) { param a : [d_model] from \"a\"\n x = x * a } else { x = x + x }"));
	assert_int_equal(p->bodies.n, 2);
	assert_int_equal(p->bodies.at[0].turns, 2);
	assert_int_equal(p->bodies.at[1].turns, 5);
	assert_int_equal(p->body_of.at[1], 0);
	assert_int_equal(p->body_of.at[2], 1);
	assert_int_equal(p->params.n, 2);
	assert_string_equal(p->params.at[1].key, "h.{layer}.a");
}

/* A turn is decided by what its text means where it is: `vocab` of the loop's body hides that of the model only after
 * the condition. With what hides it, no turn but the first would have the first body. */
static void test_names_that_are_hidden_later_decide_turns(void **state)
{
	struct fixture *f = *state;
	struct program *p = program_of(f, loop_text(f, 7,
	                                            "when (layer < vocab / 8) { x = x * x } else { x = x + x }\n"
	                                            "let vocab = 80\n x = x + x"));
	assert_int_equal(p->bodies.n, 2);
	assert_int_equal(p->bodies.at[0].turns, 2);
	assert_int_equal(p->bodies.at[1].turns, 5);
}

/* What is computed from the index in several steps decides as well. */
static void test_decisions_through_names_and_arguments(void **state)
{
	struct fixture *f = *state;
	struct program *p = program_of(f, loop_text(f, 8,
	                                            "let rest = layer mod 2\n let odd = rest == 1\n"
	                                            "when (odd and not (layer < 4)) { x = x * x } else { x = x + x }"));
	assert_int_equal(p->bodies.n, 2);
	for (int i = 0; i < 8; i++)
		assert_int_equal(p->body_of.at[i], i >= 4 && i % 2);
}

/* A table may be read in each turn. */
static void test_table_in_turns(void **state)
{
	struct fixture *f = *state;
	struct program *p = program_of(f, loop_text(f, 3, "x = x + embed(w, ids)"));
	assert_int_equal(p->bodies.n, 1);
	assert_int_equal(p->bodies.at[0].turns, 3);
}

/* Each state of a turn is compared with its own counterpart. */
static void test_states_of_turns(void **state)
{
	struct fixture *f = *state;
	struct program *p =
		program_of(f, loop_text(f, 5,
	                            "when (layer < 1) { state k : bf16[batch, ctx, d_model] = append(x, pos, to = ctx)\n"
	                            " state v : f32[batch, ctx, d_model] = append(x, pos, to = ctx)\n x = x + x } else {\n"
	                            " state k : f32[batch, ctx, d_model] = append(x, pos, to = ctx)\n"
	                            " state v : bf16[batch, ctx, d_model] = append(x, pos, to = ctx)\n x = x * x }"));
	assert_int_equal(p->bodies.n, 2);
	assert_int_equal(p->bodies.at[1].turns, 4);
	assert_int_equal(p->states.n, 4);
}

/* Turns that compute the same differ if they store caches in other formats. */
static void test_stored_formats_of_states(void **state)
{
	struct fixture *f = *state;
	struct program *p = program_of(
		f, loop_text(
			   f, 5,
			   "when (layer < 1) { state k : fp8_e4m3[batch, ctx, d_model] = append(x, pos, to = ctx)\n"
			   " x = x + x } else { state k : fp8_e5m2[batch, ctx, d_model] = append(x, pos, to = ctx)\n x = x + x }"));
	assert_int_equal(p->bodies.n, 2);
	assert_int_equal(p->bodies.at[1].turns, 4);
}

/* The blocks that share a scale are printed, although nothing with scales is built. */
static void test_scales_are_printed(void **state)
{
	struct fixture *f = *state;
	char *text = NULL;
	size_t size = 0;
	load(f, model_text(f, " param w : [d_model] from { data = \"w\"; scale = \"s\"; block = [4] }\n return x", ""));
	assert_int_equal(f->sink.diags.n, 1);
	assert_int_equal(f->sink.diags.at[0]->code, DIAG_E0913);
	FILE *out = open_memstream(&text, &size);
	program_print(f->sema->walked.at[0].program, out);
	fclose(out);
	assert_non_null(strstr(text, " as [8] base 0 stride [1] block [4] each turn of body 0"));
	free(text);
}

static void test_too_many_different_turns(void **state)
{
	struct fixture *f = *state;
	expect_codes(f, loop_text(f, 40, "x = x * (1 / (layer + 1))"), (enum diag_code[]){DIAG_E0915}, 1);
}

static void test_op_needs_a_body(void **state)
{
	struct fixture *f = *state;
	expect_codes(f, arena_printf(&f->arena, "op mine(x: [...t]) -> [...t]\n%s", model_text(f, "return mine(x)", "")),
	             (enum diag_code[]){DIAG_E0911}, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_loop_is_walked_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_arguments_stand_outside_the_region, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_names_are_carried, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stored_layouts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strings_fill_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_op_computes_in_f32, setup, teardown),
		cmocka_unit_test_setup_teardown(test_output_takes_the_accumulator, setup, teardown),
		cmocka_unit_test_setup_teardown(test_formats_of_params_and_states, setup, teardown),
		cmocka_unit_test_setup_teardown(test_attention, setup, teardown),
		cmocka_unit_test_setup_teardown(test_views, setup, teardown),
		cmocka_unit_test_setup_teardown(test_axes_of_a_block_are_made_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_a_checkpoint_may_hold, setup, teardown),
		cmocka_unit_test_setup_teardown(test_config, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dump_is_stable, setup, teardown),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test_setup_teardown(test_all_mistakes_in_one_run, setup, teardown),
		cmocka_unit_test_setup_teardown(test_carried_value_keeps_its_type, setup, teardown),
		cmocka_unit_test_setup_teardown(test_turns_that_differ_are_bodies_of_their_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_that_are_hidden_later_decide_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decisions_through_names_and_arguments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_table_in_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_states_of_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stored_formats_of_states, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scales_are_printed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_different_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_not_built, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_loops, setup, teardown),
		cmocka_unit_test_setup_teardown(test_op_needs_a_body, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
