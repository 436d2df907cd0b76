#!/usr/bin/env python3
"""Sampled tokens: the same in every plan, different for different seeds, with the frequencies of softmax of transformers' logits.

    run_sampling.py [WORD ...]    only the tests whose line contains a word
"""
import sys

import numpy as np

from harness import WORKLOAD, Expected, Failed, Folder, Report, compile_spec, need_deployc, run_launcher, spec

STEPS = 16
SEEDS = 600
CANDIDATES = 64                 # what top-k, top-p and min-p choose from
CHUNK4 = WORKLOAD.replace("chunk = 64", "chunk = 4")

# The first plan of a model is one rank.
PLANS = {
    "llama": [(1, "Megatron {}", WORKLOAD), (8, "Megatron { tp = 8 }", WORKLOAD),
              (4, "Megatron { pp = 2; dp = 2; pipeline { microbatches = 2 } }", WORKLOAD), (4, "Megatron { dp = 2; tp = 2 }", CHUNK4)],
    "mixtral": [(1, "Megatron {}", WORKLOAD), (8, "Megatron { tp = 8 }", WORKLOAD),
                (4, "Megatron { pp = 2; dp = 2 }", WORKLOAD), (4, "FoldedEP { ep = 2; tp = 2 }", CHUNK4)],
    "deepseek": [(1, "Megatron {}", WORKLOAD), (4, "DPAttention { dp = 2; tp = 2 }", WORKLOAD), (2, "Megatron { tp = 2 }", CHUNK4)],
}
# temperature, top-k, top-p, min-p
WAYS = [(0.8, 20, 0.9, 0), (0.8, 0, 1, 0), (1.2, 0, 0.7, 0), (1, 5, 1, 0), (1.5, 0, 1, 0.3), (1, 30, 0.95, 0.1)]


def options_of(way, seed):
    temperature, top_k, top_p, min_p = way
    return ["--temperature", str(temperature), "--top-k", str(top_k), "--top-p", str(top_p), "--min-p", str(min_p), "--seed", str(seed)]


def drawn(launcher, model, prompts, way, seed, folder, steps=STEPS):
    """The tokens of each prompt, in the order of the prompts."""
    run, _ = run_launcher(launcher, model, prompts, steps, folder, options=options_of(way, seed))
    seen = {}
    out = []
    for prompt in prompts:
        n = seen[tuple(prompt)] = seen.get(tuple(prompt), -1) + 1
        out.append(run.of(prompt)[n])
    return out


def same_in_every_plan(folder, model, launchers, prompts, way):
    first = drawn(launchers[0], model, prompts, way, 11, folder)
    for launcher in launchers[1:]:
        if drawn(launcher, model, prompts, way, 11, folder) != first:
            raise Failed(f"{launcher.name} draws other tokens than one rank")
    if drawn(launchers[0], model, prompts, way, 11, folder) != first:
        raise Failed("a second run draws other tokens")
    if first[0] == first[len(prompts) // 2]:
        raise Failed("equal prompts of a run draw the same tokens")
    other = drawn(launchers[-1], model, prompts, way, 4711, folder)
    if any(a == b for a, b in zip(first, other)):
        raise Failed("another seed draws the same tokens")
    for i in (1, len(prompts) - 1):
        if drawn(launchers[1], model, [prompts[i]], way, 11 + i, folder) != [first[i]]:
            raise Failed(f"prompt {i} alone, with its seed, draws other tokens than beside others")


def probabilities(logits, way):
    """Probability of each token after temperature, top-k, top-p and min-p, as in Hugging Face; at most CANDIDATES tokens."""
    temperature, top_k, top_p, min_p = way
    x = logits.astype(np.float64) / temperature
    order = np.argsort(-x, kind="stable")
    if top_k:
        x[order[top_k:]] = -np.inf
    p = np.exp(x - x.max())
    p /= p.sum()
    before = np.cumsum(p[order]) - p[order]
    p[order[(before >= top_p) & (np.arange(len(p)) > 0)]] = 0
    p[p < min_p * p.max()] = 0
    if top_k or top_p < 1 or min_p:
        p[order[CANDIDATES:]] = 0
    return p / p.sum()


def chi_square(counts, p):
    """Chi-square of tokens expected at least 5 times, the others together; and degrees of freedom."""
    expected = p * counts.sum()
    often = expected >= 5
    seen, expected = np.append(counts[often], counts[~often].sum()), np.append(expected[often], expected[~often].sum())
    if expected[-1] < 1:
        seen, expected = seen[:-1], expected[:-1]
    return ((seen - expected) ** 2 / expected).sum(), len(expected) - 1


def frequencies_fit(folder, model, launcher, prompt, logits, way):
    first = np.array(drawn(launcher, model, [prompt] * SEEDS, way, 1000, folder, steps=1))[:, 0]
    p = probabilities(logits, way)
    counts = np.bincount(first, minlength=len(p))
    if counts[p == 0].any():
        raise Failed(f"token {np.flatnonzero(counts * (p == 0))[0]} was drawn, which top-k or top-p leaves out")
    chi, freedom = chi_square(counts, p)
    note = f"chi-square {chi:.1f}, {freedom} degrees of freedom, {np.count_nonzero(p)} tokens"
    if chi > freedom + 5 * np.sqrt(2 * max(freedom, 1)):
        raise Failed(note)
    return note


def run_model(folder, report, model):
    expected = Expected(model)
    launchers = [compile_spec(spec(model, ranks, plan, "f32", workload), folder, f"{model}{i}")
                 for i, (ranks, plan, workload) in enumerate(PLANS[model])]
    prompts = [expected.prompts[i] for i in (0, 1, 2, 0, 1, 2)]
    for way in WAYS:
        name = f"{model}: temperature {way[0]}, top-k {way[1]}, top-p {way[2]}"
        if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
            continue
        report.check(f"{name}: every plan", lambda: same_in_every_plan(folder, model, launchers, prompts, way))
        report.check(f"{name}: frequencies", lambda: frequencies_fit(
            folder, model, launchers[1], prompts[0], expected.logits[0, 0], way))


def main():
    need_deployc()
    report = Report()
    with Folder() as folder:
        for model in PLANS:
            run_model(folder, report, model)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
