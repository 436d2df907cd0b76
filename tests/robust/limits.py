#!/usr/bin/env python3
"""Specs at the limits: deep nesting, huge numbers, files of 16 MiB, 100 000 items, cycles and chains of imports, imports outside
the project, odd bytes, special files. Each is rejected with the expected code, or checks clean, in bounded time
and memory, and never ends with status 70 or by a signal."""
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
SECONDS, BYTES = 60, 4 << 30            # of one run
LIGHT = 1 << 30                         # bytes of one run that is expected to take far less
MIB = 1 << 20
GOOD = (ROOT / "samples" / "tiny_llama.deploy").read_text()
FIELD = "workload W {{ batch = {} }}\n"
CLEAN = "clean"
CASES = []


class Failed(Exception):
    """A test that did not hold."""


def case(expected, name=None, seconds=SECONDS, room=BYTES):
    """A function of the folder that gives the file to check; `expected`: CLEAN, a code, or words of a message without a code."""
    def add(make):
        CASES.append((name or make.__name__, expected, make, seconds, room))
        return make
    return add


def text(name, expected, source, seconds=SECONDS, room=BYTES):
    """A case that is one file with this text or these bytes."""
    def make(folder):
        path = folder / "main.deploy"
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        return path
    case(expected, name, seconds, room)(make)


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
text("operators in braces", "E0007", "plan P {\n" + "a {\n" * 150 + "b = " + "-" * 900 + "1\n" + "}" * 150 + "\n}\n")
text("a thousand wrong lines", "E0005", "x = = 1\n" * 1_000)
text("comments", "E0006", "/*" * 1_000_000)

