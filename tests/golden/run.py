#!/usr/bin/env python3
"""Wrong specs, one mistake each. The first lines of a file list exactly what the compiler must report:

    // expect: E0503 11:21              code, line:column of the primary span, in this file
    // expect: E0101 7:11 `Mixtral_8x7B`    ... and a word that the report must contain
    // expect: E0602 std.plans:10:3     ... in a module of the library
    // expect: E0205 <command line>:1:9     ... in the text of a -D

With errors, `deployc check` exits with 1, with warnings alone 0. After those lines may come

    // run: --emit=llvm -o /dev/null    arguments in place of `check`
    // bytes: 16777217                  spaces are appended up to this size

    // config: {"model_type": "x"}      the spec is a family, and a file of this text is imported with it: those in import/

Every code of support/diag.def has such a spec.

The specs in good/ and samples/ check without an error, and print nothing that names a bug.

    run.py [WORD ...]           only the files whose name contains a word
    run.py --update [WORD ...]  writes what the compiler reports; review the change
"""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", HERE.parents[1] / "build" / "deployc")).absolute()
EXPECT = re.compile(r"// expect: ([EW]\d{4})(?: (<command line>:|\S*?)(\d+:\d+))?(?: (.+))?$")
RUN = re.compile(r"^// run: (.+)$", re.M)
CONFIG = re.compile(r"^// config: (.+)$", re.M)
BYTES = re.compile(r"^// bytes: (\d+)$", re.M)
REPORT = re.compile(r"^(?:error|warning)\[([EW]\d{4})\]: (.*)\n *--> (.+?):(\d+:\d+)$", re.M)


def expected(lines):
    """[(code, file prefix or '', line:column, word)] of the leading comments."""
    found = []
    for line in lines:
        match = EXPECT.match(line)
        if not match:
            return found
        found.append((match[1], match[2] or "", match[3] or "?", match[4] or ""))
    return found


def reported(name, output):
    """[(code, file prefix, line:column, whole text of the report)]"""
    starts = list(REPORT.finditer(output))
    ends = [m.start() for m in starts[1:]] + [len(output)]
    return [(m[1], "" if m[3] == name else m[3] + ":", m[4], output[m.start():end]) for m, end in zip(starts, ends)]


def deployc(path):
    """The compiler's output for a spec."""
    text = path.read_text()
    arguments = shlex.split(match[1]) if (match := RUN.search(text)) else ["check"]
    if not (size := BYTES.search(text)):
        return subprocess.run([DEPLOYC, *arguments, path.name], cwd=path.parent, capture_output=True, text=True, timeout=300)
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, path.name).write_text(text.ljust(int(size[1])))
        return subprocess.run([DEPLOYC, *arguments, path.name], cwd=folder, capture_output=True, text=True, timeout=300)


def import_with(path, config):
    """The output of `deployc import` for a family alone in a folder."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, path.name).write_text(path.read_text())
        pathlib.Path(folder, "config.json").write_text(config)
        done = subprocess.run([DEPLOYC, "import", "-I", ".", "config.json"], cwd=folder, capture_output=True, text=True, timeout=300)
    done.stderr = done.stderr.replace(f"./{path.name}:", f"{path.name}:")
    return done


def check(path):
    """(expected, reported, what is wrong or None)"""
    want = expected(path.read_text().splitlines())
    config = CONFIG.search(path.read_text())
    done = import_with(path, config[1]) if config else deployc(path)
    got = reported(path.name, done.stdout + done.stderr)
    code = 1 if any(w[0].startswith("E") for w in want) else 0
    if not want:
        return want, got, "says nothing about what it expects"
    if done.returncode != code:
        return want, got, f"exit code {done.returncode} instead of {code}"
    if sorted(w[:3] for w in want) != sorted(g[:3] for g in got):
        return want, got, f"expected {show(want)}, got {show(got) or 'nothing'}"
    for w in want:
        if not any(w[:3] == g[:3] and w[3] in g[3] for g in got):
            return want, got, f"{w[0]} does not mention {w[3]}"
    return want, got, None


def check_good(path):
    """What is wrong with a spec that must check clean, or None; warnings are allowed."""
    done = subprocess.run([DEPLOYC, "check", path], capture_output=True, text=True, timeout=300)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line]
        return f"exit code {done.returncode}: {(errors or ['no message'])[0]}"
    return None


def check_codes():
    """The codes of the table that no wrong spec has."""
    table = re.findall(r"^X\(([EW]\d{4}), ", (HERE.parents[1] / "support" / "diag.def").read_text(), re.M)
    tested = {want[0] for path in specs() for want in expected(path.read_text().splitlines())}
    return [code for code in table if code not in tested]


def specs():
    return sorted([*HERE.glob("*.deploy"), *HERE.glob("beginner/*.deploy"), *HERE.glob("import/*.deploy")])


def show(reports):
    return ", ".join(f"{code} {prefix}{at}" for code, prefix, at, _ in sorted(r[:4] for r in reports))


def update(path, want, got):
    """Replaces the expectations by what was reported; words stay with their code."""
    words = {w[0]: w[3] for w in want}
    lines = path.read_text().splitlines(keepends=True)[len(want):]
    # Comments go in or out, so lines of this file move.
    moved = len(got) - len(want)
    head = []
    for code, prefix, at, _ in got:
        line, column = map(int, at.split(":"))
        place = at if prefix else f"{line + moved}:{column}"
        head.append(f"// expect: {code} {prefix}{place}" + (f" {words[code]}" if words.get(code) else "") + "\n")
    path.write_text("".join(head + lines))


def main(arguments):
    if not DEPLOYC.exists():
        sys.exit(f"{DEPLOYC} is missing: run `make`, or set DEPLOYC")
    updating = "--update" in arguments
    words = [a for a in arguments if a != "--update"]
    passed = failed = 0
    for path in specs():
        if words and not any(w in path.name for w in words):
            continue
        want, got, wrong = check(path)
        if wrong and updating and got:
            update(path, want, got)
            print(f"updated {path.name}: {wrong}")
            want, got, wrong = check(path)
        if wrong:
            failed += 1
            print(f"FAIL {path.name}: {wrong}")
        else:
            passed += 1
    for path in sorted([*HERE.glob("good/*.deploy"), *(HERE.parents[1] / "samples").glob("*.deploy")]):
        if words and not any(w in path.name for w in words):
            continue
        wrong = check_good(path)
        failed += bool(wrong)
        passed += not wrong
        if wrong:
            print(f"FAIL {path.parent.name}/{path.name}: {wrong}")
    for code in [] if words else check_codes():
        failed += 1
        print(f"FAIL {code}: no wrong spec has it")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
