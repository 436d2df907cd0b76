#!/usr/bin/env python3
"""--stop-ids: the tokens and logits of a run without it, up to the first stop token; other prompts are unchanged.

    run_stop.py [WORD ...]    only the tests whose line contains a word
"""
import subprocess
import sys

import numpy as np

from harness import FIXTURES, WORKLOAD, Expected, Failed, Folder, Report, compile_spec, first_line, need_deployc, run_launcher, spec

STEPS, PROMPTS = 24, 20         # more prompts than the 8 that run at once
SMALL = WORKLOAD.replace("chunk = 64", "chunk = 4")
PLANS = {
    "llama": [(1, "Megatron {}", WORKLOAD), (2, "Megatron { tp = 2 }", SMALL), (4, "Megatron { pp = 2; dp = 2; pipeline { microbatches = 2 } }", SMALL)],
    "mixtral": [(4, "FoldedEP { ep = 2; tp = 2 }", WORKLOAD)],
}
WAYS = {"greedy": [], "drawn": ["--temperature", "0.9", "--top-k", "30", "--seed", "7"]}


def continuations(run, prompts):
    """Results of each prompt, in order; equal prompts have one each."""
    seen, out = {}, []
    for prompt in prompts:
        n = seen[tuple(prompt)] = seen.get(tuple(prompt), -1) + 1
        out.append(run.of(prompt)[n])
    return out


def cut(tokens, stops):
    """Up to the first stop token, which is included."""
    ends = [i for i, token in enumerate(tokens) if token in stops]
    return tokens[:ends[0] + 1] if ends else tokens


def choose_stops(whole):
    """Tokens that end some continuations and not others: a frequent one, and one that comes first somewhere."""
    def ended(stops):
        return sum(len(cut(t, stops)) < STEPS for t in whole)
    often = max({t for tokens in whole for t in tokens}, key=lambda t: (0 < ended([t]) < len(whole), ended([t])))
    first = min({t for tokens in whole for t in tokens[:2]} - {often}, key=lambda t: ended([often, t]))
    stops = sorted({often, first})
    if not 0 < ended(stops) < len(whole):
        raise Failed(f"no stop tokens end some of the {len(whole)} continuations")
    return stops


def stops_cut(folder, model, launcher, prompts, way):
    run, logits = run_launcher(launcher, model, prompts, STEPS, folder, options=way)
    whole = continuations(run, prompts)
    stops = choose_stops(whole)
    run, cut_logits = run_launcher(launcher, model, prompts, STEPS, folder, options=[*way, "--stop-ids", ",".join(map(str, stops))])
    expected = [cut(tokens, stops) for tokens in whole]
    got = continuations(run, prompts)
    for i, (a, b) in enumerate(zip(got, expected)):
        if a != b:
            raise Failed(f"prompt {i}: {a} instead of {b}")
        n = len(b)
        if np.abs(cut_logits[i, :n] - logits[i, :n]).max() > 1e-4 * np.abs(logits).max():
            raise Failed(f"prompt {i}: other logits than without stop tokens")
        if cut_logits[i, n:].any():
            raise Failed(f"prompt {i}: logits past its end are not 0")
    if cut_logits.shape != logits.shape:
        raise Failed(f"logits of shape {cut_logits.shape} instead of {logits.shape}")
    return f"{sum(len(t) < STEPS for t in expected)} of {len(expected)} end early"


def unknown_id(launcher, model):
    done = subprocess.run([launcher, "run", "--weights", FIXTURES / model, "--ids", "1", "--stop-ids", "3,100000"], capture_output=True, text=True, timeout=30)
    if done.returncode != 1 or "--stop-ids: id 100000 is not in the vocabulary" not in done.stderr:
        raise Failed(f"exits with {done.returncode}: {first_line(done.stderr)}")


def main():
    need_deployc()
    report = Report()
    with Folder() as folder:
        for model, plans in PLANS.items():
            given = Expected(model).prompts
            prompts = [given[i % len(given)][:1 + i * 3] for i in range(PROMPTS)]
            for i, (ranks, plan, workload) in enumerate(plans):
                names = {f"{model} {plan} on {ranks}, {way}": options for way, options in WAYS.items()}
                chosen = [n for n in names if not sys.argv[1:] or any(word in n for word in sys.argv[1:])]
                launcher = compile_spec(spec(model, ranks, plan, "f32", workload), folder, f"{model}{i}") if chosen else None
                for name in chosen:
                    report.check(name, lambda: stops_cut(folder, model, launcher, prompts, names[name]))
                if i == 0 and chosen:
                    report.check(f"{model}: an id that is not in the vocabulary", lambda: unknown_id(launcher, model))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
