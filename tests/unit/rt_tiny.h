/* A launcher's program made by hand: a tiny model on a mesh of pp x dp x tp ranks, with kernels and steps written in C,
 * so that the runtime is tested without the compiler. All values are small integers: every plan gives the same bits.
 *
 *   x[t]      = embed[ids[t]]                                     f32[D]; embed is stored in bf16
 *   per layer: cache[slot[t]] = x[t];  s = sum of the sequence's cached rows up to pos[t];  x[t] = (w s) mod 7
 *   logits[r] = head x[want[r]];  token = argmax, ties to the lower id
 * The outputs of w and head are split over tp. */
#ifndef RT_TINY_H
#define RT_TINY_H
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../runtime/number.h"
#include "../../runtime/runtime.h"

enum {
	TINY_D = 8,
	TINY_VOCAB = 24,
	TINY_LAYERS = 4,
	TINY_SEQS = 3,
	TINY_PAGE = 4,
	TINY_PAGES = 24,
	TINY_PER_SEQ = 8,
	TINY_CHUNK = 8,
	TINY_ROWS = 4,
	TINY_ADJUSTS = 30, /* not enough for three sequences that have changed all logits */
	TINY_STAGING = 512,
	TINY_N_TILE = 4,
	TINY_K_PAIR = 2
};
enum { GROUP_NONE, GROUP_TP, GROUP_PP, GROUP_DP, GROUP_DP_TP, GROUP_ALL, GROUP_TP_DP, TINY_GROUPS };
enum { COLLECTIVE_GATHER, COLLECTIVE_LOGITS, COLLECTIVE_SEND, COLLECTIVE_RECV, TINY_COLLECTIVES };
enum { KERNEL_EMBED, KERNEL_LAYER, KERNEL_HEAD, KERNEL_SAMPLE, KERNEL_CRASH };
enum { OP_EMBED, OP_LAYER, OP_GATHER, OP_HEAD, OP_SAMPLE, OP_CARRY };

/* Offsets in DR_SPACE_ACT and sizes, in bytes. A gathered value has its members' blocks back to back. */
enum {
	X_BYTES = TINY_CHUNK * TINY_D * 4,
	LOGITS_BYTES = TINY_ROWS * TINY_VOCAB * 4,
	AT_X = 0,
	AT_PART = X_BYTES,
	AT_LOGITS = 2 * X_BYTES,
	AT_ALL = AT_LOGITS + LOGITS_BYTES,
	AT_TOKENS = AT_ALL + LOGITS_BYTES,
	ACT_BYTES = AT_TOKENS + TINY_ROWS * 4,
	INPUT_SAMPLE = 5 * TINY_CHUNK * 4,
	INPUT_ADJUST = INPUT_SAMPLE + TINY_ROWS * (int)sizeof(struct dr_sampling),
	INPUT_PAGES = INPUT_ADJUST + TINY_ADJUSTS * (int)sizeof(struct dr_adjust),
	INPUT_BYTES = INPUT_PAGES + TINY_SEQS * TINY_PER_SEQ * 4,
	STATE_LAYER_BYTES = TINY_PAGES * TINY_PAGE * TINY_D * 4,
	WORKSPACE_BYTES = 128 /* for each worker */
};

static inline uint64_t tiny_input(int input)
{
	return input == DR_INPUT_PAGES    ? INPUT_PAGES
	       : input == DR_INPUT_ADJUST ? INPUT_ADJUST
	                                  : (uint64_t)input * TINY_CHUNK * 4;
}

struct tiny {
	int pp, dp, tp, microbatches;
};

/* ---- the blob -------------------------------------------------------------------------------- */
struct blob_builder {
	_Alignas(16) unsigned char at[1 << 15];
	uint32_t n;
};

static inline struct dr_span blob_put(struct blob_builder *b, const void *data, size_t n, size_t size)
{
	b->n = (b->n + 7) / 8 * 8;
	struct dr_span s = {b->n, (uint32_t)n};
	memcpy(b->at + b->n, data, n * size);
	b->n += (uint32_t)(n * size);
	return s;
}

