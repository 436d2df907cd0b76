#!/usr/bin/env python3
"""Whole models beside what the machine can do: tokens/s, GB/s, TFLOP/s, and their ratios to limits measured around each run; then a step of
each beside what deployc predicts of it, calibrated by a launcher of another model.

    run.py --deployc FILE --limits FILE [--repetitions N] [--only WORD]

Random weights of published shapes. docs/bench.md says how to read the table. Nothing here fails because something is slow."""
import argparse
import collections
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

PREFILL, OUTPUT = 512, 32         # tokens of all prompts, which enter in one step; tokens sampled for each
LIMITS_MS = 240

# Sizes are the model's; a launcher is one of them on `ranks` ranks with tp = ranks. experts 1, chosen 1: a dense model.
Shape = collections.namedtuple("Shape", "family dtype vocab layers d_model kv_heads q_group head_dim ffn experts chosen")
SHAPES = {
    "dense 1B bf16": Shape("Llama", "bf16", 128256, 16, 2048, 8, 4, 64, 8192, 1, 1),
    "moe 8x2 bf16": Shape("Mixtral", "bf16", 32000, 8, 1024, 4, 4, 64, 3584, 8, 2),
    "dense f32": Shape("Llama", "f32", 32000, 8, 1024, 4, 4, 64, 4096, 1, 1),
}
# What this machine is calibrated with: the same format and family, other sizes. Weights do not fit in a cache here either.
CALIBRATED = {
    "dense 1B bf16": SHAPES["dense 1B bf16"]._replace(vocab=24000, layers=4, d_model=1536, kv_heads=6, ffn=5632),
    "moe 8x2 bf16": SHAPES["moe 8x2 bf16"]._replace(vocab=24000, layers=4, d_model=1280, kv_heads=6, ffn=2560),
    "dense f32": SHAPES["dense f32"]._replace(vocab=24000, layers=5, d_model=1280, kv_heads=5, ffn=3328),
}
CASES = [("dense 1B bf16", 1), ("dense 1B bf16", 2), ("moe 8x2 bf16", 1), ("moe 8x2 bf16", 2), ("dense f32", 1)]   # ranks
BATCHES = (1, 8)
BYTES = {"bf16": 2, "f32": 4}


def spec(shape, ranks, machine="CPUHost { ranks = %d }", use="use std.clusters { CPUHost }"):
    sizes = {"vocab": shape.vocab, "layers": shape.layers, "d_model": shape.d_model, "kv_heads": shape.kv_heads,
             "q_group": shape.q_group, "head_dim": shape.head_dim}
    if shape.experts > 1:
        sizes.update(expert=shape.experts, expert_ffn=shape.ffn, top_k=shape.chosen)
    else:
        sizes.update(ffn=shape.ffn, tied="true")
    sizes.update(weight=shape.dtype, act=shape.dtype, kv=shape.dtype)
    return f"""{use}
use std.{shape.family.lower()} {{ {shape.family} }}
use std.plans {{ Megatron }}
use std.workload {{ Inference }}
model Random = {shape.family} {{ {"; ".join(f"{k} = {v}" for k, v in sizes.items())} }}
deploy Bench {{
  model    = Random
  cluster  = {machine % ranks if "%" in machine else machine}
  plan     = Megatron {{ tp = {ranks} }}
  workload = Inference {{ batch = {max(BATCHES)}; seq = 1..{PREFILL}; output = {OUTPUT}; chunk = {PREFILL} }}
}}
"""


# ---- what a step costs: docs/bench.md states these formulas ----------------------------------------------------------
def attention_weights(s):
    return s.d_model * s.head_dim * s.kv_heads * (2 * s.q_group + 2)


def layer_weights(s, experts):
    router = s.d_model * s.experts if s.experts > 1 else 0
    return attention_weights(s) + router + experts * 3 * s.d_model * s.ffn


def prefill_flop(s, batch):
    """Of all prompts: two for each weight that a token meets, scores and values of causal attention, a row of logits each."""
    heads, prompt = s.kv_heads * s.q_group, PREFILL // batch
    attention = batch * 2 * heads * s.head_dim * prompt * (prompt + 1)
    return s.layers * (2 * PREFILL * layer_weights(s, s.chosen) + attention) + batch * 2 * s.vocab * s.d_model


def decode_bytes(s, batch):
    """Of one step, at the middle of the output: weights of the experts that a batch is expected to choose, head, cache."""
    met = s.experts * (1 - (1 - s.chosen / s.experts) ** batch)
    weights = s.layers * layer_weights(s, met) + s.vocab * s.d_model
    cache = batch * (PREFILL / batch + OUTPUT / 2) * s.layers * 2 * s.kv_heads * s.head_dim
    return BYTES[s.dtype] * (weights + cache)


# ---- running ---------------------------------------------------------------------------------------------------------
def numbers(text):
    """`name: 1.5 unit` and `name 1.5 unit` as {name: 1.5}, the first of each name."""
    found = {}
    for line in text.splitlines():
        words = line.replace(":", "").split()
        try:
            found.setdefault(words[0], float(words[1]))
        except (IndexError, ValueError):
            pass
    return found


