#!/usr/bin/env python3
"""Caches outside the loops, which several layers read: one of an attention before the first loop, and two between the loops, one of them
read through a window. The logits of launchers on several meshes equal those of the same program in numpy.

    run_shared.py [WORD ...]    only the meshes whose line contains a word
"""
import json
import sys

import numpy as np

from harness import Failed, Folder, Report, compile_spec, need_deployc, run_launcher, write_safetensors

VOCAB, OWN, SHARED, WIDTH, KV, GROUP, HEAD_DIM, WINDOW, STEPS = 48, 2, 5, 16, 2, 2, 8, 3, 6
TOLERANCE = 2e-5        # of logits, relative to the largest
SPEC = """use std.clusters {{ CPUHost }}
use std.decoder {{ Decoder }}
use std.ops {{ append, attend, embed, pick, sample }}
use std.workload {{ Inference }}

/// Attention over caches that others have written.
block Read(x: [batch, seq, d_model], k: [batch, ctx, kv_heads, head_dim], v: [batch, ctx, kv_heads, head_dim], pos: Int[batch, seq],
           window: Int? = none) -> [batch, seq, d_model] {{
  axis q_group
  param wq : [d_model, kv_heads, q_group, head_dim] from "q"
  param wo : [kv_heads, q_group, head_dim, d_model] from "o"
  return attend(x @[d_model] wq, k, v, pos, over = ctx, dot = head_dim, scale = 0.5, window = window) @[kv_heads, q_group, head_dim] wo
}}

/// Attention with caches of its own.
block Own(x: [batch, seq, d_model], pos: Int[batch, seq]) -> [batch, seq, d_model] {{
  axis kv_heads, q_group, head_dim, ctx
  param wk : [d_model, kv_heads, head_dim] from "k"
  param wv : [d_model, kv_heads, head_dim] from "v"
  state kc : kv[batch, ctx, kv_heads, head_dim] = append(x @[d_model] wk, pos, to = ctx)
  state vc : kv[batch, ctx, kv_heads, head_dim] = append(x @[d_model] wv, pos, to = ctx)
  return Read(x, kc, vc, pos) as read from "read"
}}

model Shares : Decoder {{
  vocab = {VOCAB}; layers = {OWN} + {SHARED}; max_ctx = 64; weight = f32; act = f32; kv = f32
  axis d_model  = {WIDTH}
  axis kv_heads = {KV}
  axis q_group  = {GROUP}
  axis head_dim = {HEAD_DIM}
  axis own      = {OWN}
  axis shared   = layers - own

  param w_embed : [vocab, d_model] from "embed"
  let e = embed(w_embed, ids)
  param wk0 : [d_model, kv_heads, head_dim] from "k0"
  param wv0 : [d_model, kv_heads, head_dim] from "v0"
  state k0 : kv[batch, ctx, kv_heads, head_dim] = append(e @[d_model] wk0, pos, to = ctx)
  state v0 : kv[batch, ctx, kv_heads, head_dim] = append(e @[d_model] wv0, pos, to = ctx)
  let x = e + Read(e, k0, v0, pos) as first from "first"

  repeat own as layer from "layers.{{layer}}" {{
    let h = x + Own(x, pos) as attn from "attn"
    x = h + Read(h, k0, v0, pos) as again from "again"
  }}

  param wk : [d_model, kv_heads, head_dim] from "k"
  param wv : [d_model, kv_heads, head_dim] from "v"
  state near_k : kv[batch, ctx, kv_heads, head_dim] = append(x @[d_model] wk0, pos, to = ctx)
  state far_k  : kv[batch, ctx, kv_heads, head_dim] = append(x @[d_model] wk, pos, to = ctx)
  state both_v : kv[batch, ctx, kv_heads, head_dim] = append(x @[d_model] wv, pos, to = ctx)
  repeat shared as layer from "layers.{{layer + own}}" {{
    when (layer mod 3 == 1) {{
      x = x + Read(x, far_k, both_v, pos) as attn from "attn"
    }} else {{
      x = x + Read(x, near_k, both_v, pos, window = {WINDOW}) as attn from "attn"
    }}
  }}
  output logits : f32[batch, row, vocab]   = pick(x, want) @[d_model] w_embed
  output token  : index(vocab)[batch, row] = sample(logits, v = vocab)
}}

plan Mesh {{ {plan} }}

deploy Test {{
  model    = Shares
  cluster  = CPUHost {{ ranks = {ranks} }}
  plan     = Mesh {{}}
  workload = Inference {{ batch = 7; seq = 1..16; output = {STEPS}; chunk = 8; page = 4 }}
}}
"""
CUT = f"layers -> a; pipeline {{ stages = [{OWN}, {SHARED}] }}"
MESHES = [      # ranks, plan
    (1, "mesh a = 1"),
    (2, "mesh a = 2; batch -> a"),
    (2, "mesh a = 2; kv_heads -> a"),
    (4, "mesh a = 4; kv_heads * q_group -> a; vocab -> a; at residual { seq -> a }"),
    (2, "mesh a = 2; ctx -> a"),                                                        # a cache in parts, gathered for each reader
    (4, "mesh a = 2; mesh b = 2; batch -> a; kv_heads -> b; at residual { seq -> b }"),
    (4, "mesh a = 2; mesh b = 2; batch -> a; at again { batch -> none }; kv_heads -> b; at attn { q_group -> a; batch -> none }"),
    (4, "mesh a = 2; mesh b = 2; batch -> a * b; at attn { batch -> a }"),                       # caches of two owners, gathered
    (4, "mesh a = 2; mesh b = 2; batch -> a; ctx -> b; at attn { batch -> none; ctx -> none }"),
    (2, f"mesh a = 2; {CUT}"),                                                          # each stage has the caches that its layers share
    (4, f"mesh a = 2; mesh b = 2; {CUT}; kv_heads -> b; pipeline {{ microbatches = 2 }}"),
    (6, f"mesh a = 2; mesh b = 3; {CUT}; batch -> b"),
]


