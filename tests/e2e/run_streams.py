#!/usr/bin/env python3
"""A `repeat` with two carried values, one of which becomes the other in each turn; products of two activations; a
param shared by all layers. The logits of launchers on several meshes equal those of the same program in numpy."""
import json
import sys

import numpy as np

from harness import Failed, Folder, Report, compile_spec, need_deployc, run_launcher, write_safetensors

VOCAB, LAYERS, WIDTH, FFN, EPS, STEPS = 40, 4, 12, 24, 1e-5, 3
TOLERANCE = 2e-5        # of logits, relative to the largest
PROMPTS = [[1, 5, 7], [39, 0, 12, 8, 8, 3, 21], [2]]
SPEC = """use std.decoder {{ Decoder, GatedMLP }}
use std.ops {{ embed, pick, rms_norm, sample }}
use std.clusters {{ CPUHost }}
use std.plans {{ Megatron }}
use std.workload {{ Inference }}

/// No attention; two streams that change places in each layer.
model Streams : Decoder {{
  vocab = {vocab}; layers = {layers}; max_ctx = 64; weight = f32; act = f32; kv = f32
  axis d_model = {width}
  axis ffn     = {ffn}
  config {{ model_type = "streams" }}

  param w_a : [vocab, d_model] from "a"
  param w_b : [vocab, d_model] from "b"
  param mix : [d_model] from "mix"
  let a = embed(w_a, ids)
  let b = embed(w_b, ids)
  repeat layers as layer from "layers.{{layer}}" {{
    param scale : [d_model] from "norm"
    let before = a
    let alike = tanh((a * mix) @[d_model] b * 0.1)          // of each position one number
    a = b * alike + GatedMLP(rms_norm(a, scale, {eps})) as mlp from "mlp"
    when (layer mod 2 == 0) {{ b = before }} else {{ b = before * 0.5 + b }}
  }}
  output logits : f32[batch, row, vocab]   = pick(a - b, want) @[d_model] w_a
  output token  : index(vocab)[batch, row] = sample(logits, v = vocab)
}}

deploy Test {{
  model    = Streams
  cluster  = CPUHost {{ ranks = {ranks} }}
  plan     = Megatron {{ {plan} }}
  workload = Inference {{ batch = 4; seq = 1..16; output = 16; chunk = 8; page = 4 }}
}}
"""
MESHES = [(1, ""), (2, "tp = 2"), (2, "tp = 2; at residual { seq -> none; d_model -> tp }"), (4, "dp = 2; tp = 2; at residual { seq -> none }; at layer { d_model -> tp }; at mlp { d_model -> none }"),
          (2, "pp = 2"), (4, "pp = 4; pipeline { microbatches = 2 }"), (8, "pp = 2; dp = 2; tp = 2; pipeline { stages = [3, 1] }")]


def make_weights(rng):
    weights = {"a": rng.standard_normal((VOCAB, WIDTH)), "b": rng.standard_normal((VOCAB, WIDTH)), "mix": rng.standard_normal(WIDTH)}
    for layer in range(LAYERS):
        weights[f"layers.{layer}.norm"] = 1 + 0.3 * rng.standard_normal(WIDTH)
        for name, shape in {"gate_proj": (FFN, WIDTH), "up_proj": (FFN, WIDTH), "down_proj": (WIDTH, FFN)}.items():
            weights[f"layers.{layer}.mlp.{name}.weight"] = rng.standard_normal(shape) / np.sqrt(shape[1])
    return {k: v.astype(np.float32) for k, v in weights.items()}


def logits_of(weights, token):
    """No position reads another one: the logits after a token depend on it alone."""
    w = {k: v.astype(np.float64) for k, v in weights.items()}
    a, b = w["a"][token], w["b"][token]
    for layer in range(LAYERS):
        x = a / np.sqrt((a * a).mean() + EPS) * w[f"layers.{layer}.norm"]
        gate, up, down = (w[f"layers.{layer}.mlp.{n}_proj.weight"] for n in ("gate", "up", "down"))
        h = gate @ x
        a, b = b * np.tanh((a * w["mix"]) @ b * 0.1) + down @ (h / (1 + np.exp(-h)) * (up @ x)), a if layer % 2 == 0 else a * 0.5 + b
    return w["a"] @ (a - b)


def run_mesh(folder, weights, ranks, plan):
    text = SPEC.format(vocab=VOCAB, layers=LAYERS, width=WIDTH, ffn=FFN, eps=EPS, ranks=ranks, plan=plan)
    run, logits = run_launcher(compile_spec(text, folder, "streams"), folder, PROMPTS, STEPS, folder)
    worst = 0
    for i, prompt in enumerate(PROMPTS):
        fed = [prompt[-1], *run.of(prompt)[0][:-1]]
        truth = np.array([logits_of(weights, token) for token in fed])
        worst = max(worst, np.abs(logits[i] - truth).max() / np.abs(truth).max())
    if not worst <= TOLERANCE:
        raise Failed(f"logits are off by {worst:.1e} of the largest")
    return f"error {worst:.1e}"


def main():
    need_deployc()
    report = Report()
    with Folder() as folder:
        weights = make_weights(np.random.default_rng(3))
        write_safetensors(folder / "model.safetensors", weights)
        (folder / "config.json").write_text(json.dumps({"model_type": "streams"}))
        for ranks, plan in MESHES:
            report.check(f"two streams on {ranks}: {plan}", lambda: run_mesh(folder, weights, ranks, plan))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
