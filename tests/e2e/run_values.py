#!/usr/bin/env python3
"""Small programs whose values numpy computes too: conversions, params that operators read, and what else no published model has.
Every program runs on one rank and under the plans beside it; logits of each step are compared.

    run_values.py [WORD ...]    only the cases whose line contains a word
"""
import sys

import numpy as np

from harness import Failed, Folder, Report, compile_spec, need_deployc, run_launcher, write_safetensors

VOCAB, D, LAYERS = 16, 8, 2
PROMPTS = [[3, 1, 4, 1, 5, 9, 2], [7, 7]]
STEPS = 4

HEAD = """use std.decoder { Decoder }
use std.ops { append, attend, combine, dispatch, embed, join, pick, rotate, route, rms_norm, sample, softmax }
use std.clusters { CPUHost }
use std.workload { Inference }
plan P { %(plan)s }
model M : Decoder {
  vocab = %(vocab)d; layers = %(layers)d; max_ctx = 64; weight = f32; act = %(act)s; kv = f32
  axis d_model = %(d)d
  param w_embed : [vocab, d_model] from "embed"
%(body)s
  output logits : f32[batch, row, vocab]   = pick(%(last)s, want) @[d_model] w_embed
  output token  : index(vocab)[batch, row] = sample(logits, v = vocab)
}
deploy D {
  model = M; cluster = CPUHost { ranks = %(ranks)d }; plan = P {}
  workload = Inference { batch = 2; seq = 1..16; output = 8; page = 4; chunk = %(chunk)d }
}
"""
LOOP = """  repeat layers as layer from "layers.{layer}" {
    param s : [d_model] from "s"
    x = x * s
  }"""
ONE = [(1, "")]
SPLIT = [(2, "mesh tp = 2; d_model -> tp"), (2, "mesh tp = 2; vocab -> tp"), (2, "mesh tp = 2; at residual { seq -> tp }"), (2, "mesh dp = 2; batch -> dp")]
PIPELINE = [(2, "mesh pp = 2; layers -> pp")]


def scaled(x, w):
    """What LOOP computes."""
    for layer in range(LAYERS):
        x = x * w[f"layers.{layer}.s"]
    return x


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def causal(q, k, v, scale=1.0):
    """Attention of one head over [T, f]."""
    scores = np.where(np.tril(np.ones((len(q), len(q)), bool)), q @ k.T * scale, -np.inf)
    return softmax(scores) @ v


def bf16(x):
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7fff + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)


# name: the program between embedding and outputs, what of it is picked, what numpy makes of (weights, ids), plans, format of activations.
# Shapes of weights are found in the text: `from "name"`.
CASES = []


def case(name, body, shapes, plans=(), act="f32", last="x", chunks=(16, 4), loop=LOOP):
    def add(function):
        layers = {f"layers.{i}.s": (D,) for i in range(LAYERS)} if loop else {}
        CASES.append((name, f"{body}\n{loop}", {"embed": (VOCAB, D), **layers, **shapes}, function, [*ONE, *plans], act, last, chunks))
        return function
    return add


@case("a position as a number", "  let x = embed(w_embed, ids) + cast(pos, f32)", {}, SPLIT + PIPELINE)
def position(w, ids):
    return scaled(w["embed"][ids] + np.arange(len(ids))[:, None], w)


@case("a token as a number", "  let x = embed(w_embed, ids) * cast(ids, f32)", {}, SPLIT)
def token(w, ids):
    return scaled(w["embed"][ids] * np.array(ids)[:, None], w)


@case("a position as a number in the loop", "  let x = embed(w_embed, ids)", {}, SPLIT + PIPELINE, loop="""  repeat layers as layer from "layers.{layer}" {
    param s : [d_model] from "s"
    x = x * s + log(1 + floor(cast(pos, f32) / 2))
  }""")
def position_in_loop(w, ids):
    x = w["embed"][ids]
    for layer in range(LAYERS):
        x = x * w[f"layers.{layer}.s"] + np.log(1 + np.arange(len(ids)) // 2)[:, None]
    return x


@case("a position in 16 bits", "  let x = embed(w_embed, ids) + cast(pos, bf16) / 16", {}, act="bf16")
def position_bf16(w, ids):
    x = bf16(bf16(w["embed"][ids]) + bf16(np.arange(len(ids)) / 16)[:, None])
    for layer in range(LAYERS):
        x = bf16(x * w[f"layers.{layer}.s"])
    return x


@case("a constant in 16 bits", "  let x = embed(w_embed, ids) * cast(cast(iota(d_model) / 3, bf16), f32) + cast(cast(1 / (1 + iota(d_model)), f16), f32)", {})
def constant_bf16(w, ids):
    i = np.arange(D, dtype=np.float32)
    return scaled(w["embed"][ids] * bf16(i / 3) + (1 / (1 + i)).astype(np.float16).astype(np.float32), w)


def tensors(shapes, seed=1):
    r = np.random.default_rng(seed)
    return {name: (r.standard_normal(shape) * 0.5 + 0.5).astype(np.float32) for name, shape in shapes.items()}


def run_case(folder, text, weights, function, act):
    launcher = compile_spec(text, folder, "values")
    write_safetensors(folder / "model.safetensors", weights)
    (folder / "config.json").write_text("{}")
    run, logits = run_launcher(launcher, folder, PROMPTS, STEPS, folder)
    worst = 0
    for i, prompt in enumerate(PROMPTS):
        tokens = run.of(prompt)[0]
        for step in range(STEPS):
            want = function(weights, prompt + tokens[:step])[-1] @ weights["embed"].T
            got = logits[i, step]
            error = np.abs(got - want).max() / (1e-6 + np.abs(want).max())
            if not error < (1e-5 if act == "f32" else 2e-2):
                raise Failed(f"prompt {i}, step {step}: logits {got[:4]}, numpy has {want[:4]}")
            worst = max(worst, error)
    return f"{worst:.0e}"


def main():
    need_deployc()
    words, report = sys.argv[1:], Report()
    for name, body, shapes, function, plans, act, last, chunks in CASES:
        for n, (ranks, plan) in enumerate(plans):
            for chunk in chunks if n == 0 else chunks[-1:]:
                line = f"{name}, {ranks} ranks, {plan or 'whole'}, chunk {chunk}"
                if words and not any(word in line for word in words):
                    continue
                text = HEAD % dict(plan=plan, vocab=VOCAB, layers=LAYERS, act=act, d=D, body=body, last=last, ranks=ranks, chunk=chunk)
                with Folder() as folder:
                    report.check(line, lambda: run_case(folder, text, tensors(shapes), function, act))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
