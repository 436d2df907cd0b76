#!/usr/bin/env python3
"""Mutants of the compiler and of the runtime: small changes of the C sources, all in one build, one of them chosen at run time by
DEPLOYC_MUTANT. A mutant that all tests pass survives: tests miss what it breaks. docs/mutants.md explains those that may.

    run.py [--count N] [--share N] [--all] [--budget S] [--reuse] [WORD ...]

    --count N    mutants that are chosen, spread over the folders in proportion to their sites (default: COUNT)
    --share N    only the first N of them, those of CI
    --all        those of docs/mutants.md too; one that a test kills now is reported
    --budget S   give up a mutant after commands that take S seconds of CPU without it: for a first look
    --reuse      use the record of reached places from the last run with the same sources
    WORD         only mutants whose name contains a word; with --count 0, all sites that it names

The choice depends on the sources alone, by the hash of a mutant's name, so a change elsewhere leaves other mutants as they are.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import sites

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
FOLDERS = "support lexer parser sema dag planner codegen codegen/cpu codegen/gpu target import doc driver runtime text text/jinja".split()
COUNT = 240
MIN_MUTANTS = 12                      # mutants of a folder
EXPLAINED = ROOT / "docs" / "mutants.md"
SLOW = HERE / "slow.txt"         # names of mutants that only slow commands kill: no part of CI's share
PYTHON = sys.executable
JOBS = os.cpu_count() or 2
MEMORY = 8 << 30                # bytes of address space of a process
FILE = 256 << 20
FLAGS = "-std=c11 -D_GNU_SOURCE -w -Werror=vla -Werror=int-conversion -Werror=incompatible-pointer-types"


# ---- which ----------------------------------------------------------------------------------------------------------------------
def all_sites(words):
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*.c")):
            name = str(path.relative_to(ROOT))
            found += sites.File(name, path.read_text()).collect()
    return [s for s in found if not words or any(w in s.name for w in words)]


def chosen(found, count):
    """`count` sites by rank, as many of each folder as its share of all, at least MIN_MUTANTS."""
    by_folder = collections.defaultdict(list)
    for site in found:
        by_folder[site.folder].append(site)
    taken = []
    for folder, those in by_folder.items():
        n = max(MIN_MUTANTS, round(count * len(those) / len(found))) if count else len(those)
        taken += sorted(those, key=lambda s: s.rank)[:n]
    return sorted(taken, key=lambda s: s.rank)


class Explained:
    """What docs/mutants.md lists: the code spans that begin its tables' rows. A span may be a pattern, with `*`."""
    def __init__(self, more):
        rows = [m[1] for m in re.finditer(r"^\| ``? ?(.+?) ?``? \|", EXPLAINED.read_text(), re.M)] + more
        self.names = {r for r in rows if "*:" not in r and not r.endswith(": *")}
        self.patterns = [re.compile(".*".join(map(re.escape, r.split("*")))) for r in rows if r not in self.names]

    def __contains__(self, name):
        return name in self.names or any(p.fullmatch(name) for p in self.patterns)


# ---- the build ------------------------------------------------------------------------------------------------------------------
def write_changed(path, text):
    if not path.exists() or path.read_bytes() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


def mirror(tree, build):
    """Copies the project; writes only changed files."""
    wanted = set()
    for path in ROOT.rglob("*"):
        inner = path.relative_to(ROOT)
        if inner.parts[0] in (".git", "shared", build.relative_to(ROOT).parts[0] if build.is_relative_to(ROOT) else "") or \
           inner.parts[0].startswith("build") or "__pycache__" in inner.parts or not path.is_file():
            continue
        wanted.add(inner)
        if not (inner.suffix == ".c" and inner.parts[0] in FOLDERS):
            write_changed(tree / inner, path.read_bytes())
            shutil.copymode(path, tree / inner)
    for folder in ("support", "runtime"):
        wanted.add(pathlib.Path(folder, "mutant.c"))
        write_changed(tree / folder / "mutant.c", (HERE / "mutant.c").read_bytes())
    for path in list(tree.rglob("*")):
        if path.is_file() and path.relative_to(tree) not in wanted:
            path.unlink()