def make_weights(rng):
    key, query, out = (WIDTH, KV, HEAD_DIM), (WIDTH, KV, GROUP, HEAD_DIM), (KV, GROUP, HEAD_DIM, WIDTH)
    shapes = {"embed": (VOCAB, WIDTH), "k0": key, "v0": key, "k": key, "v": key, "first.q": query, "first.o": out}
    for i in range(OWN):
        shapes |= {f"layers.{i}.attn.k": key, f"layers.{i}.attn.v": key}
        shapes |= {f"layers.{i}.{at}.{n}": s for at in ("attn.read", "again") for n, s in (("q", query), ("o", out))}
    for i in range(OWN, OWN + SHARED):
        shapes |= {f"layers.{i}.attn.q": query, f"layers.{i}.attn.o": out}
    return {n: ((1 if n == "embed" else 0.2) * rng.standard_normal(s)).astype(np.float32) for n, s in shapes.items()}


def keys(x, w):
    return np.einsum("td,dhk->thk", x, w)


def read(weights, at, x, k, v, window=None):
    q = np.einsum("td,dhgk->thgk", x, weights[f"{at}.q"])
    ago = np.arange(len(x))[:, None] - np.arange(len(x))[None, :]
    seen = (ago >= 0) & (ago < (window or len(x)))
    score = np.where(seen[:, None, None, :], 0.5 * np.einsum("thgk,shk->thgs", q, k), -np.inf)
    p = np.exp(score - score.max(-1, keepdims=True))
    return np.einsum("thgs,shk,hgkd->td", p / p.sum(-1, keepdims=True), v, weights[f"{at}.o"])


def logits_of(w, ids):
    """Of the last position."""
    x = w["embed"][ids]
    k0, v0 = keys(x, w["k0"]), keys(x, w["v0"])
    x = x + read(w, "first", x, k0, v0)
    for i in range(OWN):
        at = f"layers.{i}"
        x = x + read(w, f"{at}.attn.read", x, keys(x, w[f"{at}.attn.k"]), keys(x, w[f"{at}.attn.v"]))
        x = x + read(w, f"{at}.again", x, k0, v0)
    near, far, values = keys(x, w["k0"]), keys(x, w["k"]), keys(x, w["v"])
    for i in range(SHARED):
        wide = i % 3 == 1
        x = x + read(w, f"layers.{OWN + i}.attn", x, far if wide else near, values, None if wide else WINDOW)
    return x[-1] @ w["embed"].T


def continued(weights, prompt):
    """(logits of each step, the tokens), greedily."""
    weights = {k: v.astype(np.float64) for k, v in weights.items()}
    ids, rows = list(prompt), []
    for _ in range(STEPS):
        rows.append(logits_of(weights, ids))
        ids.append(int(rows[-1].argmax()))
    return np.array(rows), ids[len(prompt):]


def run_mesh(folder, weights, prompts, number, ranks, plan):
    launcher = compile_spec(SPEC.format(plan=plan, ranks=ranks, **globals()), folder, f"shared{number}")
    run, logits = run_launcher(launcher, folder / "weights", prompts, STEPS, folder)
    expected = [continued(weights, prompt) for prompt in prompts]
    truth = np.array([rows for rows, _ in expected])
    error = np.abs(logits - truth).max() / np.abs(truth).max()
    if not error <= TOLERANCE:
        raise Failed(f"logits are off by {error:.1e} of the largest")
    for prompt, (_, tokens) in zip(prompts, expected):
        if tokens not in run.of(prompt):
            raise Failed(f"{prompt} continues {run.of(prompt)}, not {tokens}")
    for rank, (planned, allocated) in run.memory.items():
        if planned != allocated:
            raise Failed(f"rank {rank} planned {planned} B and allocated {allocated} B")
    return f"error {error:.1e}"


def main():
    need_deployc()
    report, rng, words = Report(), np.random.default_rng(7), sys.argv[1:]
    weights = make_weights(rng)
    prompts = [rng.integers(0, VOCAB, rng.integers(1, 16)).tolist() for _ in range(7)]
    with Folder() as folder:
        (folder / "weights").mkdir()
        write_safetensors(folder / "weights" / "model.safetensors", weights)
        (folder / "weights" / "config.json").write_text(json.dumps({}))
        for number, (ranks, plan) in enumerate(MESHES):
            name = f"{ranks} ranks: {plan}"
            if not words or any(word in name for word in words):
                report.check(name, lambda: run_mesh(folder, weights, prompts, number, ranks, plan))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
