#!/usr/bin/env python3
"""How long the language server takes after a keystroke, on a spec of some 300 lines and on one of 10,000: medians and 95th percentiles.

    lsp.py --deployc FILE [--rounds N]
"""
import argparse
import os
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/lsp"))

HEAD = """use std.models { Mixtral_8x7B, Llama_3_1_8B }
use std.clusters { DGX_H100 }
use std.plans { Megatron, VLLM }
use std.workload { Inference }

"""
DEPLOY = """/// Deployment number {i}, with what a reader has to know.
deploy Chat{i} {{
  model    = {model}
  cluster  = DGX_H100 {{ nodes = {nodes} }}
  plan     = {plan} {{ tp = {tp}; {rest} }}
  workload = Inference {{
    batch  = {batch}
    seq    = 128..10240
    output = 256
  }}
}}

"""
PLAN = """plan Own{i} {{
  mesh dp = 1
  mesh tp = 1
  batch              -> dp
  kv_heads * q_group -> tp
  ffn                -> tp
  vocab              -> tp
}}

"""


def spec(lines, deployments):
    """So many lines: some deployments, else plans."""
    text, i = HEAD, 0
    while text.count("\n") < lines:
        i += 1
        if i <= deployments:
            text += DEPLOY.format(i=i, model="Mixtral_8x7B" if i % 2 else "Llama_3_1_8B", nodes=1 + i % 2, plan="Megatron" if i % 2 else "VLLM",
                                  tp=4, rest=f"{'ep' if i % 2 else 'dp'} = {2 * (1 + i % 2)}", batch=128)
        else:
            text += PLAN.format(i=i)
    return text


def measure(text, rounds):
    from client import Client, place
    times = {"diagnostics": [], "hover": [], "completion": []}
    with tempfile.TemporaryDirectory() as folder:
        c = Client(folder)
        c.open("a.deploy", text)
        c.diagnostics("a.deploy")
        at, end = place(text, "batch  = 128", 9), place(text, "batch  = 128", 12)
        for i in range(rounds):
            c.notes.clear()
            time.sleep(0.02)
            while c.read(0.01):
                pass
            start = time.perf_counter()
            c.change("a.deploy", [{"range": {"start": at, "end": end}, "text": str(128 + 8 * (i % 2))}], i + 2)
            c.diagnostics("a.deploy")
            times["diagnostics"].append(time.perf_counter() - start)
            for method, mark in (("hover", "tp = 4"), ("completion", "tp = 4")):
                while c.read(0.01):
                    pass
                start = time.perf_counter()
                c.at(method, "a.deploy", place(text, mark))
                times[method].append(time.perf_counter() - start)
        c.process.kill()
    return times


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--deployc", required=True)
    options.add_argument("--rounds", type=int, default=60)
    given = options.parse_args()
    os.environ["DEPLOYC"] = str(pathlib.Path(given.deployc).resolve())
    print(f"{'':28} {'median':>8} {'95%':>8}")
    for lines, deployments in ((300, 4), (10_000, 4)):
        for name, seconds in measure(spec(lines, deployments), given.rounds).items():
            seconds.sort()
            print(f"{lines:>6} lines, {name:14} {1e3 * statistics.median(seconds):5.1f} ms {1e3 * seconds[int(0.95 * (len(seconds) - 1))]:5.1f} ms")


if __name__ == "__main__":
    main()