def instrument(tree, picked):
    by_file = collections.defaultdict(list)
    for site in picked:
        by_file[site.file].append(site)
    for folder in FOLDERS:
        for path in (ROOT / folder).glob("*.c"):
            name = str(path.relative_to(ROOT))
            write_changed(tree / name, sites.mutated(path.read_text(), by_file[name]).encode())


def make_emulator(out, build):
    """The emulated GPU as it is, with flags of its own: that of the tests."""
    made = build.parent / "tests" / "gpu"
    goals = [made / name for name in ("libcuda.so.1", "libnccl.so.2", "nvtx_tool.so")]
    done = subprocess.run(["make", f"-j{JOBS}", "--no-print-directory", f"BUILD={os.path.relpath(build.parent, ROOT)}",
                           *(os.path.relpath(goal, ROOT) for goal in goals)], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "MAKEFLAGS": "", "CC": "gcc", "LC_ALL": "C"})
    if done.returncode:
        sys.exit("the build of the emulated GPU fails:\n" + (done.stdout + done.stderr)[-4000:])
    (out / "tests" / "gpu").mkdir(parents=True, exist_ok=True)
    for goal in goals:
        shutil.copy2(goal, out / "tests" / "gpu")


def make(tree, out, n, *goals):
    return subprocess.run(["make", "-k", f"-j{JOBS}", "--no-print-directory", f"BUILD={out}", f"WARN={FLAGS}",
                           f"CFLAGS=-O1 -DMUTANTS={(n + 4095) // 4096 * 4096} -include {HERE / 'mutant.h'}", *goals], cwd=tree,
                          capture_output=True, text=True, env={**os.environ, "MAKEFLAGS": "", "CC": "gcc", "LC_ALL": "C"})


def build_all(build, picked):
    """The instrumented build, without the mutants that do not compile."""
    tree, out = build / "tree", build / "out"
    mirror(tree, build)
    for number, site in enumerate(picked):
        site.id = number
    n, dropped = len(picked), []
    make_emulator(out, build)
    for _ in range(20):
        instrument(tree, picked)
        units = [f"{out}/tests/unit/{p.stem}" for p in sorted((ROOT / "tests" / "unit").glob("*_*.c"))]
        units += [f"{out}/tests/gpu/{p.stem}" for p in sorted((ROOT / "tests" / "gpu").glob("rt_*.c"))]
        done = make(tree, out, n, "all", f"{out}/tests/text/answer", f"{out}/tests/chat/answer", *units)
        if done.returncode == 0:
            return tree, out, picked, dropped
        wrong = {(m[1], int(m[2])) for m in re.finditer(r"^((?:\w+/)+\w+\.c):(\d+):\d+: error:", done.stdout + done.stderr, re.M)}
        lines = collections.defaultdict(set)
        for file, line in wrong:
            lines[file].add(line)
        bad = [s for s in picked if lines[s.file] & set(range(s.line, s.line + (ROOT / s.file).read_text()[s.start:s.end].count("\n") + 1))]
        bad = bad or [s for s in picked if lines[s.file]]
        if not bad:
            sys.exit("the build of the mutants fails:\n" + (done.stdout + done.stderr)[-4000:])
        dropped += bad
        picked = [s for s in picked if s not in bad]
    sys.exit("the build of the mutants fails, whatever is left out")


# ---- commands: small parts of the test suite -------------------------------------------------------------------------------------
def batches(names, size):
    return [names[i:i + size] for i in range(0, len(names), size)]


def python(*arguments):
    return [PYTHON, *arguments]


