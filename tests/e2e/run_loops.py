#!/usr/bin/env python3
"""Models with several loops: those of the library written with their layers in two or three `repeat`, which changes no weights and no
results. Compares the fixtures' tokens and logits like run_meshes.py, on meshes whose pipelines cut in each loop and between them.

    run_loops.py [WORD ...]    only the cases whose line contains a word
"""
import re
import sys

from harness import MODELS, WORKLOAD, Folder, Report, need_deployc
from heads import model_text
from run_meshes import CHUNK8, QUEUE, run_spec

LOOP = re.compile(r"^  repeat layers as layer from \"model\.layers\.\{layer\}\" \{\n(.*?)^  \}\n", re.M | re.S)


def loop(axis, index, number, body):
    return f"  repeat {axis} as {index} from \"model.layers.{{{number}}}\" {{\n{body}  }}\n"


def split(sizes):
    """Loops over so many layers each, numbered on."""
    names = [f"part_{i}" for i in range(len(sizes))]

    def change(text):
        body = LOOP.search(text)[1]
        loops = [loop(name, "layer", " + ".join(["layer", *names[:i]]), body) for i, name in enumerate(names)]
        return LOOP.sub(lambda _: "".join(loops), axes(text, dict(zip(names, sizes))))
    return change


def axes(text, sizes):
    return text.replace("  layers = ", "".join(f"  axis {name} = {n}\n" for name, n in sizes.items()) + "  layers = ", 1)


def in_pairs(text):
    """A turn of the first loop is two layers, with a cache each; the last two layers are a loop over one turn."""
    body = LOOP.search(text)[1]

    def layer(n, number):
        own = re.sub(r"\b(norm_\w+|h)\b", rf"\1_{n}", body)
        own = re.sub(r'from "(?!self_attn|mlp)', f'from "model.layers.{{{number}}}.', own)
        return re.sub(r' as (attn|mlp) from "', rf' as \1_{n} from "model.layers.{{{number}}}.', own)
    pairs = f"  repeat pairs as pair {{\n{layer(0, '2 * pair')}{layer(1, '2 * pair + 1')}  }}\n"
    tail = loop("tail", "layer", "layer + 2 * pairs", body)
    return LOOP.sub(lambda _: pairs + tail, axes(text, {"pairs": 1, "tail": 2}))


def dense_then_sparse(text):
    """No `when`: each kind of layer has a loop of its own."""
    body = LOOP.search(text)[1]
    choice = re.search(r"^    when \(layer < first_dense\) \{\n(.*?)^    \} else \{\n(.*?)^    \}\n", body, re.M | re.S)
    dense, sparse = (body.replace(choice[0], choice[i]) for i in (1, 2))
    return LOOP.sub(lambda _: loop("dense", "layer", "layer", dense) + loop("sparse", "layer", "layer + dense", sparse),
                    axes(text, {"dense": 1, "sparse": 3}))


# fixture, what is changed, dtype, ranks, plan, workload
CASES = [
    ("llama", "1 and 3 layers", "f32", 1, "Megatron {}", WORKLOAD),
    ("llama", "1 and 3 layers", "f32", 4, "Megatron { dp = 2; tp = 2 }", CHUNK8),
    ("llama", "1 and 3 layers", "f32", 4, "Megatron { pp = 2; tp = 2; pipeline { stages = [1, 3]; microbatches = 2 } }", WORKLOAD),   # a cut between
    ("llama", "1 and 3 layers", "f32", 2, "Megatron { pp = 2; pipeline { stages = [3, 1] } }", QUEUE),                                 # in the second
    ("llama", "3 and 1 layers", "f32", 4, "Megatron { pp = 2; dp = 2; pipeline { microbatches = 2 } }", WORKLOAD),                     # in the first
    ("llama", "3 and 1 layers", "f32", 4, "Megatron { pp = 4; pipeline { microbatches = 4 } }", WORKLOAD),
    ("llama", "1, 2 and 1 layers", "f32", 6, "Megatron { pp = 3; tp = 2; pipeline { stages = [2, 1, 1]; microbatches = 3 } }", CHUNK8),
    ("llama", "1, 2 and 1 layers", "f32", 4, "DPAttention { dp = 2; tp = 2 }", WORKLOAD),
    ("llama", "1, 2 and 1 layers", "bf16", 2, "Megatron { pp = 2; pipeline { stages = [3, 1] } }", WORKLOAD),
    ("llama", "in pairs", "f32", 1, "Megatron {}", CHUNK8),
    ("llama", "in pairs", "f32", 2, "Megatron { pp = 2; pipeline { stages = [2, 1] } }", WORKLOAD),
    ("deepseek", "dense, then sparse", "f32", 1, "Megatron {}", WORKLOAD),
    ("deepseek", "dense, then sparse", "f32", 4, "Megatron { ep = 2; tp = 2; moe { capacity = 0.5 } }", CHUNK8),
    ("deepseek", "dense, then sparse", "f32", 4, "Megatron { pp = 2; ep = 2; pipeline { stages = [1, 3]; microbatches = 2 } }", WORKLOAD),
    ("deepseek", "dense, then sparse", "f32", 8, "Megatron { pp = 2; dp = 2; tp = 2; pipeline { microbatches = 2 } }", QUEUE),
]
CHANGES = {"1 and 3 layers": split([1, 3]), "3 and 1 layers": split([3, 1]), "1, 2 and 1 layers": split([1, 2, 1]), "in pairs": in_pairs,
           "dense, then sparse": dense_then_sparse}


def text_of(case):
    fixture, change, dtype, ranks, plan, workload = case
    module, name, sizes = MODELS[fixture]
    return CHANGES[change](model_text(module, name)) + f"""
use std.clusters {{ CPUHost }}
use std.plans {{ {plan.split()[0]} }}
use std.workload {{ Inference }}

deploy Test {{
  model    = {name} {{ {sizes}; weight = {dtype}; act = {dtype}; kv = {dtype} }}
  cluster  = CPUHost {{ ranks = {ranks} }}
  plan     = {plan}
  workload = Inference {{ {workload} }}
}}
"""


def main():
    need_deployc()
    report, words = Report(), sys.argv[1:]
    with Folder() as folder:
        for number, case in enumerate(CASES):
            fixture, change, dtype, ranks, plan, _ = case
            name = f"{fixture}, {change}, {dtype} on {ranks}: {plan}"
            if not words or any(word in name for word in words):
                report.check(name, lambda: run_spec(folder, f"loops{number}", text_of(case), fixture, dtype, ranks))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
