#!/usr/bin/env python3
"""Attention over several axes of heads: models whose heads are two or three axes, in the library's order and in any order of each param
and cache, on meshes that split each axis. Compares the fixtures' tokens and logits like run_meshes.py.

    run_heads.py [WORD ...]    only the cases whose line contains a word
"""
import random
import re
import sys

from harness import MODELS, WORKLOAD, Folder, Report, need_deployc
from heads import model_text, sizes, split_heads
from run_meshes import CHUNK8, QUEUE, run_spec

KV4 = {"kv_heads": {"kv_a": 2, "kv_b": 2}, "q_group": {"q_a": 1, "q_b": 2}}
KV2 = {"kv_heads": {"kv_a": 2, "kv_b": 1}, "q_group": {"q_a": 2, "q_b": 2}}
LATENT = {"heads": {"q_a": 2, "q_b": 2, "q_c": 2}}
CUBE = "mesh a = 2; mesh b = 2; mesh c = 2"
GRID = "mesh dp = 2; mesh tp = 2; batch -> dp"
EACH = "kv_a -> a; kv_b -> b; q_b -> c; vocab -> a * b"         # every axis on a mesh axis of its own
ROWS = "batch -> b; kv_a -> a; q_b -> c; at residual { seq -> a * c }"

# fixture and what is changed, heads, dtype, ranks, mesh and rules, workload. Each runs in the order of the text, and in two others.
CASES = [
    ("llama", KV4, "f32", 1, "", WORKLOAD),
    ("llama", KV4, "f32", 8, f"{CUBE}; {EACH}; ffn -> b * c", WORKLOAD),
    ("llama", KV4, "f32", 8, f"{CUBE}; {ROWS}; ffn -> a", CHUNK8),
    ("llama", KV4, "f32", 8, "mesh tp = 8; kv_a * kv_b * q_b -> tp; ffn -> tp; at residual { seq -> tp }", WORKLOAD),
    ("llama", KV4, "f32", 4, "mesh pp = 2; mesh tp = 2; layers -> pp; kv_b -> tp; ffn -> tp", QUEUE),
    ("llama", KV4, "f32", 4, "mesh tp = 4; q_b * kv_b -> tp; ffn -> tp", WORKLOAD),
    ("llama", KV4, "f32", 2, "mesh tp = 2; ffn -> tp; at residual { seq -> tp }", CHUNK8),       # all heads on each rank
    ("llama, two keys", KV4, "f32", 1, "", WORKLOAD),
    ("llama, two keys", KV4, "f32", 4, "mesh tp = 4; kv_b * q_b -> tp; ffn -> tp; at residual { seq -> tp }", CHUNK8),
    ("llama, keys twice", KV4, "f32", 2, "mesh tp = 2; kv_b -> tp; ffn -> tp", WORKLOAD),
    ("llama", KV4, "bf16", 4, "mesh a = 2; mesh b = 2; kv_a -> a; q_b -> b; ffn -> a", WORKLOAD),
    ("qwen3_moe", KV2, "f32", 1, "", CHUNK8),                                                    # norms of heads
    ("qwen3_moe", KV2, "f32", 8, CUBE + "; q_a -> a; q_b -> b; kv_a -> c; expert -> a * c", WORKLOAD),
    ("qwen3_moe", KV2, "f32", 4, GRID + "; q_b -> tp; at residual { seq -> tp }; at moe { expert -> dp * tp }", QUEUE),
    ("olmoe", KV4, "f32", 1, "", WORKLOAD),                                                      # norms over all heads
    ("olmoe", KV4, "f32", 8, f"{CUBE}; {EACH}; expert -> a; expert_ffn -> b * c", WORKLOAD),
    ("gpt_oss", KV4, "f32", 1, "", CHUNK8),                                                      # sinks, biases, windows
    ("gpt_oss", KV4, "f32", 8, f"{CUBE}; {EACH}; expert -> a; expert_ffn -> b", WORKLOAD),
    ("gpt_oss", KV4, "f32", 8, f"{CUBE}; {ROWS}; expert -> b", QUEUE),
    ("gpt_oss", KV4, "f32", 2, "mesh tp = 2; q_b -> tp; expert -> tp; at residual { seq -> tp }", WORKLOAD),
    ("gpt_oss, renamed sinks", KV4, "f32", 4, "mesh tp = 4; q_b * kv_a -> tp; expert -> tp", WORKLOAD),
    ("gpt_oss, computed sinks", KV4, "f32", 2, "mesh tp = 2; kv_b -> tp; expert -> tp", CHUNK8),
    ("gpt_oss", KV4, "bf16", 4, "mesh tp = 4; kv_b * q_b -> tp; expert -> tp", WORKLOAD),
    ("deepseek", LATENT, "f32", 1, "", WORKLOAD),                                                # no head in the cache
    ("deepseek", LATENT, "f32", 8, CUBE + "; q_a -> c; q_b -> a; q_c -> b; ffn -> a * b; expert -> c", WORKLOAD),
    ("deepseek", LATENT, "f32", 4, GRID + "; q_b -> tp; at residual { seq -> tp }; at moe { expert -> dp * tp }", CHUNK8),
]