def commands(out, slow):
    """(name, command)"""
    for path in sorted((ROOT / "tests" / "unit").glob("*_*.c")):
        yield path.stem, [out / "tests" / "unit" / path.stem]
    golden = [p.name for p in sorted([*(ROOT / "tests/golden").glob("*.deploy"), *(ROOT / "tests/golden/beginner").glob("*.deploy")])]
    for batch in batches(golden, 12):
        yield f"texts {batch[0]} ...", python("tests/golden/texts.py", *(name.removesuffix(".deploy") for name in batch))
    good = [p.name for p in sorted([*(ROOT / "tests/golden/good").glob("*.deploy"), *(ROOT / "samples").glob("*.deploy")])]
    for batch in batches(good, 6):
        yield f"good {batch[0]} ...", python("tests/golden/run.py", *batch)
    for batch in batches(golden, 20) if slow else []:
        yield f"forms {batch[0]} ...", python("tests/forms/run.py", *(name.removesuffix(".deploy") for name in batch))
        yield f"fixes {batch[0]} ...", python("tests/golden/fixes.py", *batch)
    for words in (["help", "explain", "unknown", "value"], ["set", "no_", "output", "form"], ["import_", "doc"], ["plan_", "check", "several"]):
        yield f"texts of commands, {words[0]} ...", python("tests/golden/texts.py", *(f"command_{w}" for w in words))
    forms = "import sys; sys.path.insert(0, 'tests/{0}'); import run; {1}"
    yield "format forms", python("-c", forms.format("format", "run.expected_forms(); run.canonical_files(); sys.exit(run.failed > 0)"))
    yield "format command line", python("-c", forms.format("format", "import tempfile, pathlib; run.command_line(pathlib.Path(tempfile.mkdtemp())); "
                                                           "sys.exit(run.failed > 0)"))
    listed = json.loads((HERE / "commands.json").read_text())
    for words in listed["quick"] + (listed["slow"] if slow else []):
        yield " ".join(words), python(*words) if words[0].endswith(".py") else [w.replace("{out}", str(out)).replace("{python}", PYTHON) for w in words]


def limits(cpu):
    def set_limits():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    return set_limits


def run_command(command, tree, out, folder, environment, seconds, cpu):
    """(exit status or None after a time-out, seconds of CPU, the end of what it printed)"""
    work = pathlib.Path(tempfile.mkdtemp(dir=folder))
    log = open(work / "log", "w+b")
    before = {k: v for k, v in os.environ.items() if not k.startswith("DEPLOY")}
    child = subprocess.Popen([str(w) for w in command], cwd=tree, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, preexec_fn=limits(cpu),
                             env={**before, "DEPLOYC": str(out / "deployc"), "TMPDIR": str(work), "DEPLOY_TIMEOUT": "10", "PYTHONDONTWRITEBYTECODE": "1", **environment})
    timer = threading.Timer(seconds, lambda: os.killpg(child.pid, signal.SIGKILL))
    timer.start()
    start = time.monotonic()
    _, status, usage = os.wait4(child.pid, 0)
    late = time.monotonic() - start >= seconds
    timer.cancel()
    child.returncode = status
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    log.seek(0)
    text = log.read()[-3000:].decode(errors="replace")
    log.close()
    shutil.rmtree(work, ignore_errors=True)
    return None if late else os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, text


class Unit:
    """A command, its cost, and the places it reaches."""
    def __init__(self, name, command):
        self.name, self.command, self.cpu, self.seconds, self.reached = name, command, 0, 0, b""
        self.passes = True


def measure(unit, tree, out, folder, n):
    size = (n + 4095) // 4096 * 4096
    record = folder / f"reached{hashlib.sha256(unit.name.encode()).hexdigest()[:12]}"
    record.write_bytes(bytes(size))
    start = time.monotonic()
    code, unit.cpu, text = run_command(unit.command, tree, out, folder, {"DEPLOYC_REACHED": str(record)}, 600, 600)
    unit.seconds = time.monotonic() - start
    unit.reached = record.read_bytes()[:n]
    record.unlink()
    unit.passes = code == 0 and not re.search(r"^0 passed, 0 failed$", text, re.M)
    return None if unit.passes else f"{unit.name} fails without a mutant (exit {code}):\n{text}"


