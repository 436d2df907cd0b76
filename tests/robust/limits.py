#!/usr/bin/env python3
"""Specs at the limits: deep nesting, huge numbers, files of 16 MiB, 100 000 items, cycles and chains of imports, imports out of
the project, odd bytes, files that are none. Each is refused with the code that is expected, or checks clean, in bounded time
and memory, and never with status 70 or by a signal."""
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
SECONDS, BYTES = 60, 4 << 30            # of one run
MIB = 1 << 20
GOOD = (ROOT / "samples" / "tiny_llama.deploy").read_text()
FIELD = "workload W {{ batch = {} }}\n"
CLEAN = "clean"
CASES = []


class Failed(Exception):
    """A test that did not hold."""


def case(expected, name=None):
    """A function of the folder that gives the file to check; `expected`: CLEAN, a code, or words of a message without a code."""
    def add(make):
        CASES.append((name or make.__name__, expected, make))
        return make
    return add


def text(name, expected, source):
    """A case that is one file with this text or these bytes."""
    def make(folder):
        path = folder / "main.deploy"
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        return path
    case(expected, name)(make)


# ---- nesting --------------------------------------------------------------------------------------------------------
SCHEMA = "schema S { x : Int }\n"
text("brackets, many", "E0007", FIELD.format("(" * 300 + "1" + ")" * 300))
text("brackets, a million open", "E0007", FIELD.format("(" * 1_000_000))
text("brackets, a million closers", "E0005", "}" * 1_000_000)
text("braces", "E0007", "model A = B " + "{ x " * 100_000)
text("operators in a row", "E0007", FIELD.format("1 + " * 100_000 + "1"))
text("operators, minus", "E0007", FIELD.format("-" * 100_000 + "1"))
text("operators, not", "E0007", FIELD.format("not " * 100_000 + "true"))
text("dots", "E0007", FIELD.format("a" + ".b" * 100_000))
text("calls", "E0007", FIELD.format("f" + "()" * 100_000))
text("indices", "E0007", FIELD.format("f" + "[0]" * 100_000))
text("if then else", "E0007", FIELD.format("if true then 1 else " * 100_000 + "1"))
text("when in when", "E0007", "plan P {\n" + "when (true) { " * 5_000 + "}" * 5_000 + "\n}\n")
text("else when", "E0007", "plan P {\n" + "when (true) { } else { " * 5_000 + "}" * 5_000 + "\n}\n")
text("records in records", "E0007", FIELD.format("W { batch = " * 5_000 + "1" + " }" * 5_000))
text("lists in lists", "E0007", FIELD.format("[" * 100_000 + "]" * 100_000))
text("comments", "E0006", "/*" * 1_000_000)

# ---- numbers --------------------------------------------------------------------------------------------------------
text("integer beyond 63 bits", "E0008", GOOD.replace("batch = ", "batch = 9_223_372_036_854_775_808 + ", 1))
text("a million digits", "E0008", GOOD.replace("batch = ", "batch = " + "9" * 1_000_000 + " + ", 1))
text("a million zeros", "E0008", GOOD.replace("batch = ", "batch = 1" + "0" * 1_000_000 + " + ", 1))
text("exponent", "E0008", GOOD.replace("batch = ", "batch = 1e999999999 + ", 1))
text("sum of integers overflows", "E0203", GOOD.replace("batch = ", "batch = 9_223_372_036_854_775_807 + ", 1))
text("product of integers overflows", "E0203", GOOD.replace("batch = ", "batch = 9_223_372_036_854_775_807 * ", 1))
text("unit to a power", "E0302", GOOD.replace("batch = ", "batch = 1 GB^" + "9" * 1_000 + " + ", 1))
text("huge axis", "E0203", GOOD.replace("vocab   = ", "vocab = 4_000_000_000_000 + ", 1))
text("huge loop", "E0203", GOOD.replace("layers = ", "layers = 4_000_000_000_000 + ", 1))

