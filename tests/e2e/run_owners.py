#!/usr/bin/env python3
"""Two attentions per layer whose caches are split in different ways, so that the sequences of the two caches are on different ranks. The
logits of launchers on several meshes equal those of the same program in numpy. Ranks that have the rows of several owners change the
logits of each as its sequences ask for, and know their log-probabilities."""
import json
import sys

import numpy as np

from harness import Failed, Folder, Report, compile_spec, need_deployc, run_launcher, write_safetensors
from processors import check_logprobs, check_tokens, command_line, printed_logprobs

VOCAB, LAYERS, WIDTH, HEADS, HEAD_DIM, STEPS = 48, 2, 16, 2, 8, 4
WAY = {"temperature": 0.8, "repetition_penalty": 1.4, "frequency_penalty": 0.5, "logit_bias": {"5": 2, "40": -50}, "seed": 3}
TOLERANCE = 2e-5        # of logits, relative to the largest
BLOCK = """block Attention(x: [batch, seq, d_model], pos: Int[batch, seq]) -> [batch, seq, d_model] {
  axis heads, head_dim, ctx
  param wq : [d_model, heads, head_dim] from "q"
  param wk : [d_model, heads, head_dim] from "k"
  param wv : [d_model, heads, head_dim] from "v"
  param wo : [heads, head_dim, d_model] from "o"
  state kc : kv[batch, ctx, heads, head_dim] = append(x @[d_model] wk, pos, to = ctx)
  state vc : kv[batch, ctx, heads, head_dim] = append(x @[d_model] wv, pos, to = ctx)
  return attend(x @[d_model] wq, kc, vc, pos, over = ctx, dot = head_dim, scale = 1) @[heads, head_dim] wo
}
"""
SPEC = """use std.clusters {{ CPUHost }}
use std.decoder {{ Decoder }}
use std.ops {{ append, attend, embed, pick, sample }}
use std.workload {{ Inference }}

{block}
model Twice : Decoder {{
  vocab = {vocab}; layers = {layers}; max_ctx = 64; weight = f32; act = f32; kv = f32
  axis d_model  = {width}
  axis heads    = {heads}
  axis head_dim = {head_dim}

  param w_embed : [vocab, d_model] from "embed"
  let x = embed(w_embed, ids)
  repeat layers as layer from "layers.{{layer}}" {{
    let h = x + Attention(x, pos) as first from "first"
    x = h + Attention(h, pos) as second from "second"
  }}
  output logits : f32[batch, row, vocab]   = pick(x, want) @[d_model] w_embed
  output token  : index(vocab)[batch, row] = sample(logits, v = vocab)
}}

plan Own {{ {plan} }}

deploy Test {{
  model    = Twice
  cluster  = CPUHost {{ ranks = {ranks} }}
  plan     = Own {{}}
  workload = Inference {{ batch = 7; seq = 1..16; output = {steps}; chunk = 8; page = 4 }}
}}
"""
MESHES = [      # ranks; sizes of the mesh axes a and b; rules
    (1, 1, 1, ""),
    (2, 2, 1, "at first { batch -> a }"),                                       # the second has all sequences on each rank
    (2, 2, 1, "at second { batch -> a }"),
    (4, 2, 2, "at first { batch -> a }; at second { batch -> b }"),             # one owner each, but not the same
    (4, 2, 2, "at first { batch -> a * b }; at second { batch -> b; ctx -> a }"),
    (4, 2, 2, "at first { batch -> a }; at second { batch -> b; head_dim -> a }"),
    (4, 2, 2, "at first { batch -> a }; at second { ctx -> b * a }"),
    (4, 2, 2, "at first { batch -> a }; at second { head_dim -> b * a }"),
    (4, 2, 2, "at first { batch -> a }; at second { seq -> b * a }"),
    (6, 3, 2, "at first { batch -> a * b }; at second { heads -> b }"),
    (6, 3, 2, "at first { batch -> a }; at second { batch -> b }"),             # 2 do not share out 3 owners: their tokens are cut
    (8, 2, 4, "at first { batch -> a }; at second { batch -> b; ctx -> a }"),
]


