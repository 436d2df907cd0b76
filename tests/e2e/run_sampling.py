#!/usr/bin/env python3
"""Sampled tokens: the same in every plan, different for different seeds, with the frequencies of softmax of transformers' logits; with
penalties and biases, those that processors.py takes from the logits that a launcher writes.

    run_sampling.py [WORD ...]    only the tests whose line contains a word
"""
import sys

import numpy as np

from harness import WORKLOAD, Expected, Failed, Folder, Report, compile_spec, need_deployc, run_launcher, spec
from processors import as_transformers, check_logprobs, check_tokens, command_line, printed_logprobs, probabilities

STEPS = 16
SEEDS = 600
CHUNK4 = WORKLOAD.replace("chunk = 64", "chunk = 4")

# The first plan of a model is one rank.
PLANS = {
    "llama": [(1, "Megatron {}", WORKLOAD), (8, "Megatron { tp = 8 }", WORKLOAD),
              (4, "Megatron { pp = 2; dp = 2; pipeline { microbatches = 2 } }", WORKLOAD), (4, "Megatron { dp = 2; tp = 2 }", CHUNK4)],
    "mixtral": [(1, "Megatron {}", WORKLOAD), (8, "Megatron { tp = 8 }", WORKLOAD),
                (4, "Megatron { pp = 2; dp = 2 }", WORKLOAD), (4, "FoldedEP { ep = 2; tp = 2 }", CHUNK4)],
    "deepseek": [(1, "Megatron {}", WORKLOAD), (4, "DPAttention { dp = 2; tp = 2 }", WORKLOAD), (2, "Megatron { tp = 2 }", CHUNK4)],
}
WAYS = [{"temperature": t, "top_k": k, "top_p": p, "min_p": m} for t, k, p, m in (
    (0.8, 20, 0.9, 0), (0.8, 0, 1, 0), (1.2, 0, 0.7, 0), (1, 5, 1, 0), (1.5, 0, 1, 0.3), (1, 30, 0.95, 0.1))]
CHANGED = [{"repetition_penalty": 1.2, "presence_penalty": 0.4, "frequency_penalty": 0.3, "logit_bias": {"7": -100, "9": 1.5}},
           {"repetition_penalty": 0.8, "frequency_penalty": -0.5}, {"logit_bias": {str(i): (i % 5) - 2 for i in range(66)}},
           {"temperature": 0.9, "min_p": 0.05, "repetition_penalty": 1.3, "presence_penalty": 0.5, "frequency_penalty": 0.2, "logit_bias": {"7": -100, "9": 2.5}},
           {"temperature": 0.7, "presence_penalty": 1}, {"temperature": 1, "top_k": 5, "top_p": 0.9, "repetition_penalty": 1.1}]


def drawn(launcher, model, prompts, way, seed, folder, steps=STEPS):
    """The tokens of each prompt, in the order of the prompts."""
    run, _ = run_launcher(launcher, model, prompts, steps, folder, options=command_line({**way, "seed": seed}))
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


def changed_as_defined(folder, model, launchers, prompts, way):
    """Each token of each prompt, in every plan, is the one that the definitions choose; and logits are written as the model computed them."""
    tokens = None
    for launcher in launchers:
        run, logits = run_launcher(launcher, model, prompts, STEPS, folder, options=command_line({**way, "seed": 21}))
        mine = [run.of(prompt)[i * 2 // len(prompts)] for i, prompt in enumerate(prompts)]
        check_tokens(prompts, mine, logits, {**way, "seed": 21})
        if tokens and mine != tokens:
            raise Failed(f"{launcher.name} has other tokens than one rank")
        tokens = mine
    alone, logits = run_launcher(launchers[1], model, [prompts[1]], STEPS, folder, options=command_line({**way, "seed": 22}))
    if alone.of(prompts[1]) != [tokens[1]]:
        raise Failed("prompt 1 alone has other tokens than beside others")
    if not np.allclose(logits[0, 0], Expected(model).logits[1, 0], 1e-3, 1e-3):
        raise Failed("the logits that are written are changed")


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


def known_logprobs(folder, model, launchers, prompts, top):
    """As the log softmax of the model's logits, whatever changes them afterwards; in every plan."""
    way = {"temperature": 0.9, "top_k": 30, "repetition_penalty": 1.3, "logit_bias": {"9": 2.5}, "logprobs": top}
    for launcher in launchers:
        run, logits = run_launcher(launcher, model, prompts, STEPS, folder, options=command_line(way))
        printed = printed_logprobs(run.text)
        for i, prompt in enumerate(prompts):
            check_logprobs(printed[i], run.of(prompt)[0], logits[i], top)


def run_model(folder, report, model):
    expected = Expected(model)
    launchers = [compile_spec(spec(model, ranks, plan, "f32", workload), folder, f"{model}{i}")
                 for i, (ranks, plan, workload) in enumerate(PLANS[model])]
    prompts = [expected.prompts[i] for i in (0, 1, 2, 0, 1, 2)]
    tests = {}
    for way in WAYS:
        name = f"{model}: " + ", ".join(f"{k} {v}" for k, v in way.items())
        tests[f"{name}: every plan"] = lambda way=way: same_in_every_plan(folder, model, launchers, prompts, way)
        tests[f"{name}: frequencies"] = lambda way=way: frequencies_fit(folder, model, launchers[1], prompts[0], expected.logits[0, 0], way)
    for number, way in enumerate(CHANGED):
        name = ", ".join(k.replace("_penalty", "") for k in way)
        tests[f"{model}: changed logits {number}: {name}"] = lambda way=way: changed_as_defined(folder, model, launchers, prompts, way)
    for top in 0, 3, 20:
        tests[f"{model}: log-probabilities, {top} of each"] = lambda top=top: known_logprobs(folder, model, launchers, prompts[:3], top)
    report.check_all(tests, sys.argv[1:])


def main():
    need_deployc()
    report = Report()
    report.check_all({"transformers' processors": as_transformers}, sys.argv[1:])
    with Folder() as folder:
        for model in PLANS:
            run_model(folder, report, model)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
