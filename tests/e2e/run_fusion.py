#!/usr/bin/env python3
"""Fusion changes no result: random programs, random plans, and models of tests/fixtures are built with every fusion, with none, and
with all but one. Logits must agree to the last bit, and each launcher must allocate what was planned.

    run_fusion.py [CASES [SEED]]    programs to run, half as many plans, and half as many fixtures; 12 if not given
"""
import pathlib
import random
import re
import sys

import numpy as np

import run_random
from harness import MODELS, Expected, Failed, Folder, Report, compile_spec, need_deployc, run_launcher, spec

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/programs"))
import generate    # noqa: E402
import plans    # noqa: E402
from checkpoint import write_checkpoint    # noqa: E402
from evaluate import Evaluator, Weights    # noqa: E402

FUSIONS = re.findall(r'^FUSION\(\w+, "(\w+)"', (ROOT / "dag/fuse.def").read_text(), re.M)
STEPS = 3


def off(names):
    return [word for name in names for word in ("-f", f"no-{name}")]


def run(text, folder, name, options, weights, prompts, steps, more=()):
    launcher = compile_spec(text, folder, name, *options)
    try:
        done, logits = run_launcher(launcher, weights, prompts, steps, folder, options=more)
    finally:
        launcher.unlink()
    for rank, (planned, allocated) in done.memory.items():
        if planned != allocated:
            raise Failed(f"{' '.join(options) or 'fused'}: rank {rank} planned {planned} B and allocated {allocated} B")
    return logits


def compare(text, folder, name, weights, prompts, steps, r, more=()):
    fused = run(text, folder, name, (), weights, prompts, steps, more)
    for options in (off(FUSIONS), off([r.choice(FUSIONS)])):
        apart = run(text, folder, name, options, weights, prompts, steps, more)
        if not np.array_equal(fused.view(np.uint32), apart.view(np.uint32)):
            worst = np.abs(fused - apart).max()
            raise Failed(f"{' '.join(options)}: {np.count_nonzero(fused != apart)} of {fused.size} logits differ, by up to {worst:.1e}")


def program(seed, folder):
    """A random program on one rank; a mesh that it has is tried by run_random's plans."""
    made, r = generate.model(seed), random.Random(seed)
    prompts = plans.random_prompts(r, made.vocab)
    weights, at = Weights(seed), folder / f"program{seed}"
    Evaluator(made, weights).logits([0, 1], [1])            # asks for each of them
    write_checkpoint(at, weights, r)
    text = plans.alone(prompts, r.choice([2, 5, 64]), r.choice([1, 4, 16])).text(made.text())
    try:
        compare(text, folder, f"p{seed}", at, prompts, STEPS, r, ("--unverified=*",))
    except Failed as failure:
        if "E0918" not in str(failure) and "not all finite" not in str(failure):
            raise
        return "refused"


def plan(r, number, folder):
    case = run_random.Case(r, number, folder, {})
    weights = folder / f"plan{number}"
    run_random.write_checkpoint(case.model, weights, np.random.default_rng(number))
    text = case.text if r.random() < 0.5 else case.text.replace("act = f32; kv = f32", "act = bf16; kv = bf16")
    compare(text, folder, f"m{number}", weights, case.prompts, STEPS, r)
    return case.name


def fixture(name, folder, r):
    text = spec(name, 1, dtype=r.choice(["bf16", "bf16", "f32"]))
    compare(text, folder, name, name, Expected(name).prompts[:3], STEPS, r)


def main():
    need_deployc()
    cases, seed = int(sys.argv[1]) if len(sys.argv) > 1 else 12, int(sys.argv[2]) if len(sys.argv) > 2 else 1
    report, r = Report(), random.Random(seed)
    with Folder() as folder:
        for number in range(cases):
            report.check(f"program {seed * 1000 + number}", lambda: program(seed * 1000 + number, folder))
        for number in range(cases // 2):
            report.check(f"plan {number}", lambda: plan(r, number, folder))
        for name in r.sample(sorted(MODELS), cases // 2):
            report.check(name, lambda: fixture(name, folder, r))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