def make_weights(rng):
    weights = {"embed": rng.standard_normal((VOCAB, WIDTH))}
    for layer in range(LAYERS):
        for block in ("first", "second"):
            for name in "qkvo":
                weights[f"layers.{layer}.{block}.{name}"] = 0.4 * rng.standard_normal((HEADS, HEAD_DIM, WIDTH) if name == "o" else (WIDTH, HEADS, HEAD_DIM))
    return {k: v.astype(np.float32) for k, v in weights.items()}


def attention(weights, at, x):
    q, k, v = (np.einsum("td,dhk->htk", x, weights[f"{at}.{name}"]) for name in "qkv")
    score = np.where(np.tri(len(x), dtype=bool), q @ k.transpose(0, 2, 1), -np.inf)
    p = np.exp(score - score.max(-1, keepdims=True))
    return np.einsum("htk,hkd->td", p / p.sum(-1, keepdims=True) @ v, weights[f"{at}.o"])


def continued(weights, prompt):
    """(logits of each step, the tokens), greedily."""
    weights = {k: v.astype(np.float64) for k, v in weights.items()}
    ids, rows = list(prompt), []
    for _ in range(STEPS):
        x = weights["embed"][ids]
        for layer in range(LAYERS):
            for block in ("first", "second"):
                x = x + attention(weights, f"layers.{layer}.{block}", x)
        rows.append(x[-1] @ weights["embed"].T)
        ids.append(int(rows[-1].argmax()))
    return np.array(rows), ids[len(prompt):]


def run_mesh(folder, weights, prompts, number, mesh):
    ranks, a, b, rules = mesh
    plan = f"mesh a = {a}; mesh b = {b}; {rules}"
    text = SPEC.format(block=BLOCK, vocab=VOCAB, layers=LAYERS, width=WIDTH, heads=HEADS, head_dim=HEAD_DIM, plan=plan, ranks=ranks, steps=STEPS)
    launcher = compile_spec(text, folder, f"owners{number}")
    run, logits = run_launcher(launcher, folder / "weights", prompts, STEPS, folder)
    expected = [continued(weights, prompt) for prompt in prompts]
    truth = np.array([rows for rows, _ in expected])
    error = np.abs(logits - truth).max() / np.abs(truth).max()
    if not error <= TOLERANCE:
        raise Failed(f"logits are off by {error:.1e} of the largest")
    for prompt, (_, tokens) in zip(prompts, expected):
        if tokens not in run.of(prompt):
            raise Failed(f"{prompt} continues {run.of(prompt)}, not {tokens}")
    changed, logits = run_launcher(launcher, folder / "weights", prompts, STEPS, folder, options=command_line(WAY) + ["--logprobs", "5"])
    check_tokens(prompts, [changed.of(prompt)[0] for prompt in prompts], logits, WAY)
    for prompt, rows, printed in zip(prompts, logits, printed_logprobs(changed.text), strict=True):
        check_logprobs(printed, changed.of(prompt)[0], rows, 5)
    for rank, (planned, allocated) in run.memory.items():
        if planned != allocated:
            raise Failed(f"rank {rank} planned {planned} B and allocated {allocated} B")
    return f"error {error:.1e}"


def main():
    need_deployc()
    report, rng = Report(), np.random.default_rng(11)
    weights = make_weights(rng)
    prompts = [rng.integers(0, VOCAB, rng.integers(1, 16)).tolist() for _ in range(7)]
    with Folder() as folder:
        (folder / "weights").mkdir()
        write_safetensors(folder / "weights" / "model.safetensors", weights)
        (folder / "weights" / "config.json").write_text(json.dumps({}))
        for number, mesh in enumerate(MESHES):
            report.check(f"{mesh[0]} ranks, a = {mesh[1]}, b = {mesh[2]}: {mesh[3] or 'one of all'}", lambda: run_mesh(folder, weights, prompts, number, mesh))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
