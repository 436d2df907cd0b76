#!/usr/bin/env python3
"""A launcher accepts what its workload promises: the longest prompt with the longest output, in the smallest cache that `check`
accepts. A cache with one position less is E0704, and the launcher rejects one position more.
    run_promises.py [WORD ...]      only the workloads whose text contains a word"""
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
SPEC = """use std.llama {{ Llama }}
use std.clusters {{ CPUHost }}
use std.plans {{ Megatron }}
use std.workload {{ Inference }}

model Tiny = Llama {{
  vocab   = 64; layers = 1; d_model = 16; kv_heads = 2; q_group = 1; head_dim = 8; ffn = 16; tied = true
  max_ctx = 512; rope_theta = 10_000.0; rope_factor = 4.0; rope_original = 16.0
  weight  = f32; act = f32; kv = f32
}}
deploy D {{
  model    = Tiny
  cluster  = CPUHost {{ ranks = {ranks} }}
  plan     = Megatron {{ {plan} }}
  workload = Inference {{ batch = {batch}; seq = 1..{seq}; output = {output}; page = {page}; cache = {cache} }}
}}
"""
# ranks, plan, batch, seq, output, page
CASES = [
    (1, "tp = 1", 1, 20, 13, 16),       # 32 positions: exactly two pages
    (1, "tp = 1", 1, 20, 14, 16),       # 33: three
    (1, "tp = 1", 3, 31, 0, 8),         # output = 0: one token is generated
    (2, "dp = 2", 4, 9, 7, 4),          # each owner has two of the sequences
    (2, "at attn { ctx -> tp }; tp = 2; kv_heads * q_group -> none", 1, 17, 16, 16),
]


def spec(case, cache):
    names = ("ranks", "plan", "batch", "seq", "output", "page")
    return SPEC.format(**dict(zip(names, case)), cache=cache)


def deployc(folder, case, cache, *arguments):
    path = folder / "spec.deploy"
    path.write_text(spec(case, cache))
    return subprocess.run([DEPLOYC, *arguments, path], cwd=folder, capture_output=True, text=True, timeout=60)


def smallest(folder, case):
    """The smallest cache without E0704; smaller ones have it."""
    low, high = 0, 4096
    while high - low > 1:
        middle = (low + high) // 2
        if "E0704" in deployc(folder, case, middle, "check").stderr:
            low = middle
        else:
            high = middle
    return high


def bench(folder, prompt, output):
    return subprocess.run([folder / "launcher", "bench", f"--prompt={prompt}", f"--output={output}", "--batch=1", "--threads=1"],
                          capture_output=True, text=True, timeout=60)


def run(case):
    """None, or what is wrong."""
    _, _, batch, seq, output, page = case
    output = max(output, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        cache = smallest(folder, case)
        built = deployc(folder, case, cache, "-o", "launcher")
        if built.returncode:
            return built.stderr
        done = bench(folder, seq, output)
        if done.returncode:
            return f"cache = {cache}: {done.stderr}"
        pages = -(-(seq + output - 1) // page) * page
        if bench(folder, pages + 2 - output, output).returncode != 1:
            return f"cache = {cache}: {pages + 1} positions are taken"
    return None


def main():
    words, failed = sys.argv[1:], 0
    chosen = [c for c in CASES if not words or any(w in str(c) for w in words)]
    for case in chosen:
        wrong = run(case)
        failed += bool(wrong)
        if wrong:
            print(f"FAIL {case}: {wrong}")
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