# ---- numbers --------------------------------------------------------------------------------------------------------
text("integer beyond 63 bits", "E0008", GOOD.replace("batch = ", "batch = 9_223_372_036_854_775_808 + ", 1))
text("a million digits", "E0008", GOOD.replace("batch = ", "batch = " + "9" * 1_000_000 + " + ", 1))
text("a million zeros", "E0008", GOOD.replace("batch = ", "batch = 1" + "0" * 1_000_000 + " + ", 1))
text("exponent", "E0008", GOOD.replace("batch = ", "batch = 1e999999999 + ", 1))
text("sum of integers overflows", "E0203", GOOD.replace("batch = ", "batch = 9_223_372_036_854_775_807 + ", 1))
text("product of integers overflows", "E0203", GOOD.replace("batch = ", "batch = 9_223_372_036_854_775_807 * ", 1))
text("unit to a power", "E0008", GOOD.replace("batch = ", "batch = 1 GB^" + "9" * 1_000 + " + ", 1))
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
text("15 MB of schemas", CLEAN, "".join(f"schema S{i} {{ x : Int = {i} }}\n" for i in range(450_000)), room=3 * LIGHT // 2)
text("15 MB of list", CLEAN, "schema S { x : List(Int) = [" + "1, " * 5_000_000 + "1] }\n", room=3 * LIGHT // 2)
text("closers without openers, 200 000", "E0005", "( ] " * 200_000)
text("lists that double", "E0007", "schema S {\n x0 : List(Int) = [1]\n" + "".join(f" x{i} : List(Int) = x{i - 1} + x{i - 1}\n" for i in range(1, 60)) + "}\n"
     "device D : S { }\n")
text("lists that repeat", "E0007", "schema S {\n x0 : List(Any) = [1]\n" + "".join(f" x{i} : List(Any) = cycle([x{i - 1}], 16)\n" for i in range(1, 30)) + "}\n"
     "device D : S { }\n")
text("list of 100 000", "E0203", GOOD.replace("batch = ", "batch = [" + "1, " * 100_000 + "1] + ", 1))


# ---- many of one kind: what is looked up or compared once for each item must not go through all items -------------------------------
LLAMA = (ROOT / "stdlib" / "llama.deploy").read_text().split("model Llama_3_1_8B")[0].replace("use std.ops { ", "use std.ops { append, ")


def each(line, n=100_000):
    """`line` with $ as 0, 1, ..., and with # as the number behind."""
    return "".join(line.replace("$", str(i)).replace("#", str(i + 1)) for i in range(n))


def many(name, expected, source):
    text("many " + name, expected, source, room=LIGHT)


def model(name, expected, fields="", body="", end="", goals="", plan=""):
    """A deployment of its own Llama with more fields, more in its loop, more after it; more goals; another plan."""
    family = LLAMA.replace("  max_ctx  ", fields + "  max_ctx  ", 1).replace("    let h = x + GQA", body + "    let h = x + GQA")
    family = family.replace("  param norm :", end + "  param norm :").replace("model Llama ", "model Family ")
    deployment = GOOD.replace("use std.llama { Llama }", "").replace("= Llama {", "= Family {")
    if plan:
        deployment = deployment.replace("Megatron { pp = 2; tp = 2 }", "Own").replace("deploy Tiny", "plan Own {\n" + plan + "}\ndeploy Tiny", 1)
    many(name, expected, family + deployment.replace("  workload = Inf", goals + "  workload = Inf"))


many("fields", CLEAN, "schema S {\n" + each("x$ : Int = $\n") + "}\nworkload W : S {\n" + each("x$ = 1\n") + "}\n")
many("fields not set", "E0202", "schema S {\n" + each("x$ : Int\n") + "}\nworkload W : S { }\ndeploy D { workload = W }\n")
many("derived fields", CLEAN, "schema S {\nx : Int = 1\n" + each("x$ = x\n") + "}\nworkload W : S { x = 2 }\n")
many("unknown fields", "E0201", "schema S {\n" + each("x$ : Int = 1\n") + "}\nworkload W : S {\n" + each("y$ = 1\n") + "}\n")
many("fields, each twice", "E0106", "schema S {\n" + each("x$ : Int\n") * 2 + "}\n")
many("sets of one record", CLEAN, "schema T { a : Int = 1 }\nschema S { t : T = T {} }\nworkload W : S {\n" + each("t.a = $\n") + "}\n")
many("enum values", CLEAN, "schema S { x : enum(" + each("v$, ") + "v) = v }\n")
many("enums", CLEAN, "schema S {\n" + each("x$ : enum(a, b, c) = c\n") + "}\n")
many("keys of a map", CLEAN, "schema S { x : Map(String, Any) = {\n" + each("k$ = $\n") + "} }\n")
many("elements", CLEAN, "use std.clusters { CPUHost }\ncluster K = CPUHost {\n" + each("level l$ { count = 1 }\n") + "}\n")
many("records in a list", CLEAN, "schema T { a : Int = 1 }\nschema S { x : List(T) = [" + "T { a = 2 }, " * 100_000 + "T {}] }\nworkload W : S { }\n")
many("derived records", CLEAN, "schema S { a : Int = 1 }\nworkload W : S { }\n" + each("workload W$ = W { a = $ }\n"))
many("preconditions", "E0205", "schema S { a : Int\n" + each('require a > $ : "m"\n', 20_000) + "}\nworkload W : S { a = 0 }\n")
many("modules", CLEAN, each("use std.ops as o$\n"))
many("unknown modules", "E0101", each("use std.o$ as o$\n", 20_000))
many("names of a use", "E0101", "use std.ops { " + each("s$, ", 20_000) + "silu }\n")
many("ops", CLEAN, each("op f$(x: [...t]) -> [...t] { return x * x }\n"))
many("deployments", CLEAN, GOOD + each(GOOD[GOOD.index("deploy TinyLlama"):].replace("TinyLlama", "D$"), 2_000))
many("bad deployments", "E0202", each("deploy D$ { }\n", 10_000))
many("permissions", CLEAN, "schema S {\n" + each("// deploy: allow W0512 no reason\nx$ : Int = 1\n", 20_000) + "}\n")
many("permissions of one line", CLEAN, "// deploy: allow W0512 no reason\n" * 100_000 + GOOD)
many("mistakes", "E0101", each("model M$ = NoSuch$ { }\n", 20_000))
many("mistakes, one name", "E0101", each("model M$ = NoSuch { }\n", 20_000))
many("mistakes, a name of the library", "E0101", each("model M$ = Llama { }\n", 20_000))
many("mistakes in one line", "E0101", each("model M$ = NoSuch { }; ", 20_000))
many("kinds that are none", "E0004", each("modle M$ = NoSuch { }\n", 20_000))
many("types that are none", "E0101", "schema S {\n" + each("x$ : T$ = 1\n", 20_000) + "}\n")
many("escapes that are none", "E0005", 'schema S { x : String = "' + r"\q" * 20_000 + '" }\n')
many("declarations of one name", "E0106", "schema S { x : Int }\n" * 20_000)
many("axes of a type", "E0403", LLAMA.replace("param norm : [d_model]", "param norm : [" + "d_model, " * 3_000 + "d_model]"))
model("axes", CLEAN, fields=each("axis a$ = 2\n", 10_000))
model("params", CLEAN, end=each('param p$ : [d_model] from "p$"\n', 10_000))
model("lets", CLEAN, end=each("let l$ = x + x\n", 20_000))
model("lets in a row", CLEAN, end="let l0 = x\n" + each("let l# = l$ + x\n", 20_000))
model("lets of numbers", CLEAN, end=each("let l$ = $\n"))
model("lets in branches", CLEAN, end="when (true) {\n" + each("let l$ = 1\n") + "} else {\n" + each("let l$ = 2\n") + "}\n")
model("branches", CLEAN, end=each("when (true) { let l$ = 1 }\n"))
model("operators in a row", CLEAN, body="x = x + x\n" * 10_000)
model("blocks called", CLEAN, body=each('x = x + GatedMLP(x) as m$ from "m$"\n', 500))
model("goals", CLEAN, goals=each("require ttft <= 1$ s\n", 10_000))
model("rules", CLEAN, fields=each("axis a$ = 2\n", 10_000), plan="mesh a = 4\n" + each("a$ -> none\n", 10_000) + "ffn -> a\n")
model("rules, one again and again", "E0504", plan="mesh a = 4\n" + "ffn -> a\n" * 100_000)
model("mesh axes", CLEAN, plan="mesh a = 4\n" + each("mesh m$ = 1\n", 2_000) + "ffn -> a\n")

# ---- few that make many: chains that a walk would follow to the end of the stack, and doublings ------------------------------------
DOUBLE = "schema S$ {\n  a : S# = S# {}\n  b : S# = S# {}\n}\n"
model("operators that wait for each other", CLEAN, body="x = x + x\n" * 3_000)
many("records, each of the one before", "E0007", "schema S { a : Int = 1 }\nworkload W0 : S { }\n" + each("workload W# = W$ { a = $ }\n"))
many("records, each of the one behind", "E0007", "schema S { a : Int = 1 }\n" + each("workload W$ = W# { a = $ }\n") + "workload W100000 : S { }\n")
many("records, each with two", "E0007", each(DOUBLE, 40) + "schema S40 { a : Int = 1 }\nworkload W : S0 { }\n")
many("lists, each of two", "E0007", "schema S {\n" + each("x$ : Any = [x#, x#]\n", 40) + "x40 : Any = 1\n}\nworkload W : S { }\n")
CALLS = "use std.ops { embed }\nuse std.decoder { Decoder }\nmodel M : Decoder {\n  vocab = 8\n  layers = 1\n  axis d = 4\n  max_ctx = 8\n" \
    '  param w : [vocab, d] from "w"\n  let x = f0(embed(w, ids))\n}\n'
many("ops, each calls the next", "E0007", each("op f$(x: [...t]) -> [...t] { return x + f#(x) }\n")
     + "op f100000(x: [...t]) -> [...t] { return x }\n" + CALLS)
many("ops, each calls the next twice", "E0007", each("op f$(x: [...t]) -> [...t] { return f#(f#(x)) }\n", 40)
     + "op f40(x: [...t]) -> [...t] { return x }\n" + CALLS)


# ---- imports --------------------------------------------------------------------------------------------------------
def chain(folder, n, last):
    for i in range(n):
        (folder / f"m{i}.deploy").write_text(f'use "m{i + 1}.deploy" as next\n')
    (folder / f"m{n}.deploy").write_text(last)
    return folder / "m0.deploy"


for length in 0, 1, 2, 10, 200:
    case("E0102", f"import cycle of {length + 1}")(lambda folder, n=length: chain(folder, n, 'use "m0.deploy" as first\n'))
case(CLEAN, "chain of 1000 modules")(lambda folder: chain(folder, 1000, SCHEMA))
case("E0007", "chain of 20 000 modules")(lambda folder: chain(folder, 20_000, SCHEMA))


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


# A plan that does not fit, whose help tries other meshes of as many ranks.
CROWD = """use std.models {{ Llama_3_2_1B }}
use std.clusters {{ CPUHost }}
use std.workload {{ Inference }}
plan P {{ {mesh} vocab -> {all} }}
deploy D {{
  model    = Llama_3_2_1B {{ vocab = 16_777_216 }}
  cluster  = CPUHost {{ ranks = {ranks}; device {{ memory = 1 GiB }} }}
  plan     = P {{}}
  workload = Inference {{ batch = 1; seq = 1..16 }}
}}
"""
for sizes in [1 << 24], [2] * 24:
    text(f"{1 << 24} ranks on {len(sizes)} mesh axes", "E0701", CROWD.format(
        mesh=" ".join(f"mesh m{i} = {size};" for i, size in enumerate(sizes)), all=" * ".join(f"m{i}" for i in range(len(sizes))), ranks=1 << 24),
        seconds=10)

# ---- running --------------------------------------------------------------------------------------------------------
def bounded(room):
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def check(expected, make, seconds, room):
    with tempfile.TemporaryDirectory() as scratch:
        path = make(pathlib.Path(scratch))
        try:
            done = subprocess.run([DEPLOYC, "check", path], capture_output=True, timeout=seconds,
                                  preexec_fn=lambda: bounded(room), stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise Failed(f"not done after {seconds} s") from None
    said = done.stderr.decode(errors="replace")
    first = said[:160].splitlines()[0] if said else "nothing"
    if done.returncode not in (0, 1) or (done.returncode == 0) != (expected == CLEAN):
        raise Failed(f"status {done.returncode}: {first}")
    if expected != CLEAN and (f"[{expected}]" if expected[1:].isdigit() else expected) not in said:
        raise Failed(f"expected {expected}: {first}")


def main():
    passed = failed = 0
    for name, expected, make, seconds, room in CASES:
        if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
            continue
        try:
            check(expected, make, seconds, room)
            passed += 1
        except Failed as e:
            print(f"FAIL {name}: {e}")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