static inline struct dr_span blob_text(struct blob_builder *b, const char *s)
{
	struct dr_span span = blob_put(b, s, strlen(s) + 1, 1);
	span.n--;
	return span;
}

static inline struct dr_axis tiny_axis(struct blob_builder *b, const char *name, int extent, int local, int group,
                                       int role, int stride)
{
	return (struct dr_axis){
		blob_text(b, name), (uint32_t)extent, (uint32_t)local, (uint32_t)group, (uint32_t)role, 0, 0, stride};
}

static inline struct dr_param tiny_param(struct blob_builder *b, const char *path, const char *key, int space,
                                         const struct dr_axis *axes)
{
	int64_t shape[2] = {axes[0].extent, axes[1].extent};
	struct dr_param p = {.path = blob_text(b, path),
	                     .key = blob_text(b, key),
	                     .space = (uint32_t)space,
	                     .in_loop = space == DR_SPACE_LAYER,
	                     .bytes = axes[0].local * axes[1].local * 4ull,
	                     .dtype = DR_F32,
	                     .axes = blob_put(b, axes, 2, sizeof *axes),
	                     .shape = blob_put(b, shape, 2, sizeof *shape)};
	if (axes[0].role != DR_PLAIN) {
		p.n_tile = TINY_N_TILE;
		p.k_run = TINY_K_PAIR;
		p.bytes = (axes[0].local + TINY_N_TILE - 1) / TINY_N_TILE * TINY_N_TILE * axes[1].local * 4ull;
	}
	return p;
}

static inline void tiny_mesh(struct blob_builder *b, struct dr_program *h, const struct tiny *t)
{
	struct dr_atom atoms[3] = {
		{blob_text(b, "pp"), (uint32_t)t->pp, (uint32_t)(t->dp * t->tp)},
		{blob_text(b, "dp"), (uint32_t)t->dp, (uint32_t)t->tp},
		{blob_text(b, "tp"), (uint32_t)t->tp, 1},
	};
	static const uint32_t members[TINY_GROUPS][3] = {{0}, {2}, {0}, {1}, {1, 2}, {0, 1, 2}, {2, 1}};
	static const int n[TINY_GROUPS] = {0, 1, 1, 1, 2, 3, 2};
	struct dr_group groups[TINY_GROUPS];
	for (int g = 0; g < TINY_GROUPS; g++) {
		groups[g] = (struct dr_group){blob_put(b, members[g], (size_t)n[g], sizeof(uint32_t)), 1};
		for (int k = 0; k < n[g]; k++)
			groups[g].size *= atoms[members[g][k]].size;
	}
	h->ranks = (uint32_t)(t->pp * t->dp * t->tp);
	h->atoms = blob_put(b, atoms, 3, sizeof *atoms);
	h->groups = blob_put(b, groups, TINY_GROUPS, sizeof *groups);
	h->stage_group = GROUP_PP;
	h->owner_group = GROUP_DP;
	h->logits_group = GROUP_TP;
}

