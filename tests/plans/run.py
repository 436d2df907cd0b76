#!/usr/bin/env python3
"""The five plans of samples/plans. As written, each is rejected with exactly the reports in NAME.expected. Corrected, each
checks without an error; those that serve run on ranks of this host and allocate the bytes of the plan. The output in
docs/plans.md is what the compiler prints.

    run.py [WORD ...]           only the tests whose name contains a word
    run.py --update             writes what the compiler reports to NAME.expected; review the change
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PLANS = ROOT / "samples" / "plans"
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
REPORT = re.compile(r"^(?:error|warning)\[([EW]\d{4})\]: .*\n *--> (.+?):(\d+:\d+)$", re.M)
MEMORY = re.compile(r"^memory: rank (\d+) planned (\d+) B allocated (\d+) B$", re.M)

# What the plans say of growing further: they check as the corrected ones do.
GROWN = {
    "plan003 EP64": ("plan003_corrected", ["plan.ep=64", "gpus=64"]),
    "plan003 EP32_TP2": ("plan003_corrected", ["plan.tp=2", "gpus=64"]),
    "plan003 EP64_TP2": ("plan003_corrected", ["plan.ep=64", "plan.tp=2", "gpus=128"]),
}
SHORT = ["workload.seq=8..32", "workload.output=8", "workload.page=16"]
# Plans 001 and 002 run at the full shape of their model; plan 003, 258 GiB of weights, at a smaller one.
RUNS = {
    "plan001 tp 2 * ep 2 * pp 2": ("plan001_corrected", "Independent", 8, ["workload.batch=8", *SHORT]),
    "plan001 ep folded over tp": ("plan001_corrected", "Folded", 4, ["workload.batch=8", *SHORT]),
    "plan002 ep 8 * tp 4 * pp 2": ("plan002_corrected", "Wide", 64, ["workload.batch=16", *SHORT]),
    "plan003 ep 32": ("plan003_corrected", "EP32", 32,
                      ["workload.batch=32", "workload.seq=16", "workload.output=4", "model.layers=2", "model.vocab=1024",
                       "model.d_model=512", "model.kv_heads=4", "model.expert_ffn=2048"]),
}


# ```console blocks: a command, then what it prints; a line `...` stands for a cut.
CONSOLE = re.compile(r"^```console\n\$ deployc ([^\n]*)\n(.*?)^```", re.M | re.S)


class Failed(Exception):
    """A failed test; its text is one line of the report."""


def run(*command, limit=120, folder=PLANS):
    return subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=limit)


def settings(values):
    return [word for value in values for word in ("-D", value)]


def first_error(text):
    return next((line for line in text.splitlines() if "error" in line), "no message")


# ---- as they are written ---------------------------------------------------------------------------------------------

def reports(name):
    """(exit code, "CODE LINE:COLUMN" of each report, in the order of the text)"""
    done = run(DEPLOYC, "check", f"{name}.deploy")
    found = [f"{code} {at}" if file == f"{name}.deploy" else f"{code} {file}:{at}" for code, file, at in REPORT.findall(done.stderr)]
    return done.returncode, found


def refused(name):
    code, found = reports(name)
    expected = (HERE / f"{name}.expected").read_text().split("\n")[:-1]
    if code != 1:
        raise Failed(f"exit code {code} instead of 1")
    for report in sorted(set(expected) ^ set(found)):
        raise Failed(f"{'missing' if report in expected else 'not expected'}: {report}")
    if expected != found:
        raise Failed("reports in another order, or twice")
    return f"{sum(r.startswith('E') for r in found)} errors, {sum(r.startswith('W') for r in found)} warnings"


def update(names):
    for name in names:
        (HERE / f"{name}.expected").write_text("".join(f"{r}\n" for r in reports(name)[1]))


# ---- corrected -------------------------------------------------------------------------------------------------------

def clean(name, values=()):
    done = run(DEPLOYC, "check", f"{name}.deploy", *settings(values))
    if done.returncode:
        raise Failed(f"exit code {done.returncode}: {first_error(done.stderr)}")


def runs(name, deploy, ranks, values):
    with tempfile.TemporaryDirectory(prefix="deploy-plans-") as folder:
        launcher = pathlib.Path(folder) / "launcher"
        done = run(DEPLOYC, f"{name}.deploy", "--deploy", deploy, *settings(values), "--no-goals", "-o", launcher)
        if done.returncode:
            raise Failed(f"deployc exits with {done.returncode}: {first_error(done.stderr)}")
        done = run(launcher, "bench", "--prompt", 8, "--output", 2)
    if done.returncode:
        raise Failed(f"the launcher exits with {done.returncode}: {done.stderr.strip()[-200:]}")
    memory = {int(rank): (int(planned), int(taken)) for rank, planned, taken in MEMORY.findall(done.stdout)}
    if sorted(memory) != list(range(ranks)):
        raise Failed(f"{len(memory)} ranks told their memory, {ranks} expected")
    for rank, (planned, taken) in memory.items():
        if planned != taken:
            raise Failed(f"rank {rank}: planned {planned} B, allocated {taken} B")
    return f"{ranks} ranks of {max(planned for planned, _ in memory.values()) / 2**20:.1f} MiB"


# ---- the page --------------------------------------------------------------------------------------------------------

def shown(arguments, block):
    """The pieces between the cuts occur in the output, one after the other."""
    done = run(DEPLOYC, *arguments.split(), folder=ROOT)
    output, end = done.stdout + done.stderr, 0
    for piece in re.split(r"^\.\.\.\n", block, flags=re.M):
        at = output.find(piece, end)
        if at < 0:
            raise Failed(f"not printed, or elsewhere: {piece.splitlines()[0]}")
        end = at + len(piece)


def searched(row):
    """A row of the table of best plans is what a search of samples/plans/searched.deploy finds."""
    number, candidates, hold, choice, figure = row
    with tempfile.TemporaryDirectory(prefix="deploy-plans-") as folder:
        shutil.copytree(PLANS, folder, dirs_exist_ok=True)
        done = run(DEPLOYC, "search", "searched.deploy", "--deploy", f"Plan{number}", folder=folder)
    best = re.sub(r"\n +(?=workload|plan)", "; ", done.stdout)
    for piece in (f": {candidates} plans, {hold} hold", f"best        {choice}\n", figure.replace("`", "")):
        if piece not in best:
            raise Failed(f"not found: {piece}")


def tests(names):
    for name in names:
        yield f"{name} as it is written", lambda name=name: refused(name)
    for name in names:
        yield f"{name} corrected", lambda name=name: clean(f"{name}_corrected")
    for title, arguments in GROWN.items():
        yield f"{title} checks", lambda arguments=arguments: clean(*arguments)
    for number, (arguments, block) in enumerate(CONSOLE.findall((ROOT / "docs" / "plans.md").read_text()), 1):
        yield f"docs/plans.md, output {number}", lambda arguments=arguments, block=block: shown(arguments, block)
    rows = re.findall(r"^\| (\d{3}) \| (\d+) \| (\d+) \| `([^|]*)` \| ([^|]*) \|", (ROOT / "docs" / "plans.md").read_text(), re.M)
    for row in rows:
        yield f"plan{row[0]} searched", lambda row=row: searched(row)
    for title, arguments in RUNS.items():
        yield f"{title} runs", lambda arguments=arguments: runs(*arguments)


def main(words):
    if not DEPLOYC.exists():
        sys.exit(f"{DEPLOYC} is missing: run `make`, or set DEPLOYC")
    names = sorted(path.stem for path in PLANS.glob("plan???.deploy"))
    if "--update" in words:
        return update(names)
    passed = failed = 0
    for title, test in tests(names):
        if words and not any(word in title for word in words):
            continue
        start = time.monotonic()
        try:
            verdict, note = "ok  ", test() or ""
            passed += 1
        except (Failed, subprocess.TimeoutExpired, OSError) as failure:
            verdict, note = "FAIL", str(failure)
            failed += 1
        print(f"{verdict} {title:<40} {time.monotonic() - start:5.1f} s  {note}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
