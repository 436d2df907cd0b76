#!/usr/bin/env python3
"""Random well-typed programs: those that `check` accepts are built and run, and give the values of their text.

Each seed gives a random model, plan and workload. All are checked: the diagnostics below are refusals, anything else is a failure. One
in EVERY is built, on one rank and on its mesh, and runs random prompts. Its logits are compared with those of `evaluate.py`, which
computes the same text in numpy, and its tokens with the largest logits.

    run.py [COUNT [FIRST [EVERY]]]      programs (500), first seed (0), one in EVERY is built (16)
"""
import collections
import os
import pathlib
import random
import re
import subprocess
import sys
import time

import numpy as np

import generate
import plans
from coverage import Coverage
from evaluate import Evaluator, Weights, expected

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import DEPLOYC, Failed, Folder, compile_spec, need_deployc, run_launcher      # noqa: E402
from checkpoint import write_checkpoint                                                            # noqa: E402

CHECKER = pathlib.Path(os.environ.get("CHECK_MANY", DEPLOYC.parent / "tests/programs/check_many"))
# Plans that no mesh can have, that cut an axis unevenly, that need another pipeline, that do not fit; what is not built.
LEGAL = re.compile(r"E05\d\d|E060[1-4]|E0701|E090[1-4]|E0918")


DUMPED = 3                      # one in so many programs is looked into


class Case:
    """A program on one rank or on a mesh, by its seed."""

    def __init__(self, seed):
        self.seed, self.program, self.r = seed, generate.model(seed), random.Random(seed)
        self.prompts = plans.random_prompts(self.r, self.program.vocab)
        self.mesh = plans.random_deployment(self.r, self.program, self.prompts)
        self.model = self.program.text()
        self.spec = self.mesh.text(self.model)


