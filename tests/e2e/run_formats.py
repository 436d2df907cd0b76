#!/usr/bin/env python3
"""Storage formats under 16 bits: weights and caches in fp8_e4m3 and fp8_e5m2.

Weights: a launcher in f32 runs a checkpoint whose weights numpy rounded to the format. A launcher that rounds the original weights, and
one that reads them from a file of that format, must give the same logits.
Caches: a forward pass in numpy, checked with transformers first, rounds keys and values when they enter the cache.
"""
import json
import math
import re
import shutil
import sys

import numpy as np

from harness import (FIXTURES, Expected, Failed, Folder, Report, compile_spec, need_deployc, read_safetensors, run_launcher, spec,
                     write_safetensors)

FORMATS = {"fp8_e4m3": ("F8_E4M3", 4, 7, 0x7f), "fp8_e5m2": ("F8_E5M2", 5, 15, 0x7c)}    # in a file, exponent's bits, bias, no number from here
SAME = 1e-6             # of logits, relative to the largest
TRANSFORMERS = 2e-5
ROUNDED = 3e-3          # one entry of the cache may be rounded the other way, where processors add in another order
MATTERS = 1e-2          # what the format changes at least


def values(name):
    """The numbers of the 128 bytes without a sign, from the format's definition; NaN is given as infinity."""
    _, exponent_bits, bias, special = FORMATS[name]
    mantissa = 7 - exponent_bits
    e, m = np.arange(128) >> mantissa, (np.arange(128) & (1 << mantissa) - 1) / (1 << mantissa)
    x = np.where(e == 0, m * 2.0 ** (1 - bias), (1 + m) * 2.0 ** (e - bias))
    x[special:] = np.inf
    return x.astype(np.float32)


def encode(x, name):
    """Bytes of the nearest numbers; on ties the even byte."""
    table = values(name)
    magnitude = np.minimum(np.abs(x), table[np.isfinite(table)].max())
    above = np.searchsorted(table, magnitude)
    below = np.maximum(above - 1, 0)
    down, up = magnitude - table[below], table[above] - magnitude
    byte = np.where((down < up) | ((down == up) & (below % 2 == 0)), below, above)
    return (byte | np.where(np.signbit(x), 128, 0)).astype(np.uint8)


def decode(byte, name):
    return values(name)[byte & 127] * np.where(byte & 128, np.float32(-1), np.float32(1))


def rounded(x, name):
    return decode(encode(x, name), name)


# ---- weights --------------------------------------------------------------------------------------------------------
def checkpoint(folder, name, tensors, dtype="F32"):
    (folder / name).mkdir()
    shutil.copy(FIXTURES / "llama" / "config.json", folder / name / "config.json")
    write_safetensors(folder / name / "model.safetensors", tensors, dtype)
    return folder / name


def stored_as(text, field, name):
    return re.sub(rf"{field} = \w+", f"{field} = {name}", text)


def check_weights(folder, name, ranks, plan):
    expected, weights = Expected("llama"), read_safetensors(FIXTURES / "llama" / "model.safetensors")
    there = folder / f"{name}_{ranks}"
    there.mkdir()
    exact = checkpoint(there, "exact", {k: rounded(v, name) for k, v in weights.items()})
    stored = checkpoint(there, "stored", {k: encode(v, name) for k, v in weights.items()}, FORMATS[name][0])
    truth = compile_spec(spec("llama", 1), there, "truth")
    launcher = compile_spec(stored_as(spec("llama", ranks, plan), "weight", name), there, "launcher")
    steps = expected.logits.shape[1]
    _, want = run_launcher(truth, exact, expected.prompts, steps, there)
    scale = np.abs(want).max()
    worst = 0
    for source in FIXTURES / "llama", stored:
        _, logits = run_launcher(launcher, source, expected.prompts, steps, there)
        worst = max(worst, np.abs(logits - want).max() / scale)
        if not worst <= (SAME if ranks == 1 else TRANSFORMERS):
            raise Failed(f"weights from {source.name}: logits are off by {worst:.1e} of the largest")
    changed = np.abs(want[:, 0] - expected.logits[:, 0]).max() / scale
    if not changed >= MATTERS:
        raise Failed(f"the format changes the logits by {changed:.1e} only: this shows nothing")
    return f"error {worst:.1e}; the format itself {changed:.1e}"


