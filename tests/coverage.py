#!/usr/bin/env python3
"""Coverage of the C sources by tests, forked ranks included: lines and functions of each folder and file, and functions that never run.

    coverage.py [STEP ...]      steps of tests/check.sh (default: STEPS); counts of earlier runs are added, unless --fresh
"""
import collections
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = (ROOT / os.environ.get("BUILD", "build") / "cov").resolve()
STEPS = "unit tokens stdlib docs models import format golden fixes prototype forms inference meshes heads sampling stop formats streams owners random plans " \
        "failures scale limits files".split()
FLAGS = f"-O0 -g --coverage -fprofile-update=atomic -include {ROOT}/tests/coverage.h"


def build_and_run(steps):
    """The launchers' linker needs --coverage too: deployc takes it from CC."""
    environment = {**os.environ, "BUILD": str(BUILD.relative_to(ROOT)), "CFLAGS": FLAGS, "CC": "gcc --coverage"}
    subprocess.run(["bash", "tests/check.sh", "gcc", *steps], cwd=ROOT, env=environment)


def counted():
    """{file: ({function: runs}, {line: runs})}"""
    files = collections.defaultdict(lambda: (collections.Counter(), collections.Counter()))
    notes = sorted(p for p in BUILD.rglob("*.gcno") if "tests" not in p.relative_to(BUILD).parts)
    with tempfile.TemporaryDirectory() as folder:
        for note in notes:
            subprocess.run(["gcov", "--json-format", "--preserve-paths", "--hash-filenames", str(note)], cwd=folder, capture_output=True)
        for path in pathlib.Path(folder).glob("*.json.gz"):
            for file in json.loads(gzip.open(path).read())["files"]:
                name = pathlib.Path(file["file"])
                name = name.relative_to(ROOT) if name.is_absolute() and name.is_relative_to(ROOT) else name
                if name.is_absolute() or name.suffix != ".c" or "build" in name.parts[0]:
                    continue
                functions, lines = files[str(name)]
                for function in file["functions"]:
                    functions[function["name"]] += function["execution_count"]
                for line in file["lines"]:
                    lines[line["line_number"]] += line["count"]
    return files


def share(counts):
    ran, n = sum(map(bool, counts)), len(counts)
    return f"{ran:5} of {n:5} {100 * ran / max(n, 1):5.1f} %"


def main(arguments):
    if "--fresh" in arguments:
        for path in BUILD.rglob("*.gcda"):
            path.unlink()
    build_and_run([a for a in arguments if a != "--fresh"] or STEPS)
    files = counted()
    print(f"{'':36} {'lines':>22}   {'functions':>22}")
    for folder in sorted({name.split("/")[0] for name in files}):
        those = [files[name] for name in sorted(files) if name.split("/")[0] == folder]
        print(f"{folder:36} {share([c for _, lines in those for c in lines.values()])}   {share([c for f, _ in those for c in f.values()])}")
        for name in sorted(files):
            if name.split("/")[0] == folder:
                functions, lines = files[name]
                print(f"  {name:34} {share(lines.values())}   {share(functions.values())}")
    never = [(name, f) for name in sorted(files) for f, runs in sorted(files[name][0].items()) if not runs]
    print(f"\nfunctions that no test runs: {len(never)}")
    for name, function in never:
        print(f"  {name} {function}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