class Checker:
    """The program check_many."""

    def __init__(self):
        self.child = subprocess.Popen([CHECKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def check(self, text, form="check"):
        """(exit status, what was printed)."""
        data = text.encode()
        self.child.stdin.write(f"{len(data)} {form}\n".encode() + data)
        self.child.stdin.flush()
        status, size = map(int, self.child.stdout.readline().split())
        return status, self.child.stdout.read(size).decode()

    def end(self):
        self.child.stdin.close()
        self.child.wait()


def refusal(status, output):
    """None where it was accepted, else (code, message); a failure where the compiler neither accepts nor refuses."""
    errors = re.findall(r": error: (.*) \[(E\d+)\]", output)
    if status == 0:
        return None
    if status != 1 or not errors:
        raise Failed(f"exit status {status}: {output.strip().splitlines()[-1] if output.strip() else '(no output)'}")
    message, code = next(((m, c) for m, c in errors if not LEGAL.fullmatch(c)), errors[0])
    if not LEGAL.fullmatch(code):
        raise Failed(f"a well-typed program is refused: [{code}] {message}")
    return code, message


# ---- values ---------------------------------------------------------------------------------------------------------
def tolerance(logits, spread):
    """None where rounding moves the logits so far that a comparison says little."""
    scale = np.abs(logits).max()
    allowed = max(4e-5 * scale, 12 * spread)
    return allowed if allowed < 0.3 * scale else None


def compare(case, name, weights, run, logits):
    """What the launcher computed against what the text means, on the tokens that the launcher chose."""
    worst, unsure = 0.0, 0
    for i, prompt in enumerate(case.prompts):
        chosen = logits[i].argmax(axis=-1)
        if list(chosen) not in run.of(prompt):
            raise Failed(f"{name}: prompt {i} continues {run.of(prompt)}, its largest logits are {list(chosen)}")
        meant = expected(case.program, weights, [*prompt, *map(int, chosen[:-1])], plans.OUTPUT)
        allowed = meant and tolerance(*meant)
        if not allowed:
            unsure += 1
            continue
        error = np.abs(logits[i] - meant[0]).max()
        if not error <= allowed:
            raise Failed(f"{name}: logits of prompt {i} are off by {error:.2e}, allowed {allowed:.1e}, the largest is {np.abs(meant[0]).max():.2e}")
        worst = max(worst, error / allowed)
    for rank, (planned, allocated) in run.memory.items():
        if planned != allocated:
            raise Failed(f"{name}: rank {rank} planned {planned} B and allocated {allocated} B")
    return worst, unsure


def build_and_run(case, deployment, name, weights, folder):
    level = str(case.r.choice([0, 0, 1, 2, 3]))
    launcher = compile_spec(deployment.text(case.model), folder, f"{name}{case.seed}", "-O", level)
    try:
        # an operator may ignore an operand, whose tensor then nothing reads
        run, logits = run_launcher(launcher, folder / f"weights{case.seed}", case.prompts, plans.OUTPUT, folder, options=("--unverified=*",))
    except Failed as failure:
        if "not all finite" in str(failure) and not all(expected(case.program, weights, prompt, 1, trials=0) for prompt in case.prompts):
            return 0.0, len(case.prompts)               # numbers that f32 does not hold
        raise
    finally:
        launcher.unlink()
    return compare(case, name, weights, run, logits)


def run_case(case, accepted, folder):
    """Builds and runs a case that was checked: on one rank, and on its mesh if that was accepted."""
    weights = Weights(case.seed)
    Evaluator(case.program, weights).logits([0, 1], [1])            # asks for each of them
    write_checkpoint(folder / f"weights{case.seed}", weights, case.r)
    chunk, page = case.r.choice([1, 2, 5, 64]), case.r.choice([1, 4, 16])
    out = [build_and_run(case, plans.alone(case.prompts, chunk, page), "one", weights, folder)]
    if accepted:
        out.append(build_and_run(case, case.mesh, "mesh", weights, folder))
    return out


# ---- the whole ------------------------------------------------------------------------------------------------------
class Campaign:
    def __init__(self, folder):
        self.folder, self.checker, self.coverage = folder, Checker(), Coverage()
        self.dumped = 0                                 # programs whose compiled forms were looked into
        self.refused, self.counts = collections.Counter(), collections.Counter()

    def one(self, seed, build):
        case = Case(seed)
        try:
            code = refusal(*self.checker.check(case.spec))
            self.refused[code and (code[0], re.sub(r"\d+", "", code[1]) if code[0] == "E0918" else "")] += 1
            if not code:
                self.coverage.add(case.program)
            if not code and seed % DUMPED == 0:
                self.dumped += 1
                self.coverage.add_compiled(*(self.checker.check(case.spec, form)[1] for form in ("dag-local", "dag-sched")))
            self.counts["programs"] += 1
            if build:
                self.build(case, not code)
        except (Failed, subprocess.TimeoutExpired, OSError) as failure:
            self.failed(seed, str(failure))

    def build(self, case, accepted):
        alone = refusal(*self.checker.check(plans.alone(case.prompts, 64, 16).text(case.model)))
        if alone:
            return
        for _, unsure in run_case(case, accepted, self.folder):
            self.counts["runs"] += 1
            self.counts["prompts that rounding decides"] += unsure
            self.counts["prompts"] += len(case.prompts)

    def failed(self, seed, text):
        self.counts["failed"] += 1
        print(f"FAIL {seed}: {text}", flush=True)

    def end(self, seconds):
        self.checker.end()
        self.coverage.show()
        missing = self.coverage.missing()
        if missing and self.dumped >= 100:
            self.failed("coverage", f"no program reaches {', '.join(missing)}")
        accepted = self.refused.pop(None, 0)
        print(f"accepted {accepted}; refused " + ", ".join(f"{' '.join(k).strip()} {n}" for k, n in self.refused.most_common()))
        print(", ".join(f"{k} {n}" for k, n in self.counts.items()), f"in {seconds:.0f} s")
        print(f"{self.counts['programs'] + self.counts['runs']} passed, {self.counts['failed']} failed")
        return 1 if self.counts["failed"] else 0


def main():
    need_deployc()
    count, first, every = [int(a) for a in sys.argv[1:]] + [500, 0, 16][len(sys.argv) - 1:]
    start = time.monotonic()
    with Folder() as folder:
        campaign = Campaign(folder)
        for seed in range(first, first + count):
            campaign.one(seed, every and seed % every == 0)
        return campaign.end(time.monotonic() - start)


if __name__ == "__main__":
    sys.exit(main())