static inline void tiny_params(struct blob_builder *b, struct dr_program *h, const struct tiny *t)
{
	struct dr_axis embed[2] = {tiny_axis(b, "vocab", TINY_VOCAB, TINY_VOCAB, GROUP_NONE, DR_PLAIN, TINY_D),
	                           tiny_axis(b, "d", TINY_D, TINY_D, GROUP_NONE, DR_PLAIN, 1)};
	struct dr_axis w[2] = {tiny_axis(b, "out", TINY_D, TINY_D / t->tp, GROUP_TP, DR_WEIGHT_N, TINY_D),
	                       tiny_axis(b, "in", TINY_D, TINY_D, GROUP_NONE, DR_WEIGHT_K, 1)};
	struct dr_axis head[2] = {tiny_axis(b, "vocab", TINY_VOCAB, TINY_VOCAB / t->tp, GROUP_TP, DR_WEIGHT_N, TINY_D),
	                          tiny_axis(b, "d", TINY_D, TINY_D, GROUP_NONE, DR_WEIGHT_K, 1)};
	struct dr_param params[3] = {tiny_param(b, "embed", "embed.weight", DR_SPACE_OUTSIDE, embed),
	                             tiny_param(b, "layer.w", "layers.{layer}.w.weight", DR_SPACE_LAYER, w),
	                             tiny_param(b, "head", "head.weight", DR_SPACE_OUTSIDE, head)};
	params[1].index = blob_text(b, "layer");
	params[2].stage = (uint32_t)(t->pp - 1);
	params[2].offset = t->pp > 1 ? 0 : params[0].bytes;
	struct dr_body body = {params[1].bytes, STATE_LAYER_BYTES};
	uint32_t body_of[TINY_LAYERS] = {0};
	h->bodies = blob_put(b, &body, 1, sizeof body);
	h->body_of = blob_put(b, body_of, TINY_LAYERS, sizeof *body_of);
	h->params = blob_put(b, params, 3, sizeof *params);
	struct dr_stage stages[4];
	for (int i = 0; i < t->pp; i++) {
		uint64_t layers = (uint64_t)(TINY_LAYERS / t->pp);
		stages[i] =
			(struct dr_stage){(uint32_t)(layers * (uint64_t)i),
		                      (uint32_t)(layers * (uint64_t)(i + 1)),
		                      {[DR_SPACE_LAYER] = layers * params[1].bytes,
		                       [DR_SPACE_WORKSPACE] = WORKSPACE_BYTES,
		                       [DR_SPACE_OUTSIDE] = (i ? 0 : params[0].bytes) + (i == t->pp - 1 ? params[2].bytes : 0),
		                       [DR_SPACE_STATE] = layers * STATE_LAYER_BYTES,
		                       [DR_SPACE_ACT] = ACT_BYTES,
		                       [DR_SPACE_INPUT] = INPUT_BYTES,
		                       [DR_SPACE_COMM] = TINY_STAGING + (t->pp > 1 ? 2 * X_BYTES : 0)}};
	}
	h->stages = blob_put(b, stages, (size_t)t->pp, sizeof *stages);
}

static inline void tiny_ops(struct blob_builder *b, struct dr_program *h)
{
	static const char *const names[] = {"embed", "layer.w", "layer.w: all_gather", "head", "sample", "carry"};
	struct dr_span op[6], none = blob_text(b, "");
	for (int i = 0; i < 6; i++)
		op[i] = blob_text(b, names[i]);
	struct dr_collective c[TINY_COLLECTIVES] = {{DR_ALL_GATHER, GROUP_TP, DR_F32, 0, none},
	                                            {DR_ALL_GATHER, GROUP_TP, DR_F32, 0, none},
	                                            {DR_SEND, GROUP_PP, DR_F32, 0, none},
	                                            {DR_RECV, GROUP_PP, DR_F32, 0, none}};
	h->op_names = blob_put(b, op, 6, sizeof *op);
	h->collectives = blob_put(b, c, TINY_COLLECTIVES, sizeof *c);
}

static inline void tiny_config(struct blob_builder *b, struct dr_program *h)
{
	struct dr_span none = blob_text(b, "");
	struct dr_config c[] = {
		{blob_text(b, "hidden_size"), blob_text(b, "d"), 2, 0, TINY_D, 0, none, none, 0, 0},
		{blob_text(b, "rope_theta"), blob_text(b, "theta"), 3, 0, 0, 10000.0, none, none, 0, 0},
		{blob_text(b, "rope_parameters.rope_theta"), blob_text(b, "theta"), 3, 0, 0, 10000.0, none, none, 0, 0},
		{blob_text(b, "rope_scaling"), blob_text(b, "none"), 0, 0, 0, 0, none, none, 0, 0},
		{blob_text(b, "hidden_act"), blob_text(b, "hidden_act"), 4, 0, 0, 0, blob_text(b, "silu"), none, 0, 0},
		{blob_text(b, "kinds"), blob_text(b, "kinds"), 5, 0, 0, 0, blob_text(b, "[\"a\",2]"), blob_text(b, "[\"a\",2]"),
	     1, 0},
	};
	h->config = blob_put(b, c, sizeof c / sizeof c[0], sizeof *c);
	struct dr_span harmless[] = {blob_text(b, "time_step_limit")};
	h->harmless = blob_put(b, harmless, 1, sizeof *harmless);
}

