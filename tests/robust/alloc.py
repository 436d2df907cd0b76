#!/usr/bin/env python3
"""Out of memory: every request of an arena is made to fail (DEPLOYC_FAIL_ALLOC), and every call of malloc and of the C
library's functions that allocate, in deployc and in jansson (failing_malloc.c, preloaded). Each time deployc says so in one
line, ends with status 71 and leaves no file behind that is not whole.
    alloc.py            each of the first requests, then ever larger steps
    alloc.py --all      each request
    alloc.py --every=N  each N-th
Words behind are names of commands: only these."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
SPEC = (ROOT / "samples" / "tiny_llama.deploy").read_text()
WRONG = (ROOT / "tests" / "golden" / "e0701_kv_cache.deploy").read_text()
TYPO = (ROOT / "tests" / "golden" / "e0101_typo_in_total.deploy").read_text()
SMALL = 'schema S { x : Int = 1; y : List(Int) = [x, 2] }\nworkload W : S { x = 3 }\n'
OUT_OF_MEMORY = 71
DENSE, GROWTH = 8, 2.2         # each request up to DENSE, then GROWTH times the last one

# name: words behind `deployc`, the status when nothing fails
COMMANDS = {
    "small":   (["check", "small.deploy"], 0),
    "bad":     (["check", "bad.deploy"], 1),
    "check":   (["check", "good.deploy"], 0),
    "wrong":   (["check", "wrong.deploy"], 1),
    "json":    (["check", "--error-format=json", "typo.deploy"], 1),
    "sarif":   (["check", "--error-format=sarif", "typo.deploy"], 1),
    "plan":    (["plan", "good.deploy"], 0),
    "emit":    (["good.deploy", "--emit=llvm", "-o", "out"], 0),
    "build":   (["good.deploy", "-o", "out"], 0),
    "fmt":     (["fmt", "ugly.deploy"], 0),
    "explain": (["explain", "E0701"], 0),
    "import":  (["import", "config.json", "-o", "out"], 0),
}


class Failed(Exception):
    """A test that did not hold."""


def fill(folder):
    """What the commands read."""
    (folder / "small.deploy").write_text(SMALL)
    (folder / "bad.deploy").write_text(SMALL.replace("2]", '"z"]'))
    (folder / "good.deploy").write_text(SPEC)
    (folder / "wrong.deploy").write_text(WRONG)
    (folder / "typo.deploy").write_text(TYPO)
    (folder / "ugly.deploy").write_text(SPEC.replace(" = ", "="))
    shutil.copy(ROOT / "tests" / "fixtures" / "llama" / "config.json", folder / "config.json")


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def run(folder, words, environment):
    """The status, stderr, and the files that are there afterwards; files of before are as before."""
    before = contents(folder)
    done = subprocess.run([DEPLOYC, *words], cwd=folder, capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                          env={**os.environ, "TMPDIR": str(folder), **environment})
    after = contents(folder)
    for name in after:
        if name in before:
            (folder / name).write_bytes(before[name])
        else:
            (folder / name).unlink()
    folders = [p for p in folder.iterdir() if p.is_dir()]
    if folders:
        raise Failed(f"{folders[0].name} stays behind")
    return done.returncode, done.stderr.decode(), after


def check_failure(status, stderr, files, before, whole, environment_too):
    """Status and message of one run that ran out of memory; every file is as before or as when all is well."""
    lines = stderr.splitlines()
    says = sum(line.startswith("deployc: out of memory: ") for line in lines)
    errno_says = environment_too and status in (1, 2) and "Cannot allocate memory" in stderr
    if not errno_says and (status != OUT_OF_MEMORY or says != 1 or not lines[-1].startswith("deployc: out of memory: ")):
        raise Failed(f"status {status}, {lines[-1] if lines else 'nothing said'}")
    for name, data in files.items():
        if data != before.get(name) and data != whole.get(name):
            raise Failed(f"{name} stays behind, half written")


def numbers(every):
    """Each `every`-th; 0: ever fewer."""
    n = 1
    while True:
        yield n
        n = n + every if every else n + 1 if n < DENSE else max(n + 1, int(n * GROWTH))


def check_command(name, every, variable, environment):
    """Lets request 1, 2, ... fail until the command has no request of that number. Gives how many were tried."""
    words, good_status = COMMANDS[name]
    preloaded = "LD_PRELOAD" in environment
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        fill(folder)
        before = contents(folder)
        status, stderr, whole = run(folder, words, {})
        if status != good_status:
            raise Failed(f"without failures: status {status}: {stderr}")
        for n in numbers(every):
            status, stderr_now, files = run(folder, words, {variable: str(n), **environment})
            if status == good_status and stderr_now == stderr and files == whole:
                return n
            try:
                check_failure(status, stderr_now, files, before, whole, preloaded)
            except Failed as e:
                raise Failed(f"{variable}={n} deployc {' '.join(words)}: {e}") from None


def preload(folder):
    """The environment under which malloc fails, or None where deployc is built with a sanitizer."""
    library = folder / "failing_malloc.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, HERE / "failing_malloc.c", "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "FAIL_MALLOC_IN": "deployc libjansson"}


def main():
    options = [a for a in sys.argv[1:] if a.startswith("--")]
    every = 1 if "--all" in options else int(options[0].split("=")[1]) if options else 0
    chosen = [a for a in sys.argv[1:] if a in COMMANDS] or COMMANDS
    passed = failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        ways = {"DEPLOYC_FAIL_ALLOC": {}, "FAIL_MALLOC": preload(pathlib.Path(scratch))}
        for variable, environment in ways.items():
            for name in chosen:
                try:
                    n = check_command(name, every, variable, environment)
                    print(f"ok   {name}: {variable} up to {n}", flush=True)
                    passed += 1
                except Failed as e:
                    print(f"FAIL {name}: {e}")
                    failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