def ask_twice(text):
    """The mean of two attentions over the same values, with keys in separate caches, whose axes may have different orders."""
    for pattern in (r"^ *(?:param wk|let k|state kc) .*\n", r"^  let o = [^@]*\n(?=  return)"):
        text = re.sub(pattern, lambda match: match[0] + re.sub(r"\b(wk|k|kc|o)\b", r"\1_too", match[0]), text, flags=re.M)
    return text.replace("return o @", "return (o + o_too) / 2 @")


def compute_sinks(text):
    return text.replace("sink = sink)", "sink = 2 * sink / 2)")


def rename_sinks(text):
    """The param has an axis of its own, split by no rule: each rank takes its part of a view."""
    text = re.sub(r"param sink .*", 'axis stored like q_b; param sink : [kv_heads, q_a, stored] from "sinks" as [kv_heads * q_a * stored]', text)
    return text.replace("sink = sink)", "sink = sink[stored -> q_b])")


def keep_keys_twice(text):
    """Keys are the second half of the cache, under another name."""
    text = text.replace("head_dim, ctx", "head_dim, ctx; axis low like head_dim; axis high like head_dim; axis both = concat(low, high)", 1)
    text = re.sub(r"  state kc .*", "  let k_r = rotate(k, freq, pos, f = head_dim)\n"
                  "  state kc : kv[batch, ctx, kv_heads, both] = append(join(k_r[head_dim -> low], k_r[head_dim -> high], into = both), pos, to = ctx)", text)
    return text.replace(" kc, vc", " kc[both -> high][high -> head_dim], vc").replace("std.ops { ", "std.ops { join, ")


CHANGES = {"llama, keys twice": keep_keys_twice, "llama, two keys": ask_twice,
           "gpt_oss, computed sinks": compute_sinks, "gpt_oss, renamed sinks": rename_sinks}


def text_of(case, r):
    model, heads, dtype, ranks, rules, workload = case
    module, name, fields = MODELS[model.split(",")[0]]
    text = CHANGES.get(model, str)(model_text(module, name))
    fields = "; ".join([f for f in fields.split("; ") if f.split(" ")[0] not in heads] + [sizes(heads)])
    return split_heads(text, heads, r) + f"""
use std.clusters {{ CPUHost }}
use std.workload {{ Inference }}

plan Own {{
  {rules}
}}

deploy Test {{
  model    = {name} {{ {fields}; weight = {dtype}; act = {dtype}; kv = {dtype} }}
  cluster  = CPUHost {{ ranks = {ranks} }}
  plan     = Own
  workload = Inference {{ {workload} }}
}}
"""


def main():
    need_deployc()
    report, words = Report(), sys.argv[1:]
    with Folder() as folder:
        for number, (case, order) in enumerate((case, order) for case in CASES for order in ("in order", "mixed", "mixed again")):
            model, _, dtype, ranks, rules, _ = case
            name = f"{model} {dtype} on {ranks}, {order}: {rules}"
            text = text_of(case, None if order == "in order" else random.Random(number))
            if not words or any(word in name for word in words):
                report.check(name, lambda: run_spec(folder, f"heads{number}", text, model.split(",")[0], dtype, ranks))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