# ---- caches ---------------------------------------------------------------------------------------------------------
def frequencies(config):
    """Rotary frequencies, stretched as Llama 3.1 does."""
    rope, n = config["rope_parameters"], config["head_dim"]
    freq = rope["rope_theta"] ** (-np.arange(0, n, 2) / n)
    turns = rope["original_max_position_embeddings"] * freq / (2 * math.pi)
    keep = np.clip((turns - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"]), 0, 1)
    return freq * keep + freq / rope["factor"] * (1 - keep)


def rotate(x, angle):
    half = x.shape[-1] // 2
    a, b, cos, sin = x[..., :half], x[..., half:], np.cos(angle)[:, None], np.sin(angle)[:, None]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def norm(x, scale, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * scale


def attention(x, weight, config, angle, store):
    """x: [token, d_model]; store: applied to keys and values when they enter the cache."""
    kv, n = config["num_key_value_heads"], config["head_dim"]
    group = config["num_attention_heads"] // kv
    q = rotate((x @ weight("self_attn.q_proj").T).reshape(len(x), -1, n), angle).reshape(len(x), kv, group, n)
    k = store(rotate((x @ weight("self_attn.k_proj").T).reshape(len(x), kv, n), angle).astype(np.float32))
    v = store((x @ weight("self_attn.v_proj").T).reshape(len(x), kv, n).astype(np.float32))
    score = np.einsum("skgn,tkn->kgst", q, k) / math.sqrt(n)
    score[..., np.triu(np.ones((len(x), len(x)), bool), 1)] = -np.inf
    score = np.exp(score - score.max(-1, keepdims=True))
    out = np.einsum("kgst,tkn->skgn", score / score.sum(-1, keepdims=True), v)
    return out.reshape(len(x), -1) @ weight("self_attn.o_proj").T


def forward(ids, weights, config, store):
    """Logits of all positions, [token, vocab]."""
    w = {k: v.astype(np.float64) for k, v in weights.items()}
    eps, angle = config["rms_norm_eps"], np.arange(len(ids))[:, None] * frequencies(config)
    x = w["model.embed_tokens.weight"][ids]
    for layer in range(config["num_hidden_layers"]):
        weight = lambda name: w[f"model.layers.{layer}.{name}.weight"]
        x = x + attention(norm(x, weight("input_layernorm"), eps), weight, config, angle, store)
        h = norm(x, weight("post_attention_layernorm"), eps)
        gate = h @ weight("mlp.gate_proj").T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ weight("mlp.up_proj").T)) @ weight("mlp.down_proj").T
    return norm(x, w["model.norm.weight"], eps) @ w["model.embed_tokens.weight"].T


def continued(prompt, tokens, weights, config, store):
    """Logits of the steps that continue a prompt by given tokens."""
    return forward([*prompt, *tokens[:-1]], weights, config, store)[len(prompt) - 1:]


def check_caches(folder, name, ranks, plan):
    expected, weights = Expected("llama"), read_safetensors(FIXTURES / "llama" / "model.safetensors")
    config = json.loads((FIXTURES / "llama" / "config.json").read_text())
    launcher = compile_spec(stored_as(spec("llama", ranks, plan), "kv", name), folder, f"cache_{name}_{ranks}")
    run, logits = run_launcher(launcher, "llama", expected.prompts, expected.logits.shape[1], folder)
    scale, worst, changed = np.abs(expected.logits).max(), 0, 0
    for i, prompt in enumerate(expected.prompts):
        exact = continued(prompt, expected.tokens[i], weights, config, lambda x: x)
        if not np.abs(exact - expected.logits[i]).max() <= TRANSFORMERS * scale:
            raise Failed("the pass in numpy is not what transformers computed")
        want = continued(prompt, run.of(prompt)[0], weights, config, lambda x: rounded(x, name))
        worst = max(worst, np.abs(logits[i] - want).max() / scale)
        changed = max(changed, np.abs(want[0] - expected.logits[i][0]).max() / scale)
    if not worst <= ROUNDED:
        raise Failed(f"logits are off by {worst:.1e} of the largest")
    if not changed >= MATTERS:
        raise Failed(f"the format changes the logits by {changed:.1e} only: this shows nothing")
    return f"error {worst:.1e}; the format itself {changed:.1e}"


def main():
    need_deployc()
    report = Report()
    with Folder() as folder:
        for name in FORMATS:
            for ranks, plan in (1, "Megatron {}"), (4, "Megatron { pp = 2; tp = 2 }"):
                report.check(f"weights in {name} on {ranks}", lambda: check_weights(folder, name, ranks, plan))
                report.check(f"caches in {name} on {ranks}", lambda: check_caches(folder, name, ranks, plan))
            in_parts = "Megatron { tp = 2; at attn { kv_heads * q_group -> none; head_dim -> tp } }"
            report.check(f"caches in {name}, in parts on 2", lambda: check_caches(folder, name, 2, in_parts))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
