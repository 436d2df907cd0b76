#!/usr/bin/env python3
"""The forms of diagnostics: text and its colours, JSON, SARIF checked with its published schema, gcc's lines, `deployc explain`.
Every wrong spec of tests/golden is printed in every form.

    run.py [WORD ...]    only the tests whose name contains a word
"""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import urllib.parse
import unicodedata

import jsonschema

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness

ROOT = HERE.parents[1]
GOLDEN = ROOT / "tests" / "golden"
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
SCHEMA = jsonschema.Draft4Validator(json.loads((HERE / "schema" / "sarif-schema-2.1.0.json").read_text()))
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
TEXT = re.compile(r"^(error|warning)\[([EW]\d{4})\]: (.*)\n *--> (.+?):(\d+):(\d+)$", re.M)
GCC = re.compile(r"^(.+?):(\d+):(\d+): (error|warning): (.*) \[([EW]\d{4})\]$", re.M)
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}


def deployc(*arguments, cwd=GOLDEN, **environment):
    return subprocess.run([DEPLOYC, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60,
                          env={**ENVIRONMENT, "TERM": "xterm", **environment})


def on_terminal(*arguments, **environment):
    """What deployc prints on a terminal."""
    return harness.on_terminal([DEPLOYC, *arguments], "stdout", "stderr", cwd=GOLDEN, env={**ENVIRONMENT, "TERM": "xterm", **environment})[1]


def reports(text):
    """(severity, code, message, file, line, column) of the text form, in order."""
    return [m.groups() for m in TEXT.finditer(text)]


def check_forms(path):
    run = re.search(r"^// run: (.+)$", path.read_text(), re.M)
    command = shlex.split(run[1]) if run else ["check"]
    text = deployc(*command, path.name).stderr
    want = reports(text)
    assert want, "reports nothing"
    assert not ESCAPE.search(text), "colours where no terminal is"
    colored = deployc(command[0], "--color=always", *command[1:], path.name).stderr
    assert ESCAPE.search(colored) and ESCAPE.sub("", colored) == text, "colours change the text"

    objects = [json.loads(line) for line in deployc(command[0], "--error-format=json", *command[1:], path.name).stderr.splitlines()]
    got = [(o["severity"], o["code"], o["message"], o["file"], str(o["line"]), str(o["column"])) for o in objects if not o["allowed"]]
    assert got == want, f"json has {got}, text {want}"

    lines = deployc(command[0], "--error-format=gcc", *command[1:], path.name).stderr
    got = [(m[4], m[6], m[1], m[2], m[3]) for m in GCC.finditer(lines)]
    assert got == [(s, c, f, l, k) for s, c, _, f, l, k in want], f"gcc has {got}"
    check_sarif(deployc(command[0], "--error-format=sarif", *command[1:], path.name), [[(c, s, uri_of(f), l, k) for s, c, _, f, l, k in want]])


def uri_of(file):
    """Of a file as the text form names it; `<command line>` is none."""
    if file.startswith("<"):
        return urllib.parse.quote(file)
    return file.replace(".", "/") + ".deploy" if file.startswith("std.") else (GOLDEN / file).resolve().as_uri()


def check_sarif(done, want):
    log = json.loads(done.stderr)
    errors = [f"{'/'.join(map(str, e.path))}: {e.message}" for e in SCHEMA.iter_errors(log)]
    assert not errors, f"SARIF: {errors[0]}"
    for run, expected in zip(log["runs"], want, strict=True):
        rules = run["tool"]["driver"]["rules"]
        got = []
        for result in run["results"]:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"], "a rule's index names another rule"
            region = result["locations"][0]["physicalLocation"]["region"]
            if "suppressions" not in result:
                uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
                got.append((result["ruleId"], result["level"], uri, str(region["startLine"]), str(region["startColumn"])))
        assert got == expected, f"SARIF has {got}, text {expected}"


def check_several():
    names = ["e0503_experts_16_ways.deploy", "good/tiny.deploy", "e0301_needs_unit.deploy"]
    want = [[(c, s, uri_of(f), l, k) for s, c, _, f, l, k in reports(deployc("check", name).stderr)] for name in names]
    check_sarif(deployc("check", "--error-format=sarif", *names), want)


def check_checked():
    """A line for each deployment of a file without errors, on standard output: for people only."""
    good, warns, wrong = "good/tiny.deploy", "w0604_two_servers.deploy", "e0503_experts_16_ways.deploy"
    line = r"\w+: \w+, [\d.]+ \w*param, on \d+ ranks? of \w+; the fullest rank takes [\d.]+ \w+ of [\d.]+ \w+ usable\n"
    for name in good, warns:
        said = deployc("check", name).stdout
        assert re.fullmatch(f"({line})+", said), f"{name}: {said!r}"
        quiet = deployc("check", "-q", name)
        assert not quiet.stdout and quiet.stderr == deployc("check", name).stderr, "--quiet changes the diagnostics"
        for form in "json", "sarif", "gcc":
            assert not deployc("check", f"--error-format={form}", name).stdout, f"a line beside {form}"
    assert not deployc("check", wrong).stdout, "a line of what is wrong"
    both = deployc("check", good, warns).stdout
    assert both == deployc("check", good).stdout + deployc("check", warns).stdout, both
    assert "the fullest rank takes" in deployc("check", "w0706_training.deploy").stdout, "no memory of training"
    assert deployc("plan", "-q", good).returncode == 2, "`plan --quiet`"


def check_layers():
    """`plan` counts the layers that run a collective: DeepSeek-V3 has 3 dense layers and 58 with experts, all with attention."""
    lines = deployc("plan", "good/two_kinds.deploy").stdout.split("collectives of decode")[1].splitlines()
    often = [re.match(r"    (each layer|once|\d+ layers?) ", line)[1] for line in lines if line.startswith("    ")]
    assert sorted(often) == ["58 layers"] * 4 + ["each layer"] * 2 + ["once"] * 2, often
    one_kind = deployc("plan", "--deploy", "Llama3", "good/tiny.deploy").stdout
    assert not re.search(r"^    \d+ layers? ", one_kind, re.M), "a model of equal layers has lines of a part of them"


def check_light():
    """LLVM is loaded only by commands that generate code."""
    def loads_llvm(*arguments):
        done = deployc(*arguments, str(ROOT / "samples" / "tiny_llama.deploy"), LD_DEBUG="files")
        assert done.returncode == 0 and "calling init" in done.stderr, f"{arguments}: {done.stderr[-300:]}"
        return "libLLVM" in done.stderr
    for light in (["check"], ["plan"], ["check", "--cpu=x86-64-v4"], ["--emit=dag-sched"], ["fmt", "--check"]):
        assert not loads_llvm(*light), f"{light} loads LLVM"
    for heavy in (["--emit=llvm"], ["check", "--cpu=native"]):
        assert loads_llvm(*heavy), f"{heavy} does not load LLVM"


def turns_of(text):
    """A list such as `0..1 3`."""
    for piece in text.split():
        low, _, high = piece.partition("..")
        yield from range(int(low), int(high or low) + 1)


def check_dag():
    """The dump says which turns run which body, and of which body a param is."""
    for spec, want in ("w0516_latent", None), ("gemma3", ["0..1 3", "2"]):
        path = GOLDEN / f"{spec}.deploy" if want is None else ROOT / "tests" / "forms" / f"{spec}.deploy"
        done = deployc(str(path), "--emit=dag")
        texts = re.findall(r"^repeat .* turns: (.*) \{$", done.stdout, re.M)
        bodies = [[*turns_of(turns)] for turns in texts]
        said = [int(n) for n in re.findall(r"^repeat .*, (\d+) turns:", done.stdout, re.M)]
        assert said == [len(b) for b in bodies], f"{spec}: {said} turns are {bodies}"
        assert sorted(sum(bodies, [])) == [*range(sum(said))], f"{spec}: not each turn has one body: {bodies}"
        assert want in (None, texts), f"{spec}: {texts}"
        params = [{m for m, n in re.findall(r"^param (\S+) .* each turn of body (\d+)", done.stdout, re.M) if int(n) == body}
                  for body in range(len(bodies))]
        read = [set(re.findall(r" = param (\S+) :", part)) for part in re.findall(r"^repeat.*?^\}", done.stdout, re.M | re.S)]
        assert params == read, f"{spec}: params of bodies {params}, read by them {read}"


def check_in_place():
    """Heads that share one weight are rows of its contraction, which reads them where they are: nothing is copied between the two."""
    text = deployc("good/shared_weight.deploy", "--emit=dag-sched").stdout
    assert len(re.findall(r" // layer: contract wq\n +contract_\d+\(.*, T\*3\)  // layer: contract wk\n", text)) == 2, text


def check_environment():
    """What tests ask for in the environment: DEPLOYC_GAPS and DEPLOYC_SANITIZE, or what they may be."""
    for name, good, wrong, meant in (("DEPLOYC_GAPS", ("0", "64", "1048576"), ("", "x", "64x", "-64", "65", "1048640", "9" * 30), "a multiple of 64 up to 1048576"),
                                     ("DEPLOYC_SANITIZE", ("address", "thread"), ("", "memory"), "address or thread")):
        for value in good:
            done = deployc("check", "good/tiny.deploy", **{name: value})
            assert done.returncode == 0, f"{name}={value}: {done.stderr}"
        for value in wrong:
            done = deployc("check", "good/tiny.deploy", **{name: value})
            assert done.returncode == 2, f"{name}={value}: exit {done.returncode}"
            assert done.stderr == f"deployc: {name} must be {meant}, not `{value}`\n", f"{name}={value}: {done.stderr}"


def check_colors():
    name = "e0503_experts_16_ways.deploy"
    plain = deployc("check", name).stderr
    terminal = on_terminal("check", name)
    assert ESCAPE.search(terminal), "no colours on a terminal"
    assert ESCAPE.sub("", terminal) == plain, "colours change the text"
    for arguments, environment in [((), {"NO_COLOR": "1"}), (("--color=always",), {"NO_COLOR": "1"}), (("--color=never",), {}), ((), {"TERM": "dumb"})]:
        assert on_terminal("check", *arguments, name, **environment) == plain, f"colours with {arguments} {environment}"
    assert ESCAPE.search(on_terminal("check", name, NO_COLOR="")), "an empty NO_COLOR says nothing"
    for form in ("json", "sarif", "gcc"):
        assert not ESCAPE.search(on_terminal("check", f"--error-format={form}", name)), f"colours in {form}"


def columns(text):
    """Columns of a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def check_alignment():
    """Underlines are below the marked text, also after tabs and wide characters."""
    for before in ("", "\t", "   \t", "/* \u5e45 */ ", "\t/* \u5e45\u0301\U0001f600 e\u0301 */\t", '/* \u00e9\u00df */'):
        with tempfile.TemporaryDirectory() as folder:
            spec = pathlib.Path(folder, "a.deploy")
            spec.write_text(f"use std.hw {{ Accelerator }}\ndevice A : Accelerator {{\n{before}memory = 80; bandwidth = 1 TB/s\n}}\n")
            lines = deployc("check", "a.deploy", cwd=folder).stderr.splitlines()
            at = next(i for i, line in enumerate(lines) if re.match(r" *3 \| ", line))
            source, marks = lines[at], lines[at + 1]
            assert "\t" not in source, "a tab is printed as it is"
            start = source.index("80;")
            assert columns(source[:start]) == marks.index("^"), f"marks are off behind {before!r}:\n{source}\n{marks}"
            assert marks.count("^") == 2


def check_name():
    """A file whose name is not UTF-8."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.fsencode(folder) + b"/od\xffd.deploy"
        with open(path, "wb") as file:
            file.write(b"deploy\n")
        done = subprocess.run([DEPLOYC, "check", "--error-format=json", b"od\xffd.deploy"], cwd=folder, capture_output=True, timeout=60)
        assert json.loads(done.stderr.splitlines()[0])["file"] == "od?d.deploy", done.stderr


def codes_of_table():
    return re.findall(r"^X\(([EW]\d{4}), ", (ROOT / "support" / "diag.def").read_text(), re.M)


def check_table():
    codes = codes_of_table()
    assert codes == sorted(codes, key=lambda c: c[1:]), "diag.def is not in numeric order"
    assert len({c[1:] for c in codes}) == len(codes), "two codes share a number"
    index = re.findall(r"^  ([EW]\d{4})  \S", deployc("explain").stdout, re.M)
    assert index == codes, "the index of `deployc explain` differs from diag.def"


def check_explain():
    for code in codes_of_table():
        done = deployc("explain", code)
        word = "error" if code[0] == "E" else "warning"
        assert done.returncode == 0 and done.stdout.startswith(f"{word}[{code}]: "), code
        assert max(map(len, done.stdout.split("\nWrong:")[0].splitlines())) <= 110, f"{code}: a line is too wide"
    done = deployc("explain", "E9999")
    assert done.returncode == 2 and "E9999" in done.stderr


def check_page():
    page = (ROOT / "docs" / "errors.md").read_text()
    assert page == deployc("explain", "--markdown").stdout, "docs/errors.md is not up to date: run `make docs`"


def examples():
    """(code, wrong, repaired) of the pages that have an example."""
    for code in codes_of_table():
        page = deployc("explain", code).stdout
        parts = re.split(r"\n(?:Wrong|Repaired):\n\n", page)
        if len(parts) > 1:
            yield code, *(re.sub(r"^    ", "", p.rstrip("\n"), flags=re.M) for p in parts[1:])


def check_examples():
    """The example of a page is cut out of a wrong spec that has its code; with the repair in its place the code is gone. What only
    `import` reports is cut out of a family, and repaired together with its config.json: that is not tried."""
    specs = {path: path.read_text() for path in sorted([*GOLDEN.glob("*.deploy"), *GOLDEN.glob("import/*.deploy")])}
    for code, wrong, *repaired in examples():
        path = next((p for p, text in specs.items() if wrong in text and f"// expect: {code} " in text), None)
        assert path, f"{code}: no wrong spec holds `{wrong}`"
        for text in repaired if path.parent == GOLDEN else ():
            with tempfile.NamedTemporaryFile("w", suffix=".repaired", dir=GOLDEN, delete=False) as spec:
                spec.write(specs[path].replace(wrong, text, 1))
            try:
                left = {c for _, c, *_ in reports(deployc("check", spec.name).stderr)}
            finally:
                os.unlink(spec.name)
            before = set(re.findall(r"^// expect: ([EW]\d{4})", specs[path], re.M))
            if code[0] == "E":                  # warnings may be of passes that the error stopped
                left = {c for c in left if c[0] == "E"}
            assert code not in left and left <= before, f"{code}: the repaired example reports {sorted(left)}"


def main():
    cases = [(f.__name__[6:], f, ()) for f in (check_several, check_checked, check_layers, check_light, check_dag, check_in_place, check_environment,
                                               check_colors, check_alignment, check_name, check_table, check_explain, check_page,
                                               check_examples)]
    cases += [(path.stem, check_forms, (path,)) for path in sorted(GOLDEN.glob("*.deploy"))]
    cases = [c for c in cases if not sys.argv[1:] or any(word in c[0] for word in sys.argv[1:])]
    failed = 0
    for name, function, arguments in cases:
        try:
            function(*arguments)
        except (AssertionError, json.JSONDecodeError, subprocess.TimeoutExpired) as wrong:
            failed += 1
            print(f"FAIL {name}: {wrong}")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