def measure_all(units, tree, out, folder, n):
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        wrong = [w for w in pool.map(lambda u: measure(u, tree, out, folder, n), units) if w]
    for text in wrong:
        print("FAIL " + text, flush=True)
    return len(wrong)


def try_mutant(site, units, tree, out, folder, budget):
    """(the name of the unit that killed it or None, how, number of units that reach it)"""
    reaching = sorted((u for u in units if u.reached[site.id]), key=lambda u: u.cpu)
    for unit in reaching:
        budget -= unit.cpu
        if budget < 0:
            break
        code, _, _ = run_command(unit.command, tree, out, folder, {"DEPLOYC_MUTANT": str(site.id)}, 20 + 10 * unit.seconds, int(6 + 4 * unit.cpu))
        if code != 0:
            return unit.name, "time" if code is None else f"exit {code}", len(reaching)
    return None, "", len(reaching)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--share", type=int, default=0)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--reuse", action="store_true")
    parser.add_argument("--budget", type=float, default=float("inf"))
    parser.add_argument("--build", default=os.environ.get("BUILD", "build"))
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    start = time.monotonic()
    build = (ROOT / options.build / "mutants").resolve()
    build.mkdir(parents=True, exist_ok=True)
    found = all_sites(options.words)
    picked = chosen(found, options.count)
    picked = picked[:options.share] if options.share else picked
    known = Explained(SLOW.read_text().splitlines() if options.share and SLOW.exists() else [])
    tree, out, picked, dropped = build_all(build, picked)
    n = max((s.id for s in picked), default=0) + 1
    print(f"{len(found)} sites, {len(picked)} mutants, {len(dropped)} more do not compile; built after {time.monotonic() - start:.0f} s", flush=True)
    units = [Unit(name, command) for name, command in commands(out, not options.share)]
    cache = build / "reached.json"
    key = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(tree.rglob("*")) if p.is_file())).hexdigest()
    with tempfile.TemporaryDirectory(prefix="deploy-mutants-") as name:
        folder = pathlib.Path(name)
        kept = json.loads(cache.read_text()) if options.reuse and cache.exists() else {}
        broken = 0
        if kept.get("key") == key:
            units = [u for u in units if u.name in kept["units"]]
            for u in units:
                u.cpu, u.seconds, reached = kept["units"][u.name]
                u.reached = bytes.fromhex(reached)
        else:
            broken = measure_all(units, tree, out, folder, n)
            units = [u for u in units if u.passes]
            cache.write_text(json.dumps({"key": key, "units": {u.name: [u.cpu, u.seconds, u.reached.hex()] for u in units}}))
        failed = broken
        print(f"{len(units)} commands, {sum(u.cpu for u in units):.0f} s of CPU; measured after {time.monotonic() - start:.0f} s", flush=True)
        killed = 0
        todo = [s for s in picked if options.all or s.name not in known]
        with open(build / "results.txt", "w") as results, concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            for site, (killer, how, reaching) in zip(todo, pool.map(lambda s: try_mutant(s, units, tree, out, folder, options.budget), todo)):
                state = f"killed by {killer} ({how})" if killer else "survives" if reaching else "is not reached"
                results.write(f"{state}: {site.name}, line {site.line}\n")
                results.flush()
                killed += bool(killer)
                if killer and site.name in known.names:
                    print(f"FAIL docs/mutants.md explains a mutant that {killer} kills: {site.name}", flush=True)
                    failed += 1
                elif not killer and site.name not in known:
                    print(f"FAIL {state} ({reaching} commands): {site.name}, line {site.line}", flush=True)
                    failed += 1
    print(f"{len(picked) - len(todo)} more are explained; {time.monotonic() - start:.0f} s")
    print(f"{killed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