def output_of(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def measure_limits(tool, threads):
    return numbers(output_of(tool, str(threads), str(LIMITS_MS)))


def mean(a, b):
    return {k: (a[k] + b[k]) / 2 for k in a}


def repeat(launcher, batch, options, threads):
    """[(what the launcher measured, the limits before and after it)]"""
    runs, before = [], measure_limits(options.limits, threads)
    sizes = ("--prompt", str(PREFILL // batch), "--output", str(OUTPUT), "--batch", str(batch))
    for _ in range(options.repetitions):
        text = output_of(launcher, "bench", *sizes)
        got = numbers(text) | {"text": steps_of(text)}
        after = measure_limits(options.limits, threads)
        runs.append((got, mean(before, after)))
        before = after
    return runs


def report(name, s, batch, runs):
    middle = statistics.median
    peak = "bf16" if s.dtype == "bf16" and all(limit["bf16"] for _, limit in runs) else "f32"
    flops = [got["prefill"] / PREFILL * prefill_flop(s, batch) / 1e12 for got, _ in runs]
    moved = [got["decode"] / batch * decode_bytes(s, batch) / 1e9 for got, _ in runs]
    of_peak = [f / limit[peak] for f, (_, limit) in zip(flops, runs)]
    of_read = [m / limit["read"] for m, (_, limit) in zip(moved, runs)]
    print(f"{name:<24}{batch:>6}"
          f"{middle(got['prefill'] for got, _ in runs):>10.0f}{middle(flops):>9.3f}{middle(of_peak):>7.0%}"
          f"{middle(got['decode'] for got, _ in runs):>10.1f}{middle(moved):>8.1f}{middle(of_read):>7.0%}"
          f"{middle(limit[peak] for _, limit in runs):>9.3f}{middle(limit['read'] for _, limit in runs):>8.1f}"
          f"{min(limit['cores'] for _, limit in runs):>7.2f}", flush=True)


def header():
    print(f"{'':<30}{'prefill ' + str(PREFILL):>26}{'decode':>25}{'limits':>24}")
    print(f"{'case':<24}{'batch':>6}{'tokens/s':>10}{'TFLOP/s':>9}{'':>7}{'tokens/s':>10}{'GB/s':>8}{'':>7}"
          f"{'TFLOP/s':>9}{'GB/s':>8}{'cores':>7}", flush=True)


def compile_bench(text, options, folder):
    source, launcher = folder / "bench.deploy", folder / "bench"
    source.write_text(text)
    subprocess.run([options.deployc, source, "-o", launcher, "--cpu=native"], check=True)
    return launcher


def calibrate(name, ranks, options, folder):
    """Writes machine.deploy, by a launcher of the other model."""
    launcher = compile_bench(spec(CALIBRATED[name], ranks), options, folder)
    output_of(launcher, "bench", "--prompt", str(PREFILL), "--batch", str(max(BATCHES)), "--output", "4", "--calibrate", folder / "machine.deploy")


# ---- predictions -----------------------------------------------------------------------------------------------------
def steps_of(text):
    """{phase: {line: (measured, predicted)}} in ms, of what `launcher bench` prints of a step."""
    found, phase = {}, None
    for line in text.splitlines():
        if match := re.match(r"a step of (\w+): ", line):
            phase = found[match[1]] = {}
        elif phase is not None and (match := re.match(r"  ([a-z][a-z ]+?) +([\d.]+) ms +([\d.]+) ms", line)):
            phase[match[1]] = float(match[2]), float(match[3])
    return found


def closest(runs, phase):
    """Of several launches, the one whose step took least: others were disturbed more."""
    return min((run["text"][phase] for run, _ in runs), key=lambda lines: lines["step"][0])


def beside(title, batch, runs):
    """The errors of both phases' steps; the line is printed at the end."""
    cells, errors = [], {}
    for phase in ("prefill", "decode"):
        lines = closest(runs, phase)
        measured, predicted = lines["step"]
        errors[phase] = predicted / measured - 1
        cells.append(f"{measured:>12.2f}{predicted:>11.2f}{errors[phase]:>+8.1%}")
        for part in ("compute", "exposed communication"):
            cells.append(f"{lines[part][0]:>9.2f}{lines[part][1]:>8.2f}")
    return f"{title:<24}{batch:>6}{''.join(cells)}", errors


def print_predictions(lines):
    print(f"\na step, ms: measured, predicted\n{'':<30}{'prefill ' + str(PREFILL):>31}{'compute':>17}{'exposed':>17}{'decode':>31}{'compute':>17}{'exposed':>17}")
    for line, _ in lines:
        print(line)
    for phase in ("prefill", "decode"):
        off = [abs(errors[phase]) for _, errors in lines]
        print(f"{phase}: the median error is {statistics.median(off):.1%}, the largest {max(off):.1%}, of {len(off)}")


def run_shape(name, ranks, options, folder):
    shape, threads = SHAPES[name], os.cpu_count() or 1
    calibrate(name, ranks, options, folder)
    launcher = compile_bench(spec(shape, ranks, "machine.ThisMachine", 'use "machine.deploy" as machine'), options, folder)
    title, lines = f"{name}, {ranks} rank{'s' if ranks > 1 else ''}", []
    for batch in BATCHES:
        runs = repeat(launcher, batch, options, threads)
        report(title, shape, batch, runs)
        lines.append(beside(title, batch, runs))
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deployc", default="build/deployc", type=pathlib.Path)
    parser.add_argument("--limits", default="build/bench/limits", type=pathlib.Path)
    parser.add_argument("--repetitions", default=3, type=int, help="launches of each case; each takes medians of five runs")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    options = parser.parse_args()
    header()
    with tempfile.TemporaryDirectory(prefix="deploy-bench-") as folder:
        lines = []
        for name, ranks in CASES:
            if options.only in name:
                lines += run_shape(name, ranks, options, pathlib.Path(folder))
        if lines:
            print_predictions(lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
