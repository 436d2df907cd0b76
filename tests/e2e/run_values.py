#!/usr/bin/env python3
"""Small programs, compared with numpy: conversions, params read by operators, and other things that no published model has.
Every program runs on one rank and with its plans; the logits of each step are compared.

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
  vocab = %(vocab)d; layers = %(layers)d; max_ctx = 64; weight = %(weight)s; act = %(act)s; kv = f32
  axis d_model = %(d)d
  param w_embed : [vocab, d_model] from "embed"
%(body)s
  output logits : f32[batch, row, vocab]   = pick(x, want) @[d_model] w_embed
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


def rotated(x, freq, interleaved=False):
    """[T, f], one frequency for each pair."""
    angles = np.arange(len(x))[:, None] * freq
    a, b = (x[:, ::2], x[:, 1::2]) if interleaved else np.split(x, 2, axis=1)
    both = a * np.cos(angles) - b * np.sin(angles), a * np.sin(angles) + b * np.cos(angles)
    return np.stack(both, 2).reshape(x.shape) if interleaved else np.concatenate(both, 1)


class Case:
    """A program: its text between embedding and outputs. `function` maps (weights, ids) to the rows picked, [T, d]."""

    def __init__(self, name, body, shapes, plans, loop, function, act, weight):
        self.name, self.text, self.function, self.act, self.weight = name, f"{body}\n{loop}", function, act, weight
        self.shapes = {"embed": (VOCAB, D)}
        for stored, shape in {**({"layers.{layer}.s": (D,)} if loop == LOOP else {}), **shapes}.items():
            self.shapes |= {stored.format(layer=i): shape for i in range(LAYERS if "{layer}" in stored else 1)}
        self.plans = [*ONE, *plans]

    def weights(self):
        r = np.random.default_rng(1)
        drawn = {name: (r.standard_normal(shape) * 0.5 + 0.5).astype(np.float32) for name, shape in self.shapes.items()}
        return {name: bf16(w) for name, w in drawn.items()} if self.weight == "bf16" else drawn


CASES = []


def case(name, body, shapes, plans=(), loop=LOOP, act="f32", weight="f32"):
    """Decorator: adds the function. `shapes`: of weights by name; {layer} in a name: one per layer."""
    def add(function):
        CASES.append(Case(name, body, shapes, plans, loop, function, act, weight))
        return function
    return add


@case("a position as a number", "  let x = embed(w_embed, ids) + cast(pos, f32)", {}, SPLIT + PIPELINE)
def position(w, ids):
    return scaled(w["embed"][ids] + np.arange(len(ids))[:, None], w)


@case("a token as a number", "  let x = embed(w_embed, ids) * cast(ids, f32)", {}, SPLIT)
def token(w, ids):
    return scaled(w["embed"][ids] * np.array(ids)[:, None], w)


@case("a position as a number in the loop", "  let x = embed(w_embed, ids)", {"layers.{layer}.s": (D,)}, SPLIT + PIPELINE, loop="""  repeat layers as layer from "layers.{layer}" {
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


# ---- params that operators read ----
FREQ = """  axis pair = d_model / 2
  let x = embed(w_embed, ids)
%s
  repeat layers as layer from "layers.{layer}" {
%s
    let q = rotate(x, freq, pos, f = d_model)
    state kc : kv[batch, ctx, d_model] = append(q, pos, to = ctx)
    state vc : kv[batch, ctx, d_model] = append(x, pos, to = ctx)
    x = x + attend(q, kc, vc, pos, over = ctx, dot = d_model, scale = 0.5)
  }"""


def turning(w, ids, freqs):
    x = w["embed"][ids]
    for layer in range(LAYERS):
        q = rotated(x, freqs[layer])
        x = x + causal(q, q, x, 0.5)
    return x


FREQUENCIES = {"layers.{layer}.freq": (D // 2,)}
OF_LAYER = "    param freq : f32[pair] from \"freq\""


@case("frequencies of each layer", "", FREQUENCIES, [*SPLIT[1:], *PIPELINE], loop=FREQ % ("", OF_LAYER))
def frequencies_of_layer(w, ids):
    return turning(w, ids, [w[f"layers.{i}.freq"] for i in range(LAYERS)])


@case("frequencies of each layer, stored in 16 bits", "", FREQUENCIES, loop=FREQ % ("", OF_LAYER.replace("f32", "")), weight="bf16")
def frequencies_bf16(w, ids):
    return turning(w, ids, [w[f"layers.{i}.freq"] for i in range(LAYERS)])


@case("frequencies of the model", "", {"freq": (D // 2,)}, [*SPLIT[1:], *PIPELINE], loop=FREQ % (OF_LAYER, ""))
def frequencies_of_model(w, ids):
    return turning(w, ids, [w["freq"]] * LAYERS)


@case("a part of stored frequencies", "", {"freq": (D,)}, loop=FREQ % (
    "  axis low = d_model / 2; axis twice = concat(pair, low); param both : f32[twice] from \"freq\"; let freq = both[twice -> pair]", ""))
def part_of_frequencies(w, ids):
    return turning(w, ids, [w["freq"][:D // 2]] * LAYERS)


@case("frequencies of the later layers only", "", {"layers.1.freq": (D // 2,)}, PIPELINE, loop=(FREQ % ("", """    when (layer < 1) {
      let freq = 1 / (1 + iota(pair))
    } else {
      param freq : f32[pair] from "freq"
    }""")))
def frequencies_of_one(w, ids):
    return turning(w, ids, [1 / (1 + np.arange(D // 2)), w["layers.1.freq"]])


CARRIED = """  param w0 : [d_model] from "w0"
  let x = embed(w_embed, ids)
  let z = w0
  repeat layers as layer from "layers.{layer}" {
    param s : [d_model] from "s"
%s
  }"""


@case("a carried value that starts as a param", "", {"w0": (D,), "layers.{layer}.s": (D,)}, SPLIT + PIPELINE, loop=CARRIED % "    z = z * s; x = x + z")
def carried_param(w, ids):
    x, z = w["embed"][ids], w["w0"]
    for layer in range(LAYERS):
        z = z * w[f"layers.{layer}.s"]
        x = x + z
    return x


@case("a carried value that becomes a param", "", {"w0": (D,), "layers.{layer}.s": (D,)}, SPLIT + PIPELINE, loop=CARRIED % "    x = x + z; z = s",
      weight="bf16")
def becomes_param(w, ids):
    x, z = w["embed"][ids], w["w0"]
    for layer in range(LAYERS):
        x, z = x + z, w[f"layers.{layer}.s"]
    return x


@case("params joined", """  axis low = 3; axis high = 5; axis both = concat(low, high); axis same like both
  param a : [low] from "a"
  param b : [high] from "b"
  param m : [same, d_model] from "m"
  let x = embed(w_embed, ids) * sum(join(a, b, into = both)[both -> same] * m, over = same)""", {"a": (3,), "b": (5,), "m": (D, D)}, PIPELINE)
def joined(w, ids):
    return scaled(w["embed"][ids] * (np.concatenate([w["a"], w["b"]]) @ w["m"]), w)


@case("sinks", "  let x = embed(w_embed, ids)", {"layers.{layer}.sink": (2,), "layers.{layer}.wq": (D, 2, D)}, SPLIT[1:], loop="""  axis q_group = 2
  repeat layers as layer from "layers.{layer}" {
    param sink : [q_group] from "sink"
    param wq   : [d_model, q_group, width] from "wq"
    state kc : kv[batch, ctx, d_model] = append(x, pos, to = ctx)
    let q = (x @[d_model] wq)[width -> d_model]
    x = x + sum(attend(q, kc, kc, pos, over = ctx, dot = d_model, scale = 0.25, sink = sink), over = q_group)
  }""".replace("  repeat", "  axis width like d_model\n  repeat", 1), weight="bf16")
def sinks(w, ids):
    x = w["embed"][ids]
    for layer in range(LAYERS):
        out = np.zeros_like(x)
        for head in range(2):
            q = x @ w[f"layers.{layer}.wq"][:, head]
            scores = np.where(np.tril(np.ones((len(x), len(x)), bool)), q @ x.T * 0.25, -np.inf)
            e = np.exp(np.concatenate([scores, np.full((len(x), 1), w[f"layers.{layer}.sink"][head])], 1))
            out += (e / e.sum(1, keepdims=True))[:, :-1] @ x
        x = x + out
    return x


EXPERTS = """  axis expert = 4; axis choice like expert; axis slot = ragged(expert)
  repeat layers as layer from "layers.{layer}" {
    param router : [d_model, choice] from "r"
    param bias   : [choice] from "bias"
    param s      : [expert, d_model] from "s"
    let r = route(softmax(cast(x @[d_model] router, f32), over = choice), bias = bias, over = choice, to = expert, slot = slot, top = 2)
    x = combine(dispatch(x, r) * s, r)
  }"""


@case("a routing's bias stored in 16 bits", "  let x = embed(w_embed, ids)",
      {"layers.{layer}.r": (D, 4), "layers.{layer}.bias": (4,), "layers.{layer}.s": (4, D)}, [(2, "mesh ep = 2; expert -> ep")], loop=EXPERTS, weight="bf16")
def biased(w, ids):
    x = w["embed"][ids]
    for layer in range(LAYERS):
        score, out = softmax(x @ w[f"layers.{layer}.r"]), np.zeros_like(x)
        for t, row in enumerate(score):
            best = np.argsort(-(row + w[f"layers.{layer}.bias"]), kind="stable")[:2]
            for e in best:
                out[t] += row[e] / row[best].sum() * x[t] * w[f"layers.{layer}.s"][e]
        x = out
    return x


ROUTED = """  axis expert = 4; axis choice like expert; axis slot = ragged(expert)
  repeat layers as layer from "layers.{layer}" {
    param router : [d_model, choice] from "r"
    param s      : [expert, d_model] from "s"
    let r = route(softmax(x @[d_model] router, over = choice), over = choice, to = expert, slot = slot, top = 2)
%s
  }"""
EXPERT_WEIGHTS = {"layers.{layer}.r": (D, 4), "layers.{layer}.s": (4, D)}
EXPERT_PLANS = [(2, "mesh ep = 2; expert -> ep"), (4, "mesh dp = 2; mesh ep = 2; batch -> dp; expert -> dp * ep"), (2, "mesh tp = 2; expert -> tp; at residual { seq -> tp }")]


def experts(w, layer, x, scored):
    """Each row of x through the two experts with the highest scores, each of which multiplies by its row of s."""
    score, out = softmax(scored @ w[f"layers.{layer}.r"]), np.zeros_like(x)
    for t, row in enumerate(score):
        best = np.argsort(-row, kind="stable")[:2]
        out[t] = sum(row[e] / row[best].sum() * x[t] * w[f"layers.{layer}.s"][e] for e in best)
    return out


@case("two exchanges of one routing, one after the other", "  let x = embed(w_embed, ids)", EXPERT_WEIGHTS, EXPERT_PLANS,
      loop=ROUTED % """    let y = combine(dispatch(x, r) * s, r)
    x = y + combine(dispatch(y, r) * s, r)""")
def twice(w, ids):
    x = w["embed"][ids]
    for layer in range(LAYERS):
        y = experts(w, layer, x, x)
        x = y + experts(w, layer, y, x)
    return x


@case("two routings", "  let x = embed(w_embed, ids)", EXPERT_WEIGHTS, EXPERT_PLANS, loop=ROUTED % """    let y = combine(dispatch(x, r) * s, r)
    let q = route(softmax(y @[d_model] router, over = choice), over = choice, to = expert, slot = slot, top = 2)
    x = y + combine(dispatch(x * 2, q) * s, q)""")
def two_routings(w, ids):
    x = w["embed"][ids]
    for layer in range(LAYERS):
        y = experts(w, layer, x, x)
        x = y + experts(w, layer, 2 * x, y)
    return x


@case("no loop", "  let x = embed(w_embed, ids)", {}, SPLIT, loop="")
def no_loop(w, ids):
    return w["embed"][ids]


def run_case(folder, text, c):
    launcher, weights = compile_spec(text, folder, "values"), c.weights()
    write_safetensors(folder / "model.safetensors", weights)
    (folder / "config.json").write_text("{}")
    run, logits = run_launcher(launcher, folder, PROMPTS, STEPS, folder)
    worst = 0
    for i, prompt in enumerate(PROMPTS):
        tokens = run.of(prompt)[0]
        for step in range(STEPS):
            want = c.function(weights, prompt + tokens[:step])[-1] @ weights["embed"].T
            got = logits[i, step]
            error = np.abs(got - want).max() / (1e-6 + np.abs(want).max())
            if not error < (1e-5 if c.act == "f32" else 2e-2):
                raise Failed(f"prompt {i}, step {step}: logits {got[:4]}, numpy has {want[:4]}")
            worst = max(worst, error)
    return f"{worst:.0e}"


def main():
    need_deployc()
    words, report = sys.argv[1:], Report()
    for c in CASES:
        for n, (ranks, plan) in enumerate(c.plans):
            for chunk in (16, 4) if n == 0 else (4,):
                line = f"{c.name}, {plan or 'whole'}, chunk {chunk}"
                if words and not any(word in line for word in words):
                    continue
                text = HEAD % dict(plan=plan, vocab=VOCAB, layers=LAYERS, act=c.act, weight=c.weight, d=D, body=c.text, ranks=ranks, chunk=chunk)
                with Folder() as folder:
                    report.check(line, lambda: run_case(folder, text, c))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