# ---- size -----------------------------------------------------------------------------------------------------------
text("16 MiB of comment", CLEAN, "//" + "a" * (16 * MIB - 2))
text("16 MiB of blank lines", CLEAN, "\n" * (16 * MIB))
text("more than 16 MiB", "E0009", "\n" * (16 * MIB + 1))
text("70 MiB", "File too large", "\n" * (70 * MIB))
text("line of 15 MiB", "E0005", "a " * (15 * MIB // 2))
text("strays, 4 MiB", "E0001", "`" * (4 * MIB))
text("name of 4 MiB", "E0101", "model " + "a" * (4 * MIB) + " = NoSuch { }\n")
text("string of 4 MiB", "E0101", 'use "' + "a" * (4 * MIB) + '.deploy" as a\n')
text("100 000 declarations", CLEAN, "".join(f"schema S{i} {{ x : Int = {i} }}\n" for i in range(100_000)))
text("10 000 fields", CLEAN, "schema S {\n" + "".join(f"x{i} : Int = {i}\n" for i in range(10_000)) + "}\n")
text("10 000 mistakes", "E0101", "".join(f"model M{i} = NoSuch{i} {{ }}\n" for i in range(10_000)))
text("list of 100 000", "E0203", GOOD.replace("batch = ", "batch = [" + "1, " * 100_000 + "1] + ", 1))


# ---- imports --------------------------------------------------------------------------------------------------------
def chain(folder, n, last):
    for i in range(n):
        (folder / f"m{i}.deploy").write_text(f'use "m{i + 1}.deploy" as next\n')
    (folder / f"m{n}.deploy").write_text(last)
    return folder / "m0.deploy"


for length in 0, 1, 2, 10, 200:
    case("E0102", f"import cycle of {length + 1}")(lambda folder, n=length: chain(folder, n, 'use "m0.deploy" as first\n'))
case(CLEAN, "chain of 1000 modules")(lambda folder: chain(folder, 1000, SCHEMA))


def importing(folder, path):
    project = folder / "project"
    project.mkdir()
    (folder / "outside.deploy").write_text(SCHEMA)
    (project / "main.deploy").write_text(f'use "{path}" as other\n')
    return project / "main.deploy"


for outside in "../outside.deploy", "/etc/passwd", "./../outside.deploy", "a/../../outside.deploy", "../project/../outside.deploy":
    case("E0104", f"import {outside}")(lambda folder, p=outside: importing(folder, p))
case(CLEAN, "import by a way around")(lambda folder: [importing(folder, "a/../other.deploy"),
                                                     (folder / "project" / "other.deploy").write_text(SCHEMA)][0])


@case("E0104", "import of a symbolic link to the outside")
def link(folder):
    main = importing(folder, "link.deploy")
    (folder / "project" / "link.deploy").symlink_to("../outside.deploy")
    return main


@case("E0104", "import through a linked folder")
def linked_folder(folder):
    main = importing(folder, "link/outside.deploy")
    (folder / "project" / "link").symlink_to(folder)
    return main


@case("E0101", "import of a link to itself")
def link_cycle(folder):
    main = importing(folder, "link.deploy")
    (folder / "project" / "link.deploy").symlink_to("link.deploy")
    return main


@case("E0101", "import of a folder")
def folder_import(folder):
    (folder / "other.deploy").mkdir()
    (folder / "main.deploy").write_text('use "other.deploy" as other\n')
    return folder / "main.deploy"


@case("E0101", "import of a pipe")
def pipe_import(folder):
    os.mkfifo(folder / "other.deploy")
    (folder / "main.deploy").write_text('use "other.deploy" as other\n')
    return folder / "main.deploy"


# ---- bytes ----------------------------------------------------------------------------------------------------------
text("empty", CLEAN, "")
text("CRLF", CLEAN, GOOD.replace("\n", "\r\n"))
text("CR", CLEAN, GOOD.replace("\n", "\r"))
text("byte order mark", CLEAN, b"\xef\xbb\xbf" + GOOD.encode())
text("UTF-16", "E0001", GOOD.encode("utf-16"))
text("NUL", "E0001", GOOD + "\0")
text("NUL in a string", "E0006", 'use "a\0b" as c\n')
text("a million NULs", "E0001", b"\0" * 1_000_000)
text("malformed UTF-8", "E0001", GOOD.encode() + b"\xc3\x28 \xff \xf0\x9f")
text("malformed UTF-8 in a comment", CLEAN, GOOD.encode() + b"// \xc3\x28 \xff\n")
text("overlong UTF-8", "E0001", b"\xc0\xaf")
text("program", "E0001", pathlib.Path("/bin/true").read_bytes())

# ---- files that are none --------------------------------------------------------------------------------------------
case("Is a directory", "folder")(lambda folder: folder)
case(CLEAN, "/dev/null")(lambda folder: "/dev/null")
case("File too large", "/dev/zero")(lambda folder: "/dev/zero")
case("No such file", "no file")(lambda folder: folder / "none.deploy")
case("Not a directory", "file as a folder")(lambda folder: "/dev/null/x.deploy")
case("name too long", "long path")(lambda folder: folder / ("a" * 5000))


@case("No data available", "pipe that nobody writes")
def pipe(folder):
    os.mkfifo(folder / "pipe.deploy")
    return folder / "pipe.deploy"


if os.geteuid():
    @case("Permission denied")
    def unreadable(folder):
        path = folder / "main.deploy"
        path.touch(mode=0)
        return path


# ---- running --------------------------------------------------------------------------------------------------------
def bounded():
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def check(expected, make):
    with tempfile.TemporaryDirectory() as scratch:
        path = make(pathlib.Path(scratch))
        try:
            done = subprocess.run([DEPLOYC, "check", path], capture_output=True, timeout=SECONDS, preexec_fn=bounded,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise Failed(f"not done after {SECONDS} s") from None
    said = done.stderr.decode(errors="replace")
    first = said[:160].splitlines()[0] if said else "nothing"
    if done.returncode not in (0, 1) or (done.returncode == 0) != (expected == CLEAN):
        raise Failed(f"status {done.returncode}: {first}")
    if expected != CLEAN and (f"[{expected}]" if expected[1:].isdigit() else expected) not in said:
        raise Failed(f"expected {expected}: {first}")


def main():
    passed = failed = 0
    for name, expected, make in CASES:
        if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
            continue
        try:
            check(expected, make)
            passed += 1
        except Failed as e:
            print(f"FAIL {name}: {e}")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