static inline void tiny_build(struct blob_builder *b, const struct tiny *t)
{
	struct dr_program h = {.magic = DR_MAGIC, .version = DR_ABI_VERSION, .hash = 42};
	memset(b, 0, sizeof *b);
	b->n = sizeof h;
	h.deploy = blob_text(b, "tiny_deploy");
	h.model = blob_text(b, "Tiny");
	h.plan_text = blob_text(b, "the plan\n");
	tiny_mesh(b, &h, t);
	tiny_params(b, &h, t);
	tiny_ops(b, &h);
	tiny_config(b, &h);
	h.token_multiple = 2;
	h.row_multiple = 2;
	h.microbatches = (uint32_t)t->microbatches;
	h.chunks = 1;
	h.seqs = TINY_SEQS;
	h.page_size = TINY_PAGE;
	struct dr_pool whole = {0, TINY_PAGES};
	h.pools = blob_put(b, &whole, 1, sizeof whole);
	h.pages_per_seq = TINY_PER_SEQ;
	h.page_multiple = 1;
	h.adjusts = TINY_ADJUSTS;
	struct dr_step_input inputs[DR_INPUTS];
	for (uint32_t i = 0; i < DR_INPUTS; i++)
		inputs[i] = (struct dr_step_input){i, GROUP_DP, GROUP_NONE, GROUP_NONE, 0, 0, tiny_input((int)i)};
	h.inputs = blob_put(b, inputs, DR_INPUTS, sizeof *inputs);
	struct dr_step_program programs[DR_PHASES] = {
		{blob_text(b, "prefill"), TINY_CHUNK, TINY_ROWS, {GROUP_DP, GROUP_NONE, GROUP_TP, 0}, {0, 0}},
		{blob_text(b, "decode"), 4, TINY_ROWS, {GROUP_DP, GROUP_NONE, GROUP_TP, 0}, {0, 0}},
	};
	h.programs = blob_put(b, programs, DR_PHASES, sizeof *programs);
	h.tokens_offset = AT_TOKENS;
	h.logits_offset = AT_LOGITS;
	h.vocab = TINY_VOCAB;
	h.comm_staging = TINY_STAGING;
	h.comm_mailbox = X_BYTES;
	memcpy(b->at, &h, sizeof h);
}

/* Replaces the program's pools. */
static inline void tiny_pools(struct blob_builder *b, const struct dr_pool *pools, uint32_t n)
{
	struct dr_span span = blob_put(b, pools, n, sizeof *pools);
	((struct dr_program *)(void *)b->at)->pools = span;
}

/* Does as all ranks do with a step's runs: writes them into the page tables of an owner's pool. */
static inline void tiny_take_pages(const struct step *step, const struct plan *plan, int owner, int pool,
                                   int32_t table[TINY_SEQS * TINY_PER_SEQ])
{
	for (const struct page_run *run = step_next_run(step, plan, NULL); run; run = step_next_run(step, plan, run))
		if (run->owner == owner && run->pool == pool)
			memcpy(table + run->row * TINY_PER_SEQ + run->first, run + 1, (size_t)run->n * sizeof *table);
}

static inline struct dr_step_program *tiny_program(struct blob_builder *b, enum dr_phase phase)
{
	const struct dr_program *h = (const struct dr_program *)(const void *)b->at;
	return (struct dr_step_program *)(void *)(b->at + h->programs.at) + phase;
}
#endif
