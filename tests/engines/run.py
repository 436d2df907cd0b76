#!/usr/bin/env python3
"""`deployc import --from`: command lines and files of other programs, as their documentation has them, give specs that check without an
error, with the mesh, the degrees and the workload that are counted here by hand; flags that are not carried over are reported by name.
What is exported, and imported again, has the same mesh, degrees and load.

    run.py [WORD ...]       only the cases whose name contains a word
"""
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
SECONDS = 60
COMMANDS = json.loads((HERE / "commands.json").read_text())
REPORT = re.compile(r"^(?:error|warning)\[([EW]\d{4})\]: (.*)$", re.M)


class Failed(Exception):
    """A test that did not hold."""


def deployc(folder, *arguments, **more):
    return subprocess.run([DEPLOYC, *arguments], cwd=folder, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL, **more)


def reports(text):
    return [f"{code} {message}" for code, message in REPORT.findall(text)]


def expect(what, got, want):
    if got != want:
        raise Failed(f"{what}: {got!r}, expected {want!r}")


def must_say(said, words):
    """Each of `words` is in a report of its own, and there are no others."""
    left = list(said)
    for word in words:
        found = next((r for r in left if word in r), None)
        if not found:
            raise Failed(f"no report has {word!r}: {said}")
        left.remove(found)
    if left:
        raise Failed(f"not expected: {left}")


def plan_of(folder, spec):
    done = deployc(folder, "plan", spec, "--format=json")
    if done.returncode:
        raise Failed(f"plan: {done.stderr[:300]}")
    return json.loads(done.stdout)["plans"][0]


def settings(text):
    """Fields of the workload and of the model, as the spec writes them."""
    body = re.search(r"workload = \w+ \{(.*?)\n?  ?\}", text, re.S)
    fields = dict(re.findall(r"(\w+) += ([^;}]+?) *(?=[;}\n])", body[1] + "\n")) if body else {}
    model = re.search(r"  model +=(.*)", text)
    return fields | dict(re.findall(r"(weight|act|kv) = (\w+)", model[1] if model else ""))


def folder_of(case):
    return [str(HERE.parents[0] / "fixtures" / case["folder"])] if "folder" in case else []


def cluster_of(case):
    return [f"--cluster={case['cluster']}"] if "cluster" in case else []


def check_command(folder, case):
    for name, text in case.get("files", {}).items():
        (folder / name).write_text(text)
    done = deployc(folder, "import", *folder_of(case), "--from", case["from"], "-o", "out.deploy", *cluster_of(case))
    must_say(reports(done.stderr), case.get("says", []))
    written = folder / "out.deploy"
    if "refused" in case:
        expect("status", done.returncode, 1)
        expect("a file", written.exists(), False)
        return
    expect("status", done.returncode, 0)
    text = written.read_text()
    expect("canonical form", deployc(folder, "fmt", "--check", "out.deploy").returncode, 0)
    checked = deployc(folder, "check", "out.deploy")
    errors = [r for r in reports(checked.stderr) if r.startswith("E")]
    expect("errors of check", [e.split()[0] for e in errors], case.get("check", []))
    plan = plan_of(folder, "out.deploy") if not errors else None
    if plan:
        mesh = {axis["axis"]: axis["size"] for axis in plan["mesh"] if axis["size"] > 1}
        expect("mesh", mesh, case["mesh"])
    for field, value in case.get("fields", {}).items():
        expect(field, settings(text).get(field), value)
    for words in case.get("has", []):
        if words not in " ".join(text.split()):
            raise Failed(f"the spec lacks {words!r}")
    for words in case.get("lacks", []):
        if words in " ".join(text.split()):
            raise Failed(f"the spec has {words!r}")


PROGRAMS = {"vllm", "sglang", "megatron", "torchtitan"}


def check_round_trip(folder, case):
    """What is imported can be exported, and imported again it has the same mesh, degrees and load."""
    program = case["name"].split()[0]
    if "refused" in case or case.get("check") or program not in PROGRAMS:
        return
    done = deployc(folder, "export", program, "out.deploy", "-o", "out.sh")
    if "not_exported" in case:
        expect("status of export", done.returncode, 1)
        must_say([r for r in reports(done.stderr) if r.startswith("E")], [case["not_exported"]])
        return
    if done.returncode:
        raise Failed(f"export: {done.stderr[:600]}")
    again = deployc(folder, "import", *folder_of(case), "--from", "out.sh", "-o", "again.deploy", *cluster_of(case))
    if "once" in case:      # the flags do not say how weights are stored, and the cache does not fit beside others
        return
    if again.returncode:
        raise Failed(f"{(folder / 'out.sh').read_text()}: {again.stderr[:600]}")
    first, second = (plan_of(folder, name) for name in ("out.deploy", "again.deploy"))
    for part in ("ranks", "mesh", "stages"):
        expect(part, second.get(part), first.get(part))
    one, other = (settings((folder / name).read_text()) for name in ("out.deploy", "again.deploy"))
    for fields in (one, other):
        fields.pop("weight", None)     # that of the checkpoint
        for name in ("act", "kv"):     # those of a folder's model are in the model
            fields.setdefault(name, "f32" if "folder" in case else "bf16")
    expect("load", other, one)


def check_both(folder, case):
    check_command(folder, case)
    check_round_trip(folder, case)


def run(case):
    with tempfile.TemporaryDirectory() as folder:
        try:
            check_both(pathlib.Path(folder), case)
        except (Failed, subprocess.TimeoutExpired, KeyError, IndexError) as failed:
            return f"FAIL {case['name']}: {failed}"
    return None


def mutated(text, seed):
    """The text with a few characters removed, doubled or replaced."""
    draw, letters = random.Random(seed), list(text)
    for _ in range(draw.randint(1, 8)):
        at = draw.randrange(len(letters) or 1)
        letters[at:at + draw.choice([0, 1, 1, 4])] = draw.choice([[], ["$"], ["("], ["'"], ["="], ["-", "-"], ["["], ["\n"], ["9"] * 20, ["\xe9"]])
    return "".join(letters)


def check_mutated(seed):
    """A text with mistakes ends soon, with a spec or with a report, and a spec that is written can be parsed."""
    case = COMMANDS[seed % len(COMMANDS)]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, text in case.get("files", {}).items():
            (folder / name).write_text(mutated(text, seed))
        given = case["from"] if case["from"] in case.get("files", {}) else mutated(case["from"], seed)
        done = deployc(folder, "import", "--from", given, "-o", "out.deploy")
        written = (folder / "out.deploy").exists()
        if done.returncode not in (0, 1) or written != (done.returncode == 0) or not (written or done.stderr):
            return f"FAIL mutated {seed}: status {done.returncode}, {given!r}: {done.stderr[:200]}"
        if written and deployc(folder, "fmt", "--check", "out.deploy").returncode:
            return f"FAIL mutated {seed}: {given!r} is not in canonical form"
    return None


MUTATED = 120


def main(words):
    if not DEPLOYC.exists():
        sys.exit(f"{DEPLOYC} is missing: run `make`, or set DEPLOYC")
    chosen = [case for case in COMMANDS if not words or any(w in case["name"] for w in words)]
    with ThreadPoolExecutor(2) as pool:
        failures = [line for line in pool.map(run, chosen) if line]
        failures += [line for line in pool.map(check_mutated, range(0 if words else MUTATED)) if line]
    print("\n".join(failures) + "\n" if failures else "", end="")
    print(f"{len(chosen) + (0 if words else MUTATED) - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
